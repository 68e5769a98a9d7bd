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
    lines = ["Let the following hold.", r"\begin{itemize}"]
    lines += [rf"\item {latex.text(label)}: {_wide(f)}" for f, label in named]
    lines += [r"\end{itemize}", rf"Then \[{tex(encoded(s.theorem.concl))}.\]"]
    lines += [f"In words: {latex.text(s.says)}. Source: {latex.text(s.source)}."]
    proof = []
    numbers: dict[int, int] = {}
    for step in steps_of(s.theorem):
        if step.rule in SILENT:
            continue
        numbers[id(step)] = len(numbers) + 1
        used = sorted({numbers[id(p)] for p in step.premises if id(p) in numbers})
        source = f" from {', '.join(map(str, used))}" if used else ""
        rule = latex.text(KINDS.get(step.rule, step.rule.replace("_", " ")))
        proof.append(rf"\par\noindent {len(numbers)} ({rule}{source}): {_wide(step.concl)}")
    return [
        *latex.environment("statement", lines, latex.text(s.title)),
        *latex.environment("proof", proof),
    ]


def _wide(f: Formula) -> str:
    # Inline, so that TeX may break the line between the terms.
    return f"${tex(encoded(f))}$"
