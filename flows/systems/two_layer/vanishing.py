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

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart
from flows.core.piece import Event, Piece, Restart
from flows.core.problem import KINK_REACHED, Interpolant, Stop, Watch
from flows.systems.own.sound_state import SoundState
from flows.systems.two_layer import arrays
from flows.systems.two_layer.network import Network, kernel_of

__all__ = ["KinkedPiece", "Vanishing", "vanishing"]

# A student is looked at where it is shorter than this part of the longest one, or than what so many
# steps are off.
SHORT, STEPS = 1e-9, 30.0
# Until a student is at zero, the others change its slope by less than this part.
STEADY = 1e-2
# Directions, and steps of the descent on the sphere.
DIRECTIONS, DESCENT, STRIDE = 48, 400, 0.5
# A slope below this part of what its terms are is not told from zero.
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
    size = np.linalg.norm(w, axis=1)
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
    ends = _descended(network, y, i, beyond)
    if not ends[0] > 0 or changes * size[i] >= STEADY * ends[0] ** 2:
        return None
    return Vanishing(i, float(size[i] / ends[0]), float(ends[0]), float(ends.min()))


def _descended(network: Network, y: Array, i: int, beyond: int) -> Array:
    """Where `p` descends to on the sphere, from the student's own direction and from others."""
    extra = int(beyond > 0)
    wide = replace(network, teachers=tuple((*v, *((0.0,),) * extra) for v in network.teachers))
    w, a = network.split(y)
    w = np.pad(w, ((0, 0), (0, extra)))
    directions = np.random.default_rng(0).normal(size=(DIRECTIONS, wide.d))
    x = np.concatenate([w[i : i + 1], np.eye(wide.d), -np.eye(wide.d), directions])
    x = x / np.linalg.norm(x, axis=1)[:, None]
    place = np.repeat(w[None], len(x), axis=0)
    outputs = np.repeat(a[None], len(x), axis=0)
    own = a[i] ** 2 * kernel_of(network.activation, "numpy").linear
    size = np.linalg.norm(wide.digits[..., 0], axis=1) @ np.abs(np.array(network.weights))
    size += float(np.abs(a) @ np.linalg.norm(w, axis=1))
    for _ in range(DESCENT):
        place[:, i] = x
        g = wide.split(arrays.gradient(wide, wide.joined(place, outputs)))[0][:, i] - own * x
        p = np.sum(g * x, axis=1)
        x = x - STRIDE * (g - p[:, None] * x) / (abs(a[i]) * size)
        x = x / np.linalg.norm(x, axis=1)[:, None]
    return np.asarray(np.where(np.abs(p) > ROUNDED * abs(a[i]) * size, p, 0.0))


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
    place, gradient : callable
        Of solver time and state: the flat state, and the gradient to the digits of doubles.
    names : callable
        How a distinct student is called.
    """

    chart: Chart
    inner: Piece
    network: Network
    beyond: int
    place: Callable[[float, Array], Array]
    gradient: Callable[[float, Array], Array]
    names: Callable[[int], str]

    @property
    def counted(self) -> bool:  # type: ignore[override]
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
        inner, short = self.inner.watch(rtol), max(SHORT, STEPS * rtol)
        assert inner is not None

        def near(tau: float, y: Array) -> Vanishing | None:
            place = self.place(tau, y)
            size = np.linalg.norm(self.network.split(place)[0], axis=1)
            if not size.min() < short * size.max():
                return None
            slopes = self.gradient(tau, y)
            return vanishing(self.network, place, slopes, short, self.beyond)

        def alarm(tau: float, y: Array) -> float:
            return -1.0 if near(tau, y) else inner.alarm(tau, y)

        def check(before: float, tau: float, y: Array, interpolant: Interpolant) -> Stop | None:
            found = near(tau, y)
            return Stop(tau, y, found) if found else inner.check(before, tau, y, interpolant)

        return Watch(alarm, check)

    def restart(self, stop: Stop) -> Restart:
        """End the run where a student vanishes, else as the piece."""
        after = self.inner.restart(stop)
        found = stop.cause
        if not isinstance(found, Vanishing):
            return after
        time = self.time(stop.tau) + found.left
        reason = found.reason(time, self.names(found.student))
        event = Event(time, "vanishing", reason)
        return after._replace(events=(event,), failure=reason, status=KINK_REACHED)

    def stuck(self, last: Stop) -> str:
        """As that of the piece."""
        return self.inner.stuck(last)
