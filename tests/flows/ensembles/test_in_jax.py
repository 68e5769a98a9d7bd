"""Ensembles in one JAX program: the rows of other methods, whatever is in the other lanes."""

import json
import operator
import pickle
from concurrent.futures import Executor, Future

import jax
import numpy as np
import pytest

import flows
from flows.cli.main import main
from flows.core.errors import InputError
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.run import load_ensemble
from flows.ensembles.starts import Law
from flows.solvers import diffrax_ivp, traced
from flows.systems.relu_neuron import differentiable

SYSTEM = flows.ReLUNeuron(3, 3)
LAW = Law(size=7, scale=0.3, seed=4)
STARTS = np.array([LAW.start(SYSTEM, k) for k in range(LAW.size)])
JAX = {"method": "diffrax-kvaerno5"}
# Few lanes compile as fast as many, and steps in them are cheap.
LANES = 8
LONG = {
    "t_end": 1e9,
    "observables": ("loss", "kappa_max"),
    "claims": ("gradient_lower", "distance_decay"),
}
SHORT = {"t_end": 30.0, "rtol": 1e-6}
# Promise of integrate: at rtol 1e-10 the loss is right to 1e-8 at every output time.
PROMISED = 1e-8
COLLAPSING = [[-0.02, 0.001, 0.0], [1.2, 0.1, 0.2], [0.5, 0.3, -0.1]]
FROM_ZERO = [[0.0, 0.0, 0.0], [0.5, 0.3, -0.1], [0.4, -0.2, 0.3]]
# Complaints of diffrax: the sign of the first step, and of no steps at all.
COMPLAINTS = 2
# Calls in which the first chunks end, and not all.
FEW_CALLS = 6
PARALLEL = [[0.1, 0.0, 0.0], [0.2, 0.0, 0.0], [0.3, 0.0, 0.0]]


@pytest.fixture(autouse=True)
def double_precision(monkeypatch):
    monkeypatch.setattr(diffrax_ivp, "CPU_LANES", LANES)
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def truth():
    return integrate_ensemble(SYSTEM, LAW, **LONG, method="LSODA", rtol=1e-12)


@pytest.fixture(scope="module")
def short():
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffrax_ivp, "CPU_LANES", LANES)
        return integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX)


def error(found, truth, name="loss"):
    """Largest relative difference over members and times."""
    return float(np.abs(found[name] / truth[name] - 1).max())


def same(one, other, rows=slice(None)):
    """Whether these rows of one ensemble are all rows of the other, bit for bit."""
    return all(one[name][rows].tolist() == other[name].tolist() for name in one.names)


def test_rows_are_those_of_another_method(truth):
    found = integrate_ensemble(SYSTEM, LAW, **LONG, **JAX)
    assert found.completed == truth.completed == 7
    assert np.array_equal(found.t, truth.t) and found.names == truth.names
    assert error(found, truth) < PROMISED and error(found, truth, "kappa_max") < PROMISED
    assert found["loss_exponent"] == pytest.approx(truth["loss_exponent"], rel=1e-6, abs=1e-9)
    for claim in LONG["claims"]:
        assert found[f"{claim}_verdict"].tolist() == truth[f"{claim}_verdict"].tolist()
        constants = found[f"{claim}_constant"], truth[f"{claim}_constant"]
        assert constants[0] == pytest.approx(constants[1], rel=1e-6)
    # Fewer would not reach the tolerance, and more would be a step size that does not grow.
    assert (found["steps"] > 300).all() and (found["steps"] < 3000).all()
    assert (found["field_evaluations"] >= 12 * found["steps"]).all()


def test_the_comparison_sees_a_loose_tolerance(truth):
    loose = integrate_ensemble(SYSTEM, LAW, **LONG, **JAX, rtol=1e-5)
    assert loose.completed == 7 and error(loose, truth) > PROMISED


@pytest.mark.parametrize("broken", ["field", "clock"])
def test_the_comparison_sees_a_broken_field_or_clock(short, monkeypatch, broken):
    if broken == "field":
        raw_field = differentiable.raw_field

        def broken_field(chart):  # weights are data: nothing is compiled anew
            field, weights = raw_field(chart)
            return field, (1 + 1e-3) * weights

        monkeypatch.setattr(differentiable, "raw_field", broken_field)
    else:
        clock = traced.arguments

        def shifted(given, raw):
            return clock(given, raw)._replace(offset=1.001 * given.offset)

        monkeypatch.setattr(diffrax_ivp, "arguments", shifted)
    found = integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX, max_steps=3000)
    truth = integrate_ensemble(SYSTEM, LAW, **SHORT)
    # A run whose clock is wrong may also exhaust its steps, and then has no error.
    assert error(short, truth) < 1e-4 and not error(found, truth) < 1e-4


@pytest.mark.parametrize("chunk_size", [1, 3])
def test_rows_depend_neither_on_chunks_nor_on_the_order(short, chunk_size):
    order = np.array([3, 6, 0, 5, 1, 4, 2])
    found = integrate_ensemble(SYSTEM, STARTS[order], **SHORT, **JAX, chunk_size=chunk_size)
    assert same(short, found, order) and not same(short, found)


def test_there_may_be_more_members_than_lanes_and_pieces_of_several_calls(short, monkeypatch):
    sizes = []
    attempts = diffrax_ivp._attempts

    def counted(method, field, lanes):
        sizes.append(len(lanes.tau))
        return attempts(method, field, lanes)

    monkeypatch.setattr(diffrax_ivp, "_attempts", counted)
    many = integrate_ensemble(SYSTEM, np.concatenate([STARTS, STARTS, STARTS]), **SHORT, **JAX)
    assert same(many, short, slice(7)) and same(many, short, slice(14, 21))
    assert len(sizes) > 4 and set(sizes) == {LANES}


def test_a_member_that_is_refused_leaves_the_others_as_they_are(short):
    starts = STARTS.copy()
    starts[2, 0, 1] = np.nan
    found = integrate_ensemble(SYSTEM, starts, **SHORT, **JAX)
    assert found.status.tolist() == ["completed"] * 2 + ["input_error"] + ["completed"] * 4
    assert "NaN" in found["message"][2] and np.isnan(found["loss"][2]).all()
    others = np.arange(7) != 2
    assert np.array_equal(found["loss"][others], short["loss"][others])


def test_a_member_whose_field_is_not_a_number_fails_alone(short, monkeypatch):
    raw_field = differentiable.raw_field

    def poisoned(chart):
        raw, numbers = raw_field(chart)
        ill = chart.clock.t_start == 0 and chart.x0[0] < bad
        return raw, numbers * (np.nan if ill else 1.0)

    def first(start):
        frame, state = SYSTEM.reduce(start)
        return SYSTEM.piece(frame, state, 0.0).chart.x0[0]

    firsts = np.sort([first(start) for start in STARTS])
    bad = firsts[:2].mean()
    monkeypatch.setattr(differentiable, "raw_field", poisoned)
    found = integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX)
    ill = found.status == "solver_failed"
    assert ill.sum() == 1 and (found.status[~ill] == "completed").all()
    assert "64 steps in a row were refused" in found["message"][ill][0]
    assert np.isfinite(found["loss"][ill, 0]) and np.isnan(found["loss"][ill, -1])
    assert np.array_equal(found["loss"][~ill], short["loss"][~ill])


def test_a_member_out_of_steps_keeps_what_it_has(short):
    found = integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX, max_steps=40)
    assert set(found.status) == {"step_budget"} and (found["steps"] == 40).all()
    reached = np.isfinite(found["loss"])
    assert reached[:, 5].all() and not reached[:, -1].any()
    assert np.array_equal(found["loss"][reached], short["loss"][reached])


def test_collapses_departures_and_neurons_along_the_teacher_are_followed():
    starts = np.array([COLLAPSING, FROM_ZERO, PARALLEL, STARTS[0]])
    options = {"t_end": 1e3, "rtol": 1e-10, "observables": ("loss", "norms")}
    found = integrate_ensemble(SYSTEM, starts, **options, **JAX)
    truth = integrate_ensemble(SYSTEM, starts, **{**options, "rtol": 1e-12}, method="Radau")
    assert found.completed == truth.completed == 4
    seen = truth["loss"] > 1e-250  # the parallel ones decay to the end of the range of doubles
    assert found["loss"][seen] == pytest.approx(truth["loss"][seen], rel=1e-6, abs=0)
    assert found["norms"][0, -1].min() == 0.0 and found["norms"][1, 1].min() > 0.0
    assert 0 < seen[2].sum() < len(found.t)


def test_an_ensemble_on_disk_goes_on_where_it_was(short, tmp_path):
    out = tmp_path / "e"
    options = {**SHORT, **JAX, "out": out, "chunk_size": 3}
    assert same(short, integrate_ensemble(SYSTEM, LAW, **options))
    lost = sorted(out.glob("chunk-*.nc"))[1]
    lost.unlink()
    assert load_ensemble(out).status.tolist().count("interrupted") == 3
    assert same(short, integrate_ensemble(SYSTEM, LAW, **options)) and lost.exists()
    with pytest.raises(InputError, match="another ensemble, which differs in procedure"):
        integrate_ensemble(SYSTEM, LAW, **{**options, "method": "auto"})


def test_an_interrupt_keeps_the_chunks_that_are_done(short, monkeypatch):
    attempts, calls = diffrax_ivp._attempts, []

    def interrupted(method, field, lanes):
        calls.append(lanes)
        if len(calls) > FEW_CALLS:
            raise KeyboardInterrupt
        return attempts(method, field, lanes)

    monkeypatch.setattr(diffrax_ivp, "_attempts", interrupted)
    found = integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX, chunk_size=2)
    done = found.status == "completed"
    assert 0 < done.sum() < 7 and set(found.status[~done]) == {"interrupted"}
    assert np.array_equal(found["loss"][done], short["loss"][done])


def test_an_error_of_the_program_is_not_hidden_in_a_row(monkeypatch):
    def broken(method, field, lanes):
        raise TypeError("an error of the program")

    monkeypatch.setattr(diffrax_ivp, "_attempts", broken)
    with pytest.raises(TypeError, match="an error of the program"):
        integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX)


def program_of(around):
    """The program around a raw field, before it is compiled."""
    frame, state = SYSTEM.reduce(STARTS[0])
    chart = SYSTEM.piece(frame, state, 0.0).chart
    raw, weights = differentiable.raw_field(chart)
    raw, numbers = around(raw), traced.arguments(chart.clock, weights)
    ends = np.arange(1.0, 1 + diffrax_ivp.OUTPUTS)
    lane = diffrax_ivp.Lane(0.0, 1.0, 1e-9, chart.y0, chart.size, 1e-8, ends, numbers)
    lanes = jax.tree.map(lambda x: np.stack([np.asarray(x, dtype=float)] * LANES), lane)
    field = traced.SelfSimilarField(raw, False)
    program = jax.jit(lambda lanes: diffrax_ivp._attempts("diffrax-kvaerno5", field, lanes))
    return program.trace(lanes)


def test_no_step_calls_python_back():
    def calling(raw):
        def loud(x, weights):
            jax.debug.callback(print, x)
            return raw(x, weights)

        return loud

    # diffrax would call back to complain, before the first step alone.
    silent, loud = (str(program_of(x).jaxpr).count("callback[") for x in (lambda raw: raw, calling))
    assert silent <= COMPLAINTS < loud


def test_a_system_without_a_field_in_jax_is_refused():
    with pytest.raises(InputError, match="no field of gmm_em in JAX"):
        integrate_ensemble(flows.GMMEM(2, 2), Law(size=2), 1.0, **JAX)


def test_numbers_of_32_bits_are_refused_before_anything_is_written(tmp_path):
    with jax.enable_x64(False), pytest.raises(InputError, match="JAX_ENABLE_X64=1 in the env"):
        integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX, out=tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_the_command_line_finds_what_the_library_finds(capfd, tmp_path):
    command = [
        "ensemble",
        "relu_neuron",
        "--n",
        "3",
        "--d",
        "3",
        "--size",
        "7",
        "--scale",
        "0.3",
        "--seed",
        "4",
        "--t-end",
        "30",
        "--rtol",
        "1e-6",
        "--method",
        "diffrax-kvaerno5",
    ]
    assert main([*command, "--json"]) == 0
    data = json.loads(capfd.readouterr().out)
    found = integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX)
    assert data["quantiles"]["loss"]["0.5"] == found.quantiles("loss", [0.5])[0].tolist()
    assert data["provenance"]["procedure"]["method"] == "diffrax-kvaerno5"
    with jax.enable_x64(False):
        assert main([*command, "--out", str(tmp_path / "e")]) == 2
    noise = capfd.readouterr().err
    assert noise.count("\n") == 1 and "JAX_ENABLE_X64=1" in noise and not list(tmp_path.iterdir())


class Elsewhere(Executor):
    """Calls that travel as they do to another process."""

    def submit(self, task, /, *arguments):
        future = Future()
        future.set_result(operator.call(*pickle.loads(pickle.dumps((task, *arguments)))))
        return future


def test_chunks_can_be_computed_elsewhere(short):
    found = integrate_ensemble(SYSTEM, LAW, **SHORT, **JAX, workers=2, executor=Elsewhere())
    assert same(short, found) and len(found.chunks) == 2
