"""What is seen at exact states of a loss, and where a run of them goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import Code
from flows.core.balls import precision
from flows.core.limit import NO_POWER, NO_SHRINKING, NOT_FOUND, Limit, find_limit
from flows.core.symmetric import eigen
from flows.core.system import Excess
from flows.systems.own.carried_errors import Errors
from flows.systems.own.energy_units import FLAT
from flows.systems.own.exact import (
    SERVES,
    balls,
    from_doubles,
    is_steep,
    to_double,
    to_doubles,
    value_of,
    width,
)
from flows.systems.own.graded import Axes, better_axes
from flows.systems.own.nodes import Nodes
from flows.systems.own.reading import errors_of, observe_exact, rough_at
from flows.systems.own.serving import Serving
from flows.systems.own.sound_state import (
    DISTANCE_FACTOR,
    ROUNDED,
    TRUSTED,
    SoundState,
    distance,
    feature_names,
)

__all__ = ["ExactView", "above_limits", "resolved_states"]

# Bits of a difference of two losses.
BITS_OF_EXCESS = 1400
# Where doubles tell it to this part of it, it is that of losses that a run has seen.
FINE = 1e-12


@dataclass(frozen=True)
class ExactView:
    """A loss with its potentials, as a run of exact states evaluates them.

    Parameters
    ----------
    loss, exact : Loss, Balls
        The loss in doubles, of which the Hessian is taken, and in balls.
    potentials : tuple of pairs
        Names and expressions in the entries.
    rule : Nodes, optional
        Those of its expectation.
    finer : Balls, optional
        The loss by another rule, which shows the error of that one.
    graded : callable, optional
        Axes of the Hessian beyond those of doubles.
    rtol : float
        Relative tolerance of the steps of a run; 0 without one.
    serving : Serving, optional
        Where the rule of the expectation serves.
    """

    loss: Any
    exact: Any
    potentials: tuple[tuple[str, Any], ...] = ()
    rule: Nodes | None = None
    finer: Any = None
    graded: Axes | None = None
    rtol: float = 0.0
    serving: Serving | None = None

    @classmethod
    def by(cls, loss: Any, nodes: Nodes | None, potentials: Any, rtol: float) -> ExactView:
        """View by a fixed rule of its expectation, or of a loss in closed form."""
        if nodes is None:
            return cls(loss, balls(loss), potentials, rtol=rtol)
        both = balls(loss, nodes), balls(loss, nodes.finer)
        return cls(
            *(loss, both[0], potentials, nodes, both[1]), rtol=rtol, serving=Serving(loss, nodes)
        )

    def serves(self, x: Array) -> ExactView | None:
        """Return the view, by another rule where that one does not serve; None without one."""
        if self.serving is None or self.serving.left(x) <= SERVES:
            return self
        nodes = self.serving.anew(x)
        return ExactView.by(self.loss, nodes, self.potentials, self.rtol) if nodes else None

    def states(self, places: list[list[Any]], energy: Array, errors: Errors | None) -> SoundState:
        """Exact states with their `energy`, shape (T, 2), and what is seen there."""
        size, shown = len(self.loss.y), [to_doubles(place) for place in places]
        x = np.array([digits[:, 0] for digits in shown]).reshape(-1, size)
        low = width(size, [digits[:, 1:] for digits in shown])
        return self.anew(SoundState(x, x, None, None, low, energy), errors, places)

    def anew(
        self, states: SoundState, errors: Errors | None, places: list[list[Any]] | None = None
    ) -> SoundState:
        """States with what is seen there, by errors of their own where no others are given."""
        if self.serving is not None and len(states) > 1:
            each = [
                self.anew(states.at([k]), errors, None if places is None else [places[k]])
                for k in range(len(states))
            ]
            return SoundState.join(each)
        view = self.serves(states.x[0]) if len(states) else self
        if view is None:
            return replace(states, seen=np.full((len(states), len(self._names)), np.nan))
        seen, error, late, doubt = observe_exact(
            view.loss,
            view.exact,
            dict(view.potentials),
            places or [from_doubles(digits) for digits in states.digits],
            states.energy,
            (states.error, states.late) if errors is None else errors,
            view.rule,
            view.finer,
            view.graded,
            view.rtol,
            view.serving,
        )
        return replace(states, seen=seen, error=error, late=late, doubt=doubt)

    @property
    def _names(self) -> tuple[str, ...]:
        return feature_names(tuple(name for name, _ in self.potentials), self.loss.averaged)

    def beside(self, states: SoundState, others: Sequence[SoundState]) -> SoundState:
        r"""States, seen anew, whose errors are their distances to others at the first times.

        Along an axis on which the loss curves upward the distance to the floor of its valley,
        `|\Delta g_i|/h_i`, is taken where it is less: the valley may bend from one to the other.
        """
        error = states.error.copy()
        for k in range(max(map(len, others), default=0)):
            place, since = from_doubles(states.digits[k]), float(states.energy[k, 0])
            matrix = self.loss.hessian(states.x[k], self.rule)
            if not np.isfinite(matrix).all():  # nothing is known there
                continue
            found = better_axes(self.graded, place, matrix, since)
            h, axes = eigen(matrix) if found is None else found
            slope, curved = self._slope(place), np.maximum(h, 1 / since)
            for other in (one.at(k) for one in others if k < len(one)):
                off = np.abs(distance(states.at(k), other) @ axes)
                turned = (slope - self._slope(from_doubles(other.digits))) @ axes
                climbed = DISTANCE_FACTOR * np.abs(turned) / curved
                across = np.where(h * since > FLAT, np.fmin(off, climbed), off)
                error[k] = np.maximum(error[k], across)
        return self.anew(replace(states, error=error), None)

    def _slope(self, place: list[Any]) -> Array:
        """Gradient at an exact place; NaN where no number of bits tells it."""
        found = value_of(lambda: self.exact.both(place), is_steep)
        return np.array([np.nan] * len(place) if found is None else [float(x) for x in found[1:]])

    def limit(self, states: SoundState, t: Array) -> Limit | str:
        """Limit point of a run from its last state, or why it is not known; see `find_limit`."""
        since = float(states.energy[-1, 0])
        place = from_doubles(states.digits[-1])
        found = find_limit(self.exact, place, max(since, float(t[-1])))
        if isinstance(found, str) or self.serving is None:
            return found
        where = np.array([float(x) for x in found.where])
        unknown = self.serving.left(where) > SERVES
        return f"{NOT_FOUND}: no rule of the expectation serves there" if unknown else found

    def excess(self, states: SoundState, t: Array, rate: Array, rtol: float, least: Any) -> Excess:
        """Loss above that of the limit of a run, both with many digits.

        Parameters
        ----------
        states : SoundState
            Of the run.
        t, rate : ndarray, shape (T,)
            The times, and how fast the loss falls there.
        rtol : float
            Relative tolerance of a step, to which time is known.
        least : arb
            Loss at the limit of the run.
        """
        value, rounding = self._above(states, least)
        error = states.doubt + rounding
        resolved = (rounding <= FINE * value) & np.isfinite(error)
        value = np.where(error <= TRUSTED * value, value, np.nan)
        for k in np.flatnonzero(~resolved):
            place, view = from_doubles(states.digits[k]), self.serves(states.x[k])
            if view is None:
                value[k], error[k] = np.nan, np.inf
                continue
            with precision(BITS_OF_EXCESS):
                both = view.exact.both(place)
                above = both[0] - least
            error[k] = float(above.rad()) + self._doubt(states.at(k), place, both[1:])
            value[k] = to_double(above) if error[k] <= TRUSTED * float(above) else np.nan
        with np.errstate(invalid="ignore"):
            error = error + rtol * t * np.nan_to_num(np.abs(rate))
        return Excess(value, float(least), _rests(value), error)

    def _above(self, states: SoundState, least: Any) -> tuple[Array, Array]:
        """Differences of losses that have been seen to that of the limit, with their rounding."""
        seen = dict(zip(self._names, np.moveaxis(states.seen, -1, 0), strict=True))
        part = ROUNDED + seen.get("expectation_error", 0.0)
        value, size = seen["loss"] - float(least), np.abs(seen["loss"])
        return value, part * (size + abs(float(least))) + float(least.rad())

    def _doubt(self, state: SoundState, place: list[Any], slope: list[Any]) -> float:
        """Error of the loss of a state, looked at now where a file does not tell it."""
        if not np.isnan(state.doubt):
            return float(state.doubt)
        known = state.energy, (state.error, float(state.late))
        given = self.loss, self.exact, place, slope, *known, self.rule, self.graded
        return errors_of(*given, rough_at(self.rtol)).of_loss


def above_limits(
    found: Any, ends: Any, codes: tuple[Code, Code], rtol: float
) -> list[Excess | None]:
    """Loss above its limit of many runs, as :meth:`ExactView.excess` has it; None of the others.

    Parameters
    ----------
    found : flows.ensembles.axis_runs.Found
        The runs.
    ends : flows.systems.own.closed_tails.Tails
        Limits that are known.
    codes : tuple of Code
        Of the loss with its gradient, and of the gradient's rates.
    rtol : float
        Relative tolerance of a step, to which time is known.
    """
    from flows.systems.own import limits_of_members  # Numba, where it is needed

    since, numbers = found.since, found.numbers
    known = (numbers[..., 5] == 1).all(axis=1).astype(np.int64)
    limits = np.zeros((len(known), 1 + since.shape[1], 2))
    last = since[:, -1].copy(), found.curvature, found.axes
    limits_of_members.limits(found.digits, *last, known, codes, ends, limits)
    refused = {limits_of_members.NO_POWER: NO_POWER, limits_of_members.NO_SHRINKING: NO_SHRINKING}
    above, t = limits[:, 1:, 0], since - since[:, :1]
    error = limits[:, 1:, 1] + numbers[..., 4]
    value = np.where(error <= TRUSTED * above, above, np.nan)
    length = np.nan_to_num(numbers[..., 2])
    error = error + rtol * (t * length) * length  # squares are beyond doubles
    runs: list[Excess | None] = []
    for k in range(len(known)):
        if known[k] == limits_of_members.KNOWN:
            runs.append(Excess(value[k], limits[k, 0, 0], _rests(value[k]), error[k]))
        elif known[k] in refused:
            why = f"{NOT_FOUND}: {refused[known[k]]}"
            runs.append(Excess(np.full(since.shape[1], np.nan), math.nan, why))
        else:
            runs.append(None)
    return runs


def _rests(value: Array) -> str:
    """What is said where a loss above its limit is not known, or nothing."""
    lost = int(np.isnan(value).sum())
    message = f"not known at {lost} of {len(value)} times: the states no longer tell it from zero"
    return message if lost else ""


def resolved_states(
    digits: Array,
    error: Array,
    since: Array,
    numbers: Array,
    anew: Callable[[SoundState], SoundState],
    *,
    every: bool = False,
) -> SoundState:
    """States that compiled steps have reached, seen anew where two doubles do not tell enough.

    Parameters
    ----------
    digits, error, since, numbers : ndarray
        As of :class:`flows.ensembles.axis_runs.Found`, of one member.
    anew : callable
        States with what is seen there in balls.
    every : bool
        Whether all of them are to be seen so.
    """
    energies = np.stack([since, np.zeros_like(since)], axis=-1)
    states = SoundState(
        *(digits[..., 0], numbers[:, :4], error),
        low=digits[..., 1:],
        energy=energies,
        doubt=numbers[:, 4],
    )
    unknown = np.flatnonzero((numbers[:, 5] == 0) | every)
    if not len(unknown):
        return states
    found = anew(states.at(unknown))
    known = np.delete(np.arange(len(states)), unknown)
    order = np.argsort(np.concatenate([known, unknown]))
    return SoundState.join([states.at(known), found]).at(order) if len(known) else found
