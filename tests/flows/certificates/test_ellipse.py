"""The field on the boundary of an ellipse, and growth between a few points: maker and checker."""

import copy
import functools
import json
import math

import numpy as np
import pytest
from flint import acb, arb
from oracles.certificates import put, scaled

import flows
from flows.certificates.bounds import ARCS
from flows.certificates.verifier import boundary
from flows.certificates.verifier.curve import at
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.relu_neuron import Neurons
from flows.certificates.verifier.segment import Segment
from flows.core.balls import precision
from flows.systems.relu_neuron import enclosed_field

# Doubles and sampling: bounds may be missed by roundings of the states.
ROUNDED = 1e-9
# A bound of a sum of terms is no more than so many times what random states reach.
SHARP = 30.0
# Of the limit of ``t^3 L`` with ten digits of the flow, which vary at the last bits of its doubles.
LIMIT = 1e-6


@functools.cache
def made():
    system = flows.ReLUNeuron(n=3, d=4, teacher=[1.0, 2.0, -0.5, 0.25])
    return flows.certify(system, system.initial(0.3, 1), 2.0, digits=10)


def complex_field(w, v):
    """Minus the gradient of equation 4 at complex vectors, by the arc cosine."""
    rows = np.vstack([w, v])
    mu = [1.0] * len(w) + [-1.0]
    rate = np.tile((v - w.sum(axis=0)) / 2, (len(w), 1))
    sizes = np.sqrt((rows * rows).sum(axis=1))
    for a in range(len(w)):
        for b in range(len(rows)):
            if a != b:
                theta = np.arccos(rows[a] @ rows[b] / (sizes[a] * sizes[b]))
                turned = np.sin(theta) * sizes[b] / sizes[a] * rows[a] - theta * rows[b]
                rate[a] -= mu[b] * turned / (2 * np.pi)
    return rate


def balls(z):
    return [acb(complex(c)) for c in np.ravel(z)]


def unknown(i, j):
    """Of the minors of two neurons."""
    return arb.pos_inf()


def bounded(w, v, off, moved=unknown, reach=0.0):
    rows = np.array(balls(np.vstack([w, v]))).reshape(-1, len(v))
    return boundary.near(rows, [arb(x) for x in off], [1] * len(w) + [-1], arb(reach), moved)


def test_the_field_near_complex_neurons_is_below_its_bound_and_not_far():
    random = np.random.default_rng(2)
    v = np.array([1.5, 0.0, 0.0, 0.0])
    for _ in range(6):
        w = random.normal(size=(3, 4)) + 0.05j * random.normal(size=(3, 4))
        off = random.uniform(0.002, 0.01, size=3)
        with precision(100):
            found = float(bounded(w, v, off))
        seen = 0.0
        for _ in range(60):
            move = random.normal(size=w.shape) + 1j * random.normal(size=w.shape)
            move *= (off / np.linalg.norm(move, axis=1))[:, None]
            seen = max(seen, np.linalg.norm(complex_field(w + move, v)))
        middle = np.linalg.norm(complex_field(w, v))
        assert middle < seen <= found + ROUNDED
        assert found - middle < SHARP * (seen - middle)


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_nearly_aligned_and_opposite_neurons_are_bounded_alike(way):
    v = np.array([1.0, 0.0, 0.0])
    w = np.array([[way, 0.02, 0.0]]) + 0j
    with precision(100):
        assert bounded(w, v, [0.004]).is_finite()
        with pytest.raises(Refused, match="may"):
            bounded(w, v, [0.02])


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_neurons_that_nearly_agree_are_bounded_by_how_their_minors_move(way):
    # Each moves by 1e-2 along itself and by 1e-7 across, where they are 1e-6 apart.
    v, w = np.array([1.0, 0.0, 0.0]), np.array([[way, 1e-6, 0.0], [0.5, 0.0, 1e-6]]) + 0j
    along, across, random = 1e-2, 1e-7, np.random.default_rng(3)
    moved = {(0, 1): 4e-7, (0, 2): 2e-7, (1, 2): 2e-7}
    with precision(100):
        found = float(bounded(w, v, [along, along], lambda i, j: arb(moved[i, j])))
        with pytest.raises(Refused, match="may"):
            bounded(w, v, [along, along], lambda i, j: arb(1e-6))
    seen = 0.0
    for _ in range(60):
        turns = np.exp(2j * np.pi * random.uniform(size=(2, 3)))
        seen = max(seen, np.linalg.norm(complex_field(w + turns * [along, across, across], v)))
    middle = np.linalg.norm(complex_field(w, v))
    assert middle < seen <= found + ROUNDED
    assert found - middle < SHARP * (seen - middle)


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_the_reach_is_added_to_how_minors_move(way):
    v, w = np.array([1.0, 0.0, 0.0]), np.array([[way, 1e-3, 0.0], [0.5, 0.0, 1e-3]]) + 0j
    off, found = [0.005, 0.01], []
    with precision(100):
        for reach in (0.0, 1e-5, 1e-4):
            found.append(float(bounded(w, v, off, lambda i, j: arb(0), reach)))
    assert found[0] < found[1] < found[2]


def test_a_chord_of_a_small_angle_is_off_by_its_derivative():
    # X = (1 - sqrt(1 - sigma))/2: so much, to first order, of a numerator that is off by 1e-6.
    for sigma in (0.01, 0.2):
        true = 1e-6 / (4 * math.sqrt(1 - sigma))
        with precision(100):
            found = float(boundary._of_area(arb(1e-6), acb(sigma), arb(1), arb(0)))
        assert true <= found < true * (1 + 1e-5)


def test_a_chord_is_off_by_what_minors_and_lengths_are():
    # Of (1, 0, 0) and (1, x, 0) the minor is x, and X about x^2/4.
    x, moved = 1e-3, 2e-4
    true = ((x + moved) ** 2 - x**2) / 4
    for lost in (0.0, 0.01):
        with precision(100):
            sigma, square = arb(x**2), arb((1 + lost) ** 4 - 1)
            for factor, holds in ((1.0, True), (0.95, False)):
                squared = (2 * x + factor * moved) * factor * moved
                found = boundary._of_area(arb(squared), acb(sigma), arb(1), square)
                most = (true + x**2 / 4 * ((1 - lost) ** -4 - 1)) * 1.1
                assert (float(found) >= true * (1 - x**2)) == (holds or lost > 0)
                assert float(found) <= most


def test_a_length_that_is_known_to_be_small_is_one():
    with precision(100):
        wide = np.array([[acb(arb(0, 1e-20), arb(0, 1e-20)), acb(3, 4)]])
        assert abs(boundary._norms(wide)[0] - 5) < ROUNDED


def test_minors_move_on_an_arc_by_what_is_said():
    system = flows.ReLUNeuron(n=2, d=3, teacher=[1.0, 0.0, 0.0])
    w = np.array([0.25, 0.1, 0.13])
    certificate = flows.certify(system, [w, w + np.array([-3e-7, 9e-7, 4e-7])], 1.0, digits=10)
    flow, piece, random = certificate.flow(), certificate.pieces[2], np.random.default_rng(0)
    rows = np.array([[arb((c, -certificate.bits)) for c in row] for row in piece.rows])
    checker = Neurons({"n": 2, "d": 3, "teacher": list(system.teacher)}, certificate.start)
    with precision(certificate.precision):
        turn, rho = np.pi / (2 * piece.arcs), piece.rho
        steps = [k * turn * (rho**k + rho**-k) / 2 for k in range(2 * len(piece.rows[0]))]
        values = np.vectorize(float)(rows)
        for i, j in flow.pairs():
            squares = (checker.minors(rows, i, j) ** 2).sum(axis=0)
            found = sum(float(c.sqrt()) * m for c, m in zip(squares, steps, strict=False))
            seen = 0.0
            for arc in range(piece.arcs):
                places = (2 * arc + 1) * turn + np.array([0.0, *random.uniform(-turn, turn, 5)])
                z = piece.rho * np.exp(1j * places)
                states = np.polynomial.chebyshev.chebval((z + 1 / z) / 2, values.T)
                a, b = (
                    states[3 * k : 3 * k + 3] if k < 2 else np.outer([1.0, 0, 0], np.ones(6))
                    for k in (i, j)
                )
                area = np.cross(a, b, axis=0)
                seen = max(seen, np.linalg.norm(area[:, 1:] - area[:, :1], axis=0).max())
            assert seen <= found + ROUNDED
            assert found < SHARP * seen + ROUNDED


def test_states_that_may_leave_the_domain_of_a_length_or_an_angle_are_refused():
    v = np.array([1.0, 0.0, 0.0])
    still = np.array([[0.0, 1.0, 0.0]], dtype=complex)
    with precision(100):
        assert bounded(still, v, [0.1]).is_finite()
        for w, off in (
            (still, 0.99),  # it may be at zero
            (1j * still, 0.0),  # the square of its length is -1
            (np.array([[1.0, 0.1, 0.0]]) + 0j, 0.1),  # it may be aligned
            (np.array([[-1.0, 0.1, 0.0]]) + 0j, 0.1),
            (np.array([[1.0, 0.1j, 0.0]]), 0.0),  # X = |u - v|^2/4 is negative
            (np.array([[-1.0, 0.1j, 0.0]]), 0.0),  # or above one
        ):
            with pytest.raises(Refused, match="may"):
                bounded(w, v, [off])


def test_growth_between_the_points_bounds_that_of_every_state_in_the_tube():
    certificate, random = made(), np.random.default_rng(0)
    flow, system = certificate.flow(), certificate.system
    assert {piece.arcs for piece in certificate.pieces} <= {*ARCS}
    for index in range(0, len(certificate.pieces), 3):
        piece = certificate.pieces[index]
        span, parts = certificate.span(index), len(piece.growth)
        with precision(certificate.precision):
            for part, nu in enumerate(piece.growth):
                s = (2 * part + 1 - parts + random.uniform(-1, 1)) / parts
                tau = float(span.centre + span.half * arb(s))
                x = certificate.coordinates(np.expm1(tau))
                w = [[float(c.mid()) for c in row] for row in flow.restore(x)]
                move = random.normal(size=(3, 4))
                w += piece.tube * move / np.linalg.norm(move)
                growth = -np.exp(tau) * np.linalg.eigvalsh(system.hessian(w))[0]
                assert growth < nu + ROUNDED
                assert nu < growth + 2.0


@pytest.mark.parametrize("parts", [1, 2])
def test_the_checker_holds_the_hessian_on_all_of_a_part_up_to_its_ends(parts):
    certificate = made()
    first, piece = (certificate.pieces[k] for k in (1, 2))
    with precision(certificate.precision):
        rows = [[arb((c, -certificate.bits)) for c in row] for row in piece.rows]
        ends = (arb((x.end, -certificate.bits)) for x in (first, piece))
        system, segment = certificate.system, Segment(np.array(rows), *ends)
        parameters = {"n": 3, "d": 4, "teacher": list(system.teacher)}
        flow = Neurons(parameters, certificate.start)
        on = boundary.Arcs(piece.to_json())
        on.largest(flow, segment, arb(piece.rho))
        for part in range(parts):
            box, _ = on.forms(flow, segment, part, parts)
            for place in (-1, -0.5, 0, 0.5, 1):
                inside = flow.hessian(at(segment.p, arb(2 * part + 1 - parts + place) / parts))
                off = on.rest.upper() * arb(0, 1)
                assert np.vectorize(lambda x, y, off=off: (x + off).contains(y.mid()))(
                    box, inside
                ).all()
        assert on.rest < 1e-2


def test_the_speed_of_time_counts_on_the_whole_ellipse():
    class Still:
        """A field of length one, whatever the state, without a Hessian."""

        width = 1

        def near(self, x, off, reach, moved):
            return arb(1)

        def hessian(self, x):
            return np.array([[arb(0)]])

    # e^tau is largest at the right end of the ellipse, and an arc has some width.
    rho, centre, half = 4.0, 3.0, 2.0
    segment = Segment(np.array([[arb(0)] * 3]), arb(centre - half), arb(centre + half))
    fastest = math.exp(centre + half * (rho + 1 / rho) / 2)
    speed, size = boundary.most(segment, Still(), arb(rho), 48, arb(1e-3))
    assert fastest <= speed.lower()
    assert speed.upper() <= 1.5 * fastest
    assert size == 1
    stated = {"tube": "0x0p+0", "error": "0x0p+0", "arcs": 48, "points": 2, "reach": "0x1p-10"}
    assert fastest <= boundary.Arcs(stated).largest(Still(), segment, arb(rho)).lower()


CORRUPTIONS = {
    "too few arcs": (put("pieces", 1, "arcs", to=2), "may"),
    "one arc": (put("pieces", 1, "arcs", to=1), "its ellipse is not stated"),
    "arcs that are no number": (put("pieces", 1, "arcs", to="12"), "its ellipse is not stated"),
    "a wider ellipse": (put("pieces", 1, "rho", to=scaled(4.0)), "may"),
    "a narrower ellipse": (put("pieces", 1, "rho", to=scaled(0.7)), "the defect is larger"),
    "a longer reach": (put("pieces", 1, "reach", to=scaled(30.0)), "may"),
    "a reach within the tube": (put("pieces", 1, "reach", to="0x1p-60"), "the tube reaches"),
    "too few points": (put("pieces", 1, "points", to=3), "errors may grow faster"),
    "a tube of negative radius": (put("pieces", 1, "tube", to="-0x1p-90"), "the tube reaches"),
    "one point": (put("pieces", 1, "points", to=1), "its points are not stated"),
    "slower growth": (
        put("pieces", 1, "growth", to=lambda g: [(float.fromhex(x) - 0.3).hex() for x in g]),
        "errors may grow faster",
    ),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_checker_refuses_what_is_wrong_about_a_boundary(name, tmp_path):
    change, reason = CORRUPTIONS[name]
    data = copy.deepcopy(made().to_json())
    data["pieces"] = data["pieces"][:2]
    data["t_end"] = (0.01).hex()
    file = tmp_path / "c.json"
    file.write_text(json.dumps(data))
    assert flows.verify(file).accepted
    change(data)
    file.write_text(json.dumps(data))
    found = flows.verify(file)
    assert not found.accepted
    assert "piece 1: " in found.refused
    assert reason in found.refused


def test_a_boundary_decides_nothing_in_the_plane(tmp_path):
    system = flows.ReLUNeuron(n=2, d=2)
    data = flows.certify(system, system.initial(0.1, 0), 0.01, digits=8).to_json()
    data["pieces"][0] |= {"arcs": 12, "reach": (1e-3).hex(), "points": 9}
    file = tmp_path / "c.json"
    file.write_text(json.dumps(data))
    assert "in the plane" in flows.verify(file).refused


def test_the_dimension_beyond_the_span_changes_no_piece():
    system, start = made().system, made().start
    wide = flows.ReLUNeuron(n=3, d=60, teacher=[*system.teacher, *[0.0] * 56])
    longer = np.hstack([start, np.zeros((3, 56))])
    small, found = (
        flows.certify(*problem, 0.1, digits=10) for problem in ((system, start), (wide, longer))
    )
    assert found.pieces == small.pieces


def test_a_basis_with_one_wrong_entry_is_refused(tmp_path, monkeypatch):
    made().save(tmp_path / "c.json")
    assert flows.verify(tmp_path / "c.json").accepted
    right = enclosed_field.orthogonal

    def wrong(vectors):
        basis = right(vectors)
        basis[2][1] += enclosed_field.rational(1e-12)
        return basis

    monkeypatch.setattr(enclosed_field, "orthogonal", wrong)
    system, start = made().system, made().start
    # One piece: with more the maker chases, piece after piece, a field that no solution has.
    flows.certify(system, start, 1e-5, digits=14).save(tmp_path / "wrong.json")
    assert "piece 0: " in flows.verify(tmp_path / "wrong.json").refused


def test_a_rotation_of_start_and_teacher_keeps_the_limit():
    random, teacher = np.random.default_rng(0), np.eye(10)[0]
    turn = np.linalg.qr(random.normal(size=(10, 10)))[0]
    start, limits = flows.ReLUNeuron(n=2, d=10).initial(0.1, 0), []
    for w, v in ((start, teacher), (start @ turn.T, turn @ teacher)):
        system = flows.ReLUNeuron(n=2, d=10, teacher=v.tolist())
        limits.append(flows.certify(system, w, math.inf, digits=10).infinity.constant)
    assert limits[0].overlaps(limits[1])
    assert limits[0].rad() < LIMIT


def test_a_box_of_lengths_of_a_neuron_opposite_to_the_teacher_has_a_bounded_field():
    # As such a neuron falls to zero: it turns by far less than its length changes.
    flow = flows.ReLUNeuron(2, 3).ball_flow(np.array([[-1e-3, 8e-6, 2e-6], [0.5, 0.1, 0.2]]))
    side, whole = arb(0, 0.1), [acb(x) for x in flow.start]
    change = acb(1 + side, side)
    box = [change * x for x in whole[: flow.q]] + whole[flow.q :]
    for scale in (0.9, 1.0, acb(1, 0.1)):
        rows = [scale * x for x in whole[: flow.q]] + whole[flow.q :]
        inside = flow.field(rows, ())
        assert all(x.contains(y) for x, y in zip(flow.field(box, ()), inside, strict=True))
