r"""Directions without curvature that attract all the same, some of them from one side only.

At a critical direction `e` let the form's Hessian on the sphere have a kernel beyond the tangents
of the orbit. The rest is slaved, as the fast variables of a loss are, and along the kernel

.. math:: \ell(e + a v + \dots)/|\cdot|^p - \ell(e) = c(a), \qquad
          c \text{ homogeneous of degree } k > 2.

On the centre manifold ``a' = -grad c(a)``: a kernel of one dimension attracts from the sides on
which `c` is positive. Deviations die out like a power of ``log t``, of exponent ``-1/(k-2)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp

from symbolic.asymptotics.direction_exact import exact_value, recognised, squared_length
from symbolic.asymptotics.kernel import nullspace, split
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.reduction import reduce
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.sphere import Vector

__all__ = ["Settled", "settled"]

# Fractions with denominators up to the first number are tried, which must agree to the second one:
# without curvature doubles find a direction to a few digits only. Substitution proves a guess.
GUESSES = ((100, 1e-6), (12, 1e-3), (4, 3e-2))


@dataclass(frozen=True)
class Settled:
    """A critical direction whose sides are decided.

    Parameters
    ----------
    exact : tuple of Expr
        The direction, up to its length.
    order : Rational
        Degree `k` of the form along the direction that has no curvature.
    along : ndarray
        That direction, in the variables.
    sides : tuple of int
        Signs of `along` from which it attracts.
    """

    exact: tuple[sp.Expr, ...]
    order: sp.Rational
    along: Vector
    sides: tuple[int, ...]


def settled(
    form: sp.Expr,
    z: tuple[sp.Symbol, ...],
    degree: sp.Rational,
    metric: sp.ImmutableMatrix,
    direction: Vector,
    rotations: Sequence[sp.ImmutableMatrix],
) -> Settled:
    """Decide from which sides a direction without curvature attracts.

    Parameters
    ----------
    form : Expr
        Homogeneous of degree `p`, without other symbols than `z`.
    z : tuple of Symbol
        The variables.
    degree : Rational
        `p`.
    metric : Matrix
        `G`.
    direction : ndarray
        Near the critical direction.
    rotations : sequence of Matrix
        Generators of rotations that leave form and metric alone.

    Returns
    -------
    Settled
        The exact direction, and from which sides it attracts; without sides if from none.

    Raises
    ------
    NoLaw
        Where it is not decided, with the reason.
    """
    for most, near in GUESSES:
        exact = recognised(direction.tolist(), most, near)
        if exact is not None and exact_value(form, z, degree, metric, exact) is not None:
            return _sides(form, z, degree, metric, exact, rotations)
    raise NoLaw("its entries are no simple fractions, nor roots of such")


def _sides(
    form: sp.Expr,
    z: tuple[sp.Symbol, ...],
    degree: sp.Rational,
    metric: sp.ImmutableMatrix,
    exact: tuple[sp.Expr, ...],
    rotations: Sequence[sp.ImmutableMatrix],
) -> Settled:
    """Sides from which the form on the sphere is higher, along the line without curvature."""
    e = sp.Matrix(exact)
    across = nullspace((metric * e).T, len(z))
    v = tuple(sp.Symbol(f"v{k + 1}", real=True) for k in range(across.cols))
    column = sp.Matrix(v)
    moved = e + across * column
    square = squared_length(exact, metric) + sp.expand(
        (column.T * across.T * metric * across * column)[0, 0]
    )
    plain = form.xreplace(dict(zip(z, moved, strict=True))) * square ** (-degree / 2)
    point = Point(v, plain, sp.S.Zero, (), (sp.S.Zero,) * len(v))
    hessian = point.quadratic.hessian
    # X e is across e.
    inner = (across.T * metric * across).inv() * across.T * metric
    turns = [inner * x * e for x in rotations]
    parts = split(hessian, sp.Matrix.hstack(sp.zeros(len(v), 0), *turns))
    curved = np.array((parts.fast.T * hessian * parts.fast).evalf(17), dtype=float)
    if curved.size and np.linalg.eigvalsh(curved).min() < 0:
        raise NoLaw("it is a saddle of the form")
    if parts.slow.cols != 1:
        count = parts.slow.cols
        raise NoLaw(f"the form has no curvature along {count} directions beside its symmetries")
    reduced = reduce(point, parts, hessian)
    (name,) = reduced.z
    heights = {side: reduced.form.subs(name, side) for side in (1, -1)}
    return Settled(
        exact,
        reduced.degree,
        np.array(across * parts.slow, dtype=float).ravel(),
        tuple(side for side, height in heights.items() if height > 0),
    )
