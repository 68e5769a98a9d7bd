"""``(1+t)^power L`` on the pieces of a certificate, before its tail; and the loss of neurons."""

import functools
import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import combinations
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.verifier.angles import angle, area
from flows.certificates.verifier.curve import UNIT, at, norm
from flows.certificates.verifier.reading import integer, largest, number

# Bounds are this near to values that occur, if so many halvings are enough.
SHARP, HALVINGS = 1e-3, 3000
# Halvings where a loss takes long, or where the losses of a ball of starts differ by more.
FEW = 400


def before(
    pieces: Any,
    ends: Any,
    bits: int,
    loss: Callable[[Any], arb],
    *,
    power: int = 3,
    least: arb | None = None,
    halvings: int = HALVINGS,
) -> list[arb]:
    """Numbers below and above ``(1+t)^power L`` on the pieces; ``L`` decreases, to ``least``.

    On a part of a piece each factor is bounded by its value at one end. A piece on which a neuron
    vanishes has ends of different sizes, and is not halved.
    """
    times = [arb(0), *(arb((integer(piece["end"]), -bits)) for piece in pieces)]

    @functools.cache
    def curve(k: int) -> Any:
        rows = ([arb((integer(c), -bits)) for c in row] for row in pieces[k]["coefficients"])
        return np.array([*rows])

    @functools.cache
    def factors(k: int, s: float) -> tuple[arb, arb]:
        time = (times[k] * (1 - arb(s)) + times[k + 1] * (1 + arb(s))) / 2
        if abs(s) == 1:
            state = ends[k + (s > 0)]
        else:
            state = (at(curve(k), arb(s)) + UNIT * number(pieces[k]["tube"])).reshape(ends[k].shape)
        found = loss(state)
        return (power * time).exp(), found if least is None else found.max(least)

    def extreme(sign: int) -> arb:
        """Bound ``sign (1+t)^power L`` from above."""
        parts: list[tuple[float, int, float, float]] = []
        seen = -math.inf

        def bound(k: int, low: float, high: float) -> arb:
            late, early = (high, low) if sign > 0 else (low, high)
            return sign * factors(k, late)[0] * factors(k, early)[1]

        def look(k: int, low: float, high: float) -> None:
            nonlocal seen
            ends_of = (factors(k, s) for s in (low, high))
            seen = max(seen, *(float((sign * x * y).lower()) for x, y in ends_of))
            heappush(parts, (-float(bound(k, low, high).upper()), k, low, high))

        for k in range(len(pieces)):
            look(k, -1.0, 1.0)
        for _ in range(halvings):
            most, k, low, high = parts[0]
            fixed = ends[k].shape != ends[k + 1].shape
            if fixed or not -most - seen > SHARP * abs(seen):
                break
            heappop(parts)
            look(k, low, (low + high) / 2)
            look(k, (low + high) / 2, high)
        return sign * largest(bound(*part[1:]) for part in parts)

    return [extreme(-1), extreme(1)]


def of_neurons(w: Any, teacher: arb) -> arb:
    """Equation 3 of Xu & Du, of neurons whose first coordinate is along the teacher."""
    v = 0 * w[0]
    v[0] = teacher
    vectors, r = [*w, v], w.sum(axis=0) - v
    total = (r @ r) / 4
    for i, j in combinations(range(len(vectors)), 2):
        a, b = vectors[i], vectors[j]
        size, cosine = abs(area(a, b)), a @ b
        theta = angle(size, cosine).nonnegative_part()
        pull = size - theta * cosine
        if theta < 1:  # sin z - z cos z, of an alternating series
            third = (arb(1) / 3).union(arb(1) / 3 - theta.upper() ** 2 / 30)
            pull = pull.intersection(norm(a) * norm(b) * theta**3 * third)
        total += (-1 if j == len(w) else 1) * pull / (2 * arb.pi())
    return total.nonnegative_part()
