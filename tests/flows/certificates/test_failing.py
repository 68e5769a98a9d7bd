"""Real layers that never reach their target: what is proved of them, and of which starts it is."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

import flows
from flows.certificates.certificate import load_certificate
from flows.certificates.own_flow import equations_of
from flows.certificates.rest.failing import failing
from flows.certificates.verifier.failing import determinant
from flows.certificates.verifier.failing import failing as checked
from flows.certificates.verifier.gmm_em import Means
from flows.certificates.verifier.matrix_factorization import Layers
from flows.certificates.verifier.reading import Refused, exact

TURN, FLIP = [[0.5, 0.25], [-0.25, 0.5]], [[0.5, 0.25], [0.25, -0.5]]
SYSTEM = flows.MatrixFactorization(d=2, depth=2, regularization=1.0)


@pytest.fixture(scope="module")
def made():
    return flows.certify(SYSTEM, np.array([TURN, FLIP]), math.inf, digits=8)


@pytest.fixture
def data(made):
    return json.loads(json.dumps(made.to_json()))


def _refused(data, path):
    path.write_text(json.dumps(data))
    return flows.verify(path).refused


def test_the_bound_holds_on_a_run_and_is_nearly_reached(made):
    # Not further: rounding unbalances layers, and takes them off the saddle from t = 30 on.
    run = flows.integrate(made.system, made.start, t_end=15.0)
    assert 0.5 - 1e-8 < made.infinity.floor < run["loss"].min() < 0.5 + 1e-6


def test_the_checker_accepts_it_and_refuses_more(made, data, tmp_path):
    made.save(tmp_path / "c.json")
    found = flows.verify(tmp_path / "c.json", made.system, made.start)
    assert found.accepted, found.refused
    assert found.endless.floor == made.infinity.floor
    assert load_certificate(tmp_path / "c.json").infinity == made.infinity
    for floor, reason in ((0.5 + 1e-6, "may be nearer"), (-0.1, "not positive"), (0.0, "positive")):
        data["infinity"]["floor"] = floor.hex()
        assert reason in _refused(data, tmp_path / "broken.json")


def test_a_ball_of_starts_is_refused(data, tmp_path):
    data["radius"] = (1e-30).hex()
    assert _refused(data, tmp_path / "ball.json") == "layers near these do not balance"


def _checked(start, target=((1.0, 0.0), (0.0, 1.0))):
    parameters = {"d": 2, "field": "real", "regularization": (1.0).hex(), "depth": 2}
    parameters["target"] = [[x.hex() for x in row] for row in np.array(target).tolist()]
    flow = Layers(exact(parameters), np.array(start, float))
    return checked({"floor": (0.499).hex()}, flow)


def test_what_does_not_fail_is_refused_from_its_start_alone():
    assert _checked([TURN, FLIP]).floor == 0.499
    near = np.array([TURN, FLIP])
    near[0, 0, 0] = math.nextafter(0.5, 1)
    with pytest.raises(Refused, match="do not balance exactly"):
        _checked(near)
    for start, target in (([FLIP, FLIP], np.eye(2)), ([TURN, FLIP], np.diag([1.0, -1.0]))):
        with pytest.raises(Refused, match="has the sign of the target's"):
            _checked(start, target)
    with pytest.raises(Refused, match="no real layers"):
        checked({}, Means({"n": 1, "d": 1, "weights": [1.0]}, np.zeros((1, 1))))
    assert _checked(np.zeros((2, 2, 2))).floor == 0.499


def _found(start, **options):
    start = np.array(start)
    options = {"d": start.shape[-1], "depth": len(start), "regularization": 1.0, **options}
    system = flows.MatrixFactorization(**options)
    return failing(system.ball_flow(start), equations_of(system, start))


def test_which_starts_fail():
    assert _found([TURN, FLIP]) is not None
    assert _found([[[-0.5]], [[0.5]], [[0.5]]]).floor == pytest.approx(0.5, rel=1e-8)
    assert _found([[[0.0]], [[0.0]]]) is not None  # the saddle
    assert _found([[[-0.5]], [[0.5]]], target=[[3.0]]).floor == pytest.approx(4.5, rel=1e-8)
    assert _found([[[-0.5]], [[0.5]]], target=[[0.0]]) is None  # that is reached
    assert _found([FLIP, FLIP]) is None
    assert _found([[[-0.5]], [[0.25]]]) is None  # it does not balance
    assert _found([[[-0.5 + 0j]], [[0.5 + 0j]]], field="complex") is None


def test_signs_of_determinants_are_those_of_exact_arithmetic():
    random = np.random.default_rng(0)
    for size in (1, 2, 3, 4):
        for _ in range(20):
            matrix = random.integers(-3, 4, (size, size))
            sign = round(np.sign(np.linalg.det(matrix.astype(float)).round(6)))
            assert determinant(np.vectorize(lambda x: Fraction(int(x)), "O")(matrix)) == sign
