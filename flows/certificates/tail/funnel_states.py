"""States that have entered a funnel, followed to where the distance of the neurons vanishes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.decision import down, up
from flows.certificates.stated import Open
from flows.certificates.tail.all_times import HALVES
from flows.certificates.tail.box import UNIT
from flows.certificates.tail.funnel import Entry, Funnel, Layer, enlarged, layer_of, layers

Ball = Any  # flint.arb

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


def followed(funnel: Funnel, p: int, entry: Entry, first: Ball) -> Iterator[States]:
    """Follow states that enter to ``zeta = 0``, more sharply than by layers of the funnel.

    With ``f = sup zeta Q``, ``|z_1 + z_2|/zeta^2`` falls towards ``sup |B_1 + B_2|/(2 pi (1 - 2
    f))`` at the rate ``1 - 2 f``, and ``|h_1 + h_2 - 1|/zeta^3`` likewise with 3 for 2; it takes
    ``(1/zeta - 1/zeta_0)/sup Q`` at least until ``zeta`` is reached.

    Raises
    ------
    Open
        Where the funnel's inequalities do not hold.
    """
    found = layers(funnel, p, entry.b + UNIT * funnel.drift)
    if enlarged(funnel, found) != funnel:
        raise Open("the states may leave the funnel")
    fast, quick = (arb(max(map(up, x))) for x in _paces(found))
    push, lift = (arb(max(map(up, x))) for x in _sums(found))
    slide = arb(max(up(abs(x.slide)) for x in found))
    low, high = entry.zeta.lower(), entry.zeta.upper()
    begun = entry.sum / low**2, entry.excess / low**3
    b, pace, least = entry.b, first, arb(min(down(x.pace) for x in found)) / 6
    edges = [high, *(low / arb(2) ** (arb(k) / SPLIT) for k in range(HALVES * SPLIT)), arb(0)]
    for index, (top, end) in enumerate(pairwise(edges)):
        passed = arb(0) if index == 0 else (1 / top - 1 / low).nonnegative_part() / quick
        across, along = (
            (drive / k + start * (-k * passed).exp()).upper()
            for drive, start, k in zip(
                (push, lift), begun, (1 - 2 * fast, 1 - 3 * fast), strict=True
            )
        )
        along *= top
        between = b + UNIT * slide * (top * top - end * end) / 2
        near = replace(
            funnel,
            across=min(funnel.across, up(top * across)),
            along=min(funnel.along, up(top * along)),
            sharp=min(funnel.sharp, SHARP),
        )
        here = layer_of(near, p, end, top, between)
        kept = end / top
        last = kept * pace + (1 - kept) / here.pace
        if index == 0:  # states enter here
            last = last.union(pace)
        residual = top * arb(0).union((across**2 + along**2) / 4)
        energy = (here.energy + arb(0).union(residual)).max(least)
        yield States(end, top, across, along, between, energy, pace.union(last))
        step = here.slide * (top * top - end * end) / 2
        b = between.intersection(b - (step if index else step.union(arb(0))))
        pace = last


def _paces(found: Sequence[Layer]) -> list[list[Ball]]:
    """``zeta Q`` and ``Q``."""
    return [[x.high * x.pace for x in found], [x.pace for x in found]]


def _sums(found: Sequence[Layer]) -> list[list[Ball]]:
    """``|B_1 + B_2|`` and ``|A_1 + A_2|`` over ``2 pi``."""
    return [[x.across for x in found], [abs(x.along) for x in found]]
