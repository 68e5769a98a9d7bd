"""Rates: local exponents from the state, asymptotic windows, constants with their error."""

import numpy as np
import pytest
import sympy as sp
from oracles.measured import Measured

from flows.core.errors import InputError
from flows.runs import rates, trend
from flows.runs.rates import asymptotic_window, local_exponent, log_corrected, tail_constant

# Exponents of closed forms: rounding of one product and one quotient.
ROUNDING = 1e-12
# A fit amplifies the rounding of log L by the norm of its inverse, a few hundred.
FITTED = 1e-10


def times(end):
    return np.concatenate([[0.0], np.geomspace(1e-2, end, 10 * round(np.log10(end / 1e-2)) + 1)])


def power(c=2.0, p=3.0, correction=0.0, q=1.0, end=1e9):
    """`c (1+t)^-p (1 + correction (1+t)^-q)`."""
    s = 1 + times(end)
    loss = c * s**-p * (1 + correction * s**-q)
    rate = -c * s ** (-p - 1) * (p + correction * (p + q) * s**-q)
    return Measured(s - 1, {"loss": loss, "loss_dot": rate})


def logarithmic(c=2.0, a=1.0, b=1.0, end=1e9):
    """`c t^-a (log t)^-b`."""
    t = np.geomspace(10.0, end, 10 * round(np.log10(end)) - 9)
    loss = c * t**-a * np.log(t) ** -b
    return Measured(t, {"loss": loss, "loss_dot": -loss / t * (a + b / np.log(t))})


def exponential(c=1.0, end=1e6):
    t = times(end)
    loss = np.exp(-c * t)
    return Measured(t, {"loss": loss, "loss_dot": -c * loss})


@pytest.mark.parametrize("p", [1.0, 3.0, 2.5])
def test_local_exponent_of_a_shifted_power_is_exact_at_every_time(p):
    run = power(p=p)
    exact = -p * run.t / (1 + run.t)
    assert local_exponent(run) == pytest.approx(exact, abs=ROUNDING)
    assert local_exponent(run) != pytest.approx(exact * 1.001, abs=ROUNDING)


def test_local_exponent_of_an_exponential_is_minus_c_t_until_the_loss_is_lost():
    run = exponential(c=2.0)
    alive = run.features["loss"] > 1e-280
    assert local_exponent(run)[alive] == pytest.approx(-2.0 * run.t[alive], rel=ROUNDING)
    assert np.isnan(local_exponent(run)[~alive]).all() and (~alive).any()


def test_the_window_of_a_power_begins_where_the_exponent_has_arrived():
    window = asymptotic_window(power())
    # |p(t) + 3| = 3/(1 + t) <= 0.05 from t = 59 on; output times are a tenth of a decade apart.
    assert window.steady and 59 <= window.t_start <= 59 * 10**0.1
    assert window.t_end == pytest.approx(1e9) and window.decades > 7


def test_an_exponential_and_a_transient_have_no_steady_window():
    assert not asymptotic_window(exponential()).steady
    assert not asymptotic_window(power(end=1e1)).steady
    assert asymptotic_window(power(end=1e4)).steady


def test_a_loss_that_is_zero_throughout_has_an_empty_window():
    t = times(10.0)
    window = asymptotic_window(Measured(t, {"loss": 0 * t, "loss_dot": 0 * t}))
    assert (window.start, window.stop, window.steady, window.decades) == (0, 0, False, 0.0)


@pytest.mark.parametrize(("correction", "q"), [(0.0, 1.0), (5.0, 1.0), (-0.4, 1 / 3), (0.5, 0.5)])
def test_the_constant_lies_within_its_error(correction, q):
    found = tail_constant(power(c=2.0, correction=correction, q=q))
    assert abs(found.value - 2.0) <= found.error < 1e-3 * 2.0


@pytest.mark.parametrize("end", [1e-2, 0.5])
def test_the_constant_lies_within_its_error_at_times_before_one(end):
    # Of another unit of time: the logarithm of all times is negative.
    t = np.geomspace(1e-9 * end, end, 91)
    run = Measured(t, {"loss": 2 * t**-3.0, "loss_dot": -6 * t**-4.0})
    found = tail_constant(run)
    assert abs(found.value - 2.0) <= found.error < 1e-6
    assert abs(found.value - 2.002) > found.error


def test_with_a_wrong_exponent_the_constant_is_zero_or_drowned_by_its_error():
    low, high = (tail_constant(power(), exponent=p) for p in (2.0, 4.0))
    assert abs(low.value) <= max(low.error, 1e-6)
    assert high.error > 0.5 * high.value
    assert tail_constant(power(), exponent=3.0).error < 1e-4  # the right one is not


SLOW = {  # t L as an expression in log t, and its limit
    "1/log t": (lambda x: 1 / x, 0.0),
    "(log t)^-1/10": (lambda x: x ** -sp.Rational(1, 10), 0.0),
    "(log t)^-3": (lambda x: x**-3, 0.0),
    "1/log log t": (lambda x: 1 / sp.log(x), 0.0),
    "1 + 1/log t": (lambda x: 1 + 1 / x, 1.0),
    "1 - (log t)^-2": (lambda x: 1 - x**-2, 1.0),
    "2 after a plateau at 1": (
        lambda x: 1 + sp.exp(2 * (x - 18)) / (1 + sp.exp(2 * (x - 18))),
        2.0,
    ),
    "1 after a plateau at 2": (lambda x: 2 - sp.exp(x - 22) / (1 + sp.exp(x - 22)), 1.0),
}


def scaled(form, end):
    """Run with the loss `form(log t)/t`."""
    x = sp.Symbol("x", positive=True)
    t = np.geomspace(10.0, end, 10 * round(np.log10(end)) - 9)
    with np.errstate(over="ignore", invalid="ignore"):
        c, slope = (sp.lambdify(x, e, "numpy")(np.log(t)) for e in (form(x), sp.diff(form(x), x)))
    return Measured(t, {"loss": c / t, "loss_dot": (slope - c) / t**2})


@pytest.mark.parametrize("end", [1e4, 1e6, 1e7, 1e12])
@pytest.mark.parametrize("case", SLOW)
def test_a_limit_that_is_not_reached_lies_within_the_error(case, end):
    form, limit = SLOW[case]
    if "plateau" in case and end > 1e10:
        limit = (2.0, 1.0)[case.startswith("1")]
    found = tail_constant(scaled(form, end), exponent=1.0)
    assert np.isnan(found.value) or abs(found.value - limit) <= found.error
    assert found.reason or found.error < 0.1


def test_one_power_of_time_is_extrapolated_and_a_logarithm_is_not(monkeypatch):
    known = tail_constant(scaled(lambda x: 1 + sp.exp(-x / 2), 1e6), exponent=1.0)
    assert abs(known.value - 1) <= known.error < 1e-3 and not known.reason
    # Control: 1/log t taken for a power of time is beside its limit.
    monkeypatch.setattr(rates, "ORDER", 1.0)
    monkeypatch.setattr(trend, "STEADY", 0.5)
    monkeypatch.setattr(rates, "SAFETY", 0.0)
    monkeypatch.setattr(rates, "reach", lambda *given: 0.0)
    found = tail_constant(scaled(SLOW["1/log t"][0], 1e12), exponent=1.0)
    assert abs(found.value) > found.error


# Laws `2 s^-p (1 + sum a s^-q + b (log s)^-k)` with `s = t + T`: p, T, the end, (a, q), (b, k).
HIDDEN = [
    (2.0, 158.0, 2.7e6, [(0.0028, 0.026)], (-0.165, 2.0)),  # a slow power behind a shift of time
    (4.0, 129.0, 5.7e5, [], (-0.0136, 0.5)),  # a root of log t behind it
    (1.0, 1.5, 2e13, [(-0.54, 1 / 3)], (0.0062, 1.0)),  # a power and a logarithm that cancel
    (4.0, 0.05, 2.8e11, [(-0.077, 1 / 3), (-0.67, 0.1)], (3.06, 1.0)),  # and more slowly
    (1.0, 3.1, 1.3e8, [(-1.04, 1 / 3)], (0.097, 0.5)),
]


def measured(p, shift, end, powers, b=0.0, k=1.0):
    """Run of such a law."""
    t = np.geomspace(1e-2, end, 8 * int(np.log10(end)) + 17)
    s = t + shift
    u = np.log(np.e + s)
    form = 1 + sum(a * s**-q for a, q in powers) + b * u**-k
    change = -sum(a * q * s ** (-q - 1) for a, q in powers) - b * k * u ** (-k - 1) / (np.e + s)
    return Measured(t, {"loss": 2 * s**-p * form, "loss_dot": 2 * s**-p * (change - p * form / s)})


@pytest.mark.parametrize("law", HIDDEN)
def test_what_is_slower_than_what_is_seen_lies_within_the_error(law, monkeypatch):
    *given, (b, k) = law
    run = measured(*given, b, k)
    found = tail_constant(run, exponent=law[0])
    assert abs(found.value - 2.0) <= found.error < 2.0
    # What is hidden does not count.
    monkeypatch.setattr(rates, "SAFETY", 0.0)
    monkeypatch.setattr(rates, "reach", lambda *given: 0.0)
    found = tail_constant(run, exponent=law[0])
    assert abs(found.value - 2.0) > 3 * found.error


# Size, end, rates of three powers, and the rate of one that they look like.
CANCELLING = [
    (0.02, 2.2e10, (0.05, 1 / 6, 1 / 5), 0.7),
    (0.5, 2.5e9, (0.05, 1 / 6, 1 / 5), 0.64),
    (0.6, 2e8, (0.05, 1 / 10, 1 / 3), 0.87),
    (2.0, 1.5e7, (0.05, 1 / 4, 1 / 3), 0.97),
]


def cancelling(size, end, rates, rate):
    """Three powers which are together as one at the last time, and one and two decades before."""
    x, q = np.log(end) - np.log(10) * np.arange(3), np.array(rates)
    parts = np.linalg.solve(np.exp(-np.outer(x, q)), np.exp(-rate * x))
    return measured(
        2.0, 1.0, end, list(zip(size * parts / q / np.abs(parts).max(), q, strict=True))
    )


@pytest.mark.parametrize("sum_of", CANCELLING)
def test_three_corrections_that_cancel_are_within_the_error(sum_of, monkeypatch):
    run = cancelling(*sum_of)
    found = tail_constant(run, exponent=2.0)
    assert abs(found.value - 2.0) <= found.error < 2.0
    # Control: of two rates nothing is seen to cancel.
    monkeypatch.setattr(rates, "reach", lambda *given: 0.0)
    found = tail_constant(run, exponent=2.0)
    assert abs(found.value - 2.0) > 100 * found.error


def test_without_a_window_the_constant_says_so():
    found = tail_constant(exponential())
    assert np.isnan(found.value) and found.error == np.inf and found.reason


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (1.1, 0.0), (2.0, -0.5)])
def test_a_power_with_a_power_of_the_logarithm_is_recovered(a, b):
    found = log_corrected(logarithmic(a=a, b=b))
    fit = (found.exponent, found.log_exponent, found.constant)
    assert fit == pytest.approx((a, b, 2.0), abs=FITTED)
    assert fit != pytest.approx((a, b + 1e-6, 2.0), abs=FITTED)
    assert max(found.errors) < 1e-3 and found.window.steady


def test_a_logarithm_is_told_from_a_power_that_is_slightly_larger():
    log, power_law = log_corrected(logarithmic()), log_corrected(logarithmic(a=1.1, b=0.0))
    # Both have local exponents near -1.1 at t = 1e5, and the fit keeps them apart.
    assert abs(log.exponent - power_law.exponent) > 10 * (log.errors[0] + power_law.errors[0])
    assert abs(log.log_exponent - 1) <= log.errors[1] < 0.01
    assert abs(power_law.log_exponent) <= power_law.errors[1] < 0.01


def test_what_the_form_leaves_out_is_in_the_error():
    run = logarithmic()
    # L = 2/(t (log t + 5)): neither exponent is exact on a finite window.
    factor = np.log(run.t) / (np.log(run.t) + 5)
    loss = run.features["loss"] * factor
    rate = -loss / run.t * (1 + 1 / (np.log(run.t) + 5))
    found = log_corrected(Measured(run.t, {"loss": loss, "loss_dot": rate}))
    assert 0.01 < abs(found.log_exponent - 1) < 5 * found.errors[1]


def test_without_a_window_a_fit_says_so():
    found = log_corrected(exponential())
    assert np.isnan([found.exponent, found.log_exponent, found.constant]).all()
    assert found.errors == (np.inf,) * 3


def test_an_unknown_potential_is_one_clear_line():
    with pytest.raises(InputError, match="unknown potential 'nope'"):
        local_exponent(power(), "nope")
