r"""States with as many digits as it takes, and the loss there in balls.

A state is a vector of exact numbers. On the way, and in a file, each is a sum of doubles that do
not overlap, the largest one first; about 160 bits are three doubles. Everything is evaluated in
balls, with more bits until the result is known.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from flint import arb, arb_mat, ctx

from flows.core.arrays import Array
from flows.core.balls import precision, split
from flows.core.limit import Balls
from flows.expectations.lines import in_balls
from flows.expectations.product import Paired
from flows.systems.own.averages import averages
from flows.systems.own.in_pairs import InPairs, enclosed_code
from flows.systems.own.loss import Loss
from flows.systems.own.nodes import Nodes
from flows.systems.own.numeric import at_nodes, numeric, rates_code, steps_of
from symbolic.language.lower import Undecided

__all__ = [
    "BITS",
    "MOST_BITS",
    "RIGHT",
    "SERVES",
    "WRONG",
    "balls",
    "from_doubles",
    "is_even",
    "is_sharp",
    "is_steep",
    "sharp_nodes",
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
#: Where a chart begins, nodes on a line leave at most the first part of the average of sizes. They
#: serve while they leave at most the second; a step to where they leave more than the third is not
#: kept.
RIGHT, SERVES, WRONG = 1e-30, 1e-25, 1e-15


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


@functools.lru_cache(maxsize=64)
def is_even(loss: Loss) -> bool:
    """Whether the integrand is seen to be an even function of the Gaussian numbers."""
    integrand = loss.form.integrand
    return bool(sp.expand(integrand - integrand.xreplace({x: -x for x in loss.form.x})) == 0)


def sharp_nodes(loss: Loss, nodes: Nodes, bits: int) -> list[tuple[Any, Any]]:
    """Nodes and weights on a line in balls; of an even integrand, from 0 on."""
    (part,) = nodes.parts
    return in_balls(part.rules[0], bits, is_even(loss))


def work(loss: Loss, nodes: Nodes) -> int:
    """Steps of the program of the gradient that one evaluation by nodes on a line takes."""
    return len(sharp_nodes(loss, nodes, BITS)) * steps_of(loss.form.integrand, loss.y)


def balls(loss: Loss, nodes: Nodes | None = None) -> Balls:
    r"""Loss in balls; the sum over nodes *is* the expectation then, an analytic function of states.

    Raises
    ------
    NoBall
        For functions that have no ball arithmetic.
    """
    if nodes is not None and not nodes.on_line:
        return averages(loss, nodes)
    plain = numeric(loss.form.plain, loss.y, (), "ball")
    if nodes is None:
        return Balls(
            lambda y: list(plain.both(*y)),
            lambda y, dy: list(plain.rates(*y, *dy)),
            functools.partial(_coarse, loss),
        )
    inner = at_nodes(loss.form.integrand, loss.y, loss.form.x)

    @functools.cache
    def prepared(bits: int) -> tuple[list[Any], list[Any]]:
        """Nodes with what entries do not change there, and weights."""
        pairs = sharp_nodes(loss, nodes, bits)
        return [(x, *inner.still(x)) for x, _ in pairs], [weight for _, weight in pairs]

    def summed(first: Sequence[Any], evaluate: Callable[..., Sequence[Any]]) -> list[Any]:
        places, weights = prepared(ctx.prec)
        columns = zip(*(evaluate(*place) for place in places), strict=True)
        return [sum(map(operator.mul, weights, c), f) for f, c in zip(first, columns, strict=True)]

    return Balls(
        lambda y: summed(plain.both(*y), functools.partial(inner.both, *y)),
        lambda y, dy: summed(plain.rates(*y, *dy), functools.partial(inner.rates, *y, *dy)),
        quick=_quick(loss, nodes, plain.both),
    )


def _quick(loss: Loss, nodes: Nodes, plain: Callable[..., Any]) -> Any:
    """The same sum by two doubles at each node; None where they do not compute the integrand."""
    if enclosed_code(loss.formed) is None:
        return None
    with precision(BITS):
        pairs = [(split(x), split(weight)) for x, weight in sharp_nodes(loss, nodes, BITS)]
    places, weights = (np.array(part) for part in zip(*pairs, strict=True))
    average = InPairs(loss.formed, Paired(places[:, None], weights), np.eye(1))

    def both(y: Sequence[Any]) -> list[Any] | None:
        found = average.both(y)
        return found and [p + x for p, x in zip(plain(*y), found, strict=True)]

    return both


def _coarse(loss: Loss, y: Sequence[Any]) -> Any:
    """Hessian in two doubles; None where they do not compute it."""
    code = rates_code(loss.form.plain, loss.y)
    if code is None:
        return None
    from flows.systems.own.hessians import twofold_hessian  # Numba, where it is needed

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
    return all(x.is_exact() or _within(float(x.rad()), part * abs(float(x))) for x in found)


def is_steep(found: Sequence[Any], part: float = RELATIVE) -> bool:
    """Whether the length of the gradient is known to a small part of it, or exactly."""
    slope, error = ([float(f(x)) for x in found[1:]] for f in (arb.mid, arb.rad))
    return _within(math.hypot(*error), part * math.hypot(*slope))


def _within(error: float, size: float) -> bool:
    """Whether an error is known and small: a ball of all numbers has an infinite middle, too."""
    return error <= size and error < math.inf
