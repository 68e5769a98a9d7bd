"""The combinations of parameters of a sweep: what they are, and the system of each."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.core.arrays import is_real
from flows.core.errors import InputError, unknown
from flows.core.system import System, checked_system
from flows.ensembles.member import shapes
from flows.ensembles.starts import Law

__all__ = ["SCALE", "Case", "cases", "checked_values", "observed"]

#: The parameter that is the start's and not the system's.
SCALE = "scale"
# Names of the data set of a sweep that are not parameters.
TAKEN = ("member", "t", "seed", "status", "message")
# A word becomes part of the name of a folder.
WORD = re.compile(r"[A-Za-z0-9_.+-]{1,40}")

Value = int | float | str
Make = Callable[..., System]


@dataclass(frozen=True)
class Case:
    """One combination of parameters.

    Parameters
    ----------
    values : dict
        Value of each parameter.
    system : System
        What is integrated.
    law : Law
        Its random starts.
    """

    values: dict[str, Value]
    system: System
    law: Law

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return described(self.values).replace(" = ", "=").replace(", ", ",")


def described(values: Mapping[str, Value]) -> str:
    """Combination in words.

    Examples
    --------
    >>> described({"regularization": 50.0, "d": 2})
    'regularization = 50, d = 2'
    """
    return ", ".join(f"{name} = {_text(value)}" for name, value in values.items())


def _text(value: Value) -> str:
    """Text of a value; an integer and the double that equals it have the same one."""
    if isinstance(value, str):
        return value
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def checked_values(vary: Mapping[str, Iterable[Any]]) -> dict[str, list[Value]]:
    """Values of each parameter as plain ones.

    Raises
    ------
    InputError
        Unless it maps names to different finite numbers or different words.
    """
    if not (isinstance(vary, Mapping) and vary):
        raise InputError(
            'vary must be lists of values by name, like {"d": [2, 3]}, got'
            f" {vary!r}; name at least one parameter"
        )
    found: dict[str, list[Value]] = {}
    for name, values in vary.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise InputError(f"a parameter must have a name, got {name!r}; give a word")
        if name in TAKEN:
            raise InputError(
                f"{name}: expected a parameter, got a name that the result uses itself"
                f" ({', '.join(TAKEN)}); choose another"
            )
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise InputError(f"{name}: expected a list of values, got {values!r}; give [{values}]")
        plain: list[Value] = [x.item() if isinstance(x, np.generic) else x for x in values]
        if not plain:
            raise InputError(f"{name}: expected a list of values, got an empty one; give one value")
        numbers = all(map(is_real, plain))
        if not numbers and not all(isinstance(x, str) and WORD.fullmatch(x) for x in plain):
            raise InputError(
                f"{name}: expected finite numbers, or words of letters and digits, got {plain!r};"
                " give values of one kind"
            )
        if len(set(plain)) < len(plain):
            raise InputError(f"{name}: expected different values, got {plain!r}; give each once")
        found[name] = plain
    return found


def cases(
    make: Make,
    vary: Mapping[str, list[Value]],
    size: int,
    scale: float,
    seed: int,
    start_options: Mapping[str, Any],
) -> list[Case]:
    """All combinations, the last parameter fastest, each with its system and its law.

    Raises
    ------
    InputError
        For a parameter that ``make`` does not take, and for values that a system, or its law,
        refuses: with their combination.
    """
    if not callable(make):
        raise InputError(
            f"make must be a system's class or a function that gives a system, got {make!r}"
        )
    _check_names(make, [name for name in vary if name != SCALE])
    found = []
    for values in itertools.product(*vary.values()):
        case = dict(zip(vary, values, strict=True))
        own = {name: value for name, value in case.items() if name != SCALE}
        try:
            system = checked_system(make(**own))
            law = Law(size, case.get(SCALE, scale), seed, dict(start_options))  # type: ignore[arg-type]
            law.start(system, 0)
        except InputError as problem:
            raise InputError(f"at {described(case)}: {problem}") from None
        found.append(Case(case, system, law))
    return found


def _check_names(make: Make, names: list[str]) -> None:
    """Refuse a parameter that ``make`` does not take, and one that it lacks."""
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):
        return  # a callable that does not say
    by_name = [
        p for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    known = [p.name for p in by_name]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in names:
            if name not in known:
                raise unknown("parameter", name, [*known, SCALE])
    lacking = [p.name for p in by_name if p.default is p.empty and p.name not in names]
    if lacking:
        raise InputError(
            f"vary: expected values of every parameter that has no default, got none of"
            f" {', '.join(lacking)}; give some, or a function that sets it"
        )


def observed(found: Iterable[Case], names: Iterable[str]) -> list[str]:
    """Quantities that all combinations have: the observables, and their known local exponents.

    Raises
    ------
    InputError
        For an observable that some system lacks, or that is more than one number a time: its shape
        may depend on the parameters.
    """
    asked = list(dict.fromkeys(names))
    common: dict[str, None] | None = None
    for case in found:
        try:
            shape = shapes(case.system, asked)
        except InputError as problem:
            raise InputError(f"at {described(case.values)}: {problem}") from None
        for name in asked:
            if shape[name] != ():
                raise InputError(
                    f"observable {name!r}: a sweep keeps one number a time, got the shape"
                    f" {shape[name]} at {described(case.values)}; leave it out, or take"
                    " integrate_ensemble for it"
                )
        common = {name: None for name in shape if common is None or name in common}
    return list(common or {})
