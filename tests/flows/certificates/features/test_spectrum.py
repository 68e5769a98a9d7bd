import numpy as np
import pytest
from flint import arb, arb_mat

from flows.certificates.features.spectrum import least_rate, singular_values
from flows.core.balls import precision

# Of singular values in doubles.
ROUNDED = 1e-12


@pytest.mark.parametrize("values", [(3.0, 1.0, 0.25), (2.0, 2.0, 2.0), (1.0, 0.5, 0.0)])
def test_singular_values_and_the_rate_of_the_least_are_enclosed(values):
    generator = np.random.default_rng(1)
    u, v = (np.linalg.qr(generator.normal(size=(3, 3)))[0] for _ in range(2))
    matrix, step = u @ np.diag(values) @ v.T, generator.normal(size=(3, 3))
    with precision(150):
        exact = arb_mat(matrix.tolist())
        found = singular_values(exact)
        assert all(
            abs(a - b) < ROUNDED and a.rad() < ROUNDED for a, b in zip(found, values, strict=True)
        )
        box = [[c + arb(0, 0.01) for c in row] for row in matrix.tolist()]
        wide = singular_values(arb_mat(box))
        moved = np.linalg.svd(matrix + 0.01 * np.sign(step), compute_uv=False)
        assert all(a.contains(b) for a, b in zip(wide, moved, strict=True))
        square = exact.transpose() * exact
        slope = arb_mat((step.T @ matrix + matrix.T @ step).tolist())
        rate = least_rate(square, slope)
        h = 1e-7
        least = [np.linalg.svd(matrix + k * h * step, compute_uv=False)[-1] ** 2 for k in (0, 1)]
        assert (
            rate.contains((least[1] - least[0]) / h) or abs(rate - (least[1] - least[0]) / h) < 1e-5
        )
        if values[1] > values[2]:
            assert rate.rad() < ROUNDED


def test_singular_values_closer_than_doubles_tell_apart_are_sorted_exactly():
    with precision(200):
        tiny = arb(2) ** -80
        low, high = (
            singular_values(arb_mat([[1 + a, 0], [0, 1 + b]]))
            for a, b in ((tiny, arb(0)), (arb(0), tiny))
        )
        for found in (low, high):
            assert found[0].contains(1 + tiny)
            assert found[1].contains(1)
            assert not found[1].contains(1 + tiny)
