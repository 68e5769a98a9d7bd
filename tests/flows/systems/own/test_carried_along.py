"""Errors that charts carry on, of several states side by side: they are those of runs alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.arithmetic.kept import loop
from flows.arithmetic.vectors import WIDTH
from flows.core.symmetric import eigen
from flows.systems.own.carried_along import between_ends, carried_along
from flows.systems.own.carried_errors import Errors
from flows.systems.own.carry import room

SIZE = 5
# Errors are as right as the axes of nearly equal curvatures.
ALIKE = 1e-6


@loop
def carry_on(carry: Any) -> None:
    """Errors along later axes, as of members."""
    between_ends(carry)
    carried_along(carry)


def put(carry: Any, e: int, known: Errors, now: Any, since: float, gradient: Any) -> None:
    """A state, and what its chart knows, in a lane."""
    h, axes = eigen(now)
    carry.curvature[:, e], carry.error[:, e], carry.fresh[:, e] = (
        known.curvature,
        known.error,
        known.fresh,
    )
    carry.slope[:, e], carry.along[:, e] = known.slope, gradient @ axes
    carry.began[e], carry.since[e], carry.anew[e], carry.h[:, e] = known.since, since, known.anew, h
    carry.now[:, e] = np.sum(known.axes * (now @ known.axes), axis=0)
    carry.overlaps[:, :, e] = axes.T @ known.axes


def random_flow(seed: int) -> tuple[Errors, Any, float, Any]:
    """What a chart knows, the Hessian, the time, and the gradient, also along what curves down."""
    generator = np.random.default_rng(seed)
    before, now = (m @ m.T for m in generator.normal(size=(2, SIZE, SIZE)) / 3)
    before -= 0.1 * np.eye(SIZE) * (seed % 3)
    now = before + 10.0 ** -(seed % 4) * now
    error, fresh = generator.uniform(size=(2, SIZE))
    began = 10.0 ** generator.uniform(-2, 2)
    since = began * 10.0 ** generator.uniform(0, 2)
    slope, gradient = generator.normal(size=(2, SIZE))
    if seed % 2:  # along the lowest axes of both
        slope[0], gradient = 10.0, gradient + 10.0 * eigen(now)[1][:, 0]
    h, axes = eigen(before)
    return Errors(axes, h, error, fresh, began, slope=slope), now, since, gradient


def many(first: int) -> tuple[Any, list[Any]]:
    """Random flows in lanes, and their numbers."""
    carry, told = room(SIZE), [random_flow(first + e) for e in range(WIDTH)]
    for e, one in enumerate(told):
        put(carry, e, *one)
    return carry, told


def leaves_a_saddle(seed: int) -> tuple[Errors, Any, float, Any]:
    """Axes along which the loss has curved downward, and that have passed others since."""
    generator = np.random.default_rng(seed)
    h = np.sort(generator.normal(size=SIZE))
    turned = np.linalg.qr(np.eye(SIZE) + 0.03 * generator.normal(size=(SIZE, SIZE)))[0]
    now = turned @ np.diag(np.where(h < 0, 3 - h, h)) @ turned.T
    error, fresh = generator.uniform(size=(2, SIZE))
    slope, gradient = generator.normal(size=(2, SIZE))
    return Errors(np.eye(SIZE), h, error, fresh, 0.5, slope=slope), now, 7.0, gradient


def test_errors_in_lanes_that_leave_saddles_are_those_of_runs_alone() -> None:
    """And axes of now are in their own order again."""
    carry, told = room(SIZE), [leaves_a_saddle(e) for e in range(WIDTH)]
    for e, one in enumerate(told):
        put(carry, e, *one)
    given = carry.h.copy(), carry.overlaps.copy()
    carry_on(carry)
    expected = [known.carried(now, since, gradient=g)[2] for known, now, since, g in told]
    assert np.allclose(carry.later.T, expected, rtol=ALIKE, atol=0)
    assert all(np.array_equal(*both) for both in zip(given, (carry.h, carry.overlaps), strict=True))


@pytest.mark.parametrize("first", [0, WIDTH])
def test_errors_in_lanes_are_those_of_runs_alone(first: int) -> None:
    """Charts of all lengths, axes that turn little and far, and gradients; not of others."""
    carry, told = many(first)
    expected = [known.carried(now, since, gradient=g)[2] for known, now, since, g in told]
    unled = [known.carried(now, since)[2] for known, now, since, _ in told]
    carry_on(carry)
    assert np.allclose(carry.later.T, expected, rtol=ALIKE, atol=0)
    assert 0 < carry.mixes.sum() < carry.mixes.size  # some turn into each other, some do not
    led = sum(not np.array_equal(*both) for both in zip(expected, unled, strict=True))
    assert 0 < led < WIDTH // 2  # some grow as the gradient does
    wrong, _ = many(first)
    wrong.fresh[:] *= 1.001
    carry_on(wrong)
    assert not np.isclose(wrong.later.T, expected, rtol=ALIKE, atol=0).all(axis=1).any()


@pytest.mark.parametrize("beside", [0.0, np.nan, np.inf])
def test_errors_of_a_lane_know_nothing_of_those_beside_it(beside: float) -> None:
    """Bit for bit, whatever stands there, and in whichever lane; not if its own are changed."""
    (carry, _), (other, _) = many(0), many(0)
    for given in other:
        given[..., 1::2] = beside
        given[:] = given[..., ::-1].copy()
    carry_on(carry)
    carry_on(other)
    found = other.later[:, ::-1]
    assert np.array_equal(found[:, ::2], carry.later[:, ::2])
    assert not (found[:, 1::2] == carry.later[:, 1::2]).any()


@pytest.mark.parametrize("bent", [1e-4, 0.3, 0.9])
def test_errors_in_lanes_of_several_axes_on_which_the_gradient_grows(bent: float) -> None:
    """Two of nearly one curvature, and one beside; not if none were alike."""
    h, generator = np.array([-3.0, -2.9999, -1.0 - bent, 0.4, 2.0]), np.random.default_rng(3)
    error, fresh = 1e-3 * generator.uniform(size=(2, SIZE))
    slope, passed = np.array([1e-2, 1e-2, 0.3, 1e-3, 1e-3]), 1.2
    turn = np.linalg.qr(np.eye(SIZE) + 1e-3 * generator.normal(size=(SIZE, SIZE)))[0]
    now = turn * (1.1 * h) @ turn.T
    gradient = np.exp(-h * passed) * slope
    known, carry = Errors(np.eye(SIZE), h, error, fresh, 2.0, slope=slope), room(SIZE)
    put(carry, 0, known, now, 2.0 + passed, gradient)
    _, _, expected = known.carried(now, 2.0 + passed, gradient=gradient)
    carry_on(carry)
    assert np.allclose(carry.later[:, 0], expected, rtol=1e-9, atol=0)
    _, _, unled = known.carried(now, 2.0 + passed)
    assert not np.allclose(unled[:3], expected[:3], rtol=1e-3, atol=0)


@pytest.mark.parametrize("size", [1e-9, 1e-200])
def test_errors_within_one_curvature_keep_their_length_however_small_they_are(size: float) -> None:
    """Axes of one curvature turn by any angle; those of two do not keep it."""
    turn, error = np.array([[0.6, -0.8], [0.8, 0.6]]), size * np.array([3.0, 4.0])
    for other, length in ((0.2, np.hypot(1.8, 3.2)), (0.4, 1.8 + 3.2)):
        h = np.array([0.2, other])
        known = Errors(np.eye(2), h, error, np.zeros(2), 10.0)
        _, _, found = known.carried(turn * h @ turn.T, 10.0, (h, turn))
        assert found[0] / size == pytest.approx(length, rel=ALIKE)
