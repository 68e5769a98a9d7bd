"""Neurons whose flow magnifies errors of steps: what is stated covers them."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import scipy.linalg

import flows
from flows.runs.tolerance import ERROR_FACTOR
from flows.solvers import rodas_tableau as tableau
from flows.systems.relu_neuron import asked, charted, features, geometry, growth, system, variation

RTOL, TIGHT, END = 1e-8, 1e-11, 1e4
# Neurons, dimension, scale and member of laws of 400 with the seed 30.
CASES = {
    "a far neuron leaves an unstable direction slowly": (2, 2, 0.1, 361),
    "a far neuron comes within 1e-10 of the axis": (2, 2, 0.1, 188),
    "a far neuron crosses the axis": (2, 2, 1.0, 11),
    "a neuron ends beside zero": (2, 2, 1.0, 80),
    "transverse parts fall together": (2, 2, 0.1, 111),
    "a short neuron is known as well as its mean": (2, 2, 1.0, 100),
}
# What is stated says something: it is this many times the error at most.
TELLING = 300.0
# Errors of ordinary runs are a tenth of what is stated, and less.
TENTH = 0.1
# A loss of an ordinary run is known to this.
USUAL = ERROR_FACTOR * RTOL


def started(case):
    n, d, scale, member = case
    neurons = flows.ReLUNeuron(n, d)
    return neurons, flows.Law(400, scale, seed=30).start(neurons, member)


def off_and_stated(case):
    """Errors of the losses against another method, and what is stated, relative to them."""
    neurons, start = started(case)
    run = flows.integrate(neurons, start, END, method="Rodas5P", rtol=RTOL)
    truth = flows.integrate(neurons, start, END, method="CVODE", rtol=TIGHT)
    return np.abs(run["loss"] / truth["loss"] - 1), run.errors("loss")


@pytest.mark.parametrize("case", CASES)
def test_what_is_stated_covers_errors_that_grow(case, monkeypatch):
    off, stated = off_and_stated(CASES[case])
    assert (off <= stated).all() and stated.max() < TELLING * off.max()
    # The tolerance alone would state too little.
    assert off.max() > USUAL * (1 + 1e-3)


def test_ordinary_runs_state_what_they_did():
    for n, d, seed in ((2, 2, 0), (3, 5, 0), (4, 3, 1)):
        neurons = flows.ReLUNeuron(n, d)
        run = flows.integrate(neurons, neurons.initial(0.1, seed), 1e6, rtol=RTOL)
        assert (run.tolerance == USUAL).all()
        assert not (run.feature_errors["distance"] > USUAL * run.features["distance"])[-30:].any()


DECADES = [10.0**k for k in range(-3, 5)]


@pytest.mark.parametrize("case", [(0.1, 40, 220), (1.0, 30, 52)])
def test_few_outputs_state_what_many_do(case):
    scale, seed, member = case
    neurons = flows.ReLUNeuron(2, 2)
    start = flows.Law(400, scale, seed=seed).start(neurons, member)
    few, many, truth = (
        flows.integrate(neurons, start, END, times, method="Rodas5P", rtol=rtol)
        for times, rtol in ((DECADES, 1e-6), (None, 1e-6), (DECADES, 1e-12))
    )
    same = [np.argmin(np.abs(many.t - t)) for t in few.t]
    for name in ("loss", "h", "norms", "pairwise_distance"):
        stated, usual = few.absolute_errors(name), many.absolute_errors(name)[same]
        assert (np.abs(few[name] - truth[name]) <= stated).all()
        assert ((stated <= 2 * usual) & (usual <= 2 * stated)).all()
    # From one output to the next too little would be stated.
    alone = dataclasses.replace(few, followed=None)
    assert (np.abs(few["loss"] - truth["loss"]) > alone.absolute_errors("loss")).any()


def test_a_neuron_that_has_died_may_do_so_later(monkeypatch):
    (scale, seed, member), rtol, end = (1.0, 31, 42), 1e-4, END
    neurons = flows.ReLUNeuron(3, 2)
    start = flows.Law(400, scale, seed=seed).start(neurons, member)
    run = flows.integrate(neurons, start, end, method="Rodas5P", rtol=rtol)
    truth = flows.integrate(neurons, start, end, method="Rodas5P", rtol=1e-12)
    dead = run["norms"] == 0
    assert (dead & (truth["norms"] > 0)).any()
    for name in ("h", "norms", "pairwise_distance", "residual_projection", "angle_max"):
        assert (np.abs(run[name] - truth[name]) <= run.absolute_errors(name)).all(), name
    # It is dead for sure some time later.
    assert not (run.feature_errors["norm"][-1][dead[-1]] > 0).any()
    assert np.isfinite(run.absolute_errors("angle_max")[-1])
    monkeypatch.setattr(variation, "_late", lambda dead, velocity, t, errors, rtol: 0 * errors)
    anew = dataclasses.replace(run)
    for name in ("h", "norms"):
        assert (np.abs(run[name] - truth[name]) > anew.absolute_errors(name)).any(), name


def test_a_neuron_that_dies_is_off_for_as_long_as_it_takes_to_go_so_far():
    t, dead = np.arange(6.0), np.zeros((6, 2), dtype=bool)
    dead[3:, 1] = True
    velocity, errors = np.zeros((6, 2, 2)), np.ones((6, 2, 2))
    velocity[2, 1], errors[2, 1] = (-0.6, 0.8), (3.0, 4.0)
    # It is off by 2 at the first output, and goes at a speed of 1, of which a half is counted on.
    found = variation._late(dead, velocity, t, errors, 2.0 / 5.0 / variation.STEPS)
    assert found[3:, 1] == pytest.approx(errors[2, 1] * np.array([1.0, 0.75, 0.5])[:, None])
    faster = variation._late(dead, 4 * velocity, t, errors, 2.0 / 5.0 / variation.STEPS)
    assert faster[4:, 1] == pytest.approx(0)


@pytest.mark.parametrize(
    ("case", "name", "least"),
    [
        ((2, 2, 0.3, 27), "h", 10.0),
        ((2, 2, 0.1, 47), "h", 5.0),
        ((2, 2, 0.3, 165), "z_norms", 5.0),
        ((2, 2, 0.1, 68), "pairwise_distance", 10.0),
        ((3, 2, 0.3, 146), "z_norms", 10.0),
        ((2, 2, 1.0, 100), "z_norms", 5.0),
        ((3, 2, 0.1, 113), "h", 5.0),
        ((3, 2, 0.3, 124), "h", 10.0),
    ],
)
def test_what_passes_by_zero_is_not_known_relative_to_itself(case, name, least):
    neurons, start = started(case)
    run = flows.integrate(neurons, start, 10.0, method="Rodas5P", rtol=RTOL)
    truth = flows.integrate(neurons, start, 10.0, method="Radau", rtol=TIGHT)
    off = np.abs(run[name] - truth[name])
    assert (off <= run.absolute_errors(name)).all()
    assert (off > least * USUAL * np.abs(run[name])).any()  # more than the tolerance of itself


NAMES = ("h", "z_norms", "norms", "pairwise_distance", "residual_projection")


@pytest.mark.parametrize("known", [True, False])
def test_neurons_below_all_doubles_are_not_known(known, monkeypatch):
    if not known:
        monkeypatch.setattr(features, "_vanished", lambda features: {})
    neurons, start = started((2, 2, 1.0, 86))
    one, other = (
        flows.integrate(neurons, start, 1e6, method=m, rtol=RTOL) for m in ("auto", "Rodas5P")
    )
    assert one["loss"][-1] == 0.0
    covered = [
        (np.abs(one[x] - other[x]) <= one.absolute_errors(x) + other.absolute_errors(x)).all()
        for x in NAMES
    ]
    assert all(covered) == known


# --- the equation that is carried ----------------------------------------------------------------


def carried_linearly(steps, sense=1.0):
    """Errors of a linear flow from first ones alone, at each output; what they are by expm."""
    rng = np.random.default_rng(3)
    size, times = 4, np.linspace(0.0, 2.0, steps + 1)
    matrix = rng.normal(size=(size, size))
    matrix = (matrix + matrix.T) / 2
    rates, modes = np.linalg.eigh(sense * matrix)
    half = np.full((steps + 1, 1), times[1] / 2)
    each = np.exp(rates * half)
    seen_by = rng.normal(size=size)
    vectors, errors = np.zeros((5, steps + 1, size)), np.zeros((steps + 1, size, size))
    # No velocity and nothing that is left: no solution is known beforehand.
    vectors[2], vectors[3], errors[0] = seen_by, 1.0, np.diag((1.0, 2.0, 0.5, 1e-9))
    seen, parts = np.zeros((steps + 1, 2)), np.zeros((steps + 1, size))
    every = np.repeat(modes[None], steps + 1, axis=0)
    variation._carrying()(every, each, each, vectors, errors, seen, parts)
    moved = scipy.linalg.expm(matrix * times[-1]) * np.diag(errors[0])
    return seen[-1, 1], parts[-1], np.linalg.norm(seen_by @ moved), np.linalg.norm(moved, axis=1)


def test_errors_of_a_linear_flow_are_those_of_its_exponential():
    seen, parts, true, each = carried_linearly(20)
    assert seen == pytest.approx(true, rel=1e-12) and parts == pytest.approx(each, rel=1e-12)
    assert carried_linearly(20, sense=1.001)[0] != pytest.approx(true, rel=1e-4)


def test_a_known_solution_is_carried_as_it_is():
    # Nothing of the Jacobian: an error along the velocity stays along it, whatever it does.
    size, times = 3, 4
    velocity = np.random.default_rng(1).normal(size=(times, size))
    vectors, errors = np.zeros((5, times, size)), np.zeros((times, size, size))
    vectors[0], vectors[2], vectors[3] = velocity, velocity, 1.0
    errors[0] = np.diag(np.abs(velocity[0]))
    still, one = np.tile(np.eye(size), (times, 1, 1)), np.ones((times, size))
    seen, parts = np.zeros((times, 2)), np.zeros((times, size))
    variation._carrying()(still, one, one, vectors, errors, seen, parts)
    # Three errors, a component each: in their units the velocity is (1, 1, 1) up to signs.
    sign = np.sign(velocity[0])
    whole = np.eye(size) - np.outer(sign, sign) / 3
    for k in range(1, 2):
        errors = np.diag(np.abs(velocity[0])) @ whole + np.outer(velocity[k], sign) / 3
        assert seen[k, 1] == pytest.approx(np.linalg.norm(velocity[k] @ errors), rel=1e-12)
        assert parts[k] == pytest.approx(np.linalg.norm(errors, axis=1), rel=1e-12)


def test_the_jacobian_is_that_of_the_gradient():
    neurons = flows.ReLUNeuron(3, 3)
    start = neurons.initial(0.5, 4)
    frame, state = neurons.reduce(start)
    states = state.at(None)
    rest, beside = charted.rest_of(frame.multiplicity, states)
    (found,) = variation._jacobians(frame.multiplicity, states, rest, beside)
    basis = np.column_stack([frame.teacher, frame.basis])
    turn = np.kron(np.eye(3), basis)
    assert found == pytest.approx(-turn.T @ neurons.hessian(start) @ turn, abs=1e-12)


def test_without_the_equation_less_would_be_stated(monkeypatch):
    monkeypatch.setattr(system, "growth", lambda frame, states, loss, t, rtol: np.zeros(len(t)))
    off, stated = off_and_stated(CASES["a far neuron crosses the axis"])
    assert (off > stated).any()


# --- what steps leave ----------------------------------------------------------------------------


@functools.cache
def reached(case):
    """A run and a truer one."""
    neurons, start = started(case)
    return (
        flows.integrate(neurons, start, 25.0, method="Rodas5P", rtol=RTOL),
        flows.integrate(neurons, start, 25.0, method="Radau", rtol=TIGHT),
    )


def uncovered(case, name):
    """Largest error of a run in units of what is stated."""
    run, truth = reached(case)
    anew = dataclasses.replace(run)  # without what has been stated before
    off = np.abs(run[name] - truth[name])
    return np.max(off[1:] / anew.absolute_errors(name)[1:])


def relative_to_neurons(multiplicity, states, velocity, left, alone, t, rtol):
    """Errors as if each part of a neuron were known relative to itself."""
    neurons = np.concatenate([states.h[..., None], states.z], axis=-1)
    varied = np.minimum(np.abs(neurons), t[..., None, None] * np.abs(velocity))
    shape = neurons.shape[-2:]
    return (varied.reshape(-1, math.prod(shape), 1) * np.eye(math.prod(shape))).reshape(
        *t.shape, *shape, *shape
    )


def test_errors_of_several_runs_are_those_of_each(monkeypatch):
    neurons, cases = flows.ReLUNeuron(2, 2), [11, 27, 118]  # losses at zero, and above it
    runs = [flows.integrate(neurons, neurons.initial(0.3, k), END, rtol=RTOL) for k in cases]
    frame, t = runs[0].frame, np.stack([run.t for run in runs])
    states = type(runs[0].states).join([run.states.at(None) for run in runs])
    losses = np.stack([run["loss"] for run in runs])
    monkeypatch.setattr(growth, "FALLEN", np.inf)  # of all
    monkeypatch.setattr(variation, "TOGETHER", 1500)  # some in one go, and not all
    many = growth.growth(frame, states, losses, t, RTOL)
    each = [growth.growth(frame, r.states, r["loss"], r.t, RTOL) for r in runs]
    assert np.array_equal(many, each) and many.any(axis=1).all()
    assert not np.array_equal(many[0], many[1])


@pytest.mark.parametrize("name", ["z_norms", "pairwise_distance"])
def test_steps_are_asked_for_coordinates_of_charts(name, monkeypatch):
    case = CASES["a short neuron is known as well as its mean"]
    assert uncovered(case, name) <= 1
    monkeypatch.setattr(variation, "asked", relative_to_neurons)
    assert uncovered(case, name) > 1


@pytest.mark.parametrize(
    ("case", "name", "rtol"), [((3, 2, 1.0, 78), "h", 1e-6), ((3, 2, 1.0, 82), "h", 1e-5)]
)
def test_steps_across_vectors_that_pass_each_other_are_worse_than_they_seem(
    case, name, rtol, monkeypatch
):
    assert uncovered_loosely(case, name, rtol, 25.0) <= 1
    none = lambda neurons, *rest: np.zeros(neurons.shape, dtype=bool)  # noqa: E731
    monkeypatch.setattr(asked, "_passing", none)
    assert uncovered_loosely(case, name, rtol, 25.0) > 1


def off_and_seen(jumps, rate):
    """A step of y' = rate y + (t - s)_+^2 / 2: what it and its dense output are off, and seen."""
    u = np.zeros((tableau.STAGES, len(jumps)))
    for k, node in enumerate(tableau.NODES):
        slope = np.maximum(node - jumps, 0) ** 2 / 2 + rate * (tableau.A[k, :k] @ u[:k])
        u[k] = (slope + tableau.C[k, :k] @ u[:k]) / (1 / tableau.GAMMA - rate)
    slopes = tableau.DEFECT @ u / (1 / tableau.GAMMA - rate) / tableau.GAMMA
    end, off = tableau.M @ u, np.zeros(len(jumps))
    for s in np.linspace(0.02, 1.0, 50):
        inside = tableau.dense_output(
            s, 0 * end[:, None], end[:, None], (tableau.H @ u).T[:, :, None]
        )
        since = np.maximum(s - jumps, 0)
        # The integral of exp(rate (x - u)) u^2 / 2 over u up to x, to 1e-16.
        true = sum(rate**k * since ** (k + 3) / math.factorial(k + 3) for k in range(15))
        off = np.maximum(off, np.abs(inside[:, 0] - true))
    return off, np.maximum(np.abs(u[-1]), np.abs(slopes))


@pytest.mark.parametrize("rate", [0.0, -0.1, -0.3, -1.0])
def test_no_step_across_a_jump_is_off_by_more_than_is_counted(rate):
    off, seen = off_and_seen(np.linspace(0, 1, 2001)[1:-1], rate)
    assert np.max(off / seen) < asked.PASSING_BY
    assert rate < -0.2 or np.max(off / seen) > asked.PASSING_BY - 0.3


def test_a_long_step_is_wrong_far_before_vectors_pass_each_other(monkeypatch):
    # The step from 2.6 to beyond 3.28, where the axis is passed, is three times as long as usual.
    neurons, times = flows.ReLUNeuron(2, 2), np.linspace(2.5, 3.4, 19)
    start = [[0.5608587827395549, 1.3336556841689484], [-0.2892263293512508, 0.6704088445244603]]
    truth = flows.integrate(neurons, start, 3.4, times, method="Radau", rtol=TIGHT)

    def part():
        run = flows.integrate(neurons, start, 3.4, times, method="Rodas5P", rtol=1e-9)
        return np.max(
            (np.abs(run["z_norms"] - truth["z_norms"]) / run.absolute_errors("z_norms"))[1:]
        )

    assert part() < TENTH
    monkeypatch.setattr(asked, "AHEAD", 1.0)
    assert part() > 5 * TENTH


@pytest.mark.parametrize(
    ("case", "rtol"), [((2, 2, 7), 1e-8), ((2, 2, 119), 1e-10), ((2, 2, 118), 1e-10)]
)
def test_steps_whose_estimates_vanish_are_not_taken(case, rtol):
    # By their last stages alone these runs were off by 20, 1.7 and 2.5 times what they state.
    n, d, member = case
    neurons = flows.ReLUNeuron(n, d)
    start = flows.Law(400, 1.0, seed=31).start(neurons, member)
    run = flows.integrate(neurons, start, END, method="Rodas5P", rtol=rtol)
    truth = flows.integrate(neurons, start, END, method="Rodas5P", rtol=1e-12)
    for name in ("loss", *NAMES):
        assert (np.abs(run[name] - truth[name]) <= run.absolute_errors(name)).all(), name


def test_errors_of_coordinates_are_those_of_neurons():
    # In a residual chart: neurons from the residual and their distances from the mean.
    neurons = flows.ReLUNeuron(3, 2)
    run = flows.integrate(neurons, neurons.initial(0.3, 1), 100.0, rtol=RTOL)
    mu, states = run.frame.multiplicity, run.states.at(slice(-1, None))
    velocity = -geometry.gradient(mu, states)
    rest, alone = charted.rest_of(mu, states)
    (found,) = asked.asked(mu, states, velocity, rest, alone, run.t[-1:], RTOL)
    first = np.argmax(mu * states.h[0])
    total = np.einsum("i,caib->cab", mu, found)
    for c in range(3):  # a distance from the mean leaves the sum of neurons, the residual moves it
        kept = total[c] if c != first else total[c] - np.diag(np.diag(total[c]))
        assert np.abs(kept).max() <= 1e-15 * np.abs(found[c]).max()
    assert (np.diag(total[first]) > 0).all()


def test_what_the_last_step_leaves_is_seen():
    size, ahead = 3, np.array([1.0, 2.0, 3.0])
    vectors, errors = np.zeros((5, 2, size)), np.zeros((2, size, size))
    vectors[2], vectors[3] = ahead, 1.0
    errors[1] = np.diag([0.1, 0.2, 0.0]) + 0.05
    still, one = np.tile(np.eye(size), (2, 1, 1)), np.ones((2, size))
    seen, parts = np.zeros((2, 2)), np.zeros((2, size))
    variation._carrying()(still, one, one, vectors, errors, seen, parts)
    assert seen[1, 1] == pytest.approx(np.linalg.norm(errors[1] @ ahead), rel=1e-12)
    assert parts[1] == pytest.approx(np.linalg.norm(errors[1], axis=0), rel=1e-12)


def test_errors_whose_squares_are_no_doubles_are_none_the_less():
    neurons, start = started((2, 2, 0.3, 11))
    run = flows.integrate(neurons, start, END, method="Rodas5P", rtol=RTOL)
    living = run["loss"] > growth.VANISHED
    found = variation.carried(run.frame, run.states, living, run.t, RTOL)
    assert run["loss"][living][-1] < 1e-270
    assert (found.across[living][1:] > 0).all()
    # Where the loss is below all doubles it is no better known than before.
    assert run.tolerance[-1] >= run.tolerance[living][-1] > USUAL * 0.999


# --- loose tolerances: longer steps, and what is hardly known -------------------------------------

AXIS, OPPOSITE = CASES["a far neuron crosses the axis"], (3, 2, 1.0, 78)
changes = asked._changes


@functools.cache
def loosely(case, rtol, end):
    """A run at a loose tolerance and a truer one."""
    neurons, start = started(case)
    return (
        flows.integrate(neurons, start, end, method="Rodas5P", rtol=rtol),
        flows.integrate(neurons, start, end, method="Radau", rtol=TIGHT),
    )


def uncovered_loosely(case, name, rtol, end):
    """Largest error of a run in units of what is stated."""
    run, truth = loosely(case, rtol, end)
    anew = dataclasses.replace(run)  # without what has been stated before
    off = np.abs(run[name] - truth[name])
    return np.max(off[1:] / anew.absolute_errors(name)[1:])


def seen_at_outputs(values, moved, span):
    """Passages that outputs show, and none that a step alone does."""
    return changes(values, 0 * moved, span._replace(reach=0.0))


def test_what_lies_across_known_solutions_that_nearly_agree_is_not_known_by_them(monkeypatch):
    monkeypatch.setattr(asked, "_changes", seen_at_outputs)  # or these alone would cover it
    assert uncovered_loosely(AXIS, "z_norms", 1e-5, 25.0) <= 1
    carry = variation._carrying()

    def without_defects(modes, leaving, arriving, vectors, *rest):
        vectors[4] = 0.0
        carry(modes, leaving, arriving, vectors, *rest)

    monkeypatch.setattr(variation, "_carrying", lambda: without_defects)
    assert uncovered_loosely(AXIS, "z_norms", 1e-5, 25.0) > 1


def test_steps_at_loose_tolerances_are_longer(monkeypatch):
    case = (3, 2, 1.0, 82)
    monkeypatch.setattr(asked, "AHEAD", 0.0)  # or passages that are seen would cover it
    assert uncovered_loosely(case, "h", 1e-5, 3.0) <= 1
    monkeypatch.setattr(asked, "AT", 1e-5)  # as long as they are at 1e-8
    assert uncovered_loosely(case, "h", 1e-5, 3.0) > 1


def test_steps_pass_what_no_output_shows(monkeypatch):
    # A step covers outputs before two pass each other.
    assert uncovered_loosely(OPPOSITE, "h", 1e-6, 1.0) <= 1
    monkeypatch.setattr(asked, "_changes", seen_at_outputs)
    assert uncovered_loosely(OPPOSITE, "h", 1e-6, 1.0) > 1


def test_a_loss_that_is_hardly_known_is_cubic_in_what_is(monkeypatch):
    # Where distances are off by a half, and the loss is like their cube.
    loss, off = np.full(1, 1e-20), 0.5
    first = 3 * off * loss / (growth.STEPS * RTOL)
    found = variation.Carried(first, 0 * loss, 0 * loss, 0 * loss)
    monkeypatch.setattr(growth, "carried", lambda *given: found)
    stated = lambda: RTOL * growth.growth(None, None, loss, np.zeros(1), RTOL)  # noqa: E731
    assert stated() == pytest.approx((1 + off) ** 3 - 1, rel=1e-12)
    monkeypatch.setattr(growth, "CUBIC", 1.0)  # to first order
    assert stated() < (1 + off) ** 3 - 1.5


def test_the_loss_of_neurons_that_leave_an_arrangement_late_is_off_by_more(monkeypatch):
    # Transverse parts on a line, two against one: `t^3 L` is 0.02 at t = 1e3, and grows.
    neurons = flows.ReLUNeuron(3, 2)
    start = flows.Law(400, 0.1, seed=40).start(neurons, 83)
    run = flows.integrate(neurons, start, END, method="Rodas5P", rtol=RTOL)
    truth = flows.integrate(neurons, start, END, method="Radau", rtol=1e-13)
    off = np.abs(run["loss"] - truth["loss"])[1:]
    assert (off <= dataclasses.replace(run).absolute_errors("loss")[1:]).all()
    monkeypatch.setattr(growth, "ASIDE", growth.FALLEN)
    assert (off / dataclasses.replace(run).absolute_errors("loss")[1:]).max() > 5
