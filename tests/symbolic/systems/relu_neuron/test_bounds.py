"""The constants of the lower bound: derived, used by the claims, and true of random states."""

import numpy as np
import pytest
import sympy as sp

import potentials
from flows import ReLUNeuron
from symbolic.evidence.identity import Evidence, examine
from symbolic.lemmas.dual_kernel import ALPHA, THETA
from symbolic.systems.relu_neuron import bounds, decay

CLAIMS = {c.id: c for c in potentials.claims("relu_neuron")}
# Lengths and scales over which random states are drawn.
SCALES = (1e-3, 0.3, 1.0, 10.0)
# Rounding of the two sides of an inequality that may be attained.
ROUNDING = 1e-12


def test_constants_of_the_derivations_are_those_of_the_claims():
    kappa_0, n, v = sp.Symbol("kappa_0", positive=True), bounds.N, bounds.V
    rate = decay.derive_distance_decay().result
    z = next(s for s in rate.free_symbols if s.name == "Z")
    assert sp.simplify(-rate * kappa_0**2 * v / (n**4 * z**2)) == bounds.DISTANCE_DECAY
    assert CLAIMS["distance_decay_constant"].conclusions[0].constant == bounds.DISTANCE_DECAY
    assert sp.simplify(bounds.DISTANCE_DECAY / sp.pi**2) == 34
    lower = sp.expand(decay.derive_lower_rate().result)
    passed = next(s for s in lower.free_symbols if s.name == "tau")
    scaled = lower.coeff(passed) * kappa_0**2 * v ** sp.Rational(2, 3) / n ** sp.Rational(17, 3)
    assert sp.simplify(scaled - bounds.LOSS_LOWER) == 0


def test_constants_are_spelled_out_in_the_statements():
    assert "34 pi^2" in CLAIMS["distance_decay_constant"].statement
    assert sp.simplify(bounds.DISTANCE_VS_LOSS * 24 * sp.pi) == 1
    assert "24 pi" in CLAIMS["distance_vs_loss_constant"].statement
    assert sp.simplify(bounds.TRANSVERSE_VS_LOSS / sp.pi) == 6
    assert "6 pi" in CLAIMS["transverse_vs_loss"].statement


def test_printed_constant_of_lemma_20_is_refuted_beyond_2_86_and_the_corrected_one_proved():
    floor = ALPHA**2 * (THETA - sp.sin(THETA) * sp.cos(THETA)) / (4 * sp.pi)
    printed, corrected = (ALPHA**2 * THETA**3 / c for c in (30 * sp.pi, bounds.ANGLE_VS_LOSS))
    everywhere = ((THETA, sp.S.Zero, sp.pi),)
    assert examine(floor, printed, everywhere, ">=").evidence is Evidence.REFUTED
    steps = {s.rule: s for s in bounds.derive_transverse_bound().steps}
    corrected_step = steps["L >= |w|^2 theta^3/(4 pi^3), for every angle"]
    assert corrected_step.verify().finding.evidence is Evidence.PROVED
    assert examine(floor, corrected, everywhere, ">=").evidence is not Evidence.REFUTED


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("scale", SCALES)
def test_transverse_part_costs_loss_at_random_states(n, scale):
    generator = np.random.default_rng(5)
    system = ReLUNeuron(n=n, d=4)
    constant = float(bounds.TRANSVERSE_VS_LOSS)
    for _ in range(20):
        w = scale * generator.normal(size=(n, 4)) * [[1, 0.1, 0.1, 0.1]]
        transverse = np.linalg.norm(w[:, 1:], axis=1) ** 3
        allowed = constant * np.linalg.norm(w, axis=1) * system.loss(w)
        assert (transverse <= allowed * (1 + ROUNDING)).all()


def test_transverse_bound_is_sharp_for_a_mirror_pair():
    # Its loss is theta^3/(6 pi) for |w| = 1/2, where two neurons share what one must pay.
    theta = 1e-3
    w = np.array([[0.5, 0.5 * np.tan(theta)], [0.5, -0.5 * np.tan(theta)]])
    ratio = np.linalg.norm(w[0, 1:]) ** 3 / (np.linalg.norm(w[0]) * ReLUNeuron(n=2, d=2).loss(w))
    assert 0.2 * float(bounds.TRANSVERSE_VS_LOSS) < ratio < float(bounds.TRANSVERSE_VS_LOSS)
