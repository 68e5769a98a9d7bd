"""A flow in other arithmetic than doubles: with many digits, and in JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flows.core.arrays import Array
from flows.core.chart import Chart, Clock

__all__ = ["DifferentiableFlow", "JaxField", "Smooth"]

#: From a chart to its raw field in JAX and the arguments of that: ``field(x, arguments)``.
JaxField = Callable[[Chart], tuple[Callable[[Any, Any], Any], Any]]


class DifferentiableFlow(NamedTuple):
    """A whole run in one chart, as a function in JAX of the variables in which it starts.

    Parameters
    ----------
    variables : ndarray
        What is differentiated by.
    clock : Clock
        Of the chart, from time 0.
    field : callable
        Raw field, ``field(x, arguments)``.
    arguments : object
        Arguments of the three functions.
    start : callable
        Raw state at time 0, ``start(variables, arguments)``.
    loss : callable
        Loss of a raw state, ``loss(x, arguments)``.
    user : callable
        From this loss and its gradient by the variables to the user's loss and the gradient by the
        user's start.
    """

    variables: Array
    clock: Clock
    field: Callable[[Any, Any], Any]
    arguments: Any
    start: Callable[[Any, Any], Any]
    loss: Callable[[Any, Any], Any]
    user: Callable[[float, Array], tuple[float, Array]]


class Smooth(NamedTuple):
    """A flow in arithmetic with many digits: field, Jacobian, start, and the way back.

    Where the field has kinks, they are the zeros of ``switches(x)``; field and Jacobian then take
    the signs of these as a second argument, and are smooth for each choice of them.
    """

    field: Callable[..., list[Any]]
    jacobian: Callable[..., Array]
    x0: list[Any]
    decode: Callable[[list[Any]], Any]
    switches: Callable[[list[Any]], list[Any]] | None = None
