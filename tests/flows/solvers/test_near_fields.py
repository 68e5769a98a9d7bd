"""Fields in lanes: at all stages of a step, and in the coordinates of states, they are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import flows
from flows.arithmetic.kept import loop
from flows.solvers.near_flow import LANES, Near, field
from flows.solvers.near_hessian import curvatures
from flows.solvers.near_plain import plain_field
from flows.solvers.near_plan import PARTS, plan_of
from flows.solvers.near_stages import TOGETHER, fields
from flows.systems.own.charts_of_members import run as carry_out

ROUNDING = 1e-13
u, v = sp.symbols("u v")
# Sums, products, quotients and roots; and angles.
MIXED = flows.OwnSystem("mixed", [u, v], u**4 / (2 + v**2) + (u * v - 1) ** 2 / sp.sqrt(1 + u**2))
LAYER = flows.TwoLayer(3, 2)
CENTRE, SIZE = np.array([0.7, -0.4]), np.array([0.3, 2.0])
AXES = np.linalg.qr(np.random.default_rng(5).normal(size=(2, 2)))[0]


@loop
def registers_at(code: Any, place: Any, registers: Any) -> None:
    """Registers of a program at a place."""
    carry_out(code, place, registers)


@loop
def slopes_at_stages(near: Any, code: Any, clock: Any, u: Any) -> Any:
    """Slopes at all stages at once, and one after the other."""
    found, other, room = np.zeros(u.shape), np.zeros(u.shape), np.zeros(u.shape)
    fields(near, code, clock, u, room, found)
    for k in range(len(u)):
        field(near, code, clock, u[k], other[k])
    return found, other


@loop
def slopes_of_states(near: Any, code: Any, clock: Any, x: Any) -> Any:
    """Slopes in the coordinates of states."""
    found = np.zeros(x.shape)
    plain_field(near, code, clock, x, found)
    return found


@loop
def curved(near: Any, code: Any, u: Any, clock: Any, stiff: float) -> Any:
    """Hessians along axes of increments."""
    n = len(u)
    slope, found, room = np.zeros((n, LANES)), np.zeros((n, n, LANES)), np.zeros((n, n, LANES))
    field(near, code, clock, u, slope)
    curvatures(near, code, near.since, stiff, found, room)
    return found


def at(code: Any, state: Any) -> Any:
    """Registers of a program at a state."""
    places = np.zeros((len(state), 3))
    places[:, 0] = state
    registers = np.zeros((len(state) + len(code.constants) + len(code.operation), 3))
    registers_at(code, places, registers)
    return registers[:, 0]


def chart() -> tuple[Any, Any]:
    """A chart of the loss, which all lanes have, and the program of its gradient."""
    loss = MIXED.axis_codes()[1]
    code = loss._replace(results=loss.results[1:])
    registers = at(code, CENTRE)
    curvature = AXES.T @ MIXED.hessian(CENTRE) @ AXES * SIZE / SIZE[:, None]
    near = Near(
        np.zeros((len(registers), PARTS, LANES)),
        np.repeat((AXES.T @ MIXED.gradient(CENTRE) / SIZE)[:, None], LANES, 1),
        np.repeat(curvature[..., None], LANES, 2),
        np.repeat(AXES[..., None], LANES, axis=2),
        np.repeat(SIZE[:, None], LANES, axis=1),
        np.repeat(1 / SIZE[:, None], LANES, axis=1),
        np.ones(LANES),
    )
    near.registers[:, 0] = registers[:, None]
    return near, plan_of(2, code)


def test_slopes_at_all_stages_are_those_at_each_and_of_the_gradient_there() -> None:
    near, code = chart()
    increments = 0.2 * np.random.default_rng(7).normal(size=(TOGETHER, 2, LANES))
    clock = np.linspace(1.0, 2.0, LANES)
    found, other = slopes_at_stages(near, code, clock, increments)
    assert np.allclose(found, other, rtol=0, atol=ROUNDING)
    assert not np.allclose(1.001 * found, other, rtol=0, atol=ROUNDING)
    for k in range(TOGETHER):
        for e in range(LANES):
            place = CENTRE + AXES @ (SIZE * increments[k, :, e])
            wanted = -clock[e] * (AXES.T @ MIXED.gradient(place)) / SIZE
            assert np.allclose(found[k, :, e], wanted, rtol=0, atol=ROUNDING)
            assert not np.allclose(1.001 * found[k, :, e], wanted, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("system", [MIXED, LAYER], ids=["quotients and roots", "angles"])
def test_slopes_in_the_coordinates_of_states_are_those_of_a_program_there(system: Any) -> None:
    code = system.axis_codes()[0]
    generator, n = np.random.default_rng(8), len(system.axis_start(system.initial()))
    centre, moved = generator.normal(size=n), 0.1 * generator.normal(size=(n, LANES))
    near = chart()[0]._replace(registers=np.zeros((len(at(code, centre)), PARTS, LANES)))
    near.registers[:, 0] = at(code, centre)[:, None]
    found = slopes_of_states(near, plan_of(n, code), np.full(LANES, 3.0), moved)
    assert system is MIXED or 4 in code.operation
    for e in range(LANES):
        wanted = -3.0 * at(code, centre + moved[:, e])[code.results[:n]]
        assert np.allclose(found[:, e], wanted, rtol=0, atol=ROUNDING)
        assert not np.allclose(1.001 * found[:, e], wanted, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("stiff", [1e13, 0.0])
def test_hessians_are_those_of_the_loss_whether_jacobians_tell_them_or_not(stiff: float) -> None:
    near, code = chart()
    increments = 0.2 * np.random.default_rng(6).normal(size=(2, LANES))
    found = curved(near, code, increments, np.ones(LANES), stiff)
    for e in range(LANES):
        there = AXES.T @ MIXED.hessian(CENTRE + AXES @ (SIZE * increments[:, e])) @ AXES
        upper = np.triu(there)
        assert np.allclose(found[:, :, e], upper, rtol=0, atol=ROUNDING)
        assert not np.allclose(1.001 * found[:, :, e], upper, rtol=0, atol=ROUNDING)
