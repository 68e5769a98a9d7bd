"""Dimension of the family of critical points through one of them, measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flows.certificates.stationary.newton import newton
from flows.core.arrays import Array

__all__ = ["dimension", "surroundings"]

#: How far Newton's method begins from the point, in units of the size of its state, or of one.
STEP = 1e-3
#: Directions beyond those that a family may have: they show that its dimension is not their number.
SPARE = 2
#: Flat directions that are tried; of more the dimension is not measured.
MOST = 64
#: A singular value of the ends counts as zero below this part of a step. A family of curvature one
#: leaves its tangent by STEP of a step, and Newton's method goes back along a flat direction that
#: is no family until about the root of the rounding is left.
TOLD = 0.05
#: Seed of the directions: the same point has the same answer.
SEED = 0


def dimension(
    gradient: Callable[[Array], Array],
    hessian: Callable[[Array], Array],
    point: Array,
    resolution: float,
) -> int | None:
    """Dimension of the critical points around one of them.

    Newton's method begins beside the point, in random directions in which the Hessian vanishes.
    Where the point lies in a smooth family it ends in the family, and these ends span its tangent.

    Parameters
    ----------
    gradient, hessian : callable
        Of the state as a vector of real numbers.
    point : ndarray, shape (N,)
        A critical point.
    resolution : float
        An eigenvalue of at most this size cannot be distinguished from zero.

    Returns
    -------
    int or None
        The dimension, 0 for an isolated point; None where it is not known, because Newton's method
        fails, or because Hessians at its ends have another rank, as where families cross.

    Accuracy
    --------
    A measurement in doubles, no proof.
    """
    values, axes = np.linalg.eigh(hessian(point))
    flat = axes[:, np.abs(values) <= resolution]
    count = flat.shape[1]
    if count == 0:
        return 0
    if count > MOST:
        return None
    size = max(float(np.linalg.norm(point)), 1.0)
    step = STEP * size
    draws = np.random.default_rng(SEED).standard_normal((count + SPARE, count))
    ends = []
    for draw in draws / np.linalg.norm(draws, axis=1, keepdims=True):
        found = newton(gradient, hessian, point + step * (flat @ draw), 8 * step)
        if found.reason:
            return None
        curved = np.abs(np.linalg.eigvalsh(found.hessian)) > 4 * resolution
        if int(curved.sum()) != len(point) - count:
            return None
        ends.append(found.state - point)
    told = np.linalg.svd(np.array(ends) / step, compute_uv=False)
    return int((told > TOLD).sum())


def surroundings(family: int | None, flat: int) -> str:
    """Say whether a critical point is alone, and how far its Hessian tells.

    Parameters
    ----------
    family : int or None
        Dimension of the critical points around it.
    flat : int
        Directions in which its Hessian vanishes.
    """
    if family is None:
        return f"with a Hessian that vanishes in {flat} direction{'s' * (flat != 1)}"
    where = f"in a family of dimension {family}" if family else "alone nearby"
    if not (more := flat - family):
        return where
    further = " further" * bool(family)
    return f"{where}, flat to second order in {more}{further} direction{'s' * (more != 1)}"
