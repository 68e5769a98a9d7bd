"""Of losses that are no polynomials samples propose potentials; nobody takes these for theorems."""

import dataclasses
import math

import numpy as np
import pytest
import sympy as sp

import flows
from potentials import symbol

NEURONS = flows.ReLUNeuron(n=2, d=3)
kappa, balance, Z = (symbol(name) for name in ("kappa_max", "balance", "pairwise_distance"))
# z_1 and z_2 are not on one side, and neither neuron is far longer: the paper's third phase.
PHASE = [kappa >= sp.pi / 2, balance <= 3, balance >= 0]
# The limit of t^3 L is pi^2/6 at most; the level is not zero, and some room is left.
NEAR = 0.02


@pytest.fixture(scope="module")
def above():
    return flows.find_potential(NEURONS, 3, level="1/1000", max_seconds=None)


def test_two_neurons_without_symmetry_propose_a_bound_from_above(above):
    assert above.verdict == "PROPOSED" and not above.proved
    assert math.pi**2 / 6 < above.constant < math.pi**2 / 6 * (1 + NEAR)
    assert above.statement.startswith("proposed on samples, not proved: ")
    assert str(above).startswith("PROPOSED: proposed on samples, not proved")
    assert above.sampled.margin >= 0 and above.sampled.fresh > 1000
    assert above.sampled.nearest.shape[1:] == (2, 3)


def test_a_proposal_is_no_theorem_and_has_no_file(above, tmp_path):
    for taken in (above.latex, above.data, lambda: above.save(tmp_path / "file.json")):
        with pytest.raises(flows.InputError, match="nothing is proved: proposed on samples"):
            taken()
    assert not list(tmp_path.iterdir())
    told = above.to_json()
    assert told["verdict"] == "PROPOSED" and told["sampled"]["margin"] == above.sampled.margin


def test_claims_of_a_proposal_hold_along_runs_and_say_that_it_is_none(above):
    (claim,) = above.claims()
    assert claim.id == "proposed" and "not proved" in claim.statement
    assert "not proved" in str(claim.source)
    start = [[0.6, 0.2, 0.1], [0.3, -0.1, 0.1]]
    run = flows.integrate(NEURONS, start, 1e5, potentials={"V": above.V})
    assert flows.check(run, claim)[0].verdict == "HOLDS"


def test_a_constant_that_is_a_thousandth_better_than_the_best_one_is_violated(above):
    better = dataclasses.replace(above, constant=sp.Rational(above.best) * sp.Rational(999, 1000))
    verdicts = []
    for state in above.sampled.nearest:
        run = flows.integrate(NEURONS, state, 1.0, potentials={"V": above.V})
        verdicts.append(flows.check(run, list(better.claims()))[0].verdict)
        assert flows.check(run, list(above.claims()))[0].verdict == "HOLDS"
    assert "VIOLATED" in verdicts


def test_from_below_they_propose_the_distance_of_xu_and_du_and_nothing_else():
    found = flows.find_potential(NEURONS, 3, "1/1000", keep=PHASE, lower=True, max_seconds=None)
    assert found.verdict == "PROPOSED" and found.V.free_symbols == {Z}
    assert found.V.coeff(Z**3) * Z**3 == found.V
    assert found.hypotheses == tuple(map(str, PHASE)) and "kappa_max >= pi/2" in found.statement
    run = flows.integrate(NEURONS, found.sampled.nearest[0], 1e5, potentials={"V": found.V})
    assert flows.check(run, list(found.claims()))[0].verdict == "HOLDS"
    assert (run["loss"] >= run["V"]).all()


def test_a_rate_that_is_a_step_too_fast_is_not_proposed():
    above = flows.find_potential(NEURONS, 4, level="1/1000", max_seconds=None)
    below = flows.find_potential(NEURONS, 2, "1/1000", keep=PHASE, lower=True, max_seconds=None)
    for found in (above, below):
        assert found.verdict == "NOT_FOUND" and "no term has a constant" in found.reason
        with pytest.raises(flows.InputError, match="nothing is proved"):
            found.claims()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"degree": 4}, "of polynomial losses"),
        ({"keep": [symbol("size") >= 1]}, "unknown quantity 'size'"),
        ({"keep": [sp.Eq(kappa, 1)]}, "expected >= or <="),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(options, said):
    with pytest.raises(flows.InputError, match=said) as told:
        flows.find_potential(NEURONS, 3, **options)
    assert "\n" not in str(told.value)


def test_reductions_of_features_are_potentials_of_a_run():
    given = {"both": symbol("zeta_sum"), "far": symbol("zeta_max") ** 2}
    run = flows.integrate(NEURONS, [[0.5, 0.1, 0.0], [0.5, -0.2, 0.0]], 1.0, potentials=given)
    np.testing.assert_array_equal(run["both"], run.features["zeta"].sum(1))
    np.testing.assert_array_equal(run["far"], run.features["zeta"].max(1) ** 2)
    with pytest.raises(flows.InputError, match="zeta_mean"):
        flows.integrate(NEURONS, np.eye(2, 3), 1.0, potentials={"V": symbol("zeta_mean")})
