"""Factors of symmetric matrices in lanes solve what NumPy does, each lane by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.arithmetic.kept import loop
from flows.solvers.near_factors import factors_of
from flows.solvers.near_flow import LANES

factor, substitute, factor_both, substitute_both, _ = factors_of(LANES)
ROUNDING = 1e-12
REAL, IMAGINARY = np.linspace(1.0, 2.0, LANES), np.linspace(-3.0, 3.0, LANES)
TIMES = np.geomspace(1e-3, 1e3, LANES)
SIZES = [1, 2, 5, 20]


@loop
def solved(of: Any, times: Any, shift: Any, x: Any) -> None:
    """Solve with real matrices, in place."""
    matrix = np.zeros(of.shape)
    factor(of, times, shift, matrix)
    substitute(matrix, x)


@loop
def solved_both(of: Any, times: Any, shift: Any, x: Any, y: Any) -> None:
    """Solve with complex matrices, in place."""
    n = len(of)
    matrix = np.zeros((n, n, 2, LANES))
    factor_both(of, times, shift, matrix)
    substitute_both(matrix, x, y)


def definite(n: int) -> tuple[Any, Any]:
    """Definite matrices of all lanes, and their upper triangles with NaN below."""
    roots = np.random.default_rng(n).normal(size=(LANES, n, n))
    whole = roots @ roots.transpose(0, 2, 1)
    upper = np.where(np.tri(n, k=-1, dtype=bool), np.nan, whole)
    return whole, np.ascontiguousarray(np.moveaxis(upper, 0, 2))


def sides(n: int) -> tuple[Any, Any]:
    """Right sides (N, lanes)."""
    generator = np.random.default_rng(100 + n)
    return generator.normal(size=(n, LANES)), generator.normal(size=(n, LANES))


def error(matrix: Any, found: Any, side: Any) -> float:
    """By how much a solution is off, in parts of its largest entry, over the condition."""
    truth = np.linalg.solve(matrix, side)
    return float(np.max(abs(found - truth)) / np.max(abs(truth)) / np.linalg.cond(matrix))


@pytest.mark.parametrize("n", SIZES)
def test_real_factors_solve_as_numpy_does_from_upper_triangles(n: int) -> None:
    whole, upper = definite(n)
    side, _ = sides(n)
    x = side.copy()
    solved(upper, TIMES, REAL, x)
    for e in range(LANES):
        matrix = REAL[e] * np.eye(n) + TIMES[e] * whole[e]
        assert error(matrix, x[:, e], side[:, e]) < ROUNDING
        assert not error(matrix, 1.001 * x[:, e], side[:, e]) < ROUNDING


@pytest.mark.parametrize("n", SIZES)
def test_complex_factors_solve_as_numpy_does_from_upper_triangles(n: int) -> None:
    whole, upper = definite(n)
    side, beside = sides(n)
    x, y = side.copy(), beside.copy()
    solved_both(upper, TIMES, np.array([REAL, IMAGINARY]), x, y)
    for e in range(LANES):
        matrix = (REAL[e] + 1j * IMAGINARY[e]) * np.eye(n) + TIMES[e] * whole[e]
        there = side[:, e] + 1j * beside[:, e]
        assert error(matrix, x[:, e] + 1j * y[:, e], there) < ROUNDING
        assert not error(matrix, x[:, e] - 1.001j * y[:, e], there) < ROUNDING


def test_what_is_in_a_lane_does_not_change_a_bit_in_another() -> None:
    """Not even NaN does; but it fills its own lane."""
    _, upper = definite(5)
    alone, beside = sides(5)
    x, y, real = alone.copy(), beside.copy(), alone.copy()
    solved_both(upper, TIMES, np.array([REAL, IMAGINARY]), x, y)
    solved(upper, TIMES, REAL, real)
    upper[..., 3] = np.nan
    others = np.arange(LANES) != 3
    p, q, own = alone.copy(), beside.copy(), alone.copy()
    solved_both(upper, TIMES, np.array([REAL, IMAGINARY]), p, q)
    solved(upper, TIMES, REAL, own)
    for found, before in ((p, x), (q, y), (own, real)):
        assert np.array_equal(found[:, others], before[:, others])
        assert np.all(np.isnan(found[:, 3]))


def test_curvatures_that_are_decades_apart_keep_their_digits() -> None:
    """Along each axis by itself, as where the loss is much steeper along one than along others."""
    scale = np.array([1e60, 1.0, 1e-60])
    whole = np.full((3, 3), 0.1) + np.eye(3)
    upper = np.repeat((scale[:, None] * whole * scale)[..., None], LANES, axis=2)
    x = np.repeat((scale * (whole @ [1.0, 2.0, 3.0]))[:, None], LANES, axis=1)
    solved(upper, np.ones(LANES), np.zeros(LANES), x)
    truth = np.array([1.0, 2.0, 3.0])[:, None]
    assert np.allclose(x * scale[:, None], truth, rtol=ROUNDING, atol=0)
    assert not np.allclose(1.001 * x * scale[:, None], truth, rtol=ROUNDING, atol=0)
