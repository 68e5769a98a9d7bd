r"""Averages over a sphere of functions of two directions: nodes of their plane.

.. math:: x = r (\rho \cos\theta\, e + \rho \sin\theta\, f), \qquad
   s = \rho^2 \sim \mathrm{Beta}(1, (d - 2)/2), \quad \theta \sim U(0, 2 \pi)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.expectations.families import panels, tanh_sinh
from flows.expectations.forms import forms_of
from flows.expectations.hermite import Rule
from flows.expectations.kink_lines import axes_of
from flows.expectations.rules import Proved, left_between
from flows.systems.own.measured import Measure, Measured, lengths_of, summed
from symbolic.language.lower import lower
from symbolic.language.stable import stable

__all__ = ["Disc", "over_sphere"]

# Directions that forms may have together.
MOST_DIRECTIONS = 2
# Nodes along the radius, which are doubled so often at most; four times as many are on a circle.
FEWEST, DOUBLED = 12, 4
# Nodes of the second rule to each side along the radius, and of its panels on a circle.
STEPS, PANEL = 49, 16
# What rules are called.
LABEL = "plane of a sphere"


@dataclass(frozen=True)
class Disc(Measure):
    """Nodes in the plane of the forms of an integrand, where the sphere is a disc.

    Parameters
    ----------
    radius : float
        Of the sphere.
    integrand : Expr
        What is averaged.
    x, y : tuple of Symbol
        Numbers that are averaged over, and entries.
    """

    radius: float
    integrand: sp.Expr
    x: tuple[sp.Symbol, ...]
    y: tuple[sp.Symbol, ...]

    @functools.cached_property
    def _rows(self) -> tuple[int, Callable[..., Any]]:
        """Number of forms, and the code of their slopes."""
        rows = forms_of(stable(self.integrand), self.x, self.y).rows
        return rows.rows, lower(list(rows), self.y)

    def axes(self, y: Array) -> Array:
        """Orthonormal columns that span the forms at a state, two of them or more."""
        count, code = self._rows
        with np.errstate(all="ignore"):
            rows = np.array(code(*y.tolist()), dtype=float).reshape(count, len(self.x) + 1)
        found = axes_of(np.nan_to_num(rows))
        whole, _ = np.linalg.qr(np.column_stack([found, np.eye(len(self.x))]))
        return np.asarray(whole[:, : max(found.shape[1], MOST_DIRECTIONS)])

    def found(self, average: Measured, y: Array, tolerance: float) -> Proved:
        """See :class:`flows.systems.own.measured.Measure`."""
        axes = self.axes(y)
        for k in range(DOUBLED + 1):
            rule = self._rule(axes, FEWEST << k, False)
            total, sizes = summed(average.code, y, rule)
            other, _ = summed(average.code, y, self._rule(axes, FEWEST << k, True))
            off = left_between(total, other, sizes)
            doubt = lengths_of(off)
            if average.is_known(y, rule, total, doubt, tolerance):
                break
        return Proved(rule, np.where(np.isfinite(doubt), doubt, np.inf))

    def _rule(self, axes: Array, count: int, second: bool) -> Rule:
        """Nodes of a plane, with this many along the radius."""
        s, weights = _radial(len(self.x), count, second)
        angles, parts = _round(4 * count, second)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ axes.T
        nodes = self.radius * np.sqrt(s)[:, None, None] * circle
        return Rule(nodes.reshape(-1, len(self.x)), np.outer(weights, parts).ravel(), LABEL)

    def across(self, rule: Rule) -> Rule:
        """Rule that averages what is quadratic across the plane of its nodes, as in a Hessian."""
        *_, whole = np.linalg.svd(rule.nodes.T @ rule.nodes)
        outside = np.concatenate([whole[MOST_DIRECTIONS:], -whole[MOST_DIRECTIONS:]])
        left = np.sqrt(np.maximum(self.radius**2 - (rule.nodes**2).sum(axis=1), 0.0))
        nodes = rule.nodes[:, None] + left[:, None, None] * outside
        weights = np.repeat(rule.weights / len(outside), len(outside))
        return Rule(nodes.reshape(-1, len(self.x)), weights, f"{rule.label}, and across")


@functools.lru_cache(maxsize=32)
def _radial(d: int, count: int, second: bool) -> tuple[Array, Array]:
    """Nodes of `s` with weights of sum one: Gauss-Jacobi, or tanh-sinh."""
    from scipy.special import roots_jacobi

    power = (d - 4) / 2
    if not second:
        t, weights = roots_jacobi(count, power, 0.0)
        return (1 + t) / 2, weights / weights.sum()
    found = tanh_sinh(STEPS)
    return found.low, (d - 2) / 2 * found.weights * found.high**power


@functools.lru_cache(maxsize=32)
def _round(count: int, second: bool) -> tuple[Array, Array]:
    """Angles with weights of sum one: trapezoidal, or Gauss-Legendre on panels."""
    if not second:
        return 2 * math.pi * np.arange(count) / count, np.full(count, 1 / count)
    angles, weights = panels(0, 2 * math.pi, count // 4, PANEL)
    return angles, weights / (2 * math.pi)


def over_sphere(
    radius: float, integrand: sp.Expr, x: tuple[sp.Symbol, ...], y: tuple[sp.Symbol, ...]
) -> Measured:
    """Average over a sphere of an integrand with forms of two directions at most.

    Raises
    ------
    ValueError
        For more directions.
    """
    disc = Disc(radius, integrand, x, y)
    state = np.random.default_rng(0).normal(size=len(y))
    if (count := disc.axes(state).shape[1]) > MOST_DIRECTIONS:
        raise ValueError(
            "expected, on a sphere, forms of x in at most two directions in an average without a"
            f" closed form, got {count}; take fewer, or Rows of a sample"
        )
    return Measured(integrand, x, y, disc)
