"""Negative controls: every step with an error put in must come back refuted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import sympy as sp

from symbolic.evidence.derivation import Document, Step
from symbolic.evidence.identity import Evidence, Relation, examine

__all__ = ["Control", "controls", "mutants"]

# As small as a slip in a constant, and far above the digits that are compared.
FACTOR = sp.Rational(1001, 1000)
CONVERSE: dict[Relation, Relation] = {"<=": ">=", ">=": "<="}


@dataclass(frozen=True)
class Control:
    """What became of one mutant.

    Parameters
    ----------
    derivation, rule : str
        The step.
    mutation : str
        The error that was put in.
    evidence : Evidence
        The evidence for the mutant; anything but `REFUTED` is a hole.
    """

    derivation: str
    rule: str
    mutation: str
    evidence: Evidence

    @property
    def caught(self) -> bool:
        """Whether the error was seen."""
        return self.evidence is Evidence.REFUTED


def mutants(step: Step) -> Iterator[tuple[str, Step]]:
    """Yield the step with one error each: a sign, a factor 1.001, one term's sign, two indices.

    Parameters
    ----------
    step : Step
        A step that holds.

    Yields
    ------
    mutation, mutant : str, Step
        An equality is broken on the side that is not zero. An inequality is turned round: with a
        factor or a sign it may stay true. What changes the expression but provably not its value
        (such as the exchange of symmetric indices) is no error and is left out.
    """
    for mutation, mutant in _candidates(step):
        if not _harmless(step, mutant):
            yield mutation, mutant


def _candidates(step: Step) -> Iterator[tuple[str, Step]]:
    """Mutants, and what might be one if its value is another."""
    if step.relation != "==":
        yield "reversed", replace(step, relation=CONVERSE[step.relation])
        return
    if _is_zero(step.rhs):
        yield "a thousandth for zero", replace(step, rhs=_shifted(step.rhs))
    side = "lhs" if _is_zero(step.rhs) else "rhs"
    for mutation, broken in _broken(getattr(step, side)):
        if side == "rhs" or mutation not in ("sign", "factor 1.001"):  # zero stays zero
            yield mutation, replace(step, **{side: broken})


def _harmless(step: Step, mutant: Step) -> bool:
    """Whether both sides have provably the values of before."""
    sides = [(step.lhs, mutant.lhs), (step.rhs, mutant.rhs)]
    changed = [(a, b) for a, b in sides if a is not b]
    return step.relation == mutant.relation and all(
        examine(a, b, step.domain).evidence is Evidence.PROVED for a, b in changed
    )


def controls(document: Document) -> tuple[Control, ...]:
    """Break every step of a document and look for evidence.

    Parameters
    ----------
    document : Document
        Its steps need not have been verified.

    Returns
    -------
    tuple of Control
        One for each mutant, in order.
    """
    return tuple(
        Control(derivation.name, step.rule, mutation, evidence)
        for derivation in document.derivations
        for step in derivation.steps
        for mutation, mutant in _candidates(step)
        # What is refuted has another value than a step that holds: whether it has is asked last.
        if (evidence := mutant.verify().evidence) is Evidence.REFUTED or not _harmless(step, mutant)
    )


def _is_zero(side: Any) -> bool:
    return bool(side.is_zero_matrix if isinstance(side, sp.MatrixBase) else side == 0)


def _shifted(zero: Any) -> Any:
    """A thousandth in each entry."""
    small = sp.Rational(1, 1000)
    return zero.applyfunc(lambda _: small) if isinstance(zero, sp.MatrixBase) else small


def _broken(side: Any) -> Iterator[tuple[str, Any]]:
    yield "sign", -side
    yield "factor 1.001", FACTOR * side
    sums = (
        part for entry in _entries(side) for part in sp.preorder_traversal(entry) if part.is_Add
    )
    total = next(sums, None)
    if total is not None:
        first, *rest = total.args
        yield "one term's sign", _replaced(side, total, sp.Add(first, *(-term for term in rest)))
    for a, b in combinations(_exchangeable(side), 2):
        if a.is_integer is not b.is_integer:
            continue
        swapped = side.subs({a: b, b: a}, simultaneous=True)
        if swapped != side:
            yield f"{a} and {b} exchanged", swapped
            return


def _exchangeable(side: Any) -> list[sp.Symbol]:
    """Symbols of the side, without those that only name an indexed object."""
    indexed = set().union(*(entry.atoms(sp.Indexed) for entry in _entries(side)))
    labels = {entry.base.label for entry in indexed}
    return sorted((s for s in side.free_symbols - labels if s.is_Symbol), key=str)


def _entries(side: Any) -> list[sp.Expr]:
    return list(side) if isinstance(side, sp.MatrixBase) else [side]


def _replaced(side: Any, part: sp.Expr, new: sp.Expr) -> Any:
    if isinstance(side, sp.MatrixBase):
        return side.applyfunc(lambda entry: entry.xreplace({part: new}))
    return side.xreplace({part: new})
