"""Losses of one's own of many functions, with gradients by means that certificates do not use."""

import functools

import numpy as np
import sympy as sp
from mpmath import mp

import flows
from symbolic import Expectation
from symbolic.language.primitives import definition

U, V = sp.symbols("u v")
W = sp.MatrixSymbol("W", 2, 2)
X, Y = sp.symbols("x y", real=True)


def _relu():
    students = (sp.Max(0, W[i, 0] * X + W[i, 1] * Y) for i in range(2))
    return Expectation((sum(students) - sp.Max(0, X)) ** 2 / 2, [X, Y])


LOSSES = {
    "exp": ((U, V), sp.exp(U) * V**2 + (U - sp.Rational(1, 3)) ** 2),
    "tanh": ((U, V), (sp.tanh(U * V) - 0.5) ** 2 / 2),
    "log": ((U, V), sp.log(1 + sp.exp(-U * V)) + (U**2 + V**2) / 10),
    "erf": ((U, V), (sp.erf(U + V) - sp.Rational(1, 3)) ** 2 + U**2 / sp.cosh(V) + sp.atan(V) ** 2),
    "root": ((U, V), sp.sqrt(1 + U**2 + V**2) + U * V / 3 + (U**2 + 1) ** sp.Rational(-2, 3)),
    "trig": (
        (U, V),
        sp.cos(U) * sp.sin(V) + sp.asin(U * V / 9) + sp.acos(U / 9) ** 2 + sp.tan(V) ** 2,
    ),
    "angle": ((U, V), sp.atan2(V, U) ** 2 + sp.sinh(U - 1) ** 2 + V**2),
    "relu": ((W,), _relu()),
}
STARTS = {name: np.array([0.75, 0.4]) for name in LOSSES} | {
    "relu": np.array([0.1, 0.3, -0.2, 0.05])
}
DIGITS, STEP = 80, mp.mpf("1e-20")


@functools.cache
def system(name):
    blocks, loss = LOSSES[name]
    return flows.OwnSystem(name, blocks, loss)


@functools.cache
def _value(name):
    form, y = system(name)._loss.form, system(name)._loss.y
    decimals = {f: sp.Rational(str(f)) for f in form.plain.atoms(sp.Float)}
    return sp.lambdify(y, definition(form.plain).xreplace(decimals), "mpmath")


def value(name, x):
    """The loss by its definition."""
    return _value(name)(*x)


def gradient(name, x):
    """Its gradient, by differences of the definition."""

    def moved(k, far):
        return value(name, [c + far if i == k else c for i, c in enumerate(x)])

    return [(moved(k, STEP) - moved(k, -STEP)) / (2 * STEP) for k in range(len(x))]
