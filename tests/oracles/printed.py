"""Printed texts that say the same."""

import re

import pytest

NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def same_text(one, other, agreement, noise):
    """Whether two texts have the same words, and numbers that agree to these errors."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=agreement, abs=noise) for a, b in pairs)
