"""Explicit steps: their order, lanes, dense output, and what they do where the flow is stiff."""

from dataclasses import replace

import numpy as np
import pytest

import flows
from flows.ensembles.integrate import Flow, integrate_ensemble
from flows.runs.integrate import follow_in_pieces
from flows.runs.request import Request
from flows.solvers import gentle, gentle_formulas
from flows.solvers.many import STIFF
from flows.solvers.rodas_tableau import dense_output

SYSTEM = flows.MatrixFactorization(2)
T_END = 5.0
# A global error is a few local ones.
FACTOR = 100.0


def problem(seed=0, system=SYSTEM, t_end=T_END, t_eval=None, rtol=1e-8):
    """First piece of a run, whose chart says that explicit steps serve."""
    request = Request(t_end, t_eval, rtol=rtol)
    first = next(follow_in_pieces(system, system.initial(0.5, seed), request))
    return replace(first, chart=replace(first.chart, explicit=first.chart.lanes))


def test_coefficients_satisfy_the_conditions_of_order_eight_along_a_line():
    nodes, a, error, _ = gentle_formulas.tableau()
    weights = a[gentle_formulas.STAGES]
    for k in range(1, 9):
        assert weights @ nodes ** (k - 1) == pytest.approx(1 / k, abs=1e-14)
    assert abs(weights @ nodes**8 - 1 / 9) > 1e-9
    # Every stage is consistent; formulas that are compared have no error of order zero.
    assert a.sum(axis=1) == pytest.approx(nodes, abs=1e-13)
    assert np.abs(error.sum(axis=1)).max() < 1e-13


@pytest.mark.parametrize("rtol", [1e-6, 1e-9])
def test_states_agree_with_another_method_at_a_tighter_tolerance(rtol):
    from flows.solvers import scipy_ivp

    found = gentle.solve_many([problem(rtol=rtol)])[0]
    truth = scipy_ivp.solve(replace(problem(), rtol=1e-12, atol=problem().atol * 1e-4), "Radau")
    assert found.status == "completed"
    # All output times: between steps the polynomial is meant, too.
    size = np.maximum(1.0, np.abs(truth.states))
    assert np.abs((found.states - truth.states) / size).max() < FACTOR * rtol
    assert np.abs((found.states[::-1] - truth.states) / size).max() > 1e-2


def test_dense_output_passes_through_both_ends():
    rng = np.random.default_rng(0)
    y0, y1, k = rng.normal(size=(1, 3)), rng.normal(size=(1, 3)), rng.normal(size=(1, 6, 3))
    assert (dense_output(np.zeros((1, 1)), y0, y1, k) == y0).all()
    assert (dense_output(np.ones((1, 1)), y0, y1, k) == y1).all()


def test_no_problem_changes_a_bit_of_another():
    several = [problem(seed) for seed in range(gentle.LANES + 3)]
    together = gentle.solve_many(several)
    for k in (0, 5, gentle.LANES + 2):
        alone = gentle.solve_many([several[k]])[0]
        assert (alone.states == together[k].states).all()
        assert alone.stats == together[k].stats


def test_a_stiff_flow_is_given_up_and_another_method_goes_on():
    system = flows.MatrixFactorization(2, regularization=500.0)
    given_up = gentle.solve_many([problem(system=system, t_end=1e4)])[0]
    assert given_up.status == STIFF and given_up.last is not None
    assert 0 < len(given_up.states) < len(problem(system=system, t_end=1e4).taus)
    start = system.initial(0.5, 0)
    run = flows.integrate(system, start, 1e4, rtol=1e-11)
    found = integrate_ensemble(system, start[None], 1e4, rtol=1e-8)
    assert found.status.tolist() == ["completed"] and len(found.t) == len(run.t)
    known = run["loss"] > 1e-30
    assert found["loss"][0][known] == pytest.approx(run["loss"][known], rel=1e-5)
    # As far as explicit steps went, they are those of the ensemble.
    assert not np.isnan(found["loss"]).any()


def test_few_steps_that_stability_binds_are_taken_all_the_same():
    found = gentle.solve_many([problem(t_end=30.0)])[0]
    assert found.status == "completed"


def test_members_of_an_ensemble_are_as_right_as_a_run_alone():
    starts = np.array([SYSTEM.initial(0.5, seed) for seed in range(4)])
    found = integrate_ensemble(SYSTEM, starts, 30.0, rtol=1e-8)
    for row, start in zip(found["loss"], starts, strict=True):
        tight = flows.integrate(SYSTEM, start, 30.0, method="LSODA", rtol=1e-12)["loss"]
        assert row == pytest.approx(tight, rel=1e-6)
        assert row[1:] != pytest.approx(tight[1:] * (1 + 1e-3), rel=1e-6)


def test_a_field_that_is_not_finite_is_no_success():
    broken = problem()
    found = gentle.solve_many([replace(broken, y0=np.full_like(broken.y0, np.nan)), problem()])
    assert [one.status for one in found] == ["solver_failed", "completed"]


def test_chains_are_integrated_side_by_side_as_they_are_called():
    from flows.solvers.choice import side_by_side

    assert side_by_side("auto", 1e-8, SYSTEM) and not side_by_side("auto", 1e-12, SYSTEM)
    assert Flow(Request(1.0), side_by_side("auto", 1e-8, SYSTEM)).threads
