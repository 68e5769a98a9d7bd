"""Integrands of gradient EM: the lowered forms have the value and the expectation of the lemma."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from symbolic import gmm_em
from symbolic.lower import lower

# Four units in the last place.
UNITS = 1e-15
MEANS, WEIGHTS = np.array([[0.3, -0.2], [-0.1, 0.25], [0.05, 0.1]]), np.array([0.2, 0.3, 0.5])
# Gauss-Hermite with 40 nodes an axis: these posteriors have their poles at a distance of six.
NODES = np.polynomial.hermite_e.hermegauss(40)
EXPECTATION = 1e-13


@pytest.mark.parametrize("delta", [1e-12, -1e-7, 0.01, -0.3, 0.4999, 0.5001, -0.5001, -0.99, 7.0])
def test_the_near_kl_integrand_keeps_its_digits_where_the_textbook_formula_loses_them(delta):
    near = lower((gmm_em.kl_integrands()[0],), gmm_em.NEAR, "numba")
    with mp.workdps(50):
        exact = float(mp.mpf(delta) - mp.log1p(mp.mpf(delta)))
    assert near(delta)[0] == pytest.approx(exact, rel=UNITS)
    if abs(delta) < 1e-6:
        assert abs((delta - np.log1p(delta)) / exact - 1) > 100 * UNITS


@pytest.mark.parametrize("log", [1e-12, -1e-7, 0.01, -0.3, 0.4999, -0.5001, 0.5001, 4.0, -9.0])
def test_the_second_order_part_of_a_density_keeps_its_digits(log):
    rest = lower((gmm_em.relative_density(),), (gmm_em.L,), "numba")
    with mp.workdps(50):
        exact = float(mp.expm1(mp.mpf(log)) - mp.mpf(log))
    assert rest(log)[0] == pytest.approx(exact, rel=UNITS)
    if abs(log) < 1e-6:
        assert abs((np.expm1(log) - log) / exact - 1) > 100 * UNITS


@pytest.fixture(scope="module")
def plane():
    """Nodes in the plane and what the integrands are functions of, straight from the densities."""
    x1, w1 = NODES
    w1 = w1 / w1.sum()
    x = np.stack(np.meshgrid(x1, x1, indexing="ij"), -1).reshape(-1, 2)
    w = np.outer(w1, w1).ravel()
    ratio = np.exp(x @ MEANS.T - np.sum(MEANS**2, axis=1) / 2)
    delta = ratio @ WEIGHTS - 1
    psi = WEIGHTS * ratio / (1 + delta)[:, None]
    v, mean = psi @ MEANS, WEIGHTS @ MEANS
    return {"x": x, "w": w, "delta": delta, "psi": psi, "v": v, "mean": mean,
            "g": psi / WEIGHTS - 1, "rho": psi / WEIGHTS}  # fmt: skip


def hessian_by_definition(p, i, a, j, c):
    """Second derivative of KL, with x in it: no use of Stein's lemma."""
    away = p["x"][:, None] - MEANS
    psi = p["psi"]
    value = psi[:, i] * psi[:, j] * away[:, i, a] * away[:, j, c]
    if i == j:
        value = value + psi[:, i] * ((a == c) - away[:, i, a] * away[:, i, c])
    return p["w"] @ value


@pytest.mark.parametrize("form", [0, 1])
def test_both_forms_of_the_gradient_have_the_expectation_of_the_definition(plane, form):
    p = plane
    integrand = lower((gmm_em.gradient_integrands()[form],), gmm_em.GRADIENT, "numpy")
    for i in range(3):
        for a in range(2):
            u = p["v"][:, a] - p["mean"][a]
            (value,) = integrand(p["g"][:, i], p["rho"][:, i], p["delta"], u, p["mean"][a],
                                 p["v"][:, a])  # fmt: skip
            found = WEIGHTS[i] * (p["w"] @ value + (p["mean"][a] if form == 0 else 0))
            expected = p["w"] @ (p["psi"][:, i] * (MEANS[i, a] - p["x"][:, a]))
            assert found == pytest.approx(expected, abs=EXPECTATION)
            assert abs(found + expected) > 1e3 * EXPECTATION


@pytest.mark.parametrize("form", [0, 1])
def test_the_hessian_has_the_expectation_of_the_definition(plane, form):
    p = plane
    near, far, outer, own = gmm_em.hessian_integrands()
    parts = lower(((near, far)[form], outer, own), gmm_em.HESSIAN, "numpy")
    for i, a, j, c in np.ndindex(3, 2, 3, 2):
        s = p["psi"] @ (MEANS[:, a] * MEANS[:, c]) - p["v"][:, a] * p["v"][:, c]
        values = parts(p["g"][:, i], p["g"][:, j], p["rho"][:, i], p["rho"][:, j], p["delta"],
                       p["v"][:, a], p["v"][:, c], MEANS[i, c], MEANS[j, a], s)  # fmt: skip
        both, beside, diagonal = (p["w"] @ x for x in values)
        both += form == 0
        found = WEIGHTS[i] * WEIGHTS[j] * ((a == c) * both + beside)
        found += (i == j) * WEIGHTS[i] * diagonal
        assert found == pytest.approx(hessian_by_definition(p, i, a, j, c), abs=EXPECTATION)
        if i == j:  # without the diagonal part it is another number
            assert abs(found - WEIGHTS[i] * diagonal - hessian_by_definition(p, i, a, j, c)) > 1e-5


def test_the_kl_divergence_is_the_same_in_both_forms(plane):
    p = plane
    near, far = gmm_em.kl_integrands()
    (one,) = lower((near,), gmm_em.NEAR, "numpy")(p["delta"])
    (two,) = lower((far,), gmm_em.FAR, "numpy")(0.0, 1 + p["delta"])
    assert p["w"] @ one == pytest.approx(p["w"] @ two, rel=1e-10)
    assert (one >= 0).all() and (two < 0).any()


def test_the_document_has_the_derivations_of_the_system_in_order():
    names = [d.name for d in gmm_em.derive().derivations]
    assert names[0] == "gradient EM" and names[-1].startswith("Hessian")
    assert sp.Symbol("delta", real=True) in gmm_em.relative_posterior().free_symbols
