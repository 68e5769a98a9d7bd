r"""Mixtures that begin as a cluster: how far away its components part on the way to the target.

A cluster at distance `M` of the target moves there. To first order in its offsets, those along the
mean `m` grow while the others stay,

.. math:: x_i(t)_\parallel = x_i(0)_\parallel \, e^{M^2 (1 - e^{-4 t/n})}, \qquad
          m(t) = m(0) e^{-2 t/n},

so an offset `sigma` reaches order one on the way if `M > sqrt(log(1/sigma))`; then one component
arrives first and the others recede. With gradient EM it grows to `sigma exp(M^2/2)` only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.starts import seeded
from flows.runs.integrate import integrate
from flows.runs.trajectory import Trajectory
from flows.systems.mixture.system import MixtureSystem
from flows.systems.score_matching.system import ScoreMatching

__all__ = ["cluster_start", "linear_spread", "parted", "threshold"]

# Shorter than this all converge: the stationary point of Theorem 3.1 is longer for every n.
SHORT = 1.0
# Longer than this a component is beyond it for every n below a thousand.
FAR = 4.0
# A cluster reaches the target by 20 n: gradient EM, the slower one, takes exp(-t/n).
SHORTEST, LATEST = 20.0, 1e6
# This tolerance suffices to see where a run ends.
RTOL = 1e-8
# Thresholds are sought between these: longer ones belong to offsets below the rounding of a mean.
NEAREST, FARTHEST = 0.0, 10.0


def linear_spread(run: Trajectory) -> Array:
    """Longest offset from the mean over time by the linearised flow, from the run's start.

    Parameters
    ----------
    run : Trajectory
        A run of `score_matching` that begins as a cluster away from the target.

    Returns
    -------
    ndarray, shape (T,)
        To be compared with the feature ``spread`` while that is small next to `1/(1 + |m|)`.

    Notes
    -----
    Source: `symbolic/systems/score_matching/cluster.py`, derived here.
    """
    means = run.states.mu[0]
    weight = run.frame.weight[:, None]
    # The frame's own offsets: those of `means` have lost the digits that the distance takes.
    offset = run.states.offset[0] - np.sum(weight * run.states.offset[0], axis=0)
    mean = np.sum(weight * means, axis=0)
    square = float(mean @ mean)
    along = offset @ mean / np.sqrt(square)
    across = np.sum(offset**2, axis=1) - along**2
    slowed = 2 * run.t * float(run.frame.rate[0])
    growth = np.exp(-square * np.expm1(-slowed))
    return np.sqrt(np.max(across + (along * growth[:, None]) ** 2, axis=1))


def cluster_start(n: int, d: int, distance: float, noise: float, seed: int = 0) -> Array:
    """Cluster of the paper's experiment: `mu_i = distance e_1 + noise N(0, I)`, shape (n, d)."""
    means = noise * seeded(noise, seed).normal(size=(n, d))
    means[:, 0] += distance
    return means


def parted(run: Trajectory) -> bool | None:
    """Whether a run ends with one component at the target and another one far away.

    Parameters
    ----------
    run : Trajectory
        A run of a mixture.

    Returns
    -------
    bool or None
        False if all components end within 1 of the target, None if neither is so yet.
    """
    length = run.features["norm"][-1]
    if length.max() <= SHORT:
        return False
    return True if length.min() <= SHORT and length.max() >= FAR else None


def threshold(
    n: int,
    d: int,
    noise: float,
    *,
    seed: int = 0,
    system: type[MixtureSystem] = ScoreMatching,
    width: float = 0.05,
    rtol: float = RTOL,
    guess: float | None = None,
) -> tuple[float, float]:
    """Find the distance from which a cluster of components parts on its way, by bisection.

    Components that begin near each other, at this distance from the target, reach it together if
    the distance is small (score matching or gradient EM); from the threshold on, one arrives first
    and the others recede.

    Parameters
    ----------
    n, d : int
        Components and dimensions; at least two components.
    noise : float
        Standard deviation of the offsets, positive.
    seed : int
        Seed of the offsets, the same at every distance.
    system : type
        ``ScoreMatching`` or ``GMMEM``. Under gradient EM no component recedes: those that have
        parted wait far away, for a time like `exp(R^2/8)`.
    width : float
        Width of the bracket, positive.
    rtol : float
        Tolerance of the runs; in a cluster it is relative to the offsets.
    guess : float, optional
        Where to look first, such as the threshold of a law; a wrong one costs runs, no more.

    Returns
    -------
    low, high : float
        From `low` all components reach the target together, from `high` they part.

    Raises
    ------
    InputError
        For sizes, a noise, a width or a guess that cannot be used, if runs do not part at a
        distance of 10, or if one cannot be followed to its decision.

    Notes
    -----
    To first order in the offsets the threshold of score matching is ``sqrt(log(1 / noise))``.
    Source: ``symbolic/systems/score_matching/cluster.py``, derived here.

    Examples
    --------
    >>> import flows
    >>> low, high = flows.threshold(2, 1, 1e-3, width=1.0)
    >>> low < high <= low + 1.0
    True
    """
    if not (np.isfinite(noise) and noise > 0 and np.isfinite(width) and width > 0):
        raise InputError(f"noise and width must be positive, got {noise!r} and {width!r}")
    if guess is not None and not NEAREST < guess < FARTHEST:
        raise InputError(f"guess must be between {NEAREST:g} and {FARTHEST:g}, got {guess!r}")
    flow = system(n, d)  # type: ignore[call-arg]

    def parts(distance: float) -> bool:
        return _parts(flow, cluster_start(n, d, distance, noise, seed), rtol)

    low, high = (NEAREST, FARTHEST) if guess is None else _about(guess, width, parts)
    if high == FARTHEST and not parts(high):
        raise InputError(f"offsets of {noise:g} do not part at distance {high:g}")
    while high - low > width:
        middle = (low + high) / 2
        low, high = (low, middle) if parts(middle) else (middle, high)
    return low, high


def _about(guess: float, width: float, parts: Callable[[float], bool]) -> tuple[float, float]:
    """Bracket of the threshold that begins about a guess and doubles until it holds it."""
    low, high = max(NEAREST, guess - width / 2), min(FARTHEST, guess + width / 2)
    if low == NEAREST or not parts(low):
        while high < FARTHEST and not parts(high):
            low, high = high, min(FARTHEST, high + 2 * (high - low))
    else:
        low, high = max(NEAREST, low - 2 * (high - low)), low
        while low > NEAREST and parts(low):
            low, high = max(NEAREST, low - 2 * (high - low)), low
    return low, high


def _parts(flow: MixtureSystem, means: Array, rtol: float) -> bool:
    """Whether a start's run ends parted, followed as long as it takes to tell."""
    end = SHORTEST * flow.n
    while end <= LATEST * flow.n:
        run = integrate(flow, means, end, [end], rtol=rtol)
        if not run.completed:
            raise InputError(f"a run from {means.tolist()} stopped: {run.message}")
        found = parted(run)
        if found is not None:
            return found
        end *= 10
    raise InputError(f"a run from {means.tolist()} is undecided at t = {end:g}")
