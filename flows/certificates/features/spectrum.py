"""Singular values and eigenvalues of matrices of balls: approximate bases, exact bounds."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.core.balls import Ball, Singular, dot

Matrix = Any  # flint.arb_mat

#: Eigenvalues this many errors above the least may be it as well, as far as rates are concerned.
NEAR = 10


def _order(a: Ball, b: Ball) -> int:
    """Order of exact numbers; doubles would take two that are very near for one."""
    return int(a > b) - int(a < b)


EXACTLY = functools.cmp_to_key(_order)


def orthonormal(columns: Any) -> Matrix:
    """Enclosure of the orthogonal matrix that Gram and Schmidt make of these columns."""
    basis: list[list[Ball]] = []
    for column in columns.T.tolist():
        rest = [arb(c) for c in column]
        for g in basis:
            share = dot(rest, g)
            rest = [x - share * y for x, y in zip(rest, g, strict=True)]
        size = dot(rest, rest).sqrt()
        basis.append([x / size for x in rest])
    return arb_mat(basis).transpose()


def _middle(matrix: Matrix) -> Any:
    return np.array([[float(c.mid()) for c in row] for row in matrix.tolist()])


def _rest(matrix: Matrix) -> Ball:
    """Frobenius norm of what is off the diagonal."""
    rows = matrix.tolist()
    rest = [c for i, row in enumerate(rows) for j, c in enumerate(row) if i != j]
    return dot(rest, rest).nonnegative_part().sqrt() if rest else arb(0)


def singular_values(matrix: Matrix) -> list[Ball]:
    """Enclosures of the singular values, the largest first: those of the diagonal, by Weyl."""
    u, _, v_h = np.linalg.svd(_middle(matrix))
    turned = orthonormal(u).transpose() * matrix * orthonormal(v_h.T)
    off = arb(0, 1) * _rest(turned).upper()
    values = [abs(turned[k, k] + off) for k in range(turned.nrows())]
    # Sorted each, lower and upper ends hold the sorted values.
    lows = sorted((x.lower() for x in values), key=EXACTLY, reverse=True)
    highs = sorted((x.upper() for x in values), key=EXACTLY, reverse=True)
    return [a.union(b).nonnegative_part() for a, b in zip(lows, highs, strict=True)]


def least_rate(square: Matrix, slope: Matrix) -> Ball:
    """Enclosure of ``v^T slope v`` for all unit eigenvectors of the least eigenvalue of `square`.

    In a basis in which `square` is diagonal but for a rest ``E``, such a vector has at most
    ``|E|/gap`` outside the eigenvalues that may be the least.
    """
    _, vectors = np.linalg.eigh(_middle(square))
    basis = orthonormal(vectors)
    turned, rate = (basis.transpose() * m * basis for m in (square, slope))
    values, error = [turned[k, k] for k in range(turned.nrows())], _rest(turned)
    top = functools.reduce(lambda a, b: a.min(b), [v.upper() for v in values])
    inside = [k for k, v in enumerate(values) if not v - top > NEAR * error]
    gaps = [(v - top).lower() for k, v in enumerate(values) if k not in inside]
    gap = functools.reduce(lambda a, b: a.min(b), gaps, arb.pos_inf())
    share = arb(0) if not gaps else (error / gap).upper()
    entries = [c for row in rate.tolist() for c in row]
    size = dot(entries, entries).nonnegative_part().sqrt()
    block = arb_mat([[rate[i, j] for j in inside] for i in inside])
    inner = _eigenvalues(block)
    # The share inside is a unit vector's, but for share^2.
    return inner + arb(0, 1) * ((2 * share + 2 * share * share) * size).upper()


def least_eigenvalue(matrix: Matrix) -> Ball:
    """Enclosure of the least eigenvalue of a symmetric matrix, by Weyl."""
    if not all(c.is_finite() for row in matrix.tolist() for c in row):
        raise Singular("the matrix is not known")
    return functools.reduce(arb.min, _diagonal(matrix))


def _eigenvalues(matrix: Matrix) -> Ball:
    """Ball that contains all eigenvalues of a symmetric matrix."""
    return functools.reduce(arb.union, _diagonal(matrix))


def _diagonal(matrix: Matrix) -> list[Ball]:
    """Balls that contain the eigenvalues of a symmetric matrix, one each."""
    middle = _middle(matrix)
    basis = orthonormal(np.linalg.eigh((middle + middle.T) / 2)[1])
    turned = basis.transpose() * matrix * basis
    off = arb(0, 1) * _rest(turned).upper()
    return [turned[k, k] + off for k in range(turned.nrows())]
