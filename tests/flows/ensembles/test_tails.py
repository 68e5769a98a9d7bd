"""Members whose losses fall exponentially go to the end in closed form, as runs alone tell them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import flows
from flows.ensembles import along_axes
from flows.systems.own.tails import squares_of
from symbolic import Expectation

u, v, w = sp.symbols("u v w", real=True)
RTOL, FINE = 1e-8, 1e-11
# A loss, a curvature or a limit that is off by a thousandth is noticed.
LITTLE = 1e-3
# What a run states of a loss above its limit, beside its error, is a hundred times its tolerance.
STATED = 100 * RTOL
# What steps at one tolerance leave in two runs differs by less than this factor.
TWICE = 2.0

WELL = (u * v - 1) ** 2 / 2 + (u - v - 1) ** 2 / 2
VALLEY = (u * v - 1) ** 2 / 2
LONG_VALLEY = (u * v * w - 1) ** 2 / 2
# Its squares cannot all be zero, and it has as many as unknowns.
APART = ((u - 1) ** 2 + 1) ** 2 / 2 + (v - u) ** 2 / 2
# A population loss: neurons with as many squares as unknowns, of which three are independent.
X = sp.MatrixSymbol("x", 2, 1)
W = sp.MatrixSymbol("W", 2, 2)
NEURONS = Expectation(((X.T * W.T * W * X)[0, 0] - X[0, 0] ** 2 - 2 * X[1, 0] ** 2) ** 2, X) / 2
# One axis decays by `e^{-t}`, others by `e^{-0.006 t}`.
STEEP = WELL.subs(v, u * v) + (u - 1) ** 2 / 300


def own(loss: Any) -> flows.OwnSystem:
    """Of the unknowns that the loss has."""
    unknowns = [W] if loss is NEURONS else sorted(loss.free_symbols, key=str)
    return flows.OwnSystem("one", unknowns, loss)


def begun(system: Any, members: int = 4) -> Any:
    """Random starts."""
    return np.random.default_rng(0).normal(size=(members, len(system.initial())))


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code follows ensembles of any size."""
    monkeypatch.setattr(flows.OwnSystem, "many", 1)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What compiled code finds, with losses above limits."""
    found: list[Any] = []
    original = along_axes._followed

    def followed(*arguments: Any) -> Any:
        found.append(original(*arguments))
        return found[-1]

    monkeypatch.setattr(along_axes, "_followed", followed)
    return found


CASES = [
    (WELL, 1e3),
    (WELL + sp.Rational(1, 3), 1e3),
    (VALLEY, 1e6),
    (LONG_VALLEY + sp.Rational(1, 3), 100.0),
    (APART, 100.0),
    (STEEP, 1e5),
    (NEURONS, 30.0),
]


@pytest.mark.parametrize(("loss", "end"), CASES)
def test_exponential_tails_are_those_of_runs_alone_to_the_end(
    loss: Any, end: float, seen: list[Any]
) -> None:
    """To a loss of 1e-290, within what is stated of runs at a finer tolerance."""
    system = own(loss)
    starts = begun(system)
    kept = ("loss", "gradient_norm")
    e = flows.integrate_ensemble(system, starts, end, rtol=RTOL, observables=kept)
    assert (seen[0][0].reached == len(e.t)).all()
    for k, start in enumerate(starts):
        alone, fine = (flows.integrate(system, start, end, rtol=rtol) for rtol in (RTOL, FINE))
        for name in kept:  # a run alone may tell nothing at a time between two others
            assert np.isfinite(e[name][k])[np.isfinite(alone[name])].all(), name
        known, error = np.isfinite(fine["loss"]), e["loss_error"][k]
        off = np.abs(e["loss"][k] - fine["loss"])
        assert (off <= error)[known].all()
        assert (off + LITTLE * fine["loss"] > error)[known].all()
        slope = fine["gradient_norm"]
        tailed = np.isfinite(slope) & (slope > 0)
        assert np.allclose(e["gradient_norm"][k, tailed], slope[tailed], rtol=STATED, atol=0)


@pytest.mark.parametrize(("loss", "end"), CASES)
def test_losses_above_their_limits_are_those_of_a_search_with_many_digits(
    loss: Any, end: float, seen: list[Any]
) -> None:
    """Where the difference of two doubles is zero, too."""
    system = own(loss)
    starts = begun(system)
    flows.integrate_ensemble(system, starts, end, rtol=RTOL)
    for k, start in enumerate(starts):
        fine, found = flows.integrate(system, start, end, rtol=FINE).excess, seen[0][1][k]
        both = np.isfinite(fine.value) & np.isfinite(found.value)
        assert np.isclose(found.limit, fine.limit, rtol=1e-14, atol=1e-280)
        assert both.sum() > 20
        off, size = np.abs(found.value - fine.value)[both], fine.value[both]
        assert (off <= found.error[both] + STATED * size).all()
        assert (off + LITTLE * size > found.error[both] + STATED * size).all()


def test_curvature_that_is_off_by_a_thousandth_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tails of a well fall too fast then."""
    system = own(WELL)
    starts, exact = begun(system), np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda m: ((1 + LITTLE) * exact(m)[0], exact(m)[1]))
    e = flows.integrate_ensemble(system, starts, 100.0, rtol=RTOL)
    fine = flows.integrate(system, starts[0], 100.0, rtol=FINE)
    assert np.abs(e["loss"][0, -1] - fine["loss"][-1]) > e["loss_error"][0, -1]


def test_a_member_whose_axes_are_not_found_goes_on_alone(
    monkeypatch: pytest.MonkeyPatch, seen: list[Any]
) -> None:
    """The others keep their bits."""
    system, exact = own(WELL), np.linalg.eigh
    starts, refused = begun(system), []
    whole = flows.integrate_ensemble(system, starts, 100.0, rtol=RTOL)

    def failing(matrix: Any) -> Any:
        refused.extend([matrix] if len(matrix) else [])
        if 0 < len(refused) < 3:  # all of them, then the first one
            raise np.linalg.LinAlgError("no convergence")
        return exact(matrix)

    monkeypatch.setattr(np.linalg, "eigh", failing)
    monkeypatch.setattr("flows.ensembles.along_axes.cores", lambda: 1)
    e = flows.integrate_ensemble(system, starts, 100.0, rtol=RTOL)
    assert (seen[1][0].reached < len(e.t)).tolist() == [True, False, False, False]
    assert np.array_equal(e["loss"][1:], whole["loss"][1:])
    assert np.allclose(e["loss"][0], whole["loss"][0], rtol=STATED, atol=0)
    assert not np.array_equal(e["loss"][0], whole["loss"][0])


def test_a_zero_that_is_not_shown_is_looked_at_with_many_digits(seen: list[Any]) -> None:
    """The same well, written out, is no sum of squares; with a constant that two doubles tell it is
    one again."""
    plain, raised = own(sp.expand(WELL)), own(sp.expand(WELL) + sp.Rational(1, 3))
    starts = begun(plain, 2)
    e = flows.integrate_ensemble(plain, starts, 100.0, rtol=RTOL)
    flows.integrate_ensemble(raised, starts, 100.0, rtol=RTOL)
    fine = flows.integrate(plain, starts[0], 100.0, rtol=FINE)
    assert (seen[0][0].reached < len(e.t)).all() and (seen[1][0].reached == len(e.t)).all()
    assert np.isfinite(e["loss"]).all()
    assert (np.abs(e["loss"][0] - fine["loss"]) <= e["loss_error"][0]).all()


def test_potentials_are_observed_at_states_of_many_digits(seen: list[Any]) -> None:
    """So no closed form is taken for them."""
    unknowns = [u, v]
    system = flows.OwnSystem("one", unknowns, WELL, potentials={"gap": (u * v - 1) ** 2})
    e = flows.integrate_ensemble(system, begun(system, 2), 100.0, rtol=RTOL)
    assert (seen[0][0].reached < len(e.t)).all()


def test_errors_along_a_valley_are_not_taken_for_errors_across_it(seen: list[Any]) -> None:
    """These starts come along beside a saddle; axes of doubles turn by more than the flow does."""
    system = own(VALLEY)
    starts = begun(system, 128)[[36, 77, 96]]
    e = flows.integrate_ensemble(system, starts, 100.0, rtol=RTOL)
    assert (seen[0][0].reached == len(e.t)).all()
    tails = 0
    for start, loss, error in zip(starts, e["loss"], e["loss_error"], strict=True):
        alone, fine = (
            flows.integrate(system, start, 100.0, e.t[1:], rtol=rtol) for rtol in (RTOL, FINE)
        )
        tail = (loss > 0) & (loss < 1e-20)
        off = np.abs(loss - fine["loss"])
        assert (off <= error)[tail].all() and (off + LITTLE * loss > error)[tail].all()
        # A run alone knows its axes to all digits, and has steps of its own.
        assert (error <= TWICE * alone.absolute_errors("loss"))[tail].all()
        tails += tail.sum()
    assert tails > 20


def test_rows_of_tails_are_the_same_whatever_the_chunks_are() -> None:
    """And whatever the order is."""
    system = own(WELL)
    starts = begun(system, 20)
    whole = flows.integrate_ensemble(system, starts, 100.0, rtol=RTOL)
    other = flows.integrate_ensemble(system, starts[::-1].copy(), 100.0, rtol=RTOL)
    parts = flows.integrate_ensemble(system, starts, 100.0, rtol=RTOL, chunk_size=3)
    for name in ("loss", "loss_error", "loss_exponent"):
        assert np.array_equal(whole[name], parts[name], equal_nan=True)
        assert np.array_equal(whole[name], other[name][::-1], equal_nan=True)
    assert not np.array_equal(whole["loss"], other["loss"])


@pytest.mark.parametrize(
    ("loss", "constant", "count"),
    [
        (WELL, 0.0, 2),
        (WELL + sp.Rational(1, 2), 0.5, 2),
        (WELL - 2, -2.0, 2),
        (3 * (u * v) ** 2 + 0.5 * (u - v) ** 4, 0.0, 2),
        ((u - v) * (2 * u - 2 * v) / 4 + (u + 1) ** 2, 0.0, 2),
        (u**2 + v**2 + (u + v) ** 2, 0.0, 2),  # as a trace beside a diagonal
        (u**2 + v**2 + (u + v + w / 1000) ** 2, 0.0, 3),
        (0.1 * (u - 1) ** 2 + (0.3 * u - v) ** 2 + (u - v / 0.3) ** 2, 0.0, 3),  # doubles differ
        ((u - v) * (v - u) / 4, 0.0, -1),
        (WELL - u**2 / 1000, 0.0, -1),
        (WELL + (u - v) ** 3, 0.0, -1),
        (sp.expand(WELL), 0.0, -1),
        ((u - 1) ** 2 * (v - 1), 0.0, -1),
    ],
)
def test_sums_of_squares_are_told_from_other_losses(loss: Any, constant: float, count: int) -> None:
    """By how they are written."""
    found = squares_of(loss)
    assert found == ((constant, 0.0, 0.0), count)
