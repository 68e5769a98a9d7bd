"""Minimisers of a factorisation: layers whose product is the target, or a chain that fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp
from flint import arb
from numpy.typing import NDArray

from flows.core.arrival import arrival
from flows.core.limit import balls_of
from flows.core.minimiser import Approach, Minimiser, fraction
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.systems.late_time import layers

__all__ = ["FAILS", "approach", "balanced", "minimiser"]

# Entries beyond which the loss is not differentiated exactly.
ENTRIES = 40
#: A late loss above this part of the target's square is that of a chain that fails.
FAILS = 1e-6
# A phase up to this is rounding; it grows while the product falls.
PHASE = 1e-9
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
    point, turns = _exact(at, target, regularization)
    return Minimiser(at, point, symmetries=turns)


def approach(
    where: NDArray[Any], target: NDArray[Any], regularization: float, fails: bool, t: float
) -> Approach:
    """Limit of layers: they themselves, up to rounding, unless the chain fails.

    Raises
    ------
    NoLaw
        Where the limit of a chain that fails is not found; of complex layers it is looked for where
        phases of the inner spaces make them real.
    """
    if not fails:
        return Approach(where, np.zeros(where.size * (1 + np.iscomplexobj(where))))
    field = where.dtype
    real = _real(where, target)
    if real is None:
        raise NoLaw(
            "the limit of complex layers that fall like a power of time is looked for where phases"
            " make them real: diagonal ones, the product of each mode a real multiple of the target"
        )
    where, target, phases = real
    if where.size > ENTRIES:
        raise NoLaw(
            f"the limit of a chain that fails is looked for up to {ENTRIES} entries, here"
            f" {where.size}"
        )
    point, turns = _exact(where, target, regularization)
    entries = [arb(x) for x in where.ravel().tolist()]
    return arrival(
        balls_of(point.plain, point.y),
        point,
        entries,
        t,
        lambda y: (y.reshape(where.shape) * phases).astype(field),
        turns,
    )


def _exact(
    at: NDArray[Any], target: NDArray[Any], regularization: float
) -> tuple[Point, tuple[sp.ImmutableMatrix, ...]]:
    """Real layers as a point of the loss, and the linear symmetries of that."""
    d = at.shape[-1]
    matrices = [sp.Matrix(d, d, [fraction(x) for x in w.ravel()]) for w in at]
    sigma = sp.Matrix(d, d, [fraction(x) for x in target.ravel()])
    return layers(matrices, sigma, fraction(regularization))


def _real(
    where: NDArray[Any], target: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """Real layers, real target, and the phases between; None where there are none.

    Real layers stay real. The loss does not change under phases of the inner spaces, and of the
    outer ones together with the target.
    """
    if not where.imag.any() and not target.imag.any():
        return where.real, target.real, np.ones(where.shape)
    d = where.shape[-1]
    across = ~np.eye(d, dtype=bool)
    if where[:, across].any() or target[across].any():
        return None
    modes, goal = where.diagonal(axis1=1, axis2=2), target.diagonal()
    turned = modes.prod(axis=0) * goal.conj()
    if (np.abs(turned.imag) > PHASE * np.abs(turned)).any():
        return None
    sizes = np.abs(modes)
    sizes[0] *= np.where(turned.real < 0, -1, 1)
    phases = np.ones(where.shape, dtype=complex)
    phases[:, ~across] = np.divide(modes, sizes, out=np.ones_like(modes), where=sizes != 0)
    layers = np.zeros(where.shape)
    layers[:, ~across] = sizes
    return layers, np.diag(np.abs(goal)), phases


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
