"""Values of polynomials in Chebyshev's form, and lengths."""

from typing import Any

import numpy as np
from flint import arb

UNIT = arb(0, 1)  # the interval [-1, 1]


def at(p: Any, s: arb) -> Any:
    """Value of all components."""
    return p @ np.array([s.chebyshev_t(k) for k in range(p.shape[1])])


def near(p: Any, part: int, parts: int) -> Any:
    """All values on one of equal parts of [-1, 1], to second order."""
    s, slope = arb(2 * part + 1 - parts) / parts, np.polynomial.chebyshev.chebder(p, axis=1)
    bend = np.abs(np.polynomial.chebyshev.chebder(slope, axis=1)).sum(axis=1)
    return at(p, s) + (np.abs(at(slope, s)) / parts + bend / (2 * parts * parts)) * UNIT


def norm(vector: Any) -> arb:
    """Euclidean norm."""
    return (vector @ vector).nonnegative_part().sqrt()
