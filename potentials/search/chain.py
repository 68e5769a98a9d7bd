r"""Potentials on level sets, one inside the other: one theorem of the largest set.

Where `\ell_1 \le L \le \ell_0`, the loss falls exponentially, `\dot V \le -c V` of `V = L - a`. So
`L \le \ell_1` from `T = c^{-1} \log((\ell_0 - a)/(\ell_1 - a))` on, and there the smaller set has a
potential with a rate and a constant of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from flint import fmpq

from potentials.search.find import NO_LEAST, find
from potentials.search.polynomials import rational
from potentials.search.printed import LATER, law, starts, theorem
from potentials.search.question import Answer, Look, Question
from potentials.search.rates import Found
from potentials.search.record import data_of
from potentials.search.subject import Subject

__all__ = ["Chain", "chained"]

FORMAT = "popflow potentials 1"


@dataclass(frozen=True)
class Chain:
    """What was found on level sets, the largest one first.

    Parameters
    ----------
    stages : tuple of Found
        On each of them.
    levels : tuple of fmpq
        Their levels.
    """

    stages: tuple[Found, ...]
    levels: tuple[fmpq, ...]

    @property
    def times(self) -> tuple[sp.Expr, ...]:
        """At most so long each stage before the last one takes."""
        found = []
        levels = itertools.pairwise(self.levels)
        for stage, (outer, inner) in zip(self.stages, levels, strict=False):
            least = (stage.flow.loss - stage.V).leading_coefficient()
            ratio = rational((outer - least) / (inner - least))
            found.append(sp.log(ratio) / rational(stage.constant))
        return tuple(found)

    @property
    def statement(self) -> str:
        """What is proved, in one sentence."""
        last = self.stages[-1]
        rest, begin = last.flow.loss - last.V, "V(T)"
        if rest.is_constant():
            begin = str(rational(self.levels[-1] - rest.leading_coefficient()))
        largest = replace(last, where=self._where())
        later = f"{law(last, LATER, begin)} for all t > T = {sp.Add(*self.times, evaluate=False)}"
        return f"V = {last.flow.written(last.V)}: {later}, {starts(largest)}"

    def _where(self) -> Any:
        """The set of the last stage, with the largest level."""
        where = self.stages[-1].where
        first = self.levels[0]
        conditions = (replace(c, level=first) if c.level else c for c in where.conditions)
        return replace(where, conditions=tuple(conditions))

    def data(self) -> dict[str, Any]:
        """Everything that a check needs."""
        return {"format": FORMAT, "stages": [data_of(stage) for stage in self.stages]}

    def theorem(self) -> str:
        """The theorems of all sets, and what follows, for LaTeX with amsmath and amsthm."""
        time = sp.latex(sp.Add(*self.times, evaluate=False))
        level = sp.latex(rational(self.levels[0]))
        rest = [
            r"\begin{theorem}",
            rf"Every start with $L \le {level}$ has the last of these bounds",
            rf"from \[ T = {time} \] on, with $t - T$ for $t$.",
            r"\end{theorem}",
            r"\begin{proof}",
            r"Before, $L$ less its lower bound falls exponentially from level to level, as long as",
            r"it is above the next one, which it reaches until the time in the sum.",
            r"\end{proof}",
        ]
        return "\n".join([*map(theorem, self.stages), *rest])


def chained(
    subject: Subject, question: Question, levels: Sequence[fmpq], look: Look
) -> tuple[Answer, Chain | None]:
    """The answer of the smallest level set, and all of them.

    Parameters
    ----------
    subject : Subject
        The loss.
    question : Question
        About the smallest set.
    levels : sequence of fmpq
        Of the sets, the largest one first.
    look : callable
        Called with the answer so far, before each attempt.
    """

    def begin(answer: Answer) -> None:  # one stage is no answer
        look(replace(answer, found=None))

    last = find(subject, replace(question, level=levels[-1]), begin)
    if last.found is None:
        return last, None
    if last.found.least is None:
        return replace(last, found=None, reason=NO_LEAST), None
    stages = []
    for outer, inner in itertools.pairwise(levels):
        far = replace(question, rates=("exp",), level=outer, until=inner, template=None)
        answer = find(subject, far, begin)
        if answer.found is None:
            where = f"from L = {rational(outer)} to {rational(inner)}, {answer.reason}"
            return replace(answer, reason=where), None
        stages.append(answer.found)
    return last, Chain((*stages, last.found), tuple(levels))
