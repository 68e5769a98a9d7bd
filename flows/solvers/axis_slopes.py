"""Field and Jacobian of a flow along axes, compiled: in two doubles, and in one around the centre.

Curvature comes in two doubles where `s |h|` is large: there rounding would couple what is slow to
what is fast.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.arithmetic.pairs import add, multiply, product
from flows.core.angle_rest import angle_rest
from flows.core.enclosed_program import evaluate
from flows.core.rates_along import plain_rates, summed, twofold_rates
from flows.core.rests import changed, derivative

__all__ = [
    "Near",
    "centred",
    "doubles_know",
    "finite",
    "hessian_along",
    "linearise",
    "slope_at",
    "slope_of",
]

# Below this, curvature times time has enough digits in doubles for Newton's method.
GENTLE = 1e8
# Plain doubles serve as long as they differ from two by at most this many times the tolerance.
NOISE = 10.0


class Near(NamedTuple):
    """A field around its centre, for plain doubles.

    ``known`` (1,): whether they have been enough so far; ``value`` (R,): registers of the program;
    ``slope`` (N,), ``matrix`` (N, N): gradient and Hessian along the axes.
    """

    known: Any
    value: Any
    slope: Any
    matrix: Any


@lean
def finite(x):
    """Whether all entries are finite. Loops compile faster than array expressions."""
    known = True
    for i in range(len(x)):
        known = known and math.isfinite(x[i])
    return known


@lean
def slope_at(tau, u, field, registers, found, out):
    """Field at a time and a state, with the energy that is left; NaN where it is not known."""
    evaluate(
        u,
        field.size,
        field.centre,
        field.axes,
        field.gradient.operation,
        field.gradient.operands,
        field.gradient.results,
        registers,
        found,
    )
    s, energy = field.since * math.exp(tau), 0.0
    for i in range(len(u)):
        known = found[i, 2] <= field.allowed[i]
        out[i] = -s * found[i, 0] / field.size[i] if known else np.nan
        energy += found[i, 0] * (found[i, 0] / field.floored[i]) / 2
    return energy


@inner
def centred(field, near, work):
    """What doubles take of a field at its centre, from two doubles."""
    n = len(field.size)
    still = np.zeros(n)
    slope_at(0.0, still, field, work.registers, work.found, near.slope)
    for i in range(len(near.value)):
        near.value[i] = work.registers[i, 0]
    for i in range(n):
        near.slope[i] = work.found[i, 0]
    sharply(0.0, still, field, near.matrix)
    for i in range(n):
        for j in range(n):
            near.matrix[i, j] *= -field.size[i] / field.size[j] / field.since
    near.known[0] = finite(near.value)
    for i in range(n):
        near.known[0] = near.known[0] and finite(near.matrix[i])


@lean
def slope_near(tau, u, field, near, work, out):
    """Field in plain doubles: gradient and Hessian at the centre, and what is not linear.

    Each register is `x_0 + lin + rest`. Nothing that is small is the difference of large numbers
    but what is of second order: `rest` of a product is `x_0 rest_y + y_0 rest_x + dx dy`.
    """
    n, program = len(u), field.gradient
    value, linear, rest = near.value, work.linear, work.rest
    first = len(value) - len(program.operation)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += field.axes[i, j, 0] * (field.size[j] * u[j])
        linear[i] = total
    for k in range(len(program.operation)):
        a, b, operation = program.operands[k, 0], program.operands[k, 1], program.operation[k]
        if operation == 0:
            linear[first + k] = linear[a] + linear[b]
            rest[first + k] = rest[a] + rest[b]
        elif operation == 1:
            both = (linear[a] + rest[a]) * (linear[b] + rest[b])
            linear[first + k] = value[a] * linear[b] + value[b] * linear[a]
            rest[first + k] = value[a] * rest[b] + value[b] * rest[a] + both
        elif operation == 2:
            q, moved = value[first + k], linear[b] + rest[b]
            change = (linear[a] + rest[a] - q * moved) / (value[b] + moved)
            linear[first + k] = (linear[a] - q * linear[b]) / value[b]
            rest[first + k] = (rest[a] - q * rest[b] - change * moved) / value[b]
        elif operation == 4:
            y, x = value[a], value[b]
            linear[first + k] = (x * linear[a] - y * linear[b]) / (x * x + y * y)
            rest[first + k] = angle_rest(x, y, linear[b], rest[b], linear[a], rest[a])
        elif operation > 4:
            x, whole = value[a], value[first + k]
            linear[first + k] = derivative(operation, x, whole) * linear[a]
            rest[first + k] = changed(operation, x, whole, linear[a], rest[a])
        else:
            root, moved = value[first + k], linear[a] + rest[a]
            change = moved / (root + math.sqrt(value[a] + moved))
            linear[first + k] = linear[a] / (2.0 * root)
            rest[first + k] = (rest[a] - change * change) / (2.0 * root)
    s = field.since * math.exp(tau)
    for i in range(n):
        total = 0.0
        for j in range(n):
            total += near.matrix[i, j] * (field.size[j] * u[j])
            total += field.axes[j, i, 0] * rest[program.results[j]]
        out[i] = -s * (near.slope[i] + total) / field.size[i]


@lean
def slope_of(tau, u, field, near, work, out):
    """Field in plain doubles where they are enough, else in two."""
    if near.known[0]:
        slope_near(tau, u, field, near, work, out)
    else:
        slope_at(tau, u, field, work.registers, work.found, out)


@lean
def doubles_know(tau, slope, field, near, work, left):
    """Whether the field in plain doubles at `inside` is that of two, `slope`."""
    slope_near(tau, work.inside, field, near, work, work.off)
    s = field.since * math.exp(tau)
    for i in range(len(slope)):
        off = abs(work.off[i] - slope[i]) * field.size[i] / s
        if not off <= NOISE * left * field.allowed[i]:
            return False
    return True


@inner
def linearise(tau, u, field, jacobian):
    """Jacobian of the field: the Hessian along the axes, then in these units."""
    if field.since * math.exp(tau) * field.floored.max() < GENTLE:
        roughly(tau, u, field, jacobian)
    else:
        sharply(tau, u, field, jacobian)


@inner
def roughly(tau, u, field, jacobian):
    """Jacobian of the field in doubles."""
    n, program = len(u), field.rates
    place, axes = np.empty(n), np.ascontiguousarray(field.axes[:, :, 0])
    for i in range(n):
        place[i] = field.centre[i, 0]
        for j in range(n):
            place[i] += field.axes[i, j, 0] * (u[j] * field.size[j])
    r = plain_rates(place, axes, program.operation, program.operands, program.constants)
    s, total = field.since * math.exp(tau), np.empty(r.shape[1])
    for i in range(n):
        total[:] = 0.0
        for j in range(n):
            of_entry, part = program.results[j], field.axes[j, i, 0]
            for e in range(len(total)):
                total[e] += part * r[of_entry, e]
        for axis in range(n):
            along = total[axis]
            jacobian[i, axis] = -s * along * field.size[axis] / field.size[i]


@inner
def sharply(tau, u, field, jacobian):
    """Jacobian of the field, the Hessian along the axes in two doubles."""
    n = len(u)
    place = np.empty((n, 2))
    for i in range(n):
        high, low = field.centre[i, 0], field.centre[i, 1]
        for j in range(n):
            a, b = product(u[j], field.size[j])
            a, b = multiply(field.axes[i, j, 0], field.axes[i, j, 1], a, b)
            high, low = add(high, low, a, b)
        place[i, 0], place[i, 1] = high, low
    hessian_along(place, field.axes, field.rates, np.arange(n), jacobian)
    s = field.since * math.exp(tau)
    for i in range(n):
        for axis in range(n):
            jacobian[i, axis] = -s * jacobian[i, axis] * field.size[axis] / field.size[i]


@inner
def hessian_along(place, axes, program, which, found):
    """Rows and columns of some axes of the Hessian along axes, from two doubles.

    The first columns of `place` are two doubles.
    """
    n, many = len(axes), len(which)
    pairs, along = np.empty((n, 2)), np.empty((n, many, 2))
    for i in range(n):
        pairs[i, 0], pairs[i, 1] = place[i, 0], place[i, 1]
        for k in range(many):
            along[i, k, 0], along[i, k, 1] = axes[i, which[k], 0], axes[i, which[k], 1]
    r = twofold_rates(pairs, along, program.operation, program.operands, program.constants)
    total = np.empty((2, r.shape[2]))
    for i in range(n):
        summed(axes, i, r, program.results, total)
        for k in range(many):
            found[i, which[k]] = found[which[k], i] = total[0, k]
