"""The output of `popflow derive`: the steps of a derivation, and their result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import symbolic
from flows.cli.layout import width, wrapped
from flows.cli.options import OF_RUNS, flag, given, one_of, refuse
from flows.cli.subject import system_of
from flows.core.errors import InputError
from flows.systems.registry import MODELS, SYSTEMS
from symbolic.evidence.unicode import equation
from symbolic.systems.own.derivation import derive_kept

if TYPE_CHECKING:
    from flows.core.options import Options
    from symbolic.evidence.derivation import Derivation, Document, Step

MARGIN = "    "


def document_of(subject: str, options: Options) -> Document:
    """Derivation of a system, with what it keeps at the size that options say; or of a loss.

    Raises
    ------
    InputError
        For another name, options of another system, and sizes at which nothing is sought.
    """
    refuse(options, (*OF_RUNS, "start", "max_seconds"), "a derivation is of no run")
    asked = given(options)
    if subject.isidentifier():
        one_of("system", subject, (*symbolic.DOCUMENTS, *MODELS))
    if subject in symbolic.DOCUMENTS and subject not in SYSTEMS and asked:
        raise InputError(f"{flag(asked[0])}: {subject} has no size; leave it out")
    if subject in symbolic.DOCUMENTS and not asked:
        return symbolic.derive(subject)
    found = system_of(subject)
    system: Any = found.problem(options)[0]
    if not found.shipped:
        own: Document = system.derive()
        return own
    document = symbolic.derive(subject)
    kept = system.kept()
    if kept is None and system.polynomial.flow:  # or else this says why there is none
        raise InputError(f"{subject}: its invariants would take long; choose a smaller size")
    assert kept is not None
    blocks, loss = system.formula
    more = derive_kept(blocks, loss, kept)
    return replace(document, derivations=(*document.derivations, *more))


def derivation_lines(derivation: Derivation) -> list[str]:
    """Lines of the steps, each with rule and evidence, and of the result.

    Parameters
    ----------
    derivation : Derivation
        Verified, so that the evidence is known.
    """
    columns = width()
    lines = [*wrapped(derivation.name, columns), *wrapped(f"({derivation.source})", columns), ""]
    for number, step in enumerate(derivation.steps, 1):
        lines += _step(number, step, columns)
    result = derivation.conclusion
    if result is None or len(derivation.chains[-1]) == 1:
        return [*lines, f"Result: line {len(derivation.steps)}.", ""]
    ends = equation(result.lhs, result.relation, result.rhs, columns - len(MARGIN))
    return [*lines, "Result:", "", *_equation(ends), ""]


def _step(number: int, step: Step, columns: int) -> list[str]:
    basis = f" by {step.finding.basis}" if step.finding and step.finding.basis else ""
    first, *rest = wrapped("; ".join((step.rule, *step.assumptions)), columns - len(MARGIN))
    lhs = step.lhs if step.fresh else None
    return [
        f"{number:>3} {first}",
        *(MARGIN + line for line in rest),
        f"{MARGIN}{step.evidence}{basis}, {step.seconds:.2f} s",
        "",
        *_equation(equation(lhs, step.relation, step.rhs, columns - len(MARGIN))),
        "",
    ]


def _equation(lines: list[str]) -> list[str]:
    return [f"{MARGIN}{line}".rstrip() for line in lines]
