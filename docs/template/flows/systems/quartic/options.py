"""Options that the quartic well has beside those of every system."""

from __future__ import annotations

from dataclasses import replace

from flows.core.options import RANDOM_START

OPTIONS = (replace(RANDOM_START[0], refused="the well has one vector; --d sets its length"),)
