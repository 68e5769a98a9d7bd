"""Pair formulas of the single ReLU neuron, summed by hand and differentiated numerically."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from symbolic.language.lower import lower
from symbolic.language.primitives import SinMinusArg, SinMinusArgCos
from symbolic.systems.relu_neuron.flow import pair_flow
from symbolic.systems.relu_neuron.pair import (
    ALPHA,
    BETA,
    THETA,
    kernel,
    pair_energy,
    pair_gradient,
    pair_hessian,
)

ARGS = [ALPHA, BETA, THETA]
# Central differences with step 10^-12 in 40 digits: truncation 1e-24, rounding 1e-28.
DIFFERENCE_ERROR = mp.mpf("1e-20")
STEP = mp.mpf("1e-12")
DIGITS = 40
# 1/theta = t/pi + O(1), so t^3 L differs from its limit by O(1/t), with t = 1e8 here.
TAIL_CORRECTION = 1e-6


def vectors(seed, count=4, d=4):
    generator = np.random.default_rng(seed)
    return [[mp.mpf(float(x)) for x in row] for row in generator.normal(size=(count, d))]


def dot(a, b):
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def invariants(a, b):
    alpha, beta = mp.sqrt(dot(a, a)), mp.sqrt(dot(b, b))
    chord = mp.sqrt(mp.fsum((x / alpha - y / beta) ** 2 for x, y in zip(a, b, strict=True)))
    anti = mp.sqrt(mp.fsum((x / alpha + y / beta) ** 2 for x, y in zip(a, b, strict=True)))
    return alpha, beta, 2 * mp.atan2(chord, anti)


def loss(w):
    """Three neurons and the teacher last, straight from the kernel."""
    k = lower([kernel()], ARGS, "mpmath")
    mu = [1] * (len(w) - 1) + [-1]
    return (
        mp.fsum(
            mu[i] * mu[j] * k(*invariants(w[i], w[j]))[0]
            for i in range(len(w))
            for j in range(len(w))
        )
        / 2
    )


def gradient(w, i, sign=1):
    pair = lower(pair_gradient(), ARGS, "mpmath")
    mu = [1] * (len(w) - 1) + [-1]
    total = [mp.fsum(m * x[k] for m, x in zip(mu, w, strict=True)) / 2 for k in range(len(w[0]))]
    for j, wj in enumerate(w):
        alpha, beta, theta = invariants(w[i], wj)
        unit, chord = pair(alpha, beta, theta)
        for k in range(len(total)):
            bar_i, bar_j = w[i][k] / alpha, wj[k] / beta
            total[k] += mu[j] * (unit * bar_i + sign * chord * (bar_i - bar_j))
    return total


def moved(w, i, k, by):
    return [
        [x + by if (a, b) == (i, k) else x for b, x in enumerate(row)] for a, row in enumerate(w)
    ]


def test_pair_formulas_are_the_documented_ones():
    unit, chord = pair_gradient()
    spread, shift, twist = pair_hessian()
    two_pi = 2 * sp.pi
    assert pair_energy() == ALPHA * BETA * SinMinusArgCos(THETA) / two_pi
    assert unit == BETA * SinMinusArg(THETA) / two_pi
    assert chord == BETA * THETA / two_pi
    assert spread == BETA * sp.sin(THETA) / (two_pi * ALPHA)
    assert shift == -THETA / two_pi
    assert twist == sp.sin(THETA) / two_pi


def test_gradient_is_the_difference_quotient_of_the_loss():
    with mp.workdps(DIGITS):
        w = vectors(3)
        for i in range(3):
            right, wrong = gradient(w, i), gradient(w, i, sign=-1)
            for k in range(4):
                quotient = (loss(moved(w, i, k, STEP)) - loss(moved(w, i, k, -STEP))) / (2 * STEP)
                assert abs(right[k] - quotient) < DIFFERENCE_ERROR
                assert abs(wrong[k] - quotient) > 1e6 * DIFFERENCE_ERROR


def hessian_blocks(a, b, sign=1):
    """The two blocks of e as NumPy object arrays."""
    alpha, beta, theta = invariants(a, b)
    spread, shift, twist = lower(pair_hessian(), ARGS, "mpmath")(alpha, beta, theta)
    u, w = np.array(a) / alpha, np.array(b) / beta
    n = w - mp.cos(theta) * u
    s, c = u + w, u - w
    n, s, c = (x / mp.sqrt(x @ x) for x in (n, s, c))
    one = np.eye(len(a), dtype=int)
    own = spread * (one - np.outer(u, u) + np.outer(n, n))
    return own, shift * one + sign * twist * (np.outer(s, s) - np.outer(c, c))


def pair_part(a, b):
    alpha, beta, theta = invariants(a, b)
    unit, chord = lower(pair_gradient(), ARGS, "mpmath")(alpha, beta, theta)
    u, w = np.array(a) / alpha, np.array(b) / beta
    return unit * u + chord * (u - w)


def test_hessian_blocks_are_the_difference_quotients_of_the_gradient():
    with mp.workdps(DIGITS):
        a, b = vectors(5, count=2)
        own, cross = hessian_blocks(a, b)
        _, wrong = hessian_blocks(a, b, sign=-1)
        for k in range(4):
            step = np.array([STEP if m == k else mp.mpf(0) for m in range(4)])
            by_a = (pair_part(a + step, b) - pair_part(a - step, b)) / (2 * STEP)
            by_b = (pair_part(a, b + step) - pair_part(a, b - step)) / (2 * STEP)
            assert max(abs(own[:, k] - by_a)) < DIFFERENCE_ERROR
            assert max(abs(cross[:, k] - by_b)) < DIFFERENCE_ERROR
            assert max(abs(wrong[:, k] - by_b)) > 1e6 * DIFFERENCE_ERROR


@pytest.mark.parametrize("theta, shift", [(0.0, 0.0), (np.pi, -0.5)])
def test_pair_formulas_are_finite_at_aligned_and_opposite_vectors(theta, shift):
    values = lower((pair_energy(), *pair_gradient(), *pair_hessian()), ARGS, "numpy")
    result = values(2.0, 3.0, theta)
    assert np.isfinite(result).all()
    assert result[4] == pytest.approx(shift)


def test_pair_flow_is_the_negative_gradient():
    with mp.workdps(DIGITS):
        w = vectors(11)
        flow = lower(pair_flow(), ARGS, "mpmath")
        mu = [1, 1, 1, -1]
        for i in range(3):
            rate = -np.array(w[i]) / 2
            for j in range(4):
                if j != i:
                    own, other = flow(*invariants(w[i], w[j]))
                    rate = rate - mu[j] * (own * np.array(w[i]) + other * np.array(w[j]))
            assert max(abs(rate + np.array(gradient(w, i)))) < DIFFERENCE_ERROR


def test_mirror_pair_reaches_the_constant_that_was_derived():
    from scipy.integrate import solve_ivp

    # theta' = -theta sin(2 theta)/(2 pi) for (1 + t) theta in log-time.
    def field(tau, y):
        theta = y * np.exp(-tau)
        return y - np.exp(2 * tau) * theta * np.sin(2 * theta) / (2 * np.pi)

    tau = np.log1p(1e8)
    scaled = solve_ivp(field, (0, tau), [1.0], rtol=1e-11, atol=1e-13, method="LSODA").y[0, -1]
    theta, t = scaled / (1 + 1e8), 1e8
    energy = lower([pair_energy()], ARGS, "numpy")
    length = 0.5 / np.cos(theta)
    loss_value = energy(length, length, 2 * theta)[0] - 2 * energy(length, 1.0, theta)[0]
    assert t**3 * loss_value == pytest.approx(np.pi**2 / 6, rel=TAIL_CORRECTION)
    assert t**3 * loss_value != pytest.approx(np.pi**2 / 5, rel=TAIL_CORRECTION)
