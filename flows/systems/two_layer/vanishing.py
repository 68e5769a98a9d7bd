r"""Students of a kinked activation that reach zero in finite time, where a run has to end.

Near `w = 0` the loss is, but for what no `w` changes, the own term of the student and

.. math:: P(w) = a \sum_q \mu_q k(w, u_q) = |w|\, p(\hat w), \qquad
          |w|' = -p(\hat w), \quad \hat w' = -\nabla p(\hat w) / |w|

since kernels are of degree one. So the direction descends `p` on the sphere, ever faster. Where it
ends at `p > 0`, the student is at zero after the time `|w|/p`. There the loss has the kink of `P`:

- if `p > 0` in every direction, zero is where the student stays: `|w|' < 0` next to it;
- if `p < 0` in some, it may leave along each minimum of `p`, or later: the flow is not unique.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array, lengths
from flows.core.chart import Chart
from flows.core.piece import Event, Piece, Restart
from flows.core.problem import KINK_REACHED, Interpolant, Stop, Watch
from flows.core.sphere import make_least
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.network import Network, kernel_of
from flows.systems.own.energy_piece import EnergyPiece
from flows.systems.own.pieces import OwnPiece
from flows.systems.own.sound_state import SoundState

__all__ = ["KinkedPiece", "Vanishing", "named", "vanishing"]

# A student is looked at where it is shorter than this part of the longest one, or than what so many
# steps are off.
SHORT, STEPS = 1e-9, 30.0
# Until a student is at zero, the others change its slope by less than this part.
STEADY = 1e-2
# Directions in which the least slope is looked for, and how many of the best are polished.
DIRECTIONS, POLISHED = 48, 6
# What may be left of the gradient on the sphere, in units of `p`.
LEVEL = 1e-3
# A slope below this part of its terms is zero to rounding.
ROUNDED = 1e-12


class Vanishing(NamedTuple):
    """A student that is about to reach zero.

    Parameters
    ----------
    student : int
        Which one.
    left : float
        Time until then.
    slope, least : float
        `p` in the direction in which it arrives, and in the direction of the least one found.
    """

    student: int
    left: float
    slope: float
    least: float

    def reason(self, time: float, names: str) -> str:
        """Say where it is, and how the flow goes on from there."""
        if self.least > 0:
            after = (
                "the loss rises from there in every direction that was tried, by"
                f" {self.least:.3g} per length or more, so that zero is where it stays: go on"
                " without it"
            )
        else:
            after = (
                f"the loss falls from there in other directions, by {-self.least:.3g} per length,"
                " and when and where the student leaves is not determined by the gradient"
            )
        return f"{names} zero at t = {time:.10g}, where the loss has a kink; {after}"


def vanishing(
    network: Network, y: Array, slopes: Array, short: float, beyond: int = 0
) -> Vanishing | None:
    """The student that is about to reach zero in finite time, if there is one.

    Parameters
    ----------
    network : Network
        With a kink.
    y, slopes : ndarray, shape (N,)
        A flat state, and the gradient there, with all digits of doubles.
    short : float
        Students are looked at below this part of the length of the longest one.
    beyond : int
        Dimensions outside the coordinates of the network.
    """
    w, a = network.split(y)
    size = lengths(w)
    i = int(np.argmin(size))
    if not 0 < size[i] < short * size.max():
        return None
    by_w, by_a = network.split(slopes)
    by_a = by_a if network.trained else np.zeros_like(a)
    p = float(w[i] @ by_w[i]) / float(size[i])
    others = np.arange(len(a)) != i
    # A kernel's gradient changes by no more than the other neuron does, for slopes up to one.
    moves = np.abs(a) * np.linalg.norm(by_w, axis=1) + np.abs(by_a) * size
    changes = abs(a[i]) * float(moves[others].sum())
    if not (p > 0 and changes * size[i] < STEADY * p * p):
        return None
    slope = _Slope(network, y, i, int(beyond > 0))
    end, left = slope.least(slope.own, 1)
    if not (end > 0 and left <= LEVEL * end) or changes * size[i] >= STEADY * end**2:
        return None
    least, _ = slope.least(slope.others, POLISHED)
    return Vanishing(i, float(size[i] / end), end, min(end, least))


def named(member: NDArray[np.intp], distinct: int) -> str:
    """Sentence of the students that are one and vanish."""
    which = [str(i + 1) for i in np.flatnonzero(member == distinct)]
    if len(which) == 1:
        return f"student {which[0]} is"
    return f"students {', '.join(which[:-1])} and {which[-1]} are"


class _Slope:
    """The slope `p` of a student's direction, the others as they are."""

    def __init__(self, network: Network, y: Array, student: int, extra: int) -> None:
        """Take a flat state, and a number of dimensions beyond its coordinates."""
        teachers = tuple((*v, *((0.0,),) * extra) for v in network.teachers)
        self.network, self.student = replace(network, teachers=teachers), student
        w, self.outputs = network.split(y)
        self.w = np.pad(w, ((0, 0), (0, extra)))
        kernel = kernel_of(network.activation, "numpy")
        self.alone = self.outputs[student] ** 2 * kernel.linear
        self.own = self.w[student : student + 1]
        drawn = np.random.default_rng(0).normal(size=(DIRECTIONS, self.network.d))
        self.others = np.concatenate([np.eye(self.network.d), -np.eye(self.network.d), drawn])

    def at(self, x: Array) -> tuple[Array, Array]:
        """Return `p` in directions, shape (K, d), and the gradient of `|x| p` there."""
        place, outputs = (np.repeat(z[None], len(x), axis=0) for z in (self.w, self.outputs))
        place[:, self.student] = x
        found = arrays.gradient(self.network, self.network.joined(place, outputs))
        g = self.network.split(found)[0][:, self.student] - self.alone * x
        return np.sum(g * x, axis=1), g

    def least(self, x: Array, count: int) -> tuple[float, float]:
        """Least `p` from the best directions, and what is left of its gradient on the sphere.

        It is zero where doubles do not tell it.
        """
        x = x / np.linalg.norm(x, axis=1)[:, None]
        best = x[np.argsort(self.at(x)[0])[:count]]

        def one(_: None, u: Array, gradient: Array) -> float:
            (value,), (gradient[:],) = self.at(u[None])
            return float(value)

        rows = np.linalg.norm(self.network.digits[..., 0], axis=1)
        size = float(rows @ np.abs(np.array(self.network.weights)))
        size += float(np.abs(self.outputs) @ np.linalg.norm(self.w, axis=1))
        size *= abs(float(self.outputs[self.student]))
        value, where = make_least(one)(None, best, count, size)
        ((p,), (g,)) = self.at(where[None])
        left = float(np.linalg.norm(g - p * where))
        return (float(value) if abs(value) > ROUNDED * size else 0.0), left


@dataclass(frozen=True)
class KinkedPiece(Piece):
    """A piece that ends where a student is about to reach zero.

    Parameters
    ----------
    chart : Chart
        That of ``inner``.
    inner : Piece
        The piece as it would be without.
    network : Network
        Distinct students in the coordinates of the run.
    beyond : int
        Dimensions outside these.
    names : callable
        How a distinct student is called.
    """

    chart: Chart
    inner: EnergyPiece | OwnPiece
    network: Network
    beyond: int
    names: Callable[[int], str]

    @property
    def counted(self) -> float:  # type: ignore[override]
        """As that of the piece."""
        return self.inner.counted

    def decode(self, raw: Array) -> SoundState:
        """As that of the piece."""
        found: SoundState = self.inner.decode(raw)
        return found

    def at(self, tau: Array | float, y: Array) -> SoundState:
        """As that of the piece."""
        found: SoundState = self.inner.at(tau, y)
        return found

    def watch(self, rtol: float) -> Watch:
        """End the piece before a student is at zero."""
        inner, short = self.inner, max(SHORT, STEPS * rtol)
        watch = inner.watch(rtol)

        @functools.lru_cache(maxsize=1)  # what an alarm has found the check asks for
        def found_at(tau: float, state: bytes) -> Vanishing | None:
            y = np.frombuffer(state)
            place = inner.place(tau, y)
            size = lengths(self.network.split(place)[0])
            if not size.min() < short * size.max():
                return None
            slopes = inner.slopes(tau, y)
            return vanishing(self.network, place, slopes, short, self.beyond)

        def near(tau: float, y: Array) -> Vanishing | None:
            return found_at(tau, y.tobytes())

        def alarm(tau: float, y: Array) -> float:
            found = watch.alarm(tau, y)  # which puts down the step
            return -1.0 if near(tau, y) else found

        def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
            found = near(tau, y)
            return Stop(tau, y, found) if found else watch.check(before, tau, y, interpolant)

        def alarms(taus: Array, states: Array) -> Array:
            # Compiled steps end where the piece does, but know nothing of students.
            found = np.full(len(taus), -1.0)
            if watch.noted is not None:
                watch.noted(taus, states)
            for k, (tau, y) in enumerate(zip(taus.tolist(), states, strict=True)):
                if near(tau, y):
                    break
                found[k] = 1.0 if k + 1 < len(taus) else watch.alarm(tau, y)
            return found

        return Watch(alarm, check, alarms)

    def restart(self, stop: Stop) -> Restart:
        """End the run where a student vanishes, else as the piece."""
        after = self.inner.restart(stop)
        found = stop.cause
        if not isinstance(found, Vanishing):
            return after
        time = self.time(stop.tau) + found.left
        names = self.names(found.student)
        reason, event = found.reason(time, names), Event(time, "vanishing", f"{names} zero")
        return after._replace(events=(event,), failure=reason, status=KINK_REACHED)

    def stuck(self, last: Stop) -> str:
        """As that of the piece."""
        return self.inner.stuck(last)
