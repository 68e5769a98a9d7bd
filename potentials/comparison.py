"""What claims are made of: hypotheses and conclusions, two expressions that are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

import sympy as sp

from potentials.notation import symbol, to_latex, to_text
from potentials.potential import Over
from symbolic.language.errors import InputError
from symbolic.language.expressions import as_expression

__all__ = ["CONVERSE", "EXPONENT", "Comparison", "Hypothesis", "Relation", "expression", "one_of"]

Relation = Literal["<=", ">=", "=="]

#: Stands for the claim's exponent in its comparisons.
EXPONENT = symbol("exponent")

#: What the converse claim states.
CONVERSE: dict[Relation, Relation] = {"<=": ">=", ">=": "<=", "==": "=="}
_RELATION_LATEX = {"<=": r"\le", ">=": r"\ge", "==": "="}


def expression(value: Any, name: str) -> sp.Expr:
    """Expression of a number or expression; a string is neither."""
    if isinstance(value, bool) or not isinstance(value, (sp.Expr, int, float)):
        raise InputError(
            f"{name} must be an expression or a number, got {value!r}; a quantity is"
            " potentials.symbol(name)"
        )
    return as_expression(value)


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse another word than those there are."""
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")


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
        Message where it does not hold, with `{value}` and `{needed}` for the numbers of the
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
            object.__setattr__(self, name, expression(getattr(self, name), name))
        one_of("relation", self.relation, ("<=", ">=", "<", ">"))
        one_of("over", self.over, get_args(Over))

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
    lasting : bool
        Whether it is about all later times, too: a trend that would break it leaves it undecided.
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
    lasting: bool = False
    says: tuple[sp.Expr, ...] = ()

    def __post_init__(self) -> None:
        """Check what is compared; numbers become expressions and `where` a tuple."""
        for name in ("lhs", "rhs"):
            object.__setattr__(self, name, expression(getattr(self, name), name))
        one_of("relation", self.relation, tuple(CONVERSE))
        one_of("over", self.over, get_args(Over))
        if not isinstance(self.where, (tuple, list)) or not self.where:
            raise InputError(
                "where must be a tuple of at least one expression, for example (t,) for all times,"
                f" got {self.where!r}"
            )
        where = tuple(expression(x, "an entry of where") for x in self.where)
        object.__setattr__(self, "where", where)
        if not isinstance(self.says, (tuple, list)):
            raise InputError(f"says must be a tuple of expressions, got {self.says!r}; write (x,)")
        says = tuple(expression(x, "an entry of says") for x in self.says)
        object.__setattr__(self, "says", says)
        if self.constant is not None:
            constant = expression(self.constant, "constant")
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
