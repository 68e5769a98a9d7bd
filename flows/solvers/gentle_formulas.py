r"""DOP853, an explicit Runge-Kutta method of order 8: its coefficients, and its sums over numbers.

.. math:: k_s = f\Bigl(\tau + c_s h,\ y + h \sum_{r<s} a_{sr} k_r\Bigr), \qquad
   y_1 = y + h \sum_s b_s k_s

Its error comes from two formulas of orders 5 and 3, its dense output, of order 7, from three more
stages.

Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, sections II.5 and II.6;
coefficients are those of SciPy.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import DOP853

from flows.solvers.steps import GROW, SAFETY, SHRINK

# Order of the error by which steps are judged.
ORDER = 8
# Stages of a step, and of a step with dense output.
STAGES, ALL = 12, 16
#: Fields of an attempt; coefficients of the dense output.
FIELDS, DENSE = ALL - 1, 6


def tableau() -> tuple[Any, Any, Any, Any]:
    """Coefficients of all stages.

    Returns
    -------
    nodes, a : ndarray, shape (16,) and (16, 16)
        The stage after the last is the field at the end of the step; three more follow.
    error : ndarray, shape (2, 16)
        Of the formulas of orders 5 and 3.
    dense : ndarray, shape (4, 16)
        Of the upper part of the dense output.
    """
    a, error = np.zeros((ALL, ALL)), np.zeros((2, ALL))
    a[:STAGES, :STAGES] = DOP853.A[:STAGES, :STAGES]
    a[STAGES, :STAGES] = DOP853.B
    a[STAGES + 1 :] = DOP853.A_EXTRA
    nodes = np.concatenate([DOP853.C[:STAGES], [1.0], DOP853.C_EXTRA])
    error[:, : STAGES + 1] = DOP853.E5, DOP853.E3
    return nodes, a, error, DOP853.D


class Formulas(NamedTuple):
    """Sums of a step over numbers of a kind: slopes `k` (16, N), states (N,), and one step.

    ``at_stage(y, k, s, step, out)``: state of a stage; ``errors_of(k, i, n)``: both errors of an
    unknown over the step; ``error_of(step, fifth, third, size)``, of plain numbers: error of a step
    from sums of squares of both over the tolerance; ``interpolate(y, y1, k, step, dense)``: dense
    output, in powers of the fraction of the step; ``change_after(wrong)``: factor of the next
    step's length after one with this error over the tolerance.
    """

    at_stage: Any
    errors_of: Any
    error_of: Any
    interpolate: Any
    change_after: Any


@functools.cache
def formulas(lanes: int) -> Formulas:
    """Compile the sums for this number of lanes, a vector's or one."""
    from flows.arithmetic.kept import lean  # Numba loads where it is first needed
    from flows.arithmetic.numbers import numbers_of

    number = numbers_of(lanes)
    get, put, zero = number.get, number.put, number.zero
    _, weights, errors, upper = tableau()
    shrink, grow, safety = SHRINK, GROW, SAFETY

    @lean
    def at_stage(y, k, s, step, out):
        n, h = y.shape[0], get(step, 0)
        for i in range(n):
            moved = zero()
            for r in range(s):
                weight = weights[s, r]
                if weight != 0.0:
                    moved += weight * get(k, r * n + i)
            put(out, i, get(y, i) + h * moved)

    @lean
    def errors_of(k, i, n):
        fifth, third = zero(), zero()
        for r in range(STAGES + 1):
            slope = get(k, r * n + i)
            fifth += errors[0, r] * slope
            third += errors[1, r] * slope
        return fifth, third

    @lean
    def error_of(step, fifth, third, size):
        both = math.sqrt((fifth + 0.01 * third) * size)
        return 0.0 if fifth == 0.0 else step * fifth / both

    @lean
    def interpolate(y, y1, k, step, dense):
        n, h = y.shape[0], get(step, 0)
        for i in range(n):
            f3, f4, f5, f6 = zero(), zero(), zero(), zero()
            for r in range(ALL):
                slope = h * get(k, r * n + i)
                f3 += upper[0, r] * slope
                f4 += upper[1, r] * slope
                f5 += upper[2, r] * slope
                f6 += upper[3, r] * slope
            moved = get(y1, i) - get(y, i)
            first, last = h * get(k, i), h * get(k, STAGES * n + i)
            put(dense, i, first - moved)
            put(dense, n + i, 2.0 * moved - (last + first) + f3)
            put(dense, 2 * n + i, f4 + f5 - f3)
            put(dense, 3 * n + i, f6 - f4 - 2.0 * f5)
            put(dense, 4 * n + i, f5 - 2.0 * f6)
            put(dense, 5 * n + i, f6)

    @lean
    def change_after(wrong):
        change = grow if wrong == 0.0 else safety * wrong**-0.125
        return min(grow, max(shrink, change)) if wrong < np.inf else shrink

    return Formulas(at_stage, errors_of, error_of, interpolate, change_after)
