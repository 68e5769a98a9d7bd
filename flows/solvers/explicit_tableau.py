r"""Coefficients of DOP853, an explicit Runge-Kutta method of order 8, and how its steps change.

Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, sections II.5 and II.6;
coefficients are those of SciPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import DOP853

# Order of the error by which steps are judged.
ORDER = 8
# Stages of a step, and with those of the dense output.
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
