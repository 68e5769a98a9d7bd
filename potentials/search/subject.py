"""A loss over named blocks as a polynomial flow, in symbols that a person reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from potentials.search.coordinates import Coordinate
from potentials.search.polynomials import Flow, gradient_flow
from symbolic.language.blocks import Block, entries, explicit, shape, written_out
from symbolic.language.errors import InputError

__all__ = ["Subject"]

# A Gram matrix has at most so many rows: larger ones take hours.
MOST_ROWS = 6


@dataclass(frozen=True)
class Subject:
    """A polynomial loss over blocks.

    Parameters
    ----------
    name : str
        Of the system.
    blocks : tuple of Block
        What moves.
    expression : Expr
        The loss.
    """

    name: str
    blocks: tuple[Block, ...]
    expression: Any

    @cached_property
    def loss(self) -> sp.Expr:
        """The loss as it is written, in entries; averages in closed form."""
        form = explicit(self.expression, self.blocks)
        if form.integrand != 0:
            raise InputError(
                f"{self.name}: the loss is no polynomial, as an expectation has no closed form;"
                " potentials are found of polynomials"
            )
        return self._named(form.plain)

    @cached_property
    def flow(self) -> Flow:
        """The gradient flow."""
        try:
            return gradient_flow(self.loss, [*self._names.values()])
        except ValueError as problem:
            raise InputError(
                f"{self.name}: {problem}; potentials are found of polynomials with fractions as"
                " coefficients"
            ) from None

    def scalar(self, expression: Any, what: str) -> sp.Expr:
        """An expression of the blocks in entries."""
        try:
            found = self._named(written_out(expression, self.blocks))
        except (TypeError, ValueError, AttributeError) as problem:
            raise InputError(f"{what}: {expression} cannot be read: {problem}") from None
        if getattr(found, "is_Matrix", False):
            if found.shape != (1, 1):
                raise InputError(f"{what}: expected a number, got a matrix {found.shape}")
            found = found[0, 0]
        return sp.expand(found)

    def coordinate(self, given: Any, place: int) -> Coordinate:
        """A symmetric matrix of functions, or one function; `X^T X` and `X X^T` are factored."""
        what = f"coordinates[{place}]"
        whole = self._named(written_out(given, self.blocks))
        if not getattr(whole, "is_Matrix", False):
            whole = sp.Matrix([[whole]])
        whole = sp.Matrix(whole).applyfunc(sp.expand)
        rows = whole.rows
        if not whole.is_symmetric() or rows > MOST_ROWS:
            raise InputError(
                f"{what}: expected a symmetric matrix of at most {MOST_ROWS} rows, got a"
                f" {whole.shape} one"
            )
        letter = "GHKMNP"[place % 6]
        many = rows > 1
        symbols = sp.Matrix(
            rows,
            rows,
            lambda i, j: sp.Symbol(
                f"{letter}[{min(i, j)},{max(i, j)}]" if many else letter, real=True
            ),
        )
        return Coordinate(symbols, whole, self._factor(given))

    def _factor(self, given: Any) -> sp.Matrix | None:
        """`X` of a product `X X^T`."""
        factors: tuple[Any, ...] = getattr(given, "args", ())
        if not getattr(given, "is_MatMul", False) or len(factors) != 2:
            return None
        if factors[0] != sp.Transpose(factors[1]).doit():
            return None
        return sp.Matrix(self._named(written_out(factors[0], self.blocks)))

    @cached_property
    def _names(self) -> dict[sp.Symbol, sp.Symbol]:
        """Symbols that a person reads, by those of entries."""
        return {
            inner: sp.Symbol(name, real=True)
            for block in self.blocks
            for inner, name in zip(entries(block), _labels(block), strict=True)
        }

    def _named(self, expression: Any) -> Any:
        return expression.xreplace(self._names)


def _labels(block: Block) -> Sequence[str]:
    """Names of entries: `a`, `v[0]`, `W[0,1]`."""
    ranges: list[range] = [range(size) for size in shape(block)]
    places = (",".join(map(str, place)) for place in itertools.product(*ranges))
    return tuple(f"{block.name}[{place}]" if place else str(block.name) for place in places)
