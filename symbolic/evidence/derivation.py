"""A derivation: ordered equations, each with the rule that was used and the evidence for it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from symbolic.evidence import latex
from symbolic.evidence.bibliography import bibtex, with_citations
from symbolic.evidence.identity import Relation
from symbolic.evidence.step import Step, counted, distinct, rows, summary

__all__ = ["Derivation", "Document", "Step", "counted", "distinct"]


@dataclass(frozen=True)
class Derivation:
    """A named chain of steps.

    Parameters
    ----------
    name : str
        What is derived.
    source : str
        Where the result is stated.
    steps : tuple of Step
        In order; a step that is not `fresh` starts where the previous one ended.
    results : tuple of str
        First words of the last rule of each chain that is stated; the results of other chains are
        part of the proof. By default all are stated.
    heading : str
        Sentence that a page shows above it; by default the name stands there.

    Raises
    ------
    ValueError
        If there is no step, if a step does not continue the previous one, if one uses a step that
        does not come before it or whose conclusion does not occur in it, or if no chain ends
        with the words of a result.
    """

    name: str
    source: str
    steps: tuple[Step, ...]
    results: tuple[str, ...] = ()
    heading: str = ""

    def __post_init__(self) -> None:
        """Check the chain."""
        if not self.steps or not self.steps[0].fresh:
            raise ValueError(f"derivation {self.name!r} must begin with a fresh step")
        for before, step in zip(self.steps, self.steps[1:], strict=False):
            if not step.fresh and step.lhs != before.rhs:
                raise ValueError(
                    f"derivation {self.name!r}: step {step.rule!r} does not continue the previous"
                )
        for place, step in enumerate(self.steps):
            known = {before.rule: before for before in self.steps[:place]}
            for rule in step.uses:
                if rule not in known:
                    raise ValueError(
                        f"derivation {self.name!r}: step {step.rule!r} uses {rule!r}, "
                        "which does not stand before it"
                    )
                if not _rests_on(step, known[rule]):
                    raise ValueError(
                        f"derivation {self.name!r}: neither side of {rule!r} occurs in step "
                        f"{step.rule!r}, which uses it"
                    )
        for words in self.results:
            if not any(chain[-1].rule.startswith(words) for chain in self.chains):
                raise ValueError(f"derivation {self.name!r}: no chain ends with {words!r}")

    def __repr__(self) -> str:
        """One line: name, and how many steps have which evidence."""
        return f"<Derivation {self.name!r}: {summary(self.steps)}>"

    def _repr_html_(self) -> str:
        heading = f"<b>{html.escape(self.name)}</b> ({html.escape(self.source)})"
        return f"<p>{heading}: {summary(self.steps)}</p>{rows(self.steps)}"

    @property
    def result(self) -> Any:
        """The right side of the last step."""
        return self.steps[-1].rhs

    @property
    def chains(self) -> tuple[tuple[Step, ...], ...]:
        """The steps, cut where one begins anew."""
        starts = [k for k, step in enumerate(self.steps) if step.fresh]
        ends = [*starts[1:], len(self.steps)]
        return tuple(self.steps[i:j] for i, j in zip(starts, ends, strict=True))

    @property
    def conclusion(self) -> Step | None:
        """Both ends of the last chain and how they compare; None if its steps do not add up."""
        return _conclusion(self.chains[-1])

    @property
    def statements(self) -> tuple[tuple[str, Step], ...]:
        """What is derived, as it is shown to a reader, with words where its last step has them."""
        ends = ((chain, _ends(chain)) for chain in self.chains if self._stated(chain))
        # The rule of a last step speaks of a whole chain only where it is named as a result.
        named = bool(self.results)
        return tuple((c[-1].rule if named or end is c[-1] else "", end) for c, end in ends)

    def _stated(self, chain: tuple[Step, ...]) -> bool:
        """Whether what a chain arrives at is a result."""
        return not self.results or chain[-1].rule.startswith(self.results)

    def number(self, step: Step) -> int | None:
        """Number of the statement that has the equation of a step, from 1; None without one."""
        found = (k for k, (_, s) in enumerate(self.statements, 1) if s.equation == step.equation)
        return next(found, None)

    @property
    def conventions(self) -> tuple[str, ...]:
        """Conventions of the statements, such as the meaning of their symbols."""
        return tuple(dict.fromkeys(a for _, end in self.statements for a in end.assumptions))

    def verify(self) -> Derivation:
        """Return the derivation with the evidence of every step computed anew."""
        return replace(self, steps=tuple(step.verify() for step in self.steps))

    def latex(self, label: str = "statement") -> str:
        """LaTeX of the derivation: notation, what is derived with the source, proof."""
        sides = [side for step in self.steps for side in (step.lhs, step.rhs)]
        agreed = dict.fromkeys(words for step in self.steps for words in step.assumptions)
        numbers = {step.rule: number for number, step in enumerate(self.steps, 1)}
        statement, proof, number = [rf"\label{{{label}}}"], [], 0
        for k, chain in enumerate(self.chains, 1):
            name, stated = f"{label}-{k}", self._stated(chain)
            ends = _ends(chain)
            if stated:
                equation = [rf"\label{{{name}}}", ends.displayed]
                statement += latex.environment("equation", equation)
            for step in chain:
                number += 1
                rule = f"{latex.text(step.rule)}{_after(step, numbers)}."
                is_last = stated and step is chain[-1]
                what = rf"Step {number}" + (
                    rf", which arrives at \eqref{{{name}}}" if is_last else ""
                )
                proof.append(rf"\par\noindent {what}: {rule}")
                known = stated and step.displayed == ends.displayed
                proof += [] if known else [rf"\[{step.displayed}\]"]
        statement.append(rf"Source: {with_citations(latex.text(self.source))}.")
        lines = latex.definition(sides, tuple(agreed))
        lines += latex.environment("statement", statement, latex.text(self.name))
        return "\n".join([*lines, *latex.environment("proof", proof)])

    def to_json(self) -> dict[str, Any]:
        """Return name, source and steps as plain data."""
        return {
            "name": self.name,
            "source": self.source,
            "steps": [step.to_json() for step in self.steps],
        }


@dataclass(frozen=True)
class Document:
    """All derivations of one system.

    Parameters
    ----------
    system : str
        Name of the system.
    derivations : tuple of Derivation
        In reading order.
    """

    system: str
    derivations: tuple[Derivation, ...]

    def __repr__(self) -> str:
        """One line for the document, and one for each of its derivations."""
        heading = f"derivations of {self.system}: {summary(self.steps)}"
        return "\n".join([heading, *(f"  {derivation!r}" for derivation in self.derivations)])

    def _repr_html_(self) -> str:
        parts = "".join(
            f"<details><summary>{html.escape(d.name)}: {summary(d.steps)}</summary>"
            f"{rows(d.steps)}</details>"
            for d in self.derivations
        )
        return f"<p><b>{html.escape(self.system)}</b>: {summary(self.steps)}</p>{parts}"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all derivations, in order."""
        return tuple(step for derivation in self.derivations for step in derivation.steps)

    def verify(self) -> Document:
        """Return the document with the evidence of every step computed anew."""
        return replace(self, derivations=tuple(d.verify() for d in self.derivations))

    def latex(self, bibliography: str = "") -> str:
        """Return a complete LaTeX document, an appendix with what it takes to print it.

        Parameters
        ----------
        bibliography : str
            Name of the file that has `bibtex`, without its ending; none is read by default.
        """
        name = "".join(c if c.isalnum() else "-" for c in self.system)
        body = [
            derivation.latex(f"statement:{name}-{number}") + "\n"
            for number, derivation in enumerate(self.derivations, 1)
        ]
        return latex.article(f"Derivation: {self.system}", body, bibliography)

    def bibtex(self) -> str:
        """Return a BibTeX file of the works that the derivations cite, empty if there are none."""
        return bibtex(derivation.source for derivation in self.derivations)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `popflow derive --json` prints."""
        return {
            "system": self.system,
            "derivations": [derivation.to_json() for derivation in self.derivations],
        }


def _ends(chain: tuple[Step, ...]) -> Step:
    """Both ends of a chain, or its last step where they say less."""
    whole = _conclusion(chain)
    # What is shown in vector notation has no ends in components that fit on a page.
    return chain[-1] if whole is None or any(step.shown for step in chain) else whole


def _conclusion(chain: tuple[Step, ...]) -> Step | None:
    """Both ends of a chain as one step; None where `<=` and `>=` are mixed."""
    relations = {step.relation for step in chain} - {"=="}
    if len(chain) == 1 or len(relations) > 1:
        return None if len(chain) > 1 else chain[0]
    relation: Relation = relations.pop() if relations else "=="
    rule = f"{chain[0].rule} to {chain[-1].rule}"
    return Step(chain[0].lhs, chain[-1].rhs, rule, relation=relation)


def _rests_on(step: Step, lemma: Step) -> bool:
    """Whether a side of the lemma is a part of a side of the step."""
    parts = {part for side in (step.lhs, step.rhs) for part in sp.preorder_traversal(side)}
    return lemma.lhs in parts or lemma.rhs in parts


def _after(step: Step, numbers: Mapping[str, int]) -> str:
    """LaTeX of what a step rests on, and of the evidence for it."""
    used = sorted(numbers[rule] for rule in step.uses)
    notes = [f"by step{'s' * (len(used) > 1)} {', '.join(map(str, used))}"] if used else []
    if step.finding:
        basis = f" by {step.finding.basis}" if step.finding.basis else ""
        notes.append(f"{str(step.evidence).lower()}{basis}")
    return f" ({'; '.join(notes)})" if notes else ""
