"""Second derivatives of score matching against differences."""

import numpy as np
import pytest
from mpmath import mp

from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node
from symbolic.systems.score_matching import calculus

MEANS = [["0.9", "-0.4"], ["-0.3", "0.7"], ["0.2", "1.1"]]
MIXING, POINT_X = ["0.2", "0.5", "0.3"], ["0.37", "-1.3"]
# Central differences with step 10^-12 in 40 digits: truncation 1e-24, rounding 1e-28.
DIGITS, DIFFERENCE, DIFFERENCE_ERROR = 40, mp.mpf("1e-12"), mp.mpf("1e-20")


def numbers(rows):
    return [[mp.mpf(x) for x in row] for row in rows]


def posterior(means):
    x = [mp.mpf(y) for y in POINT_X]
    logs = [mp.fdot(m, x) - mp.fdot(m, m) / 2 for m in means]
    weights = [mp.mpf(w) * mp.exp(e) for w, e in zip(MIXING, logs, strict=True)]
    psi = [w / mp.fsum(weights) for w in weights]
    return x, psi, [mp.fdot(psi, column) for column in zip(*means, strict=True)]


def half_gradient(means, i, a):
    """Half the integrand of the gradient by `mu_ia`."""
    x, psi, v = posterior(means)
    h_v = mp.fsum((m - y) * y for m, y in zip(means[i], v, strict=True))
    return psi[i] * (v[a] + h_v * (x[a] - means[i][a]))


def moved(means, j, c, by):
    return [
        [m + by if (k, b) == (j, c) else m for b, m in enumerate(row)]
        for k, row in enumerate(means)
    ]


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 1), (2, 1), (1, 1)])
def test_the_hessian_integrands_are_differences_of_those_of_the_gradient(i, j):
    parts = lower(calculus.hessian_integrands(), mixture_node.HESSIAN, "mpmath")
    with mp.workdps(DIGITS):
        means = numbers(MEANS)
        x, psi, v = posterior(means)
        w = [mp.mpf(y) for y in MIXING]
        rho = [p / y for p, y in zip(psi, w, strict=True)]
        h = [[m - y for m, y in zip(row, v, strict=True)] for row in means]
        away = [[y - m for y, m in zip(x, row, strict=True)] for row in means]
        for a, c in np.ndindex(2, 2):
            s_ac = mp.fsum(p * row[a] * row[c] for p, row in zip(psi, h, strict=True))
            outer, own = parts(
                rho[i],
                rho[j],
                v[a],
                v[c],
                mp.fdot(h[i], v),
                mp.fdot(h[j], v),
                mp.fdot(h[i], h[j]),
                away[i][a],
                away[i][c],
                away[j][c],
                h[i][c],
                h[j][a],
                s_ac,
                int(a == c),
            )
            found = w[i] * (w[j] * ((a == c) * rho[i] * rho[j] + outer) + (i == j) * own)
            up, down = (
                half_gradient(moved(means, j, c, sign * DIFFERENCE), i, a) for sign in (1, -1)
            )
            expected = (up - down) / (2 * DIFFERENCE)
            assert abs(found - expected) < DIFFERENCE_ERROR
            assert abs(found - w[i] * w[j] * outer - expected) > 1e3 * DIFFERENCE_ERROR


def test_the_integrands_are_functions_of_what_is_known_at_a_node():
    assert calculus.gradient_integrand().free_symbols <= set(mixture_node.GRADIENT)
    assert calculus.near_gradient_integrand().free_symbols <= set(mixture_node.NEAR_GRADIENT)
    for part in calculus.hessian_integrands():
        assert part.free_symbols <= set(mixture_node.HESSIAN)
