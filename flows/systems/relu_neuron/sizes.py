"""Sizes of one state of ReLU neurons, and what they say about the chart that it needs."""

from __future__ import annotations

import math
from typing import NamedTuple

from flows.systems.relu_neuron.geometry import OPPOSED, SMALLEST
from flows.systems.relu_neuron.lone import SHORT
from flows.systems.relu_neuron.state import SoundState

# Far neurons whose transverse parts are below this are followed beside the teacher.
FAINT = 1e-2
# A neuron that is this part of the residual hardly changes it; up to the second one it may grow.
SLIGHT, LONGER = 0.1, 0.3
# A neuron that is a smaller part of the residual is not to be the sum of two numbers of which each
# is scaled by powers of time of its own: at another time of the same step that is another neuron,
# so that steps are as short as it is. It is slender no longer at THICKER times this part.
SLENDER, THICKER = 0.05, 2.0


class Sizes(NamedTuple):
    """One state of neurons in plain numbers: so few take no time as such.

    ``h``: parts along the teacher; ``across``: lengths of the transverse parts; ``norms``: lengths
    of the neurons; ``rest``: length of the residual. Their squares may underflow.
    """

    h: list[float]
    across: list[float]
    norms: list[float]
    rest: float


def sizes(now: SoundState) -> Sizes:
    """Sizes of one state."""
    h, across = now.h.tolist(), [math.hypot(*z) for z in now.z.tolist()]
    norms = [math.hypot(*pair) for pair in zip(h, across, strict=True)]
    return Sizes(h, across, norms, math.hypot(*now.r.tolist()))


def slender(now: Sizes) -> bool:
    """Whether a neuron is far shorter than the residual."""
    return min(now.norms, default=math.inf) < SLENDER * now.rest


def faint_state(now: Sizes) -> bool:
    """Whether a lone chart is to begin: before, a residual chart does as well, and faster."""
    return max(now.across[1:], default=0.0) < FAINT and lone_state(now)


def lone_state(now: Sizes, cosine: float = OPPOSED, part: float = SLIGHT) -> bool:
    """Whether the first neuron is beside the teacher and all others are far or slight.

    Far are those whose cosine with the teacher is below the one given, slight those that are a
    smaller part of the residual.
    """
    others = list(zip(now.h, now.norms, strict=True))[1:]
    lone = now.h[0] > 0 and all(h < cosine * x or x < part * now.rest for h, x in others)
    return lone and bool(others) and min(now.norms[1:]) > SMALLEST


def beside_state(now: Sizes) -> bool:
    """Whether the first neuron is beside the teacher and all others are short, as is the rest."""
    longest = max(now.norms[1:], default=0.0)
    short = max(longest, now.rest) < SHORT / 10
    return now.h[0] > 0 and short and longest > SMALLEST and now.rest < longest / SLIGHT
