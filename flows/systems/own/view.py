"""In which arithmetic the states of a run are kept, and what is seen at them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.core.arrival import arrival
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.core.limit import Limit, find_limit
from flows.core.minimiser import Approach, Escapes
from flows.core.runaway import runaway
from flows.core.system import Excess
from flows.systems.own.exact import (
    Nodes,
    balls,
    fixed_rule,
    from_doubles,
    to_double,
    to_doubles,
    width,
    work,
)
from flows.systems.own.features import TRUSTED, Errors, SoundState, observe
from flows.systems.own.given import MAX_ENTRIES, Pairs, closed, loss_of
from flows.systems.own.loss import Loss, numeric
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.reading import errors_of, observe_exact
from symbolic.asymptotics.given import exact as fractions
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.language.blocks import Block
from symbolic.language.lower import NoBall

__all__ = ["View"]

# Above, states are doubles unless balls are asked for.
MOST_EXACT = 150
# The same for expectations: steps of one evaluation by a fixed rule. A run takes thousands, and
# a million steps take a third of a second.
MOST_WORK = 6000
# Bits of a difference of two losses.
BITS_OF_EXCESS = 1400


@dataclass(frozen=True)
class View:
    """A loss with its potentials, as a run evaluates them.

    Parameters
    ----------
    blocks : tuple of Symbol or MatrixSymbol
        What moves.
    expression : Expr
        The loss.
    potentials : tuple of pairs
        Names and expressions.
    arithmetic : {"auto", "balls", "doubles"}
        How states are kept, see :class:`flows.OwnSystem`.
    tolerance : float
        Relative error asked of expectations in doubles.
    """

    blocks: tuple[Block, ...]
    expression: Any
    potentials: Pairs
    arithmetic: str
    tolerance: float

    @property
    def loss(self) -> Any:
        """The loss, compiled."""
        return loss_of(self.blocks, self.expression)

    @property
    def known(self) -> dict[str, Any]:
        """Potentials in the entries by name."""
        return {name: closed(self.blocks, p) for name, p in self.potentials}

    def nodes(self, start: Array) -> Nodes | str | None:
        """Rule with which exact states are evaluated, None without one, or why they are not."""
        if self.arithmetic == "doubles":
            return "arithmetic in doubles"
        told = _no_balls(self.blocks, self.expression, self.potentials)
        if not told and self.arithmetic == "auto" and len(start) > MOST_EXACT:
            told = f"more than {MOST_EXACT} entries"
        nodes = None
        if not told and self.loss.averaged:
            nodes = fixed_rule(self.loss, start)
            told = "" if nodes is not None else "no fixed rule for the expectation"
        if told and self.arithmetic == "balls":
            raise InputError(f"arithmetic: expected a loss that balls evaluate, got {told}")
        return told or nodes

    def chosen(self, start: Array) -> Nodes | str | None:
        """As :meth:`nodes`, and also not where balls are slow, unless they are asked for."""
        nodes = self.nodes(start)
        slow = isinstance(nodes, Nodes) and work(self.loss, nodes) > MOST_WORK
        return "a slow rule" if slow and self.arithmetic == "auto" else nodes

    def in_doubles(
        self,
        y: Array,
        error: Array | None = None,
        time: Array | None = None,
        late: Array | None = None,
    ) -> SoundState:
        """States that are doubles, with the errors of their entries, and what is seen there."""
        seen = observe(self.loss, self.known, y, self.tolerance, error, time, late)
        return SoundState(y, seen, error, time, late=late)

    def exactly(
        self,
        places: list[list[Any]],
        energy: Array,
        errors: Errors | None,
        nodes: Nodes | None,
    ) -> SoundState:
        """Exact states with their `energy`, shape (T, 2), and what is seen there."""
        size, shown = len(self.loss.y), [to_doubles(place) for place in places]
        x = np.array([digits[:, 0] for digits in shown]).reshape(-1, size)
        low = width(size, [digits[:, 1:] for digits in shown])
        states = SoundState(x, x, None, None, low, energy)
        return self._anew(states, places, errors, nodes)

    def recorded(self, states: SoundState) -> SoundState:
        """States of a file, seen anew: potentials may be others than when they were run."""
        if not states.exact:
            return self.in_doubles(states.x, states.error, states.time, states.late)
        places = [from_doubles(digits) for digits in states.digits]
        nodes = self.nodes(states.x[-1])
        return states if isinstance(nodes, str) else self._anew(states, places, None, nodes)

    def _anew(
        self,
        states: SoundState,
        places: list[list[Any]],
        errors: Errors | None,
        nodes: Nodes | None,
    ) -> SoundState:
        seen, error = observe_exact(
            self.loss,
            balls(self.loss, nodes),
            self.known,
            places,
            states.energy,
            states.error if errors is None else errors,
            None if nodes is None else nodes.rule,
            None if nodes is None else balls(self.loss, nodes.finer),
        )
        return replace(states, seen=seen, error=error)

    def limit(self, states: SoundState, t: Array) -> Limit | str:
        """Limit point of a run from its last state, or why it is not known; see `find_limit`."""
        if not states.exact:
            return (
                "limit not found: the states of the run are doubles; where the loss allows for it,"
                " arithmetic='balls' keeps more digits"
            )
        digits = from_doubles(states.digits[-1])
        nodes = self.nodes(states.x[-1])
        if isinstance(nodes, str):
            return f"limit not found: {nodes}"
        since = float(states.energy[-1, 0])
        return find_limit(balls(self.loss, nodes), digits, max(since, float(t[-1])))

    def excess(self, states: SoundState, t: Array, rate: Array, rtol: float) -> Excess:
        """Loss above that of the limit point of a run, both with many digits.

        Parameters
        ----------
        states : SoundState
            Of the run.
        t, rate : ndarray, shape (T,)
            The times, and how fast the loss falls there.
        rtol : float
            Relative tolerance of a step, to which time is known.
        """
        unknown = np.full(len(t), np.nan)
        found = self.limit(states, t)
        if isinstance(found, str):
            return Excess(unknown, math.nan, found)
        nodes = self.nodes(states.x[-1])
        exact = balls(self.loss, None if isinstance(nodes, str) else nodes)
        rule = nodes.rule if isinstance(nodes, Nodes) else None
        value, error = unknown.copy(), np.zeros(len(t))
        for k, digits in enumerate(states.digits):
            place = from_doubles(digits)
            with precision(BITS_OF_EXCESS):
                both = exact.both(place)
                above = both[0] - found.loss
            off = errors_of(
                self.loss, exact, place, both[1:], states.energy[k], states.error[k], rule
            )
            error[k] = float(above.rad()) + off.of_loss
            if error[k] <= TRUSTED * float(above):
                value[k] = to_double(above)
        with np.errstate(invalid="ignore"):
            error = error + rtol * t * np.nan_to_num(np.abs(rate))
        lost = np.isnan(value).sum()
        rests = f"not known at {lost} of {len(t)} times: the states no longer tell it from zero"
        return Excess(value, float(found.loss), rests if lost else "", error)

    def approach(self, state: SoundState, t: float) -> Approach:
        """Limit of the flow from a state on, of which doubles are taken as they are."""
        told = _no_balls(self.blocks, self.expression, self.potentials)
        if not told and len(state.x) > MOST_EXACT:
            told = f"more than {MOST_EXACT} entries"
        nodes = fixed_rule(self.loss, state.x) if not told and self.loss.averaged else None
        if not told and self.loss.averaged and nodes is None:
            told = "no fixed rule for the expectation"
        if told:
            raise NoLaw(f"the limit of the run is not looked for: {told}")
        form = self.loss.form
        point = Point(self.loss.y, fractions(form.plain), fractions(form.integrand), form.x, ())
        loss = balls(self.loss, nodes)
        place = from_doubles(state.digits if state.exact else state.x[:, None])
        since = max(float(state.energy[0]), t) if state.exact else t
        try:
            return arrival(loss, point, place, since, lambda entries: entries)
        except NoLaw:
            with precision(BITS_OF_EXCESS):
                slope = np.array([float(x) for x in loss.both(place)[1:]])
            if (gone := runaway(point, state.x.tolist(), slope, since)) is None:
                raise
            raise Escapes(gone) from None

    def with_digits(self, x: list[Any]) -> SoundState:
        """State of numbers of mpmath."""
        signs = [number._mpf_[:3] for number in x]
        place = [arb((int((-1) ** sign * man), exp)) for sign, man, exp in signs]
        return self.exactly([place], np.array([[1.0, 0.0]]), None, None).at(0)


@functools.lru_cache(maxsize=64)
def _no_balls(blocks: tuple[Block, ...], expression: Any, potentials: Pairs) -> str:
    """Why balls do not evaluate a loss and its potentials, or nothing."""
    loss: Loss | MatrixLoss = loss_of(blocks, expression)
    if isinstance(loss, MatrixLoss):
        return f"more than {MAX_ENTRIES} entries"
    if loss.averaged and len(loss.form.x) > 1:
        return "an expectation in more than one dimension"
    try:
        balls(loss, Nodes(1.0, 1.0) if loss.averaged else None)
        for _, potential in potentials:
            numeric(closed(blocks, potential), loss.y, (), "ball")
    except NoBall as problem:
        return str(problem)
    return ""
