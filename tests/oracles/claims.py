"""Claims broken as little as a run can see."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sympy as sp

from flows.runs.check import check

#: An explicit constant is made sharper by this part of the tightest one.
A_LITTLE = 1e-3


def sharpened(run: Any, claim: Any) -> Iterator[tuple[int, str, str]]:
    """Verdicts of each conclusion with a constant a little looser than the tightest, and sharper.

    Conclusions without a constant, or with one that cannot be sharpened, are left out.
    """
    for place, c in enumerate(claim.conclusions):
        if c.constant is None or c.relation == "==":
            continue
        alone = replace(claim, conclusions=(c,), hypotheses=())
        (found,) = check(run, alone)
        if not found.constant:
            continue
        looser = A_LITTLE * abs(found.constant) * (1 if c.relation == "<=" else -1)
        outcomes = []
        for change in (looser, -looser):
            constant = sp.Float(found.constant + change)
            changed = replace(alone, conclusions=(replace(c, constant=constant),))
            outcomes.append(str(check(run, changed)[0].verdict))
        yield place, *outcomes
