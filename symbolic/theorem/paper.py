"""A theorem and its proof in LaTeX."""

from __future__ import annotations

from collections.abc import Iterable

from symbolic.evidence import latex
from symbolic.theorem.certificate import encoded, steps_of
from symbolic.theorem.formulas import Formula
from symbolic.theorem.printing import tex
from symbolic.theorem.proving import Statement

__all__ = ["article"]

#: Rules whose steps are not shown: what they say is read off the formula.
SILENT = {
    *("assume", "spec", "subst", "cut", "square", "pi", "count", "norm_sign", "norm_square"),
    *("angle_least", "angle_most", "angle_dot", "pythagoras", "exp_zero", "exp_sign", "exp_sum"),
}
KINDS = {"bootstrap": "first exit", "compare": "comparison", "monotone": "mean value theorem"}


def article(system: str, statements: Iterable[Statement]) -> str:
    """Return a LaTeX document with each theorem, its hypotheses and the steps of its proof.

    Parameters
    ----------
    system : str
        Name of the system, for the title.
    statements : iterable of Statement
        In the order in which they are printed.
    """
    body = [line for s in statements for line in _theorem(s)]
    return latex.article(f"Theorems: {system}", body, "")


def _theorem(s: Statement) -> list[str]:
    named = [(f, label) for f, label in s.labels.items() if f in s.theorem.hyps]
    lines = [r"\raggedright Let the following hold.", r"\begin{itemize}"]
    lines += [rf"\item {latex.text(label)}: {_wide(f)}" for f, label in named]
    claim = _wide(s.theorem.concl, r"\displaystyle ") + "."
    lines += [r"\end{itemize}", "Then", *latex.environment("center", [claim])]
    lines += [f"In words: {latex.text(s.says)}. Source: {latex.text(s.source)}."]
    proof = [r"\raggedright"]  # formulas are broken where they may be, and never stretched
    sources: dict[int, set[int]] = {}  # of what is not shown, those that it is made of
    count = 0
    for step in steps_of(s.theorem):
        used = set().union(*(sources[id(p)] for p in step.premises))
        if step.rule in SILENT:
            sources[id(step)] = used
            continue
        count += 1
        sources[id(step)] = {count}
        source = f" from {', '.join(map(str, sorted(used)))}" if used else ""
        rule = latex.text(KINDS.get(step.rule, step.rule.replace("_", " ")))
        proof.append(rf"\par\noindent {count} ({rule}{source}): {_wide(step.concl)}")
    if s.theorem.rule in SILENT:
        last = ", ".join(map(str, sorted(sources[id(s.theorem)])))
        proof.append(rf"\par\noindent The claim follows from {last}.")
    return [
        *latex.environment("statement", lines, latex.text(s.title)),
        *latex.environment("proof", proof),
    ]


def _wide(f: Formula, style: str = "") -> str:
    # Inline, so that TeX may break the line between the terms.
    return f"${style}{tex(encoded(f))}$"
