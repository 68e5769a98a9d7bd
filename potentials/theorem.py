"""A statement as a paper prints it, a relation between quantities of a run, as a claim."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, Literal

import sympy as sp
from sympy.core.relational import Relational

from potentials.claim import EXPONENT, Claim, Comparison, Hypothesis, Identity, Inequality, Relation
from potentials.notation import Parameter, parameter, rate_symbol, symbol, total_derivative
from potentials.source import Source
from symbolic.language.errors import InputError
from symbolic.language.rate import D

__all__ = ["named", "power", "theorem"]

Condition = Literal["<=", ">=", "<", ">"]
#: What is claimed by a relation; a strict one is claimed to the error of the numbers.
RELATIONS: dict[type, Relation] = {sp.Le: "<=", sp.Lt: "<=", sp.Ge: ">=", sp.Gt: ">=", sp.Eq: "=="}
CONDITIONS: dict[type, Condition] = {sp.Le: "<=", sp.Lt: "<", sp.Ge: ">=", sp.Gt: ">"}
OWN = Source("this file", 2026, "", "its own statement", "inequality")


def theorem(
    id: str,
    relation: Any,
    source: Source = OWN,
    *,
    when: Iterable[Any] = (),
    since: float = 0,
    statement: str = "",
) -> Claim:
    r"""Claim that a relation between quantities holds along the flow, if its hypotheses do.

    .. math:: H_1, H_2, \dots \quad\Longrightarrow\quad \text{lhs} \le C\,\text{rhs}

    Parameters
    ----------
    id : str
        Name of the claim, a word.
    relation : Relational
        ``<=``, ``>=`` or ``Eq``, in symbols of quantities, with `symbolic.D` for rates along the
        flow and ``x_0`` for the value of ``x`` at the start.
    source : Source
        Where it is stated.
    when : iterable of Relational
        Hypotheses, at the times that it speaks of.
    since : float
        It speaks of times from this one on.
    statement : str
        It in words; by default the relation as it is written.

    Returns
    -------
    Claim
        An :class:`Inequality`, or an :class:`Identity`; its constant, and its exponent where the
        right side is a power, can be broken.

    Raises
    ------
    InputError
        For what is no such relation, and a rate of a rate.

    Examples
    --------
    >>> loss, t = symbol("loss"), symbol("t")
    >>> claim = theorem("falls", loss <= t**-2 / 16)
    >>> claim.conclusions[0].constant, claim.exponent
    (1/16, 2)
    """
    kind = RELATIONS.get(type(relation))
    if kind is None:
        raise InputError(
            f"theorem {id!r}: expected a relation with <=, >= or Eq, got {relation!r:.60}"
        )
    constant, rest = moving(relation.rhs).as_coeff_Mul()
    rest, exponent = power(rest)
    made = Identity if kind == "==" else Inequality
    return made(
        id=id,
        statement=statement or _written(relation),
        source=source,
        conclusions=(
            Comparison(
                moving(relation.lhs),
                kind,
                rest,
                constant if rest != 0 else sp.S.One,
                (symbol("t") - since,),
            ),
        ),
        hypotheses=tuple(_condition(id, one) for one in when),
        exponent=exponent,
    )


def _written(relation: Relational) -> str:
    """A relation as one writes it; SymPy prints an equation as a call."""
    return f"{relation.lhs} = {relation.rhs}" if relation.rel_op == "==" else str(relation)


def _condition(id: str, relation: Any) -> Hypothesis:
    kind = CONDITIONS.get(type(relation))
    if kind is None or not isinstance(relation, Relational):
        raise InputError(f"theorem {id!r}: expected hypotheses with <= or >=, got {relation!r:.60}")
    return Hypothesis(str(relation), moving(relation.lhs), kind, moving(relation.rhs))


def moving(expression: Any) -> sp.Expr:
    """Expression in quantities, with their rates for `D`."""
    found: sp.Expr = named(sp.sympify(expression, strict=True)).replace(D, total_derivative)
    return found


def named(expression: sp.Expr, constants: Container[str] = ()) -> sp.Expr:
    """Expression in the symbols of quantities, whatever was assumed of those that were written.

    Parameters
    ----------
    expression : Expr
        In symbols of these names.
    constants : container of str
        Names of parameters; so are symbols that were made by `parameter`.

    Raises
    ------
    InputError
        For the rate of a rate.
    """
    written = {x: isinstance(x, Parameter) or x.name in constants for x in expression.free_symbols}
    found = expression.xreplace(
        {x: parameter(x.name) if fixed else symbol(x.name) for x, fixed in written.items()}
    )
    if any(d.args[0].has(D) for d in found.atoms(D)):
        raise InputError("D inside D: the rate of a rate is not known; take D of quantities")
    return found


def power(rhs: sp.Expr) -> tuple[sp.Expr, sp.Expr | None]:
    """Right side with `EXPONENT` where it is a power of one moving quantity, and the exponent."""
    factors = [x for x in sp.Mul.make_args(rhs) if any(rate_symbol(s) for s in x.free_symbols)]
    if len(factors) != 1:
        return rhs, None
    base, exponent = factors[0].as_base_exp()
    if not base.is_Symbol or not (exponent.is_Rational or exponent.is_Float):
        return rhs, None
    # Sources write a bound in time as t^-p.
    sign = -1 if base.name == "t" else 1
    found = sp.nsimplify(sign * exponent, rational=True)
    return rhs / factors[0] * base ** (sign * EXPONENT), found
