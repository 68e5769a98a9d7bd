r"""Slaving: fast variables follow the slow ones, and a leading form remains.

.. math:: y = y^* + N z + F s, \qquad \partial_s L = 0 \Rightarrow s = S(z) = O(|z|^2),
          \qquad \ell(z) = L(z, S(z)) - L^* = \ell_p(z) + o(|z|^p)

`S` is found order by order: each pass of the fixed point `s <- -A^-1 dR/ds`, with the quadratic
part `A` and the rest `R`, adds one power of ``eps``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy.polys.rings import PolyElement

from symbolic.asymptotics.kernel import Split
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.series import Series, SeriesRing

__all__ = ["Reduced", "followed", "inverse_on", "reduce", "slaved_series"]

# Degrees up to which leading forms are looked for, one after the other. The second ones follow
# where a form of that degree in all variables has no more terms than the last number.
ORDERS, FURTHER, TERMS = (4, 6, 8, 12), (20, 32, 64), 2500
# SymPy looks for common factors of forms of so many terms, which a person may read.
MANY = 60


@dataclass(frozen=True)
class Reduced:
    """The leading form of a loss on its slow variables.

    Parameters
    ----------
    z : tuple of Symbol
        The slow variables.
    degree : Rational
        Degree `p` of the form.
    form : Expr
        `ell_p(z)`, homogeneous.
    metric : Matrix
        `G = N'N`.
    slaved : tuple of Expr
        Leading parts of the fast variables that the form feels, in `z`.
    smooth : bool
        Whether the form is a polynomial.
    """

    z: tuple[sp.Symbol, ...]
    degree: sp.Rational
    form: sp.Expr
    metric: sp.ImmutableMatrix
    slaved: tuple[sp.Expr, ...]
    smooth: bool


def reduce(point: Point, parts: Split, quadratic: sp.MatrixBase) -> Reduced:
    """Find the leading form.

    Parameters
    ----------
    point : Point
        The loss at a critical point.
    parts : Split
        Slow and fast directions.
    quadratic : Matrix
        The Hessian.

    Raises
    ------
    NoLaw
        Where the form vanishes to every order that is looked at.
    """
    slow, fast = parts.slow, parts.fast
    z = tuple(sp.Symbol(f"z{k + 1}", real=True) for k in range(slow.cols))
    inverse = inverse_on(fast, quadratic)
    slow_directions = [(v, 1, list(slow[:, k])) for k, v in enumerate(z)]
    count = slow.cols + fast.cols
    further = [k for k in FURTHER if sp.binomial(count + k, k) <= TERMS]
    # A kink of degree three is common, a smooth loss with such a form is seldom at a minimum.
    for order in (*(() if point.smooth else (3,)), *ORDERS, *further):
        ring, slaved, reduced = followed(point, slow_directions, fast, inverse, order)
        found = {w: part for w, part in reduced.items() if w > 0}
        if any(w <= 2 for w in found):
            raise NoLaw("the slow directions are not in the kernel of the Hessian")
        if not found:
            continue
        degree = min(found)
        form = found[degree]
        smooth = ring.smooth(form)
        shown = _factored(ring, form) if smooth else ring.expression(form)
        if shown.has(*slaved):  # a kink of fast variables has the sign of what they follow
            parts_of_two = {v: x.get(Fraction(2), ring.ring.zero) for v, x in slaved.items()}
            shown = shown.xreplace({v: ring.expression(p) for v, p in parts_of_two.items()})
            if shown == 0:
                raise NoLaw("the slow variables run along a kink of the loss")
        felt = [{w: p for w, p in x.items() if 2 * w <= degree} for x in slaved.values()]
        return Reduced(
            z,
            sp.Rational(degree.numerator, degree.denominator),
            shown,
            sp.ImmutableMatrix(slow.T * slow),
            tuple(sp.Add(*(ring.expression(p) for p in x.values())) for x in felt),
            smooth,
        )
    raise NoLaw(
        f"the loss does not grow along the kernel, of dimension {slow.cols}, up to order {order}:"
        " either the critical points form a larger family, then name its tangents, or the loss"
        " grows with a higher order, which is not looked for"
    )


def _factored(ring: SeriesRing, form: PolyElement) -> sp.Expr:
    """Polynomial with its common factor in front; of many terms, the common number only."""
    if len(form) <= MANY:
        return sp.factor_terms(ring.expression(form))
    content, primitive = form.primitive()
    if content == ring.domain.one:
        return ring.expression(form)
    return sp.Mul(ring.domain.to_sympy(content), ring.expression(primitive), evaluate=False)


def inverse_on(fast: sp.MatrixBase, quadratic: sp.MatrixBase) -> sp.MatrixBase:
    """Inverse of a Hessian on its fast directions."""
    form = (fast.T * quadratic * fast).applyfunc(sp.cancel)
    return form.inv() if fast.cols else form


def followed(
    point: Point,
    directions: Sequence[tuple[sp.Symbol, Any, list[sp.Expr]]],
    fast: sp.MatrixBase,
    inverse: sp.MatrixBase,
    order: Any,
) -> tuple[SeriesRing, dict[sp.Symbol, Series], Series]:
    """Expand a loss along some directions, with the fast variables following.

    Parameters
    ----------
    point : Point
        The loss at a critical point.
    directions : sequence of (Symbol, weight, vector)
        As of `Point.series`.
    fast : Matrix
        The fast directions, as columns.
    inverse : Matrix
        Of the Hessian on these.
    order : number
        Up to which power of ``eps``.

    Returns
    -------
    ring, slaved, series
        The ring, the series of each fast variable, and that of the loss, in normal form.
    """
    s = tuple(sp.Symbol(f"s{k + 1}", real=True) for k in range(fast.cols))
    others = [(v, 2, list(fast[:, k])) for k, v in enumerate(s)]
    ring, series = point.series([*directions, *others], order)
    found = slaved_series(ring, series, s, inverse)
    reduced = ring.reduced(_substituted(ring, series, s, found))
    return ring, dict(zip(s, found, strict=True)), reduced


def slaved_series(
    ring: SeriesRing, series: Series, s: tuple[sp.Symbol, ...], inverse: sp.MatrixBase
) -> list[Series]:
    """Series of the fast variables `s`, which minimise the loss; `inverse` is of its Hessian."""
    if not s:
        return []
    first = ring.variables.index(s[0])
    gradients = []
    for k in range(len(s)):
        slope: Series = {}
        for w, part in series.items():
            if d := part.diff(ring.ring.gens[first + k]):
                slope[w - 2] = d  # the variable's own weight is subtracted
        gradients.append(slope)
    # The part that is linear in s with constant coefficients is the quadratic form's.
    rest = [_without_linear(ring, g, first, len(s)) for g in gradients]
    found: list[Series] = [{} for _ in s]
    for _ in range(int(ring.order) + 1):  # decimals never agree to the last digit
        pull = [_substituted(ring, g, s, found) for g in rest]
        new = [
            ring.reduced(
                ring.add(
                    [ring.scaled(p, -inverse[k, j]) for j, p in enumerate(pull) if inverse[k, j]]
                )
            )
            for k in range(len(s))
        ]
        # Beyond half of the order, a slaved part is not felt.
        new = [{w: p for w, p in x.items() if 2 * w <= ring.order} for x in new]
        if new == found:
            break
        found = new
    return found


def _without_linear(ring: SeriesRing, slope: Series, first: int, count: int) -> Series:
    """Series without the terms that are one of `count` variables alone."""

    def kept(monomial: tuple[int, ...]) -> bool:
        return sum(monomial) != 1 or sum(monomial[first : first + count]) != 1

    rest = {
        w: ring.gathered((m, c) for m, c in part.iterterms() if kept(m))
        for w, part in slope.items()
    }
    return {w: part for w, part in rest.items() if part}


def _substituted(
    ring: SeriesRing, series: Series, s: tuple[sp.Symbol, ...], values: list[Series]
) -> Series:
    """Series with `values` in place of the variables `s`."""
    if not s:
        return series
    first = ring.variables.index(s[0])
    groups: dict[tuple[int, ...], dict[tuple[int, ...], Any]] = {}
    for part in series.values():
        for monomial, c in part.iterterms():
            powers = monomial[first : first + len(s)]
            rest = (*monomial[:first], *[0] * len(s), *monomial[first + len(s) :])
            groups.setdefault(powers, {})[rest] = c
    known: dict[tuple[int, int], Series] = {}
    total = []
    for powers, terms in groups.items():
        product = ring.parts(ring.ring.from_dict(terms))
        for k, e in enumerate(powers):
            if e:
                if (k, e) not in known:
                    known[k, e] = ring.power(values[k], e)
                product = ring.times(product, known[k, e])
        total.append(product)
    return ring.add(total)
