r"""Toy examples 2 and 3 as theorems: neurons along the teacher, and equal ones, have linear rates.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, appendix A; the constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems.setting import NEURON, POSITIVE_PI
from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, discharge, given, times, within
from symbolic.theorem.terms import PI, N, Poly, T, function, number, symbol, total

__all__ = ["EQUAL", "PARALLEL", "equal", "parallel"]

V, LOSS, LOSS_T = symbol("v"), symbol("L", time="t"), symbol("L", time="T")
AFTER = ge(T - symbol("T"))
HEIGHT = symbol("h", "i", time="t")
OFF = total("k", symbol("h", "k", time="t")) - V
PARALLEL_FLOW = Forall(("i", "t"), (AFTER,), eq(2 * function("d", HEIGHT) + OFF))
PARALLEL_LOSS = Forall(("t",), (AFTER,), eq(4 * LOSS - OFF**2))
PARALLEL: dict[Formula, str] = {
    PARALLEL_FLOW: "axiom flow of w_i = h_i v/|v| with all h_i > 0: h_i' = -(sum h - |v|)/2",
    PARALLEL_LOSS: "axiom loss of these: L = (sum h - |v|)^2/4",
    AFTER: "t >= T",
}


def at_start(f: Forall) -> Theorem:
    """A hypothesis "for all t >= T" at T itself."""
    return kernel.cut(given(f, t="T"), kernel.combine(ge(0)), ge(0))


@cache
def parallel() -> Theorem:
    """`L(t) - exp(-n (t - T)) L(T) = 0`."""
    slope = kernel.sum_up(given(PARALLEL_FLOW, i="k"), "k")  # 2 sum h' + n (sum h - v) = 0
    u = OFF**2
    sides = []
    for sign in (1, -1):
        still = add(kernel.derive(sign * u), (sign * OFF, [slope]))
        weak = kernel.combine(ge(still.concl.poly), (1, [still]))
        sides.append(derived.gronwall(weak, N, sign * u, "T"))
    law = kernel.antisymmetry(*sides)
    decay = function("exp", -N * (T - symbol("T")))
    loss, start = given(PARALLEL_LOSS), at_start(PARALLEL_LOSS)
    fourth = add(law, (1, [loss]), (-1 * decay, [start]))
    return within(add((Fraction(1, 4), [fourth])), eq(LOSS - decay * LOSS_T))


# --- equal neurons ---------------------------------------------------------------------------
X, THETA, THETA_T, RATE = (
    *(symbol("x"), symbol("theta", time="t"), symbol("theta", time="T"), symbol("k")),
)
ANGLE_FALLS = Forall(("t",), (AFTER,), ge(-function("d", THETA)))
IN_RANGE = Forall(("t",), (AFTER,), ge(THETA)), Forall(("t",), (AFTER,), ge(PI - THETA))


def _steep(angle: Poly) -> Poly:
    """`pi^2 c(angle)` with `c = (1 - angle/pi)^2 cos(angle/2)^2`."""
    return ((PI - angle) * function("cos", angle / 2)) ** 2


STEEP = Forall(("t",), (AFTER,), ge(-(PI**2) * function("d", LOSS) - N * _steep(THETA) * LOSS))
LOSS_SIGN = Forall(("t",), (AFTER,), ge(LOSS))
LET = eq(PI**2 * RATE - N * _steep(THETA_T))
EQUAL: dict[Formula, str] = {
    ANGLE_FALLS: "axiom the angle of equal neurons falls",
    STEEP: "axiom -dL/dt >= n (1 - theta/pi)^2 cos(theta/2)^2 L, from the toy derivation",
    IN_RANGE[0]: "theta >= 0",
    IN_RANGE[1]: "theta <= pi",
    LOSS_SIGN: "L >= 0",
    LET: "k = n (1 - theta(T)/pi)^2 cos(theta(T)/2)^2",
    AFTER: "t >= T",
}


@cache
def equal() -> Theorem:
    """`L(T) exp(-k (t - T)) - L(t) >= 0`."""
    least, most = (given(f) for f in IN_RANGE)
    start, half = at_start(IN_RANGE[1]), Fraction(1, 2)
    slope = add(kernel.derive(-THETA), given(ANGLE_FALLS))
    falls = kernel.monotone(slope, (), -THETA, "T", "t")
    now = function("cos", THETA / 2)
    within_half = add((half, [least])), add((half, [most]))
    right = add(within_half[1], (half, [POSITIVE_PI]))
    sine = kernel.pointwise(function("sin", X), "x", number(0), PI)
    sine = discharge(kernel.subst(sine, {"x": THETA / 2}), within_half[0], right)
    grows = add(kernel.derive(now), (half, [sine, given(ANGLE_FALLS)]))
    rises = kernel.monotone(grows, (), now, "T", "t")
    cosine = kernel.pointwise(function("cos", X), "x", number(0), PI / 2)
    acute = discharge(kernel.subst(cosine, {"x": THETA / 2}), *within_half)
    at_first = at_start(IN_RANGE[0])
    first = discharge(
        kernel.subst(cosine, {"x": THETA_T / 2}), add((half, [at_first])), add((half, [start]))
    )
    more = add((1, [falls, acute]), (1, [start, rises]))
    both = add(more, (2, [start, first]))
    loss = given(LOSS_SIGN)
    slow = add(given(STEEP), (1, [NEURON, more, both, loss]), (-LOSS, [kernel.assume(LET)]))
    rate = derived.cancel(slow, times(POSITIVE_PI, POSITIVE_PI), -function("d", LOSS) - RATE * LOSS)
    rate = add(rate, kernel.derive(-LOSS))
    return derived.gronwall(rate, RATE, -LOSS, "T")
