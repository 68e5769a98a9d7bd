"""Minimisers of a factorisation: layers whose product is the target, or a chain that fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.minimiser import Minimiser, fraction
from symbolic.systems.late_time import layers

__all__ = ["balanced", "minimiser"]

# Entries beyond which the loss is not differentiated exactly.
ENTRIES = 40
# Fractions with larger denominators are numbers in doubles, not meant ones.
DENOMINATOR = 1000


def minimiser(
    at: NDArray[Any], target: NDArray[Any], regularization: float, is_complex: bool
) -> Minimiser:
    """Minimiser of these layers: exact where they are real and few simple fractions."""
    depth, d = at.shape[0], at.shape[-1]
    numbers = [*at.ravel().tolist(), *target.ravel().tolist(), regularization]
    simple = not is_complex and all(fraction(x).q <= DENOMINATOR for x in numbers)
    # Gauge transformations of the inner spaces: all of them, or rotations with a balancing term.
    inner = d * d if not regularization else d * (d - 1) // 2
    if is_complex:
        inner = 2 * d * d if not regularization else d * d
    if not simple or at.size > ENTRIES:
        return Minimiser(at, None, tangents=(depth - 1) * inner)
    matrices = [sp.Matrix(d, d, [fraction(x) for x in w.ravel()]) for w in at]
    sigma = sp.Matrix(d, d, [fraction(x) for x in target.ravel()])
    point, turns = layers(matrices, sigma, fraction(regularization))
    return Minimiser(at, point, symmetries=turns)


def balanced(target: NDArray[Any], depth: int) -> NDArray[Any]:
    """Balanced layers whose product is the target, of roots of its singular values."""
    left, values, right = np.linalg.svd(target)
    root = np.diag(values ** (1 / depth)).astype(target.dtype)
    found = np.stack([root] * depth)
    if (target == np.diag(np.abs(np.diagonal(target)))).all():
        return np.stack([np.diag(np.diagonal(target) ** (1 / depth)).astype(target.dtype)] * depth)
    found[0] = root @ right
    found[-1] = left @ found[-1]
    return found
