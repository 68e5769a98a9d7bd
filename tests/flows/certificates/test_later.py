"""Claims for all times: quantities after the pieces, and what is said of them."""

import math
import os

import numpy as np
import pytest
import sympy as sp
from flint import arb

import flows
from flows.certificates.cover import Cover
from flows.certificates.decision import Decision, Proof
from flows.certificates.ever import for_ever
from flows.certificates.features.registry import enclosure
from flows.certificates.late_box import PACE, POWERS, LateBox, scaled
from flows.certificates.verdicts import verdicts
from flows.core.balls import precision
from potentials.claim import Comparison
from potentials.notation import symbol

PROVED = (
    "angle_vs_loss",
    "angle_vs_reach",
    "distance_decay_constant",
    "distance_vs_loss_constant",
    "distance_vs_reach",
    "kappa_persists",
    "loss_lower_constant",
    "residual_vs_loss",
    "transverse_vs_loss",
)
ENCLOSED = ("loss_upper", "loss_lower", "distance_decay", "distance_vs_loss", "gradient_lower")
#: lim t^3 L, of a prototype that shares no code.
LIMIT = 1.63582401713993790
# Where the tail is so late that its bounds differ from the limit by less than the planted errors:
# by how far the limiting shape is known, with eight digits.
LATE, SEEN = 1e15, 1e-7
# `make fuzz` plants more.
PLANTED = int(os.environ.get("POPFLOW_PLANTED", "300"))
# A constant is attained near one of the output times of a run.
SAMPLED = 2e-3
EMPTY = Decision(Proof.UNDECIDED, 0, "", empty=True)


@pytest.fixture(scope="module")
def made():
    system = flows.ReLUNeuron(n=2, d=2)
    return flows.certify(system, system.initial(0.1, 0), math.inf, digits=8)


@pytest.fixture(scope="module")
def found(made):
    asked = (*PROVED, *ENCLOSED, "exact_param_rate", "hessian_bounds")
    return {claim: verdicts(made, claim)[0] for claim in asked}


@pytest.fixture(scope="module")
def later(made):
    with precision(made.precision):
        return Cover(made).later


@pytest.mark.parametrize("claim", PROVED)
def test_claims_with_constants_are_proved_for_all_times(found, claim):
    assert found[claim].verdict is Proof.PROVED
    assert found[claim].forever
    assert "at all later times" in found[claim].message


def test_open_constants_of_all_times_serve_a_run_to_much_later_times(made, found):
    times = np.geomspace(1e-2, 1e12, 3000).tolist()
    run = flows.integrate(made.system, made.start, t_end=1e12, t_eval=times, rtol=1e-12)
    for claim in ENCLOSED:
        assert found[claim].verdict is Proof.ENCLOSED
        assert found[claim].forever
        low, high = (float(x) for x in found[claim].constant.strip("[]").split(","))
        (sampled,) = flows.check(run, claim)
        assert low * (1 - SAMPLED) <= sampled.constant <= high * (1 + SAMPLED)
        assert high < 1.2 * low


def test_a_rate_that_falls_to_zero_has_no_constant(found):
    # n = 1: |grad L|^2 >= c L; for two neurons the ratio is about 3/t.
    rate = found["exact_param_rate"]
    assert rate.verdict is Proof.HYPOTHESIS_NOT_MET
    assert rate.forever
    assert "tends to zero" in rate.message


def test_what_is_not_enclosed_is_not_said_of_all_times(found):
    assert found["hessian_bounds"].verdict is Proof.UNDECIDED
    assert not found["hessian_bounds"].forever


def _later(later, relation, exponent, constant, start=LATE):
    t, loss = symbol("t"), symbol("loss")
    comparison = Comparison(loss, relation, t**-exponent, sp.Float(constant, 30), (t - start,))
    return for_ever(later, comparison, False, EMPTY)


def test_planted_constants_that_are_false_are_never_proved_and_true_ones_are(made, later):
    random = np.random.default_rng(0)
    with precision(made.precision):
        for size in 10.0 ** random.uniform(math.log10(SEEN), 0, PLANTED):
            for relation, sign in (("<=", 1), (">=", -1)):
                assert _later(later, relation, 3, LIMIT * (1 - sign * size)).proof is Proof.REFUTED
                if size > 100 * SEEN:
                    true = _later(later, relation, 3, LIMIT * (1 + sign * size))
                    assert true.proof is Proof.PROVED


def test_exponents_that_are_off_by_a_tenth_are_refuted(made, later):
    with precision(made.precision):
        assert _later(later, "<=", sp.Rational(31, 10), 10, 1e8).proof is Proof.REFUTED
        assert _later(later, ">=", sp.Rational(29, 10), 0.1, 1e8).proof is Proof.REFUTED
        assert _later(later, "<=", sp.Rational(5, 2), 0.1, 1e8).proof is Proof.PROVED


def test_a_converse_is_refuted_and_what_may_be_violated_is_not_proved(made, later):
    t, loss = symbol("t"), symbol("loss")
    with precision(made.precision):
        z = symbol("pairwise_distance")
        for relation, proof in (("<=", Proof.PROVED), (">=", Proof.REFUTED)):
            comparison = Comparison(loss, relation, z**3, sp.Integer(10), (t - LATE,))
            assert for_ever(later, comparison, False, EMPTY).proof is proof
        unknown = Comparison(symbol("curvature"), "<=", loss, sp.S.One, (t - LATE,))
        assert for_ever(later, unknown, False, EMPTY).proof is not Proof.PROVED


def test_quantities_are_those_of_a_finite_certificate_to_later_times(made, later):
    far = flows.certify(made.system, made.start, 1e3 * made.t_end, digits=16)
    with precision(far.precision):
        finite = enclosure(far)
        names = [*(k for k in POWERS if k not in ("kappa_max",)), "h", "norm", "kappa", "kappa_max"]
        seen = 0
        for index in range(len(far.pieces)):
            box = finite.box(index, -1.0, -1.0)
            time = box["t"]
            late = next((x for x in later.boxes if _holds(x, later, time)), None)
            if late is None:
                continue
            seen += 1
            s = 1 / (later.shared.clock + time)
            for name in names:
                assert _within(box[name], late[name], s ** POWERS.get(name, 0)), name
        assert seen > 5


def _holds(box: LateBox, later, time):
    return box["s"].contains(1 / (later.shared.clock + time))


def _within(true, bounds, factor):
    """Whether a ball that is nearly a point lies in bounds, up to its own radius."""
    pairs = zip(true, bounds, strict=True) if isinstance(true, list) else [(true, bounds)]
    return all((a / factor).overlaps(b) and b.rad() < 10 * (1 + abs(b.mid())) for a, b in pairs)


def test_the_clock_cancels_in_both_sides():
    t, loss, mark = symbol("t"), symbol("loss"), symbol("T2")
    left, right = scaled(loss, (t - mark) ** -3)
    assert left == loss
    limit = right.subs({symbol("s"): 0, sp.Symbol("s", positive=True): 0})
    assert sp.simplify(limit * PACE**3) == 1
    left, right = scaled(loss ** sp.Rational(-1, 3), t)
    assert left == loss ** sp.Rational(-1, 3)
    assert scaled(symbol("rho") ** 2, loss)[0].has(symbol("rho") ** 2)


def test_times_of_boxes_follow_each_otherfor_ever(later):
    with precision(200):
        for a, b in zip(later.boxes[:-1], later.boxes[1:], strict=True):
            assert a["s"].overlaps(b["s"])
            assert a.time < b.time
        assert later.boxes[-1]["s"].contains(arb(0))
