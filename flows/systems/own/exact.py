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
from flows.expectations.rules import along_one, surveyed
from flows.expectations.strips import Axis
from flows.systems.own.averages import GroupNodes, averages
from flows.systems.own.code import split
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric, rates_code, steps_of
from symbolic.language.lower import Undecided

__all__ = [
    "BITS",
    "MOST_BITS",
    "SERVES",
    "WRONG",
    "Nodes",
    "balls",
    "fixed_rule",
    "from_doubles",
    "is_even",
    "is_sharp",
    "is_steep",
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
#: Where a chart begins, a fixed rule leaves at most the first part of the average of sizes. It
#: serves while it leaves at most the second; a step to where it leaves more than the third is not
#: kept.
RIGHT, SERVES, WRONG = 1e-30, 1e-25, 1e-15
MOST_NODES = 2000
# How much finer, and how much farther along a line and along a mapped one, a second rule is.
FINER, FARTHER, FARTHER_MAPPED = 0.625, 4.0, 0.5


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
    r"""The fixed rule of a Gaussian expectation in one dimension.

    .. math:: E f(x) \approx h \sum_j \varphi(x_j)\, x'(j h)\, f(x_j), \qquad x_j = x(j h)

    The sum *is* the loss then: an analytic function of the state, in balls like any other.

    Parameters
    ----------
    axis : Axis
        Numbers `j`, spacing `h`, and `x`, which is the identity or turns where `f` does.
    """

    axis: Axis

    def at(self, bits: int, even: bool = False) -> list[tuple[Any, Any]]:
        """Nodes and weights in balls; of an even integrand, from 0 on."""
        return _nodes(self.axis, bits, even and not self.axis.line.centre)

    @property
    def finer(self) -> Nodes:
        """Rule that shows the error of this one."""
        line, spacing, first, last = self.axis
        far = FARTHER_MAPPED if line.mapped else FARTHER
        ends = ((sign * abs(k) * spacing + sign * far) for sign, k in ((-1, first), (1, last)))
        low, high = (math.floor(end / (FINER * spacing)) for end in ends)
        return Nodes(Axis(line, FINER * spacing, low, high))

    @property
    def rule(self) -> Rule:
        """The same in doubles."""
        nodes, weights = self.axis.nodes
        return Rule(nodes[:, None], weights, "fixed")


@functools.lru_cache(maxsize=16)
def _nodes(axis: Axis, bits: int, even: bool) -> list[tuple[Any, Any]]:
    line, spacing, first, last = axis
    with precision(bits):
        step = arb(spacing)
        unit = step / (2 * arb.pi()).sqrt()
        pairs = []
        for j in range(0 if even else first, max(last, -first) + 1 if even else last + 1):
            x, slope = j * step, arb(1)
            if line.mapped:
                x, slope = line.centre + line.scale * x.sinh(), line.scale * x.cosh()
            twice = 2 if even and j else 1
            pairs.append((x, twice * unit * slope * (-x * x / 2).exp()))
        return pairs


@functools.lru_cache(maxsize=64)
def is_even(loss: Loss) -> bool:
    """Whether the integrand, in one Gaussian number, is seen to be an even function of it."""
    integrand, (x,) = loss.form.integrand, loss.form.x
    return bool(sp.expand(integrand - integrand.subs(x, -x)) == 0)


def work(loss: Loss, nodes: Nodes) -> int:
    """Steps of the program of the gradient that one evaluation by a fixed rule takes."""
    return len(nodes.at(BITS, is_even(loss))) * steps_of(loss.form.integrand, loss.y)


def balls(loss: Loss, nodes: Nodes | GroupNodes | None = None) -> Balls:
    """Loss in balls, its expectation by a fixed rule.

    Raises
    ------
    NoBall
        For functions that have no ball arithmetic.
    """
    if isinstance(nodes, GroupNodes):
        return averages(loss, nodes)
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


def is_sharp(found: Sequence[Any], part: float = RELATIVE) -> bool:
    """Whether every ball is known to a small part of it, or exactly."""
    return all(x.is_exact() or float(x.rad()) <= part * abs(float(x)) for x in found)


def is_steep(found: Sequence[Any], part: float = RELATIVE) -> bool:
    """Whether the length of the gradient is known to a small part of it, or exactly."""
    slope, error = ([float(f(x)) for x in found[1:]] for f in (arb.mid, arb.rad))
    return math.hypot(*error) <= part * math.hypot(*slope)


def fixed_rule(loss: Loss, y: Array) -> Nodes | None:
    """Fixed rule of a loss near a state, proved to be right to 1e-30 of the average of sizes.

    Parameters
    ----------
    loss : Loss
        With an expectation in one dimension.
    y : ndarray, shape (N,)
        The state.

    Returns
    -------
    Nodes or None
        None where the integrand has no bound, or where the rule takes more than `MOST_NODES` nodes.
    """
    if loss.measured is not None:
        return None
    axis = along_one(surveyed(loss.form.integrand, loss.form.x, loss.y, y), RIGHT)
    return None if axis is None or axis.size > MOST_NODES else Nodes(axis)
