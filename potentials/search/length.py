r"""Balls that a flow does not leave, as its path is short.

Where `-\dot V = |\nabla L|^2 \ge \kappa V^{1 + k/m}` of `V = L - L^*` with `k < m`, the path of a
start `x_0` is no longer than

.. math:: \int |\nabla L|\, dt \le \int_0^{V(x_0)} \frac{dV}{\sqrt{\kappa V^{1 + k/m}}}
          = \frac{2 m}{m - k}\, \kappa^{-1/2}\, V(x_0)^{(m - k)/(2 m)} ,

as long as it is in a ball where this holds. So it stays there, if its distance from the centre and
this length together are less than the radius. (`k = 0`: an exponential rate, `\kappa = c`; else
`\kappa = d^{-k/m}`.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from flint import fmpq

from potentials.search.polynomials import Polynomial
from potentials.search.rates import Found
from potentials.search.regions import Condition

__all__ = ["Ball", "ball_of", "within_reach"]


class Ball(NamedTuple):
    """`weight (radius^2 - sum (x_i - c_i)^2)`; ``centre`` are the `c_i` by the places of `x_i`."""

    weight: fmpq
    square: fmpq
    centre: dict[int, fmpq]


def ball_of(p: Polynomial) -> Ball | None:
    """The ball, in some of the variables, where a polynomial is not negative; or None."""
    size = len(p.context().gens())
    terms, units = p.to_dict(), [tuple(int(i == j) for j in range(size)) for i in range(size)]
    squares = {i: -terms.pop(tuple(2 * k for k in e), fmpq(0)) for i, e in enumerate(units)}
    weights = {w for w in squares.values() if w}
    if len(weights) != 1 or min(weights) < 0:
        return None
    (weight,) = weights
    inside = [i for i, w in squares.items() if w]
    centre = {i: terms.pop(units[i], fmpq(0)) / (2 * weight) for i in inside}
    square = terms.pop((0,) * size, fmpq(0)) / weight + sum(c * c for c in centre.values())
    return None if terms or square <= 0 else Ball(weight, square, centre)


def within_reach(found: Found) -> Found:
    """The same with balls that starts do not leave, instead of assumptions, if it is of the loss.

    All assumptions have to be balls.
    """
    assumed = [c for c in found.where.conditions if c.reason == "assumed"]
    short = found.rate == "exp" or found.rate.k < found.rate.m
    of_loss = found.flow.origin is None and found.least is not None and not found.lower
    if not (assumed and short and of_loss) or any(c.equal or not ball_of(c.p) for c in assumed):
        return found
    if found.flow.loss - found.flow.constant(found.least) != found.V:
        return found

    def kept(c: Condition) -> Condition:
        return replace(c, reason="length") if c.reason == "assumed" else c

    conditions = tuple(map(kept, found.where.conditions))
    return replace(found, where=replace(found.where, conditions=conditions))
