"""Bounds of all times that say nothing yet, and parts of a tail."""

from __future__ import annotations

import sys

#: Bounds of all times that say nothing: the independent checker proves better ones.
NOTHING = (0.0, sys.float_info.max)
#: Parts of the tail, each ending where ``s`` is half of where it began.
HALVES = 40
