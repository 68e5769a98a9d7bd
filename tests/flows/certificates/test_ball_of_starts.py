"""Balls of starts: what is proved of every start within a radius, and what is refused."""

import functools
import json
import math

import numpy as np
import pytest
from flint import arb

import flows
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.core.balls import precision

RADIUS = 0.01
# Runs are right to so much.
RUN = 1e-9


CASES = {
    "neuron": (flows.ReLUNeuron(n=1, d=2), [[0.3, 0.1]]),
    "neuron in space": (flows.ReLUNeuron(n=1, d=3), [[0.3, 0.1, 0.2]]),
    "layers": (flows.MatrixFactorization(d=1, depth=2, regularization=1.0), [[[0.5]], [[1.25]]]),
}


@functools.cache
def proof(name):
    system, start = CASES[name]
    return flows.certify(system, np.array(start), math.inf, digits=10, radius=RADIUS)


@pytest.fixture(params=CASES)
def made(request):
    return proof(request.param)


def test_runs_from_the_ball_obey_the_bound_and_one_from_outside_is_not_enclosed(made):
    random, rest = np.random.default_rng(0), made.infinity
    times = np.linspace(0.1, 2 * made.t_end, 60)
    for _ in range(2):
        step = random.normal(size=made.start.shape)
        step *= RADIUS / np.linalg.norm(step)
        run = flows.integrate(
            made.system, made.start + step, t_end=times[-1], t_eval=times.tolist(), rtol=1e-11
        )
        bound = rest.amplitude * np.exp(-rest.rate * (run.t - rest.delay))
        assert (run["loss"] <= bound + RUN).all()
        with precision(100):
            for t, loss in zip(run.t, run["loss"], strict=True):
                if t <= made.t_end:
                    assert (made.loss(float(t)) + arb(0, RUN)).contains(arb(loss))
    slope = made.system.gradient(made.start)
    with precision(100):
        far = made.system.loss(made.start + 10 * RADIUS * slope / np.linalg.norm(slope))
        assert not made.loss(0.0).contains(arb(float(far)))


def test_the_checker_accepts_the_ball_and_says_which(made, tmp_path):
    made.save(tmp_path / "c.json")
    found = flows.verify(tmp_path / "c.json", made.system, made.start)
    assert found.accepted, found.refused
    assert found.radius == RADIUS
    assert load_certificate(tmp_path / "c.json").radius == RADIUS
    data = json.loads((tmp_path / "c.json").read_text())
    for radius in (1.01 * RADIUS, -RADIUS):
        data["radius"] = radius.hex()
        (tmp_path / "wider.json").write_text(json.dumps(data))
        assert flows.verify(tmp_path / "wider.json").refused


def test_a_span_without_the_directions_of_the_ball_is_refused(tmp_path):
    system, start = flows.ReLUNeuron(n=2, d=3), np.array([[0.3, 0.1, 0.0], [0.2, 0.25, 0.0]])
    with pytest.raises(flows.InputError, match="span more directions"):
        flows.certify(system, start, 0.1, digits=8, radius=1e-6)
    flows.certify(system, start, 0.1, digits=8).save(tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text()) | {"radius": (1e-30).hex()}
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert "leave the span" in flows.verify(tmp_path / "c.json").refused


@pytest.mark.parametrize(
    ("radius", "reason"),
    [
        (-1e-3, "expected a length from 0 on, got -0.001"),
        (math.nan, "expected a length"),
        (math.inf, "expected a length"),
        (True, "expected a length"),
        (0.4, "has a neuron at zero; expected less than 0.316228"),
    ],
)
def test_a_radius_that_cannot_be_is_one_line(radius, reason):
    with pytest.raises(flows.InputError, match=reason) as refused:
        flows.certify(*CASES["neuron"], 1.0, digits=8, radius=radius)
    assert "\n" not in str(refused.value)


def test_a_ball_that_is_too_large_is_undecided():
    with pytest.raises(Uncertified, match="UNDECIDED beyond t"):
        flows.certify(*CASES["neuron"], math.inf, digits=8, radius=0.3)


def test_two_neurons_have_a_ball_of_starts_with_the_law(tmp_path):
    system = flows.ReLUNeuron(n=2, d=2)
    made = flows.certify(system, system.initial(0.1, 0), math.inf, digits=8, radius=1e-6)
    with precision(200):
        assert made.infinity.constant.contains(arb("1.63582401713993790103705"))
        assert made.infinity.constant.rad() < 0.1
        assert not made.infinity.constant.contains(2)
    # Constants get sharper while sums decay: the search goes on after a first proof.
    assert made.infinity.all_times[1] < 1.7
