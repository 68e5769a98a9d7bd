"""Which entries a flow keeps equal, opposite or zero."""

import numpy as np
import pytest

from flows.systems.own.alike import kept_alike


def triple(y):
    """Gradient of `(y0 y1 y2 - 1)^2/2`."""
    return (y.prod() - 1) * y.prod() / y


@pytest.mark.parametrize(
    ("gradient", "start", "like", "sign"),
    [
        (triple, [2.0, 2.0, 1.0], [0, 0, 2], [1, 1, 1]),
        (triple, [2.0, -2.0, 1.0], [0, 0, 2], [1, -1, 1]),
        (lambda y: np.array([y[1], y[0]]), [1.0, -1.0], [0, 0], [1, -1]),
        # A saddle between two sides, and one whose side is pushed.
        (lambda y: np.array([y[0], y[1] ** 3 - y[1]]), [1.0, 0.0], [0, 1], [1, 0]),
        (lambda y: np.array([y[0], y[1] ** 3 - y[1] + y[0]]), [1.0, 0.0], [0, 1], [1, 1]),
        # Equal at the start alone, by a thousandth.
        (lambda y: np.array([y[0], 1.001 * y[1]]), [1.0, 1.0], [0, 1], [1, 1]),
    ],
)
def test_the_largest_subspace_that_holds_a_start_and_is_kept_is_found(gradient, start, like, sign):
    found = kept_alike(gradient, np.array(start))
    assert found[0].tolist() == like and found[1].tolist() == sign


def test_where_a_gradient_is_not_known_nothing_is_kept():
    like, sign = kept_alike(lambda y: np.full(2, np.nan), np.ones(2))
    assert like.tolist() == [0, 1] and sign.tolist() == [1, 1]
