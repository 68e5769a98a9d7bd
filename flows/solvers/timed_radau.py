r"""Radau IIA where the field grows like `e^\tau`: coefficients, and modes by a step's length.

With `F` the field at the start of the step; at a stage it is `e^{c_k h}` times as large,

.. math:: Z = h (A D \otimes I) F(y + Z), \qquad D = \operatorname{diag}(e^{c_1 h}, \ldots),
   \qquad \left(\frac{(A D)^{-1}}{h} \otimes I - I \otimes J\right) \Delta Z
   = F(y + Z) - \frac{(A D)^{-1}}{h} Z

With the eigenvalues of `(AD)^{-1}` instead of those of `A^{-1}` the stages have their own Jacobians
`e^{c_k h} J`, and Newton's method converges as if the field did not grow. They depend on `h` alone
and are tabulated: between two entries the method converges a little slower, to the same stages.
One real system is solved a step, and a complex one for each pair of stages.

Source: Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.8.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.solvers.radau_tableau import tableau as collocation

__all__ = ["LONGEST", "STAGES", "Tableau", "tableau"]

#: Number of stages, where the order is twice it less one.
STAGES = 5
# Digits of their nodes.
DIGITS = 30
# Lengths of steps that are tabulated, a second: beyond the longest one a pair of eigenvalues meets.
SPACING, LONGEST = 1.0 / 32.0, 2.0
# Imaginary parts of real eigenvalues are below this.
REAL = 1e-6


class Tableau(NamedTuple):
    r"""Coefficients; the first axis of some is that of M lengths of steps, 0 the first one.

    ``nodes`` (S,); ``inverse`` (S, S): `A^-1`; ``error`` (S,): weights of the stages in the
    formula, of the order of their number, that is compared, `\hat b_0 = 1/\text{real}`; ``dense``
    (S, S): coefficients of the polynomial through start and stages, from degree 1 on; ``spacing``:
    of the lengths; ``real`` (M,), ``pairs`` (M, P): the real eigenvalue of `(AD)^-1`, and one of
    each pair; ``back``, ``forth`` (M, S, S): into its modes and out of them, whose columns are the
    real eigenvector and the parts of the others.
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
def tableau() -> Any:
    """Coefficients, from the nodes."""
    found = collocation(STAGES, DIGITS)
    nodes = np.array([float((1 + x) / 2) for x in found.nodes])
    integral = np.array([[float(x) for x in row] for row in found.integral])
    inverse, degrees = np.linalg.inv(integral), np.arange(STAGES)
    lengths = SPACING * np.arange(round(LONGEST / SPACING) + 1)
    modes = [_modes(np.exp(-nodes * h)[:, None] * inverse) for h in lengths]
    real, pairs, back, forth = (np.array(parts) for parts in zip(*modes, strict=True))
    # Of the order of the stages: it integrates these powers with the field at the start weighted.
    powers = nodes[:, None] ** degrees
    wanted = 1 / (degrees + 1) - (degrees == 0) / real[0]
    error = real[0] * inverse.T @ (np.linalg.solve(powers.T, wanted) - integral[-1])
    dense = np.linalg.inv(nodes[:, None] * powers)
    return Tableau(nodes, inverse, error, dense, SPACING, real, pairs, back, forth)


def _modes(matrix: Array) -> tuple[Any, ...]:
    """One real eigenvalue and one of each pair, the way into their modes and out of them."""
    values, vectors = np.linalg.eig(matrix)
    alone = int(np.argmin(abs(values.imag)))
    up = np.flatnonzero(values.imag > REAL)
    parts = [part for k in up for part in (vectors[:, k].real, vectors[:, k].imag)]
    forth = np.column_stack([vectors[:, alone].real, *parts])
    return values[alone].real, values[up].conj(), np.linalg.inv(forth), forth
