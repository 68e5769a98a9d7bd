"""A minimiser of a system, as the point of a loss from which its late-time law is derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw

__all__ = ["Approach", "Escape", "Escapes", "Minimiser", "flattened", "fraction"]

#: A number of a user is on the family of minimisers if it is as near as this, relative to its size.
NEAR = 1e-9


@dataclass(frozen=True)
class Minimiser:
    """A minimiser, exactly.

    Parameters
    ----------
    where : ndarray
        In the user's parameters.
    point : Point or None
        The loss there, in units in which its numbers are exact; None where they are not, so that
        only the Hessian in doubles is used.
    loss_unit, time_unit : Expr
        ``L(t) = loss_unit L_point(time_unit t)``.
    symmetries : tuple of Matrix
        Linear symmetries of the loss that are known.
    tangents : int
        Dimension of the family, where the Hessian in doubles is used.
    remarks : tuple of str
        A sentence about the point, for a person.
    guessed : bool
        Whether the point is a guess of where a run goes, which the run must confirm.
    summed : callable, optional
        The point with its expectation as a sum over nodes, in decimals: for integrands that are no
        polynomials there.
    """

    where: NDArray[Any]
    point: Point | None
    loss_unit: sp.Expr = sp.S.One
    time_unit: sp.Expr = sp.S.One
    symmetries: tuple[sp.ImmutableMatrix, ...] = ()
    tangents: int = 0
    remarks: tuple[str, ...] = ()
    guessed: bool = False
    summed: Callable[[], Point] | None = None


@dataclass(frozen=True)
class Approach:
    """Where a run goes, as it is seen at one of its states.

    Parameters
    ----------
    where : ndarray
        The minimiser, in the user's parameters.
    deviation : ndarray, shape (N,)
        State less minimiser, in the entries of the minimiser's point.
    minimiser : Minimiser or None
        The same, where it is known better than by `where`.
    blur : float
        How far the state may be off.
    """

    where: NDArray[Any]
    deviation: Array
    minimiser: Minimiser | None = None
    blur: float = 0.0


@dataclass(frozen=True)
class Escape:
    """A run that goes to infinity.

    Parameters
    ----------
    loss : Expr
        As a function of the radius, to leading order.
    radius : Symbol
        The distance.
    mass : Expr
        How many entries move together.
    time_unit : Expr
        As of a `Minimiser`.
    remarks : tuple of str
        The message for a person.
    """

    loss: sp.Expr
    radius: sp.Symbol
    mass: sp.Expr
    time_unit: sp.Expr = sp.S.One
    remarks: tuple[str, ...] = ()


class Escapes(NoLaw):
    """A run that has no limit: it goes to infinity."""

    def __init__(self, escape: Escape) -> None:
        super().__init__("the run goes to infinity")
        self.escape = escape


def fraction(value: float) -> sp.Rational:
    """Number as the fraction that it is written as."""
    return sp.Rational(repr(float(value)))


def flattened(rows: Array, columns: int) -> Array:
    """Rows in this many coordinates of their span, the largest ones: a rotation of them."""
    _, _, axes = np.linalg.svd(rows, full_matrices=True)
    turned = rows @ axes[: min(columns, rows.shape[1])].T
    return np.pad(turned, [(0, 0), (0, max(0, columns - turned.shape[1]))])
