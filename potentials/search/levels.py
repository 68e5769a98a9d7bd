"""Where starts have no proof, a level below which they have one."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from potentials.search.exact import simplest
from potentials.search.find import find
from potentials.search.polynomials import fraction, rational
from potentials.search.printed import law
from potentials.search.question import Answer, Look, Question
from potentials.search.subject import Subject

__all__ = ["advised"]

# So many levels are tried, each between these parts of what failed before, or of its root if it is
# large: far out losses are.
TRIES, PARTS, LARGE = 4, (0.2, 0.5), 100.0
# Where the potential is this part of its level, a rate fails near the minimum: at all levels.
NEAR = 1e-3


def advised(subject: Subject, question: Question, look: Look) -> Answer:
    """An answer; of a refusal the reason names a lower level with a proof, if one is found."""
    answer = find(subject, question, look)

    def begin(_: Answer) -> None:
        look(answer)

    state, level, first = answer.slowest, question.level, answer.reason
    top = math.inf
    for _ in range(TRIES if question.sharp and not question.lower else 0):
        if answer.found is not None or state is None or state.height < NEAR * min(top, 1.0):
            break
        least = state.loss - state.height
        top = min(state.height, math.inf if level is None else float(rational(level)) - least)
        top = top if top < LARGE else math.sqrt(top)
        level = fraction(simplest(*(Fraction(least + part * top) for part in PARTS)))
        less = replace(question, rates=question.rates[:1], level=level, sharp=False)
        lower = find(subject, less, begin)
        if lower.found is not None:
            shown = f"{first}; where L <= {rational(level)}, {law(lower.found)}"
            return replace(answer, reason=shown)
        if (state := lower.slowest) is not None:
            failed = state.told(subject.flow, question.rates[0])
            answer = replace(
                answer, reason=f"{first}; none was found for L <= {rational(level)}, {failed}"
            )
    return answer
