"""Eigenvalues of symmetric matrices, also where LAPACK's fast method gives up."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from flows.core.arrays import Array

__all__ = ["RESOLVED", "eigen"]

#: Eigenvalues are told from zero beyond this part of the largest one: rounding and quadrature.
RESOLVED = 1e-9


def eigen(matrix: Array, below: float = np.inf) -> tuple[Array, Array]:
    """Eigenvalues, increasing, and axes of a symmetric matrix.

    Parameters
    ----------
    matrix : ndarray, shape (N, N)
        A symmetric matrix.
    below : float
        Only eigenvalues up to this one.

    Returns
    -------
    ndarray, shape (K,) and (N, K)
        Eigenvalues and orthonormal axes; NumPy's would wake all threads for small matrices.

    Raises
    ------
    ValueError
        For an entry that is not finite.
    """
    span = None if below == np.inf else (-np.inf, below)
    try:
        h, axes = scipy.linalg.eigh(matrix, subset_by_value=span, driver="evr")
    except np.linalg.LinAlgError:  # many eigenvalues that are equal but for rounding
        h, axes = scipy.linalg.eigh(matrix, driver="ev")
        h, axes = h[h <= below], axes[:, h <= below]
    return h, axes
