"""Comparisons along a whole enclosed trajectory, decided on boxes.

Boxes cover the trajectory and are halved where a comparison is not certain, or where the extremum
of a ratio may lie. Marks of a claim's window, such as ``T2``, are times of the true flow, in balls.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from enum import StrEnum
from typing import Any

import sympy as sp
from flint import arb

import potentials
from flows.certificates.boxes import Quantities, Scene
from flows.certificates.certificate import Certificate
from flows.core.balls import Singular
from potentials.claim import Claim, Comparison, Hypothesis, Mark
from potentials.notation import symbol, total_derivative
from symbolic.language.lower import Undecided

Ball = Any  # flint.arb
Place = tuple[int, float, float]  # a piece and a stretch of it

#: What is raised where a quantity is not defined, or not enclosed, on a box.
UNKNOWN = (Singular, Undecided, ZeroDivisionError)
#: Boxes of a piece at first, boxes of a comparison at most, and the narrowest that are halved.
FIRST_BOXES, BUDGET, NARROWEST = 4, 4_000, 2.0**-40
#: Once a time is open a proof is not to be had, and a refutation is looked for on boxes like this.
COARSE = 2.0**-3
#: Marks are enclosed to this width, in units of half a piece.
MARK = 2.0**-50
#: A tightest constant is enclosed to this relative width, if so many halvings achieve it.
SHARP, SHARPENING = 1e-2, 1_000


class Proof(StrEnum):
    """What is proved of a statement along an enclosed trajectory."""

    PROVED = "PROVED"
    ENCLOSED = "ENCLOSED"
    REFUTED = "REFUTED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Finding:
    """What is proved of one comparison, after how many boxes."""

    proof: Proof
    boxes: int
    message: str
    constant: str = ""


def compared(left: Ball, relation: str, right: Ball, strict: bool = False) -> Proof:
    """Decide ``left <= right`` or ``left >= right`` for all, or for no, points of two balls."""
    gap = right - left if relation == "<=" else left - right
    if gap > 0 or (gap >= 0 and not strict):
        return Proof.PROVED
    return Proof.REFUTED if gap < 0 or (gap <= 0 and strict) else Proof.UNDECIDED


class Trajectory:
    """Boxes along a certificate, kept, and what is decided on them."""

    def __init__(self, certificate: Certificate) -> None:
        self.scene = Scene(certificate)
        self.count = len(certificate.pieces)
        self._boxes: dict[Place, Quantities] = {}
        self.scene.frozen["0"] = self.scene.box(0, -1.0, -1.0)
        self.scene.frozen["end"] = self.scene.box(self.count - 1, 1.0, 1.0)
        for mark in potentials.marks(certificate.system.name):
            if (place := self._located(mark)) is not None:
                self.scene.frozen[mark.name] = self.scene.box(*place)

    def box(self, place: Place) -> Quantities:
        """Quantities on a stretch."""
        if place not in self._boxes:
            self._boxes[place] = self.scene.box(*place)
        return self._boxes[place]

    def places(self) -> Iterator[Place]:
        """Stretches that cover the trajectory, in order."""
        edges = [2.0 * k / FIRST_BOXES - 1.0 for k in range(FIRST_BOXES + 1)]
        for index in range(self.count):
            for low, high in itertools.pairwise(edges):
                yield index, low, high

    def _located(self, mark: Mark) -> Place | None:
        """Narrow stretch that contains the time of a mark; None if that is not known."""
        places, forward = list(self.places()), mark.when == "until"

        def holds(place: Place) -> bool | None:
            try:
                (value,) = self.box(place).at((mark.condition,), "state")[0]
            except UNKNOWN:
                return None
            return True if value >= 0 else False if value < 0 else None

        ends = (0, -1.0, -1.0), (self.count - 1, 1.0, 1.0)
        if holds(ends[not forward]) is not True:  # broken at once, or still at the end
            return ends[0] if forward and holds(ends[0]) is False else None
        for place in places if forward else reversed(places):
            while holds(place) is not True:
                index, low, high = place
                middle = (low + high) / 2
                if high - low < MARK:
                    return self._broken(holds, place, forward)
                near = (index, low, middle) if forward else (index, middle, high)
                far = (index, middle, high) if forward else (index, low, middle)
                place = far if holds(near) is True else near
        return ends[forward]

    def _broken(
        self, holds: Callable[[Place], bool | None], place: Place, forward: bool
    ) -> Place | None:
        """Stretch to where the rule is surely broken, or the time could lie further on."""
        (index, low, high), step = place, MARK
        while step < 1:
            edge = min(high + step, 1.0) if forward else max(low - step, -1.0)
            if holds((index, edge, edge)) is False:
                return (index, low, edge) if forward else (index, edge, high)
            step *= 2
        return None

    def hypothesis(self, h: Hypothesis, claim: Claim) -> Proof:
        """Decide a hypothesis in the claim's window; at the start if nothing in it moves."""
        relation: Any = h.relation[0] + "="
        names = {s.name for s in h.lhs.free_symbols | h.rhs.free_symbols}
        fixed = all(name.endswith("_0") or name in self.scene.constants for name in names)
        if fixed:
            return self._fixed(h)
        proofs = [
            self.decide(
                Comparison(h.lhs, relation, h.rhs, sp.S.One, c.where, h.over),
                strict="=" not in h.relation,
            ).proof
            for c in claim.comparisons
            if c.over in ("state", h.over)
        ]
        if Proof.REFUTED in proofs:
            return Proof.REFUTED
        return Proof.PROVED if proofs and set(proofs) == {Proof.PROVED} else Proof.UNDECIDED

    def _fixed(self, h: Hypothesis) -> Proof:
        try:
            sides = self.scene.frozen["0"].at((h.lhs, h.rhs), h.over)
        except (*UNKNOWN, KeyError):
            return Proof.UNDECIDED
        proofs = {compared(a, h.relation[0] + "=", b, "=" not in h.relation) for a, b in sides}
        if Proof.REFUTED in proofs:
            return Proof.REFUTED
        return Proof.UNDECIDED if Proof.UNDECIDED in proofs else Proof.PROVED

    def decide(self, c: Comparison, strict: bool = False) -> Finding:
        """Decide a comparison, or enclose its open constant."""
        if c.relation == "==":
            told = "balls do not decide an identity; popflow derive proves it"
            return Finding(Proof.UNDECIDED, 0, told)
        try:
            if c.constant is None:
                return self._tightest(c)
            return self._compared(c, strict)
        except KeyError as missing:
            return Finding(Proof.UNDECIDED, 0, f"{missing.args[0]}: not reached or not enclosed")

    def _values(self, place: Place, expressions: tuple[sp.Expr, ...], c: Comparison) -> Any:
        """Values at each index, None where something is not even defined on the box."""
        try:
            return self.box(place).at(expressions, c.over)
        except UNKNOWN:
            return None

    def _inside(self, place: Place, c: Comparison) -> list[bool | None]:
        """Whether the conditions hold: surely, surely not, or None, at each index."""
        positive = [_without_sign(x) for x in c.where]
        values = self._values(place, tuple(x for x, _ in positive), c)
        if values is None:
            count = self.scene.count[c.over]
            return [None] * count
        found: list[bool | None] = []
        for row in values:
            tests = [
                (x > 0 if strict else x >= 0, x <= 0 if strict else x < 0)
                for x, (_, strict) in zip(row, positive, strict=True)
            ]
            found.append(
                False
                if any(no for _, no in tests)
                else True
                if all(yes for yes, _ in tests)
                else None
            )
        return found

    def _compared(self, c: Comparison, strict: bool) -> Finding:
        """Decide a comparison with an explicit constant."""
        sides = (c.lhs, c.constant * c.rhs)
        # The start by itself too: some claims are about nothing else.
        stack, seen, met = [(0, -1.0, -1.0), *self.places()][::-1], 0, False
        still_open: Place | None = None
        while stack:
            place = stack.pop()
            seen += 1
            inside = self._inside(place, c)
            if not any(x is not False for x in inside):
                continue
            met = True
            values = self._values(place, sides, c) or [_UNKNOWN] * len(inside)
            open_ = False
            for within, (left, right) in zip(inside, values, strict=True):
                if within is False:
                    continue
                proof = compared(left, c.relation, right, strict)
                if proof is Proof.PROVED:
                    continue
                if within and proof is Proof.REFUTED:
                    return Finding(Proof.REFUTED, seen, f"fails at t = {self._time(place)}")
                open_ = True
            if open_:
                index, low, high = place
                narrowest = NARROWEST if still_open is None else COARSE
                if high - low < narrowest or seen + len(stack) > BUDGET:
                    still_open = still_open or place
                    continue
                middle = (low + high) / 2
                stack += [(index, middle, high), (index, low, middle)]
        if not met:
            return Finding(Proof.UNDECIDED, seen, "the claim selects no time")
        if still_open:
            before = "" if still_open[:2] == (0, -1.0) else ", proved before"
            return Finding(Proof.UNDECIDED, seen, f"open at t = {self._time(still_open)}{before}")
        return Finding(Proof.PROVED, seen, "holds on every box")

    def _tightest(self, c: Comparison) -> Finding:
        """Enclose the tightest constant: the supremum of ``lhs/rhs``, or the infimum for ``>=``."""
        sign = 1 if c.relation == "<=" else -1
        heap: list[tuple[float, int, Place]] = []
        number, seen, least = itertools.count(), 0, arb.neg_inf()

        def look(place: Place) -> None:
            nonlocal seen, least
            seen += 1
            inside = self._inside(place, c)
            if all(x is False for x in inside):
                return
            values, direct = self._ratios(place, c)
            top = arb.neg_inf()
            for within, ratio in zip(inside, values, strict=True):
                if within is not False:
                    bound = (sign * ratio).upper() if ratio.is_finite() else arb.pos_inf()
                    top = top.max(bound)
                if within and direct and ratio.is_finite():
                    least = least.max((sign * ratio).lower())
            heapq.heappush(heap, (-_up(top), next(number), place))

        for place in self.places():
            look(place)
        if not heap:
            return Finding(Proof.UNDECIDED, seen, "the claim selects no time")
        for _ in range(SHARPENING):
            top = -heap[0][0]
            index, low, high = heap[0][2]
            if top - _down(least) <= SHARP * abs(top) or high - low < NARROWEST:
                break
            heapq.heappop(heap)
            middle = (low + high) / 2
            look((index, low, middle))
            look((index, middle, high))
        top, place = -heap[0][0], heap[0][2]
        if not arb(top).is_finite() or not least.is_finite():
            return Finding(Proof.UNDECIDED, seen, f"unbounded at t = {self._time(place)}")
        low, high = (_down(least), top) if sign == 1 else (-top, -_down(least))
        text = f"[{_decimal(low, ROUND_FLOOR)}, {_decimal(high, ROUND_CEILING)}]"
        best = "smallest" if sign == 1 else "largest"
        message = f"{best} constant in {text}, attained near t = {self._time(place)}"
        return Finding(Proof.ENCLOSED, seen, message, text)

    def _ratios(self, place: Place, c: Comparison) -> tuple[list[Ball], bool]:
        """``lhs/rhs`` at each index, and whether they are so; else balls that serve as bounds.

        Where both sides vanish at a mark, Cauchy's mean value theorem has the ratio of the slopes
        somewhere between the mark and here: on this stretch or on another that meets the mark.
        """
        # As one expression: a power of time in a denominator is then a factor.
        values = self._values(place, (c.lhs / c.rhs,), c) or []
        ratios = [ratio for (ratio,) in values]
        if values and all(r.is_finite() for r in ratios):
            return ratios, True
        if c.over == "state" and self._vanish(c):
            slopes = tuple(total_derivative(x) for x in (c.lhs, c.rhs))
            try:
                return [a / b for a, b in self._values(place, slopes, c) or [_UNKNOWN]], False
            except KeyError:
                pass
        count = self.scene.count[c.over]
        return [arb.nan()] * count, False

    def _vanish(self, c: Comparison) -> bool:
        """Whether both sides are zero, as expressions, at a mark from which the claim is made."""
        for mark in potentials.marks(self.scene.certificate.system.name):
            time = symbol(mark.name)
            if symbol("t") - time in c.where:
                at = {symbol("t"): time, symbol("loss"): symbol(f"loss_{mark.name}")}
                return all(sp.simplify(x.subs(at)) == 0 for x in (c.lhs, c.rhs))
        return False

    def _time(self, place: Place) -> str:
        return f"{float(self.box(place)['t'].mid()):.6g}"


_UNKNOWN = (arb.nan(), arb.nan())


def _up(x: Ball) -> float:
    """Least double above a ball, or the next one."""
    nearest = float(x.upper())
    return nearest if arb(nearest) >= x else math.nextafter(nearest, math.inf)


def _down(x: Ball) -> float:
    """Largest double below a ball, or the one before."""
    return -_up(-x)


def _decimal(x: float, rounding: str) -> str:
    """Six digits, rounded outwards."""
    return f"{Context(prec=6, rounding=rounding).create_decimal(Decimal(x)):g}"


def _without_sign(condition: sp.Expr) -> tuple[sp.Expr, bool]:
    """Condition as ``x >= 0``, or as ``x > 0`` where it is written ``sign(x) - 1 >= 0``."""
    inner = condition + 1
    return (inner.args[0], True) if isinstance(inner, sp.sign) else (condition, False)
