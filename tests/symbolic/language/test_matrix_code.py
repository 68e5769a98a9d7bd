"""Matrix expressions on arrays, against their entries written out and differentiated."""

import numpy as np
import pytest
import sympy as sp

from symbolic.language.blocks import entries, explicit
from symbolic.language.matrix_code import MatrixCode, NoMatrixCode

A, B = sp.MatrixSymbol("A", 3, 2), sp.MatrixSymbol("B", 2, 3)
C = sp.ImmutableMatrix([[2, 1, 0], [0, 1, 0], [0, 0, -1]])
# Of sums of a few dozen terms of order one in doubles.
ROUNDED, SLIP = 1e-13, 1e-3

EXPRESSIONS = {
    "products and sums": sp.trace((A * B - C) * (A * B - C).T) / 2,
    "a power": sp.trace((B * A) ** 3),
    "an inverse": sp.trace((A * A.T + sp.Identity(3)).inv() * C),
    "entrywise products": sp.trace(sp.HadamardProduct(A, B.T) * B),
    "an entrywise power": sp.trace(sp.HadamardPower(A, 3) * B),
    "an entrywise function": sp.trace((A * B).applyfunc(sp.tanh)),
    "a function of traces": sp.exp(sp.trace(A * B) / 3) / (1 + sp.trace(A.T * A)),
    "a scalar that moves before a matrix": sp.trace(sp.trace(A * B) * A * B),
    "a constant": sp.trace(C) + 0 * sp.trace(A * B),
}


def states(count):
    generator = np.random.default_rng(1)
    return {X: generator.normal(size=(*count, *map(int, X.shape))) for X in (A, B)}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_values_and_rates_are_those_of_the_entries(name):
    expression, at, along = EXPRESSIONS[name], states(()), states(())
    along = {X: np.cos(v) for X, v in along.items()}
    code = MatrixCode.at(at, along)
    plain = explicit(expression, (A, B)).plain
    symbols = [s for X in (A, B) for s in entries(X)]
    numbers = np.concatenate([at[X].ravel() for X in (A, B)])
    moves = np.concatenate([along[X].ravel() for X in (A, B)])
    put = dict(zip(symbols, numbers.tolist(), strict=True))
    rate = sum(float(sp.diff(plain, s).subs(put)) * m for s, m in zip(symbols, moves, strict=True))
    assert abs(code.value(expression) - float(plain.subs(put))) < ROUNDED
    assert abs(code.rate(expression) - rate) < ROUNDED * max(1, abs(rate))
    assert abs(code.rate(expression) - (1 + SLIP) * rate) > ROUNDED or rate == 0


def test_leading_axes_broadcast():
    many = states((4,))
    expression = EXPRESSIONS["an inverse"]
    together = MatrixCode.at(many).value(expression)
    alone = [MatrixCode.at({X: v[k] for X, v in many.items()}).value(expression) for k in range(4)]
    assert np.abs(together - alone).max() < ROUNDED


@pytest.mark.parametrize(
    "expression", [A[0, 0] ** 2, sp.Symbol("q") * sp.trace(A * B), sp.det(A * B)]
)
def test_what_is_no_matrix_operation_is_refused(expression):
    with pytest.raises(NoMatrixCode):
        MatrixCode.at(states(())).value(expression)
