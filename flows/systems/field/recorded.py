"""A field as a file states it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from flows.systems.field.blocks import Pairs
from symbolic.language.stated import stated

__all__ = ["definition_of"]


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
