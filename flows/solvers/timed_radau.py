r"""Radau IIA where the field grows like `e^\tau`: matrices of Newton's method by the step's length.

With `F` the field at the start of the step; at a stage it is `e^{c_k h}` times as large,

.. math:: Z = h (A D \otimes I) F(y + Z), \qquad D = \operatorname{diag}(e^{c_1 h}, \ldots),
   \qquad \left(\frac{(A D)^{-1}}{h} \otimes I - I \otimes J\right) \Delta Z
   = F(y + Z) - \frac{(A D)^{-1}}{h} Z

With the eigenvalues of `(AD)^{-1}` instead of those of `A^{-1}` the stages have their own Jacobians
`e^{c_k h} J`, and Newton's method converges as if the field did not grow. They depend on `h` alone
and are tabulated: between two entries the method converges a little slower, to the same stages.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.solvers.axis_radau import STAGES, tableau

__all__ = ["LONGEST", "Timed", "timed_tableau"]

# Lengths of steps that are tabulated, a second: beyond the longest one a pair of eigenvalues meets.
SPACING, LONGEST = 1.0 / 32.0, 2.0
# Imaginary parts of real eigenvalues are below this.
REAL = 1e-6


class Timed(NamedTuple):
    """Coefficients; the first axis of some is that of M lengths of steps, 0 the first one.

    ``nodes`` (S,); ``inverse`` (S, S): `A^-1`; ``error`` (S,) and ``dense`` (S, S): as of
    :func:`flows.solvers.axis_radau.tableau`; ``spacing``: of the lengths; ``real`` (M,), ``pairs``
    (M, P): the real eigenvalue of `(AD)^-1`, and one of each pair; ``back``, ``forth`` (M, S, S):
    into its modes and out of them.
    """

    nodes: Array
    inverse: Array
    error: Array
    dense: Array
    spacing: float
    real: Array
    pairs: Array
    back: Array
    forth: Array


@functools.cache
def timed_tableau() -> Any:
    """Coefficients of all lengths."""
    usual = tableau()
    inverse = _inverse(usual)
    lengths = SPACING * np.arange(round(LONGEST / SPACING) + 1)
    modes = [_modes(np.exp(-usual.nodes * h)[:, None] * inverse) for h in lengths]
    real, pairs, back, forth = (np.array(parts) for parts in zip(*modes, strict=True))
    return Timed(usual.nodes, inverse, usual.error, usual.dense, SPACING, real, pairs, back, forth)


def _inverse(usual: Any) -> Array:
    """`A^-1` of its eigenvalues and modes."""
    values = np.zeros((STAGES, STAGES))
    values[0, 0] = usual.real
    for p, pair in enumerate(usual.pairs):
        x = 2 * p + 1
        values[x : x + 2, x : x + 2] = [[pair.real, -pair.imag], [pair.imag, pair.real]]
    return np.asarray(usual.forth @ values @ usual.back)


def _modes(matrix: Array) -> tuple[Any, ...]:
    """One real eigenvalue and one of each pair, the way into their modes and out of them."""
    values, vectors = np.linalg.eig(matrix)
    alone = int(np.argmin(abs(values.imag)))
    up = np.flatnonzero(values.imag > REAL)
    parts = [part for k in up for part in (vectors[:, k].real, vectors[:, k].imag)]
    forth = np.column_stack([vectors[:, alone].real, *parts])
    return values[alone].real, values[up].conj(), np.linalg.inv(forth), forth
