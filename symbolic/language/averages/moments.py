r"""Means of polynomials in independent numbers by orthogonal polynomials of their density.

With `p = sum_a p_a P_a`, and `h_a` the mean of `P_a^2`,

.. math:: E\, p(x)\, q(x) = \sum_a h_a\, p_a\, q_a,

so the expectation of a square is a sum of squares and keeps its relative accuracy near zero.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from math import factorial
from typing import NamedTuple

import sympy as sp

__all__ = ["HERMITE", "LEGENDRE", "SIGNS", "Basis", "coefficients", "polynomial_mean"]


class Basis(NamedTuple):
    """Orthogonal polynomials of one number.

    Parameters
    ----------
    shares : callable
        Of `m`: pairs of a degree `k` and the coefficient of `P_k` in `x^m`.
    norm : callable
        Of `k`: the mean of `P_k^2`.
    """

    shares: Callable[[int], list[tuple[int, sp.Expr]]]
    norm: Callable[[int], sp.Expr]


def _hermite(m: int) -> list[tuple[int, sp.Expr]]:
    return [
        (m - 2 * j, sp.Integer(factorial(m) // (2**j * factorial(j) * factorial(m - 2 * j))))
        for j in range(m // 2 + 1)
    ]


def _legendre(m: int) -> list[tuple[int, sp.Expr]]:
    return [
        (
            k,
            sp.Rational((2 * k + 1) * factorial(m), 2 ** ((m - k) // 2) * factorial((m - k) // 2))
            / sp.factorial2(m + k + 1),
        )
        for k in range(m % 2, m + 1, 2)
    ]


#: Of standard normal numbers, of uniform ones between -1 and 1, and of signs.
HERMITE = Basis(_hermite, lambda k: sp.Integer(factorial(k)))
LEGENDRE = Basis(_legendre, lambda k: sp.Rational(1, 2 * k + 1))
SIGNS = Basis(lambda m: [(m % 2, sp.S.One)], lambda k: sp.S.One)


def polynomial_mean(p: sp.Expr, x: Sequence[sp.Symbol], basis: Basis) -> sp.Expr:
    """Mean of a polynomial, term by term as it is written.

    Examples
    --------
    >>> x, a = sp.symbols("x a")
    >>> polynomial_mean((x - a) ** 2, (x,), LEGENDRE)
    a**2 + 1/3
    """
    return sp.Add(*(_of_term(term, tuple(x), basis) for term in sp.Add.make_args(p)))


def _of_term(term: sp.Expr, x: tuple[sp.Symbol, ...], basis: Basis) -> sp.Expr:
    factors: list[sp.Expr] = []
    outside = []
    for factor in sp.Mul.make_args(term):
        base, power = factor.as_base_exp()
        if not factor.has(*x):
            outside.append(factor)
        elif power.is_Integer and power > 1:
            half = base ** (power // 2)
            factors += [half, half, *([base] if power % 2 else [])]
        else:
            factors.append(factor)
    if not factors:
        return term
    # The first factor against the rest: for a square these are equal.
    one = coefficients(factors[0], x, basis)
    rest = coefficients(sp.Mul(*factors[1:]), x, basis)
    found = sp.Add(
        *(sp.prod(map(basis.norm, a)) * one[a] * rest[a] for a in sorted(one.keys() & rest.keys()))
    )
    return sp.Mul(*outside, found)


@functools.lru_cache(maxsize=64)
def coefficients(
    p: sp.Expr, x: tuple[sp.Symbol, ...], basis: Basis
) -> dict[tuple[int, ...], sp.Expr]:
    """Coefficients of a polynomial in products of orthogonal polynomials.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> coefficients(x**3, (x,), HERMITE)
    {(3,): 1, (1,): 3}
    """
    found: dict[tuple[int, ...], list[sp.Expr]] = {}
    for powers, coefficient in sp.Poly(p, *x).terms():
        for picked in itertools.product(*map(basis.shares, powers)):
            share = sp.prod(s for _, s in picked)
            found.setdefault(tuple(k for k, _ in picked), []).append(share * coefficient)
    return {index: sp.Add(*parts) for index, parts in found.items()}
