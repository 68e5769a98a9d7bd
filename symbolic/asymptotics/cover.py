r"""No other attractor: the sphere of directions is covered by balls, and each is decided.

Let `K` bound how fast the Hessian `H` on the sphere changes (`symbolic.asymptotics.curvature`). On
a ball of radius `r` around `c`

- the gradient is at least ``|g| - r |H g|/|g| - r^2 K/2``, so that no point is critical;
- or ``H[u, u] + r K < 0`` for a unit tangent `u` at `c`, so that no point is a minimum;
- or the ball lies within `rho` of a point `y` with ``H(y) - rho K >= m > 0``: then a critical point
  in it has a value between ``ell(y) - |g(y)|^2/(2 m)`` and ``ell(y)``, which is compared.

Each of these inequalities is decided in ball arithmetic. Doubles choose what is tried.

Directions are turned first: every orbit of the form's rotations meets the subspace in which some
entries are zero. An entry that a rotation `X` can turn to zero is one whose mean over all angles
is: ``e_j`` is orthogonal to the kernel of `X`. A minimum is one on the subspace, too.

For polynomials; `symbolic.asymptotics.scan` does it for the forms of ReLU neurons. A saddle without
curvature is decided by neither: three neurons of which two are equal have one. On a circle roots of
a polynomial are listed instead, by `symbolic.asymptotics.circle`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.curvature import Curvature, Local, length, tangent
from symbolic.asymptotics.direction_enclosed import positive_definite, precisely
from symbolic.asymptotics.direction_exact import vanishes
from symbolic.asymptotics.kernel import nullspace, rank
from symbolic.asymptotics.scan import scanned
from symbolic.asymptotics.sphere import Vector
from symbolic.asymptotics.terms import Terms
from symbolic.evidence.identity import Evidence
from symbolic.language.lower import lower

__all__ = ["all_found", "all_on_cone", "pinned", "why_sampled"]

# Dimensions of the sphere that is covered, the number of balls, and the size of the smallest box.
LARGEST, MOST, SMALLEST = 2, 8000, 2e-4
# Entries of a cone whose points are listed.
LISTED = 10
# Two values of the form, relative.
SAME = 1e-10
# Steps of Newton's method, and a gradient relative to the curvature after which the next one is
# the last.
NEWTON, ENOUGH = 8, 1e-9
# What is left of a unit vector that is no combination of others is larger in doubles.
FAR = 1e-3
# Part of the curvature at a minimum that is left at the end of its reach.
LEFT = 1 / 16


def all_found(
    form: sp.Expr,
    z: Sequence[sp.Symbol],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    rotations: Sequence[sp.ImmutableMatrix],
    values: Sequence[sp.Expr],
) -> Evidence:
    """How well it is known that each attractor on the sphere has one of these values.

    Parameters
    ----------
    form : Expr
        Homogeneous of degree `p` in `z`; it may hold parameters.
    z : sequence of Symbol
        The variables.
    degree : Rational
        `p`.
    metric : Matrix
        `G`; the sphere is ``z'Gz = 1``.
    rotations : sequence of Matrix
        Rotations of the metric that leave the form alone.
    values : sequence of Expr
        Of the form at the minima that were found, exact or to 17 digits.

    Returns
    -------
    Evidence
        PROVED where the sphere is two points or one orbit, with values exactly among these;
        ENCLOSED by a cover whose inequalities are decided in balls, or in doubles with all that
        rounding can do, up to a relative difference of 1e-10 between a value and the nearest of
        these. Else SAMPLED.
    """
    n = len(z)
    start = sp.Matrix([sp.Integer(k + 1) for k in range(n)])
    ends: tuple[int, ...] = (1, -1) if n == 1 else ()
    if rotations and rank(sp.Matrix.hstack(*(x * start for x in rotations))) == n - 1:
        ends = (1,)
    if ends:
        axis = dict.fromkeys(z, 0)
        reached = [form.subs({**axis, z[0]: s}) / metric[0, 0] ** (degree / 2) for s in ends]
        exactly = all(any(vanishes(end - v) for v in values) for end in reached)
        return Evidence.PROVED if exactly else Evidence.SAMPLED
    symbols = (form.free_symbols | metric.free_symbols) - set(z)
    # No more entries are pinned than the orbits have dimensions.
    if symbols or n - _orbit(rotations, n) > LARGEST + 1:
        return Evidence.SAMPLED
    pins = pinned(rotations, n)
    free = [j for j in range(n) if j not in pins]
    terms = Terms.of(form, z)
    if len(free) > LARGEST + 1:
        return Evidence.SAMPLED

    def covered() -> bool:
        known = lower(list(values), [], "ball")()
        if terms is None:
            return scanned(form, z, degree, metric, rotations, known)
        curvature = Curvature.of(terms, metric, free)
        return curvature is not None and _covered(curvature, known)

    return Evidence.ENCLOSED if precisely(covered) else Evidence.SAMPLED


def all_on_cone(
    form: sp.Expr,
    z: Sequence[sp.Symbol],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    cone: Sequence[sp.MatrixBase],
    values: Sequence[sp.Expr],
) -> Evidence:
    """How well it is known that each attractor on a cone has one of these values.

    Parameters
    ----------
    form, z, degree, metric, values
        As in `all_found`.
    cone : sequence of Matrix
        Quadratic forms that vanish.

    Returns
    -------
    Evidence
        PROVED where the forms fix the squares of all entries up to one factor, as for balanced
        scalar layers: then the cone is a few lines, each of which attracts if the form is positive
        on it. Else SAMPLED.
    """
    n = len(z)
    if n > LISTED or any(m != sp.diag(*m.diagonal()) for m in (metric, *cone)):
        return Evidence.SAMPLED
    squares = nullspace(sp.Matrix([list(q.diagonal()) for q in cone]), n)
    if squares.cols != 1 or (form.free_symbols - set(z)):
        return Evidence.SAMPLED
    squares = squares * sp.sign(squares[0])
    if not all(e.is_positive for e in squares):
        return Evidence.SAMPLED
    length = sp.sqrt((metric.diagonal() * squares)[0, 0])
    for signs in product((1, -1), repeat=n):
        point = [s * sp.sqrt(e) for s, e in zip(signs, squares, strict=True)]
        value = form.subs(dict(zip(z, point, strict=True))) / length**degree
        if not value.is_nonpositive and not any(vanishes(value - v) for v in values):
            return Evidence.SAMPLED
    return Evidence.PROVED


def why_sampled(
    n: int, rotations: Sequence[sp.ImmutableMatrix], cone: Sequence[sp.MatrixBase], symbols: bool
) -> str:
    """Why it is not known that there are no other minima, of a form in so many variables."""
    if symbols:
        return "symbols were replaced by numbers"
    if cone:
        return "on a cone they are listed only where it is a few lines"
    left = n - 1 - _orbit(rotations, n)
    if left > LARGEST:
        return (
            f"the sphere of directions has {left} dimensions beside rotations; a cover is made"
            f" for up to {LARGEST}"
        )
    return "a cover leaves some balls undecided, as around a saddle without curvature"


def _orbit(rotations: Sequence[sp.ImmutableMatrix], n: int) -> int:
    """Dimension of the orbits of most vectors."""
    if not rotations:
        return 0
    z = np.random.default_rng(0).normal(size=n)
    return int(np.linalg.matrix_rank(np.stack([np.array(x, dtype=float) @ z for x in rotations])))


def pinned(rotations: Sequence[sp.ImmutableMatrix], n: int) -> tuple[int, ...]:
    """Entries that, one after the other, rotations take to zero from anywhere."""
    left = [sp.Matrix(x) for x in rotations]
    pins: list[int] = []
    numbers = [np.array(x, dtype=float) for x in left]
    for j in reversed(range(n)):
        if not any(_turns_to_zero(x, y, j) for x, y in zip(left, numbers, strict=True)):
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
        numbers = [np.array(x, dtype=float) for x in left]
    return tuple(pins)


def _turns_to_zero(x: sp.MatrixBase, numbers: Vector, j: int) -> bool:
    """Whether the mean of an entry over the orbits of a rotation is zero."""
    axis = np.eye(x.cols)[j]
    off = numbers.T @ np.linalg.lstsq(numbers.T, axis, rcond=None)[0] - axis
    # Doubles choose what is proved.
    unit = sp.Matrix([[int(k == j) for k in range(x.cols)]])
    return bool(np.abs(off).max() < FAR) and rank(sp.Matrix.vstack(x, unit)) == rank(x)


def _covered(form: Curvature, values: Sequence[Any]) -> bool:
    """Whether the balls of a cover of the sphere are all decided."""
    from flint import arb

    m = form.free
    # Faces of a cube, of which opposite ones agree for a form of even degree.
    signs = (1.0, -1.0) if form.degree % 2 else (1.0,)
    boxes = [(k, s, np.zeros(m - 1), 1.0) for k in range(m) for s in signs]
    for _ in range(MOST):
        if not boxes:
            return True
        face, sign, centre, half = boxes.pop()
        if half < SMALLEST:
            return False
        # Centres are dyadic, so exact; the sphere is nearer than the cube.
        here = form.at(np.insert(centre, face, sign).tolist())
        radius = arb(half) * arb(m - 1).sqrt()
        if (
            _sloped(form, here, radius)
            or _curved_down(form, here, radius)
            or _alone(form, here, radius, values)
        ):
            continue
        boxes += [
            (face, sign, centre + np.array(step) * half / 2, half / 2)
            for step in product((-1, 1), repeat=m - 1)
        ]
    return False


def _sloped(form: Curvature, here: Local, radius: Any) -> bool:
    """Whether a ball has no critical point."""
    size = length(here.slope)
    square = (here.slope.transpose() * here.slope)[0, 0]
    turn = length(tangent(here.point, here.second * here.slope))
    return bool(square > radius * (turn + radius * form.speed * size / 2))


def _curved_down(form: Curvature, here: Local, radius: Any) -> bool:
    """Whether a ball has no minimum."""
    from flint import arb_mat

    basis = _across(_doubles(here.point).ravel())
    _, vectors = np.linalg.eigh(basis.T @ _doubles(here.second) @ basis)
    hint = arb_mat((basis @ vectors[:, :1]).tolist())
    u = tangent(here.point, hint)
    bent = (u.transpose() * here.second * u)[0, 0]
    return bool(bent + radius * form.speed * (u.transpose() * u)[0, 0] < 0)


def _alone(form: Curvature, here: Local, radius: Any, values: Sequence[Any]) -> bool:
    """Whether the form is convex around a point of a known value, with the ball in its reach."""
    from flint import arb, arb_mat

    m = form.free
    there, y = here, _doubles(here.point).ravel()[:m]
    for _ in range(NEWTON):
        basis, slope = _across(y), _doubles(there.slope).ravel()[:m]
        inner = basis.T @ _doubles(there.second)[:m, :m] @ basis
        if np.linalg.eigvalsh(inner)[0] <= float(radius * form.speed):
            return False
        y = y - basis @ np.linalg.solve(inner, basis.T @ slope)
        there = form.at(y.tolist())
        if np.linalg.norm(slope) <= ENOUGH * np.linalg.norm(inner):
            break
    # An arc is that long of which this is the chord.
    reach = radius + 2 * (length(there.point - here.point) / 2).asin()
    basis = _across(y)
    inner = basis.T @ _doubles(there.second)[:m, :m] @ basis
    convex = arb(float(np.linalg.eigvalsh(inner)[0]) * LEFT)
    if not convex > 0:
        return False
    rows = [*basis.tolist(), *np.zeros((there.point.nrows() - m, m - 1)).tolist()]
    u = tangent(there.point, arb_mat(rows))
    gram = u.transpose() * u
    if not positive_definite(
        u.transpose() * there.second * u - gram * (reach * form.speed + convex)
    ):
        return False
    within = [there.slope[i, 0] for i in range(m)]
    off = sum((g * g for g in within), arb(0)) / (2 * convex)
    return any(abs(there.value - v) + off < SAME * abs(v) for v in values)


def _doubles(matrix: Any) -> Vector:
    """Centres of balls."""
    rows = [[float(e) for e in row] for row in matrix.tolist()]
    return np.array(rows)


def _across(y: Vector) -> Vector:
    """Basis of the tangents at `y`, as columns."""
    return np.asarray(np.linalg.svd(y[None, :])[2][1:].T)
