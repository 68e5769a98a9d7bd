r"""No other attractor: the sphere of directions covered by balls of which each is decided.

On a ball of radius `r` around `c` the gradient on the sphere is at least ``|g| - r |H| - r^2 K/2``
and the smallest eigenvalue of the Hessian on the sphere at most ``lambda_min + r K``, with

.. math:: K = \sup |D^3 \ell| + (3 p - 2) \sup |D \ell|

from norms of the form's coefficients. So a ball has no critical point, or no minimum; or else it
lies in one on which the form is convex around a critical point, with one of the known values.

Directions are turned first: every orbit of the form's rotations meets the subspace in which some
entries are zero. An entry that a rotation `X` can turn to zero is one whose mean over all angles
is: ``e_j`` is orthogonal to the kernel of `X`. A minimum is one on the subspace, too.

The bounds are evaluated in doubles, with a margin of 1e-10 of the largest derivative for rounding,
which is far above it but is not itself enclosed.

For polynomials: the forms of ReLU neurons have saddles without curvature where neurons coincide,
which no ball decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import sympy as sp

from symbolic.asymptotics.kernel import nullspace, rank
from symbolic.asymptotics.sphere import Form, Vector
from symbolic.evidence.identity import Evidence

__all__ = ["all_found", "pinned"]

# Dimensions of the sphere that is covered, the number of balls, and the size of the smallest box.
LARGEST, MOST, SMALLEST = 2, 8000, 2e-4
# What doubles leave, relative to the largest derivative.
ROUNDING = 1e-10
# Two values of the form, relative.
SAME = 1e-8


def all_found(
    numerical: Form, rotations: Sequence[sp.ImmutableMatrix], values: Sequence[float]
) -> Evidence:
    """How well it is known that each minimum on the sphere has one of these values.

    Parameters
    ----------
    numerical : Form
        The form, without a cone.
    rotations : sequence of Matrix
        Rotations of the metric that leave the form alone.
    values : sequence of float
        Of the form at the minima that were found.

    Returns
    -------
    Evidence
        PROVED where the sphere is two points or one orbit, ENCLOSED by a cover in doubles with a
        margin, else SAMPLED. Values that agree to 1e-8 are one.
    """
    n = numerical.size
    if numerical.cone:
        return Evidence.SAMPLED
    if n == 1:
        ends = [numerical.value(numerical.normalised(np.array([s])))[0] for s in (1.0, -1.0)]
        return Evidence.PROVED if all(_known(v, values) for v in ends) else Evidence.SAMPLED
    start = sp.Matrix([sp.Integer(k + 1) for k in range(n)])
    if rotations and rank(sp.Matrix.hstack(*(x * start for x in rotations))) == n - 1:
        return Evidence.PROVED
    bounds = numerical.bounds()
    free = [j for j in range(n) if j not in pinned(rotations, n)]
    if bounds is None or len(free) > LARGEST + 1:
        return Evidence.SAMPLED
    return Evidence.ENCLOSED if _covered(numerical, free, bounds, values) else Evidence.SAMPLED


def pinned(rotations: Sequence[sp.ImmutableMatrix], n: int) -> tuple[int, ...]:
    """Entries that, one after the other, rotations take to zero from anywhere."""
    left = [sp.Matrix(x) for x in rotations]
    pins: list[int] = []
    for j in reversed(range(n)):
        axis = sp.Matrix([int(i == j) for i in range(n)]).T
        if not any(_turns_to_zero(x, axis) for x in left):
            continue
        pins.append(j)
        # Go on with the rotations that keep it zero.
        kept = [k for k in range(n) if k not in pins]
        rows = sp.Matrix([[x[i, k] for i in pins for k in kept] for x in left]).T
        weights = nullspace(rows, len(left))
        left = [
            sum((w * x for w, x in zip(list(weights[:, c]), left, strict=True)), sp.zeros(n, n))
            for c in range(weights.cols)
        ]
    return tuple(pins)


def _turns_to_zero(x: sp.MatrixBase, axis: sp.MatrixBase) -> bool:
    """Whether the mean of an entry over the orbits of a rotation is zero."""
    return rank(sp.Matrix.vstack(x, axis)) == rank(x)


def _known(value: float, values: Sequence[float]) -> bool:
    return any(abs(value - v) <= SAME * abs(v) for v in values)


def _covered(
    form: Form, free: Sequence[int], bounds: tuple[float, float], values: Sequence[float]
) -> bool:
    """Whether the balls of a cover of the sphere are all decided."""
    m, first = len(free), bounds[0]
    lipschitz = bounds[1] + (3 * form.degree - 2) * first
    margin = ROUNDING * (lipschitz + first)
    metric = form.metric[np.ix_(free, free)]
    axes = np.zeros((form.size, m))
    axes[list(free)] = np.linalg.inv(np.linalg.cholesky(metric)).T
    # Faces of a cube, of which opposite ones agree for a form of even degree.
    signs = (1.0, -1.0) if form.degree % 2 else (1.0,)
    boxes = [(k, s, np.zeros(m - 1), 1.0) for k in range(m) for s in signs]
    for _ in range(MOST):
        if not boxes:
            return True
        face, sign, centre, half = boxes.pop()
        if half < SMALLEST:
            return False
        y = np.insert(centre, face, sign)
        z = axes @ (y / np.linalg.norm(y))
        radius = half * math.sqrt(m - 1)  # the sphere is nearer than the cube
        slope, curved = form.slope(z), form.curvatures(z)
        size = float(np.abs(curved).max())
        if slope - margin > radius * (size + radius * lipschitz / 2):
            continue
        if curved[0] + margin + radius * lipschitz < 0:
            continue
        if radius * lipschitz < size and _alone(form, axes, z, radius, lipschitz, margin, values):
            continue
        boxes += [
            (face, sign, centre + np.array(step) * half / 2, half / 2)
            for step in product((-1, 1), repeat=m - 1)
        ]
    return False


def _alone(
    form: Form,
    axes: Vector,
    z: Vector,
    radius: float,
    lipschitz: float,
    margin: float,
    values: Sequence[float],
) -> bool:
    """Whether the form is convex on a ball around a point of a known value, with this one in it."""
    start = y = axes.T @ form.metric @ z
    for _ in range(8):
        basis, slope, curved = _on_subspace(form, axes, y)
        if np.linalg.eigvalsh(curved)[0] <= 0:
            return False
        y = y - basis @ np.linalg.solve(curved, slope)
        y = y / np.linalg.norm(y)
    _, slope, curved = _on_subspace(form, axes, y)
    reach = radius + math.acos(min(1.0, float(start @ y)))
    convex = float(np.linalg.eigvalsh(curved)[0]) - margin - reach * lipschitz
    # From y the value falls by less than |g|^2 / (2 convex).
    off = (float(np.linalg.norm(slope)) + margin) ** 2 / (2 * convex) if convex > 0 else math.inf
    value = form.value(axes @ y)[0]
    return off <= SAME * abs(value) and _known(value, values)


def _on_subspace(form: Form, axes: Vector, y: Vector) -> tuple[Vector, Vector, Vector]:
    """Tangents, gradient and Hessian of the form on the unit sphere of a subspace."""
    basis = np.linalg.svd(y[None, :])[2][1:].T
    value, slope = form.value(axes @ y)
    inner = basis.T @ axes.T @ form.hessian(axes @ y) @ axes @ basis
    shift = form.degree * value * np.eye(basis.shape[1])
    return basis, basis.T @ axes.T @ slope, inner - shift
