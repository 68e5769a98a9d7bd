"""Outputs of ensembles, seen side by side: axes and Hessians in lanes are those of each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import sympy as sp

import flows
from flows.arithmetic.kept import loop
from flows.arithmetic.vectors import store
from flows.core.symmetric import eigen
from flows.ensembles.axis_chords import between, fill
from flows.ensembles.axis_found import Found, found_of
from flows.ensembles.axis_outputs import length_at
from flows.solvers.axis_slopes import hessian_along
from flows.solvers.near_flow import LANES, Near, field, jacobian
from flows.solvers.near_hessian import forget, hessian
from flows.solvers.near_plan import PARTS, plan_of
from flows.systems.own.axes_of_members import eigen_in_lanes, turn_of
from flows.systems.own.charts_of_members import run as carry_out
from flows.systems.own.seen_state import Seen

SIZE, MATRICES = 5, LANES
# Rounding of rotations, and of sums in another order.
ROUNDING = 1e-13

u, v, w = sp.symbols("u v w")
# Sums, products, quotients and roots.
MIXED = flows.OwnSystem("mixed", [u, v], u**4 / (2 + v**2) + (u * v - 1) ** 2 / sp.sqrt(1 + u**2))
THREE = flows.OwnSystem(
    "three", [u, v, w], MIXED.expression + (u * w**2 - v) ** 2 + v**2 / (3 + w**2)
)
VALLEY = flows.OwnSystem("valley", [u, v], (u * v - 1) ** 2 / 2 + (u - v) ** 4 / 4)


@loop
def turned(matrices: Any, part: float, since: float = np.inf) -> Any:
    """Eigenvalues and axes in rows of matrices in lanes."""
    n, lanes = len(matrices), matrices.shape[2]
    h, axes = np.zeros((n, lanes)), np.zeros((n, n, lanes))
    eigen_in_lanes(matrices, h, axes, turn_of(lanes), np.full(lanes, part), np.full(lanes, since))
    return h, axes


@loop
def curved(near: Any, code: Any, u: Any, clock: Any) -> Any:
    """Hessians along axes, and Jacobians, of increments."""
    n = len(u)
    slope, found, other = np.zeros((n, LANES)), np.zeros((n, n, LANES)), np.zeros((n, n, LANES))
    field(near, code, clock, u, slope)
    hessian(near, code, found)
    forget(near, code)
    jacobian(near, code, clock, other)
    return found, other


@loop
def registers_at(code: Any, place: Any, registers: Any) -> None:
    """Registers of a program at a place."""
    carry_out(code, place, registers)


def symmetric(seed: int) -> Any:
    """Random matrices, a diagonal one, a tiny one, and one with equal eigenvalues."""
    generator = np.random.default_rng(seed)
    found = generator.normal(size=(MATRICES, SIZE, SIZE))
    found = found + found.transpose(0, 2, 1)
    found[1], found[2] = np.diag([3.0, 1.0, 2.0, -1.0, 0.0]), 1e-200 * found[2]
    found[3] = np.eye(SIZE) + np.ones((SIZE, SIZE))
    return found


def test_axes_in_lanes_are_those_of_each_matrix() -> None:
    """Bit for bit, whatever is beside it; not if large entries stay, as a control."""
    many = symmetric(0)
    lanes = np.ascontiguousarray(many.transpose(1, 2, 0))
    h, axes = turned(lanes.copy(), 1e-17)
    wrong, _ = turned(lanes.copy(), 0.5)
    worst = 0.0
    for k, matrix in enumerate(many):
        size = np.abs(matrix).max()
        expected, rows = eigen(matrix)[0], axes[:, :, k]
        assert np.allclose(h[:, k], expected, rtol=0, atol=ROUNDING * size)
        assert np.allclose(rows @ rows.T, np.eye(SIZE), rtol=0, atol=ROUNDING)
        assert np.allclose(rows @ matrix @ rows.T, np.diag(h[:, k]), rtol=0, atol=ROUNDING * size)
        beside = np.zeros_like(lanes)
        beside[:, :, k] = lanes[:, :, k]
        alone_h, alone = turned(beside, 1e-17)
        assert np.array_equal(alone_h[:, k], h[:, k]) and np.array_equal(alone[:, :, k], rows)
        worst = max(worst, float(np.abs(wrong[:, k] - expected).max() / size))
    assert worst > 1e-3


def test_axes_stay_where_nothing_has_had_the_time_to_turn() -> None:
    """Curvatures and an entry that are small beside `1/s`; they turn where `s` is larger."""
    matrices = np.zeros((2, 2, LANES))
    matrices[0, 0], matrices[1, 1], matrices[0, 1] = 1e-9, 1.1e-9, 1e-9
    _, axes = turned(matrices.copy(), 1e-3, since=1e5)
    _, later = turned(matrices.copy(), 1e-3, since=1e7)
    assert np.array_equal(axes[:, :, 0], np.eye(2))
    assert abs(later[0, 1, 0]) > 0.5


def chart(system: flows.OwnSystem, centre: Any, size: Any) -> tuple[Any, Any, Any]:
    """Axes of a chart of a loss, which all lanes have, and its program."""
    loss, n = system.axis_codes()[1], len(centre)
    code = loss._replace(results=loss.results[1:])
    axes = np.linalg.qr(np.random.default_rng(5).normal(size=(n, n)))[0]
    places = np.zeros((n, 3))
    places[:, 0] = centre
    registers = np.zeros((n + len(code.constants) + len(code.operation), 3))
    registers_at(code, places, registers)
    along = axes.T @ system.hessian(centre) @ axes
    near = Near(
        np.zeros((len(registers), PARTS, LANES)),
        np.zeros((n, LANES)),
        np.repeat((along * size / size[:, None])[..., None], LANES, axis=2),
        np.repeat(axes[..., None], LANES, axis=2),
        np.repeat(size[:, None], LANES, axis=1),
        np.repeat(1 / size[:, None], LANES, axis=1),
        np.ones(LANES),
    )
    near.registers[:, 0] = registers[:, :1]
    return axes, near, plan_of(n, code)


@pytest.mark.parametrize(
    ("system", "centre", "size"),
    [(MIXED, [0.7, -0.4], [0.3, 2.0]), (THREE, [0.7, -0.4, 0.5], [0.3, 2.0, 0.5])],
)
def test_hessians_at_outputs_are_those_of_the_loss(
    system: flows.OwnSystem, centre: list[float], size: list[float]
) -> None:
    """Along any axes, and so are the Jacobians that registers serve again; not a thousandth off."""
    begin, unit, n = np.array(centre), np.array(size), len(centre)
    axes, near, code = chart(system, begin, unit)
    increments = 0.2 * np.random.default_rng(6).normal(size=(n, LANES))
    found, other = curved(near, code, increments, np.ones(LANES))
    for e in range(LANES):
        there = axes.T @ system.hessian(begin + axes @ (unit * increments[:, e])) @ axes
        upper = np.triu(there)
        assert np.allclose(found[:, :, e], upper, rtol=0, atol=ROUNDING)
        assert not np.allclose(1.001 * found[:, :, e], upper, rtol=0, atol=ROUNDING)
        assert np.allclose(-other[:, :, e], there * unit / unit[:, None], rtol=0, atol=ROUNDING)


@loop
def careful(place: Any, axes: Any, rates: Any, which: Any, found: Any) -> None:
    """Rows and columns of Hessians from two doubles."""
    hessian_along(place, axes, rates, which, found)


def test_hessians_in_two_doubles_are_taken_along_axes_that_need_them() -> None:
    """Rows and columns of these alone; not a thousandth off."""
    centre, n = np.array([0.7, -0.4, 0.5]), 3
    basis = np.linalg.qr(np.random.default_rng(5).normal(size=(n, n)))[0]
    place, axes = np.zeros((n, 3)), np.zeros((n, n, 2))
    place[:, 0], axes[:, :, 0] = centre, basis
    found, which = np.full((n, n), np.nan), np.array([0, 2])
    careful(place, axes, THREE.axis_codes()[2], which, found)
    there = basis.T @ THREE.hessian(centre) @ basis
    there[1, 1] = np.nan
    assert np.allclose(found, there, rtol=0, atol=ROUNDING, equal_nan=True)
    assert not np.allclose(1.001 * found, there, rtol=0, atol=ROUNDING, equal_nan=True)


class Around(NamedTuple):
    """What is read of members where errors are told between two places."""

    error: Any
    numbers: Any
    seen: Any
    room: Any


@loop
def told_between(found: Any, around: Any, terms: Any) -> None:
    """Errors of the second output, between places at the times 1 and 3."""
    fill(found, around, 0, 1, 2, 1.0, 3.0, terms)


@pytest.mark.parametrize(
    ("value", "length", "known"),
    [(0.5, 0.5, 1.0), (np.nan, 0.5, 0.0), (0.0, 0.5, 0.0), (0.5, np.nan, 0.0)],
)
def test_a_loss_that_is_no_number_is_not_known_between_two_that_are(
    value: float, length: float, known: float
) -> None:
    """It is then looked at in balls; a number is known there, as a control."""
    places = np.array([[1.0, -1.0, 1.0, 1e-9, 1e-9, 1.0]] * 2)
    numbers = np.full((1, 3, 6), np.nan)
    numbers[0, 1] = value, -0.25, length, np.nan, np.nan, 0.0
    found = Found(
        np.zeros((1, 3, 1, 2)),
        np.full((1, 3, 1), np.nan),
        np.array([[1.0, 2.0, 3.0]]),
        numbers,
        np.zeros((1, 4), np.int64),
        np.array([3]),
        np.zeros((1, 1)),
        np.zeros((1, 1, 1)),
        np.zeros((1, 1)),
    )
    error, nothing = np.array([[4e-9], [1e-9]]), np.zeros(1)
    seen = Seen(np.zeros((1, 1)), nothing, error[1], places[1], nothing)
    around = Around(error[:1], places[:1], seen, np.zeros((4, LANES)))
    told_between(found, around, VALLEY.axis_terms(1e-8, 1e-8))
    assert numbers[0, 1, 5] == known
    assert np.isclose(found.error[0, 1, 0], 2e-9, rtol=ROUNDING, atol=0)
    assert np.isnan(found.error[0, 2, 0])
    assert np.isclose(numbers[0, 1, 4], 1e-9 * length, rtol=ROUNDING, atol=0, equal_nan=True)


@loop
def length(slope: Any) -> float:
    """Length of the gradient in the first lane."""
    return float(length_at(slope, 0))


@pytest.mark.parametrize("size", [1e-160, 1.0, 1e200])
def test_gradients_whose_squares_are_no_doubles_have_their_length(size: float) -> None:
    """The plain root of squares has three digits, or none."""
    slope = size * np.array([[3.0], [4.0]])
    assert np.isclose(length(slope), 5 * size, rtol=ROUNDING, atol=0)
    with np.errstate(over="ignore"):
        plain = np.sqrt(np.sum(slope**2))
    assert np.isclose(plain, 5 * size, rtol=ROUNDING, atol=0) == (size == 1.0)


@loop
def chord(a: float, b: float, room: Any) -> None:
    """What is told of a number between two."""
    store(room, 2, between(a, b, room))


def told_of(x: Any, t: Any) -> float:
    """What is told of the second of three numbers at three times."""
    room = np.zeros((3, LANES))
    room[0], room[1] = (t[1] - t[0]) / (t[2] - t[0]), np.log(t[1] / t[0]) / np.log(t[2] / t[0])
    chord(x[0], x[2], room)
    return float(room[2, 0])


def test_numbers_between_two_times_are_told_by_both() -> None:
    """Exactly, where they decay exponentially or rise like powers; too large where they do not."""
    t = np.array([1.0, 1.3, 2.0])
    exact = [np.exp(-9 * t), t**3.0]
    for x in [*exact, t**-3.0, np.exp(-20 * t) + 1e-4 * np.exp(-t / 9), np.exp(3 * t), t + t**4]:
        assert x[1] * (1 - ROUNDING) <= told_of(x, t) < max(x[0], x[2])
    for x in exact:
        assert np.isclose(told_of(x, t), x[1], rtol=ROUNDING, atol=0)
        assert not np.isclose(told_of(x, t), 1.001 * x[1], rtol=ROUNDING, atol=0)
    assert told_of([0.0, 1.0, 3.0], t) == told_of([3.0, 1.0, 0.0], t) == 3.0


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ([0.99986, 1.00012], "limit not found: no power law"),
        ([0.9995, 1.0006], "limit not found: its steps do not shrink fast enough"),
        ([0.3, 1.2], ""),
    ],
)
def test_limits_are_refused_for_the_reasons_of_runs_alone(start: list[float], told: str) -> None:
    """Beside the end of a valley the power is not seen yet; from farther away the limit is."""
    run = flows.integrate(VALLEY, start, 1e6, [1e3, 1e6])
    states, ended = run.states, found_of(1, len(run.t), 2)
    ended.digits[0] = np.stack([states.x, states.low[..., 0]], axis=-1)
    ended.since[0], ended.reached[0] = states.energy[:, 0], len(run.t)
    ended.numbers[:] = 1.0
    ended.numbers[0, :, 1], ended.numbers[0, :, 4] = -(run["gradient_norm"] ** 2), 0.0
    ended.curvature[0], ended.axes[0] = np.linalg.eigh(VALLEY.hessian(states.x[-1]))
    (found,) = VALLEY.ended_along(ended, run.t[1:])
    alone = VALLEY.excess(run.frame, states, run.t, run["loss"])
    assert found is not None
    assert found.reason == alone.reason == told
    assert np.isfinite(found.value).all() == (not told)
    assert np.allclose(found.value, alone.value, rtol=1e-9, atol=0, equal_nan=True)


def test_starts_that_are_checked_together_are_those_that_are_sound() -> None:
    """One too large, one without a finite loss, one not finite; and starts of another shape."""
    starts = np.array([[0.3, 1.2], [1e200, 0.0], [np.nan, 1.0], [1e99, 1e99], [0.0, 0.0]])
    assert VALLEY.are_sound(starts).tolist() == [True, False, False, False, True]
    for start, sound in zip(starts, VALLEY.are_sound(starts), strict=True):
        if sound:
            assert np.array_equal(VALLEY.check_start(start), start)
        else:
            with pytest.raises(flows.InputError):
                VALLEY.check_start(start)
    assert not VALLEY.are_sound(starts[:, :1]).any()
