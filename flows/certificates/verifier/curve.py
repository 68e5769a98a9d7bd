"""Values of polynomials in Chebyshev's form, and lengths."""

import functools
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq

UNIT = arb(0, 1)  # the interval [-1, 1]


def at(p: Any, s: arb) -> Any:
    """Value of all components."""
    return p @ np.array([s.chebyshev_t(k) for k in range(p.shape[1])])


def at_points(p: Any, last: int) -> Any:
    """Values of all components at the points ``cos(pi j/last)``, one row a point."""
    return np.array((_at_points(p.shape[1], last, ctx.prec) * arb_mat(p.T.tolist())).tolist())


@functools.cache
def _at_points(count: int, last: int, bits: int) -> arb_mat:
    """``T_k(cos(pi j/last)) = cos(pi j k/last)``, one row a point, as balls of this precision."""
    turns = [[j * k % (2 * last) for k in range(count)] for j in range(last + 1)]
    return arb_mat([[arb.cos_pi_fmpq(fmpq(turn, last)) for turn in row] for row in turns])


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
