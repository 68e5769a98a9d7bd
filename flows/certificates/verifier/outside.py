r"""A loss outside a box: charts that reach to infinity, where it is above a level.

With `x = p + B u`, where `u_j = \rho_j w_j r^{-a_j}`, the main `w_i = \pm 1`, the others
`|w_j| \le 1` and `0 < r \le 1`, is all that is not inside the box. A step is `r^{-k}` times a
function that is known at `r = 0` too: sums take the larger `k`, products add them. So infinity is
the face `r = 0` of a bounded box. Before it there are shells, with `u_j = \rho_j w_j 2^k (1 + r)`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from flint import arb

from flows.certificates.verifier.charts import Box, positive
from flows.certificates.verifier.derived import Derived
from flows.certificates.verifier.formula import taken
from flows.certificates.verifier.functions import ANYWHERE
from flows.certificates.verifier.reading import Refused, require
from flows.certificates.verifier.steps import Code, Step, Steps
from flows.certificates.verifier.taylor import raised

__all__ = ["Exterior"]

# Shells, each twice as far away, before infinity.
SHELLS = 6
# Functions of two parts of one order.
SCALED = ("plus", "angle", "bent", "flat")


class Exterior(NamedTuple):
    """A loss outside a box.

    Parameters
    ----------
    lines : sequence of Step
        The loss.
    point, radii : sequence of Fraction
        The middle of the box, and half its sides.
    inverse : sequence of sequence of Fraction
        Variables less the point are these combinations of those of the box.
    sides : sequence of int
        1 for a variable that is not below the point.
    level : Fraction
        The loss less its value at the point is to be above it.
    """

    lines: Sequence[Step]
    point: Sequence[Fraction]
    radii: Sequence[Fraction]
    inverse: Sequence[Sequence[Fraction]]
    sides: Sequence[int]
    level: Fraction

    def above(self, weights: Sequence[int]) -> None:
        """Refuse unless the loss is above the level outside the box."""
        for far in (True, False):
            for goal, box in self.charts(weights, far):
                positive(goal.least, box, lambda _: arb(-1), "the level outside the box")

    def charts(self, weights: Sequence[int], far: bool) -> Iterator[tuple[_Above, Box]]:
        """Charts that reach to infinity, or those of shells before them."""
        n, here = len(self.point), Steps([])
        _, last = _written(here, self.lines, [(0, here.number(p)) for p in self.point], None)
        bound = _run(_first(here, last, n), [arb(0)] * n)[0]
        bound += arb(self.level.numerator) / self.level.denominator
        for main, side in enumerate(self.sides):
            low = tuple(0.0 if i == main or s else -1.0 for i, s in enumerate(self.sides))
            box = Box(low, (1.0,) * n)
            shells = (SHELLS,) if far else range(SHELLS)
            for sign, shell in itertools.product((1,) if side else (1, -1), shells):
                steps = Steps([])
                y, size = steps.put("variable", main), steps.number(2**shell)
                if not far:
                    size = steps.plus(size, steps.times(size, y))
                w = [
                    steps.number(sign) if i == main else steps.put("variable", i) for i in range(n)
                ]
                variables = []
                for p, row in zip(self.point, self.inverse, strict=True):
                    parts = [(0, steps.number(p))]
                    for c, x, r, a in zip(row, w, self.radii, weights, strict=True):
                        if c:
                            off = steps.times(steps.number(c * r), x, size)
                            parts.append((a if far else 0, off))
                    variables.append(_sum(steps, parts, y))
                order, last = _written(steps, self.lines, variables, y)
                yield _Above(_first(steps, last, n), main, order, bound), box


def _first(steps: Steps, last: int, size: int) -> Code:
    """A step and its slopes."""
    return Derived((*steps.lines, ("plus", last, steps.number(0))), size).first


def _run(code: Code, x: Sequence[arb]) -> list[arb]:
    """Its results, on both sides of kinks."""
    return code.run(x, [None] * (1 + max(code.sides.values(), default=-1)), ANYWHERE)


def _written(
    steps: Steps, lines: Sequence[Step], variables: Sequence[tuple[int, int]], r: int | None
) -> tuple[int, int]:
    """What lines make of variables, each an order and a step: the same of the last one."""
    made: list[tuple[int, int]] = []
    for kind, *rest in lines:
        parts = [made[k] for k in taken(kind, rest)]
        order = max((k for k, _ in parts), default=0)
        if kind == "variable":
            made.append(variables[rest[0]])
        elif kind == "times":
            made.append((sum(k for k, _ in parts), steps.times(*(a for _, a in parts))))
        elif kind == "power":
            found = order * rest[1]
            require(found.denominator == 1, "a root is not known at infinity")
            made.append((int(found), steps.power(parts[0][1], rest[1])))
        elif kind == "side":
            made.append((order, steps.put(kind, parts[0][1])))
        else:
            if kind not in SCALED:
                require(order <= 0, f"{kind} is not known at infinity")
                order = 0
            if kind == "plus":
                made.append(_sum(steps, parts, r))
                continue
            same = [_lifted(steps, part, order, r) for part in parts]
            number = steps.put(kind, *(same or rest))
            made.append((order if kind == "bent" else 0, number))
    order = max(made[-1][0], 0)
    return order, _lifted(steps, made[-1], order, r)


def _sum(steps: Steps, parts: Sequence[tuple[int, int]], r: int | None) -> tuple[int, int]:
    """Of the largest order."""
    order = max(k for k, _ in parts)
    return order, steps.plus(*(_lifted(steps, part, order, r) for part in parts))


def _lifted(steps: Steps, part: tuple[int, int], order: int, r: int | None) -> int:
    """The same of a larger order."""
    return part[1] if r is None else steps.times(part[1], steps.power(r, order - part[0]))


class _Above(NamedTuple):
    """`r^k (L - bound)` in a chart, from below: by its value, or by its slopes."""

    first: Code
    main: int
    order: int
    bound: arb

    def least(self, box: Box) -> arb:
        """Not above any value on a box; not a number where it is not known."""
        sides = [*zip(map(arb, box.low), map(arb, box.high), strict=True)]
        value, *slopes = self._at([a.union(b) for a, b in sides])
        if value > 0:
            return value
        # Where it grows or falls along a side, it is least at an end.
        at = [
            a if slope > 0 else b if slope < 0 else (a + b) / 2
            for slope, (a, b) in zip(slopes, sides, strict=True)
        ]
        total = self._at(at)[0]
        for slope, x, (a, b) in zip(slopes, at, sides, strict=True):
            if not (slope > 0 or slope < 0):
                total += slope * (a.union(b) - x)
        return total if total.is_finite() else value

    def _at(self, x: Sequence[arb]) -> list[arb]:
        """Value and slopes."""
        try:
            value, *slopes = _run(self.first, x)
        except Refused:
            return [arb("nan")] * (len(x) + 1)
        k, r = self.order, x[self.main]
        slopes[self.main] -= self.bound * k * raised(r, max(k - 1, 0))
        return [value - self.bound * raised(r, k), *slopes]
