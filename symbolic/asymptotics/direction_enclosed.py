"""A direction in balls: found with many digits, enclosed by Krawczyk's test, curved upwards.

Krawczyk's test encloses a solution of the bordered equations. The Cholesky decomposition of a
matrix of balls shows that the form is curved upwards across the orbit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import sympy as sp

from symbolic.asymptotics.bordered import Bordered
from symbolic.asymptotics.derivatives import BALLS, derivatives
from symbolic.asymptotics.direction_exact import squared_length
from symbolic.asymptotics.numbers import ball
from symbolic.asymptotics.sphere import Form, Vector
from symbolic.language.elimination import eliminated
from symbolic.language.lower import NoBall, Undecided, lower

__all__ = [
    "cholesky_proves",
    "in_balls",
    "krawczyk",
    "newton",
    "positive_definite",
    "precisely",
    "value_in_balls",
]

Found = TypeVar("Found")
BITS = 320
# Radius of the box in Krawczyk's test; Newton's method is far below it by then.
RADIUS = 1e-40
NEWTON = 8


def precisely(action: Callable[[], Found | None]) -> Found | None:
    """Do it with many bits; None where balls do not decide."""
    from flint import ctx

    with ctx.workprec(BITS):
        try:
            return action()
        except (NoBall, Undecided, ArithmeticError, ValueError, TypeError):
            return None


def newton(bordered: Bordered, u: Vector) -> list[Any] | None:
    """Solution of the bordered equations with many digits, no enclosure."""

    def solve() -> list[Any] | None:
        from flint import arb, arb_mat

        point = [arb(float(v)) for v in u]
        for _ in range(NEWTON):
            residual, jacobian = bordered.equations(BALLS, point)
            step = arb_mat(jacobian).solve(arb_mat([[r] for r in residual]))
            point = [arb((p - s).mid()) for p, s in zip(point, step.entries(), strict=True)]
        residual, _ = bordered.equations(BALLS, point)
        return point if all(abs(r) < RADIUS**1.2 for r in residual) else None

    return precisely(solve)


def krawczyk(bordered: Bordered, point: Sequence[Any]) -> list[Any] | None:
    """Enclosure of a solution by Krawczyk's test, None if it fails."""

    def test() -> list[Any] | None:
        from flint import arb, arb_mat

        n = len(point)
        box = [arb(p, RADIUS) for p in point]
        residual, jacobian = bordered.equations(BALLS, point)
        inverse = arb_mat(arb_mat(jacobian).inv().mid())
        _, over = bordered.equations(BALLS, box)
        identity = arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
        spread = arb_mat([[b - p] for b, p in zip(box, point, strict=True)])
        moved = (identity - inverse * arb_mat(over)) * spread
        newton = inverse * arb_mat([[r] for r in residual])
        image = [
            p - s + m for p, s, m in zip(point, newton.entries(), moved.entries(), strict=True)
        ]
        inside = all(b.contains_interior(i) for b, i in zip(box, image, strict=True))
        return image if inside else None

    return precisely(test)


def value_in_balls(bordered: Bordered, box: Sequence[Any], degree: sp.Rational) -> Any:
    """Value of the form: the multiplier is ``p ell``, but the form itself is narrower."""
    form = derivatives(bordered.form, bordered.z, BALLS)
    return precisely(lambda: form.first(box[: len(bordered.z)])[0])


def in_balls(exact: Sequence[sp.Expr], metric: sp.MatrixBase) -> list[Any] | None:
    """Exact direction on the sphere, in balls."""
    square = squared_length(exact, metric)
    on_sphere = [e / sp.sqrt(square) for e in exact]
    return precisely(lambda: list(lower(on_sphere, [], "ball")()))


def cholesky_proves(
    bordered: Bordered,
    z: Sequence[Any],
    degree: sp.Rational,
    numerical: Form,
    direction: Vector,
    orbit: int,
) -> bool:
    """Whether the form's Hessian on the sphere is positive on a complement of the orbit."""
    from flint import arb, arb_mat

    basis = numerical.transverse(direction)
    if orbit:
        g = numerical.metric
        tangents = np.stack(
            [np.array(x, dtype=float) @ direction for x in bordered.rotations], axis=1
        )
        inner = basis.T @ g @ tangents
        u, _, _ = np.linalg.svd(inner)
        basis = basis @ u[:, orbit:]
    if not basis.shape[1]:
        return True

    def test() -> bool:
        n = len(bordered.z)
        g = arb_mat(n, n, list(map(ball, bordered.metric)))
        column = arb_mat([[v] for v in z])
        v = arb_mat([[arb(float(e)) for e in row] for row in basis])
        normals = [g * column, *(arb_mat(n, n, list(map(ball, q))) * column for q in bordered.cone)]
        across = arb_mat([[c[i, 0] for c in normals] for i in range(n)])
        # Tangents of sphere and cone, exactly: take the normals' part away.
        v = v - across * (across.transpose() * across).solve(across.transpose() * v)
        form = derivatives(bordered.form, bordered.z, BALLS)
        hessian, value = arb_mat(form.second(z)), form.first(z)[0]
        return positive_definite(v.transpose() * (hessian - g * (ball(degree) * value)) * v)

    return bool(precisely(test))


def positive_definite(matrix: Any) -> bool:
    """Whether the pivots of Cholesky's decomposition are positive."""
    return all(pivot > 0 for pivot, _ in eliminated(matrix.tolist()))
