"""The checker is short, and shares nothing with what it checks."""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
import sympy as sp

import flows
from flows.certificates.certificate import certifiable
from flows.certificates.features.registry import BOXES
from flows.certificates.verifier.verify import EQUATIONS
from flows.systems.registry import OWN

ROOT = Path(__file__).parents[4]
VERIFIER = ROOT / "flows" / "certificates" / "verifier"
# One can read so much in an evening: the argument of a segment and the equations of one system.
LINES = 210
# The carry and the tail beside them.
ENDLESS_LINES = 275
# The argument of a critical point, which its maker asks step by step.
POINT_LINES = 260
# What the checker may use: Python, arrays, balls, and how many threads arrays take.
LIBRARIES = {
    "__future__",
    "abc",
    "collections",
    "collections.abc",
    "copy",
    "dataclasses",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "os",
    "pathlib",
    "tempfile",
    "re",
    "typing",
    "numpy",
    "flint",
    "threadpoolctl",
}
# The one way by which a file may be imported that no text names: one beside it, and no other.
BY_NAME, BESIDE = "from importlib import import_module", "f'flows.certificates.verifier.{"
# Tokens that are no code.
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.ENCODING,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def test_what_is_no_certificate_is_not_loaded_as_one(tmp_path):
    (tmp_path / "text.json").write_text("{not json")
    (tmp_path / "value.json").write_text("{}")
    for name in ("missing.json", "text.json", "value.json"):
        with pytest.raises(flows.InputError, match="expected a certificate"):
            flows.load_certificate(tmp_path / name)


def lines_of_code(file):
    """Numbers of the lines that are not blank, comments or docstrings."""
    with file.open("rb") as stream:
        tokens = [t for t in tokenize.tokenize(stream.readline) if t.type not in NO_CODE]
    statements = {
        t.start[0]
        for t, before in zip(tokens[1:], tokens, strict=False)
        if t.type != tokenize.STRING or before.end[0] == t.start[0]
    }
    return {line for t in tokens for line in (t.start[0], t.end[0]) if t.start[0] in statements}


@pytest.mark.parametrize("system", EQUATIONS)
def test_the_mathematics_of_the_checker_is_short(system):
    files = [VERIFIER / "segment.py", VERIFIER / f"{system}.py"]
    assert 100 < sum(len(lines_of_code(file)) for file in files) <= LINES


def test_the_field_on_boundaries_is_checked_by_less_than_130_lines():
    assert 100 < len(lines_of_code(VERIFIER / "boundary.py")) < 130


def test_the_checker_of_all_times_is_short():
    files = [VERIFIER / f"{name}.py" for name in ("tail", "cubic", "late_flow")]
    assert 100 < sum(len(lines_of_code(file)) for file in files) <= ENDLESS_LINES


def test_potentials_are_checked_by_200_lines_and_exact_polynomials():
    assert 100 < len(lines_of_code(VERIFIER / "potential.py")) <= 200
    beside = [VERIFIER / f"{name}.py" for name in ("exact", "jacobian", "laws")]
    assert 100 < sum(len(lines_of_code(file)) for file in beside) <= 170


def test_potentials_are_checked_by_the_standard_library_alone(tmp_path):
    a, b = sp.symbols("a b")
    product = flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2)
    flows.find_potential(product, "exp", ["2/5", "1/8"]).save(tmp_path / "chain.json")
    text = (
        "import json; from flows.certificates.verifier.chain import chain\n"
        f"print(chain(json.load(open({str(tmp_path / 'chain.json')!r}))).statement)"
    )
    # Without the packages that are installed.
    command = [sys.executable, "-S", "-c", text]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "V(t) <= 1/8 exp(-2 (t - T))" in made.stdout, made.stderr
    other = [*command[:-1], text.replace("verifier.chain", "verifier.near")]
    assert subprocess.run(other, cwd=ROOT, capture_output=True, check=False).returncode


def test_what_a_potential_makes_of_a_certificate_is_checked_by_less_than_120_lines():
    assert 60 < len(lines_of_code(VERIFIER / "falling.py")) < 120


def test_potentials_near_minima_are_checked_by_less_than_850_lines():
    # Angles, and all that is outside the box, take 200 of them.
    names = ("near", "charts", "models", "taylor", "program", "outside")
    files = [VERIFIER / f"{name}.py" for name in names]
    assert 100 < sum(len(lines_of_code(file)) for file in files) < 850


def test_tail_carry_and_lens_are_checked_by_less_than_310_lines():
    files = [VERIFIER / f"{name}.py" for name in ("tail", "cubic", "late_flow", "lens")]
    assert 100 < sum(len(lines_of_code(file)) for file in files) < 310


def test_the_checker_of_critical_points_is_short():
    argument = [VERIFIER / "stationary.py", VERIFIER / "turns.py"]
    equations = [VERIFIER / "layer.py", VERIFIER / "kernels.py"]
    for files in (argument, equations):
        assert 100 < sum(len(lines_of_code(file)) for file in files) <= POINT_LINES


def imported(source):
    """Modules that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and ast.unparse(node) != BY_NAME:
            found.add("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            text = ast.unparse(node.args[0])
            found |= set() if text.startswith(BESIDE) and "." not in text[len(BESIDE) :] else {text}
    return found


def foreign(source):
    """What a file of the checker imports and may not."""
    room = ".".join(VERIFIER.relative_to(ROOT).parts)
    beside = {f"{room}.{file.stem}" for file in VERIFIER.glob("*.py")}
    return imported(source) - LIBRARIES - beside - {"flows.core.errors"}


@pytest.mark.parametrize("file", sorted(VERIFIER.glob("*.py")), ids=lambda file: file.stem)
def test_the_checker_shares_no_code_with_what_it_checks(file):
    assert foreign(file.read_text()) == set()


@pytest.mark.parametrize(
    "source",
    [
        "from flows.certificates.proof import norm",
        "def f():\n    import flows.core.balls",
        "from flows.certificates import chebyshev",
        "from .. import proof",
        "import importlib",
        "from importlib import import_module, reload",
        f"{BY_NAME}\nimport_module('flows.core.balls')",
        f"{BY_NAME}\nimport_module(name)",
        BY_NAME + "\nimport_module(f'flows.certificates.verifier.{x}.{y}')",
        "import sympy",
    ],
)
def test_the_scan_of_imports_sees_what_is_shared(source):
    assert foreign(source) != set()


def test_every_system_that_can_be_certified_can_be_checked():
    assert {*certifiable(), *OWN} == set(EQUATIONS)
    assert "score_matching" not in certifiable()


def test_claims_are_decided_of_every_system_with_equations_and_of_one_certified_by_its_formula():
    assert {*BOXES, *OWN} == {*EQUATIONS, "two_layer"}
