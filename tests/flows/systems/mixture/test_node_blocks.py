"""Polynomials for blocks of nodes, and sums over blocks, against many digits and plain sums."""

from itertools import combinations

import numba
import numpy as np
import pytest
from mpmath import mp

import flows
from flows.arithmetic import exponentials
from flows.arithmetic.kept import unfolded
from flows.arithmetic.vectors import WIDTH, load, store
from flows.expectations.hermite import Rule
from flows.systems.mixture import axes, expectation, node_functions
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, Means
from flows.systems.mixture.nodes import packed
from flows.systems.mixture.sums import components_of, of_list
from symbolic.systems.gmm_em import document as gmm_em
from symbolic.systems.score_matching import calculus as score_matching
from tests.oracles.grids import hermite

# A few units in the last place.
UNITS = 8e-16
# Rounding of sums of order one over a few hundred nodes.
ROUNDING = 1e-13
# Rounding of axes of points that are as far apart along one as a tenth of it along the other.
AXES = 1e-13
FORMS = (NEAR, CLUSTER, FAR)
LOSSES = (gmm_em, score_matching)
LINE = np.concatenate([np.linspace(-3, 3, 61), [-600.0, 500.0, -1e-9, 1e-9, 0.5, -0.5]])


@unfolded
def log_of_more(x):
    return node_functions.log_of_more(x, node_functions.logarithm(1.0 + x))


@pytest.mark.parametrize(
    "found, exact, at",
    [
        (node_functions.density, lambda x: mp.expm1(x) - x, LINE),
        (exponentials.exponential, mp.exp, -np.abs(LINE)),
        (node_functions.logarithm, mp.log, np.array([1e-300, 0.3, 0.9999, 1.5, 2.0, 7.0, 1e300])),
        (node_functions.divergence, lambda x: x - mp.log1p(x), LINE[LINE > -1]),
        (log_of_more, mp.log1p, LINE[LINE > -1]),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_polynomials_have_all_digits(found, exact, at):
    @numba.njit(error_model="numpy")
    def row(x, out):
        for i in range(len(x) // WIDTH):
            store(out, i, found(load(x, i)))

    count = -(-len(at) // WIDTH)
    filled = np.resize(at, count * WIDTH)
    out = np.empty_like(filled)
    row(filled, out)
    assert np.array_equal(np.resize(out[: len(at)], len(out)), out)  # alike in every place
    with mp.workdps(60):
        truth = [exact(mp.mpf(float(x))) for x in at]
        pairs = zip(out[: len(at)], truth, strict=True)
        wrong = [abs(mp.mpf(float(y)) - z) / (abs(z) or 1) for y, z in pairs]
    assert max(wrong) < UNITS


def means(form):
    """Three components, apart or close together."""
    weight, size = np.array([0.2, 0.3, 0.5]), 2.0 if form == FAR else 0.4
    mu = size * np.random.default_rng(form).normal(size=(3, 2))
    mean = weight @ mu
    return Means(mu, mu - mean, mean, weight, form)


@pytest.mark.parametrize("count", [1, WIDTH, WIDTH + 3])
def test_lists_hold_every_node_once_and_the_rest_of_their_last_block_has_no_weight(count):
    rng = np.random.default_rng(count)
    nodes, weights = rng.normal(size=(count, 3)), rng.uniform(1.0, 2.0, size=count)
    blocks = packed(nodes, weights).reshape(-1, 4, WIDTH)
    held, x = blocks[:, 0].ravel(), np.moveaxis(blocks[:, 1:], 1, 2).reshape(-1, 3)
    np.testing.assert_array_equal(held[:count], weights)
    np.testing.assert_array_equal(x[:count], nodes)
    assert len(held) == -(-count // WIDTH) * WIDTH
    # What is left over is a node, so that nothing there overflows.
    assert (held[count:] == 0).all()
    assert (x[count:] == nodes[-1]).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda m: m.__name__)
def test_blocks_have_the_sums_of_single_nodes(loss, form):
    rule, together = hermite(15, 23), components_of(means(form).at(None))
    assert len(rule) > WIDTH and len(rule) % WIDTH

    def of(rule):
        return of_list(form, loss, together, packed(rule.nodes, rule.weights))[0]

    sums, sizes = of(rule)
    alone = [Rule(x[None].copy(), w[None].copy(), "") for x, w in zip(*rule[:2], strict=True)]
    plain = np.array([of(one) for one in alone])
    np.testing.assert_allclose(sums, plain[:, 0].sum(axis=0), atol=ROUNDING)
    np.testing.assert_allclose(sizes, plain[:, 1].sum(axis=0), atol=ROUNDING)
    # The heaviest node alone is seen.
    rest = np.arange(len(rule)) != np.argmax(rule.weights)
    less = Rule(rule.nodes[rest], rule.weights[rest], "")
    assert np.abs(of(less)[1] - sizes).max() > 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_axes_are_along_differences_and_widths_are_distances_along_them(form):
    states = several(form)
    found = axes.frames(states, 30.0, 0.0)
    rows = states.mu if form == NEAR else states.deviation
    for t in range(len(states.mu)):
        turn, points = found.axes[t], rows[t]
        np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=AXES)
        along = points @ turn.T
        along = np.vstack([along, np.zeros(2)]) if form == NEAR else along
        np.testing.assert_allclose(found.widths[t], np.ptp(along, axis=0), atol=AXES)
        # The first axis has the longest difference, or mean, whole.
        lengths = [np.linalg.norm(one - other) for one, other in combinations(points, 2)]
        if form == NEAR:
            lengths = [np.linalg.norm(one - other) for one, other in combinations(rows[t], 2)]
            lengths.append(np.linalg.norm(states.mean[t]))
        assert found.widths[t][0] >= max(lengths) * (1 - AXES)
    alone = axes.frames(states.at(slice(2, 3)), 30.0, 0.0)
    assert np.array_equal(alone.axes[0], found.axes[2])


@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_axes_are_orthonormal_to_the_last_digits_also_where_points_are_on_a_line(r):
    points = np.random.default_rng(r).normal(size=(3, 5, r)) * 10.0 ** -np.arange(0, 3 * r, 3)
    points[1, :r], points[1, r:] = np.eye(r), 0.0
    points[2] = np.arange(5)[:, None] * points[2, :1]
    mean, weight = points.mean(axis=1), np.full(5, 0.2)
    found = axes.frames(Means(points, points - mean[:, None], mean, weight, CLUSTER), 30.0, 0.0)
    turns = found.axes @ found.axes.swapaxes(-2, -1)
    np.testing.assert_allclose(turns, [np.eye(r)] * 3, atol=ROUNDING / 10)


def test_what_is_seen_nowhere_has_no_part_in_distances():
    mu = np.array([[0.0, 0.0], [3.0, 1.0], [300.0, 400.0]])
    weight = np.full(3, 1 / 3)
    mean = weight @ mu
    states = Means(mu, mu - mean, mean, weight, FAR).at(None)
    found = axes.frames(states, 30.0, 0.0)
    assert found.matters.tolist() == [[1.0, 1.0, 0.0]]
    assert found.widths[0][0] == pytest.approx(np.sqrt(10))
    nearer = axes.frames(states._replace(mu=mu[None] * [[[1.0], [1.0], [0.02]]]), 30.0, 0.0)
    assert nearer.matters.all()


def several(form, count=5):
    """States of which the first is that of `means`, shrinking; none of another form."""
    one = means(form)
    factors = np.geomspace(1.0, 0.8, count)[:, None, None]
    return Means(factors * one.mu, factors * one.deviation, factors[:, 0] * one.mean, *one[3:])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda m: m.__name__)
def test_several_states_have_the_bits_of_each_alone(loss, form):
    states = several(form)
    found = expectation.expect_several(loss, states, 1e-10)
    for t in range(len(states.mu)):
        alone = expectation.expect(loss, states.at(t), 1e-10)
        assert found.kl[t] == alone.kl and found.fisher[t] == alone.fisher
        assert (found.pull[t] == alone.pull).all()
        assert found.error[t] == alone.error
        assert found.nodes[t] == alone.nodes == len(alone.rule)
    # Another state in the last place leaves the others as they are, and is seen in its own.
    factor = np.array([1.0] * 4 + [1 + 1e-10])[:, None, None]
    parts = factor * states.mu, factor * states.deviation, factor[:, 0] * states.mean
    moved = Means(*parts, states.weight, form)
    other = expectation.expect_several(loss, moved, 1e-10)
    assert (other.pull[:-1] == found.pull[:-1]).all()
    assert (other.pull[-1] != found.pull[-1]).any()


@pytest.mark.parametrize("system", [flows.GMMEM(2, 1), flows.ScoreMatching(2, 1)])
def test_last_bits_of_means_on_both_sides_do_not_tell_two_gradients(system):
    for a in np.linspace(0.9, 1.1, 41):
        for other in (a, np.nextafter(a, 2.0), np.nextafter(a, 0.0)):
            one, two = system.gradient([[a], [-other]])
            assert abs(one + two)[0] <= ROUNDING
    # Means that differ by more than last bits have gradients that do.
    assert abs(system.gradient([[1.0], [-1.0 - 1e-6]]).sum()) > ROUNDING
