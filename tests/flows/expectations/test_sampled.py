"""Random points are honest about their error, and Gauss-Hermite rules are exact where they must."""

import math

import numpy as np
import pytest
from mpmath import mp

from flows.expectations.hermite import Rule, gauss, random
from flows.expectations.sampled import confident

# Sums of a hundred terms of order one, and moments up to E x^6 = 15.
ROUNDING = 1e-13


def logistic(distance):
    """Posterior weight of one of two components: poles at pi / distance."""
    return lambda x: 1 / (1 + np.exp(-distance * (x - 0.3)))


def by_mpmath(distance):
    with mp.workdps(30):
        f = lambda x: mp.npdf(x) / (1 + mp.exp(-distance * (x - mp.mpf("0.3"))))  # noqa: E731
        return float(mp.quad(f, [-12, -3, 0, 0.3, 1, 3, 12]))


def summed(f):
    return lambda rule: (np.atleast_1d(rule.weights @ f(rule.nodes)),)


@pytest.mark.parametrize("size", (2, 4, 6, 8, 12, 16, 24, 32))
def test_gauss_is_exact_up_to_its_degree_and_not_beyond(size):
    x, w = gauss(size)
    assert w @ x**2 == pytest.approx(1, rel=ROUNDING)
    assert (x == -x[::-1]).all() and (w == w[::-1]).all()
    for degree, moment in ((4, 3), (6, 15), (8, 105)):
        exact = abs(w @ x**degree / moment - 1) <= ROUNDING
        assert exact == (degree <= 2 * size - 1)


def test_steep_functions_of_many_coordinates_get_a_confidence_interval():
    f = logistic(6.0)
    found = confident(summed(lambda x: f(x.sum(axis=1) / math.sqrt(5))), 5, 1e-3)
    error = abs(float(found.values[0][0]) / by_mpmath(6.0) - 1)
    assert "Sobol" in found.rule.label
    assert error <= found.error <= 1e-3
    assert found.rule.weights.sum() == pytest.approx(1, rel=ROUNDING)


def test_an_impossible_tolerance_is_not_claimed():
    f = logistic(6.0)
    found = confident(summed(lambda x: f(x.sum(axis=1) / math.sqrt(5))), 5, 1e-12, 20_000)
    assert found.error > 1e-12


def test_values_that_are_not_finite_are_no_result():
    assert confident(lambda rule: (np.array([np.nan]),), 1, 1e-3).error == math.inf


def test_random_points_of_different_replicates_differ():
    assert not np.array_equal(random(5, 4, 0).nodes, random(5, 4, 1).nodes)
    assert np.isfinite(random(7, 10, 0).nodes).all()


def test_a_rule_of_no_nodes_has_length_zero():
    assert len(Rule(np.zeros((0, 1)), np.zeros(0), "")) == 0
