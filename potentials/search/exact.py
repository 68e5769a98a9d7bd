r"""From a solution in doubles to a proof over the rationals.

1. Make the least eigenvalue of all Gram matrices as large as possible. If it is positive, round all
   entries but those of a set of pivot columns, solve for these exactly, and factorise
   `L D L^T`.
2. If it is zero, the matrices have a kernel that all solutions share: read it off, leave it out of
   the bases (facial reduction), and go again.

Source: Peyrl & Parrilo, *Computing sum of squares decompositions with rational coefficients*
(2008), for the rounding; Permenter & Parrilo, *Partial facial reduction* (2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.linalg
from flint import fmpq, fmpq_mat
from numpy.typing import NDArray

from potentials.search.polynomials import Polynomial, fraction
from potentials.search.program import NoProof, Program, Solution, grams, solve, trimmed
from potentials.search.squares import Claim

__all__ = ["Proof", "Proved", "definite", "prove", "simplest"]

# Kernels are read off so many times at most.
FACES = 12
# A least eigenvalue above this is positive; below the second number there is no solution.
POSITIVE, INFEASIBLE = 1e-6, -1e-5
# An eigenvalue below this part of the largest one may belong to a kernel, if the next one is so
# many times as large.
SMALL, GAP = 1e-4, 8.0
# Entries of a kernel have denominators up to the first number and are so close to these fractions;
# or else those of the second pair. A kernel that is misread is no harm: nothing is proved then.
FRACTIONS = ((60, 2e-4), (4, 1e-2))
# Entries are rounded to multiples of 2^-b.
BITS = (4, 8, 12, 16, 20, 26, 32, 40, 50)
# Columns of the equations that are a part of this of the largest one depend on others.
DEPENDENT = 1e-9


@dataclass(frozen=True)
class Proved:
    r"""A claim with its squares, exactly.

    Parameters
    ----------
    claim : Claim
        What is proved, with the bases of its blocks.
    grams : tuple of matrices of fmpq
        Positive definite, one a block.
    multipliers : tuple of (Polynomial, Polynomial)
        `h_l` and `\\lambda_l`.
    """

    claim: Claim
    grams: tuple[NDArray[Any], ...]
    multipliers: tuple[tuple[Polynomial, Polynomial], ...]


@dataclass(frozen=True)
class Proof:
    """Values of the unknowns, and the claims with their squares."""

    unknowns: tuple[fmpq, ...]
    claims: tuple[Proved, ...]

    def beside(self, other: Proof) -> Proof:
        """Both proofs; the other one has no unknowns but those of multipliers."""
        return Proof(self.unknowns, (*self.claims, *other.claims))


def prove(program: Program, close: bool = False) -> Proof:
    """Find exact unknowns and squares; ``close``: also where squares are hardly definite.

    Raises
    ------
    NoProof
        Where there are none, or none are found.
    """
    for _ in range(FACES):
        program = replace(program, claims=tuple(trimmed(claim) for claim in program.claims))
        if program.columns == 0 and not any(program.equations[1]):
            return _proof(program, ())
        found = solve(program)
        if found.margin < INFEASIBLE:
            raise NoProof(f"no squares of this degree (off by {-found.margin:.1e})")
        if found.margin > POSITIVE and (exact := _rounded(program, found)) is not None:
            return _proof(program, exact)
        try:
            smaller = _on_face(program, found)
        except NoProof:  # what looks like a kernel may be none
            exact = _rounded(program, found) if close and 0 < found.margin <= POSITIVE else None
            if exact is None:
                raise
            return _proof(program, exact)
        if smaller is None:
            raise NoProof(f"squares are not definite (least eigenvalue {found.margin:.1e})")
        program = smaller
    raise NoProof("kernels of squares do not end")


def _rounded(program: Program, found: Solution) -> list[fmpq] | None:
    """An exact solution beside one in doubles, with the fewest bits."""
    rounding = _Rounding(program)
    several = (rounding.at(found, bits) for bits in BITS)
    return next((exact for exact in several if exact is not None), None)


def _proof(program: Program, x: Sequence[fmpq]) -> Proof:
    unknowns = tuple(x[: program.unknowns])
    matrices = grams(program, x)
    claims = []
    for claim in program.claims:
        own = tuple(next(matrices) for _ in claim.blocks)
        multipliers = tuple((h, p.at(unknowns)) for h, p in claim.multipliers)
        claims.append(Proved(claim, own, multipliers))
    return Proof(unknowns, tuple(claims))


class _Rounding:
    """Exact solutions beside one in doubles: pivot columns take up what rounding leaves."""

    def __init__(self, program: Program) -> None:
        self._program = program
        dense = program.matrix.toarray()
        _, triangle, order = scipy.linalg.qr(dense, mode="economic", pivoting=True)
        sizes = np.abs(np.diag(triangle))
        self._rank = int((sizes > DEPENDENT * sizes[0]).sum()) if len(sizes) else 0
        self._pivots = {int(c): k for k, c in enumerate(sorted(order[: self._rank]))}
        _, _, rows = scipy.linalg.qr(dense[:, [*self._pivots]].T, mode="economic", pivoting=True)
        self._rows = {int(r): k for k, r in enumerate(sorted(rows[: self._rank]))}

    def at(self, found: Solution, bits: int) -> list[fmpq] | None:
        """Exact values, or None where a Gram matrix is not positive definite.

        Raises
        ------
        NoProof
            Where the equations have no exact solution, as after a kernel was misread.
        """
        program = self._program
        entries, right = program.equations
        x = [fmpq(round(float(v) * 2**bits), 2**bits) for v in found.x]
        sides = list(right)
        matrix = fmpq_mat(self._rank, self._rank)
        for row, column, value in entries:
            if column not in self._pivots:
                sides[row] -= value * x[column]
            elif row in self._rows:
                matrix[self._rows[row], self._pivots[column]] += value
        goal = fmpq_mat(self._rank, 1, [sides[row] for row in self._rows])
        try:
            solved = matrix.solve(goal)
        except ZeroDivisionError:
            return None
        for column, place in self._pivots.items():
            x[column] = solved[place, 0]
        left = [-c for c in right]
        for row, column, value in entries:
            left[row] += value * x[column]
        if any(c != 0 for c in left):
            raise NoProof("the equations have no exact solution on this face")
        return x if all(definite(matrix) for matrix in grams(program, x)) else None


def _on_face(program: Program, found: Solution) -> Program | None:
    """The program without the kernel of its solution; None where that has none.

    Of each block the fewest eigenvectors below a gap whose span is rational are taken: too few do
    no harm, as the next solution shows the others.
    """
    matrices = grams(program, found.x)
    claims, dropped, why = [], False, ""
    for claim in program.claims:
        blocks = []
        for block in claim.blocks:
            values, vectors = np.linalg.eigh(next(matrices).astype(float))
            basis, reason = _without_kernel(block.basis, values, vectors)
            why = why or reason
            dropped = dropped or len(basis) < len(block.basis)
            if basis:
                blocks.append(block._replace(basis=basis))
        claims.append(replace(claim, blocks=tuple(blocks)))
    if dropped:
        return replace(program, claims=tuple(claims))
    if why:
        raise NoProof(why)
    return None


def _without_kernel(
    basis: tuple[Any, ...], values: NDArray[np.float64], vectors: NDArray[np.float64]
) -> tuple[tuple[Any, ...], str]:
    """What is left of a basis without the rational kernel, or why it has none."""
    values = np.maximum(values, 1e-13)
    largest, why = max(1e-2, values[-1]), ""
    for rank in range(1, len(values) + 1):
        if values[rank - 1] > SMALL * largest:
            break
        if rank < len(values) and values[rank] < GAP * values[rank - 1]:
            continue
        read = _echelon(vectors[:, :rank].T)
        if read is None:
            why = f"the kernel of {rank} of {len(values)} squares is not rational"
            continue
        rows, pivots = read
        left = []
        for j, entry in enumerate(basis):
            if j in pivots:
                continue
            for row, pivot in zip(rows, pivots, strict=True):
                if row[j] != 0:
                    entry = _plus(entry, basis[pivot], -row[j])
            left.append(entry)
        return tuple(left), ""
    return basis, why


def _plus(a: Any, b: Any, factor: fmpq) -> Any:
    """`a + factor b` of polynomials or vectors of them."""
    if isinstance(a, tuple):
        return tuple(_plus(p, q, factor) for p, q in zip(a, b, strict=True))
    return a + b * factor


def _echelon(rows: NDArray[np.float64]) -> tuple[list[list[fmpq]], list[int]] | None:
    """Reduced rows with pivots, as small fractions; None where they are none."""
    rows, pivots = rows.copy(), list[int]()
    for i in range(len(rows)):
        unused = np.abs(rows[i:]) * ~np.isin(np.arange(rows.shape[1]), pivots)
        r, p = divmod(int(np.argmax(unused)), rows.shape[1])
        rows[[i, i + r]] = rows[[i + r, i]]
        rows[i] /= rows[i, p]
        pivots.append(p)
        for k in range(len(rows)):
            if k != i:
                rows[k] -= rows[k, p] * rows[i]
    for denominator, close in FRACTIONS:
        near = [[Fraction(float(v)).limit_denominator(denominator) for v in row] for row in rows]
        off = np.abs(np.array(near, dtype=float) - rows).max()
        if off <= close:
            return [[fraction(f) for f in row] for row in near], pivots
    return None


def definite(matrix: Any) -> bool:
    """Whether a symmetric matrix of fractions is positive definite."""
    return factorised(matrix) is not None


def factorised(matrix: Any) -> tuple[list[list[fmpq]], list[fmpq]] | None:
    """`L` and `D` of a positive definite matrix, or None."""
    n = len(matrix)
    lower = [[fmpq(int(i == j)) for j in range(n)] for i in range(n)]
    left = [[matrix[i, j] for j in range(n)] for i in range(n)]
    diagonal = []
    for k in range(n):
        if not left[k][k] > 0:
            return None
        diagonal.append(left[k][k])
        for i in range(k + 1, n):
            factor = lower[i][k] = left[i][k] / left[k][k]
            if factor != 0:
                for j in range(k + 1, n):
                    left[i][j] -= factor * left[k][j]
    return lower, diagonal


def simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction with the least denominator between two numbers, the ends among them."""
    if low <= 0 <= high:
        return Fraction(0)
    if high < 0:
        return -simplest(-high, -low)
    whole = low.numerator // low.denominator
    if whole == low:
        return Fraction(whole)
    if whole + 1 <= high:
        return Fraction(whole + 1)
    return whole + 1 / simplest(1 / (high - whole), 1 / (low - whole))
