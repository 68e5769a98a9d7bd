"""Matrix factorisation from the command line."""

import json

import numpy as np
import pytest

import flows

RUN = ("run", "matrix_factorization", "--d", "2", "--t-end", "10")


@pytest.fixture
def folder(tmp_path):
    ones = np.ones((4, 2, 2))
    np.save(tmp_path / "complex.npy", ones + 0.5j)
    np.save(tmp_path / "wide.npy", np.ones((4, 2, 3)))
    parts = {"real": ones.tolist(), "imag": (0.5 * ones).tolist()}
    (tmp_path / "complex.json").write_text(json.dumps(parts))
    (tmp_path / "half.json").write_text(json.dumps({"real": ones.tolist()}))
    (tmp_path / "uneven.json").write_text(json.dumps({**parts, "imag": [1.0]}))
    (tmp_path / "nan.json").write_text(json.dumps({**parts, "imag": (np.nan * ones).tolist()}))
    ragged = [[[1.0, 2.0], [3.0]]] * 4
    (tmp_path / "ragged.json").write_text(json.dumps({**parts, "real": ragged}))
    (tmp_path / "pair.json").write_text(
        json.dumps({"real": [[2, 0], [0, 1]], "imag": [[0, 1]] * 2})
    )
    (tmp_path / "text.json").write_text('[[["a"]]]')
    (tmp_path / "target.json").write_text("[[2, 0], [0, 1]]")
    (tmp_path / "flat.json").write_text("[1, 2]")
    return tmp_path


BAD = {
    "n": ((*RUN, "--n", "3"), "--depth"),
    "negative": ((*RUN, "--regularization", "-1"), "regularization must be"),
    "nan": ((*RUN, "--regularization", "nan"), "regularization must be"),
    "field": ((*RUN, "--field", "quaternion"), "'quaternion' is not one of"),
    "one layer": ((*RUN, "--depth", "1"), "depth must be"),
    "target of another size": (
        ("run", "matrix_factorization", "--t-end", "1", "--d", "3", "--target", "{}/target.json"),
        "expected shape (3, 3)",
    ),
    "target flat": ((*RUN, "--target", "{}/flat.json"), "shape (d, d)"),
    "complex start in a real field": (
        ("run", "matrix_factorization", "--t-end", "1", "--initial", "{}/complex.npy"),
        "add --field complex",
    ),
    "complex target in a real field": ((*RUN, "--target", "{}/pair.json"), "add --field complex"),
    "ragged complex start": (
        (
            "run",
            "matrix_factorization",
            "--t-end",
            "1",
            "--field",
            "complex",
            "--initial",
            "{}/ragged.json",
        ),
        "lists of equal lengths",
    ),
    "ragged complex start in a real field": (
        ("run", "matrix_factorization", "--t-end", "1", "--initial", "{}/ragged.json"),
        "lists of equal lengths",
    ),
    "text for a start": (
        ("run", "matrix_factorization", "--t-end", "1", "--initial", "{}/text.json"),
        "not all numbers",
    ),
    "half a complex start": (
        (
            "run",
            "matrix_factorization",
            "--t-end",
            "1",
            "--field",
            "complex",
            "--initial",
            "{}/half.json",
        ),
        "not all numbers",
    ),
    "uneven parts": (
        (
            "run",
            "matrix_factorization",
            "--t-end",
            "1",
            "--field",
            "complex",
            "--initial",
            "{}/uneven.json",
        ),
        "not all numbers",
    ),
    "nan in a start": (
        (
            "run",
            "matrix_factorization",
            "--t-end",
            "1",
            "--field",
            "complex",
            "--initial",
            "{}/nan.json",
        ),
        "finite",
    ),
    "not square": (
        ("run", "matrix_factorization", "--t-end", "1", "--initial", "{}/wide.npy"),
        "must have shape (4, 2, 2)",
    ),
    "balanced file": (
        ("run", "matrix_factorization", "--t-end", "1", "--balanced", "--initial", "{}/wide.npy"),
        "--balanced",
    ),
    "another system's option": ((*RUN, "--teacher", "{}/flat.json"), "--teacher"),
    "option of this system elsewhere": (
        ("run", "relu_neuron", "--t-end", "1", "--depth", "3"),
        "--depth",
    ),
}


@pytest.mark.parametrize("words, answer", BAD.values(), ids=BAD)
def test_bad_input_gives_one_clear_line_and_exit_code_2(popflow, folder, words, answer):
    code, out, err = popflow(*(word.format(folder) for word in words))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert answer in err


def test_a_complex_start_is_read_from_either_format_and_printed_in_parts(popflow, folder):
    printed = []
    for name in ("complex.npy", "complex.json"):
        code, out, _ = popflow(
            "run",
            "matrix_factorization",
            "--field",
            "complex",
            "--initial",
            folder / name,
            "--t-end",
            "0.1",
            "--json",
        )
        assert code == 0
        printed.append(json.loads(out))
    assert printed[0]["loss"] == printed[1]["loss"]
    assert np.shape(printed[0]["final_state"]["imag"]) == (4, 2, 2)
    system = flows.MatrixFactorization(2, "complex")
    assert printed[0]["loss"][0] == pytest.approx(system.loss(np.ones((4, 2, 2)) + 0.5j), rel=1e-14)


def test_options_are_those_of_the_python_interface(popflow, folder):
    code, out, _ = popflow(
        *RUN[:2],
        "--t-end",
        "10",
        "--target",
        folder / "target.json",
        "--depth",
        "3",
        "--regularization",
        "2",
        "--scale",
        "0.3",
        "--seed",
        "4",
        "--balanced",
        "--json",
    )
    assert code == 0
    system = flows.MatrixFactorization(2, "real", 2.0, [[2, 0], [0, 1]], depth=3)
    run = flows.integrate(system, system.initial(0.3, 4, balanced=True), 10.0)
    shown = json.loads(out)
    assert shown["loss"] == run["loss"].tolist()
    assert set(shown["observables"]) >= {
        "loss_fit",
        "loss_balance",
        "balance_defect",
        "skew_error",
        "main_term",
        "singular_values",
        "determinant",
    }


def test_a_stored_complex_run_is_checked_like_a_fresh_one(popflow, tmp_path):
    path = tmp_path / "run.nc"
    options = (
        "--d",
        "2",
        "--field",
        "complex",
        "--regularization",
        "20",
        "--scale",
        "0.25",
        "--t-end",
        "1e5",
    )
    assert popflow("run", "matrix_factorization", *options, "--out", path)[0] == 0
    code, out, _ = popflow("check", path, "--claim", "global_convergence", "--json")
    assert code == 0
    fresh = popflow(
        "check", "matrix_factorization", *options, "--claim", "global_convergence", "--json"
    )
    assert json.loads(out) == json.loads(fresh[1])
