r"""Two neurons, for ever: an open set of states that the flow does not leave before it has its law.

Teacher of length one, ``w_i = (h_i, z_i)``. The distance ``zeta = |z_1 - z_2|`` is the clock. Turn
the space so that ``z_1 - z_2`` points along the first axis, and write ``z_1 + z_2 = zeta x``, ``h_1
+ h_2 = 1 + zeta u``, ``h_1 - h_2 = b``. In the notation of
:mod:`flows.certificates.tail.late_flow`, with ``s = zeta``, the flow is exactly

    zeta' = -zeta^2 Q                    Q = (B_1 - B_2)/2 pi, along the first axis
    b'    = -zeta^3 (A_1 - A_2)/2 pi
    (z_1 + z_2)' = -(z_1 + z_2) - zeta^2 (B_1 + B_2)/2 pi
    (h_1 + h_2)' = 1 - (h_1 + h_2) - zeta^3 (A_1 + A_2)/2 pi

in time. On the funnel of all states with ``0 < zeta <= reach``, ``|x| <= across``, ``|u| <=
along`` and ``b`` within ``drift`` of where it began, let

1. ``Q > 0`` and ``3 zeta Q < 1``,
2. ``zeta |B_1 + B_2|/2 pi < (1 - zeta Q) across``,
3. ``zeta^2 |A_1 + A_2|/2 pi < (1 - zeta Q) along``,
4. ``int_0^reach zeta |A_1 - A_2|/(2 pi Q) d zeta < drift``.

By 2 and 3 ``|x|`` and ``|u|`` fall wherever they have reached their bounds, and ``b`` moves by less
than ``drift`` by 4, so the flow stays. ``1/zeta`` grows at the rate ``Q``: ``zeta`` falls to zero
like ``1/t``, never reaches it, and ``b`` has a limit, with it each ``h_i``. The sums are driven by
``zeta^2`` and ``zeta^3``, so ``x`` and ``u`` vanish in the end, where ``Q = 1/(4 pi h_1 h_2)`` and
``L/zeta^3 = 1/(24 pi h_1 h_2)``: ``t^3 L`` tends to ``8 pi^2 (h_1 h_2)^2/3``. From ``zeta_0`` on,

    |z_1 + z_2| zeta^(-3/2)  <=  |z_1 + z_2|_0 zeta_0^(-3/2) + zeta^(1/2) sup |B_1 + B_2|/(2 pi k_2)
    |h_1 + h_2 - 1| zeta^(-3/2)  <=  (the same at first) + zeta^(3/2) sup |A_1 + A_2|/(2 pi k_3)

with ``k_j = 1 - j sup zeta Q``, as ``zeta`` falls no faster than ``exp(-t sup zeta Q)``: this
bounds ``L/zeta^3`` from above. As ``|zeta'|^2 <= 2 |grad L|^2 = -2 L'`` and ``L`` vanishes in the
end, it is at least ``inf Q/6``, for what is left of the funnel; in the limit both agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.decision import down, up
from flows.certificates.stated import Open
from flows.certificates.tail.box import UNIT, norm
from flows.certificates.tail.late_flow import LateFlow, Point
from flows.core.balls import Singular

Ball = Any  # flint.arb

#: Enlargements of the radii, each by so much beyond what was needed.
TRIES, ROOM = 12, 1.25
#: Layers, and how sharp ``Q`` is known: coarse, and finer where that fails.
LEVELS = ((6, 0.7), (12, 0.35), (24, 0.2))
#: Cells of a layer at most, with one coordinate across the teacher and with two.
CELLS = {1: 1_000, 2: 3_000}
#: Bounds are smaller than they need be by this factor, so that other formulas agree.
SPARE = 1.08


@dataclass(frozen=True)
class Funnel:
    """Its radii, and how it is checked: in layers, with ``Q`` up to a part of itself."""

    reach: float
    across: float
    along: float
    drift: float
    parts: int
    sharp: float


class Entry(NamedTuple):
    """States that enter: ``zeta``, bounds of ``|z_1 + z_2|`` and ``|h_1 + h_2 - 1|``, and ``b``."""

    zeta: Ball
    sum: Ball
    excess: Ball
    b: Ball


class Layer(NamedTuple):
    """What holds for ``low <= zeta <= high``.

    ``Q``, ``|B_1 + B_2|/2 pi``, ``(A_1 + A_2)/2 pi``, ``b'/(zeta zeta')``, and ``L/zeta^3`` without
    the residual.
    """

    low: Ball
    high: Ball
    pace: Ball
    across: Ball
    along: Ball
    slide: Ball
    energy: Ball


class Outcome(NamedTuple):
    """What follows of states that enter: limits of ``h`` and ``t^3 L``, bounds of the latter."""

    h: tuple[Ball, Ball]
    limit: Ball
    bounds: Ball


def layers(funnel: Funnel, p: int, b: Ball) -> list[Layer]:
    """Bounds on all layers, the highest one first.

    Raises
    ------
    Singular
        Where ``Q`` is not known as sharply as asked for, on as many cells as are tried.
    """
    edges = [arb(funnel.reach) * k / funnel.parts for k in range(funnel.parts + 1)]
    return [layer_of(funnel, p, low, high, b) for low, high in reversed([*pairwise(edges)])]


def layer_of(funnel: Funnel, p: int, low: Ball, high: Ball, b: Ball) -> Layer:
    """Cover a layer by cells, halved until ``Q`` is sharp."""
    cells = [[low.union(high), b, *[UNIT * funnel.across] * p]]
    whole: tuple[Ball, ...] | None = None
    for _ in range(CELLS[p]):
        cell = cells.pop()
        try:
            values = _values(funnel, cell)
            sharp = bool(values[0].rad() < funnel.sharp * values[0].mid())
        except Singular:
            sharp = False  # a cell as wide may hold equal neurons: it is cut
        if sharp:
            whole = values if whole is None else tuple(map(arb.union, whole, values))
        else:
            cells += halves(cell, funnel.along)
        if not cells:
            assert whole is not None
            return Layer(low, high, *whole)
    raise Singular(f"Q > 0 is not seen at zeta = {float(high):.3g} in {CELLS[p]} cells")


def halves(cell: list[Ball], along: float) -> list[list[Ball]]:
    """Halve the coordinate that matters most: heights follow ``zeta u``."""
    zeta, *others = (float(x.rad()) for x in cell)
    sizes = [2 * (1 + along) * zeta, *others]
    widest = sizes.index(max(sizes))
    middle, half = cell[widest].mid(), cell[widest].rad() / 2
    return [
        [*cell[:widest], middle + half * (UNIT + sign), *cell[widest + 1 :]] for sign in (-1, 1)
    ]


def _values(funnel: Funnel, cell: list[Ball]) -> tuple[Ball, ...]:
    """What a :class:`Layer` holds, on a cell."""
    zeta, b, *x = cell
    half, p = 1 / arb(2).sqrt(), len(x)
    at = Point(
        [half, *[arb(0)] * (p - 1)],
        [z / 2 for z in x],
        [b * half],
        zeta * UNIT * funnel.along,
        (zeta * zeta).nonnegative_part(),
    )
    rates = LateFlow(2, p).rates(at, slopes=False)
    pace = 1 - rates.shape[0].value / half
    return (
        pace,
        norm([z.value for z in rates.across]).union(arb(0)),
        rates.along.value,
        -rates.drift[0].value / half / pace,
        rates.energy.value,
    )


def prove(p: int, entry: Entry, first: Ball) -> tuple[Funnel, Outcome]:
    """Find a funnel that holds these states, and what follows; see :func:`outcome`.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    if not entry.zeta > 0:
        raise Open("two neurons may be equal across the teacher")
    low = entry.zeta.lower()
    across, along = ROOM * up(entry.sum / low), ROOM * up(entry.excess / low)
    funnel = Funnel(up(entry.zeta), across + 1e-300, along + 1e-300, 1e-300, *LEVELS[0])
    reason = Open("nothing was tried")
    for parts, sharp in LEVELS:
        wide = replace(funnel, parts=parts, sharp=sharp)
        for _ in range(TRIES):
            try:
                found = layers(wide, p, entry.b + UNIT * wide.drift)
                larger = enlarged(wide, found)
            except (Singular, Open) as problem:
                reason = Open(str(problem))
                break
            if larger == wide:
                return wide, outcome(entry, found, first)
            wide = larger
    raise reason


def enlarged(funnel: Funnel, found: Sequence[Layer]) -> Funnel:
    """The funnel itself if its inequalities hold, or what would have served for these bounds."""
    drift = sum((abs(x.slide) * (x.high**2 - x.low**2) / 2 for x in found), arb(0))
    made = {"drift": (drift, arb(1))}
    for x in found:
        stiff = 1 - x.high * x.pace.upper()
        if not 3 * stiff > 2:
            raise Open(f"3 zeta Q < 1 fails at zeta = {float(x.high):.3g}")
        for name, need in (("across", x.across), ("along", x.high * abs(x.along))):
            wanted = x.high * need / stiff
            if name not in made or wanted.upper() > made[name][0].upper():
                made[name] = wanted, stiff
    needed: dict[str, Any] = {
        name: ROOM * up(need)
        for name, (need, _) in made.items()
        if not SPARE * need < arb(getattr(funnel, name))
    }
    return replace(funnel, **needed)


def outcome(entry: Entry, found: Sequence[Layer], first: Ball) -> Outcome:
    """What follows, of states whose ``(clock + t) zeta`` is at first within a ball.

    Within a layer it goes from ``v`` towards ``1/Q``: it is ``w v + (1 - w)/Q`` for a mean ``Q``,
    ``w`` the part that is left of ``zeta``.
    """
    low, product, bounds, moved = entry.zeta.lower(), first, None, arb(0)
    fast = max((up(x.high * x.pace) for x in found), default=0.0)
    push, lift = (
        arb(max(up(abs(x)) for x in sums))
        for sums in zip(*((x.across, x.along) for x in found), strict=True)
    )
    begun = low.sqrt() ** 3
    for index, layer in enumerate(found):
        if layer.low >= entry.zeta.upper():
            continue
        step = layer.slide * (layer.high**2 - layer.low**2) / 2
        kept = layer.low / layer.high
        last = kept * product + (1 - kept) / layer.pace
        between = product.union(last)
        if not layer.high <= low:  # states enter here
            last, step = between, step.union(arb(0))
        root = layer.high.sqrt()
        across = entry.sum / begun + root * push / (1 - 2 * arb(fast))
        along = entry.excess / begun + root**3 * lift / (1 - 3 * arb(fast))
        energy = layer.energy + arb(0).union((across**2 + along**2) / 4)
        energy = energy.max(arb(min(down(x.pace) for x in found[index:])) / 6)
        bound = between.lower() ** 3 * energy
        bound = bound.union(between.upper() ** 3 * energy)
        bounds = bound if bounds is None else bounds.union(bound)
        product, moved = last, moved + step
    b = entry.b - moved
    h = (1 + b) / 2, (1 - b) / 2
    product = (1 - b * b) / 4
    return Outcome(h, 8 * arb.pi() ** 2 / 3 * product * product, bounds)
