r"""How the Hessian of neurons changes with them: its derivatives along directions, near boxes.

A pair of neurons ``a = |a| x`` and ``b = |b| y`` at an angle ``theta`` spans a plane, in which
``n`` is the unit vector across ``x`` on the side of ``y``, ``s`` that of ``x + y`` and ``g`` that
of ``y - x``; ``E`` is the projector across the plane. A move turns ``x`` by ``alpha n + e`` and
``y`` by ``beta`` times its own normal and ``f``, with ``e, f`` across the plane, and lengthens
both by the parts ``lambda`` and ``mu``. With ``p = |b| sin(theta) / (2 pi |a|)`` the Hessian of
the pair,

    H_aa = p (2 n n^T + E),        2 pi H_ab = (pi - theta) I + sin(theta) (s s^T - g g^T),

moves by (``{u, v} = u v^T + v u^T``)

    dH_aa = (p (mu - lambda) + |b| cos(theta)/(2 pi |a|) (beta - alpha)) (2 n n^T + E)
            - 2 alpha p {x, n} - p {e, x} + |b|/(2 pi |a|) {f - cos(theta) e, n},
    2 pi dH_ab = (beta - alpha) (cos(theta) (s s^T - g g^T) - I) + (alpha + beta) sin(theta) {s, g}
            + sin(theta/2) {e + f, s} - cos(theta/2) {f - e, g}.

All of it stays bounded where the two align; ``n, s, g`` are any unit vectors there, and boxes hold
all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.core.balls import Ball, Singular

Vectors = Any  # array of balls, directions first

UNIT = arb(0, 1)  # the interval [-1, 1]


def slopes(rows: Sequence[Sequence[Ball]], moves: Vectors, spread: Any) -> Any:
    """Derivatives of the Hessian along directions, an array ``(directions, n q, n q)``.

    ``rows`` are boxes of ``n`` neurons and the teacher, of ``q`` numbers each; ``moves`` has the
    shape ``(directions, n, q)``. The neurons are off these boxes by ``spread_i y``, ``|y| <= 1``,
    for matrices ``spread`` of the shape ``(n, q, any)``.

    Raises
    ------
    Singular
        If a neuron may be at zero.
    """
    none = np.array([[arb(0)]] * len(rows[0]))
    caps = [_cap(row, more) for row, more in zip(rows, [*spread, none], strict=True)]
    n, q, count = len(rows) - 1, len(rows[0]), len(moves)
    still = np.array([[arb(0)] * q] * count)
    units = [_around(x.axis, x.off) for x in caps]
    moved = [*(moves[:, i] / caps[i].length for i in range(n)), still]
    longer = [d @ x for d, x in zip(moved, units, strict=True)]
    blocks = np.array([[[[[arb(0)] * q] * n] * q] * n] * count)  # (direction, i, :, j, :)
    eye = np.eye(q, dtype=object)
    for i in range(n):
        for j in range(i + 1, n + 1):
            x, y = caps[i], caps[j]
            both = (x.off + y.off).upper()
            far, near = norm(x.axis + y.axis), norm(y.axis - x.axis)
            theta = 2 * arb.atan2(near, far)
            low, high = (theta - both).lower().max(arb(0)), (theta + both).upper().min(arb.pi())
            theta = low.union(high)
            cosine, sine = theta.cos(), theta.sin().nonnegative_part()
            half, rest = (theta / 2).sin().nonnegative_part(), (theta / 2).cos().nonnegative_part()
            # In the plane bisectors turn by the mean; where the two may align they change sides.
            s, g = (
                _around(z / norm(z), both / (2 if q == 2 and part > 0 else 2 * part))
                for z, part in ((x.axis + y.axis, rest), (y.axis - x.axis, half))
            )
            for a, b, mu in ((i, j, -1 if j == n else 1), (j, i, 1)):
                if a == n:
                    continue
                own, size = caps[a], caps[b].length / caps[a].length
                normal = caps[b].axis - (caps[b].axis @ own.axis) * own.axis
                turn = own.off if q == 2 else (own.off**2 + (both / sine) ** 2).sqrt()
                normal = _around(normal / norm(normal), turn if sine > 0 else arb.pi())
                back = _held(cosine * normal - sine * units[a])  # across the other one
                alpha, beta = moved[a] @ normal, moved[b] @ back
                plane = np.outer(units[a], units[a]) + np.outer(normal, normal)
                across = 0 * plane if q == 2 else eye - plane
                share = sine * (longer[b] - longer[a]) + cosine * (beta - alpha)
                change = _times(share, 2 * np.outer(normal, normal) + across)
                change = change - _times(2 * sine * alpha, _pair(units[a], normal))
                if q > 2:
                    e, f = moved[a] @ across, moved[b] @ across
                    change = change - sine * _both(e, units[a]) + _both(f - cosine * e, normal)
                blocks[:, a, :, a, :] += mu * size * change
                if b < n:
                    axis = g if a == i else -g
                    mirror = np.outer(s, s) - np.outer(g, g)
                    mixed = _times(beta - alpha, cosine * mirror - eye)
                    mixed = mixed + _times((alpha + beta) * sine, _pair(s, axis))
                    if q > 2:
                        mixed = mixed + half * _both(e + f, s) - rest * _both(f - e, axis)
                    blocks[:, a, :, b, :] += mixed
    return blocks.reshape(count, n * q, n * q) / (2 * arb.pi())


class Cap(NamedTuple):
    """Lengths, direction of the middle, and how far a direction is from it at most."""

    length: Ball
    axis: Any
    off: Ball


def _cap(row: Sequence[Ball], spread: Any) -> Cap:
    """Enclose what is near a box by lengths and directions."""
    middle, radius = np.array([x.mid() for x in row]), np.array([arb(x.rad()) for x in row])
    size = norm(middle)
    if not size > 0:
        raise Singular("a neuron may be at zero")
    axis = middle / size
    along = axis @ spread
    out = abs(axis) @ radius + norm(along)
    aside = np.array([(1 - x * x).nonnegative_part().sqrt() for x in axis]) @ radius
    aside = aside.min(norm(radius)) + norm((spread - np.outer(axis, along)).ravel())
    least = (size - out).lower()
    if not least > 0:
        raise Singular("a neuron may be at zero")
    most = ((size + out) ** 2 + aside**2).sqrt().upper()
    return Cap(least.union(most), axis, (aside / least).atan().upper())


def _around(axis: Any, off: Ball) -> Any:
    """Unit vectors within an angle of one."""
    if not (off < 1.5 and all(x.is_finite() for x in axis)):
        return np.array([UNIT] * len(axis))
    sine, cosine = off.upper().sin(), off.upper().cos()
    aside = [(1 - x * x).nonnegative_part().sqrt() for x in axis]
    return axis + UNIT * np.array(
        [((1 - cosine) * abs(x) + sine * y).upper() for x, y in zip(axis, aside, strict=True)]
    )


def _held(w: Any) -> Any:
    return np.array([x if x.rad() < 1 else UNIT for x in w])


def norm(w: Any) -> Ball:
    """Euclidean length."""
    return (w @ w).nonnegative_part().sqrt()


def _times(factors: Any, matrix: Any) -> Any:
    """Multiple of a matrix along each direction."""
    return factors[:, None, None] * matrix


def _pair(x: Any, y: Any) -> Any:
    made = np.outer(x, y)
    return made + made.T


def _both(moved: Vectors, x: Any) -> Any:
    """``d x^T + x d^T`` for each direction ``d``."""
    made = moved[:, :, None] * x
    return made + made.transpose(0, 2, 1)
