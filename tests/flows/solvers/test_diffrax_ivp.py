"""Runs and derivatives by diffrax: the same pieces, events and times as the CPU solvers."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import flows
from flows.arithmetic.arrays import field_of, value_of
from flows.core.errors import InputError
from flows.core.problem import Problem
from flows.runs.sensitivity import sensitivity
from flows.solvers import diffrax_ivp
from flows.solvers.choice import JAX_METHODS
from flows.solvers.traced import SelfSimilarField, arguments
from flows.systems.relu_neuron import definition, differentiable
from flows.systems.relu_neuron.pieces import NeuronPiece

SYSTEM = flows.ReLUNeuron(3, 3)
START = SYSTEM.initial(0.3, seed=2)
COLLAPSING = [[-0.02, 0.001, 0.0], [1.2, 0.1, 0.2], [0.5, 0.3, -0.1]]
# Promise of integrate: at rtol 1e-10 the loss is right to 1e-8 at every output time.
PROMISED = 1e-8
# Rounding of a field whose terms cancel to a thousandth.
FIELD = 1e-12
# Late, the residual's field is what a sum of size 1/t leaves, times t: XLA keeps fewer digits.
LATE = 1e-5
# Central differences of fourth order with step 1e-4 of runs that are right to 1e-11.
QUOTIENT = 1e-6


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def truth():
    return flows.integrate(SYSTEM, START, 1e12, method="LSODA", rtol=1e-12)


def error(run, truth):
    return float(np.abs(run["loss"] / truth["loss"] - 1).max())


@pytest.mark.parametrize("method", JAX_METHODS)
def test_every_method_keeps_the_promise_of_its_tolerance_to_1e12(method, truth):
    rtol = 1e-8 if method == "diffrax-kvaerno3" else 1e-10  # many steps of third order at 1e-10
    run = flows.integrate(SYSTEM, START, 1e12, method=method, rtol=rtol)
    assert truth.completed and run.completed
    assert np.array_equal(run.t, truth.t)
    assert error(run, truth) < PROMISED
    assert run.stats["pieces"] == truth.stats["pieces"]
    assert run.stats["steps"] < 8000
    loose = flows.integrate(SYSTEM, START, 1e12, method=method, rtol=1e-4)
    assert loose.completed and error(loose, truth) > PROMISED


def test_a_collapse_is_the_same_event_at_the_same_time():
    run, truth = (
        flows.integrate(SYSTEM, COLLAPSING, 1e6, method=m, rtol=1e-9)
        for m in ("diffrax-kvaerno5", "BDF")
    )
    assert run.completed
    assert [e.detail for e in run.events] == [e.detail for e in truth.events]
    assert run.events[0].kind == "collapse"
    assert run.events[0].time == pytest.approx(truth.events[0].time, rel=1e-6)
    assert error(run, truth) < 1e-6


def test_a_neuron_that_leaves_zero_is_followed_from_its_first_moment():
    start = [[0.0, 0.0, 0.0], *START[:2].tolist()]
    run, truth = (
        flows.integrate(SYSTEM, start, 10.0, method=m, rtol=r)
        for m, r in (("diffrax-kvaerno5", 1e-10), ("Radau", 1e-12))
    )
    assert run.events[0].kind == truth.events[0].kind == "departure"
    assert error(run, truth) < PROMISED


def test_neurons_along_the_teacher_decay_with_relative_accuracy():
    start = [[0.1, 0, 0], [0.2, 0, 0], [0.3, 0, 0]]
    methods = ("diffrax-kvaerno5", "LSODA")
    run, truth = (flows.integrate(SYSTEM, start, 1e6, method=m) for m in methods)
    # The loss exp(-3 t) leaves the range of doubles; until then every digit is right.
    seen = truth["loss"] > 1e-250
    assert run.completed and 0 < truth["loss"][seen][-1] < 1e-200
    assert run["loss"][seen] == pytest.approx(truth["loss"][seen], rel=1e-8, abs=0)


def test_a_run_out_of_steps_says_so_and_keeps_what_it_has(truth):
    run = flows.integrate(SYSTEM, START, 1e12, method="diffrax-kvaerno5", max_steps=70)
    assert run.status == "step_budget" and run.stats["steps"] == 70
    assert 5 < len(run.t) < len(truth.t)
    assert run["loss"] == pytest.approx(truth["loss"][: len(run.t)], rel=PROMISED)


def test_an_interrupt_keeps_what_is_done(monkeypatch):
    calls = 0
    watch = NeuronPiece.watch

    def watched(self, rtol):
        given = watch(self, rtol)

        def alarm(tau, y):
            nonlocal calls
            calls += 1
            if calls == 100:
                raise KeyboardInterrupt
            return given.alarm(tau, y)

        return replace(given, alarm=alarm)

    monkeypatch.setattr(NeuronPiece, "watch", watched)
    run = flows.integrate(SYSTEM, START, 1e12, method="diffrax-kvaerno5")
    assert run.status == "interrupted" and len(run.t) > 5


def test_a_field_that_is_not_a_number_ends_a_run_with_the_status_of_a_failure():
    frame, state = SYSTEM.reduce(START)
    chart = SYSTEM.piece(frame, state, 0.0).chart
    problem = Problem(
        chart.rhs,
        chart.jacobian,
        0.0,
        chart.y0,
        np.array([0.5, 1.0]),
        1e-8,
        np.full(chart.x0.size, 1e-10),
        10_000,
        chart=chart,
    )

    def linear(factor):
        field = decay, np.asarray(factor)
        return diffrax_ivp.solve_many([problem], "diffrax-kvaerno5", lambda chart: field)[0]

    failed, fine = linear(np.nan), linear(-1.0)
    assert (failed.status, len(failed.states)) == ("solver_failed", 0)
    assert "in a row were refused" in failed.message and "\n" not in failed.message
    assert (fine.status, len(fine.states)) == ("completed", 2)


def decay(x, factor):
    return factor * x


@pytest.mark.parametrize("t", [0.0, 50.0, 1e9], ids=["direct", "residual", "late"])
def test_field_and_jacobian_are_those_of_the_compiled_chart(t):
    frame, state = SYSTEM.reduce(START)
    if t:
        run = flows.integrate(SYSTEM, START, t, t_eval=[t])
        frame, state = run.frame, run.states.at(-1)
    chart = SYSTEM.piece(frame, state, t).chart
    raw, numbers = differentiable.raw_field(chart)
    field = SelfSimilarField(raw, chart.clock.exponential)
    given = (0.5, chart.y0, arguments(chart.clock, numbers))
    slope, matrix = jax.jit(field)(*given), jax.jit(jax.jacfwd(field, 1))(*given)
    truth = chart.rhs(0.5, chart.y0)
    jacobian = chart.jacobian(0.5, chart.y0)
    known = FIELD if t < 1e3 else LATE
    assert slope == pytest.approx(truth, rel=0, abs=known * np.abs(truth).max())
    assert np.abs(matrix - jacobian).max() < known * np.abs(jacobian).max()
    assert np.abs(slope - chart.rhs(0.6, chart.y0)).max() > 1e-3 * np.abs(truth).max()
    shape = tuple(map(int, chart.shape))
    loss = float(value_of(definition.define_loss, definition.sizes, shape)(chart.x0, numbers))
    if t < 1e3:  # later the user's coordinates do not carry the loss
        assert loss == pytest.approx(SYSTEM.loss(SYSTEM.restore(frame, state)), rel=1e-10)
    else:
        assert loss == pytest.approx(run["loss"][-1], rel=1e-10)


def test_residual_blocks_lead_back_to_the_neurons():
    mu = np.array([2.0, 1.0, 1.0, -1.0])
    blocks = np.asarray(differentiable.residual_blocks(START, mu)).reshape(START.shape)
    others = (np.eye(1, START.shape[1])[0] + blocks[0]) / mu[:-1].sum() + blocks[1:]
    assert others == pytest.approx(START[1:], rel=1e-14, abs=1e-15)
    first = blocks[0] + np.eye(1, START.shape[1])[0] - mu[1:-1] @ others
    assert first / mu[0] == pytest.approx(START[0], rel=1e-14, abs=1e-15)


def test_aligned_neurons_leave_every_derivative_finite():
    # Two on one line, and one on the teacher's; opposite ones meet the field's kink.
    aligned = np.array([0.5, 0.25, 0.25, 0.125, 0.1, 0.0])
    weights = np.array([1.0, 1.0, 1.0, -1.0])
    field = field_of(definition.define, definition.sizes, (3, 1, definition.DIRECT))

    @jax.jit
    def derivatives(x):
        first = jax.jacfwd(field)
        return first(x, weights), jax.jacfwd(first)(x, weights)

    assert all(np.isfinite(d).all() for d in derivatives(aligned))
    assert not np.isfinite(derivatives(np.nan * aligned)[0]).all()


def test_bad_requests_are_refused_with_one_line_that_says_what_to_do():
    with jax.enable_x64(False):
        with pytest.raises(InputError, match=r"JAX_ENABLE_X64=1 .*jax\.config\.update") as narrow:
            flows.integrate(SYSTEM, START, 1.0, method="diffrax-kvaerno5")
        with pytest.raises(InputError, match="JAX_ENABLE_X64=1"):
            sensitivity(SYSTEM, START, 1.0)
    other = flows.GMMEM(2, 2)
    with pytest.raises(InputError, match="no field of gmm_em") as foreign:
        flows.integrate(other, other.initial(), 1.0, method="diffrax-kvaerno5")
    with pytest.raises(InputError, match="no run of gmm_em that JAX differentiates"):
        sensitivity(other, other.initial(), 1.0)
    assert "\n" not in str(narrow.value) + str(foreign.value)


def test_a_cpu_run_imports_no_jax_and_nobody_switches_its_precision():
    program = (
        "import sys, flows; s = flows.ReLUNeuron(1, 2); w = s.initial(0.1)\n"
        "flows.integrate(s, w, 1.0); print('jax' in sys.modules)\n"
        "try: flows.integrate(s, w, 1.0, method='diffrax-kvaerno5')\n"
        "except flows.InputError: print('refused')\n"
        "import jax; print(jax.config.read('jax_enable_x64'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.split() == ["False", "refused", "False"]


@pytest.mark.parametrize("t", [10.0, 1e9])
def test_the_gradient_by_the_start_is_the_difference_quotient(t):
    system = flows.ReLUNeuron(3, 4, teacher=[0.3, -1.2, 0.7, 0.1])
    start = system.initial(0.3, seed=2)
    along = np.random.default_rng(1).normal(size=start.shape)
    h = 1e-4

    def loss(s):
        moved = start + s * h * along
        return flows.integrate(system, moved, t, t_eval=[t], method="LSODA", rtol=1e-12)["loss"][-1]

    quotient = (loss(-2) - 8 * loss(-1) + 8 * loss(1) - loss(2)) / (12 * h)
    found = sensitivity(system, start, t)
    assert found.status == "completed"
    assert found.loss == pytest.approx(loss(0), rel=PROMISED)
    assert np.sum(found.gradient * along) == pytest.approx(quotient, rel=QUOTIENT, abs=0)
    # The control: one entry too large by a thousandth would be seen.
    entry = np.unravel_index(np.abs(found.gradient * along).argmax(), start.shape)
    found.gradient[entry] *= 1.001
    assert np.sum(found.gradient * along) != pytest.approx(quotient, rel=QUOTIENT, abs=0)


def test_no_gradient_is_given_past_a_collapse():
    with pytest.raises(InputError, match=r"not differentiable .* reached zero"):
        sensitivity(SYSTEM, COLLAPSING, 10.0)
