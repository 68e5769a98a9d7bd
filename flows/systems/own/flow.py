"""The flow of an own system: how exact its states are, what is observed there, its pieces."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.piece import Piece, Restart
from flows.core.system import Smooth
from flows.systems.own import energy, pieces
from flows.systems.own.exact import (
    Nodes,
    balls,
    fixed_rule,
    from_doubles,
    to_doubles,
    width,
    work,
)
from flows.systems.own.features import (
    Errors,
    Frame,
    SoundState,
    observe,
    stated_errors,
)
from flows.systems.own.given import closed, no_balls
from flows.systems.own.loss import numeric
from flows.systems.own.reading import observe_exact
from flows.systems.own.values import Values
from symbolic.language.blocks import shape

__all__ = ["Flow"]

FINEST = 1e-13  # an expectation is never asked for less error
# Above, states are doubles unless balls are asked for.
MOST_EXACT = 150
# The same for expectations: steps of one evaluation by a fixed rule. A run takes thousands, and
# a million steps take a third of a second.
MOST_WORK = 6000


@dataclass(frozen=True)
class Flow(Values):
    """Runs of the system, in exact states or in doubles."""

    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """Ask expectations for a tenth of the error of a step, and know what steps leave."""
        finer = max(pieces.RESERVE * rtol, FINEST)
        return self._but(tolerance=finer, steps=(rtol, atol, damped, multistep))

    def in_doubles(self) -> Self:
        """Return the system with states that are doubles."""
        return self._but(arithmetic="doubles")

    def _nodes(self, start: Array) -> Nodes | str | None:
        """Rule with which exact states are evaluated, None without one, or why they are not."""
        if self.arithmetic == "doubles":
            return "arithmetic in doubles"
        told = no_balls(self.blocks, self.expression, self.potentials)
        if not told and self.arithmetic == "auto" and len(start) > MOST_EXACT:
            told = f"more than {MOST_EXACT} entries"
        nodes = None
        if not told and self._loss.averaged:
            nodes = fixed_rule(self._loss, start)
            told = "" if nodes is not None else "no fixed rule for the expectation"
        if told and self.arithmetic == "balls":
            raise InputError(f"arithmetic: expected a loss that balls evaluate, got {told}")
        return told or nodes

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Entries as they are, with what is observed there."""
        nodes = self._nodes(start)
        slow = isinstance(nodes, Nodes) and work(self._loss, nodes) > MOST_WORK
        if isinstance(nodes, str) or (slow and self.arithmetic == "auto"):
            return Frame(), self._sound(start)
        rule = None if nodes is None else nodes.rule
        unit = energy.first_time(start, self.gradient(start), self._loss.hessian(start, rule))
        places = [arb(x) for x in start.tolist()]
        return Frame(unit), self._read([places], np.array([[unit, 0.0]]), None, nodes).at(0)

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """Entries, shape (..., N)."""
        return state.x

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """Say at once if no rule is good enough at the start."""
        failing = "" if state.exact else pieces.failure(self._loss, state.x, self.tolerance)
        return Restart(frame, state, 0.0, (), failing)

    def piece(self, frame: Frame, state: SoundState, time: float) -> Piece:
        """Piece in units of energy, or of doubles in log-time with a rule for the expectation."""
        if state.exact:
            found = fixed_rule(self._loss, state.x) if self._loss.averaged else None
            observed = functools.partial(self._read, nodes=found)
            return energy.energy_piece(
                self._loss,
                balls(self._loss, found),
                found,
                observed,
                self.steps,
                frame,
                state,
                time,
            )
        sizes = [math.prod(shape(block)) for block in self.blocks]
        powers = [float(dict(self.decay).get(block, 0.0)) for block in self.blocks]
        chart = pieces.chart(self._loss, state.x, sizes, powers, time, self.tolerance)
        return pieces.OwnPiece(
            self._loss, self._sound, self.tolerance, self.steps, frame, state, chart, sizes
        )

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow with ``digits`` digits, of a loss in closed form.

        Raises
        ------
        InputError
            For a loss that takes quadrature.
        """
        if self._loss.averaged:
            raise InputError("method 'reference' needs a loss in closed form; choose another")
        exact = numeric(self._loss.form.plain, self._entries, (), "mpmath")
        size = len(state.x)
        axes = np.eye(size, dtype=int).tolist()

        def velocity(x: list[Any]) -> list[Any]:
            return [-g for g in exact.both(*x)[1:]]

        def jacobian(x: list[Any]) -> Array:
            return -np.array([[float(r) for r in exact.rates(*x, *axis)[1:]] for axis in axes])

        def decode(x: list[Any]) -> SoundState:
            places = [arb((int((-1) ** sign * man), exp)) for sign, man, exp in map(_parts_of, x)]
            return self._read([places], np.array([[1.0, 0.0]]), None, None).at(0)

        return Smooth(velocity, jacobian, state.x.tolist(), decode)

    def _read(
        self,
        places: list[list[Any]],
        known: Array,
        errors: Errors | None,
        nodes: Nodes | None,
    ) -> SoundState:
        """Exact states with their `energy`, shape (T, 2), and what is observed there."""
        size, shown = len(self._entries), [to_doubles(place) for place in places]
        x = np.array([digits[:, 0] for digits in shown]).reshape(-1, size)
        low = width(size, [digits[:, 1:] for digits in shown])
        states = SoundState(x, x, None, None, low, known)
        return self._observed_anew(states, places, errors, nodes)

    def _observed_anew(
        self,
        states: SoundState,
        places: list[list[Any]],
        errors: Errors | None,
        nodes: Nodes | None,
    ) -> SoundState:
        known = {name: closed(self.blocks, p) for name, p in self.potentials}
        seen, error = observe_exact(
            self._loss,
            balls(self._loss, nodes),
            known,
            places,
            states.energy,
            states.error if errors is None else errors,
            None if nodes is None else nodes.rule,
            None if nodes is None else balls(self._loss, nodes.finer),
        )
        return replace(states, seen=seen, error=error)

    def _sound(self, y: Array, error: Array | None = None, time: Array | None = None) -> SoundState:
        known = {name: closed(self.blocks, p) for name, p in self.potentials}
        return SoundState(
            y, observe(self._loss, known, y, self.tolerance, error, time), error, time
        )

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """What the states carry, by name."""
        return dict(zip(self.parameters["features"], np.moveaxis(states.seen, -1, 0), strict=True))

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Beside the tolerance: see `stated_errors`."""
        return stated_errors(features, t, tolerance)

    def remark(self, frame: Frame, states: SoundState, t: Array) -> str:
        """Say from when on the loss, or its gradient, is not known."""
        names, lost = self.parameters["features"], []
        for name, words in (("loss", "the loss"), ("gradient_norm", "its gradient")):
            unknown = np.isnan(states.seen[:, names.index(name)])
            if unknown.any():
                lost.append(f"{words} (first at t = {t[int(np.argmax(unknown))]:.3g})")
        if not lost:
            return ""
        return (
            f"NaN is not known: {', '.join(lost)}; errors of steps or of doubles are larger there"
            " than a tenth of it"
        )

    def recorded(self, states: SoundState) -> SoundState:
        """Observe the states of a file anew: potentials may be others than when they were run."""
        if not states.exact:
            return self._sound(states.x, states.error, states.time)
        places = [from_doubles(digits) for digits in states.digits]
        nodes = self._nodes(states.x[-1])
        if isinstance(nodes, str):
            return states
        return self._observed_anew(states, places, None, nodes)


def _parts_of(x: Any) -> Any:
    """Sign, mantissa, exponent of a number of mpmath."""
    return x._mpf_[:3]
