r"""Polynomial losses with rational coefficients: as exact data, as a system, and in balls.

.. math:: L(y) = \sum_k c_k \prod_i y_i^{e_{ki}}, \qquad c_k \text{ rational}

A certificate states such a loss by its coefficients and exponents. Nothing in it is code.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from flint import arb, arb_mat, fmpq

from flows.core.arrays import Array
from flows.core.balls import Ball, BallFlow
from flows.systems.own.numeric import numeric
from symbolic.asymptotics.given import exact
from symbolic.language.blocks import Block, Explicit, entries, shape
from symbolic.language.lower import lower

__all__ = [
    "PolynomialFlow",
    "Residual",
    "block_shapes",
    "blocks_of",
    "expression_of",
    "residuals_of",
    "stated_terms",
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
        shown = other.xreplace(dict(zip(y, _written(blocks), strict=True)))
        return f"{wanted}, got the term {_short(shown)}"
    terms = sp.Poly(plain, *y).terms()
    if irrational := [c for _, c in terms if not c.is_Rational]:
        return f"{wanted}, got the coefficient {_short(irrational[0])}"
    if len(terms) > MOST_TERMS:
        return f"expected at most {MOST_TERMS} terms of a polynomial loss, got {len(terms)}"
    if (most := max((k for powers, _ in terms for k in powers), default=0)) > MOST_POWER:
        return f"expected powers up to {MOST_POWER} in a polynomial loss, got {most}"
    return _whole(terms)


def _whole(terms: Any) -> list[Any]:
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


def _written(blocks: Sequence[Block]) -> list[Any]:
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
    y, total = _written(blocks), []
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


class PolynomialFlow(BallFlow):
    """The flow of an own polynomial loss, in its entries.

    Parameters
    ----------
    y : tuple of Symbol
        The entries.
    form : Explicit
        The loss, a polynomial with rational coefficients.
    potentials : mapping of str to Expr
        Functions of the entries.
    start : ndarray, shape (N,)
        Its doubles are the exact start.
    """

    form = "variables"

    def __init__(
        self,
        y: tuple[sp.Symbol, ...],
        form: Explicit,
        potentials: Mapping[str, sp.Expr],
        start: Array,
    ) -> None:
        self.start = [arb(x) for x in start.tolist()]
        self.unit = max(1.0, float(np.linalg.norm(start)))
        self.potentials = {
            name: numeric(exact(e), y, (), "ball").both for name, e in potentials.items()
        }
        plain = exact(form.plain)
        self._loss, self._gradient, self._hessian = _compiled(y, plain)
        self._y, self._plain = y, plain

    def field(self, x: Sequence[Ball], signs: Sequence[int]) -> list[Ball]:
        """Minus the gradient."""
        return [-g for g in self._gradient(*x)]

    def hessian(self, x: Sequence[Ball]) -> Any:
        """Hessian of the loss."""
        upper, size = iter(self._hessian(*x)), self.size
        rows = [[arb(0)] * size for _ in range(size)]
        for i in range(size):
            for j in range(i, size):
                rows[i][j] = rows[j][i] = next(upper)
        return arb_mat(rows)

    def loss(self, x: Sequence[Ball]) -> Ball:
        """The loss."""
        return self._loss(*x)[0]

    @functools.cached_property
    def residuals(self) -> list[Residual]:
        """Residuals of a loss that is written as a sum of squares; else none."""
        return residuals_of(self._y, self._plain)

    @property
    def squares(self) -> list[Any]:
        """Weights and terms of the residuals, ``[numerator, denominator, terms]``."""
        polynomials = (sp.Poly(r.expression, *self._y).terms() for r in self.residuals)
        return [
            [int(r.weight.p), int(r.weight.q), _whole(terms)]
            for r, terms in zip(self.residuals, polynomials, strict=True)
        ]

    @property
    def lowest(self) -> Ball:
        """What the loss is more than half the weighted squares of its residuals."""
        half = sum((r.weight * r.expression**2 / 2 for r in self.residuals), sp.S.Zero)
        rest = sp.expand(self._plain - half)
        return arb(fmpq(int(rest.p), int(rest.q)))

    def jacobian(self, x: Sequence[Ball]) -> Any:
        """Derivatives of the residuals, each times the root of its weight."""
        values = iter(_slopes(self._y, tuple(self.residuals))(*x))
        roots = [arb(fmpq(int(r.weight.p), int(r.weight.q))).sqrt() for r in self.residuals]
        return arb_mat([[root * next(values) for _ in self._y] for root in roots])

    def restore(self, x: Sequence[Ball]) -> list[Any]:
        """Entries."""
        return list(x)


@functools.lru_cache(maxsize=16)
def _compiled(y: tuple[sp.Symbol, ...], loss: sp.Expr) -> tuple[Any, Any, Any]:
    """Functions of balls: loss, gradient, Hessian from its diagonal to the right, row by row."""
    expanded = sp.Poly(loss, *y)
    slopes = [expanded.diff(s) for s in y]
    second = [g.diff(s) for i, g in enumerate(slopes) for s in y[i:]]
    return tuple(  # type: ignore[return-value]
        lower([p.as_expr() for p in part], y, "ball") for part in ([expanded], slopes, second)
    )


@functools.lru_cache(maxsize=16)
def _slopes(y: tuple[sp.Symbol, ...], residuals: tuple[Residual, ...]) -> Any:
    """Function of balls: derivatives of the residuals, row by row."""
    slopes = [sp.expand(r.expression.diff(s)) for r in residuals for s in y]
    return lower(slopes, y, "ball")


def block_shapes(blocks: Sequence[Block]) -> list[list[Any]]:
    """Names and shapes of blocks as a certificate states them."""
    return [[str(block.name), list(shape(block))] for block in blocks]
