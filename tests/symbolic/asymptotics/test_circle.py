"""Critical directions on a circle against forms whose directions are known beforehand."""

import math

import numpy as np
import pytest
import sympy as sp
from oracles.circle_forms import random_form

from symbolic.asymptotics.circle import Circle
from symbolic.asymptotics.sphere import Form, minima

R = sp.Rational
A, B = Z = sp.symbols("a b", real=True)
# Angles and values in doubles; a control is off by more.
EXACT, OFF = 1e-12, 1e-3
# Of an angle beside a critical one: its fifth power is far below rounding.
NEAR = 1e-9
# One form in so many is changed a little: a control takes as long as the check.
CONTROLLED = 5
FORMS = 60


def expression(form):
    """Polynomial of a form of the oracle."""
    p = form.degree
    return sum(R(c) * A ** (p - k) * B**k for k, c in enumerate(form.coefficients))


def circle_of(f, degree, metric=None):
    """Critical directions by the package."""
    return Circle.of(sp.expand(f), Z, sp.Integer(degree), metric or sp.eye(2))


def differences(form, circle):
    """Where the package and a form of the oracle differ."""
    angles = [math.atan2(b, a) % math.pi for a, b in circle.directions[: len(circle.rays) // 2]]
    order = np.argsort(angles)
    if len(angles) != len(form.angles):
        return [f"{angles} instead of {form.angles}"]
    wrong = [x for k, x in zip(order, form.angles, strict=True) if abs(angles[k] - x) > EXACT]
    for k, x in zip(order, form.angles, strict=True):
        ray = circle.rays[k]
        squared = form.value(x) * abs(form.value(x))
        if abs(ray.law[0] / 10**100 - squared) > EXACT * abs(squared):
            wrong.append(f"value at {x}")
        if bool(ray.sides) != (x in form.attracting):
            wrong.append(f"whether {x} attracts")
    return wrong


def test_directions_values_and_sides_are_those_of_forms_made_from_their_roots():
    generator = np.random.default_rng(0)
    inflections = 0
    for k in range(FORMS):
        form = random_form(generator)
        circle = circle_of(expression(form), form.degree)
        assert differences(form, circle) == []
        if k % CONTROLLED == 0:
            control = R(OFF) * (A + B / 3) ** form.degree
            assert differences(form, circle_of(expression(form) + control, form.degree))
        inflections += sum(len(ray.sides) == 1 for ray in circle.rays)
    assert inflections > FORMS // 2


def test_from_every_side_the_flow_goes_to_the_next_direction_downhill():
    generator = np.random.default_rng(1)
    for _ in range(FORMS // 4):
        form = random_form(generator)
        circle = circle_of(expression(form), form.degree)
        turns = generator.uniform(0, 2 * math.pi, 40)
        # Beside each direction, too, and so near to it that doubles do not see the slope.
        beside = [(x + OFF * s, x + NEAR * s) for x in form.angles for s in (1, -1)]
        for angle, nearer in (*((x, x) for x in turns), *beside):
            k = circle.goes(np.array([math.cos(nearer), math.sin(nearer)]))
            a, b = circle.directions[k]
            off = math.remainder(math.atan2(b, a) - form.goes(angle), math.pi)
            assert abs(off) < EXACT, (form.angles, nearer)
    # Where a direction is itself critical it stays.
    for k, z in enumerate(circle.directions):
        assert circle.goes(z) == circle.nearest(z) == k


@pytest.mark.parametrize("degree", [3, 4])
def test_shares_are_those_of_directions_integrated_by_hand(degree):
    metric = sp.Matrix([[2, R(1, 2)], [R(1, 2), 1]])
    q = 2 * A**2 + A * B + B**2
    form = A**3 - 2 * A * B**2 + B**3 / 3 if degree == 3 else q**2 - A**3 * B / 2 + A * B**3
    circle = circle_of(form, degree, metric)
    # Isometric to the unit circle, on which gradient descent by small steps leads down.
    root = np.linalg.cholesky(np.array(metric, dtype=float)).T
    back = np.linalg.inv(root)
    value = sp.lambdify(Z, form, "numpy")
    angles = np.linspace(0, 2 * math.pi, 20_001)[:-1]
    heights = value(*(back @ np.stack([np.cos(angles), np.sin(angles)])))
    lowest = np.flatnonzero((heights < np.roll(heights, 1)) & (heights < np.roll(heights, -1)))
    highest = np.flatnonzero((heights > np.roll(heights, 1)) & (heights > np.roll(heights, -1)))
    shares = {}
    for k in lowest:
        before = min((k - h) % len(angles) for h in highest)
        after = min((h - k) % len(angles) for h in highest)
        level = round(float(heights[k]), 6)
        shares[level] = shares.get(level, 0.0) + (before + after) / len(angles)
    found = minima(Form(form, Z, float(degree), metric))
    assert [m.value for m in found] == pytest.approx(sorted(shares), abs=1e-6)
    # A grid of as many angles sees its ends to one step.
    assert [m.share for m in found] == pytest.approx([shares[v] for v in sorted(shares)], abs=4e-4)
    assert sum(circle.share(c) for c in circle.classes) == pytest.approx(1)


def test_values_that_are_near_are_told_apart_and_equal_ones_are_one_class():
    near = A**4 + (1 + R(1, 10**13)) * B**4 + 20 * A**2 * B**2
    assert len(circle_of(near, 4).classes) == 2
    equal = near.subs(R(1, 10**13), 0)
    assert [len(c) for c in circle_of(A**4 + B**4 + 20 * A**2 * B**2, 4).classes] == [4]
    # Turned by an angle whose tangent is no fraction of the other roots.
    turned = equal.subs({A: (3 * A + 4 * B) / 5, B: (3 * B - 4 * A) / 5}, simultaneous=True)
    form = Form(sp.expand(turned), Z, 4.0, sp.eye(2))
    first, second = (np.array(v) for v in ([0.6, 0.8], [-0.8, 0.6]))
    assert not form.same(first, second)
    assert form.same(first, -first)


def test_what_is_not_listed_is_left_to_the_search():
    assert circle_of(sp.sqrt(2) * A**4 + B**4, 4) is None
    assert circle_of((A**2 + B**2) ** 2, 4) is None
    assert circle_of((A**4) ** R(3, 4) + B**4, 4) is None
