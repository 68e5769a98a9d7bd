"""Expressions over named blocks (scalars, vectors, matrices), written out in their entries."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import sympy as sp

from symbolic.language.averages.density import Density
from symbolic.language.averages.expectation import Expectation, mean
from symbolic.language.expressions import as_expression

__all__ = [
    "Average",
    "Block",
    "Explicit",
    "as_written",
    "averages",
    "entries",
    "explicit",
    "shape",
    "written_out",
]

#: A scalar, or a matrix of known shape; one column is a vector.
Block: TypeAlias = sp.Symbol | sp.MatrixSymbol
# What `entries` makes of a name.
ENTRY = re.compile(r"y(\d+_\d+)?_(.+)")


class Explicit(NamedTuple):
    """An expression in entries: `plain + E integrand`, `x ~ N(0, I)` if there is no density.

    Parameters
    ----------
    plain : Expr
        The part without expectations, or with those that have a closed form.
    integrand : Expr
        Zero if there is none.
    x : tuple of Symbol
        The Gaussian numbers of the integrand.
    density : Density, optional
        Of a plain sum that is too long to be written out, or of a sphere.
    """

    plain: sp.Expr
    integrand: sp.Expr
    x: tuple[sp.Symbol, ...]
    density: Density | None = None


def shape(block: Block) -> tuple[int, ...]:
    """Shape of a block as an array: () of a scalar, (d,) of a column, (n, d) of a matrix."""
    if isinstance(block, sp.Symbol):
        return ()
    rows, columns = (int(size) for size in block.shape)
    return (rows,) if columns == 1 else (rows, columns)


def entries(block: Block, letter: str = "y") -> tuple[sp.Symbol, ...]:
    """Real symbols of the entries, row by row, with plain names; no two blocks share one."""
    if isinstance(block, sp.Symbol):
        return (sp.Symbol(f"{letter}_{block.name}", real=True),)
    rows, columns = block.shape
    return tuple(
        sp.Symbol(f"{letter}{i}_{j}_{block.name}", real=True)
        for i in range(rows)
        for j in range(columns)
    )


def as_written(name: str) -> str:
    """Name of an entry for a reader: ``a`` of ``y_a``, ``W_0_1`` of ``y0_1_W``; others stay."""
    found = ENTRY.fullmatch(name)
    if found is None:
        return name
    place, block = found.groups()
    return block if place is None else f"{block}_{place}"


#: Closed form of a Gaussian expectation, or None.
Mean: TypeAlias = Callable[[sp.Expr, Sequence[sp.Symbol]], sp.Expr | None]


def explicit(
    expression: Any, blocks: Sequence[Block], mean: Mean = mean, *, sums: bool = False
) -> Explicit:
    """Write an expression out in the entries of its blocks.

    Parameters
    ----------
    expression : Expr, or Matrix of shape (1, 1)
        In the blocks, their entries and products, and :class:`~symbolic.Expectation`.
    blocks : sequence of Symbol or MatrixSymbol
        What it depends on.
    mean : callable, optional
        What brings an expectation into closed form; by default polynomials only.
    sums : bool
        Leave a long sum over rows of data, or over signs, and what is averaged over a sphere, as an
        expectation over its density.

    Returns
    -------
    Explicit
        Expectations that have a closed form are written in it.

    Raises
    ------
    ValueError
        For other symbols in it, unknown functions, an expression that is not a real scalar, or
        one that is not linear in the expectations that have no closed form.

    Examples
    --------
    >>> w, x = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
    >>> explicit(Expectation((w.T * x)[0, 0] ** 2, x), (w,)).plain
    y0_0_w**2 + y1_0_w**2
    """
    scalar, averages = _averages(expression, blocks, mean, sums)
    scalar = scalar.xreplace({a.node: a.mean for a in averages if a.mean is not None})
    found = _merged(scalar, {a.node: a for a in averages if a.mean is None})
    own = {symbol for block in blocks for symbol in entries(block)}
    _check((found.plain, found.integrand), own | set(found.x))
    return found


def written_out(expression: Any, blocks: Sequence[Block]) -> Any:
    """A scalar or matrix expression without expectations, in the entries of its blocks."""
    return _written(expression, {block: _entrywise(block, "y") for block in blocks})


class Average(NamedTuple):
    """An expectation of an expression, written out in entries.

    Parameters
    ----------
    node : Expectation
        As it stands in the expression, with the entries of the blocks put in.
    integrand : Expr
        What is averaged, in entries.
    x : tuple of Symbol
        The Gaussian numbers.
    mean : Expr or None
        Its closed form; None if the integrand is no polynomial in `x`.
    """

    node: Any
    integrand: sp.Expr
    x: tuple[sp.Symbol, ...]
    mean: sp.Expr | None


def averages(expression: Any, blocks: Sequence[Block], mean: Mean = mean) -> tuple[Average, ...]:
    """Return the expectations that stand in an expression; see :func:`explicit`."""
    return _averages(expression, blocks, mean)[1]


def _averages(
    expression: Any, blocks: Sequence[Block], mean: Mean, sums: bool = False
) -> tuple[sp.Expr, tuple[Average, ...]]:
    """The expression in entries, and the expectations in it."""
    known = {block: _entrywise(block, "y") for block in blocks}
    scalar = _scalar(_written(expression, known)).replace(
        lambda e: isinstance(e, Expectation) and e.density is not None,
        functools.partial(_standard, sums),
    )
    found = []
    for node in sorted(scalar.atoms(Expectation), key=sp.default_sort_key):
        x = _entrywise(node.x, "x")
        integrand = _scalar(_written(node.integrand, {node.x: x}))
        numbers = _numbers(x)
        known_mean = mean(integrand, numbers) if node.density is None else None
        found.append(Average(node, integrand, numbers, known_mean))
    return scalar, tuple(found)


def _numbers(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (sp.MatrixBase, sp.Tuple)) else (x,)


def _standard(sums: bool, node: Any) -> sp.Expr:
    """An expectation over a density by one over standard normal numbers; or a long sum as it is."""
    x = _entrywise(node.x, "x")
    integrand = _scalar(_written(node.integrand, {node.x: x}))
    if sums and node.density.stays(integrand, _numbers(x)):
        size = node.density.size
        used = [s for s in _numbers(x) if size is not None or integrand.has(s)]
        return Expectation(integrand, sp.Tuple(*used), node.density)
    closed, inner = node.density.reduced(integrand, _numbers(x))
    left = [s for s in _numbers(x) if inner.has(s)] or _numbers(x)[:1]
    return closed + (Expectation(inner, sp.Tuple(*left)) if inner != 0 else 0)


def _entrywise(block: Any, letter: str) -> Any:
    """The block as a matrix of its entries' symbols; a scalar as its symbol."""
    if isinstance(block, sp.Tuple):
        return block
    symbols = entries(block, letter)
    return symbols[0] if isinstance(block, sp.Symbol) else sp.ImmutableMatrix(*block.shape, symbols)


def _written(expression: Any, known: dict[Any, Any]) -> Any:
    """Put entries in place of blocks, except of a Gaussian variable of the same name."""
    if isinstance(expression, sp.MatrixBase):
        expression = sp.ImmutableMatrix(expression)
    with_entries = as_expression(expression).xreplace(known)
    written = with_entries.replace(sp.MatPow, _multiplied).doit()
    # What SymPy leaves of matrices without symbols, as the identity, is written out too.
    whole = {e: e.func(e.arg.as_explicit()).doit() for e in written.atoms(sp.Trace, sp.Determinant)}
    return written.xreplace(whole)


def _multiplied(base: Any, exponent: Any) -> Any:
    """Power of a matrix as a product, whose entries stay sums of products: SymPy expands them."""
    whole = base.doit()
    if isinstance(whole, sp.MatrixBase) and exponent.is_Integer and exponent > 1:
        return functools.reduce(operator.mul, [sp.ImmutableMatrix(whole)] * int(exponent))
    return sp.MatPow(base, exponent)


def _scalar(expression: Any) -> sp.Expr:
    if getattr(expression, "is_Matrix", False):
        if expression.shape != (1, 1):
            raise ValueError(
                f"expected a scalar, got a matrix of shape {expression.shape};"
                " take its trace or an entry"
            )
        expression = expression.as_explicit()[0, 0]
    if not isinstance(expression, sp.Expr):
        raise ValueError(f"expected an expression, got {type(expression).__name__}")
    return expression


def _merged(scalar: sp.Expr, parts: dict[Any, Average]) -> Explicit:
    """Expectations as one: their integrands share the Gaussian numbers, entry by entry."""
    densities = {node.density for node in parts}
    if len(densities) > 1:
        raise ValueError(
            "expected one long sum over data and closed forms beside it, got averages over"
            f" {len(densities)} densities without closed forms; take fewer rows"
        )
    symbols = {node: sp.Dummy(real=True) for node in parts}
    left = scalar.xreplace(symbols)
    slopes = {node: sp.diff(left, symbol) for node, symbol in symbols.items()}
    if any(slope.has(*symbols.values()) for slope in slopes.values()):
        raise ValueError(
            "expected a loss that is linear in its expectations, got a function or"
            " a product of them"
        )
    common: tuple[sp.Symbol, ...] = max((a.x for a in parts.values()), key=len, default=())
    integrand = sp.Add(
        *(
            slopes[node] * a.integrand.xreplace(dict(zip(a.x, common, strict=False)))
            for node, a in parts.items()
        )
    )
    plain = left.xreplace(dict.fromkeys(symbols.values(), sp.S.Zero))
    return Explicit(plain, integrand, common, next(iter(densities), None))


def _check(expressions: Sequence[sp.Expr], allowed: set[Any]) -> None:
    for e in expressions:
        if unknown := sorted(str(s) for s in e.free_symbols - allowed):
            raise ValueError(
                f"expected blocks and numbers only, got {', '.join(unknown)};"
                " name it as a block or put in its value"
            )
        if functions := sorted(str(f.func) for f in e.atoms(sp.core.function.AppliedUndef)):
            raise ValueError(f"expected functions that are known, got {', '.join(functions)}")
        if e.has(sp.I, sp.nan, sp.oo, -sp.oo, sp.zoo):
            raise ValueError("expected a finite real expression, got an imaginary or infinite part")
