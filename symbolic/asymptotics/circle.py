r"""All attracting directions of a form in two variables, by real roots of a polynomial.

With the metric's form ``q`` the derivative of ``ell`` along the circle ``q = 1`` has the sign of

.. math:: D(a, b) = \ell_b \, q_a - \ell_a \, q_b,

a polynomial of the degree of `ell`. The direction flows downhill, so that it goes to a root where
`D` changes from minus to plus. At a root of even order, an inflection, `D` keeps its sign, and the
direction comes to it from one side.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import sympy as sp

__all__ = ["attracting_values"]

# Width of the intervals of roots: a value there is off by the square of it.
WIDTH = sp.Rational(1, 10**30)
S = sp.Symbol("s", real=True)


def attracting_values(
    form: sp.Expr, z: Sequence[sp.Symbol], degree: sp.Rational, metric: sp.MatrixBase
) -> tuple[sp.Rational, ...] | None:
    """Values of a form at each direction that attracts, from both sides or from one.

    Parameters
    ----------
    form : Expr
        Homogeneous of degree `p` in two variables.
    z : sequence of Symbol
        These.
    degree : Rational
        `p`.
    metric : Matrix
        `G`.

    Returns
    -------
    tuple of Rational or None
        ``ell |ell|`` on the sphere to 1e-30; empty for a form that is constant there. None for a
        form that is no polynomial, and where a coefficient or the metric is no fraction.
    """
    numbers = [*metric, *(sp.Poly(form, *z).coeffs() if form.is_polynomial(*z) else [sp.nan])]
    if not all(e.is_Rational for e in numbers):
        return None
    a, b = z
    column = sp.Matrix([a, b])
    length = (column.T * metric * column)[0, 0]
    turn = sp.diff(form, b) * sp.diff(length, a) - sp.diff(form, a) * sp.diff(length, b)
    found: list[sp.Rational] = []
    for sign in (1, -1):  # half a circle each: of an even form they are the same
        half = sp.Poly(turn.subs({a: sign, b: sign * S}), S, domain="QQ")
        if half.is_zero:
            return ()
        # Once around: the tangent turns with the half, and so do D and its sides.
        roots = _roots(half)
        rises = [_sign(half, s) for s in _between(roots)]
        ends = [{a: sign, b: sign * s} for s in roots]
        sides = list(itertools.pairwise(rises))
        # The direction with a = 0, a root where D has a lower degree, lies between both halves.
        if half.degree() < degree:
            ends.append({a: 0, b: sign})
            sides.append((rises[-1], rises[0] * (-1) ** int(degree)))
        for end, (before, after) in zip(ends, sides, strict=True):
            if before < 0 or after > 0:
                value = form.subs(end)
                found.append(value * abs(value) / length.subs(end) ** degree)
        if degree % 2 == 0:
            break
    return tuple(found)


def _roots(polynomial: sp.Poly) -> list[sp.Rational]:
    """Distinct real roots in order, to `WIDTH`."""
    return [(low + high) / 2 for (low, high), _ in polynomial.sqf_part().intervals(eps=WIDTH)]


def _between(roots: Sequence[sp.Rational]) -> list[sp.Rational]:
    """A number before each root, and one after all."""
    if not roots:
        return [sp.S.Zero]
    middles = [(x + y) / 2 for x, y in itertools.pairwise(roots)]
    return [roots[0] - 1, *middles, roots[-1] + 1]


def _sign(polynomial: sp.Poly, at: sp.Rational) -> int:
    return int(sp.sign(polynomial.eval(at)))
