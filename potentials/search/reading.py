"""What a person asks for, as polynomials: conditions on starts, spans of potentials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sympy as sp
from flint import fmpq

from potentials.search.polynomials import Flow, Polynomial
from potentials.search.regions import (
    Condition,
    composed,
    condition,
    identities,
    level_set,
    of_squares,
)
from potentials.search.subject import Subject
from symbolic.language.errors import InputError
from symbolic.language.expressions import as_expression

__all__ = ["before", "conditions", "sizes", "template"]


def conditions(
    subject: Subject, flow: Flow, level: fmpq | None, keep: Sequence[Any]
) -> tuple[Condition, ...]:
    """The region, each condition with its reason."""
    found = [*identities(flow), *_not_negative(flow)]
    if level is not None:
        found.append(level_set(flow, level))
    for relation in keep:
        if not isinstance(relation, sp.Eq | sp.Ge | sp.Le | sp.Gt | sp.Lt):
            raise InputError(f"keep: expected Eq(p, q), p >= q or p <= q, got {relation}")
        sign = -1 if isinstance(relation, sp.Le | sp.Lt) else 1
        p = sign * (relation.lhs - relation.rhs)
        found.append(condition(flow, _read(subject, flow, p, "keep"), isinstance(relation, sp.Eq)))
    return tuple(found)


def before(flow: Flow, until: fmpq | None) -> tuple[Condition, ...]:
    """The loss is above a level; what follows then is for others to say."""
    if until is None:
        return ()
    return (Condition(flow.loss - flow.constant(until), False, "assumed"),)


def _not_negative(flow: Flow) -> list[Condition]:
    """Coordinates outside matrices that are sums of squares."""
    if flow.origin is None:
        return []
    inside = [p for one in flow.factored for row in one.matrix for p in row]
    alone = [x for x in flow.ring.gens()[: flow.size] if x not in inside]
    return [c for c in (of_squares(flow, x) for x in alone) if c is not None]


def template(subject: Subject, flow: Flow, given: Any) -> list[Polynomial]:
    """The span of potentials; empty where none is given."""
    if given is None:
        return []
    if isinstance(given, int):
        if not 0 < given <= 8:
            raise InputError(f"template: expected a degree from 1 to 8, got {given}")
        return flow.monomials(given)
    return [_read(subject, flow, p, "template") for p in given]


def _read(subject: Subject, flow: Flow, expression: Any, what: str) -> Polynomial:
    """A polynomial of what a person writes, in entries of blocks or in coordinates."""
    own = {x.name: x for x in flow.symbols}
    try:
        named = as_expression(expression)
    except sp.SympifyError:
        raise InputError(f"{what}: expected an expression, got {expression!r:.60}") from None
    named = named.xreplace(
        {x: own.get(x.name, x) for x in named.free_symbols if hasattr(x, "name")}
    )
    try:
        if named.free_symbols <= {*flow.symbols}:
            return flow.read(named)
        return flow.read(subject.scalar(expression, what))
    except ValueError as problem:
        raise InputError(f"{what}: {problem}") from None


def sizes(flow: Flow, span: Sequence[Polynomial]) -> tuple[fmpq, ...]:
    """Means over a cube around zero of what moves."""
    found = []
    for p in span:
        terms = (p if flow.origin is None else composed(flow, p)).to_dict().items()
        even = ((c, e) for e, c in terms if not any(k % 2 for k in e))
        found.append(sum((c / math.prod(k + 1 for k in e) for c, e in even), start=fmpq(0)))
    return tuple(found)
