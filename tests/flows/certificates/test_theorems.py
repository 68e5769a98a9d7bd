"""What theorems say for all times of a trajectory whose state at T is enclosed."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from flint import arb

import flows
from flows.certificates.theorems.decided import Start, for_all_times

WIDE = arb(0, 1e-12)
LOSS = 1e-12


def wide(x):
    return [wide(y) for y in x] if isinstance(x, list) else arb(x) + WIDE


@dataclass
class Enclosed:
    """An enclosure at T, without the certificate that it comes from."""

    system: Any
    rows: Any
    size: Any = None
    t_end: float = 10.0
    precision: int = 128
    radius: float = 0.0

    @property
    def start(self):
        return np.array(self.rows)

    def state(self, t):
        return wide(self.rows)

    def loss(self, t):
        return self.size


NEURONS = flows.ReLUNeuron(n=2, d=2)
HALVES = [[0.5, 1e-5], [0.5, -1e-5]]


def test_a_balanced_state_of_small_loss_has_its_t_minus_3_for_all_times():
    stay, upper, _ = for_all_times(Enclosed(NEURONS, HALVES, arb(LOSS)))
    assert stay.proved and upper.proved
    assert "< 0.125" in stay.says
    assert "<= 101306/(t - T)^3" in upper.says  # 37^3 n |v|^2


@pytest.mark.parametrize(
    ("rows", "loss", "open_"),
    [
        ([[0.24, 0], [0.76, 0]], arb(LOSS), "|v|/(2n) <= |w_i(T)|"),
        ([[1.01, 0], [0.5, 0]], arb(LOSS), "|w_i(T)| <= 2|v|/n"),
        (HALVES, arb(6.2e-12), "L(T) <= |v|^2/(6.4e+08 n^8)"),
        (HALVES, arb(LOSS, 2 * LOSS), "L(T) > 0"),
    ],
)
def test_a_hypothesis_that_may_fail_in_the_enclosure_is_open(rows, loss, open_):
    _, upper, _ = for_all_times(Enclosed(NEURONS, rows, loss))
    assert not upper.proved
    assert [label for label, holds in upper.hypotheses if not holds] == [open_]


def test_two_neurons_at_an_angle_have_theorem_14_for_all_times():
    *_, lower = for_all_times(Enclosed(NEURONS, HALVES, arb(LOSS)))
    # Z = 2e-5 and c = 0: Z^3/(24 pi n^5) and 34 n^4 Z, of an enclosure of 1e-12
    assert lower.theorem == "loss_lower_from_start" and lower.proved
    bound, rate = lower.says[8:].split(" (t")[0].split("/(1 + ")
    assert float(bound) == pytest.approx(8e-15 / (24 * np.pi * 32), rel=1e-5)
    assert float(rate) == pytest.approx(34 * 16 * 2e-5, rel=1e-5)
    acute = [[0.5, 2e-5, 0.0], [0.5, 1e-5, 1e-5]]  # at 45 degrees: 1 - c = 1 - sqrt(1/2)
    *_, lower = for_all_times(Enclosed(flows.ReLUNeuron(n=2, d=3), acute, arb(LOSS)))
    rate = float(lower.says.split("1 + ")[1].split()[0])
    assert rate == pytest.approx(34 * 16 * np.sqrt(2) * 1e-5 / (1 - np.sqrt(0.5)), rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "open_"),
    [
        ([[0.5, 1e-5], [0.5, 2e-5]], "two z_i are at an angle at T"),
        ([[0.5, 0.0], [0.5, 0.0]], "Z(T) > 0"),
    ],
)
def test_neurons_in_one_direction_have_no_lower_bound(rows, open_):
    *_, lower = for_all_times(Enclosed(NEURONS, rows, arb(LOSS)))
    assert not lower.proved and (open_, False) in lower.hypotheses


def test_gradient_em_has_its_rate_from_where_the_certificate_ends():
    (upper,) = for_all_times(Enclosed(flows.GMMEM(n=2, d=1), [[1.0], [-1.0]]))
    # M = 2, omega = 1/2, B = exp(2) (1 + 8): 2 omega^2 M/B = 0.01503725...
    assert upper.proved and upper.says == "L(t) <= 1.00001/(1 + 0.0150372 (t - T)) for all t >= T"


def test_weights_that_do_not_add_up_to_one_exactly_are_open():
    (upper,) = for_all_times(Enclosed(flows.GMMEM(n=3, d=1), [[1.0], [-1.0], [0.0]]))
    assert upper.hypotheses[0] == ("the weights, as doubles, add up to one exactly", False)
    assert not upper.proved  # 3 * 0.333... in doubles is below 1


# --- score matching has no certificates: from its start -------------------------------------------
SCORE = flows.ScoreMatching(n=2, d=1)
SLIGHT = 1e-3
# max M^2 exp(-M)/(4 (1 + 4 M)) over hundredths M, at M = 1.18: the largest |mu|^2 that it allows.
EDGE = 1.18**2 * np.exp(-1.18) / (4 * (1 + 4 * 1.18))


def starts(system, rows):
    return for_all_times(Start(system, np.array(rows)))


def test_means_of_a_small_start_stay_in_their_ball_for_all_times():
    stay, small = starts(SCORE, [[0.1], [-0.05]])
    assert stay.proved and small.proved and stay.begin == 0
    # M = 0.39 is the least hundredth with 0.01 exp(M) (1 + 4 M) < M^2/4, and n sqrt(B L) its bound.
    assert stay.says == "|mu_i(t)|^2 < 0.390001 for all t >= T"
    bound = 2 * np.sqrt(np.exp(0.39) * (1 + 4 * 0.39) * 0.01)
    assert float(small.says.split("<= ")[1].split()[0]) == pytest.approx(bound, rel=2e-6)


@pytest.mark.parametrize(("part", "proved"), [(1 - SLIGHT, True), (1 + SLIGHT, False)])
def test_means_a_little_beyond_the_region_are_open(part, proved):
    stay, _ = starts(SCORE, [[float(np.sqrt(part * EDGE))], [0.0]])
    assert stay.proved is proved
    far, _ = starts(SCORE, [[2.1], [0.0]])
    assert not far.hypotheses[0][1]


def test_a_target_elsewhere_moves_the_ball_and_noise_has_no_theorem():
    there = flows.ScoreMatching(n=2, d=1, target=[2.0])
    stay, _ = starts(there, [[2.1], [1.95]])
    assert stay.proved and stay.says.startswith("|mu_i(t) - target|^2 < 0.39")
    assert starts(flows.ScoreMatching(n=2, d=1, noise_time=1.0), [[0.1], [-0.05]]) == []


# --- deep linear chains ---------------------------------------------------------------------------
FREE = flows.MatrixFactorization(d=2, regularization=0.0)


def layers(size, depth=4):
    return [[[size, 0.0], [0.0, size]]] * depth


def test_a_certified_chain_has_its_exponential_rate_and_keeps_its_defects():
    start = np.eye(2) + 1e-2 * np.random.default_rng(0).normal(size=(4, 2, 2))
    found = {a.theorem: a for a in for_all_times(flows.certify(FREE, start, t_end=0.1))}
    assert [name for name, a in found.items() if not a.proved] == ["skew_falls"]  # not balanced
    loss, rate = (float(x) for x in found["local_rate"].says[8:].split(" (t")[0].split(" exp(-"))
    run = flows.integrate(FREE, start, t_end=2.0, t_eval=(0.1, 1.0))
    for t, value in zip(run.t, run["loss"], strict=True):
        assert t < 0.1 or value <= loss * np.exp(-rate * (t - 0.1))
    most = float(found["balance_conserved"].says.split("above ")[1].split(",")[0])
    defects = [w @ w.T - up.T @ up for w, up in pairwise(start)]
    assert most == pytest.approx(max(np.linalg.norm(x) for x in defects), rel=1e-5)


@pytest.mark.parametrize(("part", "proved"), [(1 - SLIGHT, True), (1 + SLIGHT, False)])
def test_a_loss_a_little_above_the_region_of_the_rate_is_open(part, proved):
    region = 2 * 0.45**8  # 2 delta^8 of layers 0.9 I
    _, stay, rate, _ = for_all_times(Enclosed(FREE, layers(0.9), arb(part * region)))
    assert stay.proved is rate.proved is proved
    assert [label for label, ok in rate.hypotheses if not ok] == ["L(T) <= 2 delta^8"][proved:]


@pytest.mark.parametrize(
    ("system", "rows", "open_"),
    [
        (flows.MatrixFactorization(d=2), layers(0.9), "no penalty, a = 0"),
        (flows.MatrixFactorization(d=2, depth=3, regularization=0.0), layers(0.9, 3), "N = 4"),
        (FREE, [*layers(0.9, 3), [[1.0, 1.0], [1.0, 1.0]]], "delta > 0, half"),
        (FREE, layers(0.9), "L(T) > 0"),
    ],
)
def test_a_hypothesis_about_layers_that_does_not_hold_is_open(system, rows, open_):
    loss = arb(0, 1e-20) if open_ == "L(T) > 0" else arb(1e-9)
    rate = for_all_times(Enclosed(system, rows, loss))[2]
    assert not rate.proved
    assert next(label for label, ok in rate.hypotheses if not ok).startswith(open_)


def test_the_skew_error_falls_from_an_exactly_balanced_start():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])  # in doubles not orthogonal
    exact = np.array([[[0.0, -1.0], [1.0, 0.0]], np.eye(2), np.eye(2), np.eye(2)])
    skew = starts(FREE, exact)[3]
    # A - R is a quarter turn less the identity: |A - R|^2 = 4
    assert skew.proved and "<= 4 " in skew.says
    near = np.array([turn, np.eye(2), np.eye(2), np.eye(2)])
    assert not starts(FREE, near)[3].proved
    many = Enclosed(FREE, exact.tolist(), arb(1.0), radius=1e-9)
    assert not for_all_times(many)[3].proved  # not every start nearby is balanced
    slanted = flows.MatrixFactorization(d=2, regularization=0.0, target=[[1.0, 0.5], [0.0, 1.0]])
    assert not starts(slanted, exact)[3].proved


def test_of_complex_chains_and_own_losses_nothing_is_said():
    whole = flows.MatrixFactorization(d=2, field="complex", regularization=0.0)
    assert starts(whole, layers(0.9)) == []
    assert starts(whole, np.array(layers(0.9)) * (1 + 0j)) == []
