"""``popflow certify --late-states``: a set of states in, a table or JSON and a file out."""

import inspect
import json

import pytest

import flows

SMALL = "reach=0.01,across=0.1,apart=0.02"
CERTIFY = ("certify", "relu_neuron", "--late-states")


def test_a_set_is_proved_written_and_then_accepted(popflow, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    path = tmp_path / "late.json"
    code, text, noise = popflow(*CERTIFY, SMALL, "--t-end", "inf", "--out", path)
    late = flows.late_states(reach=0.01, across=0.1, apart=0.02)
    assert (code, noise) == (0, "")
    assert "from every one of these states the flow exists for all t" in text
    assert f"{late.volume:.2g}, of R^4" in text
    assert json.loads(path.read_text()) == late.to_json()
    code, text, _ = popflow(*CERTIFY, SMALL, "--json")
    made = json.loads(text)
    assert code == 0 and made["volume"] == late.volume
    code, text, _ = popflow("verify", path, "--json")
    assert code == 0 and json.loads(text)["checked"] == {"accepted": True, "refused": None, **made}


def test_a_wider_file_is_refused_and_a_set_that_is_too_large_has_no_proof(popflow, tmp_path):
    path = tmp_path / "late.json"
    assert popflow(*CERTIFY, SMALL, "--out", path)[0] == 0
    data = json.loads(path.read_text())
    data["boxes"][0]["drift"] = (0.5 * float.fromhex(data["boxes"][0]["drift"])).hex()
    path.write_text(json.dumps(data))
    code, text, _ = popflow("verify", path)
    assert code == 1 and text.startswith("REFUSED: box 0")
    large = tmp_path / "large.json"
    code, text, noise = popflow(*CERTIFY, "across=2,apart=0.02", "--out", large)
    assert (code, text) == (4, "") and not large.exists()
    assert "UNDECIDED of h_1 - h_2" in noise and noise.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("gmm_em", "--late-states"), "expected two neurons"),
        (("relu_neuron", "--n", "3", "--late-states"), "expected two neurons"),
        (("relu_neuron", "--late-states", "--seed", "1"), "no start; leave --seed out"),
        (("relu_neuron", "--late-states", "--radius", "1e-3"), "no start; leave --radius out"),
        (("relu_neuron", "--late-states", "--t-end", "5"), "leave --t-end out"),
        (("relu_neuron", "--late-states", "wide=1"), "expected reach, across, along, apart"),
        (("relu_neuron", "--late-states", "reach=1,reach=2"), "once at most"),
        (("relu_neuron", "--late-states", "reach=far"), "like reach=0.05, got 'reach=far'"),
        (("relu_neuron", "--late-states", "apart=1.5"), "apart: expected a positive number"),
        (("relu_neuron", "--d", "1", "--late-states"), "d: expected an integer from 2 on"),
    ],
)
def test_what_cannot_be_is_one_line(popflow, words, reason):
    code, text, noise = popflow("certify", *words)
    assert (code, text) == (2, "")
    assert reason in noise and noise.count("\n") == 1


def test_the_help_has_the_sizes_that_are_the_defaults(popflow):
    parameters = inspect.signature(flows.late_states).parameters.values()
    text = "".join(popflow("certify", "--help")[1].split())
    assert ",".join(f"{p.name}={p.default}" for p in parameters if p.name != "d") in text
