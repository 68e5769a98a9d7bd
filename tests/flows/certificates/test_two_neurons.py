"""Balls of starts of two neurons, for ever: what a funnel states, and what its checker refuses."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from flint import arb
from oracles.certified.changed import of_other_bounds, refusal

import flows
from flows.certificates.bounds import growth, segment_of
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.own_flow import equations_of
from flows.certificates.stated import Open
from flows.certificates.steps import Steps, bits_for
from flows.certificates.tail.funnel import CELLS, RADII, first, prove
from flows.certificates.verifier import funnel as checker
from flows.certificates.verifier.late_flow import rates
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.tube import Ball
from flows.core.balls import precision

# A thousand times what boxes about one shape had allowed.
RADIUS = 1e-3
# Runs are right to so much of their loss.
RUN = 1e-6
# Both compute with 100 bits.
ROUNDING = 1e-25


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    system = flows.ReLUNeuron(n=2, d=2)
    start = np.array([[0.5, -0.5], [0.75, 0.25]])
    certificate = flows.certify(system, start, math.inf, radius=RADIUS)
    path = tmp_path_factory.mktemp("funnel") / "c.json"
    certificate.save(path)
    return certificate, path


def test_the_checker_accepts_the_ball_with_its_theorem(made):
    certificate, path = made
    found = flows.verify(path, certificate.system, certificate.start)
    assert found.accepted, found.refused
    assert found.radius == RADIUS
    lower, upper = certificate.infinity.all_times
    assert 0 < lower < upper
    assert 0 < found.endless.lower < found.endless.upper
    with precision(certificate.precision):
        assert certificate.infinity.constant.contains(found.endless.limit)
        for part, limit in zip(certificate.infinity.parts, found.endless.h, strict=True):
            assert part.contains(limit)
    assert load_certificate(path).infinity == certificate.infinity


def test_starts_on_the_sphere_obey_the_bounds_and_the_limits(made):
    certificate, random = made[0], np.random.default_rng(0)
    lower, upper = certificate.infinity.all_times
    limits = []
    for _ in range(4):
        step = random.normal(size=(2, 2))
        start = certificate.start + RADIUS * step / np.linalg.norm(step)
        times = np.geomspace(1e-2, 1e8, 40)
        run = flows.integrate(
            certificate.system, start, t_end=times[-1], t_eval=times.tolist(), rtol=1e-10
        )
        scaled = (1 + run.t) ** 3 * run["loss"]
        assert (lower <= scaled * (1 + RUN)).all()
        assert (scaled <= upper * (1 + RUN)).all()
        limits.append(scaled[-1])
    with precision(100):
        ball = certificate.infinity.constant
        assert all(ball.contains(x) for x in limits)
        assert not ball.contains(1.1 * max(limits))
    assert max(limits) > (1 + 1e-4) * min(limits)  # they differ, and none stands for all


def _radius(data):
    data["radius"] = (2 * RADIUS).hex()


def _scaled(key, factor):
    def change(data):
        data["infinity"][key] = (factor * float.fromhex(data["infinity"][key])).hex()

    return change


def _parts(parts):
    def change(data):
        data["infinity"]["parts"] = parts

    return change


def _shifted(data):
    stated = data["infinity"]["limit"]
    shift = int(2.1 * float.fromhex(stated["radius"]) * 2.0 ** data["bits"])
    stated["value"] = f"{int(stated['value'], 16) + shift:x}"


def _narrower(data):
    stated = data["infinity"]["h"][1]
    stated["radius"] = (0.5 * float.fromhex(stated["radius"])).hex()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_radius, "errors may grow faster|error at its end is larger|leave the tube"),
        (_scaled("reach", 0.99), "zeta begins beyond its reach"),
        (_scaled("across", 0.7), r"\|x\| (begins beyond its bound|may leave)"),
        (_scaled("along", 0.7), r"\|u\| (begins beyond its bound|may leave)"),
        (_scaled("drift", 0.5), "b may move further"),
        (_scaled("across", -1.0), r"\|x\| (begins beyond its bound|may leave)"),
        (_scaled("reach", 3.0), "of zeta up to"),
        (_parts(0), "parts do not fit"),
        (_parts(True), "parts do not fit"),
        (_parts(10**6), "parts do not fit"),
        (_scaled("sharp", 8.0), "not asked to be positive"),
        (_scaled("sharp", 1e-3), "Q > 0 is not proved of zeta"),
        (_shifted, r"limit of t\^3 L is not proved"),
        (_narrower, "limit of h is not proved"),
    ],
)
def test_a_file_that_is_changed_a_little_is_refused(made, tmp_path, change, reason):
    refused = refusal(made[1], tmp_path, change)
    assert re.search(reason, refused), refused


def _entry(zeta=0.1, across=0.1, along=0.1, b=0.1, width=1e-3):
    known = arb(zeta, width * zeta), arb(across * zeta), arb(along * zeta), arb(b, width)
    return checker.Begin(*known)


def _proved(p, entry):
    def held(stated):
        return checker.funnel(stated, entry, p, arb(1), CELLS[p])

    return prove(first(entry), RADII[:-1], held)


@pytest.mark.parametrize("p", [1, 2])
def test_a_funnel_that_is_proposed_is_held_and_a_much_longer_one_is_not(p):
    with precision(100):
        entry = _entry()
        funnel, (limit, _, bounds) = _proved(p, entry)
        assert bounds.contains(limit)
        wide = replace(funnel, reach=20 * funnel.reach).to_json()
        with pytest.raises(Refused, match=r"Q > 0|may leave|not small|at zero"):
            checker.funnel(wide, entry, p, arb(1))


def test_in_the_limit_the_field_and_the_energy_are_those_of_the_closed_form():
    with precision(100):
        for b in (-0.5, 0.0, 0.3):
            h = np.array([(1 + arb(b)) / 2, (1 - arb(b)) / 2])
            y = np.array([[arb(1) / 2], [-arb(1) / 2]])
            found = rates(y, h, arb(0))
            pace = found.b[0, 0] - found.b[1, 0]
            assert abs(pace - 1 / (4 * arb.pi() * h[0] * h[1])) < ROUNDING
            assert abs(found.energy - pace / 6) < ROUNDING
            assert (
                abs(found.energy / pace**3 - 8 * arb.pi() ** 2 / 3 * (h[0] * h[1]) ** 2) < ROUNDING
            )


def test_layers_contain_the_flow_of_the_definition():
    system, random = flows.ReLUNeuron(n=2, d=2), np.random.default_rng(1)
    with precision(80):
        box = [arb(0.1, 0.011), arb(0, 0.2)]
        layer = checker.layer_of(arb(0.075), arb(0.1), box, arb(0.2), arb(0.5))
    for _ in range(20):
        zeta, b = random.uniform(0.0751, 0.0999), random.uniform(0.09, 0.11)
        x, u = random.uniform(-0.2, 0.2, size=2)
        total = 1 + zeta * u
        w = np.array([[(total + b) / 2, zeta * (x + 1) / 2], [(total - b) / 2, zeta * (x - 1) / 2]])
        speed = -system.gradient(w)
        pace = -(speed[0, 1] - speed[1, 1]) / zeta**2
        slide = (speed[0, 0] - speed[1, 0]) / (-pace * zeta**3)
        push = (speed[0, 1] + speed[1, 1] + zeta * x) / -(zeta**2)
        lift = (speed[0, 0] + speed[1, 0] + zeta * u) / -(zeta**3)
        energy = (system.loss(w) - zeta**2 * (x * x + u * u) / 4) / zeta**3
        assert layer.pace.contains(pace)
        assert layer.slide.contains(slide)
        assert abs(push) <= layer.push
        assert abs(lift) <= layer.lift
        assert layer.energy.contains(energy)
        assert not layer.pace.contains(2 * pace)


def test_what_enters_lower_moves_less():
    with precision(80):
        entry = _entry(width=0.05)
        funnel, (_, h, bounds) = _proved(1, entry)
        low = entry._replace(zeta=entry.zeta.lower(), b=entry.b.mid())
        _, below, inner = checker.funnel(funnel.to_json(), low, 1, arb(1))
        assert h[0].contains(below[0])
        assert bounds.lower() <= inner.lower()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"zeta": 0.1, "width": 1.5}, "two neurons may be equal"),
        ({"zeta": 2.0}, "Q > 0 is not proved"),
        ({"across": 3.0}, "Q > 0 is not proved"),
        ({"b": 1.2}, "Q > 0 is not proved"),
    ],
)
def test_what_no_funnel_holds_is_said(entry, reason):
    with precision(80), pytest.raises(Open, match=reason):
        _proved(1, _entry(**entry))


def test_a_ball_that_reaches_equal_neurons_is_undecided():
    system = flows.ReLUNeuron(n=2, d=2)
    with pytest.raises(Uncertified, match="UNDECIDED"):
        flows.certify(system, np.array([[0.5, 0.25], [0.5, 0.26]]), math.inf, radius=0.02)


def test_nested_boxes_bound_growth_more_sharply():
    system = flows.ReLUNeuron(n=2, d=2)
    start, bits = np.array([[0.5, -0.5], [0.75, 0.25]]), bits_for(8, 1.0)
    with precision(bits + 64):
        equations = equations_of(system, start)
        steps = Steps(system.ball_flow(start), equations, bits, 8, RADIUS)
        piece = steps.segment(1 << bits)
        made, tube = segment_of(steps.before), (10 * piece.tube).hex()
        tubes = ({"tube": x, "error": x} for x in (tube, tube, "0x0p+0"))
        one, four, thin = (
            growth(Ball(x, wide), equations, made, 4)[0]
            for x, wide in zip(tubes, (False, True, False), strict=True)
        )
    assert all(t < b < a for a, b, t in zip(one, four, thin, strict=True))
    # Deviations grow linearly: four boxes leave five eighths of them.
    assert all(b - t < 0.75 * (a - t) for a, b, t in zip(one, four, thin, strict=True))


def test_bounds_of_all_times_that_are_tighter_than_what_is_proved_are_refused(made, tmp_path):
    tighter, wider = of_other_bounds(made[1], tmp_path, 1e-6)
    assert all("it states" in why for why in tighter) and not any(wider)
