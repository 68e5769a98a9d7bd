"""Proofs to t = infinity: what they state, what they never state, and how they fail."""

import math
import os

import numpy as np
import pytest
from flint import arb
from oracles.certified.changed import of_other_bounds

import flows
from flows.certificates import forever
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.forever import horizons
from flows.core.balls import precision

# lim t^3 L and lim h of n = d = 2, seed 0, of a prototype that shares no code.
LIMIT = "1.63582401713993790103705 +/- 6.8e-24"
PARTS = ("0.473670512094428985500324 +/- 1e-24", "0.526329487905571014499676 +/- 1e-24")
# How much the limit of parts that nearly agree differs: to second order.
MIRRORED = 1e-4
# The checker bounds the loss on one box from 6e4 on: its upper bound is 1.4 % above the largest.
WIDE = 1.02
# Three kinds of them, ten thousand in all; `make fuzz` plants more.
PLANTED = int(os.environ.get("POPFLOW_PLANTED", "3400"))


@pytest.fixture(scope="module")
def made():
    system = flows.ReLUNeuron(n=2, d=2)
    return flows.certify(system, system.initial(0.1, 0), math.inf, digits=12)


def test_the_limits_are_those_of_a_prototype(made):
    with precision(200):
        assert made.infinity.constant.overlaps(arb(LIMIT))
        assert made.infinity.constant.rad() < 1e-10
        assert all(
            x.overlaps(arb(part)) for x, part in zip(made.infinity.parts, PARTS, strict=True)
        )


def test_more_digits_make_the_radii_fall(made):
    sharper = flows.certify(made.system, made.start, math.inf, digits=15)
    with precision(200):
        assert sharper.infinity.constant.rad() < 1e-2 * made.infinity.constant.rad()
        assert made.infinity.constant.contains(sharper.infinity.constant)
        assert sharper.infinity.constant.overlaps(arb(LIMIT))


def test_a_finite_certificate_to_later_times_stays_within_the_bounds(made):
    later = flows.certify(made.system, made.start, 1e3 * made.t_end, digits=20)
    lowest, highest = made.infinity.all_times
    with precision(200):
        for t in np.geomspace(1e-2, later.t_end, 40):
            assert arb(lowest) <= (1 + arb(t)) ** 3 * later.loss(t) <= arb(highest)


def test_planted_statements_that_are_false_are_never_proved(made):
    random = np.random.default_rng(0)
    infinity = made.infinity
    lower, upper = infinity.all_times
    times = np.geomspace(1e-2, 1e6, 3000).tolist()
    run = flows.integrate(made.system, made.start, t_end=1e6, t_eval=times, rtol=1e-12)
    scaled = (1 + run.t) ** 3 * run["loss"]
    for tighter in 1 - 10.0 ** random.uniform(-6, 0, PLANTED):
        assert not upper <= tighter * scaled.max()
        assert not scaled.min() / tighter <= lower
    with precision(200):
        true, radius = arb(LIMIT).mid(), infinity.limit.radius
        for shift in random.uniform(10, 1e6, PLANTED) * random.choice([-1, 1], PLANTED):
            shifted = true + arb(shift) * radius
            assert not (shifted + arb(0, radius)).contains(infinity.constant)
        assert (true + arb(0, 10 * radius)).contains(infinity.constant)
    assert upper <= WIDE * scaled.max()
    assert 0.997 * scaled.min() <= lower


def test_the_enclosed_constant_contains_the_one_that_the_law_derives(made):
    with precision(200):
        h = [float(x.mid()) for x in made.infinity.parts]
        limit, radius = float(made.infinity.constant.mid()), 1e-9
    law = flows.late_time_law(made.system, at=np.array([[h[0], 0.0], [1 - h[0], 0.0]]))
    chosen = law.laws[law.chosen or 0]
    assert abs(chosen.constant - limit) < radius
    assert float(chosen.exponent) == 3


def test_it_is_the_same_after_it_was_saved(made, tmp_path):
    made.save(tmp_path / "c.json")
    again = load_certificate(tmp_path / "c.json")
    assert again.infinity.to_json() == made.infinity.to_json()
    assert again.infinity.constant.overlaps(made.infinity.constant)


def test_a_longer_teacher_scales_the_limit(made):
    # w -> 2 w takes solutions to solutions, and the loss to four times the loss.
    system = flows.ReLUNeuron(n=2, d=2, teacher=[2.0, 0.0])
    twice = flows.certify(system, 2 * made.start, math.inf, digits=12)
    with precision(200):
        assert twice.infinity.constant.overlaps(4 * made.infinity.constant)
        assert twice.infinity.parts[0].overlaps(2 * made.infinity.parts[0])


@pytest.mark.parametrize("across", [0.05, 0.06])
def test_neurons_that_are_mirrored_or_nearly_so_are_proved(across):
    # Their parts along the teacher are equal in the end, and gradients by them vanish.
    system = flows.ReLUNeuron(n=2, d=2)
    proved = flows.certify(system, [[0.1, 0.05], [0.1, -across]], math.inf, digits=10).infinity
    with precision(200):
        mirrored = arb.pi() ** 2 / 6
        assert proved.constant.overlaps(mirrored) == (across == 0.05)
        assert abs(proved.constant - mirrored) < MIRRORED


def test_the_checker_accepts_carries_of_any_length(monkeypatch):
    lengths = []

    def refused(certificate):
        lengths.append(len(certificate.infinity.steps))
        made, why = checked(certificate)
        return made, why or "longer"

    checked = forever.checked
    monkeypatch.setattr(forever, "checked", refused)
    monkeypatch.setattr(forever, "LAST", 1e4)
    with pytest.raises(Uncertified, match=r"refuses this proof, longer$"):
        mirrored = [[0.1, 0.05], [0.1, -0.05]]
        flows.certify(flows.ReLUNeuron(n=2, d=2), mirrored, math.inf, digits=10)
    assert lengths[-1] > 100


def test_neurons_that_are_equal_are_undecided_with_the_reason():
    system = flows.ReLUNeuron(n=2, d=2)
    with pytest.raises(Uncertified, match="two neurons are equal"):
        flows.certify(system, [[0.1, 0.2], [0.1, 0.2]], math.inf)


def test_what_the_checker_refuses_is_undecided_with_its_numbers(monkeypatch, made):
    monkeypatch.setattr(forever, "LAST", 1e5)
    monkeypatch.setattr(forever, "ROOM", 1e-6)
    monkeypatch.setattr(forever, "MOST", 0.0)
    reason = r"checker refuses .* the limit of t\^3 L .*: \[1\.63.* against \[?1\.63"
    with pytest.raises(Uncertified, match=reason):
        flows.certify(made.system, made.start, math.inf, digits=8)


def test_a_system_without_a_tail_is_one_clear_line():
    system = flows.ScoreMatching(n=2, d=3)
    with pytest.raises(flows.InputError, match="score_matching has no certificates") as refused:
        flows.certify(system, system.initial(), math.inf)
    assert "\n" not in str(refused.value)


def test_horizons_grow_to_the_last_one():
    assert horizons(30) == [1e12]
    assert horizons(10) == pytest.approx([1e4, 1e7, 1e10, 1e12])


def test_bounds_of_all_times_that_are_tighter_than_what_is_proved_are_refused(made, tmp_path):
    made.save(tmp_path / "c.json")
    tighter, wider = of_other_bounds(tmp_path / "c.json", tmp_path, 1e-6)
    assert all("it states" in why for why in tighter) and not any(wider)


def test_where_a_neuron_may_point_away_from_the_teacher_there_is_a_reason_and_no_crash():
    system = flows.ReLUNeuron(n=3, d=2)
    with pytest.raises(Uncertified, match="may point away from the teacher"):
        flows.certify(system, system.initial(0.1, 3), math.inf, radius=1e-9)
