"""Compiled: values, slopes and curvatures at many states in pairs of doubles."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flows.arithmetic.kept import loop
from flows.arithmetic.vectors import WIDTH
from flows.solvers.program import evaluate, moved, registers_of, rounding

__all__ = ["Looks", "look", "looks_of"]


class Looks(NamedTuple):
    """What is seen at states, the first axis.

    ``value`` (S, R, 3): results of a program, high and low double and a bound of what rounding
    leaves; ``hessian`` (S, N, N): rates of the results from the second one on, of so many entries.
    """

    value: Any
    hessian: Any


def looks_of(states: int, results: int, size: int) -> Looks:
    """Room for what is seen."""
    return Looks(np.zeros((states, results, 3)), np.zeros((states, size, size)))


def _look(places, program, curved, looks):
    """Look at states (S, N, 2); their curvatures too, where these are asked for, (S,)."""
    states, n, _ = places.shape
    at = registers_of(n, program)
    for begin in range(0, states, WIDTH):
        many, turns = min(WIDTH, states - begin), False
        for e in range(many):
            turns = turns or curved[begin + e]
            for i in range(n):
                for part in range(2):
                    at.value[2 * i + part, e] = places[begin + e, i, part]
        evaluate(program, at, many, True)
        rounding(program, at, n)
        for e in range(many):
            for r in range(len(program.results)):
                k = program.results[r]
                for part in range(2):
                    looks.value[begin + e, r, part] = at.value[2 * k + part, e]
                looks.value[begin + e, r, 2] = at.noise[k, e]
        for c in range(n if turns else 0):
            moved(program, at, c)
            for i in range(n):
                k = program.results[1 + i]
                for e in range(many):
                    rate = at.rate[2 * k, e] if at.active[c, k] else 0.0
                    looks.hessian[begin + e, i, c] = rate


look: Any = loop(_look, nogil=True)
