"""Compiled: what is seen at a state of two doubles: loss and gradient, curvatures, and errors."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.core.arrays import EPSILON
from flows.systems.own.energy_units import FLAT, STIFF
from flows.systems.own.hessians import hessian, twofold_hessian
from flows.systems.own.sound_state import STEEP, TRUSTED

__all__ = ["KNOWN", "Seen", "curvature_at", "largest_of", "look_first", "seen_of", "tell"]

# What is observed is known to this part of it, or the state is looked at in balls.
KNOWN = 1e-12
# Where rounding of the axes explains less than this part of an error, the flow has made it.
TURNS = 0.1


class Seen(NamedTuple):
    """What is seen at a state: Hessian, curvatures and errors, loss, length of the gradient.

    ``numbers`` (6,): loss, minus the square of the gradient's length, its length, the largest
    relative error, the error of the loss by those of the state, and 1 where all this is known.
    ``along`` (N,): gradient along the axes.
    """

    hessian: Any
    curvature: Any
    error: Any
    numbers: Any
    along: Any


@inner
def seen_of(n):
    """Work space for the numbers that are seen."""
    return Seen(np.zeros((n, n)), np.zeros(n), np.zeros(n), np.zeros(6), np.zeros(n))


@lean
def largest_of(matrix):
    """Largest entry of a matrix, NaN or infinite where one is."""
    found = 0.0
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            found = max(found, abs(matrix[i, j])) if abs(matrix[i, j]) < np.inf else np.nan
            if not found < np.inf:
                return found
    return found


@inner
def curvature_at(centre, rates, since, found):
    """Hessian at a state of two doubles, rounded, from two where one has too few digits."""
    n, rounded = len(centre), np.empty(len(centre))
    for i in range(n):
        rounded[i] = centre[i, 0] + centre[i, 1]
    hessian(rounded, rates.operation, rates.operands, rates.constants, rates.results, found)
    if not since * largest_of(found) < STIFF:
        pairs, both = np.empty((n, 2)), np.empty((n, n, 2))
        for i in range(n):
            pairs[i, 0], pairs[i, 1] = centre[i, 0], centre[i, 1]
        twofold_hessian(
            pairs, rates.operation, rates.operands, rates.constants, rates.results, both
        )
        for i in range(n):
            for j in range(n):
                found[i, j] = both[i, j, 0] + both[i, j, 1]
    for i in range(n):
        for j in range(i):
            found[i, j] = found[j, i] = (found[i, j] + found[j, i]) / 2


@lean
def look_first(registers, loss, since, rough, seen):
    """See a start: loss and gradient, and no errors, so that these have no axes."""
    doubt, size = 0.0, 0.0
    for i in range(len(seen.along)):
        seen.error[i], seen.curvature[i] = 0.0, 0.0
        seen.along[i] = registers[loss.results[1 + i], 0]
        size = max(size, abs(seen.along[i]))
    size = size if size > 0.0 else 1.0
    for i in range(len(seen.along)):
        doubt += (registers[loss.results[1 + i], 2] / size) ** 2
    for i in range(5):
        seen.numbers[i] = np.nan
    seen.numbers[5] = 0.0
    value, radius = registers[loss.results[0], 0], registers[loss.results[0], 2]
    tell(seen, seen.along, value, radius, size * math.sqrt(doubt), since, rough, KNOWN)


@lean
def tell(seen, along, value, radius, doubt, since, rough, enough):
    """Put numbers down, of a gradient along the axes that are seen, a loss, and their radii.

    These serve where they are the part `enough` of both, at most.
    """
    size, numbers = 0.0, seen.numbers
    for i in range(len(along)):
        size = max(size, abs(along[i]))
    size = size if size > 0.0 else 1.0
    square, of_loss, turned, led, energy, climbed = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(along)):
        curved, far = abs(seen.curvature[i]), seen.error[i]
        square += (along[i] / size) ** 2
        of_loss += abs(along[i]) * far + curved * far**2 / 2
        climbed += curved * far**2 / 2 if curved * since <= FLAT else 0.0
        turned += (curved * far / size) ** 2
        led += abs(along[i]) / size * (curved * far / size)
        energy += along[i] * (along[i] / max(curved, 1.0 / since)) / 2
    # Along a flat axis the flow turns with the valley: a straight move would climb its side.
    of_loss -= climbed if of_loss > rough * energy else 0.0
    # What turns the gradient is an error of its length to second order.
    length, root, off = size * math.sqrt(square), math.sqrt(square), math.sqrt(turned)
    off = min(off, (led + turned / 2) / root) if off < root else off
    off = doubt + size * off
    numbers[0], numbers[2] = value, length
    numbers[1] = -(length**2) if length < STEEP else np.nan
    numbers[4] = of_loss
    wrong = radius + of_loss
    sharp = radius <= enough * abs(value) and doubt <= enough * length
    trusted = wrong <= TRUSTED * abs(value) and off <= TRUSTED * length
    numbers[3] = max(wrong / abs(value), off / length) if value != 0.0 and length > 0.0 else np.nan
    if sharp and trusted and numbers[3] >= 0.0:
        turns = of_loss > rough * energy and not of_loss * TURNS > of_axes(seen, along, since)
        numbers[5] = 0.0 if turns else 1.0


@lean
def of_axes(seen, along, since):
    r"""Part of the error of a loss that rounding of the axes may be the reason of.

    Axis `i` turns towards `j` by `\epsilon |h| / |h_i - h_j|`: then the slope along it has a part
    of the other one, and so does the error.
    """
    h, far, n, steep, total = seen.curvature, seen.error, len(along), 0.0, 0.0
    for i in range(n):
        steep = max(steep, abs(h[i]))
    for i in range(n):
        slope, turned = 0.0, 0.0
        for j in range(n):
            if j != i:
                gap = abs(h[i] - h[j])
                angle = min(1.0, n * EPSILON * steep / gap) if gap > 0.0 else 1.0
                slope += angle * abs(along[j])
                turned += angle * far[j]
        total += abs(along[i]) * turned + slope * (far[i] + turned)
        if abs(h[i]) * since > FLAT:
            total += abs(h[i]) * turned * (far[i] + turned / 2)
    return total
