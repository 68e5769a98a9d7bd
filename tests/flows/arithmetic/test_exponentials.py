"""Exponentials of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.arithmetic.exponentials import exponential
from flows.arithmetic.kept import loop
from flows.arithmetic.vectors import WIDTH, load, store

# A few roundings.
ROUNDING = 1e-15


@loop
def side_by_side(logs: Any, found: Any) -> None:
    """Exponentials of rows of numbers."""
    for k in range(len(logs)):
        store(found, k, exponential(load(logs, k)))


def test_exponentials_of_vectors_are_those_of_each_number() -> None:
    """Over all normal doubles; not of numbers that are off by more than rounding."""
    logs = np.linspace(-700.0, 700.0, 64 * WIDTH).reshape(-1, WIDTH)
    found, wrong = np.empty_like(logs), np.empty_like(logs)
    side_by_side(logs, found)
    assert np.allclose(found, np.exp(logs), rtol=ROUNDING, atol=0)
    side_by_side(logs + 1e-11, wrong)
    assert not np.isclose(wrong, np.exp(logs), rtol=ROUNDING, atol=0).any()


def test_exponentials_beyond_doubles_are_zero_and_unknown_ones_stay_unknown() -> None:
    """Whatever is beside them."""
    logs = np.linspace(-1.0, 1.0, WIDTH).reshape(1, WIDTH)
    plain, found = np.empty_like(logs), np.empty_like(logs)
    side_by_side(logs, plain)
    logs[0, 2], logs[0, 5], logs[0, 9] = np.nan, -709.0, -np.inf
    side_by_side(logs, found)
    assert np.isnan(found[0, 2]) and found[0, 5] == found[0, 9] == 0.0
    others = np.delete(np.arange(WIDTH), [2, 5, 9])
    assert np.array_equal(found[0, others], plain[0, others])
