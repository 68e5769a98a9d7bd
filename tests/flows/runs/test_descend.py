"""Gradient descent: the discrete algorithm, its limit and its ends."""

import sys

import numpy as np
import pytest
from mpmath import mp
from oracles import relu_neuron as oracle

from flows.core.errors import InputError
from flows.runs.descend import descend
from flows.runs.integrate import integrate
from flows.runs.load import load
from flows.runs.rates import local_exponent
from flows.runs.request import step_counts
from flows.systems.relu_neuron.system import ReLUNeuron

# Rounding of a few dozen steps of numbers of order one.
ROUNDING = 1e-14
# The loss of a hundred steps carries a few roundings of its own as well.
LOSS_ROUNDING = 1e-13
# Errors of first order halve with the step: a ratio of 2 up to the next order, which is a tenth.
HALVES = pytest.approx(2.0, rel=0.1)
# After 2500 units of time the exponent has come this near to -3 (corrections of order n/t^(1/3)).
NEAR_MINUS_THREE = pytest.approx(-3.0, abs=0.1)

COLLAPSING = [[-0.02, 0.001, 0.0], [1.2, 0.1, 0.2], [0.5, 0.3, -0.1]]


def plain(system, start, step_size, steps):
    """Gradient descent in NumPy, on the user's parameters."""
    w = np.array(start, dtype=float)
    for _ in range(steps):
        w = w - step_size * system.gradient(w)
    return w


def exactly(system, start, step_size, steps):
    """Losses after every number of steps, with 40 digits."""
    with mp.workdps(40):
        teacher = list(system.teacher)
        w = [[mp.mpf(float(x)) for x in row] for row in start]
        losses = [oracle.loss(w, teacher, 40)]
        for _ in range(steps):
            slopes = oracle.gradient(w, teacher, 40)
            w = [
                [x - mp.mpf(step_size) * g for x, g in zip(row, slope, strict=True)]
                for row, slope in zip(w, slopes, strict=True)
            ]
            losses.append(oracle.loss(w, teacher, 40))
    return losses


TEACHERS = [None, (0.3, -1.5, 2.0)]


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize(
    "start",
    [
        np.random.default_rng(1).normal(size=(3, 3)),  # the direct chart
        [[0.5, 0.1, 0.0], [0.3, -0.1, 0.1], [0.3, 0.1, 0.1]],  # the residual chart
        [[0.2, 0.1, 0.1], [0.2, 0.1, 0.1], [0.1, -0.2, 0.3]],  # coincident neurons
        [[0.0, 0.0, 0.0], [0.4, 0.1, 0.0], [0.4, -0.1, 0.3]],  # a neuron at zero: gradient zero
        COLLAPSING,
    ],
)
def test_it_takes_the_steps_of_plain_gradient_descent(start, teacher):
    system = ReLUNeuron(3, 3, teacher)
    run = descend(system, start, step_size=0.2, steps=40)
    expected = plain(system, start, 0.2, 40)
    size = np.linalg.norm(system.teacher)
    assert run.completed and run.t[-1] == pytest.approx(8.0)
    assert run.state[-1] == pytest.approx(expected, abs=ROUNDING * size)
    assert run.state[-1] != pytest.approx(plain(system, start, 0.2, 39), abs=ROUNDING * size)


@pytest.mark.parametrize("step_size", [0.1, 0.9])
@pytest.mark.parametrize(
    "start",
    [
        [[-0.05], [0.7], [0.1], [0.0]],  # opposed, and crosses the zero
        [[0.7], [0.8], [0.01], [0.02]],  # too much: small ones turn around
        [[-0.3], [-0.3], [-0.2], [-0.01]],  # all opposed
    ],
)
def test_neurons_along_the_teacher_step_across_zero_like_any_other(start, step_size):
    system = ReLUNeuron(4, 1)
    run = descend(system, start, step_size, steps=30)
    assert run.state[-1] == pytest.approx(plain(system, start, step_size, 30), abs=ROUNDING)


@pytest.mark.parametrize("n", [1, 2])
def test_the_loss_of_the_tail_keeps_its_digits(n):
    system = ReLUNeuron(n, 3)
    start = system.initial(0.1, seed=0)
    run = descend(system, start, step_size=0.3, steps=200)
    losses = exactly(system, start, 0.3, 200)
    truth = np.array([float(losses[k]) for k in step_counts(200)])
    assert run["loss"] == pytest.approx(truth, rel=LOSS_ROUNDING, abs=0)
    assert run["loss"][-1] != pytest.approx(float(losses[199]), rel=LOSS_ROUNDING, abs=0)
    # Rounded parameters no longer know a loss of 1e-27: this is what the charts are for.
    rounded = system.loss(run.state[-1])
    assert n > 1 or rounded != pytest.approx(truth[-1], rel=1e-2, abs=0)


def order(system, start, t_end, step_size):
    """Ratio of the errors in the loss of a step size and its half."""
    limit = integrate(system, start, t_end, t_eval=[t_end])["loss"][-1]
    errors = [
        descend(system, start, eta, round(t_end / eta))["loss"][-1] - limit
        for eta in (step_size, step_size / 2)
    ]
    return errors[0] / errors[1]


def test_halving_the_step_halves_the_distance_to_the_flow():
    system = ReLUNeuron(3, 5)
    assert order(system, system.initial(0.1, seed=0), 10.0, 0.02) == HALVES


def test_through_a_collapse_it_converges_to_the_continued_flow_at_first_order():
    system = ReLUNeuron(3, 3)
    flow = integrate(system, COLLAPSING, 4.0, t_eval=[4.0])
    assert [e.kind for e in flow.events] == ["collapse"]
    assert order(system, COLLAPSING, 4.0, 0.01) == HALVES
    # The neuron that is at zero in the flow chatters at the size of the step.
    stray = [
        np.linalg.norm(descend(system, COLLAPSING, eta, round(4 / eta)).state[-1, 0])
        for eta in (0.04, 0.01, 0.0025)
    ]
    assert all(0 < x < eta for x, eta in zip(stray, (0.04, 0.01, 0.0025), strict=True))


@pytest.mark.parametrize("n", [2, 5])
def test_more_than_one_neuron_decays_like_the_third_power(n):
    system = ReLUNeuron(n, 5)
    run = descend(system, system.initial(0.1, seed=0))
    assert run.t[-1] == pytest.approx(2500.0)
    assert local_exponent(run)[-1] == NEAR_MINUS_THREE


def test_one_neuron_decays_linearly():
    system = ReLUNeuron(1, 5)
    run = descend(system, system.initial(0.1, seed=0), steps=2_000)
    # Not a power: over a third of the time the exponent -t/2 (or -t) grows with it.
    early, late = local_exponent(run)[[-6, -1]]
    assert late / early == pytest.approx(run.t[-1] / run.t[-6], rel=0.05)
    assert late != NEAR_MINUS_THREE


def test_a_step_that_is_too_large_is_reported_as_divergence():
    start = [[0.5, 0.1, 0.0], [0.2, -0.1, 0.1], [0.3, 0.1, 0.2]]
    run = descend(ReLUNeuron(3, 3), start, step_size=2.0, steps=5000)
    assert run.status == "nonfinite" and "smaller step_size" in run.message
    assert run.t[-1] < 2.0 * 5000 and np.isfinite(run["loss"]).all()
    assert len(run.t) == len(run["loss"]) and run["loss"][-1] > 1e50
    assert descend(ReLUNeuron(3, 3), start, step_size=0.5, steps=5000).completed


def test_an_interrupt_keeps_what_is_done(monkeypatch):
    system = ReLUNeuron(2, 3)
    start = system.initial(0.1, seed=0)
    whole = descend(system, start, steps=1000)
    module = sys.modules["flows.runs.descend"]
    compiled, calls = module._advance, iter(range(20))

    def interrupted(field):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return compiled(field)

    monkeypatch.setattr(module, "_advance", interrupted)
    run = descend(system, start, steps=1000)
    assert (whole.status, run.status) == ("completed", "interrupted")
    assert 1 < len(run.t) < len(whole.t)
    assert np.array_equal(run["loss"], whole["loss"][: len(run.t)])


def test_it_is_a_trajectory_with_the_same_observables(tmp_path):
    system = ReLUNeuron(2, 3)
    start = system.initial(0.1, seed=0)
    run = descend(system, start, steps=100)
    assert run.names == integrate(system, start, 1.0).names
    assert all(np.isfinite(run[name]).all() for name in run.names)
    assert load(run.save(tmp_path / "run.nc"))["loss"] == pytest.approx(run["loss"], rel=0, abs=0)


@pytest.mark.parametrize("steps", [1, 2, 7, 50_000])
def test_recorded_step_counts_are_geometric_and_end_with_the_last(steps):
    counts = step_counts(steps)
    assert counts[0] == 0 and counts[-1] == steps and (np.diff(counts) > 0).all()
    later = counts[counts >= 10]
    assert (later[1:] / later[:-1] < 10**0.125).all()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("step_size", 0.0),
        ("step_size", -0.1),
        ("step_size", np.nan),
        ("step_size", np.inf),
        ("step_size", "0.1"),
        ("step_size", True),
        ("steps", 0),
        ("steps", -5),
        ("steps", 2.5),
        ("steps", True),
    ],
)
def test_bad_input_is_one_clear_line(option, value):
    with pytest.raises(InputError, match=option):
        descend(ReLUNeuron(1, 2), [[0.1, 0.2]], **{option: value})
