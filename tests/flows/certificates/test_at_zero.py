"""A neuron that reaches zero: the others go on for ever, and what the checker refuses."""

import json
import math

import numpy as np
import pytest
import scipy.optimize
from flint import arb

import flows
from flows.certificates.certificate import load_certificate
from flows.certificates.verifier import at_zero as checker
from flows.certificates.verifier.reading import Refused
from flows.cli import endless
from flows.core.balls import precision

# The third neuron is short and opposite to the teacher.
START = [[0.625, 0.25], [0.5, -0.25], [-2e-6, 1e-7]]
# Runs are right to so much of their loss.
RUN = 1e-6
# A search for a minimum in doubles finds it to so much; statements are off by a thousandth.
FOUND, OFF = 1e-6, 1e-3
# Gradients of doubles, and what a neuron of this length does to the second order.
ROUNDING, TINY = 1e-12, 1e-7


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
    assert 0 < lower < upper
    assert 0 < found.endless.lower <= lower
    assert upper <= found.endless.upper
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
        assert limit.contains(scaled[-1])
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
    data = json.loads(made[1].read_text())
    change(data)
    (tmp_path / "c.json").write_text(json.dumps(data))
    refused = flows.verify(tmp_path / "c.json").refused
    assert refused
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refused)


def balls(rows):
    return np.array([[arb(float(x)) for x in row] for row in rows])


def fall(u, others):
    """``D(u)`` by the angles, in doubles."""
    total = u @ (others[:-1].sum(axis=0) - others[-1]) / 2
    for w, mu in zip(others, [1] * (len(others) - 1) + [-1], strict=True):
        theta = np.arccos(np.clip(u @ w / np.linalg.norm(u) / np.linalg.norm(w), -1, 1))
        pull = np.sin(theta) - theta * np.cos(theta)
        total += mu * np.linalg.norm(u) * np.linalg.norm(w) * pull / (2 * math.pi)
    return total


def least(others, q):
    """The smallest ``D`` of a unit vector, by a search from many directions."""
    wide = np.pad(others, ((0, 0), (0, q - others.shape[1])))
    random = np.random.default_rng(0).normal(size=(200, q))
    near = np.eye(1, q) + 0.1 * random
    starts = sorted([*random, *near, *-near], key=lambda u: fall(u, wide) / np.linalg.norm(u))
    found = [
        scipy.optimize.minimize(
            lambda u: fall(u, wide) / np.linalg.norm(u), u, method="Nelder-Mead", tol=1e-12
        )
        for u in starts[:3]
    ]
    return min(x.fun for x in found)


FALLING = {
    "plane": [[0.625, 0.25], [0.5, -0.25], [1.0, 0.0]],
    "space": [[0.6, 0.2, 0.1], [0.3, -0.1, -0.2], [0.2, -0.2, 0.2], [1.0, 0.0, 0.0]],
}


# Beyond the plane a neuron may also fall in a direction that the others do not span.
@pytest.mark.parametrize(("name", "more"), [("plane", False), ("plane", True), ("space", False)])
def test_the_slowest_fall_is_decided_to_a_thousandth(name, more):
    others = np.array(FALLING[name])
    slowest = least(others, others.shape[1] + more)
    assert slowest > 0
    w, v = balls(others[:-1]), balls(others)[-1]
    with precision(80):
        checker.falls(w, v, arb(slowest * (1 - OFF)), more)
        with pytest.raises(Refused, match="may not fall to zero along"):
            checker.falls(w, v, arb(slowest * (1 + OFF)), more)


def test_a_neuron_that_may_leave_zero_again_is_refused():
    others = np.array([[0.5, 0.05], [0.4, -0.05], [1.0, 0.0]])  # less than the teacher
    assert least(others, 2) < 0
    with precision(80), pytest.raises(Refused, match="may not fall to zero along"):
        checker.falls(balls(others[:-1]), balls(others)[-1], arb(0), False)


def test_the_gradient_of_a_small_neuron_is_that_of_the_system_and_its_push_half_its_length():
    random = np.random.default_rng(1)
    system, most = flows.ReLUNeuron(n=3, d=3), 0.0
    two = flows.ReLUNeuron(n=2, d=3)
    for trial in range(40):
        w = random.normal(size=(3, 3))
        unit = w[2] / np.linalg.norm(w[2])
        if trial % 2:  # aligned with another one, where it pushes most
            unit = w[0] / np.linalg.norm(w[0])
        w[2] = TINY * unit
        slope = system.gradient(w)
        with precision(80):
            others = [*balls(w[:2]), balls(np.eye(1, 3))[0]]
            found = [float(x.mid()) for x in checker.gradient(balls([unit])[0], others)]
        np.testing.assert_allclose(slope[2] - w[2] / 2, found, atol=ROUNDING)
        push = np.linalg.norm(slope[:2] - two.gradient(w[:2]), axis=1) / TINY
        assert (push <= 0.5 + ROUNDING / TINY).all()
        most = max(most, push.max())
    assert most > 0.5 - OFF


def test_the_second_derivative_stays_below_its_bound():
    random, step = np.random.default_rng(2), 1e-4
    for _ in range(50):
        w = np.array([[0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]) + 0.1 * random.normal(size=(2, 3))
        v = np.eye(3)[0]
        with precision(80):
            bound = float(checker._bend(balls(w), balls([v])[0]).upper())
            u, along = random.normal(size=(2, 3))
            u, along = u / np.linalg.norm(u), along / np.linalg.norm(along)
            others = [*balls(w), balls([v])[0]]
            first, last = (
                checker.gradient(balls([u + sign * step * along])[0], others) for sign in (-1, 1)
            )
            bent = np.array([float(x.mid()) for x in last - first]) @ along / (2 * step)
        assert abs(bent) <= bound / np.linalg.norm(u) * (1 + 10 * step)


def test_the_pull_on_the_others_is_bounded_by_what_parallel_neurons_feel():
    system, size, others = flows.ReLUNeuron(n=4, d=2), 1e-3, 3
    with_it = np.array([[0.2, 0.0], [0.3, 0.0], [0.6, 0.0], [size, 0.0]])
    without = with_it.copy()
    without[3] = 0.0
    pull = system.gradient(with_it)[:others] - system.gradient(without)[:others]
    with precision(64):
        bound = float(checker.pull_on(others, arb(size)))
    assert np.linalg.norm(pull) <= (1 + ROUNDING) * bound < (1 + OFF) * np.linalg.norm(pull)


# Three neurons in the plane, for which D is lowest in space: 0.1433, in the plane 0.1499.
PLANAR = [[0.1705, -0.4005], [1.0666, 0.3161], [-0.4214, 0.1641]]


def test_a_direction_that_nothing_spans_may_be_the_lowest_one():
    with precision(64):
        w = np.array([[arb(x) for x in row] for row in PLANAR])
        teacher = np.array([arb(1), arb(0)])
        checker.falls(w, teacher, arb(0.147), False)
        with pytest.raises(Refused, match="may not fall"):
            checker.falls(w, teacher, arb(0.147), True)
        checker.falls(w, teacher, arb(0.12), True)


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
