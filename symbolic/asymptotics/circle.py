r"""All critical directions of a form in two variables, by real roots of a polynomial.

With the metric's form ``q`` the derivative of ``ell`` along the circle ``q = 1`` has the sign of

.. math:: D(a, b) = \ell_b \, q_a - \ell_a \, q_b,

a polynomial of the degree of `ell`. The direction flows downhill, so that it goes to a root where
`D` changes from minus to plus. At a root of even order, an inflection, `D` keeps its sign, and the
direction comes to it from one side. Between two roots all directions go to the same one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

__all__ = ["Circle", "Ray"]

Vector = NDArray[np.float64]

# Width of the intervals of roots: a value there is off by the square of it.
WIDTH = sp.Rational(1, 10**70)
# Two algebraic numbers that agree to this, relative, are one.
ONE = sp.Rational(1, 10**60)
# An angle that is nearer to a critical one may be it: entries on the circle are rounded.
ROUNDED = 1e-15
S = sp.Symbol("s", real=True)


@dataclass(frozen=True)
class Ray:
    """A critical direction.

    Parameters
    ----------
    low, high : tuple of Rational
        Entries between which it lies, up to its length; they agree where it is in fractions.
    order : int
        Of the change of the form beside it: two where it is curved.
    sides : tuple of int
        From which it attracts: -1 from smaller angles, 1 from larger ones.
    value, bent : Rational
        ``ell |ell|`` on the circle, and ``kappa |kappa|`` of the second derivative there.
    """

    low: tuple[sp.Rational, sp.Rational]
    high: tuple[sp.Rational, sp.Rational]
    order: int
    sides: tuple[int, ...]
    value: sp.Rational
    bent: sp.Rational

    @property
    def opposite(self) -> Ray:
        """The opposite direction of a form of odd degree."""
        sides = tuple(s for s in (-1, 1) if s not in self.sides)
        return replace(self.turned, sides=sides, value=-self.value, bent=-self.bent)

    @property
    def turned(self) -> Ray:
        """The opposite direction of a form of even degree."""
        low, high = ((-a, -b) for a, b in (self.low, self.high))
        return replace(self, low=low, high=high)

    def like(self, other: Ray) -> bool:
        """Whether both attract to the same law: value, order and curvature are the same."""
        pairs = (self.value, other.value), (self.bent, other.bent)
        return self.order == other.order and all(abs(x - y) <= ONE * abs(y) for x, y in pairs)

    def balls(self) -> list[Any]:
        """Entries as balls (`flint.arb`), up to their length."""
        from flint import arb, fmpq

        ends = zip(self.low, self.high, strict=True)
        return [arb(fmpq(x.p, x.q)).union(arb(fmpq(y.p, y.q))) for x, y in ends]


@dataclass(frozen=True)
class Circle:
    """The critical directions of a form on the circle ``z'Gz = 1``.

    Parameters
    ----------
    rays : tuple of Ray
        Once around, by their angles.
    metric : Matrix
        `G`.
    """

    rays: tuple[Ray, ...]
    metric: sp.ImmutableMatrix

    @classmethod
    def of(
        cls, form: sp.Expr, z: Sequence[sp.Symbol], degree: sp.Rational, metric: sp.MatrixBase
    ) -> Circle | None:
        """Critical directions of a form.

        Parameters
        ----------
        form : Expr
            Homogeneous of degree `p`.
        z : sequence of Symbol
            Its variables.
        degree : Rational
            `p`.
        metric : Matrix
            `G`.

        Returns
        -------
        Circle or None
            None for a form that is no polynomial of two variables or is constant on the circle, and
            where a coefficient or the metric is no fraction.
        """
        if len(z) != 2 or not form.is_polynomial(*z):
            return None
        if not all(e.is_Rational for e in (*metric, *sp.Poly(form, *z).coeffs())):
            return None
        half = _half(form, z, degree, metric)
        if not half:
            return None
        other = [r.opposite if degree % 2 else r.turned for r in half]
        return cls((*half, *other), sp.ImmutableMatrix(metric))

    @functools.cached_property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """Places of the rays that attract, those of one law together, the least value first."""
        found: list[list[int]] = []
        attracting = [k for k, ray in enumerate(self.rays) if ray.sides]
        for k in sorted(attracting, key=lambda k: self.rays[k].value):
            same = next((c for c in found if self.rays[c[0]].like(self.rays[k])), [])
            if not same:
                found.append(same)
            same.append(k)
        return tuple(map(tuple, found))

    @functools.cached_property
    def directions(self) -> Vector:
        """Rays in doubles, on the circle, in rows."""
        points = [[(x + y) / 2 for x, y in zip(r.low, r.high, strict=True)] for r in self.rays]
        sizes = [sp.sqrt((sp.Matrix([p]) * self.metric * sp.Matrix(p))[0]) for p in points]
        return np.array(
            [
                [float((x / size).evalf(17)) for x in p]
                for p, size in zip(points, sizes, strict=True)
            ]
        )

    @functools.cached_property
    def _root(self) -> Vector:
        return np.asarray(np.linalg.cholesky(np.array(self.metric, dtype=float)).T)

    def _beyond(self, z: Vector) -> Vector:
        """Angles from `z` on to each ray, between 0 and a whole turn."""
        (x, y), (a, b) = self._root @ z, self._root @ self.directions.T
        return np.asarray(np.arctan2(x * b - y * a, x * a + y * b) % (2 * math.pi))

    def nearest(self, z: Vector) -> int:
        """Place of the ray that is nearest to a direction."""
        beyond = self._beyond(z)
        return int(np.argmin(np.minimum(beyond, 2 * math.pi - beyond)))

    def goes(self, z: Vector) -> int:
        """Place of the ray to which the flow leads from a direction."""
        beyond = self._beyond(z)
        near = self.nearest(z)
        if min(beyond[near], 2 * math.pi - beyond[near]) <= ROUNDED:
            return near
        above, below = int(np.argmin(beyond)), int(np.argmax(beyond))
        return above if -1 in self.rays[above].sides else below

    def share(self, places: Sequence[int]) -> float:
        """Part of all directions from which the flow leads to one of some rays."""
        steps = [self._beyond(z)[(k + 1) % len(self.rays)] for k, z in enumerate(self.directions)]
        return float(
            sum(steps[k - (side < 0)] for k in places for side in self.rays[k].sides) / sum(steps)
        )


def _half(
    form: sp.Expr, z: Sequence[sp.Symbol], degree: sp.Rational, metric: sp.MatrixBase
) -> list[Ray]:
    """Critical directions from ``a = 0``, without it, to ``a = 0``; none of a constant."""
    a, b = z
    column = sp.Matrix([a, b])
    length = (column.T * metric * column)[0, 0]
    turn = sp.diff(form, b) * sp.diff(length, a) - sp.diff(form, a) * sp.diff(length, b)
    half = sp.Poly(turn.subs({a: 1, b: S}), S, domain="QQ")
    if half.is_zero:
        return []
    found = [
        ((1, low), (1, high), multiplicity)
        for factor, multiplicity in half.factor_list()[1]
        for (low, high), _ in factor.intervals(eps=WIDTH)
    ]
    found.sort(key=lambda ray: ray[0][1])
    rises = [_sign(half, s) for s in _between([(r[0][1] + r[1][1]) / 2 for r in found])]
    if half.degree() < degree:
        found.append(((0, 1), (0, 1), int(degree) - half.degree()))
        # Half a circle on, D has the sign of a form of its degree.
        rises.append(rises[0] * (-1) ** int(degree))
    across = sp.Matrix([-sp.diff(length, b), sp.diff(length, a)]) / 2
    second = (across.T * sp.hessian(form, (a, b)) * across)[0, 0] / metric.det()
    rays = []
    for (low, high, multiplicity), (before, after) in zip(found, pairwise(rises), strict=True):
        at = {v: sp.Rational(x + y) / 2 for v, x, y in zip(z, low, high, strict=True)}
        square, value = length.subs(at), form.subs(at)
        # On the circle, where the tangent has the length one.
        bent = sp.S.Zero if multiplicity > 1 else second.subs(at) - degree * value
        rays.append(
            Ray(
                tuple(map(sp.Rational, low)),
                tuple(map(sp.Rational, high)),
                multiplicity + 1,
                tuple(s for s, yes in ((-1, before < 0), (1, after > 0)) if yes),
                value * abs(value) / square**degree,
                bent * abs(bent) / square**degree,
            )
        )
    return rays


def _between(roots: Sequence[sp.Rational]) -> list[sp.Rational]:
    """A number before each root, and one after all."""
    if not roots:
        return [sp.S.Zero]
    middles = [(x + y) / 2 for x, y in pairwise(roots)]
    return [roots[0] - 1, *middles, roots[-1] + 1]


def _sign(polynomial: sp.Poly, at: sp.Rational) -> int:
    return int(sp.sign(polynomial.eval(at)))
