"""Losses of mixtures are within their stated errors at every output, from random starts.

The oracle shares no code with the toolkit. Where means are nearly equal the flow magnifies the
oracle's own errors: two of its tolerances tell them. `make fuzz` takes more starts.
"""

import os

import numpy as np
import pytest
from oracles import mixtures

import flows
from flows.core.chart import Clock
from flows.systems.mixture import choice

STARTS = int(os.environ.get("POPFLOW_FUZZ", "4"))
FIRST = int(os.environ.get("POPFLOW_FUZZ_FROM", "0"))
SIZES = [(2, 1), (2, 2), (3, 2), (5, 2), (3, 3)]
TIMES = np.geomspace(0.01, 30.0, 10)
# Tolerances of the oracle; what they differ by, this often, is more than the finer one is off.
COARSE, FINE, OFTEN = 1e-10, 1e-12, 2.0
# Rounding of the oracle's losses, relative, and of those that cancel, absolute.
ROUNDED = 1e-13
SYSTEMS = {"score_matching": flows.ScoreMatching, "gmm_em": flows.GMMEM}


def start_of(n, d, seed):
    """Normal means of a random scale; in one of four starts two are nearly equal."""
    rng = np.random.default_rng(seed)
    means = np.exp(rng.uniform(np.log(0.1), np.log(3.0))) * rng.normal(size=(n, d))
    if seed % 4 == 3:
        means[1] = means[0] + 10.0 ** rng.uniform(-6, -1) * rng.normal(size=d)
    return means


def beyond(system, start, losses, errors, times=TIMES):
    """How many stated errors losses are off, the largest along a run."""
    score = system.name == "score_matching"
    true = mixtures.losses(score, start, times, COARSE)
    own = np.zeros(len(times))
    if not (np.abs(losses - true) <= 0.5 * errors).all():  # else what the oracle errs by is small
        rough, true = true, mixtures.losses(score, start, times, FINE)
        own = OFTEN * np.abs(rough - true)
    allowed = errors + own + ROUNDED * (1 + np.abs(true))
    return float((np.abs(losses - true) / allowed).max())


CASES = [
    (name, n, d, seed)
    for name in SYSTEMS
    for n, d in SIZES
    for seed in range(FIRST, FIRST + STARTS)
]


@pytest.mark.parametrize(("name", "n", "d", "seed"), CASES)
def test_losses_are_within_their_stated_errors_at_every_output(name, n, d, seed):
    system, start = SYSTEMS[name](n=n, d=d), start_of(n, d, seed)
    run = flows.integrate(system, start, TIMES[-1], TIMES)
    assert run.completed
    assert beyond(system, start, run["loss"][1:], run.absolute_errors("loss")[1:]) <= 1


@pytest.mark.parametrize("name", SYSTEMS)
def test_members_of_ensembles_are_within_their_stated_errors(name):
    system = SYSTEMS[name](n=2, d=2)
    starts = np.array([start_of(2, 2, seed) for seed in range(FIRST, FIRST + STARTS)])
    rows = flows.integrate_ensemble(system, starts, TIMES[-1], TIMES, rtol=1e-9)
    assert set(rows.status) == {"completed"}
    for start, losses, errors in zip(starts, rows["loss"], rows["loss_error"], strict=True):
        assert beyond(system, start, losses[1:], errors[1:]) <= 1


# Long after the start, where few steps cover a decade: the finer tolerance tells the truth.
LATE, FINER = np.geomspace(1.0, 1e13, 66), 1e-12


def late(system, start, rtol, method):
    """How many stated errors losses are off, the largest on the way."""
    found, true = (
        flows.integrate(system, start, LATE[-1], LATE, rtol=tolerance, method=solver)
        for tolerance, solver in ((rtol, method), (FINER, "Radau"))
    )
    allowed = found.absolute_errors("loss") + true.absolute_errors("loss")
    return float((np.abs(found["loss"] - true["loss"]) / allowed).max())


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize(("rtol", "method"), [(1e-8, "auto"), (1e-8, "Rodas5P"), (1e-5, "Rodas5P")])
def test_the_square_of_the_error_of_the_mean_stays_below_what_is_stated(name, rtol, method):
    assert late(SYSTEMS[name](n=2, d=1), start_of(2, 1, 1), rtol, method) <= 1


def test_tolerances_that_last_for_ever_would_not_do(monkeypatch):
    own = Clock.outlived
    monkeypatch.setattr(Clock, "outlived", lambda clock, lasts: own(clock, 1e6 * lasts))
    # By how much more depends on the rounding of its steps.
    assert late(flows.ScoreMatching(n=2, d=1), start_of(2, 1, 1), 1e-8, "Rodas5P") > 1.5


# A rule for this part of the distances has errors of 1e-5 and more.
NEARER = 0.4
# Quadrature and DOP853 by hand: |v|^2 summed on 241 points a side.
TURNING, AT, LOSS = np.array([[-3.0, 1.0], [-1.0, -2.0]]), 0.3, 2.1098273809351


@pytest.mark.parametrize("rtol", [1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("method", ["auto", "LSODA", "Rodas5P"])
def test_means_that_turn_out_of_the_axes_of_their_rule_keep_their_digits(rtol, method):
    run = flows.integrate(flows.ScoreMatching(2, 2), TURNING, AT, [AT], rtol=rtol, method=method)
    assert abs(run["loss"][-1] - LOSS) <= run.absolute_errors("loss")[-1] + ROUNDED
    assert run.errors("loss")[-1] <= 1100 * rtol


def test_a_rule_for_means_that_are_nearer_than_they_are_is_seen(monkeypatch):
    system = flows.ScoreMatching(2, 2)

    def off():
        some = TIMES[TIMES < 1.0]
        run = flows.integrate(system, TURNING, some[-1], some)
        return beyond(system, TURNING, run["loss"][1:], run.absolute_errors("loss")[1:], some)

    assert off() <= 1
    own = choice.rule
    monkeypatch.setattr(
        choice, "rule", lambda means, turned, widths, *given, **more: own(
            means, turned, NEARER * widths, *given, **more
        )
    )  # fmt: skip
    assert off() > 10


def test_no_field_is_known_where_no_rule_serves():
    system = flows.ScoreMatching(2, 2).at_tolerance(1e-8, 0.0, False)
    piece = system.piece(*system.reduce(TURNING), 0.0)

    def field(factor, angle):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        raw = factor * (piece.chart.x0.reshape(2, 2) @ turn)
        return raw, piece.chart.rhs(0.0, raw.ravel()).reshape(2, 2)

    # Wherever the means turn: the axes turn with them.
    for angle in np.linspace(0.0, 1.4, 7):
        raw, found = field(1.05, angle)
        exact = -system.gradient(raw)
        assert np.abs(found - exact).max() <= 1e-8 * np.abs(exact).max()
    assert np.isnan(field(2.0, 0.0)[1]).all()
