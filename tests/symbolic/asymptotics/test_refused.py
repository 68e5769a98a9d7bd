"""What has no late-time law, and points and words that are refused, each with its reason."""

import pytest
import sympy as sp
from oracles.losses import x, y

from symbolic import late_time_law
from symbolic.evidence.identity import Evidence

R = sp.Rational
w = sp.Symbol("w", real=True)

REFUSED = {
    "not critical": (y**4 / 4, {y: 1}, "the point is not critical: the derivative by y is 1"),
    "kink": (sp.Abs(x) + y**2, {x: 0, y: 0}, "a kink of degree 1"),
    "kink of degree 3/2": (sp.Abs(x) ** R(3, 2) + y**2, {x: 0, y: 0}, "a kink of degree 3/2"),
    "flat": (sp.exp(-1 / x**2) + y**2, {x: 0, y: 0}, "is a divisor"),
    "zeros in three dimensions": (
        x**4 + y**6 + w**8,
        {x: 0, y: 0, w: 0},
        "vanishes in some direction: the rate depends on higher orders there; valleys are followed"
        " for two slow variables",
    ),
    "a valley that does not rise": ((x**2 - y**3) ** 2, {x: 0, y: 0}, "does not grow along a zero"),
    "a chain that others leave": (
        (1 - x * y * w) ** 2,
        {x: 0, y: 0, w: 0},
        "confine the run to a cone, which it leaves from some directions (confined=True",
    ),
    "odd": (x**3 + y**2, {x: 0, y: 0}, "odd degree 3"),
    # On the line x = 0 the loss is constant, and the slope is -3 y^2.
    "monkey saddle": (x**3 - 3 * x * y**2, {x: 0, y: 0}, "on which it has a slope"),
    "saddle": (x**2 - y**2, {x: 0, y: 0}, "negative eigenvalue"),
    "flat saddle": (x**4 - y**4, {x: 0, y: 0}, "no minimum"),
    "family that is not known": ((y - x**2) ** 2, {x: 0, y: 0}, "name its tangents"),
    "constant": (0 * x + 1, {x: 0}, "constant around the point"),
    "growth beyond every order": (
        (y - x**2) ** 2 + x**80,
        {x: 0, y: 0},
        "or the loss grows with a",
    ),
    "a power of what vanishes": (x**sp.pi, {x: 0}, "a power whose base vanishes"),
    "a power that varies": (x**x, {x: 0}, "a power whose base vanishes"),
    "a logarithm": (x**2 * sp.log(x**2), {x: 0}, "log is not analytic at 0"),
    "no real number": (x**2 * sp.log(x - 1) ** 2, {x: 0}, "log is not real at -1"),
    "a hole that can be filled": (-sp.log(sp.sin(x) / x), {x: 0}, "no series is known where"),
    "derivatives with holes": (sp.LambertW(x) ** 2, {x: 0}, "no Taylor series of LambertW at 0"),
    "a saddle that is stiff": (
        10**18 * (x + y) ** 2 - (x - y) ** 2 / 1000 + w**2,
        {x: 0, y: 0, w: 0},
        "negative eigenvalue",
    ),
}

#: What was refused with a reason that is false: it has these laws.
LAWS = {
    "a high degree": (x**20, "L - L* ~ 0.0014443215 t^-10/9"),
    "a high degree, by slaving": ((y - x**2) ** 2 + x**40, "L - L* ~ 0.00044739483 t^-20/19"),
    "convex and stiff": (
        10**18 * (x + y + w) ** 2 + (x - y) ** 2 + (x + y - 2 * w) ** 2,
        "log(L - L*) ~ -8 t",
    ),
}


@pytest.mark.parametrize(("loss", "said"), LAWS.values(), ids=LAWS)
def test_what_is_of_high_degree_or_stiff_has_its_law(loss, said):
    variables = sorted(loss.free_symbols, key=str)
    law = late_time_law(loss, variables, dict.fromkeys(variables, 0))
    assert str(law).startswith(said)
    if law.degree is not None:  # C = (p (p-2))^(-p/(p-2)) ell^(-2/(p-2)), ell = 1
        p = float(law.degree)
        assert law.laws[0].constant == pytest.approx((p * (p - 2)) ** (-p / (p - 2)), rel=1e-12)
        assert law.laws[0].constant != pytest.approx((p * (p - 2)) ** (-p / (p - 1.99)), rel=1e-3)


@pytest.mark.parametrize(("loss", "at", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_law_is_refused_with_its_reason(loss, at, reason):
    found = late_time_law(loss, list(at), at)
    assert found.laws == () and reason in found.reason
    assert found.to_json() == {"laws": [], "reason": found.reason}


SWITCHED_OFF = {
    "a cross": (x**2 * y**2, "rank of the Hessian changes"),
    "two degrees": (x**4 + y**6, "vanishes in some direction"),
}


@pytest.mark.parametrize(("loss", "reason"), SWITCHED_OFF.values(), ids=SWITCHED_OFF)
def test_zeros_of_the_leading_form_are_refused_where_cones_and_valleys_are_switched_off(
    loss, reason
):
    found = late_time_law(loss, [x, y], {x: 0, y: 0}, confined=False, valleys=False)
    assert found.laws == () and reason in found.reason


def test_a_named_tangent_is_tested():
    curved, zero = (y - x**2) ** 2, {x: 0, y: 0}
    (law,) = late_time_law(curved, [x, y], zero, tangents=[{x: 1, y: 0}]).laws
    assert law.rate == 4.0 and law.evidence["family"] is Evidence.SAMPLED
    grows = late_time_law(x**4 + y**2, [x, y], zero, tangents=[{x: 1, y: 0}])
    assert "the loss grows along it, with degree 4" in grows.reason
    across = late_time_law(x**4 + y**2, [x, y], zero, tangents=[{x: 0, y: 1}])
    assert "not in the kernel" in across.reason


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ({x: float("nan"), y: 0}, "must be finite"),
        ({x: sp.oo, y: 0}, "must be finite"),
        ({x: [0, 1], y: 0}, "must have shape"),
        ({x: 0}, "expected values of x, y"),
        ({x: "a", y: 0}, "must hold real numbers, got 'a'"),
        ({x: None, y: 0}, "must hold real numbers, got None"),
        ({x: True, y: 0}, "must hold real numbers, got True"),
        ([0, 0], "expected values by block"),
    ],
)
def test_a_point_that_is_none_is_an_error(at, words):
    with pytest.raises(ValueError, match=words):
        late_time_law(x**2 + y**4, [x, y], at)


def test_a_loss_that_is_text_and_tangents_that_are_no_values_are_errors():
    with pytest.raises(ValueError, match="expected a loss in SymPy's symbols, got 'x'"):
        late_time_law("x", [x], {x: 0})
    with pytest.raises(ValueError, match="expected values by block"):
        late_time_law(x**2, [x, y], {x: 0, y: 0}, tangents=[[0, 1]])
