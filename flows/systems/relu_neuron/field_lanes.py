"""ReLU neurons side by side: the raw field for many members at once.

The innermost loop of everything runs over members, so that the processor works on several at a
time. It is the field of :mod:`flows.systems.relu_neuron.field` without the Jacobian, with each pair
taken once for both of its neurons, and with an arctangent that is a polynomial: a loop that calls a
function is not vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.chart import Lanes
from flows.systems.relu_neuron.field import PARALLEL, RESIDUAL
from symbolic.language import lower
from symbolic.language.primitives import SinMinusArg
from symbolic.systems.relu_neuron import pair as relu_neuron

# atan(r)/r and (sin t - t)/t^3 in powers of the square: the first term dropped is below 1e-17
# of the sum for r <= tan(pi/8) and t <= SWITCH.
ARC_TERMS, SINE_TERMS = 21, 11
EDGE, SWITCH = math.tan(math.pi / 8), 1.5


def _polynomial(coefficients: list[Fraction]) -> Callable[..., Any]:
    square = sp.Symbol("square")
    total: sp.Expr = sp.S.Zero
    for c in reversed(coefficients):
        total = sp.Float(float(c), 17) + square * total
    return lower.lower((total,), (square,), "numba")


def workspace(shape: NDArray[np.int64]) -> int:
    """Rows that the field needs to work in."""
    k, q = int(shape[0]), 1 + int(shape[1])
    return (k + 1) * (q + 2) + q + 7


def make_field(lanes: int) -> Callable[..., None]:
    """Compile the field.

    Parameters
    ----------
    lanes : int
        Number of members side by side: known to the compiler, and a multiple of what the processor
        takes at once, so that no member is treated otherwise than the next.

    Returns
    -------
    Numba function
        ``field(x, weights, shape, out, work)``: all arrays of shape (rows, lanes) but ``shape``,
        which is as for :func:`flows.systems.relu_neuron.field.make_raw`; ``work`` has
        :func:`workspace` rows.
    """
    import numba

    arc = _polynomial([Fraction((-1) ** k, 2 * k + 1) for k in range(ARC_TERMS)])
    cubic = _polynomial(
        [Fraction((-1) ** k, math.factorial(2 * k + 1)) for k in range(1, SINE_TERMS + 1)]
    )
    sine, theta = sp.Symbol("sine"), relu_neuron.THETA
    expressions = [e.subs(SinMinusArg(theta), sine) for e in relu_neuron.pair_gradient()]
    pair = lower.lower(expressions, (relu_neuron.ALPHA, relu_neuron.BETA, theta, sine), "numba")
    edge, switch = EDGE, SWITCH
    quarter, half_turn = math.pi / 4, math.pi / 2

    def field(x, mu, shape, out, work):  # type: ignore[no-untyped-def]
        k, q = shape[0], 1 + shape[1]
        if shape[2] == PARALLEL:
            for i in range(k):
                for e in range(lanes):
                    out[i, e] = -0.5 * mu[i, e] * x[i, e]
            return
        residual = shape[2] == RESIDUAL
        first = 1 if residual else 0
        u = work[: (k + 1) * q]
        m = work[(k + 1) * q : (k + 1) * (q + 1)]
        norm = work[(k + 1) * (q + 1) : (k + 1) * (q + 2)]
        minus = work[(k + 1) * (q + 2) : (k + 1) * (q + 2) + q]
        rest = work[(k + 1) * (q + 2) + q :]
        mass, total, mean, chord2, antichord2, turn, pull = (
            rest[0],
            rest[1],
            rest[2],
            rest[3],
            rest[4],
            rest[5],
            rest[6],
        )
        for e in range(lanes):
            mass[e] = 0.0
        for i in range(k):
            for e in range(lanes):
                mass[e] += mu[i, e]
        # Neurons from the state, and the residual's part of the gradient.
        for a in range(q):
            teacher = 1.0 if a == 0 else 0.0
            for e in range(lanes):
                total[e] = 0.0
                u[k * q + a, e] = teacher
            for i in range(first, k):
                for e in range(lanes):
                    total[e] += mu[i, e] * x[i * q + a, e]
            if residual:
                for e in range(lanes):
                    mean[e] = (teacher + x[a, e]) / mass[e]
                    u[a, e] = mean[e] - total[e] / mu[0, e]
            for i in range(first, k):
                for e in range(lanes):
                    u[i * q + a, e] = mean[e] + x[i * q + a, e] if residual else x[i * q + a, e]
            for i in range(k):
                for e in range(lanes):
                    out[i * q + a, e] = 0.0 if residual else -0.5 * (total[e] - teacher)
        # Unit vectors, and m = 1 - cos without cancellation.
        for i in range(k + 1):
            for e in range(lanes):
                m[i, e] = 0.0
            for a in range(1, q):
                for e in range(lanes):
                    m[i, e] += u[i * q + a, e] * u[i * q + a, e]
            for e in range(lanes):
                along = u[i * q, e]
                length = math.sqrt(along * along + m[i, e])
                length = length if length > 0.0 else 1e-300
                along /= length
                small = m[i, e] / (length * length) / (1.0 + along)
                m[i, e] = small if along > 0.0 else 1.0 - along
                norm[i, e] = length
            for a in range(q):
                for e in range(lanes):
                    u[i * q + a, e] /= norm[i, e]
        for i in range(k):
            for j in range(i + 1, k + 1):
                for e in range(lanes):
                    difference, summed = m[j, e] - m[i, e], u[i * q, e] + u[j * q, e]
                    minus[0, e] = difference
                    chord2[e] = difference * difference
                    antichord2[e] = summed * summed
                for a in range(1, q):
                    for e in range(lanes):
                        difference = u[i * q + a, e] - u[j * q + a, e]
                        summed = u[i * q + a, e] + u[j * q + a, e]
                        minus[a, e] = difference
                        chord2[e] += difference * difference
                        antichord2[e] += summed * summed
                for e in range(lanes):
                    chord, antichord = math.sqrt(chord2[e]), math.sqrt(antichord2[e])
                    blunt = chord > antichord
                    low = antichord if blunt else chord
                    high = chord if blunt else antichord
                    wide = low > edge * high
                    ratio = (low - high if wide else low) / (low + high if wide else high)
                    angle = ratio * arc(ratio * ratio)[0]
                    angle = quarter + angle if wide else angle
                    angle = 2.0 * (half_turn - angle if blunt else angle)
                    near = angle if angle < switch else switch
                    series = near * (near * near) * cubic(near * near)[0]
                    # sin = 2 sin(half) cos(half), of which the chords are twice the factors.
                    mean[e] = series if angle < switch else 0.5 * chord * antichord - angle
                    total[e] = angle
                    unit, along = pair(norm[i, e], norm[j, e], angle, mean[e])
                    turn[e], pull[e] = mu[j, e] * unit, mu[j, e] * along
                for a in range(q):
                    for e in range(lanes):
                        out[i * q + a, e] -= turn[e] * u[i * q + a, e] + pull[e] * minus[a, e]
                if j == k:
                    continue
                for e in range(lanes):
                    unit, along = pair(norm[j, e], norm[i, e], total[e], mean[e])
                    turn[e], pull[e] = mu[i, e] * unit, mu[i, e] * along
                for a in range(q):
                    for e in range(lanes):
                        out[j * q + a, e] -= turn[e] * u[j * q + a, e] - pull[e] * minus[a, e]
        if not residual:
            return
        for a in range(q):
            for e in range(lanes):
                total[e] = 0.0
            for i in range(k):
                for e in range(lanes):
                    total[e] += mu[i, e] * out[i * q + a, e]
            for i in range(1, k):
                for e in range(lanes):
                    out[i * q + a, e] -= total[e] / mass[e]
            for e in range(lanes):
                out[a, e] = total[e] - 0.5 * mass[e] * x[a, e]

    # No fused multiply-add: the compiler might fuse in one lane and not in another.
    return numba.njit(error_model="numpy")(field)


#: The field as a chart holds it.
LANES = Lanes(make_field, workspace)
