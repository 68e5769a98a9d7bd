import numpy as np
from flint import arb, arb_mat

from flows.certificates.features.series import MatrixSeries, doubled, times
from flows.core.balls import precision

# Of values in doubles.
ROUNDED = 1e-12


def test_a_product_of_polynomials_is_that_of_their_values():
    generator = np.random.default_rng(0)
    rows = [
        [[[int(c) for c in generator.integers(-99, 99, 6)] for _ in range(2)] for _ in range(2)]
        for _ in range(3)
    ]
    rows[0][0][0][-1] = rows[0][0][1][-1] = 0  # the highest terms of a row of the product vanish
    bits, s = 5, 0.3
    values = [
        np.array([[np.polynomial.chebyshev.chebval(s, row) for row in line] for line in m])
        / 2**bits
        for m in rows
    ]
    a, b, c = ([[doubled(row) for row in line] for line in m] for m in rows)
    with precision(100):
        series = MatrixSeries.of(times(a, times(b, c)), 3, 5, bits, arb_mat([[1, 0], [0, 1]]))
        found = series.on(arb(s), arb(0), arb(0)).tolist()
        true = values[0] @ values[1] @ values[2] + np.eye(2)
        off = [
            abs(x - y) for p, q in zip(found, true, strict=True) for x, y in zip(p, q, strict=True)
        ]
        assert all(c < ROUNDED * np.abs(true).max() for c in off)
        wide = series.on(arb(s), arb(0.125), arb(0)).tolist()
        for t in np.linspace(s - 0.125, s + 0.125, 9):
            inner = series.on(arb(float(t)), arb(0), arb(0)).tolist()
            assert all(
                x.contains(y)
                for p, q in zip(wide, inner, strict=True)
                for x, y in zip(p, q, strict=True)
            )
