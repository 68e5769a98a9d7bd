r"""Independent check of an open set of states of two neurons; shares only python-flint.

In units of the teacher's length, and up to an exchange of the neurons: all states with ``0 < zeta =
|z_1 - z_2| <= reach``, ``|z_1 + z_2| <= across zeta``, ``|h_1 + h_2 - 1| <= along zeta`` and ``low
<= h_1 - h_2 <= high``. They are in a funnel of :mod:`flows.certificates.verifier.funnel`. From
``zeta_0`` on, ``(1/zeta_0 + t) zeta`` goes from one towards ``1/Q``, and sums are at most
``zeta^(3/2) zeta_0^(-1/2) (across + zeta_0 sup |B_1 + B_2|/(1 - 2 f))`` and the like: with ``v =
max(1, sup 1/Q)`` and ``E`` above the energy, ``L (1/zeta_0 + t)^3`` is at most ``v^3 E`` and
``more/zeta_0``.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.funnel import held, limits
from flows.certificates.verifier.reading import MOST, Refused, number, require

FORMAT = "popflow late states 1"


class Box(NamedTuple):
    """What is proved of a box of states; doubles that are rounded outwards.

    ``lower (1/zeta_0 + t)^-3 <= L <= (upper + more/zeta_0) (1/zeta_0 + t)^-3`` for all ``t >= 0``,
    and ``t^3 L`` tends into ``limit``, in units of a teacher of length one.
    """

    low: float
    high: float
    reach: float
    across: float
    along: float
    limit: tuple[float, float]
    lower: float
    upper: float
    more: float


class LateStates(NamedTuple):
    """An open set of states of which the theorem is proved."""

    d: int
    boxes: tuple[Box, ...]

    @property
    def volume(self) -> float:
        """Lebesgue measure in ``R^(2d)``, of a teacher of length one; both orders of neurons count.

        ``z_1 - z_2`` and ``z_1 + z_2`` are vectors of ``d - 1`` entries.
        """
        m, total = self.d - 1, 0.0
        ball = math.pi ** (m / 2) / math.gamma(m / 2 + 1)
        for box in self.boxes:
            part = ball**2 * m * box.across**m * 2 * box.along * (box.high - box.low)
            total += 2 * part * box.reach ** (2 * m + 1) / (2 * m + 1) / 2**self.d
        return total

    @property
    def statement(self) -> str:
        """The theorem, without its constants."""
        return (
            "from every one of these states the flow exists for all t, every h_i converges, t^3 L"
            " tends to 8 pi^2 (h_1 h_2)^2/3, and L lies between two multiples of (1 + t)^-3"
        )


def late_states(data: Any) -> LateStates:
    """Check all boxes.

    Raises
    ------
    Refused
        With the box and the inequality that fails.
    """
    d, boxes = data["d"], data["boxes"]
    require(type(d) is int and d > 1, "its dimension does not fit")
    require(0 < len(boxes) <= MOST, "it has no boxes")
    found = []
    for index, stated in enumerate(boxes):
        try:
            found.append(_box(stated, min(d - 1, 2)))
        except Refused as reason:
            raise Refused(f"box {index}: {reason}") from None
    return LateStates(d, tuple(found))


def _box(stated: Any, p: int) -> Box:
    """Check one box."""
    names = ("low", "high", "reach", "across", "along", "drift")
    values = {name: number(stated[name]) for name in names}
    low, high, reach, across, along, drift = (arb(x) for x in values.values())
    require(low < high and across > 0 and along > 0, "it is empty")
    b = low.union(high)
    layers, push, lift = held(stated, b, p)
    pace = layers[0].pace
    energy = layers[0].energy
    for layer in layers[1:]:
        pace, energy = pace.union(layer.pace), energy.union(layer.energy)
    slow, fast = (1 / pace.upper()).min(arb(1)), (1 / pace.lower()).max(arb(1))
    sums = (across + reach * push) ** 2 + (along + reach**2 * lift) ** 2
    _, limit = limits(b + drift * UNIT)
    bounds = slow**3 * pace.lower() / 6, fast**3 * energy, fast**3 * sums / 4
    require(all(x.is_finite() for x in (*bounds, limit)) and bounds[0] > 0, "nothing follows")
    lower, upper, more = bounds
    of = {name: values[name] for name in names[:-1]}
    proved = {"lower": _down(lower), "upper": _up(upper), "more": _up(more)}
    return Box(**of, **proved, limit=(_down(limit), _up(limit)))


def _up(x: arb) -> float:
    return float(np.nextafter(float(x.upper()), np.inf))


def _down(x: arb) -> float:
    return -_up(-x)
