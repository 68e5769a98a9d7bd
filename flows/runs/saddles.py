"""When a run is near saddles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import is_real
from flows.core.errors import InputError, of_kind
from flows.runs.trajectory import Trajectory

__all__ = ["NearSaddle", "saddles"]

#: A gradient is small below this part of the largest one of the run.
SMALL = 0.1
#: A run that is repelled by less than a factor of e has not been near a saddle.
LEAST_FOLDS = 1.0


@dataclass(frozen=True)
class NearSaddle:
    """A time during which a run is near a saddle.

    Parameters
    ----------
    begin, end : float
        First and last time of the run at which it is near.
    time : float
        When the gradient is least.
    loss, gradient_norm : float
        Loss and length of the gradient then.
    index : int
        Eigenvalues of the Hessian that are clearly negative then.
    least : float
        The least eigenvalue then.
    folds : float
        By how many factors of e the flow is repelled: the integral of ``-least`` from `begin` to
        `end`.
    state : ndarray
        The user's parameters then; ``flows.stationary(run.system, state)`` finds the saddle.
    """

    begin: float
    end: float
    time: float
    loss: float
    gradient_norm: float
    index: int
    least: float
    folds: float
    state: NDArray[Any]


def saddles(run: Trajectory, *, small: float = SMALL) -> tuple[NearSaddle, ...]:
    r"""When a run is near saddles: its gradient is small, and its Hessian has negative eigenvalues.

    .. math:: |\nabla L| \le \mathtt{small} \cdot \max_t |\nabla L|, \qquad
              \lambda_1 < 0, \qquad \int -\lambda_1 \, dt \ge 1

    Parameters
    ----------
    run : Trajectory
        Of any system whose loss has a Hessian.
    small : float
        Which part of its largest gradient is small, above 0 and below 1.

    Returns
    -------
    tuple of NearSaddle
        One for each interval of consecutive times of the run, in their order.

    Raises
    ------
    InputError
        For something else than a run, a part out of range, and a run at none of whose times the
        loss has a Hessian.

    Notes
    -----
    An eigenvalue is negative where it is below minus 1e-9 of the largest one. Where the loss has no
    Hessian an interval ends. A flow that passes a saddle at the distance `x` is repelled by about
    `1/x`. An interval in which it is repelled by less than a factor of e is left out; so is a slow
    way along a valley that curves downward by less than `1/t`.

    Accuracy
    --------
    Intervals are read off at the times of the run; give `t_eval` for finer ones. That a saddle is
    nearby is a finding, no proof: `flows.stationary` looks for it, and `certify` proves some.

    Examples
    --------
    >>> import flows
    >>> system = flows.TwoLayer(2, 2, activation="quadratic")
    >>> run = flows.integrate(system, [[1e-3, 0.0], [1e-3, 1e-3]], t_end=100)
    >>> [(near.begin, near.index, round(near.least, 3)) for near in saddles(run)]
    [(0.0, 4, -8.0)]
    """
    of_kind("run", run, Trajectory, "give one of flows.integrate")
    if not (is_real(small) and 0 < small < 1):
        raise InputError(f"small: expected a number above 0 and below 1, got {small!r}")
    index, least = run.bends
    if np.isnan(index).all():
        raise InputError(
            f"saddles: the loss of {run.system.name} has no Hessian at any time of the run;"
            " give another run"
        )
    slope = run["gradient_norm"]
    near = (slope <= small * np.fmax.reduce(slope)) & (index > 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]])))
    found = []
    for first, end in edges.reshape(-1, 2).tolist():
        folds = float(np.trapezoid(-least[first:end], run.t[first:end]))
        if folds < LEAST_FOLDS:
            continue
        k = first + int(np.argmin(slope[first:end]))
        found.append(
            NearSaddle(
                float(run.t[first]),
                float(run.t[end - 1]),
                float(run.t[k]),
                float(run["loss"][k]),
                float(slope[k]),
                int(index[k]),
                float(least[k]),
                folds,
                run.state_at(k),
            )
        )
    return tuple(found)
