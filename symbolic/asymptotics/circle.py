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
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

__all__ = ["Circle", "Ray"]

Vector = NDArray[np.float64]

# Width of the intervals of roots: a value there is off by the square of it. Two algebraic numbers
# that are one in so many digits are one.
WIDTH, DIGITS = sp.Rational(1, 10**70), 10**100
# An angle that is nearer to a critical one may be it: entries on the circle are rounded.
ROUNDED = 1e-15
S = sp.Symbol("s", real=True)


@dataclass(frozen=True)
class Ray:
    """A critical direction.

    Parameters
    ----------
    point : tuple of Rational
        Its entries to `WIDTH`, up to their length.
    order : int
        Of the change of the form beside it: two where it is curved.
    sides : tuple of int
        From which it attracts: -1 from smaller angles, 1 from larger ones.
    law : tuple of int
        Signed squares of form and curvature on the circle, in so many digits.
    """

    point: tuple[sp.Rational, sp.Rational]
    order: int
    sides: tuple[int, ...]
    law: tuple[int, int]


class Circle:
    """The critical directions of a form on the circle ``z'Gz = 1``.

    Parameters
    ----------
    rays : sequence of Ray
        Once around, by their angles.
    metric : Matrix
        `G`.
    """

    def __init__(self, rays: Sequence[Ray], metric: sp.MatrixBase) -> None:
        self.rays, numbers = tuple(rays), np.array(metric, dtype=float)
        points = np.array([[float(e) for e in ray.point] for ray in rays])
        self._root = np.linalg.cholesky(numbers).T
        #: Rays in doubles, on the circle, in rows.
        self.directions = points / np.linalg.norm(points @ self._root.T, axis=1)[:, None]

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
        pull = metric * sp.Matrix(z)
        across = sp.Matrix([-pull[1], pull[0]])
        turn = sp.Matrix([form]).jacobian(z) * across
        half = sp.Poly(turn[0].subs({z[0]: 1, z[1]: S}), S, domain="QQ")
        if half.is_zero:
            return None
        roots = sorted(
            (sum(ends) / 2, order)
            for factor, order in half.factor_list()[1]
            for ends, _ in factor.intervals(eps=WIDTH)
        )
        middles = [(x + y) / 2 for (x, _), (y, _) in pairwise(roots)]
        between = [roots[0][0] - 1, *middles, roots[-1][0] + 1] if roots else [sp.S.Zero]
        found = [((sp.S.One, s), order) for s, order in roots]
        if half.degree() < degree:
            found.append(((sp.S.Zero, sp.S.One), degree - half.degree()))
        second = (across.T * sp.hessian(form, z) * across)[0, 0] / metric.det()
        numbers, turned = (form, second - degree * form, sp.Matrix(z).dot(pull)), (-1) ** degree
        rays = []
        for way, sign in ((1, 1), (-1, turned)):
            rises = [sign * int(sp.sign(half.eval(s))) for s in between]
            rises.append(turned * rises[0])
            for (point, order), (before, after) in zip(found, pairwise(rises), strict=False):
                ray = tuple(way * e for e in point)
                *signed, square = (e.subs(dict(zip(z, ray, strict=True))) for e in numbers)
                law = tuple(round(x * abs(x) / square**degree * DIGITS) for x in signed)
                sides = tuple(s for s, yes in ((-1, before < 0), (1, after > 0)) if yes)
                rays.append(Ray(ray, order + 1, sides, law))
        return cls(rays, metric)

    @functools.cached_property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """Places of the rays that attract, those of one law together, the least value first."""
        found: dict[Any, list[int]] = {}
        for k, ray in enumerate(self.rays):
            if ray.sides:
                found.setdefault((*ray.law, ray.order), []).append(k)
        return tuple(tuple(found[key]) for key in sorted(found))

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
        beyond, near = self._beyond(z), self.nearest(z)
        if min(beyond[near], 2 * math.pi - beyond[near]) <= ROUNDED:
            return near
        above, below = int(np.argmin(beyond)), int(np.argmax(beyond))
        return above if -1 in self.rays[above].sides else below

    def share(self, places: Sequence[int]) -> float:
        """Part of all directions from which the flow leads to one of some rays."""
        steps = [self._beyond(z)[(k + 1) % len(self.rays)] for k, z in enumerate(self.directions)]
        led = sum(steps[k - (side < 0)] for k in places for side in self.rays[k].sides)
        return float(led / sum(steps))
