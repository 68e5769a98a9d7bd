r"""Entries that a flow keeps equal, opposite or zero, from a start in which they are.

Such starts form a subspace. The flow stays in it where the gradient does, and rounding alone would
lead it away beside a saddle. The largest one that holds a start and is kept is found by refinement:
entries of one size are one class, and a class is divided where the gradient at random places of the
subspace tells its entries apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array

__all__ = ["kept_alike"]

# Random places, and the part of its largest entry below which entries of a gradient are equal.
PLACES, EQUAL = 3, 1e-10


def kept_alike(
    gradient: Callable[[Array], Array], start: Array
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Entry that each entry follows, and its sign relative to that one; zero where it stays zero.

    Parameters
    ----------
    gradient : callable
        Gradient at a place, in doubles.
    start : ndarray, shape (N,)
        Where the flow begins.

    Examples
    --------
    >>> like, sign = kept_alike(lambda y: np.array([y[1], y[0], y[2]]), np.array([1.0, -1.0, 2.0]))
    >>> like.tolist(), sign.tolist()
    ([0, 0, 2], [1.0, -1.0, 1.0])
    """
    sign = np.sign(start)
    _, classes = np.unique(np.abs(start), return_inverse=True)
    draw = np.random.default_rng(0)
    while classes.max() < len(start) - 1 or (sign == 0).any():
        before = classes.max()
        for _ in range(PLACES):
            found = gradient(sign * draw.uniform(0.5, 1.5, classes.max() + 1)[classes])
            if not np.isfinite(found).all():
                return np.arange(len(start)), np.ones(len(start))
            unit = EQUAL * max(float(np.abs(found).max()), 1e-300)
            led = np.where(sign == 0, np.abs(found), sign * found)
            # A zero entry stays one where nothing moves it; else nothing holds it to others.
            loose = (sign == 0) & (led > unit)
            if loose.any():
                sign = np.where(loose, 1.0, sign)
                classes = np.where(loose, classes.max() + 1 + np.arange(len(start)), classes)
            order = np.argsort(led, kind="stable")
            steps = np.concatenate([[0], np.cumsum(np.diff(led[order]) > unit)])
            ranks = np.empty(len(start), dtype=np.int64)
            ranks[order] = steps
            _, classes = np.unique(np.stack([classes, ranks]), axis=1, return_inverse=True)
            classes = classes.ravel()
        if classes.max() == before:
            break
    _, first = np.unique(classes, return_index=True)
    like = first[classes]
    return like, np.where(sign == 0, 0.0, sign * np.where(sign[like] == 0, 1.0, sign[like]))
