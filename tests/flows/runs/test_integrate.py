"""The way a run takes: times, tolerances, methods, statuses, files."""

import numpy as np
import pytest

import flows
from flows.core.errors import InputError
from flows.runs.request import output_times
from flows.systems.relu_neuron import exact
from flows.systems.relu_neuron.pieces import NeuronPiece

SYSTEM = flows.ReLUNeuron(3, 4)
START = SYSTEM.initial(0.3, seed=2)
# Promise of integrate: at rtol 1e-10 the loss is right to 1e-8 at every output time.
PROMISED = 1e-8
# And to 1e-11 at rtol 1e-13.
PROMISED_TIGHT = 1e-11


def error(run: flows.Trajectory, truth: flows.Trajectory) -> float:
    return float(np.abs(run["loss"] / truth["loss"] - 1).max())


@pytest.fixture(scope="module")
def truth():
    return flows.integrate(SYSTEM, START, 1e12, method="reference")


@pytest.mark.parametrize("method", ["auto", "LSODA", "BDF", "Radau", "CVODE"])
def test_every_method_keeps_the_promise_of_its_tolerance_to_1e12(method, truth):
    run = flows.integrate(SYSTEM, START, 1e12, method=method)
    assert truth.completed and run.completed
    assert error(run, truth) < PROMISED


def test_the_tight_tolerance_keeps_its_promise_too(truth):
    assert error(flows.integrate(SYSTEM, START, 1e12, rtol=1e-13), truth) < PROMISED_TIGHT


def test_a_loose_tolerance_breaks_the_promise_so_that_the_test_can_fail(truth):
    assert error(flows.integrate(SYSTEM, START, 1e12, rtol=1e-4), truth) > PROMISED


def test_the_many_digit_reference_agrees_with_gradient_descent_of_small_steps():
    w = START.copy()
    for _ in range(1000):
        w = w - 1e-3 * SYSTEM.gradient(w)
    run = flows.integrate(SYSTEM, START, 1.0, t_eval=[1.0], method="reference")
    # Euler with step 1e-3 errs by about 1e-3.
    assert abs(SYSTEM.loss(w) / run["loss"][-1] - 1) < 5e-3


def test_a_start_whose_jacobian_does_not_fit_is_refused_before_anything_runs():
    system = flows.ReLUNeuron(150, 150)
    with pytest.raises(InputError, match="unknowns"):
        flows.integrate(system, system.initial(0.1), 1.0)


def test_explicit_times_are_exactly_the_times_of_the_result():
    times = [1e-9, 0.5, 0.50001, 7.0, 1e5]
    run = flows.integrate(SYSTEM, START, 1e6, t_eval=times)
    assert run.t.tolist() == [0.0, *times]
    assert run.state.shape == (6, 3, 4)
    assert np.array_equal(run.state_at(0), SYSTEM.restore(run.frame, run.states.at(0)))


def test_zero_among_the_times_is_the_start_that_is_always_there():
    with_zero = flows.integrate(SYSTEM, START, 3.0, t_eval=[0, 0.5, 3.0])
    without = flows.integrate(SYSTEM, START, 3.0, t_eval=[0.5, 3.0])
    assert with_zero.t.tolist() == without.t.tolist() == [0.0, 0.5, 3.0]
    assert np.array_equal(with_zero["loss"], without["loss"])


@pytest.mark.parametrize("t_end", [1e-100, 1e100])
def test_the_shortest_and_the_longest_run_end(t_end):
    run = flows.integrate(SYSTEM, START, t_end)
    assert run.completed and (run["loss"] > 0).all()


def test_output_is_geometric_and_ends_at_the_end():
    times = output_times(1e12)
    assert times[-1] == 1e12
    assert np.diff(np.log10(times)).max() <= 1 / 8
    assert output_times(1e-100)[-1] == 1e-100


@pytest.mark.parametrize(
    "options, words",
    [
        ({"t_end": 0.0}, "t_end must be a positive"),
        ({"t_end": -1.0}, "t_end must be a positive"),
        ({"t_end": np.nan}, "t_end must be a positive"),
        ({"t_end": np.inf}, "t_end must be a positive"),
        ({"t_end": 1e300}, "t_end must lie in"),
        ({"t_end": 1e-300}, "t_end must lie in"),
        ({"t_eval": [1.0, 0.5]}, "increasing"),
        ({"t_eval": [-1.0, 0.5]}, "negative"),
        ({"t_eval": [0.0]}, "a time after 0"),
        ({"t_eval": [0.0, 0.0, 0.5]}, "increasing"),
        ({"t_eval": [1.0, 20.0]}, "exceed t_end"),
        ({"t_eval": []}, "at least one"),
        ({"t_eval": [np.nan]}, "finite"),
        ({"rtol": 0.0}, "rtol"),
        ({"rtol": 1e-17}, "rtol"),
        ({"rtol": np.nan}, "rtol"),
        ({"rtol": 2.0}, "rtol"),
        ({"atol": -1.0}, "atol"),
        ({"method": "Euler"}, "unknown method"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_bad_requests_are_refused_with_one_line(options, words):
    request = {"t_end": 10.0, **options}
    with pytest.raises(InputError, match=words) as caught:
        flows.integrate(SYSTEM, START, **request)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["LSODA", "BDF", "Radau", "CVODE", "reference"])
def test_a_run_out_of_steps_says_so_and_keeps_what_it_has(method):
    run = flows.integrate(SYSTEM, START, 1e12, method=method, max_steps=10)
    assert run.status == "step_budget" and not run.completed
    assert 1 <= len(run.t) < len(output_times(1e12)) + 1
    assert len(run["loss"]) == len(run.t) and np.isfinite(run["loss"]).all()


@pytest.mark.parametrize("method", ["LSODA", "CVODE"])
def test_an_interrupt_keeps_what_is_done(method, monkeypatch):
    calls = 0
    begin = NeuronPiece.watch

    def interrupted(self, rtol):
        watch = begin(self, rtol)

        def alarm(tau, y):
            nonlocal calls
            calls += 1
            if calls == 300:
                raise KeyboardInterrupt
            return watch.alarm(tau, y)

        return type(watch)(alarm, watch.check)

    monkeypatch.setattr(NeuronPiece, "watch", interrupted)
    run = flows.integrate(SYSTEM, START, 1e12, method=method)
    assert run.status == "interrupted" and not run.completed
    assert len(run.t) > 5


def test_the_next_solver_takes_over_where_one_fails(monkeypatch):
    from flows.core.problem import SOLVER_FAILED, Recorder, finish
    from flows.solvers import scipy_ivp

    honest = scipy_ivp.solve

    def failing(problem, method):
        if method == "LSODA":
            return finish(Recorder(problem), SOLVER_FAILED, "made to fail", {})
        return honest(problem, method)

    monkeypatch.setattr(scipy_ivp, "solve", failing)
    assert flows.integrate(SYSTEM, START, 1e6).completed
    alone = flows.integrate(SYSTEM, START, 1e6, method="LSODA")
    assert alone.status == "solver_failed" and alone.message == "made to fail"


def test_the_reference_ends_a_step_where_two_neurons_pass_each_other(monkeypatch):
    system, start = flows.ReLUNeuron(2, 2), [[2.04, -2.56], [0.42, -0.57]]

    def run():
        return flows.integrate(system, start, 0.2, [0.2], method="reference")

    truth = flows.integrate(system, start, 0.2, [0.2], rtol=1e-13)
    through = run()
    assert through["loss"][-1] == pytest.approx(truth["loss"][-1], rel=PROMISED_TIGHT)
    monkeypatch.setattr(exact, "crossings", lambda q: None)
    # One that does not see the kink is refused step after step, until they are short enough.
    assert 10 * through.stats["rejected"] < run().stats["rejected"]


def test_states_between_outputs_serve_errors_alone(tmp_path):
    few = [1.0, 100.0]
    run = flows.integrate(SYSTEM, START, 100.0, few, rtol=1e-6)
    assert run.t.tolist() == [0.0, *few] and len(run["loss"]) == len(run.states) == 3
    again = flows.load(run.save(tmp_path / "run.nc"))
    for name in ("loss", "h", "angle_max"):
        assert np.array_equal(again.absolute_errors(name), run.absolute_errors(name))
        assert again.followed[name][[0, -1]] == pytest.approx(run[name][[0, -1]], rel=0, abs=0)
    assert flows.integrate(SYSTEM, START, 2.0, [0.001, 0.002], rtol=1e-6).followed is None


def test_a_saved_run_comes_back_whole(tmp_path):
    run = flows.integrate(SYSTEM, START, 1e6)
    again = flows.load(run.save(tmp_path / "run.nc"))
    for name in run.names:
        assert np.array_equal(again[name], run[name], equal_nan=True)
    assert np.array_equal(again.state, run.state)
    assert again.parameters == run.parameters
    assert (again.status, again.stats, again.provenance) == (run.status, run.stats, run.provenance)


def test_a_file_is_not_overwritten_unless_asked(tmp_path):
    run = flows.integrate(SYSTEM, START, 1.0)
    path = run.save(tmp_path / "run.nc")
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists"):
        run.save(path)
    assert path.read_bytes() == before
    run.save(path, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["run.nc"]


@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign", "text"])
def test_a_file_that_is_not_a_run_is_refused_with_one_line(tmp_path, kind):
    path = tmp_path / "run.nc"
    if kind == "truncated":
        flows.integrate(SYSTEM, START, 1.0).save(path)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "foreign":
        import xarray

        xarray.Dataset({"x": ("a", [1.0])}).to_netcdf(path, engine="h5netcdf")
    elif kind == "text":
        path.write_text("not a run")
    with pytest.raises(InputError) as caught:
        flows.load(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_observable_is_named_with_the_known_ones():
    run = flows.integrate(SYSTEM, START, 1.0)
    with pytest.raises(InputError, match="pairwise_distance"):
        run["distance_pairwise"]


@pytest.mark.parametrize("name", ["loss", "pairwise_distance", "angle_potential", "angle_max"])
def test_the_rate_of_an_observable_is_its_difference_quotient_along_the_run(name):
    h = 1e-4
    times = [2.0 - h, 2.0, 2.0 + h]
    run = flows.integrate(SYSTEM, START, 3.0, t_eval=times, rtol=1e-13)
    if name == "loss":
        value, rate = run.features["loss"], run.features["loss_dot"]
    else:
        value, rate = run.potential(name)
    quotient = (value[3] - value[1]) / (2 * h)
    # Truncation h^2 and rounding 1e-13 / h.
    assert abs(quotient / rate[2] - 1) < 1e-6
