"""Numbers from which potentials and claims about a mixture are evaluated, with their rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.systems.mixture.expectation import Expected, expect
from flows.systems.mixture.kernels import Calculus
from flows.systems.mixture.means import Means
from flows.systems.mixture.pieces import Frame, SoundState, accuracy, components, gradient, longest
from flows.systems.mixture.sums import moments

Row = dict[str, float | Array]


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
    """

    frame: Frame
    means: Means
    found: Expected
    velocity: Array

    @property
    def share(self) -> Array:
        """How many of the user's components each one stands for, shape (k, 1)."""
        return self.frame.multiplicity[:, None]

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
        ``norm`` of shape (T, n), and of shape (T,): the length of the longest deviation ``spread``
        and of the mean ``mean_norm``, what was spent (``nodes``) and the measured relative error
        of KL divergence, ``E|v|^2`` and gradient (``quadrature_error``). ``X_dot`` is the
        derivative of ``X`` by time, from the state.
    """
    rows = [_row(calculus, frame, states.at(t), more) for t in range(len(states))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _row(calculus: Calculus, frame: Frame, state: SoundState, more: Callable[[Sample], Row]) -> Row:
    means = components(frame, state)
    found = expect(calculus, means, accuracy(means))
    velocity = -gradient(frame, means, found.pull)
    length = np.linalg.norm(means.mu, axis=1)
    safe = np.where(length > 0, length, 1.0)[:, None]
    length_dot = np.where(
        length > 0, np.sum(means.mu / safe * velocity, axis=1), np.linalg.norm(velocity, axis=1)
    )
    return {
        **more(Sample(frame, means, found, velocity)),
        "spread": longest(means.deviation),
        "mean_norm": float(np.linalg.norm(means.mean)),
        "norm": length[frame.member],
        "norm_dot": length_dot[frame.member],
        "nodes": float(len(found.rule)),
        "quadrature_error": found.error,
    }
