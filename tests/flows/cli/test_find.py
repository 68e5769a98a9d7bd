"""``popflow find`` prints a theorem and writes its proof, which ``popflow verify`` checks."""

import json

import pytest
import sympy as sp

import flows
from flows.cli.main import main

PRODUCT = "(x*y - 1)**2/2"
USUAL = [PRODUCT, "--rate", "exp", "--level", "1/8"]


def found(capsys, *words):
    """Exit code and output of a search."""
    code = main(["find", *words])
    return code, capsys.readouterr()


def test_a_typed_loss_has_a_potential_whose_file_is_accepted(capsys, tmp_path):
    path, text = tmp_path / "potential.json", tmp_path / "potential.tex"
    code, said = found(capsys, *USUAL, "--out", str(path), "--latex", str(text))
    assert code == 0
    assert "V(t) <= V(0) exp(-2 t) for every start with L <= 1/8" in " ".join(said.out.split())
    assert "conserved: x**2 - y**2" in said.out
    assert r"\begin{theorem}" in text.read_text()
    assert main(["verify", str(path)]) == 0
    assert "exp(-2 t), for every start where L <= 1/8" in capsys.readouterr().out
    changed = path.read_text().replace('"constant": "2"', '"constant": "2001/1000"')
    path.write_text(changed)
    assert main(["verify", str(path)]) == 1
    assert "REFUSED" in capsys.readouterr().out


def test_json_has_exact_numbers_as_text(capsys, tmp_path):
    code, said = found(capsys, *USUAL, "--json", "--out", str(tmp_path / "p.json"))
    data = json.loads(said.out)
    assert (code, data["verdict"], data["constant"]) == (0, "PROVED", "2")
    assert data["rate"] == {"kind": "exp", "exponent": None}
    assert main(["verify", str(tmp_path / "p.json"), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)["checked"]
    assert checked["accepted"] and checked["constant"] == "2"


def test_a_loss_in_a_file_and_conditions(capsys, tmp_path):
    x, y = sp.symbols("x y")
    _, loss = flows.OwnSystem("product", [x, y], (x * y - 1) ** 2 / 2).certified
    path = tmp_path / "loss.json"
    path.write_text(json.dumps(loss))
    code, said = found(capsys, str(path), "--rate", "exp", "--keep", "x**2 == y**2 + 2")
    assert code == 0, said
    assert "exp(-4 t)" in said.out


def test_a_span_and_coordinates(capsys):
    code, said = found(capsys, "(a**2 + b**2)**2/4", "--rate", "2", "--template", "4")
    assert code == 0 and "t^(-2)" in said.out
    code, said = found(capsys, "(a**2 + b**2)**2/4", "--rate", "2", "--coordinates", "a**2 + b**2")
    assert code == 0 and "G**2/4" in said.out


def test_nothing_found_is_exit_code_3_with_the_reason(capsys, tmp_path):
    code, said = found(capsys, PRODUCT, "--rate", "exp", "--out", str(tmp_path / "none.json"))
    assert code == 3
    assert "NOT_FOUND" in said.out and "give a level" in " ".join(said.out.split())
    assert not (tmp_path / "none.json").exists()


def test_what_states_propose_is_no_proof(capsys):
    asked = ["relu_neuron", "--d", "2", "--propose", "--level", "1/1000"]
    code, said = found(capsys, *asked, "--rate", "3", "--keep", "w[0,1]*w[1,1] <= 0", "--json")
    (one,) = json.loads(said.out)["proposed"]
    assert code == 3 and one["verdict"] == "PROPOSED" and one["V"] == "L"
    assert one["where"] == ["L <= 1/1000", "w[0, 1]*w[1, 1] <= 0"]
    code, said = found(capsys, *asked, "--rate", "4")
    assert code == 3 and said.out.startswith("NOT_FOUND")


@pytest.mark.parametrize(
    "words",
    [
        ["import os"],
        ["__import__('os')"],
        ["2"],
        ["missing.json"],
        [PRODUCT, "--rate", "fast"],
        [PRODUCT, "--level", "x"],
        [PRODUCT, "--keep", "x < y"],
        [PRODUCT, "--keep", "z == 1"],
        [PRODUCT, "--coordinates", "x.T*"],
        ["sin(x)"],
        ["sin(x)", "--propose"],
        ["x**4", "--propose", "--rate", "2", "--level", "1", "--degree", "4"],
        ["x**4", "--propose", "--rate", "2", "--level", "1", "--out", "there.json"],
        [PRODUCT, "--keep", "x[0,1] == 1"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, words):
    code, said = found(capsys, *words)
    assert code == 2
    assert len(said.err.strip().splitlines()) == 1 and "Traceback" not in said.err


def test_nothing_is_overwritten(capsys, tmp_path):
    path = tmp_path / "there.json"
    path.write_text("mine")
    code, _ = found(capsys, *USUAL, "--out", str(path))
    assert (code, path.read_text()) == (2, "mine")
