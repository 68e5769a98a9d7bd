r"""The leading form read off the loss itself, with many digits: an answer that knows no series.

Along a direction `u` of length one in the slow variables,

.. math:: \ell(u) = \min_s \frac{L(y^* + \rho u + F s) - L^*}{\rho^p} + O(\rho), \qquad \rho \to 0

A slaved term of the wrong sign and a metric that is dropped give another number than the form does;
beside the direction of a law, the loss is lower where a tangent of the family was forgotten.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, arb_mat, ctx
from mpmath import mp

from symbolic.asymptotics.kernel import Split
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.sphere import Vector
from symbolic.language.lower import NoBall, lower

__all__ = ["Measured"]

# The loss is looked at in the distance 10^-FAR.
FAR = 20
# Digits: those of the slope, and of the power of the distance.
EACH, BEFORE = 20, 5
# Bits of a digit, and more of them for balls.
BITS, GUARD = 3.33, 64
# Beside a direction it is looked at under this angle, and is lower if it is by this, relatively.
ASIDE, LOWER = 0.01, 1e-6
# Quadratures with one node more agree to this; so many evaluations are made for one value at most.
SAME, MOST = 1e-12, 500


class Measured:
    """The loss near a critical point, with the fast variables minimised numerically.

    Parameters
    ----------
    point : Point
        A critical point.
    parts : Split
        Slow and fast directions.
    hessian : Matrix
        At the point.
    degree : Rational
        `p`.
    """

    def __init__(
        self, point: Point, parts: Split, hessian: sp.MatrixBase, degree: sp.Rational
    ) -> None:
        self.degree, digits = degree, int(EACH * (degree + BEFORE))
        self.bits = int(BITS * digits) + GUARD
        # Newton's method with the Hessian at the point gains one order of the distance a step.
        self.steps = max(1, int(sp.ceiling(degree / 2 - 1))) if parts.fast.cols else 0
        self._count = len(point.x)
        self._plain = lower([point.plain], point.y, "ball")
        self._integrand = lower([point.integrand], (*point.y, *point.x), "ball")
        across = parts.fast.T * hessian * parts.fast
        with ctx.workprec(self.bits):
            self._at = self._column(sp.Matrix(point.at))
            self._slow, self._fast, self._hessian = map(
                self._column, (parts.slow, parts.fast, across)
            )

    @classmethod
    def of(
        cls, point: Point, parts: Split, hessian: sp.MatrixBase, degree: sp.Rational
    ) -> Measured | None:
        """Measured loss; None where symbols are left, or functions without balls."""
        known = {*point.y, *point.x}
        used = (point.plain.free_symbols | point.integrand.free_symbols) - known
        with contextlib.suppress(NoBall):
            if not used.union(*(a.free_symbols for a in point.at)):
                return cls(point, parts, hessian, degree)
        return None

    def value(self, z: Sequence[Any]) -> Any:
        """``ell`` in a direction of the slow variables, of any length; None where it is not found.

        An expectation is found where its integrand is flat in the Gaussian numbers at the point.
        """
        found = self._with(z, self._nodes)
        again = self._with(z, self._nodes + 1) if self._count else found
        if found is None or again is None:
            return None
        return sp.Float(float(found), 17) if abs(again - found) <= SAME * abs(found) else None

    def lower_beside(self, z: Vector, aside: Vector) -> bool:
        """Whether the loss is lower beside a direction; both of length one, at right angles."""
        turned = np.cos(ASIDE) * z + np.sin(ASIDE) * aside
        here, found = (self._with(v.tolist(), self._nodes) for v in (z, turned))
        return here is not None and found is not None and found < here * (1 - LOWER)

    @property
    def _nodes(self) -> int:
        """Nodes of a quadrature whose error is below the next order of the distance."""
        return int(sp.ceiling(self.degree / 2)) + 1

    def _with(self, z: Sequence[Any], nodes: int) -> Any:
        with ctx.workprec(self.bits), contextlib.suppress(ArithmeticError, ValueError):
            return self._value(z, nodes)
        return None

    def _value(self, z: Sequence[Any], nodes: int) -> Any:
        u = self._slow * arb_mat(len(z), 1, [self._number(v) for v in z])
        length = sum((v * v for v in u.entries()), arb(0)).sqrt()
        rho = arb(10) ** -FAR
        gap = self._lowest(self._at + u * (rho / length), nodes) - self._loss(self._at, nodes)
        return gap / rho ** self._number(self.degree)

    def _lowest(self, here: Any, nodes: int) -> Any:
        """Loss with the fast variables at their minimum."""
        # Fast variables are wanted to rho^(p/2), and a difference over `delta` moves them by that.
        delta = arb(10) ** -self._number(FAR * (self.degree / 2 + 1))
        lowest, many = self._loss(here, nodes), self._fast.ncols()
        for _ in range(self.steps):
            units = ([delta * (i == k) for i in range(many)] for k in range(many))
            moved = (here + self._fast * arb_mat(many, 1, unit) for unit in units)
            slopes = [(self._loss(there, nodes) - lowest) / delta for there in moved]
            here = here - self._fast * self._hessian.solve(arb_mat(many, 1, slopes))
            lowest = self._loss(here, nodes)
        return lowest

    def _loss(self, y: Any, nodes: int) -> Any:
        """The loss at a point by Gauss quadrature; balls serve as numbers of many digits."""
        if nodes**self._count > MOST:
            raise ValueError("an expectation over too many numbers")
        at = [x.mid() for x in y.entries()]
        value = self._plain(*at)[0]
        for places in product(_hermite(nodes, self.bits), repeat=self._count):
            weight = prod((w for _, w in places), start=arb(1))
            value += weight * self._integrand(*at, *(x for x, _ in places))[0]
        if not isinstance(value, arb) or not value.is_finite():
            raise ValueError("the loss is no finite real number")
        return value.mid()

    def _column(self, matrix: Any) -> Any:
        return arb_mat(matrix.rows, matrix.cols, [self._number(e) for e in matrix])

    def _number(self, e: Any) -> Any:
        return lower([e], (), "ball")()[0] if isinstance(e, sp.Expr) else arb(e)


# A rule of its own: at the distance `10^-FAR` an integrand is its Taylor polynomial to all digits,
# of which few nodes are exact with hundreds of digits. Rules with a bound know doubles, and balls
# on a line; and what checks a series shares nothing with what runs.
@functools.lru_cache(maxsize=8)
def _hermite(nodes: int, bits: int) -> tuple[tuple[Any, Any], ...]:
    """Nodes and weights of the Gauss quadrature of a standard normal number."""
    with mp.workprec(bits):
        jacobi = mp.matrix(nodes, nodes)
        for k in range(1, nodes):
            jacobi[k - 1, k] = jacobi[k, k - 1] = mp.sqrt(k)
        values, vectors = mp.eigsy(jacobi)
        return tuple((arb(values[k]), arb(vectors[0, k] ** 2)) for k in range(nodes))
