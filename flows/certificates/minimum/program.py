"""A loss as a program of steps, and a box around its minimum that a level set does not leave."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.certificates.verifier.near import FORMAT
from flows.certificates.verifier.taylor import AT_ZERO
from flows.core.errors import InputError
from potentials.search.exact import simplest
from symbolic.asymptotics.angles import regular
from symbolic.asymptotics.refusal import NoLaw
from symbolic.language.lower import lower

__all__ = ["Minimum", "apart", "kernel_axes", "minimum", "program_of"]

# A box reaches along each axis to where the loss is this part of the level.
BEYOND = 1.2
# Then it is made longer by the first number until the loss on its faces is the second part of the
# level, so often at most.
LONGER, ABOVE, TIMES = 1.15, 1.05, 40
# Points along an axis.
POINTS = 2000
# Points of a face along each of its axes: of one axis, and of more.
ON_FACE, ON_FACES = 41, 11
# Angles in doubles are whole eighths of a turn to this part of one.
EIGHTHS = 1e-9


@dataclass(frozen=True)
class Minimum:
    """A loss around a minimum.

    Parameters
    ----------
    symbols : tuple of Symbol
        The variables.
    loss : Expr
        The loss.
    program : list
        The same, step by step.
    point, radii : tuple of Fraction
        The minimum, and half the sides of a box around it.
    sides : tuple of int
        1 for a variable that is not below the point.
    level : Fraction
        The loss above its least value is at most this.
    order : int
        Degree of the Taylor polynomials of functions.
    axes : tuple of tuple of int, optional
        The box is one of these combinations of displacements, which are orthogonal.
    """

    symbols: tuple[sp.Symbol, ...]
    loss: sp.Expr
    program: list[list[Any]]
    point: tuple[Fraction, ...]
    radii: tuple[Fraction, ...]
    sides: tuple[int, ...]
    level: Fraction
    order: int = 14
    axes: tuple[tuple[int, ...], ...] | None = None

    @property
    def least(self) -> sp.Expr:
        """The loss at the minimum."""
        at = {x: sp.Rational(str(p)) for x, p in zip(self.symbols, self.point, strict=True)}
        return sp.simplify(self.loss.subs(at))

    @property
    def off(self) -> list[sp.Expr]:
        """Displacements from the minimum, along the axes of the box."""
        off = [x - sp.Rational(str(p)) for x, p in zip(self.symbols, self.point, strict=True)]
        if self.axes is None:
            return off
        return [sp.Add(*(c * x for c, x in zip(row, off, strict=True))) for row in self.axes]

    def data(self) -> dict[str, Any]:
        """For a file."""
        return {
            "format": FORMAT,
            "variables": [str(x) for x in self.symbols],
            "loss": self.program,
            "point": [str(x) for x in self.point],
            "radii": [str(x) for x in self.radii],
            "sides": list(self.sides),
            "level": str(self.level),
            "order": self.order,
        } | ({} if self.axes is None else {"axes": [[str(c) for c in row] for row in self.axes]})


def minimum(
    loss: sp.Expr,
    at: dict[sp.Symbol, Fraction],
    sides: Sequence[int],
    level: Fraction,
    axes: tuple[tuple[int, ...], ...] | None = None,
) -> Minimum:
    """The loss around a minimum, with a box whose faces are above the level.

    Raises
    ------
    InputError
        For a function that cannot be read, and where no box is found.
    """
    symbols, point = tuple(at), tuple(at.values())
    numbers, center = _numbers(symbols, loss), np.array([float(p) for p in point])
    back = np.eye(len(point)) if axes is None else np.linalg.inv(np.array(axes, dtype=float))
    radii = _radii(
        lambda *u: numbers(*(np.tensordot(back, np.array(u), 1).T + center).T),
        sides,
        float(level),
    )
    reach = np.abs(back) @ np.array([float(r) for r in radii])
    signs: dict[sp.Basic, sp.Basic] = {
        x: sp.Symbol(x.name, positive=True)
        for x, p, r, side in zip(symbols, center, reach, sides, strict=True)
        if p - (0 if side else r) >= 0
    }
    own = [signs.get(x, x) for x in symbols]
    place = {x: sp.Rational(str(p)) for x, p in zip(own, point, strict=True)}
    try:
        beside = regular(loss.xreplace(signs), place)
        beside = beside.replace(sp.atan, lambda ratio: apart(ratio, place))
    except NoLaw as problem:
        raise InputError(f"near: {problem}; give another point, or sides of it") from None
    loss = beside.xreplace({x: symbol for symbol, x in signs.items()})
    program = program_of(beside, own)
    return Minimum(symbols, loss, program, point, radii, tuple(sides), level, axes=axes)


def kernel_axes(
    loss: sp.Expr, at: Mapping[sp.Symbol, Fraction]
) -> tuple[tuple[int, ...], ...] | None:
    """Orthogonal rows of whole numbers that span the kernel of the Hessian, then what is across it.

    None where it has no kernel, or one that fractions do not span.
    """
    place = {x: sp.Rational(str(p)) for x, p in at.items()}
    hessian = sp.hessian(loss, list(at)).subs(place).applyfunc(sp.simplify)
    kernel = [] if hessian.has(sp.nan, sp.zoo, sp.oo) else hessian.nullspace()
    if not kernel or any(not c.is_Rational for v in kernel for c in v):
        return None
    across = sp.Matrix.hstack(*kernel).T.nullspace()
    rows = [*sp.GramSchmidt(kernel), *sp.GramSchmidt(across)]
    return tuple(tuple(int(c * sp.ilcm(*(x.q for x in v))) for c in v) for v in rows)


def apart(ratio: sp.Expr, place: Mapping[sp.Basic, sp.Expr]) -> sp.Expr:
    """An `atan` of polynomials as the sum of those of the factors of a complex number.

    The angle between two vectors is the difference of theirs, whose denominators are shorter.
    """
    across, along = sp.fraction(sp.together(ratio))
    if not (across.is_polynomial(*place) and along.is_polynomial(*place)):
        return sp.atan(ratio)
    total = sp.S.Zero
    for factor, power in sp.factor_list(along + sp.I * across, *place, gaussian=True)[1]:
        ahead, side = sp.expand(factor).as_real_imag()
        if ahead.xreplace(place) == 0:
            ahead, side = side, -ahead
        total += power * sp.atan(side / ahead)
    turns = float(((sp.atan(ratio) - total) * 4 / sp.pi).xreplace(place))
    whole = math.isclose(turns, round(turns), abs_tol=EIGHTHS)  # else a number is a factor
    return total + round(turns) * sp.pi / 4 if whole else sp.atan(ratio)


def program_of(loss: sp.Expr, symbols: Sequence[sp.Basic]) -> list[list[Any]]:
    """The steps that make a loss of its variables."""
    read = _Reader(symbols)
    read.step(loss)
    return read.steps


def _numbers(symbols: Sequence[sp.Symbol], loss: sp.Expr) -> Any:
    """A loss in doubles, of arrays."""
    made = lower([loss], symbols)
    return lambda *x: made(*x)[0]


class _Reader:
    """Steps of expressions; what occurs twice is one step."""

    def __init__(self, symbols: Sequence[sp.Basic]) -> None:
        self.symbols, self.steps = list(symbols), list[list[Any]]()

    def step(self, e: Any) -> int:
        """The number of the step that makes an expression."""
        if e in self.symbols:
            return self._put("variable", self.symbols.index(e))
        if e.is_Rational or e.is_Float:  # a double is the fraction that it is
            return self._put("number", str(sp.Rational(e)))
        if e == sp.pi:
            return self._put("pi")
        if e == sp.E:
            return self._put("exp", self.step(sp.Integer(1)))
        if e.is_Add or e.is_Mul:
            made = [self.step(x) for x in e.args]
            for_two = "plus" if e.is_Add else "times"
            total = made[0]
            for other in made[1:]:
                total = self._put(for_two, total, other)
            return total
        if e.is_Pow and e.exp.is_Rational:
            return self._put("power", self.step(e.base), str(e.exp))
        if isinstance(e, sp.exp):
            return self._put("exp", self.step(e.args[0]))
        name = type(e).__name__
        if name in (*AT_ZERO, "log"):
            return self._put(name, self.step(e.args[0]))
        raise InputError(
            f"near: expected a loss of {', '.join((*AT_ZERO, 'log'))} and powers, got {e!s:.60};"
            " write it with these"
        )

    def _put(self, *step: Any) -> int:
        line = list(step)
        if line not in self.steps:
            self.steps.append(line)
        return self.steps.index(line)


def _radii(loss: Any, sides: Sequence[int], level: float) -> tuple[Fraction, ...]:
    """Half the sides of a box on whose faces the loss is above a level, on samples."""
    n, center = len(sides), np.zeros(len(sides))
    signs = [(1.0,) if side else (1.0, -1.0) for side in sides]
    with np.errstate(all="ignore"):
        least = float(loss(*center))
        radii = []
        for i in range(n):
            way = np.geomspace(1e-6, 1e3, POINTS)
            ends = []
            for sign in signs[i]:
                places = center + np.outer(way * sign, np.eye(n)[i])
                beyond = _values(loss, places) - least > BEYOND * level
                ends.append(way[beyond.argmax()] if beyond.any() else np.inf)
            radii.append(max(ends))
        for _ in range(TIMES):
            if not np.isfinite(radii).all():
                break
            low = [_face(loss, center, radii, i, signs) - least > ABOVE * level for i in range(n)]
            if all(low):
                return tuple(simplest(Fraction(r), Fraction(r * 1.02)) for r in radii)
            radii = [r if fine else r * LONGER for r, fine in zip(radii, low, strict=True)]
    raise InputError(
        "near: expected an isolated minimum, around which the loss is above the level on a box;"
        " give a lower level, or another point"
    )


def _face(
    loss: Any, center: NDArray[np.float64], radii: Sequence[float], i: int, signs: Sequence[Any]
) -> float:
    """The least loss on the faces of a box across an axis, on samples."""
    many = ON_FACE if len(radii) < 3 else ON_FACES
    axes = [
        np.array(signs[j]) if j == i else np.linspace(min(0.0, signs[j][-1]), 1.0, many)
        for j in range(len(radii))
    ]
    offsets = np.array(list(itertools.product(*axes))) * np.array(radii)
    return float(_values(loss, center + offsets).min())


def _values(loss: Any, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """A loss at places; not a number is below everything."""
    found = np.broadcast_to(loss(*places.T), len(places))
    return np.where(np.isfinite(found), found, -np.inf)
