"""Valleys: zeros of the leading form, followed along their bottom."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles.late_time import losses

from symbolic import late_time_law
from symbolic.evidence.identity import Evidence

R = sp.Rational
x, y, w = sp.symbols("x y w", real=True)
ZERO = {x: 0, y: 0}
#: Losses with exponents and constants, one a valley.
CASES = {
    "cusp": ((x**2 - y**3) ** 2 + y**8, {(R(3, 2), 24 ** -R(3, 2)), (R(4, 3), 48 ** -R(4, 3))}),
    "two degrees": (x**4 + y**6, {(R(3, 2), 24 ** -R(3, 2))}),
    "cross": (x**2 * y**2 + x**6 + y**6, {(R(3, 2), 24 ** -R(3, 2))}),
    # x^6 along (1, -1) is (r/sqrt 2)^6.
    "oblique": ((x + y) ** 4 + x**6, {(R(3, 2), 24 ** -R(3, 2) * sp.sqrt(8))}),
}


@pytest.mark.parametrize(("loss", "laws"), CASES.values(), ids=CASES)
def test_a_valley_is_found_and_has_the_law_of_its_bottom(loss, laws):
    found = late_time_law(loss, [x, y], ZERO)
    assert any("valleys" in note for note in found.notes)
    exponents = {law.exponent for law in found.laws}
    assert exponents == {e for e, _ in laws}
    for law in found.laws:
        assert law.evidence["valley"] is Evidence.PROVED
        assert any(sp.simplify(law.constant_exact - c) == 0 for _, c in laws)


@pytest.mark.parametrize(
    ("start", "exponent"),
    [((0.3, 0.5), R(4, 3)), ((0.1, -0.5), R(3, 2))],
    ids=["cusp", "other side"],
)
def test_a_flow_in_a_valley_follows_its_law(start, exponent):
    loss = CASES["cusp"][0]
    laws = late_time_law(loss, [x, y], ZERO, valleys=True).laws
    (law,) = [one for one in laws if one.exponent == exponent]
    times = np.array([1e9, 1e10])
    values = losses(loss, [x, y], list(start), times)
    scaled = values * times ** float(exponent) / law.constant
    # The shift of time and the next terms, t^-(1/6), are still seen.
    assert abs(scaled[1] - 1) < 0.05 and abs(scaled[1] - 1) < abs(scaled[0] - 1) + 1e-3
    wrong = values * times ** (float(exponent) + 0.1) / law.constant
    assert abs(wrong[1] / wrong[0] - 1) > 0.2


def test_a_fast_variable_is_slaved_in_a_valley():
    loss = (x**2 - y**3) ** 2 + y**8 + (w - x * y) ** 2
    found = late_time_law(loss, [x, y, w], {**ZERO, w: 0}, valleys=True)
    assert {law.exponent for law in found.laws} == {R(3, 2), R(4, 3)}


def test_a_height_that_is_off_is_refuted():
    found = late_time_law(CASES["cusp"][0], [x, y], ZERO, valleys=True)
    (step, *_) = [s for s in found.derivation.steps if s.rule.startswith("valley: height")]
    assert replace(step, rhs=R(1001, 1000) * step.rhs).verify().evidence is Evidence.REFUTED


def test_a_valley_that_falls_below_zero_is_refused():
    found = late_time_law(x**4 + x**2 * y**3 + y**8, [x, y], ZERO, valleys=True)
    assert found.laws == () and "no minimum" in found.reason
