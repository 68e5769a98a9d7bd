"""Claims: comparisons of two expressions along a flow, with hypotheses and a source.

Every claim has the form "if the hypotheses hold then, at the times and indices that `where`
selects, `lhs <= C rhs`" (or `>=`, `==`). The constant `C` is explicit, or the paper leaves it
unspecified. On a finite run an unspecified constant always exists; what can fail is that one
constant goes on serving, so such a comparison is decided by its growth in the late regime
(see `flows.check`).
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import sympy as sp

from potentials.notation import symbol, to_latex, to_text
from potentials.potential import Over
from potentials.source import Source
from symbolic.language.errors import InputError
from symbolic.language.expressions import as_expression

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

Relation = Literal["<=", ">=", "=="]

#: Stands for the claim's exponent in its comparisons.
EXPONENT = symbol("exponent")

_CONVERSE: dict[Relation, Relation] = {"<=": ">=", ">=": "<=", "==": "=="}
_RELATION_LATEX = {"<=": r"\le", ">=": r"\ge", "==": "="}


def _expression(value: Any, name: str) -> sp.Expr:
    """Expression of a number or expression; a string is neither."""
    if isinstance(value, bool) or not isinstance(value, (sp.Expr, int, float)):
        raise InputError(
            f"{name} must be an expression or a number, got {value!r}; a quantity is"
            " potentials.symbol(name)"
        )
    return as_expression(value)


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse another word than those there are."""
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _listed(name: str, values: Any, kind: type, example: str) -> tuple[Any, ...]:
    """Tuple of objects of one kind; one alone is no list."""
    if not isinstance(values, (tuple, list)) or not all(isinstance(x, kind) for x in values):
        raise InputError(
            f"{name} must be a tuple of {kind.__name__} objects, got {values!r:.60}; write"
            f" {name}={example}"
        )
    return tuple(values)


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
        object.__setattr__(self, "condition", _expression(self.condition, "condition"))
        _one_of("when", self.when, ("until", "from"))


@dataclass(frozen=True)
class Hypothesis:
    """A condition of a theorem, evaluated with numbers for a given run.

    Parameters
    ----------
    text : str
        The condition in words, with what was read into unspecified constants.
    lhs, rhs : Expr
        The two sides that are compared at every time that the claim selects.
    relation : {"<=", ">=", "<", ">"}
        How they are compared.
    over : {"state", "neuron", "pair"}
        The index it must hold for; it must hold for all.
    unmet : str
        What is said where it does not hold, with `{value}` and `{needed}` for the numbers of the
        run; by default the two sides as they are compared.
    value : Expr or None
        What `{value}` shows where a reader looks at something else than `lhs`.

    Raises
    ------
    InputError
        For sides that are no expressions, and an unknown relation or index.
    """

    text: str
    lhs: sp.Expr
    relation: Literal["<=", ">=", "<", ">"]
    rhs: sp.Expr
    over: Over = "state"
    _: KW_ONLY
    unmet: str = ""
    value: sp.Expr | None = None

    def __post_init__(self) -> None:
        """Check what is compared."""
        for name in ("lhs", "rhs"):
            object.__setattr__(self, name, _expression(getattr(self, name), name))
        _one_of("relation", self.relation, ("<=", ">=", "<", ">"))
        _one_of("over", self.over, get_args(Over))

    def failure(self, value: float, needed: float | str) -> str:
        """Say in one line that it is not met, with the numbers of a run.

        Parameters
        ----------
        value, needed : float or str
            NaN where a side is undefined; a text for a number that no double holds.
        """
        text = self.unmet or f"{to_text(self.lhs)} = {{value}}, not {self.relation} {{needed}}"
        digits = 4
        while isinstance(needed, float) and f"{value:.{digits}g}" == f"{needed:.{digits}g}":
            if value == needed or digits == 17:
                break
            digits += 1
        if math.isnan(value) and " = {value}" in text:
            return f"{text.partition(' = {value}')[0]} is undefined"
        for name, number in (("{value}", value), ("{needed}", needed)):
            if isinstance(number, str):
                text = text.replace(name, number)
            elif math.isnan(number):
                text = text.replace(f" = {name}", ", which is undefined").replace(name, "undefined")
            else:
                text = text.replace(name, f"{number:.{digits}g}")
        return text


@dataclass(frozen=True)
class Comparison:
    """`lhs relation constant * rhs` at the times and indices where all of `where` are >= 0.

    Parameters
    ----------
    lhs, rhs : Expr
        In quantities by name; `EXPONENT` stands for the claim's exponent.
    relation : {"<=", ">=", "=="}
        How they are compared.
    constant : Expr or None
        The constant, or None where the source leaves it unspecified.
    where : tuple of Expr
        The comparison is made where all of these are not negative.
    over : {"state", "neuron", "pair"}
        The index over which the comparison is made.
    at_infinity : bool
        Whether it is about the limit: that it holds at the times of a run says something only once
        the late regime has begun.
    says : tuple of Expr
        The comparison says something only where all of these are positive: elsewhere it holds
        whatever the flow does, for example because its slack exceeds what it bounds.

    Raises
    ------
    InputError
        For sides that are no expressions, an unknown relation or index, an empty `where`, a
        constant that is no number, and an open constant for each neuron or pair.
    """

    lhs: sp.Expr
    relation: Relation
    rhs: sp.Expr
    constant: sp.Expr | None = None
    where: tuple[sp.Expr, ...] = (symbol("t"),)
    over: Over = "state"
    at_infinity: bool = False
    says: tuple[sp.Expr, ...] = ()

    def __post_init__(self) -> None:
        """Check what is compared; numbers become expressions and `where` a tuple."""
        for name in ("lhs", "rhs"):
            object.__setattr__(self, name, _expression(getattr(self, name), name))
        _one_of("relation", self.relation, tuple(_CONVERSE))
        _one_of("over", self.over, get_args(Over))
        if not isinstance(self.where, (tuple, list)) or not self.where:
            raise InputError(
                "where must be a tuple of at least one expression, for example (t,) for all times,"
                f" got {self.where!r}"
            )
        where = tuple(_expression(x, "an entry of where") for x in self.where)
        object.__setattr__(self, "where", where)
        if not isinstance(self.says, (tuple, list)):
            raise InputError(f"says must be a tuple of expressions, got {self.says!r}; write (x,)")
        says = tuple(_expression(x, "an entry of says") for x in self.says)
        object.__setattr__(self, "says", says)
        if self.constant is not None:
            constant = _expression(self.constant, "constant")
            if not (constant.is_number and constant.is_extended_real and constant.is_finite):
                raise InputError(
                    f"constant must be a finite real number, or None for one that is open, got"
                    f" {constant}; a factor that depends on quantities belongs to rhs"
                )
            object.__setattr__(self, "constant", constant)
        elif self.over != "state":
            raise InputError(
                f"a comparison over each {self.over} needs a constant, since whether one serves is"
                " read off a single course; compare a maximum or minimum, or give the constant"
            )

    @property
    def asymptotic(self) -> bool:
        """Whether the constant is unspecified, so that only its growth can fail."""
        return self.constant is None

    def latex(self, names: Mapping[str, str]) -> str:
        """Return the comparison in LaTeX; an unspecified constant is `C` above and `c` below."""
        relation = _RELATION_LATEX[self.relation]
        if self.constant is None:
            constant = "C" if self.relation == "<=" else "c"
            right = rf"{constant} \cdot {to_latex(self.rhs, names)}"
            right = constant if self.rhs == 1 else right
        else:
            right = to_latex(self.constant * self.rhs, names)
        return f"{to_latex(self.lhs, names)} {relation} {right}"


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
            object.__setattr__(self, "exponent", _expression(self.exponent, "exponent"))
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
        relation = c.relation if self.sign == 1 else _CONVERSE[c.relation]
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
