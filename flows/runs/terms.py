"""Terms that potentials are sought among: quantities of the state with a rate, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.system import System
from flows.runs.given import given_at
from flows.runs.quantities import evaluate
from flows.runs.trajectory import Trajectory
from potentials.notation import symbol
from potentials.potential import Potential, Reduce

__all__ = ["States", "Terms", "states_of"]


class Terms(NamedTuple):
    """Expressions in quantities of a system, and the potentials that they are."""

    expressions: tuple[sp.Expr, ...]
    potentials: tuple[Potential, ...]

    @classmethod
    def of(cls, system: System, given: Sequence[Any] | None = None) -> Terms:
        """Terms that are given, or all that a system observes.

        These are its potentials and features with one value, and sums, maxima and minima of
        features of neurons and pairs: lengths, distances, angles. A symmetry of the neurons, or of
        the space around the teacher, leaves them as they are.
        """
        start = system.initial(scale=1.0, seed=0)
        if given is not None:
            expressions = list(given)
        else:
            stated = (*system.statements.potentials, *system.statements.auxiliaries)
            own = [p for p in stated if not p.indexed]
            same = {(t.expression, t.reduce) for p in own for t in p.terms if p.terms == (t,)}
            frame, state = system.reduce(system.check_start(start))
            names = _observed(system.features(frame, state.at(None)), same)
            expressions = [symbol(name) for name in (*(p.name for p in own), *names)]
        made = given_at(system, start, {f"term{k}": x for k, x in enumerate(expressions)})
        return cls(tuple(expressions), made)


def _observed(features: Mapping[str, Array], same: set[tuple[Any, Any]]) -> list[str]:
    """Names of features with a rate, and of reductions that no potential is."""
    found = []
    for name, value in features.items():
        if name == "loss" or f"{name}_dot" not in features:
            continue
        if value.ndim == 1:
            found.append(name)
            continue
        several = get_args(Reduce) if value.shape[-1] > 1 else get_args(Reduce)[:1]
        if value.shape[-1] == 1 and any((symbol(name), r) in same for r in get_args(Reduce)):
            continue
        found += [f"{name}_{r}" for r in several if (symbol(name), r) not in same]
    return found


class States(NamedTuple):
    """States of a set.

    Parameters
    ----------
    x : ndarray, shape (N, ...)
        In the user's parameters.
    loss, falls : ndarray, shape (N,)
        And how fast it falls.
    values, rates : ndarray, shape (terms, N)
        Of terms.
    """

    x: Array
    loss: Array
    falls: Array
    values: Array
    rates: Array

    def joined(self, *others: States) -> States:
        """These and others."""
        along = (0, 0, 0, 1, 1)
        parts = zip(*(self, *others), strict=True)
        return States(*map(np.concatenate, parts, along))


def states_of(run: Trajectory, terms: Terms, inside: NDArray[np.bool_]) -> States:
    """Those states of a run that a mask selects."""
    both = [evaluate(p, run.quantities) for p in terms.potentials]
    values, rates = (
        np.array([np.broadcast_to(x, run.t.shape)[inside] for x in some])
        for some in zip(*both, strict=True)
    )
    falls = -np.asarray(run.quantities["loss_dot"])[inside]
    return States(
        np.asarray(run.state)[inside], np.asarray(run["loss"])[inside], falls, values, rates
    )
