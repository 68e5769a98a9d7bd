"""Claims for all times of every start within a radius, whose proof ends in a funnel."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import flows
from flows.certificates.cover import Cover
from flows.certificates.decide import decide
from flows.certificates.decision import Decision, Proof
from flows.certificates.ever import for_ever
from flows.certificates.stated import Open
from flows.certificates.tail import funnel_states, start
from flows.certificates.verdicts import verdicts
from flows.core.balls import precision
from potentials.claim import Comparison
from potentials.notation import symbol

RADIUS = 1e-6
PROVED = (
    "angle_vs_loss",
    "balance",
    "distance_decay_constant",
    "distance_vs_loss_constant",
    "gradient_upper",
    "loss_lower_constant",
    "transverse_vs_loss",
)
ENCLOSED = ("loss_upper", "loss_lower", "distance_decay", "distance_vs_loss", "gradient_lower")
# Planted constants are off by so much beyond the enclosed ones.
TIGHTENED = 1e-6
# A constant is attained near one of the output times of a run.
SAMPLED = 2e-3
# Where constants of late times are planted: bounds there are within a tenth of the limits.
LATE, OFF = 1e8, 0.1
# Late bounds of the loss exclude what is off by so much; runs are right to the other.
LOOSE, RUN = 0.1, 1e-7
EMPTY = Decision(Proof.UNDECIDED, 0, "", empty=True)
POWERS = {"loss": 3, "gradient_norm": 2, "pairwise_distance": 1, "z_norms": 1, "angle_max": 1}
NAMES = {"z_norms": "zeta", "norms": "norm"}


@pytest.fixture(scope="module")
def made():
    system = flows.ReLUNeuron(n=2, d=2)
    return flows.certify(system, system.initial(0.1, 1), math.inf, radius=RADIUS)


@pytest.fixture(scope="module")
def cover(made):
    with precision(made.precision):
        return Cover(made)


@pytest.fixture(scope="module")
def found(made):
    return {claim: verdicts(made, claim)[0] for claim in (*PROVED, *ENCLOSED, "exact_param_rate")}


@pytest.fixture(scope="module")
def runs(made):
    """Runs from the start, and from two others at the edge of the ball."""
    random = np.random.default_rng(0)
    times = np.geomspace(1e-2, 1e12, 3000).tolist()
    starts = [np.asarray(made.start)]
    for _ in range(2):
        off = random.normal(size=made.start.shape)
        starts.append(made.start + 0.999 * RADIUS * off / np.linalg.norm(off))
    return [flows.integrate(made.system, x, t_end=1e12, t_eval=times, rtol=1e-12) for x in starts]


@pytest.mark.parametrize("claim", PROVED)
def test_claims_with_constants_are_proved_for_all_times(found, claim):
    assert found[claim].verdict is Proof.PROVED
    assert found[claim].forever
    assert "at all later times" in found[claim].message


@pytest.mark.parametrize("claim", ENCLOSED)
def test_open_constants_of_all_times_are_those_of_runs_from_the_ball(found, runs, claim):
    assert found[claim].verdict is Proof.ENCLOSED
    assert found[claim].forever
    low, high = (float(x) for x in found[claim].constant.strip("[]").split(","))
    for run in runs:
        (sampled,) = flows.check(run, claim)
        assert low * (1 - SAMPLED) <= sampled.constant <= high * (1 + SAMPLED)
    assert high < 1.2 * low


def test_a_rate_that_falls_to_zero_has_no_constant(found):
    assert found["exact_param_rate"].verdict is Proof.HYPOTHESIS_NOT_MET
    assert found["exact_param_rate"].forever
    assert "tends to zero" in found["exact_param_rate"].message


@pytest.mark.parametrize("claim", ["distance_decay", "distance_vs_loss", "gradient_lower"])
def test_a_constant_that_is_tightened_by_a_millionth_is_not_proved(made, cover, claim):
    (open_,) = next(c for c in made.system.statements.claims if c.id == claim).comparisons
    with precision(made.precision):
        sharp = decide(cover, open_)
        low, high = sharp.bounds
        false, true = (low, 1.01 * high) if open_.relation == "<=" else (high, low / 1.01)
        away = 1 - TIGHTENED if open_.relation == "<=" else 1 + TIGHTENED

        def planted(constant):
            return Comparison(
                open_.lhs, open_.relation, open_.rhs, sp.Float(constant, 30), open_.where
            )

        assert decide(cover, planted(false * away)).proof is not Proof.PROVED
        assert decide(cover, planted(true)).proof is Proof.PROVED


def test_late_constants_off_by_a_tenth_are_refuted_and_so_are_exponents(made, cover):
    limit = float(made.infinity.constant.mid())
    t, loss = symbol("t"), symbol("loss")

    def late(relation, exponent, constant):
        comparison = Comparison(
            loss, relation, t ** -sp.Rational(exponent), sp.Float(constant, 30), (t - LATE,)
        )
        return for_ever(cover.later, comparison, False, EMPTY).proof

    with precision(made.precision):
        for relation, sign in (("<=", 1), (">=", -1)):
            assert late(relation, "3", limit * (1 - sign * OFF)) is Proof.REFUTED
            assert late(relation, "3", limit * (1 + sign * OFF)) is Proof.PROVED
        assert late("<=", "31/10", 10) is Proof.REFUTED
        assert late(">=", "29/10", 0.2) is Proof.REFUTED
        assert late("<=", "5/2", 10) is Proof.PROVED


def test_quantities_of_runs_lie_in_the_late_boxes(made, cover, runs):
    with precision(made.precision):
        boxes = cover.later.boxes
        for run in runs:
            zeta = run["pairwise_distance"]
            for k in range(0, len(run.t), 7):
                if run.t[k] < float(boxes[1].time.upper()):
                    continue
                (box,) = [b for b in boxes if b["s"].contains(zeta[k])][:1]
                assert ((1 + run.t[k]) * zeta[k]) * (1 + RUN) >= box["pace"].lower()
                assert ((1 + run.t[k]) * zeta[k]) * (1 - RUN) <= box["pace"].upper()
                for name in (*POWERS, "h", "norms"):
                    values = run[name][k] / zeta[k] ** POWERS.get(name, 0)
                    bounds = box[NAMES.get(name, name)]
                    pairs = (
                        zip(values, bounds, strict=True) if np.ndim(values) else [(values, bounds)]
                    )
                    for value, ball in pairs:
                        assert ball.lower() <= value * (1 + RUN), name
                        assert value * (1 - RUN) <= ball.upper(), name
                        if name == "loss" and run.t[k] > LATE:
                            assert not ball.contains(value * (1 + LOOSE))
                            assert not ball.contains(value * (1 - LOOSE))


def test_states_that_may_leave_the_funnel_are_not_followed(made):
    with precision(made.precision):
        entry = start.entered(made)
        first = (1 + start.end_time(made)) * entry.zeta
        narrow = replace(made.infinity.funnel, drift=made.infinity.funnel.drift / 4)
        with pytest.raises(Open, match="may leave the funnel"):
            list(funnel_states.followed(narrow, 1, entry, first))
