"""Certificates: the second reader accepts what the kernel made, and no number may be changed."""

import ast
import copy
import json
import random
import re
from pathlib import Path

import pytest

import symbolic
from symbolic.theorem.certificate import certificate, digest, summary
from symbolic.theorem.checker import Wrong, check
from symbolic.theorem.verification import verified

ROOT = Path(__file__).parents[3]
CHANGES = 100
PROOF = ("theorems", "formulas", "steps")


def made(system, *names):
    statements = [s for s in symbolic.theorems(system) if not names or s.name in names]
    data = json.loads(json.dumps(certificate(system, statements)))
    return data, {s.name: summary(s) for s in symbolic.theorems(system)}


@pytest.fixture(scope="module")
def small():
    return made("gmm_em", "squared_norms", "squared_norms_fall")


@pytest.fixture(scope="module")
def large():
    return made("relu_neuron", "distance_vs_loss")


def leaves(data, path=()):
    """Places of all numbers, those in text included."""
    if isinstance(data, dict):
        for key in data:
            yield from leaves(data[key], (*path, key))
    elif isinstance(data, list):
        for k, item in enumerate(data):
            yield from leaves(item, (*path, k))
    elif (isinstance(data, int) and not isinstance(data, bool)) or (
        isinstance(data, str) and re.search(r"\d", data)
    ):
        yield path


def changed(data, path, draw):
    """A copy with one number changed and the checksum made anew."""
    new = copy.deepcopy(data)
    at = new
    for key in path[:-1]:
        at = at[key]
    old = at[path[-1]]
    if isinstance(old, int):
        at[path[-1]] = old + draw.choice((-1, 1))
    else:
        digits = [m.start() for m in re.finditer(r"\d", old)]
        k = draw.choice(digits)
        at[path[-1]] = old[:k] + str((int(old[k]) + draw.randint(1, 8)) % 10) + old[k + 1 :]
    new["digest"] = digest(new)
    return new


@pytest.mark.parametrize("system", symbolic.THEOREMS)
def test_the_second_reader_accepts_what_the_kernel_made(system):
    data, stated = made(system)
    assert [s["name"] for s in verified(data, stated)] == list(stated)


@pytest.mark.parametrize("seed", range(CHANGES))
def test_a_changed_number_is_refused(small, seed):
    data, stated = small
    draw = random.Random(seed)
    path = draw.choice([p for p in leaves(data) if p[0] in PROOF])
    with pytest.raises(Wrong):
        verified(changed(data, path, draw), stated)


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_number_in_a_bound_of_the_loss_is_refused(large, seed):
    data, stated = large
    draw = random.Random(seed)
    path = draw.choice([p for p in leaves(data) if p[0] in PROOF and "from" not in p])
    with pytest.raises(Wrong):
        verified(changed(data, path, draw), stated)


@pytest.fixture(scope="module")
def timed():
    return [made("score_matching", "means_stay"), made("matrix_factorization", "layers_stay")]


@pytest.mark.parametrize("seed", range(16))
def test_a_changed_number_in_a_first_exit_is_refused(timed, seed):
    data, stated = timed[seed % 2]
    draw = random.Random(seed)
    path = draw.choice([p for p in leaves(data) if p[0] in PROOF and "from" not in p])
    with pytest.raises(Wrong):
        verified(changed(data, path, draw), stated)


def test_a_change_without_a_new_checksum_is_refused(small):
    data, stated = small
    new = {**data, "theorems": data["theorems"][:1]}
    with pytest.raises(Wrong, match="checksum"):
        verified(new, stated)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d["theorems"][0].update(says="dU/dt = -3 E|v|^2"), "says is not what"),
        (lambda d: d["theorems"][0].update(statement="0 >= 1"), "not the proved one"),
        (lambda d: d["theorems"][0].update(axioms=[]), "hypotheses differ"),
        (lambda d: d["theorems"][0].update(name="other"), "not known"),
        (lambda d: d["theorems"][0].update(proof=0), "not the proved one"),
        (lambda d: d["steps"][2].update(rule="magic"), "unknown rule"),
        (lambda d: d["theorems"][0].pop("proof"), "other entries"),
        (lambda d: d.update(theorems=[]), "is cut"),
        (lambda d: d.update(format="mine"), "no certificate of theorems"),
        (lambda d: d.update(steps=[]), "no steps"),
    ],
)
def test_what_is_cut_or_rewritten_is_refused(small, change, why):
    data, stated = small
    new = copy.deepcopy(data)
    change(new)
    new["digest"] = digest(new)
    with pytest.raises(Wrong, match=why):
        verified(new, stated)


@pytest.mark.parametrize("data", [None, 3, "x", [], {}, {"format": 1}])
def test_what_is_no_certificate_is_refused(data):
    with pytest.raises(Wrong):
        verified(data, {})


def test_a_proof_of_a_falsehood_from_nothing_is_refused():
    formula = {"op": ">", "of": {"p": []}}
    step = {"rule": "assume", "from": [], "with": [formula], "if": [], "then": 0}
    with pytest.raises(Wrong, match="other hypotheses"):
        check({"formulas": [formula], "steps": [step]})


def test_the_second_reader_knows_nothing_of_the_first():
    parts = ("checker", *(f"checker_{x}" for x in ("rules", "formulas", "terms", "curves")))
    for name in parts:
        tree = ast.parse((ROOT / "symbolic" / "theorem" / f"{name}.py").read_text())
        found = {
            node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        } | {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        ours = {m for m in found if m.startswith(("symbolic", "sympy", "flows", "potentials"))}
        named = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        assert ours <= {f"symbolic.theorem.{x}" for x in parts} | {"symbolic.theorem"}
        assert "symbolic.theorem" not in ours or not named & {"kernel", "terms", "formulas"}


def test_the_page_says_how_long_the_two_readers_are():
    page = (ROOT / "docs" / "theorems.md").read_text()
    rows = re.findall(r"^\|[^|]*\| ((?:`\w+\.py`(?:, )?)+) \| (\d+) \|$", page, re.MULTILINE)
    found = {}
    for files, said in rows:
        names = re.findall(r"\w+\.py", files)
        texts = ((ROOT / "symbolic" / "theorem" / name).read_text() for name in names)
        found[names[0]] = sum(text.count("\n") for text in texts)
        assert found[names[0]] == int(said)
    assert found["kernel.py"] <= 400 and found["checker_rules.py"] < 300
