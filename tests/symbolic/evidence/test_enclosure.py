"""Ball arithmetic: what it encloses, and what it refuses to."""

import pytest
import sympy as sp

from symbolic.evidence.enclosure import enclose
from symbolic.language.lower import NoBall, Undecided, lower

T = sp.Symbol("theta", nonnegative=True)
X = sp.Symbol("x", real=True)
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
