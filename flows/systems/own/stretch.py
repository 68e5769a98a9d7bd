r"""By how much more than the gradient an error of a state may have grown along a run.

The linearised flow makes an error of the state larger by the exponential of the integral of
`-\lambda`, at most, with the least eigenvalue `\lambda` of the Hessian. The gradient obeys the
linearised flow, too, and an error along it stays a shift in time, however large both become. So

.. math:: G = \int \Big( -\lambda - (-\rho)^+ - \frac1s \Big)^+ ds, \qquad
   \rho = \frac{\nabla L^T H \nabla L}{|\nabla L|^2}, \qquad s = t + T_0

counts, which is large where a run goes along a ridge, or past a saddle, and decides there how it
goes on. Growth like a power of time, `\lambda = -c/s` with `c \le 1`, is not counted, nor is
rounding.

`G` never shrinks. A run whose steps leave `\epsilon` and that is `\delta` beside a ridge leaves it
when `\epsilon e^G` or `\delta e^G` is of order one. So `G` itself tells when: two runs that leave
at different times end with different `G`, wherever they arrive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import Code

__all__ = ["MOST", "Passage", "stretched"]

#: More is not counted: `e^{-300}` is beyond any tolerance.
MOST = 300.0
# An eigenvalue that is this part of the largest entry may be rounding.
ROUNDED = 1e-13
# The fewest steps of a chart that are looked at, and the rows that their Hessians may have in all.
FEWEST, ROWS = 8, 2000


def stretched(times: Array, moves: Array, hessians: Array) -> Array:
    """Integral `G` along states whose Hessians are known.

    Parameters
    ----------
    times : ndarray, shape (K,)
        Times `s`, increasing.
    moves : ndarray, shape (K - 1, N)
        How the state has moved from each of them to the next, which is along the gradient.
    hessians : ndarray, shape (K, N, N)
        Of the loss.

    Returns
    -------
    ndarray, shape (K,)
        `G` up to each of the times, 0 at the first one; no more than `MOST`.
    """
    found = np.zeros(len(times))
    known = np.isfinite(hessians).all(axis=(1, 2), keepdims=True)
    hessians = np.where(known, hessians, 0.0)  # beyond doubles they tell nothing
    # What is not counted: this much is added to all eigenvalues.
    shift = ROUNDED * np.abs(hessians).max(axis=(1, 2), initial=0.0) + 1 / times
    hessians = hessians + shift[:, None, None] * np.eye(hessians.shape[-1])
    try:
        np.linalg.cholesky(hessians)
        return found  # no curvature counts: the usual case
    except np.linalg.LinAlgError:  # one of them curves downward
        least = np.linalg.eigvalsh(hessians)[:, 0]
    length = np.linalg.norm(moves, axis=1, keepdims=True)
    along = np.divide(moves, length, out=np.zeros_like(moves), where=length > 0)
    for first, last in ((0, -1), (1, None)):  # the rule of trapezoids
        curved = np.einsum("ki,kij,kj->k", along, hessians[first:last], along) - shift[first:last]
        rate = np.maximum(np.minimum(curved, 0.0) - least[first:last], 0.0)
        found[1:] += rate * np.diff(times) / 2
    return np.minimum(np.cumsum(found), MOST)


@dataclass(frozen=True)
class Passage:
    """Steps of a chart, and how errors have grown on them.

    Parameters
    ----------
    since : float
        Time `s` at which the chart begins.
    centre, axes, unit : ndarray, shapes (N,), (N, N) and (N,)
        Where it begins, in doubles, its axes, columns, and the units of increments along them.
    hessians : callable
        Hessians at places, shape (K, N) to (K, N, N), in doubles.
    rates : Code, optional
        Program of the gradient's rates, by which most charts are seen to have no such curvature.
    """

    since: float
    centre: Array
    axes: Array
    unit: Array
    hessians: Callable[[Array], Array]
    rates: Code | None = None
    _steps: list[tuple[Array, Array]] = field(default_factory=list)
    _found: dict[float, tuple[Array, Array] | None] = field(default_factory=dict)

    def noted(self, taus: Array, states: Array) -> None:
        """Put down steps; later ones, of a solver that has failed, are forgotten."""
        if not len(taus):
            return
        while self._steps and self._steps[-1][0][-1] >= taus[0]:
            before, known = self._steps.pop()
            kept = int(np.searchsorted(before, taus[0]))
            if kept:
                self._steps.append((before[:kept], known[:kept]))
        self._steps.append((taus.copy(), states.copy()))

    def stretch(self, tau: Array | float) -> Array | float:
        """Integral from the start of the chart to solver times."""
        if not self._steps:
            return 0.0
        last = float(self._steps[-1][0][-1])
        if last not in self._found:
            self._found.clear()
            self._found[last] = self._whole()
        found = self._found[last]
        return 0.0 if found is None else np.asarray(np.interp(tau, *found))

    def _whole(self) -> tuple[Array, Array] | None:
        """Solver times and the integral up to these; None where it is zero."""
        taus, states = map(np.concatenate, zip(*self._steps, strict=True))
        spacing = math.ceil(len(taus) / max(FEWEST, ROWS // len(self.unit)))
        some = slice((len(taus) - 1) % spacing, None, spacing)
        taus = np.concatenate([[0.0], taus[some]])
        moved = np.zeros((len(taus), len(self.unit)))
        np.matmul(states[some] * self.unit, self.axes.T, out=moved[1:])
        times, places = self.since * np.exp(taus), self.centre + moved
        if self.rates is not None:
            from flows.systems.own.hessians import convex  # Numba, where it is needed

            if convex(times, places, ROUNDED, *self.rates):
                return None
        return taus, stretched(times, np.diff(moved, axis=0), self.hessians(places))
