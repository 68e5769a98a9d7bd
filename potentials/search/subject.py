"""A loss over named blocks as a polynomial flow, in symbols that a person reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from potentials.search.coordinates import Coordinate
from potentials.search.polynomials import Flow, field_flow, gradient_flow
from symbolic.language.blocks import Block, entries, shape, written_out
from symbolic.language.errors import InputError
from symbolic.language.primitives import definition
from symbolic.systems.own.loss import in_entries

__all__ = ["Subject"]

# Polynomials in more variables have too many terms.
MOST_VARIABLES = 100
# A Gram matrix has at most so many rows: larger ones take hours.
MOST_ROWS = 6
# And so many where it is tried without being asked for.
FEW_ROWS = 2


@dataclass(frozen=True)
class Subject:
    """A polynomial loss over blocks, or a polynomial field.

    Parameters
    ----------
    name : str
        Of the system.
    blocks : tuple of Block
        What moves.
    expression : Expr
        The loss.
    field : tuple of Expr, optional
        Right sides in entries, instead of the gradient of a loss.
    """

    name: str
    blocks: tuple[Block, ...]
    expression: Any
    field: tuple[sp.Expr, ...] | None = None

    @cached_property
    def loss(self) -> sp.Expr:
        """The loss as it is written, in entries; averages in closed form."""
        form = in_entries(self.expression, self.blocks)
        if form.integrand != 0:
            raise InputError(
                f"{self.name}: the loss is no polynomial, as an expectation has no closed form;"
                " potentials are found of polynomials"
            )
        return form.plain.xreplace(self._names)

    @property
    def exact(self) -> bool:
        """Whether no number in it is a decimal."""
        return not any(e.has(sp.Float) for e in self.field or (self.loss,))

    @cached_property
    def flow(self) -> Flow:
        """The gradient flow, or that of the field."""
        if len(self.entries) > MOST_VARIABLES:
            raise InputError(
                f"{self.name}: expected at most {MOST_VARIABLES} numbers that move, got"
                f" {len(self.entries)}; take a smaller system"
            )
        if self.field is not None:
            try:
                sides = [side.xreplace(self._names) for side in self.field]
                return field_flow(sides, [*self._names.values()])
            except ValueError as problem:
                raise InputError(
                    f"{self.name}: {problem}; invariants are found of polynomial fields with"
                    " fractions as coefficients"
                ) from None
        loss = definition(self.loss)
        try:
            return gradient_flow(loss, [*self._names.values()])
        except ValueError as problem:
            raise InputError(
                f"{self.name}: {problem}; potentials are found of polynomials with fractions as"
                " coefficients, near a minimum (find_potential_near, --at), or proposed (--propose)"
            ) from None

    @property
    def entries(self) -> tuple[sp.Symbol, ...]:
        """The variables."""
        return tuple(self._names.values())

    @property
    def grams(self) -> tuple[sp.MatrixExpr, ...]:
        """`X X^T` and `X^T X` of the one matrix that moves, where rotations change the factor only.

        They have few rows.
        """
        X = self.blocks[0]
        if len(self.blocks) > 1 or isinstance(X, sp.Symbol):
            return ()
        rows, columns = (int(size) for size in X.shape)
        both = ((X * X.T, rows, columns), (X.T * X, columns, rows))
        return tuple(gram for gram, size, across in both if size <= FEW_ROWS and across > 1)

    @cached_property
    def radial(self) -> tuple[sp.Expr, ...]:
        """Squared lengths of groups of entries whose rotations leave the loss as it is, and others.

        Empty where there are no such groups.
        """
        flow, groups = self.flow, list[list[int]]()
        x, slopes = flow.ring.gens(), flow.field
        for i in range(flow.size):
            for group in groups:
                if x[group[0]] * slopes[i] == x[i] * slopes[group[0]]:
                    group.append(i)
                    break
            else:
                groups.append([i])
        if len(groups) == flow.size:
            return ()
        found = (
            sum(flow.symbols[i] ** 2 for i in group) if len(group) > 1 else flow.symbols[group[0]]
            for group in groups
        )
        return tuple(map(self.in_blocks, found))

    def in_blocks(self, expression: sp.Expr) -> sp.Expr:
        """An expression in the entries of the blocks as they were given."""
        return expression.xreplace(
            {
                self._names[inner]: outer
                for block in self.blocks
                for inner, outer in zip(entries(block), _elements(block), strict=True)
            }
        )

    def scalar(self, expression: Any, what: str) -> sp.Expr:
        """An expression of the blocks in entries."""
        found = self._written(expression, what)
        if found.shape != (1, 1):
            raise InputError(f"{what}: expected a number, got a matrix {found.shape}")
        return found[0, 0]

    def coordinate(self, given: Any, place: int) -> Coordinate:
        """A symmetric matrix of functions, or one function; `X^T X` and `X X^T` are factored."""
        what = f"coordinates[{place}]"
        whole = self._written(given, what)
        rows = whole.rows
        if not whole.is_symmetric() or rows > MOST_ROWS:
            raise InputError(
                f"{what}: expected a symmetric matrix of at most {MOST_ROWS} rows, got a"
                f" {whole.shape} one"
            )
        letter = "GHKMNP"[place % 6]
        many = rows > 1
        if not many and whole[0, 0] in self.entries:
            return Coordinate(whole, whole, None)
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
        return self._written(factors[0], "coordinates")

    def _written(self, given: Any, what: str) -> sp.Matrix:
        """A matrix expression in entries; a number as a matrix of one."""
        try:
            found = written_out(given, self.blocks).xreplace(self._names)
        except (TypeError, ValueError, AttributeError):
            raise InputError(f"{what}: expected an expression, got {given!r:.60}") from None
        whole = found if getattr(found, "is_Matrix", False) else sp.Matrix([[found]])
        return sp.Matrix(whole).applyfunc(sp.expand)

    @cached_property
    def _names(self) -> dict[sp.Symbol, sp.Symbol]:
        """Symbols that a person reads, by those of entries."""
        return {
            inner: sp.Symbol(name, real=True)
            for block in self.blocks
            for inner, name in zip(entries(block), _labels(block), strict=True)
        }


def _labels(block: Block) -> Sequence[str]:
    """Names of entries: `a`, `v[0]`, `W[0,1]`."""
    ranges: list[range] = [range(size) for size in shape(block)]
    places = (",".join(map(str, place)) for place in itertools.product(*ranges))
    return tuple(f"{block.name}[{place}]" if place else str(block.name) for place in places)


def _elements(block: Block) -> Sequence[sp.Expr]:
    """Entries of a block, row by row."""
    if isinstance(block, sp.Symbol):
        return (block,)
    rows, columns = block.shape
    return tuple(block[i, j] for i in range(int(rows)) for j in range(int(columns)))
