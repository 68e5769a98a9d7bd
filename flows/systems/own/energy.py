r"""Charts in units of energy: twelve decades of any smooth loss, with nothing asked of the user.

The solver follows the increment `u` since the start of the chart, `y = c + Q (size u)`, in the
eigenbasis `Q` of the Hessian at the exact state `c`,

.. math:: \frac{du_i}{d\tau} = -s \frac{(Q^T \nabla L)_i}{\text{size}_i}, \qquad
   s = (t_c + T_0) e^\tau, \qquad \text{size}_i = \sqrt{2 E/f_i}, \qquad
   E = \frac12 \sum_i g_i^2/f_i, \qquad f_i = \max(|h_i|, 1/(t_c + T_0))

`E` is the energy that is left, of the size of `L - L*`, which nobody knows; so the relative
tolerance of a step is that of the loss, in any coordinates. The floor of `f` makes slow, tangent
and fast directions one formula. The gradient and both products with `Q` are in balls: a sum
`c + increment` never rounds what is small.

Two kinds of directions are followed to less than their share of the energy (:func:`units`). A stiff
one has arrived, and what steps leave there would be the gradient at late times. One of negative
curvature grows by `exp(-h t)`, so that beside a saddle its displacement is measured by itself; what
is not known of it grows as fast, and where it holds the energy the run says so.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from flint import arb, arb_mat

from flows.core.arrays import Array
from flows.core.axis_field import AxisField, Code
from flows.core.balls import precision
from flows.core.chart import Chart, Clock
from flows.core.limit import Balls
from flows.core.piece import Event, Piece, Restart
from flows.core.problem import ATOL_PER_RTOL, Interpolant, Stop, Watch
from flows.core.symmetric import eigen
from flows.systems.own.code import split
from flows.systems.own.exact import BITS, MORE, MOST_BITS, Nodes, from_doubles
from flows.systems.own.features import TRUSTED, Errors, SoundState
from flows.systems.own.graded import Axes, better_axes
from flows.systems.own.linear_tail import linear_field, way
from flows.systems.own.loss import Loss
from flows.systems.own.sharp_axes import SharpAxes, sharp_axes
from flows.systems.own.twofold import Twofold, code_of, rates_of
from symbolic.language.lower import Undecided

__all__ = ["EnergyPiece", "Increment", "energy_piece", "first_time", "units"]

# Radau keeps exponential tails, where the errors of BDF add up over charts. LSODA is the fastest
# where nothing is stiff, and begins each chart with small steps, so that its errors add up too: it
# is asked for more. BDF is for many entries, where an evaluation costs more than a step.
SLOW, FAST, LARGE = (("Radau", 1.0), ("BDF", 0.1)), (("LSODA", 0.01),), (("BDF", 0.1),)
# LSODA is asked for no less than this, where `s |h|` is below that; BDF from so many entries.
LSODA_TOLERANCE, GENTLE, MANY = 1e-12, 1e4, 24
# Compiled steps are taken for no more entries: their linear algebra is plain loops.
MOST_COMPILED = 24
# The field is known to this part of the energy of its chart, a hundredth of which ends the chart.
FIELD = 1e-16
# Two doubles are taken where they know it to this part of the tolerance of a step, or to the
# second one: an axis that a symmetry keeps has a slope of the rounding of its own direction.
PART_TWOFOLD, FIELD_TWOFOLD = 1e-3, 1e-14
# Hessians are known to this part of their largest entry, curvatures along their axes to this.
CURVATURE, SECOND_ORDER = 1e-14, 1e-26
# From the digits of doubles to four times as many: each step squares what is left.
ORTHONORMAL = 2
# The energy changes by this factor in a chart, and time by this one.
ENERGY, TIME = 100.0, 100.0
#: Below this energy a chart would leave the doubles: the state stays.
UNDERFLOW = 1e-290
# An entry of a start below this is next to 0.
LEAST_SIZE = 1e-60
#: Below this one the gradient of a fixed rule, right to 1e-30, is not that of the expectation.
AVERAGED = 1e-60
# Curvature in doubles is exact enough for Newton's method and for axes as long as `s |h|` is below
# this, and costs more than that in balls for few entries.
STIFF, FEW = 1e13, 6
# A state that stays is off by less than this, in units of energy.
STAYS = 10.0
# The displacement beside a saddle is followed where it is so many times the error of its gradient.
ABOVE = 2.0**60
# Curvature times `t` below which a direction can leave within a chart.
FALLS = -0.01
# Beyond this curvature times `t` two doubles might grow above the tolerance within a chart.
LINGERS = 1e3
UNKNOWN = (
    "no number of bits tells the gradient here, as at a kink of the loss: start beside it, or, with"
    " a loss of your own, take arithmetic='doubles'"
)
KINK = (
    "at t = {:.6g} the gradient jumps within {:.1g} of the state: the loss has a kink there, or a"
    " jump, beyond which no gradient leads; end the run before, or take a smooth activation"
)
# A jump is looked for at distances from `2^-NEAREST` to `2^-NEAR` of the state's length; there the
# gradient changes by so many times what the curvature on both sides explains; or, at the tip of a
# cone, whose sides curve the more the nearer, what that at the start of the chart does.
NEAREST, NEAR, JUMPS, CONES = 50, 8, 100.0, 1e6
# What the steps of a chart leave, in units of energy, relative to their tolerance; of a multistep
# method, whose first steps are many and of low order; and of BDF as it is asked for many entries.
LEFT, LEFT_MULTISTEP, LEFT_MANY = 1.0, 800.0, 80.0


def first_time(state: Array, slope: Array, curvature: Array) -> float:
    """`T0`: time in which curvature, or a move by the size of the state, changes the gradient."""
    size = float(np.abs(state).max(initial=0.0))
    # A start next to 0 has no size of its own: in that time it would have no energy.
    size = size if size > LEAST_SIZE else 1.0
    rate = float(np.abs(curvature).max(initial=0.0) + np.abs(slope).max(initial=0.0) / size)
    return 1 / rate if 1e-200 < rate < math.inf else 1.0


def floor(h: Array, since: float) -> Array:
    """Curvature by which an axis is measured: slow and flat ones by the time that has passed."""
    found: Array = np.maximum(np.abs(h), 1 / since)
    return found


def units(slopes: Array, doubt: Array, h: Array, since: float) -> Array:
    r"""Units of the increment along each axis.

    .. math:: \sqrt{2 E/f_i} \max(\sqrt{E_i/E}, (1 + s h_i)^{-1/2}), \qquad E_i = g_i^2/(2 f_i)

    and :math:`|g_i|/f_i` where the loss curves downward.

    Parameters
    ----------
    slopes, doubt : ndarray, shape (N,)
        Gradient along the axes, and its error.
    h : ndarray, shape (N,)
        Curvatures.
    since : float
        `s`, the time that has passed.
    """
    floored = floor(h, since)
    shares = np.abs(slopes) / np.sqrt(floored)
    most = float(shares.max(initial=0.0)) or 1.0  # squares of what is small are zero in doubles
    largest = most * np.linalg.norm(shares / most) / np.sqrt(floored)
    own = np.abs(slopes) / floored
    arrived = np.maximum(own, largest / np.sqrt(1 + since * np.maximum(h, 0)))
    beside = np.maximum(own, ABOVE * doubt / floored)
    return np.where((h * since < FALLS) & (beside > 0), beside, arrived)


def orthonormal(axes: Array) -> Any:
    r"""Exact columns that are orthonormal to all bits, beside those in doubles.

    .. math:: Q \to Q (3 I - Q^T Q)/2

    The flow in the coordinates `Q` is `-Q Q^T \nabla L`. With `Q Q^T` off by a rounding, what a
    symmetry keeps at zero would move by that part of all that moves, and grow where it can.
    """
    size = len(axes)
    with precision(BITS):
        found = arb_mat(size, size, [arb(x) for x in axes.ravel().tolist()])
        thrice = arb_mat(size, size, [arb(3 * (i == k)) for i in range(size) for k in range(size)])
        for _ in range(ORTHONORMAL):
            found = (found * (thrice - found.transpose() * found) / 2).mid()
    return found


class Increment:
    """A chart around an exact state: places of increments, and the gradient there in its axes.

    The bits that the field takes are kept from one evaluation to the next.

    Parameters
    ----------
    loss : Balls
        The loss.
    centre : list of arb
        The exact state.
    axes : ndarray, shape (N, N), optional
        Columns, orthonormal to rounding; the user's coordinates by default.
    rtol : float
        Relative tolerance of steps.
    """

    def __init__(
        self, loss: Balls, centre: list[Any], axes: Array | None = None, rtol: float = 0.0
    ) -> None:
        self.loss, self.centre = loss, centre
        self.bits = float(BITS)
        size = len(centre)
        self._axes = arb_mat(size, size, 1) if axes is None else orthonormal(axes)
        self._enough = max(PART_TWOFOLD * rtol, FIELD_TWOFOLD) / FIELD
        self._back = self._axes.transpose()
        self._twofold: Twofold | None = None
        self._rates: Code | None = None
        self._size = [arb(1)] * size
        self.size, self.allowed = np.ones(size), np.zeros(size)

    def take(self, code: Code | None, rates: Code | None) -> None:
        """Take two doubles as long as they know enough: gradient, and its rates, as data."""
        self._twofold = None if code is None else Twofold(code, self.centre, self._axes)
        self._rates = rates

    def measure(self, size: Array, floored: Array) -> None:
        """Set the units of the increment, to whose energies the field is compared."""
        self.size, self.allowed = size, FIELD * floored * size / 2
        self._size = [arb(x) for x in size.tolist()]

    def field(
        self, floored: Array, since: float, bounds: tuple[float, float, float]
    ) -> AxisField | None:
        """The flow as data for compiled steps, up to its bounds; None without two doubles."""
        if self._twofold is None or self._rates is None:
            return None
        allowed = self._enough * self.allowed
        return self._twofold.field(self._rates, self.size, floored, allowed, (since, *bounds))

    def linear(
        self, floored: Array, h: Array, since: float, bounds: tuple[float, float, float]
    ) -> AxisField | None:
        """The flow as data where it is linear, and two doubles of the state do not tell it."""
        still, allowed = np.zeros(len(h)), self._enough * self.allowed
        if self._twofold is not None:
            error = self._twofold.gradient(still, self.size)[:, 2]
            if (error <= allowed).all():
                return None
        try:
            with precision(int(self.bits)):
                slopes = self._along(still)
                rows = [x for row in self.loss.hessian(self.centre) for x in row]
                size = len(h)
                matrix = self._back * arb_mat(size, size, rows) * self._axes
                g = np.array([split(x) for x in slopes])
                m = np.array([split(x) for x in matrix.entries()])
                curved = np.diag(m[:, 0].reshape(size, size))
                last = way(g[:, 0], curved, since * (math.exp(bounds[2]) - 1))
                if not np.isfinite(last).all():
                    return None
                for part in (0.5, 1.0):
                    v = arb_mat(size, 1, [arb(part * x) for x in last.tolist()])
                    linear = (matrix * v).entries()
                    there = self._along(part * last / self.size)
                    off = [abs(a - b - c) for a, b, c in zip(there, slopes, linear, strict=True)]
                    if not all(
                        float(x) + float(x.rad()) <= y for x, y in zip(off, allowed, strict=True)
                    ):
                        return None
        except Undecided:
            return None
        units = self.size, floored, allowed
        return linear_field(g, m, units, (since, *bounds))

    def _along(self, u: Array) -> list[Any]:
        """Gradient along the axes, in balls."""
        slopes = self.loss.both(self._place(u))[1:]
        return list((self._back * arb_mat(len(slopes), 1, slopes)).entries())

    def place(self, u: Array) -> list[Any]:
        """Exact state of an increment, at the bits that the field takes."""
        with precision(int(self.bits)):
            return [x.mid() for x in self._place(u)]

    def _place(self, u: Array) -> list[Any]:
        # The balls hold what rounding of the sum leaves, so that too few bits are noticed.
        moved = [arb(x) * size for x, size in zip(u.tolist(), self._size, strict=True)]
        steps = (self._axes * arb_mat(len(moved), 1, moved)).entries()
        return [c + d for c, d in zip(self.centre, steps, strict=True)]

    def gradient(self, u: Array) -> Array:
        """Gradient along the axes, rounded; NaN where no number of bits tells it."""
        if self._twofold is not None:
            found, _, error = self._twofold.gradient(u, self.size).T
            if (error <= self._enough * self.allowed).all():
                return np.asarray(found)
            self._twofold = None  # nor will they later in the chart
        return self._gradient(u, lambda _, error: bool((error <= self.allowed).all()))[0]

    def slopes(self, floored: Array) -> tuple[Array, Array]:
        """Gradient at the centre with its error, known to a part of the energy that it leaves."""
        still = np.zeros(len(floored))

        def known(found: Array, error: Array) -> bool:
            return bool((error**2 / floored).sum() <= FIELD * (found**2 / floored).sum())

        return self._gradient(still, known)

    def _gradient(self, u: Array, known: Callable[[Array, Array], bool]) -> tuple[Array, Array]:
        bits = self.bits
        while bits <= MOST_BITS and np.isfinite(u).all():
            with precision(int(bits)), contextlib.suppress(Undecided):
                slopes = self.loss.both(self._place(u))[1:]
                turned = (self._back * arb_mat(len(slopes), 1, slopes)).entries()
                found = np.array([float(x) for x in turned])
                error = np.array([float(x.rad()) for x in turned])
                if known(found, error):
                    self.bits = bits
                    return found, error
            bits *= MORE
        return np.full(len(u), np.nan), np.full(len(u), np.nan)

    def curvature(self, u: Array) -> Array:
        """Hessian in the user's coordinates, in balls and rounded; NaN where no bits tell it."""
        bits = self.bits
        while bits <= MOST_BITS:
            # Of a student beside its teacher, balls of too few bits hold the kink between them.
            with precision(int(bits)), contextlib.suppress(Undecided):
                rows = self.loss.hessian(self._place(u))
                found = np.array([[float(x) for x in row] for row in rows])
                error = max(float(x.rad()) for row in rows for x in row)
                if np.isfinite(found).all() and error <= CURVATURE * np.abs(found).max():
                    return found
            bits *= MORE
        return np.full((len(u), len(u)), np.nan)

    def bends(self, u: Array, axis: Array) -> float:
        """Curvature along an axis; of an eigenvector in doubles, right to their square."""
        direction = [arb(x) for x in axis.tolist()]
        with precision(MOST_BITS):
            rates = self.loss.rates(self._place(u), direction)[1:]
            return float(sum((r * v for r, v in zip(rates, direction, strict=True)), arb(0)))


@dataclass(frozen=True)
class EnergyPiece(Piece):
    """Piece of a run of an own system in units of energy.

    Parameters
    ----------
    observed : callable
        State of exact places, with what is observed there.
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
    least, most, rests : float
        Energies at which it ends, and below which the state stays.
    ends : float
        Solver time at which it ends.
    errors : Errors
        Of its states, with what the steps of the chart leave.
    off : float
        Of a state that stays, see :class:`SoundState`.
    """

    observed: Callable[..., SoundState]
    frame: Any
    state: SoundState
    chart: Chart
    increment: Increment
    energy: Callable[[float, Array], float]
    hessian: Callable[[Array, float], Array]
    least: float
    most: float
    rests: float
    ends: float
    errors: Errors
    off: float

    counted: ClassVar[bool] = False

    def decode(self, raw: Array) -> SoundState:
        """States of increments at the start of the chart."""
        return self.at(0.0, raw)

    def at(self, tau: Array | float, y: Array) -> SoundState:
        """State(s) of the increment(s) ``y`` at ``tau``, exact."""
        many = np.atleast_2d(y)
        since = self.frame.unit + np.broadcast_to(self.chart.clock.time(tau), len(many))
        known = np.stack([since, np.full(len(many), self.off)], axis=-1)
        found = self.observed([self.increment.place(u) for u in many], known, self.errors)
        return found if np.ndim(y) > 1 else found.at(0)

    def watch(self, rtol: float) -> Watch:
        """End the piece where its energy has changed, or its time."""

        def alarm(tau: float, u: Array) -> float:
            energy = self.energy(tau, u)
            inside = self.least < energy < self.most and tau < self.ends
            return 1.0 if inside else -1.0

        def check(before: float, tau: float, u: Array, interpolant: Interpolant) -> Stop:
            return Stop(tau, u)

        return Watch(alarm, check)

    def _falls(self, u: Array) -> bool:
        """Whether the gradient has a part along which the loss curves downward."""
        curved = self.increment.curvature(u)
        if not np.isfinite(curved).all():
            return True  # it may
        h, axes = eigen(curved)
        least = -SECOND_ORDER * float(np.abs(h).max())
        down = [v for value, v in zip(h, axes.T, strict=True) if value < 0]
        down = [v for v in down if self.increment.bends(u, v) < least]
        slopes = self.increment.loss.both(self.increment.place(u))[1:]
        found = np.array([float(x) for x in slopes])
        return any(v @ found != 0 for v in down)

    def restart(self, stop: Stop) -> Restart:
        """Go on around the new state, or stay there."""
        state, time = self.at(stop.tau, stop.y), self.time(stop.tau)
        energy = self.energy(stop.tau, stop.y)
        if math.isnan(energy):
            return Restart(self.frame, state, time, (), UNKNOWN)
        rests, falls = energy <= self.rests, self.errors.curvature[0] * self.errors.since < FALLS
        if rests or falls:
            why = self._leaves(stop.y, state, energy, rests)
            if why:
                return Restart(self.frame, state, time, (), why)
        if not rests:
            return Restart(self.frame, state, time)
        told = f"the energy that is left is below {self.rests:g}; the state stays"
        return Restart(self.frame, state.staying(STAYS), time, (Event(time, "underflow", told),))

    def stuck(self, last: Stop) -> str:
        """Say so where the gradient jumps downhill of the last state: steps go to and fro there.

        A smooth gradient changes by the curvature times the distance.
        """
        slopes, units = self.increment.gradient(last.y), self.increment.size
        length = float(np.linalg.norm(slopes))
        size = float(np.linalg.norm([float(x) for x in self.increment.place(last.y)]))
        if not 0 < length < math.inf:
            return ""
        for far in size * 2.0 ** np.arange(-NEAREST, -NEAR):
            beside = last.y - far * slopes / length / units
            jump = float(np.linalg.norm(self.increment.gradient(beside) - slopes))
            if jump > length / 2:
                curved = [np.abs(self.increment.curvature(u)).max() for u in (last.y, beside)]
                begun = np.abs(self.errors.curvature).max()
                smooth = min(JUMPS * max(curved), CONES * begun) * far
                return KINK.format(self.time(last.tau), far) if jump > smooth else ""
        return ""

    def _leaves(self, u: Array, state: SoundState, energy: float, rests: bool) -> str:
        """Why a state beside a saddle is not followed any more, or nothing."""
        if rests:
            told = f"beside a saddle, which it leaves: its energy is below {self.rests:g}"
            return told if self._falls(u) else ""
        curved = self.hessian(u, float(state.energy[0]))
        if not np.isfinite(curved).all():
            return ""
        h, _ = eigen(curved)
        unknown = np.abs(h) * state.error**2 / 2 > TRUSTED**2 * energy
        if not unknown.any():
            return ""
        if energy > self.most / ENERGY:  # beside a saddle it falls
            return (
                f"the gradient grows, to {float(np.linalg.norm(self.increment.gradient(u))):.2g},"
                " and what is not known of the run with it, as on the way to a point where the loss"
                " is singular; end the run before"
            )
        return (
            "beside a saddle, and it is not known to which side it leaves: the displacement is"
            f" below its error {state.error[unknown].max():.2g}"
        )


def energy_piece(
    loss: Any,
    exact: Balls,
    nodes: Nodes | None,
    observed: Callable[..., SoundState],
    steps: tuple[float, float, bool, bool],
    frame: Any,
    state: SoundState,
    time: float,
    *,
    graded: Axes | None = None,
    dear: bool = False,
) -> EnergyPiece:
    """Piece that begins with an exact state.

    Parameters
    ----------
    loss, exact : Loss, Balls
        The loss in doubles, of which only the Hessian is taken where it has no program, and in
        balls.
    nodes : Nodes, optional
        The rule of its expectation.
    observed : callable
        As of :class:`EnergyPiece`.
    steps : tuple
        Relative and absolute tolerance of the solver's steps, whether stiff ones damp, and whether
        they are those of a multistep method.
    frame, state : Frame, SoundState
        Where it begins.
    time : float
        When.
    graded : callable, optional
        Axes of the Hessian beyond those of doubles.
    dear : bool
        Whether an evaluation costs more than a step also with few entries.
    """
    centre = from_doubles(state.digits)
    rule = None if nodes is None else nodes.rule
    size, since = len(centre), time + frame.unit
    still = np.zeros(size)

    def hessian(increment: Increment, u: Array, s: float) -> Array:
        if size > FEW:
            place = np.array([float(x) for x in increment.place(u)])
            found = loss.hessian(place, rule)
            if np.isfinite(found).all() and s * np.abs(found).max() < STIFF:
                return found
        return increment.curvature(u)

    curved = hessian(Increment(exact, centre), still, since)
    # Where it is not known, all axes are flat, and the field says whether one can go on.
    found = better_axes(graded, centre, curved, since)
    flat = not np.isfinite(curved).all()
    h, axes = found or eigen(np.zeros_like(curved) if flat else curved)
    increment = Increment(exact, centre, axes, steps[0])
    floored = floor(h, since)
    slopes, unsure = increment.slopes(floored)
    falls = h * since < FALLS
    # What two doubles leave grows beside a saddle, as the displacement does: they need to know it.
    displaced = (np.abs(slopes) > ABOVE * unsure)[falls].all() and (h * since).min() > -LINGERS
    if isinstance(loss, Loss) and nodes is None and displaced:
        increment.take(code_of(loss), rates_of(loss))
    energy = float(slopes @ (slopes / floored)) / 2
    rtol, atol, _, multistep = steps
    factor = LEFT_MULTISTEP if multistep else LEFT_MANY if size > MANY or dear else LEFT
    left = factor * max(rtol, atol)
    rests = UNDERFLOW if nodes is None else AVERAGED
    moving = energy > rests and state.energy[1] < STAYS
    unit = units(slopes, unsure, h, since) if moving else np.ones(size)
    increment.measure(unit, floored)
    # Beside a saddle no step leaves the manifold on which the gradient is exactly along it.
    still_falls = falls & (slopes == 0) & (unsure == 0)
    fresh = np.where(still_falls, 0.0, left * unit) if moving else np.zeros(size)
    last: list[tuple[float, Array, Array]] = [(0.0, still, slopes)]

    def gradient(tau: float, u: Array) -> Array:
        before, where, found = last[0]
        if before != tau or not np.array_equal(where, u):
            found = increment.gradient(u)
            last[0] = (tau, u.copy(), found)
        return found

    def field(  # type: ignore[no-untyped-def]
        tau, u, exponential, offset, decay, weights, shape, out, jacobian, want_jacobian
    ):
        if not moving:
            out[:] = 0.0
            return
        s = since * math.exp(tau)
        with np.errstate(all="ignore"):
            out[:] = -s * gradient(tau, u) / unit
            if want_jacobian:
                turned = axes.T @ hessian(increment, u, s) @ axes
                jacobian[:] = -s * turned * unit / unit[:, None]

    def left_over(tau: float, u: Array) -> float:
        # A solver has evaluated its field at the end of the step, or next to it.
        found = last[0][2] if last[0][0] == tau else gradient(tau, u)
        return float(found @ (found / floored)) / 2

    stays = not moving and slopes.any()
    least, most = (
        (max(energy / ENERGY, rests), energy * ENERGY) if moving else (-math.inf, math.inf)
    )
    ends = math.log(TIME) if moving else math.inf
    compiles = moving and displaced and size <= MOST_COMPILED
    bounds = least, most, ends
    compiled = increment.linear(floored, h, since, bounds) if compiles else None
    if compiled is None and compiles:
        compiled = increment.field(floored, since, bounds)
    return EnergyPiece(
        observed,
        frame,
        state,
        Chart(
            clock=Clock(time, np.zeros(size), unit=since),
            x0=still,
            # The solver's absolute tolerance is its relative one: increments are of order one.
            size=np.full(size, max(1.0, rtol / atol) if atol > 0 else 1 / ATOL_PER_RTOL),
            field=field,
            weights=np.zeros(0),
            shape=np.array([size, 0, 0]),
            auto=_solvers(rtol, size > MANY or dear, since * float(np.abs(h).max()), dear),
            axis_field=compiled,
        ),
        increment,
        left_over,
        functools.partial(hessian, increment),
        least,
        most,
        rests,
        ends,
        Errors(axes, h, state.error, fresh, since, functools.partial(_sharp, exact, centre, axes)),
        STAYS if stays else float(state.energy[1]),
    )


def _sharp(exact: Balls, centre: list[Any], axes: Array, bits: int) -> SharpAxes:
    """Axes of the Hessian at an exact state, with many bits."""
    with precision(bits):
        return sharp_axes(exact.hessian(centre), axes, bits)


def _solvers(
    rtol: float, many: bool, stiffness: float, dear: bool
) -> tuple[tuple[str, float], ...]:
    """What the method ``auto`` tries on a chart, after compiled steps."""
    gentle = not dear and stiffness < GENTLE and rtol * FAST[0][1] >= LSODA_TOLERANCE
    return ((*FAST,) if gentle else ()) + ((*LARGE,) if many else ()) + SLOW
