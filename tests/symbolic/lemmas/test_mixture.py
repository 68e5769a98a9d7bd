"""Mixtures, gradient EM, score matching: proved; refuted when broken; equal to definitions."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

import symbolic
from symbolic.evidence.identity import Evidence
from symbolic.language.lower import lower
from symbolic.lemmas import mixture
from symbolic.lemmas.gaussian import A, D, X
from symbolic.lemmas.mixture import MIXTURE, MU, OWN, PI, C, N
from symbolic.systems.gmm_em.document import em_gradient
from symbolic.systems.score_matching.calculus import score_gradient

DOCUMENTS = ("mixture", "mixture_frame", "gmm_em", "score_matching")
STEPS = [s for name in DOCUMENTS for d in symbolic.derive(name).derivations for s in d.steps]
NONZERO = [s for s in STEPS if s.rhs != 0]
COMPONENTS, DIMENSION = 3, 2
ENTRIES = [(i, a) for i in range(COMPONENTS) for a in range(DIMENSION)]
MEANS = np.array([[0.9, -0.4], [-0.3, 0.7], [0.2, 1.1]])
MIXING = np.array([0.2, 0.5, 0.3])
# Central differences with step 10^-12 in 40 digits: truncation 1e-24, rounding 1e-28.
DIGITS, DIFFERENCE, DIFFERENCE_ERROR = 40, mp.mpf("1e-12"), mp.mpf("1e-20")
# Five standard errors of the mean are what a fixed seed is allowed.
STANDARD_ERRORS = 5.0
SAMPLES = 200_000


def name(step):
    return step.rule[:40]


def with_rule(start):
    (step,) = (s for s in STEPS if s.rule.startswith(start))
    return step


# --- evidence -------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_step_is_proved_and_says_more_than_that_a_thing_equals_itself(step):
    assert step.lhs != step.rhs
    assert step.verify().finding.evidence is Evidence.PROVED


def test_derivative_of_a_posterior_weight_without_the_average_is_refuted():
    step = with_rule("derivative of a posterior")
    broken = MIXTURE.posterior(OWN) * MU[OWN, A]
    assert replace(step, rhs=broken).verify().finding.evidence is Evidence.REFUTED


def test_gradient_of_v_without_its_diagonal_term_is_refuted():
    step = with_rule("derivative of v by one mean")
    broken = step.rhs.xreplace({sp.KroneckerDelta(A, C): sp.S.Zero})
    assert replace(step, rhs=broken).verify().finding.evidence is Evidence.REFUTED


@pytest.mark.parametrize("term", range(4))
def test_lemma_2_2_with_a_changed_coefficient_is_refuted(term):
    # psi_i s_ac mu_ic, -2 psi_i v_a v_c mu_ic, -2 psi_i v_c s_ac, 3 psi_i v_c^2 v_a: add one more.
    step, form = with_rule("the direct form less"), mixture.IN_X
    psi, v_a, v_c, own = form.posterior(OWN), form.v(A), form.v(C), MU[OWN, C]
    second = form.mean(lambda k: MU[k, A] * MU[k, C])
    extra = psi * (second * own, v_a * v_c * own, v_c * second, v_c**2 * v_a)[term]
    assert replace(step, lhs=step.lhs - extra).verify().finding.evidence is Evidence.REFUTED


def test_stein_lemma_without_its_derivative_is_refuted():
    step = with_rule("Stein's lemma for f = psi_i")
    broken = em_gradient() - X[A] * MIXTURE.posterior(OWN)
    assert replace(step, rhs=broken).verify().finding.evidence is Evidence.REFUTED


def test_kl_integrand_that_is_off_by_a_thousandth_is_refuted():
    step = with_rule("the new integrand")
    assert (
        replace(step, rhs=step.rhs * sp.Rational(1001, 1000)).verify().finding.evidence
        is Evidence.REFUTED
    )


# --- an oracle that shares no code ----------------------------------------------------------------


def by_hand(means, x):
    """Return log(p/p_0), the posterior weights and v, straight from the densities."""
    dot = [[m * y for m, y in zip(mean, x, strict=True)] for mean in means]
    logs = [sum(d) - sum(m * m for m in mean) / 2 for d, mean in zip(dot, means, strict=True)]
    weights = [p * mp.exp(e) for p, e in zip(MIXING, logs, strict=True)]
    total = sum(weights)
    psi = [w / total for w in weights]
    columns = zip(*means, strict=True)
    return mp.log(total), psi, [sum(p * m for p, m in zip(psi, c, strict=True)) for c in columns]


def difference(f, means, i, a):
    """Return the central difference of `f(means)` by one entry."""

    def moved(by):
        return [
            [m + by if (k, c) == (i, a) else m for c, m in enumerate(mean)]
            for k, mean in enumerate(means)
        ]

    return (f(moved(DIFFERENCE)) - f(moved(-DIFFERENCE))) / (2 * DIFFERENCE)


@cache
def at(expr, i, a, c=0, backend="mpmath"):
    """Return the expression for three components in the plane as a function of means and x."""
    integers = {OWN: i + 1, N - OWN: COMPONENTS - i - 1, A: a + 1, D - A: DIMENSION - a - 1}
    concrete = expr.subs({**integers, C: c + 1}).doit()
    means = [MU[k + 1, b + 1] for k in range(COMPONENTS) for b in range(DIMENSION)]
    entries = [*means, *(PI[k + 1] for k in range(COMPONENTS)), X[1], X[2]]
    symbols = [sp.Symbol(f"s_{k}") for k in range(len(entries))]
    compiled = lower(
        [concrete.xreplace(dict(zip(entries, symbols, strict=True)))], symbols, backend
    )
    return lambda means, x: compiled(*(m for row in means for m in row), *MIXING, *x)[0]


def half_score_gradient(form, i, a, backend="mpmath"):
    """Return `common + sum_c direct` (form 1) or `common + sum_c stein` (form 2)."""
    common, parts = score_gradient()[0], score_gradient()[form]
    terms = [at(common, i, a, 0, backend)]
    terms += [at(parts, i, a, c, backend) for c in range(DIMENSION)]
    return lambda means, x: sum(term(means, x) for term in terms)


@pytest.fixture
def point():
    with mp.workdps(DIGITS):
        yield [[mp.mpf(float(m)) for m in row] for row in MEANS], [mp.mpf("0.37"), mp.mpf("-1.3")]


@pytest.mark.parametrize(("i", "a"), ENTRIES)
def test_gradient_of_minus_log_p_equals_finite_differences(point, i, a):
    means, x = point
    pull = at(MIXTURE.posterior(OWN) * (MU[OWN, A] - X[A]), i, a)(means, x)
    found = difference(lambda m: -by_hand(m, x)[0], means, i, a)
    assert abs(pull - found) < DIFFERENCE_ERROR
    # Without the expectation, the form after Stein's lemma is another number.
    assert abs(at(em_gradient(), i, a)(means, x) - found) > 1e3 * DIFFERENCE_ERROR


@pytest.mark.parametrize(("i", "a"), ENTRIES)
def test_direct_score_gradient_equals_finite_differences_of_the_squared_v(point, i, a):
    means, x = point
    found = difference(lambda m: sum(c**2 for c in by_hand(m, x)[2]), means, i, a)
    assert abs(2 * half_score_gradient(1, i, a)(means, x) - found) < DIFFERENCE_ERROR
    assert abs(half_score_gradient(1, i, a)(means, x) - found) > 1e3 * DIFFERENCE_ERROR


def test_posterior_and_v_equal_those_of_the_densities(point):
    means, x = point
    _, psi, v = by_hand(means, x)
    for i, a in ENTRIES:
        assert abs(at(MIXTURE.posterior(OWN), i, a)(means, x) - psi[i]) < DIFFERENCE_ERROR
        assert abs(at(MIXTURE.v(A), i, a)(means, x) - v[a]) < DIFFERENCE_ERROR
    assert abs(psi[0] - psi[1]) > 1e3 * DIFFERENCE_ERROR


# --- expectations, with common random numbers -----------------------------------------------------

SAMPLE = np.random.default_rng(11).normal(size=(DIMENSION, SAMPLES))


def standard_errors(values):
    """Return how many standard errors the mean is away from zero."""
    return abs(values.mean()) / (values.std() / np.sqrt(SAMPLES))


@cache
def posterior_by_hand():
    logs = MEANS @ SAMPLE - np.sum(MEANS**2, axis=1)[:, None] / 2
    weights = MIXING[:, None] * np.exp(logs)
    return logs, weights / weights.sum(axis=0)


def test_em_direction_is_the_definition_in_expectation():
    _, psi = posterior_by_hand()
    for i, a in ENTRIES:
        direct = psi[i] * (MEANS[i, a] - SAMPLE[a])
        stein = at(em_gradient(), i, a, 0, "numpy")(MEANS, SAMPLE)
        assert standard_errors(direct - stein) < STANDARD_ERRORS
        assert standard_errors(direct + stein) > STANDARD_ERRORS


@pytest.mark.parametrize(("i", "a"), ENTRIES)
def test_lemma_2_2_is_the_direct_gradient_in_expectation(i, a):
    _, psi = posterior_by_hand()
    v = MEANS.T @ psi
    direct = psi[i] * v[a] + psi[i] * ((MEANS[i][:, None] - v) * v).sum(axis=0) * (
        SAMPLE[a] - MEANS[i, a]
    )
    stein = half_score_gradient(2, i, a, "numpy")(MEANS, SAMPLE)
    assert standard_errors(direct - stein) < STANDARD_ERRORS
    two_for_three = stein - psi[i] * (v**2).sum(axis=0) * v[a]
    assert standard_errors(direct - two_for_three) > STANDARD_ERRORS


def test_gradients_projected_on_the_means_are_the_fisher_information():
    _, psi = posterior_by_hand()
    v = MEANS.T @ psi
    projected = (MEANS[:, :, None] * psi[:, None] * (MEANS[:, :, None] - SAMPLE)).sum(axis=1)
    fisher = (v**2).sum(axis=0)
    assert standard_errors(projected.sum(axis=0) - fisher) < STANDARD_ERRORS
    weighted = COMPONENTS * MIXING @ projected  # the sum is not weighted by pi
    assert standard_errors(weighted - fisher) > STANDARD_ERRORS


def test_kl_divergence_is_that_of_its_definition():
    logs, _ = posterior_by_hand()
    delta = MIXING @ np.expm1(logs)
    definition = -np.log(MIXING @ np.exp(logs))  # of p_0 over p, under p_0
    assert standard_errors(delta) < STANDARD_ERRORS
    assert standard_errors(definition - (delta - np.log1p(delta))) < STANDARD_ERRORS
    assert standard_errors(definition - (delta + np.log1p(delta))) > STANDARD_ERRORS
    assert standard_errors(MIXING @ np.expm1(MEANS @ SAMPLE)) > STANDARD_ERRORS


@pytest.mark.parametrize(("i", "a"), ENTRIES)
def test_flow_before_the_noise_is_slower_by_the_square_of_the_scale(point, i, a):
    means, x = point
    scale = mp.exp(-mp.mpf("0.7"))
    unscaled = [[m / scale for m in row] for row in means]

    def loss(m):
        return sum(c**2 for c in by_hand(m, x)[2])

    in_nu = difference(lambda nu: loss([[scale * m for m in row] for row in nu]), unscaled, i, a)
    in_mu = difference(loss, means, i, a)
    slope, s = sp.symbols("g s")
    velocity = with_rule("velocity of mu").rhs
    (gradient,) = velocity.atoms(sp.Derivative)
    velocity = velocity.xreplace({gradient: slope, sp.Symbol("s", nonnegative=True): s})
    stated = lower([velocity], [slope, s], "mpmath")(in_mu, mp.mpf("0.7"))[0]
    assert abs(-scale * in_nu - stated) < DIFFERENCE_ERROR
    assert abs(-in_nu - stated) > 1e3 * DIFFERENCE_ERROR
