"""Nothing that a user or a file provides is evaluated, and imports go one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("symbolic", "potentials", "flows")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# What turns text into code or objects.
FORBIDDEN = {"eval", "exec", "compile", "parse_expr", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
ALLOWED_ABOVE = {"symbolic": set(), "potentials": {"symbolic"}, "flows": {"symbolic", "potentials"}}


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            f = node.func
            yield node, f.id if isinstance(f, ast.Name) else getattr(f, "attr", "")


def modules(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def unsafe(source):
    """Return what in the source turns text into code or objects, by line."""
    tree = ast.parse(source)
    found = []
    for node, name in calls(tree):
        keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if name in FORBIDDEN and isinstance(node.func, ast.Name):
            found.append((node.lineno, name))
        if name == "sympify" and keywords.get("strict") is not True:
            found.append((node.lineno, "sympify of anything but an expression or a number"))
        if name == "S" and isinstance(node.func, ast.Attribute):
            found.append((node.lineno, "S(...) parses text"))
        if keywords.get("allow_pickle"):
            found.append((node.lineno, "allow_pickle"))
    return found + [(0, name) for name in modules(tree) if name in FORBIDDEN_MODULES]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_text_is_evaluated_or_unpickled(path):
    assert unsafe(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_one_file_calls_lambdify(path):
    names = {name for _, name in calls(ast.parse(path.read_text()))}
    assert "lambdify" not in names or path.name == "lower.py"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_from_symbolic_to_potentials_to_flows(path):
    package = path.relative_to(ROOT).parts[0]
    imported = set(modules(ast.parse(path.read_text()))) & set(PACKAGES)
    assert imported <= ALLOWED_ABOVE[package] | {package}


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec(text)",
        "import pickle",
        "from dill import loads",
        "sp.sympify(text)",
        "sp.sympify(text, strict=False)",
        "sp.S('x')",
        "np.load(f, allow_pickle=True)",
        "parse_expr(text)",
    ],
)
def test_scan_sees_what_it_forbids(source):
    assert unsafe(source) != []


def test_scan_lets_expressions_and_plain_arrays_through():
    assert unsafe("sp.sympify(x, strict=True); sp.S.One; np.load(f, allow_pickle=False)") == []
