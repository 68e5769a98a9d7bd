"""`popflow prove`: what it prints, its certificate, its errors."""

import json

import pytest

import symbolic
from flows.cli.main import main
from flows.cli.theorems import theorem_lines
from flows.runs.theorems.application import Application


def asked(capsys, *words):
    code = main(["prove", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_theorem_is_printed_with_what_it_rests_on(capsys):
    code, out, _ = asked(capsys, "matrix_factorization", "--theorem", "balance_decays", "--trusted")
    assert code == 0
    assert "R(T) exp(T k - k t) >= R(t)" in out
    assert "DERIVED (2 hypotheses; 1 axiom) in 16 steps" in out
    assert "dL_reg/dt = -|grad L_reg|^2" in out and "`e = t` stands for every end" in out
    assert "balance_conserved" not in out


def test_theorems_are_a_table_with_a_line_each(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    _, out, _ = asked(capsys, "gmm_em")
    known = symbolic.theorems("gmm_em")
    first = [line.split()[0] for line in out.splitlines() if line.strip()]
    names = [s.name for s in known]
    assert [word for word in first if word in names] == names
    assert f"{len(known)} theorems DERIVED" in out and "source" not in out


def test_a_certificate_is_written_checked_and_refused_once_changed(capsys, tmp_path):
    path = tmp_path / "theorems.json"
    code, out, _ = asked(capsys, "gmm_em", "--theorem", "squared_norms", "--json", str(path))
    said = json.loads(out)
    assert code == 0 and said["system"] == "gmm_em"
    (rate,) = said["theorems"]
    assert rate["outcome"] == "DERIVED" and rate["axioms"] and rate["rules"] and rate["steps"] == 7
    code, out, _ = asked(capsys, "--check", str(path))
    assert code == 0 and "ACCEPTED: 1 theorem of gmm_em" in out and rate["statement"] in out
    text = path.read_text()
    assert asked(capsys, "gmm_em", "--json", str(path))[0] == 2  # it stands already
    path.write_text(text.replace("-2 E|v|^2", "-3 E|v|^2"))
    code, out, err = asked(capsys, "--check", str(path))
    assert code == 2 and out == "" and "checksum" in err and err.count("\n") == 1
    path.write_text(text.replace('{"format"', '{"system": "relu_neuron", "format"', 1))
    code, out, err = asked(capsys, "--check", str(path))  # which of the two is meant
    assert code == 2 and out == "" and err.count("\n") == 1
    path.write_text(text[: len(text) // 2])
    code, out, err = asked(capsys, "--check", str(path))
    assert code == 2 and "no whole JSON" in err and err.count("\n") == 1


def test_latex_has_the_statement_and_its_proof(capsys, tmp_path):
    path = tmp_path / "theorems.tex"
    assert asked(capsys, "relu_neuron", "--theorem", "mirror_upper", "--latex", str(path))[0] == 0
    text = path.read_text()
    assert r"48\,\penalty900 \pi^{2}" in text and r"\begin{proof}" in text and "(comparison" in text


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("relu_neuron", "--theorem", "no_such"), "unknown theorem 'no_such'"),
        (("no_such",), "unknown system"),
        ((), "expected a system or --check CERT"),
        (("--check", "no_such.json"), "found no file"),
        (("gmm_em", "--check", "x.json"), "expected at most --theorem"),
        (("--check", "README.md"), "no whole JSON"),
    ],
)
def test_bad_input_gets_one_line(capsys, words, why):
    code, out, err = asked(capsys, *words)
    assert code == 2 and out == "" and why in err and err.count("\n") == 1


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"format": "popflow theorems 1"}', "[" * 9000])
def test_a_file_that_is_not_ours_gets_one_line(capsys, tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    code, out, err = asked(capsys, "--check", str(path))
    assert code == 2 and out == "" and err.count("\n") == 1


def test_check_says_which_theorems_speak_of_a_run(capsys):
    words = ["check", "gmm_em", "--n", "2", "--d", "1", "--t-end", "10", "--claim", "loss_upper"]
    main([*words, "--theorems", "--json"])
    said = json.loads(capsys.readouterr()[0])
    upper = next(m for m in said["theorems"] if m["theorem"] == "loss_upper")
    assert upper["applies"] and upper["begin"] == 0 and upper["conclusion"] > 0
    (always,) = said["for_all_times"]  # the start is known exactly
    assert always["theorem"] == "loss_upper" and always["proved"] and always["begin"] == 0
    main([*words[:-2], "--theorems"])
    short = capsys.readouterr()[0]
    assert "theorem loss_upper: speaks of it from t = 0" in short and "because" not in short
    main([*words, "--theorems"])
    out = capsys.readouterr()[0]
    assert "theorem loss_upper: speaks of it from t = 0" in out
    assert "theorem loss_upper, from the start: DERIVED for all t" in out


def test_a_conclusion_that_was_not_read_is_not_said_to_fail():
    lines = theorem_lines(
        [Application("x", "E f = 0", 0.0, (("t >= T", 1.0), ("axiom", None)), None)], []
    )
    assert any("was not read" in line for line in lines)
    assert any("statements about expectations: 1" in line for line in lines)
    assert not any("FAILS" in line for line in lines)
    failing = theorem_lines([Application("x", "u > 0", 0.0, (("t >= T", 1.0),), -0.5)], [])
    assert any("FAILS" in line for line in failing)
