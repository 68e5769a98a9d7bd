"""What the names of theorems stand for along a run: states, rates, samples and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flows.core.arrays import Array
from symbolic.theorem.evaluate import Model

__all__ = ["Path", "Reading", "gaussian", "polar"]

#: Gauss-Hermite nodes in each direction, and Gauss-Legendre nodes on each arc between kinks.
HERMITE, LEGENDRE = 48, 8


@dataclass(frozen=True)
class Path:
    """States of a run, and its field: between the states it goes straight on.

    Parameters
    ----------
    system : System
        The system of the run.
    states : mapping of float to ndarray
        The states by time.
    """

    system: Any
    states: Mapping[float, Array]
    slopes: dict[float, Array] = field(default_factory=dict)

    @property
    def times(self) -> tuple[float, ...]:
        """Times at which states are known."""
        return tuple(self.states)

    def near(self, t: float) -> float:
        """The known time that is nearest."""
        return min(self.states, key=lambda s: abs(s - t))

    def slope(self, t: float) -> Array:
        """`-grad L` at the nearest known time."""
        s = self.near(t)
        if s not in self.slopes:
            self.slopes[s] = -np.asarray(self.system.gradient(self.states[s]))
        return self.slopes[s]

    def state(self, t: float) -> Array:
        """State at a time, by its slope from the nearest known one."""
        s = self.near(t)
        known = np.asarray(self.states[s])
        return known if t == s else known + (t - s) * self.slope(s)

    def loss(self, t: float) -> float:
        """Loss at a time."""
        return float(self.system.loss(self.state(t)))


@dataclass(frozen=True)
class Reading:
    """A model of the theorems of a system along a run.

    Parameters
    ----------
    model : Model
        What functions stand for.
    constants : callable
        ``constants(theorem name, T, t)`` are the constants and indices that the run does not
        determine by an equation.
    every : sequence of str
        Free indices over which a theorem is read.
    """

    model: Model
    constants: Callable[[str, float, float], Mapping[str, Any]]
    every: Sequence[str] = ("i",)


def polar(vectors: Sequence[Array]) -> tuple[Array, Array]:
    """Nodes and weights in the plane, exact for what is of degree two with kinks across vectors.

    Parameters
    ----------
    vectors : sequence of ndarray, shape (2,)
        A function of x is smooth where x is orthogonal to none of them.

    Returns
    -------
    nodes : ndarray, shape (k, 2)
    weights : ndarray, shape (k,)
        Of sum one: an expectation over a Gaussian x.
    """
    across = [np.arctan2(v[1], v[0]) + np.pi / 2 for v in vectors]
    kinks = np.unique(np.mod([a + k * np.pi for a in across for k in (0, 1)], 2 * np.pi))
    ends = np.append(kinks, kinks[0] + 2 * np.pi)
    x, w = np.polynomial.legendre.leggauss(LEGENDRE)
    half = np.diff(ends)[:, None] / 2
    angles = (ends[:-1, None] + half * (1 + x)).ravel()
    weights = (half * w).ravel() / (2 * np.pi)
    # E |x|^2 = 2 in the plane
    return np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1), weights


def gaussian(dimension: int) -> tuple[Array, Array] | None:
    """Gauss-Hermite nodes and weights of `N(0, I)` in one or two dimensions, else None."""
    if dimension > 2:
        return None
    x, w = np.polynomial.hermite_e.hermegauss(HERMITE)
    w = w / w.sum()
    if dimension == 1:
        return x[:, None], w
    grid = np.stack([g.ravel() for g in np.meshgrid(x, x)], axis=1)
    weights = np.outer(w, w).ravel()
    kept = weights > 1e-30
    return grid[kept], weights[kept]
