"""What `popflow derive` prints of a derivation: its steps, and what they end in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.cli.layout import width, wrapped
from symbolic.evidence.unicode import equation

if TYPE_CHECKING:
    from symbolic.evidence.derivation import Derivation, Step

MARGIN = "    "


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
