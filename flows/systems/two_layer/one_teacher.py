"""One ReLU teacher, all outputs one: the flow of the ReLU neuron, and its compiled code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import potentials
from flows.core.arrays import Array
from flows.systems.hidden_layer.network import Network
from flows.systems.relu_neuron import geometry
from flows.systems.relu_neuron.state import Frame, SoundState
from flows.systems.relu_neuron.system import ReLUNeuron
from flows.systems.two_layer.features import Motion, features
from flows.systems.two_layer.late_time import clusters
from flows.systems.two_layer.spectrum import curvatures, spectrum
from potentials import Statements

__all__ = ["OneTeacher", "is_one_neuron"]


def is_one_neuron(network: Network) -> bool:
    """Whether it is one ReLU teacher with all outputs one, and these fixed."""
    alone = len(network.weights) == 1 and network.activation == "relu" and not network.trained
    return alone and {*network.weights, *network.outputs} == {1.0}


@dataclass(frozen=True)
class OneTeacher:
    """How runs with one ReLU teacher are followed: as runs of :class:`flows.ReLUNeuron`.

    Parameters
    ----------
    network : Network
        In the user's coordinates.
    """

    network: Network

    @functools.cached_property
    def led(self) -> ReLUNeuron:
        """The system whose flow it is."""
        (teacher,) = self.network.digits[..., 0].tolist()
        return ReLUNeuron(self.network.students, self.network.d, teacher)

    @property
    def statements(self) -> Statements:
        """Potentials and claims of two layers, and of the paper about one neuron."""
        ours, theirs = (potentials.statements(name) for name in ("two_layer", "relu_neuron"))
        names = {p.name for p in ours.potentials}
        return Statements(
            ours.potentials + tuple(p for p in theirs.potentials if p.name not in names),
            ours.auxiliaries + theirs.auxiliaries,
            ours.claims + theirs.claims,
            ours.marks + theirs.marks,
        )

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Frame and sound state of the neurons."""
        return self.led.reduce(start)

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """User's neurons, shape (..., n, d)."""
        return self.led.restore(frame, state)

    # What is seen ------------------------------------------------------------------------

    def _within(self, frame: Frame) -> Network:
        """Network in the coordinates of the run: along the teacher, and across it."""
        axis = ((frame.unit,), *((0.0,),) * frame.basis.shape[1])
        return replace(self.network, teachers=(axis,))

    def _flat(self, frame: Frame, states: SoundState) -> Array:
        """All neurons in these coordinates, shape (T, N)."""
        rows = np.concatenate([states.h[..., None], states.z], axis=-1)[..., frame.member, :]
        return rows.reshape(*rows.shape[:-2], -1) * frame.unit

    def _beyond(self, frame: Frame) -> int:
        return self.network.d - 1 - frame.basis.shape[1]

    def spectrum(self, frame: Frame, state: SoundState) -> tuple[Array, Array]:
        """Eigenvalues of the Hessian in the span of the run, and off it."""
        return spectrum(self._within(frame), self._beyond(frame), self._flat(frame, state))

    @property
    def costly(self) -> Mapping[str, Callable[[Frame, SoundState], Array]]:
        """Curvature along the flow, and eigenvalues of the Hessian."""
        return {
            **self.led.costly,
            **curvatures(self._within, self._beyond, self._flat, lambda states: np.zeros(1)),
        }

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """Names for two layers, then for one neuron."""
        network, y = self._within(frame), self._flat(frame, states)
        slope = geometry.gradient(frame.multiplicity, states)[:, frame.member] * frame.unit
        which, share = clusters(network, *network.split(y))
        motion = Motion(
            y, slope.reshape(y.shape), which, share, *_residual(frame, states, which, slope)
        )
        alone = np.arange(network.students)
        own = features(network, motion, alone, np.ones_like(alone))
        return own | self.led.features(frame, states)

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Errors as of one neuron."""
        found = self.led.errors(states, features, t, tolerance)
        shares = {"share": found["h"] / self._unit} if "h" in found else {}
        return {**found, **shares, "residual": found["residual_norm"][:, None]}

    @property
    def _unit(self) -> float:
        return float(np.linalg.norm(self.led.teacher))

    @property
    def later_names(self) -> tuple[str, ...]:
        """Parts of neurons, which may pass by zero, and what is made of them."""
        return (*self.led.later_names, "residual", "share")

    def later_errors(
        self,
        frame: Frame,
        states: SoundState,
        features: Mapping[str, Array],
        t: Array,
        usual: Array,
        tolerance: Array,
    ) -> dict[str, Callable[[], Array]]:
        """Errors of these: a share is a part along the teacher, as the residual is mostly."""
        found = self.led.later_errors(frame, states, features, t, usual, tolerance)
        return {
            **found,
            "residual": lambda: found["rho"]()[:, None],
            "share": lambda: found["h"]() / self._unit,
        }


def _residual(frame: Frame, states: SoundState, which: Any, slope: Array) -> tuple[Array, Array]:
    """Length of the teacher's residual with its rate, shape (T, 1): less those beside none."""
    neurons = np.concatenate([states.h[..., None], states.z], axis=-1)[:, frame.member]
    beside = (which < 0)[..., None]
    r = (states.r - np.sum(np.where(beside, neurons, 0.0), axis=1)) * frame.unit
    r_dot = -np.sum(np.where(beside, 0.0, slope), axis=1)
    size = np.linalg.norm(r, axis=-1)
    known = (which >= 0).any(axis=1)
    with np.errstate(all="ignore"):
        rate = np.sum(r * r_dot, axis=-1) / size
    return (np.where(known, size, np.nan)[:, None], np.where(known, rate, np.nan)[:, None])
