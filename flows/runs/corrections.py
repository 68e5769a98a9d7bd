"""The constant of a power law by least squares, with the corrections that its law knows."""

from __future__ import annotations

import numpy as np

from flows.core.arrays import Array
from symbolic.asymptotics.law import Law

__all__ = ["fitted"]

#: Columns are taken for dependent below this part of the largest singular value.
CONDITION = 1e-9


def fitted(
    t: Array, scaled: Array, exponent: float, law: Law, most: int, relative: float
) -> tuple[float, float]:
    """Fit `t^p L` by a constant and corrections.

    Parameters
    ----------
    t, scaled : ndarray, shape (T,)
        Output times, and `t^p L` at them.
    exponent : float
        `p`.
    law : Law
        Power law.
    most : int
        Slow corrections at most.
    relative : float
        Numerical error of `scaled`.

    Returns
    -------
    value, error : float
        The constant; its error is the difference between the fits of the two halves, plus the
        effect of the numerical error on the fit. NaN and infinity for too few output times.
    """
    # Beside the slow directions, terms of higher degree of the loss: z ~ t^-1/(p - 2) each.
    higher = [k * (exponent - 1) / 2 for k in range(1, most + 1)]
    known = {*(round(2 * g, 6) for g in law.gamma if 2 * g < 1.5)}
    powers = sorted(known | {round(q, 6) for q in higher if q < 1})[:most]
    columns = [np.ones_like(t), *((t / t[0]) ** -q for q in powers), t[0] / t]
    if law.log_term is None or law.log_term != 0:
        columns.append(np.log(t) / t * t[0] / max(1.0, abs(float(np.log(t[0])))))
    design, half = np.stack(columns, axis=1), len(t) // 2
    if half < design.shape[1]:
        return np.nan, np.inf
    early, late = (
        np.linalg.lstsq(design[part], scaled[part], rcond=CONDITION)[0][0]
        for part in (slice(half), slice(half, None))
    )
    inverse = np.linalg.pinv(design, rcond=CONDITION)
    value = float(inverse[0] @ scaled)
    numerical = relative * abs(value) * float(np.abs(inverse[0]).sum())
    return value, float(abs(late - early)) + numerical
