"""Printed texts that say the same, and texts that a page carries packed."""

import base64
import gzip
import re

import pytest

NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def same_text(one, other, agreement, noise):
    """Whether two texts have the same words, and numbers that agree to these errors."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=agreement, abs=noise) for a, b in pairs)


def unpacked(text):
    """Text that a page carries packed."""
    return gzip.decompress(base64.b85decode(text.replace(",", "<"))).decode()
