"""Boxes that cover an enclosed trajectory.

Marks of a claim's window, such as ``T2``, are times of the true flow, in balls.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import sympy as sp

from flows.certificates.boxes import Box
from flows.certificates.certificate import Certificate
from flows.certificates.features.registry import enclosure
from flows.certificates.later import Later
from flows.certificates.tail.infinity import Infinity
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


class Cover:
    """Boxes along a certificate, each made once. All methods need the certificate's precision."""

    def __init__(self, certificate: Certificate) -> None:
        self.enclosure = enclosure(certificate)
        self.count = len(certificate.pieces)
        self.start = Stretch(0, -1.0, -1.0)
        self.end = Stretch(self.count - 1, 1.0, 1.0)
        self._boxes: dict[Stretch, Box] = {}
        frozen = self.enclosure.frozen
        frozen["0"] = self.enclosure.box(*self.start)
        frozen["end"] = self.enclosure.box(*self.end)
        for mark in self.enclosure.marks:
            if (place := self._located(mark)) is not None:
                frozen[mark.name] = self.enclosure.box(*place)
        proof = certificate.infinity
        late = isinstance(proof, Infinity)
        self.later = Later(certificate, self.enclosure) if late else None

    def box(self, place: Stretch) -> Box:
        """Quantities on a stretch."""
        if place not in self._boxes:
            self._boxes[place] = self.enclosure.box(*place)
        return self._boxes[place]

    def stretches(self) -> Iterator[Stretch]:
        """Stretches that cover the trajectory, in order."""
        edges = [2.0 * k / FIRST_BOXES - 1.0 for k in range(FIRST_BOXES + 1)]
        for index in range(self.count):
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

    def _located(self, mark: Mark) -> Stretch | None:
        """Narrow stretch that contains the time of a mark; None if that is not known."""
        places, forward = list(self.stretches()), mark.when == "until"
        first, last = (self.start, self.end) if forward else (self.end, self.start)

        def holds(place: Stretch) -> bool | None:
            values = self.values(place, (mark.condition,), "state")
            if values is None:
                return None
            (value,) = values[0]
            return True if value >= 0 else False if value < 0 else None

        if holds(first) is not True:  # broken at once, or still at the end
            return first if forward and holds(first) is False else None
        for place in places if forward else reversed(places):
            while holds(place) is not True:
                if place.width < MARK:
                    return self._broken(holds, place, forward)
                near, far = place.halves() if forward else place.halves()[::-1]
                place = far if holds(near) is True else near
        return last

    def _broken(
        self, holds: Callable[[Stretch], bool | None], place: Stretch, forward: bool
    ) -> Stretch | None:
        """Stretch to where the rule is surely broken, or the time could lie further on."""
        (segment, low, high), step = place, MARK
        while step < 1:
            edge = min(high + step, 1.0) if forward else max(low - step, -1.0)
            if holds(Stretch(segment, edge, edge)) is False:
                return Stretch(segment, low, edge) if forward else Stretch(segment, edge, high)
            step *= 2
        return None
