"""Averages whose integrand has kinks in the data: nodes of cells that move with the state."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from flows.core.arrays import Array
from flows.expectations.cells import ALONE, REACH, Panels
from flows.expectations.forms import Forms, forms_of
from flows.expectations.hermite import Rule
from flows.expectations.kink_lines import Plane, axes_of, lines, sweep, way_of
from flows.expectations.rules import Proved, left_between
from flows.systems.own.measured import Measure, Measured, columns_of, lengths_of, summed
from flows.systems.own.numeric import between_kinks, stacked
from symbolic.language.averages.kinks import Kinks, kinks_of
from symbolic.language.averages.moving_nodes import Moving, moving
from symbolic.language.lower import lower
from symbolic.language.program import gradient, program
from symbolic.language.stable import stable

__all__ = ["Cells", "cells_of"]

# Kinks of one average; directions that they and the smooth forms may have together.
MOST_KINKS, MOST_DIRECTIONS = 6, 2
# What is this near to the ends of the nodes bounds what is beyond them, so many times, if it is
# less than half of what is next to it, or this part of all: a Gaussian falls ever faster.
EDGE, BEYOND, FALLS, NOTHING = 0.5, 10.0, 0.5, 1e-14
# Kinks that are this near may be one kink, by rounding.
TOGETHER = 1e-13
# Panels hold their digits while a cell grows by this factor, or is shorter than the second number.
STRETCHED, SHORT = 1.5, 0.02
# Panels are halved so often at most, up to so many nodes.
HALVED, MOST_NODES = 4, 30_000
# Status of a linear program.
UNBOUNDED = 3


@dataclass(frozen=True)
class Cells(Measure):
    """Nodes between the kinks of an integrand.

    Parameters
    ----------
    kinks : Kinks
        The integrand by steps and ramps.
    x, y : tuple of Symbol
        Gaussian numbers and entries.
    """

    kinks: Kinks
    x: tuple[sp.Symbol, ...]
    y: tuple[sp.Symbol, ...]

    @functools.cached_property
    def moving(self) -> Moving:
        """Where nodes are."""
        return moving(self.kinks, self.x)

    @functools.cached_property
    def _forms(self) -> Forms:
        """The integrand by its smooth forms, for all steps."""
        return forms_of(stable(self.kinks.resolved), self.x, (*self.y, *self.kinks.steps))

    @property
    def average(self) -> Measured:
        """The average over nodes.

        Differences of ramps are those of their slopes and constants, which keep their digits.
        """
        forms, nodes = self._forms, self.moving
        ahead = sp.Matrix([*self.x, 1])
        function = forms.function.xreplace(
            dict(zip(forms.symbols, forms.rows * ahead, strict=True))
        )
        integrand = nodes.density * function.xreplace(dict(zip(self.x, nodes.point, strict=True)))
        derived = None
        if not self.kinks.has_jumps(self.x):
            place = program([nodes.density, *nodes.point])
            derived = between_kinks(gradient(function, self.y), self.x, place, self.y)
        return Measured(integrand, nodes.columns, self.y, self, derived)

    @functools.cached_property
    def _rows(self) -> tuple[int, int, Callable[..., Any]]:
        """Numbers of kinks and of smooth forms, and the code of their slopes and constants."""
        steps, smooth = self.kinks.steps, self._forms.met
        zero = dict.fromkeys(self.x, sp.S.Zero)
        hard = [[*(sp.diff(z, s) for s in self.x), z.xreplace(zero)] for z in self.kinks.forms]
        entries = [e for row in (*hard, *smooth.tolist()) for e in row]
        return len(hard), int(smooth.rows), lower(entries, (*self.y, *steps))

    @functools.cached_property
    def _places(self) -> Callable[..., Any]:
        """Code of the lengths of the cells of a node, its places there, and its numbers `x`."""
        nodes = self.moving
        lengths, places = zip(*nodes.lengths, strict=True)
        return lower([*lengths, *places, *nodes.point], (*self.y, *nodes.columns))

    @functools.cached_property
    def _something(self) -> NDArray[np.bool_]:
        """For all steps, whether the integrand is not zero throughout, as it is beyond a cube."""
        names, whole = self.kinks.steps, self.kinks.resolved
        sides = itertools.product((sp.S.Zero, sp.S.One), repeat=len(names))
        return np.array([whole.xreplace(dict(zip(names, at, strict=True))) != 0 for at in sides])

    def rows(self, y: Array) -> tuple[Array, Array]:
        """Kinks, shape (M, d + 1), and smooth forms for all steps, shape (2^M, m, d + 1)."""
        hard, smooth, code = self._rows
        patterns = itertools.product((0.0, 1.0), repeat=hard)
        with np.errstate(all="ignore"):
            found = np.array([code(*y.tolist(), *steps) for steps in patterns], dtype=np.float64)
        found = found.reshape(2**hard, hard + smooth, len(self.x) + 1)
        return found[0, :hard], found[:, hard:]

    def directions(self, y: Array) -> int:
        """How many directions the forms have together at a state."""
        hard, smooth = self.rows(y)
        return axes_of(np.concatenate([hard, smooth.reshape(-1, hard.shape[1])])).shape[1]

    def found(self, average: Measured, y: Array, tolerance: float) -> Proved:
        """See :class:`flows.systems.own.measured.Measure`."""
        hard, smooth = self.rows(y)
        if not (np.isfinite(hard).all() and np.isfinite(smooth).all()):
            return Proved(
                Rule(np.zeros((1, len(average.columns))), np.ones(1), ""), np.full(2, math.inf)
            )
        before = np.full(2, np.inf)
        for halved in range(HALVED + 1):
            rule, total, bound = self._proved(average, y, (hard, smooth), halved)
            known = average.is_known(y, rule, total, bound, tolerance)
            # An infinite bound, as of what is beyond, and one that rounding leaves, stay.
            stays = not np.isfinite(bound).all() or (bound > before / 2).all()
            if known or stays or len(rule) > MOST_NODES:
                break
            before = bound
        return Proved(rule, bound)

    def _proved(
        self, average: Measured, y: Array, rows: tuple[Array, Array], halved: int
    ) -> tuple[Rule, Array, Array]:
        """Rule of panels, the average with its gradient, and bounds of its errors."""
        panels, others = (Panels(second, halved) for second in (False, True))
        first, far = self._nodes(*rows, panels, panels)
        total, size = summed(average.code, y, first)
        plane = self._in_plane(first)
        reach = REACH if plane else ALONE
        off = np.zeros(1 + len(y))
        with np.errstate(all="ignore"):  # infinite terms
            for second in [(others, panels), (panels, others)] if plane else [(others, panels)]:
                other, _ = self._nodes(*rows, *second)
                off = off + left_between(total, summed(average.code, y, other)[0], size)
            edges = (far > reach - 2 * EDGE) & (far <= reach - EDGE), far > reach - EDGE
            parts = (Rule(first.nodes[at], first.weights[at], "") for at in edges)
            sizes = size, *(summed(average.code, y, part)[1] for part in parts)
            whole, near, last = map(lengths_of, sizes)
            # All that no node sees may be beyond them.
            seen = (whole > 0) | (whole.all() or not self._beyond(rows[0], reach - EDGE))
            ends = seen & ((last < FALLS * near) | (last <= NOTHING * whole))
            return first, total, lengths_of(off) + np.where(ends, BEYOND * last, np.inf)

    def _beyond(self, hard: Array, reach: float) -> bool:
        """Whether anything is averaged beyond kinks that are as far out as this."""
        slopes, constants = hard[:, :-1], hard[:, -1]
        lengths = np.linalg.norm(slopes, axis=1)
        if not ((lengths > 0) & (np.abs(constants) > reach * lengths)).any():
            return False
        sides = np.array(list(itertools.product((-1.0, 1.0), repeat=len(hard))))
        axes = axes_of(hard)
        ways = np.concatenate([axes.T, -axes.T])
        for side in sides[self._something]:
            for way in ways:
                given = -way, -side[:, None] * slopes, side * constants
                found = linprog(*given, bounds=(None, None))
                if found.status == UNBOUNDED or (found.success and -found.fun > reach):
                    return True
        return False

    def room(self, rule: Rule, begun: Array) -> Callable[[Array], float]:
        """Negative where a kink has come into a cell, or a cell has grown.

        Where nodes end, kinks come and go.
        """
        columns, nodes = self.moving.columns, rule.nodes
        inside = [columns.index(s) for s in (self.moving.inside[0], *self.moving.between)]
        # Nodes of a line of a cell have one length and the same corners.
        same = np.delete(nodes, [inside[0], inside[0] + 1], axis=1)
        first = np.flatnonzero(np.append(True, (same[1:] != same[:-1]).any(axis=1)))
        seen = np.concatenate([nodes, *_corners(nodes[first], inside)])
        reach = REACH if self._in_plane(rule) else ALONE
        count, many = len(self.moving.lengths), len(self.kinks.forms)
        sides = 2 * seen[:, -many:] - 1

        def at(state: Array, some: Array) -> Array:
            with np.errstate(all="ignore"):
                found = self._places(*state.tolist(), *columns_of(some))
            return stacked(found, (len(some),))

        longest = STRETCHED * np.maximum(at(begun, nodes[first])[:, :count], SHORT)

        def left(y: Array) -> float:
            there, (hard, _) = at(y, seen), self.rows(y)
            near = np.linalg.norm(there[:, count : 2 * count], axis=1) < reach - EDGE
            # A kink of a small slope is known to the rounding of its form only.
            size = np.hypot(1.0, np.linalg.norm(hard[:, :-1], axis=1))
            away = (there[:, 2 * count :] @ hard[:, :-1].T + hard[:, -1]) / size
            served = np.logical_or.reduceat(near[: len(nodes)], first)
            grown = longest[served] - there[first][served, :count]
            found = np.concatenate([grown.ravel(), (sides * away)[near].ravel()])
            return float(found.min(initial=np.inf)) + TOGETHER

        return left

    def _in_plane(self, rule: Rule) -> bool:
        """Whether lines of nodes lie side by side, along a second axis."""
        d = len(self.x)
        return d > 1 and bool(rule.nodes[:1, d : 2 * d].any())

    def across(self, rule: Rule) -> Rule:
        """Rule that averages what is quadratic across the plane of its nodes, as in a Hessian."""
        d = len(self.x)
        if d == 1:
            return rule
        axes = rule.nodes[0, : 2 * d].reshape(2, d)
        spanned = axes[np.linalg.norm(axes, axis=1) > 0]
        *_, whole = np.linalg.svd(spanned)
        outside = whole[len(spanned) :]
        if not len(outside):
            return rule
        moves = math.sqrt(len(outside)) * np.concatenate([outside, -outside])
        nodes = np.repeat(rule.nodes[:, None], len(moves), axis=1)
        nodes[:, :, 2 * d : 3 * d] = moves
        weights = np.repeat(rule.weights / len(moves), len(moves))
        return Rule(nodes.reshape(-1, nodes.shape[-1]), weights, f"{rule.label}, and across")

    def _nodes(
        self, hard: Array, smooth: Array, along: Panels, across: Panels
    ) -> tuple[Rule, Array]:
        """Nodes with their weights, and how far along an axis they are.

        Rules along the lines and across them may differ.
        """
        d, pairs = len(self.x), self.moving.pairs
        axes = np.ones((1, 1)) if d == 1 else axes_of(np.concatenate([hard, *smooth]))
        axis = way_of(hard, axes)
        e = axes @ axis
        f = axes @ np.array([-axis[1], axis[0]]) if len(axis) == 2 else np.zeros(d)
        kinks, bent = (
            Plane(forms[..., :-1] @ e, forms[..., :-1] @ f, forms[..., -1])
            for forms in (hard, smooth)
        )
        outer = np.zeros((1, 2 * len(pairs) + 3))
        outer[0, len(pairs) + 1] = 1.0
        v, weights, reach = np.zeros(1), np.full(1, math.sqrt(2 * math.pi)), ALONE
        if len(axis) == 2:
            outer, v, weights = sweep(kinks, bent, pairs, REACH, across)
            reach = REACH
        inner = lines(kinks, bent, v, reach, along, self._something)
        columns = [inner.ends, inner.theta, inner.rest, inner.steps]
        if d == 1:
            return Rule(np.column_stack(columns), inner.weights, "cells"), np.abs(inner.where)
        head = np.tile([*e, *f, *[0.0] * d], (len(inner.of), 1))
        nodes = np.column_stack([head, *columns[:3], outer[inner.of], *columns[3:]])
        far = np.maximum(np.abs(inner.where), np.abs(v[inner.of]))
        return Rule(nodes, weights[inner.of] * inner.weights, "cells"), far


def cells_of(integrand: sp.Expr, x: tuple[sp.Symbol, ...], y: tuple[sp.Symbol, ...]) -> Measured:
    """Average of an integrand with kinks along affine forms.

    Raises
    ------
    ValueError
        For other kinks, too many of them, and forms of more than two directions.
    """
    kinks = kinks_of(integrand, x)
    if kinks is None:
        raise ValueError(
            "kinks of the integrand must be where affine forms of x are zero, as in Max(0, w*x)"
        )
    if len(kinks.forms) > MOST_KINKS:
        raise ValueError(
            f"expected at most {MOST_KINKS} forms with kinks in an average without a closed form,"
            f" got {len(kinks.forms)}"
        )
    cells = Cells(kinks, x, y)
    state = np.random.default_rng(0).normal(size=len(y))
    if (count := cells.directions(state)) > MOST_DIRECTIONS:
        raise ValueError(
            "expected kinks and other forms of x in at most two directions in an average without a"
            f" closed form, got {count}: take fewer, or an integrand without kinks"
        )
    return cells.average


def _corners(nodes: Array, inside: list[int]) -> list[Array]:
    """Corners of the cells of nodes: columns say where in the cell they are."""
    found = [nodes.copy() for _ in range(2 ** len(inside))]
    for at, place in zip(found, itertools.product((0, 1), repeat=len(inside)), strict=True):
        at[:, inside] = place
    return found
