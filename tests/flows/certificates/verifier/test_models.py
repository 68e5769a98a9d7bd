"""Models of functions near a point enclose them and their slopes, at random states of the box."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from flint import arb

from flows.certificates.minimum.program import minimum, program_of
from flows.certificates.verifier.models import Models
from flows.certificates.verifier.program import run
from flows.certificates.verifier.taylor import raised

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
CENTRE = {x: Fraction(0), y: Fraction(0)}


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


def boxed(radius):
    return [arb(-radius).union(arb(radius))] * 2


@pytest.mark.parametrize("name", LOSSES)
def test_a_model_encloses_the_function_and_its_slopes(name):
    loss = LOSSES[name]
    program = minimum(loss, CENTRE, (0, 0), Fraction(1, 50)).program
    models = Models([Fraction(0)] * 2, boxed(0.25), program, ORDER)
    found, rng = run(models, program), np.random.default_rng(3)
    exact = [sp.lambdify((x, y), e, "mpmath") for e in (loss, sp.diff(loss, x), sp.diff(loss, y))]
    with mpmath.workdps(30):
        for off in rng.uniform(-0.25, 0.25, (STATES, 2)):
            for f, p in zip(exact, (found.value, *found.slopes), strict=True):
                true = f(*map(mpmath.mpf, off.tolist()))
                ball = enclosed(models, p, off.tolist(), False)
                assert ball.lower() - 1e-13 <= float(true) <= ball.upper() + 1e-13


def test_a_remainder_that_is_left_out_is_seen():
    program = minimum(LOSSES["atan"], CENTRE, (0, 0), Fraction(1, 50)).program
    models = Models([Fraction(0)] * 2, boxed(0.25), program, 2)
    p = run(models, program).value
    models.values[6:] = [arb(0)] * len(models.values[6:])
    ball = enclosed(models, p, [0.25, -0.25], False)
    assert abs(float(ball) - float(LOSSES["atan"].subs({x: 0.25, y: -0.25}))) > 1e-4


@pytest.mark.parametrize("expand", [False, True])
def test_reciprocals_are_exact_and_their_polynomials_enclose_them(expand):
    loss = (x - 2) ** 2 + (y / x) ** 2 + y**2 + 1 / x**3 + y**2 / (3 * x + 0) ** 2
    at = {x: Fraction(2), y: Fraction(0)}
    program = minimum((x - 2) ** 2 + y**2, at, (0, 0), Fraction(1, 50)).program
    program = program_of(loss, (x, y))
    models = Models([Fraction(2), Fraction(0)], boxed(0.5), program, ORDER)
    found, rng = run(models, program), np.random.default_rng(4)
    slope = sp.diff(loss, x)
    for off in rng.uniform(-0.5, 0.5, (STATES, 2)):
        place = {x: 2 + sp.Float(off[0], 30), y: sp.Float(off[1], 30)}
        for f, p in ((loss, found.value), (slope, found.slopes[0])):
            ball = enclosed(models, p, off.tolist(), expand)
            assert ball.lower() - 1e-13 <= float(f.subs(place)) <= ball.upper() + 1e-13


def test_what_cancels_is_gone_exactly():
    program = program_of((1 + x) * (y / (1 + x)) - y + x**2 / sp.pi * sp.pi, (x, y))
    models = Models([Fraction(1), Fraction(0)], boxed(0.25), program_of(sp.Integer(1), (x, y)), 4)
    one = models.times(models.x[0] + models.point[0], models.reciprocal(models.x[0] + 1))
    assert one == 1
    assert program
