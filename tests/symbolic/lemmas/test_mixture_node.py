"""Integrands of both losses at a node: every form has the value and expectation of the lemma."""

from dataclasses import dataclass

import numpy as np
import pytest
from mpmath import mp

from symbolic.language.lower import lower
from symbolic.lemmas import mixture_node as node
from symbolic.systems.gmm_em import document as gmm_em
from symbolic.systems.score_matching import calculus

LAWS = {"gmm_em": (gmm_em, 1), "score_matching": (calculus, 2)}
FORMS = ["near", "cluster", "far"]
# Four units in the last place.
UNITS = 1e-15
MEANS, WEIGHTS = np.array([[0.3, -0.2], [-0.1, 0.25], [0.05, 0.1]]), np.array([0.2, 0.3, 0.5])
# Gauss-Hermite with 40 nodes an axis: these posteriors have their poles at a distance of six.
NODES = np.polynomial.hermite_e.hermegauss(40)
EXPECTATION = 1e-13
# A form without its cancellation is another number by more than this.
OTHER = 1e3 * EXPECTATION
# A cluster: offsets of any size, far out.
PLACE, OFFSETS = 4.0, np.array([1.0, -0.6, -0.1])
# Roundings of the node and of a few sums, no more.
KEPT = 1e-13


# --- digits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [1e-12, -1e-7, 0.01, -0.3, 0.4999, 0.5001, -0.5001, -0.99, 7.0])
def test_the_near_kl_integrand_keeps_its_digits_where_the_textbook_formula_loses_them(delta):
    near = lower((node.kl_integrands()[0],), (node.DELTA_0,), "math")
    with mp.workdps(50):
        exact = float(mp.mpf(delta) - mp.log1p(mp.mpf(delta)))
    assert near(delta)[0] == pytest.approx(exact, rel=UNITS)
    if abs(delta) < 1e-6:
        assert abs((delta - np.log1p(delta)) / exact - 1) > 100 * UNITS


@pytest.mark.parametrize("log", [1e-12, -1e-7, 0.01, -0.3, 0.4999, -0.5001, 0.5001, 4.0, -9.0])
def test_the_second_order_part_of_a_density_keeps_its_digits(log):
    rest = lower((node.relative_density(),), (node.L,), "math")
    with mp.workdps(50):
        exact = float(mp.expm1(mp.mpf(log)) - mp.mpf(log))
    assert rest(log)[0] == pytest.approx(exact, rel=UNITS)
    if abs(log) < 1e-6:
        assert abs((np.expm1(log) - log) / exact - 1) > 100 * UNITS


@pytest.mark.parametrize("size", [1e-12, 1e-7, 1e-3, 0.1])
@pytest.mark.parametrize("x", [-1.7, 0.4, 3.0])
def test_offsets_in_a_cluster_far_out_keep_their_digits(size, x):
    # Equal weights; the offsets sum to zero up to the last bit of the smallest.
    dev = size * OFFSETS
    dev[2] = -(dev[0] + dev[1])
    with mp.workdps(60):
        mu = [mp.mpf(PLACE) + mp.mpf(float(y)) for y in dev]
        p = [mp.exp(m * x - m * m / 2) for m in mu]
        g = [float(3 * q / mp.fsum(p) - 1) for q in p]
        delta_exact = float(mp.fsum(p) / 3 / mp.exp(PLACE * mp.mpf(x) - PLACE**2 / 2) - 1)
    density = lower((node.relative_density(),), (node.L,), "numpy")
    posterior = lower((node.relative_posterior(),), node.NODE, "numpy")
    l = dev * (x - PLACE) - dev**2 / 2  # noqa: E741
    (rest,) = density(l)
    delta = np.mean(rest - dev**2 / 2)
    (found,) = posterior(l + rest, delta)
    np.testing.assert_allclose(found, g, rtol=KEPT)
    assert delta == pytest.approx(delta_exact, rel=KEPT, abs=KEPT * size**2)
    if size < 1e-6:
        rounded = PLACE + dev
        plain = np.exp(rounded * x - rounded**2 / 2)
        lost = np.abs(3 * plain / plain.sum() - 1 - g)
        assert np.max(lost) > 100 * KEPT * np.max(np.abs(g))


# --- expectations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plane:
    """Nodes in the plane, and posteriors straight from the densities."""

    x: np.ndarray
    w: np.ndarray
    ratio: np.ndarray
    psi: np.ndarray
    v: np.ndarray

    @property
    def away(self):
        return self.x[:, None] - MEANS

    @property
    def h(self):
        return MEANS - self.v[:, None]


@pytest.fixture(scope="module")
def plane():
    x1, w1 = NODES
    w1 = w1 / w1.sum()
    x = np.stack(np.meshgrid(x1, x1, indexing="ij"), -1).reshape(-1, 2)
    ratio = np.exp(x @ MEANS.T - np.sum(MEANS**2, axis=1) / 2)
    psi = WEIGHTS * ratio / (ratio @ WEIGHTS)[:, None]
    return Plane(x, np.outer(w1, w1).ravel(), ratio, psi, psi @ MEANS)


def gradient_by_definition(law, p, i, a):
    """Gradient by `mu_ia` as it is defined: with x in it, by no lemma of the node's."""
    if law == "gmm_em":
        return p.w @ (p.psi[:, i] * (MEANS[i, a] - p.x[:, a]))
    turn = [moved_v(p, i, a, b) for b in range(2)]
    return p.w @ (2 * sum(p.v[:, b] * turn[b] for b in range(2)))


def moved_v(p, i, a, b):
    """Derivative of `v_b` by `mu_ia`."""
    return p.psi[:, i] * ((a == b) + p.h[:, i, b] * p.away[:, i, a])


def hessian_by_definition(law, p, i, a, j, c):
    """Second derivative by `mu_ia` and `mu_jc`, with x in it: no use of Stein's lemma."""
    away, psi = p.away, p.psi
    if law == "gmm_em":
        value = psi[:, i] * psi[:, j] * away[:, i, a] * away[:, j, c]
        if i == j:
            value = value + psi[:, i] * ((a == c) - away[:, i, a] * away[:, i, c])
        return p.w @ value
    value = 0
    for b in range(2):
        turn = moved_v(p, i, a, b) * ((i == j) - psi[:, j]) * away[:, j, c]
        turn = turn + psi[:, i] * away[:, i, a] * ((i == j) * (b == c) - moved_v(p, j, c, b))
        turn = turn - (i == j) * (a == c) * psi[:, i] * p.h[:, i, b]
        value = value + 2 * (moved_v(p, i, a, b) * moved_v(p, j, c, b) + p.v[:, b] * turn)
    return p.w @ value


def in_frame(p):
    """Return `g`, `delta_0`, `u` and `delta` by the cluster frame, as a solver computes them."""
    mean = WEIGHTS @ MEANS
    dev = MEANS - mean
    l = (p.x - mean) @ dev.T - np.sum(dev**2, axis=1) / 2  # noqa: E741
    (rest,) = lower((node.relative_density(),), (node.L,), "numpy")(l)
    delta = (rest - np.sum(dev**2, axis=1) / 2) @ WEIGHTS
    (g,) = lower((node.relative_posterior(),), node.NODE, "numpy")(l + rest, delta[:, None])
    q = np.expm1(p.x @ mean - mean @ mean / 2)
    (delta_0,) = lower((node.tilted(),), node.TILT, "numpy")(q, delta)
    return g, delta_0, (WEIGHTS * g) @ dev, delta


def test_the_cluster_frame_gives_the_posteriors_of_the_densities(plane):
    g, delta_0, u, _ = in_frame(plane)
    np.testing.assert_allclose(WEIGHTS * (1 + g), plane.psi, atol=EXPECTATION)
    np.testing.assert_allclose(1 + delta_0, plane.ratio @ WEIGHTS, rtol=EXPECTATION)
    np.testing.assert_allclose(WEIGHTS @ MEANS + u, plane.v, atol=EXPECTATION)
    assert np.max(np.abs(u - plane.v)) > 0.01


def near_pull(module, x, dev, mean, g, delta_0, u):
    """Return the near integrands of all entries, shape (nodes, k, r), computed as a solver does."""
    (found,) = lower((module.near_gradient_integrand(),), node.NEAR_GRADIENT, "numpy")(
        g[..., None],
        u[:, None],
        mean,
        delta_0[:, None, None],
        (dev @ mean)[:, None],
        (u @ dev.T - (u @ mean + np.sum(u**2, axis=1))[:, None])[..., None],
        x[:, None] - (mean + dev),
        mean + dev,
    )
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("law", LAWS)
def test_the_gradient_has_the_expectation_of_the_definition_in_every_form(plane, law, form):
    module, factor = LAWS[law]
    p, (g, delta_0, u, _) = plane, in_frame(plane)
    mean = WEIGHTS @ MEANS
    near = near_pull(module, p.x, MEANS - mean, mean, g, delta_0, u)
    integrand = lower((module.gradient_integrand(),), node.GRADIENT, "numpy")
    for i, a in np.ndindex(3, 2):
        hv = np.sum(p.h[:, i] * p.v, axis=1)
        weight, common = (1 + g[:, i], 0.0) if form == "far" else (g[:, i], u[:, a])
        (value,) = integrand(weight, 1 + g[:, i], p.v[:, a], common, hv, p.away[:, i, a])
        value = near[:, i, a] if form == "near" else value
        pull = p.w @ value + (form != "far") * mean[a]
        expected = gradient_by_definition(law, p, i, a)
        assert factor * WEIGHTS[i] * pull == pytest.approx(expected, abs=EXPECTATION)
        assert abs(factor * WEIGHTS[i] * (pull - mean[a]) - expected) > OTHER


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("mean", "size"), [(1e-5, 1e-7), (1e-7, 1e-9), (1e-9, 1e-4)])
def test_the_near_form_keeps_the_digits_of_a_pull_beyond_its_mean(law, mean, size):
    module, _ = LAWS[law]
    dev = size * np.array([1.0, -1.0])
    x, w = NODES[0], NODES[1] / NODES[1].sum()
    with mp.workdps(60):
        exact = [float(e - mp.mpf(mean)) for e in exact_pulls(law, mp.mpf(mean), dev)]
    l = np.outer(x - mean, dev) - dev**2 / 2  # noqa: E741
    (rest,) = lower((node.relative_density(),), (node.L,), "numpy")(l)
    delta = np.mean(rest - dev**2 / 2, axis=1)
    (g,) = lower((node.relative_posterior(),), node.NODE, "numpy")(l + rest, delta[:, None])
    (delta_0,) = lower((node.tilted(),), node.TILT, "numpy")(
        np.expm1(mean * x - mean**2 / 2), delta
    )
    u = (g @ dev / 2)[:, None]
    near = near_pull(module, x[:, None], dev[:, None], np.array([mean]), g, delta_0, u)
    found = (w @ near[..., 0]).tolist()
    assert found == pytest.approx(exact, rel=KEPT)
    # The form of a cluster, whose terms are as large as the deviation, loses what they cancel.
    v = mean + u[:, 0]
    integrand = lower((module.gradient_integrand(),), node.GRADIENT, "numpy")
    hv = (dev - u) * v[:, None]
    (plain,) = integrand(g, 1 + g, v[:, None], u, hv, x[:, None] - (mean + dev))
    if mean > size:
        assert np.max(np.abs((w @ plain) / exact - 1)) > 10 * KEPT


def exact_pulls(law, mean, dev):
    """Return `E rho_i v`, or `E rho_i [v + (h_i.v) a_i]`, by the trapezoidal rule."""
    mu = [mean + mp.mpf(float(y)) for y in dev]
    step, pulls = mp.mpf("0.125"), [mp.zero, mp.zero]
    for k in range(-140, 141):
        x = k * step
        p = [mp.exp(m * x - m * m / 2) for m in mu]
        rho = [2 * q / mp.fsum(p) for q in p]
        v = mp.fdot(rho, mu) / 2
        for i, (r, m) in enumerate(zip(rho, mu, strict=True)):
            more = (m - v) * v * (x - m) if law == "score_matching" else 0
            pulls[i] += step * mp.npdf(x) * r * (v + more)
    return pulls


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("law", LAWS)
def test_the_hessian_has_the_expectation_of_the_definition_in_every_form(plane, law, form):
    module, factor = LAWS[law]
    p, (g, delta_0, _, _) = plane, in_frame(plane)
    parts = lower(module.hessian_integrands(), node.HESSIAN, "numpy")
    pairs = lower(node.pair_integrands(), node.PAIR, "numpy")
    rho, h, v = 1 + g, p.h, p.v
    for i, a, j, c in np.ndindex(3, 2, 3, 2):
        pair = pairs(g[:, i], g[:, j], rho[:, i], rho[:, j], delta_0)[FORMS.index(form)]
        s_ac = np.sum(p.psi * h[:, :, a] * h[:, :, c], axis=1)
        outer, own = parts(
            rho[:, i],
            rho[:, j],
            v[:, a],
            v[:, c],
            np.sum(h[:, i] * v, axis=1),
            np.sum(h[:, j] * v, axis=1),
            np.sum(h[:, i] * h[:, j], axis=1),
            p.away[:, i, a],
            p.away[:, i, c],
            p.away[:, j, c],
            h[:, i, c],
            h[:, j, a],
            s_ac,
            float(a == c),
        )
        both = p.w @ pair + (form != "far")
        diagonal = factor * WEIGHTS[i] * (p.w @ own)
        found = factor * WEIGHTS[i] * WEIGHTS[j] * ((a == c) * both + p.w @ outer)
        found += (i == j) * diagonal
        expected = hessian_by_definition(law, p, i, a, j, c)
        assert found == pytest.approx(expected, abs=EXPECTATION)
        if i == j:  # without the diagonal part it is another number
            assert abs(found - diagonal - expected) > 1e-5


def test_the_kl_divergence_is_the_same_in_every_form(plane):
    p, (_, delta_0, _, delta) = plane, in_frame(plane)
    mean = WEIGHTS @ MEANS
    near, cluster, far = node.kl_integrands()
    (one,) = lower((near,), (node.DELTA_0,), "numpy")(delta_0)
    log_0 = p.x @ mean - mean @ mean / 2
    (two,) = lower((cluster,), (node.LOG_0, node.DELTA), "numpy")(log_0, delta)
    (three,) = lower((far,), (node.PEAK, node.TOTAL), "numpy")(0.0, p.ratio @ WEIGHTS)
    assert p.w @ one == pytest.approx(p.w @ two, rel=1e-10)
    assert p.w @ one == pytest.approx(p.w @ three, rel=1e-10)
    assert (one >= 0).all() and (two < 0).any()
    (wrong,) = lower((cluster,), (node.LOG_0, node.DELTA), "numpy")(log_0, delta_0)
    assert abs(p.w @ (wrong - one)) > 1e-4
