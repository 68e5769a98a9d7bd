"""Axes of symmetric matrices by rotations in lanes: relative accuracy where entries are graded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flint import arb_mat

from flows.arithmetic.kept import loop
from flows.arithmetic.vectors import WIDTH
from flows.core.balls import precision
from flows.core.symmetric import eigen as by_lapack
from flows.systems.own.axes_of_members import eigen_in_lanes, sharpened, turn_of

# Rounding of rotations, and what two doubles leave of a hundred of them.
ROUNDING, LEFT = 1e-13, 1e-30
# An entry that is this part of both beside it changes neither.
LAST_BIT = 1e-17


@loop
def turned_in_lanes(matrices: Any, part: float, room: Any) -> Any:
    """Eigenvalues and axes in rows, in lanes."""
    n = len(matrices)
    h, axes, since = np.zeros((n, WIDTH)), np.zeros((n, n, WIDTH)), np.full(WIDTH, np.inf)
    eigen_in_lanes(matrices, h, axes, room, np.full(WIDTH, part), since)
    return h, axes


@loop
def with_low(axes: Any) -> Any:
    """Second doubles of columns, which change."""
    low, room = np.zeros(axes.shape), np.zeros(axes.shape)
    sharpened(axes, low, room)
    return low


def turned(matrix: Any, part: float) -> Any:
    """Eigenvalues and axes in columns, of the last lane; the others have other matrices."""
    lanes = np.stack([(w + 1.0) * matrix for w in range(WIDTH)][::-1], axis=-1)
    h, axes = turned_in_lanes(lanes, part, turn_of(WIDTH))
    return h[:, -1], axes[:, :, -1].T


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


def test_matrices_become_those_along_their_axes() -> None:
    """Also entries that have stayed, which one would miss who took eigenvalues alone."""
    size, part = 7, 0.1
    matrices = np.stack([symmetric(size, seed) for seed in range(WIDTH)], axis=-1)
    along = matrices.copy()
    h, axes = turned_in_lanes(along, part, turn_of(WIDTH))
    for w in range(WIDTH):
        there = np.triu(axes[:, :, w] @ matrices[:, :, w] @ axes[:, :, w].T)
        assert np.allclose(np.triu(along[:, :, w]), there, rtol=0, atol=ROUNDING)
        assert np.array_equal(np.diag(along[:, :, w]), h[:, w]) and (np.diff(h[:, w]) >= 0).all()
        assert not np.allclose(np.diag(h[:, w]), there, rtol=0, atol=ROUNDING)


def test_columns_are_orthonormal_to_two_doubles() -> None:
    """Exactly evaluated, in the first lane and the last; high doubles alone are not."""
    bases = [np.linalg.qr(symmetric(12, seed))[0] for seed in range(WIDTH)]
    axes = np.stack(bases, axis=-1)
    low = with_low(axes)
    for w in (0, WIDTH - 1):
        with precision(400):
            high = arb_mat(axes[:, :, w].tolist())
            eye = arb_mat(np.eye(12).tolist())
            off, rough = (
                max(abs(float(x)) for x in (q.transpose() * q - eye).entries())
                for q in (high + arb_mat(low[:, :, w].tolist()), high)
            )
        assert off < LEFT < 1e-18 < rough
        assert np.allclose(axes[:, :, w], bases[w], rtol=0, atol=ROUNDING)
