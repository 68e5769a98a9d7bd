"""Errors of exact states, carried along the flow from one chart to the next."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array
from flows.core.symmetric import eigen
from flows.systems.own.growth import ANEW, LARGEST, RISING
from flows.systems.own.sharp_axes import SharpAxes

__all__ = ["Errors"]

# An error along the gradient is a shift in time up to this part of the growing errors.
TIMELY = 0.1


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
        """Errors along later axes, and how early or late the run may be."""
        from flows.systems.own.carried_along import carry_on  # Numba, where it is needed
        from flows.systems.own.carry import room

        if not (np.isfinite(h).all() and np.isfinite(now).all()):
            return np.full(len(h), np.nan), self.late
        carry = room(len(h))
        carry.curvature[:, 0], carry.h[:, 0], carry.now[:, 0] = self.curvature, h, now
        carry.error[:, 0], carry.fresh[:, 0] = np.minimum(self.error, LARGEST), self.fresh
        carry.overlaps[..., 0] = overlaps
        carry.began[0], carry.since[0], carry.anew[0] = self.since, since, self.anew
        carry.chord[:, 0], carry.tip[0] = self._integral(now, since)
        carry.late[0], carry.timely[0], carry.rising[0] = self.late, TIMELY, RISING
        if slope is None or self.slope is None:
            carry.rising[0] = -math.inf
        else:
            carry.slope[:, 0], carry.along[:, 0] = self.slope, slope
        carry_on(carry)
        return carry.later[:, 0].copy(), float(carry.late[0])

    def _integral(self, now: Array, since: float) -> tuple[Array, float]:
        """Integral of the curvature along each axis, without that of now, and the weight of this.

        The curvature is linear in log-time between looks. Looks at more than the two ends are taken
        where it matters: the curvature `-c/s` beside a kink is far above its chord, and one that
        ends when a saddle is left is below it.
        """
        times, curved = np.zeros(0), np.zeros((0, len(now)))
        rises = np.minimum(self.curvature, now) * (since - self.since) < RISING
        if rises.any() and self.between is not None:
            times, curved = self.between(since)
        t, h = np.concatenate([[self.since], times]), np.vstack([self.curvature, curved])
        ends = np.append(t[1:], since)
        passed, length = ends - t, np.log(ends / t)
        tip = np.where(length > 0, ends - passed / np.where(length > 0, length, 1.0), 0.0)
        chord: Array = (passed - tip) @ h + tip[:-1] @ h[1:]
        return chord, float(tip[-1])

    @property
    def any(self) -> bool:
        """Whether there are errors."""
        return bool(self.error.any() or self.fresh.any() or self.late)
