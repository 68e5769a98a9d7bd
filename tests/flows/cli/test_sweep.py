"""``popflow sweep``: options in, a table or JSON out, one line for what is wrong."""

import json

import pytest

import flows
import flows.ensembles.sweep

SMALL = ("relu_neuron", "--vary", "n=1,2", "--d", "2", "--t-end", "50", "--t-eval", "50")
QUICK = (*SMALL, "--rtol", "1e-5", "--below", "0.5")


def test_json_has_what_the_library_finds(popflow, tmp_path):
    drawn = tmp_path / "drawn.svg"
    more = ("--size", 3, "--seed", 5, "--out", tmp_path / "s", "--figure", drawn)
    code, text, noise = popflow("sweep", *QUICK, *more, "--json")
    data = json.loads(text)
    saved = flows.load_sweep(tmp_path / "s")
    found = flows.sweep_fraction(saved, 0.5)
    assert (code, noise) == (0, "") and drawn.read_text().startswith("<?xml")
    assert [x["parameters"] for x in data["combinations"]] == [{"n": 1}, {"n": 2}]
    for key in ("count", "trials", "fraction", "low", "high"):
        assert [x[key] for x in data["combinations"]] == found[key].values.tolist()
    assert data["combinations"][0]["status"] == {"completed": 3}
    assert json.loads(saved.attrs["systems"])[1]["d"] == 2
    code, text, _ = popflow("sweep", *QUICK, *more[:-2])  # goes on with what is there
    assert code == 0 and "99% interval" in text and "sweep.nc" in text


def test_a_member_that_stops_early_is_exit_code_4(popflow, monkeypatch):
    sweep = flows.ensembles.sweep.sweep
    monkeypatch.setattr(
        "flows.ensembles.sweep.sweep", lambda *a, **more: sweep(*a, **more, max_steps=3)
    )
    code, text, _ = popflow("sweep", *QUICK, "--size", 1)
    # Whether it falls is not known: it is none of those that the fraction is of.
    assert code == 4 and "0 = nan" in text and "completed" not in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("relu_neuron", "--size", 2), "--vary: expected a parameter with its values, got none"),
        (SMALL, "--size: expected a number of starts, got none; give --size 100"),
        ((*SMALL, "--size", 0), "size must be an integer >= 1, got 0"),
        (("relu_neuron", "--vary", "n=", "--size", 2), "expected values of n, got none"),
        (("relu_neuron", "--vary", "n", "--size", 2), "expected NAME=V1,V2,.., got 'n'"),
        (("relu_neuron", "--vary", "n=1,x", "--size", 2), "expected integers"),
        (("relu_neuron", "--vary", "n=1,1", "--size", 2), "expected different values"),
        (("relu_neuron", "--vary", "m=1", "--size", 2), "unknown parameter 'm'"),
        (("relu_neuron", "--vary", "seed=1", "--size", 2), "unknown parameter 'seed'"),
        (("relu_neuron", "--vary", "n=1", "--n", 2, "--size", 2), "expected no --n beside n"),
        (("relu_neuron", "--vary", "n=1", "--vary", "n=2", "--size", 2), "given twice"),
        (("matrix_factorization", "--vary", "n=1", "--size", 2), "--depth sets the layers"),
        (("matrix_factorization", "--vary", "field=rational", "--size", 2), "real, complex"),
        (
            ("matrix_factorization", "--vary", "regularization=1,-1", "--vary", "d=2", "--size", 2),
            "at regularization = -1, d = 2: regularization must be",
        ),
        ((*SMALL, "--size", 2, "--initial", "x.npy"), "a sweep draws random starts"),
        ((*SMALL, "--size", 2, "--below", 2), "--below: expected a number between 0 and 1"),
        ((*SMALL, "--size", 2, "--level", 95), "--level: expected a number between 0 and 1"),
        (("relu", "--vary", "n=1", "--size", 2), "unknown system 'relu'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(popflow, words, line):
    code, text, noise = popflow("sweep", *words)
    assert code == 2 and text == "" and noise.count("\n") == 1 and line in noise


def test_a_folder_of_another_sweep_is_refused(popflow, tmp_path):
    out = ("--out", tmp_path / "s")
    assert popflow("sweep", *QUICK, "--size", 1, *out)[0] == 0
    code, _, noise = popflow("sweep", *QUICK, "--size", 2, *out)
    assert code == 2 and "holds another sweep, which differs in law" in noise
