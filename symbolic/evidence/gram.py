r"""Gram matrices of polynomials: sums of squares, decided in fractions.

.. math:: p = z^\top Q z = \sum_k d_k (\ell_k^\top z)^2, \qquad Q = L D L^\top \succeq 0

A Gram matrix `Q` is looked for in doubles, by a barrier method whose end has the largest rank.
Where that is not the whole rank (`p` has real zeros), its kernel is rounded and taken out.
`Q` is then rounded, put back onto ``z'Qz = p`` exactly, and factorised in fractions: doubles
propose, fractions decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.linalg
import scipy.sparse
from flint import fmpq, fmpq_mat
from numpy.typing import NDArray

from symbolic.language.elimination import eliminated

__all__ = ["Polynomial", "Powers", "gram_squares", "product"]

Array = NDArray[np.float64]
#: Exponents of a monomial.
Powers: TypeAlias = tuple[int, ...]
#: A polynomial by its exponents.
Polynomial: TypeAlias = dict[Powers, Fraction]
#: Squares with positive factors.
Squares: TypeAlias = list[tuple[Fraction, Polynomial]]

#: Weights of the barrier, from the first to the last; Newton steps for each.
FIRST, LAST, SHRINK, NEWTON = 1.0, 1e-10, 0.2, 4
#: Coefficients are off by so much where doubles no longer serve.
LOST = 1e-9
#: A least eigenvalue below the negative of this is below zero; fractions decide the others.
FLAT = 1e-3
#: Eigenvalues of a kernel are below, all others above, and between them is at least this ratio.
KERNEL, RANGE, GAP = 1e-4, 1e-7, 50.0
#: Denominators of entries of a kernel at most, and how near they are.
SIMPLE, NEAR = 60, 1e-3
#: Denominators that a Gram matrix is rounded to, the simplest first.
ROUNDED = (1, 2, 3, 4, 6, 8, 12, 24, 60, 360, 2520, 10**5, 10**8, 2**48)
#: Kernels that are taken out, one after the other.
FACES = 4


def product(a: Powers, b: Powers) -> Powers:
    """Exponents of the product of two monomials."""
    return tuple(i + j for i, j in zip(a, b, strict=True))


class _Problem(NamedTuple):
    """Find symmetric blocks `Q` with ``sum_b z_b' Q_b z_b = p``.

    Parameters
    ----------
    z : list of lists of dict
        Polynomials of each block.
    maps : list of lists of list
        Of each block, by row and column, the product of two of its polynomials.
    wanted : dict
        The polynomial `p`.
    rows : dict
        Number of each monomial that occurs.
    """

    z: list[list[Polynomial]]
    maps: list[list[list[Polynomial]]]
    wanted: Polynomial
    rows: dict[Powers, int]

    @classmethod
    def of(cls, wanted: Polynomial, z: list[list[Polynomial]]) -> _Problem | None:
        """Problem; None where a monomial of the polynomial cannot be made."""
        maps = [[[_times(a, b) for b in block] for a in block] for block in z]
        known = {e for block in maps for row in block for product in row for e in product}
        rows = {e: k for k, e in enumerate(sorted(known))}
        return None if set(wanted) - known else cls(z, maps, wanted, rows)

    def matrices(self) -> list[Any]:
        """Linear maps from a block, flattened, to coefficients."""
        found = []
        for block in self.maps:
            n = len(block)
            matrix = np.zeros((len(self.rows), n * n))
            for i, row in enumerate(block):
                for j, product in enumerate(row):
                    for e, c in product.items():
                        matrix[self.rows[e], i * n + j] = float(c)
            found.append(scipy.sparse.csr_array(matrix))
        return found


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    found: Polynomial = {}
    for e, c in a.items():
        for f, d in b.items():
            k = product(e, f)
            found[k] = found.get(k, Fraction(0)) + c * d
    return {e: c for e, c in found.items() if c}


def gram_squares(wanted: Polynomial, z: list[list[Polynomial]]) -> Squares | None:
    """Positive multiples of squares that sum up to the polynomial; None where none are found.

    Parameters
    ----------
    wanted : dict
        The polynomial.
    z : list of lists of dict
        Polynomials of which the squares are made; those of different lists in different squares.
    """
    for _ in range(FACES):
        problem = _Problem.of(wanted, z) if any(z) else None
        if problem is None:
            return None
        blocks, least = _central(problem)
        if least < -FLAT:
            return None
        if (found := _rounded(problem, blocks)) is not None:
            return found
        smaller = [_face(z_b, x) for z_b, x in zip(z, blocks, strict=True)]
        if sum(map(len, smaller)) == sum(map(len, z)):
            return None
        z = [block for block in smaller if block]
    return None


def _central(problem: _Problem) -> tuple[list[Array], float]:
    """Blocks whose least eigenvalue is as large as can be, from inside, and that eigenvalue.

    Maximised is ``s/mu + sum log det X_b`` over ``Q_b = X_b + s I``, for smaller and smaller `mu`.
    """
    maps, sizes = problem.matrices(), [len(block) for block in problem.z]
    scale = float(max(abs(c) for c in problem.wanted.values()))
    b = np.zeros(len(problem.rows))
    for e, c in problem.wanted.items():
        b[problem.rows[e]] = float(c) / scale
    whole = np.hstack([m.toarray() for m in maps])
    flat = np.split(
        np.linalg.lstsq(whole, b, rcond=None)[0], np.cumsum([n * n for n in sizes])[:-1]
    )
    x = [f.reshape(n, n) for f, n in zip(flat, sizes, strict=True)]
    x = [(m + m.T) / 2 for m in x]
    s = min(float(np.linalg.eigvalsh(m)[0]) for m in x) - 1.0
    x = [m - s * np.eye(len(m)) for m in x]
    along = sum(m @ np.eye(n).ravel() for m, n in zip(maps, sizes, strict=True))
    mu = FIRST
    while mu > LAST and not s > sum(sizes) * mu:  # then it is positive, and all but the largest
        for _ in range(NEWTON):
            normal = sum(a @ np.kron(m, m) @ a.T for a, m in zip(maps, x, strict=True))
            image = sum(a @ m.ravel() for a, m in zip(maps, x, strict=True))
            both = np.column_stack([2 * image + s * along - b, along])
            size = np.sqrt(np.diag(normal))  # rows of one length are better conditioned
            scaled = np.linalg.lstsq(normal / size / size[:, None], both / size[:, None], rcond=0.0)
            one, two = (scaled[0] / size[:, None]).T
            step = (1 / mu - along @ one) / (along @ two)
            y = one + step * two
            moves = [
                m - m @ (a.T @ y).reshape(len(m), -1) @ m for a, m in zip(maps, x, strict=True)
            ]
            moves = [(m + m.T) / 2 for m in moves]
            slow = max(
                -float(scipy.linalg.eigh(d, m, eigvals_only=True)[0])
                for d, m in zip(moves, x, strict=True)
            )
            length = 1.0 if slow < 0.9 else 0.9 / slow
            moved = [m + length * d for m, d in zip(x, moves, strict=True)]
            made = sum(a @ m.ravel() for a, m in zip(maps, moved, strict=True))
            off = np.abs(made + (s + length * step) * along - b).max()
            if not off < LOST:  # doubles end here
                return [scale * (m + max(s, 0.0) * np.eye(len(m))) for m in x], s
            x, s = moved, s + length * step
        mu *= SHRINK
    return [scale * (m + max(s, 0.0) * np.eye(len(m))) for m in x], s


def _face(z: list[Polynomial], x: Array) -> list[Polynomial]:
    """Combinations of the polynomials of a block without those of the kernel of its matrix."""
    values, vectors = np.linalg.eigh(x)
    small = values / max(values[-1], 1e-300)
    count = next(
        (
            k
            for k in range(len(z), 0, -1)
            if small[k - 1] < KERNEL and (k == len(z) or small[k] > GAP * max(small[k - 1], 1e-16))
        ),
        0,
    )
    if values[-1] < RANGE:
        return []
    if not count:
        return z
    kernel, pivots = vectors[:, :count].T.copy(), []
    for row in range(count):
        rest = np.abs(kernel[row:])
        # The last entries are eliminated first: what stays are combinations of the first ones.
        columns = [k for k in range(len(z)) if k not in pivots]
        best = max(columns, key=lambda k: (rest[:, k].max() > 0.1 * rest.max(), k))
        pivot = row + int(np.argmax(rest[:, best]))
        kernel[[row, pivot]] = kernel[[pivot, row]]
        kernel[row] /= kernel[row, best]
        for other in range(count):
            if other != row:
                kernel[other] -= kernel[other, best] * kernel[row]
        pivots.append(best)
    found = []
    for k in (k for k in range(len(z)) if k not in pivots):
        whole = dict(z[k])
        for row, pivot in enumerate(pivots):
            exact = Fraction(float(kernel[row, k])).limit_denominator(SIMPLE)
            if abs(float(exact) - kernel[row, k]) > NEAR:
                return z
            for e, c in z[pivot].items():
                whole[e] = whole.get(e, Fraction(0)) - exact * c
        found.append({e: c for e, c in whole.items() if c})
    return found


def _rounded(problem: _Problem, blocks: Sequence[Array]) -> Squares | None:
    """Squares of a Gram matrix in fractions near this one; None where none is not negative."""
    entries = [
        (b, i, j) for b, x in enumerate(blocks) for i in range(len(x)) for j in range(i, len(x))
    ]
    columns = [
        {e: (1 if i == j else 2) * c for e, c in problem.maps[b][i][j].items()}
        for b, i, j in entries
    ]
    correct = _Correction.of(columns, problem.rows)
    for denominator in ROUNDED:
        near = [
            Fraction(round(float(blocks[b][i, j]) * denominator), denominator)
            for b, i, j in entries
        ]
        rest = dict(problem.wanted)
        for value, column in zip(near, columns, strict=True):
            for e, c in column.items():
                rest[e] = rest.get(e, Fraction(0)) - value * c
        moves = correct.solved(rest)
        if moves is None:
            return None
        exact = {key: v + d for key, v, d in zip(entries, near, moves, strict=True)}
        squares = [_of_block(z, exact, b) for b, z in enumerate(problem.z)]
        if all(one is not None for one in squares):
            return [square for one in squares for square in one or ()]
    return None


def _of_block(
    z: list[Polynomial], exact: dict[tuple[int, int, int], Fraction], b: int
) -> Squares | None:
    """Squares of one block of a matrix; None if it is not semidefinite."""
    n = len(z)
    matrix = [[exact[b, min(i, j), max(i, j)] for j in range(n)] for i in range(n)]
    squares = []
    for d, row in eliminated(matrix):
        if row is None or d < 0:
            return None
        whole: Polynomial = {}
        for c, part in zip(row, z, strict=True):
            for e, v in part.items():
                whole[e] = whole.get(e, Fraction(0)) + c * v
        squares.append((d, {e: c for e, c in whole.items() if c}))
    return squares


class _Correction(NamedTuple):
    """The shortest change of a Gram matrix that changes coefficients by given numbers."""

    columns: list[Polynomial]
    rows: dict[Powers, int]
    chosen: list[int]
    inverse: fmpq_mat

    @classmethod
    def of(cls, columns: list[Polynomial], rows: dict[Powers, int]) -> _Correction:
        """Keep rows that are independent, and the inverse of their products."""
        size = len(rows)
        matrix = fmpq_mat(size, len(columns))
        for k, column in enumerate(columns):
            for e, c in column.items():
                matrix[rows[e], k] = fmpq(c.numerator, c.denominator)
        reduced, rank = matrix.transpose().rref()
        chosen, k = [], 0
        for r in range(rank):
            while reduced[r, k] == 0:
                k += 1
            chosen.append(k)
        part = fmpq_mat(
            rank, len(columns), [matrix[k, c] for k in chosen for c in range(len(columns))]
        )
        return cls(columns, rows, chosen, (part * part.transpose()).inv() if rank else part)

    def solved(self, rest: Polynomial) -> list[Fraction] | None:
        """Change of the entries; None where the numbers cannot be reached."""
        b = [Fraction(0)] * len(self.rows)
        for e, c in rest.items():
            b[self.rows[e]] = c
        right = fmpq_mat(
            len(self.chosen), 1, [fmpq(b[k].numerator, b[k].denominator) for k in self.chosen]
        )
        weights = self.inverse * right
        by_row = {
            k: Fraction(int(weights[r, 0].p), int(weights[r, 0].q))
            for r, k in enumerate(self.chosen)
        }
        moves = [
            sum((c * by_row.get(self.rows[e], Fraction(0)) for e, c in column.items()), Fraction(0))
            for column in self.columns
        ]
        for move, column in zip(moves, self.columns, strict=True):
            for e, c in column.items():
                b[self.rows[e]] -= move * c
        return moves if not any(b) else None
