"""Gradients by displacements: two doubles tell what is far below the rounding of a state."""

import numpy as np
import pytest
import sympy as sp
from flint import arb, arb_mat
from oracles.sums import Y, sum_of_products

import flows
from flows.core.balls import precision
from flows.core.rates_along import plain_rates
from flows.solvers import scipy_ivp
from flows.systems.own import increment, twofold
from flows.systems.own.around import gradient_around, rates_around
from flows.systems.own.code import coded
from flows.systems.own.numeric import numeric, program_of, rates_code

SIZE = len(Y)
A, B = sp.symbols("a b")
# Two doubles hold 32 digits of what moves, of which a program of this size loses a few.
DIGITS = 1e-27
# Rates in doubles, by two orders of what is added up.
ROUNDING = 1e-12


# Those of one number, and an angle.
FUNCTIONS = sp.exp, lambda x: sp.log(3 + x**2), sp.sin, sp.cos, sp.tanh, lambda x: sp.atan2(x, 2)


def place(seed):
    """A random loss, with a point, axes and a short displacement."""
    generator = np.random.default_rng(seed)
    expression = sum_of_products(generator)
    for function, weight in zip(FUNCTIONS, generator.normal(size=len(FUNCTIONS)), strict=True):
        expression += function(sp.Float(weight) * Y[0] + Y[1] * Y[2] / 8)
    with precision(200):
        centre = [(arb(a) + arb(a) * arb(2) ** -60).mid() for a in generator.normal(size=SIZE)]
    axes = np.linalg.qr(generator.normal(size=(SIZE, SIZE)))[0]
    return expression, centre, twofold.twofold_axes(axes), 1e-20 * generator.normal(size=SIZE)


def known(seed, off=1.0):
    """Errors of two doubles and their radii, by the state and by the displacement; what moves."""
    expression, centre, pairs, u = place(seed)
    program = program_of(expression, Y)
    code = coded(Y, program.steps, program.results[1:])
    balls, still = numeric(expression, Y, (), "ball"), [arb(0)] * SIZE
    with precision(600):
        at_centre = list(balls.both(*centre)[1:])
        moves = arb_mat(SIZE, 1, [arb(x) for x in u])
        steps = (increment.exact_columns(pairs) * moves).entries()
        there = list(balls.both(*(a + b for a, b in zip(centre, steps, strict=True)))[1:])
        moved = [a - b for a, b in zip(there, at_centre, strict=True)]
        truth = (increment.exact_columns(pairs).transpose() * arb_mat(SIZE, 1, moved)).entries()
        point = [(arb(off) * x).mid() for x in centre]
    # The gradient at the centre is taken away: what is left is 20 orders below it.
    around = gradient_around(code, point, still)
    found = twofold.Twofold(around, still, pairs).gradient(u, np.ones(SIZE))
    by_state = twofold.Twofold(code, centre, pairs).gradient(u, np.ones(SIZE))
    with precision(600):
        wrong = [abs(float(x - arb(a) - arb(b))) for x, (a, b, _) in zip(truth, found, strict=True)]
    return np.array(wrong), found[:, 2], by_state[:, 2], max(abs(float(x)) for x in truth)


@pytest.mark.parametrize("seed", range(8))
def test_two_doubles_hold_what_a_short_displacement_makes_of_a_gradient(seed):
    wrong, radius, by_state, moved = known(seed)
    assert (wrong <= radius).all() and radius.max() < DIGITS * moved
    # Control: by the state they do not, and values of another point are not those of this one.
    assert by_state.max() > 1e6 * DIGITS * moved
    assert (known(seed, 1 + 1e-3)[0] > 1e6 * radius).any()


@pytest.mark.parametrize("seed", range(3))
def test_rates_by_the_displacement_are_those_at_the_state(seed):
    expression, centre, pairs, _ = place(seed)
    rates, u = rates_code(expression, Y), 1e-3 * np.arange(1.0, 1 + SIZE)
    around, axes = rates_around(rates, centre), np.ascontiguousarray(pairs[..., 0])
    state = np.array([float(x) for x in centre]) + u

    def at(code, y):
        found = plain_rates(y, axes, code.operation, code.operands, code.constants)
        return found[code.results, :SIZE]

    truth = at(rates, state)
    assert np.allclose(at(around, u), truth, rtol=0, atol=ROUNDING * np.abs(truth).max())
    assert not np.allclose(at(around, 1.001 * u), truth, rtol=0, atol=ROUNDING)


def test_valleys_are_followed_by_compiled_steps_where_two_doubles_do_not_tell_the_state(
    monkeypatch,
):
    """`a -> 0` like `t^-1/2` along `b = 1`, of which two doubles hold 32 digits."""
    system = flows.OwnSystem("valley", [A, B], A**4 / 4 + (B - 1 + A**2) ** 2 / 2)
    start = [0.5, 0.2]
    slow = flows.integrate(system, start, 1e12, [1e6, 1e12], method="BDF", rtol=1e-12)

    def refused(*given):
        raise AssertionError("steps that are not compiled")

    monkeypatch.setattr(scipy_ivp, "solve", refused)
    run = flows.integrate(system, start, 1e12, [1e6, 1e12])
    assert run.completed
    off = np.abs(run["loss"] / slow["loss"] - 1)[1:]
    assert (off <= run.errors("loss")[1:]).all() and run.errors("loss")[-1] < 1e-7
    # Control: without displacements other steps are taken, not much later.
    monkeypatch.setattr(increment.Increment, "_around", lambda *given: None)
    with pytest.raises(AssertionError, match="not compiled"):
        flows.integrate(system, start, 1e13, [1e13])
