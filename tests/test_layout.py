"""Room by room: lines of code, who makes machine code, who knows JAX; these numbers only fall."""

import ast
import functools
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from flows.systems.registry import SYSTEMS

ROOT = Path(__file__).parents[1]
PACKAGES = ("symbolic", "potentials", "flows", "popflow")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# Lines that hold code: neither docstrings nor comments nor blank lines. Who needs more takes them
# from somewhere else.
LINES = {
    "flows": 129,
    "flows/arithmetic": 1385,
    "flows/certificates": 10869,
    "flows/cli": 3732,
    "flows/core": 2941,
    "flows/ensembles": 3408,
    "flows/expectations": 1693,
    "flows/pages": 3462,
    "flows/runs": 4959,
    "flows/solvers": 3326,
    "flows/systems": 18413,
    "popflow": 39,
    "potentials": 6045,
    "symbolic": 19077,
}
# Files outside `flows/arithmetic` that import Numba or llvmlite, and all that import JAX.
COMPILING, TRACING = 0, 6
# Files named after the engine that runs them.
ENGINES = ("_lanes", "_loop", "_compiled", "_jax", "_balls")
NAMED = 0
# Clauses without a subject, and words that only this project uses so: how many the guides hold.
HUNG = re.compile(
    r"\b(?:of which|those of|so many|that of|told|alike|quiet|gone|arrived)\b"
    r"|\b(?:by|of|from|to|with|at|than|as|in|for|beside|on) what\b",
    re.IGNORECASE,
)
CLAUSES = 20
#: Rows that a room may have grown by unnoticed.
SPARE = 10


def code_lines(text):
    """How many lines hold code."""
    held = set()
    none = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in none:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            held.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(held)


def room(path):
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[:2]) if parts[0] == "flows" and len(parts) > 2 else parts[0]


def imported(text):
    """First names of what a file imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@functools.cache
def counted():
    lines = Counter()
    for path in FILES:
        lines[room(path)] += code_lines(path.read_text())
    return lines


@pytest.mark.parametrize("name", LINES)
def test_rooms_do_not_grow(name):
    assert counted()[name] <= LINES[name] + SPARE


def test_the_table_knows_every_room_and_is_not_above_them():
    lines = counted()
    assert set(lines) == set(LINES)
    assert all(LINES[name] <= lines[name] + SPARE for name in lines)


def test_machine_code_and_jax_spread_no_further():
    files = {path: set(imported(path.read_text())) for path in FILES}
    arithmetic = ROOT / "flows" / "arithmetic"
    compiling = [
        path
        for path, names in files.items()
        if names & {"numba", "llvmlite"} and arithmetic not in path.parents
    ]
    tracing = [p for p, names in files.items() if names & {"jax", "diffrax", "equinox"}]
    named = [path for path in FILES if path.stem.endswith(ENGINES)]
    assert (len(compiling), len(tracing), len(named)) == (COMPILING, TRACING, NAMED)


def test_a_line_of_code_is_counted_once_and_a_docstring_never():
    text = '"""Words.\n\nMore.\n"""\n# Words.\nx = (\n 1\n)\ndef f():\n "It."\n return x\n'
    assert code_lines(text) == 5
    assert code_lines(text + "y = 1; z = 2\n") == 6


# Rooms of what is said of every system; a file that has the name of one is its own.
GENERIC = (
    *("arithmetic", "core", "expectations", "solvers", "runs", "ensembles", "certificates"),
    *("pages", "cli"),
)
GENERIC_SYMBOLIC = ("language", "evidence", "asymptotics", "theorem")


def naming(path, text):
    """Systems that a file of a generic room names."""
    rooms = {"flows": GENERIC, "symbolic": GENERIC_SYMBOLIC}.get(path.parts[0], ())
    if path.parts[1] not in rooms or path.stem in SYSTEMS:
        return set()
    return set(re.findall(rf"\b(?:{'|'.join(SYSTEMS)})\b", text))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_generic_file_names_a_system(path):
    assert naming(path.relative_to(ROOT), path.read_text()) == set()


def test_a_system_that_a_generic_file_names_is_seen():
    line = "from flows.systems.gmm_em.system import GMMEM"
    assert naming(Path("flows/runs/check.py"), line) == {"gmm_em"}
    assert naming(Path("flows/pages/cases/gmm_em.py"), line) == set()
    assert naming(Path("flows/systems/mixture/system.py"), line) == set()


def test_guides_hang_no_more_sentences_on_what_and_those():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/howto").glob("*.md")]
    assert sum(len(HUNG.findall(page.read_text())) for page in pages) <= CLAUSES + SPARE
    assert len(HUNG.findall("off by what it is looked at by, of which no one is told")) == 3
