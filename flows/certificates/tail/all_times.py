"""Doubles beside balls, and bounds of all times before the independent checker has proved any."""

from __future__ import annotations

import math
import sys
from typing import Any

from flint import arb

Ball = Any  # flint.arb

#: Bounds of all times that say nothing.
NOTHING = (0.0, sys.float_info.max)
#: Parts of the tail, each ending where ``s`` is half of where it began.
HALVES = 40


def down(x: Ball) -> float:
    """A double below a ball."""
    nearest = float(x.lower())
    return nearest if arb(nearest) <= x else math.nextafter(nearest, -math.inf)


def up(x: Ball) -> float:
    """A double above a ball."""
    return -down(-x)
