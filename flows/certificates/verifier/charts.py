r"""A box around a point in charts that cover it, and functions in them, positive or not.

In a chart the main variable is `x_i = \pm \rho_i y^{a_i}`, and the others are
`x_j = \rho_j w_j y^{a_j}`, with `0 \le y \le 1` and `|w_j| \le 1`. What vanishes at the point is a
power of `y` times a quotient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.verifier.exact import whole
from flows.certificates.verifier.models import Models
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.taylor import raised

__all__ = ["MOST_WEIGHT", "Box", "Chart", "Quotient", "Region", "positive"]

# A file that would take hours to check is refused: parts of a chart of two variables, which are
# so many times more for each further one, and weights.
MOST_PARTS, FURTHER, MOST_WEIGHT = 5_000, 8, 12
# Terms of a quotient from this power of `y` on are one ball.
HIGH = 32


class Box(NamedTuple):
    """A part of a box: lower and upper ends, which are doubles."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def halves(self) -> tuple[Box, Box]:
        """Two halves across the longest side."""
        widths = [b - a for a, b in zip(self.low, self.high, strict=True)]
        k = widths.index(max(widths))
        middle = (self.low[k] + self.high[k]) / 2
        return (
            Box(self.low, (*self.high[:k], middle, *self.high[k + 1 :])),
            Box((*self.low[:k], middle, *self.low[k + 1 :]), self.high),
        )

    @property
    def middle(self) -> Box:
        """Its middle alone."""
        at = tuple((a + b) / 2 for a, b in zip(self.low, self.high, strict=True))
        return Box(at, at)

    def powers(self, i: int, most: int) -> list[arb]:
        """Of a variable, as narrow as they are."""
        return _powers(self.low[i], self.high[i], most)


@functools.lru_cache(maxsize=10_000)
def _powers(low: float, high: float, most: int) -> list[arb]:
    """Of an interval; parts of a box share their sides, and nobody changes the list."""
    x = arb(low).union(arb(high))
    return [raised(x, k) for k in range(most + 1)]


class Chart(NamedTuple):
    """A cone of the box: its main variable, the sign of this, and weights."""

    main: int
    sign: int
    weights: tuple[int, ...]


class Region:
    """The part of a box around a point where the loss is at most a level above that of the point.

    Parameters
    ----------
    models : Models
        Of the box.
    radii : sequence of fmpq
        Half its sides.
    sides : sequence of int
        1 for a variable that is not below the point.
    T : polynomial
        The loss above that of the point.
    level : fmpq
        How large it is at most.
    """

    def __init__(
        self, models: Models, radii: Sequence[Any], sides: Sequence[int], T: Any, level: Any
    ) -> None:
        self.models, self.radii, self.sides, self.T, self.level = models, radii, sides, T, level

    def charts(self, weights: tuple[int, ...]) -> Iterator[tuple[Chart, Box]]:
        """Cones that cover the box, each with its variables: `y` in the place of the main one."""
        for main, side in enumerate(self.sides):
            low = tuple(0.0 if i == main or s else -1.0 for i, s in enumerate(self.sides))
            for sign in (1,) if side else (1, -1):
                yield Chart(main, sign, weights), Box(low, (1.0,) * len(low))

    def everywhere(
        self, weights: Any, goal: Callable[[Chart], Callable[[Box], arb]], reason: str
    ) -> None:
        """Refuse unless a goal is positive in each chart, as far as the level goes."""
        n = self.models.size
        require(isinstance(weights, list) and len(weights) == n, "weights and variables differ")
        checked = tuple(whole(a, MOST_WEIGHT) for a in weights)
        require(min(checked) > 0, "a weight is not positive")
        for chart, box in self.charts(checked):
            left = Quotient(self, chart, self.T - self.models.constant(self.level), 0)
            positive(goal(chart), box, left, reason)

    def not_negative(self, p: Any, weights: Any, reason: str) -> None:
        """Refuse unless a polynomial is not negative, apart from even powers in all its terms."""
        terms, n = dict(p.terms()), self.models.size
        shared = [min((int(e[i]) for e in terms), default=0) for i in range(n)]
        shared = [k if side else k - k % 2 for k, side in zip(shared, self.sides, strict=True)]
        lower = [*shared, *(0,) * (self.models.ring.nvars() - n)]
        left = {tuple(a - b for a, b in zip(e, lower, strict=True)): c for e, c in terms.items()}
        smaller = self.models.ring.from_dict(left)
        self.everywhere(weights, lambda chart: Quotient(self, chart, smaller), reason)

    def faces(self, names: Sequence[str]) -> None:
        """Refuse unless the loss is above the level on each face that the flow might cross."""
        weights = (1,) * self.models.size
        for chart, box in self.charts(weights):
            face = Box(
                tuple(1.0 if i == chart.main else x for i, x in enumerate(box.low)), box.high
            )
            above = Quotient(self, chart, self.T - self.models.constant(self.level), 0)
            positive(above, face, above, f"the level at the end of {names[chart.main]}")


def positive(
    value: Callable[[Box], arb], box: Box, outside: Callable[[Box], arb], reason: str
) -> None:
    """Bisect a box until a function is positive on each part, or the part is outside."""
    parts, seen = [box], 0
    most = MOST_PARTS * FURTHER ** max(0, len(box.low) - 2)
    while parts:
        part = parts.pop()
        seen += 1
        if value(part) > 0 or outside(part) > 0:
            continue
        middle = part.middle
        false = value(middle) < 0 and outside(middle) < 0
        require(seen < most and not false, f"{reason} is not seen")
        parts.extend(part.halves())


class Quotient:
    """A polynomial of models in a chart, divided by a power of `y`: the largest, or a given one."""

    def __init__(self, region: Region, chart: Chart, p: Any, order: int | None = None) -> None:
        models, n, self.main = region.models, region.models.size, chart.main
        scale = [arb(r) * (chart.sign if i == self.main else 1) for i, r in enumerate(region.radii)]
        rows: dict[tuple[int, ...], arb] = {}
        for powers, c in models.expanded(p).items():
            e = [int(k) for k in powers[:n]]
            value = arb(c)
            for radius, k in zip(scale, e, strict=True):
                value *= raised(radius, k)
            for i, k in enumerate(powers[n : 2 * n]):
                if k:
                    value *= models.remainder(i, int(k))
            for ball, k in zip(models.values[2 * n :], powers[2 * n :], strict=False):
                if k:
                    value *= raised(ball, int(k))
            e[self.main] = sum(a * k for a, k in zip(chart.weights, e, strict=True))
            key = tuple(e)
            rows[key] = rows[key] + value if key in rows else value
        self.order = min((e[self.main] for e in rows), default=0) if order is None else order
        # What is small near the point need not be narrow: all of it is one ball.
        kept: dict[tuple[int, ...], arb] = {}
        for full, c in rows.items():
            down, high = full[self.main] - self.order, full[self.main] - self.order >= HIGH
            rest = (0,) * n if high else full
            key = (*rest[: self.main], min(down, HIGH), *rest[self.main + 1 :])
            size = c.union(-c) if high else c
            kept[key] = kept[key] + size if key in kept else size
        self.rows = list(kept.items())
        self.most = [max((e[i] for e in kept), default=0) for i in range(n)]
        self._nested = _nested(self.rows)
        self._slopes = [
            _nested([((*e[:i], e[i] - 1, *e[i + 1 :]), c * e[i]) for e, c in self.rows if e[i]])
            for i in range(n)
        ]

    def __call__(self, box: Box) -> arb:
        """Over a box of the chart: as it stands, or by middle and slopes if that is narrower."""
        powers = [box.powers(i, most) for i, most in enumerate(self.most)]
        found = _total(self._nested, powers)
        if found > 0 or box.low == box.high:
            return found
        middle = box.middle
        total = _total(self._nested, [middle.powers(i, most) for i, most in enumerate(self.most)])
        for i, slope in enumerate(self._slopes):
            off = arb(box.low[i]).union(arb(box.high[i])) - arb(middle.low[i])
            total += _total(slope, powers) * off
        return total if total.rad() < found.rad() else found


def _nested(rows: Sequence[Any]) -> Any:
    """Coefficients of a polynomial as one in the last variable of those in the others."""
    if rows and not rows[0][0]:
        return rows[0][1]
    parts: dict[int, list[Any]] = {}
    for e, c in rows:
        parts.setdefault(e[-1], []).append((e[:-1], c))
    return [(k, _nested(part)) for k, part in parts.items()]


def _total(nested: Any, powers: Sequence[Sequence[arb]]) -> arb:
    """A polynomial of its terms."""
    *others, table = powers
    total = arb(0)
    for k, part in nested:
        value = _total(part, others) if others else part
        total += value * table[k] if k else value
    return total
