r"""The flow of gradient EM, `mu_i' = -E psi_i v`, in the quantities of the proof.

The gradient and `sum_i <grad_i, mu_i> = E|v|^2` are derived in
`symbolic.systems.gmm_em.document`, the derivative of `E|v|^2` in
`symbolic.systems.score_matching.calculus`.

Source: Xu, Fazel & Du, NeurIPS 2024, arXiv 2407.00490.
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from potentials.gmm_em import NAMES, fisher, n, norm
from potentials.substitution import Definition, Flow, I, indexed

__all__ = ["FLOW"]

_along, _turned = indexed("along"), indexed("turned")

FLOW = Flow(
    rates={
        "norm": -_along[I] / norm,
        "squares": -2 * fisher,
        "fisher": -2 * sp.Sum(_turned[I], (I, 1, n)),
    },
    definitions=(
        Definition(
            r"\frac{d \mu_i}{d t}",
            "-g_i",
            "v(x) is the sum of all psi_i mu_i, and psi_i(x) the posterior weight of a component.",
        ),
        Definition("g_i", r"\mathbb{E} [\psi_i v]", "The gradient of L by mu_i."),
    ),
    names=NAMES,
    families={
        "along": r"\langle \mu_%s, g_%s \rangle",
        "turned": r"\mathbb{E} \left[ \psi_%s \left( \langle v, g_%s \rangle"
        r" + \langle v, \mu_%s - v \rangle \langle x - \mu_%s, g_%s \rangle \right) \right]",
    },
    of_the_law=("loss_upper", "fisher_lower", "gradient_lower", "loss_quadratic", "sublinear"),
    # Of weights 1/n: r n^2/16, r = min(d, n - 1).
    in_n=Fraction(2),
)
