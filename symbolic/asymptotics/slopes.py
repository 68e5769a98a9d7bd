"""Derivatives of a polynomial: in its ring, and as arrays where its coefficients are fractions."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.polys.constructor import construct_domain
from sympy.polys.polyerrors import CoercionFailed
from sympy.polys.rings import PolyElement, PolyRing

from symbolic.asymptotics.terms import collected

__all__ = ["Table", "slopes_of", "table_of"]

# Coefficients and entries up to this: sums of a million of their products are whole in 64 bits.
# Monomials are numbers up to the other one.
WHOLE, LARGEST = 10**6, 2**62


@functools.lru_cache(maxsize=16)
def slopes_of(f: sp.Expr, y: tuple[sp.Symbol, ...]) -> tuple[PolyElement, ...] | None:
    """Derivatives of a polynomial; None of anything else."""
    table = collected(f, y)
    if table is not None and all(c.is_Rational for c in table.values()):
        ring = PolyRing(y, sp.QQ)
        numbers = {m: sp.QQ.from_sympy(c) for m, c in table.items()}
        return tuple(ring.from_dict(numbers).diff(g) for g in ring.gens)
    others = sorted(f.free_symbols - set(y), key=str)
    constants = {e for e in f.atoms(sp.NumberSymbol, sp.Pow) if e.is_number} | set(others)
    if not f.is_polynomial(*y):
        return None
    domain = (
        construct_domain(sorted(constants, key=str), field=True, extension=True)[0]
        if constants
        else sp.QQ
    )
    ring = PolyRing(y, domain)
    try:
        polynomial = ring.from_expr(f)
    except (ValueError, CoercionFailed):
        return None
    return tuple(polynomial.diff(g) for g in ring.gens)


@dataclass(frozen=True)
class Table:
    """Derivatives of a polynomial over the fractions, as arrays.

    Parameters
    ----------
    size : int
        Number of variables.
    places : tuple of ndarray, shape (terms, degree)
        For each derivative the variables of its monomials in order, from 1 on, and zeros before.
    numbers : tuple of ndarray
        Coefficients, times a common denominator.
    scale : int
        The denominator.
    """

    size: int
    places: tuple[NDArray[np.int64], ...]
    numbers: tuple[NDArray[np.int64], ...]
    scale: int

    def evaluated(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gradient in doubles, of points along the last axis."""
        padded = np.concatenate([np.ones((*points.shape[:-1], 1)), points], axis=-1)
        columns = [
            padded[..., places].prod(axis=-1) @ (numbers / self.scale)
            for places, numbers in zip(self.places, self.numbers, strict=True)
        ]
        return np.stack(columns, axis=-1)

    def still(self, x: sp.MatrixBase) -> bool | None:
        """Whether ``grad f . X y`` is zero, in whole numbers; None where they are too large."""
        if not all(e.is_Rational for e in x):
            return None
        common = sp.ilcm(1, *(e.q for e in x))
        keys, parts = [], []
        base = (self.size + 1) ** np.arange(self.places[0].shape[1] + 1)
        for i, j in zip(*(k.tolist() for k in np.nonzero(np.array(x, dtype=float))), strict=True):
            c = int(x[i, j] * common)
            if abs(c) > WHOLE:
                return None
            moved = np.insert(self.places[i], 0, j + 1, axis=1)
            keys.append(np.sort(moved, axis=1) @ base)
            parts.append(c * self.numbers[i])
        if not keys:
            return True
        _, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        sums = np.zeros(int(inverse.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(sums, inverse, np.concatenate(parts))
        return not sums.any()


@functools.lru_cache(maxsize=16)
def table_of(f: sp.Expr, y: tuple[sp.Symbol, ...]) -> Table | None:
    """Derivatives as arrays; None where coefficients are no fractions, or numbers are too large."""
    slopes = slopes_of(f, y)
    if slopes is None or not slopes or not slopes[0].ring.domain.is_QQ:
        return None
    degree = max((sum(m) for p in slopes for m in p.itermonoms()), default=0)
    if (len(y) + 1) ** (degree + 1) > LARGEST:
        return None
    scale = int(sp.ilcm(1, *(int(c.denominator) for p in slopes for c in p.itercoeffs())))
    places, numbers = [], []
    for p in slopes:
        rows = [[k + 1 for k, e in enumerate(m) for _ in range(e)] for m in p.itermonoms()]
        whole = [int(c.numerator) * (scale // int(c.denominator)) for c in p.itercoeffs()]
        if max(map(abs, whole), default=0) > WHOLE:
            return None
        padded = [[0] * (degree - len(row)) + row for row in rows]
        places.append(np.array(padded, dtype=np.int64).reshape(len(rows), degree))
        numbers.append(np.array(whole, dtype=np.int64))
    return Table(len(y), tuple(places), tuple(numbers), scale)
