r"""Kernels ``k(w, u) = E s(w.x) s(u.x)`` of the activations, for the independent check.

Each gives ``k`` and the coefficients of ``dk/dw = p w + q u``, and what the second derivatives are
beside multiples of ``I``: ``d2k/dw dw = p I + R``, ``d2k/dw du = q I + T``. With
``A = |w|^2, B = |u|^2, C = w.u``:

ReLU, with the angle ``t``, unit vectors ``w^``, ``u^``, ``n`` that of ``u`` across ``w``, and ``m``
that of ``w`` across ``u``:

    2 pi k = |w| |u| (sin t + (pi - t) cos t),   2 pi p = |u| sin t / |w|,   2 pi q = pi - t,
    R = p (n n^T - w^ w^^T),   2 pi T = w^ n^T + u^ m^T

and ``(1 - l)^2 k + l C`` with a slope ``l`` on the negative half-line. The error function, with
``a = 1 + 2 A``, ``b = 1 + 2 B``, ``D = a b - 4 C^2`` and ``g = u - (2 C/a) w``:

    k = (2/pi) asin(2 C / sqrt(a b)),   q = 4/(pi sqrt(D)),   p = -2 C q/a,
    R = q (-g (2 b w - 4 C u)^T/D - (2/a) w u^T + (8 C/a^2) w w^T),
    T = q (-g (2 a u - 4 C w)^T/D - (2/a) w w^T)

The square, ``s(x) = x^2``:

    k = A B + 2 C^2,   p = 2 B,   q = 4 C,   R = 4 u u^T,   T = 4 w u^T + 4 u w^T
"""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.reading import require


class First(NamedTuple):
    """Kernel, and the coefficients of both vectors in its gradient by the first."""

    value: arb
    on_w: arb
    on_u: arb


class Second(NamedTuple):
    """``R = within + twice e e^T`` with ``e`` the axis of the neuron, and ``T``."""

    within: Any
    twice: arb
    across: Any


class ReLU:
    """A ReLU with a slope on the negative half-line."""

    def __init__(self, slope: float) -> None:
        """Keep the slope."""
        self.slope, self.part = arb(slope), (1 - arb(slope)) ** 2 / (2 * arb.pi())

    def _cosine(self, w: Any, u: Any) -> tuple[arb, arb, arb, arb]:
        """Lengths, cosine and sine; refuse an angle that may be 0 or pi."""
        a, b = w @ w, u @ u
        require(a > 0 and b > 0, "may be zero")
        size, other = a.sqrt(), b.sqrt()
        cosine = w @ u / (size * other)
        require(1 - cosine**2 > 0, "may be parallel")
        return size, other, cosine, (1 - cosine**2).sqrt()

    def first(self, w: Any, u: Any) -> First:
        """Return `k, p, q`."""
        size, other, cosine, sine = self._cosine(w, u)
        facing = self.part * (arb.pi() - cosine.acos()) + self.slope
        value = size * other * (self.part * sine + facing * cosine)
        return First(value, self.part * other * sine / size, facing)

    def own(self, w: Any) -> First:
        """Of a neuron with itself: the angle is zero, with no direction across."""
        facing = self.part * arb.pi() + self.slope
        return First(facing * (w @ w), arb(0), facing)

    def second(self, w: Any, u: Any, first: First) -> Second:
        """Return `R, T`."""
        size, other, cosine, sine = self._cosine(w, u)
        here, there = w / size, u / other
        across, back = (there - cosine * here) / sine, (here - cosine * there) / sine
        turned = self.part * (np.outer(here, across) + np.outer(there, back))
        return Second(np.outer(across, first.on_w * across), -first.on_w, turned)

    def own_second(self, w: Any, first: First) -> Second:
        """Both vanish."""
        none = 0 * np.outer(w, w)
        return Second(none, arb(0), none)

    def axis(self, w: Any) -> Any:
        """Unit vector of a neuron."""
        return w / (w @ w).sqrt()


class Smooth(abc.ABC):
    """What kernels without a kink share: a neuron with itself is a pair like others."""

    def own(self, w: Any) -> First:
        """Of a neuron with itself."""
        return self.first(w, w)

    def own_second(self, w: Any, first: First) -> Second:
        """Of a neuron with itself."""
        return self.second(w, w, first)

    def axis(self, w: Any) -> Any:
        """The neuron as it is."""
        return w

    @abc.abstractmethod
    def first(self, w: Any, u: Any) -> First:
        """Return `k, p, q`."""

    @abc.abstractmethod
    def second(self, w: Any, u: Any, first: First) -> Second:
        """Return `R, T`."""


class Erf(Smooth):
    """The error function."""

    def first(self, w: Any, u: Any) -> First:
        """Return `k, p, q`."""
        a, b, c = 1 + 2 * (w @ w), 1 + 2 * (u @ u), w @ u
        rest = a * b - 4 * c * c
        require(rest > 0, "a kernel of the error function is not enclosed")
        on_u = 4 / (arb.pi() * rest.sqrt())
        # The arc sine by a tangent, which is regular near a right angle too.
        value = 2 / arb.pi() * arb.atan2(2 * c, rest.sqrt())
        return First(value, -2 * c * on_u / a, on_u)

    def second(self, w: Any, u: Any, first: First) -> Second:
        """Return `R, T`."""
        a, b, c = 1 + 2 * (w @ w), 1 + 2 * (u @ u), w @ u
        rest, q = a * b - 4 * c * c, first.on_u
        g = (u - (2 * c / a) * w) / rest
        within = np.outer(w, (-2 / a) * u) - np.outer(g, 2 * b * w - 4 * c * u)
        across = np.outer(w, (-2 / a) * w) - np.outer(g, 2 * a * u - 4 * c * w)
        return Second(q * within, 8 * c * q / (a * a), q * across)


class Square(Smooth):
    """The square of its argument."""

    def first(self, w: Any, u: Any) -> First:
        """Return `k, p, q`."""
        a, b, c = w @ w, u @ u, w @ u
        return First(a * b + 2 * c * c, 2 * b, 4 * c)

    def second(self, w: Any, u: Any, first: First) -> Second:
        """Return `R, T`."""
        return Second(4 * np.outer(u, u), arb(0), 4 * (np.outer(w, u) + np.outer(u, w)))


Kernel = ReLU | Smooth


def kernel(name: str, slope: float) -> Kernel:
    """Kernel of an activation, or refuse."""
    if name == "relu":
        require(slope != 1, "its activation has no kink")
        return ReLU(slope)
    require(name in ("erf", "quadratic") and slope == 0, "its activation is not known")
    return Erf() if name == "erf" else Square()
