"""Members of two layers in compiled code: they agree with runs alone, or are runs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flows
from flows.core.problem import COMPLETED, KINK_REACHED
from flows.ensembles import along_axes
from flows.runs import integrate as runs
from flows.runs.request import Request

# A hundred times the tolerance of a step is what a run states.
STATED, RTOL = 100.0, 1e-8
PAIRS = flows.TwoLayer(3, 2)


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code follows ensembles of any size."""
    monkeypatch.setattr(flows.TwoLayer, "many", 1)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What compiled code finds."""
    every: list[Any] = []
    original = along_axes._followed

    def followed(*arguments: Any) -> Any:
        both = original(*arguments)
        every.append(both[0])
        return both

    monkeypatch.setattr(along_axes, "_followed", followed)
    return every


def starts(system: Any, members: int, scale: float = 0.5) -> Any:
    """Starts of the law."""
    return np.array([system.initial(scale, seed) for seed in range(members)])


@pytest.mark.parametrize(
    ("system", "end"),
    [
        (PAIRS, 1e3),
        (flows.TwoLayer(2, [[1.0, 0.2, 0.0], [0.0, 1.0, 0.5]], activation="leaky:0.1"), 1e2),
        (flows.TwoLayer(2, 2, activation="erf"), 1e2),
        (flows.TwoLayer(2, 2, activation="quadratic"), 3.0),
        (flows.TwoLayer(2, 2, train_outputs=True), 30.0),
    ],
    ids=["relu", "leaky", "erf", "quadratic", "trained"],
)
def test_members_agree_with_runs_of_a_finer_tolerance(
    system: Any, end: float, found: list[Any]
) -> None:
    """Within what they state, and compiled code has followed them all to the end."""
    begun = starts(system, 2)
    e = flows.integrate_ensemble(system, begun, end, [1.0, end], rtol=RTOL)
    assert (found[0].reached == 3).all()
    for k, start in enumerate(begun):
        run = flows.integrate(system, start, end, [1.0, end], rtol=1e-11)
        off = np.abs(e["loss"][k] - run["loss"])
        assert (off <= e["loss_error"][k]).all()
        assert (off <= STATED * RTOL * run["loss"]).all()
        # A loss that is off by a thousandth is noticed.
        assert (off + 1e-3 * run["loss"] > e["loss_error"][k]).all()


def test_what_is_seen_of_students_is_what_runs_alone_see(found: list[Any]) -> None:
    """Norms, residuals and exponents, which are evaluated where they are asked for."""
    names = ("loss", "norms", "residual_norms")
    e = flows.integrate_ensemble(PAIRS, starts(PAIRS, 1), 1e2, [1e2], rtol=RTOL, observables=names)
    run = flows.integrate(PAIRS, PAIRS.initial(0.5, 0), 1e2, [1e2], rtol=1e-11)
    assert (found[0].reached == 2).all()
    for name in names:
        assert np.allclose(e[name][0], run[name], rtol=STATED * RTOL, atol=0)
    exponent = flows.local_exponent(run)
    assert np.allclose(e["loss_exponent"][0], exponent, rtol=STATED * RTOL, equal_nan=True)


def test_rows_are_the_same_whatever_chunks_workers_and_interruptions_are(tmp_path: Path) -> None:
    """Also in more lanes than there are members, and in fewer."""
    begun, times = starts(PAIRS, 40), np.geomspace(1e-2, 1e2, 20)
    whole = flows.integrate_ensemble(PAIRS, begun, 1e2, times)

    def stop(members: int) -> None:
        if members:
            raise KeyboardInterrupt

    asked: dict[str, Any] = {"out": tmp_path / "e", "chunk_size": 5}
    half = flows.integrate_ensemble(PAIRS, begun[:10], 1e2, times, progress=stop, **asked)
    assert half.status.tolist() == [COMPLETED] * 5 + ["interrupted"] * 5
    on = flows.integrate_ensemble(PAIRS, begun[:10], 1e2, times, **asked)
    other = flows.integrate_ensemble(PAIRS, begun[::-1].copy(), 1e2, times, chunk_size=7)
    for name in ("loss", "loss_error", "loss_exponent", "steps"):
        assert np.array_equal(on[name], whole[name][:10])
        assert np.array_equal(other[name][::-1], whole[name])


def test_members_that_two_doubles_do_not_tell_are_runs_alone(found: list[Any]) -> None:
    """Equal students, and one on the line of a teacher: every bit."""
    begun = np.array([[[0.3, 0.2], [0.3, 0.2], [0.1, 0.4]], [[0.5, 0.0], [0.1, 0.4], [0.2, 0.3]]])
    e = flows.integrate_ensemble(PAIRS, begun, 2.0, [2.0], rtol=RTOL)
    assert (found[0].reached < 1).all()
    for k, start in enumerate(begun):
        alone = flows.integrate(PAIRS, start, 2.0, [2.0], rtol=RTOL)
        assert e.status[k] == alone.status
        assert np.array_equal(e["loss"][k][: len(alone.t)], alone["loss"], equal_nan=True)


@pytest.mark.parametrize(("seed", "scale"), [(60, 1.0), (95, 1.0), (2, 2.0)])
def test_a_student_that_reaches_zero_takes_few_steps_alone(
    seed: int, scale: float, found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on from where compiled code sees it fall, with fewer steps than from its start."""
    begun, times = PAIRS.initial(scale, seed)[None], np.geomspace(1e-2, 10.0, 16)
    e = flows.integrate_ensemble(PAIRS, begun, 10.0, times, rtol=RTOL)
    fine = flows.integrate(PAIRS, begun[0], 10.0, times, rtol=1e-11)
    assert e.status.tolist() == [fine.status] == [KINK_REACHED]
    known = len(fine.t)
    assert (np.abs(e["loss"][0, :known] - fine["loss"]) <= e["loss_error"][0, :known]).all()
    assert np.isnan(e["loss"][0, known:]).all()
    assert _zero_at(e["message"][0]) == pytest.approx(_zero_at(fine.message), rel=1e-6)
    last = e["steps"][0] - found[0].counts[0, 0]

    def nowhere(*given: Any) -> Any:
        found[0].reached[:] = 0
        return found[0], {}

    monkeypatch.setattr(along_axes, "_followed", nowhere)
    anew = flows.integrate_ensemble(PAIRS, begun, 10.0, times, rtol=RTOL)
    assert anew.status.tolist() == [KINK_REACHED]
    assert last < 0.7 * anew["steps"][0] < 50


def _zero_at(message: str) -> float:
    """Time at which a student is zero."""
    return float(message.split("zero at t = ")[1].split(",")[0])


def test_a_student_that_nearly_vanishes_takes_compiled_steps(found: list[Any]) -> None:
    """Its length falls with the residual, to 1e-10: two doubles know it where one does not."""
    start = PAIRS.initial(0.5, 202)
    e = flows.integrate_ensemble(PAIRS, start[None], 1e3, rtol=RTOL)
    assert e.status.tolist() == [COMPLETED]
    assert 1 < found[0].reached[0] < len(e.t)
    fine, alone = (flows.integrate(PAIRS, start, 1e3, rtol=rtol) for rtol in (1e-11, RTOL))
    known = np.isfinite(e["loss"][0]) & np.isfinite(fine["loss"])
    assert known.sum() >= np.isfinite(alone["loss"]).sum()
    off = np.abs(e["loss"][0] - fine["loss"])[known]
    assert (off <= e["loss_error"][0, known]).all()
    assert (off + fine["loss"][known] > e["loss_error"][0, known]).all()
    assert max(e["steps"][0], alone.stats["steps"]) < 300


@pytest.mark.parametrize("seed", [60, 467])
def test_compiled_steps_stop_where_a_student_reaches_zero(seed: int) -> None:
    """They know nothing of students, so that each of them is looked at, as those of SciPy."""
    start = PAIRS.initial(1.0, seed)
    coded, alone = (
        flows.integrate(PAIRS, start, 10.0, rtol=RTOL, method=method)
        for method in ("auto", "Radau")
    )
    assert coded.status == alone.status == KINK_REACHED
    assert _zero_at(coded.message) == pytest.approx(_zero_at(alone.message), rel=1e-6)
    assert len(coded.t) == len(alone.t)
    assert np.allclose(coded["loss"], alone["loss"], rtol=STATED * RTOL)


def test_rows_of_members_that_go_on_alone_are_the_same_whatever_chunks_are() -> None:
    """Those that reach zero, that nearly vanish, and beside them one that compiled code tells."""
    begun = np.array([PAIRS.initial(1.0, seed) for seed in (95, 329, 0)])
    whole = flows.integrate_ensemble(PAIRS, begun, 1e3, rtol=RTOL)
    other = flows.integrate_ensemble(PAIRS, begun[::-1].copy(), 1e3, rtol=RTOL, chunk_size=1)
    assert whole.status.tolist() == [KINK_REACHED, COMPLETED, COMPLETED]
    for name in ("loss", "loss_error", "loss_exponent", "steps"):
        assert np.array_equal(other[name][::-1], whole[name], equal_nan=name != "steps")


def test_students_that_are_short_and_do_not_fall_to_zero_go_on(
    found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all students taken for short every step is looked at, which changes no bit."""
    begun = starts(PAIRS, 2)
    usual = flows.integrate_ensemble(PAIRS, begun, 1e2, [1.0, 1e2], rtol=RTOL)
    terms = flows.TwoLayer.axis_terms
    monkeypatch.setattr(
        flows.TwoLayer, "axis_terms", lambda *given: terms(*given)._replace(short=1.0)
    )
    looked = flows.integrate_ensemble(PAIRS, begun, 1e2, [1.0, 1e2], rtol=RTOL)
    assert [one.reached.tolist() for one in found] == [[3, 3], [3, 3]]
    assert np.array_equal(looked["loss"], usual["loss"])


def test_members_whose_loss_falls_to_zero_are_measured_as_one_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the bits of each; of early members, whose limits are not known to be zero, none is."""
    begun, rows, run = starts(PAIRS, 4), [], along_axes._run

    def noted(*arguments: Any) -> Any:
        rows.append(len(arguments[5]))
        return run(*arguments)

    monkeypatch.setattr(along_axes, "_run", noted)

    def of(end: float) -> Any:
        return flows.integrate_ensemble(PAIRS, begun, end, rtol=RTOL)

    one, early = of(1e3), of(1.0)
    monkeypatch.setattr(
        flows.TwoLayer, "ended_along", lambda self, found, _: [None] * len(found.digits)
    )
    each, seen = of(1e3), of(1.0)
    assert rows == [4, *[1] * 12]
    for found, other in ((one, each), (early, seen)):
        for name in found.names:
            exact = found[name].dtype != object
            assert np.array_equal(found[name], other[name], equal_nan=exact), name


@pytest.mark.parametrize("seed", [58, 412])
def test_outputs_inside_charts_are_right_within_what_is_stated(seed: int, found: list[Any]) -> None:
    """These pass beside saddles: with explicit steps ten times as coarse they are not."""
    start = PAIRS.initial(0.5, seed)
    e = flows.integrate_ensemble(PAIRS, start[None], 1e3, rtol=RTOL)
    run = flows.integrate(PAIRS, start, 1e3, rtol=1e-11)
    assert (found[0].reached == len(run.t)).all()
    assert (np.abs(e["loss"][0] - run["loss"]) <= e["loss_error"][0]).all()
    gradient = np.sqrt(-e["loss_exponent"][0] * e["loss"][0] / np.maximum(e.t, 1e-300))
    late = e.t > 0
    assert np.allclose(gradient[late], run["gradient_norm"][late], rtol=STATED * RTOL)


def test_a_member_beside_a_saddle_has_companions_as_its_run_alone_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two students that are one but for `1e-6`, which the flow of one leads to a saddle."""
    system = flows.TwoLayer(2, [[1.0, 0.2], [0.3, 1.1]], activation="quadratic")
    start, times = np.array([[0.1, 0.05], [0.1, 0.05 + 1e-6]]), np.geomspace(0.1, 15.0, 10)

    def parts() -> Any:
        e = flows.integrate_ensemble(system, start[None], 15.0, times, rtol=1e-6)
        return e["loss_error"][0, 1:] / alone.absolute_errors("loss")[1:]

    alone = flows.integrate(system, start, 15.0, times, rtol=1e-6)
    assert (parts() < 1.1).all() and (parts() > 0.9).all()
    monkeypatch.setattr(runs, "confirmed", lambda run, *others: run)
    assert (parts() < 0.7).any()


def test_a_field_that_differs_from_that_of_two_doubles_is_noticed(
    found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one product of the gradient has another factor, members are runs alone."""
    gradient, value, rates = PAIRS.axis_codes() or pytest.fail("no programs")
    operands = gradient.operands.copy()
    operands[np.flatnonzero(gradient.operation == 1)[-1], 0] = 0
    assert not np.array_equal(operands, gradient.operands)
    codes = gradient._replace(operands=operands), value, rates
    monkeypatch.setattr(flows.TwoLayer, "axis_codes", lambda self: codes)
    flows.integrate_ensemble(PAIRS, starts(PAIRS, 1), 10.0, [10.0], rtol=RTOL)
    assert (found[0].reached == 1).all()


def test_the_call_alone_decides_who_follows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One teacher is followed as a neuron; many entries and other tolerances as runs alone."""

    def served(system: Any, members: int = 48, rtol: float = RTOL) -> bool:
        return along_axes.served(system, Request(1.0, None, "auto", rtol, None), members)

    monkeypatch.undo()
    assert served(PAIRS)
    assert not served(PAIRS, members=47)
    assert not served(PAIRS, rtol=1e-12)
    assert not served(flows.TwoLayer(3, 1))
    assert not served(flows.TwoLayer(9, 9))
    assert not served(PAIRS.in_doubles())
