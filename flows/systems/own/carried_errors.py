"""Errors of exact states, carried along the flow from one chart to the next."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from flows.core.arrays import Array
from flows.core.symmetric import eigen
from flows.systems.own.sharp_axes import SharpAxes

__all__ = ["LARGEST", "MOST_GROWTH", "Errors"]

# What each step leaves at the end of a chart, in which the energy falls by the square of this.
ANEW = 0.1
# Errors grow by no more than the exponential of the one, and to no more than the other.
MOST_GROWTH, LARGEST = 300.0, 1e100
# A curvature like s^-1, to this, is that of a slow axis.
RECIPROCAL = 0.2
# Axes that have turned by less into another one are taken for those of before.
TURNS = 0.05
# Fast axes are those whose rate in log-time grows like this power of time, or faster.
GROWING = 0.75
# Rates in log-time that differ by less are one.
DIFFER = 0.03
# Curvature times time of axes that are not slow any more.
FAST = 30.0
# Curvatures that differ by less than this part of the largest one are one.
ALIKE = 1e-3
# Where curvature times the time that passes is below this, a gradient tells better how errors grow.
RISING = -1.0


@dataclass(frozen=True)
class Errors:
    r"""Errors along the axes of the Hessian, which the linearised flow carries on.

    .. math:: \delta_i \to \sum_k \frac{|a_i \cdot b_k|}{1 + (h'_i - r_k)^+ (s - s_0)}
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
    one may have done so at once, and has grown as it has.

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
        The errors, and those of each step.
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

    def carried(
        self,
        hessian: Array,
        since: float,
        found: tuple[Array, Array] | None = None,
        gradient: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """Return eigenvalues and axes of a later Hessian, and the errors there.

        They are those of doubles, or the better ones that were ``found``.
        """
        h, axes = eigen(hessian) if found is None else found
        now = np.sum(self.axes * (hessian @ self.axes), axis=0)
        slope = None if gradient is None else gradient @ axes
        return h, axes, self._along(h, axes.T @ self.axes, now, since, slope)

    def carried_sharply(self, later: SharpAxes, since: float, bits: int, slope: Array) -> Array:
        """Return the errors along later axes, whose products with those of before are sharp."""
        if self.sharp is None:
            raise ValueError("these axes are doubles")
        earlier = self.sharp(bits)
        overlaps, now = later.overlaps(earlier), later.bends(earlier)
        return self._along(later.curvature, overlaps, now, since, slope)

    def _along(
        self, h: Array, overlaps: Array, now: Array, since: float, slope: Array | None
    ) -> Array:
        passed = since - self.since
        k, known, now, gain = self._led(h, overlaps, now, passed, slope)
        rate = np.minimum(self.curvature, now)
        length = np.log(since / self.since)
        mean = self._integral(now, since, bool((rate * passed < RISING).any()))
        scaled, turns, early = self._slow(h, overlaps, now, since)
        # The curvature along an axis of before says nothing of one that has turned.
        own = np.where(turns.any(axis=0), 0.0, rate * passed)
        decays = np.maximum(own, scaled * length)
        grows = np.minimum(-np.where(rate < 0, mean, decays), MOST_GROWTH)
        change = np.exp(grows)
        if k >= 0:  # what the gradient does not tell of its errors is what the last steps leave
            change[k] = 0.0
        grown = known.error * change + known.fresh * np.maximum(change, self.anew)
        damped = 1 + passed * np.maximum(h[:, None] - np.maximum(rate, 0), 0)
        reach = np.abs(overlaps) / damped
        shares = np.minimum(reach + turns, 1.0) * np.minimum(grown, LARGEST)
        # Axes of one curvature are any basis of their span, in which errors keep their length; and
        # among axes that turn into each other the flow makes no length larger.
        alike = np.abs(h[:, None] - now) <= ALIKE * np.abs(h).max(initial=0.0)
        alike |= turns > 0
        turned = np.linalg.norm(np.where(alike, shares, 0.0), axis=1)
        found: Array = turned + np.sum(np.where(alike, 0.0, shares), axis=1)
        came = early @ np.minimum(known.error + known.fresh, LARGEST)
        return found + came + reach @ came + gain

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
    ) -> tuple[int, Errors, Array, Array]:
        """Let errors along an axis grow as the gradient does, if that is along it at last.

        Return which, or -1; errors with those of that axis on the others, where the gradient is not
        along it alone; curvatures along the others without what has turned into that axis; and what
        the gradient leaves of errors, along axes of now.
        """
        none = -1, self, now, np.zeros_like(h)
        if slope is None or self.slope is None:
            return none
        rises = (self.curvature < 0) & (np.minimum(self.curvature, now) * passed < RISING)
        size, along = np.abs(self.slope), np.abs(slope)
        k = int(np.argmax(np.where(rises, size, 0.0)))
        i = int(np.argmax(np.abs(overlaps[:, k])))  # what it has become
        if not (rises[k] and size[k] > 0 and along[i] > math.hypot(*np.delete(along, i).tolist())):
            return none
        others = np.arange(len(size)) != k
        share = np.where(others, size / size[k], 0.0) * (self.error[k] + self.fresh[k])
        known = replace(self, error=np.minimum(self.error + share, LARGEST))
        turned = np.where(others, np.abs(overlaps[i]), 0.0)
        grown = self.error[k] + self.fresh[k] + turned @ (known.error + known.fresh)
        gain = np.minimum(along / size[k] * grown, LARGEST)
        return k, known, now - turned**2 * min(h[i], 0.0), gain

    def _slow(
        self, h: Array, overlaps: Array, now: Array, since: float
    ) -> tuple[Array, Array, Array]:
        """Curvature times time of slow axes, the smaller of both ends; how those that turn mix.

        Axes are slow, or fast: of these the curvature times time grows like time, by rank, since an
        axis that turns tells nothing of itself. Of either kind those that turn into each other
        decay by the smallest of their rates; one takes from another what it has turned, times the
        difference of their rates, in log-time, and what turns into fast ones twice comes back. The
        last number is what slow ones take from fast ones before these have decayed.
        """
        first, last, ends = self.curvature * self.since, now * since, since * h
        length = np.log(since / self.since)
        with np.errstate(divide="ignore", invalid="ignore"):
            change, growth = np.abs(np.log(last / first)), np.log(ends / first)
        slow = (np.minimum(first, last) > 0) & (change < RECIPROCAL * length)
        least = np.where(slow, np.minimum(first, last), 0.0)
        grows = (first > 0) & (growth > GROWING * length) & (length > 0)
        fast = np.logical_and.accumulate(grows[::-1])[::-1]  # it and all above it
        kind = fast[:, None] == fast
        curved = (first > 0) & (first < FAST)
        near = (np.abs(overlaps) > TURNS) & (h[:, None] > 0) & curved & kind
        # Of one rate any axes will do, and they turn as they like.
        apart = np.abs(ends[:, None] - first) > DIFFER
        away = np.where(fast, 0.0, np.linalg.norm(overlaps[fast], axis=0))
        several = (near & apart).any(axis=0) & (near.sum(axis=0) > 1)
        turns = np.zeros_like(overlaps)
        for k in np.flatnonzero(several | ((away > TURNS) & near.any(axis=0))):
            into = np.flatnonzero(near[:, k])
            group = np.flatnonzero(near[into].any(axis=0))
            rates = np.concatenate([first[group], ends[into]])
            least[k] = rates.min()
            moved = float(np.linalg.norm(overlaps[near[:, k] & apart[:, k], k]))
            turns[into, k] = moved * (rates.max() - rates.min()) * length + away[k] ** 2
        decayed = float(first[fast].min()) * length if fast.any() else 0.0
        early = np.where(fast & ~kind, np.abs(overlaps) / max(1.0, decayed), 0.0)
        return least, turns, early

    @property
    def any(self) -> bool:
        """Whether there are errors."""
        return bool(self.error.any() or self.fresh.any())
