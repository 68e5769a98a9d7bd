"""What the checker says of polynomials in Chebyshev's form, against their values."""

import numpy as np
import pytest
from flint import arb

from flows.certificates.verifier.curve import at, derivative, near, norm

# Radii of balls have 30 bits.
ROUNDED = 1e-7
# Of sums in doubles.
DOUBLES = 1e-13


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_parabola_fills_what_is_said_of_each_part_up_to_its_outer_end(parts):
    """Its second derivative is constant: Taylor's bound is attained at an end of each part."""
    p = np.array([[arb(0), arb(0), arb(1)]])  # 2 s^2 - 1
    for part in range(parts):
        (found,) = near(p, part, parts)
        ends = [arb(2 * (part + k)) / parts - 1 for k in (0, 1)]
        highest = max(float(at(p, s)[0].mid()) for s in ends)
        assert all(found.contains(at(p, s)[0].mid()) for s in (*ends, sum(ends) / 2))
        assert float(found.upper()) == pytest.approx(highest, abs=ROUNDED)


def test_all_values_of_random_polynomials_on_a_part_are_in_what_is_said_of_it():
    random = np.random.default_rng(0)
    p = np.vectorize(arb, "O")(random.normal(size=(3, 6)))
    for part in range(5):
        found = near(p, part, 5)
        for s in np.linspace(-1, 1, 9):
            values = at(p, (2 * part - 4 + arb(s)) / 5)
            assert all(x.contains(y.mid()) for x, y in zip(found, values, strict=True))


def test_a_length_is_that_of_euclid():
    assert norm(np.array([arb(3), arb(-4)])) == 5


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 9])
def test_the_derivative_is_that_of_numpy(columns):
    p = np.random.default_rng(0).normal(size=(3, columns))
    found = derivative(np.array([[arb(x) for x in row] for row in p.tolist()]))
    stated = np.polynomial.chebyshev.chebder(p, axis=1)
    assert found.shape == stated.shape
    assert (
        np.abs(np.vectorize(float, "d")(found) - stated).max() < 1e-13 * np.abs(p).sum() * columns
    )
