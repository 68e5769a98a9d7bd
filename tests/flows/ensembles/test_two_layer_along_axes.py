"""Members of two layers in compiled code: they agree with runs alone, or are runs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flows
from flows.core.problem import COMPLETED, KINK_REACHED
from flows.ensembles import along_axes
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
        every.append(original(*arguments))
        return every[-1]

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
    """Equal students, one on the line of a teacher, and one that reaches zero: every bit."""
    begun = np.array(
        [
            [[0.3, 0.2], [0.3, 0.2], [0.1, 0.4]],
            [[0.5, 0.0], [0.1, 0.4], [0.2, 0.3]],
            [[3.0, 0.1], [0.1, 3.0], [0.01, 0.02]],
        ]
    )
    e = flows.integrate_ensemble(PAIRS, begun, 2.0, [2.0], rtol=RTOL)
    assert (found[0].reached < 2).all()
    for k, start in enumerate(begun):
        alone = flows.integrate(PAIRS, start, 2.0, [2.0], rtol=RTOL)
        assert e.status[k] == alone.status
        assert np.array_equal(e["loss"][k][: len(alone.t)], alone["loss"], equal_nan=True)
    assert KINK_REACHED in e.status


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
        flows.TwoLayer, "above_along", lambda self, digits, *_: [None] * len(digits)
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


def test_a_field_that_differs_from_that_of_two_doubles_is_noticed(
    found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the slopes of teachers that are larger by a thousandth, members are runs alone."""
    other = flows.TwoLayer(3, 1.001 * np.eye(2)).axis_codes()
    _, value, rates = PAIRS.axis_codes() or pytest.fail("no programs")
    assert other is not None
    codes = other[0], value, rates
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
