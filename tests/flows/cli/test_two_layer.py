"""What a person gives wrongly for two layers: one line each, and exit code 2."""

import json

import pytest

from flows.cli.main import main

FILES = {
    "zero": [[1, 0], [0, 0]],
    "repeated": [[1, 0], [1, 0]],
    "ragged": [[1, 0, 0], [0, 1]],
    "two": [[1, 0], [0, 1]],
    "long": [[0.5, 0.1, 0.2, 0.1], [0.1, 0.9, 0.1, 0.2]],
    "locked": [[0.1, 0.1, 2], [0.2, 0.1, 1]],
}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--teachers 0", "expected how many there are, 1 or more"),
        ("--teachers -2", "expected how many there are, 1 or more"),
        ("--teachers 2.5", "expected how many there are, 1 or more"),
        ("--teachers nan", "expected how many there are, 1 or more"),
        ("--students 0", "'--students': 0 is not in the range"),
        ("--teachers zero.json", "teacher 2 is zero"),
        ("--teachers repeated.json", "teacher 2 repeats teacher 1"),
        ("--teachers ragged.json", "lists of equal lengths"),
        ("--teachers none.json", "cannot be read"),
        ("--teachers two.json --d 3", "expected 3 numbers each, as many as d, got 2"),
        ("--teachers two.json --initial long.json", "expected 4 numbers each"),
        ("--teachers 3 --d 2", "3 orthonormal ones need d >= 3"),
        ("--activation cosh", "expected relu, erf, quadratic, tanh"),
        ("--activation leaky:1", "a slope S other than 1"),
        ("--teacher-biases 0.1", "expected 2 numbers, one a teacher, got 1"),
        ("--biases --teachers two.json --initial long.json", "expected 3 numbers each"),
        ("--output-weights 1,2", "expected 3 numbers, one a student, got 2"),
        ("--output-weights 1,0,1", "numbers that are not zero"),
        ("--teacher-weights 1", "expected 2 numbers, one a teacher, got 1"),
        (
            "--teacher-weights 1,-1 --initial locked.json --train-outputs",
            "no output can get the sign of teacher 2's, -1",
        ),
    ],
)
def test_what_is_given_wrongly_is_refused_in_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, rows in FILES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    for verb in ("run", "check", "stationary"):
        assert main([verb, "two_layer", *words.split(), "--t-end", "1"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and said in err
        (line,) = err.splitlines()
        assert line.startswith("popflow: error: ")
