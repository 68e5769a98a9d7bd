"""In which arithmetic the states of a run are kept, and what is seen at them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.core.arrival import NEAREST, arrival
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.core.limit import Limit
from flows.core.minimiser import Approach, Escape, Escapes, Minimiser
from flows.core.runaway import runaway
from flows.core.system import Excess
from flows.systems.field.blocks import MAX_ENTRIES, Pairs
from flows.systems.own.carried_errors import Errors
from flows.systems.own.exact import balls, from_doubles, work
from flows.systems.own.exact_view import BITS_OF_EXCESS, ExactView
from flows.systems.own.given import closed, loss_of
from flows.systems.own.law_nodes import critical_near, over_nodes
from flows.systems.own.loss import Loss
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.nodes import Nodes, has_changes
from flows.systems.own.numeric import at_nodes, numeric
from flows.systems.own.observed_doubles import observe
from flows.systems.own.serving import is_square, nodes_for, on_line
from flows.systems.own.sound_state import SoundState
from symbolic.asymptotics.given import exact as fractions
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.language.blocks import Block
from symbolic.language.lower import NoBall, lower

__all__ = ["View"]

# Above, states are doubles unless balls are asked for.
MOST_EXACT = 150
# The same for expectations: steps of one evaluation by a fixed rule. A run takes thousands, and
# a million steps take a third of a second.
MOST_WORK = 12_000
# Reasons for which no limit is given.
PLANE = "an expectation in more than one dimension"
TURNS = "forms whose plane the flow turns"


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
    rtol : float
        Relative tolerance of the steps of a run; 0 without one.
    """

    blocks: tuple[Block, ...]
    expression: Any
    potentials: Pairs
    arithmetic: str
    tolerance: float
    rtol: float

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
        reason = _no_balls(self.blocks, self.expression, self.potentials)
        if not reason and self.arithmetic == "auto" and len(start) > MOST_EXACT:
            reason = f"more than {MOST_EXACT} entries"
        nodes = None
        if not reason and self.loss.averaged:
            nodes = nodes_for(self.loss, start)
            reason = "no fixed rule for the expectation" if nodes is None else ""
            reason = TURNS if nodes is not None and self._leaves_plane(start, nodes) else reason
        if reason and self.arithmetic == "balls":
            raise InputError(f"arithmetic: expected a loss that balls evaluate, got {reason}")
        return reason or nodes

    def _leaves_plane(self, start: Array, nodes: Nodes) -> bool:
        """Whether a flow turns the plane of forms, in which nodes of one integrand stay."""
        if len(self.loss.form.x) == 1 or not nodes.alone:
            return False
        led = bool(self.loss.form.plain != 0)
        return not nodes.forms[0].keeps(start, nodes.parts[0].axes, led)

    def chosen(self, start: Array) -> Nodes | str | None:
        """As :meth:`nodes`, and also not where balls are slow, unless they are asked for."""
        nodes = self.nodes(start)
        if not isinstance(nodes, Nodes) or self.arithmetic != "auto":
            return nodes
        if nodes.on_line:
            return "a slow rule" if work(self.loss, nodes) > MOST_WORK else nodes
        return nodes if is_square(self.loss) else "terms that cancel between nodes"

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
        self, places: list[list[Any]], energy: Array, errors: Errors | None, nodes: Nodes | None
    ) -> SoundState:
        """Exact states with their `energy`, shape (T, 2), and what is seen there."""
        return self.exact_view(nodes).states(places, energy, errors)

    def exact_view(self, nodes: Nodes | None) -> ExactView:
        """Return the loss with its potentials, as exact states are seen by."""
        known = tuple(self.known.items())
        return ExactView.by(self.loss, nodes, known, self.rtol)

    def beside(self, states: SoundState, others: Sequence[SoundState]) -> SoundState:
        """States, seen anew, whose errors are their distances to others at the first times."""
        nodes = self.nodes(states.x[0]) if states.exact else None
        if states.exact and not isinstance(nodes, str):
            return self.exact_view(nodes).beside(states, others)
        return states.beside(others, self.in_doubles)

    def recorded(self, states: SoundState) -> SoundState:
        """States of a file, seen anew: potentials may be others than when they were run."""
        if not states.exact:
            return self.in_doubles(states.x, states.error, states.time, states.late)
        nodes = self.nodes(states.x[-1])
        return states if isinstance(nodes, str) else self.exact_view(nodes).anew(states, None)

    def limit(self, states: SoundState, t: Array) -> Limit | str:
        """Limit point of a run from its last state, or why it is not known; see `find_limit`."""
        if not states.exact:
            return (
                "limit not found: the states of the run are doubles; where the loss allows for it,"
                " arithmetic='balls' keeps more digits"
            )
        nodes = self.nodes(states.x[-1])
        if isinstance(nodes, Nodes) and not nodes.on_line:
            nodes = PLANE
        if isinstance(nodes, str):
            return f"limit not found: {nodes}"
        return self.exact_view(nodes).limit(states, t)

    def excess(self, states: SoundState, t: Array, rate: Array, rtol: float) -> Excess:
        """Loss above that of the limit point of a run; see :meth:`ExactView.excess`."""
        found = self.limit(states, t)
        if isinstance(found, str):
            return Excess(np.full(len(t), np.nan), math.nan, found)
        nodes = self.nodes(states.x[-1])
        view = self.exact_view(None if isinstance(nodes, str) else nodes)
        return view.excess(states, t, rate, rtol, found.loss)

    def _leaves(self, state: SoundState, t: float, nodes: Any) -> tuple[Point, Escape | None]:
        """Loss at no place yet, and where a run goes that leaves to infinity."""
        form = self.loss.form
        point = Point(self.loss.y, fractions(form.plain), fractions(form.integrand), form.x, ())
        place = from_doubles(state.digits if state.exact else state.x[:, None])
        with precision(BITS_OF_EXCESS):
            slope = np.array([float(x) for x in balls(self.loss, nodes).both(place)[1:]])
        since = max(float(state.energy[0]), t) if state.exact else t
        return point, runaway(point, state.x.tolist(), slope, since)

    def approach(self, state: SoundState, t: float) -> Approach:
        """Limit of the flow from a state on, whose doubles are taken as exact."""
        space = _in_space(self.loss) and self.loss.measured is None
        reason = "" if space else _no_balls(self.blocks, self.expression, self.potentials)
        if not reason and len(state.x) > MOST_EXACT:
            reason = f"more than {MOST_EXACT} entries"
        if not reason and space:
            return self._near(state)
        nodes = on_line(self.loss, state.x) if not reason and self.loss.averaged else None
        if not reason and self.loss.averaged and nodes is None:
            reason = "no fixed rule for the expectation"
        if reason:
            raise NoLaw(f"the limit of the run is not looked for: {reason}")
        point, escape = self._leaves(state, t, nodes)
        if escape is not None:
            raise Escapes(escape)
        place = from_doubles(state.digits if state.exact else state.x[:, None])
        since = max(float(state.energy[0]), t) if state.exact else t
        found = arrival(balls(self.loss, nodes), point, place, since, lambda entries: entries)
        assert found.minimiser is not None
        return replace(found, minimiser=self.with_sum(found.minimiser))

    def _near(self, state: SoundState) -> Approach:
        """Critical point near a state, of an expectation over several numbers."""
        form = self.loss.form
        point = Point(self.loss.y, fractions(form.plain), fractions(form.integrand), form.x, ())
        point, guessed = critical_near(self.loss, point, state.x)
        where = np.array(point.at, dtype=float)
        place = from_doubles(state.digits if state.exact else state.x[:, None])
        away = [
            float(a - b) for a, b in zip(place, lower(list(point.at), (), "ball")(), strict=True)
        ]
        minimiser = Minimiser(where, point, remarks=(NEAREST,) if guessed else (), guessed=guessed)
        return Approach(where, np.array(away), self.with_sum(minimiser))

    def with_sum(self, minimiser: Minimiser) -> Minimiser:
        """Minimiser with an expectation as a sum over the nodes of a rule too."""
        loss, point = self.loss, minimiser.point
        averaged = isinstance(loss, Loss) and loss.averaged and loss.measured is None
        if point is None or not averaged:
            return minimiser
        return replace(minimiser, summed=functools.partial(over_nodes, loss, point))

    def with_digits(self, x: list[Any]) -> SoundState:
        """State of numbers of mpmath."""
        signs = [number._mpf_[:3] for number in x]
        place = [arb((int((-1) ** sign * man), exp)) for sign, man, exp in signs]
        return self.exactly([place], np.array([[1.0, 0.0]]), None, None).at(0)


def _in_space(loss: Any) -> bool:
    """Whether a loss is an expectation over several numbers."""
    return bool(loss.averaged and len(loss.form.x) > 1)


@functools.lru_cache(maxsize=64)
def _no_balls(blocks: tuple[Block, ...], expression: Any, potentials: Pairs) -> str:
    """Why balls do not evaluate a loss and its potentials, or nothing."""
    loss: Loss | MatrixLoss = loss_of(blocks, expression)
    if isinstance(loss, MatrixLoss):
        return f"more than {MAX_ENTRIES} entries"
    if loss.measured is not None:
        return "an average in doubles"
    in_space = _in_space(loss)
    if in_space and not has_changes(loss):
        return "an expectation of functions without changes"
    try:
        balls(loss)
        if loss.averaged and not in_space:
            at_nodes(loss.form.integrand, loss.y, loss.form.x)
        for _, potential in potentials:
            numeric(closed(blocks, potential), loss.y, (), "ball")
    except NoBall as problem:
        return str(problem)
    return ""
