"""States that have entered a funnel, followed to where the distance of the neurons vanishes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.decision import down, up
from flows.certificates.stated import Open
from flows.certificates.tail.funnel import CELLS, Funnel
from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.funnel import Begin, Layer, area, held, layer_of
from flows.certificates.verifier.reading import Refused

Ball = Any  # flint.arb

#: Parts of the tail, each ending where the clock is half of where it began.
HALVES = 40
#: Steps on which ``zeta`` halves, and how sharp ``Q`` is known on each.
SPLIT, SHARP = 2, 0.1


class States(NamedTuple):
    """What holds of the flow while ``low <= zeta <= high``, after it has entered.

    Bounds of ``|z_1 + z_2|`` and ``|h_1 + h_2 - 1|`` over ``zeta^2``, ``b``, ``L/zeta^3``, and
    ``(clock + t) zeta``.
    """

    low: Ball
    high: Ball
    across: Ball
    along: Ball
    b: Ball
    energy: Ball
    pace: Ball


def followed(funnel: Funnel, p: int, entry: Begin, first: Ball) -> Iterator[States]:
    """Follow states that enter to ``zeta = 0``, more sharply than by layers of the funnel.

    With ``f = sup zeta Q``, ``|z_1 + z_2|/zeta^2`` falls towards ``sup |B_1 + B_2|/(2 pi (1 - 2
    f))`` at the rate ``1 - 2 f``, and ``|h_1 + h_2 - 1|/zeta^3`` likewise with 3 for 2; it takes
    ``(1/zeta - 1/zeta_0)/sup Q`` at least until ``zeta`` is reached.

    Raises
    ------
    Open
        Where the funnel's inequalities do not hold.
    """
    stated = funnel.to_json()
    try:
        found, push, lift = held(stated, entry.b, p, CELLS[p])
    except Refused as refused:
        raise Open(f"the states may leave the funnel: {refused}") from None
    fast, quick = (arb(max(map(up, x))) for x in _paces(found))
    slide = arb(max(up(abs(x.slide)) for x in found))
    low, high = entry.zeta.lower(), entry.zeta.upper()
    begun = entry.sum / low**2, abs(entry.excess) / low**3
    b, pace, least = entry.b, first, arb(min(down(x.pace) for x in found)) / 6
    edges = [high, *(low / arb(2) ** (arb(k) / SPLIT) for k in range(HALVES * SPLIT)), arb(0)]
    for index, (top, end) in enumerate(pairwise(edges)):
        passed = arb(0) if index == 0 else (1 / top - 1 / low).nonnegative_part() / quick
        across, along = (
            (drive + start * (-k * passed).exp()).upper()
            for drive, start, k in zip(
                (push, lift), begun, (1 - 2 * fast, 1 - 3 * fast), strict=True
            )
        )
        along *= top
        between = b + UNIT * slide * (top * top - end * end) / 2
        wide, tall = (
            arb(min(radius, up(top * x)))
            for radius, x in ((funnel.across, across), (funnel.along, along))
        )
        sharp = arb(min(funnel.sharp, SHARP))
        here = layer_of(end, top, [between, *[wide * UNIT] * p], tall, sharp, CELLS[p])
        kept = end / top
        last = kept * pace + (1 - kept) / here.pace
        if index == 0:  # states enter here
            last = last.union(pace)
        residual = top * arb(0).union((across**2 + along**2) / 4)
        energy = (here.energy + arb(0).union(residual)).max(least)
        yield States(end, top, across, along, between, energy, pace.union(last))
        step = here.slide * area(here)
        b = between.intersection(b - (step if index else step.union(arb(0))))
        pace = last


def _paces(found: Sequence[Layer]) -> list[list[Ball]]:
    """``zeta Q`` and ``Q``."""
    return [[x.high * x.pace for x in found], [x.pace for x in found]]
