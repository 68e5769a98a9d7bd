"""One door: every verb takes a name, a file of one's own, a typed loss or a saved run."""

import json
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest

from flows.certificates.certificate import load_certificate
from flows.cli.own_file import defined_in
from flows.core.errors import InputError

WELL = '''
"""A well of even power."""

import sympy as sp

from popflow import Model, option, theorem
from potentials import Source
from symbolic import D

HERE = Source("me", 2026, "", "separation of variables", "upper")


class Well(Model):
    "The well y^p/p of one number."

    power: int = option(4, "power of the well")
    wide: float = option(1.0, "width of random starts")

    def blocks(self):
        return {"y": ()}

    def loss(self, y):
        return y**self.power / self.power

    def potentials(self, y):
        return {"square": y**2}

    def initial(self, rng, scale):
        return {"y": 1 + self.wide * scale * rng.uniform()}

    def claims(self, loss, square, t):
        yield theorem("falls", loss <= t**-2 / 16, HERE, when=[square <= 9])
        yield theorem("bounded", square <= 9, HERE)
        yield theorem("square_law", sp.Eq(D(square), -2 * square**2), HERE)
'''
PRODUCT = "(x*y - 1)**2/2"
# The flow of y^4/4 from y is y (1 + 2 y^2 t)^(-1/2); a run is right to this relative error.
RIGHT = 1e-8


@pytest.fixture
def well(tmp_path, monkeypatch):
    """A file with one model, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "well.py").write_text(WELL)
    return "well.py"


# What each verb is asked, and what it says of the file.
VERBS = {
    "list": ("", "falls (Inequality)"),
    "derive": ("", "square along the flow"),
    "run": ("--t-end 5", "power = 4, wide = 1"),
    "check": ("--t-end 5", "3 HOLDS"),
    "law": ("--at at.json", "0.0625 t^-2, C = 1/16"),
    "inspect": ("--t-end 5 --potential square", "derivative along the flow"),
    "ensemble": ("--t-end 5 --size 2 --claim falls", "2 HOLDS"),
    "sweep": ("--t-end 5 --size 2 --vary power=2,4", "2 completed"),
    "certify": ("--t-end 2 --digits 8 --start y=1", "PROVED"),
    "stationary": ("--start y=1e-8", "critical point"),
    "report": ("--out report", "Well.html"),
    "find": ("--rate 2", "V(t) <= 1/16 t^-2 for every start"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_a_file_of_ones_own(popflow, well, verb, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "at.json").write_text("[0.0]")
    words, said = VERBS[verb]
    code, out, err = popflow(verb, well, *words.split())
    assert (code, err) == (0, "") and said in out, out + err


def test_every_verb_is_tried():
    from flows.cli.main import commands

    # Those without a system, the doctor (see its tests), and theorems, of shipped systems alone.
    assert {*commands.commands} - {*VERBS} == {"verify", "prove", "new", "doctor"}


@pytest.mark.parametrize("factor, code", [("16", 0), ("16.016", 1)])
def test_a_claim_of_a_file_is_checked_and_a_false_one_is_violated(popflow, well, factor, code):
    with open(well, "w") as file:
        file.write(WELL.replace("t**-2 / 16", f"t**-2 / {factor}"))
    asked = ("check", well, "--t-end", "1e6", "--claim", "falls", "--json")
    found, out, _ = popflow(*asked)
    assert (found, json.loads(out)["verdict"]) == (code, ["HOLDS", "VIOLATED"][code])


def test_a_typed_loss_begins_at_numbers_by_name(popflow):
    asked = ("run", "y**4/4", "--start", "y=2", "--t-end", "1e3", "--json")
    code, out, _ = popflow(*asked)
    found = json.loads(out)
    exact = 4 / (1 + 8 * np.array(found["t"])) ** 2
    assert code == 0 and np.allclose(found["loss"], exact, rtol=RIGHT, atol=0)
    assert not np.allclose(np.array(found["loss"]) * 1.001, exact, rtol=RIGHT, atol=0)


def test_the_law_of_a_typed_loss_is_that_of_its_run(popflow):
    code, out, _ = popflow("law", "y**4/4", "--start", "y=2", "--json")
    (law,) = json.loads(out)["laws"]
    assert (code, law["kind"], law["exponent"]) == (0, "power", "2")
    assert law["constant"] == pytest.approx(1 / 16, rel=RIGHT)


def test_options_of_a_model_are_those_of_the_verb_with_their_help(popflow, well):
    code, out, _ = popflow("run", well, "--help")
    listed = out.partition("Options of Well:")[2]
    assert code == 0 and "--power P  power of the well [default: 4]." in listed
    assert "--teacher" not in out and "--n N" not in out
    _, out, _ = popflow("run", well, "--power", "2", "--start", "y=1", "--t-end", "1", "--json")
    assert json.loads(out)["parameters"]["power"] == 2
    assert json.loads(out)["loss"][-1] == pytest.approx(np.exp(-2) / 2, rel=RIGHT)


def test_a_file_may_hold_a_system_that_is_made(popflow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = 'import flows, sympy\ny = sympy.Symbol("y")\n'
    one = made + 'first = flows.OwnSystem("first", [y], y**4)\n'
    (tmp_path / "one.py").write_text(one)
    (tmp_path / "two.py").write_text(one + 'second = flows.OwnSystem("second", [y], y**2)\n')
    assert popflow("run", "one.py", "--t-end", "1")[0] == 0
    code, _, err = popflow("run", "two.py", "--t-end", "1")
    assert code == 2 and "several, first, second; name one, as in two.py:first" in err
    code, out, _ = popflow("run", "two.py:second", "--t-end", "1", "--json")
    assert code == 0 and json.loads(out)["system"] == "second"


BROKEN = {
    "no file": (None, "missing.py: expected a Python file, found none"),
    "nothing": ("x = 1\n", "got none; write one"),
    "syntax": ("x = 1\ndef f(:\n", "line 2: invalid syntax"),
    "failure": ("x = 1\n\ny = 1 / 0\n", "line 3: ZeroDivisionError: division by zero"),
    "exit": ("import sys\nsys.exit(3)\n", "line 2: SystemExit"),
    "no loss": ('def blocks(self):\n        return {"y": ()}', "expected a method loss"),
    "other names": (
        'def blocks(self):\n        return {"y": ()}\n    def loss(self, z):\n        return z',
        "expected loss to take y, got z",
    ),
    "fails inside": (
        'def blocks(self):\n        return {"y": ()}\n    def loss(self, y):\n        return y.T',
        "line 7: AttributeError",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_a_file_lacks_is_one_line_with_its_place(popflow, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    text, said = BROKEN[what]
    if text is not None and text.startswith("def"):
        text = f"from popflow import Model\n\nclass Own(Model):\n    {text}\n"
    if text is not None:
        (tmp_path / "missing.py").write_text(text)
    code, out, err = popflow("run", "missing.py", "--t-end", "1")
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "text, said",
    [
        ("__import__('os').system('x')", "expected a formula with variables"),
        ("foo(x)**2", "foo(x) is not read"),
        ("x**2 + " + "y" * 1000, "at most 1000 characters"),
        ("gmm-em", "did you mean gmm_em"),
        ("2 + 3", "expected a formula with variables"),
        ("x.real**2", "is not read"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "law", "ensemble"])
def test_text_that_is_no_loss_is_refused_in_one_line(popflow, verb, text, said):
    code, out, err = popflow(verb, text, *(() if verb == "law" else ("--t-end", "1")))
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "words, said",
    [
        (("run", PRODUCT, "--start", "x=1"), "expected the blocks x, y, got x"),
        (("run", PRODUCT, "--start", "x=1,y"), "expected numbers by name"),
        (("run", PRODUCT, "--start", "x=1,x=2"), "two of x"),
        (("run", PRODUCT, "--start", "x=1,y=2", "--seed", "3"), "no --seed beside it"),
        (("run", PRODUCT, "--n", "3"), "its blocks have their sizes"),
        (("run", "relu_neuron", "--start", "x=1"), "--start is not an option of relu_neuron"),
        (("check", PRODUCT), "has no claims"),
        (("ensemble", PRODUCT, "--size", "2", "--start", "x=1,y=1"), "expected several starts"),
        (("report", PRODUCT, "--out", "r", "--figures", "pdf"), "has none; leave it out"),
        (("run", "run.nc"), "got a saved run"),
        (("derive", PRODUCT, "--seed", "3"), "is of no run; leave it out"),
        (("find", PRODUCT, "--start", "x=1,y=1"), "is of no run; leave it out"),
        (("law", PRODUCT, "--at", "a.json", "--start", "x=1,y=1"), "a minimiser has none"),
        (("inspect", PRODUCT, "--port", "1"), "the form is of shipped systems"),
    ],
)
def test_what_a_verb_cannot_do_is_one_line(popflow, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = () if words[0] in ("report", "derive", "find", "law") else ("--t-end", "1")
    code, out, err = popflow(*words, *more)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1


# L = (x y - 1)^2/2 has L' = -2 (x^2 + y^2) L, and x^2 + y^2 falls from 5 at first towards 3.47.
@pytest.mark.parametrize(
    "relation, verdict, code",
    [
        ("D(loss) >= -10*loss", "HOLDS", 0),
        ("loss_dot >= -10*loss", "HOLDS", 0),
        ("D(loss) >= -9.99*loss", "VIOLATED", 1),
        ("loss <= 0.5", "HOLDS", 0),
        ("loss <= 0.4995", "VIOLATED", 1),
        ("D(los) <= -loss", "did you mean loss", 2),
        ("loss <= 1 <= 2", "expected a relation", 2),
        ("E(loss) <= 1", "E(loss) is not read", 2),
    ],
)
def test_a_relation_is_checked_as_a_claim(popflow, relation, verdict, code):
    start = ("--start", "x=1,y=2", "--t-end", "1")
    found, out, err = popflow("check", PRODUCT, *start, "--claim", relation)
    assert found == code and verdict in (out if code < 2 else err)
    assert code < 2 or err.count("\n") == 1


def test_a_certificate_decides_no_relation(popflow):
    code, _, err = popflow(
        *("check", PRODUCT, "--start", "x=1,y=2", "--t-end", "1"),
        *("--claim", "loss <= 1", "--certificate", "c.json"),
    )
    assert code == 2 and "it decides claims, and no relation" in err


def test_an_option_of_a_verb_is_no_name_for_one_of_a_model(popflow, well):
    with open(well, "w") as file:
        file.write(WELL.replace("wide", "seed"))
    code, _, err = popflow("run", well, "--t-end", "1")
    assert code == 2 and "option seed is one of popflow run; rename it" in err


def test_a_file_of_data_never_runs(popflow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loss.json").write_text("__import__('pathlib').Path('ran').touch()")
    assert popflow("run", "loss.json", "--t-end", "1")[0] == 2
    assert not (tmp_path / "ran").exists()


def test_a_certificate_of_a_file_decides_the_claims_of_the_file(popflow, well):
    proved = ("certify", well, "--start", "y=1", "--t-end", "2", "--digits", "8")
    assert popflow(*proved, "--out", "c.json")[0] == 0
    asked = ("check", well, "--start", "y=1", "--t-end", "2", "--certificate", "c.json")
    code, out, err = popflow(*asked, "--json")
    assert (code, err) == (0, "")
    found = {v["claim"]: v["verdict"] for v in json.loads(out)["certificate"]["verdicts"]}
    # A bound that begins at infinity and an identity are for others than balls to prove.
    assert found == {"falls": "UNDECIDED", "bounded": "PROVED", "square_law": "UNDECIDED"}
    table = popflow(*asked)[1]
    assert table.count("UNDECIDED") == 2 and table.count("PROVED") == 1
    code, _, err = popflow(*asked, "--power", "6")
    assert code == 2 and "REFUSED" in err and err.count("\n") == 1
    system = defined_in(well)
    with pytest.raises(InputError, match="about another system"):
        load_certificate("c.json", system(power=6))
    assert load_certificate("c.json", system()).system.statements.claims


def test_a_system_without_theorems_says_so(popflow, well):
    for name, said in (("two_layer", "two_layer has no theorems"), (well, "unknown system")):
        code, out, err = popflow("prove", name)
        assert (code, out) == (2, "") and said in err and err.count("\n") == 1


def test_a_model_of_a_file_goes_to_other_processes(well):
    """Its class is sent by what it is, start law and all: no other process has run the file."""
    system = defined_in(well)(power=6)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).initial(0.5, 3).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code], input=cloudpickle.dumps(system), capture_output=True
    )
    assert done.stdout.decode().strip() == str(system.initial(0.5, 3).tolist())
