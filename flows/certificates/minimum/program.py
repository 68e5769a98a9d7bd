"""A loss as a program of steps, and a box around its minimum that a level set does not leave."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.certificates.verifier.charts import Box
from flows.certificates.verifier.near import FORMAT
from flows.certificates.verifier.outside import Exterior
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.steps import read
from flows.core.errors import InputError
from flows.systems.own.steps import FUNCTIONS, Unknown, steps_of
from potentials.search.exact import simplest
from symbolic.asymptotics.given import exact as given
from symbolic.language.lower import lower
from symbolic.language.primitives import definition

__all__ = ["Minimum", "kernel_axes", "minimum"]

# A box reaches along each axis to where the loss is this part of the level.
BEYOND = 1.2
# Then it is made longer by the first number until the loss on its faces is the second part of the
# level, so often at most.
LONGER, ABOVE, TIMES = 1.15, 1.05, 40
# Points along an axis.
POINTS = 2000
# Samples outside the box reach so many times as far; weights of variables at infinity.
FARTHEST, AT_INFINITY = 1e4, (1, 2, 3)
# Points of a face along each of its axes: of one axis, and of more.
ON_FACE, ON_FACES = 41, 11


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
    everywhere : tuple of int, optional
        The loss is above the level outside the box, too: weights of its variables at infinity.
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
    everywhere: tuple[int, ...] | None = None

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
        more: dict[str, Any] = {"everywhere": [*self.everywhere]} if self.everywhere else {}
        if self.axes is not None:
            more["axes"] = [[str(c) for c in row] for row in self.axes]
        return {
            "format": FORMAT,
            "variables": [str(x) for x in self.symbols],
            "loss": self.program,
            "point": [str(x) for x in self.point],
            "radii": [str(x) for x in self.radii],
            "sides": list(self.sides),
            "level": str(self.level),
            "order": self.order,
        } | more


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
        lambda *u: numbers(*(np.tensordot(back, np.array(u), 1).T + center).T), sides, float(level)
    )
    try:
        program = steps_of(given(loss), symbols)
    except Unknown as unknown:
        raise InputError(
            f"near: expected a loss of {', '.join(FUNCTIONS)}, powers and angles, got"
            f" {unknown.args[0]!s:.60}; write it with these"
        ) from None
    found = Minimum(
        symbols, definition(loss), program, point, radii, tuple(sides), level, axes=axes
    )
    far = _far(numbers, found, back)
    return replace(found, everywhere=far) if far else found


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


def _numbers(symbols: Sequence[sp.Symbol], loss: sp.Expr) -> Any:
    """A loss in doubles, of arrays."""
    made = lower([loss], symbols)
    return lambda *x: made(*x)[0]


def _far(numbers: Any, here: Minimum, back: NDArray[np.float64]) -> tuple[int, ...] | None:
    """Weights with which the loss is above the level outside the box: on samples, then in balls."""
    n, size = len(here.point), np.array([float(r) for r in here.radii])
    many = ON_FACE if n < 3 else ON_FACES
    at, far = np.array([float(p) for p in here.point]), np.geomspace(1.0, FARTHEST, ON_FACE)
    ends = [(1.0,) if side else (1.0, -1.0) for side in here.sides]
    faces = []
    for i in range(n):
        lines = [
            ends[i] if j == i else np.linspace(min(0.0, end[-1]), 1.0, many)
            for j, end in enumerate(ends)
        ]
        faces.append(np.array(list(itertools.product(*lines))))
    places = at + (far[:, None, None] * (np.concatenate(faces) * size @ back.T)).reshape(-1, n)
    with np.errstate(all="ignore"):
        if not _values(numbers, places).min() - float(numbers(*at)) > float(here.level):
            return None
    turned = sp.eye(n) if here.axes is None else sp.Matrix(here.axes).inv()
    inverse = [[Fraction(int(c.p), int(c.q)) for c in row] for row in turned.tolist()]
    steps = read(here.program, n)
    exterior = Exterior(steps, here.point, here.radii, inverse, here.sides, here.level)
    try:
        for weights in sorted(itertools.product(AT_INFINITY, repeat=n), key=sum):
            if all(_seen(goal, box, many) for goal, box in exterior.charts(weights, True)):
                exterior.above(weights)
                return weights
    except Refused:
        pass
    return None


def _seen(goal: Any, box: Box, many: int) -> bool:
    """Whether a function is positive at infinity, on samples."""
    lines = [
        (0.0,) if i == goal.main else np.linspace(a, 1.0, many).tolist()
        for i, a in enumerate(box.low)
    ]
    return all(goal.least(Box(x, x)) > 0 for x in itertools.product(*lines))


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
