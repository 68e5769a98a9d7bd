"""Flows that rest in the end: the rate that is proved for all times, and what is not proved."""

import functools
import json
import math
import re

import numpy as np
import pytest
import sympy as sp
from flint import arb
from scipy.integrate import solve_ivp

import flows
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.own_flow import OwnFlow
from flows.certificates.rest import balls as rest
from flows.certificates.rest.settle import certify_rest
from flows.certificates.stated import Open
from flows.certificates.verifier import rest as checker
from flows.certificates.verifier.reading import exact
from flows.certificates.verifier.segment import Segment
from flows.certificates.verifier.verify import EQUATIONS
from flows.core.balls import precision

U, V = sp.symbols("u v")
BOWL = (U**2 - 1) ** 2 + (V - U) ** 2 + U / 3
# Losses of a run are right to about 1e-10, of which those above this number keep two digits.
RUN = 1e-8
# The bound is the largest of bounds on parts on which e^(rate t) grows by e^(1/16), of the loss of
# a neuron with 10 % of room.
SHARP = 1.18


def _own(loss, start):
    return flows.OwnSystem("own", [U, V], loss), np.array(start)


def _layers(start, **options):
    return flows.MatrixFactorization(**options), np.array(start)


CASES = {
    "bowl": _own(BOWL, [1.5, 0.25]),
    "well": _own((U**2 - 1) ** 2 + (V - U) ** 2, [1.5, 0.25]),
    "valley of squares": _own(3 * (U * V - 1) ** 2 + sp.Rational(1, 3), [1.5, 0.25]),
    "neuron": (flows.ReLUNeuron(n=1, d=2), np.array([[0.3, -0.1]])),
    "neuron in space": (flows.ReLUNeuron(n=1, d=3), np.array([[0.3, 0.1, 0.2]])),
    "layers": _layers(
        [[[1.0, 0.25], [0.0, 1.5]], [[1.25, 0.0], [-0.5, 1.0]]],
        d=2,
        depth=2,
        regularization=1.0,
        target=[[1.0, 0.5], [-0.25, 2.0]],
    ),
    "unbalanced": _layers([[[0.5]], [[1.25]]], d=1, depth=2, regularization=0.0, target=[[1.0]]),
    "complex": _layers(
        [[[0.5 + 0.25j]], [[1.25 - 0.5j]]],
        d=1,
        depth=2,
        field="complex",
        regularization=3.0,
        target=[[0.5 + 1.5j]],
    ),
}


@functools.cache
def proof(name):
    return flows.certify(*CASES[name], math.inf, digits=10)


@pytest.fixture(params=CASES)
def made(request):
    return proof(request.param)


@pytest.fixture
def path(made, tmp_path):
    made.save(tmp_path / "c.json")
    return tmp_path / "c.json"


def test_the_loss_of_a_run_is_below_the_bound_at_all_times_and_near_it_at_some(made):
    shape, kind, last = made.start.shape, made.start.dtype, 3 * made.t_end

    def field(t, x):
        return -made.system.gradient(x.view(kind).reshape(shape)).ravel().view(float)

    times = np.linspace(0.0, last, 400)
    run = solve_ivp(
        field, (0.0, last), made.start.ravel().view(float), "DOP853", times, rtol=1e-10, atol=1e-12
    )
    states = (made.system.loss(np.array(x).view(kind).reshape(shape)) for x in run.y.T)
    excess = np.array([float(x) for x in states])
    with precision(200):
        excess -= float(made.infinity.limit_loss.mid())
    scaled, seen = excess * np.exp(made.infinity.rate * times), excess > RUN
    constant = made.infinity.amplitude * np.exp(made.infinity.rate * made.infinity.delay)
    assert scaled[seen].max() <= constant * 1.01
    assert constant <= SHARP * scaled[seen].max()
    assert excess[0] <= made.infinity.amplitude <= 1.06 * excess[0]


def test_the_rate_is_nearly_the_one_of_the_minimum(made):
    # Twice the least positive eigenvalue of the Hessian at the end: along the minima nothing moves.
    with precision(200):
        end = np.array(
            [complex(x) if "complex" in str(made.system) else float(x) for x in _flat(made)]
        )
    hessian = made.system.hessian(end.reshape(np.shape(made.start)).astype(made.start.dtype))
    values = np.linalg.eigvalsh(hessian)
    least = values[values > 0.1].min()
    assert 0.85 * 2 * least < made.infinity.rate < 2 * least * (1 + 1e-3)


def _flat(made):
    def flat(x):
        return [z for y in x for z in flat(y)] if isinstance(x, list) else [x.mid()]

    return flat(made.state(made.t_end))


def test_the_checker_accepts_and_names_the_same_bound(made, path):
    found = flows.verify(path, made.system, made.start)
    assert found.accepted, found.refused
    assert found.endless.rate == pytest.approx(made.infinity.rate, rel=1e-12)
    assert found.endless.delay == made.infinity.delay
    assert found.endless.amplitude == made.infinity.amplitude
    assert np.array_equal(found.start, made.start)
    again = load_certificate(path)
    assert again.infinity == made.infinity


def _number(key, change):
    def broken(data):
        data["infinity"][key] = change(float.fromhex(data["infinity"][key])).hex()

    return broken


def _rate(change):
    def broken(data):
        data["infinity"]["rates"][0] = change(float.fromhex(data["infinity"]["rates"][0])).hex()

    return broken


def _loss(data):
    stated = data["infinity"]["loss"]
    stated["value"] = f"{int(stated['value'], 16) + (1 << data['bits'] // 4):x}"
    stated["radius"] = (0.0).hex()


def _centre(data):
    centre = data["infinity"]["centre"]
    centre[0] = centre[0][1:] if centre[0].startswith("-") else "-" + centre[0]


def _kind(data):
    data["infinity"]["kind"] = "other"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (_rate(lambda x: 1.12 * x), "not proved|before the end"),
        (_rate(lambda x: -x), "rate is not positive"),
        (_number("radius", lambda x: x / 2), "begin within the ball|may leave"),
        (_number("amplitude", lambda x: x / 1.2), "larger before the end"),
        (_number("delay", lambda x: x - 0.1), "larger before the end"),
        (_loss, "limit of the loss"),
        (_centre, "begin within the ball|may leave|not proved"),
        (_kind, "kind is unknown"),
    ],
)
@pytest.mark.parametrize("name", ["bowl", "valley of squares", "neuron", "layers"])
def test_what_is_changed_a_little_is_refused_with_the_reason(name, tmp_path, broken, reason):
    data = json.loads(json.dumps(proof(name).to_json()))
    broken(data)
    (tmp_path / "broken.json").write_text(json.dumps(data))
    found = flows.verify(tmp_path / "broken.json")
    assert re.search(reason, found.refused), found.refused


def _weight(square):
    square[:2] = [6001, 1000]


def _coefficient(square):
    square[2][0][:2] = [1001, 1000]


def _power(square):
    square[2][0][2][0][1] = 2


@pytest.mark.parametrize("broken", [_weight, _coefficient, _power])
def test_squares_that_are_not_the_loss_are_refused(tmp_path, broken):
    data = json.loads(json.dumps(proof("valley of squares").to_json()))
    broken(data["infinity"]["squares"][0])
    (tmp_path / "broken.json").write_text(json.dumps(data))
    assert "not half its squares" in flows.verify(tmp_path / "broken.json").refused


def test_another_start_in_the_last_bit_is_refused(tmp_path):
    made = proof("layers")
    made.save(tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text())
    first = data["start"][0][0][0]
    data["start"][0][0][0] = math.nextafter(float.fromhex(first), 9.0).hex()
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert "another start" in flows.verify(tmp_path / "c.json", made.system, made.start).refused


def test_the_limit_of_a_bowl_is_enclosed():
    made = proof("bowl")
    u = sp.nsolve(sp.diff(BOWL.subs(V, U), U), 1, prec=40)
    with precision(200):
        true = BOWL.subs({U: u, V: u})
        assert made.infinity.limit_loss.contains(arb(str(true)))
        assert not (made.infinity.limit_loss + 1e-6).contains(arb(str(true)))
        assert made.infinity.limit_loss.rad() < 1e-20


def test_the_law_has_the_limit_of_the_rates():
    made = proof("well")
    law = flows.late_time_law(made.system, at=[1.0, 1.0])
    slowest = min(x.rate for x in law.laws)
    assert 0.89 * slowest < made.infinity.rate < slowest


@pytest.mark.parametrize(
    ("loss", "start", "reason"),
    [
        (U**4 + V**2, [1.0, 0.5], r"J J\^T >= .* is not proved"),
        (U**2 - V**2, [1.0, 1e-3], "UNDECIDED"),
    ],
)
def test_what_does_not_rest_so_is_undecided_with_the_reason(monkeypatch, loss, start, reason):
    monkeypatch.setattr("flows.certificates.rest.settle.LAST", 10.0)
    with pytest.raises(Uncertified, match=reason):
        certify_rest(*_own(loss, start), 8, None)


def _layers_checker(*layers, strength=1.0):
    d = len(layers[0])
    parameters = {"d": d, "field": "real", "regularization": strength, "depth": len(layers)}
    parameters["target"] = np.eye(d).tolist()
    return EQUATIONS["matrix_factorization"](parameters, np.array(layers, float))


def test_the_form_of_what_balances_is_its_definition():
    random = np.random.default_rng(0)
    w = random.normal(size=(4, 2, 2))
    form = checker._balancing(np.vectorize(arb, "O")(w))
    x = random.normal(size=(3, 2, 2))
    padded = [np.zeros((2, 2)), *x, np.zeros((2, 2))]
    square = sum(
        np.linalg.norm(padded[j + 1] @ w[j] - w[j] @ padded[j]) ** 2 for j in range(len(w))
    )
    flat = np.vectorize(arb, "O")(x.ravel())
    assert abs(flat @ form @ flat - square) < 1e-12
    assert all((a - b).contains(0) for a, b in zip(form.ravel(), form.T.ravel(), strict=True))


def test_the_rate_of_layers_is_the_smaller_one_of_both_parts():
    one, tiny = np.eye(2), arb(1e-3)
    for strength, rates, expected in ((0.5, [1.9, 0.9], 0.9), (0.25, [0.75, 1.9], 0.75)):
        flow = _layers_checker(one, one, strength=strength)
        least = min(rates[0], 2 * strength * rates[1])
        assert least == pytest.approx(expected if strength == 0.5 else least)
        found = checker._layers(flow, flow.start, tiny, rates, arb(0), arb(0))
        assert float(found) == pytest.approx(least, rel=1e-12)
    for rates in ([-1.0, 0.9], [1.9, 0.0], [2.1, 0.9], [1.9, 2.1]):
        with pytest.raises(checker.Refused):
            checker._layers(_layers_checker(one, one), flow.start, tiny, rates, arb(0), arb(0))


@pytest.mark.parametrize("side", [1, -1, 0])
def test_the_gradient_of_a_neuron_is_that_of_its_side_of_the_teacher(side):
    flow = EQUATIONS["relu_neuron"](
        {"n": 1, "d": 2, "teacher": [1.0, 0.0]}, np.array([[0.8, 0.2 * side or 1e-9]])
    )
    c = np.array([arb(0.8), arb(0.2 * side, 0 if side else 1e-9)])
    system = flows.ReLUNeuron(n=1, d=2)
    slope = np.linalg.norm(system.gradient(np.array([[0.8, 0.2 * side]])))
    assert float(checker._push(flow, c).mid()) == pytest.approx(float(slope), rel=1e-6)


def test_both_branches_are_asked_of_a_neuron_that_may_be_on_either_side(monkeypatch):
    flow = EQUATIONS["relu_neuron"](
        {"n": 1, "d": 2, "teacher": [1.0, 0.0]}, np.array([[0.8, 1e-9]])
    )
    asked = []
    field = flow.field
    monkeypatch.setattr(flow, "field", lambda c, signs: (asked.extend(signs), field(c, signs))[1])
    checker._push(flow, np.array([arb(0.8), arb(0, 1e-9)]))
    assert sorted(asked) == [-1, 1]


@pytest.mark.parametrize("weight", [(0, 1), (-1, 1), (1, 0), (1, -1), (1.0, 1)])
def test_a_weight_that_is_not_positive_is_refused(weight):
    flow = proof("valley of squares")
    polynomial = EQUATIONS["polynomial"](exact(flow.to_json()["parameters"]), flow.start)
    stated, c = [[*weight, []]], polynomial.start
    with pytest.raises(checker.Refused, match="a weight is not positive"):
        checker._squares(polynomial, stated, c, arb(1), arb(1), arb(0), arb(0))


# Least curvature of quadratics, and the digits that the ball near zero is proved with.
STIFF, BITS = (
    {
        "far apart": (U**2 / 2 + 10**13 * V**2 / 2, 1),
        "small": ((U**2 + 10 * V**2) / 10**14, 2e-14),
        "far apart and turned": (10**18 * (U + V) ** 2 / 2 + (U - V) ** 2 / 2, 2),
    },
    200,
)


@pytest.mark.parametrize(("loss", "least"), STIFF.values(), ids=STIFF)
def test_a_convex_quadratic_is_proved_convex_in_units_of_its_own(loss, least):
    def found(expression):
        system, start = _own(sp.expand(expression), [1e-30, 1e-40])
        with precision(BITS):
            flow = OwnFlow(system, start)
            near = np.array([[arb(x)] for x in start])
            resting = [(Segment(near, arb(0), arb(1)), arb(0), arb(0))]
            return rest.of_kind("convex", flow, flow.equations, resting, 0.9, BITS)[1]

    assert float(found(loss).mu) == pytest.approx(0.9 * least, rel=1e-12)
    # Control: where a direction falls by more than it rises, it is a saddle.
    with pytest.raises(Open, match=r"not positive definite .* eigenvalue is -"):
        found(loss - sp.Rational(str(least)) * (U - V) ** 2)
