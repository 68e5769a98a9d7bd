"""Numbers from which potentials and claims about a mixture are evaluated, with their rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from flows.core.arrays import Array, lengths, moving_length
from flows.systems.mixture.calculus import Calculus
from flows.systems.mixture.derivatives import EXACT, accuracy, gradient
from flows.systems.mixture.expectation import Expected, curve_rule, expect, expect_several
from flows.systems.mixture.forms import components, components_by_form
from flows.systems.mixture.means import FAR, UNSEEN, Means
from flows.systems.mixture.sound import Frame, SoundState

#: Numbers of one time by name, and those of several times.
Row = dict[str, float]
Columns = dict[str, Array]

# Rounding of a velocity, a length, or an average, in units of the magnitudes that add up in it.
ROUNDING = 16 * float(np.finfo(float).eps)
# Numbers below this have squares that lose digits at the end of the doubles.
SHORT = 1e-140
# ... and what is squared or averaged there is rounded by no more than so much.
LEAST = 1e-322


class Sample(NamedTuple):
    """What is known at one time, or at several: arrays along a leading axis.

    Parameters
    ----------
    frame : Frame
        Frame of the run.
    means : Means
        Components.
    found : Expected
        Both losses and the pulls.
    velocity : ndarray, shape (..., k, r)
        Of the distinct components.
    doubt : ndarray, shape (..., k)
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
    def square(self) -> tuple[Any, Any]:
        """Squared speed of all components together, and its error."""
        speed = lengths(self.velocity)
        doubts = self.share[:, 0] * self.doubt * (2 * speed + self.doubt)
        square = (self.share * self.velocity**2).sum(axis=-1).sum(axis=-1)
        return square, doubts.sum(axis=-1) + self.least

    @property
    def least(self) -> Any:
        """By how much squares are wrong at the end of the doubles, but those of zeros."""
        return LEAST * (self.means.mu != 0).any(axis=(-2, -1))

    @property
    def speed(self) -> tuple[Array, Array]:
        """Speed of all components together, and its error, at several times."""
        share, (square, error) = np.sqrt(self.share[:, 0]), self.square
        speed, doubt = lengths(share * lengths(self.velocity)), lengths(share * self.doubt)
        plain = square > SHORT**2
        return np.where(plain, np.sqrt(square), speed), np.where(
            plain, root_error(square, error), doubt
        )

    def losses(self) -> tuple[Any, Any]:
        """Errors of ``kl`` and ``fisher``, from quadrature and rounding."""
        relative = self.found.error + ROUNDING
        kl, fisher = (relative * size + self.least for size in self.found.sizes)
        return kl, fisher

    def turn(self, calculus: Calculus) -> Array:
        """Rate of the pulls at one time, shape (k, r)."""
        from flows.systems.mixture.sums import curve  # Numba loads where it is first needed

        rule = curve_rule(self.means, max(float(self.found.error), EXACT)) or self.found.rule
        turned = np.einsum("iajb,jb->ia", curve(calculus, self.means, rule), self.velocity)
        return np.asarray(self.means.linear_curve @ self.velocity + turned)


def features(
    calculus: Calculus,
    frame: Frame,
    states: SoundState,
    more: Callable[[Sample], Columns],
    tolerance: float,
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
    tolerance : float
        Relative error of expectations that is small enough; none is asked to be below `accuracy`.

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
    table: dict[str, Array] = {}
    for some, means in components_by_form(frame, states):
        wanted = np.maximum(accuracy(means), tolerance)
        for one in np.unique(wanted).tolist():
            here = wanted == one
            at = some[here]
            sample = _sample(frame, means.at(here), expect_several(calculus, means.at(here), one))
            for name, column in {**more(sample), **_columns(sample, states.at(at))}.items():
                if name not in table:
                    table[name] = np.empty((len(states), *np.shape(column)[1:]))
                table[name][at] = column
    return table


def evaluated(
    calculus: Calculus, frame: Frame, states: SoundState, of: Callable[[Sample], Row]
) -> dict[str, Array]:
    """Other numbers of samples at single times, by name."""

    def row(state: SoundState) -> Row:
        means = components(frame, state)
        return of(_sample(frame, means, expect(calculus, means, float(accuracy(means)))))

    rows = [row(states.at(t)) for t in range(len(states))]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _sample(frame: Frame, means: Means, found: Expected) -> Sample:
    velocity = -gradient(frame, means, found.pull)
    parts = lengths(means.linear) + lengths(found.pull)
    quadrature = np.asarray(found.error * found.size)[..., None]
    return Sample(frame, means, found, velocity, frame.rate * (ROUNDING * parts + quadrature))


def _columns(sample: Sample, states: SoundState) -> Columns:
    frame, means, found, velocity, doubt = sample
    reach = lengths(states.offset) + lengths(states.centre)[:, None]
    length, length_dot = moving_length(means.mu, velocity)
    # A velocity's part along a mean that is known by its rounding only can be any.
    turned = 2 * ROUNDING * reach / np.where(length > 0, length, 1.0)
    aside = np.minimum(2.0, turned) * lengths(velocity)
    return {
        "spread": lengths(means.deviation).max(axis=-1),
        "mean_norm": lengths(means.mean),
        "norm": length[:, frame.member],
        "norm_dot": length_dot[:, frame.member],
        "norm_error": (ROUNDING * reach + _unseen(means))[:, frame.member],
        "norm_dot_error": (doubt + aside)[:, frame.member],
        "nodes": found.nodes,
        "quadrature_error": found.error,
    }


def _unseen(means: Means) -> Array:
    """Lengths that means may have lost where they were reduced, see `UNSEEN`."""
    none = (means.deviation == 0).any(axis=-1)
    some = means.form != FAR and len(means.weight) > 1
    return np.where(none & some, UNSEEN * means.mu.shape[-1], 0.0)


def root_error(square: Array, error: Array) -> Array:
    """Errors of roots of numbers that are known to an error."""
    return np.asarray(np.sqrt(square + error) - np.sqrt(np.maximum(square - error, 0.0)))
