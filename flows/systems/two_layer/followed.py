"""How two layers are followed: by one of three ways.

See :mod:`in_span`, :mod:`one_teacher` and :mod:`averaged`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import AxisTerms, Code
from flows.core.minimiser import Approach
from flows.core.piece import Piece, Restart
from flows.core.system import DifferentiableFlow, Excess, JaxField, Smooth, System
from flows.systems.own.sound_state import SoundState
from flows.systems.two_layer.averaged import Averaged
from flows.systems.two_layer.in_span import InSpan, axis_terms
from flows.systems.two_layer.late_time import minimiser, shared
from flows.systems.two_layer.one_teacher import OneTeacher
from flows.systems.two_layer.span import Frame
from flows.systems.two_layer.user_states import Evaluated

if TYPE_CHECKING:
    from flows.core.chart import Lanes
    from potentials import Statements

__all__ = ["Followed"]


class Followed(Evaluated):
    """Two layers whose flow is followed as that of neurons, or in the span of all that there is."""

    @property
    def statements(self) -> Statements:
        """Potentials and claims; with one ReLU teacher also the claims of its paper."""
        return self._way.statements

    @property
    def _led(self) -> Any:
        """What leads runs: a system of its own, or the way itself."""
        return self._way if isinstance(self._way, InSpan) else self._way.led

    @property
    def containers(self) -> tuple[type, type]:  # type: ignore[override]
        """Types of the frame and of the states."""
        return self._led.containers

    @property
    def lanes(self) -> Lanes | None:  # type: ignore[override]
        """Fields of many members at once, of one ReLU teacher."""
        return None if self._neuron is None else self._neuron.lanes

    @property
    def max_output_ratio(self) -> float:  # type: ignore[override]
        """As of neurons, of one ReLU teacher."""
        return super().max_output_ratio if self._neuron is None else self._neuron.max_output_ratio

    def axis_codes(self) -> tuple[Code, Code, Code] | None:
        """Programs of a network of few entries that is not followed as a neuron."""
        return self._way.axis_codes() if isinstance(self._way, InSpan) else None

    def axis_terms(self, rtol: float, step: float) -> AxisTerms:
        """As in charts of a run alone."""
        return axis_terms(rtol, step)

    def axis_start(self, start: Array) -> Array:
        """Neurons one after the other, then trained outputs."""
        return self.flat(start)

    def along_axes(
        self, digits: Array, error: Array, since: Array, numbers: Array
    ) -> tuple[Frame, SoundState]:
        """Frame and states, seen in balls where two doubles do not tell what is observed."""
        assert isinstance(self._way, InSpan)
        return self._way.along_axes(digits, error, since, numbers)

    def ended_along(self, found: Any, times: Array) -> list[Excess | None]:
        """Loss of members that falls to zero; None of others: see :meth:`InSpan.vanishes`."""
        assert isinstance(self._way, InSpan)
        return self._way.ended_along(found)

    def certified_form(self, start: Any = None) -> tuple[System | None, Array | None]:
        """System that a certificate is about: that of one neuron, or of the formula."""
        neuron = self._neuron
        return super().certified_form(start) if neuron is None else neuron.certified_form(start)

    def jax_field(self) -> JaxField | None:
        """Raw field in JAX, of one ReLU teacher."""
        return self._neuron.jax_field() if self._neuron else None

    def differentiable(self, frame: Any, state: Any) -> DifferentiableFlow | None:
        """Run to be differentiated by its start, of one ReLU teacher."""
        return self._neuron.differentiable(frame, state) if self._neuron else None

    def reduce(self, start: Array) -> tuple[Any, Any]:
        """Frame and sound state."""
        return self._way.reduce(start)

    def restore(self, frame: Any, state: Any) -> Array:
        """User's parameters, a row a student: its neuron, its bias, its trained output."""
        return self._way.restore(frame, state)

    def begin(self, frame: Any, state: Any) -> Restart:
        """First state; a neuron of the case of one teacher may begin at zero."""
        return self._led.begin(frame, state)

    def piece(self, frame: Any, state: Any, time: float) -> Piece:
        """Smooth piece that begins with this state."""
        return self._led.piece(frame, state, time)

    def exact_flow(self, frame: Any, state: Any, digits: int) -> Smooth:
        """Flow with ``digits`` digits."""
        return self._led.exact_flow(frame, state, digits)

    def spectrum(self, frame: Any, state: Any) -> tuple[Array, Array]:
        """Eigenvalues of the Hessian in the span of the run, and off it: see :mod:`spectrum`."""
        return self._way.spectrum(frame, state)

    @property
    def costly(self) -> Mapping[str, Callable[[Any, Any], Array]]:
        """Least eigenvalue of the Hessian in all dimensions, and its error."""
        return self._way.costly

    def features(self, frame: Any, states: Any) -> dict[str, Array]:
        """What students and teachers have: see :mod:`features`."""
        return self._way.features(frame, states)

    def errors(
        self, states: Any, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Absolute errors beside the tolerance."""
        return self._way.errors(states, features, t, tolerance)

    def magnification(
        self, frame: Any, states: Any, features: Mapping[str, Array], t: Array, rtol: float
    ) -> Array:
        """By how much errors of steps grow beside the loss, of one ReLU teacher."""
        if self._neuron is None:
            return super().magnification(frame, states, features, t, rtol)
        return self._neuron.magnification(frame, states, features, t, rtol)

    @property
    def later_names(self) -> tuple[str, ...]:
        """Parts of neurons, which may pass by zero, of one ReLU teacher."""
        return self._way.later_names if isinstance(self._way, OneTeacher) else ()

    def later_errors(
        self,
        frame: Any,
        states: Any,
        features: Mapping[str, Array],
        t: Array,
        usual: Array,
        tolerance: Array,
    ) -> dict[str, Callable[[], Array]]:
        """Errors of these, each when asked for."""
        if not isinstance(self._way, OneTeacher):
            return {}
        return self._way.later_errors(frame, states, features, t, usual, tolerance)

    def outgrown(self, states: Any) -> Array:
        """What the states carry; of one ReLU teacher :meth:`magnification` tells it."""
        return np.asarray(states.grown) if self._neuron is None else super().outgrown(states)

    def beside(self, frame: Any, states: Any, others: Sequence[Any]) -> Any:
        """States, seen anew, whose errors are their distances to others at the first times."""
        assert not isinstance(self._way, OneTeacher)
        return self._led.beside(frame, states, others)

    def remark(self, frame: Any, states: Any, t: Array) -> str:
        """Say from when on something is not known."""
        return self._led.remark(frame, states, t)

    def excess(self, frame: Any, states: Any, t: Array, loss: Array) -> Excess:
        """Loss above that of the limit point of the run; see :meth:`InSpan.vanishes`."""
        return self._led.excess(frame, states, t, loss)

    def approach(self, frame: Any, state: Any, t: float) -> Approach:
        """Limit of a run: with a kink, students in their shares of the teachers."""
        if isinstance(self._way, Averaged):
            return self._way.approach(frame, state, t)
        if isinstance(self._way, OneTeacher):
            found: Approach = self._led.approach(frame, state, t)
            return found
        user = self.restore(frame, state)
        w, a = self._split(user)
        if self._bent:
            where = user.copy()
            where[:, : self._dimension] = shared(self.network(), w, a)
            return Approach(where, self.flat(user - where))
        point = minimiser(self.network(), w, a, user).point
        assert point is not None
        return self._way.arrival(frame, state, t, point)
