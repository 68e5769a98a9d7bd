"""`popflow derive`: JSON, LaTeX, exit codes, errors put in."""

import json
import re
from dataclasses import replace

import pytest
import sympy as sp

import symbolic
from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.systems.own.derivation import derive_kept
from symbolic.systems.own.rates import Kept

X = sp.Symbol("x", positive=True)
# A relation that holds, for which SymPy has no rule and the project no balls.
LEGENDRE = (
    sp.elliptic_e(X / 4) * sp.elliptic_k(1 - X / 4)
    + sp.elliptic_e(1 - X / 4) * sp.elliptic_k(X / 4)
    - sp.elliptic_k(X / 4) * sp.elliptic_k(1 - X / 4)
)


@pytest.fixture
def short(monkeypatch):
    """Of a document two derivations: all steps are verified in the tests of `symbolic`."""
    whole = symbolic.derive

    def derive(name):
        document = whole(name)
        return replace(document, derivations=document.derivations[:2])

    monkeypatch.setattr(symbolic, "derive", derive)


def test_derive_prints_json_and_writes_latex(popflow, tmp_path, short):
    path = tmp_path / "derivation.tex"
    code, out, err = popflow("derive", "relu_neuron", "--json", "--latex", path)
    assert (code, err) == (0, f"wrote {path} and {path.with_suffix('.bib')}\n")
    result = json.loads(out)
    assert result["system"] == "relu_neuron"
    assert len(result["derivations"]) == 2
    for derivation in result["derivations"]:
        assert {"name", "source", "steps"} <= set(derivation)
        for step in derivation["steps"]:
            assert {"rule", "equation", "evidence", "seconds"} <= set(step)
            assert step["evidence"] != "REFUTED"
    assert r"\bibliography{derivation}" in path.read_text()
    assert "@inproceedings{xu-du-2023," in path.with_suffix(".bib").read_text()


@pytest.mark.parametrize(
    "lhs, rhs, code, evidence",
    [
        ((X + 1) ** 2, X**2 + 2 * X + 1, 0, "PROVED"),
        (sp.acos(sp.cos(X)), X, 0, "ENCLOSED"),
        (LEGENDRE, sp.pi / 2, 3, "SAMPLED"),
        (sp.Limit(sp.Function("f")(X), X, sp.oo), X, 3, "OPEN"),
        (X, 2 * X, 1, "REFUTED"),
    ],
    ids=str,
)
def test_derive_exits_by_the_evidence_and_says_why(popflow, monkeypatch, lhs, rhs, code, evidence):
    good = Step(sp.sin(X) ** 2, 1 - sp.cos(X) ** 2, "good")
    step = Step(lhs, rhs, "tried", domain=((X, sp.Integer(1), sp.Integer(3)),))
    document = Document("d", (Derivation("d", "s", (good, step)),))
    monkeypatch.setattr(symbolic, "derive", lambda name: document)
    found, out, err = popflow("derive", "gaussian", "--json")
    assert (found, err) == (code, "")
    steps = json.loads(out)["derivations"][0]["steps"]
    assert [one["evidence"] for one in steps] == ["PROVED", evidence]
    assert (steps[1]["reason"] is None) == (evidence == "PROVED")
    found, out, _ = popflow("derive", "gaussian")
    assert found == code
    assert "2 distinct steps of 2" in out
    assert (f"  {evidence}: tried: " in out) == (evidence != "PROVED")


def test_derive_prints_a_table_and_says_how_many_errors_were_seen(popflow):
    code, out, _ = popflow("derive", "gaussian", "--controls")
    assert code == 0
    assert "PROVED by" in out and out.count("\nResult:") == len(
        symbolic.derive("gaussian").derivations
    )
    seen, total = re.search(r"(\d+) of (\d+) errors put in were refuted", out).groups()
    assert seen == total and int(total) > 10


def test_derive_keeps_controls_apart_from_json(popflow, monkeypatch):
    document = symbolic.derive("gaussian")
    one = replace(document, derivations=document.derivations[1:])
    monkeypatch.setattr(symbolic, "derive", lambda name: one)
    code, out, err = popflow("derive", "gaussian", "--controls", "--json")
    assert code == 0
    assert json.loads(out)["system"] == "gaussian"
    assert "errors put in were refuted" in err


def kept_of(out):
    """Right sides of what is derived to be kept, by the names of derivations."""
    found = json.loads(out)["derivations"]
    names = ("conserved", "invariant", "clock")
    return {d["name"]: d["steps"] for d in found if d["name"].startswith(names)}


def test_of_a_typed_polynomial_it_is_derived_what_its_flow_keeps(popflow):
    code, out, err = popflow("derive", "x**2/2 + y**4/4", "--json")
    assert (code, err) == (0, "")
    found = kept_of(out)
    assert [*found] == ["invariant set: P_1", "invariant set: P_2", "clock: T_1"]
    assert {step["evidence"] for steps in found.values() for step in steps} == {"PROVED"}
    assert "\\frac{1}{2 y^{2}}" in found["clock: T_1"][0]["equation"]


def test_of_a_system_with_a_size_it_is_derived_what_its_flow_keeps(popflow, short):
    given = ("--d", "2", "--depth", "2")
    code, out, _ = popflow(
        "derive", "matrix_factorization", *given, "--regularization", "0", "--json"
    )
    assert code == 0 and len(kept_of(out)) == 3
    code, out, _ = popflow("derive", "matrix_factorization", *given, "--json")
    assert code == 0 and not kept_of(out)  # of rotations alone there is no quadratic


def test_a_derivation_of_what_is_not_kept_is_refuted():
    x, y = sp.symbols("x y", real=True)
    wrong = Kept((x**2 - sp.Rational(999, 1000) * y**2,), ((x - y, x * y - 2),), (1 / x,))
    told = derive_kept((x, y), (x * y - 1) ** 2 / 2, wrong)
    assert [str(d.verify().steps[1].evidence) for d in told] == ["REFUTED"] * 3


@pytest.mark.parametrize(
    "words, said",
    [
        (["matrix_factorization", "--d", "3"], "choose a smaller size"),
        (["relu_neuron", "--d", "3"], "... is no polynomial in w[0,0], w[0,1]"),
        (["gaussian", "--d", "3"], "gaussian has no size"),
        (["relu_nueron"], "did you mean relu_neuron"),
        (["x**2 + y", "--d", "3"], "--d is not an option of typed"),
        (["x**2 +"], "expected a formula"),
        (["missing.json"], "got no file"),
    ],
)
def test_what_cannot_be_derived_is_one_line(popflow, short, words, said):
    code, _, err = popflow("derive", *words)
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1
