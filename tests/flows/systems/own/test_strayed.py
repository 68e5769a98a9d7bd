"""Exact states leave the plane of their forms by rounding: numbers across it are not known."""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.systems.own import in_plane
from symbolic import Expectation

# Entries are dyadic, so that a direction across all rows of a start is exact. The Gaussian law is
# symmetric, so the flow keeps the plane, and a number across it is zero for ever.
ACROSS = {
    "a student in space": ([[0.25, 0.75, -0.5]], [0.0, 0.5, 0.75], 1e3),
    "two students in five dimensions": (
        [[0.25, 0.75, -0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.75, 0.25]],
        [0.0, 0.5, 0.75, 0.25, -0.75],
        5.0,
    ),
}
# Digits of a number in the plane, relative to it.
KEPT = 1e-6


def followed(name):
    rows, across, end = ACROSS[name]
    count, d = np.shape(rows)
    w, x = sp.MatrixSymbol("w", count, d), sp.MatrixSymbol("x", d, 1)
    forms = [sum(w[i, j] * x[j] for j in range(d)) for i in range(count)]
    gap = sum(sp.tanh(z) for z in forms) - count * sp.tanh(x[0])
    numbers = {
        "across": sum(sp.Rational(a) * w[0, j] for j, a in enumerate(across)),
        "along": sum(w[i, 0] for i in range(count)) - count,
    }
    system = flows.OwnSystem("students", [w], Expectation(gap**2, x) / 2, potentials=numbers)
    return flows.integrate(system, np.ravel(rows), end, np.geomspace(1e-2, end, 8))


def told(run):
    """Sizes of the number that is zero, over what is stated, where it is known."""
    known = np.isfinite(run["across"][1:])
    return np.abs(run["across"][1:][known]) / run.absolute_errors("across")[1:][known]


@pytest.mark.parametrize("name", ACROSS)
def test_a_number_across_the_plane_is_told_no_digit_that_is_rounding(name):
    run = followed(name)
    assert run.completed and (told(run) <= 1).all()
    # In the plane nothing is lost: the distance to the teacher is far below the doubles of a state.
    relative = run.errors("along")[(run.t > 1) & np.isfinite(run["along"])]
    assert len(relative) and (relative < KEPT).all()


def test_what_is_not_counted_is_seen(monkeypatch):
    monkeypatch.setattr(in_plane, "STRAYS", 0.0)
    assert (told(followed("a student in space")) > 1e3).any()
