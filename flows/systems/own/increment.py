"""Increments around an exact state: where they lead, and gradient and curvature there."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from flows.core.arrays import Array
from flows.core.axis_field import AxisField, Code
from flows.core.balls import precision, split
from flows.core.limit import Balls
from flows.systems.own.around import gradient_around, rates_around
from flows.systems.own.exact import BITS, MORE, MOST_BITS
from flows.systems.own.linear_tail import linear_field, way
from flows.systems.own.twofold import Twofold
from symbolic.language.lower import Undecided

__all__ = ["Increment", "exact_columns", "orthonormal"]

# The field is known to this part of the energy of its chart.
FIELD = 1e-16
# Two doubles are taken where they know it to this part of the tolerance of a step, or to the
# second one: an axis that a symmetry keeps has a slope of the rounding of its own direction.
PART_TWOFOLD, FIELD_TWOFOLD = 1e-3, 1e-14
# Of what doubles tell of exact states; rounding may grow by the last factor on the way.
PART_KNOWN, SHARE, GROWS = 0.1, 0.01, 2.0
# A flow that is off a linear one by this part is not looked at with more digits.
NEARLY = 1e-9
# Nor a step that leads this many units away, as where the loss curves downward.
FARTHEST = 1e6
# A closer look at a state tells more where its error is less than this part of the one before.
TELLS_MORE = 0.5
# Hessians are known to this part of their largest entry.
CURVATURE = 1e-14
# From the digits of doubles to four times as many: each step squares what is left.
ORTHONORMAL = 2


def exact_columns(axes: Array) -> Any:
    """Columns of two doubles, shape (N, N, 2), as exact numbers."""
    size = len(axes)
    with precision(BITS):
        high, low = (arb_mat(size, size, axes[..., k].ravel().tolist()) for k in range(2))
        return high + low


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
    axes : arb_mat, optional
        Exact columns, orthonormal; the user's coordinates by default.
    rtol : float
        Relative tolerance of steps.
    """

    def __init__(self, loss: Balls, centre: list[Any], axes: Any = None, rtol: float = 0.0) -> None:
        self.loss, self.centre = loss, centre
        # Numbers with a relative error do not show that a state has been rounded.
        self.bits = float(max(BITS, *(x.bits() for x in centre)) if loss.known else BITS)
        size = len(centre)
        self._axes = arb_mat(size, size, 1) if axes is None else axes
        self._enough = max(PART_TWOFOLD * rtol, FIELD_TWOFOLD) / FIELD
        # Where more bits give no more digits, a part of the error of a step is enough.
        self._relative = PART_KNOWN * rtol / FIELD if loss.known else 1.0
        self._back = self._axes.transpose()
        self._twofold: Twofold | None = None
        self._codes: tuple[Code, Code, Array] | None = None
        self._quick = loss.quick
        self._size = [arb(1)] * size
        self.size, self.allowed = np.ones(size), np.zeros(size)

    def take(self, code: Code, rates: Code, axes: Array) -> None:
        """Take two doubles as long as they know enough: gradient, and its rates, as data."""
        self._twofold = Twofold(code, self.centre, axes)
        self._codes = code, rates, axes

    def least(self, floored: Array, unsure: Array) -> Array | float:
        """Units below which no step is known to its tolerance, as more bits do not tell more."""
        if not self.loss.known:
            return 0.0
        return np.asarray(2 * GROWS * unsure / (FIELD * self._relative * floored))

    def measure(self, size: Array, floored: Array, energy: float) -> None:
        """Set the units of the increment, to whose energies the field is compared.

        Of numbers that more bits do not tell, also to a part of the energy that is left.
        """
        least: Array | float = 0.0
        if self.loss.known:
            least = SHARE * np.sqrt(2 * energy / floored)
            largest = max(abs(float(x)) for x in self.centre)
            if 0 < size.max() < largest:
                self.bits = max(self.bits, BITS + math.log2(largest) - math.log2(size.max()))
        self.size, self.allowed = size, FIELD * floored * np.maximum(size, least) / 2
        self._size = [arb(x) for x in size.tolist()]

    def compiled(
        self, floored: Array, h: Array, since: float, bounds: tuple[float, float, float]
    ) -> AxisField | None:
        """The flow as data for compiled steps, up to its bounds.

        None where two doubles of neither the state nor a displacement tell it at the start, and it
        is not linear.
        """
        still, reach = np.zeros(len(h)), (since, *bounds)
        if self._twofold is None or self._codes is None:
            allowed = max(self._enough, self._relative) * self.allowed
            return self._linear(still, allowed, floored, h, reach)
        rates, allowed = self._codes[1], self._enough * self.allowed
        units = self.size, floored, allowed

        def known(twofold: Twofold) -> bool:
            return bool((twofold.gradient(still, self.size)[:, 2] <= allowed).all())

        if known(self._twofold):
            return self._twofold.field(rates, *units, reach)
        linear = self._linear(still, allowed, floored, h, reach)
        around = None if linear is not None else self._around(still, allowed)
        if around is None or not known(around):
            return linear
        return around.field(rates_around(rates, self.centre), *units, reach)

    def _around(self, still: Array, allowed: Array) -> Twofold | None:
        """The gradient by the displacement, in two doubles; what it is at the centre is exact."""
        assert self._codes is not None
        code, _, axes = self._codes
        found, _ = self._gradient(still, lambda _, error: bool((2 * error <= allowed).all()))
        if np.isnan(found).any():
            return None
        with precision(int(self.bits)):
            slopes = self.loss.both(self.centre)[1:]
        moved = gradient_around(code, self.centre, slopes)
        return None if moved is None else Twofold(moved, [arb(0)] * len(self.centre), axes)

    def _linear(
        self,
        still: Array,
        allowed: Array,
        floored: Array,
        h: Array,
        bounds: tuple[float, float, float, float],
    ) -> AxisField | None:
        """The flow as data where it is linear to all digits of a step.

        A slow axis asks for more bits than the energy of the chart does.
        """
        size, bits, last = len(h), self.bits, still
        passed = bounds[0] * (math.exp(bounds[3]) - 1)
        if self._codes is None and not self._nearly_linear(still, h, passed):
            return None
        while bits <= MOST_BITS:
            with precision(int(bits)), contextlib.suppress(Undecided):
                slopes = self._along(still)
                rows = [x for row in self.loss.hessian(self.centre) for x in row]
                matrix = self._back * arb_mat(size, size, rows) * self._axes
                g = np.array([split(x) for x in slopes])
                m = np.array([split(x) for x in matrix.entries()])
                curved = np.diag(m[:, 0].reshape(size, size))
                last = way(g[:, 0], curved, passed)
                with np.errstate(over="ignore"):
                    if not np.isfinite(last / self.size).all():
                        return None
                off, doubt = self._bent(last, slopes, matrix)
                if (off > allowed + doubt).any():
                    return None
                closer = self.loss.known and bits > self.bits  # no look tells more
                if closer or (off + doubt <= allowed).all():
                    self.bits = self.bits if closer else bits
                    return linear_field(g, m, (self.size, floored, allowed + doubt), bounds)
            bits *= MORE
        return None

    def _nearly_linear(self, still: Array, h: Array, passed: float) -> bool:
        """Whether curvatures in doubles tell the gradient where a linear flow would lead."""
        with precision(int(self.bits)), contextlib.suppress(Undecided):
            g = np.array([float(x) for x in self._along(still)])
            last = way(g, h, passed)
            with np.errstate(over="ignore", invalid="ignore"):
                if (np.abs(last) <= FARTHEST * self.size).all():
                    there = np.array([float(x) for x in self._along(last / self.size)])
                    return bool(np.linalg.norm(there - g - h * last) < NEARLY * np.linalg.norm(g))
        return False

    def _bent(self, last: Array, slopes: list[Any], matrix: Any) -> tuple[Array, Array]:
        """How far the gradient is off a linear one on the way, and how far that is not known."""
        found = []
        for part in (0.5, 1.0):
            v = arb_mat(len(last), 1, [arb(part * x) for x in last.tolist()])
            linear, there = (matrix * v).entries(), self._along(part * last / self.size)
            off = [abs(a - b - c) for a, b, c in zip(there, slopes, linear, strict=True)]
            found.append([[float(x) for x in off], [float(x.rad()) for x in off]])
        off, doubt = np.max(found, axis=0)
        return off, doubt

    def _along(self, u: Array) -> list[Any]:
        """Gradient along the axes, in balls."""
        place = self._place(u)
        slopes = self.loss.both(place)[1:]
        if self.loss.known and ctx.prec > self.bits:  # a second look tells all that there is
            with precision(int(MORE * ctx.prec)):
                slopes = self.loss.both(place)[1:]
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
        allowed = self._relative * self.allowed
        if self._quick is not None and np.isfinite(u).all():
            with precision(BITS):
                found, error = self._turned(self._quick(self._place(u)))
            if (error <= allowed).all():
                return found
            self._quick = None
        return self._gradient(u, lambda _, error: bool((error <= allowed).all()))[0]

    def slopes(self, floored: Array) -> tuple[Array, Array]:
        """Gradient at the centre with its error, known to a part of the energy that it leaves."""
        still = np.zeros(len(floored))
        part = min(FIELD, (FIELD * self._relative) ** 2) if self.loss.known else FIELD

        def known(found: Array, error: Array) -> bool:
            with np.errstate(over="ignore"):
                off, energy = error @ (error / floored), found @ (found / floored)
            return bool(off <= part * energy < np.inf)

        return self._gradient(still, known)

    def _gradient(self, u: Array, known: Callable[[Array, Array], bool]) -> tuple[Array, Array]:
        bits, before = self.bits, math.inf
        # Where more bits are not kept, they are asked for as long as a closer look tells more.
        while bits <= MOST_BITS and np.isfinite(u).all():
            with precision(int(bits)), contextlib.suppress(Undecided):
                found, error = self._turned(self.loss.both(self._place(u)))
                if known(found, error):
                    self.bits = self.bits if self.loss.known else bits
                    return found, error
                if self.loss.known:
                    if not error.max() < TELLS_MORE * before:
                        return found, error
                    before = float(error.max())
            bits *= MORE
        return np.full(len(u), np.nan), np.full(len(u), np.nan)

    def _turned(self, both: list[Any] | None) -> tuple[Array, Array]:
        """Gradient along the axes and its error, which is infinite of what is not known."""
        if both is None:
            return np.full(len(self.centre), np.nan), np.full(len(self.centre), np.inf)
        turned = (self._back * arb_mat(len(self.centre), 1, both[1:])).entries()
        return np.array([float(x) for x in turned]), np.array([float(x.rad()) for x in turned])

    def curvature(self, u: Array) -> Array:
        """Hessian in the user's coordinates, in balls and rounded; NaN where no bits tell it."""
        return self._curvature(u, lambda rows: rows)

    def coupling(self, u: Array) -> Array:
        r"""How slopes along axes change, in units: :math:`(Q^T H Q)_{ij} s_j/s_i`, as above.

        Products with axes are in balls too: where units are far apart, as beside a saddle, the
        rounding of a large direction is more than all that moves along a small one.
        """
        return self._curvature(u, lambda rows: self._back * rows * self._axes, self.size)

    def _curvature(self, u: Array, turn: Callable[[Any], Any], units: Array | None = None) -> Array:
        size, bits = len(u), self.bits
        while bits <= MOST_BITS:
            # Of a student beside its teacher, balls of too few bits hold the kink between them.
            with precision(int(bits)), contextlib.suppress(Undecided):
                rows = self.loss.hessian(self._place(u))
                turned = turn(arb_mat(size, size, [x for row in rows for x in row])).entries()
                found = np.array([float(x) for x in turned]).reshape(size, size)
                doubt = np.array([float(x.rad()) for x in turned]).reshape(size, size)
                allowed = CURVATURE * np.abs(found).max()
                if units is not None:
                    with np.errstate(over="ignore", invalid="ignore"):
                        found, doubt = (x * units / units[:, None] for x in (found, doubt))
                if np.isfinite(found).all() and (doubt <= allowed).all():
                    return found
            bits *= MORE
        return np.full((size, size), np.nan)

    def bends(self, u: Array, axis: Array) -> float:
        """Curvature along an axis; of an eigenvector in doubles, right to their square."""
        direction = [arb(x) for x in axis.tolist()]
        with precision(MOST_BITS):
            rates = self.loss.rates(self._place(u), direction)[1:]
            return float(sum((r * v for r, v in zip(rates, direction, strict=True)), arb(0)))
