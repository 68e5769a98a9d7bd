r"""Derivation of a field of one's own: the field, Lie derivatives, closed equations of potentials.

.. math:: \frac{d}{dt} \Phi(y, t) = \langle \nabla \Phi, f \rangle + \partial_t \Phi
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.language.blocks import Block, Explicit
from symbolic.systems.own.check import Check
from symbolic.systems.own.derivatives import definition
from symbolic.systems.own.loss import Loss, shown, simplest
from symbolic.systems.own.rates import signed

__all__ = ["Closure", "derive_field"]

SOURCE = "this field; derived here"
# A field of more entries has no derivation that can be read.
MOST_ENTRIES = 40


@dataclass(frozen=True)
class Closure:
    r"""`\dot P_i = F_i(P) + \sum_j q_j g_j`, where the flow keeps `g_j = 0`.

    Parameters
    ----------
    sides : mapping
        `F_i` by the name of `P_i`, in symbols of these names.
    rests : mapping
        `(q_j, g_j)` by the name of `P_i`, in entries.
    kept : tuple of (Expr, Expr)
        `g_j`, in entries, and `\dot g_j / g_j`.
    """

    sides: Mapping[str, sp.Expr]
    rests: Mapping[str, tuple[tuple[sp.Expr, sp.Expr], ...]]
    kept: tuple[tuple[sp.Expr, sp.Expr], ...] = ()


def derive_field(
    name: str,
    blocks: Sequence[Block],
    field: Sequence[sp.Expr],
    potentials: Sequence[tuple[str, sp.Expr]],
    y: Sequence[sp.Symbol],
    closure: Closure | None = None,
) -> Document:
    """Derive the rates of potentials along a field.

    Parameters
    ----------
    name : str
        For the title.
    blocks : sequence of Block
        What moves, and the time as the last one.
    field : sequence of Expr
        Right sides of the entries, in their order.
    potentials : sequence of (str, Expr)
        In entries, by name.
    y : sequence of Symbol
        The entries, and the time.
    closure : Closure, optional
        Rates of potentials in the potentials.

    Raises
    ------
    ValueError
        For more than 40 entries.
    """
    if len(y) > MOST_ENTRIES + 1:
        raise ValueError(
            f"expected at most {MOST_ENTRIES} entries, got {len(y) - 1}; derive a smaller case"
        )
    none = Explicit(sp.S.Zero, sp.S.Zero, ())
    on = Loss(tuple(blocks), tuple(y), (*shown(blocks[:-1]), sp.Symbol("t", real=True)), 0, none)
    sides = [side.xreplace(on.on_paper) for side in field]
    values = {key: e.xreplace(on.on_paper) for key, e in potentials}
    found = [_field(on, sides)]
    found += [_kept(on, sides, k, *pair) for k, pair in enumerate(closure.kept if closure else ())]
    found += [_rate(on, sides, key, values, closure) for key in values]
    return Document(name, tuple(found))


def _field(on: Loss, sides: Sequence[sp.Expr]) -> Derivation:
    """What moves each entry."""
    steps = []
    for symbol, side in zip(on.names[:-1], sides, strict=True):
        moving = on.quantity(f"d/dt {symbol}", rf"\frac{{d}}{{dt}} {sp.latex(symbol)}")
        steps.append(definition(on, moving, None, side, f"the right side of {symbol}"))
    return Derivation("field", SOURCE, tuple(steps))


def _along(on: Loss, sides: Sequence[sp.Expr], potential: sp.Expr) -> sp.Expr:
    parts = zip(on.names, (*sides, sp.S.One), strict=True)
    return sp.Add(*(sp.diff(potential, s) * side for s, side in parts))


def _kept(
    on: Loss, sides: Sequence[sp.Expr], number: int, given: sp.Expr, rate: sp.Expr
) -> Derivation:
    """A set that the flow does not leave."""
    value, factor = given.xreplace(on.on_paper), rate.xreplace(on.on_paper)
    name = on.quantity(f"g_{number + 1}", f"g_{{{number + 1}}}")
    moving = on.quantity(f"d/dt g_{number + 1}", rf"\frac{{d}}{{dt}} g_{{{number + 1}}}")
    steps = (
        definition(on, name, None, value, "a function of the state"),
        Step(
            moving,
            factor * value,
            "a multiple of itself: where it is zero it stays so",
            check=Check(on, {moving: _along(on, sides, value)}),
        ),
    )
    return Derivation(f"invariant set: g_{number + 1} = 0", SOURCE, steps)


def _rate(
    on: Loss,
    sides: Sequence[sp.Expr],
    name: str,
    values: Mapping[str, sp.Expr],
    closure: Closure | None,
) -> Derivation:
    """A potential, its rate along the field, and that in the potentials, if there is one."""
    latex = rf"\mathrm{{{name}}}".replace("_", r"\_")
    potential = on.quantity(name, latex)
    moving = on.quantity(f"d/dt {name}", rf"\frac{{d}}{{dt}} {latex}")
    along = _along(on, sides, values[name])
    check = Check(on, {moving: along})
    rate = simplest(along)
    steps = [
        definition(on, potential, None, values[name], name),
        Step(moving, rate, f"the gradient of {name} along the field", check=check),
    ]
    if closure is None or name not in closure.sides:
        rule = "no factor changes its sign" if rate.is_Mul else "each term has this sign"
        return Derivation(f"{name} along the flow", SOURCE, (*steps, *signed(rate, rule)))
    symbols = {
        sp.Symbol(key, real=True): on.quantity(key, rf"\mathrm{{{key}}}".replace("_", r"\_"))
        for key in values
    }
    side = closure.sides[name].xreplace(symbols)
    rests = sp.Add(*(q * g for q, g in closure.rests.get(name, ())))
    rest = rests.xreplace(on.on_paper)
    whole = {symbols[sp.Symbol(key, real=True)]: e for key, e in values.items()}
    rule = "in the potentials themselves"
    if rest != 0:
        rule += ", and a part that vanishes on the invariant set"
    steps.append(Step(rate, side + rest, rule, check=Check(on, whole), fresh=False))
    return Derivation(f"{name} along the flow", SOURCE, tuple(steps))
