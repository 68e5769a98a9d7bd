"""Errors of exact states, carried along the flow from one chart to the next."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.symmetric import eigen
from flows.systems.own.sharp_axes import SharpAxes

__all__ = ["LARGEST", "MOST_GROWTH", "Errors", "become", "shifted"]

# What each step leaves at the end of a chart, in which the energy falls by the square of this.
ANEW = 0.1
# Errors grow by no more than the exponential of the one, and to no more than the other.
MOST_GROWTH, LARGEST = 300.0, 1e100
# A curvature like s^-1, to this, is that of a slow axis.
RECIPROCAL = 0.2
# Axes that have turned by less into another one count as unchanged.
TURNS = 0.05
# Fast axes are those whose rate in log-time grows like this power of time, or faster.
GROWING = 0.75
# Rates in log-time that differ by less are one.
DIFFER = 0.03
# Curvature times time of axes that are not slow any more.
FAST = 30.0
# Curvatures that differ by less than this part of the largest one are one.
EQUAL = 1e-3
# Where curvature times the time that passes is below this, a gradient tells better how errors grow.
RISING = -1.0
# An axis is alone where others may have turned less than this part of its gradient into it.
ALONE = 0.5
# An error along the gradient is a shift in time up to this part of the growing errors.
TIMELY = 0.1
# A state that leaves is known where it is early or late by less than this part of the time in which
# the gradient changes.
LEAVES = 0.3


def shifted(error: Array, late: float, curvature: Array, slope: Array) -> Array:
    r"""Errors of a state that may be early or late besides, along the axes of the Hessian.

    .. math:: e^{2x} (\delta_i + \ell |g_i|), \qquad x = \ell |H \nabla L| / |\nabla L|

    as the gradient may have been larger by that at another time; and infinite where it grows, if
    that is not soon: when the state leaves is not known then.
    """
    length = math.hypot(*slope.tolist())
    if late == 0.0 or length == 0.0:
        return error
    part = late * math.hypot(*(curvature * (slope / length)).tolist())
    if part > LEAVES and curvature @ (slope / length) ** 2 < 0:
        return np.full_like(error, np.inf)
    found: Array = math.exp(min(2 * part, MOST_GROWTH)) * (error + late * np.abs(slope))
    return found


def become(curvature: Array, overlaps: Array) -> NDArray[np.intp]:
    """Which axis of now (row) each one of before is: by rank, or what one below zero turned to."""
    order = np.arange(len(curvature))
    for k in range(int(np.searchsorted(curvature, 0.0))):
        last = k + int(np.argmax(np.abs(overlaps[order[k:], k])))
        order[k : last + 1] = np.roll(order[k : last + 1], 1)
    return order


class _Alike(NamedTuple):
    """Axes of one curvature, what they have become, and the gradient along both."""

    led: NDArray[np.bool_]
    into: NDArray[np.bool_]
    steep: float
    reached: float


@dataclass(frozen=True)
class Errors:
    r"""Errors along the axes of the Hessian, which the linearised flow carries on.

    .. math:: \delta_i \to \sum_k \frac{|a_i \cdot b_k|}{1 + (h'_i - b_k^T H b_k)^+ (s - s_0)}
       (e^{-r_k (s - s_0)} \delta_k + \max(e^{-r_k (s - s_0)}, a) \epsilon_k), \qquad
       r_k = \min(h_k, b_k^T H b_k)

    (where `r_k < 0`, with the integral of the curvature in the exponent, which is linear in
    log-time from one look at it to the next) with the axes `b` and curvatures `h` of before, and
    `a`, `h'` and `H` of now. What decays is taken to decay by the smaller rate; along a slow axis,
    whose curvature falls like `1/s`, by the smaller `s h` of both ends, as the smaller rate would
    double errors in each decade. Slow axes that turn into each other decay by the smallest of their
    rates, and take from each other what has turned times the difference of their rates; what turns
    out of a fast axis, before it has decayed, counts beside. What grows beside a saddle grows by
    the integral, and what each step leaves anew falls like the root of the energy of a chart, to
    `a` at most. An axis that turns takes errors of others with it, which its own curvature damps.
    Within one curvature the sum is that of squares.

    The gradient itself obeys the linearised flow. So where it is along an axis `k` on which the
    loss curves downward, as on a plateau that is left ever faster, no integral is taken:

    .. math:: b_k \to \frac{\nabla L'}{g_k} - \sum_{j \ne k} \frac{g_j}{g_k} (b_j \to),
       \qquad g_j = b_j \cdot \nabla L

    is exact, whatever the curvature does between the ends. What turns out of another axis into that
    one may have done so at once, and has grown as it has. Axes of one curvature at both ends are
    any basis of their span, where all errors grow equally. On other axes on which the gradient
    grows errors grow as its part there does, if no others can have turned it into them.

    An error along the gradient is a shift in time, and stays one, however large it becomes: the run
    is so `late`. It says nothing of a side to which the run leaves. While it is a small part of
    what grows it is taken out of the errors for that; later it would not be known what it is.

    This is an estimate and no bound. Sampled are the Hessian, at the two ends of a chart and where
    the loss curves downward on the way, too, and what a step leaves, which is taken to be what it
    was asked for. Assumed is that errors obey the linearised flow, that slow axes turn one way, by
    less than a right angle, and that each `s h` changes one way; of the linear flow it is then
    meant as a bound, and the tests compare it with random ones. What is stated of a run is a
    hundred times what steps leave. A bound would need the Hessian on a set that holds the whole
    chart, and with it an enclosure of the trajectory: that is what :func:`flows.certify` does, for
    polynomials, at tens of times the cost.

    Parameters
    ----------
    axes : ndarray, shape (N, N)
        Orthonormal columns.
    curvature : ndarray, shape (N,)
        Eigenvalues, increasing.
    error, fresh : ndarray, shape (N,)
        The errors, and the errors of each step.
    since : float
        `s_0`.
    sharp : callable, optional
        The same axes with more bits.
    anew : float
        What part of ``fresh`` the last steps leave.
    slope : ndarray, shape (N,), optional
        The gradient along the axes.
    between : callable, optional
        Times on the way to a later one, shape (K,), and curvatures along the axes then, shape
        (K, N); only the two ends are looked at by default, and by steps of many members.
    late : float
        How early or late the run may be, beside ``error``.
    """

    axes: Array
    curvature: Array
    error: Array
    fresh: Array
    since: float
    sharp: Callable[[int], SharpAxes] | None = None
    anew: float = ANEW
    slope: Array | None = None
    between: Callable[[float], tuple[Array, Array]] | None = None
    late: float = 0.0

    def carried(
        self,
        hessian: Array,
        since: float,
        found: tuple[Array, Array] | None = None,
        gradient: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return eigenvalues and axes of a later Hessian, and the errors there.

        They are those of doubles, or the better ones that were ``found``. What the run is early or
        late is among the errors, to first order.
        """
        h, axes, error, late = self.carried_with_delay(hessian, since, found, gradient)
        shift = 0.0 if gradient is None else late * np.abs(gradient @ axes)
        return h, axes, np.minimum(error + shift, LARGEST)

    def carried_with_delay(
        self,
        hessian: Array,
        since: float,
        found: tuple[Array, Array] | None = None,
        gradient: Array | None = None,
    ) -> tuple[Array, Array, Array, float]:
        """As :meth:`carried`, with the shift in time of the run apart from its other errors."""
        h, axes = eigen(hessian) if found is None else found
        now = np.sum(self.axes * (hessian @ self.axes), axis=0)
        slope = None if gradient is None else gradient @ axes
        return h, axes, *self._along(h, axes.T @ self.axes, now, since, slope)

    def carried_sharply(
        self, later: SharpAxes, since: float, bits: int, slope: Array
    ) -> tuple[Array, float]:
        """Return the same along later axes, whose products with those of before are sharp."""
        if self.sharp is None:
            raise ValueError("these axes are doubles")
        earlier = self.sharp(bits)
        overlaps, now = later.overlaps(earlier), later.bends(earlier)
        return self._along(later.curvature, overlaps, now, since, slope)

    def _along(
        self, h: Array, overlaps: Array, now: Array, since: float, slope: Array | None
    ) -> tuple[Array, float]:
        passed = since - self.since
        led, known, now, gain, late = self._led(h, overlaps, now, passed, slope)
        rate = np.minimum(self.curvature, now)
        length = np.log(since / self.since)
        mean = self._integral(now, since, bool((rate * passed < RISING).any()))
        scaled, turns, early = self._slow(h, overlaps, now, since)
        # The curvature along an axis of before says nothing of one that has turned.
        own = np.where(turns.any(axis=0), 0.0, rate * passed)
        decays = np.maximum(own, scaled * length)
        grows = np.minimum(-np.where(rate < 0, mean, decays), MOST_GROWTH)
        change = np.exp(grows)
        change[led] = 0.0  # what the gradient does not tell of them is what the last steps leave
        grown = known.error * change + known.fresh * np.maximum(change, self.anew)
        damped = 1 + passed * np.maximum(h[:, None] - np.maximum(now, 0), 0)
        reach = np.abs(overlaps) / damped
        shares = np.minimum(reach + turns, 1.0) * np.minimum(grown, LARGEST)
        # Axes of one curvature are any basis of their span, in which errors keep their length; and
        # among axes that turn into each other the flow makes no length larger.
        equal = np.abs(h[:, None] - now) <= EQUAL * np.abs(h).max(initial=0.0)
        equal |= turns > 0
        turned = np.linalg.norm(np.where(equal, shares, 0.0), axis=1)
        found: Array = turned + np.sum(np.where(equal, 0.0, shares), axis=1)
        came = early @ np.minimum(known.error + known.fresh, LARGEST)
        return found + came + reach @ (np.abs(overlaps.T) @ came) + gain, late

    def _integral(self, now: Array, since: float, closely: bool) -> Array:
        """Integral of the curvature along each axis, which is linear in log-time between looks.

        Looks at more than the two ends are taken where it matters: the curvature `-c/s` beside a
        kink is far above its chord, and one that ends when a saddle is left is below it.
        """
        times, curved = np.zeros(0), np.zeros((0, len(now)))
        if closely and self.between is not None:
            times, curved = self.between(since)
        t = np.concatenate([[self.since], times, [since]])
        h = np.concatenate([[self.curvature], curved, [now]])
        passed = np.diff(t)[:, None]
        length = np.diff(np.log(t))[:, None]
        late = np.where(length > 0, t[1:, None] - passed / np.where(length > 0, length, 1.0), 0.0)
        found: Array = np.sum(h[:-1] * passed + np.diff(h, axis=0) * late, axis=0)
        return found

    def _led(
        self, h: Array, overlaps: Array, now: Array, passed: float, slope: Array | None
    ) -> tuple[NDArray[np.bool_], Errors, Array, Array, float]:
        """Let errors along axes on which the gradient grows grow as it does there.

        Return which; errors with those of the first ones on the others, where the gradient is not
        along them alone; curvatures along the others without what has turned into them; what the
        gradient leaves of errors, along axes of now; and how early or late the run may be.
        """
        every, known, gain = np.zeros(len(h), dtype=bool), self, np.zeros_like(h)
        late, bent = self.late, now
        if slope is None or self.slope is None:
            return every, known, now, gain, late
        size, along = np.abs(self.slope), np.abs(slope)
        rises = (self.curvature < 0) & (np.minimum(self.curvature, now) * passed < RISING)
        groups = self._alike(overlaps, now, rises, size, along)
        most = max((g.reached / g.steep for g in groups), default=0.0)
        for number, g in enumerate(groups):
            if g.reached == 0:
                continue
            rate = g.reached / g.steep
            turned = np.where(g.led, 0.0, np.linalg.norm(overlaps[g.into], axis=0))
            left = math.hypot(*(known.error + known.fresh)[g.led].tolist())
            across = np.linalg.norm(overlaps[:, g.led], axis=1) / (1 + passed * np.maximum(h, 0))
            out, came = np.where(g.into, 1.0, across) * rate, 0.0
            leads = number == 0 and g.reached > math.hypot(*along[~g.into].tolist())
            if leads:
                share = np.where(g.led, 0.0, size / g.steep * left)
                known = replace(known, error=np.minimum(known.error + share, LARGEST))
            else:
                came = float(turned @ size) * max(rate, most, 1.0) / g.reached
                if not came < ALONE:
                    continue
            grown = left + turned @ (known.error + known.fresh)
            kept_error = along / g.steep if leads else out * (1 + came)
            if leads and grown * np.abs(self.curvature[g.led]).max() < TIMELY * g.steep:
                late += float(grown / g.steep)
                kept_error = np.zeros_like(h)
            if leads and g.led.sum() > 1:  # across the gradient they grow as it does
                kept_error = np.maximum(kept_error, out)
            every, gain = every | g.led, gain + kept_error * grown
            bent = bent - turned**2 * min(float(h[g.into].min()), 0.0)
        return every, known, bent, np.minimum(gain, LARGEST), late

    def _alike(
        self, overlaps: Array, now: Array, rises: NDArray[np.bool_], size: Array, along: Array
    ) -> list[_Alike]:
        """Axes that rise by their gradients, those of one curvature at both ends together."""
        found, free = [], rises.copy()
        while (free & (size > 0)).any():
            k, led = int(np.argmax(np.where(free, size, 0.0))), free.copy()
            for curved in (self.curvature, now):
                led &= np.abs(curved - curved[k]) <= EQUAL * abs(curved[k])
            into = np.sum(overlaps[:, led] ** 2, axis=1) > 0.5  # what they have become
            if led.sum() != into.sum() or led.sum() < 2:
                led = np.arange(len(size)) == k
                into = np.arange(len(size)) == np.argmax(np.abs(overlaps[:, k]))
            steep, reached = (math.hypot(*x.tolist()) for x in (size[led], along[into]))
            found.append(_Alike(led, into, steep, reached))
            free &= ~led
        return found

    def _slow(
        self, h: Array, overlaps: Array, now: Array, since: float
    ) -> tuple[Array, Array, Array]:
        """Curvature times time of slow axes, the smaller of both ends; how those that turn mix.

        Axes are slow, or fast: of these the curvature times time grows like time, by rank, since an
        axis that turns tells nothing of itself, but where the loss curved downward, by what it has
        become: it may have passed others since. Of either kind those that turn into each other
        decay by the smallest of their rates; one takes from another what it has turned, times the
        difference of their rates, in log-time, and what turns into fast ones twice comes back. The
        last number is what slow ones take from fast ones before these have decayed.
        """
        order = become(self.curvature, overlaps)
        h, overlaps = h[order], overlaps[order]
        first, last, ends = self.curvature * self.since, now * since, since * h
        length = np.log(since / self.since)
        with np.errstate(divide="ignore", invalid="ignore"):
            change, growth = np.abs(np.log(last / first)), np.log(ends / first)
        slow = (np.minimum(first, last) > 0) & (change < RECIPROCAL * length)
        least = np.where(slow, np.minimum(first, last), 0.0)
        grows = (first > 0) & (growth > GROWING * length) & (length > 0)
        fast = np.logical_and.accumulate(grows[::-1])[::-1]  # it and all above it
        kind = fast[:, None] == fast
        away = np.where(fast, 0.0, np.linalg.norm(overlaps[fast], axis=0))
        (turns, early), turned = np.zeros((2, *overlaps.shape)), np.abs(overlaps) > TURNS
        if (turned.sum(axis=0) > 1).any() or (away > TURNS).any():
            near = turned & (h[:, None] > 0) & (first > 0) & (first < FAST) & kind
            # Of one rate any axes will do, and they turn as they like.
            carried_with_delay = np.abs(ends[:, None] - first) > DIFFER
            several = (near & carried_with_delay).any(axis=0) & (near.sum(axis=0) > 1)
            for k in np.flatnonzero(several | ((away > TURNS) & near.any(axis=0))):
                into = np.flatnonzero(near[:, k])
                group = np.flatnonzero(near[into].any(axis=0))
                rates = np.concatenate([first[group], ends[into]])
                least[k] = rates.min()
                moved = float(np.linalg.norm(overlaps[near[:, k] & carried_with_delay[:, k], k]))
                turns[order[into], k] = moved * (rates.max() - rates.min()) * length + away[k] ** 2
        if not kind.all():
            decayed = float(first[fast].min()) * length
            early[order] = np.where(fast & ~kind, np.abs(overlaps) / max(1.0, decayed), 0.0)
        return least, turns, early

    @property
    def any(self) -> bool:
        """Whether there are errors."""
        return bool(self.error.any() or self.fresh.any() or self.late)
