"""A box of the late flow: what its rates are at most there, and how fast shapes contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.certificates.bounds import is_positive
from flows.certificates.tail.late_flow import LateFlow, Point, Rates, Seen, Vector
from flows.core.balls import Singular, dot

Ball = Any  # flint.arb

UNIT = arb(0, 1)  # the interval [-1, 1]
#: How strongly the directions of rotations are held: only shapes up to rotation are compared.
HELD = 4
#: What is tried of an eigenvalue: the part of its distance from zero, beyond the width of balls.
SPARE = 2.0**-20


def norm(vector: Sequence[Ball]) -> Ball:
    """Upper bound of the Euclidean norm."""
    return dot(vector, vector).nonnegative_part().sqrt().upper() if len(vector) else arb(0)


def around(vector: Sequence[Ball], radius: Ball) -> Vector:
    """Cube of this half-width around a vector."""
    return [x + UNIT * radius for x in vector]


def middle(vector: Sequence[Ball]) -> Vector:
    """Midpoints."""
    return [x.mid() for x in vector]


@dataclass(frozen=True)
class Frame:
    """A clock's value, and what the fast variables and parameters are at most until the end.

    Parameters
    ----------
    s : arb
        Largest ``s = 1/(t0 + t)``.
    across, along : arb
        Bounds of ``|rho|`` and ``|sigma|``.
    g : list of arb
        Parts along the teacher.
    """

    s: Ball
    across: Ball
    along: Ball
    g: Vector

    def point(self, flow: LateFlow, c: Sequence[Ball], seen: Seen | None = None) -> Point:
        """All states with these shapes."""
        a = [UNIT * (self.s * self.across / flow.n)] * flow.p
        x = (self.s * self.s).union(arb(0)).nonnegative_part()
        return Point(list(c), a, self.g, UNIT * (self.s * self.s * self.along), x, seen)

    def moves(self, flow: LateFlow) -> Vector:
        """How far ``(a, g, r0, X)`` are from ``(0, mid g, 0, 0)``, in the order of gradients."""
        at = self.point(flow, [])
        return [*at.a, *(x - x.mid() for x in at.g), at.r0, at.x]

    def still(self, flow: LateFlow, c: Sequence[Ball]) -> Point:
        """The limiting flow at a shape: ``a = r0 = X = 0``, and the middle of ``g``."""
        return Point(list(c), [arb(0)] * flow.p, middle(self.g), arb(0), arb(0))


def moved(slope: Any, first: int, moves: Sequence[Ball]) -> Ball:
    """``sum_k D_k F move_k`` over the parameters, which come after the shape."""
    return sum((slope[0, first + k] * move for k, move in enumerate(moves)), arb(0))


def symmetric(flow: LateFlow, rates: Rates) -> Any:
    """Symmetric parts of all derivatives of the field by the shape."""
    m = flow.size
    rows = [[jet.slope[0, k] for k in range(m)] for jet in rates.shape]
    return arb_mat([[(rows[i][j] + rows[j][i]) / 2 for j in range(m)] for i in range(m)])


def held(flow: LateFlow, matrix: Any, c: Sequence[Ball], inverse: Any = None) -> Any:
    """Add what holds the rotations of ``c``: distances to a shape's rotations do not see them.

    In other coordinates of shapes, with the inverse of their matrix.
    """
    for turn in flow.rotations(c):
        column = arb_mat([[x] for x in turn])
        column = column if inverse is None else inverse * column
        matrix = matrix - HELD * (column * column.transpose())
    return matrix


def eigen(matrix: Any) -> tuple[Any, Any]:
    """Eigenvalues and vectors of the middle, in doubles; they decide nothing."""
    doubles = np.array([[float(x.mid()) for x in row] for row in matrix.tolist()])
    return np.linalg.eigh(doubles)


def below(matrix: Any, bound: Ball) -> bool:
    """Whether ``<x, M x> < bound |x|^2`` for all symmetric matrices of a box, by congruence.

    With ``W = V (bound - lambda)^(-1/2)`` of the middle, ``W^T (bound - M) W`` is near one.
    """
    values, vectors = eigen(matrix)
    gaps = float(bound) - values
    if not np.isfinite(gaps).all() or not (gaps > 0).all():
        return False
    w = arb_mat((vectors / np.sqrt(gaps)).tolist())
    size = matrix.nrows()
    shifted = arb_mat([[bound if i == j else 0 for j in range(size)] for i in range(size)]) - matrix
    return is_positive((w.transpose() * shifted * w).tolist())


def top(matrix: Any) -> Ball:
    """Bound the eigenvalues of all symmetric matrices of a box."""
    values, _ = eigen(matrix)
    scale = max(abs(values).max(), 1.0)
    wide = max(float(x.rad()) for row in matrix.tolist() for x in row)
    for room in (SPARE, 4 * SPARE, 2.0**-14, 2.0**-10, 2.0**-6, 2.0**-3, 1.0, 8.0):
        bound = arb(float(values.max()) + room * scale + wide)
        if below(matrix, bound):
            return bound
    raise Singular("the growth of errors is not bounded")
