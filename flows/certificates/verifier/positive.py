"""Inequalities of balls, and positive definite boxes of symmetric matrices."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.certificates.verifier.reading import Refused, require


class Exceeded(Refused):
    """Stated numbers are too small: by its name, how often each would have to be taken here."""

    def __init__(self, reason: str, times: dict[str, float]) -> None:
        super().__init__(reason)
        self.times = times


def at_most(need: arb, bound: arb, reason: str, name: str = "") -> None:
    """Refuse with both numbers unless ``need <= bound``, which grows with a number of this name."""
    numbers = f"{float(need.upper()):.4g} against {float(bound.lower()):.4g}"
    if not need <= bound:
        raise Exceeded(f"{reason}: {numbers}", {name: float((need / bound).upper())})


def less(need: arb, bound: arb, reason: str, name: str = "") -> None:
    """Refuse likewise unless ``need < bound``."""
    at_most(need, bound, reason, name)
    require(need < bound, f"{reason}: both are {float(bound):.4g}")


def all_less(lines: Iterable[tuple[arb, arb, str, str]]) -> None:
    """Refuse unless each ``need < bound``, with the first reason and all that is short."""
    reason, times = "", dict[str, float]()
    for line in lines:
        try:
            less(*line)
        except Exceeded as short:
            reason = reason or str(short)
            for name, often in short.times.items():
                times[name] = max(times.get(name, often), often)
    if reason:
        raise Exceeded(reason, times)


def positive(matrix: Any, shift: arb) -> bool:
    """Whether all symmetric matrices of a box are positive definite, this much added.

    If not as they are, then by the form in the eigenvectors of the middle, scaled to lengths about
    one: what a box does to a stiff direction is small beside its eigenvalue.
    """
    lifted = matrix + shift * np.eye(len(matrix), dtype=object)
    if _pivots(lifted):
        return True
    values, vectors = np.linalg.eigh(np.vectorize(lambda z: float(z.mid()), "d")(lifted))
    if not (values > 0).all():
        return False
    w = arb_mat((vectors / np.sqrt(values)).tolist())
    return _pivots(np.array((w.transpose() * arb_mat(lifted.tolist()) * w).tolist()))


def _pivots(matrix: Any) -> bool:
    """Whether the middle, less a bound of the norm of the radii, has positive pivots."""
    middle, radius = matrix.copy(), np.zeros(matrix.shape)
    for k, c in np.ndenumerate(matrix):
        middle[k], radius[k] = c.mid(), float(c.rad())
    require(np.isfinite(radius).all(), "errors may grow faster")
    m = middle - perron(np.maximum(radius, radius.T)) * np.eye(len(matrix), dtype=object)
    while len(m) and m[0, 0] > 0:
        m = m[1:, 1:] - np.outer(m[0, 1:], m[0, 1:] / m[0, 0])
    return not len(m)


def perron(radius: Any) -> float:
    """Bound of the norm of a symmetric matrix without negative entries, in doubles.

    It is the largest ``(R y)_i / y_i``, for any positive ``y``. Nothing is subtracted.
    """
    radius, y = radius + 1e-200, np.ones(len(radius))
    for _ in range(3):
        y = 1e-3 + radius @ y / (radius @ y).max()
    return float((radius @ y / y).max() * (1 + 1e-9))
