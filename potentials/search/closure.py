r"""Closed equations of potentials: `\dot P_i = F_i(P)`, by linear algebra over the rationals.

Where the flow keeps `g_j = 0`, it is enough that `\dot P_i - F_i(P)` is a combination of the `g_j`
with polynomials as coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from potentials.search.algebra import combination
from potentials.search.polynomials import Flow, Polynomial, exponents, rational

__all__ = ["MOST_DEGREE", "Closed", "closed"]

#: Degrees of right sides in the potentials that are tried.
MOST_DEGREE = 8
# Linear equations for more unknowns take minutes.
MOST_UNKNOWNS = 1500


@dataclass(frozen=True)
class Closed:
    r"""`\dot P = F(P) + \sum_j q_j g_j` as an identity.

    Parameters
    ----------
    side : Expr
        `F`, in the names of the potentials.
    multipliers : tuple of Polynomial
        `q_j`.
    """

    side: sp.Expr
    multipliers: tuple[Polynomial, ...]


def closed(
    flow: Flow,
    potentials: Sequence[Polynomial],
    names: Sequence[sp.Symbol],
    kept: Sequence[Polynomial] = (),
) -> list[Closed | None]:
    """Right sides of the lowest degree, one a potential; None where none is found.

    Parameters
    ----------
    flow : Flow
        The flow.
    potentials : sequence of Polynomial
        `P`.
    names : sequence of Symbol
        What stands for them.
    kept : sequence of Polynomial
        `g`, which vanish along the flow.
    """
    return [_one(flow, flow.along(p), potentials, names, kept) for p in potentials]


def _one(
    flow: Flow,
    goal: Polynomial,
    potentials: Sequence[Polynomial],
    names: Sequence[sp.Symbol],
    kept: Sequence[Polynomial],
) -> Closed | None:
    free = goal.total_degree()
    multipliers = [
        [m * g for m in flow.monomials(max(0, free - g.total_degree()))]
        if math.comb(flow.size + max(0, free - g.total_degree()), flow.size) < MOST_UNKNOWNS
        else []
        for g in kept
    ]
    for degree in range(MOST_DEGREE + 1):
        powers = exponents(len(potentials), degree)
        basis = [_power(flow, potentials, e) for e in powers]
        rest = [p for several in multipliers for p in several]
        if len(basis) + len(rest) > MOST_UNKNOWNS:
            return None
        found = combination(goal, [*basis, *rest])
        if found is None:
            continue
        side = sp.Add(
            *(
                rational(c) * sp.Mul(*(x**k for x, k in zip(names, e, strict=True)))
                for c, e in zip(found, powers, strict=False)
            )
        )
        left, shares = list(found[len(basis) :]), []
        for several, g in zip(multipliers, kept, strict=True):
            mine, left = left[: len(several)], left[len(several) :]
            total = sum((c * p for c, p in zip(mine, several, strict=True)), start=flow.constant(0))
            shares.append(divmod(total, g)[0])
        return Closed(side, tuple(shares))
    return None


def _power(flow: Flow, potentials: Sequence[Polynomial], powers: Sequence[int]) -> Polynomial:
    found = flow.constant(1)
    for p, k in zip(potentials, powers, strict=True):
        found = found * p**k
    return found
