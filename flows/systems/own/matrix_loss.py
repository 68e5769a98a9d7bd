r"""A loss of many entries that is a function of traces: value, gradient, Hessian by matrix code.

.. math:: dL = \sum_b \langle G_b, dW_b \rangle

`G_b` are matrix expressions (:mod:`symbolic.language.matrices`); the Hessian is their derivative
along each entry. Nothing is written out in entries, and states are doubles.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.errors import InputError
from symbolic.language.blocks import Block, entries, shape
from symbolic.language.matrices import matrix_gradient
from symbolic.language.matrix_code import MatrixCode, NoMatrixCode

__all__ = ["MatrixLoss"]

# Numbers of the arrays of directions that are taken together.
TOGETHER = 2_000_000
# Functions that are not smooth.
KINKS = (sp.Abs, sp.Max, sp.Min, sp.Heaviside, sp.sign, sp.Piecewise, sp.floor, sp.ceiling)


@dataclass(frozen=True)
class MatrixLoss:
    """A loss of matrices, with the interface of :class:`~flows.systems.own.loss.Loss` in doubles.

    Parameters
    ----------
    blocks : tuple of MatrixSymbol
        What moves.
    expression : Expr
        A function of traces.
    fingerprint : str
        Hash of both.
    """

    blocks: tuple[Block, ...]
    expression: sp.Expr
    fingerprint: str

    @property
    def averaged(self) -> bool:
        """Never: an expectation is written out in entries."""
        return False

    @property
    def y(self) -> tuple[sp.Symbol, ...]:
        """Symbols of the entries."""
        return tuple(s for block in self.blocks for s in entries(block))

    @property
    def form(self) -> Any:
        """None: it is not written out."""
        raise InputError(
            "a loss of more than 500 entries is not written out in entries: take a smaller one, or"
            " a method that works with matrices in doubles"
        )

    def check(self) -> None:
        """Evaluate value, gradient and Hessian once, or raise what prevents it."""
        size = sum(math.prod(shape(block)) for block in self.blocks)
        y = np.full(size, 0.5)
        wanted = f"expected, of {size} entries, a function of traces of matrix operations"
        if scalars := [block.name for block in self.blocks if isinstance(block, sp.Symbol)]:
            raise ValueError(f"{wanted}, got the scalar block {scalars[0]}; make it a 1 x 1 matrix")
        if not isinstance(self.expression, sp.Expr):
            raise ValueError(f"{wanted}, got {type(self.expression).__name__}")
        if self.expression.has(*KINKS):
            raise ValueError(f"{wanted} without kinks, got {self.expression}")
        if self.expression.has(sp.I, sp.nan, sp.oo, sp.zoo):
            raise ValueError(f"{wanted} that is real and finite, got {self.expression}")
        unknown = self.expression.free_symbols - set(self.blocks)
        if unknown:
            raise ValueError(f"{wanted} of the blocks, got {', '.join(map(str, unknown))}")
        try:
            self.at(y)
            self._rates(y, np.ones((1, size)))
        except NoMatrixCode as problem:
            raise ValueError(f"{wanted}, got {problem}") from None

    @property
    def gradients(self) -> tuple[Any, ...]:
        """Gradient by each block, a matrix expression."""
        return _gradients(self.blocks, self.expression)

    def at(self, y: Array) -> tuple[Array, Array]:
        """Value and gradient of states, shapes (...) and (..., N)."""
        with np.errstate(all="ignore"):
            code = MatrixCode.at(self._split(y))
            value = np.broadcast_to(code.value(self.expression), y.shape[:-1]).astype(y.dtype)
            return value, self._joined([code.value(g) for g in self.gradients], y.shape)

    def hessian(self, y: Array, rule: Any = None) -> Array:
        """Hessian of one state, shape (N, N)."""
        size = len(y)
        step = max(1, TOGETHER // size)
        parts = [
            self._rates(y, np.eye(min(step, size - first), size, first))
            for first in range(0, size, step)
        ]
        found = np.concatenate(parts)
        return (found + found.T) / 2

    def hessians(self, states: Array) -> Array:
        """Hessians of many states, shape (T, N, N)."""
        return np.array([self.hessian(y) for y in states])

    def _rates(self, y: Array, directions: Array) -> Array:
        """Derivatives of the gradient along directions, shape (K, N)."""
        with np.errstate(all="ignore"):
            code = MatrixCode.at(self._split(y), self._split(directions))
            return self._joined([code.rate(g) for g in self.gradients], directions.shape)

    def _split(self, y: Array) -> dict[Any, Array]:
        found, first = {}, 0
        for block in self.blocks:
            rows, columns = (int(k) for k in block.shape)
            part = y[..., first : first + rows * columns]
            found[block] = part.reshape((*y.shape[:-1], rows, columns))
            first += rows * columns
        return found

    def _joined(self, parts: Sequence[Array], whole: tuple[int, ...]) -> Array:
        flat = []
        for block, part in zip(self.blocks, parts, strict=True):
            rows, columns = (int(k) for k in block.shape)
            wide = np.broadcast_to(part, (*whole[:-1], rows, columns))
            flat.append(wide.reshape((*whole[:-1], rows * columns)))
        return np.concatenate(flat, axis=-1)


@functools.lru_cache(maxsize=64)
def _gradients(blocks: tuple[Block, ...], expression: sp.Expr) -> tuple[Any, ...]:
    found = []
    for block in blocks:
        slope = matrix_gradient(expression, block) if isinstance(block, sp.MatrixSymbol) else None
        if slope is None:
            raise NoMatrixCode(f"{block.name} elsewhere")
        found.append(slope)
    return tuple(found)
