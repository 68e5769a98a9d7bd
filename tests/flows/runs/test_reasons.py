"""What a run or a law is refused for is so: each reason is compared with a flow in closed form."""

import warnings

import numpy as np
import pytest
import sympy as sp

import flows

X, Y = sp.symbols("x y", real=True)
THIRD = sp.Rational(1, 3)
# Terms of higher order are this part of `t^(10/9) L` at the end of a run.
LATE = 0.03
# A loss that grows like `exp(4 t)` multiplies the error of steps of 1e-10 by the time.
GROWS = 1e-7


def run_of(loss, start, end):
    return flows.integrate(flows.OwnSystem("own", [X, Y], loss), np.array(start), end)


@pytest.mark.parametrize("degree", [20, 24])
def test_a_power_of_time_is_not_told_as_a_rate_where_the_limit_is_not_resolved(degree):
    run = run_of((X - Y**2) ** 2 + Y**degree, [0.9, 0.7], 1e10)
    law = flows.late_time_law(run)
    # The loss falls as it does by the law at the minimiser: like a power, with no rate.
    exact = flows.late_time_law(run.system, at=[0, 0]).laws[0]
    assert exact.exponent == sp.Rational(degree, degree - 2)
    assert flows.local_exponent(run)[-1] == pytest.approx(-float(exact.exponent), rel=LATE)
    assert not law.laws and "with the rate" not in law.reason
    assert "not resolved" in law.reason or "limit not found" in law.reason


def test_a_rate_that_most_starts_do_not_have_is_told_as_one():
    # On the axis `x = 0` the loss is `4 y^2/2`, exp(-8 t); beside it x^2/2 is left, exp(-2 t).
    law = flows.late_time_law(run_of(X**2 / 2 + 2 * Y**2, [0.0, 1.0], 40.0))
    assert law.laws[0].rate == 8 and "that the flow keeps: x = 0; runs beside" in law.notes[-1]
    # The same in turned entries, of which none is kept.
    x, y = (X + 2 * Y) / sp.sqrt(5), (2 * X - Y) / sp.sqrt(5)
    law = flows.late_time_law(run_of(x**2 / 2 + 2 * y**2, [0.5, -0.25], 40.0))
    assert not law.laws and "with the rate 8, from most starts in the end with 2" in law.reason


FALLS = {
    # Loss, start, and the loss of the flow.
    "one direction": (X**2 - (Y - THIRD) ** 2, [1.0, 1.0], lambda t: -4 / 9 * np.exp(4 * t)),
    "across": (-X * Y, [0.5, 0.5], lambda t: -np.exp(2 * t) / 4),
}


@pytest.mark.parametrize("name", FALLS)
def test_a_loss_without_a_least_value_is_followed_to_the_end_of_doubles_and_is_no_kink(name):
    loss, start, exact = FALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = run_of(loss, start, 1e9)
    assert run.status == "field_failed"
    assert "may have no least value" in run.message and "kink" not in run.message
    late = run.t > 10
    assert run["loss"][late] == pytest.approx(exact(run.t[late]), rel=GROWS)
    assert abs(run["loss"][-1]) > 1e100
    # Control: with a least value it is reached.
    tamed = run_of(loss + (X**4 + Y**4) / 4, start, 1e3)
    assert tamed.completed and "least value" not in tamed.message


def test_a_run_that_stays_at_a_saddle_is_not_said_to_leave_it():
    # By symmetry `y = -x` for ever: 1/x^2 + 1 = (1/x(0)^2 + 1) exp(2 t).
    run = run_of((X * Y - 1) ** 2 / 2, [0.5, -0.5], 1e2)
    x = 1 / np.sqrt(5 * np.exp(2 * run.t) - 1)
    assert run.completed and np.abs(run["loss"] - (x**2 + 1) ** 2 / 2).max() <= 1e-9
    # The same in other axes, in which no entries are alike: it is not said to leave either.
    along, across = (3 * X + 4 * Y) / 5, (3 * Y - 4 * X) / 5
    hidden = run_of((along * across - 1) ** 2 / 2, [0.875, 0.125], 1e6)
    assert hidden.t[-1] > 20 and "not known whether" in hidden.message
    x = 1 / np.sqrt((1 + 1 / 0.625**2) * np.exp(2 * hidden.t) - 1)
    assert np.abs(hidden["loss"] - (x**2 + 1) ** 2 / 2).max() <= 1e-9
