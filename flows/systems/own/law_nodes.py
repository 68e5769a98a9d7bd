"""Nodes for a law at a minimiser, over the numbers along which functions vary there."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import sympy as sp
from flint import arb, arb_mat
from mpmath import mp

from flows.core.arrays import Array
from flows.core.arrival import GUESSED, SIMPLE, fractions
from flows.core.balls import precision
from flows.expectations.lines import Axis, in_balls
from flows.expectations.planes import fewest, surveyed
from flows.systems.own.exact import is_even
from flows.systems.own.increment import orthonormal
from flows.systems.own.loss import Loss
from flows.systems.own.nodes import rows_of
from symbolic.asymptotics.averaged import BITS, Nodes, decimal
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.language.lower import NoBall, lower

__all__ = ["critical_near", "over_nodes"]

# A direction is spanned by others up to this part of itself.
SPANNED = 1e-40
# At a minimiser loss, gradient and curvature may vanish, by any rule: it is chosen so far from
# there, relative to the entries.
BESIDE = 1 / 64
# What nodes leave of the average of sizes: zeros are separated from the rest at 1e-20.
LEFT = 1e-24
# Most nodes, and weights that are left out.
MOST, LEAST = 40_000, 1e-40
# A gradient is zero by this part of the Hessian; curvatures below the second part are flat; so many
# steps of Newton's method are taken.
CRITICAL, FLAT, STEPS = 1e-20, 1e-9, 4


def over_nodes(loss: Loss, point: Point) -> Point:
    """A critical point with nodes for its expectation, in decimals.

    The numbers are turned: functions vary along the first ones, and the others have moments.

    Raises
    ------
    NoLaw
        Where no rule has a bound, or it takes too many nodes.
    """
    d = len(point.x)
    try:
        with precision(BITS), mp.workprec(BITS):
            at = lower(list(point.at), (), "ball")()
            rows = arb_mat(loss.formed.forms.rows.rows, d + 1, list(rows_of(loss.formed)(*at)))
            numbers = [[mp.mpf(x.mid()) for x in row[:d]] for row in rows.tolist()]
            _, sizes, axes = mp.svd_r(mp.matrix(numbers), full_matrices=True)
            k = 1 if d == 1 else sum(size > SPANNED * max(sizes) for size in sizes)
            every = [[arb(axes[i, j]) for j in range(d)] for i in range(d)]
            where = np.array([float(a) for a in at])
            where = where + BESIDE * (1 + np.abs(where)) * np.cos(np.arange(len(where)))
            across = np.array(axes[:k, :].tolist(), dtype=float).reshape(k, d).T
            known = surveyed(loss.formed.forms, where, across) if k else ()
            known = tuple(each for each in known if not any(line.thin for line in each.lines))
            if not known:
                raise NoLaw("no rule for the expectation has a bound near the minimiser")
            found = fewest(known, where, across, LEFT * known[0].size, MOST)
            if found is None:
                raise NoLaw(f"the expectation takes more than {MOST} nodes near the minimiser")
            every[:k] = (orthonormal(found.turn).transpose() * arb_mat(every[:k])).tolist()
            nodes = _nodes(found.rules, is_even(loss))
    except NoBall as problem:
        raise NoLaw(str(problem)) from None
    integrand = point.integrand
    if d > 1:
        columns = zip(*every, strict=True)
        turned = [sp.Add(*map(sp.Mul, map(decimal, c), point.x)) for c in columns]
        integrand = integrand.xreplace(dict(zip(point.x, turned, strict=True)))
    return replace(point, integrand=integrand, at=tuple(map(decimal, at)), nodes=nodes)


def critical_near(loss: Loss, point: Point, where: Array) -> tuple[Point, bool]:
    """Critical point near a place: by Newton's method across flat ways, or of simple fractions.

    Returns
    -------
    Point, bool
        The point, and whether it is guessed.

    Raises
    ------
    NoLaw
        Where there is none, or no rule.
    """
    near = fractions(where.tolist(), *SIMPLE)
    at = list(near or [sp.Float(x, 60) for x in where.tolist()])
    # Beside the point functions may vary along more directions, with too many nodes.
    with contextlib.suppress(NoLaw):
        for _ in range(STEPS):
            move, critical = _step(over_nodes(loss, replace(point, at=tuple(at))))
            if critical:
                return replace(point, at=tuple(at)), False
            at = [a + m for a, m in zip(at, move, strict=True)]
    guess = fractions(where.tolist(), *GUESSED)
    if guess is None or not _step(over_nodes(loss, replace(point, at=guess)))[1]:
        raise NoLaw("limit not found: no critical point is near")
    return replace(point, at=guess), True


def _step(point: Point) -> tuple[list[sp.Expr], bool]:
    """Step of Newton's method, and whether the gradient is zero."""
    quadratic = point.quadratic
    hessian = np.array(quadratic.hessian, dtype=float)
    largest = float(np.abs(hessian).max())
    inverse = sp.Matrix(np.linalg.pinv(hessian, FLAT, hermitian=True).tolist())
    steepest = max(abs(float(g)) for g in quadratic.gradient)
    return list(-inverse * sp.Matrix(quadratic.gradient)), steepest <= CRITICAL * largest


def _nodes(rules: Sequence[Axis], even: bool) -> Nodes:
    """Product of rules, without the corners; of an even integrand, one of two opposite nodes."""
    lines = [in_balls(rule, BITS, False) for rule in rules]
    half = even and all(not rule.line.centre for rule in rules)
    places, weights = [], []
    for many in itertools.product(*lines):
        weight = functools.reduce(arb.__mul__, (w for _, w in many))
        if weight > LEAST and not (half and many[0][0] < 0):
            places.append(tuple(x for x, _ in many))
            weights.append(2 * weight if half and many[0][0] > 0 else weight)
    return Nodes(tuple(places), tuple(weights))
