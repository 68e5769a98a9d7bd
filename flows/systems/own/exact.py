r"""States with as many digits as it takes, and the loss there in balls.

A state is a vector of exact numbers. On the way, and in a file, each is a sum of doubles that do
not overlap, the largest one first; about 160 bits are three doubles. Everything is evaluated in
balls, with more bits until the result is known.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, arb_mat, ctx

from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.limit import Balls
from flows.core.quadrature import Rule
from flows.systems.own.code import split
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric, rates_code, steps_of
from symbolic.language.lower import NoBall, Undecided

__all__ = [
    "BITS",
    "MOST_BITS",
    "Nodes",
    "balls",
    "fixed_rule",
    "from_doubles",
    "is_even",
    "to_double",
    "to_doubles",
    "value_of",
    "width",
    "work",
]

#: Bits with which a run begins; more are taken where a result asks for them.
BITS, MORE, MOST_BITS = 160, 1.6, 4000
#: What is read off a state is known to this part of it, or to so many bits.
RELATIVE, READING_BITS = 1e-17, 1700
SMALLEST = float(np.finfo(float).tiny)
# Numbers of any two doubles add up exactly in so many bits.
SUM_BITS = 2300
#: Two fixed rules of an expectation agree to this.
AGREE = 1e-30
# Spacing and reach of the first fixed rule, how often they are refined, and its largest number.
SPACING, REACH, FARTHER, REFINED, MOST_NODES = 0.5, 15.0, 4.0, 7, 2000
# Not a half: a rule and its half would mistake the same oscillations for slow ones.
FINER = 0.625


def to_double(value: Any) -> float:
    """Ball as a double; NaN where it is not zero and outside the doubles that have their digits."""
    found = float(value)
    return found if SMALLEST <= abs(found) < math.inf or value.is_zero() else math.nan


def to_doubles(values: Sequence[Any]) -> Array:
    """Exact numbers as sums of doubles, shape (N, K), as many as it takes."""
    rows: list[list[float]] = []
    with precision(SUM_BITS):
        for value in values:
            rest, row = value, []
            while True:
                row.append(float(rest))
                rest = rest - row[-1]
                # What is below the smallest double is dropped.
                if rest.is_zero() or row[-1] == 0 or not math.isfinite(row[-1]):
                    break
            rows.append(row)
    found = np.zeros((len(rows), max(map(len, rows))))
    for row, out in zip(rows, found, strict=True):
        out[: len(row)] = row
    return found


def from_doubles(doubles: Array) -> list[Any]:
    """Exact numbers of sums of doubles, shape (N, K)."""
    with precision(SUM_BITS):
        return [sum(map(arb, row), arb(0)) for row in doubles.tolist()]


def width(entries: int, low: Sequence[Array]) -> Array:
    """Lower doubles of several states, shape (T, N, K), with zeros where one has fewer."""
    most = max((part.shape[-1] for part in low), default=1)
    found = np.zeros((len(low), entries, most))
    for part, out in zip(low, found, strict=True):
        out[:, : part.shape[-1]] = part
    return found


@dataclass(frozen=True)
class Nodes:
    r"""The fixed trapezoidal rule of a Gaussian expectation in one dimension.

    .. math:: E f(x) \approx h \sum_{|j| h \le r} \varphi(j h) f(j h)

    The sum *is* the loss then: an analytic function of the state, in balls like any other.

    Parameters
    ----------
    spacing, reach : float
        `h` and `r`.
    """

    spacing: float
    reach: float

    @property
    def count(self) -> int:
        """Nodes on each side of 0."""
        return int(self.reach / self.spacing)

    def at(self, bits: int, even: bool = False) -> list[tuple[Any, Any]]:
        """Nodes and weights in balls; of an even integrand, from 0 on."""
        return _nodes(self, bits, even)

    @property
    def finer(self) -> Nodes:
        """Rule that shows the error of this one."""
        return Nodes(FINER * self.spacing, self.reach + FARTHER)

    @property
    def rule(self) -> Rule:
        """The same in doubles."""
        pairs = [(float(x), float(w)) for x, w in _nodes(self, BITS, False)]
        nodes, weights = np.array(pairs).T
        return Rule(nodes[:, None], weights, "fixed")


@functools.lru_cache(maxsize=16)
def _nodes(rule: Nodes, bits: int, even: bool) -> list[tuple[Any, Any]]:
    with precision(bits):
        step = arb(rule.spacing)
        unit = step / (2 * arb.pi()).sqrt()
        pairs = []
        for j in range(0 if even else -rule.count, rule.count + 1):
            x = j * step
            twice = 2 if even and j else 1
            pairs.append((x, twice * unit * (-x * x / 2).exp()))
        return pairs


@functools.lru_cache(maxsize=64)
def is_even(loss: Loss) -> bool:
    """Whether the integrand, in one Gaussian number, is seen to be an even function of it."""
    integrand, (x,) = loss.form.integrand, loss.form.x
    return bool(sp.expand(integrand - integrand.subs(x, -x)) == 0)


def work(loss: Loss, nodes: Nodes) -> int:
    """Steps of the program of the gradient that one evaluation by a fixed rule takes."""
    count = nodes.count + 1 if is_even(loss) else 2 * nodes.count + 1
    return count * steps_of(loss.form.integrand, loss.y)


def balls(loss: Loss, nodes: Nodes | None = None) -> Balls:
    """Loss in balls, its expectation by a fixed rule.

    Raises
    ------
    NoBall
        For functions that have no ball arithmetic.
    """
    plain = numeric(loss.form.plain, loss.y, (), "ball")
    if nodes is None:
        return Balls(
            lambda y: list(plain.both(*y)),
            lambda y, dy: list(plain.rates(*y, *dy)),
            functools.partial(_coarse, loss),
        )
    inner = numeric(loss.form.integrand, loss.y, loss.form.x, "ball")
    even = is_even(loss)

    def summed(first: Sequence[Any], evaluate: Callable[[Any], Sequence[Any]]) -> list[Any]:
        total = list(first)
        for x, weight in nodes.at(ctx.prec, even):
            total = [t + weight * v for t, v in zip(total, evaluate(x), strict=True)]
        return total

    return Balls(
        lambda y: summed(plain.both(*y), lambda x: inner.both(*y, x)),
        lambda y, dy: summed(plain.rates(*y, *dy), lambda x: inner.rates(*y, *dy, x)),
    )


def _coarse(loss: Loss, y: Sequence[Any]) -> Any:
    """Hessian in two doubles; None where they do not compute it."""
    code = rates_code(loss.form.plain, loss.y)
    if code is None:
        return None
    from flows.systems.own.rates_loop import twofold_hessian  # Numba, where it is needed

    size = len(y)
    found, place = np.empty((size, size, 2)), np.array([split(x)[:2] for x in y])
    twofold_hessian(place, code.operation, code.operands, code.constants, code.results, found)
    if not np.isfinite(found).all():
        return None
    high, low = (arb_mat(size, size, found[..., k].ravel().tolist()) for k in range(2))
    return high + low


def value_of(evaluate: Callable[[], Sequence[Any]], small: Callable[[Sequence[Any]], bool]) -> Any:
    """Evaluate with more and more bits until the balls are `small`; None where none are enough."""
    bits = float(BITS)
    while bits <= READING_BITS:
        with precision(int(bits)):
            try:
                found = evaluate()
                if small(found):
                    return found
            except Undecided:
                pass
        bits *= MORE
    return None


def fixed_rule(loss: Loss, y: Array) -> Nodes | None:
    """Fixed rule of a loss near a state: two that agree to 1e-30 there; None where there is none.

    They agree in the loss, its gradient and the curvature along one direction: beside a minimum of
    zero both losses vanish, by any rule.

    Parameters
    ----------
    loss : Loss
        With an expectation in one dimension.
    y : ndarray, shape (N,)
        The state.
    """
    state = [arb(x) for x in y.tolist()]
    along = [arb(math.cos(k)) for k in range(len(state))]

    def at(spacing: float, reach: float) -> list[Any]:
        averaged = balls(loss, Nodes(spacing, reach))
        return [*averaged.both(state), *averaged.rates(state, along)]

    def near(a: Sequence[Any], b: Sequence[Any]) -> bool:
        size = max(1.0, *(abs(float(x)) for x in b))
        return all(
            float(abs(x - u).mid()) + float((x - u).rad()) <= AGREE * size
            for x, u in zip(a, b, strict=True)
        )

    try:
        with precision(BITS):
            reach = REACH
            wide = at(SPACING, reach)
            for _ in range(REFINED):
                before, reach = wide, reach + FARTHER
                wide = at(SPACING, reach)
                if near(before, wide):
                    reach -= FARTHER
                    break
            else:
                return None
            spacing, before = SPACING, at(SPACING, reach)
            while 2 * reach / spacing <= MOST_NODES:
                finer = at(FINER * spacing, reach)
                if near(before, finer):
                    return Nodes(spacing, reach)
                spacing, before = FINER * spacing, finer
    except (Undecided, NoBall):
        return None
    return None
