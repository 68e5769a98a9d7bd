"""The template of a system: what CONTRIBUTING says is enough, in a copy of the packages."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from oracles.printed import same_text

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
TEMPLATE = ROOT / "docs" / "template"
# Other processors and libraries round otherwise; the shown output has six digits.
AGREEMENT, NOISE = 1e-4, 1e-12
CHANGING = re.compile(r"\d+\.?\d* seconds|─+")  # times, and lines as long as they are


def block(title):
    """Fenced block of the guide that follows a line which ends with a title."""
    return re.search(rf"{re.escape(title)}\n\n```[a-z]*\n(.*?)```", GUIDE, re.DOTALL)[1]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Packages with the template's files, and the lines of the guide in the registries."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("symbolic", "potentials", "flows"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__py*"))
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
    for change in re.split(r"^\+\+\+ ", block("one entry in each registry:"), flags=re.M)[1:]:
        name, *lines = change.splitlines()
        text = (folder / name).read_text()
        for anchor, line in zip(lines[::2], lines[1::2], strict=True):
            assert text.count(f"\n{anchor[1:]}\n") == 1, f"{name} has no single line {anchor!r}"
            text = text.replace(f"\n{anchor[1:]}\n", f"\n{anchor[1:]}\n{line[1:]}\n")
        (folder / name).write_text(text)
    return folder


def popflow(folder, *arguments):
    """Run the command in a copy: exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def same(one, other):
    """Whether two outputs have the same words, and numbers that agree, whatever the times."""
    one, other = (CHANGING.sub("#", " ".join(text.split())) for text in (one, other))
    return same_text(one, other, AGREEMENT, NOISE)


def test_the_template_is_checked_as_the_guide_shows(copy):
    command, _, expected = block("This is what comes out:").partition("\n")
    code, out, err = popflow(copy, *command.removeprefix("$ popflow ").split())
    assert (code, err) == (0, "")
    assert same(out, expected), out
    assert not same(out.replace("HOLDS", "VIOLATED"), expected)  # the control


def test_the_guide_shows_the_claim_of_the_template():
    claim = block("A claim is a statement with its source:")
    assert claim in (TEMPLATE / "potentials" / "quartic.py").read_text()


def test_the_steps_of_the_template_are_proved(copy):
    code, out, _ = popflow(copy, "derive", "quartic")
    assert code == 0 and "2 distinct steps of 2: 2 PROVED" in out


def test_the_template_runs_to_1e12_and_its_law_is_exact(copy):
    code, out, _ = popflow(copy, "run", "quartic", "--d", "3", "--t-end", "1e12", "--json")
    assert code == 0
    check = """
import json, sys
found = json.load(sys.stdin)
t, loss, first = found["t"], found["loss"], found["loss"][0]
# |y|^-2 grows by 2 t, and the loss is |y|^4/4.
law = [1 / (1 / (4 * first) ** 0.5 + 2 * s) ** 2 / 4 for s in t]
print(max(abs(a / b - 1) for a, b in zip(loss, law)) < 1e-8)
"""
    done = subprocess.run([sys.executable, "-c", check], input=out, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


def test_the_formula_of_the_template_has_a_potential_and_invariant_planes(copy):
    code, out, err = popflow(copy, "find", "quartic", "--d", "2", "--rate", "2")
    assert (code, err) == (0, "")
    assert "V(t) <= 1/16 t^-2 for every start" in out
    assert "invariant: y[0] = 0" in out


@pytest.mark.parametrize(
    ("true", "broken"),
    [
        ("exponent=sp.Integer(2)", "exponent=sp.Rational(21, 10)"),
        ("sp.Rational(1, 16)", "sp.Rational(999, 16000)"),
        ("sp.Integer(-2)", "sp.Rational(-2002, 1000)"),
    ],
    ids=["exponent", "constant", "identity"],
)
def test_a_claim_that_is_a_little_wrong_is_violated(copy, true, broken, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(copy, folder)
    claims = folder / "potentials" / "quartic.py"
    assert claims.read_text().count(true) == 1
    claims.write_text(claims.read_text().replace(true, broken))
    code, out, _ = popflow(folder, "check", "quartic", "--d", "3", "--scale", "1", "--t-end", "1e6")
    assert code == 1 and "1 VIOLATED, 1 HOLDS" in out


def test_a_template_is_no_part_of_what_is_installed():
    code, _, err = popflow(ROOT, "run", "quartic", "--t-end", "1")
    assert code == 2 and "quartic" in err
