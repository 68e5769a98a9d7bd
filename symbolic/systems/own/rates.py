"""Rates of potentials along the flow, their signs, and conserved quantities."""

from __future__ import annotations

from typing import Any, NamedTuple

import sympy as sp

from symbolic.asymptotics.symmetries import conserved
from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Relation
from symbolic.evidence.sign import sign
from symbolic.evidence.squares import as_squares, lowest
from symbolic.evidence.step import computed
from symbolic.language.averages.expectation import Expectation
from symbolic.language.matrices import squared_norms
from symbolic.systems.own.check import Check
from symbolic.systems.own.derivatives import SOURCE, anew, as_matrix, definition, slopes_of
from symbolic.systems.own.loss import Loss, in_entries, joined, simplest, split

__all__ = ["Kept", "invariants", "rate_of", "signed"]

# Beyond that, the entries of a matrix expression say less than it does.
READABLE = 200
RELATIONS: dict[int | None, Relation] = {1: ">=", -1: "<="}


def rate_of(loss: Loss, name: str, given: Any) -> Derivation:
    """A potential, its rate along the flow, and the sign of that."""
    entrywise = in_entries(given, loss.blocks).plain.xreplace(loss.on_paper)
    latex = rf"\mathrm{{{name}}}".replace("_", r"\_")
    potential = loss.quantity(name, latex)
    moving = loss.quantity(f"d/dt {name}", rf"\frac{{d}}{{dt}} {latex}")
    check = Check(loss, {moving: _along(loss, entrywise)})
    steps = [definition(loss, potential, given, entrywise, name)]
    rule = f"minus the inner product of the gradients of {name} and of the loss"
    chain = {**anew(loss), "check": check}
    found, compact = _rate_in_entries(loss, entrywise), _rate_in_matrices(loss, given)
    if compact:
        steps.append(computed(moving, compact, rule, **chain))
        moving, rule, chain = compact, "in entries", {"check": check, "fresh": False}
    norms = squared_norms(compact) if compact else None
    if norms is not None:
        steps.append(_going_on(moving, norms, "each trace is the square of a norm", check=check))
        steps += signed(norms, "a sum of squares")
    elif not compact or found.count_ops() < READABLE:
        steps.append(computed(moving, found, rule, **chain))
        rule = "no factor changes its sign" if found.is_Mul else "each term has this sign"
        steps += signed(found, rule)
    return Derivation(f"{name} along the flow", SOURCE, tuple(steps))


def _rate_in_entries(loss: Loss, potential: sp.Expr) -> sp.Expr:
    slopes = [sp.diff(potential, s) for s in loss.names]
    total = sp.Add(*(-a * b for a, b in zip(slopes, slopes_of(loss), strict=True)))
    plain, averaged = split(total)
    return joined(simplest(plain), simplest(averaged), loss.numbers)


def _rate_in_matrices(loss: Loss, given: Any) -> Any | None:
    """The rate of a potential as traces, if both gradients are matrix expressions."""
    terms = []
    for block in loss.blocks:
        ours, its = (as_matrix(loss, block, e) for e in (loss.expression, given))
        if ours is None or its is None:
            return None
        terms.append(-sp.Trace((its.T * ours).doit()))
    return sp.Add(*terms).doit()


def _along(loss: Loss, potential: sp.Expr) -> sp.Expr:
    """Rate of a potential, differentiated forwards."""
    value = loss.value
    return sp.Add(*(-sp.diff(potential, s) * sp.diff(value, s) for s in loss.names))


def signed(rate: sp.Expr, rule: str) -> list[Step]:
    """The sign of a rate without expectations that is not zero, as far as it is known."""
    if rate == 0 or rate.has(Expectation):
        return []
    if relation := RELATIONS.get(sign(rate)):
        return [_going_on(rate, sp.S.Zero, rule, relation=relation)]
    if not rate.free_symbols or not rate.is_polynomial(*rate.free_symbols):
        return []
    squares = as_squares(rate)
    if not isinstance(squares, str):
        relation = RELATIONS.get(sign(squares))
        steps = [_going_on(rate, squares, "a sum of squares, of a Gram matrix in fractions")]
        each = "each square has this sign"
        return [*steps, _going_on(squares, sp.S.Zero, each, relation=relation)] if relation else []
    return _sampled(rate, squares)


def _going_on(lhs: Any, rhs: Any, rule: str, **given: Any) -> Step:
    """Step from the right side of the one before."""
    return computed(lhs, rhs, rule, fresh=False, **given)


def _sampled(rate: sp.Expr, reason: str) -> list[Step]:
    """The sign that a polynomial seems to have, where no point is found that has the other."""
    for one, relation in RELATIONS.items():
        if lowest(one * rate) is None:
            return [_going_on(rate, sp.S.Zero, f"no point refutes it; {reason}", relation=relation)]
    return []


class Kept(NamedTuple):
    """What a flow keeps, as expressions of the blocks.

    Parameters
    ----------
    conserved : tuple of Expr
        Functions that stand still.
    darboux : tuple of (Expr, Expr)
        Polynomials, and their rates over themselves.
    clocks : tuple of Expr
        Functions with rate one.
    """

    conserved: tuple[sp.Expr, ...]
    darboux: tuple[tuple[sp.Expr, sp.Expr], ...] = ()
    clocks: tuple[sp.Expr, ...] = ()


def invariants(loss: Loss, kept: Kept | None = None) -> list[Derivation]:
    """What the flow keeps; if none is given, quadratics that a linear symmetry conserves."""
    if kept is None:
        column = sp.Matrix(loss.y)
        found = conserved(loss.form.plain + loss.form.integrand, loss.y)
        kept = Kept(tuple(simplest((column.T * x * column)[0, 0]) for x in found))
    one, stays = sp.S.One, "a multiple of itself: zeros and signs stay"
    words = "the gradient of the loss is orthogonal to its gradient"
    several = [
        ("conserved: Q", "Q", words, [(p, sp.S.Zero) for p in kept.conserved]),
        ("invariant set: P", "P", stays, [(p, rate * p) for p, rate in kept.darboux]),
        ("clock: T", "T", "it grows like time, from every start", [(p, one) for p in kept.clocks]),
    ]
    return [
        _kept(loss, f"{name}_{number}", (f"{letter}_{number}", rule), *pair)
        for name, letter, rule, pairs in several
        for number, pair in enumerate(pairs, 1)
    ]


def _kept(
    loss: Loss, title: str, words: tuple[str, str], given: sp.Expr, rate: sp.Expr
) -> Derivation:
    """A function and its rate."""
    (name, rule), on_paper = words, loss.on_paper
    value, side = (in_entries(e, loss.blocks).plain.xreplace(on_paper) for e in (given, rate))
    latex = f"{name[0]}_{{{name[2:]}}}"
    potential = loss.quantity(name, latex)
    moving = loss.quantity(f"d/dt {name}", rf"\frac{{d}}{{dt}} {latex}")
    steps = (
        definition(loss, potential, None, value, "a function of the state"),
        computed(
            moving, side, rule, **anew(loss), check=Check(loss, {moving: _along(loss, value)})
        ),
    )
    return Derivation(title, SOURCE, steps)
