r"""Proof of a critical point of a hidden layer, and of its kind.

*One point.* Let ``F`` be the gradient, ``Y`` any matrix, ``c`` the centre. If for all Hessians of
the box ``|x - c| <= rho`` (largest coordinate)

    eta + q rho < rho,     eta = |Y F(c)|,     q = |I - Y H| (row sums),

``x -> x - Y F(x)`` maps the box into itself and contracts (Krawczyk): the box has one critical
point ``x*``, and ``|x* - c| <= eta/(1 - q)``, where ``q`` of a smaller box serves.

*Its kind.* Let the columns of ``E`` be approximate eigenvectors of ``H(x*)``. If ``E^T (H - l) E``
is diagonally dominant, ``E`` is regular and ``H - l`` has as many negative eigenvalues as this has
negative diagonal entries (Gershgorin, Sylvester). The same of the matrix ``S`` of directions
outside the space of the rows, so that a strict local minimum is one in every dimension.

Where moves leave the loss as it is, some coordinates are held, see :mod:`turns`: if moves and the
other coordinates span all directions, a point where the gradient by these vanishes is critical, and
every state near it is moved to one with the held coordinates.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.chebyshev import rounded
from flows.certificates.stationary.proof import BITS, GUARD, Proof, Setting
from flows.certificates.stationary.turns import gauge
from flows.certificates.verifier.kernels import kernel
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.stationary import (
    BEYOND,
    Block,
    Chart,
    balls,
    inertia,
    inverted,
    middle,
)
from flows.certificates.verifier.turns import free_of, require_turns
from flows.core.arrays import Array
from flows.core.balls import precision

Ball = Any  # flint.arb

#: A Hessian whose eigenvalues differ by more than this factor is singular in doubles.
SINGULAR = 1e-12
#: Stated bounds of eigenvalues are so much weaker than the doubles say.
ROOM = 1e-8
#: The stated radius is found to this part of it, and refused from a larger part on.
SHARP = 2e-4
#: Where the search for it begins, and how long it and others last.
FIRST, STEPS = 1e-9, 40
#: Unit of the stated loss, in radii of its enclosure: the stated digits are certain ones.
UNIT = 2**6


class Unproved(ArithmeticError):
    """The inequality that fails."""


def prove(setting: Setting, students: Array, bits: int = BITS) -> Proof:
    """Prove that a critical point is near some students, and its kind.

    Parameters
    ----------
    setting : Setting
        Teachers and weights.
    students : ndarray, shape (n, r)
        Near the point, to about half of the digits of doubles.
    bits : int
        Precision of the centre.

    Raises
    ------
    Unproved
        With the inequality that fails.
    """
    with precision(bits + GUARD):
        try:
            return _prove(setting, students, bits)
        except Refused as reason:
            raise Unproved(str(reason)) from None


def _prove(setting: Setting, students: Array, bits: int) -> Proof:
    held, moves = gauge(setting, students)
    chart = _polished(_chart(setting, students, held), bits)
    centre = tuple(tuple(rounded(x, bits) for x in row) for row in chart.centre)
    chart = replace(chart, centre=np.array([[arb((x, -bits)) for x in row] for row in centre]))
    _, gap, _ = chart.contracted(arb(0))
    _, _, q = chart.contracted(2 * gap)
    if not (q < 0.5):
        raise Unproved(
            f"|I - Y H| < 1/2 is not proved at the critical point: {float(q):.3g}; the Hessian is"
            " singular or nearly so, and the point may not be isolated"
        )
    radius = _widest(chart)
    near, pairs, hessian = chart.located(radius)
    students_near = chart.moved(near * arb(0, 1))[:, : len(setting.teachers[0])]
    require_turns(students_near, setting.outputs, held, moves)
    within = _inertia(hessian, "the Hessian")
    if within.index == len(hessian):
        raise Unproved("the Hessian has negative eigenvalues only: it is a maximum in its space")
    try:
        across = _inertia(pairs.across(), BEYOND)
    except Unproved:  # of those without a kink nothing has to be known
        if setting.activation == "relu":
            raise
        across = None
    loss = _stated(chart.loss(near, setting.slope))
    exact = math.nextafter(float(near), math.inf)
    return Proof(
        *(setting, bits, centre, radius, exact, within, across, loss), held=held, moves=moves
    )


def _chart(setting: Setting, students: Array, held: Any) -> Chart:
    """Students in doubles; refused where the loss is not analytic, or its Hessian singular."""
    kinked = kernel(setting.activation, setting.slope)
    outputs = balls(np.array(setting.outputs)) if setting.outputs else None
    teachers, weights = balls(np.array(setting.teachers)), -balls(np.array(setting.weights))
    free = free_of(students.shape, held)
    chart = Chart(kinked, balls(students), free, teachers, weights, outputs)
    try:
        hessian = chart.hessian(chart.around(arb(0)))
    except Refused as reason:
        raise Unproved(
            f"{reason}, where the loss is not known to be analytic and this proof does not hold"
        ) from None
    values = np.linalg.eigvalsh(middle(hessian))
    if not np.abs(values).min() > SINGULAR * np.abs(values).max():
        raise Unproved("the Hessian is singular to rounding: the point may not be isolated")
    return chart


def _inertia(matrix: Any, name: str) -> Block:
    """Index of a symmetric matrix of balls, and a bound of its least eigenvalue.

    Raises
    ------
    Unproved
        If an eigenvalue may be zero.
    """
    values = np.linalg.eigvalsh(middle(matrix))
    proposed = Block(int((values < 0).sum()), float(values[0]) * (1 - ROOM))
    try:
        return inertia(matrix, proposed, name)
    except Refused as reason:
        nearest = values[np.abs(values).argmin()]
        raise Unproved(f"{reason}; the one nearest to zero is about {nearest:.3g}") from None


def _widest(chart: Chart) -> float:
    """Radius of the largest box that contracts into itself, to the part `SHARP`, or less."""

    def claimed(rho: float) -> float:
        """``q + eta/rho``, below 1 where the box is proved; it grows about as ``rho``."""
        try:
            _, gap, q = chart.contracted(rho)
        except Refused:
            return 2.0
        top = float((q + gap / rho).upper())
        return top if math.isfinite(top) else 2.0

    rho = FIRST
    for _ in range(STEPS):
        ratio = claimed(rho)
        if 1 - SHARP < ratio < 1:
            return rho
        rho *= (1 - SHARP / 2) / ratio
    while not claimed(rho) < 1:
        rho /= 2
    return rho


def _polished(chart: Chart, bits: int) -> Chart:
    """Students at which the gradient vanishes to the working precision."""
    inverse, last = inverted(chart.hessian(chart.around(arb(0)))), math.inf
    for _ in range(STEPS):
        moves = (inverse * chart.gradient).mid().entries()
        size = float(max(abs(x) for x in moves))
        if not size < last:
            break
        last = size
        moved = chart.moved([-x for x in moves])
        chart = replace(chart, centre=np.array([[x.mid() for x in row] for row in moved]))
        if size < 2.0**-bits:
            return chart
    raise Unproved(f"no critical point is near: Newton's method ends with steps of {last:.3g}")


def _stated(loss: Ball) -> tuple[int, int, float]:
    """Loss to its certain digits, and a bound of what that leaves."""
    size = float(loss.rad())
    bits = max(0, -math.frexp(size * UNIT)[1])
    value = rounded(loss, bits)
    off = (loss - arb((value, -bits))) * (1 + 2.0**-20)
    return value, bits, math.nextafter(float(abs(off).upper()), math.inf)
