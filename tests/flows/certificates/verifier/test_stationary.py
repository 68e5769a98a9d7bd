"""The independent check of critical points: what is proved passes, a bit more is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from oracles.hidden_layer import flipped

import flows
from flows.certificates.stationary.proof import Setting
from flows.certificates.stationary.prove import prove

# Changes that must be seen: a stated bound is off by this part of it.
WIDER = 1.001


def made(k):
    rows = tuple(map(tuple, np.eye(k).tolist()))
    return prove(Setting("two_layer", rows, (1.0,) * k, (1.0,) * k), flipped(k))


MINIMUM, SADDLE = made(6), made(4)


@pytest.fixture
def checked(tmp_path):
    def check(data):
        path = tmp_path / "point.json"
        path.write_text(json.dumps(data))
        return flows.verify(path)

    return check


def hexadecimal(text, factor):
    return (factor * float.fromhex(text)).hex()


def moved(data, by):
    """The centre moved by a length in one coordinate."""
    rows = [list(row) for row in data["centre"]]
    rows[0][1] = f"{int(rows[0][1], 16) + int(by * 2 ** data['bits']):x}"
    return {**data, "centre": rows}


def test_a_minimum_is_accepted_with_its_theorem(tmp_path):
    MINIMUM.save(tmp_path / "point.json")
    found = flows.verify(tmp_path / "point.json")
    assert found.accepted and found.refused == ""
    point = found.point
    assert point.kind == "minimum" and point.hessian.index == 0
    assert "a strict local minimum in R^(6 x d) for every d >= 6" in point.statement
    assert point.students == pytest.approx(flipped(6), abs=1e-4)
    assert float(point.near) < 1e-30


def test_a_saddle_is_accepted_with_its_index(checked):
    found = checked(SADDLE.to_json())
    assert found.accepted and found.point.kind == "saddle"
    assert found.point.hessian.index == SADDLE.within.index > 0
    assert "has an eigenvalue <= -" in found.point.statement


@pytest.mark.parametrize("proof", [MINIMUM, SADDLE], ids=["minimum", "saddle"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: moved(d, 10 * float.fromhex(d["radius"])), "contract into itself"),
        (lambda d: {**d, "radius": hexadecimal(d["radius"], WIDER)}, "contract into itself"),
        (
            lambda d: {**d, "hessian": {**d["hessian"], "least": _beyond(d["hessian"])}},
            "the Hessian",
        ),
        (lambda d: {**d, "across": {**d["across"], "least": _beyond(d["across"])}}, "dimensions"),
        (lambda d: {**d, "loss": {**d["loss"], "value": _digit(d, 1)}}, "its loss is"),
        (lambda d: {**d, "loss": {**d["loss"], "value": _digit(d, -1)}}, "its loss is"),
        (
            lambda d: {**d, "loss": {**d["loss"], "radius": hexadecimal(d["loss"]["radius"], 0.5)}},
            "its loss is",
        ),
        (lambda d: _negated(d, "centre"), "contract into itself"),
        (lambda d: {**d, "teacher_weights": _less(d["teacher_weights"])}, "contract into itself"),
        (lambda d: {**d, "output_weights": _less(d["output_weights"])}, "contract into itself"),
    ],
    ids=["moved", "radius", "hessian", "across", "up", "down", "narrow", "sign", "b", "a"],
)
def test_a_file_that_says_a_bit_more_is_refused_with_the_reason(checked, proof, change, reason):
    data = json.loads(json.dumps(proof.to_json()))
    assert checked(data).accepted
    found = checked(change(data))
    assert not found.accepted and found.point is None
    assert reason in found.refused


def _beyond(stated):
    """A bound of the least eigenvalue that is stronger than the truth by a part of it."""
    least = float.fromhex(stated["least"])
    return (least + (WIDER - 1) * abs(least) * (1 if stated["index"] == 0 else -1)).hex()


def _digit(data, by):
    return f"{int(data['loss']['value'], 16) + by:x}"


def _negated(data, key):
    rows = [list(row) for row in data[key]]
    rows[0][0] = f"{-int(rows[0][0], 16):x}"
    return {**data, key: rows}


def _less(weights):
    """One weight a bit smaller: the loss of another network."""
    return [hexadecimal(weights[0], 0.999), *weights[1:]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "saddle"}, "it is a minimum"),
        ({"hessian": {"index": 1, "least": "-0x1p-9"}}, "the index of the Hessian is 0"),
        ({"across": {"index": 0}}, "other parts"),
        ({"slope": "0x1p-1"}, "contract into itself"),
        ({"slope": "0x1p+0"}, "no kink"),
        ({"system": "relu_neuron"}, "system is not one of two_layer"),
        ({"radius": "-0x1p-20"}, "radius is not positive"),
        ({"output_weights": ["0x1p+0"] * 5}, "do not fit"),
        ({"output_weights": ["0x0p+0", *["0x1p+0"] * 5]}, "a student has no weight"),
        ({"more": 1}, "other parts than a critical point"),
        ({"bits": 10}, "not between 64 and"),
        ({"precision": 10**9}, "not between 64 and"),
        ({"centre": [["1"], ["2"]]}, "do not fit"),
        ({"centre": "nothing"}, ""),
        ({"loss": {"value": "1", "bits": -5, "radius": "0x1p+0"}}, "too many digits"),
        ({"loss": 3}, ""),
    ],
)
def test_malformed_files_are_refused(checked, change, reason):
    found = checked({**MINIMUM.to_json(), **change})
    assert not found.accepted and reason in found.refused


@pytest.mark.parametrize("bend", [1e-3, 1e-6, 1e-12])
@pytest.mark.parametrize("radius", [1e-12, 1e-6])
def test_a_global_minimum_with_a_student_too_many_is_not_isolated(checked, bend, radius):
    """Halves of a teacher, bent so that no two neurons are parallel: Krawczyk's test fails."""
    students = np.array([[0.5, bend], [0.5, -bend], [bend, 1.0]])
    bits = MINIMUM.bits
    centre = tuple(tuple(round(x * 2.0**60) << (bits - 60) for x in row) for row in students)
    setting = Setting("two_layer", ((1.0, 0.0), (0.0, 1.0)), (1.0,) * 3, (1.0,) * 2)
    stated = replace(MINIMUM, setting=setting, centre=centre, radius=radius)
    found = checked(stated.to_json())
    assert not found.accepted
    assert "contract into itself" in found.refused or "may be parallel" in found.refused


def test_parallel_neurons_are_refused(checked):
    data = MINIMUM.to_json()
    rows = [list(row) for row in data["centre"]]
    rows[0] = rows[1]
    found = checked({**data, "centre": rows})
    assert not found.accepted and "may be parallel" in found.refused


def test_it_is_about_the_system_that_is_asked_for(tmp_path):
    MINIMUM.save(tmp_path / "point.json")
    for system, accepted in (
        (flows.TwoLayer(students=6, teachers=6), True),
        (flows.TwoLayer(students=6, teachers=6, d=9), True),
        (flows.TwoLayer(students=6, teachers=6, activation="leaky:0.001"), False),
        (flows.TwoLayer(students=6, teachers=6, output_weights=[1, 1, 1, 1, 1, 1.001]), False),
        (flows.TwoLayer(students=6, teachers=6, train_outputs=True), False),
        (flows.TwoLayer(students=6, teachers=5, d=6), False),
        (flows.ReLUNeuron(n=6, d=6), False),
    ):
        found = flows.verify(tmp_path / "point.json", system)
        assert found.accepted == accepted
        assert accepted or found.refused == "it is about another system"


def test_a_changed_character_never_makes_it_say_more(tmp_path):
    """One random character is another one or missing; what passes is true and no stronger."""
    rng = np.random.default_rng(0)
    text, path = json.dumps(made(3).to_json()), tmp_path / "point.json"
    path.write_text(text)
    truth = flows.verify(path).point
    passed = 0
    for place in rng.integers(len(text), size=60):
        letter = rng.choice(list('0123456789abcdef-."[,')) if rng.random() < 0.8 else ""
        path.write_text(text[:place] + letter + text[place + 1 :])
        try:
            found = flows.verify(path)
        except flows.InputError:
            continue  # no JSON any more
        if found.accepted and np.array_equal(found.point.teachers, truth.teachers):
            passed += 1
            assert found.point.hessian.index == truth.hessian.index
            assert found.point.hessian.least >= truth.hessian.least * WIDER
            assert found.point.radius <= truth.radius * WIDER
    assert passed < 60


def test_a_file_about_a_point_is_about_no_flow(tmp_path):
    MINIMUM.save(tmp_path / "point.json")
    found = flows.verify(tmp_path / "point.json", t_end=1.0)
    assert "about a critical point, not about a flow" in found.refused
