"""States of an own system, exact or in doubles, with their observables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from flows.core.arrays import Array
from flows.core.system import State

__all__ = [
    "DISTANCE_FACTOR",
    "PER_STEP",
    "ROUNDED",
    "STEEP",
    "TRUSTED",
    "Frame",
    "SoundState",
    "distance",
    "feature_names",
    "stated_errors",
    "unknown_at",
]

#: A value is given where its error is below this part of it, so that its first digit is known.
TRUSTED = 0.1
#: The tolerance of a run's quantities is that of a step times this.
PER_STEP = 100.0
# The error of a run is less than this many times its distance to a run with a larger tolerance,
# whose error is ten times as large unless both are small by chance.
DISTANCE_FACTOR = 3.0
#: Losses in balls are rounded to this part of them: a few last bits.
ROUNDED = 1e-15
# Bounds of losses are no smaller: it is the least double that has all digits.
LEAST = float(np.finfo(float).tiny)
# A gradient that is known changes by less in the time by which its state is early or late.
HARDLY = 1.25
# Where the length of the gradient is among what is seen.
SLOPE = 2
# Squares of larger gradients are beyond doubles.
STEEP = 1e150


@dataclass(frozen=True)
class Frame:
    """The coordinates are the user's.

    Parameters
    ----------
    unit : float
        `T0`, the time at which the flow begins to move; NaN where states are doubles.
    """

    unit: float = math.nan

    @property
    def nodes(self) -> Any:
        """Nodes of an expectation that the run has used last; they are no part of a file."""
        return vars(self).get("_nodes")

    def by(self, nodes: Any) -> Frame:
        """Return the same with nodes."""
        found = Frame(self.unit)
        object.__setattr__(found, "_nodes", nodes)
        return found


@dataclass(frozen=True)
class SoundState(State):
    """Entries of the blocks with their observables, so that a file can show them.

    Parameters
    ----------
    x : ndarray, shape (..., N)
        Entries.
    seen : ndarray, shape (..., K)
        Numbers in the order of :func:`feature_names`; NaN is not known.
    error : ndarray, shape (..., N), optional
        Absolute error that the steps of a solver leave; none of a state that was given. Of doubles:
        of the entries, before the flow damps it. Of exact states: along the axes of the Hessian
        there, by increasing eigenvalue (:class:`Errors`).
    time : ndarray, shape (..., N), optional
        When it arose: the flow contracts it the faster, in log-time, the later that is.
    low : ndarray, shape (..., N, K), optional
        What exact entries are beyond the doubles `x`: the sum over the last axis.
    late : ndarray, shape (...), optional
        How much earlier or later the run may be, since it was slow somewhere, as beside a saddle,
        and what its steps left there decided when it went on. It is no part of ``error`` there.
    energy : ndarray, shape (..., 2), optional
        Of exact states: `t + T0`, and in units of the energy that is left how far a state is off
        that stays where it was. NaN where states are doubles.
    doubt : ndarray, shape (...), optional
        Of exact states: error of the loss that ``error`` and ``late`` make. NaN where it has not
        been looked at.
    grown : ndarray, shape (...), optional
        Logarithm of the factor by which errors may have grown more than the gradient: see
        :mod:`flows.systems.own.stretch`.
    """

    x: Array
    seen: Array
    error: Any = None
    time: Any = None
    low: Any = None
    energy: Any = None
    late: Any = None
    doubt: Any = None
    grown: Any = None

    rank: ClassVar[dict[str, int]] = {
        **{"x": 1, "seen": 1, "error": 1, "time": 1, "low": 2, "energy": 1},
        **{"late": 0, "doubt": 0, "grown": 0},
    }

    def __post_init__(self) -> None:
        """A state that was given has no error."""
        every = self.x.shape[:-1]
        for name, shape, value in (
            ("error", self.x.shape, 0.0),
            ("time", self.x.shape, 0.0),
            ("low", (*self.x.shape, 1), 0.0),
            ("energy", (*every, 2), np.nan),
            ("late", every, 0.0),
            ("doubt", every, np.nan),
            ("grown", every, 0.0),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(shape, value))

    @property
    def exact(self) -> bool:
        """Whether entries have more digits than doubles."""
        return not np.isnan(self.energy).any()

    @property
    def off(self) -> Array:
        """How far states are off, shape (...): infinite where a gradient is not known of late ones.

        Where it is known it hardly changes in the time by which the state is early or late.
        """
        found: Array = np.linalg.norm(self.error, axis=-1)
        if not (self.exact and np.any(self.late)):
            return found
        moved = np.where(self.late > 0, HARDLY * self.late * self.seen[..., SLOPE], 0.0)
        return found + np.where(np.isnan(moved), np.inf, moved)

    @property
    def digits(self) -> Array:
        """Exact entries as sums of doubles, shape (..., N, 1 + K)."""
        return np.concatenate([self.x[..., None], self.low], axis=-1)

    def staying(self, off: float) -> SoundState:
        """Return the state as one that stays, off by this many units of the energy left."""
        energy = self.energy.copy()
        energy[..., 1] = off
        return replace(self, energy=energy)

    def beside(
        self, others: Sequence[SoundState], observed: Callable[..., SoundState]
    ) -> SoundState:
        """States in doubles, observed anew, whose errors are their distances to others."""
        off = np.zeros_like(self.x)
        for other in others:
            off[: len(other)] = np.maximum(off[: len(other)], np.abs(distance(self, other)))
        error = np.maximum(self.error, off)
        time = np.where(off > self.error, 0.0, self.time)  # the flow has damped it already
        return replace(observed(self.x, error, time, self.late), grown=self.grown)


def distance(states: SoundState, others: SoundState) -> Array:
    """Difference to other states at their times, times `DISTANCE_FACTOR`: (T, N) or (N,)."""
    own, far = ((s.at(slice(0, len(others))) if s.x.ndim > 1 else s) for s in (states, others))
    found: Array = own.x - far.x + (own.low.sum(axis=-1) - far.low.sum(axis=-1))
    return DISTANCE_FACTOR * found


def feature_names(potentials: Sequence[str], averaged: bool) -> tuple[str, ...]:
    """Names of the numbers that a state carries, from the names of its potentials.

    Parameters
    ----------
    potentials : sequence of str
        Names.
    averaged : bool
        Whether the loss takes quadrature, whose error is then one of them.
    """
    own = (each for name in potentials for each in (name, f"{name}_dot"))
    error = ("expectation_error",) if averaged else ()
    return ("loss", "loss_dot", "gradient_norm", "rounding", *own, *error)


def unknown_at(names: Sequence[str], seen: Array, t: Array) -> str:
    """From when on the loss, or its gradient, is not known, in one line; empty if they are."""
    lost = []
    for name, words in (("loss", "the loss"), ("gradient_norm", "its gradient")):
        unknown = np.isnan(seen[:, names.index(name)])
        if unknown.any():
            lost.append((words, f"(first at t = {t[int(np.argmax(unknown))]:.3g})"))
    if not lost:
        return ""
    (words, first), *rest = lost
    also = "".join(f", and so is {other} {when}" for other, when in rest)
    return (
        f"{words} is NaN where it is not known {first}{also}: errors of steps or of doubles are"
        " more than a tenth of it there"
    )


def stated_errors(
    features: Mapping[str, Array], t: Array, tolerance: Array, doubt: Any = np.nan
) -> dict[str, Array]:
    r"""Absolute errors beside the tolerance: the part `rounding` of everything, and of the time.

    That of a loss is no more than its ``doubt``, beside rounding: a gradient that vanishes, or a
    potential, may be known to a much larger part of it.

    How long a flow stays on a plateau, or beside a saddle, is known to the tolerance of a step, and
    what it does afterwards is so much earlier or later.

    A loss is NaN where it is less than ten times its error, the sum of ``doubt`` and of a part `a`
    of the loss, which is the error of an expectation. So such a loss is at most

    .. math:: |L| \le \text{doubt} \Big(1 + \frac{1 + a}{0.1 - a}\Big), \qquad a < 0.1.
    """
    late = tolerance / PER_STEP * t
    found = {k: features["rounding"] * np.abs(x) for k, x in features.items()}
    part = np.nan_to_num(features.get("expectation_error", np.zeros(len(t))), posinf=TRUSTED)
    if "loss" in found:
        own = doubt + (part + ROUNDED) * np.abs(features["loss"])
        found["loss"] = np.fmin(found["loss"], own)
    # A rate that is not known is that of a gradient next to zero, or beyond doubles.
    unknown = np.where((features["gradient_norm"] > STEEP) & (late > 0), np.inf, 0.0)
    for name in found:
        if f"{name}_dot" in features:
            rate = np.abs(features[f"{name}_dot"])
            found[name] = found[name] + np.where(np.isnan(rate), unknown, late * rate)
    if "loss" in found:
        spare = np.where(part < TRUSTED, TRUSTED - part, np.nan)
        bound = doubt * (1 + (1 + part) / spare)
        lost = np.isnan(features["loss"]) & np.isfinite(bound)
        found["loss"] = np.where(lost, np.maximum(bound, LEAST), found["loss"])
    return found
