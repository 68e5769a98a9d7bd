"""Means on a line, for ever: the limit of ``t^2 L``, and what is refused."""

import json
import math

import numpy as np
import pytest
from flint import arb, fmpq

import flows
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.tail import means as tail
from flows.certificates.tail.start import end_time
from flows.certificates.verifier import means as checker
from flows.certificates.verifier.gmm_em import Means
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.verify import _ends
from flows.core.balls import precision

UNEQUAL, THREE = (0.25, 0.75), (-0.75, 0.25, 1.0)


@pytest.fixture(scope="module")
def made():
    return flows.certify(flows.GMMEM(n=2, d=1), [[1.0], [-0.5]], math.inf, digits=10)


@pytest.fixture
def data(made):
    return json.loads(json.dumps(made.to_json()))


def test_the_limit_is_the_one_of_the_law_and_a_run_stays_within_the_bounds(made):
    law = flows.late_time_law(made.system, at=[[0.0], [0.0]])
    with precision(200):
        assert made.infinity.constant.contains(arb(1) / 4)
        assert made.infinity.constant.rad() < 1e-20
    assert float(law.laws[0].exponent) == 2
    assert law.laws[0].constant == pytest.approx(0.25, rel=1e-9)
    times = np.geomspace(1e-2, 1e5, 200)
    run = flows.integrate(made.system, made.start, t_end=1e5, t_eval=times.tolist())
    scaled, (lower, upper) = (1 + run.t) ** 2 * run["loss"], made.infinity.all_times
    assert 0.99 * scaled.min() < lower <= scaled.min() * (1 + 1e-8)
    assert scaled.max() * (1 - 1e-8) <= upper < 1.01 * scaled.max()


def test_the_checker_accepts_it_with_bounds_of_its_own(made, tmp_path):
    made.save(tmp_path / "c.json")
    found = flows.verify(tmp_path / "c.json", made.system, made.start)
    assert found.accepted, found.refused
    lower, upper = made.infinity.all_times
    assert 0 < found.endless.lower <= lower <= upper <= found.endless.upper
    assert load_certificate(tmp_path / "c.json").infinity == made.infinity


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        ("e", lambda x: x / 2, "N may leave: .* against|begins further"),
        ("across", lambda x: x / 2, "may reach R: .* against|begins beyond R"),
        ("clock", lambda x: x + 1000.0, "begins further"),
        ("clock", lambda x: -1e9, "clock does not fit"),
        ("e", lambda x: 3.0, "may vanish"),
    ],
)
def test_what_is_changed_is_refused_with_the_reason(made, data, key, change, reason):
    data["infinity"][key] = change(float.fromhex(data["infinity"][key])).hex()
    with pytest.raises(Refused, match=reason):
        _checked(made, data)


def test_another_limit_is_refused(made, data):
    limit = data["infinity"]["limit"]
    off = int(2 * float.fromhex(limit["radius"]) * 2.0 ** data["bits"])
    limit["value"] = f"{int(limit['value'], 16) + off:x}"
    with pytest.raises(Refused, match="limit of t"):
        _checked(made, data)


def _checked(made, data):
    """Without the pieces, which are as they were."""
    with precision(made.precision):
        flow = Means({"n": 2, "d": 1, "weights": [0.5, 0.5]}, made.start)
        ends = [x.ravel() for x in _ends(flow, data["pieces"], made.bits, 0.0, 1)]
        checker.plateau(data["infinity"], flow, data["pieces"], ends, made.bits)


def test_maker_and_checker_have_the_same_bounds_by_formulas_of_their_own(made, data, monkeypatch):
    seen = {}
    monkeypatch.setattr(checker, "less", lambda need, bound, why: seen.update({why: (need, bound)}))
    monkeypatch.setattr(checker, "remainder", lambda most, theta: most)
    monkeypatch.setattr(tail, "remainder", lambda most, theta: most)
    weights = (0.25, 0.75)
    for e, across, clock in ((0.5, 3.0, -9900.0), (1e-3, 40.0, 0.0)):
        data["infinity"] |= {"e": e.hex(), "across": across.hex(), "clock": clock.hex()}
        with precision(made.precision):
            mixture = _mixture(weights)
            flow = Means({"n": 2, "d": 1, "weights": list(weights)}, made.start)
            ends = [x.ravel() for x in _ends(flow, data["pieces"], made.bits, 0.0, 1)]
            with pytest.raises(Refused, match="limit of t"):
                checker.plateau(data["infinity"], flow, data["pieces"], ends, made.bits)
            s = 1 / (arb(clock) + end_time(made))
            found = tail.trap(mixture, s, arb(e), arb(across))
            n, rho = mixture.late(list(ends[-1]), s)
            (push, room), (driven, height) = seen["N may leave"], seen["|rho| may reach R"]
            assert float(push / found.push) == pytest.approx(1, rel=0.02)
            assert float(room / (found.pull * e)) == pytest.approx(1, rel=1e-9)
            assert float(driven / found.driven) == pytest.approx(1, rel=0.02)
            assert float(height / (found.stiff * across)) == pytest.approx(1, rel=1e-9)
            off = abs(n - mixture.settled)
            assert float(seen["N begins further from its limit"][0] / off) == pytest.approx(1)
            assert float(seen["|rho| begins beyond R"][0] / abs(rho)) == pytest.approx(1)


def test_three_means_of_different_weights_are_undecided_in_one_line():
    system = flows.GMMEM(n=3, d=1, weights=[0.25, 0.25, 0.5])
    with pytest.raises(Uncertified, match="UNDECIDED: a proof for ever is of two means") as refused:
        flows.certify(system, np.array(THREE)[:, None], math.inf)
    assert "\n" not in str(refused.value)


def _mixture(weights):
    return tail.Mixture([fmpq(*float(w).as_integer_ratio()) for w in weights])


def _state(mixture, theta, rho, z):
    """Means of given late variables."""
    part = theta**3 * rho / float(mixture.square)
    return np.array([theta * c + part * float(w) for c, w in zip(z, mixture.pi, strict=True)])


@pytest.mark.parametrize(("weights", "z"), [(UNEQUAL, (2.1, -0.7)), ((0.25,) * 4, (2, -3, 2, -1))])
def test_rates_on_a_box_are_those_of_the_flow(weights, z):
    # Differences of N and rho along a short step of the true field, at states of the box.
    mixture, z = _mixture(weights), np.array(z, float)
    assert abs(np.dot(z, weights)) < 1e-12
    for theta, rho in ((0.02, 0.3), (0.01, -0.8)):
        with precision(300):
            z = z * math.sqrt(float(mixture.settled.mid()) / np.dot(z, z))
            mu = _state(mixture, theta, rho, z)
            flow = flows.GMMEM(n=len(z), d=1, weights=weights).ball_flow(mu[:, None])
            field, s = flow.field([arb(float(x)) for x in mu], ()), arb(theta) ** 2
            found = tail.trap(mixture, s, arb(1e-9), arb(1))
            across = mixture.across([arb(float(x)) for x in mu])
            n, height = mixture.late([arb(float(x)) for x in mu], s)
            slope = n + 2 * sum((a * f for a, f in zip(across, field, strict=True)), arb(0)) / s**2
            assert abs(slope - n * (1 - n / mixture.settled)) < found.push
            climb = sum((w * f for w, f in zip(mixture.pi, field, strict=True)), arb(0))
            climb = climb / s.sqrt() ** 3 + 3 * s * height / 2
            assert abs(climb + found.stiff * height) < found.driven
            assert (flow.loss([arb(float(x)) for x in mu]) / s**2 - found.energy).contains(0)


def test_what_is_left_of_the_gradient_is_below_its_bound_and_not_far_below():
    ratios = []
    for weights, y in (
        (UNEQUAL, (1.0, -0.4)),
        ((0.5, 0.5), (1.0, -1.0)),
        ((0.25,) * 4, (1, 1, -1, 0.5)),
    ):
        flow = flows.GMMEM(n=len(y), d=1, weights=weights).ball_flow(np.zeros((len(y), 1)))
        with precision(400):
            theta = arb(2) ** -4
            mu = [theta * arb(c) for c in y]
            m = [
                sum((w * x**k for w, x in zip(weights, mu, strict=True)), arb(0)) for k in range(4)
            ]
            left = [
                -f - w * (m[1] + (m[2] - 2 * m[1] ** 2) * x + 3 * m[1] ** 3 - 2 * m[1] * m[2])
                for w, x, f in zip(weights, mu, flow.field(mu, ()), strict=True)
            ]
            size = sum((x * x for x in left), arb(0)).sqrt() / theta**5
            bound = tail.remainder(arb(1), theta)
            assert size < bound
            assert checker.remainder(arb(1), theta) >= bound * 0.9
            ratios.append(float(size / bound))
    assert max(ratios) > 1e-3


def test_the_loss_of_the_checker_is_the_loss():
    for weights, mu in ((UNEQUAL, (0.75, -0.5)), ((0.25,) * 4, (0.1, -2.0, 1.0, 3.0))):
        system = flows.GMMEM(n=len(mu), d=1, weights=weights)
        with precision(160):
            flow = Means({"n": len(mu), "d": 1, "weights": list(weights)}, np.array(mu)[:, None])
            found = checker.loss(flow, flow.start)
            mine = system.ball_flow(np.array(mu)[:, None]).loss(list(flow.start))
            assert found.overlaps(mine)
            assert found.rad() < 1e-20
            assert abs(float(found.mid()) - system.loss(np.array(mu)[:, None])) < 1e-12
