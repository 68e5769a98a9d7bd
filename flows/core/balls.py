"""The interface of a flow that can be certified: field, Hessian and loss in ball arithmetic."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from flows.core.arrays import Array
from flows.core.deadline import look
from flows.core.errors import undefined

Ball = Any  # flint.arb or flint.acb
Rational = Any  # flint.fmpq
#: Radii are rounded to nearest.
UPWARD = 1 + 2.0**-40


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


def split(value: Any) -> tuple[float, float, float]:
    """High and low double of a ball, and a radius that holds what they leave."""
    high = float(value)
    low = float(value - high) if math.isfinite(high) else 0.0
    off = value - high - low
    return high, low, UPWARD * (abs(float(off)) + float(off.rad()))


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


class BallFlow(abc.ABC):
    """A gradient flow in coordinates in which distances are those of the user's parameters.

    States are lists of balls; `start` contains the user's exact start. All methods follow the
    working precision (:func:`precision`).
    """

    start: list[Ball]
    #: Typical length of a state, to which errors are compared.
    unit: float
    #: Whether the field is analytic inside a closed curve where it is on boxes along the curve.
    by_boundary: bool = False
    #: Whether tubes of balls of starts are ellipsoids.
    bends: bool = False
    #: What the blocks are, where proofs for all times have to know: neurons, layers, variables.
    form: str = ""
    #: The minimum near which a flow ends that comes to rest, where it is known.
    optimum: list[Ball] | None = None

    @property
    def size(self) -> int:
        """Length of a state."""
        return len(self.start)

    @abc.abstractmethod
    def field(self, x: Sequence[Ball], signs: Sequence[int]) -> list[Ball]:
        """Minus the gradient, also of complex balls, where it must be analytic.

        ``signs``, one for each of :meth:`areas`, select the branch.
        """

    @abc.abstractmethod
    def hessian(self, x: Sequence[Ball]) -> Any:
        """Hessian of the loss, an `arb_mat`; on a box it holds all Hessians."""

    def clearance(self, x: Sequence[Ball]) -> float:
        """About how far a state is from where the field is not analytic."""
        raise undefined(self, "clearance", "by_boundary is true")

    @abc.abstractmethod
    def loss(self, x: Sequence[Ball]) -> Ball:
        """Population loss."""

    @abc.abstractmethod
    def restore(self, x: Sequence[Ball]) -> list[Any]:
        """User's parameters, nested lists of their shape."""

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles, (K, N, N), for Newton's method: they decide no digit."""
        tables = [self.hessian(x).tolist() for x in states]
        return np.array([[[float(c) for c in row] for row in table] for table in tables])

    def refused(self, radius: float) -> str:
        """Why a ball of starts of this radius is not followed; empty if it is."""
        return ""

    def singular(self, x: Sequence[Ball]) -> str:
        """What the field may not survive soon after a state; empty if nothing is near."""
        return ""

    # Kinks of the field: none, unless a flow says where.

    def areas(self, x: Sequence[Any]) -> list[Any]:
        """Numbers that vanish at kinks of the field: polynomials of the state, or of curves."""
        return []
