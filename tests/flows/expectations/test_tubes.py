"""Rectangles of expressions hold what the expressions are at complex points in the tube."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from flows.expectations.tubes import Tube, enclosed, has_bound, number
from symbolic.language.stable import LogCosh, LogSumExp, Sigmoid, Softplus

X, Y = sp.symbols("x y", real=True)
# Rounding of a rectangle, relative to its size.
ROUNDED = 1e-12
POINTS, BOXES = 12, 40
EXPRESSIONS = [
    sp.tanh(X),
    Sigmoid(2 * X + 1),
    Softplus(X),
    LogCosh(X),
    sp.erf(X),
    sp.cos(X) * sp.sin(X),
    sp.exp(-(X**2)),
    1 / (1 + X**2),
    sp.sqrt(2 + X**2),
    sp.log(3 + sp.tanh(X)),
    sp.atan(X),
    sp.asinh(X),
    X**3 * sp.sinh(X / 3) + sp.cosh(X),
    1 / sp.cosh(X),
    LogSumExp(X, Y, X - Y),
    (sp.tanh(X) - sp.tanh(Y)) ** 2 / (2 + sp.sin(X)),
]


def boxes(seed):
    """Rectangles of two variables, narrow and wide, near zero and far from it."""
    generator = np.random.default_rng(seed)
    middle = generator.normal(size=(2, BOXES)) * 10 ** generator.uniform(-1, 1, (2, BOXES))
    half = 10 ** generator.uniform(-3, 0, (2, BOXES))
    width = 10 ** generator.uniform(-2, 0.5, (2, BOXES))
    return [Tube(m - h, m + h, w) for m, h, w in zip(middle, half, width, strict=True)]


def textbook(expression):
    return expression.rewrite((Sigmoid, Softplus, LogCosh, LogSumExp), sp.exp)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_a_rectangle_holds_what_the_expression_is_in_it(expression):
    assert has_bound(expression)
    known = boxes(3)
    (found,) = enclosed([expression], dict(zip((X, Y), known, strict=True)))
    evaluate = sp.lambdify((X, Y), textbook(expression), "mpmath")
    generator = np.random.default_rng(5)
    finite, touched = 0, 0.0
    for k in range(BOXES):
        low, high, width = (np.broadcast_to(part, BOXES)[k] for part in found)
        if not np.isfinite([low, high, width]).all():
            continue
        finite += 1
        size = max(abs(low), abs(high), width)
        for _ in range(POINTS):
            share = generator.choice([0.0, 1.0, generator.uniform()], size=2)
            # Up the imaginary axis from the real point, where the function is its continuation.
            turn = generator.choice([-1.0, 1.0, generator.uniform(-1, 1)], size=2)
            point = [
                mp.mpc(t.low[k] + s * (t.high[k] - t.low[k]), i * t.width[k])
                for t, s, i in zip(known, share, turn, strict=True)
            ]
            value = complex(evaluate(*point))
            if isinstance(expression, (Softplus, LogCosh, LogSumExp)):
                value = complex(value.real, 0)  # its logarithm may be on another branch
            allowed = ROUNDED * (1 + size)
            assert low - allowed <= value.real <= high + allowed
            assert abs(value.imag) <= width + allowed
            touched = max(touched, abs(value) / size)
    # Neither are all of them unbounded, nor are they far too large.
    assert finite > BOXES / 8 and touched > 0.3


@pytest.mark.parametrize(
    ("expression", "width"),
    [(sp.tanh(X), 1.6), (1 / (1 + X**2), 1.01), (Softplus(X), 3.2), (sp.log(X), 0.0)],
)
def test_a_rectangle_over_a_pole_is_unbounded(expression, width):
    over = Tube(np.array([-0.1]), np.array([0.1]), np.array([width]))
    (found,) = enclosed([expression], {X: over})
    assert not np.isfinite(found.size).any()


def test_functions_with_kinks_have_no_bound():
    assert not any(map(has_bound, (sp.Abs(X), sp.Max(0, X), sp.sign(X), sp.gamma(X))))
    (found,) = enclosed([X * 2 + 1], {X: number(3.0)})
    assert found.size == 7
