r"""A closed equation of potentials of a flow, `\dot P = F(P)`, as a field of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from flows.core.altered import altered
from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.system import System
from flows.systems.field.blocks import pairs
from flows.systems.field.names import is_name, is_word
from flows.systems.field.shapes import flat
from flows.systems.field.system import ODE
from potentials.search.closure import MOST_DEGREE, Closed, closed
from potentials.search.invariants import cofactor, invariants, monomials
from potentials.search.polynomials import Flow, Polynomial
from potentials.search.subject import Subject
from symbolic.evidence.derivation import Document
from symbolic.language.blocks import entries, shape
from symbolic.language.lower import lower
from symbolic.systems.own.field import Closure, derive_field

__all__ = ["Reduction", "reduced"]

# States lie on an invariant set to rounding.
NEAR = 1e-9
# Invariant sets are looked for of so many monomials of degree two.
MOST_MONOMIALS = 200


@dataclass(frozen=True)
class Reduction:
    """Where a closed equation comes from: the flow, its potentials, and why they are closed.

    Parameters
    ----------
    name : str
        Of the flow.
    subject : Subject
        Its polynomials.
    potentials : tuple of (str, Expr)
        In the entries as a person reads them.
    closure : Closure
        Their rates.
    """

    name: str
    subject: Subject
    potentials: tuple[tuple[str, sp.Expr], ...]
    closure: Closure

    def values(self, state: Any) -> Array:
        """Potentials of a state of the flow, which must lie where they are closed."""
        shapes = {block.name: shape(block) for block in self.subject.blocks}
        kept = [g for g, _ in self.closure.kept]
        function = lower([*kept, *(e for _, e in self.potentials)], self.subject.entries)
        found = np.array(function(*flat(shapes, state)), dtype=float)
        off = np.abs(found[: len(kept)])
        if (off > NEAR).any():
            wrong = int(np.argmax(off))
            raise InputError(
                f"start: expected a state of {self.name} with {kept[wrong]} = 0, got"
                f" {found[wrong]:.3g}"
            )
        return found[len(kept) :]

    def derive(self) -> Document:
        """Rates of the potentials, in them, each step to be verified."""
        flow, time = self.subject.flow, sp.Symbol("t", real=True)
        back = dict(zip(self.subject.entries, _entries(self.subject), strict=True))
        return derive_field(
            self.name,
            (*self.subject.blocks, time),
            [flow.written(side).xreplace(back) for side in flow.field],
            [(name, e.xreplace(back)) for name, e in self.potentials],
            (*back.values(), *entries(time)),
            Closure(
                self.closure.sides,
                {
                    name: tuple((q.xreplace(back), g.xreplace(back)) for q, g in rests)
                    for name, rests in self.closure.rests.items()
                },
                tuple((g.xreplace(back), rate.xreplace(back)) for g, rate in self.closure.kept),
            ),
        )


def _entries(subject: Subject) -> list[sp.Symbol]:
    return [s for block in subject.blocks for s in entries(block)]


def _named(system: System, potentials: Any) -> Any:
    """Potentials of the system, where names are given."""
    if not isinstance(potentials, list | tuple) or not all(isinstance(p, str) for p in potentials):
        return potentials
    known = dict(getattr(system, "potentials", ()))
    for name in potentials:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InputError(f"potentials: expected some of {names}, got {name!r}")
    return {name: known[name] for name in potentials}


def reduced(system: System, potentials: Any, keep: Any = ()) -> ODE:
    r"""Equation of potentials that are closed under the flow, `\dot P = F(P)`.

    Parameters
    ----------
    system : System
        A polynomial flow.
    potentials : mapping of str to Expr, or sequence of str
        Polynomials in the blocks, by name; or names of the system's own.
    keep : sequence of Eq
        Equations that the flow keeps; without them, spheres and ellipsoids are tried.

    Raises
    ------
    InputError
        For what is no polynomial, an equation that the flow does not keep, and potentials that are
        not closed.
    """
    given = pairs("potentials", _named(system, potentials))
    for name, _ in given:
        if not is_word(name):
            raise InputError(f"potentials: expected plain words as names, got {name!r}")
    if not given:
        raise InputError("potentials: expected some, got none")
    subject = system.moving
    flow = subject.flow
    exact = tuple((name, subject.scalar(e, f"potentials[{name!r}]")) for name, e in given)
    polynomials = [_read(flow, e, f"potentials[{name!r}]") for name, e in exact]
    symbols = [sp.Symbol(name, real=True) for name, _ in exact]
    for kept in _sets(flow, subject, keep):
        found = closed(flow, polynomials, symbols, kept)
        if all(one is not None for one in found):
            return _ode(system, subject, exact, [one for one in found if one is not None], kept)
    remedy = next(
        f"the rate of {name} is {sp.factor(flow.written(flow.along(p)))!s:.200}"
        for (name, _), p, one in zip(exact, polynomials, found, strict=True)
        if one is None
    )
    names = ", ".join(name for name, _ in exact)
    raise InputError(
        f"{system.name}: {names} are not closed: expected rates that are polynomials in them, up"
        f" to degree {MOST_DEGREE}; {remedy}; add potentials, or keep=[Eq(..)] that the flow keeps"
    )


def _read(flow: Flow, expression: sp.Expr, what: str) -> Polynomial:
    try:
        return flow.read(expression)
    except ValueError as problem:
        raise InputError(f"{what}: expected a polynomial in the blocks: {problem}") from None


def _sets(flow: Flow, subject: Subject, keep: Any) -> Iterator[Sequence[Polynomial]]:
    """Polynomials that vanish on sets which the flow does not leave, as given or found."""
    conditions = tuple(keep) if isinstance(keep, (list, tuple)) else (keep,)
    if conditions:
        several = []
        for condition in conditions:
            if not isinstance(condition, sp.Equality):
                raise InputError(f"keep: expected equations, Eq(..), got {condition!r:.60}")
            g = _read(flow, subject.scalar(condition.lhs - condition.rhs, "keep"), "keep")
            if cofactor(flow, g) is None:
                raise InputError(f"keep: the flow of {subject.name} does not keep {condition}")
            several.append(g)
        yield several
        return
    yield ()
    spheres = [g for g in map(flow.read, _spheres(subject)) if cofactor(flow, g) is not None]
    yield from ((g,) for g in spheres)
    if len(spheres) > 1:
        yield spheres
    if monomials(flow, 2) <= MOST_MONOMIALS:
        for p, _ in invariants(flow, 2).darboux:
            if _is_ellipsoid(p, flow.symbols):
                yield (flow.read(p),)


def _spheres(subject: Subject) -> list[sp.Expr]:
    """Squared lengths less one, of all entries and of those of each block."""
    rest, groups = list(subject.entries), [list(subject.entries)]
    for block in subject.blocks:
        size = len(entries(block))
        groups.append(rest[:size])
        rest = rest[size:]
    return list(dict.fromkeys(sp.Add(*(s**2 for s in group)) - 1 for group in groups))


def _is_ellipsoid(p: sp.Expr, x: Sequence[Any]) -> bool:
    """Whether the zeros of a polynomial of degree two are a sphere, or an ellipsoid."""
    matrix = sp.hessian(p, x)
    if matrix.free_symbols or not matrix.is_positive_definite:
        return False
    nowhere = dict.fromkeys(x, 0)
    slope = sp.Matrix([sp.diff(p, s).subs(nowhere) for s in x])
    return bool(p.subs(nowhere) - (slope.T * matrix.inv() * slope)[0, 0] / 2 < 0)


def _ode(
    system: System,
    subject: Subject,
    exact: tuple[tuple[str, sp.Expr], ...],
    found: Sequence[Closed],
    kept: Sequence[Polynomial],
) -> ODE:
    flow, names = subject.flow, [name for name, _ in exact]
    sides = {name: one.side for name, one in zip(names, found, strict=True)}
    written: list[tuple[sp.Expr, sp.Expr]] = []
    for g in kept:
        rate = cofactor(flow, g)
        assert rate is not None
        written.append((flow.written(g), flow.written(rate)))
    rests: Mapping[str, tuple[tuple[sp.Expr, sp.Expr], ...]] = {
        name: tuple(
            (flow.written(q), g) for q, (g, _) in zip(one.multipliers, written, strict=True) if q
        )
        for name, one in zip(names, found, strict=True)
    }
    blocks = [sp.Symbol(name, real=True) for name in names]
    closed = ODE(
        f"{system.name}_reduced",
        blocks,
        [sp.factor(sides[name]) for name in names],
        {name: block for name, block in zip(names, blocks, strict=True) if is_name(name)},
    )
    reduction = Reduction(system.name, subject, exact, Closure(sides, rests, tuple(written)))
    return altered(closed, reduction=reduction)
