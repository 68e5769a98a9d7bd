"""The theorem of two neurons on an open set of states: what is proved of it, and what is not."""

import json

import numpy as np
import pytest

import flows
from flows.certificates.certify import Uncertified

SIZES = {"reach": 0.05, "across": 0.3, "along": 0.1, "apart": 0.04}
# Runs are right to so much of their loss.
RUN = 1e-6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    late = flows.late_states(d=2, **SIZES)
    path = tmp_path_factory.mktemp("late") / "late.json"
    late.save(path)
    return late, path


def _state(random, d):
    """A state of the set, and its distance across the teacher."""
    zeta = SIZES["reach"] * random.uniform(0.2, 1.0)
    x, turn = random.uniform(-0.3, 0.3), random.normal(size=d - 1)
    total = 1 + SIZES["along"] * zeta * random.uniform(-1, 1)
    b = random.uniform(-SIZES["apart"], SIZES["apart"])
    across = zeta * np.outer([x + 1, x - 1], turn / np.linalg.norm(turn)) / 2
    return np.column_stack([[(total + b) / 2, (total - b) / 2], across]), zeta, abs(b)


def test_flows_from_the_set_obey_its_constants_and_its_limit(made):
    late, random, system = made[0], np.random.default_rng(0), flows.ReLUNeuron(n=2, d=2)
    for _ in range(3):
        start, zeta, b = _state(random, 2)
        (box,) = [box for box in late.theorem.boxes if box.low <= b <= box.high]
        times = np.geomspace(1e-2, 1e9, 40)
        run = flows.integrate(system, start, t_end=times[-1], t_eval=times.tolist(), rtol=1e-10)
        scaled = (1 / zeta + run.t) ** 3 * run["loss"]
        assert (box.lower <= scaled * (1 + RUN)).all()
        assert (scaled <= (box.upper + box.more / zeta) * (1 + RUN)).all()
        assert box.limit[0] < scaled[-1] < box.limit[1]


def test_the_volume_is_that_of_states_drawn_at_random(made):
    random, count = np.random.default_rng(1), 200_000
    half = SIZES["reach"] * np.array([1.0, SIZES["across"], SIZES["along"]])
    less, more, total = random.uniform(-1, 1, size=(3, count)) * half[:, None]
    inside = (abs(more) <= SIZES["across"] * abs(less)) & (abs(total) <= SIZES["along"] * abs(less))
    # h_1 + h_2, h_1 - h_2 and the like turn volumes by four in all.
    volume = inside.mean() * 2**3 * half.prod() * 2 * SIZES["apart"] / 4
    assert made[0].volume == pytest.approx(volume, rel=0.02)


def _changed(key, factor):
    def change(data):
        data["boxes"][1][key] = (factor * float.fromhex(data["boxes"][1][key])).hex()

    return change


def _put(key, value):
    return lambda data: data.update({key: value})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_changed("drift", 0.5), "box 1: b may move further"),
        (_changed("reach", 40.0), "box 1: "),
        (_changed("across", 5.0), "box 1: Q > 0 is not proved"),
        (_changed("across", 1e-3), r"box 1: |x| may leave"),
        (_changed("along", 1e-9), r"box 1: |u| may leave"),
        (_changed("reach", -1.0), "box 1: it has no room"),
        (_changed("high", 0.5), "box 1: it is empty"),
        (_put("d", 1), "dimension does not fit"),
        (_put("boxes", []), "has no boxes"),
        (_put("system", "gmm_em"), "system is not one of relu_neuron"),
        (_put("precision", 8), "precision is not between"),
    ],
)
def test_a_file_that_is_changed_is_refused(made, tmp_path, change, reason):
    data = json.loads(made[1].read_text())
    change(data)
    (tmp_path / "late.json").write_text(json.dumps(data))
    found = flows.verify(tmp_path / "late.json")
    assert reason in found.refused
    assert found.states is None


def test_a_set_that_is_too_large_is_undecided():
    with pytest.raises(Uncertified, match=r"UNDECIDED of h_1 - h_2 in \[0, 0.02\]: Q > 0"):
        flows.late_states(across=1.1, apart=0.02)


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"reach": 0.0}, "reach: expected a positive number, got 0.0"),
        ({"apart": 1.0}, "apart: expected a positive number below 1, got 1.0"),
        ({"along": True}, "along: expected a positive number, got True"),
        ({"d": 1}, "d: expected an integer from 2 on, got 1"),
    ],
)
def test_sizes_that_cannot_be_are_one_line(sizes, reason):
    with pytest.raises(flows.InputError, match=reason):
        flows.late_states(**sizes)


def test_the_command_line_shows_the_theorem(popflow, made, tmp_path):
    code, shown, _ = popflow("verify", made[1])
    assert code == 0
    assert "from every one of these states the flow exists for all t" in shown
    code, shown, _ = popflow("verify", made[1], "--json")
    found = json.loads(shown)
    assert found["checked"]["accepted"]
    assert found["checked"]["boxes"][0]["lower"] == made[0].theorem.boxes[0].lower
    code, _, error = popflow("verify", made[1], "--n", "2")
    assert code == 2
    assert "is about a set of states" in error
    assert flows.verify(made[1], flows.ReLUNeuron(n=2, d=2)).refused.startswith("it is about a set")
    data = json.loads(made[1].read_text()) | {"boxes": []}
    (tmp_path / "late.json").write_text(json.dumps(data))
    code, shown, _ = popflow("verify", tmp_path / "late.json")
    assert code == 1
    assert "REFUSED: it has no boxes" in shown
