"""The loss of an own system at states of the user: arrays by block, value, gradient, Hessian."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.starts import seeded
from flows.systems.own.given import Given
from flows.systems.own.loss import Estimate, estimate
from symbolic.language.blocks import shape

__all__ = ["Values"]

LARGEST = 1e100  # of an entry


@dataclass(frozen=True)
class Values(Given):
    """States of the user, and the loss there in doubles."""

    def pack(self, values: Mapping[str, Any]) -> Array:
        """Flat state of arrays by the names of the blocks; the inverse of :meth:`unpack`.

        Raises
        ------
        InputError
            For other names, or an array of another shape.
        """
        names = [block.name for block in self.blocks]
        if set(values) != set(names):
            given = (x if isinstance(x, str) else f"{type(x).__name__} {x}" for x in values)
            raise InputError(f"expected the blocks {', '.join(names)}, got {', '.join(given)}")
        parts = []
        for block in self.blocks:
            try:
                part = np.asarray(values[block.name], dtype=float)
            except (ValueError, TypeError):
                raise InputError(f"block {block.name} must hold real numbers") from None
            if part.shape == (*shape(block), 1) and len(shape(block)) == 1:
                part = part[:, 0]  # a column, as the block is written
            if part.shape != shape(block):
                raise InputError(
                    f"block {block.name} must have shape {shape(block)}, got {part.shape}"
                )
            parts.append(part.ravel())
        return np.concatenate(parts)

    def unpack(self, state: Any) -> dict[str, Array]:
        """Arrays of the blocks by name, of a state or of states with leading axes.

        Examples
        --------
        >>> w = sp.MatrixSymbol("w", 2, 2)
        >>> OwnSystem("norm", [w], sp.trace(w.T * w)).unpack([1, 2, 3, 4])["w"].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
        """
        y, found, first = np.asarray(state, dtype=float), {}, 0
        for block in self.blocks:
            size = math.prod(shape(block))
            part = y[..., first : first + size]
            found[str(block.name)] = part.reshape((*y.shape[:-1], *shape(block)))
            first += size
        return found

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start: independent Gaussian entries times ``scale``, shape (N,).

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        return scale * seeded(scale, seed).normal(size=len(self._entries))

    def check_start(self, start: Any) -> Array:
        """Start as a flat array; a mapping of blocks is packed."""
        array = self._flat(start)
        if not np.isfinite(array).all() or np.abs(array).max() > LARGEST:
            raise InputError(f"start must be finite and below {LARGEST:g}")
        if not np.isfinite(self.gradient(array)).all():
            raise InputError("the gradient at the start is not finite; start elsewhere")
        return array

    def _flat(self, state: Any) -> Array:
        """State as a flat array; a mapping of blocks is packed."""
        if isinstance(state, Mapping):
            state = self.pack(state)
        try:
            array = np.asarray(state)
        except ValueError:
            raise InputError("a state must be an array; its rows differ") from None
        size = len(self._entries)
        if array.dtype.kind not in "iuf" or array.shape != (size,):
            raise InputError(
                f"a state must be {size} real numbers, or arrays by block, got"
                f" {array.dtype} of shape {array.shape}"
            )
        return array.astype(float)

    def _parts(self, y: Array) -> list[Any]:
        return [part.tolist() for part in self.unpack(y).values()]

    def loss(self, state: Any) -> float:
        """Loss of a state, shape (N,); of expectations see :meth:`expectation`."""
        return float(self._value(state)[0])

    def gradient(self, state: Any) -> Array:
        """Gradient of the loss, shape (N,)."""
        return self._value(state)[1]

    def _value(self, state: Any) -> tuple[Any, Array]:
        if not self._loss.averaged:
            return self._loss.at(self._flat(state))
        found = self.expectation(state)
        return found.loss, found.gradient

    def expectation(self, state: Any) -> Estimate:
        """Loss and gradient with their measured error, of a loss that takes quadrature."""
        if not self._loss.averaged:
            raise InputError(f"the loss of {self.name} is in closed form; nothing is averaged")
        return estimate(self._loss, self._flat(state), self.tolerance)

    def hessian(self, state: Any) -> Array:
        """Hessian of the loss, shape (N, N)."""
        y = self._flat(state)
        return self._loss.hessian(y, self.expectation(y).rule if self._loss.averaged else None)
