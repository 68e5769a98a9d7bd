r"""The best member of a span of potentials on states, by linear programs.

With `V = W^q` a rate is one of `W`, and linear in `W` but for one square:

.. math:: V \ge L,\ \dot V \le -q C^{-1/q} V^{1 + 1/q} \iff
          W \ge L^{1/q},\ -\dot W \ge C^{-1/q} W^2,

and turned round for a bound from below. Tangents of the square take its place, again and again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from flows.core.arrays import Array
from flows.runs.terms import States
from potentials.search.exact import simplest

__all__ = ["Member", "best_member"]

# Exponents of a term, and numbers of terms that have them: a product.
Powers = tuple[tuple[int, Fraction], ...]

# A term may fall like the root of the loss in one of these powers.
POWERS = tuple(map(Fraction, ("1/2", "2/3", "1", "3/2", "2", "3")))
# Where the loss is below this part of its median a state is close to the minimum. What gets worse
# there by this factor has no bound.
CLOSE, GROWS = 1e-2, 1.5
# Of terms that serve by themselves those count whose cost is at most so many times the least.
WORSE = 10.0
# Where a state falls so much faster, or slower, than most do, the constant tells nothing.
MOST = 100.0
# A term that is positive and varies by less than this factor is multiplied with the others.
VARIES = 50.0
# More products than these make the linear programs slow.
PRODUCTS = 60
# States in a linear program at first, and those that join it in each round; so many rounds.
ROWS, MORE, TANGENTS = 1500, 150, 6
# What a coefficient costs, in units of the constant; smaller ones than this part are left out.
PRICE, SMALL = 1e-4, 1e-4
# A row of zeros is not divided by.
LEAST = 1e-300
# Coefficients and constants are simple fractions, and leave so much of what the states allow.
ROUNDED, ROOM = 1e-4, 1e-3


class Column(NamedTuple):
    """A product of powers of terms, of none the root of the loss: it and its fall, by the root."""

    powers: Powers
    a: Array
    u: Array


@dataclass(frozen=True)
class Member:
    """A potential `V = W^q` with its constant.

    Parameters
    ----------
    weights : tuple of (Fraction, tuple)
        `W`: coefficients of products.
    constant : Fraction
        `C` of `V <= C t^-q`, or `V >= C (t + t_0)^-q`.
    best : float
        That which the states allow.
    exponent : Fraction
        `q`.
    lower : bool
        Whether it is a bound from below.
    """

    weights: tuple[tuple[Fraction, Powers], ...]
    constant: Fraction
    best: float
    exponent: Fraction
    lower: bool

    def margins(self, states: States) -> Array:
        """By which part of it states are away from a violation; below zero they are one."""
        made = [(float(c), _column(states, powers, self.exponent)) for c, powers in self.weights]
        a, u = _added(made)
        most = float(self.constant) ** (-1 / float(self.exponent)) * a**2
        side = 1 if self.lower else -1
        return np.minimum(side * (1 - u / most), side * (1 - a))

    def root(self, loss: sp.Expr, terms: tuple[sp.Expr, ...]) -> sp.Expr:
        """`W` as an expression."""
        one = loss ** (1 / _rational(self.exponent))
        products = (
            sp.Mul(*(terms[i] ** _rational(p) for i, p in powers)) if powers else one
            for _, powers in self.weights
        )
        return sp.Add(*(_rational(c) * W for (c, _), W in zip(self.weights, products, strict=True)))


def best_member(states: States, exponent: Fraction, lower: bool) -> Member | None:
    """The member of a span of terms and the loss with the best constant, if any has one."""
    columns = list(_columns(states, exponent, lower))
    close = states.loss < CLOSE * np.median(states.loss)
    alone = [_cost(x.a, x.u, lower, close) for x in columns]
    if not np.isfinite(alone).any():
        return None
    first = np.eye(len(columns))[int(np.argmin(alone))]
    a, u = (np.array([getattr(x, k) for x in columns]) for k in ("a", "u"))
    found = [
        _rounded(c, columns, exponent, lower, close) for c in (first, _solved(a, u, first, lower))
    ]
    good = [m for m in found if m is not None]
    return min(good, key=lambda m: -m.best if lower else m.best) if good else None


def _cost(a: Array, u: Array, lower: bool, close: NDArray[np.bool_] | None = None) -> float:
    """`C^(1/q)`, or `C^(-1/q)` from below: less is better; infinite where there is no constant."""
    with np.errstate(all="ignore"):
        parts = (u / a**2, a) if lower else (a**2 / u, 1 / a)
    if not (a > 0).all() or not np.isfinite(parts).all() or (not lower and (u <= 0).any()):
        return math.inf
    if parts[0].max() > MOST * np.median(np.abs(parts[0])):
        return math.inf
    cost = float(max(parts[0].max(), 0) * parts[1].max())
    if close is not None and cost > GROWS * _cost(a[~close], u[~close], lower):
        return math.inf
    return cost


def _columns(states: States, exponent: Fraction, lower: bool) -> Iterator[Column]:
    """Terms that fall like the root of the loss, and their products with terms that have bounds."""
    close = states.loss < CLOSE * np.median(states.loss)
    loss = _column(states, (), exponent)
    yield loss
    every = [
        _column(states, ((i, p),), exponent)
        for i, p in itertools.product(range(len(states.values)), POWERS)
    ]
    if lower:
        costs = np.array([_cost(x.a, x.u, True, close) for x in every])
        found = [x for x, cost in zip(every, costs, strict=True) if cost < WORSE * costs.min()]
    else:
        found = [x for x in every if _beside(x, loss, close)]
    yield from found
    with np.errstate(all="ignore"):
        ends = states.values.min(1), states.values.max(1)
    others = np.flatnonzero((ends[0] > 0) & (ends[1] < VARIES * ends[0]))
    if len(found) * len(others) > PRODUCTS:
        return
    for x, i, p in itertools.product(found, others, (1, -1)):
        y = _column(states, (*x.powers, (int(i), Fraction(p))), exponent)
        if np.isfinite(y.a).all() and np.isfinite(y.u).all():
            yield y


def _beside(x: Column, loss: Column, close: NDArray[np.bool_]) -> bool:
    """Whether a term is no larger than the loss's root near the minimum, nor changes faster."""
    if not (np.isfinite(x.a).all() and np.isfinite(x.u).all()):
        return False
    fast = np.abs(x.u) / loss.u
    return all(y.max() <= GROWS * y[~close].max() for y in (np.abs(x.a), fast))


def _column(states: States, powers: Powers, exponent: Fraction) -> Column:
    q = float(exponent)
    T = states.loss ** (1 / q)
    if not powers:
        return Column((), np.ones(len(T)), states.falls / (q * states.loss * T))
    W, falls = np.ones(len(T)), np.zeros(len(T))
    with np.errstate(all="ignore"):
        for i, p in powers:
            W = W * states.values[i] ** float(p)
            falls = falls - float(p) * states.rates[i] / states.values[i]
        return Column(powers, W / T, W * falls / T**2)


def _solved(a: Array, u: Array, c: Array, lower: bool) -> Array:
    """Coefficients of the best member, from those of one."""
    side, size = (1 if lower else -1), len(a)
    rows = np.random.default_rng(0).permutation(a.shape[1])[:ROWS]
    tangents: list[tuple[Any, Array]] = []
    for _ in range(TANGENTS):
        W, falls = c @ a, c @ u
        with np.errstate(all="ignore"):
            ratio = side * falls / W**2
        rate = side * float(np.nanmax(ratio))
        worst = (np.argsort(x)[-MORE:] for x in (ratio, side * W))
        rows = np.unique(np.concatenate([rows, *worst]))
        # From below a tangent is on the safe side; from above all of them together are the square.
        tangents = [*(tangents if not lower else ()), (rows, rate * W[rows])]
        A, b = [], []
        for some, w in tangents:
            row = side * (u[:, some] - 2 * w * a[:, some])
            by = np.maximum(np.abs(row).max(0), LEAST)
            A.append(np.c_[(row / by).T, np.zeros(len(some))])
            b.append(-side * w**2 / by)
        A.append(np.c_[side * a[:, rows].T, np.full(len(rows), -side)])
        b.append(np.zeros(len(rows)))
        both = np.concatenate(A)
        x = linprog(
            np.r_[np.full(2 * size, PRICE), side],
            A_ub=np.c_[both[:, :size], -both[:, :size], both[:, size:]],
            b_ub=np.concatenate(b),
            method="highs",
        ).x
        if x is None:
            break
        before, c = c, x[:size] - x[size:-1]
        if np.abs(c - before).max() < SMALL * np.abs(c).max():
            break
    return c


def _rounded(
    c: Array,
    columns: Sequence[Column],
    exponent: Fraction,
    lower: bool,
    close: NDArray[np.bool_],
) -> Member | None:
    """A member with fractions, and its constant; None where states violate it."""
    kept = [x for x in zip(c, columns, strict=True) if abs(x[0]) > SMALL * np.abs(c).max()]
    size, _ = _added(kept)
    unit = float(size.max()) * (1 + ROOM) if lower else float(size.min()) * (1 - ROOM)
    weights = tuple((_near(float(w) / unit), x.powers) for w, x in kept)
    a, u = _added([(float(w), x) for (w, _), (_, x) in zip(weights, kept, strict=True)])
    if not (a.min() > 0 and math.isfinite(_cost(a, u, lower, close))):
        return None
    ratio = u / a**2
    best = float(ratio.max() if lower else ratio.min()) ** -float(exponent)
    room = sorted(best * (1 - ROOM * k if lower else 1 + ROOM * k) for k in (1, 2))
    return Member(weights, simplest(*map(Fraction, room)), best, exponent, lower)


def _added(parts: Sequence[tuple[float, Column]]) -> tuple[Array, Array]:
    return sum(c * x.a for c, x in parts), sum(c * x.u for c, x in parts)  # type: ignore[return-value]


def _near(x: float) -> Fraction:
    return simplest(*map(Fraction, sorted((x * (1 - ROUNDED), x * (1 + ROUNDED)))))


def _rational(x: Fraction) -> sp.Rational:
    return sp.Rational(x.numerator, x.denominator)
