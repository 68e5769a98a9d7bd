"""Means of ramps and steps of one and of two Gaussian numbers, against their definitions."""

import math

import numpy as np
import pytest
import sympy as sp
from flint import arb
from mpmath import mp

from symbolic.language.averages.ramps import RampMean, RampPairMean
from symbolic.language.lower import lower
from symbolic.language.primitives import definition

# Digits of the quadrature, and of differences of it.
DIGITS, SAME, SLOPE = 25, 1e-16, 1e-12
# Rounding of a few operations in doubles, relative to the moments of the absolute values.
ROUNDED = 1e-13
OFF = 1.001
# Below this angle, forms in doubles are taken as parallel; second derivatives are off by a part.
ANGLE = 2e-8
FORMS = [(0.4, 1.3), (-2.0, 0.5), (30.0, 4.0), (0.0, 2.0), (-0.7, 1e-6), (-9.0, 1.3)]
# Means of ramps far below zero, where terms cancel, and what their digits in doubles are.
FAR, KEPT = [(-2.1, 1.0), (-4.0, 0.25), (-30.0, 1.0)], 1e-11
# Slopes of two forms and their constants: of general position, nearly parallel, nearly opposite.
PAIRS = [
    ((1.0, 0.5), (-0.3, 2.0), 0.4, -0.8),
    ((1.0, 0.5), (1.0, 0.5 + 2.0**-20), 0.25, 0.25 + 2.0**-21),
    ((3.0, 1.0), (-3.0, -1.0 - 2.0**-12), 0.5, -0.25),
    ((0.001, 0.0), (500.0, 400.0), 0.002, 100.0),
    ((1.0, 0.0), (0.6, 0.8), 0.0, 0.0),
    ((1.0, 0.0), (0.6, 0.8), 0.0, -0.5),
]


def ramp(p, z):
    """`max(0, z)^p/p!`, where `z` is not zero."""
    return (z > 0) * mp.mpf(z) ** p / math.factorial(p)


def average(f, breaks=()):
    """Mean of a function of one standard normal number that is smooth between breaks."""
    ends = sorted({*range(-14, 15, 2), *(x for x in breaks if abs(x) < 14)})
    return mp.quad(lambda u: mp.npdf(u) * f(u), ends, method="gauss-legendre", maxdegree=4)


def one(b, variance, p):
    size = mp.sqrt(variance)
    return average(lambda u: ramp(p, b + size * u), [-b / size])


def pair(a, c, b, e, p, q):
    """Given the first number, the mean of the second ramp is known in closed form."""
    length = mp.hypot(*a)
    dot, cross = (a[0] * c[0] + a[1] * c[1]) / length, (a[0] * c[1] - a[1] * c[0]) / length

    def inner(u):
        m, s = e + dot * u, abs(cross)
        step, density = mp.ncdf(m / s), s * mp.npdf(m / s)
        values = [step, m * step + density, ((m * m + s * s) * step + m * density) / 2]
        return ramp(p, b + length * u) * values[q]

    # Where the second form changes its sign it does so within the distance of the angle.
    turn, width = -e / dot if dot else mp.mpf(99), abs(cross / dot) if dot else mp.mpf(1)
    near = [turn + k * width for k in (-16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16)]
    return average(inner, [-b / length, *near])


def law_of(a, c, b, e):
    """Means, covariances and what is given apart, of the slopes and constants of two forms."""
    apart = [e * x - b * y for x, y in zip(a, c, strict=True)]
    pairs = ((a, a), (a, c), (c, c), (a, apart), (c, apart))
    *dots, up, down = (sum(x * y for x, y in zip(u, v, strict=True)) for u, v in pairs)
    area = a[0] * c[1] - a[1] * c[0]
    return (b, e, *dots, area * area, up, -down)


def evaluated(function, law, powers, backend):
    symbols = sp.symbols(f"a0:{len(law)}", real=True)
    (value,) = lower([function(*symbols, *powers)], symbols, backend)(*law)
    return value


@pytest.mark.parametrize("p", [0, 1, 2, 3])
@pytest.mark.parametrize("law", FORMS, ids=str)
def test_the_mean_of_one_ramp_is_that_of_its_definition(law, p):
    with mp.workdps(DIGITS):
        exact = [mp.mpf(x) for x in law]
        expected = one(*exact, p)
        assert abs(evaluated(RampMean, exact, (p,), "mpmath") - expected) < SAME * (1 + expected)
        ball = evaluated(RampMean, [arb(x) for x in law], (p,), "ball")
        assert float(expected) == pytest.approx(float(ball), rel=ROUNDED, abs=ROUNDED)
        size = (abs(law[0]) + law[1]) ** p
        off = abs(evaluated(RampMean, law, (p,), "numpy") - float(expected))
    assert off < ROUNDED * size
    assert expected < 1e-3 or abs(OFF * expected - float(ball)) > ROUNDED * size


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("law", FAR, ids=str)
def test_the_mean_of_a_ramp_far_below_zero_keeps_its_digits_in_doubles(law, p):
    with mp.workdps(DIGITS):
        # From the place where the form is zero.
        size = mp.sqrt(mp.mpf(law[1]))
        h, panels = law[0] / size, [0, *(mp.mpf(2) ** k for k in range(-8, 4))]
        rest = mp.quad(lambda u: u**p * mp.exp(h * u - u * u / 2), panels)
        expected = mp.npdf(h) * size**p / mp.factorial(p) * rest
        found = float(evaluated(RampMean, law, (p,), "numpy"))
        assert abs(found / expected - 1) < KEPT
        assert abs(OFF * found / expected - 1) > KEPT


@pytest.mark.parametrize("powers", [(0, 0), (1, 0), (1, 1), (2, 1), (0, 2)], ids=str)
@pytest.mark.parametrize("forms", PAIRS, ids=str)
def test_the_mean_of_two_ramps_is_that_of_their_definition(forms, powers):
    with mp.workdps(DIGITS):
        a, c, b, e = [tuple(map(mp.mpf, x)) if isinstance(x, tuple) else mp.mpf(x) for x in forms]
        law = law_of(a, c, b, e)
        expected = pair(a, c, b, e, *powers)
        size = (1 + mp.hypot(*a) + abs(b)) ** powers[0] * (1 + mp.hypot(*c) + abs(e)) ** powers[1]
        balls = law_of(*[tuple(map(arb, x)) if isinstance(x, tuple) else arb(x) for x in forms])
        found = {
            "mpmath": evaluated(RampPairMean, law, powers, "mpmath"),
            "ball": mp.mpf(float(evaluated(RampPairMean, balls, powers, "ball"))),
            "numpy": mp.mpf(float(evaluated(RampPairMean, law_of(*forms), powers, "numpy"))),
        }
        for backend, value in found.items():
            near = SAME if backend == "mpmath" else ROUNDED
            assert abs(value - expected) < near * size, backend
            assert expected < 1e-3 * size or abs(OFF * value - expected) > near * size


@pytest.mark.parametrize("powers", [(1, 1), (0, 1), (-1, 1), (0, 0), (-2, 0)], ids=str)
def test_derivatives_of_the_mean_of_two_ramps_are_of_its_kind(powers):
    symbols = sp.symbols("b c A B C", real=True)
    b, c, A, B, C = symbols
    whole = RampPairMean(*symbols, A * C - B**2, A * c - B * b, C * b - B * c, *powers)
    point = [0.3, -0.2, 1.5, 0.4, 0.8]
    with mp.workdps(2 * DIGITS):
        point = list(map(mp.mpf, point))
        value = lower([whole], symbols, "mpmath")
        for k, symbol in enumerate(symbols):

            def moved(t, k=k):
                return value(*(x + t * (j == k) for j, x in enumerate(point)))[0]

            # The area has no derivative of its own: it is no variable.
            slope = whole.fdiff(k + 1)
            expected = mp.diff(moved, 0, h=mp.mpf(10) ** -16)
            (found,) = lower([slope], symbols, "mpmath")(*point)
            assert abs(found - expected) < SLOPE * (1 + abs(expected)), symbol
            assert abs(OFF * found - expected) > SLOPE
            assert sp.diff(RampMean(A, C, 2), C) == RampMean(A, C, 0) / 2


def test_a_form_without_a_slope_is_a_number_and_so_are_its_derivatives():
    law = [(1.0, 0.0, 2.0), (-1.0, 0.0, 0.0)]
    for b, _, ahead in law:
        values = [float(evaluated(RampMean, (b, 0.0), (p,), "numpy")) for p in (1, 0, -1, -2, -3)]
        assert values == [max(b, 0.0), float(b > 0), 0.0, 0.0, 0.0]
        joint = (b, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0, b)
        step = float(evaluated(RampMean, (0.5, 1.0), (0,), "numpy"))
        for backend, kind in (("numpy", float), ("ball", arb)):
            numbers = [kind(x) for x in joint]
            of_one = float(evaluated(RampPairMean, numbers, (1, 0), backend))
            assert of_one == pytest.approx(max(b, 0.0) * step, rel=ROUNDED)
            assert float(evaluated(RampPairMean, numbers, (-1, 1), backend)) == 0.0
            assert ahead == 0 or of_one != pytest.approx(OFF * step, rel=ROUNDED)


def test_wide_balls_hold_the_values_of_all_laws_in_them():
    generator = np.random.default_rng(2)
    seen = 0
    for k in range(30):
        middle = generator.normal(size=(2, 3))
        wide = 10.0 ** generator.uniform(-4, 0)
        if k % 3 == 0:
            middle[0, 2] = 0.0  # over the line where the signs of the constants change
        if k % 5 == 0:
            middle[1] = 2 * middle[0]
        balls = [[arb(x, wide) for x in row] for row in middle.tolist()]
        (a, b), (c, e) = ((tuple(row[:2]), row[2]) for row in balls)
        for powers in ((0, 0), (1, 1), (0, -1)):
            ball = evaluated(RampPairMean, law_of(a, c, b, e), powers, "ball")
            if not ball.is_finite():
                continue
            seen += 1
            for _ in range(10):
                (p, u), (q, v) = (
                    (row[:2], row[2])
                    for row in middle + wide * generator.uniform(-1, 1, size=(2, 3))
                )
                value = float(evaluated(RampPairMean, law_of(p, q, u, v), powers, "numpy"))
                off = abs(float(ball.mid()) - value)
                # Doubles have their rounding beside what is nearly parallel.
                assert off <= float(ball.rad()) + ROUNDED * (1 + abs(value)) / wide
    assert seen > 30


@pytest.mark.parametrize("powers", [(0, 0), (1, 0), (1, 1), (2, 1), (-1, 1), (0, -1)], ids=str)
@pytest.mark.parametrize(
    # Of 1 + u and 2 u - 1 the second one decides; of u and 1 - u/2 both, and of -u - 1 none.
    ("one", "other"),
    [((1.0, 1.0), (2.0, -1.0)), ((1.0, 0.0), (-0.5, 1.0)), ((1.0, 0.5), (-1.0, -1.0))],
    ids=str,
)
def test_parallel_forms_share_their_line(one, other, powers):
    (a, b), (c, e) = one, other
    low, high = (max(-b / a, -e / c), mp.inf) if c > 0 else (-b / a, max(-e / c, -b / a))
    with mp.workdps(DIGITS):
        if -1 in powers:
            own, left = (one, other) if powers[0] == -1 else (other, one)
            u = -mp.mpf(own[1]) / own[0]
            expected = mp.npdf(u) / abs(own[0]) * ramp(max(powers), left[0] * u + left[1])
        else:
            ends = [low, *(x for x in range(-9, 10, 3) if low < x < high), high]
            expected = mp.quad(
                lambda u: mp.npdf(u) * ramp(powers[0], a * u + b) * ramp(powers[1], c * u + e), ends
            )
        law = law_of((a, 0.0), (c, 0.0), b, e)
        for backend, kind in (("numpy", float), ("mpmath", mp.mpf), ("ball", arb)):
            found = mp.mpf(float(evaluated(RampPairMean, [kind(x) for x in law], powers, backend)))
            assert abs(found - expected) < ROUNDED
            assert expected < OFF - 1 or abs(OFF * found - expected) > ROUNDED
        # Forms that are parallel but for less than anybody sees, or may be.
        for tilt in (arb("1e-100"), arb("1e-270"), arb("0", "1e-100"), arb("1e-270", "1e-146")):
            tilted = law_of((arb(a), arb(0)), (arb(c), tilt), arb(b), arb(e))
            found = evaluated(RampPairMean, tilted, powers, "ball")
            assert found.rad() < ROUNDED and abs(mp.mpf(float(found)) - expected) < ROUNDED


def test_where_parallel_forms_are_one_each_decides_half_of_it():
    # E delta(z) H(z') and E H(z) delta(z') are sums with one meaning, though none by itself.
    law = law_of((1.5, 0.0), (1.5, 0.0), 0.5, 0.5)
    height = float(mp.npdf(mp.mpf(1) / 3)) / 1.5
    for backend, kind in (("numpy", float), ("mpmath", mp.mpf), ("ball", arb)):
        values = [
            float(evaluated(RampPairMean, [kind(x) for x in law], powers, backend))
            for powers in ((-1, 0), (0, -1), (-1, -1))
        ]
        assert values == pytest.approx([height / 2, height / 2, 0.0], rel=ROUNDED)
        for slope, expected in ((0.5, 0.375), (-0.5, 0.0)):  # kinks at zero, of both signs
            one = [kind(x) for x in law_of((1.5, 0.0), (slope, 0.0), 0.0, 0.0)]
            assert float(evaluated(RampPairMean, one, (1, 1), backend)) == expected


def test_arrays_are_averaged_entry_by_entry_and_numbers_have_elementary_forms():
    b, variance = np.array([0.3, -1.0]), np.array([2.0, 0.5])
    found = evaluated(RampMean, (b, variance), (1,), "numpy")
    single = [
        float(evaluated(RampMean, law, (1,), "numpy")) for law in zip(b, variance, strict=True)
    ]
    assert found.tolist() == single
    assert RampMean(0, 1, 1) == 1 / sp.sqrt(2 * sp.pi) and RampMean(0, 1, -3).evalf(5) < 0
    A, C = sp.symbols("A C", positive=True)
    plain = definition(RampMean(A, C, 1))
    value = RampMean(sp.Rational(1, 3), sp.Rational(5, 7), 1).evalf(30)
    assert plain.subs({A: sp.Rational(1, 3), C: sp.Rational(5, 7)}).evalf(30) == value
    assert "delta" in sp.latex(RampMean(A, C, -1)) and "max" in sp.latex(RampMean(A, C, 1))


@pytest.mark.parametrize("tilt", [1e-3, 1e-5, 1e-7, 3e-9, 1e-12, 1e-20, 1e-100])
def test_second_derivatives_of_nearly_parallel_forms_are_those_of_the_arc_cosine_kernel(tilt):
    """Sums of densities that are as large as the inverse of the angle, and cancel."""
    c, d = sp.symbols("c d", positive=True)
    law = (0, 0, 1, c, c**2 + d**2, d**2, 0, 0)
    kernel = (d + (sp.pi - sp.atan2(d, c)) * c) / (2 * sp.pi)  # Cho & Saul 2009, degree 1
    for x, y in ((c, c), (c, d), (d, d)):
        (found,) = lower([sp.diff(RampPairMean(*law, 1, 1), x, y)], (c, d), "numpy")(0.26, tilt)
        expected = float(
            sp.diff(kernel, x, y).evalf(40, subs={c: sp.Float(0.26), d: sp.Float(tilt)})
        )
        assert abs(found - expected) < ANGLE
        assert abs(found - OFF * expected) > ANGLE or abs(expected) < ANGLE / (OFF - 1)
