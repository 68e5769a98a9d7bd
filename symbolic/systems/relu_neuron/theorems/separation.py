r"""Lemma 17: the widest pair of transverse parts gets wider.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Lemma 17.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.persistence import drift
from symbolic.systems.relu_neuron.theorems.setting import (
    AFTER,
    COSINE,
    INVERSE,
    OPEN,
    SPLIT,
    UNIT,
    C,
    V,
    flow,
    size,
    w,
    z,
)
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Distinct, Forall, Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, given, times, within
from symbolic.theorem.terms import PI, Poly, function

__all__ = ["SETTING", "separation"]

P, Q = "p", "q"
BOTH = size(P) * size(Q)
WIDEST = Forall(
    ("k", "l"), (Distinct("k", "l"),), ge(z("k").dot(z("l")) - C * size("k") * size("l"))
)
ATTAINED = eq(z(P).dot(z(Q)) - C * BOTH)
SETTING: dict[Formula, str] = {
    UNIT: "e is the teacher's direction, a unit vector",
    gt(V): "|v| > 0",
    SPLIT: "z_i is the part of w_i orthogonal to e",
    INVERSE: "w_i is not zero; r_i = 1/|w_i|",
    flow(): "axiom flow of z_i: the gradient flow, computed from pair_flow()",
    ge(C): "c = cos(kappa_max) at time t, kappa_max <= pi/2",
    gt(1 - C): "kappa_max > 0",
    WIDEST: "at time t no pair is at a larger angle",
    ATTAINED: "the pair p, q is at that angle",
    Distinct(P, Q): "p and q are two neurons",
    gt(size(P)): "z_p is not zero",
    gt(size(Q)): "z_q is not zero",
    AFTER: "t >= T",
}


def _pulls(p: str, q: str) -> Theorem:
    """`sum_k (pi - theta_pk) a_k - (pi - theta_pq) a_q >= 0`, as no a_k is negative.

    `a_k = |z_p| <z_k, z_q> - c |z_q| <z_k, z_p>`.
    """
    norm_p, norm_q = kernel.norm_sign(z(p)), kernel.norm_sign(z(q))

    def cauchy(k: str) -> Theorem:
        return add((1, [COSINE, norm_q, kernel.cauchy(z(k), z(p))]))

    gap = add((1, [norm_p, given(WIDEST, k=q, l="k")]), cauchy("k"), (0, [OPEN]))
    same = add(
        (1, [norm_p, norm_q, norm_q, OPEN]), (-1 * size(p), [kernel.norm_square(z(q))]), cauchy(q)
    )
    each = kernel.index_cases(gap, same, q, "k")
    weighted = times(kernel.angle_most(w(p), w("k")), each)
    return kernel.pick(weighted, "k", (q,))


@cache
def separation() -> Theorem:
    """`pi d(<z_p, z_q>) - pi c d(|z_p||z_q|) + (pi - theta_pq)(1 - c^2)|z_p||z_q| <= 0`."""
    signs = {i: kernel.assume(gt(size(i))) for i in (P, Q)}
    attained = kernel.assume(ATTAINED)
    turn = kernel.angle_most(w(P), w(Q))
    halves = []
    for p, q in ((P, Q), (Q, P)):
        # |z_p| times: 2 pi <z_p', z_q> - 2 pi c |z_p|' |z_q| + (pi - theta)(1 - c^2) |z_q|^2 <= 0
        pulls = _pulls(p, q)
        own = z(p).prime.dot(z(q))
        rate = function("d", size(p)) * size(q)
        goal = -2 * PI * own + 2 * PI * C * rate - turn.concl.poly * (1 - C**2) * size(q) ** 2
        product = add(
            pulls,
            (-1 * size(p), [given(flow(), i=p, y=z(q))]),
            (C * size(q), [given(flow(), i=p, y=z(p))]),
            (2 * PI * C * size(q), [kernel.norm_rate(z(p))]),
            (drift(p) * size(p), [attained]),
            (C * size(q) * drift(p), [kernel.norm_square(z(p))]),
            (-1 * turn.concl.poly * size(p), [kernel.norm_square(z(q))]),
            (-1 * turn.concl.poly * C * size(q), [attained]),
        )
        halves.append(derived.cancel(product, signs[p], goal))
    square = times(OPEN, turn, add(COSINE, (1, [OPEN]), (1, [COSINE])))
    gap = kernel.square(size(P) - size(Q))
    u = z(P).dot(z(Q))
    both = add(
        *halves,
        (1, [square, gap]),
        (-2 * PI, [kernel.derive(u)]),
        (2 * PI * C, [kernel.derive(BOTH)]),
    )
    goal_: Poly = -PI * function("d", u) + PI * C * function("d", BOTH)
    goal_ = goal_ - turn.concl.poly * (1 - C**2) * BOTH
    half = add((Fraction(1, 2), [both]))
    return within(half, ge(goal_))
