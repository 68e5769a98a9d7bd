"""Collocation at the Radau IIA nodes with any number of stages and digits.

``s`` stages have the order ``2 s - 1`` at the end of a step; stiffly accurate and L-stable.
Source: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.5.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import scipy.special
from mpmath import mp

Number = Any  # mpmath.mpf
Vector = list[Number]

# Digits beyond the requested ones, for the rounding of sums over stages.
GUARD = 10


class Tableau(NamedTuple):
    """Collocation on ``[-1, 1]``: ``s`` Radau nodes; the last is 1.

    ``integral`` (s rows of s) integrates from -1 to a node on the unit step, the matrix ``A``;
    ``transform`` (s+1 rows of s+1) turns start and stages into Legendre coefficients.
    """

    nodes: Vector
    integral: list[Vector]
    transform: list[Vector]


def legendre(x: Number, count: int) -> Vector:
    """Values ``P_0(x), ..., P_{count-1}(x)``."""
    values = [mp.one, mp.mpf(x)]
    for m in range(1, count - 1):
        values.append(((2 * m + 1) * x * values[m] - m * values[m - 1]) / (m + 1))
    return values[:count]


@functools.cache
def tableau(stages: int, digits: int) -> Tableau:
    """Radau IIA tableau of ``stages`` (at least 2) stages, right to ``digits``."""
    with mp.workdps(digits + GUARD):
        nodes = []
        # The roots of P_s - P_{s-1}: these, and 1.
        for guess in scipy.special.roots_jacobi(stages - 1, 1, 0)[0]:
            x = mp.mpf(float(guess))
            for _ in range(digits.bit_length() + 2):  # Newton doubles the digits
                below, q, p = legendre(x, stages + 1)[-3:]
                # (x^2 - 1) P_m' = m (x P_m - P_{m-1})
                slope = (stages * (x * p - q) - (stages - 1) * (x * q - below)) / (x * x - 1)
                x -= (p - q) / slope
            nodes.append(x)
        nodes.append(mp.one)

        basis = mp.matrix([legendre(x, stages) for x in nodes])
        integrals = mp.zeros(stages)
        for k, x in enumerate(nodes):
            values = legendre(x, stages + 1)
            integrals[k, 0] = (x + 1) / 2
            for m in range(1, stages):
                integrals[k, m] = (values[m + 1] - values[m - 1]) / (2 * (2 * m + 1))
        integral = integrals * mp.inverse(basis)
        with_start = mp.matrix([legendre(x, stages + 1) for x in (-mp.one, *nodes)])
        return Tableau(nodes, integral.tolist(), mp.inverse(with_start).tolist())


def polynomial(coefficients: list[Vector], x: Number) -> Vector:
    """Values at ``x`` of polynomials given by their Legendre coefficients, one list each."""
    values = legendre(x, len(coefficients[0]))
    return [mp.fdot(c, values) for c in coefficients]
