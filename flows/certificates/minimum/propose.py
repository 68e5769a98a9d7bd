"""Potentials that states propose: of lengths, distances and angles, with their worst states."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from flows.certificates.minimum.samples import Array
from flows.core.deadline import Deadline, TimeSpent, look, within
from flows.core.errors import InputError
from flows.core.system import System, checked_system
from flows.runs.find import exact, power_of
from potentials.search.exact import simplest
from potentials.search.subject import Subject
from symbolic.language.lower import lower as numbers_of

__all__ = ["Proposed", "propose_potential"]

# Powers of a term, as parts of the exponent of the rate: a length that falls like 1/t has them all.
POWERS = (Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(1))
# Of so many terms the worst states are looked for.
BEST = 4
# States of descents from so many random starts, in so many steps, of which one in so many counts.
STARTS, STEPS, EVERY = 400, 400, 10
# A smaller loss has no digits. The first of two climbs stays above this part of the level.
LEAST, ABOVE = 1e-11, 1e-5
# So many states climb towards the worst one, in so many steps; twice as many for the second time.
CLIMBERS, CLIMBS = 150, 400
# Half of the steps are free, of these sizes; the others are such parts of the way between two
# states, all as powers of ten.
FREE, PARTS = (-7.0, -0.5), (-4.0, 0.2)
# What both climbs find agrees to this part, or it has not converged.
CONVERGED = 1e-2
# A constant that changes by this factor towards the minimum has no bound there.
GROWS = 3.0
# Factors of potentials leave at most this part of what states allow.
ROOM = 1e-3
# Fewer states tell nothing.
FEWEST = 200

Function = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Proposed:
    r"""A potential that no state violates that was looked at: this proves nothing.

    .. math:: L \le V \le C t^{-q}, \qquad \text{or from below} \quad L \ge V \ge C (t + t_0)^{-q}

    Parameters
    ----------
    V : Expr
        The potential, in the blocks; `L` is the loss.
    constant : float
        `C`, by the worst states that were found.
    coarse : float
        The same by half as many states in half as many steps, none of them close to the minimum.
    exponent : Fraction
        `q`.
    lower : bool
        Whether it is a bound from below.
    worst : ndarray, shape (2, numbers)
        The state where `V` is closest to the loss, and the one where it falls slowest (from below,
        fastest): no `V` of this form has a constant that is better there.
    where : tuple of str
        The set.
    """

    V: sp.Expr
    constant: float
    coarse: float
    exponent: Fraction
    lower: bool
    worst: Array
    where: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        bound = "L >= V >= C (t + t0)" if self.lower else "L <= V <= C t"
        return (
            f"PROPOSED, not proved: V = {self.V}: {bound}^-{self.exponent} with"
            f" C = {self.constant:.4g} as long as {', '.join(self.where)}; half as many states"
            f" allow C = {self.coarse:.4g}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        texts = {"verdict": "PROPOSED", "V": str(self.V), "exponent": str(self.exponent)}
        known = {k: getattr(self, k) for k in ("constant", "coarse", "lower", "where")}
        return texts | known | {"worst": self.worst.tolist()}


def propose_potential(
    system: System,
    rate: Any,
    level: Any,
    terms: Sequence[Any] | None = None,
    keep: Sequence[Any] = (),
    *,
    lower: bool = False,
    max_seconds: float | None = 60.0,
) -> tuple[Proposed, ...]:
    r"""Propose potentials of a rate that states with a small loss allow, the best one first.

    .. math:: V \ge L, \quad \dot V \le -c V^{1 + 1/q}; \qquad \text{from below} \quad
              V \le L, \quad \dot V \ge -c V^{1 + 1/q}

    The constant is that of the worst states. Many states climb towards these, and then twice as
    many in twice as many steps, closer to the minimum. Where both constants differ by more than one
    percent, nothing is proposed.

    Parameters
    ----------
    system : System
        One that states its loss as a formula, with the least value zero.
    rate : number or str
        The exponent `q` of `t^-q`.
    level : number or str
        States with `L <= level`.
    terms : sequence of Expr, optional
        What vanishes along with the loss: `V` is the loss, or a power of one of these. By default
        entries, lengths of rows of the blocks and of differences of two rows, also without one
        entry, and angles between two rows.
    keep : sequence of relations
        Further conditions on states, such as ``W[0, 1] * W[1, 1] <= 0``.
    lower : bool
        Propose how slowly at least the loss falls.
    max_seconds : float or None
        Budget of time.

    Returns
    -------
    tuple of Proposed
        Empty where nothing has a constant that converges.

    Raises
    ------
    InputError
        For other input than this, and where too few states lie in the set.

    Notes
    -----
    Units: `t` is the time of ``dx/dt = -grad L``.
    Assumptions: the flow stays in the set, which nothing here shows of ``keep``.
    Source: Young's inequality makes the rate linear in `V`, see :mod:`potentials.search.rates`.
    Accuracy: none is claimed. What states allow may be false between them: prove it.
    """
    q, subject = power_of(exact(rate, "rate")).exponent, checked_system(system).polynomial
    states = _States(subject, exact(level, "level"), keep, q, bool(lower))
    given = [subject.scalar(term, "terms") for term in terms or ()] or _library(subject)
    found, limit = list[Proposed](), Deadline.after(max_seconds)
    with within(limit), contextlib.suppress(TimeSpent):
        for V in (subject.loss, *states.best(given)):
            made = states.proposed(V)
            found += [] if made is None else [made]
    if limit.spent and not found:
        raise InputError(limit.message("on states"))
    return tuple(sorted(found, key=lambda p: -p.constant if lower else p.constant))


class _States:
    """A set of states, by descents into it, and climbs to the worst ones of a potential."""

    def __init__(
        self, subject: Subject, level: Fraction, keep: Sequence[Any], q: Fraction, lower: bool
    ) -> None:
        self._subject, self._level, self._exponent, self._lower = subject, float(level), q, lower
        self._q, self._side, self._loss = float(q), 1 if lower else -1, self._function(subject.loss)
        kept = [subject.scalar(relation.gts - relation.lts, "keep") for relation in keep]
        self._kept = numbers_of(kept, subject.entries)
        self._where = (f"L <= {level}", *map(str, keep))
        x = self._descended(np.random.default_rng(0))
        self._x = x[self._heights(self._loss, x).max(0) > -np.inf]
        if len(self._x) < FEWEST:
            raise InputError(
                f"{subject.name}: {len(self._x)} states of descents lie in the set, too few; the"
                " least loss has to be zero: give a higher level, or keep less"
            )

    def _function(self, V: sp.Expr) -> Function:
        """Values of an expression at states, and its slopes."""
        entries = self._subject.entries
        both = numbers_of([V, *(sp.diff(V, s) for s in entries)], entries)

        def values(x: Array) -> tuple[Array, Array]:
            with np.errstate(all="ignore"):
                found = [np.broadcast_to(np.asarray(f, float), len(x)) for f in both(*x.T)]
            return found[0], np.stack(found[1:], -1)

        return values

    def _descended(self, rng: Any) -> Array:
        """States of descents from random starts, and others beside them."""
        size = len(self._subject.entries)
        x = rng.normal(size=(STARTS, size)) * 10 ** rng.uniform(-1, 0.3, (STARTS, 1))
        (T, slopes), step, found = self._loss(x), np.full((STARTS, 1), 0.1), list[Array]()
        for k in range(STEPS):
            y = x - step * slopes
            less, others = self._loss(y)
            down = (less < T)[:, None]
            x, slopes, T = np.where(down, y, x), np.where(down, others, slopes), np.fmin(T, less)
            step *= np.where(down, 1.3, 0.5)
            if k % EVERY == 0:
                found += [x, x + rng.normal(size=x.shape) * 10 ** rng.uniform(*FREE, x.shape)]
        return np.concatenate(found)

    def _heights(self, V: Function, x: Array, least: float = LEAST) -> Array:
        """How high states are by `L/V` and by `-W'/W^2`, `W = V^(1/q)`: the highest are the worst.

        Where they do not lie in the set, or their loss has no digits, they are below everything.
        """
        (T, slopes), (v, own) = self._loss(x), V(x)
        inside, v = (self._level >= T) & (least < T), np.maximum(v, 0)
        for kept in self._kept(*x.T):
            inside = inside & (kept >= 0)
        with np.errstate(all="ignore"):
            speed = (own * slopes).sum(1) / (self._q * v ** (1 + 1 / self._q))
            both = np.array([-self._side * T / v, self._side * speed])
        return np.where(inside & ~np.isnan(both), both, -np.inf)

    def _constant(self, heights: Array) -> tuple[float, float]:
        """`L/V` and `C` that the highest states allow; NaN where nothing does."""
        share, speed = heights * (-self._side, self._side)
        worth = share * speed**-self._q if min(share, speed) > 0 else math.nan
        return float(share), float(worth)

    def best(self, terms: Sequence[sp.Expr]) -> list[sp.Expr]:
        """Powers of terms whose constants are the best and do not grow towards the minimum."""
        found, T = list[tuple[float, sp.Expr]](), self._loss(self._x)[0]
        for term, part in itertools.product(terms, POWERS):
            V = term ** sp.Rational(str(part * self._exponent))
            heights = self._heights(self._function(V), self._x)
            ends = [h.max(1) for h in (heights, heights[:, np.median(T) < T])]
            near, far = (self._constant(end)[1] for end in ends)
            if 1 / GROWS < near / far < GROWS:
                found.append((-self._side * near, V))
        return [V for _, V in sorted(found, key=lambda x: x[0])[:BEST]]

    def proposed(self, V: sp.Expr) -> Proposed | None:
        """A potential with its constant, where that converges."""
        (_, first), (x, second) = (self._worst(V, times) for times in (1, 2))
        (before, coarse), (share, fine) = map(self._constant, (first, second))
        if not abs(coarse / fine - 1) <= CONVERGED:
            return None
        ends = sorted(Fraction(share * (1 - self._side * part)) for part in (0, ROOM))
        factor = sp.Rational(str(simplest(*ends)))
        written = sp.Symbol("L") if self._subject.loss == V else self._subject.in_blocks(V)
        C, less = (float(factor) * C / s for s, C in ((share, fine), (before, coarse)))
        return Proposed(factor * written, C, less, self._exponent, self._lower, x, self._where)

    def _worst(self, V: sp.Expr, times: int) -> tuple[Array, Array]:
        """The highest states, and how high they are, after a climb; it is so many times as long."""
        values, rng, many = self._function(V), np.random.default_rng(times), CLIMBERS * times
        least, ends = LEAST if times > 1 else max(LEAST, ABOVE * self._level), list[Any]()
        for which, begin in enumerate(self._heights(values, self._x, least)):
            half = np.argsort(-begin)[: many // 2]
            some = np.r_[half, rng.integers(len(begin), size=len(half))]
            x, high = self._x[some], begin[some]
            for _ in range(CLIMBS * times):
                look()
                a, b = x[rng.integers(len(x), size=(2, len(x)))]
                free = rng.normal(size=x.shape) * 10 ** rng.uniform(*FREE, x.shape)
                part = (a - b) * 10 ** rng.uniform(*PARTS, (len(x), 1))
                y = x + np.where(rng.random((len(x), 1)) < 0.5, free, part)
                higher = self._heights(values, y, least)[which]
                x = np.where((higher > high)[:, None], y, x)
                high = np.maximum(high, higher)
            ends.append((x[high.argmax()], high.max()))
        places, heights = zip(*ends, strict=True)
        return np.array(places), np.array(heights)


def _library(subject: Subject) -> list[sp.Expr]:
    """Entries, lengths of rows and of their differences, also without an entry, and angles."""
    left, rows = iter(subject.entries), list[sp.Matrix]()
    for block in subject.blocks:
        count, size = (1, 1) if isinstance(block, sp.Symbol) else map(int, block.shape)
        rows += [sp.Matrix([next(left) for _ in range(size)]) for _ in range(count)]
    pairs = [(a, b) for a, b in itertools.combinations(rows, 2) if len(a) == len(b)]
    found = list[sp.Expr]()
    for row in (*rows, *(a - b for a, b in pairs)):
        for size in {1, len(row) - 1, len(row)} - {0}:
            some = itertools.combinations(row, size)
            found += [sp.sqrt(sp.Add(*(x**2 for x in e))) for e in some]
    units = [(a / a.norm(), b / b.norm()) for a, b in pairs if len(a) > 1]
    return found + [2 * sp.atan2((u - v).norm(), (u + v).norm()) for u, v in units]
