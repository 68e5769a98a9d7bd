r"""A mirror pair from both sides, as theorems: the loss falls like `t^-3` with two constants.

`n = 2`, `w_2` is the mirror image of `w_1` in the teacher, `|v| = 1`, and both have `h = 1/2`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, appendix A; the constants are this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.theorem import derived, kernel
from symbolic.theorem.formulas import Forall, Formula, eq, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, cubes, discharge, given, known, times, weak, within
from symbolic.theorem.terms import PI, Poly, T, function, number, symbol

__all__ = ["LABELS", "lower", "upper"]

ANGLE, LOSS, BEGIN = symbol("theta", time="t"), symbol("L", time="t"), symbol("theta", time="T")
START, X = symbol("T"), symbol("x")
AFTER = ge(T - START)
FLOW = Forall(
    ("t",), (AFTER,), eq(2 * PI * function("d", ANGLE) + ANGLE * function("sin", 2 * ANGLE))
)
WAVE = ANGLE - function("sin", ANGLE) * function("cos", ANGLE)
ENERGY = Forall(("t",), (AFTER,), eq(4 * PI * LOSS * function("cos", ANGLE) ** 2 - WAVE))
POSITIVE, SMALL = gt(BEGIN), ge(1 - 2 * BEGIN)
#: `G = pi + theta_T (t - T)` and `H = 6 pi + 5 theta_T (t - T)`.
SLOW, FAST = symbol("G"), symbol("H")
PAST = T - START
LABELS: dict[Formula, str] = {
    FLOW: "axiom flow of the angle where h = 1/2",
    ENERGY: "axiom loss where h = 1/2",
    POSITIVE: "theta(T) > 0",
    SMALL: "theta(T) <= 1/2",
    AFTER: "t >= T",
    eq(SLOW - PI - BEGIN * PAST): "G = pi + theta(T) (t - T)",
    eq(FAST - 6 * PI - 5 * BEGIN * PAST): "H = 6 pi + 5 theta(T) (t - T)",
}
PI_POSITIVE = add(kernel.constants(Fraction(3), Fraction(22, 7))[0], known(3), strict=True)
HALF_ = Fraction(1, 2)
ZERO, HALF = number(0), number(HALF_)


def _curve(e: Poly, high: Poly, *bounds: Theorem) -> Theorem:
    """`e(theta) >= 0` for `0 <= theta <= high`, both proved."""
    th = kernel.subst(kernel.pointwise(e, "x", ZERO, high), {"x": ANGLE})
    return discharge(th, positive(), *bounds)


def _scaled(k: int) -> Theorem:
    """`k pi > 0`."""
    return add((k, [PI_POSITIVE]), strict=True)


@cache
def positive() -> Theorem:
    """`theta > 0` for all `t >= T`: its logarithm has a bounded rate."""
    sides = (2 * PI, function("sin", 2 * ANGLE), "T")
    begin, family = kernel.assume(POSITIVE), Forall((), (), gt(ANGLE))
    return derived.trap(weak(given(FLOW)), _scaled(2), (), begin, family, sides)


def _falling(*below_one: Theorem) -> Theorem:
    """`theta sin(2 theta) >= 0`, from `theta <= 1`."""
    return times(weak(positive()), _curve(function("sin", 2 * X), number(1), *below_one))


@cache
def below_half() -> Theorem:
    """`1 - 2 theta >= 0`: below 1 the angle falls, so it never gets there."""
    family = Forall((), (), gt(1 - ANGLE))
    rate = add((2 * PI, [kernel.derive(1 - ANGLE)]), (-1, [given(FLOW)]), _falling(given(family)))
    start = add((HALF_, [kernel.assume(SMALL)]), known(HALF_), strict=True)
    below_one = derived.trap(rate, _scaled(2), (), start, family, (2 * PI, ZERO, "T"))
    slope = add((2 * PI, [kernel.derive(-ANGLE)]), (-1, [given(FLOW)]), _falling(below_one))
    falls = derived.cancel(slope, _scaled(2), function("d", -ANGLE))
    return add((2, [derived.gronwall(falls, ZERO, -ANGLE, "T")]), kernel.assume(SMALL))


def _small(e: Poly) -> Theorem:
    return _curve(e, HALF, add((HALF_, [below_half()])))


def _compared(m: int, k: int, side: int, rate: Theorem) -> Theorem:
    signs = _scaled(m), known(k) if k != 1 else known(1)
    signs = signs[0], weak(signs[1])
    begin = kernel.assume(POSITIVE)
    return kernel.compare(rate, signs, begin, (m * PI, number(k), ANGLE, "d", side, "T", "t"))


def _steep() -> Theorem:
    """`cos(theta)^2 > 0`."""
    cosine = _small(4 * function("cos", X) ** 2 - 3)
    return add((Fraction(1, 4), [cosine]), known(Fraction(3, 4)), strict=True)


def _wave(x: Poly) -> Poly:
    return x - function("sin", x) * function("cos", x)


def _square_root(scale: Fraction) -> Theorem:
    """`sin(x)^2 - (x - x^3/6)^2 >= 0` at `x = scale theta`."""
    x = scale * ANGLE
    cubic = X - X**3 / 6
    sine = kernel.subst(kernel.pointwise(function("sin", X) - cubic, "x", ZERO, HALF), {"x": x})
    least = add((scale, [weak(positive())]))
    most = add((scale / 2, [below_half()]), known((1 - scale) / 2))
    sine = discharge(sine, weak(least), most)
    # x - x^3/6 = x (1 - x^2/6), and x <= 1/2
    short = add((1, [most, add(weak(least), known(HALF_))]), known(Fraction(23, 4)))
    cubic_sign = add((Fraction(1, 6), [weak(least), short]))
    return add((1, [sine, add(sine, (2, [cubic_sign]))]))


def _lower_curve() -> Theorem:
    """`3 (theta - sin cos) - 2 theta^3 cos^2 >= 0`: sin >= theta cos, sin^2 >= theta^2 cos."""
    s, c = function("sin", ANGLE), function("cos", ANGLE)
    half = function("sin", ANGLE / 2)
    # cos = 1 - 2 sin(theta/2)^2
    double = add(kernel.cos_sum(ANGLE / 2, ANGLE / 2), kernel.pythagoras(ANGLE / 2))
    within(double, eq(c + 2 * half**2 - 1))
    room = times(add((HALF_, [below_half()])), add(weak(positive()), known(HALF_)))
    rest = add(
        (Fraction(1, 72), [kernel.square(ANGLE**2), add(room, known(Fraction(47, 4)))]),
        (Fraction(1, 1152), [kernel.square(ANGLE**4)]),
    )
    squares = add(
        _square_root(Fraction(1)),
        (2, [kernel.square(ANGLE), _square_root(HALF_)]),
        rest,
        (-1 * ANGLE**2, [double]),
    )
    within(squares, ge(s**2 - ANGLE**2 * c))
    wedge = _small(3 * _wave(X) - 2 * function("sin", X) ** 3)
    first = _small(function("sin", X) - X * function("cos", X))
    cosine = _small(function("cos", X))
    return add(wedge, (2, [kernel.square(s), first]), (2, [weak(positive()), cosine, squares]))


def _grown(name: Poly, k: int, m: int) -> tuple[Theorem, Theorem]:
    """`G - m pi - k theta_T (t - T) = 0` and `G >= 0`."""
    let = kernel.assume(eq(name - m * PI - k * BEGIN * PAST))
    past = (k, [kernel.assume(POSITIVE), kernel.assume(AFTER)])
    return let, add(let, (m, [PI_POSITIVE]), past)


@cache
def lower() -> Theorem:
    """`6 pi G^3 L - pi^3 theta_T^3 >= 0` with `G = pi + theta_T (t - T)`."""
    rate = add(
        (HALF_, [given(FLOW)]), (HALF_, [weak(positive()), _small(2 * X - function("sin", 2 * X))])
    )
    let, sign = _grown(SLOW, 1, 1)
    order = add(_compared(1, 1, 1, rate), (ANGLE, [let]))
    least = weak(times(PI_POSITIVE, kernel.assume(POSITIVE)))
    cubed = cubes(order, least, ANGLE * SLOW, PI * BEGIN)
    curve = _lower_curve()
    product = add(curve, (3, [given(ENERGY)]))
    loss = derived.cancel(product, _steep(), 12 * PI * LOSS - 2 * ANGLE**3)
    result = add((HALF_, [sign, sign, sign, loss]), cubed)
    return within(result, ge(6 * PI * SLOW**3 * LOSS - PI**3 * BEGIN**3))


@cache
def upper() -> Theorem:
    """`48 pi^2 theta_T^3 - H^3 L >= 0` with `H = 6 pi + 5 theta_T (t - T)`."""
    rate = add(
        (-3, [given(FLOW)]), (1, [weak(positive()), _small(3 * function("sin", 2 * X) - 5 * X)])
    )
    let, sign = _grown(FAST, 5, 6)
    order = add(_compared(6, 5, -1, rate), (-ANGLE, [let]))
    cubed = cubes(order, weak(times(positive(), sign)), 6 * PI * BEGIN, ANGLE * FAST)
    slope = _small(2 * X**3 - 3 * _wave(X))
    cube = times(weak(positive()), kernel.square(ANGLE))
    steep = _small(4 * function("cos", X) ** 2 - 3)
    curve = add((3, [slope]), (2, [cube, steep]))
    product = add(curve, (-9, [given(ENERGY)]))
    loss = derived.cancel(product, _steep(), 8 * ANGLE**3 - 36 * PI * LOSS)
    result = add((Fraction(1, 36), [sign, sign, sign, loss]), (Fraction(2, 9), [cubed]))
    e = 48 * PI**2 * BEGIN**3 - LOSS * FAST**3
    return derived.cancel(result, PI_POSITIVE, e)
