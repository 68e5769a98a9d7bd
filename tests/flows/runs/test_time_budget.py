"""A budget of time: everything ends in it, and keeps what is done."""

from __future__ import annotations

import itertools
import json
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp

import flows
from flows.certificates.steps import Uncertified
from flows.cli.main import main
from flows.core import deadline
from flows.core.deadline import NEVER, Deadline, TimeSpent, look, unlimited, within
from flows.core.problem import TIME_BUDGET
from flows.ensembles import along_axes
from flows.runs import companions

A, B = sp.symbols("a b")
NEURONS = flows.ReLUNeuron(2, 2)
MEANS = flows.GMMEM(2, 1)
OWN = flows.OwnSystem("own", [A, B], (A * B - 1) ** 2 + (A**2 - B**3) ** 2)
DOUBLES = flows.OwnSystem("doubles", [A, B], OWN.expression, arithmetic="doubles")
CASES = [
    *((NEURONS, method) for method in ("auto", "LSODA", "Radau", "CVODE", "reference")),
    *((MEANS, method) for method in ("auto", "Rodas5P")),
    *((OWN, method) for method in ("auto", "BDF", "reference")),
    (DOUBLES, "auto"),
]
# Looks that are allowed, each of a second: every case looks more often, and some steps are done.
SECONDS = 3
# A run with 50 digits to 1e9 takes minutes: a loaded machine ends long before that, or its budget
# is not heeded.
SHORT, LONG = 0.5, 60.0
# What two runs leave that meet, ten times the stated one of each.
ROOM = 10.0


@pytest.fixture
def ticks(monkeypatch):
    """A clock on which a second passes with each look, and how to read it."""
    count = itertools.count()
    clock = SimpleNamespace(time=lambda: float(next(count)))
    monkeypatch.setattr(deadline, "time", clock)
    return clock.time


def start_of(system):
    return [0.3, 0.4] if system in (OWN, DOUBLES) else system.initial(0.3, seed=1)


@pytest.mark.parametrize(("system", "method"), CASES, ids=lambda x: getattr(x, "name", x))
def test_a_run_ends_with_its_budget_and_keeps_what_is_done(ticks, system, method):
    asked = {"t_end": 1e6, "method": method}
    run = flows.integrate(system, start_of(system), **asked, max_seconds=SECONDS)
    assert run.status == TIME_BUDGET == "time_budget" and not run.completed
    assert f"{SECONDS} s was spent at t = " in run.message and "max_seconds" in run.message
    assert run.t[-1] < 1e6
    if method == "reference":  # it takes long to the end, and a little to where this one stood
        asked["t_end"], asked["t_eval"] = 1.0, [*run.t[1:], 1.0]
    whole = flows.integrate(system, start_of(system), **asked)
    assert whole.completed
    assert np.array_equal(run.state, whole.state[: len(run.t)])


@pytest.mark.parametrize("system", [NEURONS, OWN], ids=["neurons", "own"])
def test_the_flow_goes_on_from_the_last_state(ticks, system):
    begun = flows.integrate(system, start_of(system), 10.0, method="BDF", max_seconds=150)
    assert begun.status == TIME_BUDGET and 0 < begun.t[-1] < 10
    later = flows.integrate(system, begun.state[-1], 10.0 - begun.t[-1])
    whole = flows.integrate(system, start_of(system), 10.0)
    room = ROOM * float(whole.absolute_errors("loss")[-1] + later.absolute_errors("loss")[-1])
    assert abs(later["loss"][-1] - whole["loss"][-1]) <= room
    assert abs(1.001 * later["loss"][-1] - whole["loss"][-1]) > room  # the control


def test_a_file_keeps_the_status(ticks, tmp_path):
    run = flows.integrate(MEANS, start_of(MEANS), 1e6, max_seconds=SECONDS)
    run.save(tmp_path / "run.nc")
    again = flows.load(tmp_path / "run.nc")
    assert (again.status, again.message) == (run.status, run.message)
    assert again.to_json()["status"] == TIME_BUDGET


@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, math.inf, "1", True])
def test_a_budget_is_a_positive_number(seconds):
    with pytest.raises(flows.InputError, match="max_seconds must be a positive number"):
        flows.integrate(MEANS, start_of(MEANS), 1.0, max_seconds=seconds)


def test_deadlines_nest_and_the_earlier_one_counts(ticks):
    early, late = Deadline.after(5), Deadline.after(50)
    for outer, inner in ((early, late), (late, early)):
        with within(outer), within(inner):
            assert deadline.deadline() is early
    with within(early):
        with unlimited():
            for _ in range(10):
                look()
        with pytest.raises(TimeSpent):
            for _ in range(10):
                look()
        with pytest.raises(TimeSpent):  # whoever lost the first one is told again
            look()
    look()
    assert (NEVER.left, NEVER.spent, early.spent) == (None, False, True)


def test_a_budget_that_ends_during_companions_keeps_what_they_have_shown(ticks, monkeypatch):
    x, y = sp.symbols("x y", real=True)
    ridge = flows.OwnSystem("ridge", [x, y], -x + ((y - x**2 / 4) ** 2 - 1) ** 2)
    asked = {"start": [0.0, 0.0280603403615326], "t_end": 8.0, "rtol": 1e-8}
    # Of all ticks: those of the run alone, and those with its companions.
    with monkeypatch.context() as without:
        without.setattr(companions, "FREE", np.inf)
        begun = ticks()
        alone = flows.integrate(ridge, **asked, max_seconds=1e9)
        first = ticks() - begun
    whole = flows.integrate(ridge, **asked, max_seconds=1e9)
    every = ticks() - begun - first
    assert alone.completed and whole.completed and every > 2 * first
    run = flows.integrate(ridge, **asked, max_seconds=(first + every) / 2)
    assert run.status == TIME_BUDGET and run.message == companions.ENDED
    assert 0 < len(run.t) < len(whole.t)
    apart = np.abs(run["loss"] - whole["loss"][: len(run.t)])
    stated = run.absolute_errors("loss") + whole.absolute_errors("loss")[: len(run.t)]
    assert (apart <= stated).all()


def test_a_law_that_takes_longer_than_its_budget_has_a_reason_in_its_place():
    at = [[0.25, 0], [0.75, 0]]
    run = flows.integrate(NEURONS, [[0.5, 0.1], [0.5, -0.1]], 1e6)
    for subject, where in ((NEURONS, at), (run, None)):
        found = flows.late_time_law(subject, where, max_seconds=1e-3)
        assert not found.laws and found.chosen is None
        assert "its budget of 0.001 s was spent on the derivation" in found.reason
        assert flows.late_time_law(subject, where, max_seconds=LONG).laws
    with pytest.raises(flows.InputError, match="max_seconds must be a positive number"):
        flows.late_time_law(NEURONS, at, max_seconds=-1.0)


def test_a_law_on_the_command_line_has_a_budget(capsys, tmp_path):
    path = tmp_path / "at.json"
    path.write_text("[[0.25, 0], [0.75, 0]]")
    assert main(["law", "relu_neuron", "--at", str(path), "--max-seconds", "1e-3"]) == 3
    assert "its budget of 0.001 s was spent" in capsys.readouterr().err


def test_members_that_have_not_ended_have_the_status_and_are_no_trials(ticks):
    starts = np.linspace(0.2, 0.6, 6)[:, None] * np.array([1.0, 1.2])
    begun = ticks()
    whole = flows.integrate_ensemble(OWN, starts, 3.0, max_seconds=1e9, chunk_size=6)
    half = (ticks() - begun) / 2
    found = flows.integrate_ensemble(OWN, starts, 3.0, max_seconds=half, chunk_size=6)
    ended = found.status == "completed"
    assert 0 < ended.sum() < 6 and set(found.status[~ended]) == {TIME_BUDGET}
    assert np.isnan(found["loss"][~ended, -1]).all() and not np.isnan(found["loss"][ended]).any()
    assert all("max_seconds" in text for text in found["message"][~ended])
    assert found.fraction(lambda c: c["loss"][:, -1] < 1.0).trials == ended.sum()
    assert np.array_equal(found["loss"][ended], whole["loss"][ended])


def test_a_folder_goes_on_with_members_that_have_not_ended(ticks, tmp_path):
    law = flows.Law(size=6, scale=0.3)
    asked = {"t_end": 1e3, "method": "LSODA", "chunk_size": 2, "workers": 1}
    first = ticks()
    once = flows.integrate_ensemble(NEURONS, law, **asked, max_seconds=1e9)
    asked["out"], half = tmp_path / "e", (ticks() - first) / 2
    begun = flows.integrate_ensemble(NEURONS, law, **asked, max_seconds=half)
    assert {*begun.status} == {"completed", TIME_BUDGET}
    kept = flows.load_ensemble(tmp_path / "e")
    assert {*kept.status} == {"completed", "interrupted"}
    whole = flows.integrate_ensemble(NEURONS, law, **asked)
    assert (whole.status == "completed").all()
    assert np.array_equal(whole["loss"], once["loss"], equal_nan=True)


def test_members_side_by_side_end_together(ticks):
    found = flows.integrate_ensemble(MEANS, flows.Law(size=5), 1e9, max_seconds=SECONDS)
    assert TIME_BUDGET in found.status and np.isnan(found["loss"][:, -1]).any()
    assert {*found.status} <= {TIME_BUDGET, "completed"}


def test_threads_of_compiled_code_end(monkeypatch):
    monkeypatch.setattr(along_axes, "served", lambda *_: True)
    monkeypatch.setattr("flows.ensembles.integrate.served", lambda *_: True)
    law = flows.Law(size=64, scale=0.5)
    found = flows.integrate_ensemble(OWN, law, 1e12, max_seconds=1e-3)
    assert (found.status == TIME_BUDGET).any()


def test_a_sweep_ends_and_goes_on(ticks, tmp_path):
    def swept(seconds, out=None):
        return flows.sweep(
            flows.ReLUNeuron,
            {"n": [1, 2, 3], "d": [2]},
            size=2,
            t_end=1e3,
            method="LSODA",
            workers=1,
            out=out,
            max_seconds=seconds,
        )

    first = ticks()
    once = swept(1e9)
    begun = swept((ticks() - first) / 2, tmp_path / "s")
    status = begun["status"].values.ravel().tolist()
    assert status[0] == "completed" and status[-1] == TIME_BUDGET
    assert "max_seconds" in str(begun["message"].values.ravel()[-1])
    assert np.isnan(begun["loss"].values.reshape(6, -1)[-1]).all()
    whole = swept(None, tmp_path / "s")
    assert (whole["status"] == "completed").all()
    assert np.array_equal(whole["loss"], once["loss"], equal_nan=True)


def test_a_proof_that_takes_too_long_is_none(ticks):
    with pytest.raises(Uncertified, match="spent before a proof was found"):
        flows.certify(NEURONS, start_of(NEURONS), 100.0, max_seconds=2)


def of_command(capsys, *words):
    begun = time.monotonic()
    code = main(words)
    assert time.monotonic() - begun < LONG
    return code, capsys.readouterr()


LONG_RUN = ("relu_neuron", "--n", "3", "--d", "3", "--t-end", "1e9", "--method", "reference")


def test_a_command_ends_with_one_line(capsys):
    code, told = of_command(capsys, "run", *LONG_RUN, "--max-seconds", str(SHORT))
    (line,) = (one for one in told.out.splitlines() if "status" in one)
    assert code == 4 and "time_budget" in line and "0.5 s was spent" in line
    assert "Traceback" not in told.err


def test_json_says_so(capsys):
    code, told = of_command(capsys, "run", *LONG_RUN, "--json", "--max-seconds", str(SHORT))
    data = json.loads(told.out)
    assert (code, data["status"]) == (4, TIME_BUDGET) and data["t"][-1] < 1e9


def test_an_ensemble_of_the_command_line_ends(capsys):
    words = (*LONG_RUN, "--size", "8", "--json", "--max-seconds", str(SHORT))
    code, told = of_command(capsys, "ensemble", *words)
    assert code == 4 and json.loads(told.out)["status"] == {TIME_BUDGET: 8}


def test_commands_have_ten_minutes_unless_told_otherwise(capsys):
    assert main(["run", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--max-seconds S End after this many seconds [default: 600]" in text
    assert main(["run", *LONG_RUN, "--max-seconds", "0"]) == 2
    assert "max_seconds must be a positive number" in capsys.readouterr().err
