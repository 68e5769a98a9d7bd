"""Lemmas on Gaussian expectations, against quadrature of both sides."""

import numpy as np
import pytest
import sympy as sp

from symbolic.evidence.identity import Evidence, examine
from symbolic.lemmas import gaussian
from symbolic.lemmas.gaussian import U, density

STEPS = [s for d in gaussian.derive().derivations for s in d.steps]
NONZERO = [s for s in STEPS if not (isinstance(s.rhs, sp.MatrixBase) and s.rhs.is_zero_matrix)]
# Forty Gauss-Hermite nodes for functions analytic in a strip of half-width at least 3.
QUADRATURE_ERROR = 1e-9
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / np.sqrt(2 * np.pi)


def name(step):
    return step.rule[:40]


@pytest.mark.parametrize("step", STEPS, ids=name)
def test_step_is_proved_and_says_more_than_that_a_thing_equals_itself(step):
    assert step.lhs != step.rhs
    assert step.verify().finding.evidence is Evidence.PROVED


def test_boundary_terms_do_not_vanish_outside_the_class_of_functions():
    grown = sp.Limit(density(U) * sp.exp(U**2 / 2), U, sp.oo)
    assert examine(grown, sp.S.Zero).evidence is Evidence.REFUTED


def test_density_has_mass_one():
    assert np.sum(WEIGHTS) == pytest.approx(1, abs=QUADRATURE_ERROR)
    mass = sp.Integral(density(U), (U, -sp.oo, sp.oo))
    assert examine(mass, sp.S.One).evidence is Evidence.PROVED


@pytest.mark.parametrize("power", [0, 1, 3])
def test_stein_lemma_holds_for_a_posterior_times_a_polynomial(power):
    psi = 1 / (1 + np.exp(0.3 - 0.8 * NODES))  # two components, means 0.8 apart
    f = psi * NODES**power
    f_prime = 0.8 * psi * (1 - psi) * NODES**power + psi * power * NODES ** max(power - 1, 0)
    left = WEIGHTS @ (NODES * f)
    assert left == pytest.approx(WEIGHTS @ f_prime, abs=QUADRATURE_ERROR)
    assert abs(left - WEIGHTS @ (f_prime - psi)) > 1e3 * QUADRATURE_ERROR


def test_function_of_one_direction_has_the_expectation_of_one_coordinate():
    mean = np.array([0.5, -0.3, 0.4])
    grid = np.stack(np.meshgrid(NODES, NODES, NODES, indexing="ij"), axis=-1)
    mass = WEIGHTS[:, None, None] * WEIGHTS[:, None] * WEIGHTS

    def f(u):
        return np.log(0.4 + 0.6 * np.exp(u))

    in_space = np.sum(mass * f(grid @ mean))
    assert in_space == pytest.approx(
        WEIGHTS @ f(np.linalg.norm(mean) * NODES), abs=QUADRATURE_ERROR
    )
    assert abs(in_space - WEIGHTS @ f(mean[0] * NODES)) > 1e3 * QUADRATURE_ERROR
