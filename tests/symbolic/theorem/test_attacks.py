"""Ways to prove something false that a reviewer tried, on the kernel and on the second reader."""

import copy
import dataclasses
from fractions import Fraction

import pytest
from oracles.lenient import forged

from symbolic.theorem import derived, kernel
from symbolic.theorem.certificate import encoded
from symbolic.theorem.checker import Wrong, check
from symbolic.theorem.checker_curves import never_negative
from symbolic.theorem.checker_formulas import read_value
from symbolic.theorem.formulas import Distinct, Forall, Rel, eq, ge, gt
from symbolic.theorem.proving import known, weak
from symbolic.theorem.terms import (
    PI,
    N,
    Poly,
    Refused,
    T,
    Vec,
    function,
    number,
    replaced,
    symbol,
    total,
)

A, B, X, E, C = (symbol(name) for name in "abxec")
START = symbol("T")
NOW = ge(T - START)
U, U_T, F, G_X = (
    symbol("u", time="t"),
    symbol("u", time="T"),
    symbol("f", time="t"),
    symbol("g", "X", time="t"),
)
H, U_I = symbol("h", "i"), symbol("u", "i", time="t")
P, Q, Z, Z_J = (
    Vec.symbol("p", time="t"),
    Vec.symbol("q", time="t"),
    Vec.symbol("z", "i", time="t"),
    Vec.symbol("z", "j", time="t"),
)
ONE, UNIT, zero = known(1), number(1), number(0)
ANGLE = P.angle(Q)
SIGNS = ONE, weak(ONE)
assume = kernel.assume


def d(x):
    return function("d", x)


def low(x):
    return function("low", x)


def always(body, *bound):
    return given(Forall((*bound, "t"), (NOW,), body))


def given(f):
    return kernel.spec(f, {name: name for name in f.bound})


def first_exit(u, *guards, window=("T", "e", "c"), bound=(), **by):
    """`bootstrap` of u > 0, by default from the assumption that u(e) > 0."""
    start, end, _ = window
    since, until = T - symbol(start), symbol(end) - T
    f = Forall((*bound, "t"), (*guards, ge(since), gt(until)), gt(u))
    at = [replaced(u, {"t": name}) for name in (end, start)]
    th, begin = by.get("th", assume(gt(at[0]))), by.get("begin", assume(gt(at[1])))
    return kernel.bootstrap(th, begin, f, window, 1)


def compared(rate, u=U, m=UNIT, k=UNIT, kind="d", side=1, signs=SIGNS, at=U_T):
    return kernel.compare(rate, signs, assume(gt(at)), (m, k, u, kind, side, "T", "t"))


# --- objects that imitate -----------------------------------------------------------------------
class EveryName(str):
    """A name that is equal to every other."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


class EveryRelation(EveryName):
    """What is equal to every relation and to none."""

    __hash__ = str.__hash__

    def __ne__(self, other):
        return True


class Once(list):
    """A list whose items are there the first time only."""

    read = 0

    def __iter__(self):
        self.read += 1
        return super().__iter__() if self.read == 1 else iter(())


class Later(dict):
    """A mapping whose items are there from the second time on."""

    read = 0

    def items(self):
        self.read += 1
        return super().items() if self.read > 1 else {}.items()


class Born(kernel.Theorem):
    """A theorem without a rule."""

    def __post_init__(self, seal):
        pass


class Below(Rel):
    """Another relation."""

    def __post_init__(self):
        pass


class Same(Poly):
    """A term that is equal to every other."""

    __hash__ = Poly.__hash__

    def __eq__(self, other):
        return True


class Number(Fraction):
    """A number that differs from itself."""

    def __sub__(self, other):
        return number(-5)

    def __neg__(self):
        return Fraction(-4)


class Missing(dict):
    """Signs that are found and not handed on."""

    def __missing__(self, key):
        return SIGNS[key]


def sum_by_hand(*monomial):
    return Poly((((("sum", "k", monomial),), Fraction(1)),))


ATTACKS = {
    # a number that is one, where any is meant
    "first exit at pi": lambda: first_exit(
        4 - T, window=("T", "pi", "c"), th=kernel.constants(3, 4)[1]
    ),
    "first exit at n": lambda: first_exit(4 - T, window=("T", "n", "c"), th=assume(gt(4 - N))),
    "a window that ends at pi": lambda: kernel.monotone(always(ge(d(U))), (), U, "T", "pi"),
    "a bound called n": lambda: kernel.bounded(assume(ge(A)), ONE, (UNIT, U), ("T", "e", "n")),
    "pi is bound": lambda: Forall(("pi",), (), gt(PI)),
    # imitations
    "a name that equals every other": lambda: kernel.combine(
        gt(symbol(EveryName("zz"))), (1, [assume(gt(A))])
    ),
    "a relation that equals every other": lambda: kernel.combine(
        Rel(A, EveryRelation("=")), (1, [assume(ge(A))])
    ),
    "a list in a term": lambda: assume(ge(Poly([((), Fraction(-1))]))),
    "premises that are there once": lambda: kernel.combine(
        ge(-1), (number(-1), Once([kernel.pythagoras(A)]))
    ),
    "premises in an iterator": lambda: kernel.combine(
        ge(-1), (number(-1), iter([kernel.pythagoras(A)]))
    ),
    "lengths that are there once": lambda: kernel.monotone(
        always(ge(d(P.norm()))), (x for x in [assume(gt(P.norm()))]), P.norm(), "T", "t"
    ),
    "signs that are not handed on": lambda: compared(always(ge(d(U) + U**2)), signs=Missing()),
    "a mapping that changes": lambda: kernel.subst(kernel.count(), Later(n=zero)),
    "a name that is no text": lambda: kernel.subst(kernel.count(), {EveryName("m"): zero}),
    "a family bound by a text": lambda: kernel.spec(
        Forall("ij", (), gt(symbol("h", "i", "j"))), {"i": "i", "j": "j"}
    ),
    "a kind of theorem": lambda: kernel.cut(
        assume(gt(zero)), Born(frozenset(), gt(zero), "x", (), (), 0), gt(zero)
    ),
    "a kind of relation": lambda: assume(Below(A, "<=")),
    "a kind of term": lambda: kernel.combine(Rel(Same(A.terms), ">="), (1, [assume(ge(B))])),
    "a kind of number": lambda: Poly((((), Number(1)),)),
    "a sum whose index is free": lambda: kernel.derive(sum_by_hand(("norm", Vec.symbol("z", "k")))),
    # capture
    "two steps to a moving constant": lambda: kernel.subst(
        kernel.subst(always(ge(d(U) - A)), {"a": symbol("f", time="s")}), {"s": "t"}
    ),
    "two steps below a derivative": lambda: kernel.subst(
        kernel.subst(kernel.derive(A * U), {"a": symbol("f", time="s")}), {"s": "t"}
    ),
    "the beginning becomes now": lambda: kernel.subst(
        kernel.monotone(always(ge(d(U))), (), U, "T", "t"), {"T": "t"}
    ),
    # With it "h_i = 0 for all i" and "h_X = 1 for all samples X" gave 1 = 0.
    "an index becomes a sample": lambda: kernel.subst(assume(ge(H)), {"i": symbol("X")}),
    "a time becomes a term": lambda: kernel.subst(assume(ge(U)), {"t": START}),
    "a sum over time": lambda: kernel.sum_up(kernel.square(U), "t"),
    "a sum over a number": lambda: kernel.sum_up(kernel.square(A), "a"),
    "a sum over a constant time": lambda: kernel.sum_up(kernel.square(symbol("u", time="s")), "s"),
    "a sum over n": lambda: kernel.sum_up(kernel.count(), "n"),
    "a sum over pi": lambda: kernel.sum_up(kernel.constants(3, 4)[0], "pi"),
    "a term at time": lambda: kernel.pick(kernel.square(H), "i", ("t",)),
    "a term at n": lambda: kernel.pick(kernel.square(H), "i", ("n",)),
    "no term of a sum": lambda: kernel.pick(kernel.square(H), "i", ()),
    "a mean by another name": lambda: kernel.swap("_X", "X", A),
    "a square root of a function": lambda: kernel.root(assume(ge(U)), ONE, "u", 2),
    "a root in a quantifier": lambda: kernel.root(
        given(Forall(("a",), (), gt(A - X))), ONE, "x", 2
    ),
    "a root of order 0": lambda: kernel.root(assume(ge(A)), ONE, "x", 0),
    "a root of order -1": lambda: kernel.root(assume(ge(A)), ONE, "x", -1),
    "a root of order 1.0": lambda: kernel.root(assume(ge(A)), ONE, "x", 1.0),
    "one instance under a guard": lambda: kernel.cut(
        given(Forall(("i",), (ge(A),), gt(H))), assume(gt(H)), Forall(("i",), (ge(A),), gt(H))
    ),
    "equal indices by name only": lambda: kernel.index_cases(
        assume(ge(A)), kernel.square(A), "p", "p"
    ),
    # windows, rates, limits
    "the window before": lambda: kernel.monotone(
        given(Forall(("t",), (ge(START - T),), ge(d(U)))), (), U, "T", "t"
    ),
    "the rate of another": lambda: kernel.monotone(always(ge(d(F))), (), U, "T", "t"),
    "a rate of a vector that grows": lambda: kernel.monotone(
        always(ge(d(P.prime.dot(Q)))), (), P.prime.dot(Q), "T", "t"
    ),
    "a sum of lengths that grows": lambda: kernel.monotone(
        always(ge(d(total("i", Z.norm())))), (assume(gt(Z.norm())),), total("i", Z.norm()), "T", "t"
    ),
    "a positive number now": lambda: compared(always(ge(d(U) + U**2)), at=U),
    "k below zero": lambda: compared(always(ge(d(U) - U**2)), k=number(-1)),
    "an upper slope": lambda: compared(always(ge(function("up", U) + U**2)), kind="up"),
    "a side that is true": lambda: compared(always(ge(d(U) + U**2)), side=True),
    "an angle as a constant": lambda: compared(
        always(ge(ANGLE * d(U) + U**2)), m=ANGLE, signs=(assume(gt(ANGLE)), weak(ONE))
    ),
    "first exit that assumes it": lambda: first_exit(U),
    "first exit where it began": lambda: first_exit(U, window=("T", "e", "T")),
    "first exit, the guard knows the end": lambda: first_exit(U, ge(A - E)),
    "first exit, the guard moves": lambda: first_exit(U, ge(F)),
    "first exit of a number": lambda: first_exit(U - symbol("r"), bound=("r",)),
    "first exit of times": lambda: first_exit(symbol("u", time="r"), bound=("r",)),
    "first exit of a rate": lambda: first_exit(d(U), th=assume(gt(A)), begin=assume(gt(A))),
    "first exit of a mean": lambda: first_exit(total("X", G_X)),
    "a bound of a slope": lambda: kernel.bounded(
        assume(ge(A)), ONE, (UNIT, low(U)), ("T", "e", "b")
    ),
    "a bound of a mean": lambda: kernel.bounded(
        assume(ge(A)), ONE, (UNIT, total("X", G_X)), ("T", "e", "b")
    ),
    "a bound called as a sample": lambda: kernel.bounded(
        assume(ge(A)), ONE, (UNIT, U), ("T", "e", "X")
    ),
    "slopes of rates, which may be infinite": lambda: kernel.dini_sum(
        kernel.combine(ge(zero)), ONE, UNIT, d(U_I), -low(d(U_I)), "i"
    ),
    "slopes of angles, which may be infinite": lambda: kernel.dini_sum(
        kernel.combine(ge(zero)), ONE, UNIT, Z.angle(P), -low(Z.angle(P)), "i"
    ),
    "derivative of a slope": lambda: kernel.derive(low(U)),
    "derivative of the sine of an angle": lambda: kernel.derive(function("sin", ANGLE)),
    "derivative of lengths with one index bound": lambda: kernel.derive(
        total("i", (Z - Z_J).norm())
    ),
    "rate of the length of a rate": lambda: kernel.norm_rate(P.prime),
    # numbers
    "a constant that is written twice": lambda: kernel.contradiction(
        assume(ge(Poly((((), Fraction(1)), ((), Fraction(-1)))))), gt(zero)
    ),
    "a factor -1": lambda: kernel.combine(ge(-A), (-1, [assume(ge(A))])),
    "a factor without a sign": lambda: kernel.combine(ge(-A * A), (-A, [assume(ge(A))])),
    "a factor True": lambda: kernel.combine(ge(A), (True, [assume(ge(A))])),
    "a strict factor 0": lambda: kernel.combine(gt(zero), (0, [ONE])),
    "strict of nothing": lambda: kernel.combine(gt(zero)),
    "equality of nothing": lambda: kernel.combine(eq(UNIT), (1, [])),
    "one index only": lambda: kernel.combine(eq(total("i", UNIT) - 1), (1, [])),
    "pi at 20 digits": lambda: kernel.constants(Fraction("3.14159265358979323847"), 4),
    "a length in no dimension": lambda: kernel.combine(gt(P.norm()), (1, [kernel.norm_sign(P)])),
    "a curve at pi": lambda: kernel.pointwise(symbol("x", time="pi"), "x", zero, PI),
    "a curve called pi": lambda: kernel.pointwise(symbol("pi", "x"), "x", zero, PI),
    "a curve at a point": lambda: kernel.pointwise(-X, "x", PI, PI),
    "a path of two symbols": lambda: derived.integrate(
        always(ge(d(F) - (P + Q).norm())), P + Q, F, ("T", "t")
    ),
    # look-alikes
    "another pi": lambda: kernel.cut(
        assume(gt(symbol("\u03c0") - 3)), kernel.constants(3, 4)[0], gt(symbol("\u03c0") - 3)
    ),
    "another t": lambda: kernel.monotone(
        always(ge(d(U))), (), symbol("u", time="\u1d57"), "T", "t"
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused(name):
    with pytest.raises(Refused):
        ATTACKS[name]()


# What is written of these is as it should be: the imitation is in memory only.
IMITATED = {
    *("a list in a term", "a mapping that changes"),
    *("a name that is no text", "a family bound by a text"),
}


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - IMITATED))
def test_the_second_reader_refuses_it_by_itself(name):
    data = forged(ATTACKS[name])  # None: no file can say it
    if data is not None:
        with pytest.raises(Wrong):
            check(data)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 0.5])
def test_factors_that_are_no_fractions_are_refused(factor):
    with pytest.raises((Refused, ValueError, OverflowError)):
        kernel.combine(ge(factor * 0 if factor == 0.5 else A), (factor, [ONE]))


def test_a_number_that_changes_is_read_once():
    assert kernel.constants(Fraction(3), Number(4))[1].concl == gt(4 - PI)


def test_what_stays_assumed_is_said():
    assert Distinct("p", "p") in kernel.pick(kernel.square(H), "i", ("p", "p")).hyps
    within = given(Forall(("t",), (NOW, ge(E - T)), ge(d(U))))
    assert ge(E - START) in kernel.monotone(within, (), U, "T", "e").hyps


def test_a_copy_says_the_same_and_no_field_is_set():
    assert copy.copy(ONE).concl == copy.deepcopy(ONE).concl == ONE.concl
    for thing, field in ((ONE, "concl"), (A, "terms"), (NOW, "op"), (P, "parts")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, field, None)


SINE, SMALL = function("sin", X), Fraction(1, 10**40)
CURVES = {
    "a square less 1e-40": ((X - Fraction(1, 3)) ** 2 - SMALL, UNIT),
    "beyond pi by 1e-30": (SINE, PI + Fraction(1, 10**30)),
    "below its line near 0": (1 - function("cos", X) - SMALL * X, UNIT),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_that_are_negative_by_a_hair_are_refused(name):
    curve, end = CURVES[name]
    with pytest.raises(Refused, match="not PROVED"):
        kernel.pointwise(curve, "x", zero, end)
    read = [read_value(encoded(x)) for x in (curve, zero, end)]
    assert not never_negative(read[0], "x", *read[1:])
