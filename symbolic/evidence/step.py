"""One step of a derivation, with the evidence for it; and how the evidence of many is counted."""

from __future__ import annotations

import functools
import html
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import sympy as sp

from symbolic.evidence.identity import Basis, Domain, Evidence, Finding, Relation, examine

__all__ = ["Step", "counted", "distinct", "rows", "summary"]

# Characters of LaTeX that fit on a line.
LINE = 200
SAYS_NOTHING = (
    "both sides are the same expression, whatever the words say: write what was there before it was"
    " simplified, or mark it with same=True"
)
UNVERIFIED = "not verified yet"
RELATION_LATEX = {"==": "=", "<=": r"\le", ">=": r"\ge"}


@dataclass(frozen=True)
class Step:
    r"""One line `lhs = rhs` of a derivation, or `lhs <= rhs`, `lhs >= rhs`.

    Parameters
    ----------
    lhs, rhs : Expr or Matrix
        The two sides.
    rule : str
        What turns the left side into the right side, in a few words.
    assumptions : tuple of str
        What the rule needs and the symbols do not say.
    domain : tuple of (Symbol, low, high)
        Where the bounded symbols live; others are sampled from their own assumptions.
    fresh : bool
        Whether the step starts a new chain; False where it goes on from the previous right side.
    shown : str
        LaTeX in vector notation, displayed where the two sides in components would fill a page.
    relation : {"==", "<=", ">="}
        How the sides compare.
    uses : tuple of str
        Rules of earlier steps of the derivation whose conclusions this step rests on. A side of
        each must occur in this step, so that a lemma that changes breaks what uses it.
    check : callable or None
        ``check(lhs, rhs)`` looks for evidence in place of `examine`, for what SymPy's rules and
        boxes of symbols do not reach, such as Krawczyk's test.
    same : bool
        Whether both sides may be one expression as they stand: a sign that is agreed on, or one
        thing computed in two ways. Of another step that is no evidence for its words.
    finding : Finding or None
        The evidence, once `verify` has looked for it.
    seconds : float
        What looking for it took.
    """

    lhs: Any
    rhs: Any
    rule: str
    _: KW_ONLY
    assumptions: tuple[str, ...] = ()
    domain: Domain = ()
    fresh: bool = True
    shown: str = ""
    relation: Relation = "=="
    uses: tuple[str, ...] = ()
    check: Callable[[Any, Any], Finding] | None = field(default=None, compare=False, repr=False)
    same: bool = False
    finding: Finding | None = None
    seconds: float = 0.0

    @functools.cached_property
    def equation(self) -> str:
        """LaTeX of `lhs = rhs`, or what is `shown` in its place."""
        sides = sp.latex(self.lhs), sp.latex(self.rhs)
        return self.shown or f" {RELATION_LATEX[self.relation]} ".join(sides)

    @property
    def displayed(self) -> str:
        """LaTeX of the step for a page: cut before the relation where one line is too short."""
        if self.shown or len(self.equation) < LINE:
            return self.equation
        left, right = sp.latex(self.lhs), sp.latex(self.rhs)
        relation = RELATION_LATEX[self.relation]
        return rf"\begin{{gathered}} {left} \\ {relation} {right} \end{{gathered}}"

    @property
    def statement(self) -> tuple[Any, ...]:
        """What the step claims: equal for steps that differ in their words only."""
        sides = (
            side.as_immutable() if isinstance(side, sp.MatrixBase) else side
            for side in (self.lhs, self.rhs)
        )
        return (*sides, self.relation, self.domain)

    @property
    def evidence(self) -> Evidence:
        """The level of evidence; `OPEN` until `verify` has looked for it."""
        return self.finding.evidence if self.finding else Evidence.OPEN

    @property
    def reason(self) -> str:
        """Why the step is not proved, in words; empty if it is."""
        return self.finding.reason if self.finding else "no evidence has been looked for"

    def __repr__(self) -> str:
        """One line: rule and evidence; the equation is in `equation`."""
        found = f"{self.evidence}" if self.finding else UNVERIFIED
        return f"<Step {self.rule!r}: {found}>"

    def _repr_html_(self) -> str:
        return rows([self])

    def verify(self) -> Step:
        """Return the step with freshly computed evidence."""
        begin = time.perf_counter()
        if self.check is not None:
            finding = self.check(self.lhs, self.rhs)
        elif self.relation == "==" and bool(self.lhs == self.rhs) and not self.same:
            finding = Finding(Evidence.OPEN, detail=SAYS_NOTHING)
        else:
            finding = examine(self.lhs, self.rhs, self.domain, self.relation)
        return replace(self, finding=finding, seconds=time.perf_counter() - begin)

    def to_json(self) -> dict[str, Any]:
        """Return the step as plain data.

        `basis` says what a proof takes, `reason` why there is none; one of them is null.
        """
        basis = self.finding.basis if self.finding else None
        return {
            "rule": self.rule,
            "equation": self.equation,
            "evidence": str(self.evidence),
            "basis": str(basis) if basis else None,
            "reason": self.reason or None,
            "seconds": self.seconds,
        }


def computed(lhs: Any, rhs: Any, rule: str, **given: Any) -> Step:
    """Return a step of which a machine computes both sides, which may come out as one."""
    return Step(lhs, rhs, rule, same=True, **given)


def distinct(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps without those that repeat the statement of an earlier one.

    Parameters
    ----------
    steps : iterable of Step
        Of one derivation or of many; a lemma may stand in several.

    Returns
    -------
    tuple of Step
        In order.
    """
    first: dict[tuple[Any, ...], Step] = {}
    for step in steps:
        first.setdefault(step.statement, step)
    return tuple(first.values())


def counted(steps: Iterable[Step]) -> str:
    """Say how many distinct steps have which evidence, and how many proofs take next to nothing.

    Parameters
    ----------
    steps : iterable of Step
        Of one derivation or of many.

    Returns
    -------
    str
        Such as ``9 distinct steps of 10: 7 PROVED (1 by definition, 3 by evaluation), 2 ENCLOSED``.
    """
    steps = tuple(steps)
    once = distinct(steps)
    evidence = Counter(step.evidence for step in once)
    basis = Counter(step.finding.basis for step in once if step.finding)
    little = [f"{basis[b]} by {b}" for b in (Basis.DEFINITION, Basis.EVALUATION) if basis[b]]
    levels = [f"{evidence[level]} {level}" for level in Evidence if evidence[level]]
    if little:
        levels[0] += f" ({', '.join(little)})"
    return f"{len(once)} distinct steps of {len(steps)}: {', '.join(levels)}"


def summary(steps: tuple[Step, ...]) -> str:
    """How many steps there are with which evidence, as far as it was looked for."""
    verified = any(step.finding for step in steps)
    return counted(steps) if verified else f"{len(steps)} steps, {UNVERIFIED}"


def rows(steps: Iterable[Step]) -> str:
    """Table of steps for a notebook, which sets what stands between dollars."""
    cell = '<td style="text-align:left">'
    lines = "".join(
        f"<tr>{cell}{html.escape(step.rule)}</td>{cell}${html.escape(step.displayed)}$</td>"
        f"{cell}{step.evidence if step.finding else UNVERIFIED}</td></tr>"
        for step in steps
    )
    return f"<table>{lines}</table>"
