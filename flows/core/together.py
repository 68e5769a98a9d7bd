"""Costly features that come out of one evaluation, which is done once for all of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from flows.core.arrays import Array

__all__ = ["evaluated_together"]


def evaluated_together(
    names: Sequence[str], evaluate: Callable[[Any, Any], dict[str, Array]]
) -> dict[str, Callable[[Any, Any], Array]]:
    """Features by name, as :attr:`flows.core.system.System.costly` has them.

    Parameters
    ----------
    names : sequence of str
        Their names.
    evaluate : callable
        All of them, from a frame and states.
    """
    found: dict[int, tuple[Any, dict[str, Array]]] = {}

    def feature(name: str, frame: Any, states: Any) -> Array:
        if id(states) not in found:  # states are kept beside, so that no others have their number
            found[id(states)] = states, evaluate(frame, states)
        return found[id(states)][1][name]

    return {name: functools.partial(feature, name) for name in names}
