"""Functions of compiled numbers: of doubles, of lanes, and their slopes for duals.

In lanes both branches of a choice are computed, so neither may do harm.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import sympy as sp

from flows.arithmetic.kept import lean
from flows.arithmetic.vectors import larger, root, smaller, spread, where_less
from symbolic.language import lower

__all__ = ["SWITCH", "root_one", "sine_excess_lanes", "sine_excess_one", "turn_lanes"]

#: Coefficients of ``atan(r)/r`` and ``(sin t - t)/t^3`` in powers of the square: the first term
#: dropped is below 1e-17 of the sum for ``r <= tan(pi/8)`` and ``t <= SWITCH``.
ARC = [Fraction((-1) ** k, 2 * k + 1) for k in range(21)]
SINE = [Fraction((-1) ** k, math.factorial(2 * k + 1)) for k in range(1, 12)]
SWITCH = 1.5
# Larger quotients are turned by an eighth of a turn.
EDGE = math.tan(math.pi / 8)
QUARTER, HALF = math.pi / 4, math.pi / 2
# Quotients of two numbers that are both zero are taken by this instead.
LEAST = 1e-300


def polynomial(coefficients: list[Fraction]) -> Any:
    """Compile a polynomial by Horner's rule, for numbers of any kind."""
    square = sp.Symbol("square")
    total: sp.Expr = sp.S.Zero
    for c in reversed(coefficients):
        total = sp.Float(float(c), 17) + square * total
    made = lean(lower.lower((total,), (square,), "math"))
    return lean(lambda x: made(x)[0])


_arc, _sine = polynomial(ARC), polynomial(SINE)


@lean
def root_one(x):
    """Root of a double, zero below zero."""
    return math.sqrt(x) if x > 0.0 else 0.0


@lean
def turn_lanes(y, x):
    """Angle of the vector ``(x, y)``, as :func:`math.atan2`."""
    up, ahead = larger(y, -y), larger(x, -x)
    low, high = smaller(up, ahead), larger(larger(up, ahead), LEAST)
    wide = low - high * EDGE
    ratio = where_less(0.0, wide, (low - high) / (low + high), low / high)
    found = ratio * _arc(ratio * ratio)
    found = where_less(0.0, wide, QUARTER + found, found)
    found = where_less(ahead, up, HALF - found, found)
    found = where_less(x, 0.0, math.pi - found, found)
    return where_less(y, 0.0, -found, found)


@lean
def sine_excess_one(angle, chord, antichord):
    """``sin t - t`` without cancellation; the chords are ``2 sin(t/2)`` and ``2 cos(t/2)``."""
    if angle < SWITCH:
        return angle * (angle * angle) * _sine(angle * angle)
    return 0.5 * chord * antichord - angle


@lean
def sine_excess_lanes(angle, chord, antichord):
    """See :func:`sine_excess_one`."""
    near = smaller(angle, spread(SWITCH))
    series = near * (near * near) * _sine(near * near)
    return where_less(angle, SWITCH, series, 0.5 * chord * antichord - angle)


@lean
def root_lanes(x):
    """Roots of lanes, zero below zero."""
    return root(larger(x, 0.0))
