"""Axes that a symmetry keeps beside a saddle, and tails that are linear to all digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

import flows
from flows.systems.own import energy_piece
from flows.systems.own.energy_piece import EnergyPiece
from flows.systems.own.increment import Increment
from flows.systems.own.linear_tail import way
from potentials import symbol

A, B, C, D, U, V = sp.symbols("a b c d u v")
SQUARES = flows.OwnSystem("squares", [A, B], (A**2 * B**2 - 1) ** 2 / 4)
TWO = flows.OwnSystem("two", [A, B, C, D], (A**2 * B**2 - 1) ** 2 / 4 + (C**2 * D**2 - 1) ** 2 / 4)
# Where `a b = 1` and `a^2 - b^2 = 1e-6`.
KEPT = 1e-6 / 4
# Nothing pushes along `v` at (1, 0), and something does beside it.
PUSHED = flows.OwnSystem(
    "pushed", [U, V], U**2 / 2 - V**2 / 2 + V**4 / 4 + V * (U - 1) ** 2 / 10 + U**4 / 20
)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in all entries, also from starts that the flow keeps alike."""
    monkeypatch.setattr(flows.OwnSystem, "subspace", lambda system, start: None)


def of_equal(t: float) -> Any:
    """Loss of `SQUARES` at a time, from equal entries of 1e-3, by bisection."""

    def time(x: Any) -> Any:
        ends = [mp.log((1 + y**2) / (1 - y**2)) / 4 - 1 / (2 * y**2) for y in (x, mp.mpf(1e-3))]
        return ends[0] - ends[1]

    low, high = mp.mpf(1e-3), mp.mpf(1)
    for _ in range(130):
        middle = (low + high) / 2
        low, high = (middle, high) if time(middle) < t else (low, middle)
    return (high**4 - 1) ** 2 / 4


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("rtol", [1e-7, 1e-10])
def test_a_copy_that_a_symmetry_keeps_beside_its_saddle_stays(
    rtol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another one leaves its plateau and arrives; the control distrusts every axis."""
    times = [1e5, 4e5, 6e5, 1e7]
    start = np.array([1e-3, 0.0, 1e-3, 1e-3])
    run = flows.integrate(TWO, start, times[-1], times, rtol=rtol)
    assert run.completed and run.state[-1] == pytest.approx([1e-3, 0, 1, 1], abs=1e-9)
    # With the steps of the runs beside it; 21 724 of its own at 1e-10 if two doubles are not taken.
    assert run.stats["steps"] < 8000
    with mp.workdps(40):
        exact = [float(of_equal(t) + mp.mpf(0.25)) for t in times[:2]] + [0.25, 0.25]
    assert (np.abs(run["loss"][1:] / exact - 1) <= run.errors("loss")[1:]).all()
    monkeypatch.setattr(energy_piece, "ROUNDING", 1e300)
    assert flows.integrate(TWO, start, times[-1], rtol=rtol).status == "field_failed"


def test_one_bit_beside_that_copy_leaves() -> None:
    """By the exponential of its curvature, to where `a^2 - b^2` is what it was."""
    start = np.array([1e-3, 1e-30, 1e-3, 1e-3])
    run = flows.integrate(TWO, start, 1e9, [1e5, 3e5, 1e9])
    grown = np.array([1e-30 * np.exp(1e-6 * t) for t in (1e5, 3e5)])
    assert run.state[1:3, 1] == pytest.approx(grown, rel=1e-5)
    assert not run.completed or run.state[-1] == pytest.approx(
        [1 + KEPT, 1 - KEPT, 1, 1], abs=1e-12
    )


@pytest.mark.usefixtures("whole")
def test_an_axis_along_which_steps_have_moved_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a saddle without that symmetry: what nothing pushed at first is known as others are."""
    seen: list[Any] = []
    original = EnergyPiece._fresh

    def fresh(self: EnergyPiece, u: Any) -> Any:
        found = original(self, u)
        seen.append((self.errors.fresh, u, found))
        return found

    monkeypatch.setattr(EnergyPiece, "_fresh", fresh)
    assert flows.integrate(PUSHED, [1.0, 0.0], 100.0).completed
    before, moved, after = seen[0]
    assert before[0] == 0 < before[1] and moved[0] != 0
    assert after[0] > 0 and after[1] == before[1]
    seen.clear()
    flows.integrate(TWO, [1e-3, 0.0, 1e-3, 1e-3], 1e4)
    assert all((a == b).all() and (a == 0).any() for a, _, b in seen)  # a control: nothing moves


@pytest.mark.usefixtures("whole")
def test_a_linear_tail_takes_compiled_steps_also_where_slow_axes_ask_for_more_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond a plateau of 5e7 of time; the control has none of them, for half as long."""
    start, end = [1e-4, 1e-4], 5e7 + 30
    run = flows.integrate(SQUARES, start, end, [end])
    assert run.completed and run.stats["steps"] < 1300
    for others in ("_linear", "_around"):
        monkeypatch.setattr(Increment, others, lambda *arguments: None)
    assert flows.integrate(SQUARES, start, end - 15, [end - 15]).stats["steps"] > 2000


def test_nothing_grows_out_of_nothing() -> None:
    """Along an axis that falls, for however long; out of the least something it does."""
    h, slopes = np.array([-1.0, 1.0]), np.array([0.0, 1.0])
    assert way(slopes, h, 1e4) == pytest.approx([0.0, -1.0])
    assert way(slopes + 5e-324, h, 1e4)[0] == -np.inf


@pytest.mark.parametrize("start", [[1.25, 0.5], [0.7, 0.7], [1 / 3, 2.0]])
@pytest.mark.parametrize("goal", [1, sp.Rational(10, 13), sp.sqrt(2)])
def test_the_rate_of_what_the_flow_keeps_is_zero_and_of_what_it_nearly_keeps_is_not(start, goal):
    """Its terms cancel: what is left of them in so many bits is no rate, and was taken for one."""
    u, v = sp.symbols("u v")
    kept, nearly = u**2 - v**2, u**2 - sp.Rational(999, 1000) * v**2
    system = flows.OwnSystem("kept", [u, v], (u * v - goal) ** 2 / 2, {"a": kept, "b": nearly})
    run = flows.integrate(system, start, 3.0)
    assert (run.potential("a")[1] == 0).all()
    x, y = run.state.T
    rate = -2 * (1 - 0.999) * (x * y - float(goal)) * x * y
    assert np.allclose(run.potential("b")[1], rate, rtol=1e-6, atol=1e-12)
    assert (run.potential("b")[1] != 0).all()
    off = flows.check(run, flows.theorem("off", sp.Eq(symbol("a_dot"), 1e-30)))
    assert str(off[0].verdict) == "VIOLATED"
    null = flows.check(run, flows.theorem("null", sp.Eq(symbol("a_dot"), 0)))
    assert str(null[0].verdict) != "VIOLATED"
