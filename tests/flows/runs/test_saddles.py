"""Times near saddles, from a start beside a proved one; the index beside whole Hessians."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError

X, Y = sp.symbols("x y")
K = 4
# How far a start is from the saddle, and from the teachers in the control.
BESIDE = 1e-4
# The same Hessian in other coordinates: roundings of entries of order one.
ROUNDED = 1e-12
# A first interval ends when the gradient has grown to a tenth: some three factors of e less than
# from the start to the largest gradient.
FOLDS = 4.0


@pytest.fixture(scope="module")
def saddle():
    """The critical point with one student flipped, for four teachers."""
    near = np.full((K, K), -0.05)
    np.fill_diagonal(near, 0.98)
    near[:-1, -1], near[-1, :-1], near[-1, -1] = 0.35, 0.25, -0.6
    return flows.stationary(flows.TwoLayer(K, K), near)


@pytest.fixture(scope="module")
def passing(saddle):
    """A run that begins beside it, in more dimensions."""
    start = np.zeros((K, K + 3))
    start[:, :K] = saddle.state
    start += BESIDE * np.random.default_rng(0).normal(size=start.shape)
    return flows.integrate(flows.TwoLayer(K, K, d=K + 3), start, t_end=1e3)


def test_a_run_from_beside_a_proved_saddle_is_near_it_until_it_leaves(saddle, passing):
    proof = saddle.certify().summary()
    (near,) = flows.saddles(passing)
    assert near.begin == 0 < near.time < near.end < passing.t[-1]
    assert near.index == saddle.index == 2 and abs(near.least - saddle.eigenvalues[0]) < BESIDE
    assert near.folds > FOLDS
    found = flows.stationary(passing.system, near.state)
    assert found.kind == "saddle" and abs(found.loss - float(proof["loss"]["value"])) < ROUNDED


def test_a_run_that_ends_at_its_teachers_passes_none(passing):
    start = np.eye(K) + 0.2 * np.random.default_rng(5).normal(size=(K, K))
    run = flows.integrate(flows.TwoLayer(K, K), start, t_end=1e3)
    assert run["hessian_index"].max() == 2 and flows.saddles(run) == ()
    assert flows.saddles(passing, small=1e-9) == ()


def test_the_index_counts_what_is_off_the_span_in_every_dimension():
    off = False
    for seed, trained in ((4, False), (1, False), (29, True)):
        system = flows.TwoLayer(2, 2, d=6, train_outputs=trained)
        run = flows.integrate(system, system.initial(0.3, seed), t_end=100, t_eval=[1, 10, 100])
        for k, state in enumerate(run.state):
            whole = np.linalg.eigvalsh(system.hessian(state))
            values, times = system.spectrum(run.frame, run.states.at(k))
            assert np.abs(np.sort(np.repeat(values, times.astype(int))) - whole).max() < ROUNDED
            assert run["hessian_index"][k] == (whole < -1e-9 * whole[-1]).sum()
            off = off or (values[times > 1] < -1e-6).any()
    assert off


def test_any_system_with_a_hessian_has_an_index():
    system = flows.MatrixFactorization(d=2)
    run = flows.integrate(system, 0.1 * np.ones((4, 2, 2)) * np.eye(2), t_end=1e3)
    (near,) = flows.saddles(run)
    whole = np.linalg.eigvalsh(system.hessian(run.state[0]))
    assert near.begin == 0 and near.index == run["hessian_index"][0] == (whole < 0).sum()
    assert run["hessian_index"][-1] == 0


def test_where_a_neuron_is_zero_there_is_no_index():
    run = flows.integrate(flows.ReLUNeuron(2, 2), [[0.0, 0.0], [0.5, 0.1]], t_end=10)
    assert np.isnan(run["hessian_index"][0]) and np.isfinite(run["hessian_index"][1:]).all()
    run = replace(run, t=run.t[:1], states=run.states.at(slice(1)))
    with pytest.raises(InputError, match="has no Hessian at any time"):
        flows.saddles(run)


@pytest.mark.parametrize("small", [0, 1, -0.1, "a", np.nan])
def test_a_part_that_is_none_is_refused(passing, small):
    with pytest.raises(InputError, match="small: expected a number above 0 and below 1"):
        flows.saddles(passing, small=small)
    with pytest.raises(InputError, match="give one of"):
        flows.saddles(passing.system)


# Losses, starts, ends, and the reason why there is no law.
REASONS = {
    "in a stable leaf": (
        (X + 2 * Y) ** 2 / 2 + (2 * X - Y) ** 2,
        [0.5, -0.25],
        6,
        "do not show whether they have a part in the slow",
    ),
    "at a limit without a series": (
        Y**2 / 2 + sp.exp(-1 / X**2),
        [1.0, 1.0],
        1e3,
        "limit not found",
    ),
}


@pytest.mark.parametrize(("loss", "start", "end", "reason"), REASONS.values(), ids=REASONS)
def test_a_run_without_a_law_is_not_said_to_be_early_or_to_leave(loss, start, end, reason):
    law = flows.late_time_law(flows.integrate(flows.OwnSystem("own", [X, Y], loss), start, end))
    assert law.laws == () and reason in law.reason
    assert "leaves" not in law.reason and "has not reached" not in law.reason


def test_a_start_beside_a_stable_leaf_has_the_rate_of_the_slower_direction():
    system = flows.OwnSystem("own", [X, Y], X**2 / 2 + Y**2)
    law = flows.late_time_law(flows.integrate(system, [1e-3, 1.0], 30))
    assert law.laws[law.chosen].rate == 2.0
