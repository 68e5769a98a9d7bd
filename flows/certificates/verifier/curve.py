"""Values of polynomials in Chebyshev's form, and lengths."""

from typing import Any

import numpy as np
from flint import arb

UNIT = arb(0, 1)  # the interval [-1, 1]


def at(p: Any, s: arb) -> Any:
    """Value of all components."""
    return p @ np.array([s.chebyshev_t(k) for k in range(p.shape[1])])


def derivative(p: Any) -> Any:
    """Coefficients of the derivatives: ``c_k = 2 sum_j j p_j`` over ``j = k + 1, k + 3, ...``."""
    if p.shape[1] < 2:
        return 0 * p
    twice = 2 * np.arange(1, p.shape[1]) * p[:, 1:]
    for k in range(twice.shape[1] - 3, -1, -1):
        twice[:, k] += twice[:, k + 2]
    twice[:, 0] /= 2
    return twice


def near(p: Any, part: int, parts: int) -> Any:
    """All values on one of equal parts of [-1, 1], to second order."""
    s, slope = arb(2 * part + 1 - parts) / parts, derivative(p)
    bend = np.abs(derivative(slope)).sum(axis=1)
    return at(p, s) + (np.abs(at(slope, s)) / parts + bend / (2 * parts * parts)) * UNIT


def norm(vector: Any) -> arb:
    """Euclidean norm."""
    return (vector @ vector).nonnegative_part().sqrt()
