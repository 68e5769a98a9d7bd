"""Nothing that a user or a file provides is evaluated, and imports go down only."""

import ast
import contextlib
import functools
import os
from pathlib import Path

import pytest
import sympy as sp

from symbolic import D, Expectation, Step, late_time_law
from symbolic.evidence.identity import examine
from symbolic.language.lower import lower

X = sp.Symbol("x", real=True)
RAN = "TEXT_HAS_RUN"  # a variable of the environment that text sets if it is evaluated
ROOT = Path(__file__).parents[1]
PACKAGES = ("symbolic", "potentials", "flows", "popflow")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# What turns text into code or objects.
FORBIDDEN = {"eval", "exec", "compile", "parse_expr", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
# Who may import whom: a room, and what it knows beside itself and the rooms in it.
FACES = {"symbolic", "flows", "popflow"}
BELOW = {"symbolic", "potentials", "flows.arithmetic", "flows.core"}
# Modules beside a face, which belong to it.
BESIDE = ("flows.__main__", "popflow.__main__", "popflow.conformance", "symbolic.kernels")
# A model in one file beside the systems is written as a user's own one is.
MODEL = {*BELOW, "popflow", "flows.systems.own"}
ROOMS = {
    "symbolic.language": set(),
    "symbolic.evidence": {"symbolic.language"},
    "symbolic.lemmas": {"symbolic.language", "symbolic.evidence"},
    "symbolic.asymptotics": {"symbolic.language", "symbolic.evidence"},
    "symbolic.theorem": {"symbolic.language", "symbolic.evidence"},
    "symbolic.systems": {
        "symbolic.language",
        "symbolic.evidence",
        "symbolic.lemmas",
        "symbolic.asymptotics",
        "symbolic.theorem",
    },
    "symbolic": {"symbolic"},
    "potentials": {"symbolic"},
    "flows.arithmetic": {"symbolic.language"},
    "flows.core": {"symbolic", "potentials", "flows.arithmetic"},
    "flows.expectations": BELOW,
    "flows.systems": BELOW,
    "flows.systems.registry": {*BELOW, "flows.systems.field", "flows.systems.own"},
    "flows.systems.hidden_layer": {*BELOW, "flows.systems.own"},
    "flows.systems.relu_neuron": {*BELOW, "flows.systems.hidden_layer"},
    "flows.systems.matrix_factorization": BELOW,
    "flows.systems.field": BELOW,
    "flows.systems.own": {*BELOW, "flows.expectations", "flows.systems.field"},
    "flows.systems.two_layer": {
        *BELOW,
        "flows.systems.field",
        "flows.systems.own",
        "flows.systems.hidden_layer",
        "flows.systems.relu_neuron",
    },
    "flows.systems.mixture": {*BELOW, "flows.expectations"},
    "flows.systems.gmm_em": {*BELOW, "flows.expectations", "flows.systems.mixture"},
    "flows.systems.score_matching": {*BELOW, "flows.expectations", "flows.systems.mixture"},
    "flows.solvers": BELOW,
    "flows.runs": {*BELOW, "flows.systems", "flows.solvers"},
    "flows.ensembles": {*BELOW, "flows.systems", "flows.solvers", "flows.runs"},
    "flows.certificates": {*BELOW, "flows.systems", "flows.runs"},
    "flows.certificates.verifier": {"flows.core.errors"},
    "flows.pages": {
        *BELOW,
        "flows.systems",
        "flows.solvers",
        "flows.runs",
        "flows.ensembles",
        "flows.certificates",
    },
    "flows.cli": {
        *BELOW,
        "flows.systems",
        "flows.solvers",
        "flows.runs",
        "flows.ensembles",
        "flows.certificates",
        "flows.pages",
    },
    "flows": {"flows"},
    "popflow": {"flows"},
}


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


@functools.cache
def parsed(path):
    return ast.parse(path.read_text())


def unsafe(tree):
    """Return the calls and imports that turn text into code or objects, by line."""
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


def test_no_text_is_evaluated_or_unpickled():
    assert {path: found for path in FILES if (found := unsafe(parsed(path)))} == {}


def test_only_one_file_calls_lambdify():
    calling = {path for path in FILES if "lambdify" in {name for _, name in calls(parsed(path))}}
    assert calling == {ROOT / "symbolic" / "language" / "lower.py"}


@pytest.mark.parametrize(
    "read",
    [
        D,
        lambda text: examine(X, 1 - X, ((X, text, 1),)),
        lambda text: examine(X, 1 - X, ((X, 0, text),)),
        lambda text: examine(text, X),
        lambda text: Step(X, text, "rule").verify(),
        lambda text: lower([text], [X], "numpy"),
        lambda text: Expectation(text, X),
        lambda text: late_time_law(X**2, (X,), at={X: text}),
        lambda text: late_time_law(text, (X,), at={X: 0}),
    ],
)
def test_text_in_the_place_of_an_expression_is_refused_and_never_run(read, monkeypatch):
    monkeypatch.setenv(RAN, "")
    with contextlib.suppress(ValueError):
        read(f"len(__import__('os').environ.update({RAN}='1') or '')")
        pytest.fail("text was taken")
    assert os.environ[RAN] == ""


def module(path):
    """Dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {module(path) for path in FILES}


def imports(tree):
    """Modules of this project that a file imports, also lazily and for type checkers only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute, so that one sees what they name"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if name in NAMES else node.module for name in full]
        else:
            continue
        yield from (name for name in found if name.partition(".")[0] in PACKAGES)


def inside(name, room):
    return name == room or name.startswith(f"{room}.")


def room_of(name):
    """Smallest room that has the module; what stands beside a face belongs to it."""
    if name in BESIDE or name in FACES:
        return name.partition(".")[0]
    *system, _ = name.split(".")[:4]
    if system[:2] == ["flows", "systems"]:  # also one that the table does not know
        return ".".join(system) if len(system) == 3 else name
    return max((room for room in ROOMS if room not in FACES and inside(name, room)), key=len)


def misplaced(name, tree):
    """Return the imports of a module that the table does not allow."""
    room = room_of(name)
    unknown = MODEL if room == name else BELOW
    known = ROOMS[room] if room in FACES else {room, *ROOMS.get(room, unknown)}
    return [other for other in imports(tree) if not any(inside(other, r) for r in known)]


def circles(edges):
    """Return the groups of modules that import each other in a ring."""
    reach = {}
    for start in edges:
        seen, todo = set(), [start]
        while todo:
            for other in edges.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        reach[start] = seen
    return sorted(name for name in edges if name in reach[name])


def test_a_room_imports_only_the_rooms_below_it():
    against = {path: misplaced(module(path), parsed(path)) for path in FILES}
    assert {path: found for path, found in against.items() if found} == {}


def test_no_module_imports_itself_through_others():
    assert circles({module(path): set(imports(parsed(path))) for path in FILES}) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("flows.arithmetic.vectors", "from flows.core.chart import Chart"),
        ("flows.core.chart", "from flows.solvers import stiff"),
        ("flows.core.chart", "def f():\n    from flows.runs.trajectory import load"),
        ("flows.core.chart", "if TYPE_CHECKING:\n    from flows.systems.registry import SYSTEMS"),
        ("flows.solvers.stiff", "from flows.systems.relu_neuron.system import ReLUNeuron"),
        ("flows.systems.gmm_em.system", "from flows.systems.score_matching import exact"),
        ("flows.systems.mixture.expectation", "from flows.systems.gmm_em import exact"),
        ("flows.systems.new.system", "from flows.systems.gmm_em.system import GMMEM"),
        ("flows.systems.new.parts.field", "import flows.systems.own.loss"),
        ("flows.systems.new", "from flows.systems.gmm_em.system import GMMEM"),
        ("flows.systems.new", "from flows.runs import integrate"),
        ("flows.certificates.certify", "from flows.pages import html"),
        ("flows.certificates.certify", "from flows.solvers import stiff"),
        ("flows.certificates.verifier.verify", "from flows.core.balls import dot"),
        ("flows.certificates.verifier.verify", "from flows.certificates.proof import prove"),
        ("flows.ensembles.member", "from flows.certificates.certify import certify"),
        ("flows.runs.check", "import flows"),
        ("symbolic.language.lower", "from symbolic.evidence.identity import equal"),
        ("symbolic.lemmas.dual_kernel", "from symbolic.systems import gmm_em"),
        ("symbolic.asymptotics.law", "from symbolic.lemmas import gaussian"),
        ("potentials.claim", "from flows.core.errors import InputError"),
    ],
)
def test_an_import_against_the_table_is_seen(name, source):
    assert len(misplaced(name, ast.parse(source))) == 1


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c"]


def test_the_drawer_stays_empty():
    loose = {path.name for path in (ROOT / "flows").iterdir() if path.is_file()}
    assert loose == {"__init__.py", "__main__.py", "py.typed"}


@pytest.mark.parametrize(
    "room", sorted(set(ROOMS) - FACES - {"potentials", "flows.systems.registry"})
)
def test_a_room_says_what_it_knows_and_loads_nothing(room):
    tree = ast.parse((ROOT / room.replace(".", "/") / "__init__.py").read_text())
    assert ast.get_docstring(tree) and len(tree.body) == 1


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
    assert unsafe(ast.parse(source)) != []


def test_scan_lets_expressions_and_plain_arrays_through():
    text = "sp.sympify(x, strict=True); sp.S.One; np.load(f, allow_pickle=False)"
    assert unsafe(ast.parse(text)) == []
