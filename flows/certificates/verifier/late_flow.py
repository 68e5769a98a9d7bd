r"""Equations of neurons near their end, once more; shares only python-flint with the maker.

Teacher of length one, ``w_i = (h_i, s y_i)``, lengths ``N_i``, ``q_i = y_i/N_i``, ``c_i =
h_i/N_i``, ``X = s^2``; unit vectors ``(c_i, s q_i)`` have chords ``s chi`` and angles ``s phi``.
Equation 4 of Xu & Du without the residual is, across the teacher and divided by ``s^2``,
``-B_i/2pi``, and along it and divided by ``s^3``, ``-A_i/2pi``. Equation 51, cut down to what is
across the teacher and divided by ``s``, gives blocks ``dB_i/dy_j``. At ``X = 0`` nothing is
singular.
"""

import math
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_series, fmpq

from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.space import _projector

ORDER = 4  # of Taylor series
# Exact: balls made here would have 53 bits. ``asin(z)/z``, ``(sin z/z - 1)/z^2`` and ``(sin z - z
# cos z)/z^3``, by ``z^2``.
ARC = [fmpq(math.comb(2 * k, k), 4**k * (2 * k + 1)) for k in range(ORDER + 2)]
SINE = [fmpq((-1) ** (k + 1), math.factorial(2 * k + 3)) for k in range(ORDER + 2)]
THIRD = [-(2 * k + 2) * a for k, a in enumerate(SINE)]


class Rates(NamedTuple):
    """Sums ``B`` and ``A`` over ``2 pi``, ``Lambda``, and blocks ``dB_i/dy_j`` over ``2 pi``."""

    b: Any
    a: Any
    energy: arb
    blocks: Any


def curved(z: Any, terms: list[fmpq]) -> Any:
    """``sum_k a_k z^k`` with ``|a_(k+1)| <= |a_k|``, of a ball or of a series in time.

    About ``z_0`` its ``j``-th coefficient is ``a_j + (j+1) a_(j+1) z_0``, and what ``k >= j + 2``
    add: ``(1 - |z_0|)^-(j+1) - 1 - (j+1) |z_0|`` times ``|a_(j+1)|`` at most.
    """
    at, total = _value(z), 0 * z
    u = abs(at).upper()
    require(u < 0.5, "an angle is not small")
    for j in reversed(range(1 if at is z else ORDER + 1)):
        rest = terms[j + 1] * UNIT * ((1 - u) ** -(j + 1) - 1 - (j + 1) * u)
        total = total * (z - at) + (terms[j] + (j + 1) * terms[j + 1] * at + rest)
    return total


def stretched(v: list[Any]) -> list[Any]:
    """``|v| v`` of vectors, or along series of vectors.

    Where ``v`` may vanish along a series, ``|v| v`` has a Lipschitz derivative, at most ``2 |v|
    |v'|``, and its second one is at most ``3 |v'|^2 + 2 |v| |v''|``: three coefficients.
    """
    square = dot(v, v)
    if isinstance(square, arb) or square[0] > 0:
        length = (square.nonnegative_part() if isinstance(square, arb) else square).sqrt()
        return [length * z for z in v]
    size, speed, bend = (norm(np.array([z[k] for z in v])) for k in range(3))
    most = size * size, 2 * size * speed, 3 * speed * speed / 2 + 2 * size * bend
    return [arb_series([UNIT * z for z in most], 3) for _ in v]


def directions(y: Any, h: Any, x: arb) -> tuple[list[Any], list[Any], list[Any]]:
    """``N_i``, ``q_i`` and ``c_i`` of neurons, and of the teacher as the last one."""
    size = [c * c + x * dot(v, v) for c, v in zip(h, y, strict=True)]
    require(all(_value(z) > 0 for z in size), "a neuron may be at zero")
    size = [z.sqrt() for z in size]
    q = [[z / r for z in v] for v, r in zip(y, size, strict=True)]
    cos = [c / r for c, r in zip(h, size, strict=True)] + [arb(1)]
    for a, b in combinations(cos, 2):
        require(_value(a + b) > 0, "a neuron may point away from the teacher")
    return [*size, arb(1)], [*q, [0 * z for z in y[0]]], cos


def attraction(y: Any, h: Any, s: arb) -> list[list[Any]]:
    """``B/2pi`` at vectors ``y``, or along series of them, for all clocks in ``s``.

    A series in an array of numpy would be taken for a row: these are lists.
    """
    x, unit = s * s, 1 / (2 * arb.pi())
    size, q, cos = directions(y, h, x)
    b = [[0 * z for z in v] for v in y]
    for i, j in combinations(range(len(q)), 2):
        chord = [z - r for z, r in zip(q[i], q[j], strict=True)]
        both = [z + r for z, r in zip(q[i], q[j], strict=True)]
        chord.append(-s * dot(chord, both) / (cos[i] + cos[j]))
        square, pull = dot(chord, chord), stretched(chord)
        arc = curved(x / 4 * square, ARC)  # the angle divided by the chord
        bent = x * arc**3 * curved(x * arc * arc * square, SINE) * dot(pull, chord)
        for k, m, sign in ((i, j, 1), (j, i, -1)):
            weight = size[m] * (-unit if m == len(b) else unit)
            for r in range(len(y[0]) * (k < len(b))):
                b[k][r] += weight * (sign * arc * pull[r] + bent * q[k][r])
    return b


def rates(y: Any, h: Any, s: arb) -> Rates:
    """At balls of vectors ``y`` and parts ``h``, for all clocks from 0 to the end of ``s``."""
    (n, p), x, unit = y.shape, s * s, 1 / (2 * arb.pi())
    size, directed, cos = directions(y, h, x)
    q, eye = np.array(directed), np.eye(p, dtype=object)
    a, energy = 0 * h, arb(0)
    blocks = np.array([[0 * eye] * n] * n) + arb(0)
    for i, j in combinations(range(n + 1), 2):
        mu, gap, mean = -1 if j == n else 1, q[i] - q[j], (q[i] + q[j]) / (cos[i] + cos[j])
        w = -(gap @ mean)
        square = (gap @ gap + x * w * w).nonnegative_part()
        chi = square.sqrt()
        phi = chi * curved(x * square / 4, ARC)
        angle = x * phi * phi
        bent = curved(angle, SINE)
        sine = 1 + angle * bent  # sin(z)/z
        energy += mu * size[i] * size[j] * phi**3 * curved(angle, THIRD)
        for k, m, sign in ((i, j, 1), (j, i, -1)):
            if k < n:
                a[k] += mu * size[m] * phi * (phi * phi * bent * cos[k] + sign * w)
                normal = _projector(q[m] - (1 - x * square / 2) * q[k], phi * sine)
                normal = normal if p > 1 else cos[k] * cos[k] * eye  # of (-s q, c) in the plane
                turned = eye - x * np.outer(q[k], q[k]) + normal
                blocks[k, k] += mu * size[m] / size[k] * phi * sine * turned
                if m < n:
                    sums = x / (4 - x * square) * np.outer(q[i] + q[j], q[i] + q[j])
                    along = _projector(gap, chi) if p > 1 else 1 / (1 + x * np.outer(mean, mean))
                    blocks[k, m] += phi * (sine * (sums - along) - eye)
    return Rates(np.array(attraction(y, h, s)), a * unit, energy * unit, blocks * unit)


def _value(z: Any) -> Any:
    return z if isinstance(z, arb) else z[0]


def dot(a: Any, b: Any) -> Any:
    """Inner product, of series too."""
    return sum((z * r for z, r in zip(a, b, strict=True)), arb(0))
