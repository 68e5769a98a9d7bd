"""In which arithmetic the states of a run are kept, and what is seen at them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
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
from flows.systems.own import energy, pieces
from flows.systems.own.carried_errors import Errors
from flows.systems.own.energy_piece import EnergyPiece
from flows.systems.own.energy_units import first_time
from flows.systems.own.exact import balls, from_doubles, work
from flows.systems.own.exact_view import BITS_OF_EXCESS, ExactView, resolved_states
from flows.systems.own.graded import axes_of
from flows.systems.own.law_nodes import critical_near, over_nodes
from flows.systems.own.loss import Loss
from flows.systems.own.matrix_loss import MatrixLoss
from flows.systems.own.nodes import Nodes, has_changes
from flows.systems.own.numeric import at_nodes, numeric
from flows.systems.own.observed_doubles import observe
from flows.systems.own.serving import is_square, nodes_for, on_line
from flows.systems.own.sound_state import SoundState
from flows.systems.own.twofold import code_of
from symbolic.asymptotics.given import exact as fractions
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.language.lower import NoBall, lower

__all__ = ["View", "as_balls"]

# Above, states are doubles unless balls are asked for.
MOST_EXACT = 150
# The same for expectations: steps of one evaluation by a fixed rule. A run takes thousands, and
# a million steps take a third of a second.
MOST_WORK = 12_000
# Axes that are sharper than doubles cost more than steps of more entries.
MOST_GRADED = 24
# Runs of a method of several steps that is chosen by name are off by this factor more (CVODE).
SEVERAL = 100.0
# Reasons for which no limit is given.
DOUBLES = "limit not found: the states of the run are doubles"
MORE = "; where the loss allows for it, arithmetic='balls' keeps more digits"
PLANE = "an expectation in more than one dimension"
TURNS = "forms whose plane the flow turns"


@dataclass(frozen=True)
class View:
    """A loss with its potentials, as a run follows them.

    Parameters
    ----------
    loss : Loss
        Compiled, or evaluated by code of its own, which then has ``exact`` and ``codes``.
    potentials : tuple of pairs
        Names and expressions in the entries.
    arithmetic : {"auto", "balls", "doubles"}
        How states are kept, see :class:`flows.OwnSystem`.
    tolerance : float
        Relative error asked of expectations in doubles.
    steps : tuple
        Relative and absolute tolerance of the solver's steps, whether stiff ones damp, and whether
        a multistep method has other ones.
    """

    loss: Any
    potentials: Pairs
    arithmetic: str
    tolerance: float
    steps: tuple[float, float, bool, bool]

    @property
    def known(self) -> dict[str, Any]:
        """Potentials in the entries by name."""
        return dict(self.potentials)

    def nodes(self, start: Array) -> Nodes | str | None:
        """Rule with which exact states are evaluated, None without one, or why they are not."""
        if self.arithmetic == "doubles":
            return "arithmetic in doubles"
        reason = _no_balls(self.loss, self.potentials)
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
        if not isinstance(self.loss, Loss):
            return ExactView(self.loss, self.loss.exact, graded=axes_of(self.loss.exact))
        rtol, _, _, multistep = self.steps
        rtol *= SEVERAL if multistep else 1.0
        found = ExactView.by(self.loss, nodes, self.potentials, rtol)
        few = nodes is None and len(self.loss.y) <= MOST_GRADED
        # They cost as much as many evaluations of compiled code.
        graded = axes_of(found.exact) if few and code_of(self.loss) is None else None
        return replace(found, graded=graded)

    def begun(
        self, start: Array, slope: Array, nodes: Nodes | None, places: list[Any] | None = None
    ) -> tuple[float, SoundState]:
        """Time at which a flow begins to move, and its first state, of all digits if given."""
        unit = first_time(start, slope, self.loss.hessian(start, nodes))
        known = places or [arb(x) for x in start.tolist()]
        return unit, self.exactly([known], np.array([[unit, 0.0]]), None, nodes).at(0)

    def piece(
        self, sizes: list[int], frame: Any, state: SoundState, time: float
    ) -> EnergyPiece | pieces.OwnPiece:
        """Piece in units of energy, or of doubles in log-time with a rule for the expectation.

        Blocks of these ``sizes`` have tolerances of their own in doubles.
        """
        loss = self.loss
        if state.exact:
            nodes = nodes_for(loss, state.x, frame.nodes) if loss.averaged else None
            return energy.energy_piece(self.exact_view(nodes), self.steps, frame, state, time)
        chart = pieces.chart(loss, state.x, sizes, time, self.tolerance)
        given = loss, self.in_doubles, self.tolerance, self.steps, frame, state, chart
        return pieces.OwnPiece(*given, sizes, pieces.Pace(time, state.x))

    def resolved(self, digits: Array, error: Array, since: Array, numbers: Array) -> SoundState:
        """States that compiled steps have reached: see :func:`resolved_states`."""

        def anew(states: SoundState) -> SoundState:
            return self.exact_view(None).anew(states, None)

        return resolved_states(digits, error, since, numbers, anew, every=bool(self.potentials))

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
            return DOUBLES + (MORE if isinstance(self.loss, Loss) else "")
        nodes = self.nodes(states.x[-1])
        if isinstance(nodes, Nodes) and not nodes.on_line:
            nodes = PLANE
        if isinstance(nodes, str):
            return f"limit not found: {nodes}"
        return self.exact_view(nodes).limit(states, t)

    def excess(self, states: SoundState, t: Array, rate: Array) -> Excess:
        """Loss above that of the limit point of a run; see :meth:`ExactView.excess`."""
        found = self.limit(states, t)
        if isinstance(found, str):
            return Excess(np.full(len(t), np.nan), math.nan, found)
        nodes = self.nodes(states.x[-1])
        view = self.exact_view(None if isinstance(nodes, str) else nodes)
        return view.excess(states, t, rate, self.steps[0], found.loss)

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
        reason = "" if space else _no_balls(self.loss, self.potentials)
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
        found = self.arrival(state, t, point, nodes)
        assert found.minimiser is not None
        return replace(found, minimiser=self.with_sum(found.minimiser))

    def arrival(
        self,
        state: SoundState,
        t: float,
        point: Point,
        nodes: Nodes | None = None,
        shaped: Callable[[Array], Array] = np.asarray,
    ) -> Approach:
        """How a run arrives at its limit, a ``shaped`` state, of a loss near a ``point``."""
        place = from_doubles(state.digits if state.exact else state.x[:, None])
        since = max(float(state.energy[0]), t) if state.exact else t
        found = arrival(self.exact_view(nodes).exact, point, place, since, shaped)
        return replace(found, blur=float(state.error.max(initial=0.0)))

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
        return self.exactly([as_balls(x)], np.array([[1.0, 0.0]]), None, None).at(0)


def as_balls(x: Sequence[Any]) -> list[Any]:
    """Numbers of mpmath as balls of no width."""
    signs = [number._mpf_[:3] for number in x]
    return [arb((int((-1) ** sign * man), exp)) for sign, man, exp in signs]


def _in_space(loss: Any) -> bool:
    """Whether a loss is an expectation over several numbers."""
    return bool(loss.averaged and len(loss.form.x) > 1)


@functools.lru_cache(maxsize=64)
def _no_balls(loss: Any, potentials: Pairs) -> str:
    """Why balls do not evaluate a loss and its potentials, or nothing."""
    if isinstance(loss, MatrixLoss):
        return f"more than {MAX_ENTRIES} entries"
    if not isinstance(loss, Loss):
        return ""
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
            numeric(potential, loss.y, (), "ball")
    except NoBall as problem:
        return str(problem)
    return ""
