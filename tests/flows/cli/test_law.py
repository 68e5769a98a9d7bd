"""`popflow law`: what it prints, its exit codes, its errors."""

import json
from dataclasses import replace

import pytest
import sympy as sp

import flows
from flows.cli.law import evidence
from flows.cli.main import main
from symbolic.evidence.identity import Evidence

A = sp.Symbol("a")


@pytest.fixture
def at(tmp_path):
    def write(value):
        path = tmp_path / "at.json"
        path.write_text(json.dumps(value))
        return str(path)

    return write


def asked(capsys, *words):
    code = main(["law", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_json_has_the_laws_with_their_evidence(capsys, at):
    code, out, _ = asked(capsys, "relu_neuron", "--at", at([[0.25, 0], [0.75, 0]]), "--json")
    found = json.loads(out)
    assert code == 0 and found["chosen"] == 0 and found["limit_loss"] == 0
    (law,) = found["laws"]
    assert (law["kind"], law["exponent"], law["constant_exact"]) == ("power", "3", "3*pi**2/32")
    assert law["constant"] == pytest.approx(0.92527541260, rel=1e-10)
    assert law["evidence"]["direction"] == "PROVED"
    assert {step["evidence"] for step in found["steps"]} == {"PROVED"}


def test_a_refusal_has_a_reason_no_number_and_exit_code_3(capsys, at):
    code, out, err = asked(capsys, "relu_neuron", "--at", at([[0.5, 0], [0.4, 0]]), "--json")
    found = json.loads(out)
    assert code == 3 and found["laws"] == [] and "sum to 0.9" in found["reason"]
    assert err.startswith("popflow: no law: the point is no minimiser")


def test_options_of_the_system_and_a_latex_document(capsys, tmp_path):
    path = tmp_path / "law.tex"
    words = ("gmm_em", "--n", "3", "--d", "1", "--weights", "0.25,0.25,0.5")
    code, out, _ = asked(capsys, *words, "--latex", str(path))
    assert code == 0 and "L - L* ~" in out and "leading form" in out
    assert r"\begin{document}" in path.read_text()


def test_a_minimiser_of_a_loss_is_given_by_names(capsys):
    code, out, _ = asked(capsys, "(x*y - 1)**2/2", "--at", "x=1,y=1")
    assert code == 0 and "-4 t" in out
    code, _, err = asked(capsys, "(x*y - 1)**2/2", "--at", "x=1,y=1.001")
    assert code == 3 and "not critical" in err


def test_a_law_has_the_names_that_were_typed(capsys, tmp_path):
    path = tmp_path / "law.tex"
    code, out, _ = asked(capsys, "(a*b - 1)**2/2", "--at", "a=1,b=1", "--latex", str(path))
    assert code == 0 and "a=1, b=1" in out and "y_b" not in out and "yₐ" not in out
    assert "y_{a}" not in path.read_text()
    # A name that a step has for another thing stays apart: z1 is a coordinate of the kernel.
    code, out, _ = asked(capsys, "z1**4/4", "--at", "z1=0")
    assert code == 0 and "y_z1" in out


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (("--start", "a=0.5"), "from the start that you gave, [0.5], to t = 1e+09"),
        (("--scale", "0.5", "--seed", "3"), "with --scale 0.5 --seed 3, to t = 1e+09"),
    ],
)
def test_a_law_of_a_run_says_where_the_run_began(capsys, start, said):
    code, out, _ = asked(capsys, "a**4/4", *start)
    assert code == 0 and said in out


def test_evidence_of_a_run_stands_apart_from_that_of_the_law():
    law = flows.late_time_law(flows.OwnSystem("quartic", [A], A**4 / 4), at=[0.0]).laws[0]
    assert evidence(law) == "PROVED"
    read = replace(law, evidence={**law.evidence, "this run": Evidence.SAMPLED})
    assert evidence(read) == "PROVED; that this run follows it: SAMPLED, at its end"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("relu_neuron",), "give them (--at FILE)"),
        (("gmm_em", "--t-end", "3"), "--t-end: a minimiser has none"),
        (("gmm_em", "--depth", "3"), "--depth is not an option of gmm_em"),
        (("relu",), "unknown system 'relu'"),
        (("x**4/4", "--at", "x=a"), "expected numbers by name, such as x=0.5,y=0.4"),
        (("x**4/4", "--at", "y=0"), "expected the blocks x, got y"),
    ],
)
def test_a_bad_request_is_one_line_and_exit_code_2(capsys, words, message):
    code, out, err = asked(capsys, *words)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1


NO_LAW = {
    "a neuron beside the line": ("relu_neuron", [[0.5, 0.1], [0.5, -0.1]], "neuron 1 is not along"),
    "a mean elsewhere": ("gmm_em", [[0.5, 0.1], [0.5, -0.1]], "mean 1 is 0.5 off"),
    "layers of another product": ("matrix_factorization", [[[1]], [[2]]], "is not critical"),
}


@pytest.mark.parametrize(("system", "where", "reason"), NO_LAW.values(), ids=NO_LAW)
def test_a_point_that_is_no_minimiser_has_no_law_and_exit_code_3(capsys, at, system, where, reason):
    code, out, err = asked(capsys, system, "--at", at(where))
    assert code == 3 and out == "" and reason in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[NaN, 0], [1, 0]]", "expected finite numbers, got nan at [0, 0]"),
        ("[1, [2]]", "nested lists of equal lengths"),
        ("[1, 2]", "shape"),
        ("no numbers", "expected JSON"),
    ],
)
def test_a_file_that_holds_no_point_is_an_error_with_exit_code_2(capsys, tmp_path, text, message):
    path = tmp_path / "at.json"
    path.write_text(text)
    code, out, err = asked(capsys, "relu_neuron", "--at", str(path))
    assert code == 2 and out == "" and message in err and err.count("\n") == 1


def test_a_file_of_a_run_that_fails_to_factorise_needs_no_switch(capsys, tmp_path):
    system = flows.MatrixFactorization(d=1, regularization=0)
    start = [[[-0.5]], *[[[0.5]]] * 3]
    late, early, own = (str(tmp_path / name) for name in ("late.nc", "early.nc", "own.nc"))
    flows.integrate(system, start, 1e5).save(late)
    flows.integrate(system, start, 1.0).save(early)
    code, out, _ = asked(capsys, late, "--json")
    (law,) = json.loads(out)["laws"]
    assert code == 0 and (law["exponent"], law["constant_exact"]) == ("2", "1/4")
    code, out, err = asked(capsys, early)
    assert code == 3 and out == "" and "no late regime of the run is seen" in err
    y = sp.Symbol("y")
    flows.integrate(flows.OwnSystem("quartic", [y], y**4 / 4), [1.0], 1e4).save(own)
    code, out, _ = asked(capsys, own, "--json")
    (law,) = json.loads(out)["laws"]
    assert code == 0 and (law["exponent"], law["constant_exact"]) == ("2", "1/16")
