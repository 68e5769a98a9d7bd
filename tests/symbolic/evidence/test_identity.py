"""Levels of evidence."""

import re
import time

import pytest
import sympy as sp

from symbolic.evidence import identity
from symbolic.evidence.identity import Basis, Evidence, equals, examine
from symbolic.language.primitives import SinMinusArg

T = sp.Symbol("theta", nonnegative=True)
X = sp.Symbol("x", real=True)
DOMAIN = ((T, sp.S.Zero, sp.pi),)
F = sp.Function("F", real=True)


def test_identity_that_sympy_reduces_is_proved():
    assert examine(sp.sin(2 * T), 2 * sp.sin(T) * sp.cos(T), DOMAIN).evidence is Evidence.PROVED


def test_identity_that_sympy_cannot_reduce_is_enclosed_and_not_called_equal():
    # The branch is right on the domain only, which the rewriting rules do not know.
    left, right = sp.acos(sp.cos(T)), T
    finding = examine(left, right, DOMAIN)
    assert finding.evidence is Evidence.ENCLOSED
    assert "64 random boxes" in finding.detail
    assert equals(left, right, DOMAIN) is None


def test_identity_without_proof_and_without_balls_is_sampled_and_says_why():
    # Legendre's relation: SymPy has no rule for it, and elliptic integrals have no balls here.
    (first, second), (k, e) = (X, 1 - X), (sp.elliptic_k, sp.elliptic_e)
    left = e(first) * k(second) + e(second) * k(first) - k(first) * k(second)
    finding = examine(left, sp.pi / 2, ((X, sp.S.Zero, sp.S.One),))
    assert finding.evidence is Evidence.SAMPLED
    assert finding.basis is None
    assert re.fullmatch(
        r"SymPy did not decide; there is no ball arithmetic for elliptic_\w, as in .*; "
        r"50 digits agree at 6 points",
        finding.reason,
    )


def test_attempt_that_runs_out_of_time_leaves_what_the_others_found(monkeypatch):
    def forever(*_):
        while True:
            sum(range(1000))

    monkeypatch.setattr(identity, "_proved", forever)
    finding = examine(sp.acos(sp.cos(T)), T, DOMAIN, patience=0.5)
    assert finding.evidence is Evidence.ENCLOSED
    assert "SymPy did not decide within 0.5 s of processor time; 64 random boxes" in finding.reason


def test_patience_is_for_processor_time_and_not_for_a_busy_machine(monkeypatch):
    proved = identity._proved

    def held_up(*arguments):
        time.sleep(3 * patience)  # as if other processes had the processor
        return proved(*arguments)

    patience = 0.5
    monkeypatch.setattr(identity, "_proved", held_up)
    finding = examine((X + 1) ** 2, X**2 + 2 * X + 1, patience=patience)
    assert finding.evidence is Evidence.PROVED


@pytest.mark.parametrize(
    "left, right, relation, basis",
    [
        (X * (X + 1), X * (X + 1), "==", Basis.DEFINITION),
        (SinMinusArg(X), sp.sin(X) - X, "==", Basis.DEFINITION),
        (sp.Matrix([X, 1]), sp.Matrix([X, 1]), "==", Basis.DEFINITION),
        (sp.Derivative(sp.sin(X), X), sp.cos(X), "==", Basis.EVALUATION),
        (sp.Matrix([sp.Limit(sp.sin(X) / X, X, 0), X]), sp.Matrix([1, X]), "==", Basis.EVALUATION),
        (sp.Derivative(X**2 / 2 + X, X), (X**2 + X) / X, "==", Basis.ALGEBRA),
        ((X + 1) ** 2, X**2 + 2 * X + 1, "==", Basis.ALGEBRA),
        (X**2, sp.S.Zero, ">=", Basis.CALCULUS),
    ],
)
def test_proof_says_what_it_takes(left, right, relation, basis):
    finding = examine(left, right, relation=relation)
    assert (finding.evidence, finding.basis, finding.reason) == (Evidence.PROVED, basis, "")


def test_inequality_is_proved_and_its_converse_refuted():
    assert examine(T, sp.sin(T), DOMAIN, ">=").evidence is Evidence.PROVED
    finding = examine(T, sp.sin(T), DOMAIN, "<=")
    assert finding.evidence is Evidence.REFUTED
    shown = {name: float(value) for name, value in finding.counterexample}
    assert shown["lhs"] > shown["rhs"]


@pytest.mark.parametrize(
    ("difference", "domain", "relation", "proved"),
    [
        (X - 1, ((X, 1, 2),), ">=", True),
        (X - 1, ((X, 1, 2),), "<=", False),
        (1 - X, ((X, 1, 2),), "<=", True),
        (2 - X, ((X, 1, 2),), ">=", True),
        (sp.Rational(199, 100) - X, ((X, 1, 2),), ">=", False),
        (X - sp.Rational(101, 100), ((X, 1, 2),), ">=", False),
        (T - sp.sin(T), DOMAIN, ">=", True),
        (T - sp.sin(T), DOMAIN, "<=", False),
        # Of integers every one counts, not those alone that are sampled.
        (sp.Symbol("n", integer=True, positive=True) - 4, "n", "<=", False),
        (sp.Symbol("n", integer=True, positive=True) - 1, "n", ">=", True),
    ],
)
def test_rules_of_calculus_prove_one_direction_on_the_domain(difference, domain, relation, proved):
    # Directly: a false statement is refuted before it comes to a proof.
    bounds = ((*difference.free_symbols, 1, 3),) if domain == "n" else domain
    found = identity._proved([difference], [sp.S.Zero], bounds, relation)
    assert found is (Basis.CALCULUS if proved else None)


def test_every_entry_must_be_proved():
    one, two = sp.S.One, sp.Integer(2)
    for left, proved in (([two, two], True), ([two, one], True), ([two, one / 2], False)):
        found = identity._proved(left, [one, one], (), ">=")
        assert found is (Basis.CALCULUS if proved else None)
        equal = identity._proved(left, [two, two], (), "==")
        assert (equal is not None) is (left == [two, two])


@pytest.mark.parametrize(
    "expr",
    [sp.S.One, -sp.S.One, 1 / X, -1 / X, (X**2 - 1) / ((X - 1) * (X + 1)), sp.sin(X), X - 1],
    ids=str,
)
def test_what_is_not_zero_does_not_reduce_to_zero(expr):
    assert not identity._reduces_to_zero(expr)
    assert not identity._reduces_to_zero(-expr)


@pytest.mark.parametrize(
    "expr",
    [
        sp.S.Zero,
        (X + 1) ** 2 - X**2 - 2 * X - 1,
        sp.sin(X) ** 2 + sp.cos(X) ** 2 - 1,
        1 / (X + 1) + 1 / (X - 1) - 2 * X / (X**2 - 1),
    ],
    ids=str,
)
def test_what_is_zero_reduces_to_zero(expr):
    assert identity._reduces_to_zero(expr)


def test_inequality_that_no_rule_proves_is_enclosed():
    hill = 2 + sp.sin(T) ** 3 - sp.exp(-T)
    finding = examine(hill, sp.S.Half, DOMAIN, ">=", patience=2.0)
    assert finding.evidence is Evidence.ENCLOSED
    assert "cover the domain" in finding.detail


def test_inequality_that_fails_in_a_corner_is_refuted():
    a, b = sp.symbols("a b", nonnegative=True)
    corner = ((a, sp.S.Zero, sp.S.One), (b, sp.S.Zero, sp.S.One))
    finding = examine(a + (1 - b), sp.Rational(1, 10**5), corner, ">=")
    assert finding.evidence is Evidence.REFUTED


def test_identity_of_indexed_sums_is_proved_for_every_length_and_its_mutant_refuted():
    n, i = sp.symbols("n i", integer=True, positive=True)
    x = sp.IndexedBase("x", real=True)
    domain = ((n, 2, 4),)
    left = sp.Sum(2 * x[i], (i, 1, n)) - sp.Sum(x[i], (i, 1, n))
    assert examine(left, sp.Sum(x[i], (i, 1, n)), domain).evidence is Evidence.PROVED
    assert examine(left, sp.Sum(-x[i], (i, 1, n)), domain).evidence is Evidence.REFUTED
    shorter = sp.Sum(x[i], (i, 2, n))
    assert examine(left, shorter, domain).evidence is Evidence.REFUTED


def test_false_identity_is_refuted_with_a_counterexample():
    finding = examine(sp.cos(2 * T), 2 * sp.cos(T) ** 2 + 1, DOMAIN)
    assert finding.evidence is Evidence.REFUTED
    assert finding.reason.startswith("it fails for theta = ")
    shown = dict(finding.counterexample)
    theta = float(shown["theta"])
    assert float(shown["lhs"]) == pytest.approx(float(sp.cos(2 * theta)))
    assert float(shown["rhs"]) == pytest.approx(float(sp.cos(2 * theta)) + 2)


def test_identity_that_fails_only_near_alignment_is_refuted():
    near = sp.Rational(1, 10**4)
    bent = sp.Piecewise((T**2, sp.Lt(T, near)), (T, True))
    assert examine(bent, T, DOMAIN).evidence is Evidence.REFUTED


def test_statement_that_cannot_be_evaluated_is_open():
    unknown = sp.Limit(F(X), X, sp.oo)
    assert examine(unknown, sp.S.Zero).evidence is Evidence.OPEN
    assert examine(unknown, sp.S.Zero).reason.endswith("no number could be had")
    assert equals(unknown, sp.S.Zero) is None


def test_rule_for_undefined_functions_is_proved_and_its_mutant_refuted():
    g = sp.Function("g", real=True)
    left = sp.Derivative(F(X) * g(X), X)
    right = F(X).diff(X) * g(X) + F(X) * g(X).diff(X)
    assert equals(left, right) is True
    assert equals(left, right - 2 * F(X) * g(X).diff(X)) is False


def test_matrices_of_different_size_are_refuted():
    assert examine(sp.zeros(2, 1), sp.zeros(3, 1)).evidence is Evidence.REFUTED


def test_function_of_a_variable_of_integration_is_no_constant():
    r = sp.Symbol("r", positive=True)
    x = sp.Symbol("x", real=True)
    left = sp.Integral(F(x).diff(x), (x, -r, r))
    assert examine(left, F(r) - F(-r)).evidence is not Evidence.REFUTED
