"""Layers near the target: they stay, their defects keep their values, and the loss falls."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat

from flows.certificates.decision import down, up
from flows.certificates.features.spectrum import singular_values
from flows.certificates.theorems.said import Enclosed, ForAllTimes, above, below, said

__all__ = ["conclusions"]

Ball = Any  # flint.arb


def conclusions(enclosed: Enclosed) -> list[ForAllTimes]:
    """What the theorems say of a trajectory, from the time T on at which it is enclosed."""
    system: Any = enclosed.system
    if system.field != "real":
        return []
    t = enclosed.t_end
    layers = [arb_mat(rows) for rows in enclosed.state(t)]
    free, four = ("no penalty, a = 0", system.regularization == 0), ("N = 4", system.depth == 4)
    most = above(max((_defect(a, b) for a, b in pairwise(layers)), key=up))
    least = max(arb(0), min((singular_values(w)[-1] for w in layers), key=down))
    delta, loss = arb(down(least)) / 2, enclosed.loss(t)
    lines = [
        free,
        four,
        ("delta > 0, half the least singular value at T", bool(delta > 0)),
        ("L(T) <= 2 delta^8", bool(loss <= 2 * delta**8)),
        ("L(T) > 0", bool(loss > 0)),
    ]
    stay = f"|W(t) - W(T)| < {above(delta)}, singular values above {below(delta)}, for all t >= T"
    rate = f"L(t) <= {above(loss)} exp(-{below(8 * delta**6)} (t - T)) for all t >= T"
    kept = f"each defect keeps its value; none is above {most}, for all t >= T"
    found = [
        said("balance_conserved", enclosed, [free], kept),
        said("layers_stay", enclosed, lines, stay),
        said("local_rate", enclosed, lines, rate),
    ]
    return [*found, *([_skew(enclosed, layers)] if four[1] else [])]


def _defect(lower: Any, upper: Any) -> Ball:
    rest = lower * lower.transpose() - upper.transpose() * upper
    return sum((x * x for row in rest.tolist() for x in row), arb(0)).nonnegative_part().sqrt()


def _skew(enclosed: Enclosed, layers: list[Any]) -> ForAllTimes:
    """A chain that is balanced at time 0 is balanced at all times."""
    exact = [_rationals(w) for w in np.asarray(enclosed.start).tolist()]
    balanced = all(a * a.transpose() == b.transpose() * b for a, b in pairwise(exact))
    sigma = _rationals(np.asarray(enclosed.system.target).tolist())
    minors = (
        fmpq_mat([row[:k] for row in sigma.tolist()[:k]]).det() for k in range(1, sigma.nrows() + 1)
    )
    first, second, third, fourth = layers
    lines = [
        ("balanced at time 0, exactly", balanced and enclosed.radius == 0),
        ("Sigma is symmetric, > 0", sigma == sigma.transpose() and all(x > 0 for x in minors)),
    ]
    try:
        gap = first - second.inv() * third.transpose() * fourth.transpose()
        lines.append(("W_2(T) is invertible", True))
    except ZeroDivisionError:  # the hypothesis fails, or is not decided
        gap = first * arb(0)
        lines.append(("W_2(T) is invertible", False))
    square = gap * arb_mat(sigma) * gap.transpose()
    size = above(sum((square[k, k] for k in range(square.nrows())), arb(0)))
    says = f"|(A - R) Sigma^(1/2)|^2 <= {size} for all t >= T"
    return said("skew_falls", enclosed, lines, says)


def _rationals(rows: Any) -> Any:
    return fmpq_mat([[fmpq(*x.as_integer_ratio()) for x in row] for row in rows])
