"""A subspace that a flow does not leave, with the flow in it as a system of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flows.core.arrays import Array

__all__ = ["Inside", "Subspace"]


class Subspace(NamedTuple):
    """A subspace that holds a start, and which the flow keeps.

    Parameters
    ----------
    system : System
        The flow in coordinates of the subspace.
    start : ndarray
        The start in these, rounded.
    alone : System
        The same flow, whose runs begin with all digits of this start.
    lift : callable
        From states in the subspace to those of the whole system; None where the flow has left it.
    """

    system: Any
    start: Array
    alone: Any
    lift: Callable[[Any], Any]


class Inside(NamedTuple):
    """States of a run as those of a flow in a subspace that holds them all.

    Parameters
    ----------
    system : System
        The flow in coordinates of the subspace.
    states : State
        The states in these.
    lift : callable
        From coordinates of a point to its entries.
    said : str
        Which subspace it is, for a person.
    """

    system: Any
    states: Any
    lift: Callable[[Array], Array]
    said: str
