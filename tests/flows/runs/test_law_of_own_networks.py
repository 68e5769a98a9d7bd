"""Losses with angles, lengths and functions, written as expectations, have the laws of networks."""

import functools
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

import flows
import symbolic
from symbolic import Expectation
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw

A, B, C = sp.symbols("a b c", real=True)
PI = sp.pi
# Laws of runs are in decimals of a limit that is known to more digits than these.
DIGITS = 1e-6
# A constant that is off by this is told from it.
OFF = 1e-3


def ramp(z):
    return sp.Max(0, z)


@functools.cache
def network(n, d, teachers, trained=False):
    """Own loss `E (sum a_i ramp(w_i.x) - sum_j ramp(x_j))^2/2`, over the first so many teachers."""
    w, x = sp.MatrixSymbol("W", n, d), sp.MatrixSymbol("x", d, 1)
    out = sp.MatrixSymbol("A", n, 1)
    parts = [(out[i, 0] if trained else 1) * ramp((w * x)[i, 0]) for i in range(n)]
    target = sum(ramp(x[j, 0]) for j in range(teachers))
    blocks = [w, out] if trained else [w]
    return flows.OwnSystem("network", blocks, Expectation((sum(parts) - target) ** 2, x) / 2)


def pair(h):
    """Constant of two neurons with shares `h` and `1 - h`, Xu & Du's setting."""
    return sp.Rational(8, 3) * PI**2 * (h * (1 - h)) ** 2


CASES = {
    "equal shares": ((2, 2, 1), [[0.5, 0], [0.5, 0]], pair(sp.Rational(1, 2))),
    "a quarter": ((2, 2, 1), [[0.25, 0], [0.75, 0]], pair(sp.Rational(1, 4))),
    "in space": ((2, 3, 1), [[0.5, 0, 0], [0.5, 0, 0]], pair(sp.Rational(1, 2))),
    "beside another teacher": ((3, 2, 2), [[0.5, 0], [0.5, 0], [0, 1]], pair(sp.Rational(1, 2))),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_neurons_along_their_teacher_have_the_law_of_the_paper(case):
    sizes, at, constant = case
    (law,) = flows.late_time_law(network(*sizes), at=np.array(at)).laws
    assert law.exponent == 3
    assert sp.simplify(law.constant_exact - constant) == 0
    assert law.constant != pytest.approx(float(constant) * (1 + OFF), rel=OFF / 2)


def test_trained_outputs_leave_a_family_that_scaling_explains():
    system = network(2, 2, 1, trained=True)
    found = flows.late_time_law(system, at=np.array([0.5, 0, 0.5, 0, 1, 1]))
    assert sp.simplify(found.laws[0].constant_exact - pair(sp.Rational(1, 2))) == 0
    # The teacher's direction, exchanged between students and with outputs.
    assert found.derived.kernel[0] == 3


def test_a_bare_loss_has_the_same_law():
    w, x = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("x", 2, 1)
    miss = ramp((w * x)[0, 0]) + ramp((w * x)[1, 0]) - ramp(x[0, 0])
    at = sp.Matrix([[sp.Rational(1, 4), 0], [sp.Rational(3, 4), 0]])
    (law,) = symbolic.late_time_law(Expectation(miss**2, x) / 2, [w], {w: at}).laws
    assert sp.simplify(law.constant_exact - pair(sp.Rational(1, 4))) == 0


def test_a_run_is_told_the_constant_of_the_shares_that_it_ends_with():
    system = network(2, 2, 1)
    run = flows.integrate(system, np.array([0.5, 0.3, 0.6, -0.2]), 1e8)
    law = flows.late_time_law(run)
    share = float(law.at[0])
    constant = float(pair(share))
    assert law.laws[law.chosen].constant == pytest.approx(constant, rel=DIGITS)
    assert run["loss"][-1] * run.t[-1] ** 3 == pytest.approx(constant, rel=DIGITS)
    assert run["loss"][-1] * run.t[-1] ** 3 != pytest.approx(constant * (1 + OFF), rel=OFF / 2)


def test_an_angle_of_a_neuron_at_zero_has_no_series():
    found = flows.late_time_law(network(2, 2, 1), at=np.array([[1.0, 0], [0, 0]]))
    assert not found.laws and "both sides vanish" in found.derived.reason


#: Loss, a start, and its law from there: `C t^-2`, with the degree 4 along the radius alone.
ROUND = {
    "a length": ((sp.sqrt(A**2 + B**2) - 1) ** 4 / 2, [0.3, 0.2], [1, 0], Fraction(1, 32)),
    "a logarithm": (sp.log(A * B) ** 4 / 2, [0.7, 0.5], [1, 1], Fraction(1, 128)),
    "an exponential": ((sp.exp(A * B) - sp.E) ** 4 / sp.E**4, None, [1, 1], Fraction(1, 256)),
}


@pytest.mark.parametrize("case", ROUND.values(), ids=ROUND)
def test_a_family_that_a_linear_symmetry_of_functions_explains_is_divided_out(case):
    loss, start, at, constant = case
    system = flows.OwnSystem("round", [A, B], loss)
    (law,) = flows.late_time_law(system, at=at).laws
    assert law.exponent == 2 and law.constant_exact == constant
    if start is not None:
        run = flows.integrate(system, np.array(start), 1e8)
        found = flows.late_time_law(run).laws[0]
        assert found.exponent == 2
        assert run["loss"][-1] * run.t[-1] ** 2 == pytest.approx(found.constant, rel=OFF)


def test_an_angle_is_that_of_the_point_on_every_side():
    for x, y in [(2, 1), (-2, 1), (0, 1), (0, -1), (3, 0), (-3, -1)]:
        at = (sp.Rational(x), sp.Rational(y))
        point = Point((A, B), sp.atan2(B, A), sp.S.Zero, (), at).regular
        beside = {A: x + sp.Rational(1, 100), B: y + sp.Rational(1, 100)}
        assert float((point.plain - sp.atan2(B, A)).subs(beside)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(NoLaw, match="jumps from pi to -pi"):
        _ = Point((A, B), sp.atan2(B, A), sp.S.Zero, (), (-sp.S.One, sp.S.Zero)).regular
    length = sp.sqrt(B**2)  # an angle between 0 and pi
    point = Point((A, B), sp.atan2(length, A), sp.S.Zero, (), (-sp.S.One, sp.S.Zero)).regular
    assert float(point.plain.subs({A: -1, B: -0.01})) == pytest.approx(np.pi - np.arctan(0.01))
    with pytest.raises(NoLaw, match="both sides vanish"):
        _ = Point((A, B), sp.atan2(B, A), sp.S.Zero, (), (sp.S.Zero, sp.S.Zero)).regular
