r"""Sums of squares on a region, and the monomials that their squares are made of.

.. math:: e(x; u) = \sum_j g_j\, m_j^T Q_j m_j + \sum_l h_l \lambda_l, \qquad Q_j \succeq 0

proves `e \ge 0` where `g_j \ge 0` and `h_l = 0`. `e` is affine in unknowns `u`; `m_j` are bases. Of
a matrix `G \succeq 0` in place of `g_j`, the bases are vectors: `\sum_{ab} Q_{ab} m_a^T G m_b`.

Newton's polytope says which monomials can occur (Reznick 1978), and sign symmetries split bases
into blocks (Loefberg 2009).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize

from potentials.search.algebra import independent, quotient
from potentials.search.polynomials import Exponents, Flow, Polynomial, exponents

__all__ = [
    "Affine",
    "Ansatz",
    "Block",
    "Claim",
    "Region",
    "Unknowns",
    "claim_of",
    "product",
    "supports",
]

#: An entry of a basis: a polynomial, or a vector of them where the multiplier is a matrix.
Entry = Any


@dataclass(frozen=True)
class Affine:
    """`parts[0] + sum_k u_k parts[k]` with unknowns `u_1, u_2, ...`; parts are polynomials."""

    parts: Mapping[int, Polynomial]

    def __add__(self, other: Affine) -> Affine:
        """Sum."""
        keys = sorted({*self.parts, *other.parts})
        return Affine({k: self.parts.get(k, 0) + other.parts.get(k, 0) for k in keys})

    def __sub__(self, other: Affine) -> Affine:
        """Difference."""
        return self + other.times(-1)

    def times(self, factor: Any) -> Affine:
        """Product with a polynomial or a number."""
        return self.mapped(lambda p: p * factor)

    def mapped(self, linear: Any) -> Affine:
        """What a linear map makes of it."""
        return Affine({k: linear(p) for k, p in self.parts.items()})

    def at(self, unknowns: Sequence[Any]) -> Polynomial:
        """Its value where the unknowns have values; that of `u_1` is the first one."""
        return sum(p * (unknowns[k - 1] if k else 1) for k, p in self.parts.items())


class Unknowns:
    """Numbers the unknowns of a program."""

    def __init__(self) -> None:
        self.count = 0

    def combination(self, basis: Sequence[Polynomial]) -> Affine:
        """`sum_k u_k b_k` with new unknowns."""
        first = self.count + 1
        self.count += len(basis)
        return Affine({first + k: p for k, p in enumerate(basis)})


@dataclass(frozen=True)
class Region:
    """Where a claim is made.

    Parameters
    ----------
    above : tuple of Polynomial
        Not negative there.
    zero : tuple of Polynomial
        Zero there.
    matrices : tuple of matrices of Polynomial
        Positive semidefinite there.
    """

    above: tuple[Polynomial, ...] = ()
    zero: tuple[Polynomial, ...] = ()
    matrices: tuple[tuple[tuple[Polynomial, ...], ...], ...] = ()


class Block(NamedTuple):
    """A multiplier, polynomial or matrix, and the basis of what it multiplies."""

    multiplier: Any
    basis: tuple[Entry, ...]


@dataclass(frozen=True)
class Claim:
    r"""An expression that is to be not negative, with the ansatz of its proof.

    Parameters
    ----------
    name : str
        What the claim is called.
    expression : Affine
        `e`.
    blocks : tuple of Block
        `g_j` and `m_j`.
    multipliers : tuple of (Polynomial, Affine)
        `h_l` and `\\lambda_l`.
    """

    name: str
    expression: Affine
    blocks: tuple[Block, ...]
    multipliers: tuple[tuple[Polynomial, Affine], ...] = field(default=())

    @property
    def rest(self) -> Affine:
        """What the squares have to sum up to."""
        left = self.expression
        for h, multiplier in self.multipliers:
            left = left - multiplier.times(h)
        return left


def product(multiplier: Any, a: Entry, b: Entry) -> Polynomial:
    """`g a b`, or `a^T G b`."""
    if not isinstance(multiplier, tuple):
        return multiplier * a * b
    terms = (
        p * entry * q
        for p, row in zip(a, multiplier, strict=True)
        for entry, q in zip(row, b, strict=True)
        if p != 0 and q != 0
    )
    return sum(terms, start=0 * multiplier[0][0])


@dataclass(frozen=True)
class Ansatz:
    """Of which squares a claim is to be a sum.

    Parameters
    ----------
    region : Region
        Where the claim is made.
    degree : int
        Monomials up to this degree are added to Newton's polytope.
    vanishing : tuple of Polynomial
        Where all of these vanish the claim is zero; squares are sought in their ideal.
    """

    region: Region
    degree: int = 0
    vanishing: tuple[Polynomial, ...] = ()


def claim_of(
    name: str, flow: Flow, expression: Affine, ansatz: Ansatz, unknowns: Unknowns
) -> Claim:
    """Ansatz for a claim that an expression is not negative; its multipliers are new unknowns."""
    region, degree, vanishing = ansatz.region, ansatz.degree, ansatz.vanishing
    support = {e for p in expression.parts.values() for e in p.to_dict()}
    if not support:  # zero is no sum that one has to look for
        return Claim(name, expression, ())
    size = flow.size + 1
    hull = set(support)
    if degree:
        hull |= {tuple(degree * (i == j) for j in range(size)) for i in range(size)}
        hull.add((0,) * size)
    inside = Polytope(hull)
    signs = Signs(support, region, size)
    blocks: list[Block] = []
    candidates = exponents(size, inside.degree // 2)
    for g in (flow.constant(1), *region.above):
        ideal = vanishing if not any(quotient(g, h) is not None for h in vanishing) else ()
        blocks += _blocks(flow, g, candidates, inside, signs, ideal)
    for matrix in region.matrices:
        blocks += _matrix_blocks(flow, matrix, candidates, inside, signs)
    multipliers = []
    for h in region.zero:
        terms = list(h.to_dict())
        powers = exponents(size, max(0, inside.degree - h.total_degree()))
        basis = [
            flow.ring.from_dict({m: 1})
            for m in powers
            if signs.of(m) == signs.of(terms[0]) and all(_sum(e, m) in inside for e in terms)
        ]
        multipliers.append((h, unknowns.combination(basis)))
    return Claim(name, expression, tuple(blocks), tuple(multipliers))


def _blocks(
    flow: Flow,
    g: Polynomial,
    candidates: Sequence[Exponents],
    inside: Polytope,
    signs: Signs,
    ideal: Sequence[Polynomial],
) -> list[Block]:
    """Bases of one multiplier, by the signs that they change under symmetries."""
    groups: dict[tuple[int, ...], list[Polynomial]] = defaultdict(list)
    terms = list(g.to_dict())
    for m in candidates:
        one = flow.ring.from_dict({m: 1})
        if not ideal:
            if all(_sum(e, m, m) in inside for e in terms):
                groups[signs.of(m)].append(one)
            continue
        for h in ideal:
            parts = [_sum(m, e) for e in h.to_dict()]
            pairs = itertools.product(terms, parts, parts)
            if all(_sum(e, p, q) in inside for e, p, q in pairs):
                groups[signs.of(parts[0])].append(h * one)
    if ideal:
        return [Block(g, tuple(independent(found))) for found in groups.values()]
    return [Block(g, tuple(found)) for found in groups.values()]


def _matrix_blocks(
    flow: Flow,
    matrix: tuple[tuple[Polynomial, ...], ...],
    candidates: Sequence[Exponents],
    inside: Polytope,
    signs: Signs,
) -> list[Block]:
    """Bases of vectors `m e_i` for a matrix."""
    groups: dict[tuple[int, ...], list[Entry]] = defaultdict(list)
    none = flow.constant(0)
    for i, row in enumerate(matrix):
        shift = next(iter(matrix[0][i].to_dict()), (0,) * (flow.size + 1))
        for m in candidates:
            if all(_sum(e, m, m) in inside for e in row[i].to_dict()):
                one = flow.ring.from_dict({m: 1})
                vector = tuple(one if j == i else none for j in range(len(matrix)))
                groups[signs.of(_sum(m, shift))].append(vector)
    return [Block(matrix, tuple(found)) for found in groups.values()]


def supports(block: Block) -> Iterable[tuple[int, int, Polynomial]]:
    """Products of the basis: `i <= j` and the polynomial that the entry `Q_ij` multiplies once."""
    for j in range(len(block.basis)):
        for i in range(j + 1):
            yield i, j, product(block.multiplier, block.basis[i], block.basis[j])


class Polytope:
    """The convex hull of exponents: membership by bounds, then by a linear program."""

    def __init__(self, points: Iterable[Exponents]) -> None:
        self._known = dict.fromkeys(points, True)
        self._points = np.array(sorted(self._known), dtype=float)
        self._low, self._high = self._points.min(0), self._points.max(0)
        self._sums = self._points.sum(1)

    @property
    def degree(self) -> int:
        """Largest degree."""
        return int(self._sums.max())

    def __contains__(self, e: Exponents) -> bool:
        """Whether exponents lie in the hull."""
        if e not in self._known:
            x = np.array(e, dtype=float)
            bounded = (x >= self._low).all() and (x <= self._high).all()
            bounded = bounded and self._sums.min() <= x.sum() <= self._sums.max()
            self._known[e] = bool(bounded) and self._combined(x)
        return self._known[e]

    def _combined(self, x: Any) -> bool:
        rows = np.vstack([self._points.T, np.ones(len(self._points))])
        none = np.zeros(len(self._points))
        return bool(scipy.optimize.linprog(none, A_eq=rows, b_eq=[*x, 1]).status == 0)


class Signs:
    """Changes of signs of variables that leave an expression and its region as they are.

    They are the null space over the field of two elements of all exponents that occur.
    """

    def __init__(self, support: Iterable[Exponents], region: Region, size: int) -> None:
        terms = [*support]
        for p in (*region.above, *region.zero):
            terms += p.to_dict()
        for matrix in region.matrices:
            terms += matrix[0][0].to_dict()
            for i, j in itertools.combinations(range(len(matrix)), 2):
                # Signs of rows follow from the first one: G_ij has those of G_0i and G_0j.
                heads = [next(iter(matrix[0][k].to_dict()), (0,) * size) for k in (i, j)]
                terms += [_sum(e, *heads) for e in matrix[i][j].to_dict()]
        self._flips = null_space([[k % 2 for k in e] for e in terms], size)

    def of(self, e: Exponents) -> tuple[int, ...]:
        """Which of them change the sign of a monomial."""
        return tuple(sum(a * b for a, b in zip(flip, e, strict=True)) % 2 for flip in self._flips)


def null_space(rows: Iterable[list[int]], size: int) -> list[list[int]]:
    """Vectors over the field of two elements whose products with all rows are even."""
    reduced: list[list[int]] = []
    pivots: list[int] = []
    for row in rows:
        left = list(row)
        for other, pivot in zip(reduced, pivots, strict=True):
            if left[pivot]:
                left = [a ^ b for a, b in zip(left, other, strict=True)]
        if any(left):
            new = left.index(1)
            reduced = [
                [a ^ b for a, b in zip(other, left, strict=True)] if other[new] else other
                for other in reduced
            ]
            reduced.append(left)
            pivots.append(new)
    found = []
    for free in sorted({*range(size)} - {*pivots}):
        vector = [int(j == free) for j in range(size)]
        for row, pivot in zip(reduced, pivots, strict=True):
            vector[pivot] = row[free]
        found.append(vector)
    return found


def _sum(*powers: Exponents) -> Exponents:
    return tuple(map(sum, zip(*powers, strict=True)))
