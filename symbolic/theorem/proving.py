"""Shorthands for writing a proof; nothing here is trusted, as the kernel makes every theorem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symbolic.theorem import kernel
from symbolic.theorem.formulas import Forall, Formula, Rel, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.terms import Poly, number

__all__ = [*("Statement", "add", "cubes", "discharge", "given", "known", "times", "weak", "within")]


@dataclass(frozen=True)
class Statement:
    """A named theorem as it is shown.

    Parameters
    ----------
    name : str
        What `popflow prove --theorem` calls it.
    title, source : str
        In words; where the result is stated.
    theorem : Theorem
        What the kernel made.
    labels : mapping of Formula to str
        What each hypothesis is called. A label that begins with ``axiom`` marks what is taken from
        a derivation of the system (its flow, its loss) and is not proved from the others.
    says : str
        The conclusion in the field's words.
    """

    name: str
    title: str
    source: str
    theorem: Theorem
    labels: Mapping[Formula, str]
    says: str


def add(*parts: tuple[Any, Sequence[Theorem]] | Theorem, strict: bool = False) -> Theorem:
    """Return `sum of c * product of premises op 0`, as `kernel.combine` does; `(1, [th])` is `th`.

    Parameters
    ----------
    parts : (c, premises) or Theorem
        As in `kernel.combine`.
    strict : bool
        Whether `> 0` is concluded.
    """
    pairs = [(1, [p]) if isinstance(p, Theorem) else p for p in parts]
    goal, equal = number(0), True
    for c, theorems in pairs:
        product = number(c)
        for th in theorems:
            product = product * th.concl.poly
        goal += product
        equal &= any(th.concl.op == "=" for th in theorems)
    return kernel.combine(Rel(goal, "=" if equal else ">" if strict else ">="), *pairs)


def times(*theorems: Theorem) -> Theorem:
    """Product of theorems."""
    return add((1, theorems), strict=all(th.concl.op == ">" for th in theorems))


def known(x: Any) -> Theorem:
    """`|- x >= 0`, or `> 0`, of a number."""
    return kernel.combine(gt(x) if x > 0 else ge(x), (x, []))


def discharge(th: Theorem, *by: Theorem) -> Theorem:
    """Cut every hypothesis that one of the theorems proves; `>` serves where `>=` is assumed."""
    for proof in by:
        if proof.concl in th.hyps:
            th = kernel.cut(th, proof, proof.concl)
        elif proof.concl.op == ">" and ge(proof.concl.poly) in th.hyps:
            weak = kernel.combine(ge(proof.concl.poly), (1, [proof]))
            th = kernel.cut(th, weak, weak.concl)
    return th


def given(f: Forall, **by: Any) -> Theorem:
    """A closed hypothesis, its own names kept where none are given."""
    return kernel.spec(f, {name: by.get(name, name) for name in f.bound})


def within(th: Theorem, goal: Rel | Poly) -> Theorem:
    """Return the theorem if it says what is meant; a guard for who writes a proof."""
    meant = goal if isinstance(goal, Rel) else Rel(goal, th.concl.op)
    if th.concl != meant:
        rest = th.concl.poly - meant.poly
        raise ValueError(f"proved {th.concl.op}, meant {meant.op}; the difference is {rest}")
    return th


def weak(th: Theorem) -> Theorem:
    """Return an equality or a strict inequality as `>=`."""
    return kernel.combine(ge(th.concl.poly), (1, [th]))


def cubes(order: Theorem, least: Theorem, a: Poly, b: Poly) -> Theorem:
    """From `a - b >= 0` and `b >= 0`: `a^3 - b^3 >= 0`."""
    most = add(order, least)
    rest = add(kernel.square(a), (1, [most, least]), kernel.square(b))
    return within(times(order, rest), ge(a**3 - b**3))
