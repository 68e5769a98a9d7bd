"""Eigenvalues of symmetric matrices, also where LAPACK's fast method gives up."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from flows.core.arrays import Array

__all__ = ["RESOLVED", "ROUNDED", "eigen", "sharp"]

#: Eigenvalues below this part of the largest one count as zero: rounding and quadrature.
RESOLVED = 1e-9
#: Rounding of LAPACK's eigenvalues for each row, relative to the largest one.
ROUNDED = 1e-15
# Bits of eigenvalues that are found with many digits.
SHARP = 400


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


def sharp(matrix: Any) -> tuple[Array, Array]:
    """Eigenvalues and axes of a symmetric matrix, found with many digits.

    They are rounded in the end only, so that small ones beside large ones have the right sign.

    Parameters
    ----------
    matrix : flint.arb_mat, shape (N, N)
        Balls; their centres count.

    Returns
    -------
    h : ndarray, shape (N,)
        Eigenvalues, increasing.
    axes : ndarray, shape (N, N)
        Eigenvectors, columns.
    """
    from mpmath import mp

    size = matrix.nrows()
    with mp.workprec(SHARP):
        digits = [x.mid().man_exp() for x in matrix.entries()]
        entries = np.array([mp.ldexp(int(man), int(e)) for man, e in digits], dtype=object)
        values, axes = mp.eigsy(mp.matrix(entries.reshape(size, size).tolist()))
        return np.array(list(values), dtype=float), np.array(axes.tolist(), dtype=float)
