"""A subspace that a flow does not leave, with the flow in it as a system of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flows.core.arrays import Array

__all__ = ["Subspace"]


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
