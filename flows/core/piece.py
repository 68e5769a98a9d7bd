"""A piece of a run: the smooth flow between two events, and the way on after it."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart
from flows.core.errors import undefined
from flows.core.problem import FIELD_FAILED, Stop, Watch

__all__ = ["Event", "Events", "Piece", "Restart"]


class Event(NamedTuple):
    """Something that happened on the way.

    Parameters
    ----------
    time : float
        When.
    kind : str
        What, for example ``collapse``.
    detail : str
        One line for a person.
    """

    time: float
    kind: str
    detail: str


class Events(Sequence[Event]):
    """Events in the order of time, found where they are asked for: to say when takes time.

    Parameters
    ----------
    find : callable
        Finds them.
    """

    def __init__(self, find: Callable[[], Iterable[Event]]) -> None:
        self._find = find

    @functools.cached_property
    def _found(self) -> tuple[Event, ...]:
        return tuple(self._find())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    def __getitem__(self, index: Any) -> Any:
        """One of them, or a tuple of some."""
        return self._found[index]

    def __repr__(self) -> str:
        """Length and items, as of a tuple."""
        return repr(self._found)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is a tuple."""
        return tuple, (self._found,)


class Restart(NamedTuple):
    """How a run goes on after a stop: frame, state, time, what happened.

    Why it cannot go on, if so, and the status that it has then. Where it goes on a little later,
    ``before(times)`` has the states of times since the stop, with a leading axis.
    """

    frame: Any
    state: Any
    time: float
    events: Sequence[Event] = ()
    failure: str = ""
    status: str = FIELD_FAILED
    before: Callable[[Array], Any] | None = None

    @property
    def reason(self) -> str:
        """Why the run cannot go on; with the time where its field failed."""
        return (
            f"{self.failure} (at t = {self.time:.6g})"
            if self.status == FIELD_FAILED
            else self.failure
        )

    def passed(self, times: Array) -> Any:
        """States of times since the stop, up to that from which the run goes on."""
        if self.before is not None:
            return self.before(times)
        return self.state.at(None).at(np.zeros(len(times), dtype=int))


class Piece(abc.ABC):
    """Smooth piece of a run. Concrete ones are frozen dataclasses that know where they began."""

    chart: Chart
    #: Solver time at which it ends at the latest; no step leads beyond.
    lasts: float = math.inf
    #: Whether it may end at any state, as where no step leads beyond a kink that is near.
    anywhere: ClassVar[bool] = False
    #: If it ends before this solver time, it counts among the pieces that a run may have.
    counted: ClassVar[float] = math.inf

    @abc.abstractmethod
    def decode(self, raw: Array) -> Any:
        """State(s) in sound coordinates of raw chart coordinates, shape (..., N)."""

    def watch(self, rtol: float) -> Watch | None:
        """Say when the piece ends, for steps of this relative tolerance; None: never early."""
        return None

    def restart(self, stop: Stop) -> Restart:
        """What follows the stop of the piece."""
        raise undefined(self, "restart", "its watch has ended it early")

    def stuck(self, last: Stop) -> str:
        """Why no steps lead beyond a state where a solver crawls or fails; or nothing."""
        return ""

    def at(self, tau: Array | float, y: Array) -> Any:
        """State(s) in sound coordinates of the solver's state(s) ``y`` at ``tau``."""
        return self.decode(self.chart.raw(tau, y))

    def time(self, tau: float) -> float:
        """Time of the solver time ``tau``."""
        return float(self.chart.clock.time(tau))
