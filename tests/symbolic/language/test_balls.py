"""Ball arithmetic: every function encloses, in every precision, and what is unknown is refused."""

import math
import random

import numpy as np
import pytest
import sympy as sp
from flint import acb, arb, ctx
from sympy.codegen import cfunctions

from symbolic.language import balls
from symbolic.language.averages.ramps import RampMean, RampPairMean
from symbolic.language.lower import NoBall, Undecided, lower
from symbolic.language.primitives import (
    AngleBetween,
    ArgMinusSinCos,
    CosMinusOne,
    NormMinusArgDot,
    SafeNorm,
    SafeRatio,
    SafeUnit,
    SinMinusArg,
    SinMinusArgCos,
    definition,
)

X, Y = sp.symbols("x y", real=True)
LOW, HIGH = 128, 256
# Of the bits by which the precision rises, how many may be lost again (a few, and rounding).
LOST_BITS = 8
POINTS = 5
REFERENCE_DIGITS = 60
SEED = 16
# Where arguments are taken, other than between -2 and 2.
ARGUMENTS = {
    **dict.fromkeys((sp.asin, sp.acos, sp.atanh, sp.erfinv), (-0.9, 0.9)),
    **dict.fromkeys((sp.acosh, sp.asec, sp.acsc, sp.acoth), (1.1, 4)),
    **dict.fromkeys((sp.log, sp.gamma, sp.loggamma, sp.Ci, sp.Chi, sp.Ei), (0.1, 4)),
    **dict.fromkeys((sp.erfcinv, sp.asech), (0.1, 0.9)),
    **dict.fromkeys((cfunctions.log2, cfunctions.log10, cfunctions.Sqrt), (0.1, 4)),
    **dict.fromkeys((cfunctions.log1p, sp.factorial), (-0.9, 3)),
    cfunctions.Cbrt: (0.1, 4),
}
OF_PAIRS = (SafeNorm, NormMinusArgDot, ArgMinusSinCos)
PAIRS = (sp.Max, sp.Min, sp.atan2, sp.erf2, cfunctions.hypot, *OF_PAIRS)
ORDERS = (sp.polygamma, sp.besselj, sp.bessely, sp.besseli, sp.besselk)
# These return an argument, a part of one, or an integer, and round nothing.
EXACT = (sp.Abs, sp.sign, sp.floor, sp.ceiling, sp.Heaviside, sp.Max, sp.Min, sp.re, sp.im)
# Of the ratio of an entry and its norm, and no other one.
NAMES = {f.__name__: f for f in balls.functions() if f is not SafeUnit}
# What a Python float would give: sixteen digits, and no radius.
DOUBLES = {"tanh": math.tanh, "sinh": math.sinh, "cosh": math.cosh, "erfc": math.erfc}


@pytest.fixture(autouse=True)
def precision():
    before = ctx.prec
    ctx.prec = LOW
    yield
    ctx.prec = before


def arguments(function, generator):
    """Dyadic numbers, which are the same in every precision."""
    low, high = ARGUMENTS.get(function, (-2, 2))
    count = 2 if function in PAIRS else 1
    if function in (RampMean, RampPairMean):
        return law(function, generator)
    if function in ORDERS:
        return generator.randint(0, 3), generator.randint(1, 2**12) / 2**10
    return tuple(round(generator.uniform(low, high) * 2**20) / 2**20 for _ in range(count))


def law(function, generator):
    """Means and covariances of one or two forms, and powers."""
    b, c, *slopes = (round(generator.uniform(-2, 2) * 2**10) / 2**10 for _ in range(6))
    first, other = np.array(slopes[:2]), np.array(slopes[2:])
    p, q = generator.randint(-2, 3), generator.randint(-2, 3)
    apart, area = c * first - b * other, (first[0] * other[1] - first[1] * other[0]) ** 2
    dots = [first @ first, first @ other, other @ other, area, first @ apart, -other @ apart]
    whole = (b, c, *map(float, dots), p, q)
    return whole if function is RampPairMean else (b, float(dots[0]), p)


def value(function, at, bits):
    """The function with an unevaluated argument, so that SymPy works nothing out before."""
    ctx.prec = bits
    symbols = sp.symbols(f"z:{len(at)}", real=True)
    fixed = {s: sp.Integer(a) for s, a in zip(symbols, at, strict=True) if type(a) is int}
    expr = function(*(fixed.get(s, s) for s in symbols), evaluate=False)
    free = [s for s in symbols if s not in fixed]
    return lower([expr], free, "ball")(*(at[symbols.index(s)] for s in free))[0]


def number(expr):
    """The value by mpmath, which knows some functions by other names only."""
    for old, new in ((sp.erfcinv, sp.erfinv), (sp.erf2, sp.erf)):
        expr = expr.rewrite(new) if isinstance(expr, old) else expr
    return sp.N(definition(expr).expand(func=True), REFERENCE_DIGITS)


def faults(function):
    """What is wrong with the entry of a function at random points, in words."""
    generator = random.Random(SEED)
    for _ in range(POINTS):
        at = arguments(function, generator)
        coarse, fine = (value(function, at, bits) for bits in (LOW, HIGH))
        allowed = coarse.rad() * arb(2) ** (LOST_BITS + LOW - HIGH)
        if function not in (*EXACT, sp.conjugate) and not (0 < fine.rad() <= allowed):
            yield f"radius {coarse.rad()}, then {fine.rad()}"
        exact = number(function(*(sp.Rational(a) for a in at)))
        ctx.prec = HIGH
        if not coarse.overlaps(arb(str(exact))) or not coarse.overlaps(fine):
            yield f"{function.__name__}{at} = {exact} is not in {coarse}"


@pytest.mark.parametrize("name", NAMES)
def test_function_encloses_its_values_ever_closer(name):
    assert list(faults(NAMES[name])) == []


@pytest.mark.parametrize(
    "entry",
    [arb.cosh, lambda x: arb(math.tanh(float(x))), lambda x: x.tanh() + arb(0, "1e-30")],
    ids=["another function", "a double", "a radius that does not fall"],
)
def test_wrong_entry_of_a_function_is_seen(entry, monkeypatch):
    monkeypatch.setitem(balls.table(), balls.PREFIX + "tanh", entry)
    assert list(faults(sp.tanh)) != []


def test_entry_that_gives_no_ball_is_refused(monkeypatch):
    monkeypatch.setitem(balls.table(), balls.PREFIX + "tanh", math.tanh)
    with pytest.raises(TypeError, match="which is no ball"):
        value(sp.tanh, (0.5,), LOW)


@pytest.mark.parametrize("name", ["tanh", "sinh", "cosh", "erfc", "asinh"])
def test_no_function_gives_a_float(name):
    found = lower([getattr(sp, name)(X)], [X], "ball")(arb(1) / 3)[0]
    assert isinstance(found, arb)
    assert 0 < found.rad() < 1e-30


@pytest.mark.parametrize("function", [sp.tanh, sp.erfc, sp.asinh, sp.sin, sp.erf, sp.Abs])
def test_wide_ball_holds_the_values_at_its_points(function):
    f = lower([function(X)], [X], "ball")
    wide = f(arb(0.1, 0.3))[0]
    assert all(wide.contains(f(arb(point))[0]) for point in (-0.15, 0.0, 0.1, 0.35))
    assert not wide.contains(f(arb(-1.5))[0])


@pytest.mark.parametrize(
    "expr, name",
    [
        (sp.zeta(X), "zeta"),
        (sp.elliptic_k(X), "elliptic_k"),
        (sp.DiracDelta(X), "DiracDelta"),
        (sp.Function("f")(X), "f"),
        (X + sp.Integral(sp.sin(Y) / Y, (Y, 0, X)), "Integral"),
        (sp.Piecewise((X, X > 0), (sp.oo, True)), "Infinity"),
        (sp.Mod(X, 2), "Mod"),
        (sp.GoldenRatio * X, "GoldenRatio"),
    ],
)
def test_what_has_no_ball_is_refused_by_name(expr, name):
    with pytest.raises(NoBall, match=rf"^there is no ball arithmetic for {name}, as in "):
        lower([expr], [X], "ball")


def unevaluated(kind, *args):
    return kind(*map(sp.Integer, args), evaluate=False)


@pytest.mark.parametrize(
    "expr, exact",
    [
        (sp.Rational(1, 3), sp.Rational(1, 3)),
        (sp.Rational(-2, 7) * X, sp.Rational(-2, 7)),
        (1 / (3 * X), sp.Rational(1, 3)),
        (unevaluated(sp.Pow, 3, -1), sp.Rational(1, 3)),
        (sp.Mul(2, unevaluated(sp.Pow, 3, -1), evaluate=False), sp.Rational(2, 3)),
        (sp.Mul(X, unevaluated(sp.Pow, 3, -1), evaluate=False), sp.Rational(1, 3)),
        (unevaluated(sp.Add, 1, 2) ** -1, sp.Rational(1, 3)),
        (1 / unevaluated(sp.Mul, 3, 5), sp.Rational(1, 15)),
        (sp.Piecewise((1, X > 0), (2, True)) / unevaluated(sp.Add, 1, 2), sp.Rational(1, 3)),
        (sp.sqrt(sp.Rational(1, 3)), sp.sqrt(3) / 3),
        (sp.Float("0.1") * X, sp.Rational(0.1)),
        (sp.Float("1e-300", 40), sp.Rational(sp.Float("1e-300", 40))),
        (sp.Integer(10**60 + 1), sp.Integer(10**60 + 1)),
        (-X, sp.Integer(-1)),
        (sp.Rational(3, 2) ** sp.Rational(-5, 3), sp.Rational(2, 3) ** sp.Rational(5, 3)),
    ],
    ids=str,
)
def test_constants_are_not_rounded_to_doubles(expr, exact):
    for bits in (LOW, HIGH):
        ctx.prec = bits
        found = lower([expr], [X], "ball")(1)[0]
        assert isinstance(found, arb)
        assert found.rad() <= abs(found) * arb(2) ** (LOST_BITS - bits)
        ctx.prec = 4 * HIGH
        known = sp.N(exact, 2 * HIGH)
        assert found.overlaps(arb(str(known)))
        assert not (found * (1 + arb(2) ** (2 * LOST_BITS - bits))).overlaps(arb(str(known)))


def test_assignments_that_come_first_are_balls_too():
    half = sp.Symbol("half")
    found = lower([1 / half], [], "ball", steps=((half, sp.Integer(3)),))()[0]
    assert isinstance(found, arb)
    assert (3 * found).contains(1)
    assert found.rad() > 0


def test_powers_of_a_ball_around_zero_are_balls():
    around = arb(0, 0.5)
    square, cube, root = lower([X**2, (X + Y) ** 3, (X**2) ** 2], [X, Y], "ball")(around, 0)
    for ball, ends in ((square, (0, 0.25)), (cube, (-0.125, 0.125)), (root, (0, 0.0625))):
        assert all(ball.contains(arb(end)) for end in ends)
        assert ball.upper() < 0.3
    (even,) = lower([(X + Y) ** 2], [X, Y], "ball")(around, 0)
    assert even.lower() > -1e-9
    assert even.contains(arb(0.25))
    (z,) = lower([(X + Y) ** 2], [X, Y], "ball")(acb(around, 1), 0)
    assert z.contains(acb(-0.75, 1))
    assert not z.contains(acb(1))


def test_root_of_what_may_be_negative_is_nothing():
    f = lower([X ** sp.Rational(1, 3), X ** sp.Rational(-3, 2), sp.sqrt(X)], [X], "ball")
    assert all(ball.is_nan() for ball in f(arb(0.1, 0.2)))
    assert not any(ball.is_nan() for ball in f(arb(0.4, 0.2)))


def test_step_is_decided_where_the_ball_keeps_to_one_side():
    f = lower([sp.Heaviside(X)], [X], "ball")
    assert f(arb(1, 0.5)) == (arb(1),)
    assert f(arb(-1, 0.5)) == (arb(0),)
    assert f(arb(0)) == (arb(0.5),)
    with pytest.raises(Undecided):
        f(arb(0.1, 0.2))


@pytest.mark.parametrize(
    "condition, yes, no, open_",
    [
        (X > 0, arb(1, 0.5), arb(0), arb(0, 1)),
        (X >= 0, arb(0), arb(-1, 0.5), arb(0, 1)),
        (X < 0, arb(-1, 0.5), arb(0), arb(0, 1)),
        (X <= 0, arb(0), arb(1, 0.5), arb(0, 1)),
        (sp.Eq(X, 0), arb(0), arb(1, 0.5), arb(0, 1)),
        (sp.Ne(X, 0), arb(1, 0.5), arb(0), arb(0, 1)),
        (sp.And(X > 0, X < 2), arb(1, 0.5), arb(3, 0.5), arb(2, 0.5)),
        (sp.Or(X < 0, X > 2), arb(3, 0.5), arb(1, 0.5), arb(2, 0.5)),
        (sp.Not(sp.And(X > 0, X < 2)), arb(3, 0.5), arb(1, 0.5), arb(2, 0.5)),
    ],
    ids=str,
)
def test_condition_holds_on_the_whole_ball_or_nowhere_or_is_undecided(condition, yes, no, open_):
    f = lower([sp.Piecewise((1, condition), (2, True))], [X], "ball")
    assert f(yes) == (arb(1),)
    assert f(no) == (arb(2),)
    with pytest.raises(Undecided):
        f(open_)


def test_no_branch_is_no_number():
    assert lower([sp.Piecewise((X, X > 0))], [X], "ball")(arb(-1))[0].is_nan()


def test_symbols_do_not_hide_functions_of_their_name():
    gamma, keyword = sp.symbols("gamma lambda", positive=True)
    (found,) = lower([sp.gamma(gamma) * keyword], [gamma, keyword], "ball")(4, 2)
    assert found.contains(12)


@pytest.mark.parametrize(
    "primitive",
    [
        SinMinusArg(X),
        SinMinusArgCos(X),
        CosMinusOne(X),
        AngleBetween(X, Y),
        SafeNorm(X, Y),
        SafeRatio(X, Y),
        SafeUnit(Y, X),
        NormMinusArgDot(X, Y),
        ArgMinusSinCos(X, Y),
    ],
    ids=str,
)
def test_primitive_is_evaluated_by_its_textbook_formula(primitive):
    (found,) = lower([primitive], [X, Y], "ball")(0.5, 0.25)
    (number,) = lower([primitive], [X, Y], "mpmath")(0.5, 0.25)
    assert float(found) == pytest.approx(float(number), rel=1e-14)
    assert found.rad() < 1e-30


@pytest.mark.parametrize("primitive", [NormMinusArgDot, ArgMinusSinCos])
def test_balls_of_parallel_vectors_are_as_small_as_their_entries(primitive):
    value = lower([primitive(X, Y)], [X, Y], "ball")
    assert value(3, 0)[0] == 0  # exactly
    assert abs(value(-3, 0)[0] - arb.pi() * (3 if primitive is NormMinusArgDot else 1)) < 1e-30
    for dot in (3, -3):
        found = value(dot, arb(0, 1e-25))[0]
        assert found.overlaps(value(dot, 0)[0])
        assert found.rad() < 1e-20
    # On both sides of a right angle.
    assert value(arb(0, 1e-25), 2)[0].rad() < 1e-20


def test_an_entry_of_a_unit_vector_is_at_most_one_whatever_its_direction_is():
    entry = lower([SafeUnit(X, Y)], [X, Y], "ball")
    for x, norm in ((arb(0), arb(0)), (arb(0, 1e-20), arb(1e-20, 1e-20))):
        assert entry(x, norm)[0].contains(arb(0, 0.999))
        assert abs(entry(x, norm)[0]) < 1.1
    # Control: nothing is said of another ratio.
    assert lower([SafeRatio(X, Y)], [X, Y], "ball")(0, 0)[0].is_nan()


def test_complex_balls_keep_their_arithmetic():
    z = acb(0.5, 0.25)
    f = lower([sp.exp(X) * sp.I + sp.pi, sp.Abs(X), X ** sp.Rational(2, 3)], [X], "ball")
    found = f(z)
    assert found[0].overlaps(z.exp() * acb(0, 1) + arb.pi())
    assert abs(found[0] - (z.exp() + arb.pi())) > 0.1
    assert found[1].overlaps(abs(z))
    assert found[2].overlaps((z.log() * 2 / 3).exp())


FORMS = [
    X / 2,
    -X / 2,
    -X,
    -2 * X / Y,
    2 * X / Y,
    5 * X / (4 * Y),
    Y / X**2,
    X**-3 * Y,
    X**-2,
    1 / (X * Y),
    2 / (X**2 * Y),
    -(X**-2),
    Y * X ** sp.Rational(-3, 2),
    X ** sp.Rational(3, 2) / Y ** sp.Rational(1, 3),
    X**Y,
    X + sp.Float("-0.375"),
    sp.Float("-1.5") * X * Y,
    X**2 - Y**2 - 7,
    -X * Y - 3,
    (X - Y) ** 5,
]


@pytest.mark.parametrize("expr", FORMS, ids=str)
def test_sums_products_and_powers_enclose_their_exact_values(expr):
    at = {X: sp.Rational(11, 8), Y: sp.Rational(5, 4)}
    (found,) = lower([expr], [X, Y], "ball")(1.375, 1.25)
    exact = sp.nsimplify(expr, rational=True).xreplace(at)
    assert abs(found - arb(str(sp.N(exact, REFERENCE_DIGITS)))) < 1e-30
    ctx.prec = HIGH
    assert found.overlaps(arb(str(sp.N(exact, 2 * REFERENCE_DIGITS))))


@pytest.mark.parametrize("power", [1, 2, 3, 4, 7, 8, 101])
def test_powers_of_a_wide_ball_hold_those_of_its_points_and_little_more(power):
    (found,) = lower([(X + Y) ** power], [X, Y], "ball")(arb(0, 2), 0)
    ends = (-(2**power) if power % 2 else 0, 2**power)
    assert all(found.contains(end) for end in ends)
    assert found.is_finite()
    assert found.upper() <= 2**power * 1.01
    assert found.lower() >= -(2**power) * 1.01
