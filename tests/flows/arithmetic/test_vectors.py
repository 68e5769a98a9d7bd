"""Masks and roots of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.arithmetic.kept import loop
from flows.arithmetic.vectors import WIDTH, any_of, load, magnitude, root, store, where


@loop
def chosen(x: Any, y: Any, found: Any) -> bool:
    """Choices among two rows, by all comparisons, and roots; whether any number is less."""
    a, b = load(x, 0), load(y, 0)
    store(found, 0, where((a < b) & (a > 0.0), a, b))
    store(found, 1, where((a <= b) | (a == 3.0), 1.0, a))
    store(found, 2, root(magnitude(a)))
    return bool(any_of(a < b))


def expected(x: Any, y: Any) -> Any:
    """The same by NumPy."""
    both, one = (x < y) & (x > 0), (x <= y) | (x == 3)
    return np.array([np.where(both, x, y), np.where(one, 1.0, x), np.sqrt(np.abs(x))])


@pytest.mark.parametrize("special", [0.5, 3.0, np.nan, np.inf, -np.inf])
def test_masks_choose_in_each_lane_by_itself(special: float) -> None:
    """Also beside a number that is NaN, of which no comparison is true, or infinite."""
    x, y = np.random.default_rng(0).normal(size=(2, WIDTH))
    x[5], found = special, np.empty((3, WIDTH))
    assert chosen(x, y, found)
    assert np.array_equal(found, expected(x, y), equal_nan=True)
    assert not np.array_equal(found, expected(y, x), equal_nan=True)


@pytest.mark.parametrize("place", range(WIDTH))
def test_any_number_of_a_vector_is_seen(place: int) -> None:
    """And none where there is none."""
    x, found = np.zeros(WIDTH), np.empty((3, WIDTH))
    assert not chosen(x, x, found)
    y = x.copy()
    y[place] = np.nan
    assert not chosen(x, y, found)
    y[place] = 1.0
    assert chosen(x, y, found)
