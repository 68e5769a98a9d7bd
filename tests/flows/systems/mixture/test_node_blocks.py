"""Polynomials for blocks of nodes, and sums over blocks, against many digits and plain sums."""

import numba
import numpy as np
import pytest
from mpmath import mp

from flows.core import exponentials
from flows.core.quadrature import Rule, rungs_of, tensor
from flows.core.vectors import WIDTH, load, store
from flows.systems.mixture import expectation, ladder, node_functions, sums_compiled, survey
from flows.systems.mixture.means import CLUSTER, FAR, NEAR, Means
from flows.systems.mixture.node_lists import packed
from flows.systems.mixture.sums import components_of, moments
from symbolic.systems import gmm_em
from symbolic.systems.score_matching import calculus as score_matching

# A few units in the last place.
UNITS = 8e-16
# Rounding of sums of order one over a few hundred nodes.
ROUNDING = 1e-13
# Rounding of axes of points that are as far apart along one as a tenth of it along the other.
AXES = 1e-13
FORMS = (NEAR, CLUSTER, FAR)
LOSSES = (gmm_em, score_matching)
LINE = np.concatenate([np.linspace(-3, 3, 61), [-600.0, 500.0, -1e-9, 1e-9, 0.5, -0.5]])


@pytest.mark.parametrize(
    "found, exact, at",
    [
        (node_functions.density, lambda x: mp.expm1(x) - x, LINE),
        (exponentials.exponential, mp.exp, -np.abs(LINE)),
        (node_functions.logarithm, mp.log, np.array([1e-300, 0.3, 0.9999, 1.5, 2.0, 7.0, 1e300])),
        (node_functions.divergence, lambda x: x - mp.log1p(x), LINE[LINE > -1]),
        (node_functions.logarithm_of_more, mp.log1p, LINE[LINE > -1]),
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


# So few nodes that a ladder has to be climbed from there.
TOO_FEW = 0.02, 0.1


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
    rule, together = tensor((5, 6), 4.0), components_of(means(form).at(None))
    assert len(rule) > WIDTH and len(rule) % WIDTH
    sums, sizes = sums_compiled.of_list(form, loss, together, rule)[0]
    alone = [Rule(x[None].copy(), w[None].copy(), "") for x, w in zip(*rule[:2], strict=True)]
    plain = np.array([sums_compiled.of_list(form, loss, together, one)[0] for one in alone])
    np.testing.assert_allclose(sums, plain[:, 0].sum(axis=0), atol=ROUNDING)
    np.testing.assert_allclose(sizes, plain[:, 1].sum(axis=0), atol=ROUNDING)
    # The heaviest node alone is seen.
    rest = np.arange(len(rule)) != np.argmax(rule.weights)
    less = Rule(rule.nodes[rest], rule.weights[rest], "")
    assert np.abs(sums_compiled.of_list(form, loss, together, less)[0, 1] - sizes).max() > 1e-6


@pytest.mark.parametrize("tolerance", [1e-6, 1e-12])
@pytest.mark.parametrize("form", FORMS)
def test_the_compiled_ladder_ends_where_a_rule_finer_along_all_axes_agrees(
    form, tolerance, monkeypatch
):
    found = means(form)
    look = survey.survey(found.at(None))

    def sums(rungs):
        rule = tensor(tuple(rungs.tolist()), float(length))
        at = Rule(np.ascontiguousarray(rule.nodes @ look.axes[0]), rule.weights, "")
        return moments(gmm_em, found, at)

    def apart(one, other):
        parts = zip(one[:3], other[:3], first.size, strict=True)
        return max(
            np.max(np.abs(x - y)) / max(size, np.max(np.abs(x)), np.max(np.abs(y)))
            for x, y, size in parts
        )

    for needs in (expectation.NEEDS[form], TOO_FEW):
        monkeypatch.setitem(expectation.NEEDS, form, needs)
        climbed = expectation._climb(gmm_em, found.at(None), look, tolerance)
        (terms,), ((status, error, _),), (rungs,), (length,) = climbed
        begun = rungs_of(look.distances, tolerance, needs)[0]
        assert status == expectation.MEASURED and error <= tolerance
        first, plain, finer, finest = map(sums, (begun, rungs, rungs + 1, rungs + 3))
        np.testing.assert_allclose(terms[0, :2], plain[:2], atol=ROUNDING)
        np.testing.assert_allclose(terms[0, 2:], plain.pull.ravel(), atol=ROUNDING)
        assert abs(apart(plain, finer) - error) < ROUNDING
        assert apart(plain, finest) <= 2 * tolerance
    # Where nothing is climbed the low rule is no such rule.
    assert (rungs > begun).any() and apart(first, finest) > 2 * tolerance


@pytest.mark.parametrize("form", FORMS)
def test_compiled_surveys_are_those_of_arrays(form):
    states = several(form)
    if form == FAR:  # a light one takes over so far out that this is the reach
        states = states._replace(weight=np.array([1e-4, 0.3, 0.6999]))
    found = survey.survey(states)
    rows = states.mu if form == NEAR else states.deviation
    for t, look in enumerate(zip(*found, strict=True)):
        home, axes, distances, reach, split = look
        _, _, turn = np.linalg.svd(rows[t])
        np.testing.assert_allclose(np.abs(axes @ turn.T), np.eye(2), atol=AXES)
        along = rows[t] @ turn.T
        along = np.vstack([along, np.zeros(2)]) if form == NEAR else along
        np.testing.assert_allclose(distances, np.ptp(along, axis=0), atol=AXES)
        assert home == (states.at(t).home if form == FAR else 0)
        lengths = np.linalg.norm(states.mu[t], axis=1)
        logs = np.log(states.weight) - lengths**2 / 2
        steps = np.linalg.norm(states.mu[t] - states.mu[t][home], axis=1)
        layers = np.abs(logs - logs[home]) / np.where(steps > 0, steps, np.inf)
        expected = max(lengths.max(), 2 * layers.max() if form == FAR else 0.0)
        assert reach == pytest.approx(expected, rel=UNITS)
        assert (reach > lengths.max() * (1 + UNITS)) == (form == FAR)
        assert not split
    assert np.array_equal(survey.survey(states.at(slice(2, 3))).axes[0], found.axes[2])


@pytest.mark.parametrize("r", [1, 2, 3, 4])
def test_axes_are_orthonormal_to_the_last_digits_also_where_two_are_alike(r):
    points = np.random.default_rng(r).normal(size=(2, 5, r)) * 10.0 ** -np.arange(0, 3 * r, 3)
    points[1, :r], points[1, r:] = np.eye(r), 0.0
    mean, weight = points.mean(axis=1), np.full(5, 0.2)
    axes = survey.survey(Means(points, points, mean, weight, CLUSTER)).axes
    np.testing.assert_allclose(axes @ axes.swapaxes(-2, -1), [np.eye(r)] * 2, atol=ROUNDING / 10)


def test_too_many_nodes_are_left_to_the_plain_ladder():
    far = Means(*(40.0 * x for x in means(FAR)[:3]), means(FAR).weight, FAR).at(None)
    _, numbers, _, _ = expectation._climb(gmm_em, far, survey.survey(far), 1e-12)
    assert numbers[0, 0] == ladder.TOO_MANY != expectation.MEASURED


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
        # The error is one of sums to their sizes, one rounding apart.
        assert found.error[t] == pytest.approx(alone.error, rel=UNITS)
        # ... of which some add nothing.
        assert found.nodes[t] == alone.nodes >= len(alone.rule_for(states.at(t)))
    # Another state in the last place leaves the others as they are, and is seen in its own.
    factor = np.array([1.0] * 4 + [1 + 1e-10])[:, None, None]
    parts = factor * states.mu, factor * states.deviation, factor[:, 0] * states.mean
    moved = Means(*parts, states.weight, form)
    other = expectation.expect_several(loss, moved, 1e-10)
    assert (other.pull[:-1] == found.pull[:-1]).all()
    assert (other.pull[-1] != found.pull[-1]).any()


def test_what_compiled_rules_cannot_do_is_done_state_by_state():
    home, far = np.zeros((1, 2)), np.array([[7.0, 1.0], [8.0, -1.0]])
    weight = np.full(3, 1 / 3)
    mu = np.vstack([home, far])[None] * np.array([1.0, 1.1])[:, None, None]
    mean = np.einsum("i,tir->tr", weight, mu)
    states = Means(mu, mu - mean[:, None], mean, weight, FAR)
    assert survey.survey(states).split.all()
    found = expectation.expect_several(gmm_em, states, 1e-8)
    for t in range(2):
        alone = expectation.expect(gmm_em, states.at(t), 1e-8)
        assert found.kl[t] == alone.kl and (found.pull[t] == alone.pull).all()
