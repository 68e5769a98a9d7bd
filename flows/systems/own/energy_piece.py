"""One chart in units of energy, as a piece of a run: its states, where it ends, what follows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.chart import Chart
from flows.core.piece import Event, Piece, Restart
from flows.core.problem import Interpolant, Stop, Watch
from flows.core.symmetric import eigen
from flows.systems.own.carried_errors import Errors
from flows.systems.own.energy_units import FALLS
from flows.systems.own.exact import SERVES, WRONG, is_steep, value_of
from flows.systems.own.increment import Increment
from flows.systems.own.kink import KINK, jump_beside
from flows.systems.own.serving import Serving, no_rule
from flows.systems.own.sharp_axes import sharp_axes
from flows.systems.own.sound_state import TRUSTED, SoundState
from flows.systems.own.stretch import MOST, Passage
from flows.systems.own.trail import Trail

__all__ = ["STAYS", "EnergyPiece"]

# Curvatures along axes are known to this part of the largest one.
SECOND_ORDER = 1e-26
# Eigenvalues in doubles are known to this part of the largest one.
ROUNDING = 1e-13
# Axes with this many bits are right to half of them, and resolve this part of a gradient.
BITS, ROUNDED = 256, 1e-30
#: A state that stays is off by less than this, in units of energy.
STAYS = 10.0
UNKNOWN = (
    "no number of bits determines the gradient here, as at a kink of the loss: start beside it, or,"
    " with a loss of your own, take arithmetic='doubles'"
)
GROWS = (
    "the gradient grows, to {:.2g}, and the error of the run grows with it, as where a plateau is"
    " left ever faster, or on the way to a point where the loss is singular; end the run before, or"
    " take a smaller rtol"
)
BEYOND = (
    "the gradient has grown to {:.2g}, and no further is it followed: the loss may have no least"
    " value; end the run before"
)
# What is left to fall is not followed beyond this: its square root is far from overflow, and a few
# steps later it is finite, too.
LARGEST = 1e250
# The rule of an expectation is looked at anew where entries have moved by this part of the largest
# one: on the way its error grows by far less than from `SERVES` to `WRONG`.
MOVED = 0.1
# Curvature times time of a state that the flow leaves ever faster, before a singularity.
SOON = -1e7


@dataclass(frozen=True)
class EnergyPiece(Piece):
    """Piece of a run of an own system in units of energy.

    Parameters
    ----------
    observed : callable
        State of exact places, with the observables there.
    frame, state : Frame (of any system, with its `unit`), SoundState
        Where it began.
    chart : Chart
        What the solver follows.
    increment : Increment
        Places and gradients.
    energy : callable
        `energy(tau, u)`, by the curvature at the start of the chart.
    hessian : callable
        `hessian(u, s)` in the user's coordinates, at a time `s`.
    begun, least, most, rests : float
        Energies at its start, at which it ends, and below which the state stays.
    ends : float
        Solver time at which it ends.
    errors : Errors
        Errors of its states, including the errors of steps in the chart.
    off : float
        Of a state that stays, see :class:`SoundState`.
    trail : Trail
        Where its steps have led.
    passage : Passage
        Its steps once more, which tell how errors have grown.
    serving : Serving, optional
        The rule of its expectation.
    """

    observed: Callable[..., SoundState]
    frame: Any
    state: SoundState
    chart: Chart
    increment: Increment
    energy: Callable[[float, Array], float]
    hessian: Callable[[Array, float], Array]
    begun: float
    least: float
    most: float
    rests: float
    ends: float
    errors: Errors
    off: float
    trail: Trail
    passage: Passage
    serving: Serving | None = None
    anywhere = True
    counted = 0.0  # steps end the run, not pieces

    def decode(self, raw: Array) -> SoundState:
        """States of increments at the start of the chart."""
        return self.at(0.0, raw)

    def at(self, tau: Array | float, y: Array) -> SoundState:
        """State(s) of the increment(s) ``y`` at ``tau``, exact."""
        return self._seen(tau, y, self.errors)

    def _seen(self, tau: Array | float, y: Array, errors: Errors) -> SoundState:
        many = np.atleast_2d(y)
        since = self.frame.unit + np.broadcast_to(self.chart.clock.time(tau), len(many))
        known = np.stack([since, np.full(len(many), self.off)], axis=-1)
        found = self.observed([self.increment.place(u) for u in many], known, errors)
        grown = self.state.grown + self.passage.stretch(tau)
        if np.any(grown):
            found = replace(found, grown=np.broadcast_to(np.minimum(grown, MOST), len(many)))
        return found if np.ndim(y) > 1 else found.at(0)

    def watch(self, rtol: float) -> Watch:
        """End the piece where its energy has changed, or its time."""
        seen: list[Array] = []

        def serves(u: Array) -> bool:
            if self.serving is None:
                return True
            place = self.place(0.0, u)
            if self.serving.cheap:
                return self.serving.left(place) <= SERVES
            size = float(np.abs(seen[0]).max()) if seen else 0.0
            if not seen or float(np.abs(place - seen[0]).max()) > MOVED * size:
                seen[:] = [place]
                return self.serving.left(place) <= SERVES
            return True

        def alarm(tau: float, u: Array) -> float:
            self.trail.note(tau, u)
            self.passage.noted(np.array([tau]), u[None])
            energy = self.energy(tau, u)
            inside = self.least < energy < self.most and tau < self.ends
            return 1.0 if inside and serves(u) else -1.0

        def check(before: float, tau: float, u: Array, interpolant: Interpolant) -> Stop:
            left = 0.0 if self.serving is None else self.serving.left(self.place(tau, u))
            if before > 0 and left > WRONG:
                return Stop(before, interpolant(before))
            # A state that does not move passes the end in one step.
            return Stop(tau if self.begun > self.rests else min(tau, self.ends), u)

        return Watch(alarm, check, noted=self.passage.noted)

    def place(self, tau: float, u: Array) -> Array:
        """Where an increment leads, in doubles."""
        return np.array([float(x) for x in self.increment.place(u)])

    def slopes(self, tau: float, u: Array) -> Array:
        """Gradient there to the last digits of doubles; NaN where no number of bits tells it."""
        found = value_of(lambda: self.increment.loss.both(self.increment.place(u)), is_steep)
        return np.array([math.nan] * len(u) if found is None else [float(x) for x in found[1:]])

    def _falls(self, u: Array) -> bool:
        """Whether the gradient has a part along which the loss curves downward."""
        curved = self.increment.curvature(u)
        if not np.isfinite(curved).all():
            return True  # it may
        h, axes = eigen(curved)
        least = -max(SECOND_ORDER, self.increment.loss.known) * float(np.abs(h).max())
        down = [k for k in np.flatnonzero(h < 0) if self.increment.bends(u, axes[:, k]) < least]
        place = self.increment.place(u)
        slopes = self.increment.loss.both(place)[1:]
        if not down:
            return False
        found = np.array([float(x) for x in slopes])
        # An axis in doubles may be off by its last bit, and be turned into the gradient by that, or
        # out of it.
        with precision(BITS):
            along = sharp_axes(self.increment.loss.hessian(place), axes, BITS).along(slopes)
        return bool((np.abs(along[down]) > ROUNDED * np.abs(found).max()).any())

    def _fresh(self, u: Array) -> Array:
        """What steps leave; an axis that nothing seemed to push along is not kept if they did."""
        fresh = self.errors.fresh
        moved = (fresh == 0) & (u != 0)
        if not moved.any():
            return fresh
        size = self.increment.size
        found: Array = np.where(moved, (fresh / size).max() * size, fresh)
        return found

    def restart(self, stop: Stop) -> Restart:
        """Go on around the new state, or stay there."""
        energy, time = self.energy(stop.tau, stop.y), self.time(stop.tau)
        # Steps are asked for a part of the energy that is left.
        share = energy / self.begun if self.begun else 1.0
        anew = min(self.errors.anew, math.sqrt(share)) if share >= 0 else 1.0
        errors = replace(self.errors, fresh=self._fresh(stop.y), anew=anew)
        state = self._seen(stop.tau, stop.y, errors)
        if math.isnan(energy):
            return Restart(self.frame, state, time, (), UNKNOWN)
        if energy > LARGEST:
            message = BEYOND.format(math.hypot(*self.increment.gradient(stop.y)))
            return Restart(self.frame, state, time, (), message)
        frame = self.frame
        if self.serving is not None:
            if (found := self.serving.anew(state.x)) is None:
                return Restart(frame, state, time, (), no_rule(self.serving.loss))
            frame = frame.by(found)
        rests, falls = energy <= self.rests, self.errors.curvature[0] * self.errors.since < FALLS
        if rests or falls:
            why = self._leaves(stop.y, state, energy, rests)
            if why:
                return Restart(frame, state, time, (), why)
        if not rests:
            return Restart(frame, state, time)
        message = f"the energy that is left is below {self.rests:g}; the state stays"
        return Restart(frame, state.staying(STAYS), time, (Event(time, "underflow", message),))

    def stuck(self, last: Stop) -> str:
        """Say so where the gradient jumps downhill of a state: steps go to and fro there.

        Or where it grows ever faster, and steps reach over what is singular.
        """
        slope = np.abs(self.increment.gradient(last.y))
        grows = self.energy(last.tau, last.y) >= self.begun and slope.argmax() == 0
        soon = self.errors.curvature[0] * self.errors.since < SOON
        message = GROWS.format(math.hypot(*slope.tolist())) if grows and soon else ""
        if message and self.errors.late > 0:  # a singularity closer than that is not resolved
            return message
        units, place = self.increment.size, self.increment.place(last.y)
        found = jump_beside(
            lambda far: self.increment.gradient(last.y + far / units),
            lambda far: float(np.abs(self.increment.curvature(last.y + far / units)).max()),
            len(units),
            math.hypot(*map(float, place)),
            float(np.abs(self.errors.curvature).max()),
            self.time(last.tau),
        )
        if not math.isnan(found):
            return KINK.format(self.time(last.tau), found)
        return message

    def _leaves(self, u: Array, state: SoundState, energy: float, rests: bool) -> str:
        """Why a state beside a saddle is not followed any more, or nothing."""
        if rests:
            low = f"its energy is below {self.rests:g}"
            stays = not self._falls(u)
            return "" if stays else f"beside a saddle, and nothing says that it stays: {low}"
        curved = self.hessian(u, float(state.energy[0]))
        if not np.isfinite(curved).all():
            return ""
        h, _ = eigen(curved)
        # Where nothing pushes it along these axes, as a symmetry demands, it stays between sides.
        falls = h < FALLS / float(state.energy[0]) + ROUNDING * np.abs(h).max()
        if not state.error[falls].any():
            return ""
        unknown = np.sqrt(np.abs(h) / 2) * state.error > TRUSTED * math.sqrt(energy)
        if not unknown.any():
            return ""
        if energy > self.begun:  # beside a saddle it falls
            return GROWS.format(math.hypot(*self.increment.gradient(u).tolist()))
        return (
            "beside a saddle, and it is not known whether it leaves, and to which side: the"
            f" displacement is below its error {state.error[unknown].max():.2g}"
        )
