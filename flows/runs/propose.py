"""Potentials that states of runs propose, of losses that are no polynomials: and no proof."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array, numbers
from flows.core.deadline import look
from flows.core.errors import InputError
from flows.core.system import System
from flows.runs.expressions import evaluate_expressions
from flows.runs.found import NOT_FOUND, PROPOSED, FoundPotential, Sampled
from flows.runs.integrate import integrate
from flows.runs.span import Member, best_member
from flows.runs.terms import States, Terms, states_of
from flows.runs.trajectory import Trajectory
from potentials.notation import symbol
from potentials.theorem import named

__all__ = ["LEVEL", "Wanted", "propose"]

#: Without a level, the loss is at most this. Its least value is taken to be zero.
LEVEL = Fraction(1, 1000)
# Runs from so many random starts of these sizes, to this time. Beside states of each so many others
# begin, at distances of these powers of ten: there the fast directions have not decayed.
STARTS, SIZES, LATE, BESIDE, DISTANCES = 16, (1.0, 0.1), 1e6, 6, (-6.0, -0.8)
# Beside so many states that come nearest to a violation, each the worst one of so many, others
# begin closer by, in so many steps; so often before fresh states are looked at, and so in all.
NEAREST, EACH, CLOSER, STEPS = 12, 20, (-5.0, -1.5), 5
CLIMBS, ROUNDS = 2, 4
# Smaller losses, and fewer states, tell nothing.
LEAST, FEWEST = 1e-22, 200
# So many states are shown.
SHOWN = 3


@dataclass(frozen=True)
class Wanted:
    """A rate on a set of states.

    Parameters
    ----------
    exponent : Fraction
        `q`.
    level : Fraction
        The loss is at most this.
    keep : tuple of Relational
        Further conditions, in quantities of the system.
    lower : bool
        Whether a bound from below is sought.
    """

    exponent: Fraction
    level: Fraction
    keep: tuple[Any, ...]
    lower: bool

    def where(self, system: System) -> tuple[sp.Expr, ...]:
        """What is not negative on the set."""
        for relation in self.keep:
            if not isinstance(relation, sp.Ge | sp.Le):
                raise InputError(f"keep: expected >= or <= of quantities, got {relation}")
        above = [relation.gts - relation.lts for relation in self.keep]
        least = sp.Rational(str(self.level)) - symbol("loss")
        return (least, *(named(x, numbers(system.parameters)) for x in above))


class NothingProposed(ValueError):
    """Why nothing is proposed."""


def propose(
    system: System, wanted: Wanted, template: Sequence[Any] | None = None
) -> FoundPotential:
    """The potential with the best constant on states of runs, if fresh states do not violate it."""
    terms, where = Terms.of(system, template), wanted.where(system)
    rng = np.random.default_rng(0)
    found: Member | None = None
    fresh: States | None = None
    try:
        seen = _drawn(system, terms, where, rng)
        for _ in range(ROUNDS):
            for _ in range(CLIMBS):
                found = best_member(seen, wanted.exponent, wanted.lower)
                if found is None:
                    raise NothingProposed(f"no term has a constant on {len(seen.loss)} states")
                for _ in range(STEPS):
                    near = seen.x[np.argsort(found.margins(seen))[: NEAREST * EACH : EACH]]
                    climbed = (_beside(system, x, rng, CLOSER) for x in near)
                    seen = seen.joined(*_selected(climbed, terms, where))
            fresh = _drawn(system, terms, where, rng)
            assert found is not None
            if found.margins(fresh).min() >= 0:
                return _proposed(found, wanted, terms, where, len(seen.loss), fresh)
            seen = seen.joined(fresh)
        assert found is not None and fresh is not None
        margins = found.margins(fresh)
        state = np.round(fresh.x[margins.argmin()], 4).tolist()
        V = found.root(symbol("loss"), terms.expressions)
        reason = (
            f"fresh states violate V = ({V})^{wanted.exponent} by {-margins.min():.2g} of it, such"
            f" as {state}"
        )
    except NothingProposed as problem:
        reason = str(problem)
    reason = (
        f"{system.name} has no polynomial loss, and samples propose nothing: {reason}; give"
        " a lower level, a slower rate, or keep more"
    )
    return FoundPotential(NOT_FOUND, reason, None, None, math.nan, None, "", (), 0, 0.0)


def _drawn(system: System, terms: Terms, where: Sequence[sp.Expr], rng: Any) -> States:
    """States of a set on runs from random starts, and from states beside these."""
    found = list(_selected(_runs(system, rng), terms, where))
    if sum(len(s.loss) for s in found) < FEWEST:
        raise NothingProposed(f"fewer than {FEWEST} states of runs lie in the set")
    return found[0].joined(*found[1:])


def _runs(system: System, rng: Any) -> Iterator[Trajectory]:
    for k in range(STARTS):
        seed = int(rng.integers(2**31))
        run = integrate(system, system.initial(scale=SIZES[k % len(SIZES)], seed=seed), LATE)
        yield run
        late = np.flatnonzero(run["loss"] <= float(LEVEL))
        for i in rng.choice(late, BESIDE) if len(late) else ():
            yield _beside(system, run.state_at(int(i)), rng, DISTANCES)


def _beside(system: System, x: Array, rng: Any, distances: tuple[float, float]) -> Trajectory:
    off = rng.normal(size=x.shape) * 10 ** rng.uniform(*distances)
    return integrate(system, x + off, LATE)


def _selected(
    runs: Iterable[Trajectory], terms: Terms, where: Sequence[sp.Expr]
) -> Iterator[States]:
    """Those states of runs that lie in a set."""
    for run in runs:
        look()
        inside = _inside(run, where)
        if inside.any():
            yield states_of(run, terms, inside)


def _inside(run: Trajectory, where: Sequence[sp.Expr]) -> NDArray[np.bool_]:
    """Which states of a run lie in a set, and have a loss with digits."""
    try:
        conditions = evaluate_expressions(tuple(where), run.quantities)
    except KeyError as problem:
        raise InputError(f"keep: {problem.args[0]} of {run.system.name}") from None
    inside = np.asarray(run["loss"]) > LEAST
    for x in conditions:
        inside &= (x >= 0).reshape(len(run.t), -1).all(axis=1)
    return inside


def _proposed(
    found: Member, wanted: Wanted, terms: Terms, where: Any, seen: int, fresh: States
) -> FoundPotential:
    """The proposal as a person reads it."""
    q, margins = wanted.exponent, found.margins(fresh)
    V = found.root(symbol("loss"), terms.expressions) ** sp.Rational(q.numerator, q.denominator)
    C = sp.Rational(found.constant.numerator, found.constant.denominator)
    bound = f"L <= V and V(t) <= {C} t^-{q}"
    if wanted.lower:
        bound = f"L >= V and V(t) >= {C} (t + t0)^-{q}"
    kept = tuple(map(str, wanted.keep))
    statement = (
        f"proposed on samples, not proved: V = {V}: {bound}, if it holds between samples too, as"
        f" long as L <= {', '.join((str(wanted.level), *kept))}. It was made for {seen} states;"
        f" of {len(margins)} fresh ones none violates it, and the nearest is {margins.min():.2g}"
        " of it away"
    )
    nearest = fresh.x[np.argsort(margins)[:SHOWN]]
    sampled = Sampled(seen, len(margins), float(margins.min()), nearest, where)
    return FoundPotential(
        *(PROPOSED, "", V, C, found.best, q, statement, kept, 0, 0.0, wanted.lower),
        sampled=sampled,
    )
