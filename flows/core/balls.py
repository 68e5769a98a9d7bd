"""The interface of a flow that can be certified: field, Hessian and loss in ball arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flint import arb, ctx, fmpq

from flows.core.deadline import look

Ball = Any  # flint.arb or flint.acb
Rational = Any  # flint.fmpq


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Set the working precision of balls, which is global to a thread, and put it back.

    Raises
    ------
    TimeSpent
        If the budget of time is spent: all code that computes in balls comes by here.
    """
    look()
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


class Singular(ArithmeticError):
    """A box on which the field is not known to be analytic."""


def dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    """Inner product of balls or of rationals."""
    total = a[0] * b[0]
    for x, y in zip(a[1:], b[1:], strict=True):
        total += x * y
    return total


def rational(x: float) -> Rational:
    """Return the double as the rational number that it is."""
    return fmpq(*x.as_integer_ratio())


def orthogonal(vectors: Sequence[Sequence[Rational]]) -> list[list[Rational]]:
    """Orthogonal basis of the span by Gram and Schmidt, in the vectors' order, exact."""
    basis: list[list[Rational]] = []
    for vector in vectors:
        rest = list(vector)
        for g in basis:
            share = dot(vector, g) / dot(g, g)
            rest = [x - share * y for x, y in zip(rest, g, strict=True)]
        if any(rest):
            basis.append(rest)
    return basis


def projector(vector: list[Ball], length: Ball) -> list[list[Ball]]:
    """Projector on a vector of this length; entries lie in [-1, 1] also where it is lost."""
    whole = arb(0, 1)
    rows = []
    for x in vector:
        row = [x / length * (y / length) for y in vector]
        rows.append([c if c.is_finite() and c.rad() < 1 else whole for c in row])
    return rows
