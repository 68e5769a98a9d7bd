"""The search for minima over the unit sphere, against eigenvalues."""

import numpy as np
import pytest

from flows.core.sphere import make_least

# What a step gains at the end is quadratic in the distance, which is 1e-8 at most.
FOUND = 1e-14


def form(data, x, gradient):
    """``x'Ax/|x|``, homogeneous of degree one, at a unit vector, and its gradient."""
    pulled = data @ x
    gradient[:] = 2 * pulled - (x @ pulled) * x
    return x @ pulled


@pytest.mark.parametrize("size", [1.0, 1e-200])
@pytest.mark.parametrize("q", [2, 3, 8])
def test_the_minimum_of_a_quadratic_form_is_its_least_eigenvalue(q, size):
    rng = np.random.default_rng(q)
    matrix = rng.normal(size=(q, q))
    matrix = size * (matrix + matrix.T)
    starts = rng.normal(size=(6, q))
    starts /= np.linalg.norm(starts, axis=1, keepdims=True)
    value, where = make_least(form)(matrix, starts, 3, size)
    least, axes = np.linalg.eigh(matrix)
    assert abs(value - least[0]) < FOUND * q * size
    assert abs(abs(where @ axes[:, 0]) - 1) < FOUND


def test_only_the_best_starts_are_followed():
    # Two wells, the deeper one behind the worse start.
    def wells(data, x, gradient):
        gradient[:] = [-3 * x[0] ** 2 * (1 if x[0] > 0 else 0), 0.0]
        value = -(x[0] ** 3) if x[0] > 0 else 0.1 * x[0] ** 3
        if x[0] <= 0:
            gradient[:] = [0.3 * x[0] ** 2, 0.0]
        gradient -= 2 * value * x  # of degree one: the cube over the square of the length
        return value

    starts = np.array([[-0.995, np.sqrt(1 - 0.995**2)], [0.2, np.sqrt(1 - 0.04)]])
    least = make_least(wells)
    assert least(None, starts, 1, 1.0)[0] == pytest.approx(-0.1)
    assert least(None, starts, 2, 1.0)[0] == pytest.approx(-1.0)
