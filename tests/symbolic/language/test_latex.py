"""LaTeX of powers of the functions that say how they are shown."""

import pytest
import sympy as sp

from symbolic import D
from symbolic.language import primitives
from symbolic.language.matrices import SquaredNorm
from symbolic.language.matrix_calculus import Trace
from symbolic.systems.own.loss import Quantity

X, Y, M = sp.Symbol("x"), sp.Symbol("y"), sp.MatrixSymbol("M", 2, 2)
ONE = ("SinMinusArg", "SinMinusArgCos", "CosMinusOne")
SHOWN = [
    *(
        getattr(primitives, name)(*((X,) if name in ONE else (X, Y)))
        for name in primitives.__all__
        if isinstance(getattr(primitives, name), type)
    ),
    D(X * Y),
    SquaredNorm(M),
    Trace(sp.Symbol("A", commutative=False)),
    Quantity(sp.core.symbol.Str("loss"), sp.core.symbol.Str("L"), X),
]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: type(shown).__name__)
def test_powers_have_their_exponent_and_sums_keep_what_is_shown(shown):
    text = sp.latex(shown)
    assert text in sp.latex(shown + 1)
    power = sp.latex(shown**3)
    assert power != text and "^{3}" in power and "^{2}" in sp.latex(3 * shown**2)
