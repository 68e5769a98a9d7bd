r"""The flow of score matching in the quantities of the proof.

`mu_i' = -2 exp(-2 s) g_i`: the gradient `2 g_i` of `E|v|^2` is derived in
`symbolic.systems.score_matching.calculus`.

Source: Zhang, Xu, Zhou, Fazel & Du, ICLR 2026, arXiv 2511.22069, Lemma 2.2.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from potentials.notation import parameter
from potentials.score_matching_potentials import NAMES, n, norm
from potentials.substitution import Definition, Flow, I, indexed

__all__ = ["FLOW"]

_along = indexed("along")
_SPEED = 2 * sp.exp(-2 * parameter("noise_time"))

FLOW = Flow(
    rates={
        "norm": -_SPEED * _along[I] / norm,
        "squares": -2 * _SPEED * sp.Sum(_along[I], (I, 1, n)),
    },
    definitions=(
        Definition(
            r"\frac{d \mu_i}{d t}",
            r"-2 e^{-2 s} g_i",
            "s is the noise time: mu_i is exp(-s) times the distance of nu_i to the target.",
        ),
        Definition(
            "g_i",
            r"\mathbb{E} \left[ \psi_i \left( v + \langle \mu_i - v, v \rangle (x - \mu_i) \right)"
            r" \right]",
            "Half the gradient of L by mu_i; v(x) is the sum of all psi_i mu_i.",
        ),
    ),
    names=NAMES,
    families={"along": r"\langle \mu_%s, g_%s \rangle"},
    of_the_law=("large_noise", "small_init"),
    # Of weights 1/n: a quarter of that of gradient EM, r n^2/64, r = min(d, n - 1).
    in_n=Fraction(2),
)
