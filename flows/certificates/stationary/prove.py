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

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.certificates.chebyshev import rounded
from flows.certificates.stationary.layer import Layer, Parallel, Setting
from flows.certificates.stationary.proof import BITS, GUARD, Kind, Proof
from flows.certificates.stationary.smooth import SmoothLayer, layer_of
from flows.certificates.stationary.turns import free_of, gauge, told
from flows.core.arrays import Array
from flows.core.balls import precision

Ball = Any  # flint.arb

#: A Hessian whose eigenvalues differ by more than this factor is singular in doubles.
SINGULAR = 1e-12
#: Stated bounds of eigenvalues are so much weaker than the doubles say.
ROOM = 1e-8
#: The stated radius is found to this part of it, and refused from a larger part on.
SHARP = 2e-4
#: What is left of it where the check's formulas, which are others, enclose less tightly.
APART = 0.25
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
        except Parallel as reason:
            raise Unproved(
                f"{reason}, where the loss is not known to be analytic and this proof does not hold"
            ) from None


def _prove(setting: Setting, students: Array, bits: int) -> Proof:
    held, moves = gauge(setting, students)
    at = functools.partial(Chart, setting, free_of(students.shape, held))
    inverse = _inverse(_doubles(at(_rows(students.ravel(), students.shape)).hessian))
    c = _polished(at, students, inverse, bits)
    centre = tuple(tuple(rounded(x, bits) for x in row) for row in c)
    c = [[arb((x, -bits)) for x in row] for row in centre]
    here = at(c)
    inverse = _inverse(_doubles(here.hessian))
    gap = _largest(inverse * _column(here.gradient))
    near = math.nextafter(float((2 * gap).upper()), math.inf)
    box = here.widened(near)
    hessian = box.hessian
    q = _contraction(inverse, hessian)
    if not (q < 0.5):
        raise Unproved(
            f"|I - Y H| < 1/2 is not proved at the critical point: {float(q):.3g}; the Hessian is"
            " singular or nearly so, and the point may not be isolated"
        )
    if not told(setting, box.rows, held, moves):
        raise Unproved("held coordinates do not single out the moves that leave the loss unchanged")
    radius = _widest(here, 2 * gap)
    if setting.activation != "relu":
        radius *= APART
    within = inertia(hessian, "the Hessian")
    if within.index == hessian.nrows():
        raise Unproved("the Hessian has negative eigenvalues only: it is a maximum in its space")
    loss = _stated(box.layer.loss)
    return Proof(
        *(setting, bits, centre, radius, near, within, _beyond(box), loss), held=held, moves=moves
    )


@dataclass(frozen=True)
class Chart:
    """Students around which coordinates move, but those that are held.

    Parameters
    ----------
    setting : Setting
        Teachers and weights.
    free : tuple of int
        Which coordinates move, of all in the order of the rows.
    rows : list of lists of balls
        The students.
    """

    setting: Setting
    free: tuple[int, ...]
    rows: list[list[Ball]]

    @functools.cached_property
    def layer(self) -> Layer | SmoothLayer:
        """The loss there."""
        return layer_of(self.setting, self.rows)

    @property
    def gradient(self) -> list[Ball]:
        """Gradient by the free coordinates."""
        found = self.layer.gradient
        return [found[k] for k in self.free]

    @property
    def hessian(self) -> Any:
        """Hessian by the free coordinates."""
        found = self.layer.hessian
        if len(self.free) == found.nrows():
            return found
        rows = found.tolist()
        return arb_mat([[rows[i][k] for k in self.free] for i in self.free])

    def moved(self, by: Sequence[Ball]) -> Chart:
        """Free coordinates moved."""
        flat = [x for row in self.rows for x in row]
        for k, move in zip(self.free, by, strict=True):
            flat[k] += move
        size = len(self.rows[0])
        return replace(self, rows=[flat[i : i + size] for i in range(0, len(flat), size)])

    def widened(self, radius: float) -> Chart:
        """Box of this half-width about the students."""
        return self.moved([arb(0, radius)] * len(self.free))


def _beyond(box: Chart) -> Kind | None:
    """What is known of further dimensions; of those without a kink that may be nothing."""
    try:
        return inertia(box.layer.across, "S")
    except Unproved:
        if box.setting.activation == "relu":
            raise
        return None


def inertia(matrix: Any, name: str) -> Kind:
    """Index of a symmetric matrix of balls, and a bound of its least eigenvalue.

    Raises
    ------
    Unproved
        If an eigenvalue may be zero.
    """
    values, vectors = np.linalg.eigh(_doubles(matrix))
    e = arb_mat(vectors.tolist())
    form, gram = e.transpose() * matrix * e, e.transpose() * e
    index = _negative(form)
    if index is None:
        raise Unproved(
            f"the signs of the eigenvalues of {name} are not proved; the one nearest to zero is"
            f" about {values[np.abs(values).argmin()]:.3g}"
        )
    least = float(values[0]) * (1 - ROOM)
    if index == 0 and _negative(form - gram * arb(least)) != 0:
        raise Unproved(f"{name} >= {least:.6g} is not proved")
    if index and not form[0, 0] < arb(least) * gram[0, 0]:
        raise Unproved(f"an eigenvalue of {name} below {least:.6g} is not proved")
    return Kind(index, least)


def _negative(form: Any) -> int | None:
    """Negative eigenvalues of a form that is diagonally dominant; None if it is not."""
    count = 0
    for i, row in enumerate(form.tolist()):
        others = sum((abs(x) for j, x in enumerate(row) if j != i), arb(0))
        if row[i] < -others:
            count += 1
        elif not row[i] > others:
            return None
    return count


def _widest(here: Chart, gap: Ball) -> float:
    """Radius of the largest box that contracts into itself, to the part `SHARP`, or less."""

    def claimed(rho: float) -> float:
        """``q + eta/rho``, below 1 where the box is proved; it grows about as ``rho``."""
        try:
            hessian = here.widened(rho).hessian
            # The inverse of the middle of the box, which the check finds too: radii then agree.
            q = _contraction(_inverse(_doubles(hessian)), hessian)
        except (Parallel, Unproved):
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


def _polished(
    at: Callable[[Any], Chart], students: Array, inverse: Any, bits: int
) -> list[list[Ball]]:
    """Students at which the gradient vanishes to the working precision, a row each."""
    here, last = at(_rows(students.ravel(), students.shape)), math.inf
    for _ in range(STEPS):
        moves = (inverse * _column(here.gradient)).mid()
        size = float(_largest(moves))
        if not size < last:
            break
        last = size
        moved = here.moved([-x for x in moves.entries()])
        here = at([[x.mid() for x in row] for row in moved.rows])
        if size < 2.0**-bits:
            return here.rows
    raise Unproved(f"no critical point is near: Newton's method ends with steps of {last:.3g}")


def _contraction(inverse: Any, hessian: Any) -> Ball:
    """Largest row sum of ``|I - Y H|``."""
    product = (inverse * hessian).tolist()
    return max(
        (
            sum((abs(x - 1 if i == j else x) for j, x in enumerate(row)), arb(0)).upper()
            for i, row in enumerate(product)
        ),
        default=arb(0),
    )


def _stated(loss: Ball) -> tuple[int, int, float]:
    """Loss to its certain digits, and a bound of what that leaves."""
    size = float(loss.rad())
    bits = max(0, -math.frexp(size * UNIT)[1])
    value = rounded(loss, bits)
    off = (loss - arb((value, -bits))) * (1 + 2.0**-20)
    return value, bits, math.nextafter(float(abs(off).upper()), math.inf)


def _rows(flat: Sequence[Any] | Array, shape: tuple[int, ...]) -> list[list[Ball]]:
    return [[arb(float(x)) for x in row] for row in np.reshape(flat, shape)]


def _column(values: Sequence[Ball]) -> Any:
    return arb_mat([[x] for x in values])


def _largest(column: Any) -> Ball:
    """Bound of the largest entry."""
    return max((abs(x).upper() for x in column.entries()), default=arb(0))


def _inverse(matrix: Array) -> Any:
    """Approximate inverse, exact doubles."""
    values = np.linalg.eigvalsh(matrix)
    if not np.abs(values).min() > SINGULAR * np.abs(values).max():
        raise Unproved("the Hessian is singular to rounding: the point may not be isolated")
    return arb_mat(np.linalg.inv(matrix).tolist())


def _doubles(matrix: Any) -> Array:
    """Middles as doubles, symmetric."""
    found = np.array([[float(x.mid()) for x in row] for row in matrix.tolist()])
    return (found + found.T) / 2
