"""Boxes that cover an enclosed trajectory.

Marks of a claim's window, such as ``T2``, are times of the true flow, in balls.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import sympy as sp
from flint import arb

from flows.certificates.boxes import Box
from flows.certificates.certificate import Certificate
from flows.certificates.continued import FunnelTail, Infinity
from flows.certificates.features.registry import enclosure
from flows.certificates.later import Later
from flows.certificates.verifier.reading import Refused
from flows.core.balls import Singular
from potentials.claim import Mark
from potentials.potential import Over
from symbolic.language.lower import Undecided

Ball = Any  # flint.arb

#: What is raised where a quantity is not defined, or not enclosed, on a box.
UNKNOWN = (Singular, Undecided, ZeroDivisionError)
#: Boxes of a segment at first.
FIRST_BOXES = 4
#: Marks are enclosed to this width, in units of half a segment.
MARK = 2.0**-50
#: Where that is not to be had, it is looked for how far they may be, first on parts like this.
COARSE = 2.0**-6


class Stretch(NamedTuple):
    """A stretch of a segment: index of the segment, and both ends in [-1, 1]."""

    segment: int
    low: float
    high: float

    @property
    def width(self) -> float:
        """Distance of the ends."""
        return self.high - self.low

    def halves(self) -> tuple[Stretch, Stretch]:
        """Both halves, the early one first."""
        middle = (self.low + self.high) / 2
        return self._replace(high=middle), self._replace(low=middle)


class Hull(dict[str, Any]):
    """Quantities at an unknown time on one of several boxes."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        super().__init__()
        self.boxes = boxes

    def __missing__(self, name: str) -> Any:
        """Unite those of all boxes."""
        first, *others = (box[name] for box in self.boxes)
        for x in others:
            first = list(map(_united, first, x)) if isinstance(first, list) else _united(first, x)
        self[name] = first
        return first


def _united(a: Ball, b: Ball) -> Ball:
    """Of two balls; what is unknown in one of them is unknown."""
    return a.union(b) if a.is_finite() and b.is_finite() else arb.nan()


class Cover:
    """Boxes along a certificate, each made once. All methods need the certificate's precision."""

    def __init__(self, certificate: Certificate) -> None:
        self.enclosure = enclosure(certificate)
        self.count = self.enclosure.segments
        self.start = Stretch(0, -1.0, -1.0)
        self.end = Stretch(self.count - 1, 1.0, 1.0)
        self._boxes: dict[Stretch, Box] = {}
        frozen = self.enclosure.frozen
        frozen["0"] = self.enclosure.box(*self.start)
        frozen["end"] = self.enclosure.box(*self.end)
        for mark in self.enclosure.marks:
            with suppress(KeyError):  # a mark of what no box knows is not reached
                if places := self._located(mark):
                    frozen[mark.name] = Hull([self.enclosure.box(*place) for place in places])
        self.later, self.open = None, ""
        last, living = self.enclosure.last, self.enclosure.living
        if isinstance(last.infinity, Infinity | FunnelTail):
            try:
                self.later = Later(last, self.enclosure, living)
            except (Singular, Refused) as problem:  # of later times only the bounds are known
                self.open = f"open after the pieces: {problem}"

    def box(self, place: Stretch) -> Box:
        """Quantities on a stretch."""
        if place not in self._boxes:
            self._boxes[place] = self.enclosure.box(*place)
        return self._boxes[place]

    def stretches(self) -> Iterator[Stretch]:
        """Stretches that cover the trajectory, in order."""
        for index in range(self.count):
            begin = self.enclosure.begin(index)
            parts = FIRST_BOXES if begin < 1.0 else 1  # or it is one box
            edges = [begin + (1.0 - begin) * k / parts for k in range(parts + 1)]
            for low, high in itertools.pairwise(edges):
                yield Stretch(index, low, high)

    def values(
        self, place: Stretch, expressions: tuple[sp.Expr, ...], over: Over
    ) -> list[tuple[Ball, ...]] | None:
        """Values at each index, None where something is not even defined on the box."""
        try:
            return self.box(place).at(expressions, over)
        except UNKNOWN:
            return None  # the box is halved

    def time(self, place: Stretch) -> str:
        """Time in the middle of a stretch, to six digits."""
        return f"{float(self.box(place)['t'].mid()):.6g}"

    def _located(self, mark: Mark) -> list[Stretch]:
        """Narrow stretches that contain the time of a mark; none if that is not known."""
        places, forward = list(self.stretches()), mark.when == "until"
        first, last = (self.start, self.end) if forward else (self.end, self.start)

        def holds(place: Stretch) -> bool | None:
            values = self.values(place, (mark.condition,), "state")
            if values is None:
                return None
            (value,) = values[0]
            return True if value >= 0 else False if value < 0 else None

        if holds(first) is not True:  # broken at once, or still at the end
            return [first] if forward and holds(first) is False else []
        places = places if forward else places[::-1]
        for number, place in enumerate(places):
            while holds(place) is not True:
                if place.width < MARK:
                    return self._broken(holds, place, places[number:], forward)
                near, far = place.halves() if forward else place.halves()[::-1]
                place = far if holds(near) is True else near
        return [last]

    def _broken(
        self,
        holds: Callable[[Stretch], bool | None],
        place: Stretch,
        others: list[Stretch],
        forward: bool,
    ) -> list[Stretch]:
        """Stretches to where the rule is surely broken, or the time could lie further on."""
        found: list[Stretch] = []
        for whole in others:
            far, step = whole.high if forward else whole.low, MARK
            if whole is not others[0]:
                place, step = whole._replace(high=whole.low, low=whole.low), COARSE
                place = place if forward else whole._replace(low=whole.high)
            while step < 2 * whole.width:
                edge = min(place.high + step, far) if forward else max(place.low - step, far)
                reach = place._replace(high=edge) if forward else place._replace(low=edge)
                if holds(Stretch(whole.segment, edge, edge)) is False:
                    return [*found, reach]
                step *= 2
            found.append(reach)
        return []
