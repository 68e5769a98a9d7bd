"""Proofs of trained outputs, of the error function and of the square, and their check."""

import json
from dataclasses import replace

import numpy as np
import pytest
from oracles.hidden_layer import flipped

import flows
from flows.certificates.stationary.prove import Unproved
from flows.certificates.stationary.turns import gauge

ONES = np.ones(6)
# Of doubles that Newton's method leaves.
DOUBLES = 1e-7
# What is stated is off by so much.
OFF = 1e-3


def trained(w, a):
    return np.column_stack([w, a])


def near(*shape, size=0.1, seed=0):
    return np.eye(*shape) + size * np.random.default_rng(seed).normal(size=shape)


def layers(n, m, activation, **given):
    return flows.TwoLayer(n, m, activation=activation, **given)


SIGNED = {"teacher_weights": [1.0, 0.5, -0.3], "train_outputs": True}
CASES = {
    "ReLU, trained": (
        layers(6, 6, "relu", train_outputs=True),
        trained(flipped(6), ONES),
        "minimum",
    ),
    "leaky, trained": (
        layers(6, 6, "leaky:0.01", train_outputs=True),
        trained(flipped(6), ONES),
        "minimum",
    ),
    "ReLU, trained, a saddle": (
        layers(4, 4, "relu", train_outputs=True),
        trained(flipped(4), ONES[:4]),
        "saddle",
    ),
    "erf, the global minimum": (layers(2, 2, "erf"), near(2, 2), "minimum"),
    "erf, too few": (layers(1, 2, "erf", d=4), [[0.5, 0.6, 0.0, 0.0]], "minimum"),
    "erf, trained": (layers(1, 2, "erf", train_outputs=True), [[0.65, 0.65, 1.3]], "minimum"),
    "square, one student": (
        layers(1, 2, "quadratic", teacher_weights=[1.0, 0.5]),
        [[1.0, 0.1]],
        "minimum",
    ),
    "square, a saddle": (
        layers(2, 3, "quadratic", teacher_weights=[1.0, 0.5, 0.3], output_weights=[1.0, 0.7]),
        [[0.0, 0.9, 0.1], [0.1, 0.0, 0.8]],
        "saddle",
    ),
    "square, that turn": (layers(2, 2, "quadratic", d=3), near(2, 3, size=0.01), "minimum"),
    "square, more than teachers": (layers(3, 2, "quadratic"), near(3, 2), "minimum in its space"),
    "square, trained": (
        layers(3, 3, "quadratic", **SIGNED),
        trained(near(3, 3), [1.0, 0.7, -1.0]),
        "minimum",
    ),
}


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    system, start, kind = CASES[request.param]
    point = flows.stationary(system, start)
    return point, point.certify(), kind


@pytest.fixture
def checked(tmp_path):
    def check(data):
        path = tmp_path / "point.json"
        path.write_text(json.dumps(data))
        return flows.verify(path)

    return check


def test_a_point_is_proved_and_the_proof_is_accepted_with_its_theorem(case, checked):
    point, proof, kind = case
    assert proof.kind == kind and proof.within.index == point.index
    assert abs(float(proof.loss_ball) - point.loss) < DOUBLES
    # Moves that keep the loss are eigenvectors of zero, and the others are counted.
    zero = (np.abs(point.eigenvalues) <= point.resolution).sum()
    scales = len(proof.centre) * (proof.setting.trained and proof.setting.activation != "erf")
    off = point.system.parameters["d"] - len(proof.setting.teachers[0])
    assert zero == len(proof.moves) + scales or off
    found = checked(proof.to_json())
    assert found.accepted, found.refused
    assert found.point.kind == kind and found.point.is_of(point.system)
    assert not found.point.is_of(flows.TwoLayer(2, 2))
    said = found.point.statement
    assert ("scales" in said) == bool(scales and kind == "minimum")
    assert ("turns" in said) == bool(proof.moves and kind.startswith("minimum"))


def hexadecimal(text, by):
    return (float.fromhex(text) + by).hex()


def bound(stated, by):
    """A bound of the least eigenvalue that is stronger by a part of it."""
    least = float.fromhex(stated["least"])
    return {**stated, "least": (least + by * abs(least) * (1 - 2 * (stated["index"] > 0))).hex()}


def far(data):
    """The centre moved in one free coordinate by a quarter more than the box allows."""
    rows = [list(row) for row in data["centre"]]
    free = next(
        (i, k) for i, k in np.ndindex(len(rows), len(rows[0])) if [i, k] not in data.get("held", [])
    )
    by = max(OFF, 5 * float.fromhex(data["radius"]))
    value = int(rows[free[0]][free[1]], 16) + int(by * 2 ** data["bits"])
    rows[free[0]][free[1]] = f"{value:x}"
    return {**data, "centre": rows}


CHANGES = {
    "centre": far,
    "Hessian": lambda d: {**d, "hessian": bound(d["hessian"], OFF)},
    "loss": lambda d: {**d, "loss": {**d["loss"], "value": f"{int(d['loss']['value'], 16) + 1:x}"}},
    "a teacher's weight": lambda d: {
        **d,
        "teacher_weights": [hexadecimal(d["teacher_weights"][0], OFF), *d["teacher_weights"][1:]],
    },
    "index": lambda d: {**d, "hessian": {**d["hessian"], "index": d["hessian"]["index"] + 1}},
    "activation": lambda d: {
        **d,
        "activation": {"erf": "quadratic", "quadratic": "erf", "relu": "erf"}[
            d.get("activation", "relu")
        ],
    },
    "held": lambda d: {**d, "held": [[0, 0], *d.get("held", [])]},
    "kind": lambda d: {**d, "kind": "maximum"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_off_by_a_thousandth_is_refused(case, checked, change):
    data = json.loads(json.dumps(case[1].to_json()))
    found = checked(CHANGES[change](data))
    assert not found.accepted and found.point is None and found.refused


def test_further_dimensions_are_bounded_too_where_anything_is_said(case, checked):
    data = json.loads(json.dumps(case[1].to_json()))
    if data["across"] is not None:
        assert not checked({**data, "across": bound(data["across"], OFF)}).accepted
        silent = {**data, "across": None}
        assert not checked(silent).accepted or data["kind"] == "saddle"


def test_moves_that_are_not_told_by_held_coordinates_are_refused(checked):
    system, start, _ = CASES["square, trained"]
    data = json.loads(json.dumps(flows.stationary(system, start).certify().to_json()))
    moves, held = data["moves"], data["held"]
    assert len(moves) == 3
    for wrong in (
        {"moves": moves[:2]},
        {"moves": [moves[0], moves[0], moves[2]]},
        {"held": [held[0], held[0], held[1]]},
        {"held": [[0, 7], *held[1:]]},
        {"moves": [[1, 0], *moves[1:]]},
        {"moves": moves[:2], "held": held[:2]},
    ):
        assert not checked({**data, **wrong}).accepted


def test_moves_of_the_square_leave_its_loss_as_it_is_and_others_do_not():
    system, _, _ = CASES["square, a saddle"]
    w = np.random.default_rng(1).normal(size=(2, 3))
    a, step = system.output_weights, 1e-5
    kept = np.array([a[1] * w[1], -a[0] * w[0]])
    rate = (system.loss(w + step * kept) - system.loss(w - step * kept)) / (2 * step)
    assert abs(rate) < 1e-8
    other = np.array([a[0] * w[1], -a[1] * w[0]])
    assert abs(system.loss(w + step * other) - system.loss(w - step * other)) / (2 * step) > 1e-3
    point = flows.stationary(system, CASES["square, a saddle"][1])
    held, moves = gauge(point.certify().setting, point.state)
    assert moves == ((0, 1),) and len(held) == 1


def test_the_trained_minimum_is_one_along_no_scale_and_a_strict_one_where_balances_are_kept():
    system, start, _ = CASES["ReLU, trained"]
    point = flows.stationary(system, start)
    c = np.linspace(0.5, 2.0, 6)
    moved = point.state * np.column_stack([*[c] * 6, 1 / c])
    assert abs(system.loss(moved) - point.loss) < 1e-15
    balance = lambda s: s[:, 6] ** 2 - (s[:, :6] ** 2).sum(axis=1)  # noqa: E731
    assert np.abs(balance(moved) - balance(point.state))[c != 1].min() > 0.01


def test_what_is_not_a_strict_minimum_or_a_saddle_is_refused_with_the_reason():
    zero = flows.stationary(flows.TwoLayer(2, 2, activation="quadratic"), np.zeros((2, 2)))
    assert zero.kind == "maximum"
    with pytest.raises(Unproved, match="it is a maximum in its space"):
        zero.certify()
    # One student more than teachers, erf: a student without output leaves a surface of minima.
    more = flows.TwoLayer(3, 2, activation="erf", train_outputs=True)
    point = flows.stationary(more, trained(np.vstack([np.eye(2), [[0.3, 0.2]]]), [1.0, 1.0, 0.0]))
    with pytest.raises(Unproved):
        point.certify()
    # Beyond the dimensions of the teachers three students of two have directions without curvature.
    wide = flows.TwoLayer(3, 2, d=3, activation="quadratic")
    point = flows.stationary(wide, np.column_stack([near(3, 2), np.zeros(3)]))
    with pytest.raises(Unproved, match="beyond those of the teachers"):
        replace(point, state=point.state * [1, 1, 0]).certify()
