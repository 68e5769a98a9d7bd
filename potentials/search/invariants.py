r"""Quantities that a polynomial flow keeps, exactly: linear algebra over the rationals.

*Conserved*: `\dot p = 0`. *Darboux*: `\dot p = \lambda p` with a polynomial `\lambda`; the set
`\{p = 0\}`, and the sign of `p`, are invariant. *Clocks*: `\frac{d}{dt} \frac PN = 1`, where `N` is
a product of Darboux polynomials: a law for every start.

Source: J. Moulin Ollagnier and A. Maciejewski for the extactic polynomial, in the form of Pereira,
*Vector fields, invariant varieties and linear systems* (2001): every Darboux polynomial of a degree
divides the determinant of the derivatives along the flow of all monomials of this degree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from potentials.search.algebra import determinant, quotient, relations
from potentials.search.polynomials import Flow, Polynomial, exponents

__all__ = ["MOST_MONOMIALS", "Invariants", "cofactor", "invariants", "monomials"]

#: Linear equations for more monomials take minutes, and so do the factors of more terms.
MOST_MONOMIALS, MOST_TERMS = 1000, 300
# The extactic determinant of more monomials takes minutes: of fewer factors are sought instead.
MOST_EXTACTIC = 6


@dataclass(frozen=True)
class Invariants:
    r"""What a flow keeps, up to a degree.

    Parameters
    ----------
    conserved : tuple of Expr
        A basis of the polynomials `p` without a constant with `\dot p = 0`.
    darboux : tuple of (Expr, Expr)
        Irreducible `p` and `\lambda \neq 0` with `\dot p = \lambda p`.
    clocks : tuple of Expr
        `P/N` with derivative 1: along each flow on which `N` does not vanish it is `t + const`.
    complete : bool
        Whether there are no other Darboux polynomials of this degree. False where the flow has
        infinitely many, and where there are too many monomials: then those are listed that
        divide the loss, a right side, or a conserved one, as far as these have few terms.
    """

    conserved: tuple[sp.Expr, ...]
    darboux: tuple[tuple[sp.Expr, sp.Expr], ...]
    clocks: tuple[sp.Expr, ...]
    complete: bool

    def __str__(self) -> str:
        """One line each."""
        lines = [f"conserved: {p}" for p in self.conserved]
        lines += [
            f"invariant: {p} = 0, as its rate is ({rate}) times itself" for p, rate in self.darboux
        ]
        lines += [f"clock: d/dt [{p}] = 1" for p in self.clocks]
        return "\n".join(lines) or "none of this degree"


def cofactor(flow: Flow, p: Polynomial) -> Polynomial | None:
    r"""`\lambda` with `\dot p = \lambda p`, or None."""
    return quotient(flow.along(p), p)


def monomials(flow: Flow, degree: int) -> int:
    """How many monomials there are up to a degree."""
    return math.comb(flow.size + degree, degree)


def invariants(flow: Flow, degree: int) -> Invariants:
    """All of them up to a degree, as far as that is cheap."""
    kept = conserved(flow, degree)
    factors, complete = darboux(flow, degree, kept)
    times = clocks(flow, degree, factors)
    pairs = ((p, cofactor(flow, p)) for p in factors)
    return Invariants(
        tuple(flow.written(p) for p in kept),
        tuple((flow.written(p), flow.written(rate)) for p, rate in pairs),
        tuple(flow.written(p) / sp.factor(flow.written(n)) for p, n in times),
        complete,
    )


def conserved(flow: Flow, degree: int) -> list[Polynomial]:
    """A basis of all conserved polynomials without a constant."""
    basis = flow.monomials(degree, 1)
    found = relations([flow.along(p) for p in basis])
    return [_primitive(_sum(flow, values, basis)) for values in found]


def darboux(flow: Flow, degree: int, kept: Sequence[Polynomial]) -> tuple[list[Polynomial], bool]:
    """Irreducible Darboux polynomials that are not conserved; whether these are all."""
    rows = [flow.monomials(degree)]
    complete = len(rows[0]) <= MOST_EXTACTIC
    product = flow.constant(0)
    if complete:
        while len(rows) < len(rows[0]):
            rows.append([flow.along(p) for p in rows[-1]])
        product = determinant([row[1:] for row in rows[1:]])  # the first column is the constant's
        complete = product != 0
    several = [product] if complete else [flow.loss, *flow.field, *kept]
    found: dict[str, Polynomial] = {}
    for each in several:
        for p, _ in each.factor()[1] if 0 < len(each) <= MOST_TERMS or complete else ():
            rate = cofactor(flow, p)
            if 0 < p.total_degree() <= degree and rate is not None and rate != 0:
                found.setdefault(str(_primitive(p)), _primitive(p))
    return list(found.values()), complete


def clocks(
    flow: Flow, degree: int, factors: list[Polynomial]
) -> list[tuple[Polynomial, Polynomial]]:
    r"""`P, N` with `(P/N)' = 1`: as `\dot N = \lambda N`, this is `\dot P - \lambda P = N`."""
    found: list[tuple[Polynomial, Polynomial]] = []
    basis = flow.monomials(degree)
    for powers in exponents(len(factors), degree) if factors else ():
        below = flow.constant(1)
        for p, k in zip(factors, powers, strict=True):
            below = below * p**k
        if not any(powers) or below.total_degree() > degree:
            continue
        rate = cofactor(flow, below)
        images = [flow.along(p) - rate * p for p in basis]
        for values in relations([*images, below]):
            if values[-1] != 0:
                above = _sum(flow, [-c / values[-1] for c in values[:-1]], basis)
                if not any(above * n == p * below for p, n in found):
                    found.append((above, below))
                break
    return found


def _sum(flow: Flow, values: list[Any], basis: list[Polynomial]) -> Polynomial:
    parts = (c * p for c, p in zip(values, basis, strict=True))
    return sum(parts, start=flow.constant(0))


def _primitive(p: Polynomial) -> Polynomial:
    """With whole coefficients that have no common factor, the first one positive."""
    terms = p.to_dict()
    below = math.lcm(*(int(c.q) for c in terms.values()))
    above = math.gcd(*(int(c.p) * (below // int(c.q)) for c in terms.values()))
    sign = 1 if next(iter(terms.values())) > 0 else -1
    return p * below / (sign * above)
