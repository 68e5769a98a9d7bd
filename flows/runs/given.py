"""Potentials that are given to a run: expressions in the quantities that its system observes.

The potentials that an expression names are put in with their terms, so that values, rates and
errors come from the features of the state, like those of any potential.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast, get_args

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from flows.core.arrays import numbers
from flows.core.errors import InputError, unknown
from flows.core.system import System
from flows.runs.quantities import evaluate
from flows.systems.field.names import refused
from potentials.notation import rate_symbol, symbol
from potentials.potential import Potential, Reduce, Term
from potentials.source import Source
from potentials.theorem import named

__all__ = ["given_at", "given_potentials"]

HERE = Source("this run", 2026, "", "given with the run", "definition")
# What begins so names an array of a file.
FILED = ("frame_", "sound_", "start_", "final_state_")


def given_at(
    system: System, start: ArrayLike, given: Mapping[str, sp.Expr] | None
) -> tuple[Potential, ...]:
    """Potentials of expressions by name, checked at a user's start; none for None.

    Parameters
    ----------
    system : System
        Whose quantities the symbols name.
    start : array_like
        User's parameters.
    given : mapping of str to Expr, optional
        As for :func:`given_potentials`.

    Raises
    ------
    InputError
        As there.
    """
    if given is None:
        return ()
    frame, state = system.reduce(system.check_start(start))
    return given_potentials(system, frame, state.at(None), given)


def given_potentials(
    system: System, frame: Any, state: Any, given: Mapping[str, sp.Expr]
) -> tuple[Potential, ...]:
    """Potentials of expressions by name, checked at one state.

    Parameters
    ----------
    system : System
        Whose quantities the symbols name.
    frame : object
        Frame of the sound coordinates.
    state : State
        States at some time, with a leading axis.
    given : mapping of str to Expr
        Each in observables, features, constants and `t`, by their symbols. Of a feature with a
        value for each neuron or pair, `zeta_sum`, `zeta_max` and `zeta_min` are numbers of the
        state.

    Returns
    -------
    tuple of Potential
        In the order of the mapping.

    Raises
    ------
    InputError
        For a name that is taken or cannot be used, an unknown symbol, one whose rate is not known,
        and an expression that mixes numbers of the state with numbers of each neuron.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"potentials must be a mapping of names to expressions, got {given!r:.60}")
    costly = {k: feature(frame, state) for k, feature in system.costly.items()}
    found = {**system.features(frame, state), **costly}
    features = {k: np.asarray(x, dtype=float) for k, x in found.items()}
    values: dict[str, Any] = {**features, **numbers(system.parameters), "t": np.zeros(len(state))}
    return tuple(_potential(system, name, given[name], values) for name in given)


def _potential(system: System, name: Any, given: Any, values: Mapping[str, Any]) -> Potential:
    stated = system.statements
    known = {p.name: p for p in (*stated.potentials, *stated.auxiliaries)}
    marks = {mark.name for mark in stated.marks}
    if name in {*known, *values, *marks, *system.dimensions, "gradient_norm", "loss"}:
        raise InputError(f"potential {name!r} needs another name: {system.name} has one of it")
    filed = isinstance(name, str) and name.startswith(FILED)
    if why := refused(name) or ("so begin names of arrays in files" if filed else ""):
        raise InputError(f"potential {name!r} needs another name: {why}")
    if not isinstance(given, sp.Expr) or not given.free_symbols:
        raise InputError(f"potential {name!r} must be an expression in quantities, got {given!r}")
    constants = numbers(system.parameters)
    outer = named(given, constants)
    terms: dict[str, Term] = {}
    inner, texts, ranks = {}, {"loss": "L"}, set()
    for x in sorted(outer.free_symbols, key=str):
        if x.name in known:
            terms |= {term.name: term for term in known[x.name].terms}
            inner[x] = known[x.name].expression
            texts |= known[x.name].names
            ranks.add(2 if known[x.name].indexed else 1)
        elif (part := _reduction(values, x.name)) is not None:
            terms[x.name] = part
            ranks.add(1)
        elif x.name not in values:
            names = (*(p.name for p in stated.potentials), "loss", "t", *sorted(constants))
            raise unknown("symbol", x.name, [k for k in names if k in known or k in values])
        elif rate_symbol(x) != 0 and x.name != "t":
            if f"{x.name}_dot" not in values:
                raise InputError(
                    f"potential {name!r}: the rate of {x.name} is not known; take other quantities"
                )
            # A term of its own, so that the error of the feature is known.
            terms[x.name] = Term(x.name, _over(values, x.name), x)
            ranks.add(values[x.name].ndim)
    found = Potential(
        name,
        rf"\mathrm{{{name}}}".replace("_", r"\_"),
        tuple(terms.values()),
        outer.xreplace(inner),
        "where its quantities are smooth",
        HERE,
        MappingProxyType(texts),
    )
    if len(ranks) != 1 or not _fits(found, values):
        raise InputError(
            f"potential {name!r} must be made of numbers of the state, or of numbers of each"
            " neuron, or of each pair; it mixes them, or holds none"
        )
    return found


def _reduction(values: Mapping[str, Any], name: str) -> Term | None:
    """`zeta_sum`, `zeta_max` or `zeta_min` of a feature of neurons or pairs."""
    feature, _, reduce = name.rpartition("_")
    moves = feature in values and f"{feature}_dot" in values and values[feature].ndim == 2
    if name in values or not moves or reduce not in get_args(Reduce):
        return None
    return Term(name, _over(values, feature), symbol(feature), cast(Reduce, reduce))


def _over(values: Mapping[str, Any], name: str) -> Any:
    """Index of a feature: that of a neuron has as many values as there are neurons."""
    value = values[name]
    if value.ndim == 1:
        return "state"
    return "neuron" if value.shape[-1] == values.get("n", value.shape[-1]) else "pair"


def _fits(potential: Potential, values: Mapping[str, Any]) -> bool:
    """Whether the values of its quantities go together."""
    try:
        evaluate(potential, values)
    except ValueError:
        return False
    return True
