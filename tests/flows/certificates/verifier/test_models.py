"""Models of functions near a point enclose them and their slopes, at random states of the box."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from flint import arb

from flows.certificates.verifier.models import Models
from flows.certificates.verifier.program import run
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.steps import read
from flows.certificates.verifier.taylor import raised
from flows.systems.own.steps import steps_of

x, y = sp.symbols("x y", real=True)
SMALL = x + y**2 / 3 - x * y
LOSSES = {
    "atan": sp.atan(SMALL) ** 2 + x**2 + y**2,
    "tanh": sp.tanh(SMALL) ** 2 + x**2 + y**2,
    "trigonometric": sp.sin(SMALL) ** 2 + 1 - sp.cos(y) + sp.tan(x) ** 2 + x**2,
    "hyperbolic": sp.sinh(SMALL) ** 2 + sp.cosh(y) + x**2,
    "exponential": sp.exp(SMALL) - SMALL + x**2 + y**2,
    "logarithm": sp.log(1 + SMALL**2 + y**2) + x**2,
    "roots": sp.sqrt(4 + SMALL + y) + (1 + x) ** sp.Rational(-3, 2) + 9 * x**2 + 9 * y**2,
    "pi": (x**2 + y**2) / sp.pi + sp.pi * x**4,
}
STATES, ORDER = 25, 6
# Decimals of thirty digits beside balls of fifty bits.
ROUNDING = 1e-13


def enclosed(models, polynomial, off, expand):
    """The ball of a polynomial at exact displacements, remainders in theirs."""
    n, total = models.size, arb(0)
    terms = models.expanded(polynomial).items() if expand else polynomial.terms()
    for powers, c in terms:
        term = arb(c)
        for i, k in enumerate(powers):
            k = int(k)
            if not k:
                continue
            if i < n:
                term *= raised(arb(off[i]), k)
            elif i < 2 * n and expand:
                term *= models.remainder(i - n, k)
            elif i < 2 * n:
                term *= raised(1 / (arb(models.point[i - n]) + off[i - n]), k)
            else:
                term *= raised(models.values[i], k)
        total += term
    return total


def lines_of(loss):
    return read(steps_of(loss, (x, y)), 2)


def boxed(radius):
    return [arb(-radius).union(arb(radius))] * 2


@pytest.mark.parametrize("name", LOSSES)
def test_a_model_encloses_the_function_and_its_slopes(name):
    loss = LOSSES[name]
    program = lines_of(loss)
    models = Models([Fraction(0)] * 2, boxed(0.25), program, ORDER)
    found, rng = run(models, program), np.random.default_rng(3)
    exact = [sp.lambdify((x, y), e, "mpmath") for e in (loss, sp.diff(loss, x), sp.diff(loss, y))]
    with mpmath.workdps(30):
        for off in rng.uniform(-0.25, 0.25, (STATES, 2)):
            for f, p in zip(exact, (found.value, *found.slopes), strict=True):
                true = f(*map(mpmath.mpf, off.tolist()))
                ball = enclosed(models, p, off.tolist(), False)
                assert ball.lower() - ROUNDING <= float(true) <= ball.upper() + ROUNDING


def test_a_remainder_that_is_left_out_is_seen():
    program = lines_of(LOSSES["atan"])
    models = Models([Fraction(0)] * 2, boxed(0.25), program, 2)
    p = run(models, program).value
    models.values[6:] = [arb(0)] * len(models.values[6:])
    ball = enclosed(models, p, [0.25, -0.25], False)
    assert abs(float(ball) - float(LOSSES["atan"].subs({x: 0.25, y: -0.25}))) > 1e-4


@pytest.mark.parametrize("expand", [False, True])
def test_reciprocals_are_exact_and_their_polynomials_enclose_them(expand):
    loss = (x - 2) ** 2 + (y / x) ** 2 + y**2 + 1 / x**3 + y**2 / (3 * x + 0) ** 2
    program = lines_of(loss)
    models = Models([Fraction(2), Fraction(0)], boxed(0.5), program, ORDER)
    found, rng = run(models, program), np.random.default_rng(4)
    slope = sp.diff(loss, x)
    for off in rng.uniform(-0.5, 0.5, (STATES, 2)):
        place = {x: 2 + sp.Float(off[0], 30), y: sp.Float(off[1], 30)}
        for f, p in ((loss, found.value), (slope, found.slopes[0])):
            ball = enclosed(models, p, off.tolist(), expand)
            assert ball.lower() - ROUNDING <= float(f.subs(place)) <= ball.upper() + ROUNDING


def test_what_cancels_is_gone_exactly():
    models = Models([Fraction(1), Fraction(0)], boxed(0.25), [], 4)
    one = models.times(models.x[0] + models.point[0], models.reciprocal(models.x[0] + 1))
    assert one == 1


# Angles of points whose sides are polynomials: next to each axis, and products of others.
ANGLES = {
    "ahead": sp.atan2(y, x + 1),
    "aside": sp.atan2(x + 1, y),
    "behind": sp.atan2(2 + y, -y) + sp.atan2(y, x + 1),
    "twice": sp.atan2(y, x + 1) + sp.atan2(2 * (x + 1) * y, (x + 1) ** 2 - y**2),
    "difference": sp.atan2(y, x + 1) * sp.atan2(y, 3 + y)
    + sp.atan2(2 * y - x * y + y**2, (x + 1) * (3 + y) + y**2),
    "a side": sp.Abs(x - 2) * y + sp.atan2(y, x + 1),
}


@pytest.mark.parametrize("name", ANGLES)
def test_angles_of_products_are_sums_without_new_denominators(name):
    at, loss = [Fraction(0), Fraction(0)], ANGLES[name]
    lines = lines_of(loss)
    models = Models(at, boxed(0.25), lines, ORDER)
    found, rng = run(models, lines), np.random.default_rng(5)
    exact = [sp.lambdify((x, y), e, "mpmath") for e in (loss, sp.diff(loss, x), sp.diff(loss, y))]
    with mpmath.workdps(30):
        for off in rng.uniform(-0.25, 0.25, (STATES, 2)):
            for f, p in zip(exact, (found.value, *found.slopes), strict=True):
                true = f(*map(mpmath.mpf, off.tolist()))
                ball = enclosed(models, p, off.tolist(), False)
                assert ball.lower() - ROUNDING <= float(true) <= ball.upper() + ROUNDING


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (sp.Abs(y) + x**2, "kink"),
        (sp.atan2(y, x - 1), "angle may jump"),
        (sp.atan2(y, x), "angle is not known"),
        (sp.atan2(1 + y, 1 + x), "angle is not known"),
        (sp.erf(x), "erf is not known"),
    ],
)
def test_kinks_and_jumps_in_the_box_are_refused(loss, message):
    lines = lines_of(loss)
    with pytest.raises(Refused, match=message):
        run(Models([Fraction(0)] * 2, boxed(0.25), lines, ORDER), lines)
