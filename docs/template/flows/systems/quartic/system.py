r"""The quartic well as a gradient flow.

.. math:: L(y) = \tfrac14 |y|^4, \qquad \dot y = -\nabla L(y) = -|y|^2 y
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import sympy as sp
from mpmath import mp
from numpy.typing import ArrayLike

from flows.core.arrays import Array, check_integer, checked
from flows.core.chart import Chart, Clock, wrap_plain
from flows.core.options import Option
from flows.core.piece import Piece, Restart
from flows.core.starts import seeded
from flows.core.system import Smooth, State, System
from flows.systems.quartic.options import OPTIONS
from symbolic.language.blocks import Block
from symbolic.language.lower import lower
from symbolic.systems.quartic import SQUARE, loss


@functools.cache
def _lowered(backend: Any = "numpy") -> Callable[..., tuple[Any, Any, Any]]:
    """Loss, and what gradient ``a y`` and Hessian ``a I + b y y^T`` are made of; derived."""
    slope, curve = 2 * sp.diff(loss(), SQUARE), 4 * sp.diff(loss(), SQUARE, 2)
    return lower((loss(), slope, curve), (SQUARE,), backend)


def _raw(
    x: Array, weights: Array, shape: Array, out: Array, jacobian: Array, want_jacobian: bool
) -> None:
    """Field ``-grad L`` and, where wanted, its Jacobian, which is zero before."""
    _, a, b = _lowered()(float(x @ x))
    out[:] = -a * x
    if want_jacobian:
        jacobian[:] = -a * np.eye(len(x)) - b * np.outer(x, x)


_FIELD = wrap_plain(_raw)


@dataclass(frozen=True)
class Frame:
    """Nothing: the sound coordinates are the user's own."""


@dataclass(frozen=True)
class Point(State):
    """State(s), shape (..., d)."""

    y: Array

    rank: ClassVar[dict[str, int]] = {"y": 1}


@dataclass(frozen=True)
class Whole(Piece):
    """The one piece of a run: nothing ends it early."""

    chart: Chart

    def decode(self, raw: Array) -> Point:
        """State(s) of raw chart coordinates, shape (..., d)."""
        return Point(raw)


@dataclass(frozen=True)
class Quartic(System):
    r"""Gradient flow of the quartic well in ``d`` dimensions.

    .. math:: L(y) = \tfrac14 |y|^4, \qquad |y(t)|^{-2} = |y(0)|^{-2} + 2 t

    Parameters
    ----------
    d : int
        Dimension.

    Raises
    ------
    InputError
        For ``d`` that is not a positive integer.

    Notes
    -----
    Units: ``t`` is the time of ``dy/dt = -grad L``; the loss carries the factor 1/4.
    Source: derived here. Accuracy: that of doubles.
    """

    d: int = 2

    name: ClassVar[str] = "quartic"
    title: ClassVar[str] = "Quartic well"
    axes: ClassVar[tuple[str, ...]] = ("d",)
    options: ClassVar[tuple[Option, ...]] = OPTIONS
    containers: ClassVar[tuple[type, type]] = (Frame, Point)

    def __post_init__(self) -> None:
        """Check the dimension."""
        check_integer(self.d, "d")

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of ``d``."""
        return cls(parameters["d"])

    @property
    def parameters(self) -> dict[str, Any]:
        """``d``."""
        return {"d": int(self.d)}

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """The vector, and the loss in its entries."""
        y = sp.MatrixSymbol("y", self.d, 1)
        return (y,), loss().subs(SQUARE, sp.Add(*(e**2 for e in y)))

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start ``N(0, scale^2 I_d)``, shape (d,)."""
        return scale * seeded(scale, seed).normal(size=self.d)

    def check_start(self, start: ArrayLike) -> Array:
        """Start as an array of shape (d,), or an InputError."""
        return checked(start, (self.d,), "start")

    def reduce(self, start: Array) -> tuple[Frame, Point]:
        """Nothing cancels in the user's coordinates, so they stay."""
        return Frame(), Point(start)

    def restore(self, frame: Frame, state: Point) -> Array:
        """User's parameters, shape (..., d)."""
        return state.y

    def begin(self, frame: Frame, state: Point) -> Restart:
        """No start is degenerate."""
        return Restart(frame, state, 0.0)

    def piece(self, frame: Frame, state: Point, time: float) -> Whole:
        """Log-time, with ``y`` scaled by its decay ``t^(-1/2)``: the solver sees it stand still."""
        square = float(state.y @ state.y)
        offset = 1 / (2 * square) if square else 1.0
        size = np.full(self.d, np.sqrt(square) or 1.0)
        return Whole(
            Chart(
                clock=Clock(time, np.full(self.d, 0.5), offset),
                x0=state.y,
                size=size,
                field=_FIELD,
                weights=np.zeros(0),
                shape=np.array([self.d]),
            )
        )

    def exact_flow(self, frame: Frame, state: Point, digits: int) -> Smooth:
        """Flow with ``digits`` digits, for the method ``reference``."""

        def field(x: list[Any]) -> list[Any]:
            _, a, _ = _lowered("mpmath")(mp.fdot(x, x))
            return [-a * c for c in x]

        def jacobian(x: list[Any]) -> Array:
            return -self.hessian([float(c) for c in x])

        def decode(x: list[Any]) -> Point:
            return Point(np.array(x, dtype=float))

        return Smooth(field, jacobian, state.y.tolist(), decode)

    def features(self, frame: Frame, states: Point) -> dict[str, Array]:
        """Numbers of which potentials and claims are made, with their rates along the flow."""
        norm = np.linalg.norm(states.y, axis=-1)
        value, slope, _ = _lowered()(norm**2)
        speed = slope * norm
        return {
            "loss": value,
            "loss_dot": -(speed**2),
            "gradient_norm": speed,
            "norm": norm,
            "norm_dot": -speed,
        }

    def loss(self, state: ArrayLike) -> float:
        """Loss of a state, shape (d,)."""
        y = self.check_start(state)
        return float(_lowered()(float(y @ y))[0])

    def gradient(self, state: ArrayLike) -> Array:
        """Gradient of the loss, shape (d,)."""
        y = self.check_start(state)
        return _lowered()(float(y @ y))[1] * y

    def hessian(self, state: ArrayLike) -> Array:
        """Hessian of the loss, shape (d, d)."""
        y = self.check_start(state)
        _, a, b = _lowered()(float(y @ y))
        return a * np.eye(self.d) + b * np.outer(y, y)
