r"""Independent check that two neurons stay in a funnel for ever; shares only python-flint.

Teacher of length one, ``w_i = (h_i, z_i)``, ``zeta = |z_1 - z_2|``, turned onto the first axis;
``z_1 + z_2 = zeta x``, ``h_1 + h_2 = 1 + zeta u``, ``h_1 - h_2 = b``. With ``A`` and ``B`` of
:mod:`flows.certificates.verifier.late_flow`, over ``2 pi`` and for the clock ``s = zeta``,

    zeta' = -zeta^2 Q,   Q = B_1 - B_2 along the first axis,       b' = -zeta^3 (A_1 - A_2),
    |x|' <= -|x| + zeta |B_1 + B_2| + zeta Q |x|,   |u|' <= -|u| + zeta^2 |A_1 + A_2| + zeta Q |u|.

Where ``Q > 0``, both last lines are negative at ``|x| = across``, ``|u| = along``, and ``b`` cannot
move by ``drift`` while ``zeta`` falls from ``reach`` to zero, a flow that begins in the funnel
stays. ``1/zeta`` grows at the rate ``Q``, so ``zeta`` vanishes; sums driven by ``zeta^2`` do so as
fast, and ``Q`` tends to ``1/(4 pi h_1 h_2)``, ``L/zeta^3`` to ``1/(24 pi h_1 h_2)``, so ``t^3 L``
to ``8 pi^2 (h_1 h_2)^2/3``. With ``f`` above all ``zeta Q``, ``zeta`` falls at most like ``exp(-f
t)``: so ``|z_1 + z_2| zeta^(-3/2)`` is at most what it was and ``zeta^(1/2) sup |B_1 + B_2|/(1 - 2
f)`` more, and the other sum likewise, with ``zeta^(3/2)`` and ``1 - 3 f``. As ``|zeta'|^2 <= -2
L'``, ``L`` is at least ``zeta^3/6`` times the least ``Q`` from there on.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.before import FEW, before, of_neurons
from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.ellipsoid import off_at_end
from flows.certificates.verifier.late_flow import rates
from flows.certificates.verifier.positive import all_less, at_most
from flows.certificates.verifier.reading import MOST, Refused, integer, number, require
from flows.certificates.verifier.tail import Theorem, concluded

CELLS = 6000  # of a layer at most
PART = arb(0).union(1)


class Begin(NamedTuple):
    """States at first: ``zeta``, ``|z_1 + z_2|``, ``h_1 + h_2 - 1`` and ``b``."""

    zeta: arb
    sum: arb
    excess: arb
    b: arb


class Layer(NamedTuple):
    """For ``low <= zeta <= high``: ``Q``, ``db/(zeta d zeta)``, both sums, the energy's part."""

    low: arb
    high: arb
    pace: arb
    slide: arb
    push: arb
    lift: arb
    energy: arb


def funnelled(data: Any, teacher: arb, pieces: Any, ends: Any, bits: int) -> Theorem:
    """Check what continues the pieces for ever; the balls at their ends are these.

    Raises
    ------
    Refused
        With the inequality that fails, and where.
    """
    at = begin(ends[-1], lambda forms: off_at_end(pieces[-1], forms, bits), teacher)
    end = arb((integer(pieces[-1]["end"]), -bits)).exp()  # 1 + t
    p = len(ends[-1][0]) - 1
    limit, h, late = funnel(data, at, p, end * at.zeta)
    late = late * teacher**2
    least = late.lower() / end**3

    def loss(w: Any) -> arb:
        return of_neurons(w, teacher)

    early = before(pieces, ends, bits, loss, least=least, halvings=FEW)
    return concluded(limit * teacher**2, h * teacher, [*early, late])


def begin(ends: Any, off: Any, teacher: arb) -> Begin:
    """Of two neurons in balls about these middles; ``off`` bounds what linear forms are off."""
    require(len(ends) == 2, "a funnel is of two neurons")
    first, second = (np.array([z.mid() for z in w]) for w in ends)
    gap, more, unit = first - second, first + second, np.eye(len(first), dtype=int)
    apart, both = (np.hstack([unit, sign * unit]) for sign in (-1, 1))
    zeta, across = norm(gap[1:]) + UNIT * off(apart[1:]), norm(more[1:]) + off(both[1:])
    excess, b = more[0] - teacher + UNIT * off(both[:1]), gap[0] + UNIT * off(apart[:1])
    return Begin(*(z / teacher for z in (zeta, across, excess, b)))


class Held(NamedTuple):
    """A funnel that is never left: its layers, and how strongly both sums are driven at most."""

    layers: list[Layer]
    push: arb
    lift: arb


def held(data: Any, b: arb, p: int, cells: int = CELLS) -> Held:
    """Check that no flow leaves a funnel that it has entered with this ``b``.

    Raises
    ------
    Refused
        With the inequality that fails, and where.
    """
    reach, across, along, drift, sharp = (
        arb(number(data[key])) for key in ("reach", "across", "along", "drift", "sharp")
    )
    parts, found = data["parts"], []
    require(type(parts) is int and 0 < parts <= MOST, "its parts do not fit")
    require(0 < sharp < 1, "Q is not asked to be positive")
    require(reach > 0 and drift > 0, "it has no room")
    edges = [reach * k / parts for k in range(parts + 1)]
    for low, high in reversed([*pairwise(edges)]):
        box = [b + drift * UNIT, *[across * UNIT] * p]
        found.append(layer_of(low, high, box, along, sharp, cells))
    fast = _most(x.high * x.pace for x in found)
    require(3 * fast < 1, "zeta may fall too fast")
    lines = []
    for x in found:
        where, room = f"of zeta up to {float(x.high):.4g}", 1 - x.high * x.pace.upper()
        lines += [
            (x.high * x.push, room * across, f"|x| may leave {where}", "across"),
            (x.high * x.high * x.lift, room * along, f"|u| may leave {where}", "along"),
        ]
    turned = sum((abs(x.slide).upper() * area(x) for x in found), arb(0))
    all_less([*lines, (turned, drift, "b may move further", "drift")])
    push = _most(x.push for x in found) / (1 - 2 * fast)
    return Held(found, push, _most(x.lift for x in found) / (1 - 3 * fast))


def funnel(data: Any, at: Begin, p: int, first: arb, cells: int = CELLS) -> tuple[arb, Any, arb]:
    """Limits of ``t^3 L`` and ``h``, and bounds of ``(t0 + t)^3 L`` from here on.

    ``first`` is what ``(t0 + t) zeta`` is here.

    Raises
    ------
    Refused
        With the inequality that fails, and where.
    """
    reach, across, along = (arb(number(data[key])) for key in ("reach", "across", "along"))
    least = at.zeta.lower()
    require(least > 0, "two neurons may be equal across the teacher")
    at_most(at.zeta, reach, "zeta begins beyond its reach", "reach")
    at_most(at.sum, across * least, "|x| begins beyond its bound", "across")
    at_most(abs(at.excess), along * least, "|u| begins beyond its bound", "along")
    found, push, lift = held(data, at.b, p, cells)
    ratio, moved, every = first, arb(0), []
    for index, x in enumerate(found):
        if x.low >= at.zeta.upper():
            continue  # nothing begins above
        left, root = x.low / x.high, x.high.sqrt()
        # ``(t0 + t) zeta`` turns from what it was towards ``1/Q``.
        after = left * ratio + (1 - left) / x.pace
        between = after.union(ratio)
        sums = at.sum / least.sqrt() ** 3 + root * push
        rises = abs(at.excess) / least.sqrt() ** 3 + root**3 * lift
        energy = x.energy + PART * (sums**2 + rises**2) / 4
        energy = energy.max(_hull(y.pace for y in found[index:]).lower() / 6)
        every += [z**3 * energy for z in (between.lower(), between.upper())]
        inner = x.high <= least  # or states begin here
        moved += x.slide * area(x) * (1 if inner else PART)
        ratio = after if inner else between
    h, limit = limits(at.b - moved)
    return limit, h, _hull(every)


def limits(b: arb) -> tuple[Any, arb]:
    """Of the heights, and of ``t^3 L``, where ``b`` has its limit."""
    return np.array([(1 + b) / 2, (1 - b) / 2]), 8 * arb.pi() ** 2 / 3 * ((1 - b * b) / 4) ** 2


def layer_of(low: arb, high: arb, box: Any, along: arb, sharp: arb, most: int = CELLS) -> Layer:
    """Bounds over all cells, each halved where it is longest until ``Q`` is known well."""
    cells, found = [[low.union(high), *box]], []
    for _ in range(most):
        cell = cells.pop()
        try:
            values = _values(cell, along)
            done = values[0].rad() < sharp * values[0].mid()
        except Refused:
            done = False
        if done:
            found.append(values)
        else:
            lengths = [float(z.rad()) for z in cell]
            lengths[0] *= 2 + 2 * float(along)
            k = int(np.argmax(lengths))
            for sign in (-1, 1):
                part = cell[k].mid() + cell[k].rad() / 2 * (UNIT + sign)
                cells.append([*cell[:k], part, *cell[k + 1 :]])
        if not cells:
            paces, slides, pushes, lifts, energies = zip(*found, strict=True)
            drives = _most(pushes), _most(lifts)
            return Layer(low, high, _hull(paces), _hull(slides), *drives, _hull(energies))
    raise Refused(f"Q > 0 is not proved of zeta up to {float(high):.4g}")


def _values(cell: Any, along: arb) -> tuple[arb, ...]:
    """``Q``, slide, sums, energy; where ``Q`` may vanish it is refused by what is asked of it."""
    zeta, b, *turn = cell
    shift, axis = np.array(turn), np.array([arb(1)] + [arb(0)] * (len(turn) - 1))
    excess = zeta * along * UNIT
    h = np.array([(1 + excess + b) / 2, (1 + excess - b) / 2])
    z = rates(np.array([(shift + axis) / 2, (shift - axis) / 2]), h, zeta)
    pace = z.b[0, 0] - z.b[1, 0]
    push, lift = norm(z.b[0] + z.b[1]).upper(), abs(z.a[0] + z.a[1]).upper()
    return pace, (z.a[0] - z.a[1]) / pace, push, lift, z.energy


def area(x: Layer) -> arb:
    """Integral of ``zeta`` over a layer."""
    return (x.high * x.high - x.low * x.low) / 2


def _hull(values: Any) -> arb:
    first, *others = values
    for x in others:
        first = first.union(x)
    require(first.is_finite(), "a bound is not finite")
    return first


def _most(values: Any) -> arb:
    """The largest size, a number."""
    return abs(_hull(values)).upper()
