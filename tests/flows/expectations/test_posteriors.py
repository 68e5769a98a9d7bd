"""Rules of an axis and of mixtures have the errors that they state, at random states."""

import math
import os

import numpy as np
import pytest

from flows.expectations.posteriors import Smooth, _sparsest, axis_for, gauss_error, lattice_error
from flows.systems.mixture import expectation
from flows.systems.mixture.forms import parts
from flows.systems.mixture.means import FAR, Means
from flows.systems.mixture.sound import SoundState
from symbolic.systems.gmm_em import document as gmm_em
from symbolic.systems.score_matching import calculus as score_matching

FUZZ = int(os.environ.get("POPFLOW_FUZZ", "10"))
FIRST = int(os.environ.get("POPFLOW_FUZZ_FROM", "0"))
PLAIN = Smooth(2, 10.0, 5.0)
# Rounding of a sum of order one.
ROUNDED = 1e-14
TOLERANCES = (1e-4, 1e-7, 1e-10, 1e-12)


# Gauss-Legendre on panels, another family than both.
PANELS, LEGENDRE = 400, np.polynomial.legendre.leggauss(12)


def average(function):
    """Average over `N(0, 1)` to all digits of a function that varies over a tenth or more."""
    half = 14.0 / PANELS
    x = (np.linspace(half - 14, 14 - half, PANELS)[:, None] + half * LEGENDRE[0]).ravel()
    w = np.tile(half * LEGENDRE[1], PANELS) * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return w @ function(x)


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("width", [5e-324, 1e-6, 1e-2, 0.3, 1.0, 4.0, 12.0])
def test_averages_with_a_posterior_are_within_the_bound(width, tolerance):
    axis = axis_for(width, PLAIN, tolerance, 12.0)
    assert axis.error <= tolerance
    for b in (-1.0, 0.0, 0.5):
        terms = lambda x, b=b: x**2 / (1 + np.exp(-width * x - b))  # noqa: E731
        exact = average(terms)
        assert abs(axis.w @ terms(axis.x) / exact - 1) <= axis.error + ROUNDED


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("width", [1e-3, 1.0, 30.0, 1e3])
def test_the_step_of_an_axis_is_the_widest_whose_bound_is_small_enough_wherever_nodes_end(
    width, tolerance
):
    step, few = _sparsest(width, PLAIN, tolerance)
    ladder = 2.0 ** -(np.arange(113) / 8)
    small = np.array([lattice_error(each, width, PLAIN) <= tolerance for each in ladder])
    assert step == ladder[small.argmax()] and not small[: small.argmax()].any()
    assert few == 0 or gauss_error(few - 1, width, PLAIN) > tolerance
    # Where nodes end makes no difference to it.
    near, far = (axis_for(width, PLAIN, tolerance, reach) for reach in (12.0, 13.0))
    assert near.error == far.error


@pytest.mark.parametrize("width", [0.4, 2.0, 8.0])
def test_coarser_rules_miss_what_finer_ones_state(width):
    # Three quarters of the nodes an axis has are too few, whichever the family.
    axis = axis_for(width, PLAIN, 1e-9, 12.0)
    step = axis.x[1] - axis.x[0]
    lattice = np.allclose(np.diff(axis.x), step)
    coarse = (
        lattice_error(step * 4 / 3, width, PLAIN)
        if lattice
        else gauss_error(3 * len(axis.x) // 4, width, PLAIN)
    )
    assert coarse > 10 * axis.error


def state(seed):
    """Means of a random number, scale and shape; some nearly equal, thin, or off the target."""
    rng = np.random.default_rng(seed)
    k, r = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    weight = np.maximum(rng.dirichlet(np.ones(k)), 1e-3)
    mu = 10 ** rng.uniform(-3, 0.7) * rng.normal(size=(k, r))
    if seed % 4 == 0:
        mu[1] = mu[0] + 10 ** rng.uniform(-6, -1) * rng.normal(size=r)
    if seed % 4 == 1:
        mu *= 10.0 ** -rng.uniform(0, 3, size=r)
    if seed % 4 == 2:
        mu += rng.normal(size=r)
    weight /= weight.sum()
    mean = weight @ mu
    found = parts(weight, SoundState((mu - mean)[None], mean[None]))
    return Means(*(x[0] for x in found[:3]), weight, int(found[3][0]))


def off(found, finest):
    """Errors of pulls and both losses, relative to their sizes."""
    return max(
        np.abs(found.pull - finest.pull).max() / finest.size,
        abs(found.kl - finest.kl) / finest.sizes[0],
        abs(found.fisher - finest.fisher) / finest.sizes[1],
    )


def by_hand(means):
    """Both losses on a fine grid along turned axes, from the definition."""
    r = means.mu.shape[1]
    wide = max(float(np.abs(means.mu - means.mu[0]).max()) * math.sqrt(r) * 2, 0.1)
    step = min(0.5, 0.9 * 2 * math.pi**2 / wide / 36)
    reach = 10 + float(np.abs(means.mu).max())
    line = step * np.arange(-int(reach / step), int(reach / step) + 1)
    grid = np.stack(np.meshgrid(*[line] * r, indexing="ij"), axis=-1).reshape(-1, r)
    turn, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(r, r)))
    x = grid @ turn
    w = (step / math.sqrt(2 * math.pi)) ** r * np.exp(-(x**2).sum(axis=1) / 2)
    logs = x @ means.mu.T - 0.5 * (means.mu**2).sum(axis=1) + np.log(means.weight)
    top = logs.max(axis=1, keepdims=True)
    total = np.exp(logs - top).sum(axis=1)
    psi = np.exp(logs - top) / total[:, None]
    kl = -w @ (top[:, 0] + np.log(total))
    return kl, w @ ((psi @ means.mu) ** 2).sum(axis=1)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + FUZZ))
def test_expectations_of_mixtures_are_within_their_stated_errors(seed):
    means, loss = state(seed), (gmm_em, score_matching)[seed % 2]
    finest = expectation.expect(loss, means, 1e-13)
    kl, fisher = by_hand(means)
    assert abs(finest.kl - kl) <= 1e-12 * (1 + abs(kl))
    assert abs(finest.fisher - fisher) <= 1e-12 * (1 + fisher)
    for tolerance in TOLERANCES:
        found = expectation.expect(loss, means, tolerance)
        assert found.error <= tolerance
        assert off(found, finest) <= found.error + 20 * ROUNDED


def test_rules_for_a_third_of_the_distances_are_seen(monkeypatch):
    mu, deviation, mean, form = (x[0] for x in _far())
    means = Means(mu, deviation, mean, np.full(3, 1 / 3), int(form))
    assert means.form == FAR
    finest = expectation.expect(gmm_em, means, 1e-13)
    assert off(expectation.expect(gmm_em, means, 1e-7), finest) <= 1e-7
    own = expectation.roomy
    monkeypatch.setattr(expectation, "roomy", lambda widths, factor: own(widths / 3, factor))
    expectation._expect.cache_clear()
    assert off(expectation.expect(gmm_em, means, 1e-7), finest) > 1e-6
    expectation._expect.cache_clear()


def _far():
    mu = np.array([[2.0, 0.5], [-1.5, 1.0], [0.3, -2.0]])
    mean = mu.mean(axis=0)
    return parts(np.full(3, 1 / 3), SoundState((mu - mean)[None], mean[None]))
