r"""The trapezoidal rule for an expectation ``E f(x)``, ``x ~ N(0, I)``, and a bound of its error.

Points are the multiples of a step ``h`` up to ``K h`` in each input, with weights ``h phi``, where
``phi`` is the density of one number. Let ``X = (K + 1/2) h``, and ``g = f phi`` in one input.

*Within.* If ``f`` is analytic where ``|Re x| <= X`` and ``|Im x| <= c``, the sum is an integral of
``g cot(pi x/h)/2i`` around this rectangle, and differs from the integral of ``g`` on ``[-X, X]`` by

.. math:: \int_\text{edges} \frac{|g|}{e^{2 \pi c/h} - 1} + \int_\text{sides}
    \frac{|g|}{e^{2 \pi |\mathrm{Im} x|/h} + 1},

at most: on the sides ``e^(2 pi i x/h)`` is negative. As ``f`` is real for real states and inputs,
the upper half tells all. There ``|phi(a + i b)| = phi(a) e^(b^2/2)``, which is ``phi(a) e^(c^2/2)``
on the edge. On a side ``b <= c``, so that ``e^(b^2/2)`` over the denominator is at most ``e^(-b
s)``, ``s = 2 pi/h - c/2``, and its integral at most ``1/s``.

*Beyond.* For real inputs ``|f| <= p e^(q r)``, ``r = sum |x_i|``, so that what is left out in one
input is at most ``2 p e^(q^2/2) Q(X - q)``, ``Q`` the Gaussian tail, times ``2 e^(q^2/2)`` for each
other input.

Of two inputs one after the other is summed. The other one is real, on cells of a measure of at most
``(length + h) max phi``, by the density and by weights alike. On each cell ``f`` is evaluated in
balls and boxes, for all states of the box. A cell on which it may not be analytic is halved.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import acb, arb

from flows.certificates.verifier.exact import whole
from flows.certificates.verifier.growth import sizes
from flows.certificates.verifier.reading import MOST, Refused, largest, number, require
from flows.certificates.verifier.steps import Code

__all__ = ["Part", "Rule", "beyond", "cells"]

# A file that would take hours to check is refused: points of a sum.
LARGEST = 2**17
# About the length of a cell, of one input, and how often it is halved.
CELL, HALVINGS = 0.25, 4
EXP = np.frompyfunc(lambda z: z.exp(), 1, 1)
#: Inputs of a cell, which one of them is complex, and a bound of the results there.
Part = tuple[list[Any], int, arb]


class Rule(NamedTuple):
    """A sum: its step, how far up the integrand is analytic, and how many points it has aside."""

    step: arb
    strip: arb
    aside: int

    @classmethod
    def read(cls, step: Any, strip: Any, aside: Any) -> Rule:
        """A rule of the file."""
        found = cls(arb(number(step)), arb(number(strip)), whole(aside, LARGEST))
        require(found.step > 0 and found.strip > 0, "a step or a strip is not positive")
        return found

    @property
    def end(self) -> arb:
        """Where inputs end."""
        return (self.aside + arb(0.5)) * self.step

    def error(self, code: Code, inputs: int, near: Sequence[arb]) -> arb:
        """Bound how far sums of the results of a code are from expectations, for these states."""
        parts = cells(code, near, inputs, self.end, self.strip)
        return self.off(parts, beyond(code, inputs, near, self.end))

    def off(self, parts: Iterable[Part], left: arb) -> arb:
        """What bounds of an integrand on cells say, and of what is left out."""
        total = left
        fall = (2 * arb.pi() * self.strip / self.step).expm1()
        high = (self.strip * self.strip / 2).exp()
        steep = 2 * arb.pi() / self.step - self.strip / 2
        require(steep > 0, "a step is too long for its strip")
        side = 2 * density(self.end) / steep
        for cell, place, most in parts:
            others = [x for i, x in enumerate(cell) if i != place]
            weight = functools.reduce(
                lambda a, b: a * b, ((length(x) + self.step) * density(x) for x in others), arb(1)
            )
            here = cell[place].real
            edge = 2 * high * length(here) * density(here) / fall
            total += weight * most * (edge if abs(here) < self.end else edge + side)
        require(total.is_finite(), "a sum is not known to be right")
        return total.upper()

    def points(self, inputs: int) -> tuple[Any, Any]:
        """Points, one row an input, and their weights."""
        require((2 * self.aside + 1) ** inputs <= LARGEST, "an expectation takes too many points")
        line = np.array([k * self.step for k in range(-self.aside, self.aside + 1)])
        weights = EXP(-line * line / 2) * self.step / (2 * arb.pi()).sqrt()
        places = np.indices([len(line)] * inputs).reshape(inputs, -1)
        return line[places], functools.reduce(lambda a, b: a * b, weights[places])


def beyond(code: Code, inputs: int, near: Sequence[arb], end: arb) -> arb:
    """Bound what is left out beyond an end, in any input."""
    known = sizes(code.lines, near)
    p, q = (largest(known[k].size[i] for k in code.results) for i in (0, 1))
    grown = 2 * (q * q / 2).exp()
    return inputs * p * grown**inputs * ((end - q) / arb(2).sqrt()).erfc() / 2


def cells(code: Code, near: Sequence[arb], inputs: int, end: arb, strip: arb) -> Iterator[Part]:
    """Boxes that cover the rectangles."""
    count = math.ceil(float((2 * end / (CELL * inputs)).upper()))
    require(count**inputs <= MOST, "its inputs go too far out")
    edges = [end * (2 * k - count) / count for k in range(count + 1)]
    line = [a.union(b) for a, b in itertools.pairwise(edges)]
    for place in range(inputs):
        for cell in itertools.product(line, repeat=inputs):
            box = [acb(x, arb(0).union(strip)) if i == place else x for i, x in enumerate(cell)]
            yield from ((part, place, most) for part, most in _bounded(code, near, box, HALVINGS))


def _bounded(code: Code, near: Sequence[arb], box: list[Any], left: int) -> Iterator[Any]:
    """Parts of a box with bounds of the results there."""
    try:
        found = code.run([*near, *box], ())
        if all(c.is_finite() for c in found):
            yield box, largest(abs(c) for c in found)
            return
        reason = "an integrand may not be analytic near real inputs"
    except Refused as refused:
        reason = str(refused)
    require(left > 0, reason)
    for part in itertools.product(*map(_halves, box)):
        yield from _bounded(code, near, list(part), left - 1)


def _halves(x: Any) -> list[Any]:
    """A ball or a box in two or four parts."""
    if isinstance(x, acb):
        return [acb(a, b) for a in _halves(x.real) for b in _halves(x.imag)]
    return [arb(x.lower()).union(x.mid()), arb(x.upper()).union(x.mid())]


def density(x: Any) -> arb:
    """The largest one of a number."""
    least = x.real.abs_lower()
    return (-least * least / 2).exp() / (2 * arb.pi()).sqrt()


def length(x: Any) -> arb:
    """That of an interval."""
    return 2 * arb(x.rad())
