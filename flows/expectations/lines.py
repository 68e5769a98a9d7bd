"""How an axis is divided, and the nodes on it."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.expectations.hermite import gauss
from flows.expectations.tubes import Tube

__all__ = ["REACH", "Axis", "Gauss", "Line", "in_balls"]

# Rectangles are of a length up to where the density is small, from there on longer and longer.
NEAR, FAR = 9.0, (10.0, 12.0, 15.0, 20.0, 28.0, 40.0)
#: A thin axis is looked at up to here.
REACH = 12.0
# How much finer, and how much farther along a line and along a mapped one, a second rule is; and
# how many more nodes a Gauss-Hermite rule has.
FINER, FARTHER, FARTHER_MAPPED, MORE = 0.7, 1.0, 0.5, 3
# Steps of Newton's method from sixteen digits of a node: the last one is its error.
NEWTON = 6


class Line(NamedTuple):
    """How an axis is divided: `u = tau`, or `u = centre + scale sinh(tau)`, or it is thin.

    Parameters
    ----------
    scale : float
        Infinite where the axis is not mapped.
    centre : float
        Where nodes are dense.
    thin: bool
        Whether one rectangle is all of it, as the integrand hardly changes.
    """

    scale: float = math.inf
    centre: float = 0.0
    thin: bool = False

    @property
    def mapped(self) -> bool:
        """Whether nodes are dense somewhere."""
        return math.isfinite(self.scale)

    def edges(self, length: float) -> Array:
        """Ends of rectangles in `tau`."""
        if self.thin:
            return np.array([-REACH, REACH])
        if not self.mapped:
            near = np.linspace(0, NEAR, math.ceil(NEAR / length) + 1)
            half = np.concatenate([near, FAR])
            return np.concatenate([-half[:0:-1], half])
        low, high = (math.asinh((side * FAR[-1] - self.centre) / self.scale) for side in (-1, 1))
        return np.linspace(low, high, math.ceil((high - low) / min(length, 0.25)) + 1)

    def tube(self, low: Array, high: Array, c: Array) -> Tube:
        """Rectangles of `u` for rectangles of `tau`."""
        if self.thin:  # discs around each place
            return Tube(low - c, high + c, c)
        if not self.mapped:
            return Tube(low, high, c)
        turn, most = np.cos(c), np.maximum(np.abs(low), np.abs(high))
        lower = np.sinh(low) * np.where(low > 0, turn, 1.0)
        upper = np.sinh(high) * np.where(high > 0, 1.0, turn)
        return Tube(
            self.centre + self.scale * lower,
            self.centre + self.scale * upper,
            self.scale * np.cosh(most) * np.sin(c),
        )

    def measure(self, low: Array, high: Array, c: Array, more: Array) -> Array:
        """Largest `|phi(u) u'|` on rectangles that are longer by ``more``, times their lengths."""
        if self.thin:
            return np.ones(1)
        u = self.tube(low, high, c)
        bound = np.exp(-(u.least**2 - u.width**2) / 2) / math.sqrt(2 * math.pi)
        if self.mapped:
            bound = bound * self.scale * np.cosh(np.maximum(np.abs(low), np.abs(high)))
        return bound * (high - low + more)

    def at(self, tau: Array) -> tuple[Array, Array]:
        """Places and `phi(u) u'`."""
        u = self.centre + self.scale * np.sinh(tau) if self.mapped else tau
        weight: Array = np.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
        return u, weight * self.scale * np.cosh(tau) if self.mapped else weight


class Axis(NamedTuple):
    """Nodes `tau = j h`, `first <= j <= last`, along a line."""

    line: Line
    spacing: float
    first: int
    last: int

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.last - self.first + 1

    @property
    def nodes(self) -> tuple[Array, Array]:
        """Places and weights."""
        u, density = self.line.at(self.spacing * np.arange(self.first, self.last + 1.0))
        return u, self.spacing * density

    @property
    def finer(self) -> Axis:
        """Rule that shows the error of this one."""
        far, spacing = FARTHER_MAPPED if self.line.mapped else FARTHER, FINER * self.spacing
        low, high = self.spacing * self.first - far, self.spacing * self.last + far
        return Axis(self.line, spacing, math.floor(low / spacing), math.ceil(high / spacing))

    def boxes(self, edges: Array) -> Any:
        """Number of the rectangle of each node."""
        tau = self.spacing * np.arange(self.first, self.last + 1.0)
        return np.clip(np.searchsorted(edges, tau, side="right") - 1, 0, len(edges) - 2)


class Gauss(NamedTuple):
    """A Gauss-Hermite rule of a thin axis."""

    line: Line
    size: int

    @property
    def nodes(self) -> tuple[Array, Array]:
        """Places and weights."""
        return gauss(self.size)

    @property
    def finer(self) -> Gauss:
        """Rule that shows the error of this one."""
        return self._replace(size=self.size + MORE)

    def boxes(self, edges: Array) -> Any:
        """All nodes are in one rectangle."""
        return np.zeros(self.size, dtype=np.int64)


@functools.lru_cache(maxsize=64)
def in_balls(axis: Axis | Gauss, bits: int, even: bool) -> list[tuple[Any, Any]]:
    r"""Nodes and weights of `h \sum_j \varphi(x_j) x'(j h) f(x_j)`; of an even `f`, from 0 on.

    A thin axis has all nodes of its Gauss-Hermite rule.
    """
    if isinstance(axis, Gauss):
        with precision(bits):
            return [_hermite(axis.size, x) for x in axis.nodes[0].tolist()]
    line, spacing, first, last = axis
    half = even and not line.centre
    with precision(bits):
        step = arb(spacing)
        unit = step / (2 * arb.pi()).sqrt()
        pairs = []
        for j in range(0 if half else first, max(last, -first) + 1 if half else last + 1):
            x, slope = j * step, arb(1)
            if line.mapped:
                x, slope = line.centre + line.scale * x.sinh(), line.scale * x.cosh()
            pairs.append((x, (2 if half and j else 1) * unit * slope * (-x * x / 2).exp()))
        return pairs


def _hermite(size: int, near: float) -> tuple[Any, Any]:
    """Node and weight of a Gauss-Hermite rule, by Newton's method from a node in doubles."""
    x, below, off = arb(near), arb(0), arb(0)
    for _ in range(NEWTON):
        below, value = arb(0), arb(1)
        for k in range(size):
            below, value = value, x * value - k * below
        off = value / (size * below)
        x = (x - off).mid()
    weight = arb(math.factorial(size)) / (size * below) ** 2
    return arb(x, off.abs_upper()), weight * (1 + arb(0, size * off.abs_upper()))
