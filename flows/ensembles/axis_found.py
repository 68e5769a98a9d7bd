"""What becomes of members that are followed along axes: arrays that compiled code fills."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Found", "found_of"]


class Found(NamedTuple):
    """Results of members, the first axis.

    ``digits`` (M, T, N, 2), ``error`` (M, T, N), ``since`` (M, T), ``numbers`` (M, T, 6): states at
    the output times, the start first; ``counts`` (M, 4): steps, fields,
    charts, Jacobians; ``reached`` (M,): output times that are there. Behind them is the place from
    which a member that has not reached the end can go on, with its error and time, if any.
    ``curvature`` (M, N), ``axes`` (M, N, N): at the end, eigenvalues of the Hessian, increasing,
    and its axes in columns; ``slope`` (M, N): the gradient along them, of the last chart.
    """

    digits: Any
    error: Any
    since: Any
    numbers: Any
    counts: Any
    reached: Any
    curvature: Any
    axes: Any
    slope: Any


def found_of(members: int, times: int, size: int) -> Found:
    """Arrays for the results of members."""
    return Found(
        np.zeros((members, times, size, 2)),
        np.zeros((members, times, size)),
        np.zeros((members, times)),
        np.zeros((members, times, 6)),
        np.zeros((members, 4), dtype=np.int64),
        np.zeros(members, dtype=np.int64),
        np.zeros((members, size)),
        np.zeros((members, size, size)),
        np.zeros((members, size)),
    )
