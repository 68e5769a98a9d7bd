"""States of two layers as a user has them: students and trained outputs, their loss, its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array, checked
from flows.core.errors import InputError
from flows.core.minimiser import Minimiser
from flows.core.starts import seeded
from flows.systems.hidden_layer.values import Values
from flows.systems.two_layer.averaged import Averaged
from flows.systems.two_layer.definition import Defined
from flows.systems.two_layer.given import LARGEST, check_signs
from flows.systems.two_layer.late_time import minimiser
from symbolic.systems.two_layer.pair import named

__all__ = ["Evaluated"]


class Evaluated(Defined):
    """Two layers whose states are arrays, one student a row."""

    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start, `w_i ~ N(0, scale^2 I_d)`; trained outputs begin as `output_weights`.

        Biases begin at zero.

        Returns
        -------
        ndarray, shape (n, d), with a column more for biases, and one for trained outputs

        Raises
        ------
        InputError
            For a scale that is negative or not finite, or a negative seed.
        """
        w = scale * seeded(scale, seed).normal(size=(self.students, self._dimension))
        zero = [np.zeros(self.students)] * self.biases
        return np.column_stack([w, *zero, *[self.output_weights] * self.train_outputs])

    def check_start(self, start: ArrayLike) -> Array:
        """Start as an array, a row a student: its neuron, its bias, its trained output."""
        if self._neuron is not None:
            return self._neuron.check_start(start)
        state = self._checked(start)
        if self._is_at_kink(state):
            raise InputError("start must have no student that is zero, where the loss has a kink")
        if self.train_outputs:
            degree = named(self.activation).degree
            check_signs(state[:, :-1], state[:, -1], self.teacher_weights, degree)
        if self._averaged is not None:
            self._averaged.check(state)
        return state

    def _is_at_kink(self, state: Array) -> bool:
        """Whether a student is zero, with its bias."""
        neurons = state[:, : self._dimension + self.biases]
        return self._bent and not neurons.any(axis=1).all()

    def _checked(self, state: ArrayLike) -> Array:
        shape = (self.students, self._dimension + self._columns)
        array = checked(state, shape, "start")
        if np.abs(array).max() > LARGEST:
            raise InputError(f"start must stay below {LARGEST:g}, or its powers overflow")
        return array

    def flat(self, state: Array) -> Array:
        """State as a vector: the neurons one after the other, then biases and trained outputs."""
        return self._as_average.flat(state)

    @property
    def _evaluated(self) -> Averaged | Values:
        """Loss and derivatives of states."""
        return self._averaged or Values(self.network())

    def loss(self, state: ArrayLike) -> float:
        """Loss (with its factor 1/2) of a state; 0 where 1700 bits do not tell it from zero."""
        return self._evaluated.loss(self._checked(state))

    def gradient(self, state: ArrayLike) -> Array:
        """Gradient of the loss, of the state's shape.

        Raises
        ------
        InputError
            For a student that is zero, where an activation with a kink has no gradient.
        """
        return self._evaluated.gradient(self._smooth(state, "gradient"))

    def hessian(self, state: ArrayLike) -> Array:
        """Hessian of the loss, shape (N, N), rows in the order of ``state.ravel()``.

        Raises
        ------
        InputError
            For a student that is zero, where an activation with a kink has no Hessian.
        """
        return self._evaluated.hessian(self._smooth(state, "Hessian"))

    def _smooth(self, state: ArrayLike, what: str) -> Array:
        """State with no student at a kink."""
        array = self._checked(state)
        if self._is_at_kink(array):
            raise InputError(f"the loss has no {what} where a student is zero; move it")
        return array

    def _split(self, state: Array) -> tuple[Array, Array]:
        """Students and outputs of states, shapes (..., n, d) and (..., n)."""
        d = self._dimension
        fixed = np.broadcast_to(np.array(self.output_weights), state.shape[:-1])
        return state[..., :d], state[..., d] if self.train_outputs else fixed

    def minimiser(self, at: Any = None) -> Minimiser:
        """Students that make the teachers up; as many as teachers need no telling."""
        if self._neuron is not None:
            return self._neuron.minimiser(at)
        if self._averaged is not None:
            return self._averaged.minimiser(None if at is None else self._checked(at))
        if at is None:
            same = self.students == len(self.teachers)
            if not same or self.output_weights != self.teacher_weights:
                raise InputError(
                    "at: expected students that make the teachers up, got none; give them"
                    " (--at FILE), since the law depends on their shares"
                )
            rows, outputs = np.array(self.teachers), np.array(self.output_weights)
            at = np.column_stack([rows, outputs]) if self.train_outputs else rows
        where = self._checked(at)
        return minimiser(self.network(), *self._split(where), where)
