"""A program of sums of squares: its linear equations, exactly, and its solution by Clarabel."""

from __future__ import annotations

import importlib.util
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
from flint import fmpq
from numpy.typing import NDArray

from potentials.search.squares import Block, Claim, supports
from symbolic.language.errors import InputError

__all__ = ["NoProof", "Program", "Solution", "grams", "solve", "trimmed"]

# Relative accuracy that is asked of the solver.
ACCURACY = 1e-9
# What the solver says of programs whose solutions are looked at.
SOLVED = ("Solved", "AlmostSolved")
# A program that takes more steps has no solution with digits.
ITERATIONS = 60
NO_SOLVER = (
    "the search for potentials needs Clarabel, which is not installed; install popflow[find], or"
    " pip install clarabel"
)


class NoProof(Exception):
    """There is no proof of this form; the message says at which step it ended."""


class Solution(NamedTuple):
    """Values of unknowns and of entries of Gram matrices, and their least eigenvalue, at most 1."""

    x: NDArray[np.float64]
    margin: float


@dataclass(frozen=True)
class Program:
    """Claims that share unknowns.

    Columns of its equations are the unknowns, then the entries `Q_ij`, `i <= j`, of all matrices
    column by column; each row says that the coefficients of a monomial of a claim are equal.

    Parameters
    ----------
    unknowns : int
        Their number.
    claims : tuple of Claim
        What is to be proved.
    """

    unknowns: int
    claims: tuple[Claim, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the Gram matrices."""
        return tuple(len(block.basis) for claim in self.claims for block in claim.blocks)

    @cached_property
    def columns(self) -> int:
        """Number of unknowns and entries."""
        return self.unknowns + sum(n * (n + 1) // 2 for n in self.sizes)

    @cached_property
    def equations(self) -> tuple[tuple[tuple[int, int, fmpq], ...], tuple[fmpq, ...]]:
        """Entries (row, column, value) of the matrix, and the right sides."""
        rows: dict[Any, int] = {}
        right: dict[int, fmpq] = defaultdict(lambda: fmpq(0))
        entries = []
        column = self.unknowns
        for number, claim in enumerate(self.claims):
            for unknown, p in claim.rest.parts.items():
                for e, c in p.to_dict().items():
                    row = rows.setdefault((number, e), len(rows))
                    if unknown == 0:
                        right[row] += c
                    else:
                        entries.append((row, unknown - 1, -c))
            for block in claim.blocks:
                for i, j, p in supports(block):
                    for e, c in p.to_dict().items():
                        row = rows.setdefault((number, e), len(rows))
                        entries.append((row, column, c * (1 if i == j else 2)))
                    column += 1
        return tuple(entries), tuple(right[row] for row in range(len(rows)))

    @cached_property
    def matrix(self) -> Any:
        """Matrix of the equations in doubles."""
        entries, right = self.equations
        values = [_double(c) for *_, c in entries]
        places = [row for row, *_ in entries], [column for _, column, _ in entries]
        return sparse.csc_matrix((values, places), shape=(len(right), self.columns))


def trimmed(claim: Claim) -> Claim:
    """The claim without entries of bases whose squares nothing else could cancel."""
    while True:
        bound = {e for p in claim.rest.parts.values() for e in p.to_dict()}
        occurs = defaultdict(list)
        for place, block in enumerate(claim.blocks):
            for i, j, p in supports(block):
                for e, c in p.to_dict().items():
                    occurs[e].append((place, i, j, c > 0))
        dead = set()
        for e, found in occurs.items():
            alone = all(i == j for _, i, j, _ in found) and len({sign for *_, sign in found}) == 1
            if alone and e not in bound:
                dead |= {(place, i) for place, i, _, _ in found}
        if not dead:
            return claim
        blocks = []
        for place, block in enumerate(claim.blocks):
            left = tuple(p for i, p in enumerate(block.basis) if (place, i) not in dead)
            if left:
                blocks.append(Block(block.multiplier, left))
        claim = replace(claim, blocks=tuple(blocks))


def solve(program: Program, objective: Mapping[int, float] | None = None) -> Solution:
    """Minimise a combination of unknowns; without one, make the least eigenvalue largest, up to 1.

    Raises
    ------
    NoProof
        Where there is no solution, or none is found.
    InputError
        Where the solver is not installed.
    """
    if importlib.util.find_spec("clarabel") is None:
        raise InputError(NO_SOLVER)
    import clarabel  # type: ignore[import-untyped]  # where it is first needed

    rows, columns = program.matrix.shape
    right = np.array([_double(c) for c in program.equations[1]])
    # The last column is the least eigenvalue t: Q - t I is positive semidefinite.
    cost = np.zeros(columns + 1)
    cost[-1] = -1.0 if objective is None else 0.0
    for unknown, weight in (objective or {}).items():
        cost[unknown - 1] = weight
    scale, diagonal = _triangles(program.sizes)
    gram = sparse.hstack(
        [
            sparse.csc_matrix((len(scale), program.unknowns)),
            -sparse.diags(scale),
            sparse.csc_matrix(diagonal[:, None]),
        ]
    )
    last = sparse.csc_matrix(([1.0], ([0], [columns])), shape=(1, columns + 1))
    whole = sparse.vstack(
        [sparse.hstack([program.matrix, sparse.csc_matrix((rows, 1))]), gram, last]
    )
    free = objective is None
    cones = [
        clarabel.ZeroConeT(rows),
        *(clarabel.PSDTriangleConeT(n) for n in program.sizes),
        clarabel.NonnegativeConeT(1) if free else clarabel.ZeroConeT(1),
    ]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_iter = ITERATIONS
    settings.max_threads = 1  # results do not depend on the machine's cores
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = ACCURACY
    sides = np.concatenate([right, np.zeros(len(scale)), [1.0 if free else 0.0]])
    none = sparse.csc_matrix((columns + 1, columns + 1))
    solver = clarabel.DefaultSolver(none, cost, whole.tocsc(), sides, cones, settings)
    found = solver.solve()
    x = np.array(found.x)
    if str(found.status) not in SOLVED or not np.isfinite(x).all():
        raise NoProof(f"the solver says {found.status!s}")
    return Solution(x[:-1], float(x[-1]))


def grams(program: Program, x: Any) -> Iterator[NDArray[Any]]:
    """Gram matrices of a solution, in doubles or exactly."""
    column = program.unknowns
    for size in program.sizes:
        kind: Any = float if isinstance(x, np.ndarray) else object
        found = np.empty((size, size), dtype=kind)
        for j in range(size):
            for i in range(j + 1):
                found[i, j] = found[j, i] = x[column]
                column += 1
        yield found


def _triangles(sizes: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By entry of the matrices: the solver's scale, and one on the diagonal."""
    scale, diagonal = [], []
    for size in sizes:
        for j in range(size):
            for i in range(j + 1):
                scale.append(1.0 if i == j else math.sqrt(2.0))
                diagonal.append(1.0 if i == j else 0.0)
    return np.array(scale), np.array(diagonal)


def _double(c: fmpq) -> float:
    return float(c.p) / float(c.q)
