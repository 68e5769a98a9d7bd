"""Averages of smooth functions over a cube of three and more numbers."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.expectations.hermite import Rule
from flows.expectations.legendre import ellipses, tensor
from flows.expectations.rules import Proved
from flows.expectations.tubes import has_bound
from flows.systems.own.measured import Measure, Measured, summed
from symbolic.language.stable import stable

__all__ = ["Box", "over_cube"]

# Nodes of a rule at most; where more were needed, its error is larger by steps of this factor.
MOST_NODES, LARGER = 300_000, 10.0
# Nodes of an axis whose sums show how small the average is, and how often these are looked at.
FIRST, REFINED = 4, 3
# Sums have no less rounding than this part of that of sizes.
ROUNDED = 1e-15


@dataclass(frozen=True)
class Box(Measure):
    """Nodes in a box, of the numbers that an integrand depends on.

    Parameters
    ----------
    ends : tuple of (float, float)
        Of each number.
    integrand : Expr
        What is averaged.
    x, y : tuple of Symbol
        Numbers that are averaged over, and entries.
    """

    ends: tuple[tuple[float, float], ...]
    integrand: sp.Expr
    x: tuple[sp.Symbol, ...]
    y: tuple[sp.Symbol, ...]

    @functools.cached_property
    def slopes(self) -> tuple[sp.Expr, ...]:
        """The integrand, and its derivatives by the entries."""
        whole = stable(self.integrand)
        return (whole, *(sp.diff(whole, s) for s in self.y))

    def found(self, average: Measured, y: Array, tolerance: float) -> Proved:
        """See :class:`flows.systems.own.measured.Measure`."""
        used = [self.integrand.has(s) for s in self.x]
        x, ends = (
            [v for v, each in zip(values, used, strict=True) if each]
            for values in (self.x, self.ends)
        )
        known = ellipses(self.slopes, x, ends, dict(zip(self.y, y.tolist(), strict=True)))
        counts = [FIRST] * len(x)
        for _ in range(REFINED):
            total, size = summed(average.code, y, self._rule(used, counts))
            small = np.maximum(tolerance * np.abs(total), ROUNDED * size)
            asked = np.array([small[0], np.linalg.norm(small[1:])])
            if (known.bound(counts) <= asked).all():
                break
            wanted = known.counts(asked)
            while not 0 < math.prod(wanted) <= MOST_NODES:
                asked = LARGER * asked
                if not np.isfinite(asked).all():
                    return Proved(self._rule(used, counts), np.full(2, math.inf))
                wanted = known.counts(asked)
            if wanted == counts:
                break
            counts = wanted
        return Proved(self._rule(used, counts), known.bound(counts))

    def _rule(self, used: list[bool], counts: list[int]) -> Rule:
        """Nodes; a number on which nothing depends is in the middle."""
        left = iter(counts)
        return tensor(self.ends, [next(left) if each else 1 for each in used])


def over_cube(
    ends: tuple[tuple[float, float], ...],
    integrand: sp.Expr,
    x: tuple[sp.Symbol, ...],
    y: tuple[sp.Symbol, ...],
) -> Measured:
    """Average over a box of a smooth integrand.

    Raises
    ------
    ValueError
        For functions that have no bound.
    """
    box = Box(ends, integrand, x, y)
    if not all(map(has_bound, box.slopes)):
        raise ValueError(
            "expected, over a cube of three numbers or more, sums, products and powers of exp, log,"
            " sin, cos, tanh, erf and the like in an average without a closed form; take Rows of a"
            " sample"
        )
    return Measured(integrand, x, y, box)
