"""Neurons with biases, and activations without a kernel, against their definition."""

from dataclasses import replace

import numpy as np
import pytest
from oracles import biased_layers as oracle
from scipy.integrate import solve_ivp

import flows
from flows.core.errors import InputError

# Closed forms have a few roundings; of averages a bound of 1e-12 of them is asked for.
RELATIVE = 1e-11
# A rule of the oracle: panels of twenty nodes.
SUMS = 1e-11
# Difference quotients of gradients, steps of 1e-5.
SLOPES = 1e-8
# Two runs at rtol 1e-10 and 1e-11.
FLOWS = 1e-8
BROKEN = 1e-3
# Of a run in which energies fall to 1e-290: a third of what it takes without linear charts.
TAIL_STEPS = 3500
NAMES = tuple(oracle.ACTIVATIONS)


def system_of(name, d=1, trained=True, students=2):
    teachers = [[1.0], [-0.7]] if d == 1 else [[1.0, 0.2], [-0.4, 0.9]]
    return flows.TwoLayer(
        students,
        teachers,
        activation=name,
        output_weights=[1.0, -0.5][:students],
        teacher_weights=[1.0, -0.5],
        train_outputs=trained,
        biases=True,
        teacher_biases=[0.3, -0.4],
    )


def state_of(system, seed=0):
    return np.random.default_rng(seed).normal(size=system.initial().shape)


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradient_are_integrals_over_the_input(name):
    system = system_of(name)
    state = state_of(system)
    truth = float(oracle.loss(system, state))
    assert abs(system.loss(state) - truth) < RELATIVE * truth
    slope = oracle.gradient(system, state)
    assert np.abs(system.gradient(state) - slope).max() < SUMS * np.abs(slope).max()
    # Negative control: a bias of a teacher that is off by a thousandth.
    off = replace(system, teacher_biases=[0.3 + BROKEN, -0.4])
    assert abs(off.loss(state) - truth) > RELATIVE * truth
    assert np.abs(off.gradient(state) - slope).max() > SUMS * np.abs(slope).max()


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_averages_over_the_plane_of_a_pair_are_those_of_a_grid(name):
    system = system_of(name, d=2, trained=False)
    state = state_of(system, 1)
    slope = oracle.gradient(system, state)
    assert np.abs(system.gradient(state) - slope).max() < SUMS * np.abs(slope).max()


def test_many_neurons_are_averaged_pair_by_pair():
    system = flows.TwoLayer(3, 2, d=5, activation="tanh")
    state = 0.6 * state_of(system, 3)
    u, _, mu = oracle.parts(system, state)
    total = 0.0
    for a, m in zip(u, mu, strict=True):
        for b, q in zip(u, mu, strict=True):
            plane, _ = np.linalg.qr(np.stack([a, b]).T)
            x, weights = oracle.rule(np.stack([a, b]) @ plane, np.zeros(2), 2)
            total += m * q * (weights @ np.prod(np.tanh(x @ plane.T @ np.stack([a, b]).T), 1)) / 2
    assert abs(system.loss(state) - total) < RELATIVE * total
    step = 1e-5 * np.eye(15)[4].reshape(3, 5)
    slope = (system.loss(state + step) - system.loss(state - step)) / 2e-5
    assert abs(system.gradient(state)[0, 4] - slope) < SLOPES
    assert abs((1 + BROKEN) * system.gradient(state)[0, 4] - slope) > SLOPES


@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-6])
@pytest.mark.parametrize("d", [1, 2])
def test_a_hessian_is_the_slope_of_gradients_also_where_students_are_near_teachers(d, size):
    system = system_of("relu", d, trained=False)
    near = np.column_stack([np.array(system.teachers), system.teacher_biases])
    state = near + size * state_of(system, 2)
    step, flat = 1e-5 * size, np.eye(state.size).reshape(state.size, *state.shape)
    rows = []
    for e in flat:
        up, down = state + step * e, state - step * e  # as far apart as rounding makes them
        rows.append((system.gradient(up) - system.gradient(down)).ravel() / (up - down).max())
    truth = np.array(rows)
    found = system.hessian(state)
    assert np.abs(found - truth).max() < SLOPES * np.abs(found).max()
    assert np.abs((1 + BROKEN) * found - truth).max() > SLOPES * np.abs(found).max()


@pytest.mark.parametrize(("name", "d"), [("relu", 1), ("tanh", 2)])
def test_a_run_is_that_of_formulas_by_hand(name, d):
    system = system_of(name, d)
    start = state_of(system, 3) / 2
    start[:, -1] = [0.8, -0.6]
    run = flows.integrate(system, start, t_end=2.0)
    assert run.status == "completed"
    shape = start.shape

    def velocity(_, y):
        return -oracle.gradient(system, y.reshape(shape)).ravel()

    options = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-13}
    truth = solve_ivp(velocity, (0, run.t[-1]), start.ravel(), **options).y[:, -1].reshape(shape)
    assert np.abs(run.state[-1] - truth).max() < FLOWS
    norms, biases = np.linalg.norm(truth[:, :d], axis=1), truth[:, d]
    assert np.abs(run["norms"][-1] - norms).max() < FLOWS
    assert np.abs(run["biases"][-1] - biases).max() < FLOWS
    assert np.abs(run["outputs"][-1] - truth[:, -1]).max() < FLOWS
    assert np.abs((1 + BROKEN) * run["norms"][-1] - norms).max() > FLOWS


def test_a_tail_is_linear_and_takes_few_steps():
    teacher = {"teachers": [[1.0]], "biases": True, "teacher_biases": [0.5]}
    system = flows.TwoLayer(1, activation="relu", **teacher)
    run = flows.integrate(system, [[1.1, 0.4]], t_end=2e3)
    rate = 2 * np.linalg.eigvalsh(system.hessian([[1.0, 0.5]]).reshape(2, 2)).min()
    late = np.flatnonzero((run["loss"] > 0) & (run["loss"] < 1e-60))[[0, -1]]
    fell = -np.diff(np.log(run["loss"][late]))[0] / np.diff(run.t[late])[0]
    assert run.completed and fell == pytest.approx(rate, rel=FLOWS)
    assert fell != pytest.approx((1 + BROKEN) * rate, rel=FLOWS)
    assert run.stats["steps"] < TAIL_STEPS


def test_what_trained_outputs_conserve_takes_biases_with_it(tmp_path):
    system = system_of("relu", d=2)
    start = 0.5 * state_of(system, 4)
    start[:, -1] = [0.8, -0.6]
    run = flows.integrate(system, start, t_end=4.0)
    balance = start[:, -1] ** 2 - (start[:, :-1] ** 2).sum(axis=1)
    assert np.abs(run["layer_balance"] - balance).max() < FLOWS
    # Negative control: the balance of neurons without their biases moves.
    moved = run["layer_balance"] + run["biases"] ** 2
    assert np.abs(moved - moved[0]).max() > BROKEN
    (verdict,) = flows.check(run)
    assert (verdict.claim, verdict.verdict) == ("layer_balance", "HOLDS")
    again = flows.load(run.save(tmp_path / "run.nc"))
    assert again.system == system
    assert np.array_equal(again["biases"], run["biases"])


def test_biases_of_zero_are_none():
    with_kernel = flows.TwoLayer(2, 2, activation="relu")
    trained = flows.TwoLayer(2, 2, activation="relu", biases=True)
    w = state_of(with_kernel, 5)
    truth = with_kernel.loss(w)
    state = np.column_stack([w, np.zeros(2)])
    assert abs(trained.loss(state) - truth) < RELATIVE * truth
    slope = trained.gradient(state)[:, :2]
    assert np.abs(slope - with_kernel.gradient(w)).max() < RELATIVE
    assert flows.TwoLayer(2, 2, teacher_biases=[0, 0]) == with_kernel
    assert "biases" not in with_kernel.parameters


def test_members_of_an_ensemble_are_runs():
    system = system_of("tanh", trained=False)
    starts = np.stack([state_of(system, seed) / 2 for seed in (6, 7)])
    found = flows.integrate_ensemble(system, starts, t_end=2.0)
    for k, start in enumerate(starts):
        run = flows.integrate(system, start, t_end=2.0)
        assert abs(found["loss"][k, -1] - run["loss"][-1]) < FLOWS * run["loss"][-1]


def test_the_derivation_is_of_this_loss_or_of_all_layers():
    names = [d.name for d in system_of("tanh", trained=False, students=1).derive().derivations]
    assert names[:2] == ["gradient", "Hessian"]
    closed = system_of("relu", trained=False, students=1).derive().verify()
    assert closed.derivations[0].name == "expectations in closed form"
    shown = {str(step.evidence) for d in closed.derivations for step in d.steps}
    assert not shown & {"REFUTED", "OPEN"}
    assert len(flows.TwoLayer(2, 2).derive().derivations) > len(closed.derivations)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"teacher_biases": [0.1]}, "teacher_biases: expected 2 numbers, one a teacher, got 1"),
        ({"teacher_biases": 0.1}, "teacher_biases must be a list of 2 numbers"),
        ({"teacher_biases": [np.inf, 0]}, "teacher_biases must be numbers of size 1e[+]50 or less"),
        ({"biases": 1}, "biases must be true or false, got 1"),
        ({"activation": "cosh"}, "activation: expected relu, erf, quadratic, tanh, sigmoid"),
    ],
)
def test_bad_biases_are_refused_in_one_line(given, said):
    with pytest.raises(InputError, match=said):
        flows.TwoLayer(2, 2, **given)


def test_what_has_no_proof_and_no_gradient_is_refused():
    system = system_of("relu", d=2, trained=False)
    at = np.column_stack([np.array(system.teachers), system.teacher_biases])
    with pytest.raises(InputError, match="no proof of critical points of neurons with biases"):
        flows.stationary(system, at).certify()
    for state in (np.zeros((2, 3)), [[0, 0, 0.0], [1, 1, 1]]):
        with pytest.raises(InputError, match="no gradient where a student is zero"):
            system.gradient(state)
        with pytest.raises(InputError, match="no student that is zero"):
            system.check_start(state)
    assert np.isfinite(system.gradient([[0, 0, 0.5], [1, 1, 1]])).all()
