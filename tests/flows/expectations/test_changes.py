"""Changes of expressions: all digits of what is small, beside what is not."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp

from flows.expectations.changes import taped
from symbolic.language.program import Program, gradient
from symbolic.language.stable import LogCosh, Sigmoid, Softplus

X, Y = sp.symbols("x y", real=True)
# Last bits of some operations, of a change and of the slope; `1 - tanh^2` is right to a last bit.
ROUNDED = 2e-14
EPSILON = float(np.finfo(float).eps)
# Bounds of rounding of a few steps are no larger than so many last bits of the entry.
FEW = 20
FUNCTIONS = {
    "exp": (sp.exp, mp.exp),
    "log": (sp.log, mp.log),
    "sin": (sp.sin, mp.sin),
    "cos": (sp.cos, mp.cos),
    "sinh": (sp.sinh, mp.sinh),
    "cosh": (sp.cosh, mp.cosh),
    "tanh": (sp.tanh, mp.tanh),
    "atan": (sp.atan, mp.atan),
    "asinh": (sp.asinh, mp.asinh),
    "erf": (sp.erf, mp.erf),
    "root": (sp.sqrt, mp.sqrt),
    "inverse": (lambda z: 1 / z, lambda z: 1 / z),
    "logistic": (Sigmoid, lambda z: 1 / (1 + mp.exp(-z))),
    "softplus": (Softplus, lambda z: mp.log(1 + mp.exp(z))),
    "log cosh": (LogCosh, lambda z: mp.log(mp.cosh(z))),
}


def change(expression, at, move):
    """Of an expression in X, with the rounding that is stated of the changed value."""
    tape = taped(Program((), (expression,)), (X,))
    known = tape.values([np.array(at)])
    changes = tape.changes(known, [np.array(move)])
    off = tape.off(known, tape.rounded(known, [0.0]), changes)
    return float(changes[tape.results[0]]), float(off[0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_change_has_its_digits_however_small_it_is(name):
    written, by_hand = FUNCTIONS[name]
    with mp.workdps(60):
        for at in (0.3, 1.7, 5.0):
            for move in (1e-30, -1e-12, 0.01, -0.25, 0.45, 2.0):
                found, off = change(written(X), at, move)
                before, after = by_hand(mp.mpf(at)), by_hand(mp.mpf(at) + mp.mpf(move))
                truth = after - before
                # Beyond a half both ends are evaluated, and what counts is the larger one.
                size = abs(truth) if abs(move) < 0.5 else max(abs(before), abs(after))
                least = np.finfo(float).eps * abs(move)
                assert abs(found - truth) <= ROUNDED * size + least
                assert abs(found - truth) <= off
                # Control: a change that is off by a thousandth.
                seen = abs(truth) > 1e-9 * size
                assert abs(1.001 * found - truth) > ROUNDED * size + least or not seen


def test_what_cancels_at_a_place_that_is_known_keeps_its_digits_around_it():
    # (tanh(x y) - tanh(x))^2 at y = 1 + 1e-18: sixteen digits of the terms are none of it.
    gap = sp.tanh(X * Y) - sp.tanh(X)
    program = gradient(gap**2 / 2, (X, Y))
    tape = taped(program, (X, Y))
    places, near = np.array([0.4, 1.1, 2.5]), 1e-18
    known = tape.values([places, 1.0])  # the difference is zero there, exactly
    found = tape.changes(known, [None, near])
    value, _, by_y = (np.asarray(found[k]) + known[k] for k in tape.results)
    with mp.workdps(60):
        for k, x in enumerate(map(mp.mpf, places.tolist())):
            off = mp.tanh(x * (1 + mp.mpf(near))) - mp.tanh(x)
            slope = off * x * mp.sech(x * (1 + mp.mpf(near))) ** 2
            assert value[k] == pytest.approx(float(off**2 / 2), rel=ROUNDED, abs=0)
            assert by_y[k] == pytest.approx(float(slope), rel=ROUNDED, abs=0)
            assert by_y[k] != pytest.approx(1.001 * float(slope), rel=ROUNDED, abs=0)


def test_a_function_whose_changes_are_not_known_has_no_tape():
    assert taped(Program((), (sp.gamma(X),)), (X,)) is None
    assert taped(Program((), (sp.Abs(X),)), (X,)) is None


def test_the_rounding_of_a_quotient_is_unknown_where_a_pole_may_be_in_between():
    x = sp.Symbol("x", real=True)
    tape = taped(Program((), (1 / (1 - x),)), (x,))
    place = np.array([0.5, 1 - 1e-10, 1 - 1e-15])
    doubt = tape.doubts([place], [EPSILON * place])[0]
    # The rounding of x moves 1/(1 - x) by its square.
    assert (doubt[:2] > EPSILON * place[:2] / (1 - place[:2]) ** 2).all()
    assert (doubt[:2] < FEW * EPSILON / (1 - place[:2]) ** 2).all()
    # Next to the pole, nothing is known.
    assert doubt[2] == np.inf
