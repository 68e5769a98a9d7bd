r"""Sums of squares on a region, and the monomials that their squares are made of.

.. math:: e(x; u) = \sum_j g_j\, m_j^T Q_j m_j + \sum_l h_l \lambda_l, \qquad Q_j \succeq 0

proves `e \ge 0` where `g_j \ge 0` and `h_l = 0`. `e` is affine in unknowns `u`; `m_j` are bases. Of
a matrix `G \succeq 0` in place of `g_j`, the bases are vectors: `\sum_{ab} Q_{ab} m_a^T G m_b`.

Newton's polytope says which monomials can occur, and sign symmetries split bases into blocks, see
:mod:`potentials.search.monomials`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from potentials.search.algebra import independent, quotient
from potentials.search.monomials import Polytope, Signs, added
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
    forms : int
        In so many variables, the last ones before `s`, the claim is a quadratic form.
    """

    region: Region
    degree: int = 0
    vanishing: tuple[Polynomial, ...] = ()
    forms: int = 0

    def corners(self, size: int) -> Iterable[Exponents]:
        """Monomials of the degree that no others lie between."""
        if not self.degree:
            return
        axes = [tuple(int(i == j) for j in range(size)) for i in range(size)]
        free, forms = axes, [(0,) * size]
        if self.forms:
            first = size - 1 - self.forms
            free, forms = axes[:first], [added(x, x) for x in axes[first:-1]]
        for form in forms:
            yield form
            yield from (added(form, *[x] * (self.degree - sum(form))) for x in free)

    def candidates(self, size: int, degree: int) -> list[Exponents]:
        """Monomials up to a degree that squares may be made of: linear in what forms are of."""
        if not self.forms:
            return exponents(size, degree)
        return self._with(1, size, degree)

    def multiplied(self, size: int, degree: int) -> list[Exponents]:
        """Monomials up to a degree that equations may be multiplied by: forms, where these are."""
        return self._with(2, size, degree) if self.forms else exponents(size, degree)

    def _with(self, power: int, size: int, degree: int) -> list[Exponents]:
        rest = exponents(size - 1 - self.forms, degree - power) if degree >= power else []
        forms = [e for e in exponents(self.forms, power) if sum(e) == power]
        return [(*e, *form, 0) for e in rest for form in forms]


def claim_of(
    name: str, flow: Flow, expression: Affine, ansatz: Ansatz, unknowns: Unknowns
) -> Claim:
    """Ansatz for a claim that an expression is not negative; its multipliers are new unknowns."""
    region, vanishing = ansatz.region, ansatz.vanishing
    support = {e for p in expression.parts.values() for e in p.to_dict()}
    if not support:  # zero is no sum that one has to look for
        return Claim(name, expression, ())
    size = flow.size + 1
    inside = Polytope({*support, *ansatz.corners(size)})
    signs = Signs(support, (*region.above, *region.zero), region.matrices, size)
    blocks: list[Block] = []
    candidates = ansatz.candidates(size, inside.degree // 2)
    for g in (flow.constant(1), *region.above):
        ideal = vanishing if not any(quotient(g, h) is not None for h in vanishing) else ()
        blocks += _blocks(flow, g, candidates, inside, signs, ideal)
    for matrix in region.matrices:
        blocks += _matrix_blocks(flow, matrix, candidates, inside, signs)
    multipliers = []
    for h in region.zero:
        terms = list(h.to_dict())
        powers = ansatz.multiplied(size, max(0, inside.degree - h.total_degree()))
        basis = [
            flow.ring.from_dict({m: 1})
            for m in powers
            if signs.of(m) == signs.of(terms[0]) and all(added(e, m) in inside for e in terms)
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
            if all(added(e, m, m) in inside for e in terms):
                groups[signs.of(m)].append(one)
            continue
        for h in ideal:
            parts = [added(m, e) for e in h.to_dict()]
            pairs = itertools.product(terms, parts, parts)
            if all(added(e, p, q) in inside for e, p, q in pairs):
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
            if all(added(e, m, m) in inside for e in row[i].to_dict()):
                one = flow.ring.from_dict({m: 1})
                vector = tuple(one if j == i else none for j in range(len(matrix)))
                groups[signs.of(added(m, shift))].append(vector)
    return [Block(matrix, tuple(found)) for found in groups.values()]


def supports(block: Block) -> Iterable[tuple[int, int, Polynomial]]:
    """Products of the basis: `i <= j` and the polynomial that the entry `Q_ij` multiplies once."""
    for j in range(len(block.basis)):
        for i in range(j + 1):
            yield i, j, product(block.multiplier, block.basis[i], block.basis[j])
