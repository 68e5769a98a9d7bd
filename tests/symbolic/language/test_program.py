"""Programs: exact derivatives, small for large expressions, and an honest refusal of kinks."""

import pytest
import sympy as sp

from symbolic.language.blocks import entries, explicit
from symbolic.language.lower import lower
from symbolic.language.program import NotSmooth, gradient, program, tangent

X, Y, Z = VARIABLES = sp.symbols("x y z", real=True)
DIRECTIONS = sp.symbols("dx dy dz", real=True)
EXPRESSIONS = [
    (X + 2 * Y) ** 3 * sp.exp(X * Z) + sp.sin(X + 2 * Y) / (1 + Z**2),
    sp.log(1 + X**2 + sp.exp(Y - Z)),
    sp.sqrt(1 + (X * Y * Z) ** 2) + X**3,
    sp.atan2(X + Y, 2 + Z**2),
    sp.S(7),
    X,
]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_gradient_is_that_of_direct_differentiation(expression):
    value, *slopes = gradient(expression, VARIABLES).expressions
    assert sp.simplify(value - expression) == 0
    for slope, variable in zip(slopes, VARIABLES, strict=True):
        assert sp.simplify(slope - sp.diff(expression, variable)) == 0


@pytest.mark.parametrize("expression", EXPRESSIONS[:3], ids=str)
def test_tangent_of_the_gradient_is_the_hessian_times_the_direction(expression):
    _, *found = tangent(gradient(expression, VARIABLES), VARIABLES, DIRECTIONS).expressions
    product = sp.hessian(expression, VARIABLES) * sp.Matrix(DIRECTIONS)
    assert all(sp.simplify(a - b) == 0 for a, b in zip(found, product, strict=True))


def test_what_occurs_twice_is_computed_once():
    nested = X
    for _ in range(25):  # a tree of 2^25 leaves
        nested = nested * sp.sin(nested)
    assert len(program([nested]).steps) == 50
    assert len(gradient(nested, (X,)).steps) < 250


@pytest.mark.parametrize("kinked", [sp.Abs(X), sp.Max(X, Y), sp.sign(X) * Y], ids=str)
def test_a_function_with_kinks_is_refused(kinked):
    with pytest.raises(NotSmooth, match="kinks"):
        tangent(gradient(kinked, VARIABLES), VARIABLES, DIRECTIONS)


def test_lowered_steps_give_the_value_of_the_expression():
    made = gradient(EXPRESSIONS[0], VARIABLES)
    compiled = lower(made.results, VARIABLES, "numpy", made.steps)
    exact = [float(e.subs({X: 0.5, Y: -1, Z: 2})) for e in made.expressions]
    assert compiled(0.5, -1.0, 2.0) == pytest.approx(exact, rel=1e-14)


def test_a_step_with_an_unknown_symbol_is_refused():
    with pytest.raises(ValueError, match="not arguments: y"):
        lower([X], [Z], "numpy", [(X, Y * Z)])


def test_a_sum_of_thousands_of_terms_is_compiled():
    many = sp.symbols("x:80", real=True)
    pairs = sp.Add(*(a * b for k, a in enumerate(many) for b in many[:k]))
    made = gradient(pairs, many)
    compiled = lower(made.results, many, "numpy", made.steps)
    assert list(compiled(*[1.0] * 80)) == [3160.0, *[79.0] * 80]


def test_a_power_of_a_matrix_in_a_loss_is_not_expanded():
    w = sp.MatrixSymbol("W", 4, 4)
    gap = w.T * w - sp.eye(4)
    found = explicit(sp.trace(gap.T * gap), [w]).plain
    # One square for each pair of columns.
    assert found.is_Add and len(found.args) == 10
    values = dict(zip(entries(w), range(16), strict=True))
    numbers = sp.Matrix(4, 4, range(16))
    defect = numbers.T * numbers - sp.eye(4)
    assert found.xreplace(values) == (defect.T * defect).trace()
