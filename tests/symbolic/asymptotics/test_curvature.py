"""Derivatives of forms on the sphere in balls, and what they say about balls of directions."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from flint import arb

from symbolic.asymptotics.cover import LEFT, _alone, _curved_down, _sloped
from symbolic.asymptotics.curvature import Curvature
from symbolic.asymptotics.terms import Terms

Z = sp.symbols("z1:4", real=True)
A, B, C = Z
T = sp.Symbol("t", real=True)
R = sp.Rational
METRIC = sp.Matrix([[3, 1, R(1, 2)], [1, 2, -1], [R(1, 2), -1, 5]])
# Of balls of 53 bits, and of angles on a grid.
BALLS, GRID = 1e-12, 1e-3


def of(form, metric, free):
    z = Z[: metric.rows]
    return Curvature.of(Terms.of(sp.expand(form), z), metric, free)


def test_value_gradient_and_hessian_are_those_of_symbolic_differentiation():
    form = sp.expand((A + 2 * B - C) ** 4 + sp.sqrt(2) * A * B * C**2 - sp.pi * B**3 * C)
    free = [0, 2]
    here = of(form, METRIC, free).at([0.75, -0.5])
    # The same by a Cholesky factor in closed form: the free entries first.
    order = [0, 2, 1]
    root = METRIC.extract(order, order).cholesky().T.inv()
    w = sp.Matrix([R(3, 4), -R(1, 2), 0])
    w = w / w.norm()
    names = sp.symbols("w1:4", real=True)
    z = root * sp.Matrix(names)
    turned = form.subs({Z[k]: z[i] for i, k in enumerate(order)}, simultaneous=True)
    at = dict(zip(names, w, strict=True))
    value = turned.subs(at)
    slope = sp.Matrix([sp.diff(turned, v).subs(at) for v in names]) - 4 * value * w
    second = sp.hessian(turned, names).subs(at) - 4 * value * sp.eye(3)
    for balls, exact in (
        ([here.value], [value]),
        (here.slope.entries(), slope),
        (here.second.entries(), second),
    ):
        for ball, number in zip(balls, exact, strict=True):
            digits = sp.Float(number.evalf(40), 40)
            assert abs(ball - arb(str(digits))) < BALLS and ball.rad() < BALLS


@pytest.mark.parametrize("p", [3, 4, 6])
def test_bounds_of_derivatives_are_attained_by_the_power_of_a_linear_form(p):
    a = sp.Matrix([2, -1, 3])
    form = sum(c * v for c, v in zip(a, Z, strict=True)) ** p
    found = of(form, METRIC, [0, 1, 2])
    # Along the ray through its maximum on the sphere, where all derivatives are largest.
    top = METRIC.inv() * a / sp.sqrt((a.T * METRIC.inv() * a)[0])
    ray = form.subs(dict(zip(Z, top * (1 + T), strict=True)))
    first, third = (float(sp.diff(ray, T, k).subs(T, 0)) for k in (1, 3))
    for bound, attained in ((found.first, first), (found.third, third)):
        assert bound > attained * (1 - BALLS) and bound < attained * (1 + BALLS)
        assert not bound / 2 > attained  # half of it is no bound


def test_the_hessian_on_the_circle_changes_by_third_and_first_derivatives():
    for p in (3, 4, 7):
        form = A**p + 2 * A ** (p - 1) * B
        circle = {A: sp.cos(T), B: sp.sin(T)}
        turn = {A: -sp.sin(T), B: sp.cos(T)}
        along = form.subs({v: v + C * d for v, d in zip((A, B), sp.symbols("u v"), strict=True)})
        u, v = sp.symbols("u v")
        derivatives = [
            sp.diff(along, C, k).subs(C, 0).subs({u: turn[A], v: turn[B]}).subs(circle)
            for k in (1, 3)
        ]
        # Along the circle the Hessian is the second derivative by the angle.
        changes = sp.diff(form.subs(circle), T, 3)
        at = {T: R(7, 10)}
        first, third, whole = (float(e.subs(at)) for e in (*derivatives, changes))
        found = of(form, sp.eye(2), [0, 1])
        share = (found.speed - found.third) / found.first
        assert abs(share - (third - whole) / first) < 1e-9


def critical(form):
    """Angles of minima and of all extrema on the circle, on a grid."""
    angles = np.linspace(0, 2 * np.pi, 20_001)[:-1]
    values = sp.lambdify((A, B), form)(np.cos(angles), np.sin(angles))
    before, after = np.roll(values, 1), np.roll(values, -1)
    low = (values <= before) & (values <= after)
    high = (values >= before) & (values >= after)
    return angles[low], angles[low | high]


def shrunk(form, share):
    """A form on the circle whose bounds of derivatives are multiplied by this."""
    exact = of(form, sp.eye(2), [0, 1])
    return replace(exact, first=exact.first * share, third=exact.third * share)


def largest(holds):
    """Largest radius of some at which it holds."""
    return max((r for r in 2.0 ** -np.arange(-1, 12, 0.25) if holds(arb(r))), default=0.0)


def test_the_largest_balls_are_those_of_the_calculus_on_the_circle():
    # cos 3 theta: its tensor has the norm 2, so K = 6 * 2 + 7 * 3 * 2.
    found, speed, below, above = shrunk(A**3 - 3 * A * B**2, 1.0), 54, 1 - 1e-6, 1 + 1e-6
    for angle in np.linspace(0.01, 2, 20):
        here = found.at([np.cos(angle), np.sin(angle)])
        slope, bent = 3 * abs(np.sin(3 * angle)), -9 * np.cos(3 * angle)
        # slope = |bent| r + K r^2/2
        radius = (np.sqrt(bent**2 + 2 * speed * slope) - abs(bent)) / speed
        assert _sloped(found, here, arb(radius * below))
        assert not _sloped(found, here, arb(radius * above))
        if bent < 0:
            assert _curved_down(found, here, arb(-bent / speed * below))
        assert not _curved_down(found, here, arb(max(-bent, 0) / speed * above))
    for off in (0.0, 0.05, -0.1):
        here = found.at([np.cos(np.pi / 3 + off), np.sin(np.pi / 3 + off)])
        radius = 9 * (1 - LEFT) / speed - abs(off)
        assert _alone(found, here, arb(radius * below), [arb(-1)])
        assert not _alone(found, here, arb(radius * above), [arb(-1)])


def test_forms_of_degree_two_are_known_and_large_ones_are_not():
    assert of(A**2 + 2 * B**2, sp.eye(2), [0, 1]) is not None
    assert of(A**2 * B**8 + B**10, sp.eye(3), [0, 1]) is None


def distance(points, angle):
    return np.abs((points - angle + np.pi) % (2 * np.pi) - np.pi).min()


@pytest.mark.parametrize(("share", "sound"), [(1.0, True), (0.1, False)])
def test_balls_without_critical_points_or_minima_have_none(share, sound):
    generator = np.random.default_rng(3)
    wrong = seen = 0
    for p in (3, 4, 5):
        form = sum(int(generator.integers(-9, 10)) * A**k * B ** (p - k) for k in range(p + 1))
        lowest, steady = critical(form)
        found = shrunk(form, share)
        for angle in generator.uniform(0, 2 * np.pi, size=20):
            here = found.at([np.cos(angle), np.sin(angle)])
            for free_of, points in ((_sloped, steady), (_curved_down, lowest)):
                radius = largest(lambda r, f=free_of, at=here, by=found: f(by, at, r))
                seen += int(radius > 0)
                wrong += int(distance(points, angle) < radius - GRID)
    assert seen > 60 and (wrong == 0) is sound


@pytest.mark.parametrize(("share", "sound"), [(1.0, True), (0.1, False)])
def test_a_ball_around_a_known_minimum_has_no_other_critical_point(share, sound):
    # cos 3 theta: -1 at its minima, and its maxima are between.
    found, maxima = shrunk(A**3 - 3 * A * B**2, share), np.arange(3) * 2 * np.pi / 3
    wrong = seen = 0
    for angle in np.linspace(0, 2 * np.pi, 40):
        here = found.at([np.cos(angle), np.sin(angle)])
        radius = largest(lambda r, at=here: _alone(found, at, r, [arb(-1)]))
        assert not _alone(found, here, arb(radius), [arb(-1) + 1e-9])
        seen += int(radius > 0)
        wrong += int(distance(maxima, angle) < radius - GRID)
    assert seen > 5 and (wrong == 0) is sound
