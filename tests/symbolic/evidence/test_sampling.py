"""Where numbers are taken, how many, and how small a difference they show."""

import pytest
import sympy as sp
from mpmath import mp

from symbolic.evidence import sampling
from symbolic.evidence.sampling import instances, sample

T = sp.Symbol("t", nonnegative=True)
X, Y = sp.symbols("x y", real=True)
N, M = sp.symbols("n m", integer=True, positive=True)
A, B = sp.symbols("a b", commutative=False)
UNIT = ((X, sp.S.Zero, sp.S.One),)
THIRD = ((X, sp.Rational(1, 3), sp.Integer(3)),)
RAY = ((X, sp.Integer(2), sp.oo),)


def points(symbols, domain, relation):
    with mp.workdps(sampling.WORKING_DIGITS):
        return sampling._points(symbols, domain, sampling.RANDOM_POINTS[relation])


@pytest.mark.parametrize(
    ("domain", "relation", "count"),
    [
        ((), "==", 4),
        (UNIT, "==", 4 + 2),  # and near both ends
        ((), "<=", 64 + 32),  # and corners
        (UNIT, ">=", 64 + 2 + 32),
    ],
)
def test_so_many_points_are_compared(domain, relation, count):
    assert sample([X], [X], domain, relation) == count
    assert len(points([X], domain, relation)) == count


def test_points_of_an_interval_are_inside_at_its_ends_and_in_between():
    low, high = mp.mpf(1) / 3, mp.mpf(3)
    for relation in ("==", "<="):
        found = [x for (x,) in points([X], THIRD, relation)]
        shares = [(x - low) / (high - low) for x in found]
        assert all(0 < s < 1 for s in shares)
        near = [s for s in shares if s < 0.01 or s > 0.99]
        assert all(1e-6 <= min(s, 1 - s) <= 2e-6 for s in near)
        assert {s < 0.5 for s in near} == {True, False}
        random = shares[: sampling.RANDOM_POINTS[relation]]
        assert all(0.02 <= s <= 0.98 for s in random)
    assert min(random) < 0.1 and max(random) > 0.9


def test_points_of_a_ray_reach_from_its_end_far_out():
    found = [x - 2 for (x,) in points([X], RAY, "<=")]
    assert min(found) == mp.mpf("1e-6")
    assert all(mp.exp(-3) <= x <= mp.exp(5) for x in found if x != mp.mpf("1e-6"))
    assert max(found) > mp.exp(4)
    assert sum(x < 1 for x in found[:64]) > 10


def test_points_without_an_interval_have_the_signs_that_the_symbol_may_have():
    free = [x for (x,) in points([X], (), "<=")]
    assert all(-2 <= x <= 2 for x in free)
    assert min(free) < -1 and max(free) > 1
    positive = [x for (x,) in points([T], (), "<=")]
    assert all(mp.exp(-1.5) <= x <= mp.exp(1.5) for x in positive)
    assert min(positive) < 0.5 and max(positive) > 2


def test_corners_have_one_symbol_small_and_another_large():
    square = ((X, sp.S.Zero, sp.S.One), (Y, sp.S.Zero, sp.S.One))
    corners = {(x < 0.5, y < 0.5) for x, y in points([X, Y], square, "<=")[-32:]}
    assert len(corners) == 4
    assert all(min(x, 1 - x) < 1e-5 for p in points([X, Y], square, "<=")[-32:] for x in p)


@pytest.mark.parametrize("relation", ["==", "<=", ">="])
def test_fifty_digits_are_compared_and_no_more(relation):
    sign = -1 if relation == ">=" else 1
    wrong, right = (X * (1 + sign * sp.Rational(1, 10**k)) for k in (49, 51))
    for value in (UNIT, RAY):
        assert isinstance(sample([wrong], [X], value, relation), tuple)
        assert isinstance(sample([right], [X], value, relation), int)
    # The other way round an inequality holds.
    if relation != "==":
        assert isinstance(sample([X * (2 + sign) / 2], [X], UNIT, relation), tuple)
        assert isinstance(sample([X * (2 - sign) / 2], [X], UNIT, relation), int)


def test_differences_of_the_order_of_rounding_near_zero_are_none():
    for power, outcome in ((74, tuple), (76, int)):
        tiny = sp.Rational(1, 10**power)
        assert isinstance(sample([X - X + tiny], [sp.S.Zero], UNIT), outcome)


def test_every_entry_counts():
    assert sample([X, Y], [X, Y], ()) == 4
    for wrong in ([X + 1, Y], [X, Y + 1]):
        shown = dict(sample(wrong, [X, Y], ()))
        assert shown.keys() == {"x", "y", "lhs", "rhs"}
        assert float(shown["lhs"]) - float(shown["rhs"]) == pytest.approx(1)


def test_a_counterexample_has_the_digits_of_a_double():
    shown = sample([sp.pi], [sp.E], ())
    assert shown == (("lhs", "3.1415926535897932"), ("rhs", "2.7182818284590452"))
    ((name, x), *_) = sample([X], [X + 1], UNIT)
    assert (name, len(x.lstrip("0."))) == ("x", 17)


def test_values_that_are_no_numbers_are_no_evidence():
    assert sample([sp.log(X - 1) * sp.oo], [X], UNIT) == 0
    assert sample([sp.zoo + X], [X], ()) == 0
    assert sample([sp.nan * X], [X], ()) == 0
    assert sample([1 / (X - X)], [X], ()) == 0
    unknown = sp.Function("f")(X) + sp.Limit(sp.Function("g")(X), X, sp.oo)
    assert sample([unknown], [X], ()) == 0
    # Also if another entry or instance could be compared.
    assert sample([X, unknown], [X, X], ()) == 0
    broken = sp.Piecewise((sp.nan, sp.Eq(N, 2)), (X, True))
    assert sample([broken], [X], ((N, 1, 3),)) == 0


def test_integers_take_the_values_of_their_domain_with_both_ends():
    found = list(instances([N], ((N, 2, 4),)))
    assert sorted(found) == [[2], [3], [4]]
    assert len(list(instances([N * M], ((N, 1, 4), (M, 1, 4))))) == 6
    # The same ones each time, and not the first ones alone.
    pairs = [tuple(x) for x in instances([N, M], ((N, 1, 4), (M, 1, 4)))]
    assert pairs == [tuple(x) for x in instances([N, M], ((N, 1, 4), (M, 1, 4)))]
    assert {n for n, _ in pairs} != {1}
    assert sample([N], [N], ((N, 2, 4),)) == 3 * 4
    assert isinstance(sample([sp.Max(N, 4)], [sp.Integer(4)], ((N, 2, 5),)), tuple)


def test_sums_are_written_out_and_unknown_things_are_independent_numbers():
    x, f = sp.IndexedBase("x"), sp.Function("f", real=True)
    ((written,),) = list(instances([sp.Sum(x[M], (M, 1, N))], ((N, 3, 3),)))
    assert len(written.free_symbols) == 3
    assert sample([f(X)], [f(X)], ()) == 4
    for other in (f(Y), f(X).diff(X), sp.Function("g", real=True)(X)):
        assert isinstance(sample([f(X)], [other], ()), tuple)
    assert isinstance(sample([x[1]], [x[2]], ()), tuple)


def test_matrices_do_not_commute_and_fifty_digits_count():
    assert sample([A * B], [A * B], ()) == 1
    for wrong in (B * A, A * B * (1 + sp.Rational(1, 10**48))):
        shown = sample([A * B], [wrong], ())
        assert [name for name, _ in shown] == ["3 x 3 matrices", "lhs", "rhs"]
        assert shown[0][1] == f"random, seed {sampling.SEED}"
    assert sample([A * B], [A * B * (1 + sp.Rational(1, 10**51))], ()) == 1
    assert isinstance(sample([A, A], [A, B], ()), tuple)
    assert isinstance(sample([X * A], [A], ()), tuple)


def test_an_integral_that_is_a_number_is_computed_once_and_still_compared(monkeypatch):
    computed = []
    plain = sampling.lower
    monkeypatch.setattr(
        sampling, "lower", lambda exprs, *rest: computed.append(list(exprs)) or plain(exprs, *rest)
    )
    whole = sp.Integral(sp.exp(-Y), (Y, 0, sp.oo))
    inner = sp.Integral(sp.exp(-X * Y), (Y, 0, sp.oo))
    found = sampling.sample([whole * X + inner], [X + 1 / X], THIRD)
    assert isinstance(found, int) and found > 1
    assert computed[0] == [whole] and not any(e.has(whole) for e in computed[1])
    assert isinstance(sampling.sample([whole * X], [X * (1 + sp.Rational(1, 10**9))], ()), tuple)
