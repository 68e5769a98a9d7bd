"""Programs of networks in two doubles against ball arithmetic, and the angle that they take."""

from __future__ import annotations

import random
from typing import Any

import mpmath
import numpy as np
import pytest
from flint import arb

import flows
from flows.core.balls import precision
from flows.systems.hidden_layer.balls import PairBalls
from flows.systems.hidden_layer.program import codes_of

# Digits of two doubles, of numbers of order one whose terms are a few times as large.
TWO_DOUBLES = 1e-29
# Digits of doubles where nothing cancels.
DOUBLES = 1e-14
NETWORKS = {
    "relu": flows.TwoLayer(3, 2),
    "leaky": flows.TwoLayer(
        2, [[1.0, 0.3, 0.0], [0.2, 1.0, 0.5]], activation="leaky:0.3", output_weights=[1.0, -0.5]
    ),
    "erf": flows.TwoLayer(3, 2, activation="erf"),
    "quadratic": flows.TwoLayer(3, 2, activation="quadratic", teacher_weights=[2.0, 0.5]),
    "trained": flows.TwoLayer(3, 2, train_outputs=True),
    "trained erf": flows.TwoLayer(2, 2, activation="erf", train_outputs=True),
}


def registers(code: Any, y: Any) -> Any:
    """Results of a program: high and low doubles, and radii."""
    from flows.core.enclosed_program import step  # Numba, where it is needed

    values = [(float(x), 0.0, 0.0) for x in y] + [tuple(c) for c in code.constants]
    for operation, (a, b) in zip(code.operation, code.operands, strict=True):
        values.append(step(operation, *values[a], *values[b]))
    return np.array([values[k] for k in code.results])


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_hold_what_balls_find(name: str) -> None:
    """Loss and gradient within their radii, which are small; rates are the Hessian."""
    system = NETWORKS[name]
    network, y = system.network(), system.flat(system.initial(0.7, 3) + 1e-3)
    gradient, value, rates = codes_of(network) or pytest.fail("no programs")
    found = registers(value, y)[: 1 + len(y)]
    assert np.array_equal(registers(gradient, y)[: len(y)], found[1:])
    with precision(300):
        exact = PairBalls(network)
        place = [arb(x) for x in y]
        for (high, low, radius), true in zip(found, exact.both(place), strict=True):
            off = abs(float(arb(high) + arb(low) - true))
            assert off <= radius <= TWO_DOUBLES * 10
            assert off + 1e-3 > radius
        for axis, row in enumerate(exact.hessian(place)):
            for (high, low, _), true in zip(
                registers(rates, [*y, *np.eye(len(y))[axis]]), row, strict=True
            ):
                assert abs(float(arb(high) + arb(low) - true)) <= TWO_DOUBLES


def test_with_a_kink_lengths_of_students_are_watched() -> None:
    """Their squares follow on the gradient; smooth activations watch nothing."""
    system, y = NETWORKS["relu"], NETWORKS["relu"].initial(0.7, 3)
    gradient, _, _ = codes_of(system.network()) or pytest.fail("no programs")
    assert np.allclose(registers(gradient, y.ravel())[6:, 0], np.sum(y**2, axis=1))
    smooth = codes_of(NETWORKS["erf"].network()) or pytest.fail("no programs")
    assert len(smooth[0].results) == 6


def points(count: int) -> list[tuple[float, float]]:
    """Points `(y, x)`, half of them at a small angle."""
    drawn = random.Random(1)
    small = [10 ** drawn.uniform(-12, 0) if k % 2 else 1.0 for k in range(count)]
    return [(s * drawn.gauss(0, 1), drawn.gauss(0, 1)) for s in small]


def test_angle_of_two_doubles_is_right_to_its_radius() -> None:
    """Against many digits, at both ends of the balls; a thousandth of the radius is too little."""
    from flows.core.enclosed_program import TURNED, step  # Numba, where it is needed

    sharpest = 0.0
    with mpmath.workdps(60):
        for y, x in points(400):
            low = 2.0**-55 * y, -(2.0**-55) * x
            exact = mpmath.mpf(y) + low[0], mpmath.mpf(x) + low[1]
            high, rest, radius = step(4, y, low[0], 0.0, x, low[1], 0.0)
            true = mpmath.atan2(*exact)
            assert abs(mpmath.mpf(high) + rest - true) <= radius == TURNED * abs(high)
            near = abs(y) * 1e-20, abs(x) * 1e-21
            high, rest, radius = step(4, y, low[0], near[0], x, low[1], near[1])
            for sign in (-1, 1):
                moved = exact[0] + sign * near[0], exact[1] - sign * near[1]
                off = abs(mpmath.mpf(high) + rest - mpmath.atan2(*moved))
                assert off <= radius * (1 + 2.0**-40)
                sharpest = max(sharpest, float(off / radius))
    assert sharpest > 0.5


def test_angles_that_are_not_known_are_not_taken() -> None:
    """At zero, on the cut behind it, and of numbers that are none."""
    from flows.core.enclosed_program import step  # Numba, where it is needed

    for y, ry, x, rx in (
        (0.0, 0.0, 0.0, 0.0),
        (0.1, 1.0, 0.1, 0.0),
        (0.0, 0.0, -1.0, 0.0),
        (1e-9, 1e-8, -1.0, 0.0),
        (np.nan, 0.0, 1.0, 0.0),
        (np.inf, 0.0, 1.0, 0.0),
    ):
        assert np.isnan(step(4, y, 0.0, ry, x, 0.0, rx)).all()


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0])
def test_change_of_an_angle_beyond_its_linear_part_keeps_its_digits(size: float) -> None:
    """And its rate, in one direction; with a part a thousandth larger they are others."""
    from flows.arithmetic.kept import loop  # Numba, where it is needed
    from flows.core.angle_rest import angle_rest, angle_rest_rate

    @loop
    def both_once(
        x: Any, y: Any, p: Any, v: Any, q: Any, w: Any, left: Any, up: Any, turned: Any, rise: Any
    ) -> Any:
        linear, rate = angle_rest_rate(x, y, p + v, q + w, left, up, turned, rise)
        return angle_rest(x, y, p, v, q, w), linear, rate

    drawn = np.random.default_rng(2)
    for _ in range(40):
        x, y, left, up = drawn.normal(size=4)
        p, q = size * drawn.normal(size=2)
        v, w = size**2 * drawn.normal(size=2)
        rise, turned = size * drawn.normal(size=2)
        with mpmath.workdps(60):
            numbers = x, y, p, v, q, w, left, up, turned, rise
            a, b, c, d, e, f, g, h, j, k = (mpmath.mpf(float(z)) for z in numbers)
            square = a**2 + b**2
            delta = mpmath.atan2(a * (e + f) - b * (c + d), square + a * (c + d) + b * (e + f))
            rest = delta - (a * e - b * c) / square
            there = a + c + d, b + e + f
            whole = (there[0] * (h + k) - there[1] * (g + j)) / (there[0] ** 2 + there[1] ** 2)
            linear = (a * h - b * g) / square
            expected = np.array([rest, linear, whole - linear], dtype=float)
        found = np.array(both_once(*numbers))
        # What is added up, of which the results may be small differences.
        terms = np.array([size**2, 1.0, size]) * 50 / min(1.0, (x * x + y * y)) ** 2
        near = min(1.0, float(sum(z * z for z in there)))
        assert (np.abs(found - expected) <= DOUBLES * terms / near).all()
        assert not np.allclose(found * 1.001, expected, rtol=1e-6, atol=0)
