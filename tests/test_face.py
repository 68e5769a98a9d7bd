"""The faces: which names are public, that popflow gives those of flows, and what editors see."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flows
import flows.pages.figures
import popflow
import potentials
import symbolic

ROOT = Path(__file__).parents[1]
# Whoever adds a name here promises to keep it.
PUBLIC = {
    flows: """Certificate Ensemble FoundPotential GMMEM InputError LateLaw Law METHODS ODE
        MatrixFactorization OwnSystem ReLUNeuron ScoreMatching StationaryPoint Trajectory
        TwoLayer certify check convergence descend descend_ensemble figures find_potential
        find_potential_near
        propose_potential
        inspect integrate integrate_ensemble late_states late_time_law load load_certificate
        load_ensemble load_sweep local_exponent Model option report saddles sensitivity stationary
        stationary_ensemble sweep sweep_fraction tail_constant theorem threshold verify
        worst_case""",
    symbolic: """Cube D DOCUMENTS Derivation Document Evidence Expectation Finding Gaussian
        LateTimeLaw Mixture NotSmooth PrintedForm Rademacher Rows Sphere Statement Step THEOREMS
        derive late_time_law printed_forms theorems""",
    potentials: """Claim Comparison Conserved EXPONENT Flow Hypothesis Identity
        Inequality Invariant LieDerivative LowerBound Mark Potential Rate SYSTEMS Source Statements
        Term UpperBound auxiliaries claims flow marks parameter potentials statements symbol
        theorem""",
}
FACES = {
    flows: ROOT / "flows",
    flows.pages.figures: ROOT / "flows" / "pages" / "figures",
    symbolic: ROOT / "symbolic",
}
# Types of NumPy, SymPy and others take four times as long, and no name of ours needs them.
OWN_ONLY = ["--no-site-packages", "--ignore-missing-imports"]


def home(module, name):
    """Where a name of a module is: in the module, or it is a module of that package itself."""
    file = ROOT.joinpath(*module.split("."), name)
    is_module = file.is_dir() or file.with_suffix(".py").exists()
    return f"{module}.{name}" if is_module else module


def stated(face):
    """Names that a face imports for type checkers only, with their modules; a module is its own."""
    tree = ast.parse((face / "__init__.py").read_text())
    return {
        alias.asname: home(node.module, alias.name)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("package", PUBLIC, ids=lambda p: p.__name__)
def test_the_public_names_are_these(package):
    assert sorted(package.__all__) == sorted(PUBLIC[package].split())
    assert all(getattr(package, name) is not None for name in package.__all__)


def test_popflow_has_the_names_of_flows_and_the_same_objects():
    assert popflow.__all__ == flows.__all__ == dir(popflow) == dir(flows)
    assert all(getattr(popflow, name) is getattr(flows, name) for name in flows.__all__)


@pytest.mark.parametrize(
    "package", [flows, popflow, symbolic, flows.figures], ids=lambda p: p.__name__
)
def test_another_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="no attribute 'integral'"):
        assert package.integral


@pytest.mark.parametrize("face", FACES, ids=lambda p: p.__name__)
def test_type_checkers_see_the_names_that_are_imported_on_first_use(face):
    assert stated(FACES[face]) == face._HOME | getattr(face, "_MODULES", {})


def test_a_function_stays_a_function_when_its_module_is_imported():
    code = """
import flows, flows.runs.check, flows.runs.integrate, flows.certificates.certify
assert all(callable(f) for f in (flows.check, flows.integrate, flows.certify)), "shadowed"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_editors_see_the_signatures(tmp_path):
    names = [*(f"flows.{name}" for name in flows.__all__), "popflow.integrate", "symbolic.derive"]
    snippet = tmp_path / "snippet.py"
    lines = ["import flows", "import popflow", "import symbolic"]
    lines += [f"reveal_type({name})" for name in [*names, "flows.InputError.no_such_name"]]
    snippet.write_text("\n".join(lines) + "\n")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *OWN_ONLY, str(snippet)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    ).stdout
    revealed = [line.partition("Revealed type is ")[2] for line in found.splitlines()]
    revealed = [line.strip('"') for line in revealed if line]
    assert len(revealed) == len(names) + 1, found
    # The last one does not exist: a checker that saw Any everywhere would be found out.
    assert [n for n, seen in zip(names, revealed, strict=False) if seen == "Any"] == []
    assert revealed[-1] == "Any" and "no_such_name" in found


@pytest.mark.parametrize("package", ["flows", "popflow", "symbolic", "flows.pages.figures"])
def test_a_face_is_imported_without_what_is_heavy(package):
    code = f"import sys, {package}; print(sorted({{'jax', 'numpy', 'sympy'}} & set(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"
