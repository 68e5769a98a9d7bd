r"""Gradient EM on a line in ball arithmetic: expectations by a rule with a proved error.

All expectations are ``E P(x)``, ``x ~ N(0, 1)``, where ``P`` is a function of ``x`` and of
``w_k = pi_k exp(mu_k x - mu_k^2/2)``. With ``Z = sum_k w_k``, ``psi_k = w_k/Z``, and
``r_km = psi_k He_m(x - mu_k)``, where Hermite's ``He_m(x - mu_k) w_k = d^m w_k/dmu_k^m``:

.. math:: L = -E \log Z, \qquad \partial_i L = \sum_k E[\psi_i \psi_k] \mu_k, \qquad
          \partial_i \partial_j L = E [r_{i1} r_{j1} - \delta_{ij} r_{i2}].

*Error.* Let ``|mu_k| <= R``, ``|mu_i - mu_k| <= 2 S``, ``B = R + c`` and ``S c < pi/2``. At
``x = u + i b``, ``|b| <= c``, the phases of the ``w_k`` are within ``S c`` of their middle, so that
``|Z| >= cos(S c) sum |w_k|`` and ``|P| <= 3 (1 + B + |u|)^2 / cos(S c)^2`` for each of the three.
Hence the integral of ``|P exp(-x^2/2)| / sqrt(2 pi)`` along each such line is at most
``M = 3 (2 + B)^2 exp(c^2/2) / cos(S c)^2`` (Minkowski), and the sum over all multiples of ``h`` is
right to ``2 M / (exp(2 pi c/h) - 1)`` (Trefethen and Weideman, SIAM Review 56 (2014), Theorem 5.1).
Ending it at ``X >= 1`` leaves out at most ``12 (2 + R + X)^2 exp(-X^2/2) / sqrt(2 pi)``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, combinations_with_replacement, permutations, repeat
from operator import add, methodcaller, mul, truediv
from typing import Any, NamedTuple, Self

import numpy as np
from flint import acb, acb_mat, arb, arb_mat, ctx, fmpq

from flows.core.arrays import Array
from flows.core.balls import Ball, BallFlow, Rational, Singular, dot, precision
from flows.core.errors import InputError
from flows.core.system import System
from flows.expectations.lines import Axis, Line, in_balls

Matrix = Any  # flint.arb_mat or flint.acb_mat
#: Values at the points of a rule. There are millions: they are made without a loop in Python.
Column = list[Ball]
FINITE = methodcaller("is_finite")

ZERO, SIDES = arb(0), arb(0, 1)
#: Bits of the working precision that a rule leaves unused: its error is for the last ones only.
SPARE = 48
#: Part of the strip without poles that a rule uses: near the poles integrands are large.
STRIP = 0.95
#: Rules are made for lengths that are powers of 2 to this fraction, above the least: below it the
#: Gaussian decides, not the poles.
FINENESS, LEAST = 4, -4
#: Powers of wider balls would lose their sign.
TIGHT = 2.0**-20
#: Precision in bits of Hessians that become doubles.
STEERING = 64 + SPARE


class TrapezoidalRule(NamedTuple):
    """Points ``-K h, ..., K h`` and weights, and how far the sum is from an expectation at most."""

    step: Ball
    points: list[Ball]
    weights: list[Ball]
    error: Ball


def trapezoidal_error(reach: Ball, spread: Ball, step: Ball, end: Ball, strip: Ball) -> Ball:
    """Bound the error of the trapezoidal rule, for ``R``, ``S``, ``h``, ``X``, ``c`` as above."""
    if not (end >= 1 and spread * strip < arb.pi() / 2):
        raise Singular("a rule has no bound of its error")
    tail = 12 * (2 + reach + end) ** 2 * (-end * end / 2).exp() / (2 * arb.pi()).sqrt()
    size = 3 * (2 + reach + strip) ** 2 * (strip * strip / 2).exp() / (spread * strip).cos() ** 2
    return (tail + 2 * size / (2 * arb.pi() * strip / step).expm1()).upper()


@functools.lru_cache(maxsize=256)
def rule(reach: int, spread: int, bits: int) -> TrapezoidalRule:
    """Rule for ``R`` and ``S`` of these levels at most, for balls of these bits."""
    with precision(bits):
        longest, widest = (arb(2) ** (arb(level) / FINENESS) for level in (reach, spread))
        decay = (bits - SPARE) * math.log(2)
        strip = min(math.sqrt(2 * decay), STRIP * math.pi / 2 / float(widest))
        # What stands before the exponentials is as for means of length one.
        step = 2 * math.pi * strip / (decay + strip**2 / 2 + 10)
        count = math.ceil(math.sqrt(2 * decay + 20) / step)
        pairs = in_balls(Axis(Line(), step, -count, count), bits, False)
        points, weights = map(list, zip(*pairs, strict=True))
        error = trapezoidal_error(longest, widest, arb(step), points[-1], arb(strip))
        return TrapezoidalRule(arb(step), points, weights, error)


def rule_for(means: Sequence[Ball]) -> TrapezoidalRule:
    """Rule of the working precision for means, of complex ones for their real parts."""
    gaps = [(a - b) / 2 for a, b in combinations(means, 2)]
    if not all(abs(gap.imag) < 1 for gap in gaps):  # no rule would be of use
        raise Singular("posteriors are not known to be bounded")
    return rule(*(_level([abs(c.real) for c in row]) for row in (means, gaps)), ctx.prec)


def _level(lengths: Sequence[Ball]) -> int:
    """Level of a length that none of these exceeds."""
    longest = max((float(x.upper()) for x in lengths), default=0.0)
    if not math.isfinite(longest):
        raise Singular("a mean is not bounded")
    # More is added than the logarithm, and the double, are rounded by.
    level = math.ceil(FINENESS * math.log2(max(longest, 2.0**LEAST)) + 1e-9)
    return max(level, LEAST * FINENESS)


@dataclass(frozen=True)
class MixtureFlow(BallFlow):
    """The flow of the means of a mixture on a line.

    Parameters
    ----------
    system : GMMEM
        The system.
    start : list of balls
        Means of the start, exact.
    weights : list of rationals
        Weights: the system's doubles, divided by their exact sum.
    """

    system: Any
    start: list[Ball]
    weights: list[Rational]
    unit = 1.0

    @classmethod
    def of(cls, system: System, start: Array) -> Self:
        """Flow from the user's start."""
        if start.shape[1] != 1:
            raise InputError(
                "certify: gmm_em has certificates on a line only, got d ="
                f" {start.shape[1]}; give d = 1"
            )
        given = [fmpq(*w.as_integer_ratio()) for w in system.parameters["weights"]]
        total = sum(given, fmpq(0))
        return cls(system, [arb(x) for x in start[:, 0].tolist()], [w / total for w in given])

    def odds(self, means: Sequence[Ball], found: TrapezoidalRule) -> list[Column]:
        """``w_k/w_m`` at each point, for an ``m``; of tight balls by geometric sequences."""
        if isinstance(means[0], acb) or not all(m.rad() < TIGHT for m in means):
            return self._compared(means, found.points)
        first, *others = means
        columns: list[Column] = [[arb(1)] * len(found.points)]
        for mu, weight in zip(others, self.weights[1:], strict=True):
            gap = mu - first
            middle = (-gap * (mu + first) / 2).exp() * (weight / self.weights[0])
            half = len(found.points) // 2
            left, right = (
                list(accumulate(repeat((way * gap * found.step).exp(), half), mul, initial=middle))
                for way in (-1, 1)
            )
            columns.append(left[:0:-1] + right)
        return columns

    def _compared(self, means: Sequence[Ball], points: Sequence[Ball]) -> list[Column]:
        """``w_k/w_m``, ``w_m`` the largest at a point, in a form that is sharp on boxes."""
        real, at = np.array([float(m.real.mid()) for m in means]), np.array(points, dtype=float)
        largest = np.argmax(real * (at[:, None] - real / 2), axis=1)
        columns: list[Column] = [[arb(1)] * len(points) for _ in means]
        for top in set(largest.tolist()):
            m, where = means[top], np.flatnonzero(largest == top).tolist()
            for k, mu in enumerate(means):
                if k != top:
                    gap, middle = mu - m, (mu + m) / 2
                    ratio, column = self.weights[k] / self.weights[top], columns[k]
                    for j in where:
                        column[j] = (gap * (points[j] - middle)).exp() * ratio
        return columns

    def posteriors(self, means: Sequence[Ball], found: TrapezoidalRule) -> list[Column]:
        """``psi_k`` at each point."""
        odds = self.odds(means, found)
        total = functools.reduce(summed, odds)
        psi = [list(map(truediv, column, total)) for column in odds]
        if not all(map(FINITE, psi[0])):  # a quotient by a ball that contains 0 is not
            raise Singular("posteriors are not known to be bounded")
        return psi

    def field(self, x: Sequence[Ball], signs: Sequence[int] = ()) -> list[Ball]:
        """Minus the gradient; of complex means the sum of the rule for them."""
        found = rule_for(x)
        psi = self.posteriors(x, found)
        overlap = averaged(psi, psi, found)
        error = ZERO if isinstance(x[0], acb) else SIDES * found.error
        return [error - dot(row, x) for row in overlap.tolist()]

    def hessian(self, x: Sequence[Ball]) -> Matrix:
        """Hessian of the loss; on a box by its middle and the third derivatives."""
        found, every = rule_for(x), range(self.size)
        first, second, _ = self.hermite([c.mid() for c in x], found)
        matrix = averaged(first, first, found)
        for i, mean in enumerate(averages(second, found)):
            matrix[i, i] -= mean
        if not all(c.is_exact() for c in x):
            for (i, j, k), third in self._thirds(found, x).items():
                for a, b, c in set(permutations((i, j, k))):
                    matrix[a, b] += third * SIDES * x[c].rad()
        return arb_mat([[matrix[i, j] + SIDES * found.error for j in every] for i in every])

    def hermite(self, means: Sequence[Ball], found: TrapezoidalRule) -> Any:
        """``r_k1``, ``r_k2``, ``r_k3`` at each point."""
        result: tuple[list[Column], ...] = ([], [], [])
        for mean, psi in zip(means, self.posteriors(means, found), strict=True):
            y = [point - mean for point in found.points]
            # Not c**2, which is not finite for balls that contain 0.
            first, squares = product(psi, y), product(y, y)
            result[0].append(first)
            result[1].append([p * (c - 1) for p, c in zip(psi, squares, strict=True)])
            result[2].append([p * (c - 3) for p, c in zip(first, squares, strict=True)])
        return result

    def _thirds(
        self, found: TrapezoidalRule, box: Sequence[Ball]
    ) -> dict[tuple[int, int, int], Ball]:
        """Third derivatives of the rule's loss on a box, ``i <= j <= k``."""
        first, second, third = self.hermite(box, found)
        pairs = list(combinations_with_replacement(range(self.size), 2))
        products = [product(first[i], first[j]) for i, j in pairs]
        triples, mixed = averaged(products, first, found), averaged(second, first, found)
        own, result = averages(third, found), {}
        for index, (i, j) in enumerate(pairs):
            for k in range(j, self.size):
                total = -2 * triples[index, k]
                for a, b, c in ((i, j, k), (j, k, i), (i, k, j)):
                    if a == b:
                        total += mixed[a, c]
                result[i, j, k] = total - own[i] if i == k else total
        return result

    def loss(self, x: Sequence[Ball]) -> Ball:
        """Population loss; on a box by its middle and the gradient."""
        middle = [c.mid() for c in x]
        found = rule_for(middle)
        # Odds of exact means are those to the first: Z = w_0 (1 + w_1/w_0 + ...).
        first, share, logs = middle[0], arb(self.weights[0]).log(), []
        totals = functools.reduce(summed, self.odds(middle, found))
        for point, total in zip(found.points, totals, strict=True):
            logs.append(total.log() + share + first * (point - first / 2))
        slope = dot(self.field(x), [SIDES * c.rad() for c in x])
        return (SIDES * found.error - dot(found.weights, logs) + slope).nonnegative_part()

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles, for Newton's method."""
        with precision(STEERING):
            return super().steering([[c.mid() for c in x] for x in states])

    def restore(self, x: Sequence[Ball]) -> list[Any]:
        """Means, nested lists of shape (n, 1)."""
        return [[c] for c in x]


def summed(left: Column, right: Column) -> Column:
    """Sum at each point."""
    return list(map(add, left, right))


def product(left: Column, right: Column) -> Column:
    """Product at each point."""
    return list(map(mul, left, right))


def averaged(left: Sequence[Column], right: Sequence[Column], found: TrapezoidalRule) -> Matrix:
    """``E left_i right_j`` by the rule."""
    weighted = [product(column, found.weights) for column in right]
    kind = acb_mat if isinstance(left[0][0], acb) else arb_mat
    return kind(left) * kind(weighted).transpose()


def averages(columns: Sequence[Column], found: TrapezoidalRule) -> list[Ball]:
    """``E column_k`` by the rule."""
    return list((arb_mat(columns) * arb_mat([[w] for w in found.weights])).entries())
