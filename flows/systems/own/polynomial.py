r"""Polynomial losses with rational coefficients: as exact data, and as a system.

.. math:: L(y) = \sum_k c_k \prod_i y_i^{e_{ki}}, \qquad c_k \text{ rational}

A certificate states such a loss by its coefficients and exponents. Nothing in it is code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sympy as sp

from symbolic.asymptotics.given import exact
from symbolic.language.blocks import Block, Explicit, entries, shape

__all__ = [
    "Residual",
    "block_shapes",
    "blocks_of",
    "expression_of",
    "residuals_of",
    "stated_terms",
    "whole_terms",
    "written_entries",
]

#: Terms of a loss at most: a certificate evaluates each thousands of times.
MOST_TERMS = 20_000
MOST_POWER = 64
#: Terms of a loss at most that is tried to be written as one square.
MOST_FACTORED = 200


def stated_terms(blocks: Sequence[Block], form: Explicit) -> list[Any] | str:
    """Terms ``[numerator, denominator, [[entry, power], ...]]`` of a loss, or why it has none.

    Decimal numbers are taken for the fractions that they are written as.
    """
    wanted = "expected a polynomial loss with rational coefficients"
    if form.integrand != 0:
        return f"{wanted}, got an expectation without a closed form"
    plain, y = exact(form.plain), [s for block in blocks for s in entries(block)]
    if not plain.is_polynomial(*y):
        other = next((e for e in sp.Add.make_args(plain) if not e.is_polynomial(*y)), plain)
        shown = other.xreplace(dict(zip(y, written_entries(blocks), strict=True)))
        return f"{wanted}, got the term {_short(shown)}"
    terms = sp.Poly(plain, *y).terms()
    if irrational := [c for _, c in terms if not c.is_Rational]:
        return f"{wanted}, got the coefficient {_short(irrational[0])}"
    if len(terms) > MOST_TERMS:
        return f"expected at most {MOST_TERMS} terms of a polynomial loss, got {len(terms)}"
    if (most := max((k for powers, _ in terms for k in powers), default=0)) > MOST_POWER:
        return f"expected powers up to {MOST_POWER} in a polynomial loss, got {most}"
    return whole_terms(terms)


def whole_terms(terms: Any) -> list[Any]:
    """Terms of a polynomial as integers."""
    return [
        [int(c.p), int(c.q), [[k, int(power)] for k, power in enumerate(powers) if power]]
        for powers, c in terms
        if c != 0
    ]


class Residual(NamedTuple):
    """``weight expression^2/2`` of a loss: a positive fraction, and a polynomial in the entries."""

    weight: sp.Rational
    expression: sp.Expr


def residuals_of(y: Sequence[sp.Symbol], plain: sp.Expr) -> list[Residual]:
    """Residuals of a loss that is written as a sum of squares and a constant, or is one square.

    None of another one.
    """
    found: dict[sp.Expr, sp.Expr] = {}

    def add(e: sp.Expr, factor: sp.Expr) -> bool:
        if e.is_Rational:
            return True
        number, rest = e.as_coeff_Mul()
        if number != 1:
            return bool(number.is_Rational) and add(rest, factor * number)
        if e.is_Add:
            return all(add(part, factor) for part in e.args)
        base, power = e.as_base_exp()
        if power == 1 or not (power.is_Integer and power % 2 == 0 and base.is_polynomial(*y)):
            return False
        square = base ** (power / 2)
        found[square] = found.get(square, sp.S.Zero) + 2 * factor
        return bool(factor > 0)

    rational = add(plain, sp.S.One) and all(
        c.is_Rational for e in found for c in sp.Poly(e, *y).coeffs()
    )
    if rational:
        return [Residual(weight, e) for e, weight in found.items()]
    if len(sp.Add.make_args(plain)) > MOST_FACTORED:
        return []
    factor, parts = sp.factor_list(plain, *y)
    root = sp.Mul(*(e ** (power // 2) for e, power in parts))
    whole = factor > 0 and bool(parts) and all(power % 2 == 0 for _, power in parts)
    return [Residual(2 * factor, root)] if whole else []


def written_entries(blocks: Sequence[Block]) -> list[Any]:
    """Entries of the blocks as they are written, ``u`` or ``W[0, 1]``."""
    parts = ([b] if isinstance(b, sp.Symbol) else b.as_explicit() for b in blocks)
    return [e for part in parts for e in part]


def _short(e: sp.Expr) -> str:
    text = str(e)
    return text if len(text) < 60 else text[:60] + " ..."


def blocks_of(stated: Any) -> tuple[Block, ...]:
    """Blocks of their names and shapes, ``[[name, [rows, columns]], ...]``."""
    made: list[Block] = []
    for name, sizes in stated:
        if not (isinstance(name, str) and all(type(k) is int and k > 0 for k in sizes)):
            raise ValueError(f"a block is not a name and a shape: {name!r}, {sizes!r}")
        if not sizes:
            made.append(sp.Symbol(name))
        else:
            rows, columns = (*sizes, 1) if len(sizes) == 1 else sizes
            made.append(sp.MatrixSymbol(name, rows, columns))
    return tuple(made)


def expression_of(blocks: Sequence[Block], terms: Any) -> sp.Expr:
    """Loss of its terms, in the entries of the blocks; numbers only, no text is read."""
    y, total = written_entries(blocks), []
    for numerator, denominator, powers in terms:
        whole = [numerator, denominator, *(k for pair in powers for k in pair)]
        if not all(type(k) is int for k in whole) or denominator < 1:
            raise ValueError("a term has other numbers than integers, or a denominator below 1")
        if not all(0 <= k < len(y) and 0 < power <= MOST_POWER for k, power in powers):
            raise ValueError(
                f"a monomial has other entries, or other powers than 1 to {MOST_POWER}"
            )
        factors = (y[k] ** power for k, power in powers)
        total.append(sp.Rational(numerator, denominator) * sp.Mul(*factors))
    return sp.Add(*total)


def block_shapes(blocks: Sequence[Block]) -> list[list[Any]]:
    """Names and shapes of blocks as a certificate states them."""
    return [[str(block.name), list(shape(block))] for block in blocks]
