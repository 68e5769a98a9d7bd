r"""No other attractor of ReLU neurons: sums ``c_k |F_k z|^s`` of one degree, three or more.

Such a form has kinks, but its Hessian changes at a bounded speed on the sphere,

.. math:: |D^3 |x|^s| \le s (s-1) (s-2) |x|^{s-3},

so that a ball of directions is decided by the form at its centre, as in
`symbolic.asymptotics.cover`: it holds no critical point, no minimum, or lies around one of a known
value. Here all balls of one size are looked at together, in doubles; what rounding can do is
subtracted, with much to spare. A local bound of the speed needs few balls: the gradient enters it,
which is small where it matters.

One rotation turns the directions. In the planes that it turns, one vector is the longest; a slice
in which that vector has one entry meets every orbit, and its minima are isolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symbolic.asymptotics.numbers import ball
from symbolic.asymptotics.powers import Powers, lengths
from symbolic.asymptotics.signs import Signed
from symbolic.language.lower import lower

__all__ = ["LARGEST", "Lengths", "scanned"]

Array = NDArray[np.float64]

#: Dimensions of the sphere that is scanned.
LARGEST = 2
# The number of balls, and the size of the smallest box.
MOST, SMALLEST = 100_000, 1e-4
# Rounding of values and derivatives, relative to their bounds: a thousand sums make 1e-13.
ROUNDING = 1e-10
# Two values of the form, relative; the rounding of a short distance of points on the sphere.
SAME, NEAR = 1e-10, 1e-7
# Part of the curvature at a minimum that is left at the end of its reach; the length of Newton's
# first step from where it is looked for, and the number of steps.
LEFT, FAR, NEWTON, BISECTIONS = 1 / 16, 0.5, 12, 50


@dataclass(frozen=True)
class Lengths:
    """A form in coordinates in which the sphere is that of length one.

    Parameters
    ----------
    factors : ndarray, shape (K, r, n)
        The `F_k`.
    coefficients, powers : ndarray, shape (K,)
        The `c_k` and `s_k`, at least three.
    axes : ndarray, shape (n, n)
        ``z = axes w``.
    size : float
        Bound of the rounding's unit: that of second derivatives, without any cancellation.
    """

    factors: Array
    coefficients: Array
    powers: Array
    axes: Array
    size: float

    @classmethod
    def of(
        cls, form: sp.Expr, z: Sequence[sp.Symbol], degree: sp.Rational, metric: sp.MatrixBase
    ) -> Lengths | None:
        """Lengths in a form; None of one that is no such sum."""
        parts = _parts(form, z)
        if parts is None or degree < 3:
            return None
        factors, coefficients = parts
        axes = np.linalg.inv(np.linalg.cholesky(np.array(metric, dtype=float))).T
        s = np.full(len(coefficients), float(degree))
        widths = np.linalg.norm(factors, 2, axis=(1, 2)) * np.linalg.norm(axes, 2)
        size = float(np.abs(coefficients) @ (s * (s - 1) * widths**s))
        return cls(factors @ axes, coefficients, s, axes, size)

    @property
    def degree(self) -> float:
        """`p`."""
        return float(self.powers[0])

    @property
    def widths(self) -> Array:
        """Largest length of ``F_k w`` on the sphere."""
        return np.linalg.norm(self.factors, 2, axis=(1, 2))

    @property
    def first(self) -> float:
        """Bound of first derivatives."""
        return float(np.abs(self.coefficients) @ (self.powers * self.widths**self.powers))

    @property
    def third(self) -> float:
        """Bound of third derivatives."""
        s = self.powers
        return float(np.abs(self.coefficients) @ (s * (s - 1) * (s - 2) * self.widths**s))

    def speed(self, slope: Array | float, second: Array | float, radius: Array | float) -> Any:
        """How fast the Hessian changes within a radius of points with these derivatives."""
        most = self.third + (3 * self.degree - 2) * self.first
        near = np.minimum(self.first, slope + radius * (second + radius * most))
        return self.third + (3 * self.degree - 2) * near

    def at(self, w: Array) -> tuple[Array, Array, Array]:
        """Values, gradients and Hessians on the sphere, of points along the first axis."""
        one, p = np.eye(w.shape[1]), self.degree
        value, slope, second = lengths(self.factors, self.coefficients, self.powers, w)
        tangent = one - w[:, :, None] * w[:, None, :]
        second = tangent @ (second - p * value[:, None, None] * one) @ tangent
        return value, slope - p * value[:, None] * w, second


def scanned(
    form: sp.Expr,
    z: Sequence[sp.Symbol],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    rotations: Sequence[sp.ImmutableMatrix],
    values: Sequence[Any],
) -> bool:
    """Whether each minimum on the sphere has one of these values, up to 1e-10.

    Parameters
    ----------
    form, z, degree, metric, rotations
        As of `symbolic.asymptotics.cover.all_found`; without symbols.
    values : sequence of arb
        Of the form at the minima that are known.
    """
    known_form = Lengths.of(form, z, degree, metric)
    if known_form is None or len(rotations) > 1:
        return False
    slices = _slices(known_form, rotations)
    inside = lower([form], tuple(z), "ball")

    def known(w: Array, off: float) -> bool:
        return _known(inside, (known_form.axes @ w).tolist(), degree, metric, values, off)

    return bool(slices) and all(_decided(known_form, planes, one, known) for planes, one in slices)


def _parts(form: sp.Expr, z: Sequence[sp.Symbol]) -> tuple[Array, Array] | None:
    """Factors and coefficients, of lengths and of signs times powers of their arguments."""
    terms = sp.Add.make_args(form)
    roots = [t for t in terms if Powers.of(t, z) is not None]
    lines = _lines(sp.Add(*(t for t in terms if t not in roots)), z)
    if lines is None:
        return None
    powers = Powers.of(sp.Add(*roots), z) if roots else None
    factors, coefficients = [], list(lines[1])
    for line in lines[0]:
        factors.append(np.zeros((len(z), len(z))))
        factors[-1][0] = line
    if powers is not None:
        factors += list(powers.doubles[0])
        coefficients += powers.doubles[1].tolist()
    return (np.stack(factors), np.array(coefficients)) if factors else None


def _lines(form: sp.Expr, z: Sequence[sp.Symbol]) -> tuple[list[list[float]], list[float]] | None:
    """Linear forms and coefficients of a sum of powers of their absolute values."""
    signed = Signed.of(form)
    left = sp.expand(signed.expression)
    found: tuple[list[list[float]], list[float]] = [], []
    for sign, argument in zip(signed.signs, signed.arguments, strict=True):
        part = left.coeff(sign)
        if not (argument.is_polynomial(*z) and part.is_polynomial(*z)):
            return None
        line, whole = sp.Poly(argument, *z), sp.Poly(part, *z)
        power = whole.total_degree()
        c, rest = sp.div(whole, line**power)
        if line.total_degree() != 1 or power % 2 == 0 or c.total_degree() > 0 or not rest.is_zero:
            return None
        left = sp.expand(left - sign * part)
        found[0].append([float(line.coeff_monomial(v)) for v in z])
        found[1].append(float(c.as_expr()))
    return found if left == 0 else None


def _slices(
    lengths: Lengths, rotations: Sequence[sp.ImmutableMatrix]
) -> list[tuple[tuple[int, Array], Array]]:
    """Slices that meet all orbits: the planes with the one that is longest, and a basis."""
    n = lengths.axes.shape[0]
    if not rotations:
        return [((0, np.zeros((0, 2, n))), np.eye(n))] if n <= LARGEST + 1 else []
    (x,) = rotations
    square = x * x
    if n > LARGEST + 2 or square != square[0, 0] * sp.eye(n):
        return []  # other speeds of turning
    turn = np.linalg.solve(lengths.axes, np.array(x, dtype=float) @ lengths.axes)
    turn /= float(-square[0, 0]) ** 0.5
    planes: list[Array] = []
    for axis in np.eye(n):
        rest = axis - sum((a * (a @ axis) for plane in planes for a in plane), np.zeros(n))
        if len(planes) < n // 2 and np.linalg.norm(rest) > NEAR:
            rest /= np.linalg.norm(rest)
            planes.append(np.stack([rest, turn @ rest]))
    whole = np.stack(planes)
    return [
        (
            (k, whole),
            np.concatenate([plane[: 1 if j == k else 2] for j, plane in enumerate(planes)]).T,
        )
        for k in range(len(planes))
    ]


@dataclass
class _Reaches:
    """Minima on the slice, and how far no other critical point is; the form is even."""

    points: list[Array]
    reaches: list[float]

    def seen(self, w: Array, away: float) -> bool:
        """Whether one is as near as this."""
        return any(min(np.linalg.norm(w - y), np.linalg.norm(w + y)) < away for y in self.points)

    def hold(self, w: Array, radius: Array) -> NDArray[np.bool_]:
        """Whether balls lie within reach of one."""
        if not self.points:
            return np.zeros(len(w), dtype=bool)
        chord = np.sqrt(np.maximum(0.0, 2 - 2 * np.abs(w @ np.array(self.points).T)))
        arc = 2 * np.arcsin(np.minimum(1.0, chord / 2 + NEAR))
        return np.asarray((arc + radius[:, None] <= np.array(self.reaches)).any(axis=1))


def _decided(form: Lengths, planes: tuple[int, Array], basis: Array, known: Any) -> bool:
    """Whether the balls of a cover of a slice are all decided."""
    m, slack = basis.shape[1], ROUNDING * form.size
    # Faces of a cube; the form is even.
    faces = np.arange(m)
    centres = np.stack([np.insert(np.zeros(m - 1), k, 1.0) for k in faces])
    steps = np.array(list(product((-1.0, 1.0), repeat=m - 1)))
    half, count, found = 1.0, 0, _Reaches([], [])
    while len(centres):
        count += len(centres)
        if count > MOST or half < SMALLEST:
            return False
        sizes = np.linalg.norm(centres, axis=1)
        w = (centres / sizes[:, None]) @ basis.T
        # The sphere is nearer than the cube.
        reach = half * (m - 1) ** 0.5
        radius = reach / np.maximum(1.0, sizes - reach)
        _, slope, second = form.at(w)
        first, norm = np.linalg.norm(slope, axis=1), np.linalg.norm(second, axis=(1, 2))
        speed = form.speed(first + slack, norm + slack, radius)
        turned = np.linalg.norm(np.einsum("bij,bj->bi", second, slope), axis=1)
        steep = np.maximum(first - slack, 0.0) ** 2 > radius * (
            turned + 3 * slack * form.size + radius * speed * (first + slack) / 2
        )
        bent = np.linalg.eigvalsh(second)[:, 0] + radius * speed + slack < 0
        left = ~(steep | bent | _elsewhere(planes, w, radius) | found.hold(w, radius))
        convex = np.linalg.eigvalsh(basis.T @ second[left] @ basis)  # zero along the direction
        near = first[left] / np.maximum(convex[:, 1], slack)
        near[(convex[:, 0] < -slack) | (near > FAR)] = np.inf
        for i, away in zip(np.flatnonzero(left), near, strict=True):
            new = away < np.inf and not found.seen(w[i], 2 * away + radius[i])
            if new and not _look(form, basis, w[i], known, found):
                return False
        left &= ~found.hold(w, radius)
        shifts = np.stack([np.insert(steps * half / 2, k, 0.0, axis=1) for k in range(m)])
        centres = (centres[left][:, None, :] + shifts[faces[left]]).reshape(-1, m)
        faces, half = np.repeat(faces[left], len(steps)), half / 2
    return True


def _elsewhere(planes: tuple[int, Array], w: Array, radius: Array) -> NDArray[np.bool_]:
    """Whether another vector than that of the slice is longer in the whole ball."""
    k, whole = planes
    if not len(whole):
        return np.zeros(len(w), dtype=bool)
    lengths = np.linalg.norm(np.einsum("kai,bi->bka", whole, w), axis=2)
    return np.asarray(lengths[:, k] + 2 * radius + NEAR < lengths.max(axis=1))


def _look(form: Lengths, basis: Array, w: Array, known: Any, found: _Reaches) -> bool:
    """Add the minimum near a direction, if there is one; False if its value is not known.

    One that is a minimum on the slice only has no reach: balls around it are curved down.
    """
    slack = ROUNDING * form.size
    for _ in range(NEWTON):
        _, slope, second = form.at(w[None])
        across = basis @ np.linalg.svd((w @ basis)[None])[2][1:].T
        inner, along = across.T @ second[0] @ across, across.T @ slope[0]
        lowest = float(np.linalg.eigvalsh(inner)[0])
        if lowest <= 2 * slack:
            return True
        if np.linalg.norm(along) < slack:
            break
        w = w - across @ np.linalg.solve(inner, along)
        w = w / np.linalg.norm(w)
    else:
        return True
    if np.linalg.eigvalsh(second[0])[0] < -slack:
        found.points.append(w)
        found.reaches.append(0.0)
        return True
    convex = LEFT * lowest
    rest = float(np.linalg.norm(along)) + slack
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        speed = form.speed(rest, float(np.linalg.norm(second[0])) + slack, middle)
        if lowest - slack - middle * speed >= convex:
            low = middle
        else:
            high = middle
    found.points.append(w)
    found.reaches.append(low)
    return bool(known(w, rest**2 / (2 * convex)))


def _known(
    inside: Any,
    z: list[float],
    degree: sp.Rational,
    metric: sp.MatrixBase,
    values: Sequence[Any],
    off: float,
) -> bool:
    """Whether the value in a direction is a known one, up to a difference."""
    from flint import arb

    point = [arb(v) for v in z]
    entries = lower(list(metric), [], "ball")()
    n = len(z)
    square = sum(
        (entries[n * i + j] * point[i] * point[j] for i in range(n) for j in range(n)), arb(0)
    )
    value = inside(*point)[0] / square ** (ball(degree) / 2)
    return any(abs(value - v) + off < SAME * abs(v) for v in values)
