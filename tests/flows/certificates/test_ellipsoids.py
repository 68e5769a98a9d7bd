"""Tubes of balls of starts that are ellipsoids: runs stay in them; what is altered is refused."""

import json
import math
import re

import numpy as np
import pytest
from flint import arb
from oracles.certified.changed import refusal

import flows
from flows.certificates import axes, ellipsoid
from flows.certificates.bounds import segment_of
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.own_flow import equations_of
from flows.certificates.steps import Steps, bits_for
from flows.certificates.verifier import ellipsoid as checker
from flows.certificates.verifier import relu_neuron
from flows.certificates.verifier.positive import perron
from flows.core.balls import precision

RADIUS, END = 1e-3, 0.3
# Runs of a relative tolerance of 1e-12 are right to so much.
RUN = 1e-10
# Central differences with steps of 2^-60 in 200 bits are right to so much; and rounding of doubles.
DIFFERENCE, ROUNDED = 1e-30, 1e-12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    # The shorter neuron turns by a right angle, and aligns with the other one at t = 0.12.
    system = flows.ReLUNeuron(n=2, d=2)
    certificate = flows.certify(system, system.initial(0.1, 4), END, digits=8, radius=RADIUS)
    path = tmp_path_factory.mktemp("ellipsoids") / "c.json"
    certificate.save(path)
    return certificate, path


def axes_at_end(rows, bits):
    """The matrix of an ellipsoid where its piece ends."""
    return np.array([arb((sum(row), -bits)) for row in rows]).reshape(2 * (math.isqrt(len(rows)),))


def ends(certificate):
    """Time, middle and axes where each piece ends."""
    bits = certificate.bits
    with precision(certificate.precision):
        for piece in certificate.pieces:
            middle = [float(arb((sum(row), -bits))) for row in piece.rows]
            matrix = axes_at_end(piece.around.rows, bits)
            c = np.vectorize(float, otypes="d")(matrix)
            yield float(arb((piece.end, -bits)).expm1()), np.array(middle), c, piece.around


def directions(count, size):
    steps = np.random.default_rng(0).normal(size=(count, size))
    return steps / np.linalg.norm(steps, axis=1)[:, None]


def test_runs_from_the_sphere_stay_in_the_ellipsoids_and_fill_them(made):
    certificate = made[0]
    found = list(ends(certificate))
    times = [t for t, *_ in found]
    flow = certificate.flow()
    with precision(100):
        columns = [
            np.ravel([[float(x) for x in row] for row in flow.restore([arb(y) for y in unit])])
            for unit in np.eye(4).tolist()
        ]
    frame = np.array(columns)  # frame coordinates are `frame @ w`
    fullest = np.zeros(len(found))
    for step in directions(16, 4):
        start = certificate.start + RADIUS * step.reshape(2, 2)
        run = flows.integrate(
            certificate.system, start, t_end=times[-1], t_eval=times, rtol=1e-12, atol=1e-15
        )
        states = run.state[1:] if len(run.t) > len(times) else run.state
        for k, (_, middle, c, around) in enumerate(found):
            y = np.linalg.solve(c, frame @ states[k].ravel() - middle)
            assert np.linalg.norm(y) <= around.left + RUN
            assert np.linalg.norm(y) <= around.reach
            fullest[k] = max(fullest[k], np.linalg.norm(y) / around.left)
    # A radius that were two thirds as large would be left: the ellipsoids follow the flow.
    assert (fullest > 2 / 3).all()
    assert found[-1][3].left < 1.3 * RADIUS


def test_the_checker_accepts_the_file_and_it_is_read_back(made):
    certificate, path = made
    found = flows.verify(path, certificate.system, certificate.start)
    assert found.accepted, found.refused
    assert found.radius == RADIUS
    assert load_certificate(path).pieces == certificate.pieces
    assert certificate.final_error < 3 * RADIUS


def scaled(text, factor):
    return (factor * float.fromhex(text)).hex()


def number(key, factor, piece=5):
    def change(data):
        data["pieces"][piece][key] = scaled(data["pieces"][piece][key], factor)

    return change


def axes_of(factor, piece=5, rows=slice(None)):
    """Axes that are longer by a factor."""

    def change(data):
        stated = data["pieces"][piece]["axes"]
        stated[rows] = [[f"{int(int(c, 16) * factor):x}" for c in row] for row in stated[rows]]

    return change


def radius(factor):
    def change(data):
        data["radius"] = (factor * RADIUS).hex()

    return change


def growth(less, piece=5):
    def change(data):
        stated = data["pieces"][piece]["growth"]
        stated[0] = (float.fromhex(stated[0]) - less).hex()

    return change


def shape(data):
    data["pieces"][3]["axes"].pop()


def none(data):
    data["pieces"][3]["axes"] = [["0"] * 9] * 16


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (radius(1.01), "piece 0: the (flow may leave the tube|error at its end is larger)"),
        (axes_of(1 - 1e-3), "piece 5: the error at its end is larger"),
        (axes_of(1 + 2e-3), "piece 5: the ellipsoid is wider"),
        (axes_of(0.98, rows=slice(4)), "piece 5: the error at its end is larger"),
        (number("left", 0.99), "piece 5: the error at its end is larger"),
        (number("reach", 0.9), "piece 5: the flow may leave the tube"),
        (number("tube", 0.98), "piece 5: the ellipsoid is wider"),
        (number("error", 0.98), "piece 5: the ellipsoid is wider at its end"),
        (number("reach", -1.0), "piece 5"),
        (growth(0.5), "piece 5: errors may grow faster"),
        (shape, "piece 3: its axes have a wrong shape"),
        (none, "piece 3: its axes have no inverse where it begins"),
    ],
)
def test_what_is_altered_a_little_is_refused(made, tmp_path, change, reason):
    refused = refusal(made[1], tmp_path, change)
    assert re.search(reason, refused), refused


def test_it_is_the_second_derivatives_for_which_a_smaller_growth_is_refused(
    made, tmp_path, monkeypatch
):
    data = json.loads(made[1].read_text())
    last = data["pieces"][-1]
    last["growth"] = [scaled(nu, 0.7) for nu in last["growth"]]
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert "errors may grow faster" in flows.verify(tmp_path / "c.json").refused
    monkeypatch.setattr(checker, "together", lambda matrices: arb(0))
    assert flows.verify(tmp_path / "c.json").accepted


def test_a_system_without_derivatives_of_its_hessian_has_no_ellipsoids(made, tmp_path):
    system = flows.MatrixFactorization(d=1, depth=2, regularization=1.0)
    start = np.array([[[0.5]], [[1.25]]])
    flows.certify(system, start, 0.1, digits=8, radius=1e-3).save(tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text())
    assert not any("axes" in piece for piece in data["pieces"])
    unit = [[f"{1 << data['bits']:x}", "0", "0"], ["0"] * 3]
    for piece in data["pieces"]:
        piece |= {
            "axes": [unit[i != k] for i in range(2) for k in range(2)],
            "reach": piece["tube"],
            "left": piece["error"],
            "tube": scaled(piece["tube"], 2),
            "error": scaled(piece["error"], 2),
        }
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert "tubes cannot be ellipsoids" in flows.verify(tmp_path / "c.json").refused


NEURONS = {
    "plane": [[-0.03, 0.04], [0.5, -0.1]],
    "space": [[-0.03, 0.04, 0.02], [0.5, -0.1, 0.3]],
    "three": [[-0.03, 0.04, 0.2], [0.5, -0.1, 0.3], [0.1, 0.7, -0.2]],
}


@pytest.fixture(params=NEURONS)
def neurons(request):
    start = np.array(NEURONS[request.param])
    system = flows.ReLUNeuron(n=len(start), d=start.shape[1])
    parameters = {"n": system.n, "d": system.d, "teacher": list(system.teacher)}
    return system.ball_flow(start), relu_neuron.Neurons(parameters, start)


def point(flow):
    return [x.mid() for x in flow.start]


def unit_moves(size):
    return np.eye(size, dtype=object) * arb(1)


def test_derivatives_of_the_hessian_are_those_of_its_differences(neurons):
    flow, equations = neurons
    with precision(200):
        x, h, size = point(flow), arb(2) ** -60, flow.size
        still, moves = np.array([[arb(0)]] * size), unit_moves(size)
        slopes = equations.bending(np.array(x), moves, still)
        for k, move in enumerate(moves):
            ahead, behind = (
                np.array(
                    flow.hessian([a + s * h * b for a, b in zip(x, move, strict=True)]).tolist()
                )
                for s in (1, -1)
            )
            gap = np.abs((ahead - behind) / (2 * h) - slopes[k])
            assert max(float(y.upper()) for y in gap.ravel()) < DIFFERENCE
            assert max(float(y.upper()) for y in np.abs(slopes[k]).ravel()) > 0.1


def test_the_derivatives_near_a_box_are_enclosed(neurons):
    flow, equations = neurons
    random = np.random.default_rng(1)
    with precision(80):
        x, size = point(flow), flow.size
        spread = random.normal(size=(size, 3)) * 1e-3
        balls = np.array([[arb(c) for c in row] for row in spread.tolist()])
        box, moves = [c + arb(0, 1e-4) for c in x], unit_moves(size)
        wide = equations.bending(np.array(box), moves, balls)
        still = np.array([[arb(0)]] * size)
        for y in directions(6, 3):
            shift = spread @ y + random.uniform(-1e-4, 1e-4, size)
            here = [a + arb(b) for a, b in zip(x, shift.tolist(), strict=True)]
            thin = equations.bending(np.array(here), moves, still)
            pairs = zip(wide.ravel(), thin.ravel(), strict=True)
            assert all(a.contains(b.mid()) for a, b in pairs)
        outside = equations.bending(np.array(x) + arb(0.05), moves, still)
        pairs = zip(wide.ravel(), outside.ravel(), strict=True)
        assert not all(a.contains(b.mid()) for a, b in pairs)


def enclosed_on(start, radii, moves):
    """Whether derivatives are enclosed on a box of neurons at states that fill it."""
    size = start.size
    system = flows.ReLUNeuron(n=2, d=start.shape[1])
    near = start + 0.01 * np.eye(*start.shape)[::-1]  # of a span of all directions
    if start.shape[1] == 3:
        near[1, 2] = 0.1
    parameters = {"n": 2, "d": system.d, "teacher": list(system.teacher)}
    equations = relu_neuron.Neurons(parameters, near)
    with precision(80):
        box = [
            arb(c, r) for c, r in zip(start.ravel().tolist(), radii.ravel().tolist(), strict=True)
        ]
        still = np.array([[arb(0)]] * size)
        wide = equations.bending(np.array(box), moves, still)
        for step in directions(16, size):
            here = [arb(c) for c in (start.ravel() + radii.ravel() * step).tolist()]
            thin = equations.bending(np.array(here), moves, still)
            pairs = zip(wide.ravel(), thin.ravel(), strict=True)
            assert all(a.contains(b.mid()) for a, b in pairs)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("q", [2, 3])
@pytest.mark.parametrize("off", [0.0, 2e-4])
def test_where_neurons_align_the_derivatives_of_all_sides_are_enclosed(sign, q, off):
    rest = [0.0] * (q - 2)
    start = np.array([[0.3, 0.4, *rest], [sign * 0.6 + off, sign * 0.8, *rest]])
    enclosed_on(start, np.full((2, q), 1e-3), unit_moves(2 * q))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_plane_of_nearly_aligned_neurons_turns_by_more_than_they_do(sign):
    # The second neuron moves by 0.001 across the plane, which turns by a tenth.
    start, radii = np.array([[1.0, 0.0, 0.0], [sign, 0.01, 0.0]]), np.zeros((2, 3))
    radii[1, 2] = 1e-3
    enclosed_on(start, radii, unit_moves(6))


def test_axes_follow_the_linear_flow():
    system = flows.ReLUNeuron(n=2, d=2)
    start, bits = system.initial(0.1, 4), bits_for(8, 1.0)
    with precision(bits + 64):
        steps = Steps(system.ball_flow(start), equations_of(system, start), bits, 8, 1e-9)
        steps.segment(1 << bits)
        p = steps.before
        rows, shape = axes.followed(steps.flow, steps.equations, p, np.eye(4), 1e-9)
        c = np.vectorize(float, otypes="d")(axes_at_end(rows, bits))
        tube = checker.Ellipsoid(
            np.array([[arb((k, -bits)) for k in row] for row in rows]), arb(1e-9), arb(0)
        )
        growth, thin = ellipsoid.growth(tube, steps.equations, segment_of(p), 4, 80)
    assert np.abs(c @ c.T - shape).max() < ROUNDED * 1e4
    assert 1.0 < float(thin) * np.linalg.svd(c)[1].min() < 8.0
    # The Euclidean rate is the largest eigenvalue of the Jacobian, 0.8: the axes take it.
    assert all(0 < nu < 0.02 for nu in growth)


def test_radii_of_matrices_count_by_their_norms():
    random = np.random.default_rng(2)
    thin = [random.normal(size=(3, 3)) for _ in range(3)]
    matrices = [np.array([[arb(c, 1e-3) for c in row] for row in (m + m.T).tolist()]) for m in thin]
    with precision(80):
        bound = float(checker.together(matrices))
    largest = 0.0
    for y in directions(300, 3):
        total = sum(a * (m + m.T) for a, m in zip(y, thin, strict=True))
        largest = max(largest, np.abs(np.linalg.eigvalsh(total)).max())
    assert largest <= bound < 2 * largest
    assert perron(np.full((3, 3), 1e-3)) == pytest.approx(3e-3, rel=1e-6)


def test_a_start_whose_neuron_may_reach_zero_within_its_ball_has_no_proof():
    system = flows.ReLUNeuron(n=2, d=2)
    reason = "a neuron may be at zero|no bound of the growth of an ellipsoid"
    with pytest.raises(Uncertified, match=reason) as refused:
        flows.certify(system, system.initial(0.1, 4), 2.0, digits=8, radius=0.03)
    assert "\n" not in str(refused.value)
    assert "as the starts within 0.03 are enclosed within" in str(refused.value)
