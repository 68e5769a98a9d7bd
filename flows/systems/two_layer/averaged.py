"""Layers whose pairs of neurons have no kernel in closed form here: runs of their average.

These are neurons with biases, and other activations. The loss is that of an own system, in closed
form where it has one (ReLU with a bias), otherwise an average (:mod:`flows.expectations`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import sympy as sp
from flint import arb

import potentials
from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.minimiser import Approach, Minimiser
from flows.systems.own.exact import balls, is_sharp, is_steep, value_of
from flows.systems.own.sound_state import Frame, SoundState
from flows.systems.own.system import OwnSystem
from potentials import Statements
from potentials.two_layer_potentials import BIASES
from symbolic.systems.averages import Taught, layers_loss
from symbolic.systems.averages import layers as students_of
from symbolic.systems.two_layer.pair import named

__all__ = ["Averaged"]

# What is observed beside the loss, each of one student: by the names of features, and a square.
SEEN = ("square", "output", "bias", "layer_balance_of")
POTENTIALS, CLAIMS = ("layer_balance", "norms", "outputs"), ("layer_balance",)


@dataclass(frozen=True)
class Averaged:
    """How runs of layers without a closed kernel are followed.

    Parameters
    ----------
    students : int
        Their number.
    teachers, weights, shifts : tuples of float
        `v_j`, a row each, `b_j`, and the teachers' biases.
    outputs : tuple of float
        Outputs of the students; empty where they are trained.
    activation : str
        Its name.
    biases : bool
        Whether students have biases, which move.
    doubles : bool
        Whether states are doubles.
    steps : tuple
        Tolerances of steps, as of :class:`flows.OwnSystem`.
    """

    students: int
    teachers: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    shifts: tuple[float, ...]
    outputs: tuple[float, ...]
    activation: str
    biases: bool
    doubles: bool = False
    steps: tuple[float, float, bool, bool] = (0.0, 0.0, True, False)

    costly: ClassVar[Mapping[str, Callable[..., Array]]] = {}

    @functools.cached_property
    def led(self) -> OwnSystem:
        """The system whose flow it is."""
        plain = replace(self, doubles=False, steps=Averaged.steps)
        found = _system(plain)
        found = found.in_doubles() if self.doubles else found
        return found.at_tolerance(*self.steps) if self.steps[0] > 0 else found

    @property
    def statements(self) -> Statements:
        """Potentials and claims of two layers that do not speak of kernels."""
        every = potentials.statements("two_layer")
        seen = tuple(p for p in every.potentials if p.name in POTENTIALS)
        claims = tuple(c for c in every.claims if c.id in CLAIMS)
        return Statements(seen + (BIASES,) * self.biases, (), claims, ())

    # States of a user ----------------------------------------------------------------------

    def shaped(self, y: Array) -> Array:
        """Flat states as rows: a neuron, its bias, its trained output."""
        d = len(self.teachers[0])
        cuts = np.cumsum([self.students * d, *[self.students] * self._more])
        w, *rest = np.split(y, cuts[:-1], axis=-1)
        rows = w.reshape(*w.shape[:-1], self.students, d)
        return np.concatenate([rows, *(part[..., None] for part in rest)], axis=-1)

    def flat(self, state: Array) -> Array:
        """Inverse of :meth:`shaped`."""
        d = len(self.teachers[0])
        parts = [state[..., :d].reshape(*state.shape[:-2], -1)]
        return np.concatenate([*parts, *np.moveaxis(state[..., d:], -1, 0)], axis=-1)

    @property
    def _more(self) -> int:
        """Numbers of a student beside its neuron."""
        return self.biases + (not self.outputs)

    def check(self, state: Array) -> None:
        """Refuse a start whose loss is no number."""
        self.led.check_start(self.flat(state))

    def loss(self, state: Array) -> float:
        """Loss of a state: to the last digits in closed form, otherwise as of an own system."""
        y = self.flat(state)
        found = self._in_balls(y, lambda both: is_sharp(both[:1]))
        return self.led.loss(y) if found is None else max(0.0, found[0])

    def gradient(self, state: Array) -> Array:
        """Gradient of the loss, of the state's shape."""
        y = self.flat(state)
        found = self._in_balls(y, is_steep)
        return self.shaped(self.led.gradient(y) if found is None else np.array(found[1:]))

    def hessian(self, state: Array) -> Array:
        """Hessian of the loss, rows in the order of ``state.ravel()``."""
        order = self.flat(np.arange(state.size, dtype=float).reshape(state.shape)).astype(int)
        found = np.empty((state.size, state.size))
        found[np.ix_(order, order)] = self.led.hessian(self.flat(state))
        return found

    def _in_balls(self, y: Array, enough: Callable[[Any], bool]) -> list[float] | None:
        """Loss and gradient with all digits, where the loss is in closed form."""
        loss = self.led._loss
        if loss.averaged:
            return None
        exact = balls(loss)
        found = value_of(lambda: exact.both([arb(x) for x in y.tolist()]), enough)
        return [0.0] * (1 + len(y)) if found is None else [float(x) for x in found]

    def minimiser(self, at: Any) -> Minimiser:
        """Loss at students that are given."""
        if at is None:
            raise InputError("at: expected students at a minimum, got none; give them (--at FILE)")
        found = self.led.minimiser(self.flat(at))
        return replace(found, where=self.shaped(found.where))

    # Runs ----------------------------------------------------------------------------------

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Entries as they are, with the observables there."""
        return self.led.reduce(self.flat(start))

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """User's parameters, a row a student."""
        return self.shaped(state.x)

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Limit of a run."""
        found = self.led.approach(frame, state, t)
        better = found.minimiser
        if better is not None:
            better = replace(better, where=self.shaped(better.where))
        return replace(found, where=self.shaped(found.where), minimiser=better)

    def spectrum(self, frame: Frame, state: SoundState) -> tuple[Array, Array]:
        """Eigenvalues of the Hessian."""
        return self.led.spectrum(frame, state)

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """What the states carry, that of all students together; NaN of what they do not have."""
        found = self._together(self.led.features(frame, states))
        square, rate = found.pop("square"), found.pop("square_dot")
        found["norm"] = np.sqrt(square)
        with np.errstate(divide="ignore", invalid="ignore"):
            found["norm_dot"] = rate / (2 * found["norm"])
        if self.outputs:
            found["output"] = np.broadcast_to(self.outputs, square.shape)
            found["output_dot"] = np.zeros(square.shape)
        return found

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Absolute errors beside the tolerance."""
        seen = self.led.features(Frame(), states)
        found = self._together(self.led.errors(states, seen, t, tolerance))
        off = found.pop("square")
        # Roots differ by less than squares, over the larger root or over that of the difference.
        with np.errstate(divide="ignore", invalid="ignore"):
            found["norm"] = np.fmin(off / np.sqrt(self._together(seen)["square"]), np.sqrt(off))
        return found | ({"output": np.zeros(off.shape)} if self.outputs else {})

    def _together(self, found: Mapping[str, Array]) -> dict[str, Array]:
        """Numbers of single students as arrays of all of them."""
        count = range(1, self.students + 1)
        own = {f"{name}_{i}{end}" for name in SEEN for i in count for end in ("", "_dot")}
        each = {k: x for k, x in found.items() if k not in own}
        unknown = np.full((len(found["loss"]), self.students), np.nan)
        for name, end in itertools.product(SEEN, ("", "_dot")):
            rows = [found[f"{name}_{i}{end}"] for i in count if f"{name}_{i}{end}" in found]
            each[name + end] = np.stack(rows, axis=-1) if rows else unknown
        return each


@functools.lru_cache(maxsize=16)
def _system(layers: Averaged) -> OwnSystem:
    """Loss of layers, in closed form where it has one, with its observables."""
    activation, outputs = named(layers.activation), layers.outputs
    made = students_of(layers.students, len(layers.teachers[0]), outputs, layers.biases)
    loss = layers_loss(made, Taught(layers.teachers, layers.weights, layers.shifts), activation.of)
    observed: dict[str, Any] = {}
    for i, (row, shift, output) in enumerate(zip(*made[1:], strict=True), 1):
        square = sp.Add(*(e**2 for e in row))
        observed[f"square_{i}"] = square
        observed |= {f"bias_{i}": shift} if layers.biases else {}
        if not outputs:
            observed[f"output_{i}"] = output
            if activation.degree is not None:
                balance = activation.degree * output**2 - square - shift**2
                observed[f"layer_balance_of_{i}"] = balance
    return OwnSystem("two_layers", made.blocks, loss, observed)
