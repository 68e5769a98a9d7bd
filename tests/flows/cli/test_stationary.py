"""`popflow stationary` and `popflow verify` of its files."""

import json

import numpy as np
import pytest
import sympy as sp
from oracles.hidden_layer import LEAST_6, LOSS_6, flipped

import flows
from flows.certificates.stationary.proof import Setting
from flows.certificates.stationary.prove import prove
from flows.cli.main import main

X = sp.Symbol("x")


@pytest.fixture
def point(tmp_path):
    rows = tuple(map(tuple, np.eye(6).tolist()))
    path = tmp_path / "point.json"
    prove(Setting("two_layer", rows, (1.0,) * 6, (1.0,) * 6), flipped(6)).save(path)
    return path


def test_json_is_one_object_with_the_spectrum(capsys, tmp_path):
    near = tmp_path / "near.json"
    near.write_text("[[0.9, 0.1]]")
    assert main(["stationary", "relu_neuron", "--initial", str(near), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "minimum" and found["proof"] is None
    assert found["eigenvalues"] == pytest.approx([0.5, 0.5])
    assert found["state"][0] == pytest.approx([1, 0], abs=1e-10)


def test_a_random_start_is_followed_first(capsys):
    words = ["gmm_em", "--n", "1", "--d", "2", "--t-end", "10"]
    assert main(["stationary", *words]) == 0
    assert "minimum" in capsys.readouterr().out


@pytest.mark.parametrize("from_file", [False, True])
def test_a_flow_that_its_budget_ends_leads_to_no_point(capsys, tmp_path, from_file):
    words = ["gmm_em", "--n", "2", "--d", "2", "--t-end", "1e5"]
    if from_file:
        path, near = tmp_path / "loss.json", tmp_path / "near.json"
        known = flows.OwnSystem("well", [X], X**4 / 4 - X**2 / 2).certified[1]
        path.write_text(json.dumps({k: known[k] for k in ("name", "blocks", "terms")}))
        near.write_text("[0.2]")
        words = [str(path), "--initial", str(near), "--t-end", "10"]
    assert main(["stationary", *words, "--max-seconds", "1e-6"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "the flow did not come to its end: its budget" in error
    assert main(["stationary", *words]) == 0


def test_a_proof_where_there_is_none_is_a_clear_line(capsys, tmp_path):
    near = tmp_path / "near.json"
    near.write_text("[[0.9, 0.1]]")
    words = ["relu_neuron", "--initial", str(near), "--certify"]
    assert main(["stationary", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no proof of critical points of relu_neuron" in error


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--out", "x.json"], "--out: expected --certify beside it"),
        (["--rtol", "1e-3"], "--rtol: a point has none"),
        (["--t-eval", "1,2"], "--t-eval: a point has none"),
    ],
)
def test_options_that_say_nothing_are_refused(capsys, words, line):
    assert main(["stationary", "gmm_em", *words]) == 2
    assert line in capsys.readouterr().err


def test_verify_prints_the_theorem(capsys, point):
    assert main(["verify", str(point)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "a strict local minimum" in out and LOSS_6[:12] in out


def test_verify_in_json(capsys, point):
    assert main(["verify", str(point), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["checked"]
    assert found["accepted"] and found["kind"] == "minimum"
    assert found["loss"]["value"] == pytest.approx(float(LOSS_6))


def test_verify_refuses_a_digit_that_is_wrong(capsys, point):
    data = json.loads(point.read_text())
    data["loss"]["value"] = f"{int(data['loss']['value'], 16) + 1:x}"
    point.write_text(json.dumps(data))
    assert main(["verify", str(point)]) == 1
    assert "REFUSED: its loss is" in capsys.readouterr().out
    assert main(["verify", str(point), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["checked"]["accepted"] is False


def test_options_of_a_flow_do_not_fit_a_point(capsys, point):
    assert main(["verify", str(point), "--t-end", "5"]) == 2
    assert "no option of a flow fits" in capsys.readouterr().err


def test_a_proof_is_printed_written_and_checked(capsys, tmp_path):
    near, out = tmp_path / "near.json", tmp_path / "proof.json"
    near.write_text(json.dumps(flipped(6).tolist()))
    words = ["two_layer", "--teachers", "6", "--initial", str(near), "--certify"]
    assert main(["stationary", *words, "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    proof = found["proof"]
    assert found["kind"] == "minimum" and proof["loss"]["value"].startswith(LOSS_6[:-1])
    assert proof["loss"]["radius"] < 1e-30 and proof["unique_radius"] > 3e-5
    assert proof["hessian_lower"] == pytest.approx(LEAST_6, rel=1e-7)
    assert main(["stationary", *words]) == 0
    assert "in R^(6 x d) for every d >= 6" in " ".join(capsys.readouterr().out.split())
    assert main(["verify", str(out)]) == 0
    assert "accepted" in capsys.readouterr().out


def test_where_no_proof_is_possible_the_point_is_shown_and_the_code_is_3(capsys, tmp_path):
    near = tmp_path / "near.json"
    near.write_text(json.dumps((np.eye(2) + 0.01).tolist()))
    words = ["two_layer", "--teachers", "2", "--initial", str(near), "--certify"]
    assert main(["stationary", *words]) == 3
    shown = capsys.readouterr()
    assert "minimum" in shown.out and "no proof: student 1 and teacher 1" in shown.err


def test_ends_of_many_starts_are_counted(capsys):
    words = ["gmm_em", "--n", "1", "--d", "2", "--t-end", "10", "--size", "3", "--seed", "4"]
    assert main(["stationary", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (family,) = found["families"]
    assert (family["kind"], family["count"], family["seeds"]) == ("minimum", 3, [4, 5, 6])
    assert family["interval"][1] == 1.0
    assert main(["stationary", *words]) == 0
    assert "3 of 3" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--initial", "x.json"], ["--certify", "--out", "x.json"]])
def test_many_starts_are_random_and_have_no_file(capsys, option):
    assert main(["stationary", "gmm_em", "--size", "2", *option]) == 2
    assert "--size: expected no" in capsys.readouterr().err


def test_a_loss_of_ones_own_has_its_points_too(capsys, tmp_path):
    """A double well, (x^2 - 1)^2/4 without its constant."""
    loss, near = tmp_path / "loss.json", tmp_path / "near.json"
    system = flows.OwnSystem("well", [X], X**4 / 4 - X**2 / 2)
    loss.write_text(json.dumps({k: system.certified[1][k] for k in ("name", "blocks", "terms")}))
    near.write_text("[0.2]")
    words = [str(loss), "--initial", str(near), "--json"]
    for more, kind, place in (([], "maximum", 0.0), (["--t-end", "10"], "minimum", 1.0)):
        assert main(["stationary", *words, *more]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["kind"] == kind
        assert found["state"] == pytest.approx([place], abs=1e-9)
    assert main(["stationary", str(loss), "--size", "3", "--scale", "1", "--json"]) == 0
    families = json.loads(capsys.readouterr().out)["families"]
    assert {f["kind"] for f in families} == {"minimum"} and sum(f["count"] for f in families) == 3


def test_room_for_all_teachers_is_the_default(capsys):
    assert main(["stationary", "two_layer", "--students", "2", "--teachers", "6", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "minimum" and np.shape(found["state"]) == (2, 6)
