"""Claims: comparisons of two expressions along a flow, with hypotheses and a source.

Every claim has the form "if the hypotheses hold then, at the times and indices that `where`
selects, `lhs <= C rhs`" (or `>=`, `==`). The constant `C` is explicit, or the paper leaves it
unspecified. On a finite run an unspecified constant always exists; what can fail is that one
constant goes on serving, so such a comparison is decided by its growth in the late regime
(see `flows.check`).
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import sympy as sp

from potentials.comparison import CONVERSE, EXPONENT, Comparison, Hypothesis, Relation, expression
from potentials.mark import Mark
from potentials.source import Source
from symbolic.language.errors import InputError

# A claim has one face: what it is made of is imported from here, too.
__all__ = [
    "EXPONENT",
    "Claim",
    "Comparison",
    "Conserved",
    "Hypothesis",
    "Identity",
    "Inequality",
    "Invariant",
    "LowerBound",
    "Mark",
    "Rate",
    "Relation",
    "UpperBound",
]


def _listed(name: str, values: Any, kind: type, example: str) -> tuple[Any, ...]:
    """Tuple of objects of one kind; one alone is no list."""
    if not isinstance(values, (tuple, list)) or not all(isinstance(x, kind) for x in values):
        raise InputError(
            f"{name} must be a tuple of {kind.__name__} objects, got {values!r:.60}; write"
            f" {name}={example}"
        )
    return tuple(values)


@dataclass(frozen=True, kw_only=True)
class Claim(ABC):
    """A statement of a paper about a flow.

    Parameters
    ----------
    id : str
        Name of the claim.
    statement : str
        The statement in words and plain formulas, with the rule for its window.
    source : Source
        Where it is stated.
    hypotheses : tuple of Hypothesis
        Its conditions.
    conclusions : tuple of Comparison
        The measurable conclusion: all of them.
    exponent : Expr or None
        Replaces `EXPONENT` in the conclusions; `dataclasses.replace(claim, exponent=4)` breaks one.
    sign : {1, -1}
        -1 turns every inequality round: the converse claim.
    reading : str
        What stands here for something that the source has otherwise or leaves open, such as the
        times between its phases; verdicts repeat it.
    names : mapping
        LaTeX of the quantities.

    Raises
    ------
    InputError
        For a relation that this kind of claim does not make, no conclusion, and parts of another
        kind.
    """

    id: str
    statement: str
    source: Source
    conclusions: tuple[Comparison, ...]
    hypotheses: tuple[Hypothesis, ...] = ()
    exponent: sp.Expr | None = None
    sign: Literal[1, -1] = 1
    reading: str = ""
    names: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )

    relations: ClassVar[frozenset[str]] = frozenset({"<=", ">="})

    def __post_init__(self) -> None:
        """Refuse what says nothing, and a relation that this kind of claim does not make."""
        if not isinstance(self.id, str) or not self.id:
            raise InputError(f"id must be the name of the claim, got {self.id!r}; write id='upper'")
        conclusions = _listed("conclusions", self.conclusions, Comparison, "(comparison,)")
        if not conclusions:
            raise InputError(
                f"{self.kind} {self.id!r} must have a conclusion, got none; give conclusions="
                "(Comparison(...),)"
            )
        hypotheses = _listed("hypotheses", self.hypotheses, Hypothesis, "(hypothesis,)")
        object.__setattr__(self, "conclusions", conclusions)
        object.__setattr__(self, "hypotheses", hypotheses)
        if not isinstance(self.source, Source):
            raise InputError(
                f"source must be a Source, got {self.source!r:.60}; write"
                " Source(authors, year, arxiv, locator, kind)"
            )
        if self.sign not in (1, -1):
            raise InputError(f"sign must be 1, or -1 for the converse, got {self.sign!r}")
        if self.exponent is not None:
            object.__setattr__(self, "exponent", expression(self.exponent, "exponent"))
        for c in conclusions:
            if c.relation not in self.relations:
                known = " or ".join(sorted(self.relations))
                raise InputError(
                    f"{self.kind} {self.id!r} must claim {known}, got {c.relation!r}; take"
                    f" {'Inequality' if '==' in self.relations else 'Identity'}"
                )

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields; a mapping proxy cannot be sent to another process."""
        return {**self.__dict__, "names": dict(self.names)}

    @property
    def kind(self) -> str:
        """The kind of claim, the name of its class."""
        return type(self).__name__

    @property
    def text(self) -> str:
        """The statement with its reading."""
        return f"{self.statement}; {self.reading}" if self.reading else self.statement

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The conclusions with the claim's exponent and sign put in."""
        return tuple(self._concrete(c) for c in self.conclusions)

    @property
    def asymptotic(self) -> bool:
        """Whether some conclusion is about all later times, with an unspecified constant."""
        return any(c.asymptotic for c in self.conclusions)

    def _concrete(self, c: Comparison) -> Comparison:
        relation = c.relation if self.sign == 1 else CONVERSE[c.relation]
        if self.exponent is None:
            return replace(c, relation=relation)
        put = {EXPONENT: sp.nsimplify(self.exponent, rational=True)}
        says = tuple(x.subs(put) for x in c.says)
        return replace(c, lhs=c.lhs.subs(put), rhs=c.rhs.subs(put), relation=relation, says=says)

    def latex(self) -> str:
        """Return the measurable conclusion in LaTeX, derived from the expressions that run."""
        return r" \qquad ".join(c.latex(self.names) for c in self.comparisons)

    def __str__(self) -> str:
        """Return one line: id, kind, statement, reading, source."""
        return f"{self.id} ({self.kind}): {self.text}  [{self.source}]"

    def __repr__(self) -> str:
        """Return the same line."""
        return str(self)


class UpperBound(Claim):
    """The loss stays below a multiple of an explicit function of time."""


class LowerBound(Claim):
    """The loss stays above a multiple of an explicit function of time."""


class Inequality(Claim):
    """Two functions of the state are ordered along the flow."""


class Rate(Claim):
    """The logarithmic rate of decay stays away from zero."""


class Invariant(Claim):
    """A region that the flow does not leave."""


class Identity(Claim):
    """Two functions of the state are equal along the flow; every relation is `==`."""

    relations: ClassVar[frozenset[str]] = frozenset({"=="})


class Conserved(Claim):
    """A function of the state keeps its initial value; every relation is `==`."""

    relations: ClassVar[frozenset[str]] = frozenset({"=="})
