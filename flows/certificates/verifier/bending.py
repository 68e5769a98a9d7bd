r"""Derivatives of the Hessian of neurons, near boxes.

Two neurons ``a = |a| x``, ``b = |b| y`` at an angle ``t`` span a plane with the basis ``x, n``;
``E`` projects across it. With ``p = |b| sin(t)/(2 pi |a|)`` Equation 51 of Xu & Du is

    H_aa = p (2 n n^T + E),      2 pi H_ab = (pi - t) I + sin(t) (s s^T - g g^T),

``s`` and ``g`` the unit vectors of ``x + y`` and ``y - x``. Let ``x`` turn by ``u n + e`` and
``y`` by ``v m + f``, where ``m = cos(t) n - sin(t) x`` and ``e, f`` are across the plane. Then
``t`` grows by ``v - u``, ``n`` turns by ``-u x + (f - cos(t) e)/sin(t)``, ``s`` by ``(u + v) g/2
+ (e + f)/(2 cos(t/2))`` and ``g`` by ``-(u + v) s/2 + (f - e)/(2 sin(t/2))``: no quotient is left
in

    d(2 n n^T + E) sin(t) = -2 u sin(t) {x, n} - sin(t) {x, e} + {n, f - cos(t) e},
    d(sin(t) (s s^T - g g^T)) = (v - u) cos(t) (s s^T - g g^T) + (u + v) sin(t) {s, g}
                                + sin(t/2) {s, e + f} - cos(t/2) {g, f - e},

``{a, b} = a b^T + b a^T``. Where the two may align ``n``, ``s`` or ``g`` is any unit vector.
"""

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.reading import require


class Cone(NamedTuple):
    """All vectors between two lengths, and within an angle of an axis."""

    size: arb
    axis: Any
    angle: arb


def slopes(w: Any, n: int, moves: Any, spread: Any) -> Any:
    """Derivatives along rows of ``moves`` at ``n`` neurons and the teacher, the last row of ``w``.

    Neurons are off their boxes by ``spread_i y``, ``|y| <= 1``.
    """
    q, count = len(w[0]), len(moves)
    flat, eye = q == 2, np.eye(q, dtype=object)
    cones = [cone(row, more) for row, more in zip(w, [*spread, 0 * spread[0]], strict=True)]
    unit = [turned(k.axis, k.angle) for k in cones]
    moved = [*(moves[:, i] / cones[i].size for i in range(n)), 0 * moves[:, 0]]
    total = np.array([[[0 * eye] * n] * n] * count) + arb(0)
    for i, j in combinations(range(n + 1), 2):
        low, high = cones[i].axis + cones[j].axis, cones[j].axis - cones[i].axis
        off = cones[i].angle + cones[j].angle
        t = 2 * arb.atan2(norm(high), norm(low))
        t = (t - off).max(arb(0)).union((t + off).min(arb.pi()))
        cos, sin = t.cos(), t.sin().max(arb(0))
        ends = (t / 2).cos().max(arb(0)), (t / 2).sin().max(arb(0))
        s, g = (  # in the plane a bisector turns by the mean of both
            turned(z / norm(z), off / 2 / (part if not (flat and part > 0) else 1))
            for z, part in zip((low, high), ends, strict=True)
        )
        for a, b, mu, way in ((i, j, -1 if j == n else 1, g), (j, i, 1, -g)):
            if a == n:
                continue
            x, y = cones[a].axis, cones[b].axis
            aside = y - (y @ x) * x
            angle = cones[a].angle if flat else (cones[a].angle ** 2 + (off / sin) ** 2).sqrt()
            normal = turned(aside / norm(aside), angle if sin > 0 else arb.pi())
            x, m = unit[a], limited(cos * normal - sin * unit[a])
            u, v = moved[a] @ normal, moved[b] @ m
            across = (0 if flat else 1) * (eye - np.outer(x, x) - np.outer(normal, normal))
            e, f = moved[a] @ across, moved[b] @ across
            longer = moved[b] @ unit[b] - moved[a] @ x
            parts = [times(sin * longer + cos * (v - u), 2 * np.outer(normal, normal) + across)]
            parts.append(times(-2 * sin * u, both(x[None], normal)[0]))
            parts += [] if flat else [-sin * both(e, x), both(f - cos * e, normal)]
            total[:, a, a] += mu * cones[b].size / cones[a].size * sum(parts)
            if b < n:
                mirror = np.outer(s, s) - np.outer(way, way)
                parts = [times(v - u, cos * mirror - eye)]
                parts.append(times((u + v) * sin, both(s[None], way)[0]))
                parts += [] if flat else [ends[1] * both(e + f, s), -ends[0] * both(f - e, way)]
                total[:, a, b] += sum(parts)
    whole = total.transpose(0, 1, 3, 2, 4).reshape(count, n * q, n * q)
    return whole / (2 * arb.pi())


def cone(box: Any, spread: Any) -> Cone:
    """Cone of what is off a box by ``spread y``, ``|y| <= 1``."""
    middle, radius = np.array([z.mid() for z in box]), np.array([arb(z.rad()) for z in box])
    require(norm(middle) > 0, "a neuron may be at zero")
    axis = middle / norm(middle)
    along = axis @ spread
    out = np.abs(axis) @ radius + norm(along)
    aside = np.array([(1 - z * z).max(arb(0)).sqrt() for z in axis]) @ radius
    aside = aside.min(norm(radius)) + norm((spread - np.outer(axis, along)).ravel())
    near, far = norm(middle) - out, norm(middle) + out
    require(near.lower() > 0, "a neuron may be at zero")
    size = near.lower().union((far * far + aside * aside).sqrt().upper())
    return Cone(size, axis, (aside / near.lower()).atan().upper())


def turned(axis: Any, angle: arb) -> Any:
    """All unit vectors within an angle of one; if that is too wide or not known, all."""
    if not (angle < 1.5 and all(z.is_finite() for z in axis)):
        return np.array([UNIT] * len(axis))
    sin, cos = angle.upper().sin(), angle.upper().cos()
    side = np.array([((1 - cos) * abs(z) + sin * (1 - z * z).max(arb(0)).sqrt()) for z in axis])
    return axis + side * UNIT


def limited(vector: Any) -> Any:
    """Entries of a unit vector: those that are too wide are in [-1, 1]."""
    return np.array([z if z.is_finite() and z.rad() < 1 else UNIT for z in vector])


def times(factors: Any, matrix: Any) -> Any:
    """A multiple for each direction."""
    return factors[:, None, None] * matrix


def both(vectors: Any, other: Any) -> Any:
    """``{a, b}`` for each ``a``."""
    outer = vectors[:, :, None] * other
    return outer + outer.transpose(0, 2, 1)
