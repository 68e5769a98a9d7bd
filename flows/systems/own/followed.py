"""How an own system is followed: its sound states, pieces of runs, and steps along axes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from flint import arb
from numpy.typing import NDArray

from flows.core.altered import altered
from flows.core.arrays import Array
from flows.core.axis_field import AxisTerms, Code
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.core.limit import Limit
from flows.core.minimiser import Approach
from flows.core.piece import Piece, Restart
from flows.core.subspace import Inside, Subspace
from flows.core.system import Excess, Smooth
from flows.systems.own import energy
from flows.systems.own.code import beginning
from flows.systems.own.embedded import BITS, Embedded, begun, moved, restricted
from flows.systems.own.exact_view import above_limits
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric
from flows.systems.own.reading import rough_at
from flows.systems.own.rotations import turned_at
from flows.systems.own.served import RESERVE, failure
from flows.systems.own.serving import failing
from flows.systems.own.sound_state import Frame, SoundState, stated_errors, unknown_at
from flows.systems.own.subspace import found_alike, lifted, may_be_alike
from flows.systems.own.tails import follow_tails, squares_of
from flows.systems.own.twofold import rates_of, value_code_of
from flows.systems.own.user_states import Evaluated
from symbolic.language.blocks import as_written, shape

__all__ = ["Followed"]

FINEST = 1e-13  # an expectation is never asked for less error


class Followed(Evaluated):
    """A loss whose flow is followed with as many digits as it takes, or in doubles."""

    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """Ask expectations for a tenth of the error of a step, and know what steps leave."""
        finer = max(RESERVE * rtol, FINEST)
        return altered(self, tolerance=finer, steps=(rtol, atol, damped, multistep))

    def in_doubles(self) -> Self:
        """Return the system with states that are doubles."""
        return altered(self, arithmetic="doubles")

    def subspace(self, start: Array) -> Subspace | None:
        """Entries that a flow keeps equal, opposite or in place; of an expectation, its span."""
        found = self._inside(start)
        if found is None:
            return None
        inside, inner = found
        losses = self._loss, inner._loss
        lift = functools.partial(lifted, inside=inside, losses=losses, start=start)
        with precision(BITS):
            places = inside.lowered(self.exact_start or [arb(x) for x in start.tolist()])
        return Subspace(inner, start @ inside.basis, altered(inner, exact_start=places), lift)

    def may_have_subspace(self, starts: Array) -> NDArray[np.bool_]:
        """Those of a loss in closed form with entries, or slopes, of one size or none."""
        loss = self._loss
        if not isinstance(loss, Loss) or loss.averaged:
            return super().may_have_subspace(starts)
        return may_be_alike(starts, loss.at(starts)[1])

    @property
    def _averaged(self) -> bool:
        """Whether the loss is an expectation in entries."""
        return isinstance(self._loss, Loss) and self._loss.averaged

    def _inside(self, start: Array) -> tuple[Embedded, Any] | None:
        """The subspace of a start, and the system in it."""
        loss, known = self._loss, tuple(self._view.known.items())
        inside: Embedded | None = None
        if self._averaged:
            inside = turned_at(loss, self.blocks, tuple(p for _, p in known), start)
        inside = inside or found_alike(loss, start)
        if inside is None:
            return None
        made: Any = type(self)
        try:
            parts = restricted(loss, known, inside)
            return inside, made(self.name, *parts, arithmetic=self.arithmetic)
        except InputError:  # where the formula is 0/0, and its limit is not
            return None

    def _around(self, states: SoundState) -> tuple[Embedded, Any] | None:
        """The subspace that holds all states of a run."""
        found = self._inside(states.x[0])
        return found if found is not None and found[0].holds(states.x) else None

    def inside(self, states: SoundState) -> Inside | None:
        """States in the subspace that holds them all."""
        found = self._around(states)
        if found is None:
            return None
        inside, inner = found

        def lift(place: Array) -> Array:
            with precision(BITS):
                return np.array([float(e) for e in inside.lifted([arb(z) for z in place.tolist()])])

        known = moved(states, inside, (self._loss, inner._loss), up=False)
        names = [as_written(symbol.name) for symbol in self._loss.y]
        return Inside(inner.at_tolerance(*self.steps), known, lift, inside.said(names))

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Entries as they are, with the observables there."""
        view = self._view
        nodes = view.chosen(start)
        if isinstance(nodes, str):
            return Frame(), view.in_doubles(start)
        unit, state = view.begun(start, self.gradient(start), nodes, self.exact_start)
        return Frame(unit).by(nodes), state

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """Entries, shape (..., N)."""
        return state.x

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """Observables that the states carry, by name."""
        return dict(zip(self._features, np.moveaxis(states.seen, -1, 0), strict=True))

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Beside the tolerance: see `stated_errors`."""
        return stated_errors(features, t, tolerance, states.doubt)

    def remark(self, frame: Frame, states: SoundState, t: Array) -> str:
        """Say from when on the loss, or its gradient, is not known."""
        return unknown_at(self._features, states.seen, t)

    def outgrown(self, states: SoundState) -> Array:
        """What the states carry: see :mod:`flows.systems.own.stretch`."""
        return np.asarray(states.grown)

    def beside(self, frame: Frame, states: SoundState, others: Sequence[SoundState]) -> SoundState:
        """States, seen anew, whose errors are their distances to others at the first times."""
        return self._view.beside(states, others)

    def recorded(self, states: SoundState) -> SoundState:
        """Observe the states of a file anew: potentials may be others than when they were run."""
        found = self._around(states) if self._averaged else None
        if found is None:
            return self._view.recorded(states)
        inside, inner = found
        losses = self._loss, inner._loss
        known = inner.recorded(moved(states, inside, losses, up=False))
        return begun(moved(known, inside, losses, up=True), states.x[0])

    def limit(self, states: SoundState, t: Array) -> Limit | str:
        """Limit point of a run from its last state, or why it is not known; see `find_limit`."""
        return self._view.limit(states, t)

    def excess(self, frame: Frame, states: SoundState, t: Array, loss: Array) -> Excess:
        """Loss above that of the limit point of the run, both with many digits."""
        around = self.inside(states)
        if around is not None:
            found: Excess = around.system.excess(frame, around.states, t, loss)
            return found
        rate = self.features(frame, states)["loss_dot"]
        return self._view.excess(states, t, rate)

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Limit of the flow from an exact state on."""
        return self._view.approach(state, t)

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """Say at once if no rule is good enough at the start."""
        if state.exact:
            reason = "" if frame.nodes is not None else failing(self._loss, state.x)
            return Restart(frame, state, 0.0, (), reason)
        reason = failure(self._loss, state.x, self.tolerance)
        return Restart(frame, state, 0.0, (), reason)

    def piece(self, frame: Frame, state: SoundState, time: float) -> Piece:
        """Piece in units of energy, or of doubles in log-time with a rule for the expectation."""
        sizes = [math.prod(shape(block)) for block in self.blocks]
        return self._view.piece(sizes, frame, state, time)

    def axis_codes(self) -> tuple[Code, Code, Code] | None:
        """Programs of a loss in closed form that two doubles compute, of few entries."""
        loss = self._loss
        if self.arithmetic == "doubles" or not isinstance(loss, Loss) or loss.averaged:
            return None
        size = len(loss.y)
        if size > energy.MOST_TOGETHER or isinstance(self._view.nodes(np.zeros(size)), str):
            return None
        value, rates = value_code_of(loss), rates_of(loss)
        if value is None or rates is None:
            return None
        return beginning(value, size, value.results[1:]), value, rates

    def axis_terms(self, rtol: float, step: float) -> AxisTerms:
        """As in charts of a run alone, but longer: a chart costs as much as many steps.

        Potentials may depend on entries that are small beside the energy, as across a valley.
        """
        halts = bool(self.potentials)
        asked = energy.SMALL * step if halts else step
        rough, reach = rough_at(rtol), energy.COMPILED
        least, squares = squares_of(self._loss.form.plain)
        return energy.axis_terms(
            *(rtol, asked),
            rough=rough,
            reach=reach,
            halts=halts,
            ends=not halts,
            squares=squares,
            constant=least[0],
        )

    def along_axes(
        self, digits: Array, error: Array, since: Array, numbers: Array
    ) -> tuple[Frame, SoundState]:
        """Frame and states, seen in balls where two doubles do not tell what is observed."""
        return Frame(float(since[0])), self._view.resolved(digits, error, since, numbers)

    def ended_along(self, found: Any, times: Array) -> list[Excess | None]:
        """Loss above its limit of members whose limits two doubles tell, or a closed form.

        Potentials are observed at each state, which has as many digits as that takes.
        """
        codes = self.axis_codes()
        if codes is None:
            return [None] * len(found.digits)
        ends = follow_tails(found, times, self._loss.form.plain, codes[1:], not self.potentials)
        return above_limits(found, ends, codes[1:], self.steps[0])

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow with ``digits`` digits, of a loss in closed form.

        Raises
        ------
        InputError
            For a loss that takes quadrature.
        """
        if self._loss.averaged:
            raise InputError("method 'reference' needs a loss in closed form; choose another")
        exact = numeric(self._loss.form.plain, self._loss.y, (), "mpmath")
        size = len(state.x)
        axes = np.eye(size, dtype=int).tolist()

        def velocity(x: list[Any]) -> list[Any]:
            return [-g for g in exact.both(*x)[1:]]

        def jacobian(x: list[Any]) -> Array:
            return -np.array([[float(r) for r in exact.rates(*x, *axis)[1:]] for axis in axes])

        return Smooth(velocity, jacobian, state.x.tolist(), self._view.with_digits)
