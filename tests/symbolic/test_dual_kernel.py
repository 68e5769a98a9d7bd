"""The dual kernel, against its definition and against what is known without integration."""

import numpy as np
import pytest
import sympy as sp

from symbolic.dual_kernel import ALPHA, ANGLES, BETA, LINEAR, RELU, THETA, derive_kernel, leaky_relu
from symbolic.identity import Evidence, examine
from symbolic.lower import lower

SLOPE = sp.Symbol("lambda", positive=True)
# Sixty Gauss-Legendre nodes on each smooth panel of half-width 9, cut off at density exp(-40).
QUADRATURE_ERROR = 1e-11
# Five standard errors of the mean are what a fixed seed is allowed.
STANDARD_ERRORS = 5.0
SAMPLES = 400_000


def activation(rise, fall):
    return lambda u: np.where(u > 0, rise * u, fall * u)


def by_quadrature(s, alpha, beta, theta):
    """E s(a.x) s(b.x) in Cartesian coordinates, panels split at both kinks."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    reach, total = 9.0, 0.0
    for lo, hi in ((-reach, 0.0), (0.0, reach)):
        x = (lo + hi) / 2 + (hi - lo) / 2 * nodes
        wx = (hi - lo) / 2 * weights
        kink = np.clip(-x / np.tan(theta), -reach, reach)
        for left, right in ((np.full_like(x, -reach), kink), (kink, np.full_like(x, reach))):
            half = (right - left) / 2
            y = ((left + right) / 2)[:, None] + half[:, None] * nodes
            b = x[:, None] * np.cos(theta) + y * np.sin(theta)
            f = s(alpha * x[:, None]) * s(beta * b) * np.exp(-(x[:, None] ** 2 + y**2) / 2)
            total += np.sum(wx[:, None] * half[:, None] * weights * f) / (2 * np.pi)
    return total


ACTIVATIONS = {
    "relu": (RELU, (1.0, 0.0)),
    "linear": (LINEAR, (1.0, 1.0)),
    "leaky": (leaky_relu(sp.Rational(1, 5)), (1.0, 0.2)),
}


@pytest.mark.parametrize("theta", [0.4, 1.3, 2.5])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kernel_equals_the_quadrature_of_its_definition(name, theta):
    symbolic_activation, slopes = ACTIVATIONS[name]
    k = lower([derive_kernel(symbolic_activation).result], [ALPHA, BETA, THETA], "numpy")
    value = k(1.5, 0.7, theta)[0]
    assert value == pytest.approx(
        by_quadrature(activation(*slopes), 1.5, 0.7, theta), abs=QUADRATURE_ERROR
    )
    assert abs(k(1.5, 0.7, theta + 0.01)[0] - value) > 1e3 * QUADRATURE_ERROR


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kernel_equals_the_mean_over_gaussian_samples_in_five_dimensions(name):
    symbolic_activation, slopes = ACTIVATIONS[name]
    generator = np.random.default_rng(7)
    a, b = generator.normal(size=(2, 5))
    x, s = generator.normal(size=(SAMPLES, 5)), activation(*slopes)
    products = s(x @ a) * s(x @ b)
    error = products.std() / np.sqrt(SAMPLES)
    norms = np.linalg.norm(a), np.linalg.norm(b)
    theta = np.arccos(a @ b / np.prod(norms))
    k = lower([derive_kernel(symbolic_activation).result], [ALPHA, BETA, THETA], "numpy")
    assert abs(products.mean() - k(*norms, theta)[0]) < STANDARD_ERRORS * error
    assert abs(products.mean() - k(*norms, np.pi - theta)[0]) > STANDARD_ERRORS * error


def test_linear_kernel_is_the_dot_product():
    dot = ALPHA * BETA * sp.cos(THETA)
    assert examine(derive_kernel(LINEAR).result, dot, ANGLES).evidence is Evidence.PROVED


def test_leaky_kernel_is_the_combination_of_relu_kernels_that_its_activation_is():
    # s(u) = relu(u) - slope relu(-u), and -b makes the angle pi - theta with a.
    k = derive_kernel(RELU).result
    expected = (1 + SLOPE**2) * k - 2 * SLOPE * k.subs(THETA, sp.pi - THETA)
    leaky = derive_kernel(leaky_relu(SLOPE)).result
    assert examine(leaky, expected, ANGLES).evidence is Evidence.PROVED
    wrong = (1 + SLOPE**2) * k + 2 * SLOPE * k.subs(THETA, sp.pi - THETA)
    assert examine(leaky, wrong, ANGLES).evidence is Evidence.REFUTED


def test_leaky_kernel_has_relu_and_linear_as_its_ends():
    leaky = derive_kernel(leaky_relu(SLOPE)).result
    for slope, end in ((0, RELU), (1, LINEAR)):
        assert sp.expand(leaky.subs(SLOPE, slope) - derive_kernel(end).result) == 0


@pytest.mark.parametrize("slopes", [RELU, LINEAR, leaky_relu(SLOPE)], ids=lambda s: s.name)
def test_every_step_of_the_integration_has_evidence(slopes):
    found = [step.finding.evidence for step in derive_kernel(slopes).verify().steps]
    assert set(found) <= {Evidence.PROVED, Evidence.SAMPLED}
    assert found.count(Evidence.SAMPLED) <= 1  # signs on the sectors
