r"""The equations of a critical direction, square and regular although its orbit is a continuum.

.. math:: \nabla \ell - \lambda G z + \sum_a \mu_a G X_a z + \sum_c \nu_c Q_c z = 0, \qquad
          z'Gz = 1, \qquad z_j = 0 \; (j \in \text{pins}), \qquad z'Q_c z = 0

The `X_a` rotate an orbit of critical directions, and as many entries are pinned to zero. The `Q_c`
are conserved, and the cone on which they vanish is invariant. A solution has ``mu = 0``: the form
does not change along the orbit, so that the first equation times ``X_b z`` says ``Gram mu = 0``;
likewise ``nu = 0``. So every solution is a critical direction.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.derivatives import DOUBLES, derivatives
from symbolic.asymptotics.numbers import Kind
from symbolic.asymptotics.sphere import Form, Vector

__all__ = ["Bordered", "border"]

# An entry is pinned if Newton's method gets there and the value of the form stays the same.
SAME = 1e-9
PASSES, TURNS = 30, 12
# Singular values of orbits' tangents above this are not zero.
INDEPENDENT = 1e-6


@dataclass(frozen=True)
class Bordered:
    """The equations for one direction.

    Parameters
    ----------
    form : Expr
        The form, without other symbols than `z`.
    z : tuple of Symbol
        The variables.
    metric : Matrix
        `G`.
    rotations : tuple of Matrix
        The `X_a`.
    pins : tuple of int
        Entries that are zero.
    cone : tuple of Matrix
        The `Q_c`.
    """

    form: sp.Expr
    z: tuple[sp.Symbol, ...]
    metric: sp.ImmutableMatrix
    rotations: tuple[sp.ImmutableMatrix, ...] = ()
    pins: tuple[int, ...] = ()
    cone: tuple[sp.ImmutableMatrix, ...] = ()

    def equations(self, kind: Kind, u: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Residual and Jacobian at ``u = (z, lambda, mu, nu)``, in one kind of numbers."""
        n, zero, one = len(self.z), kind.number(sp.S.Zero), kind.number(sp.S.One)
        z, multipliers = list(u[:n]), list(u[n:])
        form = derivatives(self.form, self.z, kind)
        slope, curved = form.first(z)[1], form.second(z)
        matrices = [[(i, j, kind.number(e)) for i, j, e in matrix] for matrix in self._matrices]
        images = [[zero] * n for _ in matrices]
        for image, matrix in zip(images, matrices, strict=True):
            for i, j, e in matrix:
                image[i] = image[i] + z[j] * e
        first = [
            slope[i] + sum(multipliers[k] * images[k][i] for k in range(len(images)))
            for i in range(n)
        ]
        jacobian = [[curved[j][i] for j in range(n)] for i in range(n)]
        for multiplier, matrix in zip(multipliers, matrices, strict=True):
            for i, j, e in matrix:
                jacobian[i][j] = jacobian[i][j] + multiplier * e
        for i in range(n):
            jacobian[i] += [image[i] for image in images]
        residual = [*first, (-_dot(images[0], z) - one) / 2]
        empty = [zero] * len(images)
        jacobian.append([-e for e in images[0]] + empty)
        for j in self.pins:
            residual.append(z[j])
            jacobian.append([one * int(i == j) for i in range(n)] + empty)
        for k in range(len(images) - len(self.cone), len(images)):
            residual.append(_dot(images[k], z) / 2)
            jacobian.append(list(images[k]) + empty)
        return residual, jacobian

    @functools.cached_property
    def _matrices(self) -> list[list[tuple[int, int, sp.Rational]]]:
        """Matrices of the multipliers: places and values of their entries."""
        whole = [-self.metric, *(self.metric * x for x in self.rotations), *self.cone]
        return [[(i, j, e) for (i, j), e in sorted(m.todok().items())] for m in whole]

    def solved(self, u: Vector) -> Vector | None:
        """Newton's method in doubles from `u`; None where it does not converge."""
        for _ in range(PASSES):
            try:
                residual, jacobian = self.equations(DOUBLES, u.tolist())
            except ArithmeticError:
                return None
            f, j = np.array(residual, dtype=float), np.array(jacobian, dtype=float)
            if not (np.isfinite(f).all() and np.isfinite(j).all()):
                return None
            step = np.linalg.lstsq(j, f, rcond=1e-10)[0]
            u = u - step
            if np.linalg.norm(step) < 1e-14 * np.linalg.norm(u):
                return u
        return u if np.linalg.norm(f) < 1e-11 else None


def border(
    form: sp.Expr,
    z: tuple[sp.Symbol, ...],
    metric: sp.ImmutableMatrix,
    numerical: Form,
    direction: Vector,
    rotations: Sequence[sp.ImmutableMatrix],
    cone: Sequence[sp.ImmutableMatrix],
) -> tuple[Bordered, Vector]:
    """Choose rotations and pins for a direction, and turn it so that the pins are zero.

    As many entries as possible are brought to zero, so that what is left is often a number that
    can be recognised.
    """
    generators = [np.array(x, dtype=float) for x in rotations]
    orbit, n = len(_independent(generators, direction)), len(z)
    # From the last entry on: of vectors that turn together, one is left with one entry, the next
    # with two, and so on.
    pins: list[int] = []
    turned = direction
    for j in reversed(range(n)):
        if len(pins) == orbit:
            break
        trial = _pinned(generators, turned, [*pins, j])
        if trial is not None and _fixed(generators, trial, [*pins, j]):
            turned = trial
            pins.append(j)
    picked = tuple(rotations[k] for k in _independent(generators, turned))
    found = Bordered(form, z, metric, picked, tuple(pins), tuple(cone))
    value = numerical.value(direction)[0]
    multipliers = np.zeros(1 + len(picked) + len(cone))
    multipliers[0] = float(numerical.degree) * value
    u = np.concatenate([turned, multipliers])
    solved = found.solved(u)
    if solved is not None and abs(numerical.value(solved[:n])[0] - value) <= SAME * abs(value):
        u = solved
    return found, u


def _independent(matrices: Sequence[Vector], z: Vector) -> list[int]:
    """Rotations whose tangents at `z` are a basis of all of them."""
    from scipy.linalg import qr

    if not matrices:
        return []
    tangents = np.stack([x @ z for x in matrices], axis=1)
    _, r, order = qr(tangents, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    return sorted(int(k) for k in order[: int((size > INDEPENDENT).sum())])


def _fixed(rotations: Sequence[Vector], z: Vector, pins: Sequence[int]) -> bool:
    """Whether each pin takes one freedom away from the orbit."""
    tangents = np.stack([x @ z for x in rotations], axis=1)[list(pins)]
    return bool(np.linalg.svd(tangents, compute_uv=False).min() > INDEPENDENT)


def _pinned(generators: Sequence[Vector], z: Vector, pins: Sequence[int]) -> Vector | None:
    """Turn `z` by its rotations until the pinned entries are zero."""
    from scipy.linalg import expm

    for _ in range(TURNS):
        if np.abs(z[list(pins)]).max() < 1e-13:
            return z
        tangents = np.stack([x @ z for x in generators], axis=1)[list(pins)]
        angles = np.linalg.lstsq(tangents, -z[list(pins)], rcond=1e-8)[0]
        angles *= min(1.0, 1.0 / (np.abs(angles).max() + 1e-300))
        # Cayley's rotation of a sum of generators leaves their group; the exponential does not.
        z = expm(sum(a * x for a, x in zip(angles, generators, strict=True))) @ z
    return z if np.abs(z[list(pins)]).max() < 1e-9 else None


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Any:
    return sum(x * y for x, y in zip(a, b, strict=True))
