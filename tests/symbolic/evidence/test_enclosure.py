"""Ball arithmetic: what it encloses, and what it refuses to."""

import random

import pytest
import sympy as sp

from symbolic.evidence import enclosure
from symbolic.evidence.enclosure import _random_ball, enclose
from symbolic.language.lower import NoBall, Undecided, lower

T = sp.Symbol("theta", nonnegative=True)
X, Y = sp.symbols("x y", real=True)
FULL = ((T, sp.S.Zero, sp.pi),)
# Far below the width of the boxes, far above 256-bit rounding: only an exact zero passes.
TINY = sp.Rational(1, 10**25)
HILL = 2 + sp.sin(T) ** 3 - sp.exp(-T)


def test_equality_is_enclosed_on_random_boxes_and_says_so():
    assert "64 random boxes" in enclose([sp.acos(sp.cos(T))], [T], FULL)


def test_equality_that_fails_by_little_is_not_enclosed():
    assert enclose([sp.acos(sp.cos(T))], [T + TINY], FULL) is None


def test_inequality_is_enclosed_on_boxes_that_cover_the_domain():
    assert "cover the domain" in enclose([HILL], [sp.S.Half], FULL, ">=")
    assert "cover the domain" in enclose([sp.S.Half], [HILL], FULL, "<=")


def test_converse_inequality_is_not_enclosed():
    assert enclose([HILL], [sp.S.Half], FULL, "<=") is None


def test_inequality_that_fails_in_a_small_corner_is_not_enclosed():
    dent = sp.exp(-(((T - 2) * 1000) ** 2))
    assert enclose([1 - dent], [sp.S.Half], FULL, ">=") is None
    assert enclose([1 - dent / 4], [sp.S.Half], FULL, ">=") is not None


def test_inequality_in_an_unbounded_symbol_is_not_enclosed():
    assert enclose([X**2 + 1], [sp.S.Zero], (), ">=") is None


def test_statement_without_balls_is_refused_and_named():
    with pytest.raises(NoBall, match="zeta"):
        enclose([sp.zeta(X + 1) * X], [sp.zeta(X)], ())


def test_functional_equation_of_gamma_is_enclosed_and_a_false_one_is_not():
    assert enclose([sp.gamma(X + 1)], [X * sp.gamma(X)], ()) is not None
    assert enclose([sp.gamma(X + 1)], [X * sp.gamma(X) * (1 + TINY)], ()) is None


def test_equality_that_fails_by_less_than_a_double_is_not_enclosed():
    # tanh, sinh and cosh as doubles of radius zero agree or differ by rounding alone.
    left, right = sp.tanh(X), sp.sinh(X) / sp.cosh(X)
    assert enclose([left], [right], ()) is not None
    assert enclose([left], [right + TINY], ()) is None


def test_ball_contains_the_value_at_every_point_of_its_argument():
    from flint import arb

    f = lower([sp.sin(X) * sp.exp(X) / 3 + sp.pi], [X], "ball")
    wide = f(arb(1, 0.1))[0]
    for point in (0.9, 1.0, 1.1):
        assert wide.contains(f(arb(point))[0])
    assert not wide.contains(f(arb(1.5))[0])


def test_condition_that_a_ball_does_not_decide_is_undecided():
    from flint import arb

    f = lower([sp.Piecewise((X, X < 1), (X**2, True))], [X], "ball")
    assert f(arb(0.5))[0] == arb(0.5)
    assert f(arb(2))[0] == arb(4)
    with pytest.raises(Undecided):
        f(arb(1, 0.1))


def test_rational_numbers_are_not_rounded_on_the_way_in():
    third = lower([sp.Rational(1, 3)], [], "ball")()[0]
    assert (3 * third).contains(1)
    assert third.rad() < 1e-15


def test_the_precision_is_put_back_also_after_a_failure():
    from flint import ctx

    before = ctx.prec
    for left in (X, sp.Piecewise((X, X < 1), (X**2, True))):
        enclose([left], [left + TINY], ())
        assert ctx.prec == before
    with pytest.raises(NoBall):
        enclose([sp.zeta(X + 1)], [X], ())
    assert ctx.prec == before


@pytest.mark.parametrize("place", [0, 0.25, 0.5, 0.75, 1])
def test_no_place_of_the_domain_is_left_out(place):
    # |x - place| is below a thousandth somewhere in [-1, 3] only if place is.
    box = ((X, -sp.S.One, sp.Integer(3)),)
    at = 4 * sp.Rational(place) - 1
    dip = (X - at) ** 2 * 10**6 + 1
    assert enclose([dip], [sp.Rational(101, 100)], box, ">=") is None
    assert enclose([dip], [sp.Rational(99, 100)], box, ">=") is not None
    assert enclose([-dip], [-sp.Rational(99, 100)], box, "<=") is not None


def test_a_condition_that_a_box_does_not_decide_is_looked_at_on_smaller_ones():
    # x^2 - x is at most 0 on the unit interval, and a wide box says at most 1.
    unit = ((X, sp.S.Zero, sp.S.One),)
    branch = sp.Piecewise((X + 1, sp.Lt(X**2 - X, sp.S.Half)), (-sp.S.One, True))
    assert enclose([branch], [sp.S.Half], unit, ">=") is not None
    assert enclose([branch], [sp.Integer(2)], unit, ">=") is None


def test_every_entry_of_an_inequality_counts():
    assert enclose([HILL, T], [sp.S.Half, T + 1], FULL, ">=") is None
    assert enclose([HILL, T + 1], [sp.S.Half, T], FULL, ">=") is not None


def test_boxes_are_counted_and_their_number_is_limited(monkeypatch):
    line = enclose([T + 1], [sp.S.Half], FULL, ">=")
    assert line == "boxes that cover the domain (1 looked at), one sign on each"
    wavy = sp.sin(T) ** 2 + sp.cos(T) ** 2  # 1, which a wide box does not see
    words = enclose([wavy], [sp.S.Half], FULL, ">=")
    looked = int(words.split("(")[1].split()[0])
    assert looked % 2 == 1 and looked > 3  # halves come in pairs
    monkeypatch.setattr(enclosure, "BUDGET", looked)
    assert enclose([wavy], [sp.S.Half], FULL, ">=") == words
    monkeypatch.setattr(enclosure, "BUDGET", looked - 1)
    assert enclose([wavy], [sp.S.Half], FULL, ">=") is None


def test_the_widest_side_of_a_box_is_halved():
    # In y nothing happens: to halve it, too, would take the square of the number of boxes.
    square = ((X, sp.S.Zero, sp.S.One), (Y, sp.S.Zero, sp.S.One))
    words = enclose([(X - sp.Rational(1, 3)) ** 2 + Y / 10], [-TINY * 10**22], square, ">=")
    assert 3 < int(words.split("(")[1].split()[0]) < 1000


def test_ends_that_are_no_doubles_belong_to_the_domain():
    # x >= 1/3 and x <= pi hold there with equality.
    box = ((X, sp.Rational(1, 3), sp.pi),)
    assert enclose([X], [sp.Rational(1, 3) - TINY], box, ">=") is not None
    assert enclose([X], [sp.Rational(1, 3) + TINY], box, ">=") is None
    assert enclose([X], [sp.pi + TINY], box, "<=") is not None
    assert enclose([X], [sp.pi - TINY], box, "<=") is None


def test_a_symbol_without_an_interval_or_end_leaves_nothing_covered():
    assert enclose([X + Y], [-sp.S.One], ((X, sp.S.Zero, sp.S.One),), ">=") is None
    assert enclose([X], [-sp.S.One], ((X, sp.S.Zero, sp.oo),), ">=") is None
    # What does not occur needs no interval.
    one = ((X, sp.S.Zero, sp.S.One), (Y, sp.S.Zero, sp.oo))
    assert enclose([X], [-sp.S.One], one, ">=") is not None


@pytest.mark.parametrize(
    ("domain", "low", "high"),
    [
        ((), -4.0, 4.0),
        (((X, sp.Integer(5), sp.oo),), 5.2, 9.0),
        (((X, sp.Integer(2), sp.Integer(3)),), 2.001, 2.999),
    ],
)
def test_random_boxes_of_an_equality_are_thin_and_in_the_domain(domain, low, high):
    generator = random.Random(0)
    found = [_random_ball(X, domain, generator) for _ in range(200)]
    middles = [float(x.mid()) for x in found]
    assert low <= min(middles) and max(middles) <= high
    assert max(middles) - min(middles) > 0.9 * (high - low)
    for x in found:
        assert x.rad() <= abs(x.mid()) * 2.0**-127
        assert x.rad() >= abs(x.mid()) * 2.0**-129
    if not domain:
        assert min(abs(m) for m in middles) >= 0.2 and sum(m < 0 for m in middles) > 50
        positive = [float(_random_ball(T, (), generator).mid()) for _ in range(100)]
        assert min(positive) >= 0.2


def test_an_equality_is_enclosed_for_each_instance_of_its_integers():
    n = sp.Symbol("n", integer=True, positive=True)
    words = enclose([sp.acos(sp.cos(T)) * n], [T * n], (*FULL, (n, 1, 3)))
    assert words == "192 random boxes, difference below 1e-30 on each"
