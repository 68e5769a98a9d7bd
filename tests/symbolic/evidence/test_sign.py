"""Signs that are proved, and signs that must not be."""

import pytest
import sympy as sp

from symbolic.evidence.sign import DEPTH, NEEDS, _strict, sign

T = sp.Symbol("theta", nonnegative=True)
K = sp.Symbol("kappa", nonnegative=True)
P, Q = sp.symbols("p q", nonnegative=True)
A, B = sp.symbols("a b", positive=True)
X = sp.Symbol("x", real=True)
FULL = ((T, sp.S.Zero, sp.pi),)
HALF = ((T, sp.S.Zero, sp.pi / 2),)
SQUARE = ((P, sp.S.Zero, sp.S.One), (Q, sp.S.Zero, sp.S.One))
RAY = ((T, sp.S.Zero, sp.oo),)
CHORDAL = (T - sp.sin(T) * sp.cos(T)) / T**3

# Symbols of which only the domain says where they are.
U, V, W = sp.symbols("U V W", real=True)
UNIT = ((U, sp.S.Zero, sp.S.One), (V, sp.S.Zero, sp.S.One))
BELOW = ((W, -sp.S.One, sp.S.Zero), *UNIT)
AROUND = ((W, -sp.S.One, sp.S.One),)
N = sp.Symbol("n", integer=True, positive=True)
COUNT = ((N, sp.S.One, sp.oo),)
THIRD, MIDDLE = sp.Rational(1, 3), sp.S.Half

PROVED = {
    "monotone from a zero": (T - sp.sin(T), FULL, 1),
    "monotone, negative": (sp.log(1 + T) - T, RAY, -1),
    "concave with zeros at both ends": (sp.pi / 2 * sp.sin(T) - T, HALF, 1),
    "derivative that factors": (4 * T - 3 * sp.sin(2 * T) + 2 * T * sp.cos(2 * T), FULL, 1),
    "quotient falling to its value at the end": (CHORDAL - CHORDAL.subs(T, sp.pi), FULL, 1),
    "quotient below its limit": (CHORDAL - sp.Rational(2, 3), FULL, -1),
    "product of waves": (sp.sin(T) * (1 + sp.cos(K)), (*FULL, (K, sp.S.Zero, sp.pi)), 1),
    "square": (A**2 - 2 * A * B + B**2, (), 1),
    "two bounded symbols": (1 - P * Q, SQUARE, 1),
    "unbounded interval": (sp.exp(T) - 1 - T, RAY, 1),
    "sine of the second half period": (sp.sin(X), ((X, sp.pi, 2 * sp.pi),), -1),
    "sine of the third half period": (sp.sin(2 * X), ((X, sp.pi, 3 * sp.pi / 2),), 1),
    "cosine of the second half period": (sp.cos(X), ((X, sp.pi / 2, 3 * sp.pi / 2),), -1),
    "cosine before zero": (sp.cos(X), ((X, -sp.pi / 2, sp.pi / 2),), 1),
    "above its limit at infinity": (1 - sp.erf(T), RAY, 1),
    "product of bounded symbols": (V * (1 - U), UNIT, 1),
    "product with a symbol below zero": (W * V * (1 - U), BELOW, -1),
    "odd power below zero": (W**3, BELOW, -1),
    "odd power of a quotient below zero": (W**-3, BELOW, -1),
    "two symbols below zero": (W * (W - V), BELOW, 1),
    "rational power of a bounded symbol": (U ** sp.Rational(3, 2) * V**-THIRD, UNIT, 1),
    "rational power of a product": ((U * (1 - V)) ** THIRD, UNIT, 1),
    "square of a root": ((sp.sqrt(U) - 2 * V) ** 2, UNIT, 1),
    "root that rises": (sp.sqrt(U) - U, UNIT, 1),
    "root below one": (sp.sqrt(U) - 1, UNIT, -1),
    "quotient without a pole": (1 / (1 + U) - MIDDLE, UNIT, 1),
    "quotient whose pole is an end": (1 / (1 - U) - 1, UNIT, 1),
    "logarithm without a zero of its argument": (sp.log(1 + W) - 1, AROUND, -1),
    "arc sine inside its interval": (sp.asin(U) - U, UNIT, 1),
    "tangent inside its interval": (sp.tan(U) - U, UNIT, 1),
    "tangent of hyperbola": (U - sp.tanh(U), UNIT, 1),
    "real everywhere though it bends": (sp.Abs(W) * sp.Max(W, 1), AROUND, 1),
    "integers": (N**2 - N, COUNT, 1),
    "rising over the integers": (1 - 1 / N**2, COUNT, 1),
}
UNPROVED = {
    "changes sign": (sp.cos(T), FULL),
    "concave beyond its zero": (sp.pi / 2 * sp.sin(T) - T, FULL),
    "product of fractions that may exceed one half": (1 - 2 * P * Q, SQUARE),
    "indefinite form": (A**2 - 3 * A * B + B**2, ()),
    "wave on an unbounded interval": (sp.sin(T), RAY),
    "odd power of anything": (X**3, ()),
    "quotient above a value in its range": (CHORDAL - sp.Rational(1, 2), FULL),
    "factor that changes sign on the square": (V * (1 - 2 * U), UNIT),
    "symbol that changes sign": (W, AROUND),
    "cube of what changes sign": (W**3, AROUND),
    "rational power of what changes sign": (W**THIRD, AROUND),
    "even rational power of what changes sign": (W ** sp.Rational(2, 3), AROUND),
    "rational power of what is below zero": (W**THIRD, BELOW),
    "root of what is below zero": (sp.sqrt(W), BELOW),
    "rational power of anything": (X**THIRD, ()),
    "square of what is not real": (((U - MIDDLE) ** THIRD + 1) ** 2, UNIT),
    "square of a logarithm of what changes sign": (sp.log(U - MIDDLE) ** 2, UNIT),
    "square of an arc cosine beyond one": (sp.acos(3 * U) ** 2, UNIT),
    "square of an undefined function that may be complex": (sp.Function("f")(U) ** 2, UNIT),
    "sine over more than a half period": (sp.sin(X), ((X, sp.pi, sp.Rational(13, 2)),)),
    "pole inside": (1 / (U - MIDDLE), UNIT),
    "pole of even order inside": (10 - (U - MIDDLE) ** -2, UNIT),
    "tangent with a pole inside": (sp.tan(4 * U), UNIT),
    "jump of an arc tangent": (sp.atan(1 / (U - MIDDLE)), UNIT),
    "jump of a piece": (sp.Piecewise((1, U < MIDDLE), (-1, True)), UNIT),
    "kink": (THIRD - sp.Piecewise((MIDDLE - U, U < MIDDLE), (U - MIDDLE, True)), UNIT),
    "kink of an absolute value": (sp.Abs(U - MIDDLE) - THIRD, UNIT),
    "step": (MIDDLE - sp.floor(U + MIDDLE), UNIT),
    "sign that turns": (sp.sign(U - MIDDLE), UNIT),
    "wave whose ends are symbols": (sp.sin(A * T), FULL),
    "zero between the integers": ((N - MIDDLE) * (N - 3), COUNT),
}


@pytest.mark.parametrize("name", PROVED)
def test_sign_is_proved(name):
    expr, domain, expected = PROVED[name]
    assert sign(expr, domain) == expected


@pytest.mark.parametrize("name", PROVED)
def test_opposite_expression_has_the_opposite_sign(name):
    expr, domain, expected = PROVED[name]
    assert sign(-expr, domain) == -expected


@pytest.mark.parametrize("name", UNPROVED)
def test_sign_that_does_not_hold_is_not_proved(name):
    expr, domain = UNPROVED[name]
    assert sign(expr, domain) is None
    assert sign(-expr, domain) is None


@pytest.mark.parametrize("error", [NotImplementedError, ValueError, TypeError])
def test_limit_that_sympy_cannot_take_proves_nothing(error, monkeypatch):
    def refused(*_):
        raise error

    expr, domain, expected = PROVED["above its limit at infinity"]
    assert sign(expr, domain) == expected
    monkeypatch.setattr(sp, "limit", refused)
    assert sign(expr, domain) is None


@pytest.mark.parametrize(
    "expr, domain, expected",
    [
        (W**2, BELOW, 1),
        (W**3, BELOW, -1),
        (U**THIRD, UNIT, 1),
        (1 + U, UNIT, 1),
        (-1 - U * V, UNIT, -1),
        (1 + W, AROUND, 1),
        (W - 1, AROUND, -1),
        (sp.sin(U), UNIT, 1),
        (V + sp.tan(U), UNIT, 1),
        (sp.sqrt(W), BELOW, None),
        (U - MIDDLE, UNIT, None),
        ((U - MIDDLE) ** 2, UNIT, None),
        ((U - MIDDLE) ** 2 + (V - MIDDLE) ** 2, UNIT, None),
        (-((U - MIDDLE) ** 2) - (V - MIDDLE) ** 2, UNIT, None),
        (V * (U - MIDDLE), UNIT, None),
        (P, (), None),
        (V + sp.tan(4 * U), UNIT, None),  # rises from 0, to a pole
        (1 - 2 * U * V, UNIT, None),
    ],
    ids=str,
)
def test_what_may_be_zero_inside_the_domain_has_no_strict_sign(expr, domain, expected):
    assert _strict(expr, domain, DEPTH, {}) == expected


# Where a function may be smooth that only is not negative: gamma is so between its poles, too.
SUFFICIENT = {sp.gamma, sp.loggamma}
POLES = {
    **{f: sp.pi / 2 for f in (sp.tan, sp.sec)},
    **{f: sp.S.Zero for f in (sp.cot, sp.csc, sp.coth, sp.csch)},
}


@pytest.mark.parametrize("function", NEEDS, ids=lambda f: f.__name__)
def test_what_a_function_needs_is_positive_exactly_where_it_is_real_and_smooth(function):
    for k in range(-60, 61):
        x = sp.Rational(2 * k + 1, 40)  # between the ends of all intervals, and beside them
        needed = NEEDS[function](x) > 0
        value = complex(function(x).evalf(30))
        assert not needed or abs(value.imag) < 1e-20
        assert needed or function in SUFFICIENT or abs(value.imag) > 1e-20
    if function in POLES:
        assert NEEDS[function](POLES[function]) == 0


def test_a_sum_has_the_strict_sign_of_its_terms_without_any_derivative():
    assert _strict(U + V, UNIT, 0, {}) == 1
    assert _strict(-U - V, UNIT, 0, {}) == -1
    assert _strict(U - V, UNIT, 0, {}) is None
    assert _strict(U + (V - MIDDLE) ** 2, UNIT, 0, {}) == 1  # one term may vanish


def test_derivatives_are_looked_at_so_often_and_no_more():
    def remainder(order):
        return sp.exp(T) - sum(T**k / sp.factorial(k) for k in range(order))

    assert sign(remainder(4), RAY) == 1
    assert sign(remainder(5), RAY) is None
    # Of what no rule decides, derivatives would go on without end.
    wave = U * sp.cos(4 * U)
    assert _strict(wave + MIDDLE, UNIT, DEPTH, {}) is None
    assert _strict(U * (wave + MIDDLE) + V, UNIT, 0, {}) is None


def test_what_holds_at_integers_alone_does_not_enter_calculus():
    # Its derivative N - 1 is not negative at positive integers; its value at 1 is below zero.
    valley = (N - 1) ** 2 / 2 - sp.Rational(1, 4)
    assert sign(valley, ((N, sp.S.Zero, sp.oo),)) is None
