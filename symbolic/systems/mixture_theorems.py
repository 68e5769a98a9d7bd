r"""What gradient EM and score matching share: the Fisher information against the means, a theorem.

`E|v|^2` is bounded below by the test function `p x`, p the ratio of the mixture to the target:
`E <p x, v> = sum w_k |mu_k|^2`, and Cauchy-Schwarz. Derived here.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, discharge, given, known, times, weak, within
from symbolic.theorem.terms import Poly, T, Vec, function, number, symbol, total

__all__ = ["LABELS", "fisher_lower"]

AFTER = ge(T - symbol("T"))
Y = Vec.symbol("y")


def mean(i: str, time: str = "t") -> Vec:
    """The mean of component i; the target is at 0."""
    return Vec.symbol("mu", i, time=time)


def posterior(i: str) -> Poly:
    """The posterior weight of component i at the sample X."""
    return symbol("psi", i, "X", time="t")


FIELD = Vec.symbol("v", "X", time="t")
MIXTURE = Forall(
    ("X", "t", "y"), (AFTER,), eq(FIELD.dot(Y) - total("k", posterior("k") * mean("k").dot(Y)))
)
FISHER = total("X", FIELD.dot(FIELD))
INPUT = Vec.symbol("x", "X")
RATIO = symbol("p", "X", time="t")  # of the mixture's density to the target's
D, LEAST, RADIUS, CAP = symbol("d"), symbol("omega"), symbol("M"), symbol("B")


def weight(i: str) -> Poly:
    """The weight of component i."""
    return symbol("w", i)


def tilt(i: str) -> Poly:
    """`exp(<mu_i, x> - |mu_i|^2/2)`."""
    return symbol("q", i, "X", time="t")


POSTERIOR = Forall(("i", "X", "t"), (AFTER,), eq(RATIO * posterior("i") - weight("i") * tilt("i")))
TILT = Forall(
    ("i", "t", "y"), (AFTER,), eq(total("X", tilt("i") * INPUT.dot(Y)) - mean("i").dot(Y))
)


def _pair(i: str, j: str) -> Poly:
    """`exp(<mu_i, mu_j>) (d + |mu_i + mu_j|^2)`."""
    both = mean(i) + mean(j)
    return function("exp", mean(i).dot(mean(j))) * (D + both.dot(both))


SECOND = Forall(
    ("t",),
    (AFTER,),
    eq(
        total("X", RATIO**2 * INPUT.dot(INPUT))
        - total("k", total("l", weight("k") * weight("l") * _pair("k", "l")))
    ),
)
WEIGHTS, SUM_ONE = Forall(("i",), (), ge(weight("i") - LEAST)), eq(total("k", weight("k")) - 1)
SIGN, DIMENSION, AWAY = gt(LEAST), ge(D), gt(RADIUS)
#: At time t all means are in the ball of radius sqrt(M).
INSIDE = Forall(("i",), (), ge(RADIUS - mean("i").dot(mean("i"))))
MOST = function("exp", RADIUS) * (D + 4 * RADIUS)
LET_CAP = eq(CAP - MOST)
LABELS: dict[Formula, str] = {
    MIXTURE: "v(x) = sum_k psi_k(x) mu_k",
    POSTERIOR: "p psi_i = w_i q_i, with q_i = exp(<mu_i, x> - |mu_i|^2/2): the posterior",
    WEIGHTS: "all weights w_i are at least omega",
    SUM_ONE: "the weights add up to one",
    SIGN: "omega > 0",
    DIMENSION: "d is the dimension, d >= 0",
    AWAY: "M > 0",
    INSIDE: "at time t: |mu_i|^2 <= M",
    LET_CAP: "B = exp(M) (d + 4 M)",
    TILT: "axiom Gaussian: E q_i x = mu_i",
    SECOND: "axiom Gaussian: E q_i q_j |x|^2 = exp(<mu_i, mu_j>) (d + |mu_i + mu_j|^2), summed",
    AFTER: "t >= T",
}
OMEGA, ROOM = kernel.assume(SIGN), kernel.assume(DIMENSION)
HALF = Fraction(1, 2)


def norm_sign(x: Vec) -> Theorem:
    """`<x, x> >= 0`."""
    return add(kernel.square(x.norm()), (-1, [kernel.norm_square(x)]))


@cache
def exponential() -> Theorem:
    """`exp(a) - 1 >= 0` for `a >= 0`: exp(a t) grows from 0 to 1."""
    a = symbol("a")
    u = function("exp", a * T)
    slope = add(kernel.derive(u), (1, [kernel.assume(ge(a)), kernel.exp_sign(a * T)]))
    grows = kernel.monotone(slope, (), u, "begin", "end")
    grows = kernel.subst(grows, {"begin": number(0), "end": number(1)})
    return add(discharge(grows, weak(known(1))), kernel.exp_zero())


def _exp_order(a: Poly, b: Poly, order: Theorem) -> Theorem:
    """`exp(a) - exp(b) >= 0` from `a - b >= 0`."""
    more = discharge(kernel.subst(exponential(), {"a": a - b}), order)
    return add((1, [kernel.exp_sign(b), more]), kernel.exp_sum(a - b, b))


@cache
def share(i: str) -> Theorem:
    """`w_i > 0`."""
    return add(given(WEIGHTS, i=i), OMEGA, strict=True)


@cache
def cap() -> Theorem:
    """`B - E p^2 |x|^2 >= 0`."""
    k, j = mean("k"), mean("l")
    inside = [given(INSIDE, i=i) for i in ("k", "l")]
    distance = norm_sign(k - j)
    product = add((HALF, [distance]), *((HALF, [th]) for th in inside))  # M - <mu_k, mu_l>
    square = add(distance, *((2, [th]) for th in inside))  # 4 M - |mu_k + mu_l|^2
    grown = _exp_order(RADIUS, k.dot(j), product)
    norms = add(norm_sign(k + j), ROOM)
    pair = add((1, [grown, norms]), (1, [kernel.exp_sign(RADIUS), square]))
    each = times(*(weak(share(i)) for i in ("k", "l")), pair)
    each = kernel.sum_up(kernel.sum_up(each, "l"), "k")
    one = kernel.assume(SUM_ONE)
    squares = -1 * MOST * (total("k", weight("k")) + 1)
    return add(each, (-1, [given(SECOND)]), (squares, [one]), kernel.assume(LET_CAP))


SQUARES = total("k", weight("k") * mean("k").dot(mean("k")))


@cache
def test_function() -> Theorem:
    """`E p <v, x> - sum w_k |mu_k|^2 = 0`."""
    pull = RATIO * posterior("k") * mean("k").dot(INPUT)
    field = kernel.sum_up(add((RATIO, [given(MIXTURE, X="X", y=INPUT)])), "X")
    tilts = add((mean("k").dot(INPUT), [given(POSTERIOR, i="k")]))
    tilts = kernel.sum_up(kernel.sum_up(tilts, "X"), "k")
    means = kernel.sum_up(add((weight("k"), [given(TILT, i="k", y=mean("k"))])), "k")
    return within(
        add(field, (-1, [kernel.swap("k", "X", pull)]), tilts, means),
        eq(total("X", RATIO * FIELD.dot(INPUT)) - SQUARES),
    )


@cache
def cap_sign() -> Theorem:
    """`B > 0`."""
    room = add((4, [kernel.assume(AWAY)]), ROOM, strict=True)
    return add((1, [kernel.exp_sign(RADIUS), room]), kernel.assume(LET_CAP), strict=True)


@cache
def fisher_lower() -> Theorem:
    """`B E|v|^2 - (sum w_k |mu_k|^2)^2 >= 0`, where all means are in the ball."""
    x = FIELD * CAP - INPUT * (SQUARES * RATIO)
    spread = kernel.sum_up(norm_sign(x), "X")
    product = add(
        spread, (2 * CAP * SQUARES, [test_function()]), (1, [kernel.square(SQUARES), cap()])
    )
    return derived.cancel(product, cap_sign(), CAP * FISHER - SQUARES**2)
