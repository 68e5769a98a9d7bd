"""Closed equations of potentials: proved, and the same numbers as the full flow's."""

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError

A, B = sp.symbols("a b")
PRODUCT = flows.OwnSystem("product", [A, B], (A * B - 1) ** 2 / 2)
# What two runs of the usual tolerance differ by, and what a control is broken by.
DIGITS, OFF = 1e-8, 1e-3


def hermite(size):
    """Gradient flow on the sphere of one direction that learns another by a Hermite polynomial.

    The loss is `1 - m^3` on the sphere (Ben Arous, Gheissari & Jagannath 2021).
    """
    w = sp.MatrixSymbol("w", size, 1)
    column, teacher = sp.Matrix(w), sp.Matrix([1] + [0] * (size - 1))
    field = (sp.eye(size) - column * column.T) * (3 * column[0] ** 2 * teacher)
    return flows.ODE("hermite", [w], {w: field}), w, (column.T * column)[0, 0]


def evidence(ode):
    return {str(s.finding.evidence) for d in ode.derive().verify().derivations for s in d.steps}


def test_the_overlap_of_a_hermite_index_has_an_equation_of_its_own():
    system, w, square = hermite(5)
    m = sp.Symbol("m", real=True)
    found = system.reduced({"m": w[0, 0]})
    assert sp.expand(found.field[0] - 3 * m**2 * (1 - m**2)) == 0
    assert evidence(found) == {"PROVED"}
    # A factor that is one on the sphere alone: the sphere is found, and a part of the proof.
    again, w, square = hermite(4)
    whole = flows.ODE("whole", [w], {w: again.field[0] * square})
    on_sphere = whole.reduced({"m": w[0, 0]})
    assert sp.expand(on_sphere.field[0] - 3 * m**2 * (1 - m**2)) == 0
    assert evidence(on_sphere) == {"PROVED"}
    start = np.array([0.2, 0.4, 0.4, np.sqrt(1 - 0.36)])
    full = flows.integrate(whole, start, 10.0)
    short = flows.integrate(on_sphere, on_sphere.start_of(start), 10.0, full.t[1:])
    assert short.state[:, 0] == pytest.approx(full.state[:, 0], rel=DIGITS)
    with pytest.raises(InputError, match="expected a state of whole with"):
        on_sphere.start_of(start * (1 + OFF))


def test_product_and_size_of_two_layers_are_closed():
    found = PRODUCT.reduced({"P": A * B, "S": A**2 + B**2})
    P, S = sp.symbols("P S", real=True)
    assert [sp.expand(f) for f in found.field] == [
        sp.expand(S - P * S),
        sp.expand(4 * P - 4 * P**2),
    ]
    run = flows.integrate(PRODUCT, [0.5, 0.2], 4.0)
    short = flows.integrate(found, found.start_of([0.5, 0.2]), 4.0, run.t[1:])
    assert short["P"] == pytest.approx(run.state.prod(axis=1), rel=DIGITS)
    assert [str(p) for p in found.invariants(2).conserved] == ["4*P**2 - S**2"]


def test_potentials_of_the_system_are_named():
    m, n = sp.symbols("m n", real=True)
    system = flows.ODE("pair", [m, n], {m: -m * n, n: n**2}, {"P": m * n, "Q": n})
    (rate,) = system.reduced(["P"]).field
    assert rate == 0 and len(system.reduced(["P", "Q"]).field) == 2
    with pytest.raises(InputError, match="expected some of P, Q, got 'R'"):
        system.reduced(["R"])


def test_an_equation_that_is_given_is_kept_or_refused():
    P = sp.Symbol("P", real=True)
    balanced = PRODUCT.reduced({"P": A * B}, keep=[sp.Eq(A, B)])
    assert sp.expand(balanced.field[0] - 2 * P * (1 - P)) == 0 and evidence(balanced) == {"PROVED"}
    with pytest.raises(InputError, match="does not keep"):
        PRODUCT.reduced({"P": A * B}, keep=[sp.Eq(A, B + OFF)])


def test_a_broken_equation_is_refuted():
    found = PRODUCT.reduced({"P": A * B, "S": A**2 + B**2})
    reduction = found.reduction
    sides = {k: e * (1 + sp.Rational(1, 1000)) for k, e in reduction.closure.sides.items()}
    closure = type(reduction.closure)(sides, reduction.closure.rests, reduction.closure.kept)
    broken = type(reduction)(
        reduction.name, reduction.subject, reduction.potentials, closure
    ).derive()
    assert "REFUTED" in {
        str(s.finding.evidence) for d in broken.verify().derivations for s in d.steps
    }


def test_shipped_systems_are_reduced_too():
    system = flows.MatrixFactorization(d=1, depth=2, regularization=0)
    u, v = (block[0, 0] for block in system.formula[0])
    found = system.reduced({"P": u * v, "S": u**2 + v**2})
    assert len(found.field) == 2 and evidence(found) == {"PROVED"}


@pytest.mark.parametrize(
    ("potentials", "line"),
    [
        ({"P": A * B}, "P are not closed.*the rate of P is"),
        ({"P": sp.exp(A)}, "expected a polynomial in the blocks"),
        ({}, "expected some, got none"),
        ({"1": A}, "expected plain words as names"),
        (3, "potentials must be a mapping"),
        (["P"], "expected some of none, got 'P'"),
    ],
    ids=str,
)
def test_potentials_that_are_not_closed_are_one_line(potentials, line):
    with pytest.raises(InputError, match=line):
        PRODUCT.reduced(potentials)
