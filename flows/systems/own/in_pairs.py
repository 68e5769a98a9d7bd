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
from flows.core.balls import precision
from flows.expectations.changed_functions import ENCLOSED
from flows.systems.own.by_forms import Formed
from flows.systems.own.code import coded, split
from flows.systems.own.numeric import program_of
from symbolic.language.lower import lower

__all__ = ["InPairs", "along", "enclosed_code", "rows_of"]

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


def along(formed: Formed, axes: Array, y: Sequence[Any]) -> Any:
    """Forms along orthonormal columns, and their offsets, in balls at the working precision."""
    d, k = axes.shape
    whole = arb_mat(len(formed.forms.symbols), d + 1, [arb(x) for x in rows_of(formed)(*y)])
    return whole * arb_mat(d + 1, k + 1, longer(axes).ravel().tolist())


def longer(axes: Array) -> Array:
    """Columns with the direction of offsets as one more."""
    d, k = axes.shape
    found = np.zeros((d + 1, k + 1))
    found[:d, :k], found[d, k] = axes, 1.0
    return found


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
    axes : ndarray, shape (d, k)
        Orthonormal columns.
    places : ndarray, shape (M, k, 3)
        Nodes along them: high and low double, and radius.
    weights : ndarray, shape (M, 3)
        Weights.
    """

    def __init__(self, formed: Formed, axes: Array, places: Array, weights: Array) -> None:
        code = enclosed_code(formed)
        assert code is not None
        self._formed, self._code, self._axes = formed, code, axes
        self._places, self._weights = np.ascontiguousarray(places), np.ascontiguousarray(weights)
        self._many = len(formed.forms.symbols)
        self._moved: Any = None

    def both(self, y: Sequence[Any]) -> list[Any] | None:
        """Value and gradient, in balls; None where two doubles do not know them."""
        from flows.expectations.enclosed import moments  # Numba, where it is needed

        size, many, beside = self._axes.shape[1] + 1, self._many, self._formed.beside
        with precision(BITS):
            rows = np.array([split(x) for x in along(self._formed, self._axes, y).entries()])
            own = np.array([split(y[k]) for k in beside]).reshape(-1, 3)
            found = np.empty((len(self._code.results), size, 3))
            rows = rows.reshape(many, size, 3)
            moments(rows, own, self._places, self._weights, *self._code, found)
            if not np.isfinite(found).all():
                return None
            sums = [arb(high, off) + low for high, low, off in found.reshape(-1, 3).tolist()]
            by_forms = arb_mat(many * size, 1, sums[size : (1 + many) * size])
            total = [sums[size - 1], *(self._moving(y) * by_forms).entries()]
            for k, entry in enumerate(beside, 1 + many):
                total[1 + entry] += sums[(k + 1) * size - 1]
        return total

    def _moving(self, y: Sequence[Any]) -> Any:
        """Derivatives of forms along the axes, and of their offsets, by the entries."""
        if self._moved is not None:
            return self._moved
        where, moves = moves_of(self._formed)
        many, (d, k) = self._many, self._axes.shape
        found = [arb(0)] * (len(y) * many * (d + 1))
        for place, x in zip(where, moves(*y), strict=True):
            found[place] = arb(x)
        turn = arb_mat(d + 1, k + 1, longer(self._axes).ravel().tolist())
        turned = arb_mat(len(y) * many, d + 1, found) * turn
        moved = arb_mat(len(y), many * (k + 1), turned.entries())
        if self._formed.forms.affine:  # the same everywhere
            self._moved = moved
        return moved
