"""Neurons near a minimum: they stay, and the loss falls like a power from both sides."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from flint import arb

from flows.certificates.decision import down
from flows.certificates.theorems.said import Enclosed, ForAllTimes, above, below, dot, said
from symbolic.systems.relu_neuron.theorems.samples import LEAST, SPEED

__all__ = ["conclusions"]

Ball = Any  # flint.arb
#: Pairs of more neurons are too many.
MOST_NEURONS = 100


def conclusions(enclosed: Enclosed) -> list[ForAllTimes]:
    """What the theorems say of a trajectory, from the time T on at which it is enclosed."""
    system: Any = enclosed.system
    t = enclosed.t_end
    n, teacher = system.n, [arb(x) for x in system.teacher]
    v = dot(teacher, teacher).sqrt()
    state, loss = enclosed.state(t), enclosed.loss(t)
    sizes = [dot(row, row).sqrt() for row in state]
    lines = [
        ("|v|/(2n) <= |w_i(T)|", all(2 * n * x > v for x in sizes)),
        ("|w_i(T)| <= 2|v|/n", all(n * x < 2 * v for x in sizes)),
        (f"L(T) <= |v|^2/({LEAST:.2g} n^8)", bool(LEAST * n**8 * loss < v * v)),
        ("L(T) > 0", bool(loss > 0)),
    ]
    most, far = above(SPEED**3 * n * v * v), above(v / (4 * n))
    return [
        said("neurons_stay", enclosed, lines, f"|w_i(t) - w_i(T)| < {far} for all t >= T"),
        said("loss_upper", enclosed, lines, f"L(t) <= {most}/(t - T)^3 for all t > T"),
        *([_from_below(enclosed, lines, state, teacher)] if 1 < n <= MOST_NEURONS else []),
    ]


def _from_below(
    enclosed: Enclosed, lines: list[tuple[str, bool]], state: list[Any], teacher: list[Ball]
) -> ForAllTimes:
    """Theorem 14 with the widest pair of the parts across the teacher; c is its cosine, or 0."""
    n, v = len(state), dot(teacher, teacher).sqrt()
    across = []
    for row in state:
        along = dot(row, teacher) / v**2
        across.append([x - along * y for x, y in zip(row, teacher, strict=True)])
    cosine, distance = arb(1), arb(0)
    for a, b in combinations(across, 2):
        apart = [x - y for x, y in zip(a, b, strict=True)]
        distance += dot(apart, apart).nonnegative_part().sqrt()
        turn = dot(a, b) / (dot(a, a) * dot(b, b)).nonnegative_part().sqrt()
        cosine = cosine.min(turn.upper()) if turn.is_finite() else cosine
    cosine = cosine.max(arb(0))
    pair = [("two z_i are at an angle at T", bool(cosine < 1)), ("Z(T) > 0", bool(distance > 0))]
    least = arb(max(0.0, down(distance)))  # the bound grows with Z
    room = v * (1 - cosine)
    bound = below(least**3 / (24 * arb.pi() * n**5 * v))
    says = f"L(t) >= {bound}/(1 + {above(34 * n**4 * least / room)} (t - T))^3 for all t >= T"
    return said("loss_lower_from_start", enclosed, [*lines, *pair], says)
