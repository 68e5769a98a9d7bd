r"""An average and its gradient, summed over nodes in balls of two doubles.

.. math:: E F(z), \qquad \nabla_y E F = \sum_i \langle \nabla_y (A_i, b_i), E F_i\, (x, 1) \rangle,
   \qquad z_i = A_i(y) \cdot x + b_i(y)

Near a minimum the terms at a node cancel; two doubles have 31 digits of each.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, arb_mat

from flows.core.arrays import Array
from flows.core.axis_field import Code
from flows.core.balls import precision, split
from flows.expectations.changed_functions import ENCLOSED
from flows.expectations.product import Paired
from flows.systems.own.by_forms import Formed
from flows.systems.own.code import coded
from flows.systems.own.numeric import program_of
from symbolic.language.lower import lower

__all__ = ["InPairs", "along", "axes_of", "enclosed_code", "longer", "rows_of"]

# Bits of what is then rounded to two doubles.
BITS = 160


@functools.lru_cache(maxsize=64)
def rows_of(formed: Formed) -> Any:
    """`A` and `b` in balls, row by row."""
    return lower(list(formed.forms.rows), formed.forms.y, "ball")


@functools.lru_cache(maxsize=64)
def moves_of(formed: Formed) -> tuple[tuple[int, ...], Any]:
    """Derivatives of `A` and `b` by the entries, in balls: which are not zero, and these."""
    forms = formed.forms
    moves = [row.diff(entry) for entry in forms.y for row in forms.rows]
    where = tuple(k for k, move in enumerate(moves) if move != 0)
    return where, lower([moves[k] for k in where], forms.y, "ball")


def along(formed: Formed, axes: Any, y: Sequence[Any]) -> Any:
    """Forms along columns of :func:`longer`, in balls at the working precision."""
    entries = [arb(x) for x in rows_of(formed)(*y)]
    return arb_mat(len(formed.forms.symbols), axes.nrows(), entries) * axes


def longer(axes: Any) -> Any:
    """Orthonormal columns, with the direction of offsets as one more, in balls."""
    rows = [[*row, 0.0] for row in axes.tolist()]
    return arb_mat([*rows, [0.0] * len(rows[0][:-1]) + [1.0]])


def axes_of(formed: Formed, near: Array, y: Sequence[Any]) -> Any:
    """Axes that span the rows of forms in balls, near columns; None where these span less."""
    d, k = near.shape
    entries = [arb(x) for x in rows_of(formed)(*y)]
    rows = [arb_mat(1, d, entries[i : i + d]) for i in range(0, len(entries), d + 1)]
    least = 2.0 ** (-BITS // 2) * max(map(_largest, rows))
    span: list[Any] = []
    for _ in range(k):
        longest = max(rows, key=_largest)
        if not _largest(longest) > least:
            return None
        span.append(longest * (1 / _length(longest)))
        rows = [row - span[-1] * (row * span[-1].transpose())[0, 0] for row in rows]
    if not max(map(_largest, rows)) < least:
        return None
    # The columns, less what they have out of the span, and then orthonormal to all digits.
    columns = arb_mat(d, k, near.ravel().tolist()).transpose()
    found: list[Any] = []
    for column in (arb_mat(1, d, [columns[i, j] for j in range(d)]) for i in range(k)):
        inside = sum((one * (column * one.transpose())[0, 0] for one in span), arb_mat(1, d))
        for one in found:
            inside = inside - one * (inside * one.transpose())[0, 0]
        found.append(inside * (1 / _length(inside)))
    return longer(arb_mat([row.entries() for row in found]).transpose())


def _largest(row: Any) -> float:
    """Size of the largest entry of a row."""
    return max(float(x.abs_upper()) for x in row.entries())


def _length(row: Any) -> Any:
    return (row * row.transpose())[0, 0].sqrt()


@functools.lru_cache(maxsize=64)
def enclosed_code(formed: Formed) -> Code | None:
    """Program of an integrand and its derivatives; None where two doubles do not compute it."""
    program = program_of(formed.forms.function, formed.variables)

    def written(e: sp.Expr) -> sp.Expr:
        for function, form in ENCLOSED.items():
            e = e.replace(function, form)
        return e

    steps = [(name, written(step)) for name, step in program.steps]
    return coded(formed.variables, steps, [written(e) for e in program.results])


class InPairs:
    """Sums over nodes of an integrand that two doubles compute.

    Parameters
    ----------
    formed : Formed
        The integrand.
    nodes : Paired
        Along axes of a plane.
    axes : ndarray, shape (d, k), optional
        These axes, orthonormal columns, where they stay.
    """

    def __init__(self, formed: Formed, nodes: Paired, axes: Array | None = None) -> None:
        code = enclosed_code(formed)
        assert code is not None
        self._formed, self._code = formed, code
        self._axes = None if axes is None else longer(axes)
        self._places, self._weights = map(np.ascontiguousarray, nodes)
        self._many = len(formed.forms.symbols)
        self._moves: Any = None
        self._moved: Any = None

    def both(self, y: Sequence[Any], near: Array | None = None) -> list[Any] | None:
        """Value and gradient, in balls; None where two doubles do not know them.

        The axes are those of the plane of the forms at `y` that are ``near`` these columns, if such
        are given.
        """
        from flows.expectations.enclosed import moments  # Numba, where it is needed

        many, beside = self._many, self._formed.beside
        with precision(BITS):
            axes = self._axes if near is None else axes_of(self._formed, near, y)
            if axes is None:
                return None
            size = axes.ncols()
            rows = np.array([split(x) for x in along(self._formed, axes, y).entries()])
            own = np.array([split(y[k]) for k in beside]).reshape(-1, 3)
            found = np.empty((len(self._code.results), size, 3))
            rows = rows.reshape(many, size, 3)
            moments(rows, own, self._places, self._weights, *self._code, found)
            if not np.isfinite(found).all():
                return None
            sums = [arb(high, off) + low for high, low, off in found.reshape(-1, 3).tolist()]
            by_forms = arb_mat(many * size, 1, sums[size : (1 + many) * size])
            total = [sums[size - 1], *(self._moving(y, axes) * by_forms).entries()]
            for k, entry in enumerate(beside, 1 + many):
                total[1 + entry] += sums[(k + 1) * size - 1]
        return total

    def _moving(self, y: Sequence[Any], axes: Any) -> Any:
        """Derivatives of forms along the axes, and of their offsets, by the entries."""
        if self._moved is not None:
            return self._moved
        found = self._moves
        if found is None:
            where, moves = moves_of(self._formed)
            entries = [arb(0)] * (len(y) * self._many * axes.nrows())
            for place, x in zip(where, moves(*y), strict=True):
                entries[place] = arb(x)
            found = arb_mat(len(y) * self._many, axes.nrows(), entries)
        moved = arb_mat(len(y), self._many * axes.ncols(), (found * axes).entries())
        if self._formed.forms.affine:  # the same everywhere, and so are they along axes that stay
            self._moves = found
            self._moved = moved if axes is self._axes else None
        return moved
