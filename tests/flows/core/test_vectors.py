"""Masks and roots of vectors, and the same of single numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.core.compiled import loop
from flows.core.vectors import WIDTH, numbers


def compiled(lanes: int) -> Any:
    """Functions of rows of so many lanes."""
    load, store, _, larger, magnitude, smaller, root, where, any_of = numbers(lanes)

    def chosen(x: Any, y: Any, found: Any) -> bool:
        """Choices among two rows, by all comparisons, roots; whether any is less."""
        a, b = load(x, 0), load(y, 0)
        store(found, 0, where((a < b) & (a > 0.0), a, b))
        store(found, 1, where((a <= b) | (a == 3.0), 1.0, a))
        store(found, 2, root(magnitude(a)))
        store(found, 3, smaller(larger(a, 0.0), 2.0))
        return bool(any_of(a < b))

    return loop(chosen)


def expected(x: Any, y: Any) -> tuple[Any, bool]:
    """The same by NumPy."""
    rows = [
        np.where((x < y) & (x > 0), x, y),
        np.where((x <= y) | (x == 3), 1.0, x),
        np.sqrt(np.abs(x)),
        np.where(x > 0, np.minimum(x, 2.0), 0.0),
    ]
    return np.array(rows), bool((x < y).any())


@pytest.mark.parametrize("lanes", [1, WIDTH])
def test_masks_choose_in_each_lane_by_itself(lanes: int) -> None:
    """Also where a number is NaN, of which no comparison is true, or infinite."""
    run, generator = compiled(lanes), np.random.default_rng(0)
    some = []
    for special in (0.5, 3.0, np.nan, np.inf, -np.inf):
        x, y = generator.normal(size=(2, lanes))
        x[-1] = special
        found, (rows, any_less) = np.empty((4, lanes)), expected(x, y)
        some.append(run(x, y, found))
        assert np.array_equal(found, rows, equal_nan=True)
        assert some[-1] == any_less
    assert not np.array_equal(rows, expected(-y, x)[0])
    assert not run(np.ones(lanes), np.zeros(lanes), np.empty((4, lanes)))
    assert any(some)


def test_there_are_no_other_numbers_of_lanes() -> None:
    """As a vector has them, or one."""
    with pytest.raises(AssertionError, match="lanes"):
        numbers(3)
