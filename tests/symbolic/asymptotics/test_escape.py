"""Escape to infinity: laws by limits, and flows along the coordinate."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from symbolic.asymptotics.escape import escape_law
from symbolic.evidence.identity import Evidence

R = sp.Symbol("R", positive=True)

CASES = {
    "one far score component": (R * sp.exp(-(R**2) / 8), 1, 2, 1),
    "three far ones": (R * sp.exp(-(R**2) / 8), 3, 6, 1),
    "logistic loss of depth 2": (sp.log(1 + sp.exp(-(R**2) / 2)), 1, sp.Rational(1, 2), 1),
    "logistic loss": (sp.log(1 + sp.exp(-R)), 1, 1, None),
    "cubic": (sp.exp(-(R**3) / 27), 1, 1, sp.Rational(4, 3)),
}


@pytest.mark.parametrize(("loss", "mass", "constant", "power"), CASES.values(), ids=CASES)
def test_a_loss_that_escapes_has_a_law_with_a_logarithm(loss, mass, constant, power):
    (law,) = escape_law(loss, R, mass).laws
    assert sp.simplify(law.constant_exact - constant) == 0
    assert law.exponent == 1 and law.log_exponent == power
    assert law.kind == ("power" if power is None else "logarithmic")
    assert law.evidence["escape"] is Evidence.PROVED


@pytest.mark.parametrize(("loss", "mass"), [(R**-2, 1), (1 / (R + R**3), 2)])
def test_a_power_of_the_radius_gives_a_power_of_time(loss, mass):
    (law,) = escape_law(loss, R, mass).laws
    value, slope = sp.lambdify(R, loss), sp.lambdify(R, -sp.diff(loss, R) / mass)
    run = solve_ivp(
        lambda tau, x: np.exp(tau) * slope(x), (0, np.log(1e12)), [1.0], "LSODA", rtol=1e-10
    )
    measured = value(run.y[0, -1]) * 1e12 ** float(law.exponent)
    assert measured == pytest.approx(law.constant, rel=1e-4)
    assert measured * 1e12**0.1 != pytest.approx(law.constant, rel=0.5)


@pytest.mark.parametrize("loss", [R + 1 / R, 1 / sp.log(2 + R), sp.exp(-sp.exp(R))], ids=str)
def test_other_losses_are_refused(loss):
    found = escape_law(loss, R)
    assert found.laws == () and found.reason


def test_a_limit_is_taken_off():
    found, plain = escape_law(3 + 1 / R, R), escape_law(1 / R, R)
    assert (found.limit, plain.limit) == (3, 0)
    assert found.laws[0].constant_exact == plain.laws[0].constant_exact


def test_a_growth_that_is_off_is_refuted():
    step = escape_law(sp.exp(-(R**2) / 8), R).derivation.steps[1]
    off = replace(step, rhs=step.rhs * sp.Rational(1001, 1000))
    assert step.verify().evidence is Evidence.PROVED
    assert off.verify().evidence is Evidence.REFUTED
