"""States of runs propose the potentials of papers; what does not fall like this is not proposed."""

import numpy as np
import pytest
import sympy as sp

import flows
from symbolic import Expectation

W, x = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("x", 2, 1)


def ramp(u):
    return sp.Max(0, u)


MISS = ramp((W * x)[0, 0]) + ramp((W * x)[1, 0]) - ramp(x[0, 0])
PAIR = flows.OwnSystem("pair", [W], Expectation(MISS**2, x) / 2)
# Rounding of slopes beside the minimum.
ROUNDING = 1e-3


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    starts = [np.array([[h, 0], [1 - h, 0]]) for h in rng.uniform(0.3, 0.7, 6)]
    near = [start + rng.uniform(-0.2, 0.2, (2, 2)) for start in starts]
    return [flows.integrate(PAIR, start, 1e4, np.geomspace(0.1, 1e4, 30)) for start in near]


def test_two_relu_neurons_without_symmetry_propose_their_distance_and_their_angle(runs):
    found = {p.text.partition(" ")[2]: p for p in flows.propose_potential(runs, 3)}
    # The potential of Xu and Du (2023), and the angle.
    assert {"|W[0,1] - W[1,1]|^3", "angle(W[0], W[1])^3"} <= {*found}
    assert not any("W[0,0]" in text for text in found)  # how they share stays as it is
    distance = found["|W[0,1] - W[1,1]|^3"]
    law = max(run["loss"][-1] * run.t[-1] ** 3 for run in runs)
    assert all(p.constant > law for p in found.values())
    # As it says, by differences along a run.
    again = flows.integrate(PAIR, runs[0]["W"][0], 1e3, np.linspace(100, 101, 3))
    value = sp.lambdify([W[0, 1], W[1, 1]], distance.V)
    t, V = again.t[-3:], value(again["W"][-3:, 0, 1], again["W"][-3:, 1, 1])
    assert (again["loss"][-3:] <= V * (1 + ROUNDING)).all()
    c = 3 * distance.constant ** (-1 / 3)
    assert (V[2] - V[0]) / (t[2] - t[0]) <= -c * V[1] ** (4 / 3) * (1 - ROUNDING)


def test_a_rate_that_runs_do_not_have_is_not_proposed(runs):
    found = flows.propose_potential(runs, 5)
    best = flows.propose_potential(runs, 3)[0].constant
    assert all(p.constant > 100 * best for p in found)


def test_terms_may_be_given_and_other_input_is_refused_in_a_line(runs):
    only = flows.propose_potential(runs, 3, [sp.sqrt((W[0, 1] - W[1, 1]) ** 2)])
    assert only and all("W[0, 1] - W[1, 1]" in p.text or p.text.endswith("L") for p in only)
    for given, rate, said in (([], 3, "trajectories"), (runs, "fast", "rate")):
        with pytest.raises(flows.InputError, match=said) as told:
            flows.propose_potential(given, rate)
        assert "\n" not in str(told.value)
