"""Three kernels, one expectation: each form's sums are those of the others where all are good."""

from itertools import combinations

import numpy as np
import pytest

from flows.arithmetic.vectors import WIDTH
from flows.expectations.hermite import Rule
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, Means
from flows.systems.mixture.nodes import packed
from flows.systems.mixture.sums import components_of, curve, of_list
from symbolic.systems.gmm_em import document as gmm_em
from symbolic.systems.score_matching import calculus as score_matching
from tests.oracles.grids import hermite

LOSSES = (gmm_em, score_matching)
FORMS = (NEAR, CLUSTER, FAR)
MU, WEIGHT = np.array([[0.6, -0.4], [-0.2, 0.5], [0.1, 0.2]]), np.array([0.2, 0.3, 0.5])
# Rounding of sums of order one over a few hundred nodes; the rule below has no error to see.
ROUNDING = 1e-13
# A sum that leaves out what its form takes apart is another number by more than this.
OTHER = 1e-3


def means(form):
    mean = WEIGHT @ MU
    return Means(MU, MU - mean, mean, WEIGHT, form)


def sums(loss, means, rule):
    """Losses and pulls, and the magnitudes of their terms."""
    numbers = packed(rule.nodes, rule.weights)
    return of_list(means.form, loss, components_of(means.at(None)), numbers)[0]


def pulls(loss, means, rule):
    return sums(loss, means, rule)[0, 2:].reshape(means.mu.shape)


@pytest.fixture(scope="module")
def rule():
    found = hermite(24, 24)
    assert len(found) > 2 * WIDTH  # several blocks
    return found


@pytest.mark.parametrize("loss", LOSSES, ids=lambda m: m.__name__)
def test_the_three_forms_have_the_same_losses_pulls_and_curvature(loss, rule):
    found = {}
    for form in FORMS:
        part = means(form)
        losses = sums(loss, part, rule)[0, :2] + part.constant
        curved = np.einsum("ij,ac->iajc", part.linear_curve, np.eye(2)) + curve(loss, part, rule)
        found[form] = losses, part.linear + pulls(loss, part, rule), curved
    for one, other in combinations(FORMS, 2):
        for x, y in zip(found[one], found[other], strict=True):
            np.testing.assert_allclose(x, y, atol=ROUNDING)
    # Without the linear part the far form is another sum.
    bare = pulls(loss, means(FAR), rule)
    assert np.max(np.abs(bare - found[NEAR][1])) > OTHER


@pytest.mark.parametrize("form", FORMS)
def test_sizes_are_magnitudes_of_terms_and_no_node_is_no_sum(form, rule):
    none = Rule(np.zeros((0, 2)), np.zeros(0), "")
    assert not sums(gmm_em, means(form), none).any()
    assert not curve(gmm_em, means(form), none).any()
    one = Rule(rule.nodes[:1].copy(), -np.ones(1), "")
    terms, sizes = sums(gmm_em, means(form), one)
    assert sizes[0] == abs(terms[0]) > 0 and np.array_equal(sizes[2:], np.abs(terms[2:]))
    assert sizes[2:].max() > sizes[2:].min()


# Central differences with this step are right to a few digits of its square.
STEP, DIFFERENCES = 1e-4, 1e-7


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda m: m.__name__)
def test_curvature_is_the_derivative_of_the_pulls(loss, form):
    rule = hermite(32, 32)

    def slopes(mu):
        mean = WEIGHT @ mu
        here = Means(mu, mu - mean, mean, WEIGHT, form)
        return here.linear + pulls(loss, here, rule)

    whole = curve(loss, means(form), rule)
    whole = whole + np.einsum("ij,ac->iajc", means(form).linear_curve, np.eye(2))
    for j in range(3):
        for c in range(2):
            step = np.zeros_like(MU)
            step[j, c] = STEP
            slope = (slopes(MU + step) - slopes(MU - step)) / (2 * STEP)
            np.testing.assert_allclose(whole[:, :, j, c], slope, atol=DIFFERENCES)
    # The weights are not alike: the other way round it is another one.
    assert np.abs(whole - whole.transpose(2, 3, 0, 1)).max() > OTHER
