"""Field and Hessian of a flow along axes, compiled, in two doubles."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import math

import numpy as np

from flows.arithmetic.kept import inner, lean
from flows.core.enclosed_program import evaluate
from flows.core.rates_along import summed, twofold_rates

__all__ = ["finite", "hessian_along", "slope_at"]


@lean
def finite(x):
    """Whether all entries are finite. Loops compile faster than array expressions."""
    known = True
    for i in range(len(x)):
        known = known and math.isfinite(x[i])
    return known


@lean
def slope_at(s, u, field, registers, found, out):
    """Field at a time `s` and a state, with the energy that is left; NaN where it is not known."""
    evaluate(
        u,
        field.size,
        field.centre,
        field.axes,
        field.gradient.operation,
        field.gradient.operands,
        field.gradient.results,
        registers,
        found,
    )
    energy = 0.0
    for i in range(len(u)):
        known = found[i, 2] <= field.allowed[i]
        out[i] = -s * found[i, 0] / field.size[i] if known else np.nan
        energy += found[i, 0] * (found[i, 0] / field.floored[i]) / 2
    return energy


@inner
def hessian_along(place, axes, program, which, found):
    """Rows and columns of some axes of the Hessian along axes, from two doubles.

    The first columns of `place` are two doubles.
    """
    n, many = len(axes), len(which)
    pairs, along = np.empty((n, 2)), np.empty((n, many, 2))
    for i in range(n):
        pairs[i, 0], pairs[i, 1] = place[i, 0], place[i, 1]
        for k in range(many):
            along[i, k, 0], along[i, k, 1] = axes[i, which[k], 0], axes[i, which[k], 1]
    r = twofold_rates(pairs, along, program.operation, program.operands, program.constants)
    total = np.empty((2, r.shape[2]))
    for i in range(n):
        summed(axes, i, r, program.results, total)
        for k in range(many):
            found[i, which[k]] = found[which[k], i] = total[0, k]
