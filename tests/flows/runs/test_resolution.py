"""What a verdict can tell apart: exponents and constants that are off by little."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.claims import sharpened
from oracles.made_runs import ASYMPTOTIC, CLAIMS, bare, power_run, verdict

from flows.runs.check import check
from flows.runs.verdict import Outcome
from potentials.notation import symbol

# Exponents are fitted on three decades that end at 1e9, where corrections are below 1e-5.
EXPONENT_TOLERANCE = 1e-4

# Open constants: an exponent off by a tenth, in the direction in which the tail does not have it.
SHARPER = {
    "loss_upper": sp.Rational(1, 10),
    "loss_lower": -sp.Rational(1, 10),
    "distance_decay": sp.Rational(1, 10),
    "distance_vs_loss": -sp.Rational(1, 10),
    "gradient_lower": -sp.Rational(1, 10),
    "finite_movement": sp.Rational(1, 10),
    "mirror_pair": sp.Rational(1, 10),
}
TWO_SIDED = {"mirror_pair"}
# The constants of these conclusions can be sharpened: all explicit ones but those of an identity or
# of a right side that is not positive.
EXPLICIT = {
    "kappa_persists": 1,
    "separation": 1,
    "balance": 5,
    "phase2_residual": 1,
    "angle_vs_loss": 1,
    "transverse_vs_loss": 1,
    "distance_decay_constant": 1,
    "distance_vs_loss_constant": 1,
    "loss_lower_constant": 1,
}


def test_every_claim_is_broken_by_little():
    assert {*SHARPER} == {i for i in ASYMPTOTIC if not i.endswith("_constant")}
    assert CLAIMS.keys() >= {*SHARPER, *EXPLICIT}


@pytest.mark.parametrize("claim", SHARPER)
def test_an_exponent_that_is_off_by_a_tenth_is_violated(claim):
    exponent = CLAIMS[claim].exponent + SHARPER[claim]
    assert verdict(power_run(), bare(claim, exponent=exponent)).verdict == Outcome.VIOLATED
    weaker = CLAIMS[claim].exponent - SHARPER[claim]
    expected = Outcome.VIOLATED if claim in TWO_SIDED else Outcome.HOLDS
    assert verdict(power_run(), bare(claim, exponent=weaker)).verdict == expected


@pytest.mark.parametrize("claim", SHARPER)
def test_an_exponent_that_is_off_by_a_thousandth_does_not_hold(claim):
    exponent = CLAIMS[claim].exponent + SHARPER[claim] / 100
    assert verdict(power_run(), bare(claim, exponent=exponent)).verdict == Outcome.INCONCLUSIVE


@pytest.mark.parametrize("claim", EXPLICIT)
def test_a_constant_that_is_a_thousandth_too_sharp_is_violated(claim):
    found = list(sharpened(power_run(), CLAIMS[claim]))
    assert len(found) == EXPLICIT[claim]
    assert all(outcomes == ["HOLDS", "VIOLATED"] for _, *outcomes in found)


def test_twelve_decades_do_not_let_an_exponent_of_2_98_pass_for_three():
    found = verdict(power_run(), bare("loss_lower", exponent=sp.Rational(298, 100)))
    assert found.verdict == Outcome.INCONCLUSIVE
    assert found.measured == pytest.approx(3, abs=EXPONENT_TOLERANCE)


@pytest.mark.parametrize("claim", [i for i in SHARPER if i not in TWO_SIDED])
def test_a_power_of_time_beyond_the_resolution_does_not_hold_and_one_far_within_does(claim):
    found = verdict(power_run(), bare(claim))
    assert 0 < found.resolution < 1e-3
    assert f"if it were sharper by more than t^{found.resolution:.1e}" in found.message
    (c,) = CLAIMS[claim].conclusions
    way = -1 if c.relation == "<=" else 1
    for share, outcome in ((0.01, Outcome.HOLDS), (1.01, Outcome.INCONCLUSIVE)):
        power = symbol("t") ** sp.Float(way * share * found.resolution, 30)
        sharp = bare(claim, conclusions=(replace(c, rhs=c.rhs * power),))
        assert verdict(power_run(), sharp).verdict == outcome


def test_a_constant_within_the_resolution_is_undecided_and_one_beyond_is_violated():
    claim = bare("kappa_persists")
    found = verdict(power_run(), claim)
    assert 0 < found.resolution < 1e-7
    assert f"constants that differ by less than {found.resolution:.1e}" in found.message
    (c,) = claim.conclusions
    for share, outcome in ((0.5, Outcome.INCONCLUSIVE), (2.0, Outcome.VIOLATED)):
        constant = sp.Float(found.constant * (1 + share * found.resolution), 30)
        sharp = replace(claim, conclusions=(replace(c, constant=constant),))
        assert verdict(power_run(), sharp).verdict == outcome


def test_what_does_not_hold_has_no_resolution_and_json_tells_it():
    for v in check(power_run()):
        holds = v.verdict in (Outcome.HOLDS, Outcome.HOLDS_BEYOND)
        assert v.to_json()["resolution"] == v.resolution
        assert holds or v.resolution is None
        assert not holds or v.resolution > 0 or "trivially" in v.message


def test_a_slope_that_dies_out_is_no_violation_however_late_it_is_small():
    # L = t^-3 (1 + 1/log t): slower than t^-3 on every run, and below a multiple of it for ever.
    run = power_run(end=1e12)
    s, log = 1 + run.t, 1 + np.log1p(run.t)
    loss = s**-3 * (1 + 1 / log)
    rate = -3 * s**-4 * (1 + 1 / log) - s**-4 / log**2
    slow = replace(run, features=run.features | {"loss": loss, "loss_dot": rate})
    assert verdict(slow, bare("loss_lower")).verdict == Outcome.HOLDS
    assert verdict(slow, bare("loss_upper")).verdict != Outcome.VIOLATED
