"""Times that are read off a run, such as the beginning of a phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sympy as sp

from potentials.comparison import expression, one_of

__all__ = ["Mark"]


@dataclass(frozen=True)
class Mark:
    """A time that is read off a run by a rule, such as the beginning of a phase.

    Parameters
    ----------
    name : str
        Symbol of the time.
    condition : Expr
        The rule holds where this is not negative.
    when : {"until", "from"}
        `until`: the last output time of the stretch from the start on which the rule holds;
        `from`: the first output time from which the rule holds to the end.
    text : str
        The rule in words.

    Raises
    ------
    InputError
        For a condition that is no expression, and another word than these.
    """

    name: str
    condition: sp.Expr
    when: Literal["until", "from"]
    text: str

    def __post_init__(self) -> None:
        """Check the rule."""
        object.__setattr__(self, "condition", expression(self.condition, "condition"))
        one_of("when", self.when, ("until", "from"))
