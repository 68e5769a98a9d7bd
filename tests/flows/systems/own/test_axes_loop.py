"""Axes of symmetric matrices by compiled rotations: relative accuracy where entries are graded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flint import arb_mat

from flows.core.balls import precision
from flows.core.compiled import loop
from flows.core.symmetric import eigen as by_lapack
from flows.systems.own.axes_loop import LAST_BIT, eigen

# Rounding of rotations.
ROUNDING = 1e-13


@loop
def turned(matrix: Any, part: float) -> Any:
    """Eigenvalues and axes."""
    n = len(matrix)
    rows, h, axes = np.zeros((n, 2 * n)), np.zeros(n), np.zeros((n, n))
    rows[:, :n] = matrix
    eigen(rows, h, axes, part)
    return h, axes


def symmetric(size: int, seed: int) -> Any:
    """A random matrix."""
    found = np.random.default_rng(seed).normal(size=(size, size))
    return found + found.T


@pytest.mark.parametrize("size", [1, 2, 3, 8, 20, 33])
def test_axes_are_those_of_lapack(size: int) -> None:
    """They are not where large entries stay, as a control."""
    matrix = 1e-200 * symmetric(size, size)
    (h, axes), largest = turned(matrix, LAST_BIT), np.abs(matrix).max()
    assert np.allclose(h / largest, by_lapack(matrix / largest)[0], rtol=0, atol=ROUNDING * size)
    assert np.allclose(axes.T @ axes, np.eye(size), rtol=0, atol=ROUNDING)
    rebuilt = (axes * (h / largest)) @ axes.T
    assert np.allclose(rebuilt, matrix / largest, rtol=0, atol=ROUNDING * size)
    wrong, _ = turned(matrix, 1e3)
    assert size == 1 or not np.allclose(wrong, h, rtol=ROUNDING * size, atol=0)


def test_small_eigenvalues_of_graded_matrices_have_all_their_digits() -> None:
    """Fourteen decades, in no order; LAPACK does not know the smallest, as a control."""
    size = 8
    scale = 10.0 ** -np.array([3, 0, 6, 1, 7, 4, 2, 5])
    matrix = (np.eye(size) + 0.1 * symmetric(size, 2) / size) * np.outer(scale, scale)
    with precision(400):
        exact = sorted(float(x.real) for x in arb_mat(matrix.tolist()).eig())
    h, _ = turned(matrix, LAST_BIT)
    assert h == pytest.approx(exact, rel=ROUNDING, abs=0)
    assert by_lapack(matrix)[0] != pytest.approx(exact, rel=1e-6, abs=0)


def test_equal_eigenvalues_and_diagonal_matrices_have_axes() -> None:
    """Rotations by 45 degrees, and none."""
    h, axes = turned(np.eye(4) + np.ones((4, 4)), LAST_BIT)
    assert np.allclose(h, [1, 1, 1, 5]) and np.allclose(axes.T @ axes, np.eye(4))
    h, axes = turned(np.diag([3.0, -1.0, 0.0]), LAST_BIT)
    assert h.tolist() == [-1.0, 0.0, 3.0] and np.array_equal(axes, np.eye(3)[:, [1, 2, 0]])
