"""One-sided series agree with numbers near the point."""

from fractions import Fraction

import mpmath
import pytest
import sympy as sp

from symbolic.asymptotics.expand import expand
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.series import ONCE, SeriesRing
from symbolic.asymptotics.squares import sum_of_squares

x, y = sp.symbols("x y", real=True)
# The first term that is left out is of one order more; eps is small enough for its coefficient.
EPSILON, SLACK = mpmath.mpf("1e-8"), 1e3
POINT = {x: sp.Rational(7, 10), y: sp.Rational(-13, 10)}

LOSSES = [
    sp.exp(x) * sp.cos(y) + sp.log(1 + x * y),
    sp.sqrt(2 + x - y**2) / (1 + x),
    sp.Abs(x) ** 3 + y**2 * sp.tanh(x + y),
    (x**2 + y**2 + x**3) ** sp.Rational(3, 2),
    x**2 * sp.Abs(x + y**2 + x * y),
    sp.Max(x, 0) ** 3 + sp.Abs(y) ** sp.Rational(5, 2),
    2**x * sp.atan(1 + y),
    # Factors that start late need few orders of the others.
    x**2 * sp.exp(y) / (2 + sp.sin(x) * y) ** 2,
    (x * y + y**3) * sp.log(3 - x + y**2) * sp.exp(sp.sin(x) - 1),
    (sp.exp(x) - 1 - x) ** 2 + sp.Abs(x) ** 3 * sp.exp(2 + y),
]


def series(loss, order):
    return expand(loss, lambda ring: {v: ring.variable(v) for v in (x, y)}, {x: 1, y: 1}, order)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_a_series_agrees_with_the_loss_to_its_order(loss):
    order = 4
    ring, parts = series(loss, order)
    with mpmath.workdps(60):
        near = loss.subs({v: c * sp.Float(str(EPSILON), 60) for v, c in POINT.items()})
        exact = mpmath.mpf(str(near.evalf(50)))
        total = sum(
            mpmath.mpf(str(ring.expression(p).subs(POINT).evalf(50))) * EPSILON ** float(w)
            for w, p in parts.items()
        )
        gap = abs(exact - total)
        assert gap <= SLACK * EPSILON**4.5
        # One part with another sign is seen.
        last = max(parts)
        wrong = 2 * ring.expression(parts[last]).subs(POINT).evalf(50) * EPSILON ** float(last)
        assert abs(wrong) > 10 * gap


@pytest.mark.parametrize(
    "loss", [sp.exp(-1 / x**2), sp.sqrt(x), sp.log(x**2), 1 / x, sp.loggamma(x)], ids=str
)
def test_what_has_no_series_is_refused(loss):
    with pytest.raises(NoLaw):
        series(loss, 4)


@pytest.mark.parametrize(
    "loss", [x**7 / sp.sin(x), x**5 * sp.log(x**2), x**9 * sp.loggamma(y)], ids=str
)
def test_a_factor_beyond_the_order_does_not_hide_what_has_no_series(loss):
    with pytest.raises(NoLaw):
        series(loss, 4)


def test_of_variables_that_come_once_only_their_products_are_missing():
    loss, order = sp.exp(x) * sp.log(1 + x + y) / (2 - y) + (x + y) ** 5, 4

    def parts(weight):
        weights = {x: 1, y: weight}
        ring, found = expand(loss, lambda r: {v: r.variable(v) for v in (x, y)}, weights, order)
        return sp.expand(sum(ring.expression(p) for p in found.values()))

    once, whole = parts(ONCE + 1), parts(1)
    assert once.coeff(y, 1) == whole.coeff(y, 1) != 0
    assert once.coeff(y, 0) == whole.coeff(y, 0)
    assert once.coeff(y, 2) == 0 != whole.coeff(y, 2)


def test_a_quadratic_form_becomes_a_sum_of_squares():
    form = sp.expand((x - 3 * y) ** 2 + 5 * y**2)
    found = sum_of_squares(form, (x, y))
    assert sp.expand(found - form) == 0
    assert found.has(sp.Pow(x - 3 * y, 2))
    assert sum_of_squares(x**3, (x, y)) == x**3


def test_a_root_of_decimals_ends():
    r = sp.Symbol("r", positive=True)
    for k in range(1, 60):  # a long division of decimals by themselves may leave a rounding
        c = sp.Float(k, 60) / 7
        ring = SeriesRing({r: 1}, 4, [c], 2)
        square = ring.add([ring.known(ring.ring.from_expr(f)) for f in (c * r**2, r**3 / c)])
        root = ring.reduced(ring.root(square, Fraction(3, 2), True))
        value = ring.expression(root[Fraction(4)]).subs(r, 1)
        assert abs(value - sp.Rational(3, 2) / sp.sqrt(c)) < 1e-50
