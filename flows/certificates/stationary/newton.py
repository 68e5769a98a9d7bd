r"""Critical points near a state, by Newton's method with a damping that dies out.

A step solves ``(H^2 + m I) p = -H g`` with ``m`` proportional to ``(|g|/s)^2``, ``s`` the size of a
state (Levenberg, Marquardt): far away it descends ``|g|^2``, at an isolated point it converges
quadratically, and also where critical points form a surface, to one of its points (Fan and Yuan
2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError

#: Steps of the method, and changes of the damping in one step.
STEPS, TRIES = 200, 40
#: Damping at the first trial of a step, in units of ``(|g|/s)^2``, and its factor between trials.
DAMPING, FACTOR = 1e-2, 10.0
#: Rounding and quadrature leave so much of a gradient, in units of largest curvature times size.
ROUNDED = 2.0**-36
#: The largest curvature that counts, in units of that at the begin: a kink has any.
STEEPER = 2.0**10
#: A step as small as this part of the size ends the search.
STANDING = 2.0**-44


class Found(NamedTuple):
    """Where Newton's method ended.

    Parameters
    ----------
    state, gradient : ndarray, shape (N,)
        The last state, and the gradient there.
    hessian : ndarray, shape (N, N)
        Hessian there, symmetric.
    change : float
        Norm of the change of the Hessian in the last step: what the distance that is left can do.
    reason : str
        Why this is no critical point; empty if it is one to rounding.
    """

    state: Array
    gradient: Array
    hessian: Array
    change: float
    reason: str


def newton(
    gradient: Callable[[Array], Array], hessian: Callable[[Array], Array], near: Array, reach: float
) -> Found:
    """Critical point near a state.

    Parameters
    ----------
    gradient, hessian : callable
        Of the state as a vector of real numbers. An `InputError` says that they do not exist at a
        state; at the first one it is passed on.
    near : ndarray, shape (N,)
        Where the search begins.
    reach : float
        The method has left when it is further away than this.
    """
    x, g, h, change = near, gradient(near), _symmetric(hessian(near)), 0.0
    length, steepest, first = math.inf, 0.0, 0.0
    for _ in range(STEPS):
        size = length_of(g)
        scale = max(float(np.linalg.norm(x)), float(np.linalg.norm(near))) or 1.0
        values, axes = np.linalg.eigh(h)
        now = float(np.abs(values).max(initial=0.0))
        first = first or now
        steepest = min(max(steepest, now), STEEPER * first)
        floor = ROUNDED * steepest * scale
        if size == 0 or (size <= floor and length <= STANDING * scale):
            return Found(x, g, h, change, "")
        # In units of the largest curvature: of a plateau squares would underflow.
        unit = now or 1.0
        values, along = values / unit, axes.T @ (g / unit)
        damping = DAMPING * (size / (scale * unit)) ** 2
        for _ in range(TRIES):
            moved = x - axes @ (values * along / (values * values + damping))
            after = _quietly(gradient, moved)
            if after is not None and length_of(after) < size:
                break
            damping *= FACTOR
        else:
            why = f"|grad L| = {size:.3g} is least there, and is not zero"
            return Found(x, g, h, change, "" if size <= floor else why)
        curved = _quietly(hessian, moved)
        if curved is None:
            return Found(x, g, h, change, "Newton's method comes to where there is no Hessian")
        length, curved = float(np.linalg.norm(moved - x)), _symmetric(curved)
        change = float(np.linalg.norm(curved - h, 2))
        x, g, h = moved, after, curved
        if float(np.linalg.norm(x - near)) > reach:
            why = f"Newton's method left: it went further than {reach:.3g}"
            return Found(x, g, h, change, why)
    size = length_of(g)
    why = f"Newton's method did not converge in {STEPS} steps: |grad L| = {size:.3g}"
    return Found(x, g, h, change, why)


def length_of(vector: Array) -> float:
    """Length of a vector, also where its square is below the least double: 0 means zero."""
    largest = float(np.abs(vector).max(initial=0.0))
    return largest * float(np.linalg.norm(vector / largest)) if largest else 0.0


def _symmetric(h: Array) -> Array:
    return (h + h.T) / 2


def _quietly(function: Callable[[Array], Array], x: Array) -> Array | None:
    """Value of a function, None where it does not exist or is not finite."""
    try:
        with np.errstate(all="ignore"):
            value = function(x)
    except (InputError, ArithmeticError):
        return None
    return value if np.isfinite(value).all() else None
