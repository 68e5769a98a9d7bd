r"""Lengths and angles next to a point, as functions that have a series there.

With a part `a` that is not zero at the point, and so neither next to it,

.. math:: \sqrt{a^2 + b^2} = \pm a \sqrt{1 + b^2/a^2}, \qquad
          \mathrm{atan2}(s, c) = \pm \pi/2 - \arctan(c/s)

where `s` is not zero. Where only `c` is not, the angle is ``arctan(s/c)``, plus `pi` for a negative
`c`. The signs are those at the point, so that they stay right along a family through it.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.series import sign_of
from symbolic.language.primitives import ArgMinusSinCos, NormMinusArgDot, SafeNorm, definition

__all__ = ["regular"]

# What is written by lengths and angles.
WRITTEN = (sp.Abs, sp.atan2, SafeNorm, NormMinusArgDot, ArgMinusSinCos)
# Decimals of sixty digits below this are zero.
ROUNDING = sp.Float(2) ** -149


def regular(expression: sp.Expr, at: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Expression that is the same next to a point.

    Parameters
    ----------
    expression : Expr
        In the entries of the point, and others.
    at : mapping of Symbol to number
        The point.

    Raises
    ------
    NoLaw
        For an angle whose both sides vanish there, or that jumps.
    """

    def side(part: sp.Expr) -> sp.Expr:
        number = sp.expand(part.xreplace(at))
        if number == 0 or (number.is_Float and abs(number) < ROUNDING):
            return sp.S.Zero
        return sign_of(number)

    def length(*x: sp.Expr) -> sp.Expr:
        given = [part.xreplace(at) for part in x]
        known = [k for k, part in enumerate(x) if side(part)]
        if not known:
            return sp.sqrt(sp.Add(*(part**2 for part in x)))
        # The largest one; symbols of a family count as one.
        k = max(known, key=lambda k: abs(float(given[k])) if given[k].is_number else 1.0)
        rest = sp.Add(*(part**2 for j, part in enumerate(x) if j != k))
        return side(x[k]) * x[k] * sp.sqrt(1 + rest / x[k] ** 2)

    def angle(across: sp.Expr, along: sp.Expr) -> sp.Expr:
        if turned := side(across):
            return turned * sp.pi / 2 - sp.atan(along / across)
        if ahead := side(along):
            if ahead < 0 and not across.is_nonnegative:
                raise NoLaw("an angle jumps from pi to -pi at the minimiser")
            return sp.atan(across / along) + (0 if ahead > 0 else sp.pi)
        raise NoLaw("no series is known of an angle whose both sides vanish at the minimiser")

    def bent(dot: sp.Expr, *x: sp.Expr) -> sp.Expr:
        return length(*x) - angle(length(*x), dot) * dot

    def slope(dot: sp.Expr, *x: sp.Expr) -> sp.Expr:
        area = length(*x)
        return angle(area, dot) - dot * area / (dot**2 + area**2)

    def size(part: sp.Expr) -> sp.Expr:
        entries = part.free_symbols & set(at)
        return length(part) if entries and part.free_symbols <= {*at, *free} else sp.Abs(part)

    if not expression.has(*WRITTEN):
        return expression
    free = {s for value in at.values() for s in value.free_symbols}
    found = expression.replace(NormMinusArgDot, bent).replace(ArgMinusSinCos, slope)
    found = definition(found.replace(SafeNorm, length))
    return found.replace(sp.atan2, angle).replace(sp.Abs, size)
