"""States of an own system as a user has them: arrays of blocks, their loss and its derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.minimiser import Minimiser
from flows.systems.field.in_blocks import LARGEST
from flows.systems.own.definition import Defined
from flows.systems.own.infinite import no_number, not_finite
from flows.systems.own.loss import Estimate, estimate
from flows.systems.own.serving import by_groups
from flows.systems.own.sound_state import TRUSTED
from symbolic.systems.own.late_time import point_of

__all__ = ["Evaluated"]


class Evaluated(Defined):
    """A loss whose states are arrays by the names of blocks, or one flat array."""

    def check_start(self, start: Any) -> Array:
        """Start as a flat array; a mapping of blocks is packed."""
        array = self._finite(start)
        if self._loss.averaged:
            found = self.expectation(array)
            value, slope, known = found.loss, found.gradient, found.known
        else:
            (value, slope), known = self._loss.at(array), True
        if not np.isfinite([value, *slope]).all() or (not known and not_finite(self._loss, array)):
            problem = no_number(self._loss, array)
            raise InputError(f"the loss of {self.name} {problem}; start elsewhere")
        return array

    def are_sound(self, starts: Array) -> NDArray[np.bool_]:
        """Flat starts with finite losses and gradients in closed form."""
        flat = starts.dtype == float and starts.shape[1:] == (len(self._loss.y),)
        if not flat or self._loss.averaged:
            return np.zeros(len(starts), dtype=bool)
        value, slope = self._loss.at(starts)
        finite = np.isfinite(value) & np.isfinite(slope).all(axis=-1)
        sound: NDArray[np.bool_] = finite & (np.abs(starts).max(axis=-1) <= LARGEST)
        return sound

    def loss(self, state: Any) -> float:
        """Loss of a state, shape (N,); of expectations see :meth:`expectation`.

        An expectation is NaN where its error is more than a tenth of it.
        """
        return float(self._value(state)[0])

    def gradient(self, state: Any) -> Array:
        """Gradient of the loss, shape (N,)."""
        return self._value(state)[1]

    def _value(self, state: Any) -> tuple[Any, Array]:
        if not self._loss.averaged:
            return self._loss.at(self._flat(state))
        found = self.expectation(state)
        if found.error > max(TRUSTED, found.floor):  # it has not one digit
            return math.nan, np.full_like(found.gradient, np.nan)
        return found.loss, found.gradient

    def expectation(self, state: Any) -> Estimate:
        """Loss and gradient with their error, of a loss that takes quadrature."""
        if not self._loss.averaged:
            raise InputError(f"the loss of {self.name} is in closed form; nothing is averaged")
        y = self._flat(state)
        found = estimate(self._loss, y, self.tolerance)
        other = None if math.isfinite(found.error) else by_groups(self._loss, y)
        return found if other is None else other

    def hessian(self, state: Any) -> Array:
        """Hessian of the loss, shape (N, N)."""
        y = self._flat(state)
        return self._loss.hessian(y, self.expectation(y).rule if self._loss.averaged else None)

    def minimiser(self, at: Any = None) -> Minimiser:
        """Loss at a point, whose numbers are taken for the fractions that they are written as."""
        if at is None:
            raise InputError(f"at: expected a minimiser of {self.name}, got none; give its entries")
        y = self._flat(at)
        parts = [part.tolist() for part in self.unpack(y).values()]
        values = dict(zip(self.blocks, parts, strict=True))
        point = point_of(self.expression, self.blocks, values)
        return self._view.with_sum(Minimiser(y, point))
