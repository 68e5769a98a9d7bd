"""What a run does not know has no small error, of any system and any observable."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import sympy as sp

import flows

X, Y = sp.symbols("x y")
PRODUCT = (X**2 * Y**2 - 1) ** 2 / 4
AXIS, OPPOSED = [[0.5, 0.0], [0.2, 0.0]], [[0.5, 0.0], [-0.2, 0.0]]
SUM = {"sum": X + Y}
# Systems, starts (of a random one, how large), ends. Most fall exponentially, below all doubles.
RUNS: dict[str, tuple[Any, Any, float]] = {
    "relu_neuron": (flows.ReLUNeuron(2, 3), 0.1, 1e12),
    "relu_neuron on the axis": (flows.ReLUNeuron(2, 2), AXIS, 1e6),
    "relu_neuron behind": (flows.ReLUNeuron(2, 2), OPPOSED, 1e6),
    "one relu_neuron": (flows.ReLUNeuron(1, 3), 0.1, 1e6),
    "relu_neuron at zero": (flows.ReLUNeuron(2, 2), [[1.0, 0.0], [0.0, 0.0]], 1e6),
    "gmm_em": (flows.GMMEM(2, 1), 0.5, 1e12),
    "gmm_em of one": (flows.GMMEM(1, 1), 0.5, 1e6),
    "score_matching": (flows.ScoreMatching(3, 2), 0.5, 1e12),
    "score_matching of one": (flows.ScoreMatching(1, 1), 0.5, 1e6),
    "matrix_factorization": (flows.MatrixFactorization(2, "real", 1), 0.3, 1e6),
    "complex matrix_factorization": (flows.MatrixFactorization(2, "complex", 0), 0.3, 1e6),
    "two_layer": (flows.TwoLayer(2, 1, d=2), 0.3, 1e6),
    "two_layer erf": (flows.TwoLayer(2, 1, d=2, activation="erf"), 0.3, 1e6),
    "own": (flows.OwnSystem("own", [X, Y], PRODUCT, potentials=SUM), [1e-2, 1e-2], 1e5),
    "own above zero": (flows.OwnSystem("own", [X, Y], PRODUCT + 1), [0.5, 0.3], 1e5),
    "own in doubles": (
        flows.OwnSystem("own", [X, Y], PRODUCT, arithmetic="doubles"),
        [0.5, 0.3],
        1e5,
    ),
}
# Of these something is not known, or below all doubles, at the end.
KNOWN = {"relu_neuron", "gmm_em", "score_matching", "two_layer", "two_layer erf"}


@functools.cache
def run_of(name: str) -> Any:
    system, start, end = RUNS[name]
    return flows.integrate(
        system, system.initial(start, 0) if isinstance(start, float) else start, end
    )


def confident(run: Any) -> dict[str, float]:
    """Observables with a finite relative error where nobody knows them: the smallest one."""
    found = {}
    for name in (*run.names, "excess"):
        value = np.abs(np.asarray(run[name])).reshape(len(run.t), -1)
        unknown = ~np.isfinite(value) | ((value == 0) & (value[0] > 0))
        stated = run.errors(name)[unknown.any(axis=1)]
        if np.isfinite(stated).any():
            found[name] = float(stated.min())
    return found


@pytest.mark.parametrize("name", RUNS)
def test_no_observable_is_unknown_and_has_a_small_error(name: str) -> None:
    run = run_of(name)
    assert run.completed and confident(run) == {}
    if np.isnan(run["loss"]).any():
        assert "is NaN where it is not known" in run.message


@pytest.mark.parametrize("name", sorted(set(RUNS) - KNOWN))
def test_runs_reach_what_is_not_known(name: str) -> None:
    """Otherwise the test above would see nothing."""
    run = run_of(name)
    assert any(np.isinf(run.errors(each)).any() for each in (*run.names, "excess"))


@pytest.mark.parametrize("name", RUNS)
def test_no_zero_of_a_loss_that_was_positive_is_exact(name: str) -> None:
    """Below the smallest double it is zero, give or take that double."""
    run = run_of(name)
    gone = (run["loss"] == 0) & (run["loss"][0] > 0)
    assert (run.absolute_errors("loss")[gone] >= np.finfo(float).tiny).all()
    for observable in run.names:
        value = np.abs(run.quantities[observable])
        error = run.absolute_errors(observable)
        assert (error[(value == 0) & (value[:1] > 0)] > 0).all(), observable


def test_a_start_at_a_minimum_is_zero_exactly() -> None:
    run = run_of("relu_neuron at zero")
    assert (run["loss"] == 0).all() and (run.errors("loss") < 1e-6).all()
    assert (run.absolute_errors("loss") == 0).all()
