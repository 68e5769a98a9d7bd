"""The field, or the flow in a metric, that a file states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.core.arrays import numbers
from flows.core.errors import InputError
from flows.core.system import System
from flows.systems.field.blocks import Pairs
from flows.systems.field.metric import MetricFlow
from flows.systems.field.system import ODE
from symbolic.language.stated import restated

__all__ = ["recalled"]


def recalled(name: str, parameters: Mapping[str, Any], definition: Mapping[str, Any]) -> System:
    """System of a definition (:mod:`flows.systems.field.recorded`); claims are in no file.

    Raises
    ------
    InputError
        Where the file does not carry it, or carries another one than its fingerprint says.
    """
    remedy = f"{name}: build the system and read the file with flows.load(path, system=...)"
    if definition.get("nodes") is None:
        raise InputError(f"{remedy}; its expressions are not in the file")
    try:
        left = list(restated(definition["nodes"]))
        groups = {
            label: tuple((key, left.pop(0)) for key in names)
            for label, names in definition["names"].items()
        }
        blocks = tuple(block for _, block in groups["blocks"])
        found = _made(definition["kind"], name, blocks, groups, numbers(parameters))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise InputError(f"{remedy}; its definition is damaged") from None
    if found.parameters["fingerprint"] != parameters["fingerprint"]:
        raise InputError(f"{remedy}; its definition belongs to another system")
    return found


def _made(
    kind: str, name: str, blocks: Any, groups: Mapping[str, Pairs], constants: Mapping[str, float]
) -> System:
    if kind == "field":
        field = tuple(part for _, part in groups["field"])
        return ODE(name, blocks, field, groups["potentials"], constants=constants)
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
