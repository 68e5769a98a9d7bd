r"""A run to infinity along a curved valley: one entry grows, and the others follow it.

With `y_1 = R` and the others near `z_0(R)`, `z_i ~ c_i R^{-k_i}`, the flow is that of

.. math:: R' = -\frac{d}{dR} L(R, z_0(R)) \, (1 + o(1)) \qquad (R \to \infty)

where the limits hold that :func:`valley_escape` takes: what the others leave of the loss is small
beside it, their curvature outruns the growth of `R`, and they move less than `R`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp
from mpmath import mp

from flows.core.arrays import Array
from flows.core.minimiser import Escape
from symbolic.asymptotics.point import Point
from symbolic.language.blocks import as_written
from symbolic.language.lower import lower

__all__ = ["valley_escape"]

# The most entries that follow the others; the largest distance of the run from the valley.
FOLLOWERS, NEAR = 4, 0.1
# The valley is sought at radii with this ratio, with this number of digits and of steps.
FARTHER, PLACES, DIGITS, STEPS, CONVERGED = 100, 4, 60, 40, 1e-40
# Powers and coefficients are fractions with a denominator up to the first number that are as near.
DENOMINATOR, POWER, COEFFICIENT = 12, 1e-3, 1e-2


def valley_escape(point: Point, state: Sequence[float]) -> Escape | None:
    """Loss along the valley by which a run goes to infinity; None where no such one is found.

    The limits that make the others followers are SymPy's; that the run goes there is sampled.

    Parameters
    ----------
    point : Point
        The loss in closed form.
    state : sequence of float
        The last state.
    """
    y = np.array(state, dtype=float)
    first = int(np.argmax(np.abs(y)))
    rest, others = np.delete(y, first), [v for k, v in enumerate(point.y) if k != first]
    if not 1 <= len(others) <= FOLLOWERS or not np.abs(rest).max() < NEAR * abs(y[first]):
        return None
    radius = sp.Symbol("R", positive=True)
    loss = point.plain.xreplace({point.y[first]: int(np.sign(y[first])) * radius})
    slopes = [sp.diff(loss, z) for z in others]
    curved = sp.hessian(loss, others)
    compiled = lower([*slopes, *curved], [radius, *others], "mpmath")
    with mp.workdps(DIGITS):
        places = _valley(compiled, mp.mpf(float(abs(y[first]))), rest)
        powers = None if places is None else _powers(places, radius)
    if powers is None:
        return None
    where = dict(zip(others, powers, strict=True))
    along = sp.simplify(loss.xreplace(where))
    slope = sp.Matrix([g.xreplace(where) for g in slopes])
    if along.free_symbols != {radius} or not _followed(
        along, slope, curved.xreplace(where), powers, radius
    ):
        return None
    text = ", ".join(f"{as_written(z.name)} ~ {value}" for z, value in where.items())
    grows = as_written(point.y[first].name)
    remark = f"the run goes to infinity with R = |{grows}|, and to leading order {text}"
    return Escape(along, radius, sp.S.One, remarks=(remark,))


def _valley(compiled: Any, begins: Any, near: Array) -> list[tuple[Any, Any]] | None:
    """Radii, and the places there at which the gradient of the others vanishes in a minimum."""
    size = len(near)
    places: list[tuple[Any, Any]] = []
    z, before = mp.matrix(near.tolist()), None
    for k in range(PLACES):
        r = begins * FARTHER**k
        if before is not None:  # on the power that was seen last
            z = mp.matrix([b * b / a if a else b for a, b in zip(before, z, strict=True)])
        found = _settled(compiled, r, z)
        if found is None:
            return None
        if k == 0 and any(abs(a - b) > NEAR * abs(a) for a, b in zip(found, z, strict=True)):
            return None
        before, z = (found, found) if k == 0 else (places[-1][1], found)
        places.append((r, found))
    curved = np.array([float(x) for x in compiled(r, *z)[size:]]).reshape(size, size)
    scale = np.sqrt(np.abs(np.diag(curved)))
    if not (np.isfinite(curved).all() and (scale > 0).all()):
        return None
    return places if np.linalg.eigvalsh(curved / scale / scale[:, None]).min() > 0 else None


def _settled(compiled: Any, r: Any, z: Any) -> Any:
    """Newton's method for the others at one radius; None where it does not converge."""
    size = len(z)
    for _ in range(STEPS):
        try:
            slope, *curved = np.split(np.array(compiled(r, *z), dtype=object), [size])
            move = mp.lu_solve(
                mp.matrix(curved[0].reshape(size, size).tolist()), mp.matrix(slope.tolist())
            )
        except (ArithmeticError, ValueError, TypeError):
            return None
        z = z - move
        if mp.norm(move) <= CONVERGED * mp.norm(z):
            return z
    return None


def _powers(places: Sequence[tuple[Any, Any]], radius: sp.Symbol) -> list[sp.Expr] | None:
    """Each of the others as a fraction times a power of the radius; None where it is none."""
    (_, before), (r, last) = places[-2:]
    found = []
    for a, b in zip(before, last, strict=True):
        if b == 0:
            found.append(sp.S.Zero)
            continue
        if not a * b > 0:
            return None
        power = float(mp.log(b / a) / mp.log(FARTHER))
        k = sp.Rational(power).limit_denominator(DENOMINATOR)
        measured = float(b / mp.power(r, mp.mpf(int(k.p)) / int(k.q)))
        c = sp.Rational(measured).limit_denominator(DENOMINATOR)
        if abs(power - k) > POWER or abs(measured - c) > COEFFICIENT * abs(c):
            return None
        found.append(c * radius**k)
    return found


def _followed(
    along: sp.Expr,
    slope: sp.Matrix,
    curved: sp.Matrix,
    powers: Sequence[sp.Expr],
    radius: sp.Symbol,
) -> bool:
    """Whether the others follow: limits of their residuals, rates and moves."""
    inverse = curved.inv()
    left = (slope.T * inverse * slope)[0, 0] / along
    slow = -sp.diff(along, radius) / radius
    moves = [sp.diff(z, radius) for z in powers]
    try:
        return all(
            sp.limit(sp.simplify(e), radius, sp.oo) == 0
            for e in (left, *(slow * x for x in inverse), *moves)
        )
    except (NotImplementedError, ValueError):  # a limit that SymPy does not find
        return False
