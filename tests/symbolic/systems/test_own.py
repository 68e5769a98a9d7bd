"""Derivations of losses of one's own."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from symbolic import Expectation
from symbolic.evidence.identity import Evidence
from symbolic.evidence.mutation import controls
from symbolic.language.blocks import explicit
from symbolic.language.matrices import SquaredNorm, matrix_gradient, squared_norms
from symbolic.systems.own import check
from symbolic.systems.own.derivation import derive

U, V, X, Z = sp.symbols("u v x z")
A, B = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("B", 2, 2)
TARGET = sp.ImmutableMatrix([[2, 0], [1, 3]])
PRODUCT = (U * V - 1) ** 2 / 2
MATRICES = sp.trace((A * B.T - TARGET) * (A * B.T - TARGET).T) / 2
# Of central differences of functions of order one with step 1e-5.
DIFFERENCES = 1e-8


def steps(document, name):
    (found,) = (d for d in document.derivations if d.name == name)
    return found.steps


def evidence(document):
    return {step.evidence for step in document.steps}


def test_each_step_of_a_scalar_loss_is_proved():
    potentials = {"gap": (U * V - 1) ** 2, "distance": (U - V) ** 2}
    assert evidence(derive("p", [U, V], PRODUCT, potentials).verify()) == {Evidence.PROVED}


def test_each_step_with_a_thousandth_or_a_sign_put_in_is_refuted():
    potentials = {"gap": (U * V - 1) ** 2, "distance": (U - V) ** 2, "balance": U**2 - V**2}
    found = controls(derive("p", [U, V], PRODUCT, potentials))
    assert len(found) > 30
    assert all(control.caught for control in found)


def test_rate_of_a_potential_is_substituted_and_its_sign_proved():
    document = derive("p", [U, V], PRODUCT, {"gap": (U * V - 1) ** 2}).verify()
    _, rate, sign = steps(document, "gap along the flow")
    u, v = sp.symbols("u v", real=True)
    assert sp.expand(rate.rhs + 2 * (u**2 + v**2) * (u * v - 1) ** 2) == 0
    assert rate.rhs.is_Mul
    assert (sign.relation, sign.rhs, sign.evidence) == ("<=", 0, Evidence.PROVED)


def test_rate_without_a_sign_claims_none():
    document = derive("p", [U, V], PRODUCT, {"distance": (U - V) ** 2})
    assert len(steps(document, "distance along the flow")) == 2


def test_potential_that_is_conserved_has_the_rate_zero_and_a_thousandth_off_it_has_not():
    close = U**2 - sp.Rational(1001, 1000) * V**2
    document = derive("p", [U, V], PRODUCT, {"kept": U**2 - V**2, "moved": close}).verify()
    assert steps(document, "kept along the flow")[-1].rhs == 0
    assert steps(document, "moved along the flow")[-1].rhs != 0


def test_conserved_quadratics_of_a_factorisation_are_found():
    document = derive("f", [A, B], MATRICES).verify()
    found = [d for d in document.derivations if d.name.startswith("conserved")]
    # The entries of A'A - B'B, a symmetric matrix.
    a, b = (sp.Matrix(2, 2, sp.symbols(f"{c}_11 {c}_12 {c}_21 {c}_22", real=True)) for c in "AB")
    balance = a.T * a - b.T * b
    assert len(found) == 3
    spans = [d.steps[0].rhs for d in found]
    monomials = sorted({m for e in (*spans, *balance) for m in sp.Poly(e, *a, *b).monoms()})
    rows = [[sp.Poly(e, *a, *b).coeff_monomial(m) for m in monomials] for e in spans]
    mixed = [[sp.Poly(e, *a, *b).coeff_monomial(m) for m in monomials] for e in balance]
    assert sp.Matrix(rows).rank() == sp.Matrix(rows + mixed).rank() == 3


def test_symmetry_inside_a_function_is_found_and_a_broken_one_is_not():
    log = sp.log(1 + sp.exp(-U * V))
    assert any("conserved" in d.name for d in derive("l", [U, V], log).derivations)
    broken = log + U**2 / 1000
    assert not any("conserved" in d.name for d in derive("l", [U, V], broken).derivations)


def test_gradient_of_traces_is_a_matrix_expression():
    document = derive("f", [A, B], MATRICES).verify()
    assert steps(document, "gradient")[1].rhs == (A * B.T - TARGET) * B
    assert evidence(document) == {Evidence.PROVED}


@pytest.mark.parametrize(
    "loss",
    [
        sp.trace(A * B * A.T) + sp.trace(A) ** 3,
        sp.trace(A**3 * B),
        sp.trace(A.I * B),
        sp.trace(sp.hadamard_product(A, B) * A),
        sp.trace((A.T * B * A).applyfunc(sp.tanh)),
        sp.exp(sp.trace(A * B)) / (1 + sp.trace(A.T * A)),
        sp.trace((A * A.T - sp.Identity(2)) ** 2),
    ],
    ids=str,
)
def test_adjoints_agree_with_differences_of_the_loss(loss):
    found = matrix_gradient(loss, A)
    plain = explicit(loss, (A, B)).plain
    names = sorted(plain.free_symbols, key=str)
    value = sp.lambdify(names, plain)
    rng = np.random.default_rng(3)
    a, b = np.eye(2) + rng.normal(size=(2, 2)) / 4, rng.normal(size=(2, 2)) / 4
    known = {f"y{i}_{j}_{n}": (n, i, j) for n in "AB" for i in (0, 1) for j in (0, 1)}

    def at(moved):
        of = {"A": moved, "B": b}
        return value(*(of[n][i, j] for n, i, j in (known[s.name] for s in names)))

    put = {A: sp.ImmutableMatrix(a), B: sp.ImmutableMatrix(b)}
    whole = found.xreplace(put).doit()
    whole = whole.as_explicit() if hasattr(whole, "as_explicit") else whole
    step = 1e-5
    for i in (0, 1):
        for j in (0, 1):
            e = np.zeros((2, 2))
            e[i, j] = step
            difference = (at(a + e) - at(a - e)) / (2 * step)
            assert float(whole[i, j]) == pytest.approx(difference, rel=DIFFERENCES, abs=DIFFERENCES)


def test_matrix_gradient_with_a_wrong_transpose_is_refuted():
    step = steps(derive("f", [A, B], MATRICES), "gradient")[1]
    assert step.check(step.lhs, (B * A.T - TARGET) * B).evidence is Evidence.REFUTED
    close = sp.Rational(1001, 1000) * step.rhs
    assert step.check(step.lhs, close).evidence is Evidence.REFUTED


def test_block_outside_of_traces_has_no_matrix_gradient():
    assert matrix_gradient(A[0, 0] * sp.trace(A), A) is None
    assert matrix_gradient(sp.det(A), A) is None


def test_rate_of_matrices_is_a_trace_that_the_entries_prove():
    document = derive("f", [A, B], MATRICES, {"size": sp.trace(A.T * A)}).verify()
    definition, rate, *_ = steps(document, "size along the flow")
    assert definition.rhs == sp.trace(A.T * A)
    assert rate.rhs == -2 * sp.Trace(A.T * (A * B.T - TARGET) * B)
    wrong = rate.check(rate.lhs, -2 * sp.Trace(A.T * (A * B.T - TARGET) * A))
    assert wrong.evidence is Evidence.REFUTED


def test_rate_that_is_a_sum_of_squared_norms_is_proved_to_have_a_sign():
    residual = A * B.T - TARGET
    document = derive("f", [A, B], MATRICES, {"gap": sp.trace(residual.T * residual)}).verify()
    *_, norms, sign = steps(document, "gap along the flow")
    expected = -2 * SquaredNorm(residual.T * A) - 2 * SquaredNorm(residual * B)
    assert norms.check(norms.lhs, expected).evidence is Evidence.PROVED
    assert (sign.relation, sign.evidence) == ("<=", Evidence.PROVED)
    close = sp.Rational(1001, 1000) * norms.rhs
    assert norms.check(norms.lhs, close).evidence is Evidence.REFUTED
    assert replace(sign, relation=">=").verify().evidence is Evidence.REFUTED


@pytest.mark.parametrize("other", [A * B, A.T * B, A, A * B * A, A * A], ids=str)
def test_trace_of_another_product_is_no_norm(other):
    assert squared_norms(sp.trace(other)) is None


def test_expectation_in_closed_form_is_proved_by_moments_and_a_wrong_one_refuted():
    loss = Expectation((U * X**2 + X - V) ** 2, X)
    (step,) = steps(derive("e", [U, V], loss).verify(), "expectations in closed form")
    assert step.evidence is Evidence.PROVED
    close = step.rhs * sp.Rational(1001, 1000)
    assert step.check(step.lhs, close).evidence is Evidence.REFUTED


def test_expectation_without_a_closed_form_is_differentiated_inside():
    loss = Expectation((U * sp.tanh(V * Z) - sp.tanh(Z)) ** 2, Z) / 2
    document = derive("t", [U, V], loss, {"norm": U**2 + V**2}).verify()
    assert evidence(document) == {Evidence.PROVED}
    assert "inside the expectation" in steps(document, "gradient")[1].assumptions[0]
    slope = steps(document, "gradient")[1]
    wrong = slope.check(slope.lhs, sp.Rational(1001, 1000) * slope.rhs)
    # Unequal functions may have equal means: not refuted, and not proved.
    assert wrong.evidence is Evidence.OPEN


def test_names_of_entries_that_a_scalar_has_are_not_used_twice():
    clash = sp.Symbol("A_12")
    document = derive("c", [A, clash], sp.trace(A.T * A) + clash**2 * A[0, 1]).verify()
    assert evidence(document) == {Evidence.PROVED}


def test_identity_of_sympy_is_written_out():
    loss = sp.trace((A * A.T - sp.Identity(2)) ** 2)
    assert not explicit(loss, (A,)).plain.has(sp.Trace, sp.Identity)


def test_loss_of_too_many_entries_is_refused_in_one_line():
    big = sp.MatrixSymbol("w", 41, 1)
    with pytest.raises(ValueError, match="at most 40 entries, got 41"):
        derive("b", [big], sp.trace(big.T * big))


def test_latex_is_an_appendix():
    document = derive("f", [A, B], MATRICES, {"size": sp.trace(A.T * A)}).verify()
    text = document.latex()
    assert r"\nabla_{A} L" in text
    assert r"\frac{d}{dt} \mathrm{size}" in text


def test_closed_form_of_activations_is_proved_by_composition_of_proved_kernels():
    w, x = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
    loss = Expectation((sp.Max(0, (w.T * x)[0, 0]) - sp.Max(0, x[0, 0])) ** 2, x) / 2
    document = derive("relu", [w], loss).verify()
    assert document.derivations[0].name == "dual kernel of the ReLU activation"
    (step,) = steps(document, "expectations in closed form")
    assert step.evidence is Evidence.PROVED
    close = sp.Rational(1001, 1000) * step.rhs
    assert step.check(step.lhs, close).evidence is Evidence.REFUTED
    assert {s.evidence for s in steps(document, "gradient")} == {Evidence.PROVED}


def test_closed_form_that_no_kernel_proves_is_compared_to_the_definition(monkeypatch):
    w, x = sp.symbols("w x")
    loss = Expectation(sp.Max(0, w * x) ** 2 + x * sp.erf(x), x)
    (step,) = steps(derive("both", [w], loss), "expectations in closed form")
    assert step.verify().evidence is Evidence.PROVED
    monkeypatch.setattr(check, "composed", lambda integrand, x: None)
    sampled = step.verify()
    assert sampled.evidence is Evidence.SAMPLED and "the definition" in sampled.reason
    close = sp.Rational(1001, 1000) * step.rhs
    assert step.check(step.lhs, close).evidence is Evidence.REFUTED


P, Q = sp.symbols("p q", real=True)
MOTZKIN = P**4 * Q**2 + P**2 * Q**4 - 3 * P**2 * Q**2 + 1


def moving(rate):
    """Steps of the rate, any polynomial, of a potential along ``dp/dt = -1``."""
    document = derive("drift", [P, Q], P, {"phi": sp.integrate(-rate, P)}).verify()
    return steps(document, "phi along the flow")


def test_rate_that_is_a_general_sum_of_squares_is_proved_to_have_a_sign():
    *_, squares, sign = moving(-(2 * P**4 + 2 * P**3 * Q - P**2 * Q**2 + 5 * Q**4))
    assert (squares.relation, squares.evidence) == ("==", Evidence.PROVED)
    assert "sum of squares" in squares.rule
    assert (sign.relation, sign.rhs, sign.evidence) == ("<=", 0, Evidence.PROVED)
    assert replace(sign, relation=">=").verify().evidence is Evidence.REFUTED
    assert replace(squares, rhs=squares.rhs * sp.Rational(1001, 1000)).verify().evidence is (
        Evidence.REFUTED
    )


def test_rate_that_is_positive_and_no_sum_of_squares_is_sampled_with_the_reason():
    *_, sign = moving(-MOTZKIN)
    assert (sign.relation, sign.evidence) == ("<=", Evidence.SAMPLED)
    assert sign.rule == "no point refutes it; no Gram matrix is found"


def test_rate_that_is_a_thousandth_below_zero_somewhere_has_no_sign():
    *_, rate = moving(-MOTZKIN + sp.Rational(1, 1000))
    assert rate.relation == "=="
