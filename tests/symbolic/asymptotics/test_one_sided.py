"""Directions without curvature: from which sides they attract, and what is not decided."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from oracles.losses import x, y
from scipy.integrate import solve_ivp

from symbolic import late_time_law
from symbolic.asymptotics.circle import Circle
from symbolic.asymptotics.polar import resting_step
from symbolic.evidence.identity import Evidence

R = sp.Rational
w = sp.Symbol("w", real=True)
#: 1 - cos^3 sin/4 on the circle.
INFLECTION = (x**2 + y**2) ** 2 - x**3 * y / 4
BALL = (x**2 + y**2 + w**2) ** 2

# Forms of degree four, with the values and powers of log t of their laws.
CASES = {
    "an inflection": (INFLECTION, {1: 3}),
    "an inflection with a curved direction": (BALL - x**3 * y / 4 + w**2 * y**2, {1: 3}),
    # Along x it rises by x^4 (1 - b^2/4) on the slaved w = -b x^2/2.
    "a flat minimum": (BALL + x**4 + w**2 * y**2 + x**2 * w * y, {1: 2}),
    "a flat saddle, by slaving": (BALL + x**4 + w**2 * y**2 + 3 * x**2 * w * y, {}),
    "a flat maximum": ((x**2 + y**2) ** 2 - x**4 / 2, {}),
}
# Along w = x it rises by the sixth power of y, and |w - z| follows y^2.
KINKED = sp.Abs(w) ** 3 + (x**2 + y**2) ** sp.Rational(3, 2) + sp.Abs(w - x) ** 3


@pytest.mark.parametrize(("loss", "resting"), CASES.values(), ids=CASES)
def test_a_direction_without_curvature_has_its_law_if_it_attracts(loss, resting):
    variables = sorted(loss.free_symbols, key=str)
    law = late_time_law(loss, variables, dict.fromkeys(variables, 0))
    slow = {one.constant_exact: one for one in law.laws if one.log_decay is not None}
    assert {c: one.log_decay for c, one in slow.items()} == {
        sp.Integer(1) / (64 * value): q for value, q in resting.items()
    }
    for one in slow.values():
        assert one.evidence["direction"] is one.evidence["attracts"] is Evidence.PROVED
        # Starts lead there, and elsewhere too.
        assert 0 < one.share <= 1
    assert all(one.log_decay is None for one in law.laws if one not in slow.values())


def test_a_flat_direction_along_which_a_kink_is_slaved_has_its_law():
    laws = late_time_law(KINKED, [x, y, w], {x: 0, y: 0, w: 0}).laws
    assert [(law.constant_exact, law.log_decay) for law in laws] == [
        (sp.Rational(2, 27), sp.Rational(3, 2))
    ]


def test_the_constant_of_an_inflection_is_that_of_the_flow_by_hand():
    laws = late_time_law(INFLECTION, [x, y], {x: 0, y: 0}).laws
    assert [one.constant for one in laws] == pytest.approx([1 / (64 - 3 * 3**0.5), 1 / 64])

    def slope(_, a):
        return np.cos(a) ** 2 * (np.cos(a) ** 2 - 3 * np.sin(a) ** 2) / 4

    # In the slow time, from beyond pi/2 down to it.
    (angle,) = solve_ivp(slope, (0, 400), [2.0], "DOP853", rtol=1e-9).y[:, -1]
    form = 1 - np.cos(angle) ** 3 * np.sin(angle) / 4
    # At the end the angle is 1/300 from its limit, and the form is off by the cube of that.
    assert 1 / (64 * form) == pytest.approx(laws[1].constant, rel=1e-6)
    assert 1 / (64 * form) != pytest.approx(laws[1].constant * 1.001, rel=1e-4)


#: D is b (b^2 - a b - a^2)^2 a/12: inflections at the golden ratio and at its conjugate.
GOLDEN = 16 * (x**2 + y**2) ** 3 + 30 * x**4 * y**2 + 40 * x**3 * y**3 + 15 * x**2 * y**4
GOLDEN += 15 * y**6


def test_an_inflection_that_is_no_fraction_is_decided_by_its_polynomial():
    laws = late_time_law(GOLDEN, [x, y], {x: 0, y: 0}).laws
    resting = [one for one in laws if one.log_decay is not None]
    with mp.workdps(40):
        values = []
        for slope in ((1 + mp.sqrt(5)) / 2, (1 - mp.sqrt(5)) / 2):
            at = GOLDEN.subs({x: 1, y: sp.Float(str(slope), 40)}) / (1 + slope**2) ** 3
            values.append(mp.mpf(24) ** mp.mpf(-1.5) / mp.sqrt(mp.mpf(str(at))))
    for one, value in zip(resting, sorted(values, reverse=True), strict=True):
        assert one.constant == pytest.approx(float(value), rel=1e-15)
        assert abs(mp.mpf(one.constant) - value) <= one.constant_radius + mp.mpf(2.0**-60)
        assert one.constant_radius < 1e-30
        assert one.log_decay == 3 and one.evidence["attracts"] is Evidence.PROVED
        assert one.constant != pytest.approx(1.001 * float(value), rel=1e-4)
    # A coefficient that is off by a thousandth makes of each inflection two directions, or none.
    off = late_time_law(GOLDEN + x**6 / 1000, [x, y], {x: 0, y: 0}).laws
    assert all(one.log_decay is None for one in off)


def test_a_direction_whose_sides_are_not_decided_is_left_out_with_the_reason():
    # Beside the pole nothing is curved: two directions.
    pole = (x**2 + y**2 + w**2) ** 3 + (x**2 + w**2) ** 3 - x**3 * w * y**2 / 9
    law = late_time_law(pole, [w, x, y], {w: 0, x: 0, y: 0})
    assert "no curvature along 2 directions" in law.reason or any(
        "no curvature along 2 directions" in note for note in law.notes
    )


def test_the_power_of_the_logarithm_is_a_step_that_a_tenth_breaks():
    step = resting_step(sp.Integer(4), sp.Integer(3))
    assert step.evidence is Evidence.PROVED
    assert resting_step(sp.Integer(4), sp.Integer(4)).rhs != step.rhs


@pytest.mark.parametrize("degree", [3, 4])
def test_values_on_an_ellipse_are_those_of_the_circle_that_it_is_turned_into(degree):
    form = x**3 - 3 * x * y**2 if degree == 3 else INFLECTION
    turned = form.subs(y, 2 * y, simultaneous=True)
    on_circle = Circle.of(sp.expand(form), (x, y), sp.Integer(degree), sp.eye(2))
    on_ellipse = Circle.of(sp.expand(turned), (x, y), sp.Integer(degree), sp.diag(1, 4))
    assert len(on_circle.classes) == len(on_ellipse.classes) == (1 if degree == 3 else 2)
    for one, other in zip(on_circle.rays, on_ellipse.rays, strict=True):
        assert (one.law, one.order, one.sides) == (other.law, other.order, other.sides)
