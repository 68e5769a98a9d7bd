"""Levels of evidence."""

import pytest
import sympy as sp

from symbolic.identity import Evidence, equals, examine

T = sp.Symbol("theta", nonnegative=True)
X = sp.Symbol("x", real=True)
DOMAIN = ((T, sp.S.Zero, sp.pi),)
F = sp.Function("F", real=True)


def test_identity_that_sympy_reduces_is_proved():
    assert examine(sp.sin(2 * T), 2 * sp.sin(T) * sp.cos(T), DOMAIN).evidence is Evidence.PROVED


def test_identity_that_sympy_cannot_reduce_is_sampled():
    # The branch is right on the domain only, which the rewriting rules do not know.
    left, right = sp.acos(sp.cos(T)), T
    assert examine(left, right, DOMAIN).evidence is Evidence.SAMPLED
    assert equals(left, right, DOMAIN) is None


def test_false_identity_is_refuted_with_a_counterexample():
    finding = examine(sp.cos(2 * T), 2 * sp.cos(T) ** 2 + 1, DOMAIN)
    assert finding.evidence is Evidence.REFUTED
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
    assert equals(unknown, sp.S.Zero) is None


def test_rule_for_undefined_functions_is_proved_and_its_mutant_refuted():
    g = sp.Function("g", real=True)
    left = sp.Derivative(F(X) * g(X), X)
    right = F(X).diff(X) * g(X) + F(X) * g(X).diff(X)
    assert equals(left, right) is True
    assert equals(left, right - 2 * F(X) * g(X).diff(X)) is False


def test_matrices_of_different_size_are_refuted():
    assert examine(sp.zeros(2, 1), sp.zeros(3, 1)).evidence is Evidence.REFUTED
