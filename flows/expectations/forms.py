r"""Affine forms of the Gaussian numbers in an integrand, and the plane that they span.

.. math:: f(y, x) = F(y, z), \qquad z_i = a_i(y) \cdot x + b_i(y), \qquad
   A = L Q^T, \quad z = L u + b, \quad u = Q^T x \sim N(0, I_k)

`E f` is an average over the `k` numbers `u`, however many `x` are, and what a gradient has across
the plane averages to zero.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.expectations.tubes import has_bound
from symbolic.language.lower import lower

__all__ = ["Forms", "Plane", "forms_of"]

# Entries of a row beyond the span of longer ones are rounding up to this part of their terms.
SPANNED = 1e-15
# Ways that lead out of a plane by this part of their length are rounding.
IN_PLANE = 1e-12


class Plane(NamedTuple):
    """Forms at a state, in coordinates of the plane that they span.

    Parameters
    ----------
    axes : ndarray, shape (d, k)
        `Q`, orthonormal columns.
    rows : ndarray, shape (m, k)
        `L`.
    offsets : ndarray, shape (m,)
        `b`.
    moves : ndarray, shape (N, m, k + 1)
        Derivatives of `L` and of `b` by the entries.
    """

    axes: Array
    rows: Array
    offsets: Array
    moves: Array


@dataclass(frozen=True)
class Forms:
    """An integrand as a function of forms.

    Parameters
    ----------
    function : Expr
        `F`, in the entries and in ``symbols``.
    symbols : tuple of Symbol
        `z`.
    rows : Matrix, shape (m, d + 1)
        `A` and `b`, in the entries `y`.
    met : Matrix, shape (M, d + 1)
        All affine parts of the integrand, as `rows`: each turns it at a place of its own.
    y : tuple of Symbol
        The entries.
    """

    function: sp.Expr
    symbols: tuple[sp.Symbol, ...]
    rows: sp.ImmutableMatrix
    met: sp.ImmutableMatrix
    y: tuple[sp.Symbol, ...]

    @functools.cached_property
    def slopes(self) -> tuple[sp.Expr, ...]:
        """`F` with its derivatives by the forms, and by the entries beside them."""
        return (self.function, *(sp.diff(self.function, s) for s in (*self.symbols, *self.y)))

    @functools.cached_property
    def bounded(self) -> bool:
        """Whether anything varies, and all functions have bounds on tubes."""
        return bool(self.symbols) and all(map(has_bound, self.slopes))

    @functools.cached_property
    def _moved(self) -> tuple[tuple[NDArray[np.int64], ...], Any]:
        """Places where `A` and `b`, and their derivatives, are not zero, and their code."""
        many = {(0, i, j): e for (i, j), e in np.ndenumerate(np.array(self.rows, dtype=object))}
        for k, symbol in enumerate(self.y, 1):
            many |= {
                (k, i, j): sp.diff(e, symbol)
                for (o, i, j), e in list(many.items())
                if o == 0 and symbol in e.free_symbols
            }
        where = [place for place, e in many.items() if e != 0]
        places = np.array(where, dtype=np.int64).reshape(-1, 3)
        return tuple(places.T), lower([many[place] for place in where], self.y)

    @functools.cached_property
    def _bent(self) -> tuple[list[tuple[int, int, int, int]], Any]:
        """Places where second derivatives of `A` and `b` are not zero, and their code."""
        many = {
            (k, n, i, j): slope
            for (i, j), e in np.ndenumerate(np.array(self.rows, dtype=object))
            for k, one in enumerate(self.y)
            if one in e.free_symbols
            for n, other in enumerate(self.y)
            if (slope := sp.diff(e, one, other)) != 0
        }
        return list(many), lower(list(many.values()), self.y)

    @functools.cached_property
    def beside(self) -> tuple[int, ...]:
        """Entries that `F` depends on besides its forms."""
        free = self.function.free_symbols
        return tuple(k for k, s in enumerate(self.y) if s in free)

    @property
    def affine(self) -> bool:
        """Whether `A` and `b` are affine in the entries."""
        return not self._bent[0]

    def at(self, y: Array) -> Array:
        """`A` and `b` at a state `y`, then their derivatives by its entries.

        Returns
        -------
        ndarray, shape (1 + N, m, d + 1)
        """
        where, evaluate = self._moved
        found = np.zeros((1 + len(self.y), *self.rows.shape))
        found[where] = evaluate(*y.tolist())
        return found

    def bends(self, y: Array, by: Array) -> Array:
        """Second derivatives of `A` and `b`, times weights of shape (m, d + 1), shape (N, N)."""
        where, evaluate = self._bent
        found = np.zeros((len(self.y), len(self.y)))
        if where:
            k, n, i, j = np.array(where, dtype=int).T
            np.add.at(found, (k, n), np.array(evaluate(*y.tolist()), dtype=float) * by[i, j])
        return found

    def keeps(self, y: Array, axes: Array, led: bool) -> bool:
        """Whether a flow stays in a plane, where forms are affine.

        Parameters
        ----------
        y, axes : ndarray, shapes (N,) and (d, k)
            A state, and the axes of the plane of its forms.
        led : bool
            Whether more than the average leads the flow, in any direction.
        """
        moves = self.at(y)[1:, :, :-1]
        ways = (moves @ axes).reshape(len(y), -1)  # gradients, whatever is averaged
        moved = np.tensordot(np.eye(len(y)) if led else ways.T, moves, 1)
        beyond = np.abs(moved - moved @ axes @ axes.T).max(initial=0.0)
        return bool(beyond <= IN_PLANE * np.abs(moved).max(initial=0.0))

    def turned(self, axes: Array, y: Array) -> Array:
        """Axes of the plane at a state, as near as there are to those of another one, (d, k)."""
        rows = self.at(y)[0, :, :-1]
        if not np.isfinite(rows).all():  # no state
            return axes
        k = axes.shape[1]
        _, _, plane = np.linalg.svd(rows, full_matrices=k > len(rows))
        span = plane[:k].T
        one, _, other = np.linalg.svd(span.T @ axes)
        return np.asarray(span @ (one @ other))

    def plane(self, y: Array, axes: Array | None = None) -> Plane:
        """Forms at a state `y`, shape (N,), along axes of the plane that they span, or others."""
        found = self.at(y)
        rows = found[0, :, :-1]
        axes = _axes(rows) if axes is None else axes
        moves = np.concatenate([found[1:, :, :-1] @ axes, found[1:, :, -1:]], axis=-1)
        return Plane(axes, rows @ axes, found[0, :, -1], moves)


def _axes(rows: Array) -> Array:
    """Orthonormal columns that span rows."""
    if rows.shape[1] == 1:  # the line is the plane, whatever the forms are
        return np.ones((1, 1))
    found = np.zeros((rows.shape[1], 0))
    lengths = np.linalg.norm(rows, axis=1)
    for k in np.argsort(-lengths, kind="stable"):
        if lengths[k] == 0 or not np.isfinite(lengths[k]):
            continue
        row = rows[k] / lengths[k]
        along = found.T @ row
        rest = row - found @ along
        # An entry may be far smaller than the row, and be known.
        rest[np.abs(rest) <= SPANNED * (np.abs(row) + np.abs(found) @ np.abs(along))] = 0.0
        rest = rest - found @ (found.T @ rest)  # once more, to take out what rounding has left
        if (length := float(np.linalg.norm(rest))) > 0:
            found = np.column_stack([found, rest / length])
    if not found.size:
        return found
    # Of two directions the one whose largest entry is positive.
    return found * np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])


def forms_of(integrand: sp.Expr, x: Sequence[sp.Symbol], y: Sequence[sp.Symbol]) -> Forms:
    """Largest affine parts of an integrand as forms; parallel ones share a symbol.

    Parameters
    ----------
    integrand : Expr
        In `x` and `y`.
    x, y : sequence of Symbol
        The Gaussian numbers, and the entries.

    Returns
    -------
    Forms
        The integrand as a function of its forms; without any where `x` is not in it.

    Examples
    --------
    >>> x, w, v = sp.symbols("x w v", real=True)
    >>> found = forms_of(sp.tanh(w * x + v) ** 2, (x,), (w, v))
    >>> found.function, found.rows.tolist()
    (tanh(z0)**2, [[w, v]])
    """
    known: list[tuple[tuple[sp.Expr, ...], sp.Symbol]] = []
    met: dict[tuple[sp.Expr, ...], None] = {}

    def coefficients(e: sp.Expr) -> tuple[sp.Expr, ...] | None:
        row = [sp.diff(e, each) for each in x]
        if any(r.has(*x) for r in row):
            return None
        return (*row, e.xreplace(dict.fromkeys(x, sp.S.Zero)))

    def symbol(row: tuple[sp.Expr, ...]) -> sp.Expr:
        met.setdefault(row)
        *slope, offset = row
        first = next(k for k, r in enumerate(slope) if r != 0)
        for other, name in known:
            share = sp.cancel(slope[first] / other[first]) if other[first] != 0 else sp.nan
            if share.is_number and all(
                sp.expand(r - share * o) == 0 for r, o in zip(slope, other, strict=False)
            ):
                return share * name + sp.expand(offset - share * other[-1])
        known.append((row, sp.Symbol(f"z{len(known)}", real=True)))
        return known[-1][1]

    def visit(e: sp.Expr) -> sp.Expr:
        if not e.has(*x):
            return e
        row = coefficients(e)
        if row is not None:
            return symbol(row)
        if e.is_Add:
            straight = [t for t in e.args if coefficients(t) is not None and t.has(*x)]
            if len(straight) > 1:
                return visit(sp.Add(*straight)) + visit(e - sp.Add(*straight))
        return e.func(*map(visit, e.args))

    function = visit(integrand)
    rows, names = zip(*known, strict=True) if known else ((), ())
    matrix = sp.ImmutableMatrix
    return Forms(function, tuple(names), matrix(rows), matrix(list(met)), tuple(y))
