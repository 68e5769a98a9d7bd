"""Safe forms of logarithms and quotients of exponentials: the same functions, at any size."""

import numpy as np
import pytest
import sympy as sp

from symbolic.language.lower import lower
from symbolic.language.stable import LogCosh, LogSumExp, Sigmoid, Softplus, stable

X, A, B = sp.symbols("x a b", real=True)
SAFE = (LogCosh, LogSumExp, Sigmoid, Softplus)
# Both are evaluated with 30 digits.
SAME = 1e-25
# Rounding of a few operations in doubles.
ROUNDED = 1e-14

FORMS = [
    (sp.log(1 + sp.exp(-A * X)), Softplus(-A * X)),
    (sp.log(2 + 3 * sp.exp(A * X)), None),
    (sp.log(sp.exp(A * X) + sp.exp(-A * X)), None),
    (sp.log(sp.cosh(A * X)), LogCosh(A * X)),
    (sp.log(sp.exp(X) + 2 * sp.exp(A * X - A**2 / 2) + sp.exp(B * X)), None),
    (1 / (1 + sp.exp(-A * X)), Sigmoid(A * X)),
    (sp.exp(X) / (1 + sp.exp(X)), Sigmoid(X)),
    (X * sp.exp(X) / (1 + sp.exp(X)) ** 2, None),
    ((1 - 1 / (1 + sp.exp(A * X))) ** 2, (1 - Sigmoid(-A * X)) ** 2),
    (sp.exp(A * X) / (sp.exp(A * X) + sp.exp(B * X) + 1), None),
]


@pytest.mark.parametrize(("given", "expected"), FORMS, ids=[str(e) for e, _ in FORMS])
def test_a_safe_form_is_the_same_function(given, expected):
    found = stable(given)
    assert found.atoms(*SAFE) and expected in (None, found)
    values = {X: sp.Rational(13, 10), A: sp.Rational(7, 10), B: sp.Rational(-2, 5)}
    off = [(given - found.rewrite(SAFE, sp.exp)).subs(values).evalf(30)]
    off += [
        (sp.diff(given, s) - sp.diff(found, s).rewrite(SAFE, sp.exp)).subs(values).evalf(30)
        for s in (X, A)
    ]
    assert max(map(abs, off)) < SAME
    # Control: a slope that is off by a thousandth.
    assert not given.has(A) or abs((given.subs(A, 1.001 * A) - given).subs(values)) > 1e-6


@pytest.mark.parametrize(
    "given", [sp.log(2 - sp.exp(X)), sp.log(X + sp.exp(X)), sp.exp(X) * sp.tanh(X), sp.log(X)]
)
def test_what_is_no_positive_sum_stays_as_it_is(given):
    assert stable(given) == given


@pytest.mark.parametrize("z", [-1e4, -800.0, -30.0, -1e-9, 0.0, 1e-9, 30.0, 800.0, 1e4])
def test_safe_forms_have_their_digits_in_doubles_at_any_size(z):
    with np.errstate(under="ignore"):
        found = lower([f(X) for f in (Softplus, Sigmoid, LogCosh)], (X,))(np.array(z))
    number = sp.Float(z, 60)
    exact = [sp.log(1 + sp.exp(number)), 1 / (1 + sp.exp(-number)), sp.log(sp.cosh(number))]
    for value, truth in zip(found, exact, strict=True):
        expected = float(truth.evalf(40))
        assert value == pytest.approx(expected, rel=ROUNDED, abs=1e-300)
        assert not expected > 1e-300 or value != pytest.approx(1.001 * expected, rel=ROUNDED, abs=0)


def test_shares_of_exponentials_add_up_to_one_far_beyond_the_doubles():
    z = sp.symbols("z0:3", real=True)
    total = LogSumExp(*z)
    value, *shares = lower([total, *(sp.diff(total, s) for s in z)], z)(900.0, 901.0, -5000.0)
    assert value == pytest.approx(901 + np.log1p(np.exp(-1)), rel=ROUNDED)
    assert sum(shares) == pytest.approx(1, rel=1e-12) and shares[2] == 0
