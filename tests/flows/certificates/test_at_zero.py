"""A neuron that reaches zero: the others go on for ever, and what the checker refuses."""

import json
import math

import numpy as np
import pytest
import sympy as sp
from flint import arb
from oracles.certified.changed import of_other_bounds, refusal

import flows
from flows.certificates import forever
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.cover import Cover
from flows.certificates.decide import decide
from flows.certificates.decision import Decision, Proof
from flows.certificates.ever import for_ever
from flows.certificates.verdicts import verdicts
from flows.certificates.verifier import at_zero as checker
from flows.certificates.verifier.curve import norm
from flows.certificates.verifier.reading import Refused, number
from flows.certificates.verifier.relu_neuron import Neurons
from flows.certificates.verifier.verify import ends_of
from flows.cli import endless
from flows.core.balls import precision
from potentials.claim import Comparison
from potentials.notation import symbol

# The third neuron is short and opposite to the teacher.
START = [[0.625, 0.25], [0.5, -0.25], [-2e-6, 1e-7]]
# Runs are right to so much of their loss.
RUN = 1e-6
# A limit is stated more sharply than this.
OFF = 1e-3
# Angles of doubles.
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    system = flows.ReLUNeuron(n=3, d=2)
    certificate = flows.certify(system, START, math.inf, digits=9)
    path = tmp_path_factory.mktemp("zero") / "c.json"
    certificate.save(path)
    return certificate, path, flows.verify(path, system, certificate.start)


def test_the_checker_accepts_and_says_which_neuron_and_when(made):
    certificate, path, found = made
    assert found.accepted, found.refused
    (gone,) = found.endless.gone
    assert gone.neuron == certificate.infinity.neuron == 2
    assert certificate.t_end == pytest.approx(gone.first)
    assert gone.first < gone.last < 1e-3
    lower, upper = certificate.infinity.all_times
    assert 0 < lower < found.endless.lower < found.endless.upper < upper
    with precision(certificate.precision):
        assert certificate.infinity.constant.contains(found.endless.limit)
        for part, limit in zip(certificate.infinity.parts, found.endless.h, strict=True):
            assert part.contains(limit)
    assert load_certificate(path).infinity == certificate.infinity
    assert "neuron 3" in [name for name, _ in endless.rows(certificate, found)]
    assert endless.bounds(found.endless)["at_zero"][0]["neuron"] == 2


def test_a_run_agrees_and_keeps_the_neuron_at_zero(made):
    certificate, _, found = made
    (gone,) = found.endless.gone
    times = [gone.first, gone.last, *np.geomspace(1e-2, 1e8, 60)]
    run = flows.integrate(
        certificate.system, certificate.start, t_end=times[-1], t_eval=times, rtol=1e-10
    )
    sizes = np.linalg.norm(run.state[:, 2], axis=1)
    assert sizes[1] > 0  # at t = 0 is the start
    assert not sizes[2:].any()
    scaled = (1 + run.t) ** 3 * run["loss"]
    for lower, upper in (
        certificate.infinity.all_times,
        (found.endless.lower, found.endless.upper),
    ):
        assert (lower <= scaled * (1 + RUN)).all()
        assert (scaled <= upper * (1 + RUN)).all()
    with precision(100):
        limit = certificate.infinity.constant
        assert limit.overlaps(arb(scaled[-1], RUN * scaled[-1]))
        assert not limit.contains((1 + OFF) * scaled[-1])


def _tick(data):
    data["infinity"]["pieces"][0]["end"] = f"{int(data['pieces'][-1]['end'], 16) + 1:x}"


def _longer(key, factor):
    def change(data):
        data["infinity"][key] = (factor * float.fromhex(data["infinity"][key])).hex()

    return change


def _set(key, value):
    def change(data):
        data["infinity"][key] = value

    return change


def _error(data):
    piece = data["infinity"]["pieces"][0]
    piece["error"] = (float.fromhex(data["pieces"][-1]["error"])).hex()


def _without_first(data):
    del data["infinity"]["pieces"][0]


def _other_start(data):
    data["start"][0][0] = (START[0][0] + 1e-9).hex()  # nine digits are certified


def _limit(data):
    then = data["infinity"]["then"]
    then["h"][0]["value"] = then["h"][1]["value"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_longer("slope", 2.0), "may not fall to zero along"),
        (_longer("reach", 0.3), "the others may move further"),
        (_longer("reach", -1.0), "neuron, slope or reach"),
        (_longer("slope", -1.0), "neuron, slope or reach"),
        (_set("neuron", True), "neuron, slope or reach"),
        (_set("neuron", 0), "may not fall to zero|may move further"),
        (_set("neuron", 3), "neuron, slope or reach"),
        (_set("neuron", -1), "neuron, slope or reach"),
        (_tick, "may not be at zero when a piece ends"),
        (_error, "the error at its end is larger"),
        (_without_first, "piece 0: .*"),
        (_other_start, "piece 0: .*"),
        (_limit, "the limit of h is not proved to be where stated"),
    ],
)
def test_a_corrupted_file_is_refused_with_the_reason(made, tmp_path, change, reason):
    refused = refusal(made[1], tmp_path, change)
    assert refused
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refused)


def test_what_the_neuron_does_to_the_others_is_counted_in_full(made, monkeypatch):
    certificate, path, _ = made
    data = json.loads(path.read_text())
    stated, pieces, seen = data["infinity"], data["pieces"], []
    monkeypatch.setattr(checker, "falls", lambda *a: None)
    monkeypatch.setattr(checker, "check", lambda *a: seen.append(a[-1]))
    with precision(certificate.precision):
        flow = Neurons({"n": 3, "d": 2, "teacher": [1.0, 0.0]}, np.array(START))
        ends = ends_of(flow, pieces, data["bits"], 0.0, 2)
        size = norm(ends[-1][2])
        slope, reach, error = (
            arb(number(x)) for x in (stated["slope"], stated["reach"], pieces[-1]["error"])
        )
        lasting, push = size / slope, arb(2).sqrt() * size / 2
        # Of the way in this time, at a speed that is just too large and one that is not.
        for factor, fits in ((1 + OFF, False), (1 - OFF, True)):
            speed = factor * reach / (2 * lasting) - push
            monkeypatch.setattr(checker, "_speed", lambda *a, speed=speed: speed)
            if fits:
                checker.at_zero(stated, flow, pieces, ends, data["bits"], 0.0)
            else:
                with pytest.raises(Refused, match="may move further"):
                    checker.at_zero(stated, flow, pieces, ends, data["bits"], 0.0)
        (off,) = seen
        assert error + push * lasting <= off
        assert off - error <= (1 + OFF) * push * lasting


@pytest.mark.parametrize("d", [2, 3])
def test_the_checker_searches_a_dimension_that_nothing_spans(d, made, tmp_path, monkeypatch):
    certificate, path, _ = made
    data = json.loads(path.read_text())
    zeros = ["0x0.0p+0"] * (d - 2)
    data["parameters"] |= {"d": d, "teacher": data["parameters"]["teacher"] + zeros}
    data["start"] = [row + zeros for row in data["start"]]
    (tmp_path / "d.json").write_text(json.dumps(data))
    asked, falls = [], checker.falls
    monkeypatch.setattr(checker, "falls", lambda *a: (asked.append(a[-1]), falls(*a)))
    start = np.pad(np.array(certificate.start), ((0, 0), (0, d - 2)))
    found = flows.verify(tmp_path / "d.json", flows.ReLUNeuron(n=3, d=d), start)
    assert found.accepted, found.refused
    assert asked == [d > 2]


PROVED = (
    "angle_vs_loss",
    "distance_decay_constant",
    "distance_vs_loss_constant",
    "distance_vs_reach",
    "kappa_persists",
    "loss_lower_constant",
    "residual_vs_loss",
)
ENCLOSED = ("loss_upper", "distance_decay", "distance_vs_loss", "gradient_lower")
# A constant is attained near one of the output times of a run.
SAMPLED = 2e-3
# Planted constants are off by so much beyond the enclosed ones.
TIGHTENED = 1e-6
# Bounds of a quarter of a piece exclude a loss that is off by so much.
LOOSE = 0.5


@pytest.fixture(scope="module")
def cover(made):
    with precision(made[0].precision):
        return Cover(made[0])


@pytest.fixture(scope="module")
def run(made):
    certificate, _, found = made
    (gone,) = found.endless.gone
    until = [gone.first * f for f in (0.2, 0.9)] + [gone.last]
    times = sorted([*until, *np.geomspace(1e-2, 1e8, 600)])
    start = certificate.start
    return flows.integrate(certificate.system, start, t_end=1e8, t_eval=times, rtol=1e-12)


def test_claims_are_decided_for_all_times_and_a_neuron_at_zero_is_no_hypothesis_met(made, run):
    found = {v.claim: v for v in verdicts(made[0])}
    checked = {v.claim: v for v in flows.check(run)}
    for claim in PROVED:
        assert found[claim].verdict is Proof.PROVED, claim
        assert found[claim].forever
    for claim in ENCLOSED:
        assert found[claim].verdict is Proof.ENCLOSED, claim
        assert found[claim].forever
        low, high = (float(x) for x in found[claim].constant.strip("[]").split(","))
        assert low * (1 - SAMPLED) <= checked[claim].constant <= high * (1 + SAMPLED)
        assert high < 1.1 * low
    balanced = [(h.text, h.holds) for h in checked["distance_vs_loss"].hypotheses]
    for (text, proof), (same, holds) in zip(
        found["distance_vs_loss"].hypotheses, balanced, strict=True
    ):
        assert text == same
        assert proof is (Proof.PROVED if holds else Proof.REFUTED)
    assert not dict(balanced)["|w_i| >= |v|/(4n) in the window"]


@pytest.mark.parametrize("claim", ["distance_vs_loss", "gradient_lower"])
def test_a_constant_that_is_tightened_by_a_millionth_is_not_proved(made, cover, claim):
    (open_,) = next(c for c in made[0].system.statements.claims if c.id == claim).comparisons
    with precision(made[0].precision):
        low, high = decide(cover, open_).bounds
        for constant, proved in ((high * (1 + TIGHTENED), False), (low / 1.01, True)):
            planted = Comparison(open_.lhs, ">=", open_.rhs, sp.Float(constant, 30), open_.where)
            assert (decide(cover, planted).proof is Proof.PROVED) == proved


def test_exponents_that_are_off_by_a_tenth_are_refuted(made, cover):
    t, loss = symbol("t"), symbol("loss")
    with precision(made[0].precision):
        for relation, power, constant in (("<=", "31/10", 10), (">=", "29/10", 0.2)):
            late = Comparison(
                loss, relation, t ** -sp.Rational(power), sp.Float(constant, 30), (t - 1e8,)
            )
            empty = Decision(Proof.UNDECIDED, 0, "", empty=True)
            assert for_ever(cover.later, late, False, empty).proof is Proof.REFUTED


LATE = {"loss": 3, "gradient_norm": 2, "pairwise_distance": 1, "angle_max": 1}


def test_quantities_of_a_run_lie_in_the_boxes_before_at_and_after_zero(made, cover, run):
    kinds = set()
    with precision(made[0].precision):
        boxes = [cover.box(place) for place in cover.stretches()]
        later = cover.later
        for k, time in enumerate(run.t[1:], 1):
            here = [b for b in boxes if b["t"].contains(time)]
            s = 1 / (float(later.shared.clock) + time)
            (box,) = (here or [b for b in later.boxes if b["s"].contains(s)])[:1]
            kinds.add(type(box).__name__)
            for name in (*LATE, "h", "kappa_max"):
                value = run[name][k] / (1 if here else s ** LATE.get(name, 0))
                bounds = box[name] if isinstance(box[name], list) else [box[name]]
                for x, ball in zip(np.atleast_1d(value), bounds, strict=True):
                    size = RUN * abs(x) + ROUNDING
                    assert ball.lower() - size <= x <= ball.upper() + size, (name, time)
                    if name == "loss" and time > 1:
                        assert not ball.contains((1 + LOOSE) * x)
    assert kinds == {"NeuronBox", "WindowBox", "RestBox", "LateBox"}


def test_a_neuron_that_could_leave_zero_again_is_undecided_with_the_reason():
    # Both fall along the axis, and in every other direction the teacher pulls them out.
    system = flows.ReLUNeuron(2, 2)
    with pytest.raises(Uncertified, match="at zero could leave it again in another direction;"):
        flows.certify(system, [[-0.1, 0.0], [-0.2, 0.0]], math.inf, digits=8)


def test_a_limit_that_is_hardly_known_is_kept_where_no_later_horizon_is_left(made, monkeypatch):
    monkeypatch.setattr(forever, "AFTERWARDS", [1e2])
    wide = flows.certify(flows.ReLUNeuron(3, 2), START, math.inf, digits=9).infinity.constant
    with precision(100):
        assert wide.contains(made[0].infinity.constant)
        assert wide.rad() > forever.SHARP * wide > made[0].infinity.constant.rad()


def test_bounds_of_all_times_that_are_tighter_than_what_is_proved_are_refused(made, tmp_path):
    tighter, wider = of_other_bounds(made[1], tmp_path, 1e-6)
    assert all("it states" in why for why in tighter) and not any(wider)
