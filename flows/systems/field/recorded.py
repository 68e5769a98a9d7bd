"""A field as a file states it, and the field of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sympy as sp

from flows.core.errors import InputError
from flows.systems.field.blocks import Pairs
from potentials.notation import CONSTANTS
from symbolic.language.stated import restated, stated

if TYPE_CHECKING:
    from flows.core.system import System

__all__ = ["KINDS", "definition_of", "recalled"]

#: Kinds of systems that are kept so.
KINDS = ("field", "metric")


def definition_of(kind: str, groups: Mapping[str, Pairs]) -> dict[str, Any]:
    """Expressions in groups, by names, as plain data; without nodes where some are not.

    Parameters
    ----------
    kind : {"field", "metric"}
        What they define.
    groups : mapping
        Pairs of a name and an expression.
    """
    expressions = [e for pairs in groups.values() for _, e in pairs]
    nodes = stated([sp.sympify(e, strict=True) for e in expressions])
    return {
        "kind": kind,
        "names": {label: [str(name) for name, _ in pairs] for label, pairs in groups.items()},
        "nodes": nodes,
    }


def recalled(name: str, parameters: Mapping[str, Any], definition: Mapping[str, Any]) -> System:
    """System of a :func:`definition_of` in a file; claims are in no file.

    Raises
    ------
    InputError
        Where the file does not carry it, or carries another one than its fingerprint says.
    """
    told = f"{name}: build the system and read the file with flows.load(path, system=...)"
    if definition.get("nodes") is None:
        raise InputError(f"{told}; its expressions are not in the file")
    try:
        left = list(restated(definition["nodes"]))
        groups = {
            label: tuple((key, left.pop(0)) for key in names)
            for label, names in definition["names"].items()
        }
        blocks = tuple(block for _, block in groups["blocks"])
        constants = {k: float(x) for k, x in parameters.items() if k in CONSTANTS}
        found = _made(definition["kind"], name, blocks, groups, constants)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise InputError(f"{told}; its definition is damaged") from None
    if found.parameters["fingerprint"] != parameters["fingerprint"]:
        raise InputError(f"{told}; its definition is that of another system")
    return found


def _made(
    kind: str, name: str, blocks: Any, groups: Mapping[str, Pairs], constants: Mapping[str, float]
) -> System:
    if kind == "field":
        from flows.systems.field.system import ODE

        field = tuple(part for _, part in groups["field"])
        return ODE(name, blocks, field, groups["potentials"], constants=constants)
    from flows.systems.field.metric import MetricFlow

    ((_, loss),) = groups["loss"]
    by_name = {block.name: block for block in blocks}
    rates = tuple((by_name[key], x) for key, x in groups["rates"])
    whole = dict(groups["whole"]).get("metric")
    weights = tuple((by_name[key], x) for key, x in groups["weights"])
    return MetricFlow(
        name,
        blocks,
        loss,
        groups["potentials"],
        constants=constants,
        rates=rates,
        metric=whole if whole is not None else weights or None,
    )
