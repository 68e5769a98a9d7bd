"""Tangents of the family of critical points through a point: found, and proved to be some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from symbolic.asymptotics.kernel import Split, nullspace, rank, spanned, split
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.reduction import reduce
from symbolic.asymptotics.refusal import Degenerate, NoLaw
from symbolic.asymptotics.symmetries import MOST, conserved, generators, invariant, rotations
from symbolic.evidence.identity import Evidence

__all__ = ["Family", "family"]

# All generators, also those that are neither symmetric nor antisymmetric, of so many variables.
ALL = 16


@dataclass(frozen=True)
class Family:
    """What is known about the critical points near one of them.

    Parameters
    ----------
    tangents : Matrix
        Columns.
    generators : tuple of Matrix
        Linear symmetries `X` of the loss whose ``X y*`` are tangents.
    lines : Matrix
        Columns `b` with ``L(y* + sum q b) = L*`` for all `q`.
    conserved : tuple of Matrix
        Symmetric `X` with ``y'X y`` conserved and ``X y* = 0``.
    evidence : Evidence
        That the tangents are tangents of one family, along which the rank of the Hessian is
        constant.
    """

    tangents: sp.ImmutableMatrix
    generators: tuple[sp.ImmutableMatrix, ...]
    lines: sp.ImmutableMatrix
    conserved: tuple[sp.ImmutableMatrix, ...]
    evidence: Evidence


def family(
    point: Point,
    given: sp.MatrixBase | None = None,
    *,
    confined: bool = False,
    symmetries: Sequence[sp.ImmutableMatrix] = (),
) -> Family:
    """Find the family of critical points.

    Parameters
    ----------
    point : Point
        A critical point.
    given : Matrix, optional
        Tangents that are named; without it they are sought among symmetries and lines.
    confined : bool
        Whether conserved quantities are looked for. Lines on which the loss is constant are none
        of the family then, if the conserved quantities differ along them.
    symmetries : sequence of Matrix
        Linear symmetries that are known; each is proved, and no others are sought.

    Raises
    ------
    NoLaw
        For a tangent that is none, and a Hessian whose rank changes along the family.
    """
    hessian, n = point.quadratic.hessian, len(point.y)
    kernel = nullspace(hessian, n)
    none = sp.ImmutableMatrix(n, 0, [])
    closed = point.integrand == 0 and n <= MOST
    polynomial = closed and point.plain.is_polynomial(*point.y)
    still = conserved(point.plain, point.y) if polynomial and confined else ()
    y = sp.Matrix(list(point.at))
    cones = _fixing(still, y)
    if not kernel.cols:
        return Family(none, (), none, (), Evidence.PROVED)
    moving: list[sp.ImmutableMatrix] = []
    if closed and any(v != 0 for v in y):
        found = (
            tuple(x for x in symmetries if invariant(point.plain, point.y, x))
            if symmetries
            else generators(point.plain, point.y)
            if n <= ALL
            else (*rotations(point.plain, point.y), *(still or conserved(point.plain, point.y)))
        )
        for x in found:
            if rank(sp.Matrix.hstack(*(m * y for m in moving), x * y)) > len(moving):
                moving.append(x)
    orbit = sp.Matrix.hstack(none, *(x * y for x in moving))
    lines = none if cones else _lines(point, kernel, orbit)
    tangents = spanned(sp.Matrix.hstack(orbit, lines)) if orbit.cols + lines.cols else none
    evidence = Evidence.PROVED
    if given is not None:
        tangents, evidence = _named(point, given, tangents), Evidence.PROVED
        known = sp.Matrix.hstack(orbit, lines)
        if rank(sp.Matrix.hstack(known, tangents)) > rank(known):
            evidence = Evidence.SAMPLED
    if lines.cols:
        _constant_rank(point, lines, rank(hessian))
    return Family(tangents, tuple(moving), lines, cones, evidence)


def _fixing(
    found: Sequence[sp.ImmutableMatrix], y: sp.MatrixBase
) -> tuple[sp.ImmutableMatrix, ...]:
    """Combinations of matrices that take `y` to zero."""
    if not found:
        return ()
    images = sp.Matrix.hstack(*(x * y for x in found))
    weights = nullspace(images, len(found))
    return tuple(
        sp.ImmutableMatrix(sum((w * x for w, x in zip(column, found, strict=True)), 0 * found[0]))
        for column in (list(weights[:, k]) for k in range(weights.cols))
    )


def _lines(point: Point, kernel: sp.ImmutableMatrix, orbit: sp.MatrixBase) -> sp.ImmutableMatrix:
    """Vectors of the kernel's basis along which, together, the loss is constant."""
    found: list[sp.MatrixBase] = []
    names = [sp.Symbol(f"q{k + 1}", real=True) for k in range(kernel.cols)]
    for k in range(kernel.cols):
        column = kernel[:, k]
        if rank(sp.Matrix.hstack(orbit, *found, column)) <= rank(sp.Matrix.hstack(orbit, *found)):
            continue
        trial = [*found, column]
        shift = sum((q * b for q, b in zip(names, trial, strict=False)), sp.zeros(kernel.rows, 1))
        try:
            ring, series = point.moved(list(shift)).series([], 0)
        except NoLaw:
            continue
        value = ring.expression(ring.ring.zero + sum(series.values(), ring.ring.zero))
        if sp.cancel(value - point.quadratic.value) == 0:
            found = trial
    return sp.ImmutableMatrix(sp.Matrix.hstack(sp.zeros(kernel.rows, 0), *found))


def _constant_rank(point: Point, lines: sp.ImmutableMatrix, at_point: int) -> None:
    """Refuse a rank of the Hessian that is larger nearby, and points that are not critical."""
    names = [sp.Symbol(f"q{k + 1}", real=True) for k in range(lines.cols)]
    moved = point.moved(list(lines * sp.Matrix(names))).quadratic
    if any(sp.cancel(slope) != 0 for slope in moved.gradient):
        raise Degenerate(
            "the loss is constant along a line on which it has a slope: the point is no minimum"
        )
    nearby = moved.hessian
    if rank(nearby) != at_point:
        raise Degenerate(
            f"the rank of the Hessian changes along the family, from {at_point} at the point to"
            f" {rank(nearby)} nearby; take a point where it does not"
        )


def _named(point: Point, given: sp.MatrixBase, known: sp.MatrixBase) -> sp.ImmutableMatrix:
    """Span of the named tangents, after a test of each that is not known to be one."""
    tangents = spanned(given) if given.cols else sp.ImmutableMatrix(given)
    if any(e != 0 for e in (point.quadratic.hessian * tangents).applyfunc(sp.cancel)):
        raise NoLaw("a named tangent is not in the kernel of the Hessian, so it is none")
    if rank(sp.Matrix.hstack(known, tangents)) > rank(known):
        fast = split(point.quadratic.hessian, sp.zeros(given.rows, 0)).fast
        try:
            grown = reduce(point, Split(tangents[:, :0], tangents, fast), point.quadratic.hessian)
        except NoLaw:  # it does not grow up to the highest order that is looked at
            return tangents
        raise NoLaw(f"a named tangent is none: the loss grows along it, with degree {grown.degree}")
    return tangents
