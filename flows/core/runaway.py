"""A run that goes to infinity: along a ray on which the flow stays, a valley, a largest margin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sympy as sp
from mpmath import mp

from flows.core.arrays import Array
from flows.core.margin_escape import margin_escape
from flows.core.minimiser import Escape
from flows.core.valley_escape import valley_escape
from symbolic.asymptotics.point import Point
from symbolic.language.lower import lower

__all__ = ["runaway"]

# Ratios of entries are taken for fractions with a denominator up to the first number that are as
# near as the second. Balanced layers tend to a simple ray, and only like `1/log t`.
RAYS = ((1, 0.1), (12, 2e-2))
# A run that goes to infinity moves by this part of its distance in its time, for logarithms of it.
MOVES = 1e-3
# The loss is evaluated farther out by this factor, at this many places a factor of ten.
FARTHER, PLACES, DIGITS = 1e3, 10, 50
# Rounding of a ratio that is one, as where all directions are equivalent.
SLACK = 1e-6


def runaway(point: Point, state: Sequence[float], slope: Array, t: float) -> Escape | None:
    """Loss along the ray, valley or direction in which a run goes to infinity, or None.

    That the flow stays on the ray is proved; that the loss falls all along it, and that the run
    goes there, is sampled.

    Parameters
    ----------
    point : Point
        The loss in closed form.
    state, slope : sequence of float
        Last state and gradient.
    t : float
        The time.
    """
    y = np.array(state, dtype=float)
    square = float(y @ y)
    if point.integrand != 0 or not square > 0 or not -t * float(slope @ y) > MOVES * square:
        return None
    # Of a loss like |w|^2/t far out, this is left.
    above = t * float(slope @ slope)
    linear = margin_escape(point, y.tolist(), above, most=1)
    return linear or _straight(point, y) or margin_escape(point, y.tolist(), above)


def _straight(point: Point, y: Array) -> Escape | None:
    """Along a ray, or a valley that becomes one."""
    largest = float(np.abs(y).max())
    radius = sp.Symbol("R", positive=True)
    unit = [sp.Rational(v / largest) for v in y.tolist()]
    for most, near in RAYS:
        ray = [v.limit_denominator(most) for v in unit]
        off = float(np.abs(np.array(ray, dtype=float) - y / largest).max())
        where = dict(zip(point.y, (radius * u for u in ray), strict=True))
        if off <= near and any(ray) and _stays(point, ray, where):
            if off > 0 and not _attracts(point, ray, FARTHER * largest):
                return None
            break
    else:
        escape = valley_escape(point, y.tolist()) if off <= near else None
        return escape if escape and _falls(escape.loss, escape.radius, largest) else None
    along = point.plain.xreplace(where)
    # In its simplest form a loss may be a difference of growing terms.
    forms = (e for e in (sp.simplify(along), along) if e.free_symbols == {radius})
    loss = next((e for e in forms if _falls(e, radius, largest)), None)
    if loss is None:
        return None
    text = ", ".join(map(str, ray))
    remark = "the run goes to infinity"
    if len(ray) > 1:
        remark += f" along ({text}), from which its direction is {off:.1g} off"
    return Escape(loss, radius, sp.Add(*(u**2 for u in ray)), remarks=(remark,))


def _stays(point: Point, ray: Sequence[sp.Rational], where: dict[sp.Symbol, sp.Expr]) -> bool:
    """Whether the gradient on the ray is along it."""
    first = next(k for k, u in enumerate(ray) if abs(u) == 1)
    slopes = [sp.diff(point.plain, v).xreplace(where) for v in point.y]
    return all(
        sp.simplify(g * ray[first] - slopes[first] * u) == 0
        for g, u in zip(slopes, ray, strict=True)
    )


def _attracts(point: Point, ray: Sequence[sp.Rational], radius: float) -> bool:
    r"""Whether deviations from a ray grow no faster than the distance does, far out.

    .. math:: \lambda_{\min}(P^T \nabla^2 L\, P) \ge y \cdot \nabla L/|y|^2

    with the directions `P` at right angles to the ray.
    """
    if len(ray) == 1:
        return True
    slopes = [sp.diff(point.plain, v) for v in point.y]
    slope = lower(slopes, point.y, "mpmath")
    bent = lower([sp.diff(g, v) for g in slopes for v in point.y], point.y, "mpmath")
    with mp.workdps(DIGITS):
        y = [mp.mpf(radius) * int(u.p) / int(u.q) for u in ray]
        try:
            growth = mp.fdot(y, slope(*y)) / mp.fdot(y, y)
            matrix = np.array([float(h / abs(growth)) for h in bent(*y)]).reshape(len(y), len(y))
        except (ArithmeticError, ValueError, TypeError):
            return False
    across = np.linalg.svd(np.array([ray], dtype=float))[2][1:]
    return bool(np.linalg.eigvalsh(across @ matrix @ across.T).min() >= -1 - SLACK)


def _falls(loss: sp.Expr, radius: sp.Symbol, since: float) -> bool:
    """Whether the loss falls at places from a radius on."""
    slope = lower([sp.diff(loss, radius)], [radius], "mpmath")
    places = np.geomspace(since, FARTHER * since, int(PLACES * np.log10(FARTHER)) + 1)
    with mp.workdps(DIGITS):
        try:
            return all(slope(mp.mpf(r))[0] < 0 for r in places.tolist())
        except (ArithmeticError, ValueError, TypeError):
            return False
