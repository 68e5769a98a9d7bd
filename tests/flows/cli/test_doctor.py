"""What the doctor says of a system: of shipped ones nothing wrong, and each error put in."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import flows
from flows.cli.conformance import (
    CHECKS,
    defined,
    derived,
    digits,
    examined,
    falling,
    gradient,
    looked_at,
    round_trip,
    saved,
    starts,
)
from flows.cli.doctor import patient_of
from flows.systems.registry import SYSTEMS

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
ADD = GUIDE.partition("## Add a system")[2].partition("**Is it more than a loss?**")[0]
# Sizes at which a check takes about a second.
SMALL = {
    "relu_neuron": "--n 2 --d 2",
    "gmm_em": "--n 2 --d 1",
    "score_matching": "--n 2 --d 1",
    "matrix_factorization": "--d 2 --depth 2",
    "two_layer": "--students 2 --teachers 1",
}
# What works in each of them.
WORKING = {
    *("gradient", "formula", "Hessian", "round trip", "run", "save and load", "random start"),
    "digits",
}


def assert_gradient_and_hessian_work(system, start):
    found = [(f.what, f.outcome) for f in examined(system, start, [gradient])]
    assert found == [("gradient", "works"), ("Hessian", "works")]


def code_lines(text):
    """Lines that hold code: no docstring, no comment, nothing blank."""
    tree = ast.parse(text)
    said = [n.body[0] for n in ast.walk(tree) if hasattr(n, "body") and isinstance(n.body, list)]
    said = [n for n in said if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    words = {line for node in said for line in range(node.lineno, node.end_lineno + 1)}
    rows = enumerate(text.splitlines(), 1)
    return sum(bool(x.strip()) and x.strip()[0] != "#" and k not in words for k, x in rows)


@pytest.fixture
def written(popflow, tmp_path, monkeypatch):
    """A new file in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert popflow("new", "quartic_well")[0] == 0
    return tmp_path / "quartic_well.py"


@pytest.fixture
def told(popflow):
    """What the doctor says: exit code, and outcome and text of each finding by name."""

    def ask(*words):
        code, out, err = popflow("doctor", *words, "--json")
        assert code in (0, 1), err
        findings = json.loads(out)["findings"]
        return code, {f["what"]: (f["outcome"], f["text"]) for f in findings}

    return ask


@pytest.mark.parametrize("name", SYSTEMS)
def test_nothing_is_wrong_with_a_shipped_system(name):
    """Derivations of shipped systems are verified by tests of their own."""
    checks = [check for check in CHECKS if check is not derived]
    found = looked_at(patient_of([name, *SMALL.get(name, "").split(), "--scale", "0.5"]), checks)
    assert "WRONG" not in {f.outcome for f in found}, found
    assert {f.what for f in found if f.outcome == "works"} >= WORKING, found
    assert any(f.what.startswith("claim") and "seen to be false" in f.text for f in found)


@pytest.mark.parametrize(("n", "d", "scale"), [(3, 2, 0.2), (2, 4, 1.0), (4, 3, 1.5), (2, 2, 4.0)])
def test_gradients_of_mixtures_are_right_in_more_dimensions_and_with_all_that_shapes_them(
    n, d, scale
):
    start = np.random.default_rng(5).normal(size=(n, d)) * scale
    weights = np.arange(1, n + 1) / (n * (n + 1) / 2)
    noisy = flows.ScoreMatching(n, d, noise_time=0.3, target=np.arange(d) / 10)
    for system in (flows.GMMEM(n, d, weights), noisy):
        assert_gradient_and_hessian_work(system, start)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("field", ["real", "complex"])
def test_gradients_of_layers_are_right_in_every_depth_and_field(depth, field):
    system = flows.MatrixFactorization(2, depth=depth, field=field, regularization=1.7)
    start = system.initial(0.7, 3)
    assert_gradient_and_hessian_work(system, start)
    off = Off(system, "hessian")
    assert [f.outcome for f in examined(off, start, [gradient])] == ["works", "WRONG"]


def test_a_new_file_has_at_most_60_lines_of_code_and_nothing_is_wrong_or_missing(told, written):
    assert code_lines(written.read_text()) <= 60
    code, found = told(written)
    assert code == 0 and {outcome for outcome, _ in found.values()} == {"works"}
    ruff = shutil.which("ruff") or [sys.executable, "-m", "ruff"]
    ruff = [ruff] if isinstance(ruff, str) else ruff
    done = subprocess.run([*ruff, "check", "--isolated", written], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_guide_shows_the_new_file_and_commands_that_work(popflow, tmp_path, monkeypatch):
    text = (ROOT / "flows" / "cli" / "system.txt").read_text()
    commands, *parts = re.findall(r"^```(?:python)?\n(.*?)^```", ADD, re.DOTALL | re.MULTILINE)
    assert len(parts) == 2 and all(part in text for part in parts)
    monkeypatch.chdir(tmp_path)
    for line in commands.splitlines():
        name, *words = line.split()
        assert name == "popflow" and popflow(*words)[0] == 0


def test_linear_attention_has_as_many_lines_as_the_guide_says_and_nothing_is_wrong(told):
    file = ROOT / "docs" / "linear_attention.py"
    assert f"took {code_lines(file.read_text())} lines of code" in " ".join(ADD.split())
    code, found = told(file, "--scale", "0.5")
    assert code == 0 and {outcome for outcome, _ in found.values()} == {"works"}
    tight = float(re.search(r"the constant -([\d.]+)", found["claim loss_falls"][1])[1])
    assert tight == pytest.approx(2.6, rel=2e-3)  # 2 g, of which the claim states half


def test_new_replaces_no_file_unless_it_is_told_to(popflow, written):
    code, _, err = popflow("new", "quartic_well")
    assert code == 2 and "exists" in err
    assert popflow("new", "quartic_well", "--force")[0] == 0
    assert popflow("new", "../up")[0] == 2


# What is changed in the new file; the finding, its outcome, and words of it.
CHANGES = {
    "constant": ("t**-2 / 16", "t**-2 / 16.016", "claim loss_upper", "WRONG", "VIOLATED"),
    "exponent": ("t**-2 / 16", "t**-2.1 / 16", "claim loss_upper", "WRONG", "VIOLATED"),
    "identity": ("-2 * square", "-2.002 * square", "claim square_law", "WRONG", "VIOLATED"),
    "loose": (
        "sp.Eq(D(square), -2 * square**2)",
        "square >= 0",
        "claim square_law",
        "works",
        "no constant",
    ),
    "no source": ("/ 16, PAPER", "/ 16", "source of loss_upper", "missing", "cites it"),
    "one start": ("scale * rng.normal(size=self.d)", "[1, 2]", "random start", "missing", "seed"),
    "no law": ("def initial", "def _initial", "start law", "missing", "def initial(self, rng"),
    "no claims": ("def claims", "def _claims", "claims", "missing", "def claims(self"),
    "no polynomial": ("** 2 / 4", "** 2 / sp.sqrt(16)", "certificates", "works", "accepted"),
    "other power": ("** 2 / 4", "** sp.Rational(5, 2)", "certificates", "works", "accepted"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_of_a_new_file_is_told(told, written, change):
    old, new, what, outcome, words = CHANGES[change]
    text = written.read_text()
    assert text.count(old) == 1
    written.write_text(text.replace(old, new))
    _, found = told(written, "--scale", "10")
    assert found[what][0] == outcome and words in found[what][1], found
    line = text[: text.index(old)].count("\n") + 1
    assert (f"{written}, line {line}: " in found[what][1]) == (outcome == "WRONG")


def test_each_check_is_a_test_of_pytest_which_fails_where_a_file_is_wrong(written):
    words = [sys.executable, "-m", "pytest", "-q", "-p", "popflow.conformance", "--system"]
    for checks, code, said in (("starts or round", 0, "2 passed"), ("claimed", 1, "VIOLATED")):
        asked = [*words, "quartic_well.py --d 1 --scale 10", "-k", checks]
        done = subprocess.run(asked, capture_output=True, text=True)
        assert done.returncode == code and said in done.stdout, done.stdout + done.stderr
        written.write_text(written.read_text().replace("t**-2 / 16", "t**-2 / 16.016"))


class Off:
    """A system of which one method is off by a thousandth."""

    def __init__(self, system, name):
        self.system, self.name = system, name

    def __getattr__(self, name):
        found = getattr(self.system, name)
        if name != self.name:
            return found
        return lambda *given, **named: 1.001 * found(*given, **named)


@pytest.mark.parametrize(
    "method, check",
    [
        ("gradient", gradient),
        ("hessian", gradient),
        ("restore", round_trip),
        ("loss", defined),
        ("gradient", defined),
    ],
)
def test_a_method_that_is_off_by_a_thousandth_is_wrong(method, check):
    system = flows.ReLUNeuron(n=2, d=2)
    start = system.initial(0.5, 1)
    assert {f.outcome for f in examined(system, start, [check])} == {"works"}
    assert "WRONG" in {f.outcome for f in examined(Off(system, method), start, [check])}


def test_a_loss_that_is_not_known_at_the_end_has_its_reason():
    a, b = sp.symbols("a b")
    system = flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2)
    (found,) = examined(system, np.array([0.5, 0.4]), [falling])
    assert found.outcome == "works" and "NaN at the end" in found.text
    assert "errors of steps or of doubles are more than a tenth of it" in found.text
    (found,) = examined(flows.ReLUNeuron(n=2, d=2), np.eye(2) / 4, [falling])
    assert "NaN" not in found.text and "relative error about" in found.text


def test_a_start_that_is_drawn_anew_and_a_run_that_cannot_be_saved_are_wrong():
    system = flows.ReLUNeuron(n=2, d=2)
    start, rng = system.initial(), np.random.default_rng(0)
    fresh = Off(system, "")
    fresh.initial = lambda scale, seed: rng.normal(size=(2, 2))
    assert [f.outcome for f in examined(fresh, start, [starts])] == ["WRONG"]
    assert [f.outcome for f in examined(Off(system, ""), start, [saved])] == ["WRONG"]


def test_a_run_that_is_off_by_more_than_it_states_is_wrong():
    patient = patient_of(["(x*y - 1)**2/2", "--start", "x=0.5,y=0.4"])
    assert [f.outcome for f in looked_at(patient, [digits])] == ["works"]
    patient.__dict__["short"] = flows.integrate(patient.system, [0.5, 0.4001], 1.0)
    assert [f.outcome for f in looked_at(patient, [digits])] == ["WRONG"]
