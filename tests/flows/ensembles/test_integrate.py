"""Ensembles: rows that depend on nothing but their member, and what is made of them."""

import json
import operator
import os
import threading
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace

import numpy as np
import pytest
from oracles.ensembles import same_bits
from scipy.stats import binomtest

from flows.core.errors import InputError
from flows.ensembles import integrate as ensembles
from flows.ensembles import memory, result
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.member import KEPT_BITS, rounded_up
from flows.ensembles.starts import Law
from flows.ensembles.workers import Workers, finished
from flows.runs.check import check
from flows.runs.integrate import integrate
from flows.runs.rates import local_exponent
from flows.solvers import stiff
from flows.systems.relu_neuron.system import ReLUNeuron

SYSTEM = ReLUNeuron(n=2, d=2)
LAW = Law(size=7, scale=0.3, seed=5)
# Coarse and short: what is tested is bookkeeping.
OPTIONS = {"t_end": 300.0, "rtol": 1e-5}
# What an ensemble takes by default, for one run.
ALONE = {**OPTIONS, "method": "Rodas5P"}
MORE = {"observables": ("loss", "norms"), "claims": ("loss_upper", "distance_decay")}


@pytest.fixture(scope="module")
def whole():
    return integrate_ensemble(SYSTEM, LAW, **OPTIONS, **MORE)


class Backwards(Executor):
    """Runs nothing before the last call has come, and then the last call first."""

    def __init__(self, calls):
        self.calls, self.held = calls, []

    def submit(self, task, /, *arguments):
        self.held.append((Future(), task, arguments))
        if len(self.held) == self.calls:
            for future, held, given in reversed(self.held):
                future.set_result(held(*given))
        return self.held[-1][0]


def test_a_row_is_the_run_of_its_seed(whole):
    for k in (0, 6):
        run = integrate(SYSTEM, SYSTEM.initial(LAW.scale, whole.seed_of(k)), **ALONE)
        assert np.array_equal(whole.t, run.t)
        assert np.array_equal(whole["loss"][k], run["loss"])
        assert np.array_equal(whole["norms"][k], run["norms"])
        exponent = local_exponent(run, "loss")
        assert np.array_equal(whole["loss_exponent"][k], exponent, equal_nan=True)
        assert whole["steps"][k] == run.stats["steps"]
        (verdict,) = check(run, "loss_upper")
        assert whole["loss_upper_constant"][k] == verdict.constant
        assert whole["loss_upper_verdict"][k] == verdict.verdict
    assert whole["loss"].shape == (7, len(whole.t)) and whole.completed == 7
    assert not np.array_equal(whole["loss"][0], whole["loss"][6])


def test_a_row_of_few_times_is_the_run_with_its_errors():
    few = [0.5, 30.0, 300.0]
    rows = integrate_ensemble(SYSTEM, LAW, t_eval=few, **OPTIONS)
    assert same_bits(rows, integrate_ensemble(SYSTEM, LAW, t_eval=few, chunk_size=1, **OPTIONS))
    for k in range(LAW.size):
        run = integrate(SYSTEM, LAW.start(SYSTEM, k), t_eval=few, **ALONE)
        assert run.followed is not None
        assert np.array_equal(rows["loss"][k], run["loss"])
        stated = run.absolute_errors("loss")
        assert np.array_equal(rows["loss_error"][k], rounded_up(stated, KEPT_BITS))


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_rows_do_not_depend_on_chunks(whole, chunk_size):
    assert same_bits(
        whole, integrate_ensemble(SYSTEM, LAW, **OPTIONS, **MORE, chunk_size=chunk_size)
    )


def test_rows_do_not_depend_on_the_order(whole):
    found = integrate_ensemble(
        SYSTEM, LAW, **OPTIONS, **MORE, chunk_size=2, workers=4, executor=Backwards(4)
    )
    assert same_bits(whole, found)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_rows_do_not_depend_on_the_number_of_threads(whole, workers):
    found = integrate_ensemble(SYSTEM, LAW, **OPTIONS, **MORE, chunk_size=2, workers=workers)
    assert same_bits(whole, found)


def test_rows_do_not_depend_on_the_number_of_processes():
    alone, several = (
        integrate_ensemble(
            SYSTEM, LAW, **OPTIONS, **MORE, method="LSODA", chunk_size=2, workers=workers
        )
        for workers in (1, 2)
    )
    assert same_bits(alone, several)


def test_by_default_members_step_side_by_side_in_threads_of_this_process(whole, monkeypatch):
    monkeypatch.setattr("flows.ensembles.run.cores", lambda: 3)
    taken, now = set(), ensembles.solve_many

    def noted(problems, *more):
        taken.add((os.getpid(), threading.get_ident(), len(problems) > 1))
        return now(problems, *more)

    monkeypatch.setattr("flows.ensembles.integrate.solve_many", noted)
    assert same_bits(whole, integrate_ensemble(SYSTEM, LAW, **OPTIONS, **MORE))
    assert {pid for pid, *_ in taken} == {os.getpid()} and any(many for *_, many in taken)
    assert threading.get_ident() not in {thread for _, thread, _ in taken}


def test_where_rodas5p_fails_a_member_takes_what_a_run_without_it_takes(monkeypatch):
    solve = stiff.solve_many

    def failing(problems):
        found = solve(problems)
        bad = replace(found[0], status="solver_failed", states=found[0].states[:1], stop=None)
        return [bad, *found[1:]]

    monkeypatch.setattr("flows.solvers.stiff.solve_many", failing)
    found = integrate_ensemble(SYSTEM, LAW, **OPTIONS, workers=1)
    assert found.completed == 7
    monkeypatch.setattr("flows.solvers.choice.ALONE", 0)
    run = integrate(SYSTEM, LAW.start(SYSTEM, 0), **OPTIONS)
    assert np.array_equal(found["loss"][0], run["loss"])
    assert found["steps"][0] > run.stats["steps"]  # those in vain are counted


def test_many_unknowns_and_tight_tolerances_take_what_a_run_alone_takes():
    wide, tight = ReLUNeuron(n=9, d=20), {"t_end": 3.0, "rtol": 1e-12}
    for system, options in ((wide, {"t_end": 3.0, "rtol": 1e-5}), (SYSTEM, tight)):
        found = integrate_ensemble(system, Law(size=1), **options)
        alone = integrate(system, Law(size=1).start(system, 0), **options)
        assert np.array_equal(found["loss"][0], alone["loss"])


def test_a_progress_bar_changes_nothing_but_standard_error(whole, capfd, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    found = integrate_ensemble(SYSTEM, LAW, **OPTIONS, **MORE, progress=True)
    out, noise = capfd.readouterr()
    assert same_bits(whole, found) and out == "" and "7/7" in noise and "members/s" in noise


def test_the_comparison_sees_another_seed(whole):
    other = Law(size=7, scale=0.3, seed=6)
    assert not same_bits(whole, integrate_ensemble(SYSTEM, other, **OPTIONS, **MORE))


def test_a_larger_ensemble_begins_with_the_smaller_one(whole):
    found = integrate_ensemble(SYSTEM, Law(size=2, scale=0.3, seed=5), **OPTIONS, **MORE)
    assert np.array_equal(found["loss"], whole["loss"][:2])
    seeds = [Law(size=50, seed=s).seed_of(k) for s in range(20) for k in range(50)]
    assert len(set(seeds)) == len(seeds)


def test_starts_can_be_given(whole):
    starts = np.array([LAW.start(SYSTEM, k) for k in range(7)])
    found = integrate_ensemble(SYSTEM, starts, **OPTIONS, **MORE)
    assert same_bits(whole, found) and found.seed_of(3) is None


def test_a_member_that_fails_is_a_status_in_its_row(whole):
    starts = np.array([LAW.start(SYSTEM, k) for k in range(7)])
    starts[2, 0, 1] = np.nan
    found = integrate_ensemble(SYSTEM, starts, **OPTIONS, **MORE)
    assert found.status.tolist() == ["completed"] * 2 + ["input_error"] + ["completed"] * 4
    assert "NaN" in found["message"][2] and np.isnan(found["loss"][2]).all()
    assert found["loss_upper_verdict"][2] == "" and np.isnan(found["loss_upper_constant"][2])
    others = np.arange(7) != 2
    assert np.array_equal(found["loss"][others], whole["loss"][others])


def test_a_solver_that_stops_leaves_the_rest_of_its_row_empty(whole):
    found = integrate_ensemble(SYSTEM, LAW, **OPTIONS, max_steps=20)
    assert set(found.status) == {"step_budget"} and found.completed == 0
    reached = np.isfinite(found["loss"])
    assert reached[:, 0].all() and not reached[:, -1].any()
    assert np.array_equal(found["loss"][reached], whole["loss"][reached])
    assert found.fraction(lambda c: c["loss"][:, -1] < np.inf).count == 0


def test_an_error_of_the_program_is_not_hidden_in_a_row(monkeypatch):
    def broken(*given, **options):
        raise TypeError("an error of the program")

    monkeypatch.setattr("flows.ensembles.integrate.follow", broken)
    monkeypatch.setattr("flows.ensembles.integrate.solve_many", broken)
    for method in ("LSODA", "auto"):
        with pytest.raises(TypeError, match="an error of the program"):
            integrate_ensemble(SYSTEM, LAW, **OPTIONS, method=method)


def test_a_call_that_kills_its_process_is_lost_alone():
    calls = [(abs, -1), (os._exit, 1), (abs, -3), (abs, -4)]
    found = dict(finished(operator.call, calls, Workers(0, 2)))
    assert isinstance(found.pop(1), BrokenExecutor)
    assert found == {0: 1, 2: 3, 3: 4}


def test_an_error_in_a_process_is_raised():
    with pytest.raises(TypeError, match="bad operand"):
        list(finished(operator.call, [(abs, "-1")], Workers(0, 2)))


class Losing(Executor):
    """A foreign executor that loses every second call."""

    def __init__(self):
        self.count = 0

    def submit(self, task, /, *arguments):
        self.count += 1
        future = Future()
        if self.count % 2:
            future.set_result(task(*arguments))
        else:
            future.set_exception(RuntimeError("the machine went away"))
        return future


def test_what_an_executor_loses_has_the_status_worker_lost(whole):
    found = integrate_ensemble(SYSTEM, LAW, **OPTIONS, **MORE, chunk_size=1, executor=Losing())
    assert found.status.tolist() == ["completed", "worker_lost"] * 3 + ["completed"]
    assert "the machine went away" in found["message"][1] and found["message"][0] != ""
    assert np.array_equal(found["loss"][::2], whole["loss"][::2])
    assert np.isnan(found["loss"][1::2]).all()


@pytest.mark.parametrize("block", [1, 20, 10**9])
def test_quantiles_by_columns_are_those_of_the_whole(whole, monkeypatch, block):
    monkeypatch.setattr(result, "BLOCK", block)
    levels = (0.0, 0.3, 1.0)
    for name in ("loss", "norms"):
        found = whole.quantiles(name, levels)
        assert np.array_equal(found, np.quantile(whole[name], levels, axis=0))
        assert not np.array_equal(found, np.quantile(whole[name], (0, 0.4, 1.0), axis=0))


def test_quantiles_are_of_those_that_reached_a_time(whole):
    starts = np.array([LAW.start(SYSTEM, k) for k in range(7)])
    starts[0] = np.nan
    found = integrate_ensemble(SYSTEM, starts, **OPTIONS)
    assert np.array_equal(
        found.quantiles("loss", [0.5])[0], np.quantile(whole["loss"][1:], 0.5, axis=0)
    )
    starts[:] = np.nan
    assert np.isnan(integrate_ensemble(SYSTEM, starts, **OPTIONS).quantiles()).all()


@pytest.mark.parametrize("wanted", [0, 3, 7])
def test_a_fraction_has_the_interval_of_an_exact_binomial_test(whole, wanted):
    losses = np.sort(whole["loss"][:, -1])
    between = np.sqrt(losses * np.append(0.0, losses[:-1]))
    bound = np.append(between, np.inf)[wanted]
    found = whole.fraction(lambda c: c["loss"][:, -1] < bound, level=0.9)
    oracle = binomtest(wanted, 7).proportion_ci(0.9, "exact")
    assert (found.count, found.trials, found.value) == (wanted, 7, wanted / 7)
    # Two roots of the same equation.
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)
    assert found.low != pytest.approx(binomtest(wanted, 8).proportion_ci(0.9).low) or wanted == 0


def test_a_condition_that_is_not_one_boolean_a_member_is_refused(whole):
    for condition in (lambda c: c["loss"], lambda c: c["loss"][:, 0], lambda c: True):
        with pytest.raises(InputError, match="booleans, one a member"):
            whole.fraction(condition)


def test_the_tightest_constant_comes_with_the_seed_that_attains_it(whole):
    found = whole.tightest("loss_upper")
    assert found.constant == whole["loss_upper_constant"].max() and found.count == 7
    run = integrate(SYSTEM, SYSTEM.initial(LAW.scale, found.seed), **ALONE)
    (verdict,) = check(run, "loss_upper")
    assert (verdict.constant, verdict.attained_at) == (found.constant, found.attained_at)
    with pytest.raises(InputError, match="was not checked"):
        whole.tightest("separation")


def test_the_tightest_constant_of_a_lower_bound_is_the_smallest():
    found = integrate_ensemble(SYSTEM, LAW, **OPTIONS, claims=["gradient_lower"])
    assert found.tightest("gradient_lower").constant == found["gradient_lower_constant"].min()
    assert found.tightest("gradient_lower").constant < found["gradient_lower_constant"].max()


def test_a_request_that_does_not_fit_is_refused_with_the_number(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "available", lambda: 2_000_000_000)
    with pytest.raises(InputError, match=r"needs \d+\.\d\d GB of memory and 1\.80 GB are"):
        integrate_ensemble(SYSTEM, Law(size=10**7), **OPTIONS)
    with pytest.raises(InputError, match="GB of memory"):
        integrate_ensemble(
            SYSTEM, Law(size=10), **OPTIONS, method="LSODA", workers=100, out=tmp_path / "e"
        )
    assert not (tmp_path / "e").exists()
    assert len(integrate_ensemble(SYSTEM, Law(size=1), **OPTIONS)) == 1


def test_a_disk_that_is_too_small_is_told_before_anything_runs(monkeypatch, tmp_path):
    room = type("Room", (), {"free": 1000})
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda path: room)
    with pytest.raises(InputError, match=r"GB on disk and 0\.00 GB are free"):
        integrate_ensemble(SYSTEM, LAW, **OPTIONS, out=tmp_path / "e")
    assert list(tmp_path.iterdir()) == []


def test_there_is_memory_to_measure():
    assert 10**7 < memory.available() < 10**14


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"t_end": -1.0}, "t_end"),
        ({"t_eval": [2.0, 1.0]}, "increasing"),
        ({"method": "RK45"}, "RK45"),
        ({"rtol": 2.0}, "rtol"),
        ({"rtol": "small"}, "rtol"),
        ({"atol": -1.0}, "atol"),
        ({"max_steps": 0}, "max_steps"),
        ({"workers": 0}, "workers"),
        ({"workers": 1.5}, "workers"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"observables": ["los"]}, "unknown observable 'los'"),
        ({"claims": ["loss"]}, "unknown claim 'loss'"),
        ({"starts": np.zeros((3, 2, 5))}, r"\(members, 2, 2\)"),
        ({"starts": [[1.0]]}, "members, 2, 2"),
        ({"starts": np.zeros((0, 2, 2))}, "members"),
        ({"starts": [["a"]]}, "numbers"),
        ({"starts": [[[1.0, 2.0], [3.0]]]}, "rows differ"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(tmp_path, change, word):
    given = {"starts": LAW, **OPTIONS, **change}
    with pytest.raises(InputError, match=word) as refusal:
        integrate_ensemble(SYSTEM, out=tmp_path / "e", **given)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "law",
    [{"size": 0}, {"size": 2.5}, {"size": True}, {"size": 3, "seed": -1}, {"size": 3, "seed": "1"}],
)
def test_a_bad_law_is_refused(law):
    with pytest.raises(InputError, match="must be an integer"):
        Law(**law)


def test_unknown_quantities_are_refused_with_the_known_ones(whole):
    with pytest.raises(InputError, match="unknown quantity 'angle_max'; known: loss"):
        whole["angle_max"]
    with pytest.raises(InputError, match="no quantiles of 'status'"):
        whole.quantiles("status")
    with pytest.raises(InputError, match="probabilities"):
        whole.quantiles("loss", [1.5])


def test_the_provenance_is_plain_and_complete(whole):
    about = json.loads(json.dumps(whole.provenance))
    assert about["starts"] == {"size": 7, "scale": 0.3, "seed": 5, "options": {}}
    assert about["procedure"]["rtol"] == 1e-5 and about["system"] == "relu_neuron"
    assert "popflow" in about["software"]["versions"]


def test_a_loss_below_its_error_counts_as_one_below_it():
    """Two neurons one bit apart: their distance is rounding, and so is the loss that it makes."""
    twins = np.array([[0.3, 0.2], [0.3, np.nextafter(0.2, 1.0)]])
    others = [LAW.start(SYSTEM, k) for k in (0, 6)]
    found = integrate_ensemble(SYSTEM, np.stack([twins, *others]), 1e6, rtol=1e-8)
    last, error = found["loss"][:, -1], found["loss_error"][:, -1]
    assert set(found.status) == {"completed"}
    assert error[0] > last[0] and (error[1:] < 1e-5 * last[1:]).all()
    assert not found.left_out().any() and found.left_out("loss_exponent")[-1] == 1
    # The median is that of all three, not of the two that are known; the smallest is not known.
    lowest, middle, highest = found.quantiles("loss", [0.0, 0.5, 1.0])[:, -1]
    assert np.isnan(lowest) and (middle, highest) == (last[1:].min(), last[1:].max())
    # Between two that are not known, nothing is.
    twice = integrate_ensemble(SYSTEM, np.stack([twins, twins, *others]), 1e6, rtol=1e-8)
    assert "not known to" in str(twice) and "without a value" not in str(twice)
    # The error decides nothing about a bound that is far, and everything about one that is near.
    far = found.fraction(lambda c: c["loss"][:, -1] < 1e-12)
    near = found.fraction(lambda c: c["loss"][:, -1] < 10 * last[0])
    assert (far.count, far.trials, far.undecided) == (3, 3, 0)
    assert (near.count, near.trials, near.undecided) == (0, 2, 1)


def test_a_loss_below_all_doubles_is_a_value():
    start = np.array([[[0.9, 1e-9], [-0.1, 1e-9]]])
    found = integrate_ensemble(SYSTEM, start, 1e4, rtol=1e-6)
    assert found.status[0] == "completed" and found["loss"][0, -1] == 0.0
    assert found.left_out()[-1] == 0 and found.quantiles("loss", [0.5])[0, -1] == 0.0
    assert found.fraction(lambda c: c["loss"][:, -1] < 1e-100).count == 1
