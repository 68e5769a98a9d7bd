r"""Eigenvalues and axes of a Hessian whose eigenvalues differ by many orders, from its balls.

In doubles an eigenvector of a small eigenvalue is known to a rounding of the largest one. In the
axes of doubles the matrix is

.. math:: \begin{pmatrix} F & C \\ C^T & S \end{pmatrix}

with `C` and `S` small; with `S - C^T F^{-1} C` in place of the whole, small ones are found in
units of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.symmetric import eigen
from symbolic.language.lower import Undecided

__all__ = ["Axes", "axes_of", "better_axes", "graded"]

#: From an exact state to the eigenvalues of its Hessian and their axes.
Axes = Callable[[Sequence[Any]], tuple[Array, Array]]

# Beyond this largest curvature times `t` axes of doubles mix slow directions with flat ones.
GRADED = 1e6

# Bits of a Hessian of which small eigenvalues are found; beside a kink it takes more.
BITS = (400, 800, 1600)
# Eigenvalues below this part of the largest one are found by themselves.
SMALL = 1e-4


def graded(rows: Sequence[Sequence[Any]]) -> tuple[Array, Array]:
    """Eigenvalues, increasing, and orthonormal axes of a symmetric matrix of balls.

    Parameters
    ----------
    rows : sequence of N sequences of arb
        The matrix; centres are taken.
    """
    size = len(rows)
    doubles = np.array([[float(x) for x in row] for row in rows]).reshape(size, size)
    h, axes = eigen(doubles)
    small = np.abs(h) < SMALL * np.abs(h).max(initial=0.0)
    if not small.any():
        return h, axes
    fast, slow = axes[:, ~small], axes[:, small]
    exact = arb_mat(size, size, [x.mid() for row in rows for x in row])
    left, right = (
        arb_mat(size, q.shape[1], [arb(x) for x in q.ravel().tolist()]) for q in (fast, slow)
    )
    across = exact * right
    block = np.array([float(x) for x in (left.transpose() * exact * left).entries()])
    mixed = np.array([float(x) for x in (left.transpose() * across).entries()])
    mixed = mixed.reshape(fast.shape[1], slow.shape[1])
    tilt = np.linalg.solve(block.reshape(fast.shape[1], -1), mixed)
    inner, corrected = (right.transpose() * across).tolist(), mixed.T @ tilt
    rest, turn = graded(
        [
            [x - c for x, c in zip(row, other, strict=True)]
            for row, other in zip(inner, corrected.tolist(), strict=True)
        ]
    )
    found = np.concatenate([(slow - fast @ tilt) @ turn, fast + slow @ tilt.T], axis=1)
    values = np.concatenate([rest, h[~small]])
    order = np.argsort(values, kind="stable")
    return values[order], found[:, order]


def axes_of(exact: Any) -> Axes:
    """Axes of the Hessian of a loss in balls; a ValueError where no number of bits gives it."""

    def axes(state: Sequence[Any]) -> tuple[Array, Array]:
        for bits in BITS:
            with precision(bits), contextlib.suppress(Undecided):
                rows = exact.hessian(state)
                if all(x.is_finite() for row in rows for x in row):
                    return graded(rows)
        raise ValueError("the Hessian is not known, as at a kink")

    return axes


def better_axes(
    graded: Axes | None, state: Sequence[Any], matrix: Array, since: float
) -> tuple[Array, Array] | None:
    """Axes sharper than doubles, where these exist and doubles do not tell slow from flat."""
    if graded is None or not since * np.abs(matrix).max(initial=0.0) > GRADED:
        return None
    try:
        return graded(state)
    except ValueError:  # it is not known there
        return None
