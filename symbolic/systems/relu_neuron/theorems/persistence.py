r"""Lemma 30 in its true form: angles below `kappa <= pi/2` at a time were below it before.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Lemma 30; the proof is this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.setting import (
    COSINE,
    OPEN,
    E,
    V,
    cosine_gap,
    flow,
    neuron_pull,
    size,
    w,
    z,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Distinct, Forall, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, discharge, given, known, times
from symbolic.theorem.terms import PI, Poly, function, total

__all__ = ["ACUTE_PAIRS", "drift", "persistence"]

ACUTE_PAIRS = Forall(("p", "q"), (Distinct("p", "q"),), gt(cosine_gap("p", "q")))
#: `2 pi > 0`.
TWO_PI = add((2, [kernel.constants(Fraction(3), Fraction(22, 7))[0]]), known(6), strict=True)


def drift(i: str) -> Poly:
    """`2 pi` times the rate at which neuron i grows by itself."""
    own, _ = neuron_pull(i, "k", w("k").norm(), w(i).angle(w("k")))
    teacher, _ = neuron_pull(i, "v", V, w(i).angle(E))
    return total("k", own) - teacher


def positive_size(i: str, j: str) -> Theorem:
    """Where all angles are below `arccos c`: `|z_i| > 0`."""
    gap, zero = given(ACUTE_PAIRS, p=i, q=j), kernel.assume(ge(-size(i)))
    cauchy, other = kernel.cauchy(z(i), z(j)), kernel.norm_sign(z(j))
    false = kernel.combine(gt(0), (1, [gap]), (1, [cauchy]), (1, [OPEN, zero, other]))
    goal = gt(size(i))
    return derived.cases(kernel.contradiction(false, goal), kernel.assume(goal), -size(i))


def size_rate(i: str) -> Theorem:
    """`2 pi |z_i|' + drift |z_i| + sum_k (pi - theta_ik) |z_k| >= 0` where `|z_i| > 0`."""
    turn = kernel.angle_most(w(i), w("k"))
    pulls = kernel.sum_up(times(turn, kernel.cauchy(z("k"), z(i))), "k")
    product = add(
        (2 * PI, [kernel.norm_rate(z(i))]),
        given(flow(), i=i, y=z(i)),
        (drift(i), [kernel.norm_square(z(i))]),
        pulls,
    )
    rate = (
        2 * PI * function("d", size(i))
        + drift(i) * size(i)
        + total("k", turn.concl.poly * size("k"))
    )
    return derived.cancel(product, kernel.assume(gt(size(i))), rate)


def gaps(i: str, j: str) -> Theorem:
    """`sum_k (pi - theta_ik)(<z_k, z_j> - c |z_k||z_j|) >= 0`, `k = j` included."""
    same = add((1, [OPEN, kernel.square(size(j))]), (-1, [kernel.norm_square(z(j))]))
    distinct = add(given(ACUTE_PAIRS, p=j, q="k"), (0, [OPEN]))
    gap = kernel.index_cases(distinct, same, j, "k")
    return kernel.sum_up(times(kernel.angle_most(w(i), w("k")), gap), "k")


@cache
def persistence() -> Theorem:
    """If all angles are below `arccos c` at `t >= T`, so they were at T."""
    p, q = "p", "q"
    rate = add(
        (-2 * PI, [kernel.derive(cosine_gap(p, q))]),
        (-1, [given(flow(), i=p, y=z(q))]),
        (-1, [given(flow(), i=q, y=z(p))]),
        (1, [COSINE, kernel.norm_sign(z(q)), size_rate(p)]),
        (1, [COSINE, kernel.norm_sign(z(p)), size_rate(q)]),
        gaps(p, q),
        gaps(q, p),
    )
    lengths = (positive_size(p, q), positive_size(q, p))
    sizes = (2 * PI, -drift(p) - drift(q), "T")
    return derived.trap(discharge(rate, *lengths), TWO_PI, lengths, None, ACUTE_PAIRS, sizes)
