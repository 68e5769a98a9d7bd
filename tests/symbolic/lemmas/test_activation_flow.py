"""The gradient of the dual kernel, against quadrature and samples of its definition."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.grids import legendre
from scipy.special import erf

from symbolic.evidence.identity import Evidence, examine
from symbolic.language.lower import lower
from symbolic.lemmas.activation_flow import derive_pair_gradient
from symbolic.lemmas.activations import ERF, LINEAR, QUADRATIC, RELU, STEP, leaky_relu
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA
from symbolic.systems.relu_neuron.pair import pair_gradient

SIZES = [ALPHA, BETA, THETA]
SLOPE = sp.Symbol("lambda", positive=True)
# Sixty Gauss-Legendre nodes in the radius up to 10 and on each of four smooth sectors.
QUADRATURE_ERROR = 1e-11
# Five standard errors of the mean, in each of five components, are what a fixed seed is allowed.
STANDARD_ERRORS = 5.0
SAMPLES = 400_000
# How near to the line of `a` the vector `b` is put. There an angle of size NEAR from pi is rounded
# by 1e-16/NEAR; the smooth gradients have slopes below SMOOTH/2.
NEAR, JUMP_ERROR, SMOOTH = 1e-7, 1e-6, 20.0
# For weights of length SHORT, erf is linear but for a relative SHORT^2.
SHORT, SHORT_ERROR = 1e-6, 1e-10
# What is wrong is wrong by this factor: a slip in the third digit.
A_LITTLE = sp.Rational(1001, 1000)


def relu(u):
    return np.maximum(u, 0.0)


def heaviside(u):
    return np.where(u > 0, 1.0, 0.0)


# Activation, the function, its derivative (of the step function, a delta, see below).
ACTIVATIONS = {
    "relu": (RELU, relu, heaviside),
    "linear": (LINEAR, lambda u: u, np.ones_like),
    "leaky": (
        leaky_relu(sp.Rational(1, 5)),
        lambda u: np.where(u > 0, u, 0.2 * u),
        lambda u: np.where(u > 0, 1.0, 0.2),
    ),
    "quadratic": (QUADRATIC, np.square, lambda u: 2 * u),
    "erf": (ERF, erf, lambda u: 2 / np.sqrt(np.pi) * np.exp(-(u**2))),
}
EVERY = [RELU, LINEAR, leaky_relu(SLOPE), QUADRATIC, STEP, ERF]
DERIVED = [pytest.param(s, id=s.name) for s in EVERY]


def coefficients(activation):
    return lower(list(derive_pair_gradient(activation).result), SIZES, "numpy")


def gradient(activation, a, b):
    alpha, beta = np.linalg.norm(a), np.linalg.norm(b)
    # Half the angle from the chords, which is exact near the line of a.
    half = np.arctan2(np.linalg.norm(a / alpha - b / beta), np.linalg.norm(a / alpha + b / beta))
    own, other = coefficients(activation)(alpha, beta, 2 * half)
    return own * a + other * b


def mean(f, theta):
    """E f(x, y) in polar coordinates, with sectors that end where a.x or b.x changes its sign."""
    nodes, weights = legendre(60)
    rho, w_rho = 5.0 * (nodes + 1.0), 5.0 * weights
    ends = np.array([-np.pi / 2, theta - np.pi / 2, np.pi / 2, theta + np.pi / 2, 3 * np.pi / 2])
    half = np.diff(ends)[:, None] / 2
    phi = (ends[:-1, None] + half * (nodes + 1.0)).ravel()
    w_phi = (half * weights).ravel()
    x, y = rho[:, None] * np.cos(phi), rho[:, None] * np.sin(phi)
    density = (rho * np.exp(-(rho**2) / 2))[:, None] / (2 * np.pi)
    return w_rho @ (f(x, y) * density) @ w_phi


@pytest.mark.parametrize("theta", [0.4, 1.3, 2.5])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_equals_the_quadrature_of_its_definition(name, theta):
    activation, s, slope = ACTIVATIONS[name]
    alpha, beta = 1.5, 0.7
    a, b = alpha * np.array([1.0, 0.0]), beta * np.array([np.cos(theta), np.sin(theta)])
    expected = [
        mean(lambda *x, k=k: slope(alpha * x[0]) * s(b[0] * x[0] + b[1] * x[1]) * x[k], theta)
        for k in (0, 1)
    ]
    found = gradient(activation, a, b)
    np.testing.assert_allclose(found, expected, rtol=0, atol=QUADRATURE_ERROR)
    turned = gradient(activation, a, [[0, -1], [1, 0]] @ b)
    assert np.abs(turned - expected).max() > 1e3 * QUADRATURE_ERROR


@pytest.mark.parametrize("name", [*ACTIVATIONS, "step"])
def test_gradient_equals_the_mean_over_gaussian_samples_in_five_dimensions(name):
    generator = np.random.default_rng(7)
    a, b = generator.normal(size=(2, 5))
    x = generator.normal(size=(SAMPLES, 5))
    if name == "step":
        # s' is a delta: a.x has the density 1/(sqrt(2 pi) |a|) at zero, where x is orthogonal to a.
        activation = STEP
        x -= np.outer(x @ a, a) / (a @ a)
        samples = (x @ b > 0)[:, None] * x / (np.sqrt(2 * np.pi) * np.linalg.norm(a))
    else:
        activation, s, slope = ACTIVATIONS[name]
        samples = (slope(x @ a) * s(x @ b))[:, None] * x
    error = samples.std(axis=0) / np.sqrt(SAMPLES)
    off = np.abs(samples.mean(axis=0) - gradient(activation, a, b)) / error
    assert off.max() < STANDARD_ERRORS
    wrong = np.abs(samples.mean(axis=0) - gradient(activation, b, a)) / error
    assert wrong.max() > STANDARD_ERRORS


def test_gradient_of_relu_is_that_of_the_relu_neuron():
    # dk/da = b/2 + unit abar + chord (abar - bbar)
    unit, chord = pair_gradient()
    expected = sp.Matrix([(unit + chord) / ALPHA, sp.Rational(1, 2) - chord / BETA])
    found = derive_pair_gradient(RELU).result
    assert examine(found, expected, ANGLES).evidence is Evidence.PROVED
    wrong = sp.Matrix([(unit - chord) / ALPHA, sp.Rational(1, 2) - chord / BETA])
    assert examine(found, wrong, ANGLES).evidence is Evidence.REFUTED


def test_gradient_of_erf_at_short_weights_is_four_over_pi_times_the_linear_one():
    a, b = SHORT * np.array([[1.0, 0.3], [0.2, -0.7]])
    linear = gradient(LINEAR, a, b)
    np.testing.assert_allclose(gradient(ERF, a, b), 4 / np.pi * linear, rtol=SHORT_ERROR)
    long = gradient(ERF, a / SHORT, b / SHORT)
    assert np.abs(long / (4 / np.pi * linear / SHORT) - 1).max() > 0.1


@pytest.mark.parametrize("end", [1.0, -1.0])
@pytest.mark.parametrize("activation", [RELU, QUADRATIC, STEP, ERF], ids=lambda s: s.name)
def test_only_the_gradient_of_step_jumps_where_b_crosses_the_line_of_a(activation, end):
    a = np.array([1.5, 0.0])
    below, above = (gradient(activation, a, np.array([end, side * NEAR])) for side in (-1, 1))
    jump = above[1] - below[1]
    if activation is STEP:
        assert abs(jump) == pytest.approx(2 / (2 * np.pi * 1.5), rel=JUMP_ERROR)
    else:
        assert abs(jump) < SMOOTH * NEAR


@pytest.mark.parametrize("activation", DERIVED)
def test_derivation_says_where_the_gradient_exists(activation):
    (step,) = (s for s in derive_pair_gradient(activation).steps if "across a" in s.rule)
    everywhere = activation is not STEP
    assert bool(step.rhs.is_zero_matrix) is everywhere
    assert ("0 < theta < pi only" in step.assumptions[0]) is not everywhere
    assert replace(step, rhs=step.rhs + sp.ones(2, 1)).verify().finding.evidence is (
        Evidence.REFUTED
    )


@pytest.mark.parametrize("activation", DERIVED)
def test_every_step_is_proved(activation):
    found = {s.rule: s.finding.evidence for s in derive_pair_gradient(activation).verify().steps}
    assert set(found.values()) == {Evidence.PROVED}, found


@pytest.mark.parametrize("activation", DERIVED)
def test_components_with_the_two_coefficients_exchanged_are_refuted(activation):
    step = derive_pair_gradient(activation).steps[-1]
    assert replace(step, rhs=step.rhs[::-1, :]).verify().finding.evidence is Evidence.REFUTED
