"""Runs along ridges and past saddles: no loss is off by more than is stated, at no time.

Errors grow there by up to `1e11`, decide when a run leaves and to which side, and shrink again in
whichever valley it comes to. `make fuzz` takes more of the random ones.
"""

import functools
import os
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.ridges import case
from oracles.taylor import Infinite, flow

import flows
from flows.core.piece import Event
from flows.core.problem import INTERRUPTED
from flows.runs import companions, integrate
from flows.systems.own.stretch import stretched

# Random runs, and the seed of the first one.
RUNS = 5 if os.environ.get("POPFLOW_FUZZ") is None else int(os.environ["POPFLOW_FUZZ"])
FIRST = int(os.environ.get("POPFLOW_FUZZ_FROM", "0"))
# Always: a loss of 1e-57, and a ridge on which rounding decides, alike for two of three tolerances.
HARD = (318, 359)
# Of so many it is counted how many know their loss.
MANY = 60
# The series have so many digits left where errors grow most, in units of the height of the loss.
TRUTH = 1e-15
X, Y = sp.symbols("x y", real=True)
CURVED = -X + ((Y - X**2 / 4) ** 2 - 1) ** 2
# Where runs from `x = 0` stay on its ridge, found by bisection with the series.
RIDGE = 0.0280603400615326
TIMES = [0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
# Starts above it; of the first one the toolkit has said -3.38380, with an error of 1e-6.
STARTS = [0.028060340061585975, RIDGE + 1e-12, RIDGE + 3e-10]
# What `flows.certify` proves of the first one at t = 5, and the digits asked of a run.
CERTIFIED, DIGITS = -2.5438389, 1e-3


def slope(z):
    u = z[1] - z[0] * z[0] / 4
    across = 4 * (u * u - 1) * u
    return [-1 - across * z[0] / 2, across]


def truth(start):
    found = []
    for state in flow(slope, start, TIMES):
        p, q = map(float, state)
        found.append(-p + ((q - p * p / 4) ** 2 - 1) ** 2)
    return np.array(found)


def off(run, exact):
    """Errors in units of what is stated, at each time that is reached; 0 where nothing is known."""
    loss, stated = run["loss"][1:], run.absolute_errors("loss")[1:]
    least = TRUTH * np.abs(exact).max(initial=0.0)
    apart = np.maximum(np.abs(loss - exact[: len(loss)]) - least, 0.0)
    return np.where(np.isfinite(loss), apart / stated, 0.0)


def ridge_run(y, rtol=1e-10, t_end=8.0, times=TIMES):
    system = flows.OwnSystem("ridge", [X, Y], CURVED)
    return flows.integrate(system, [0.0, y], t_end, times, rtol=rtol)


@pytest.mark.parametrize("y, rtol", [(STARTS[0], 1e-8), *((y, 1e-10) for y in STARTS)])
def test_a_run_that_leaves_a_curved_ridge_is_off_by_less_than_it_states(y, rtol):
    run = ridge_run(y, rtol)
    assert run.completed and run.error("loss") < 0.1
    assert off(run, truth([0.0, y])).max() < 1
    if y == STARTS[0]:
        assert abs(run["loss"][6] - CERTIFIED) < DIGITS


@pytest.mark.parametrize("y", [STARTS[0], STARTS[2]])
def test_a_run_in_doubles_is_off_by_less_than_it_states_or_ends(y):
    system = flows.OwnSystem("ridge", [X, Y], CURVED, arithmetic="doubles")
    run = flows.integrate(system, [0.0, y], 8.0, TIMES, rtol=1e-10)
    assert off(run, truth([0.0, y])).max() < 1
    assert run.completed or "to which side" in run.message


def test_the_linearised_error_alone_is_told_from_the_true_one(monkeypatch):
    # The same run without companions, as it was: its error is stated as the flow shrinks it again.
    monkeypatch.setattr(companions, "FREE", np.inf)
    assert off(ridge_run(STARTS[0], 1e-8), truth([0.0, STARTS[0]])).max() > 100


def test_a_run_on_a_ridge_says_that_it_does_not_know_how_it_leaves():
    # It is one bit beside it, and errors of doubles alone grow to all of the width of the ridge.
    run = flows.integrate(
        flows.OwnSystem("ridge", [X, Y], CURVED), [0.0, RIDGE], 12.0, [1.0, 3, 12]
    )
    assert not run.completed and len(run.t) < 4
    assert "it is not known" in run.message and "to which side" in run.message


@functools.cache
def random_run(seed):
    """Its error in units of what it states, and whether it knows its last loss."""
    given, rtol = case(seed), 10.0 ** -np.random.default_rng(seed).uniform(6, 11)
    system = flows.OwnSystem("ridge", given.symbols, given.loss)
    run = flows.integrate(system, given.start, given.times[-1], given.times, rtol=rtol)
    known = bool(run.completed and np.isfinite(run["loss"][-1]))
    return off(run, np.array(given.truth)).max(initial=0.0), known


@pytest.mark.parametrize("seed", sorted({*range(FIRST, FIRST + RUNS), *HARD}))
def test_no_random_run_beside_a_ridge_is_off_by_more_than_it_states(seed):
    assert random_run(seed)[0] < 1


def test_most_random_runs_beside_a_ridge_know_their_loss():
    # A run that says nothing is off by nothing.
    seeds = range(FIRST, FIRST + min(RUNS, MANY))
    assert sum(random_run(seed)[1] for seed in seeds) >= 0.8 * len(seeds)


def test_a_start_whose_flow_came_from_infinity_is_found_all_the_same():
    given = case(24)
    assert np.isfinite([*given.start, *given.truth]).all()
    with pytest.raises(Infinite) as gone:
        flow(lambda z: [-z[0] * z[0]], [1.0], [0.5, 2.0])
    assert gone.value.args[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "loss, start",
    [
        ((X * Y - 1) ** 2 / 2, [0.01, 0.02]),
        ((1 - X) ** 2 + 100 * (Y - X**2) ** 2, [-1.2, 1.0]),
        (X**4 / 4 + Y**2, [1.0, 1.0]),
        (-(X**2) / 2 + X**4 / 4 + Y**2, [1e-9, 1e-8]),
    ],
)
def test_usual_runs_have_no_companions(loss, start, monkeypatch):
    runs, alone = [], integrate._alone
    monkeypatch.setattr(integrate, "_alone", lambda *given: runs.append(1) or alone(*given))
    assert flows.integrate(flows.OwnSystem("usual", [X, Y], loss), start, 10.0).completed
    assert len(runs) == 1


def test_errors_outgrow_the_flow_by_the_curvature_across_it():
    times, rate = np.linspace(1.0, 5.0, 400), 2.0
    hessians = np.broadcast_to(np.diag([0.5, -rate]), (400, 2, 2))
    along, across = (np.tile(axis, (399, 1)) for axis in np.eye(2))
    # The integral of `rate - 1/s`; the rule of trapezoids in steps of 0.01 is off by 8e-6.
    exact = rate * 4 - np.log(5.0)
    assert stretched(times, along, hessians)[-1] == pytest.approx(exact, rel=1e-4)
    assert stretched(times, along, 1.001 * hessians)[-1] != pytest.approx(exact, rel=1e-4)
    assert stretched(times, across, hessians)[-1] == 0  # there an error is a shift in time
    assert stretched(times, along, np.abs(hessians))[-1] == 0


# Output times that ask for more, and the factor that errors may depend on them by.
FINE, THRICE = np.union1d(np.geomspace(1e-3, 5.0, 200), [2.0]), 3.0
# What is stated says something.
TELLING = 1e3


@pytest.mark.parametrize(
    "times", [[10.0, 20], np.geomspace(1e-3, 20, 40), np.linspace(0.4, 20, 50)]
)
def test_a_loss_past_a_saddle_is_known_as_well_whatever_the_output_times(times):
    system = flows.OwnSystem("saddle", [X, Y], X**2 / 2 - Y**2 / 2 + Y**4 / 4)

    def stated(asked, rtol=1e-8):
        return flows.integrate(system, [1.0, 1e-4], 20.0, asked, rtol=rtol).absolute_errors("loss")

    alone = stated([20.0])[-1]
    assert alone / 2 < stated(times)[-1] < 2 * alone < 1e-6
    assert stated(times, 3e-8)[-1] > 2 * alone


def test_errors_beside_a_ridge_are_the_same_whatever_the_output_times():
    # An error across the valley turns the gradient, and hardly changes its length.
    system, y = flows.OwnSystem("ridge", [X, Y], CURVED), 0.02806
    found = [flows.integrate(system, [0.0, y], 5.0, times) for times in ([2.0, 5.0], FINE)]
    fine = flows.integrate(system, [0.0, y], 5.0, [2.0, 5.0], rtol=1e-12)
    for name in ("loss", "gradient_norm"):
        few, many = (run.absolute_errors(name)[np.searchsorted(run.t, [2.0, 5.0])] for run in found)
        assert (many / THRICE < few).all() and (few < THRICE * many).all(), name
        off = np.abs(found[0][name] - fine[name])[1:]
        assert (off <= few).all() and (few < TELLING * off.max()).all(), name


def test_members_beside_a_ridge_leave_compiled_steps_and_state_true_errors():
    # Enough members for compiled steps; most start in a valley and have no companions.
    rng = np.random.default_rng(0)
    valley = np.array([0.0, 1.5]) + 0.3 * rng.normal(size=(128, 2))
    starts = np.concatenate([[[0.0, y] for y in STARTS], valley])
    system = flows.OwnSystem("ridge", [X, Y], CURVED)
    found = flows.integrate_ensemble(system, starts, t_end=8.0, t_eval=TIMES, rtol=1e-8)
    for k, y in enumerate(STARTS):
        alone = ridge_run(y, 1e-8)
        assert found["loss"][k] == pytest.approx(alone["loss"], rel=0, abs=0)
    exact = truth(list(starts[5]))
    # A usual member has a hundred times its tolerance.
    assert np.abs(found["loss"][5][1:] - exact) == pytest.approx(0, abs=1e-6)


def test_the_coarsest_tolerance_has_no_companion_that_is_coarser():
    # A finer run would take more steps than there are: what is left is the run at a tenth.
    system = flows.OwnSystem("ridge", [X, Y], CURVED)
    steps = ridge_run(STARTS[2], 0.1).stats["steps"]
    for budget in (20, 40, steps):
        run = flows.integrate(system, [0.0, STARTS[2]], 8.0, TIMES, rtol=0.1, max_steps=budget)
        assert off(run, truth([0.0, STARTS[2]])).max() < 1


def test_a_run_that_is_cut_has_no_events_of_later_times(monkeypatch):
    times, alone = [0.5, 3.0, 6.0, 11.0], integrate._alone
    events = tuple(Event(time, "passed", "by") for time in times)
    monkeypatch.setattr(integrate, "_alone", lambda *given: replace(alone(*given), events=events))
    run = flows.integrate(
        flows.OwnSystem("ridge", [X, Y], CURVED), [0.0, RIDGE], 12.0, [1.0, 3, 12]
    )
    assert not run.completed and 1 < len(run.t) < 4
    assert [event.time for event in run.events] == [t for t in times if t <= run.t[-1]]
    monkeypatch.setattr(companions, "FREE", np.inf)
    whole = flows.integrate(flows.OwnSystem("ridge", [X, Y], CURVED), [0.0, RIDGE], 12.0, [12.0])
    assert [event.time for event in whole.events] == times


def test_an_interruption_of_companions_keeps_what_they_have_shown(monkeypatch):
    runs, alone = [], integrate._alone

    def interrupted(*given):
        runs.append(alone(*given))
        if len(runs) == 1:
            return runs[0]
        first = slice(0, 4)
        parts = {"t": runs[-1].t[first], "states": runs[-1].states.at(first)}
        return replace(runs[-1], status=INTERRUPTED, **parts)

    monkeypatch.setattr(integrate, "_alone", interrupted)
    run = ridge_run(STARTS[2])
    assert run.status == INTERRUPTED and len(run.t) == 4 and len(runs) == 2
    assert off(run, truth([0.0, STARTS[2]])).max() < 1


def hat():
    """The "Mexican hat" of Absil, Mahony & Andrews (2005), whose flow winds about its brim."""
    square = X**2 + Y**2
    angle = 1 / (1 - square)
    wave = square ** sp.Rational(3, 2) * (Y * sp.cos(angle) - X * sp.sin(angle))
    return sp.exp(-angle) * (1 - 4 * wave / (4 * square**2 + (1 - square) ** 4))


# Radius, distance in angle from the ridge that winds inwards; losses by extrapolated midpoints with
# 34 digits at two times.
WOUND = [
    (0.75, -4e-12, (0.06780535781905833, 6.420055369997765e-08)),
    (0.6866, 1e-9, (0.08383166175610583, 0.02748386183134384)),
    (0.5, -3e-7, (0.10462509336214332, 1.0364492865314471e-07)),
]


@pytest.mark.parametrize(("radius", "beside", "losses"), WOUND)
@pytest.mark.parametrize("rtol", [1e-8, 1e-10])
def test_a_run_that_leaves_the_ridge_of_a_spiral_is_off_by_less_than_it_states(
    radius, beside, losses, rtol
):
    def beyond(part):
        angle = 1 / (1 - radius**2) + part * beside
        start = radius * np.cos(angle), radius * np.sin(angle)
        run = flows.integrate(flows.OwnSystem("hat", [X, Y], hat()), start, 6.0, [3, 6], rtol=rtol)
        assert run.completed and run.error("loss") < DIGITS
        return off(run, np.array(losses)).max()

    assert beyond(1.0) <= 1 < beyond(1.05)


def test_a_run_says_what_its_companions_have_shown_not_to_be_known(monkeypatch):
    """Here, by a state from elsewhere, that its loss is not known."""
    system, start = flows.OwnSystem("ridge", [X, Y], CURVED), (0.0, STARTS[1])
    assert "not known" not in flows.integrate(system, start, 5.0).message
    beside = flows.OwnSystem.beside

    def lost(system, frame, states, others):
        found = beside(system, frame, states, others)
        seen = found.seen.copy()
        seen[-1] = np.nan
        return replace(found, seen=seen)

    monkeypatch.setattr(flows.OwnSystem, "beside", lost)
    assert "the loss is NaN where it is not known" in flows.integrate(system, start, 5.0).message
