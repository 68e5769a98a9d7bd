"""Quadratic neurons as a loss of one's own: claims, one run, and the loss by hand."""

import functools

import sympy as sp

import flows
from potentials import Comparison, Inequality, LowerBound, Source, UpperBound
from potentials.claim import EXPONENT
from potentials.notation import symbol
from symbolic import Expectation

HERE = Source("a test", 2026, "", "here", "inequality")
N, D = 3, 3
W, X = sp.MatrixSymbol("W", N, D), sp.MatrixSymbol("x", D, 1)
TEACHER = sp.Matrix([1, 0, 0])
SQUARES = Expectation(((X.T * W.T * W * X)[0, 0] - (TEACHER.T * X)[0, 0] ** 2) ** 2, X) / 2
TRANSVERSE = sp.Add(*(W[i, j] ** 2 for i in range(N) for j in range(1, D)))
t, loss, transverse = symbol("t"), symbol("loss"), symbol("transverse")


def claims():
    """Four statements about quadratic neurons, true of a generic start; r = min(n - 1, d - 1)."""
    slow = Inequality(
        id="transverse_slow",
        source=HERE,
        statement="dU/dt >= -11 U^2 near the optimum, 32/3 at it",
        conclusions=(
            Comparison(
                -symbol("transverse_dot"),
                "<=",
                transverse**EXPONENT,
                sp.Integer(11),
                (t, 1 - 100 * transverse),
            ),
        ),
        exponent=sp.Integer(2),
    )
    upper = UpperBound(
        id="loss_upper",
        statement="L <= C t^-2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(Comparison(loss, "<=", t**-EXPONENT, None, (t - 1,)),),
    )
    lower = LowerBound(
        id="loss_lower",
        statement="L >= c t^-2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(Comparison(loss, ">=", t**-EXPONENT, None, (t - 1,)),),
    )
    ordered = Inequality(
        id="loss_vs_transverse",
        statement="L >= U^2/8 near the optimum",
        source=HERE,
        conclusions=(
            Comparison(
                loss, ">=", transverse**EXPONENT, sp.Rational(1, 8), (t, 1 - 100 * transverse)
            ),
        ),
        exponent=sp.Integer(2),
    )
    return (slow, upper, lower, ordered)


@functools.cache
def neuron():
    return flows.OwnSystem("quadratic_neuron", [W], SQUARES, {"transverse": TRANSVERSE}, claims())


@functools.cache
def run():
    return flows.integrate(neuron(), neuron().initial(0.3, seed=1), t_end=1e6)


def exact_loss(y):
    """Loss of quadratic neurons by Isserlis' theorem, written by hand in any arithmetic."""
    rows = [y[D * i : D * i + D] for i in range(N)]
    m = [[sum(r[j] * r[k] for r in rows) - (j == k == 0) for k in range(D)] for j in range(D)]
    trace = sum(m[j][j] for j in range(D))
    return sum(x * x for row in m for x in row) + trace * trace / 2
