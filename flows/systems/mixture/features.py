"""Numbers from which potentials and claims about a mixture are evaluated, with their rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.expectation import Expected, expect
from flows.systems.mixture.means import Means
from flows.systems.mixture.pieces import Frame, SoundState, accuracy, components, gradient, longest
from flows.systems.mixture.sums import moments

Row = dict[str, float | Array]

# Rounding of a velocity, a length, or an average, in units of the magnitudes that add up in it.
ROUNDING = 16 * float(np.finfo(float).eps)


class Sample(NamedTuple):
    """What is known at one time.

    Parameters
    ----------
    frame : Frame
        Frame of the run.
    means : Means
        Components.
    found : Expected
        Both losses and the pulls.
    velocity : ndarray, shape (k, r)
        Of the distinct components.
    doubt : ndarray, shape (k,)
        Lengths by which it is wrong.
    """

    frame: Frame
    means: Means
    found: Expected
    velocity: Array
    doubt: Array

    @property
    def share(self) -> Array:
        """How many of the user's components each one stands for, shape (k, 1)."""
        return self.frame.multiplicity[:, None]

    @property
    def square(self) -> tuple[float, float]:
        """Squared speed of all components together, and its error."""
        speed = np.linalg.norm(self.velocity, axis=1)
        doubts = self.share[:, 0] * self.doubt * (2 * speed + self.doubt)
        return float(np.sum(self.share * self.velocity**2)), float(np.sum(doubts))

    def losses(self) -> tuple[float, float]:
        """Errors of ``kl`` and ``fisher``, from quadrature and rounding."""
        relative = self.found.error + ROUNDING
        kl, fisher = (relative * size for size in self.found.sizes)
        return kl, fisher

    def turn(self, calculus: Calculus) -> Array:
        """Rate of the pulls, shape (k, r)."""
        curve = moments(calculus, self.means, self.found.rule, curve=True).curve
        linear = self.means.linear_curve @ self.velocity
        return np.asarray(linear + np.einsum("iajb,jb->ia", curve, self.velocity))


def features(
    calculus: Calculus, frame: Frame, states: SoundState, more: Callable[[Sample], Row]
) -> dict[str, Array]:
    """Features at several times.

    Parameters
    ----------
    calculus : Calculus
        The loss's derived integrands.
    frame : Frame
        Frame of the run.
    states : SoundState
        States at ``T`` times.
    more : callable
        What a system adds.

    Returns
    -------
    dict
        ``X_error`` is the absolute error of ``X`` from rounding and quadrature at the state: means
        are sums of offsets and a centre, velocities of a linear part and the pulls, which can
        cancel. ``norm`` of shape (T, n), and of shape (T,): the length of the longest deviation
        ``spread`` and of the mean ``mean_norm``, what was spent (``nodes``) and the measured
        relative error of KL divergence, ``E|v|^2`` and gradient (``quadrature_error``). ``X_dot``
        is the derivative of ``X`` by time, from the state.
    """
    rows = [_row(calculus, frame, states.at(t), more) for t in range(len(states))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def evaluated(
    calculus: Calculus, frame: Frame, states: SoundState, of: Callable[[Sample], Row]
) -> dict[str, Array]:
    """Other numbers of samples at several times, by name."""
    rows = [of(_sample(calculus, frame, states.at(t))) for t in range(len(states))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _sample(calculus: Calculus, frame: Frame, state: SoundState) -> Sample:
    means = components(frame, state)
    found = expect(calculus, means, accuracy(means))
    velocity = -gradient(frame, means, found.pull)
    parts = np.linalg.norm(means.linear, axis=1) + np.linalg.norm(found.pull, axis=1)
    doubt = frame.rate * (ROUNDING * parts + found.error * found.size)
    return Sample(frame, means, found, velocity, doubt)


def _row(calculus: Calculus, frame: Frame, state: SoundState, more: Callable[[Sample], Row]) -> Row:
    sample = _sample(calculus, frame, state)
    _, means, found, velocity, doubt = sample
    reach = np.linalg.norm(state.offset, axis=1) + np.linalg.norm(state.centre)
    length = np.linalg.norm(means.mu, axis=1)
    safe = np.where(length > 0, length, 1.0)[:, None]
    length_dot = np.where(
        length > 0, np.sum(means.mu / safe * velocity, axis=1), np.linalg.norm(velocity, axis=1)
    )
    # A velocity's part along a mean that is known by its rounding only can be any.
    aside = np.minimum(2.0, 2 * ROUNDING * reach / safe[:, 0]) * np.linalg.norm(velocity, axis=1)
    return {
        **more(sample),
        "spread": longest(means.deviation),
        "mean_norm": float(np.linalg.norm(means.mean)),
        "norm": length[frame.member],
        "norm_dot": length_dot[frame.member],
        "norm_error": ROUNDING * reach[frame.member],
        "norm_dot_error": (doubt + aside)[frame.member],
        "nodes": float(len(found.rule)),
        "quadrature_error": found.error,
    }


def root_error(square: float, error: float) -> float:
    """Error of a root of a number that is known to an error."""
    return float(np.sqrt(square + error) - np.sqrt(max(square - error, 0.0)))
