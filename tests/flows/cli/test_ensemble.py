"""``popflow ensemble``: options in, tables or JSON out, one line for what is wrong."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from flows.cli.ensemble import tables
from flows.cli.output import show
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.run import load_ensemble
from flows.ensembles.starts import Law
from flows.systems.relu_neuron.system import ReLUNeuron

SMALL = ("ensemble", "relu_neuron", "--n", "2", "--d", "2", "--t-end", "50", "--rtol", "1e-5")


def test_json_has_what_the_library_finds(popflow, tmp_path):
    code, text, noise = popflow(
        *SMALL,
        "--size",
        5,
        "--seed",
        3,
        "--claim",
        "gradient_lower",
        "--out",
        tmp_path / "e",
        "--json",
    )
    data = json.loads(text)
    e = integrate_ensemble(
        ReLUNeuron(2, 2), Law(5, seed=3), 50.0, rtol=1e-5, claims=["gradient_lower"]
    )
    assert (code, noise) == (0, "") and data["status"] == {"completed": 5}
    assert data["quantiles"]["loss"]["0.5"] == e.quantiles("loss", [0.5])[0].tolist()
    assert data["claims"]["gradient_lower"]["seed"] == e.tightest("gradient_lower").seed
    assert data["t"] == e.t.tolist() and data["members"] == 5
    assert load_ensemble(tmp_path / "e").completed == 5


def test_the_seed_of_a_member_reproduces_it_alone(popflow):
    data = json.loads(popflow(*SMALL, "--size", 1, "--seed", 3, "--json")[1])
    seed = Law(1, seed=3).seed_of(0)
    run = json.loads(popflow("run", *SMALL[1:], "--seed", seed, "--method", "Rodas5P", "--json")[1])
    assert data["quantiles"]["loss"]["0.5"] == run["loss"]


def test_tables_show_members_quantiles_and_claims(popflow, monkeypatch):
    monkeypatch.setenv("COLUMNS", "132")
    code, text, _ = popflow(
        *SMALL,
        "--size",
        3,
        "--claim",
        "gradient_lower",
        "--claim",
        "balance",
        "--observable",
        "kappa_max",
        "--below",
        "0.5",
    )
    assert code == 0
    for word in (
        "3 completed",
        "loss(T) <= 0.5 loss(0)",
        "3 of 3",
        "99% interval",
        "loss 50%",
        "local exponent 50%",
        "kappa_max 95%",
        "gradient_lower",
        "balance",
    ):
        assert word in text
    heads = [line for line in text.splitlines() if line.startswith(" t ")]
    assert [line.split()[1] for line in heads] == ["loss", "kappa_max"], "one table each"


class Made(dict):
    """An ensemble of two members, of which the second has no loss at the end."""

    system = SimpleNamespace(name="own", leading="loss")
    t, claims = np.array([0.0, 1.0]), ()

    def __len__(self):
        return 2


def test_a_member_without_a_loss_at_the_end_says_why(capsys):
    why = "reached the end; the loss is NaN where it is not known"
    made = Made(loss=np.array([[1.0, 0.5], [1.0, np.nan]]), message=["reached the end", why])
    summary = {
        "below": dict.fromkeys(("ratio", "count", "trials", "fraction", "level", "low", "high"), 1)
        | {"undecided": 0},
        "status": {"completed": 2},
        "not_completed": [],
        "quantiles": {
            "loss": {"0.5": [1.0, 0.5]},
            "loss_exponent": {"0.05": [-0.0, -9.0], "0.5": [-0.0, -2.0]},
        },
        "left_out": {"loss": [0, 1]},
    }
    show(*tables(made, summary))
    text = capsys.readouterr().out
    assert f"1, left out below; member 1: {why}" in " ".join(text.split())
    rows = [line.split() for line in text.splitlines()[-2:]]
    assert rows == [["0", "1", "0"], ["1", "0.5", "-2"]], "one table, and no minus before a zero"
    show(*tables(made, summary | {"left_out": {"loss": [0, 0]}}))
    assert "left out" not in capsys.readouterr().out


def test_starts_from_a_file_and_one_that_is_refused(popflow, tmp_path):
    starts = np.random.default_rng(0).normal(size=(3, 2, 2))
    np.save(tmp_path / "starts.npy", starts)
    command = ("ensemble", "relu_neuron", "--t-end", "5", "--initial", tmp_path / "starts.npy")
    assert popflow(*command)[0] == 0
    starts[1, 0] = 1e200
    np.save(tmp_path / "starts.npy", starts)
    code, text, _ = popflow(*command)
    assert code == 4 and "2 completed, 1 input_error" in text and "must stay below 1e150" in text


def test_options_of_a_system_reach_it(popflow):
    code, text, _ = popflow(
        "ensemble",
        "matrix_factorization",
        "--d",
        "1",
        "--t-end",
        "1",
        "--size",
        "2",
        "--balanced",
        "--depth",
        "3",
        "--json",
    )
    about = json.loads(text)
    assert code == 0 and about["parameters"]["depth"] == 3
    assert about["provenance"]["starts"]["options"] == {"balanced": True}


BAD = {
    "no size": ((*SMALL,), "--size: expected a number of starts"),
    "size zero": ((*SMALL, "--size", "0"), "size must be an integer >= 1"),
    "unknown system": (("ensemble", "relu", "--size", "2"), "unknown system"),
    "no such option": ((*SMALL, "--size", "2", "--speed", "3"), "No such option"),
    "another system's": ((*SMALL, "--size", "2", "--depth", "3"), "--depth is not an option"),
    "unknown claim": ((*SMALL, "--size", "2", "--claim", "x"), "unknown claim 'x'"),
    "unknown observable": ((*SMALL, "--size", "2", "--observable", "x"), "unknown observable"),
    "unknown method": ((*SMALL, "--size", "2", "--method", "x"), "unknown method"),
    "no workers": ((*SMALL, "--size", "2", "--workers", "0"), "workers must be"),
    "bad ratio": ((*SMALL, "--size", "2", "--below", "-1"), "--below: expected"),
    "ratio not a number": ((*SMALL, "--size", "2", "--below", "nan"), "--below: expected"),
    "bad seed": ((*SMALL, "--size", "2", "--seed", "-1"), "seed must be"),
    "bad scale": ((*SMALL, "--size", "2", "--scale", "nan"), "scale must be"),
    "missing file": (("ensemble", "relu_neuron", "--initial", "{}/no.npy"), "cannot be read"),
    "one start": (("ensemble", "relu_neuron", "--initial", "{}/flat.json"), "(members, n, d)"),
    "file and size": (
        ("ensemble", "relu_neuron", "--initial", "{}/flat.json", "--size", "2"),
        "no --size beside",
    ),
    "file and n": (
        ("ensemble", "relu_neuron", "--initial", "{}/flat.json", "--n", "2"),
        "no --n beside",
    ),
    "too large": ((*SMALL, "--size", "1000000000000"), "GB"),
    "folder of others": ((*SMALL, "--size", "2", "--out", "{}"), "one with other files"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(popflow, tmp_path, case):
    (tmp_path / "flat.json").write_text("[[0.1, 0.2]]")
    words, answer = BAD[case]
    command = [word.format(tmp_path) for word in words]
    if "{}" not in words:
        command += ["--out", str(tmp_path / "e")]
    code, text, noise = popflow(*command)
    assert (code, text) == (2, "") and noise.startswith("popflow: error: ")
    assert noise.count("\n") == 1 and answer in noise
    assert [path.name for path in tmp_path.iterdir()] == ["flat.json"]


def test_help_needs_nothing_heavy(popflow):
    before = set(sys.modules)
    assert "--size" in popflow("ensemble", "--help")[1]
    assert not {"threadpoolctl", "h5py", "jax"} & (set(sys.modules) - before)
