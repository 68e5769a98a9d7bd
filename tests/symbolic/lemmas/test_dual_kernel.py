"""The dual kernel, against its definition and against what is known without integration."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.grids import legendre
from scipy.special import erf

from symbolic.evidence.identity import Evidence, examine
from symbolic.language.lower import lower
from symbolic.lemmas.activations import ERF, LINEAR, QUADRATIC, RELU, STEP, Homogeneous, leaky_relu
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA, derive_kernel

SLOPE = sp.Symbol("lambda", positive=True)
SQUARED_RELU = Homogeneous("squared ReLU", sp.S.One, sp.S.Zero, degree=2)
# Sixty Gauss-Legendre nodes on each smooth panel of half-width 9, cut off at density exp(-40).
QUADRATURE_ERROR = 1e-11
# Five standard errors of the mean are what a fixed seed is allowed.
STANDARD_ERRORS = 5.0
SAMPLES = 400_000
# erf(u) = 2u/sqrt(pi) (1 - u^2/3 + ...) and 1 - erf(u) < exp(-u^2): relative and absolute errors
# of the limits of the erf kernel for weights of length 1e-4 and 1e4.
SMALL, LARGE, LIMIT_ERROR = 1e-4, 1e4, 1e-7
ROUNDING = 1e-12
# What is wrong is wrong by this factor: a slip in the third digit.
A_LITTLE = sp.Rational(1001, 1000)


def homogeneous(rise, fall, degree=1):
    return lambda u: np.where(u > 0, rise, fall) * u**degree


def by_quadrature(s, alpha, beta, theta):
    """E s(a.x) s(b.x) in Cartesian coordinates, panels split at both kinks."""
    nodes, weights = legendre(60)
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
    "relu": (RELU, homogeneous(1.0, 0.0)),
    "linear": (LINEAR, homogeneous(1.0, 1.0)),
    "leaky": (leaky_relu(sp.Rational(1, 5)), homogeneous(1.0, 0.2)),
    "quadratic": (QUADRATIC, homogeneous(1.0, 1.0, 2)),
    "step": (STEP, homogeneous(1.0, 0.0, 0)),
    "squared relu": (SQUARED_RELU, homogeneous(1.0, 0.0, 2)),
    "erf": (ERF, erf),
}
DERIVED = [
    pytest.param(s, id=s.name) for s in (RELU, LINEAR, leaky_relu(SLOPE), QUADRATIC, STEP, ERF)
]


def kernel(activation):
    return lower([derive_kernel(activation).result], [ALPHA, BETA, THETA], "numpy")


@pytest.mark.parametrize("theta", [0.4, 1.3, 2.5])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kernel_equals_the_quadrature_of_its_definition(name, theta):
    activation, s = ACTIVATIONS[name]
    k = kernel(activation)
    value = k(1.5, 0.7, theta)[0]
    assert value == pytest.approx(by_quadrature(s, 1.5, 0.7, theta), abs=QUADRATURE_ERROR)
    assert abs(k(1.5, 0.7, theta + 0.01)[0] - value) > 1e3 * QUADRATURE_ERROR


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kernel_equals_the_mean_over_gaussian_samples_in_five_dimensions(name):
    activation, s = ACTIVATIONS[name]
    generator = np.random.default_rng(7)
    a, b = generator.normal(size=(2, 5))
    x = generator.normal(size=(SAMPLES, 5))
    products = s(x @ a) * s(x @ b)
    error = products.std() / np.sqrt(SAMPLES)
    norms = np.linalg.norm(a), np.linalg.norm(b)
    theta = np.arccos(a @ b / np.prod(norms))
    k = kernel(activation)
    assert abs(products.mean() - k(*norms, theta)[0]) < STANDARD_ERRORS * error
    # theta/2 and not pi - theta, which an even activation does not see.
    assert abs(products.mean() - k(*norms, theta / 2)[0]) > STANDARD_ERRORS * error


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kernel_is_symmetric_and_scales_with_the_degree_of_its_activation(name):
    activation, _ = ACTIVATIONS[name]
    k = kernel(activation)
    value = k(1.5, 0.7, 0.9)[0]
    assert k(0.7, 1.5, 0.9)[0] == pytest.approx(value, rel=ROUNDING)
    scaled = k(3.0, 0.7, 0.9)[0]
    if isinstance(activation, Homogeneous):
        assert scaled == pytest.approx(2**activation.degree * value, rel=ROUNDING)
        assert scaled != pytest.approx(2 ** (activation.degree + 1) * value, rel=ROUNDING)
    else:
        assert value < scaled < 2 * value


@pytest.mark.parametrize(
    ("activation", "known"),
    [
        (LINEAR, ALPHA * BETA * sp.cos(THETA)),
        (QUADRATIC, ALPHA**2 * BETA**2 * (1 + 2 * sp.cos(THETA) ** 2)),
        (STEP, (sp.pi - THETA) / (2 * sp.pi)),
        (
            SQUARED_RELU,  # Cho & Saul 2009, J_2
            ALPHA**2
            * BETA**2
            * (3 * sp.sin(THETA) * sp.cos(THETA) + (sp.pi - THETA) * (1 + 2 * sp.cos(THETA) ** 2))
            / (2 * sp.pi),
        ),
        (
            ERF,  # Williams 1997
            2
            / sp.pi
            * sp.asin(
                2 * ALPHA * BETA * sp.cos(THETA) / sp.sqrt((1 + 2 * ALPHA**2) * (1 + 2 * BETA**2))
            ),
        ),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_kernel_is_the_known_one(activation, known):
    derived = derive_kernel(activation).result
    assert examine(derived, known, ANGLES).evidence is Evidence.PROVED
    assert examine(derived, A_LITTLE * known, ANGLES).evidence is Evidence.REFUTED


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


def test_erf_kernel_of_short_weights_is_four_over_pi_times_the_linear_one():
    ratio = kernel(ERF)(SMALL, 2 * SMALL, 0.9)[0] / kernel(LINEAR)(SMALL, 2 * SMALL, 0.9)[0]
    assert ratio == pytest.approx(4 / np.pi, rel=LIMIT_ERROR)


def test_erf_kernel_of_long_weights_is_that_of_the_sign():
    # sign(u) = 2 step(u) - 1, and E step = 1/2.
    sign = 4 * kernel(STEP)(1.0, 1.0, 0.9)[0] - 1
    assert kernel(ERF)(LARGE, 2 * LARGE, 0.9)[0] == pytest.approx(sign, abs=LIMIT_ERROR)


def test_negative_degree_is_refused():
    with pytest.raises(ValueError, match=r"^degree must not be negative, got -1$"):
        Homogeneous("pole", sp.S.One, sp.S.One, degree=-1)


@pytest.mark.parametrize("activation", DERIVED)
def test_every_step_of_the_integration_is_proved(activation):
    found = {s.rule: s.finding.evidence for s in derive_kernel(activation).verify().steps}
    assert set(found.values()) == {Evidence.PROVED}, found


def test_integration_by_parts_without_its_divergence_is_refuted():
    (step,) = (s for s in derive_kernel(ERF).steps if s.rule.startswith("by parts"))
    outer = [d for d in step.rhs.atoms(sp.Derivative) if d.expr.has(sp.Derivative)]
    kept = step.rhs.xreplace(dict.fromkeys(outer, sp.S.Zero))
    assert kept != step.rhs
    assert replace(step, rhs=kept).verify().finding.evidence is Evidence.REFUTED


def test_sectors_with_exchanged_slopes_are_refuted():
    steps = derive_kernel(leaky_relu(SLOPE)).steps
    (step,) = (s for s in steps if "four sectors" in s.rule)
    wrong = step.rhs[::-1, :]
    assert replace(step, rhs=wrong).verify().finding.evidence is Evidence.REFUTED
