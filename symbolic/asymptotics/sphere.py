r"""Attracting directions of a homogeneous form on the sphere ``z'Gz = 1``, found in doubles.

In a slow time the direction of the slow variables follows the gradient flow of the form on the
sphere, so its local minima attract, and inflections attract from one side. On a circle all of them
are known exactly (`symbolic.asymptotics.circle`); elsewhere they are searched for from random
starts, and those of one value are taken for one class.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symbolic.asymptotics.circle import Circle, Ray
from symbolic.asymptotics.derivatives import DOUBLES, derivatives

__all__ = ["Form", "Minimum", "form_of", "minima"]

Vector = NDArray[np.float64]

# Starts of the search: so many, and more for each variable.
STARTS, MORE = 40, 6
SEED = 7
# Values of the form that agree to this are those of one class; a gradient below it is none.
SAME, FLAT = 1e-8, 1e-9
# So well agree values where two ways lead: steps end where the slope is rounding.
ENDS = 1e-6
NEWTON = 40
# Steps on the sphere: their largest number and length, and the times that are tried for each, in
# units of the inverse of the largest curvature.
STEPS, REACH = 400, 0.1
TIMES = 10.0 ** np.linspace(-4, 12, 65)
# Largest exponent of growth that is looked at: the square of its exponential is still a double.
MOST_GROWTH = 300.0
# Rounding of a derivative, relative to the largest one.
NOISE = 1e-15
# A form of the cone, relative to the square of the length, is zero below this.
ON_CONE = 1e-15


class Form:
    """A homogeneous form with its metric, on arrays; cone forms are zero where it is looked at.

    Parameters
    ----------
    form : Expr
        Homogeneous of degree `p` in `z`, without other symbols.
    z : sequence of Symbol
        The variables.
    degree : float
        `p`.
    metric : Matrix
        `G`.
    cone : sequence of Matrix
        Symmetric `Q`: only directions with ``z'Qz = 0`` for each are looked at.
    """

    def __init__(
        self,
        form: sp.Expr,
        z: Sequence[sp.Symbol],
        degree: float,
        metric: sp.MatrixBase,
        cone: Sequence[sp.MatrixBase] = (),
    ) -> None:
        self.size, self.degree = len(z), float(degree)
        self.metric = np.array(metric, dtype=float)
        self.cone = [np.array(q, dtype=float) for q in cone]
        self.circle = None if cone else Circle.of(form, z, sp.Integer(round(degree)), metric)
        self._back = np.linalg.inv(np.linalg.cholesky(self.metric).T)
        self._derivatives = derivatives(form, tuple(z), DOUBLES)

    def value(self, z: Vector) -> tuple[float, Vector]:
        """Value and gradient."""
        return self._derivatives.first(z)

    def hessian(self, z: Vector) -> Vector:
        """Hessian."""
        return np.asarray(self._derivatives.second(z))

    def normalised(self, z: Vector) -> Vector:
        """Point of the sphere."""
        return z / np.sqrt(z @ self.metric @ z)

    def normals(self, z: Vector) -> Vector:
        """Normals of sphere and cone, as columns."""
        return np.stack([self.metric @ z, *(q @ z for q in self.cone)], axis=1)

    def on_cone(self, z: Vector) -> Vector:
        """Nearest point of the cone on the sphere, by Gauss and Newton."""
        for _ in range(NEWTON if self.cone else 0):
            values = np.array([z @ q @ z / 2 for q in self.cone])
            if np.abs(values).max() <= ON_CONE * float(z @ z):
                break
            z = z - np.linalg.pinv(self.normals(z)[:, 1:].T) @ values
        return self.normalised(z)

    def transverse(self, z: Vector) -> Vector:
        """Orthonormal (in the metric) basis of the tangents of sphere and cone, as columns."""
        normals = self.normals(z)
        root = np.linalg.cholesky(self.metric).T
        inner = np.linalg.solve(root.T, normals)
        u, s, _ = np.linalg.svd(inner)
        count = int((s > 1e-10 * s[0]).sum())
        return np.asarray(np.linalg.solve(root, u[:, count:]))

    def curvatures(self, z: Vector) -> Vector:
        """Eigenvalues of the form's Hessian on the sphere (and cone), ``kappa - p ell``."""
        basis = self.transverse(z)
        shift = self.degree * self.value(z)[0]
        found = np.linalg.eigvalsh(basis.T @ self.hessian(z) @ basis) - shift
        return np.asarray(found, dtype=float)

    @functools.cached_property
    def sizes(self) -> list[float]:
        """Size of the form, and length of its gradient, the largest of some directions."""
        starts = np.random.default_rng(SEED).normal(size=(STARTS, self.size))
        seen = [self.value(self.normalised(z)) for z in starts]
        slopes = np.linalg.norm([self._back.T @ slope for _, slope in seen], axis=1)
        return [max(abs(value) for value, _ in seen), float(slopes.max())]

    def slope(self, z: Vector) -> float:
        """Length of the gradient on the sphere (and cone)."""
        return float(np.linalg.norm(self.transverse(z).T @ self.value(z)[1]))

    def descended(self, z: Vector) -> Vector:
        """Where the gradient flow on the sphere (and cone) leads, from the side on which it is.

        On a circle it is one of the critical directions. Else steps are exact for the form's
        second-order part, ``-(1 - exp(-kappa h))/kappa g`` along each axis, and short: an
        inflection of the form, which attracts from one side, is not jumped over. Along an axis that
        repels, a slope that may be rounding moves nothing.
        """
        if self.circle is not None:
            return np.array(self.circle.directions[self.circle.goes(z)])
        z = self.on_cone(z)
        reach, noise = REACH, NOISE * self.sizes[1]
        for _ in range(STEPS):
            value, slope = self.value(z)
            basis = self.transverse(z)
            along = basis.T @ slope
            if not np.isfinite(along).all() or np.linalg.norm(along) <= noise:
                break
            curved = basis.T @ self.hessian(z) @ basis - self.degree * value * np.eye(len(along))
            kappa, axes = np.linalg.eigh(curved)
            push = axes.T @ along
            push[(kappa < 0) & (np.abs(push) <= noise)] = 0.0
            move = _exponential(kappa, push, reach)
            trial = self.on_cone(z - basis @ (axes @ move))
            change = self.value(trial)[0] - value
            # At the end values agree to their rounding, and the slope decides.
            if change > 0 and not (change <= noise and self.slope(trial) < np.linalg.norm(along)):
                reach = min(reach, float(np.linalg.norm(move))) / 4
                if reach < NOISE:
                    break
                continue
            if change == 0 and not self.slope(trial) < np.linalg.norm(along):
                break
            z, reach = trial, min(REACH, 2 * reach)
        return z

    def same(self, z: Vector, other: Vector) -> bool:
        """Whether directions to which the flow leads belong to one law."""
        if self.circle is not None:
            places = {self.circle.nearest(z), self.circle.nearest(other)}
            return any(places <= set(one) for one in self.circle.classes)
        value = self.value(other)[0]
        return bool(abs(self.value(z)[0] - value) <= ENDS * abs(value))


def _exponential(kappa: Vector, push: Vector, reach: float) -> Vector:
    """Step of the flow ``x' = -push - kappa x``, as long in time as it stays within a reach."""
    largest = float(np.abs(kappa).max(initial=0.0)) or 1.0
    times = TIMES / largest
    exponent = np.minimum(-np.outer(times, kappa), MOST_GROWTH)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(exponent == 0, times[:, None], -np.expm1(exponent) / kappa)
    moves = gain * push
    within = np.flatnonzero(np.linalg.norm(moves, axis=1) <= reach)
    if len(within):
        return np.asarray(moves[within[-1]])
    return np.asarray(push * reach / np.linalg.norm(push))


@functools.lru_cache(maxsize=8)
def form_of(
    form: sp.Expr,
    z: tuple[sp.Symbol, ...],
    degree: float,
    metric: sp.ImmutableMatrix,
    cone: tuple[sp.ImmutableMatrix, ...],
) -> Form:
    """Form on arrays, compiled once."""
    return Form(form, z, degree, metric, cone)


@dataclass(frozen=True)
class Minimum:
    """Where directions go on the sphere: a local minimum, or an inflection.

    Parameters
    ----------
    direction : ndarray
        On the sphere.
    value : float
        The form there.
    share : float
        Part of all directions that lead to one of this class: of random ones, or of the circle.
    ray : Ray or None
        Of a circle: where it is, exactly.
    """

    direction: Vector
    value: float
    share: float
    ray: Ray | None = None


def minima(form: Form) -> tuple[Minimum, ...]:
    """Directions to which others go, one of each class, smallest value first."""
    if (circle := form.circle) is not None:
        return tuple(
            Minimum(
                z := circle.directions[c[0]], form.value(z)[0], circle.share(c), circle.rays[c[0]]
            )
            for c in circle.classes
        )
    generator = np.random.default_rng(SEED)
    starts = generator.normal(size=(STARTS + MORE * form.size, form.size))
    found: list[list[Vector]] = []
    values: list[float] = []
    scale = form.sizes[0]
    for start in starts:
        z = form.descended(start)
        value = form.value(z)[0]
        if not np.isfinite(value) or form.slope(z) > FLAT**0.5 * scale:
            continue
        if form.curvatures(z).min(initial=0.0) < -1e-5 * scale:
            continue
        near = [k for k, v in enumerate(values) if abs(v - value) <= SAME * scale]
        if near:
            found[near[0]].append(z)
        else:
            values.append(value)
            found.append([z])
    total = sum(map(len, found))
    order = np.argsort(values)
    return tuple(
        Minimum(min(found[k], key=form.slope), values[k], len(found[k]) / total) for k in order
    )
