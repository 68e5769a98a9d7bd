"""A relation that one writes, such as `D(Phi) <= -C*Phi**2`, as a claim about a run.

Without a free constant it is compared at all output times. One symbol that is no quantity of the
run is a free constant. The relation must be linear in it, so that it reads `lhs <= C rhs` (or
`>=`): a comparison with an open constant, which :mod:`flows.runs.comparison` decides like that of
any claim. Here it is only found out from which output time on a positive constant serves this run,
so that what happens before does not decide.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from flows.core.errors import InputError, nearest, unknown
from flows.runs.quantities import FLOOR, Quantities, Run
from potentials.claim import EXPONENT, Claim, Comparison, Identity, Inequality, Relation
from potentials.notation import rate_symbol, symbol
from potentials.source import Source
from potentials.theorem import named, power
from symbolic.language.rate import D

__all__ = ["claim_of"]

HERE = Source("popflow", 2026, "", "a relation given to flows.check", "inequality")
RELATIONS: dict[type, Relation] = {
    **{sp.Le: "<=", sp.Lt: "<=", sp.Ge: ">=", sp.Gt: ">="},
    sp.Eq: "==",
}
CONVERSE: dict[Relation, Relation] = {"<=": ">=", ">=": "<=", "==": "=="}
# A name of so many letters that is near a known one is a slip of the pen, no constant.
WORD = 3
#: A constant that is weaker than the tightest one of the last decade by this serves since when?
SLACK = 0.01
# Sides that differ by no more of them are equal.
ROUNDED = 1e-13
# An output time is reached also where the arithmetic of a comparison rounds it.
JUST_BEFORE = 1 - 1e-12


def claim_of(run: Run, relation: Boolean) -> Claim:
    """Claim that a relation makes about a run.

    Parameters
    ----------
    run : Run
        The trajectory, whose quantities the symbols name.
    relation : Boolean
        A relation with `<=`, `<`, `>=` or `>`, `D` for rates, and at most one free constant, which
        is taken as positive; or an equation without one.

    Returns
    -------
    Claim
        Its constant is open. The exponent is measured where the right side is a power. Its reading
        says from which time on it is compared.

    Raises
    ------
    InputError
        For another relation, an unknown symbol, an observable with a value for each neuron, and
        for several free constants.
    """
    kind = RELATIONS.get(type(relation))
    if kind is None or not isinstance(relation, Relational):
        raise InputError(f"a claim must be a relation with <= or >=, or Eq, got {relation}")
    # The constant stands on the right, so that `loss <= C/t**3` and `C/t**3 >= loss` are one claim.
    left, right = (named(x, run.quantities.constants) for x in (relation.lhs, relation.rhs))
    constant = _free_constant(run, relation, left.free_symbols | right.free_symbols)
    if constant is None:
        return _stated(run, relation, left, kind, right)
    if kind == "==":
        raise InputError(f"an equation has no free constant, got {relation}; write <= or >=")
    if constant in left.free_symbols and constant not in right.free_symbols:
        left, right, kind = right, left, CONVERSE[kind]
    known = (left.free_symbols | right.free_symbols) - {constant}
    difference = sp.expand(_with_rates(run, left, known) - _with_rates(run, right, known))
    lhs, rhs = difference.subs(constant, 0), -sp.diff(difference, constant)
    if constant in rhs.free_symbols or rhs == 0 or sp.expand(lhs - constant * rhs) != difference:
        raise InputError(
            f"{constant} must be a factor, such as in loss <= {constant}*t**-3, got {relation}"
        )
    rhs, exponent = power(sp.factor_terms(rhs))
    put = rhs if exponent is None else rhs.subs(EXPONENT, exponent)
    since, reading = _since(run, lhs, kind, put, constant)
    where = (symbol("t") - since,) if since else (symbol("t"),)
    return Inequality(
        id="relation",
        statement=str(relation),
        source=HERE,
        conclusions=(Comparison(lhs, kind, rhs, None, where),),
        exponent=exponent,
        reading=reading,
        names={p.name: p.latex_symbol for p in run.statements.potentials},
    )


def _stated(run: Run, relation: Boolean, left: sp.Expr, kind: Relation, right: sp.Expr) -> Claim:
    """Claim of a relation with numbers alone, at all output times."""
    sides = [_with_rates(run, side, side.free_symbols) for side in (left, right)]
    if not (sides[0].free_symbols | sides[1].free_symbols):
        raise InputError(f"{relation} has no quantity of the run; name one, such as {run.leading}")
    make = Identity if kind == "==" else Inequality
    first, equal = run.quantities.at(sides, "state"), False
    if kind != "==" and len(run.t) > 1:
        equal = bool(abs(first[0][0] - first[1][0]) <= ROUNDED * abs(first[1][0]))
    since, prefix = (run.t[1] * JUST_BEFORE, "equal at the start, then ") if equal else (0.0, "")
    compared = Comparison(
        sides[0], kind, sides[1], sp.S.One, (symbol("t") - since,), lasting=kind != "=="
    )
    return make(
        id="relation",
        statement=str(relation),
        source=HERE,
        conclusions=(compared,),
        reading=f"{prefix}compared at the outputs of this run, to t = {float(run.t[-1]):.4g}",
        names={p.name: p.latex_symbol for p in run.statements.potentials},
    )


def _free_constant(run: Run, relation: Boolean, symbols: Iterable[sp.Symbol]) -> sp.Symbol | None:
    """A symbol that is no quantity, if any; checks that the others are numbers of the state."""
    names = _scalars(run)
    free = []
    for x in sorted(symbols, key=str):
        value = _value(run.quantities, x.name)
        if value is None:
            if len(x.name) >= WORD and nearest(x.name, names):
                raise unknown("symbol", x.name, names)
            free.append(x)
        elif value.ndim > 1:
            raise InputError(
                f"{x.name} has a value for each neuron, and a relation compares numbers of the"
                f" state; known: {', '.join(names)}"
            )
    if len(free) < 2:
        return free[0] if free else None
    many = " and ".join(x.name for x in free)
    raise InputError(
        f"{relation} has several free constants or unknown symbols, {many}; leave one; known:"
        f" {', '.join(names)}"
    )


def _value(quantities: Quantities, name: str) -> NDArray[np.float64] | None:
    """Values of a quantity; None for an unknown one."""
    try:
        return np.asarray(quantities[name])
    except KeyError:
        return None


def _scalars(run: Run) -> list[str]:
    """Names that a relation may use: observables with one value a state, times and constants."""
    indexed = {p.name for p in run.statements.potentials if p.indexed}
    named = (name for name in run.names if name not in indexed)
    return [*named, "t", *sorted(run.quantities.constants)]


def _with_rates(run: Run, expression: sp.Expr, known: Iterable[sp.Symbol]) -> sp.Expr:
    """Put the rates of quantities for `D`, by the chain rule; the free constant does not move."""

    def rate(inner: sp.Expr) -> sp.Expr:
        moving = [x for x in inner.free_symbols if x in known and rate_symbol(x) != 0]
        for x in moving:
            if x.name != "t" and _value(run.quantities, f"{x.name}_dot") is None:
                raise InputError(f"the rate of {x.name} is not known; take D of another quantity")
        return sp.Add(*(sp.diff(inner, x) * rate_symbol(x) for x in moving))

    return expression.replace(D, rate)


def _since(
    run: Run, lhs: sp.Expr, kind: Relation, rhs: sp.Expr, constant: sp.Symbol
) -> tuple[float, str]:
    """Output time from which on a positive constant serves, zero for all, and what to say of it."""
    t = run.quantities["t"]
    left, right = run.quantities.at((lhs, rhs), "state")
    with np.errstate(all="ignore"):
        ratio = left / right
    informative = run.quantities.informative("state")
    usable = np.isfinite(ratio) & np.isfinite(right) & informative
    # Where the right side is negative, lhs <= C rhs bounds the ratio from below.
    below = (right < 0) == (kind == "<=")
    wrong = usable & below & (ratio <= 0)
    # At t = 0 a power of time has no number of its own.
    wrong[0] |= t[0] == 0 and bool(np.isinf(right[0]) if below[0] else np.isposinf(ratio[0]))
    failing = np.flatnonzero(wrong)
    first = failing[-1] + 1 if len(failing) else 0
    serving = np.flatnonzero(usable & (np.arange(len(t)) >= first))
    last = serving[t[serving] >= t[serving[-1]] / 10] if len(serving) else serving
    if not len(last) or len(set(below[last])) > 1:
        return 0.0, "compared at all times"
    since = t[serving[0]] if len(failing) else 0.0
    if below[last[0]]:
        one = ratio[last].min() - SLACK * abs(ratio[last].min())
        broken = serving[ratio[serving] < one]
    else:
        one = ratio[last].max() + SLACK * abs(ratio[last].max())
        broken = serving[ratio[serving] > one]
    later = t[serving[serving > broken[-1]][0]] if len(broken) else t[serving[0]]
    reading = f"compared from t = {since:.4g} on" if since else "compared at all times"
    if since:
        reading += f", before which no positive {constant} serves"
    if one > 0:
        reading += (
            f"; at the outputs of this run {constant} = {one:.6g} serves from t = {later:.4g}"
        )
        until = t[serving[-1]]
        fallen = until < t[-1] and not informative[-1]
        reading += f" to {until:.4g}, and then the loss is below {FLOOR:.0e}" if fallen else " on"
    return float(since) * JUST_BEFORE, reading
