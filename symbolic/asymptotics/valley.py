r"""Valleys: where the leading form vanishes, the loss along the bottom of the valley decides.

With two slow variables, the radius `r` along a zero of the leading form and `w` across it, the
bottom is a branch ``w = c r^mu + ...`` of ``dP/dw = 0``, by Newton's polygon (Puiseux). There

.. math:: P(r, w(r)) \sim a \, r^l, \qquad l \; \text{rational},

and the law is that of a form of degree `l` and value `a` (Kurdyka, Mostowski & Parusinski 2000: the
loss of a run has such a limit relative to the distance).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from symbolic.asymptotics.kernel import Split, nullspace
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.reduction import Reduced, followed, inverse_on
from symbolic.asymptotics.refusal import NoLaw
from symbolic.evidence.step import Step, computed

__all__ = ["Valley", "valleys"]

#: To this degree the reduced loss is expanded, and so many terms of a branch are taken.
ORDER, TERMS = 16, 3

THEOREM = (
    "Kurdyka, Mostowski & Parusinski 2000: along a run of an analytic loss, L - L* has a limit"
    " relative to a rational power of the distance"
)

R = sp.Symbol("r", positive=True)
W = sp.Symbol("w", real=True)


@dataclass(frozen=True)
class Valley:
    """The bottom of a valley.

    Parameters
    ----------
    direction : tuple of Expr
        Along which the radius is measured, in the slow variables.
    bottom : Expr
        ``w(r)``, as far as it counts.
    degree : Rational
        `l`.
    value : Expr
        `a`, for a direction of length one.
    steps : tuple of Step
        What it rests on.
    """

    direction: tuple[sp.Expr, ...]
    bottom: sp.Expr
    degree: sp.Rational
    value: sp.Expr
    steps: tuple[Step, ...]


def valleys(
    point: Point, parts: Split, quadratic: sp.MatrixBase, reduced: Reduced
) -> tuple[Valley, ...]:
    """Find the valleys along the zeros of the leading form.

    Raises
    ------
    NoLaw
        For more than two slow variables, zeros that are no fractions, and where the loss does not
        grow along a zero.
    """
    if len(reduced.z) != 2 or not reduced.smooth:
        raise NoLaw("valleys are followed for two slow variables and smooth losses only")
    found = []
    for direction in _zeros(reduced):
        across = nullspace((reduced.metric * sp.Matrix(direction)).T, 2)
        for sign in (1, -1):
            e = sign * sp.Matrix(direction)
            loss = _along(point, parts, quadratic, e, across)
            found += _bottoms(loss, e, reduced)
    return tuple(found)


def _zeros(reduced: Reduced) -> Iterator[tuple[sp.Expr, sp.Expr]]:
    """Directions in which the form vanishes, from its linear factors."""
    x, y = reduced.z
    _, factors = sp.factor_list(reduced.form, x, y)
    for factor, _ in factors:
        poly = sp.Poly(factor, x, y)
        if poly.total_degree() == 1:
            a, b = poly.coeff_monomial(x), poly.coeff_monomial(y)
            yield (b, -a) if b >= 0 else (-b, a)
        elif poly.total_degree() == 2 and sp.discriminant(factor.subs(y, 1), x) >= 0:
            raise NoLaw("the leading form vanishes in directions that are no fractions")


def _along(
    point: Point, parts: Split, quadratic: sp.MatrixBase, e: sp.MatrixBase, across: sp.MatrixBase
) -> sp.Expr:
    """Reduced loss as a polynomial in `r` and `w`."""
    directions = [(R, 1, list(parts.slow * e)), (W, 1, list(parts.slow * across))]
    inverse = inverse_on(parts.fast, quadratic)
    ring, _, along = followed(point, directions, parts.fast, inverse, ORDER)
    return sp.Add(*(ring.expression(p) for w, p in along.items() if w > 0))


def _bottoms(loss: sp.Expr, e: sp.MatrixBase, reduced: Reduced) -> list[Valley]:
    """Branches on which the loss has a minimum across the valley, one of each height."""
    slope = sp.expand(sp.diff(loss, W))
    length = sp.sqrt(sp.expand((e.T * reduced.metric * e)[0, 0]))
    found: dict[tuple[sp.Expr, sp.Expr], Valley] = {}
    for bottom in _branches(slope, TERMS):
        curved = _leading(sp.diff(slope, W).subs(W, bottom))
        height = _leading(loss.subs(W, bottom))
        if curved is not None and curved[1] < 0:
            continue
        if height is None:
            raise NoLaw(
                f"the loss does not grow along a zero of its leading form up to order {ORDER}:"
                " either the critical points form a larger family, then name its tangents, or the"
                " loss grows with a higher order, which is not looked for"
            )
        degree, a = height
        if a <= 0:
            raise NoLaw(
                "the loss is negative along a zero of its leading form: the point is no minimum"
            )
        steps = (
            computed(
                sp.Limit(sp.expand(loss.subs(W, bottom)) / R**degree, R, 0, "+"),
                a,
                "valley: height of its bottom",
                assumptions=(THEOREM,),
            ),
            computed(
                sp.Limit(sp.expand(slope.subs(W, bottom)) / R ** (degree - 1), R, 0, "+"),
                sp.S.Zero,
                "valley: the bottom is stationary across it",
            ),
        )
        value = sp.simplify(a / length**degree)
        found.setdefault((degree, value), Valley(tuple(e), bottom, degree, value, steps))
    if not found:
        raise NoLaw("no branch of the valley is a minimum across it")
    return list(found.values())


def _leading(e: sp.Expr) -> tuple[sp.Rational, sp.Expr] | None:
    """Exponent and coefficient of the lowest power of `r`."""
    terms: dict[sp.Expr, sp.Expr] = {}
    for term in sp.Add.make_args(sp.expand(sp.powdenest(sp.expand(e), force=True))):
        c, power = term.as_coeff_exponent(R)
        terms[power] = terms.get(power, sp.S.Zero) + c
    known = {power: sp.simplify(c) for power, c in terms.items()}
    known = {power: c for power, c in known.items() if c != 0}
    if not known:
        return None
    lowest = min(known)
    return lowest, known[lowest]


def _branches(slope: sp.Expr, terms: int) -> Iterator[sp.Expr]:
    """Branches ``w(r)`` that vanish at zero, to so many terms, by Newton's polygon."""
    shift = sp.S.Zero
    if sp.expand(slope.subs(W, 0)) == 0:
        yield shift
    if not terms:
        return
    points: dict[int, tuple[sp.Rational, sp.Expr]] = {}
    for j, c in enumerate(reversed(sp.Poly(slope, W).all_coeffs())):
        if (low := _leading(c)) is not None:
            points[j] = low
    for mu, chosen in _edges({j: low[0] for j, low in points.items()}):
        u = sp.Dummy("u")
        edge = sp.Add(*(points[j][1] * u ** (j - min(chosen)) for j in chosen))
        for c in sp.roots(edge, u):
            if not (c.is_real and c != 0):
                continue
            first = c * R**mu
            moved = sp.expand(slope.subs(W, W + first))
            rest = [b for b in _branches(moved, terms - 1) if _higher(b, mu)]
            for b in rest or [sp.S.Zero]:
                yield first + b


def _higher(branch: sp.Expr, mu: sp.Rational) -> bool:
    low = _leading(branch)
    return low is None or low[0] > mu


def _edges(points: dict[int, sp.Rational]) -> Iterator[tuple[sp.Rational, list[int]]]:
    """Slopes `mu > 0` of the lower hull, with the places on each edge."""
    places = sorted(points)
    for k, i in enumerate(places):
        for j in places[k + 1 :]:
            mu = (points[i] - points[j]) / sp.Integer(j - i)
            level = points[i] + mu * i
            if mu > 0 and all(points[q] + mu * q >= level for q in places):
                on = [q for q in places if points[q] + mu * q == level]
                if (on[0], on[-1]) == (i, j):
                    yield mu, on
