"""A run in the span of teachers and start: up to 150 numbers with as many digits as it takes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from flint import arb

import potentials
from flows.core.arrays import Array, distinct
from flows.core.axis_field import AxisTerms, Code
from flows.core.balls import precision
from flows.core.features import Features
from flows.core.minimiser import Approach
from flows.core.piece import Piece, Restart
from flows.core.system import Excess, Smooth
from flows.systems.hidden_layer.network import Network
from flows.systems.hidden_layer.program import codes_of
from flows.systems.own import energy
from flows.systems.own.served import RESERVE
from flows.systems.own.sound_state import SoundState, feature_names, stated_errors, unknown_at
from flows.systems.own.view import View, as_balls
from flows.systems.two_layer.features import (
    ALONE,
    FEATURES,
    WITH_ERRORS,
    Motion,
    errors,
    features,
    motion_of,
)
from flows.systems.two_layer.loss import PairLoss
from flows.systems.two_layer.span import Frame, coordinates, frame_of, restored, scaled, teachers_in
from flows.systems.two_layer.spectrum import curvatures, spectrum
from flows.systems.two_layer.vanishing import SHORT, STEPS, KinkedPiece, named
from potentials import Statements
from symbolic.asymptotics.refusal import NoLaw

if TYPE_CHECKING:
    from symbolic.asymptotics.point import Point

__all__ = ["InSpan", "axis_terms"]

SEEN = feature_names((), averaged=False)


@dataclass(frozen=True)
class InSpan:
    """How runs of two layers are followed.

    Parameters
    ----------
    network : Network
        In the user's coordinates.
    doubles : bool
        Whether states are doubles, however few.
    steps : tuple
        Tolerances of steps, as of :class:`flows.OwnSystem`.
    low : float
        A falling loss below it falls to zero.
    """

    network: Network
    doubles: bool
    steps: tuple[float, float, bool, bool]
    low: float

    containers: ClassVar[tuple[type, type]] = (Frame, SoundState)
    lanes: ClassVar[None] = None

    @property
    def statements(self) -> Statements:
        """Potentials and claims of two layers."""
        return potentials.statements("two_layer")

    def _within(self, frame: Frame) -> Network:
        """Network of distinct students in the coordinates of the run."""
        fixed = not self.network.trained
        outputs = tuple(self.network.outputs[i] for i in frame.first) if fixed else ()
        counts = tuple(frame.count.tolist()) if (frame.count > 1).any() else ()
        return replace(self._spanned(frame.basis, len(frame.count), outputs), counts=counts)

    def _whole(self, frame: Frame) -> Network:
        """Network of all students in the coordinates of the run."""
        return self._spanned(frame.basis, self.network.students, self.network.outputs)

    def _spanned(self, basis: Array, students: int, outputs: tuple[float, ...]) -> Network:
        vectors = self.network.digits[..., 0]
        return replace(
            self.network,
            students=students,
            teachers=teachers_in(basis, vectors.tolist()),
            outputs=outputs,
        )

    def _view(self, frame: Frame) -> View:
        """The loss of distinct students, followed as one of one's own."""
        arithmetic = "doubles" if self.doubles else "auto"
        return View(PairLoss(self._within(frame)), (), arithmetic, RESERVE, self.steps)

    def reduce(self, start: Array) -> tuple[Frame, SoundState]:
        """Coordinates in the span of teachers and start, exact up to 150 of them.

        Students that are equal to all bits stay so: they are followed as one.
        """
        network = self.network
        fixed = [np.array(network.outputs)] if network.outputs else []
        first, count, member = distinct(np.column_stack([start, *fixed]))
        w, a = start[first, : network.d], start[first, network.d :]
        basis = frame_of(np.concatenate([network.digits[..., 0], w]))
        rows = [scaled(row, c) for row, c in zip(coordinates(basis, w), count, strict=True)]
        moving = [[arb(x) for x in row] for row in a.tolist()]
        outputs = [scaled(row, c) for row, c in zip(moving, count, strict=True)]
        place = [x for row in (*rows, *outputs) for x in row]
        y = rounded(place)
        frame = Frame(math.nan, basis, first, count, member)
        view = self._view(frame)
        if isinstance(view.nodes(y), str):
            return frame, view.in_doubles(y)
        unit, state = view.begun(y, view.loss.at(y)[1], None, place)
        return replace(frame, unit=unit), state

    def restore(self, frame: Frame, state: SoundState) -> Array:
        """User's parameters, shape (..., n, d), or (..., n, d + 1) with trained outputs."""
        found = self._apart(frame, state.x)
        r = len(frame.basis)
        w = restored(frame.basis, found[..., :r])
        return np.concatenate([w, found[..., r:]], axis=-1)

    def _apart(self, frame: Frame, y: Array) -> Array:
        """All students of flat states of the distinct ones, a row each."""
        rows = self._within(frame).shaped(y) / np.sqrt(frame.count)[:, None]
        return np.asarray(rows[..., frame.member, :])

    def _full(self, frame: Frame, y: Array) -> Array:
        """Flat states of all students."""
        rows, r = self._apart(frame, y), len(frame.basis)
        whole = self._whole(frame)
        return whole.joined(rows[..., :r], rows[..., r] if whole.trained else rows[..., 0])

    def begin(self, frame: Frame, state: SoundState) -> Restart:
        """No start is degenerate."""
        return Restart(frame, state, 0.0)

    def piece(self, frame: Frame, state: SoundState, time: float) -> Piece:
        """Piece as of a loss of one's own; with a kink it ends before a student is at zero."""
        network = self._within(frame)
        found = self._view(frame).piece([network.size], frame, state, time)
        if not network.bent:
            return found
        names = functools.partial(named, frame.member)
        return KinkedPiece(found.chart, found, network, self._beyond(frame), names)

    def axis_codes(self) -> tuple[Code, Code, Code] | None:
        """Programs of a network of few entries, in the user's coordinates."""
        few = self.network.size <= energy.MOST_TOGETHER
        return codes_of(self.network) if few and not self.doubles else None

    def along_axes(
        self, digits: Array, error: Array, since: Array, numbers: Array
    ) -> tuple[Frame, SoundState]:
        """Frame and states that compiled steps have reached."""
        n = self.network.students
        basis, every = np.eye(self.network.d)[..., None], np.arange(n)
        frame = Frame(float(since[0]), basis, every, np.ones(n, dtype=int), every)
        return frame, self._view(frame).resolved(digits, error, since, numbers)

    def exact_flow(self, frame: Frame, state: SoundState, digits: int) -> Smooth:
        """Flow with ``digits`` digits: the centres of balls of that precision."""
        from mpmath import mp

        view, bits = self._view(frame), int(digits * math.log2(10)) + 20

        def velocity(x: list[Any]) -> list[Any]:
            with precision(2 * bits):
                return [-mp.mpf(g._mpf_) for g in view.loss.exact.both(as_balls(x))[1:]]

        def jacobian(x: list[Any]) -> Array:
            return -view.loss.hessian(np.array([float(c) for c in x]))

        return Smooth(velocity, jacobian, state.x.tolist(), view.with_digits)

    def beside(self, frame: Frame, states: SoundState, others: Sequence[SoundState]) -> SoundState:
        """States, seen anew, whose errors are their distances to others at the first times."""
        return self._view(frame).beside(states, others)

    # What is seen ------------------------------------------------------------------------

    def _beyond(self, frame: Frame) -> int:
        """Dimensions outside the span of the run."""
        return self.network.d - len(frame.basis)

    def spectrum(self, frame: Frame, state: SoundState) -> tuple[Array, Array]:
        """Eigenvalues of the Hessian of all students, in the span of the run, and off it."""
        return spectrum(self._whole(frame), self._beyond(frame), self._full(frame, state.x))

    @property
    def costly(self) -> Mapping[str, Callable[[Frame, SoundState], Array]]:
        """Eigenvalues of the Hessian of all students."""
        return curvatures(
            self._whole,
            self._beyond,
            lambda frame, states: self._full(frame, states.x),
            lambda states: states.off,
        )

    def features(self, frame: Frame, states: SoundState) -> dict[str, Array]:
        """What the states carry, and what students and teachers have: see :mod:`features`."""
        seen = dict(zip(SEEN, np.moveaxis(states.seen, -1, 0), strict=True))

        @functools.cache
        def others() -> dict[str, Array]:
            network = self._within(frame)
            with np.errstate(all="ignore"):
                motion: Motion = motion_of(network, states)
            return features(network, motion, frame.member, frame.count)

        # Of students and teachers few ask, and gradients are evaluated anew for them.
        return Features(seen, {name: functools.partial(_entry, others, name) for name in FEATURES})

    def errors(
        self, states: SoundState, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Beside the tolerance: see `stated_errors`; of each student, how far the state is off."""
        known = stated_errors({k: features[k] for k in SEEN}, t, tolerance, states.doubt)

        @functools.cache
        def others() -> dict[str, Array]:
            alone = {name: features[name] for name in (*ALONE, "rounding", "gradient_norm")}
            return stated_errors(alone, t, tolerance) | errors(self.network, features, states)

        names = (*ALONE, *WITH_ERRORS)
        return Features(known, {name: functools.partial(_entry, others, name) for name in names})

    def remark(self, frame: Frame, states: SoundState, t: Array) -> str:
        """Say from when on the loss, or its gradient, is not known."""
        return unknown_at(SEEN, states.seen, t)

    def excess(self, frame: Frame, states: SoundState, t: Array, loss: Array) -> Excess:
        """Loss above that of the limit point of the run, with many digits; see :meth:`vanishes`."""
        if self.vanishes(states.seen, t):
            return self.above_zero(states.seen, t)
        return self._view(frame).excess(states, t, states.seen[:, SEEN.index("loss_dot")])

    def vanishes(self, seen: Array, t: Array) -> bool:
        """Whether a low loss falls like `1/t` at least where it is last known.

        One that rests above zero does not: it falls ever less, relative to itself.
        """
        loss, rate = (seen[:, SEEN.index(name)] for name in ("loss", "loss_dot"))
        known = np.flatnonzero(np.isfinite(loss))
        if not len(known) or not loss[known[-1]] < self.low:
            return False
        last = known[-1]
        return bool(-rate[last] * t[last] >= loss[last])

    def above_zero(self, seen: Array, t: Array) -> Excess:
        """Loss of a run whose limit is zero, with its error."""
        loss, rate, rounding = (
            seen[:, SEEN.index(name)] for name in ("loss", "loss_dot", "rounding")
        )
        with np.errstate(invalid="ignore"):
            error = rounding * np.abs(loss) + self.steps[0] * t * np.nan_to_num(np.abs(rate))
        return Excess(loss, 0.0, "", error)

    def ended_along(self, found: Any) -> list[Excess | None]:
        """Loss of members whose limit is zero, as compiled steps have found it; None of others."""
        times, known = found.since - found.since[:, :1], (found.numbers[..., 5] == 1).all(axis=1)
        each = zip(found.numbers[..., : len(SEEN)], times, known, strict=True)
        return [
            self.above_zero(seen, t) if one_known and self.vanishes(seen, t) else None
            for seen, t, one_known in each
        ]

    def arrival(self, frame: Frame, state: SoundState, t: float, point: Point) -> Approach:
        """How a run without a kink arrives at its limit.

        Raises
        ------
        NoLaw
            In a span of its own.
        """
        if self._beyond(frame):
            raise NoLaw("the limit of the run is not looked for: it moves in a span of its own")
        if len(frame.count) < len(frame.member):
            raise NoLaw("the limit of the run is not looked for: equal students are one")
        return self._view(frame).arrival(state, t, point, shaped=self._within(frame).shaped)


def axis_terms(rtol: float, step: float) -> AxisTerms:
    """As in charts of a run alone, whose watch looks at students that are as short.

    Longer charts overstate errors that pass beside a saddle; more digits of axes do not lower what
    errors of slow directions say.
    """
    short = max(SHORT, STEPS * rtol) ** 2
    return energy.axis_terms(rtol, step, short=short, rough=math.inf, reach=energy.ENERGY)


def _entry(found: Callable[[], dict[str, Array]], name: str) -> Array:
    return found()[name]


def rounded(values: Sequence[Any]) -> Array:
    """Centres of balls as doubles."""
    return np.array([float(x) for x in values])
