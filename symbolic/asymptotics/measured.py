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
from flint import arb, ctx
from mpmath import mp

from symbolic.asymptotics.kernel import Split
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.sphere import Vector
from symbolic.language.lower import Backend, NoBall, Undecided, lower

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
        self.degree, self.digits = degree, int(EACH * (degree + BEFORE))
        # Newton's method with the Hessian at the point gains one order of the distance a step.
        self.steps = max(1, int(sp.ceiling(degree / 2 - 1))) if parts.fast.cols else 0
        self._point = point
        across = parts.fast.T * hessian * parts.fast
        with mp.workdps(self.digits):
            self._at = self._numbers(point.at)
            self._slow = [self._numbers(parts.slow.row(i)) for i in range(parts.slow.rows)]
            self._fast = [self._numbers(parts.fast[:, k]) for k in range(parts.fast.cols)]
            self._hessian = [self._numbers(across.row(i)) for i in range(across.rows)]

    @classmethod
    def of(
        cls, point: Point, parts: Split, hessian: sp.MatrixBase, degree: sp.Rational
    ) -> Measured | None:
        """Measured loss; None where symbols are left."""
        known = {*point.y, *point.x}
        used = (point.plain.free_symbols | point.integrand.free_symbols) - known
        free = used.union(*(a.free_symbols for a in point.at))
        return None if free else cls(point, parts, hessian, degree)

    def value(self, z: Sequence[Any]) -> Any:
        """``ell`` in a direction of the slow variables, of any length; None where it is not found.

        An expectation is found where its integrand is flat in the Gaussian numbers at the point.
        """
        found = self._with(z, self._nodes)
        again = self._with(z, self._nodes + 1) if self._point.x else found
        if found is None or again is None:
            return None
        return found if abs(again - found) <= SAME * abs(found) else None

    def lower_beside(self, z: Vector, aside: Vector) -> bool:
        """Whether the loss is lower beside a direction; both of length one, at right angles."""
        here = self.value(z.tolist())
        turned = np.cos(ASIDE) * z + np.sin(ASIDE) * aside
        found = self._with(turned.tolist(), self._nodes)
        return here is not None and found is not None and found < here * (1 - LOWER)

    @property
    def _nodes(self) -> int:
        """Nodes of a quadrature whose error is below the next order of the distance."""
        return int(sp.ceiling(self.degree / 2)) + 1

    def _with(self, z: Sequence[Any], nodes: int) -> Any:
        with mp.workdps(self.digits):
            try:
                return self._value(z, nodes)
            except (ArithmeticError, ValueError, TypeError):
                return None

    def _value(self, z: Sequence[Any], nodes: int) -> Any:
        rho = mp.mpf(10) ** -FAR
        u = [
            mp.fsum(e * self._number(v) for e, v in zip(row, z, strict=True)) for row in self._slow
        ]
        scale = rho / mp.norm(u)
        here = [a + scale * v for a, v in zip(self._at, u, strict=True)]
        gap = self._lowest(here, nodes) - self._loss(self._at, nodes)
        return gap / rho ** self._number(self.degree)

    def _lowest(self, here: list[Any], nodes: int) -> Any:
        """Loss with the fast variables at their minimum."""
        # Fast variables are wanted to rho^(p/2), and a difference over `delta` moves them by that.
        delta = mp.mpf(10) ** -self._number(FAR * (self.degree / 2 + 1))
        lowest = self._loss(here, nodes)
        for _ in range(self.steps):
            slopes = [
                (self._loss(_moved(here, delta, axis), nodes) - lowest) / delta
                for axis in self._fast
            ]
            moves = mp.lu_solve(mp.matrix(self._hessian), mp.matrix(slopes))
            for s, axis in zip(moves, self._fast, strict=True):
                here = _moved(here, -s, axis)
            lowest = self._loss(here, nodes)
        return lowest

    def _loss(self, y: list[Any], nodes: int) -> Any:
        """The loss at a point by Gauss quadrature; balls serve as fast numbers of many digits."""
        if nodes ** len(self._point.x) > MOST:
            raise ValueError("an expectation over too many numbers")
        if self._balls is not None:
            with ctx.workprec(int(BITS * self.digits) + GUARD), contextlib.suppress(Undecided):
                found = self._averaged(self._balls, arb, y, nodes)
                if found.is_finite():
                    digits, power = found.mid().man_exp()
                    return mp.ldexp(int(digits), int(power))
        value = self._averaged(self._numbers_of, mp.mpf, y, nodes)
        if isinstance(value, mp.mpc) or not mp.isfinite(value):
            raise ValueError("the loss is no finite real number")
        return value

    def _averaged(self, functions: tuple[Any, Any], number: Any, y: list[Any], nodes: int) -> Any:
        plain, integrand = functions
        at, count = [number(v) for v in y], len(self._point.x)
        value = plain(*at)[0]
        for places in product(_hermite(nodes, self.digits), repeat=count) if count else ():
            weight = prod((w for _, w in places), start=mp.mpf(1))
            value += number(weight) * integrand(*at, *(number(x) for x, _ in places))[0]
        return value

    @functools.cached_property
    def _balls(self) -> tuple[Any, Any] | None:
        try:
            return self._compiled("ball")
        except NoBall:
            return None

    @functools.cached_property
    def _numbers_of(self) -> tuple[Any, Any]:
        return self._compiled("mpmath")

    def _compiled(self, backend: Backend) -> tuple[Any, Any]:
        point = self._point
        return (
            lower([point.plain], point.y, backend),
            lower([point.integrand], (*point.y, *point.x), backend),
        )

    def _numbers(self, values: Any) -> list[Any]:
        return [self._number(v) for v in values]

    def _number(self, e: Any) -> Any:
        if not isinstance(e, sp.Expr):
            return mp.mpf(e)
        return mp.mpf(int(e.p)) / int(e.q) if e.is_Rational else mp.mpf(str(e.evalf(self.digits)))


def _moved(y: Sequence[Any], step: Any, axis: Sequence[Any]) -> list[Any]:
    return [a + step * v for a, v in zip(y, axis, strict=True)]


# A rule of its own: at the distance `10^-FAR` an integrand is its Taylor polynomial to all digits,
# of which few nodes are exact with hundreds of digits. Rules with a bound know doubles, and balls
# on a line; and what checks a series shares nothing with what runs.
@functools.lru_cache(maxsize=8)
def _hermite(nodes: int, digits: int) -> tuple[tuple[Any, Any], ...]:
    """Nodes and weights of the Gauss quadrature of a standard normal number."""
    with mp.workdps(digits):
        jacobi = mp.matrix(nodes, nodes)
        for k in range(1, nodes):
            jacobi[k - 1, k] = jacobi[k, k - 1] = mp.sqrt(k)
        values, vectors = mp.eigsy(jacobi)
        return tuple((values[k], vectors[0, k] ** 2) for k in range(nodes))
