"""What theorems say for all times of a trajectory whose state at T is enclosed."""

from dataclasses import dataclass
from typing import Any

import pytest
from flint import arb

import flows
from flows.certificates.theorems import for_all_times

WIDE = arb(0, 1e-12)
LOSS = 1e-12


@dataclass
class Enclosed:
    """An enclosure at T, without the certificate that it comes from."""

    system: Any
    rows: Any
    size: Any = None
    t_end: float = 10.0
    precision: int = 128

    def state(self, t):
        return [[arb(x) + WIDE for x in row] for row in self.rows]

    def loss(self, t):
        return self.size


NEURONS = flows.ReLUNeuron(n=2, d=2)
HALVES = [[0.5, 1e-5], [0.5, -1e-5]]


def test_a_balanced_state_of_small_loss_has_its_t_minus_3_for_all_times():
    stay, upper = for_all_times(Enclosed(NEURONS, HALVES, arb(LOSS)))
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
    _, upper = for_all_times(Enclosed(NEURONS, rows, loss))
    assert not upper.proved
    assert [label for label, holds in upper.hypotheses if not holds] == [open_]


def test_gradient_em_has_its_rate_from_where_the_certificate_ends():
    (upper,) = for_all_times(Enclosed(flows.GMMEM(n=2, d=1), [[1.0], [-1.0]]))
    # M = 2, omega = 1/2, B = exp(2) (1 + 8): 2 omega^2 M/B = 0.01503725...
    assert upper.proved and upper.says == "L(t) <= 1.00001/(1 + 0.0150372 (t - T)) for all t >= T"


def test_weights_that_do_not_add_up_to_one_exactly_are_open():
    (upper,) = for_all_times(Enclosed(flows.GMMEM(n=3, d=1), [[1.0], [-1.0], [0.0]]))
    assert upper.hypotheses[0] == ("the weights, as doubles, add up to one exactly", False)
    assert not upper.proved  # 3 * 0.333... in doubles is below 1


def test_of_other_systems_nothing_is_said():
    assert for_all_times(Enclosed(flows.ScoreMatching(n=2, d=1), [[1.0], [-1.0]])) == []
