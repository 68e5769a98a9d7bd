"""Funnels of two neurons, from which no flow leaves: radii that serve.

Which inequalities have to hold is said by :mod:`flows.certificates.verifier.funnel`, whose bounds
these radii are enlarged by until they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flint import arb

from flows.certificates.bounds import asked
from flows.certificates.tail.all_times import up
from flows.certificates.tail.box import UNIT
from flows.certificates.tail.tail import Open
from flows.certificates.verifier.funnel import Begin, Layer, area, driven, outcome
from flows.certificates.verifier.funnel import layers as bounded
from flows.core.balls import Singular

Ball = Any  # flint.arb

#: Enlargements of the radii, each by so much beyond what was needed.
TRIES, ROOM = 12, 1.25
#: Layers, and how sharp ``Q`` is known: coarse, and finer where that fails.
LEVELS = ((6, 0.7), (12, 0.35), (24, 0.2))
#: Cells of a layer at most, with one coordinate across the teacher and with two.
CELLS = {1: 1_000, 2: 3_000}
#: A reach is larger than the distance at the end by this factor: that may be rounded otherwise.
REACH = 1.0 + 2.0**-20
#: Bounds are smaller than they need be by this factor.
SPARE = 1.01


@dataclass(frozen=True)
class Funnel:
    """Its radii, and how it is checked: in layers, with ``Q`` up to a part of itself."""

    reach: float
    across: float
    along: float
    drift: float
    parts: int
    sharp: float


def layers(funnel: Funnel, p: int, b: Ball) -> list[Layer]:
    """The verifier's bounds on all layers, the highest one first.

    Raises
    ------
    Singular
        Where ``Q`` is not known as sharply as asked for, on as many cells as are tried.
    """
    box = [b, *[UNIT * funnel.across] * p]
    sizes = arb(funnel.reach), funnel.parts, box, arb(funnel.along), arb(funnel.sharp)
    with asked():
        return bounded(*sizes, CELLS[p])


def prove(p: int, entry: Begin, first: Ball) -> tuple[Funnel, Any]:
    """Find a funnel that holds these states, and what follows: limits, and bounds of ``t^3 L``.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    if not entry.zeta > 0:
        raise Open("two neurons may be equal across the teacher")
    low = entry.zeta.lower()
    across, along = ROOM * up(entry.sum / low), ROOM * up(abs(entry.excess) / low)
    funnel = Funnel(up(REACH * entry.zeta), across + 1e-300, along + 1e-300, 1e-300, *LEVELS[0])
    reason = Open("nothing was tried")
    for parts, sharp in LEVELS:
        wide = replace(funnel, parts=parts, sharp=sharp)
        for _ in range(TRIES):
            try:
                found = layers(wide, p, entry.b + UNIT * wide.drift)
                larger = enlarged(wide, found)
                if larger == wide:
                    with asked():
                        return wide, outcome(entry, driven(found), first)
            except (Singular, Open) as problem:
                reason = Open(str(problem))
                break
            wide = larger
    raise reason


def enlarged(funnel: Funnel, found: Sequence[Layer]) -> Funnel:
    """The funnel itself if its inequalities hold, or what would have served for these bounds."""
    needed = {"drift": sum((abs(x.slide).upper() * area(x) for x in found), arb(0))}
    for x in found:
        stiff = 1 - x.high * x.pace.upper()
        if not 3 * stiff > 2:
            raise Open(f"3 zeta Q < 1 fails at zeta = {float(x.high):.3g}")
        for name, need in (("across", x.push), ("along", x.high * x.lift)):
            needed[name] = needed.get(name, arb(0)).max(x.high * need / stiff)
    larger: dict[str, Any] = {
        name: ROOM * up(need)
        for name, need in needed.items()
        if not SPARE * need < arb(getattr(funnel, name))
    }
    return replace(funnel, **larger)
