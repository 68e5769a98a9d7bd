"""The Hessian's kernel at a critical point, split into tangents of the family and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp
from flint import arb_mat, ctx
from sympy.polys.matrices import DomainMatrix

from symbolic.language.balls import NoBall
from symbolic.language.lower import lower

__all__ = ["Split", "nullspace", "rank", "spanned", "split"]

# Bits of the balls that show that a matrix has no kernel.
BITS = 200


@dataclass(frozen=True)
class Split:
    """Orthogonal parts of the space of entries, as columns.

    Parameters
    ----------
    tangent : Matrix
        Tangents of the family of critical points: they stand still.
    slow : Matrix
        The rest of the kernel of the Hessian.
    fast : Matrix
        The complement of the kernel.
    """

    tangent: sp.ImmutableMatrix
    slow: sp.ImmutableMatrix
    fast: sp.ImmutableMatrix


def split(hessian: sp.MatrixBase, tangents: sp.MatrixBase) -> Split:
    """Split the space by a Hessian and by tangents in its kernel.

    Parameters
    ----------
    hessian : Matrix, shape (N, N)
        Symmetric.
    tangents : Matrix, shape (N, m)
        Columns in the kernel, of any rank.

    Returns
    -------
    Split
        Its parts are orthogonal to each other.
    """
    size = hessian.rows
    fast = spanned(hessian)
    tangent = spanned(tangents) if tangents.cols else sp.ImmutableMatrix(size, 0, [])
    slow = nullspace(sp.Matrix.hstack(tangent, fast).T, size)
    return Split(tangent, slow, fast)


def _field(matrix: sp.MatrixBase) -> DomainMatrix:
    return DomainMatrix.from_Matrix(sp.Matrix(matrix), extension=True).to_field()


def _regular(matrix: sp.MatrixBase) -> bool:
    """Whether balls show that a square matrix has no kernel.

    Elimination is exact, but it takes minutes where entries are sums of exponentials.
    """
    if matrix.rows != matrix.cols or matrix.free_symbols or all(e.is_Rational for e in matrix):
        return False
    with ctx.workprec(BITS):
        try:
            balls = arb_mat(matrix.rows, matrix.cols, list(lower(list(matrix), [], "ball")()))
            return not balls.det().contains(0)
        except (NoBall, ArithmeticError, ValueError, TypeError):
            return False


def nullspace(matrix: sp.MatrixBase, columns: int) -> sp.ImmutableMatrix:
    """Basis of the kernel, as columns."""
    if not matrix.rows:
        return sp.ImmutableMatrix.eye(columns)
    if _regular(matrix):
        return sp.ImmutableMatrix(columns, 0, [])
    basis = _field(matrix).nullspace()
    if not basis.shape[0]:
        return sp.ImmutableMatrix(columns, 0, [])
    return sp.ImmutableMatrix(_cleared(basis.to_Matrix()).T)


def spanned(matrix: sp.MatrixBase) -> sp.ImmutableMatrix:
    """Basis of the span of the columns."""
    if _regular(matrix):
        return sp.ImmutableMatrix.eye(matrix.rows)
    reduced, pivots = _field(sp.Matrix(matrix).T).rref()
    rows = reduced.to_Matrix()[: len(pivots), :]
    return (
        sp.ImmutableMatrix(_cleared(rows).T) if pivots else sp.ImmutableMatrix(matrix.rows, 0, [])
    )


def rank(matrix: sp.MatrixBase) -> int:
    """Rank."""
    if _regular(matrix):
        return int(matrix.rows)
    return int(_field(matrix).rank()) if matrix.rows and matrix.cols else 0


def _cleared(rows: sp.MatrixBase) -> sp.MatrixBase:
    """Rows without denominators, where they are rational."""
    out = sp.Matrix(rows)
    for i in range(out.rows):
        row: Sequence[sp.Expr] = list(out.row(i))
        if all(e.is_Rational for e in row):
            scale = sp.Rational(sp.ilcm(1, *(e.q for e in row)), sp.igcd(0, *(e.p for e in row)))
            out[i, :] = out.row(i) * scale
    return out
