"""Potentials with the best constants of their rates, proved; and constants that are too good."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from flint import fmpq

from potentials.search.exact import prove
from potentials.search.find import NO_LEAST, NONE, find
from potentials.search.polynomials import fraction, gradient_flow
from potentials.search.program import NoProof
from potentials.search.question import DEGREES, Question
from potentials.search.rates import Goal, Power, posed
from potentials.search.regions import Set, condition, level_set
from potentials.search.subject import Subject
from symbolic.language.errors import InputError

a, b, c, d = sp.symbols("a b c d", real=True)
X = sp.MatrixSymbol("X", 2, 2)
THIN = sp.MatrixSymbol("X", 2, 1)
RANK_ONE = sp.Matrix([[1, 0], [0, 0]])
PRODUCT = (a * b - 1) ** 2 / 2
SPHERE = (a**2 + b**2 - 1) ** 4 / 4
RING = (a**2 + b**2 - 1) ** 2 / 2
#: Constants that are better than the best one by this part are not to be proved.
BETTER = sp.Rational(1, 1000)
#: What a solver in doubles tells of a best constant.
SOLVED = 1e-5


def fitted(X):
    return sp.trace((X * X.T - RANK_ONE) * (X * X.T - RANK_ONE).T) / 4


def asked(blocks, loss, **options):
    if "level" in options:
        options["level"] = fraction(options["level"])
    subject = Subject("own", blocks, loss)
    return find(subject, Question(**options), lambda why: None)


# Loss, options, constant (`d`, or `c` of exponential rates): by hand. Where `L` is the square of a
# number, `L' = -2 L |r'|^2`, and the least slope on the set is what counts.
SHARP = [
    ((a,), a**4 / 4, {}, "1/64"),
    ((a, b), (a**2 + b**2) ** 2 / 4, {}, "1/64"),
    ((a, b), a**2 / 2 + 2 * b**2, {}, "2"),
    ((a,), (a - 2) ** 2 / 2, {}, "2"),  # the rate is an identity: nothing is left to be a square
    ((a, b), PRODUCT, {"level": "1/8"}, "2"),
    ((a, b), PRODUCT, {"keep": (sp.Eq(a**2 - b**2, 2),)}, "4"),
    ((a, b), PRODUCT, {"keep": (sp.Eq(a**2, b**2), a * b >= sp.Rational(1, 4))}, "1"),
    ((a, b), RING, {"level": "1/8"}, "4"),
    ((a, b), (a - 1) ** 2 + (a - 2) ** 2 + b**2, {}, "4"),
    ((a, b), (a - 1) ** 2 / 2 + b**2 + sp.Rational(1, 3), {}, "2"),
    # With `u = |x|^2 - 1`: `L' = -32 |x|^2 L^(3/2)`, and `|x|^2 >= 1/2` where `L <= 1/64`.
    ((a, b), SPHERE, {"level": "1/64", "rates": (Power(2, 1),)}, "1/256"),
    ((a, b), sp.expand(SPHERE), {"level": "1/64", "rates": (Power(2, 1),)}, "1/256"),
    (
        (X,),
        fitted(X),
        {"coordinates": (X * X.T,), "level": "1/50", "rates": (Power(2, 1),)},
        "1/64",
    ),
    ((THIN,), fitted(THIN), {"coordinates": (THIN * THIN.T,), "level": "1/8"}, "1"),
]


@pytest.mark.parametrize("blocks, loss, options, constant", SHARP)
def test_the_best_constant_is_proved(blocks, loss, options, constant):
    answer = asked(blocks, loss, **options)
    assert answer.found is not None, answer.reason
    assert answer.found.constant == fraction(constant)
    assert abs(answer.found.best / float(sp.Rational(constant)) - 1) < SOLVED


def test_squares_beside_a_least_loss_above_zero_vanish_at_the_minimum_only():
    # With `p = a^2 b` it is `3 (p - 2/3)^2/4 + 1/6`: `V' = -3 |p'|^2 V`, and `p >= 1/3`; the least
    # slope is that of `a^6 = 2 p^2`.
    answer = asked(
        (a, b),
        (a**2 * b - 1) ** 2 / 2 + (a**2 * b) ** 2 / 4,
        level="1/4",
        rates=("exp",),
        degrees=(12,),
    )
    assert answer.found is not None, answer.reason
    sharp = 9 * (2 / 9) ** (2 / 3)
    found = answer.found.constant
    assert sharp * (1 - float(BETTER)) < float(sp.Rational(str(found))) < sharp


# Two squares at once: for the product of complex numbers, `|J^T v|^2 = (|x|^2 + |y|^2) |v|^2` is
# at least `2 |x y| |v|^2`, and `|x y| >= 1 - sqrt(2 l)` where `L <= l`.
COMPLEX = (a * b - c * d - 1) ** 2 / 2 + (a * d + b * c) ** 2 / 2
PAIRS = PRODUCT + (c * d - 1) ** 2 / 2


@pytest.mark.parametrize(
    "loss, level, constant", [(PAIRS, "1/8", 2), (COMPLEX, "1/8", 2), (COMPLEX, "1/18", "8/3")]
)
def test_squares_fall_as_their_jacobian_says_and_not_faster(loss, level, constant):
    answer = asked((a, b, c, d), loss, level=level, rates=("exp",))
    found = answer.found
    assert found is not None, answer.reason
    assert found.constant == fraction(constant) and found.jacobian is not None
    goal = replace(goal_of(loss, (a, b, c, d), "exp", level), jacobian=found.jacobian)
    prove(posed(goal, answer.degree, fraction(constant)).program)
    better = sp.Rational(constant) * (1 + BETTER)
    with pytest.raises(NoProof):
        prove(posed(goal, answer.degree, fraction(str(better))).program)


def test_squares_whose_jacobian_vanishes_with_them_have_no_such_rate():
    answer = asked((a, b), (a**2 + 3 * b**2) ** 2 / 4, rates=("exp",))
    assert answer.found is None


# The steepest slope counts for bounds from below: `e`, or `c`.
STEEP = [
    ((a,), a**4 / 4, {}, "64"),
    ((a, b), (a**2 + 3 * b**2) ** 2 / 4, {"rates": (Power(2, 1),)}, "576"),
    ((a, b), a**2 / 2 + 2 * b**2, {"rates": ("exp",)}, "8"),
    ((a,), a**6 / 6, {"rates": (Power(3, 2),)}, "7776"),
    ((a, b), a**2 / 2 + b**4 / 4, {"rates": ("exp",), "level": 1}, "8"),
]


@pytest.mark.parametrize("blocks, loss, options, constant", STEEP)
def test_the_best_constant_from_below_is_proved_and_a_better_one_is_not(
    blocks, loss, options, constant
):
    answer = asked(blocks, loss, lower=True, **options)
    assert answer.found is not None, answer.reason
    assert answer.found.constant == fraction(constant)
    better = sp.Rational(constant) * (1 - BETTER)
    goal = goal_of(loss, blocks, answer.found.rate, options.get("level"))
    with pytest.raises(NoProof):
        prove(posed(replace(goal, lower=True), answer.degree, fraction(str(better))).program)


def goal_of(loss, variables, rate, level=None):
    flow = gradient_flow(loss, variables)
    where = Set(() if level is None else (level_set(flow, fraction(level)),))
    return Goal(flow, flow.loss, (flow.loss,), rate, where)


@pytest.mark.parametrize(
    "goal, best, degree",
    [
        (goal_of(a**4 / 4, (a,), Power(2, 1)), "1/64", 0),
        (goal_of(a**2 / 2 + 2 * b**2, (a, b), "exp"), "2", 0),
        (goal_of(PRODUCT, (a, b), "exp", "1/8"), "2", 8),
        (goal_of(RING, (a, b), "exp", "1/8"), "4", 8),
    ],
)
def test_a_constant_that_is_better_by_a_thousandth_is_not_proved(goal, best, degree):
    exact = sp.Rational(best)
    prove(posed(goal, degree, fraction(best)).program)
    better = exact * (1 - BETTER) if goal.sense > 0 else exact * (1 + BETTER)
    with pytest.raises(NoProof):
        prove(posed(goal, degree, fmpq(int(better.p), int(better.q))).program)


@pytest.mark.parametrize("rate", [Power(1, 1), Power(4, 1), "exp"])
def test_a_rate_that_the_flow_does_not_have_is_not_found(rate):
    answer = asked((a,), a**6 / 6, rates=(rate,))  # falls like t^(-3/2)
    assert answer.found is None and answer.slowest is not None
    all_degrees = {degree for _, degree, _ in answer.tried} == {*DEGREES}
    assert all_degrees or answer.reason.startswith(NONE)
    # What `a` is there, `-dV/dt/V^p` is from the loss by hand.
    (x,), p = answer.slowest.place, 1.0 if rate == "exp" else 1 + 1 / float(rate.exponent)
    assert answer.slowest.ratio == pytest.approx(x**10 / (x**6 / 6) ** p, rel=SOLVED)


def test_rates_are_tried_from_the_fastest_one():
    answer = asked((a,), a**6 / 6)
    assert answer.found is not None
    assert answer.found.rate == Power(3, 2)
    assert Power(2, 1) in {rate for rate, *_ in answer.tried}


def test_a_span_of_potentials_gives_the_best_one():
    # Of all quadratics above it, the loss itself falls slower than another with a smaller constant.
    alone = asked((a, b), (a**2 + 3 * b**2) ** 2 / 4, rates=(Power(2, 1),))
    span = asked((a, b), (a**2 + 3 * b**2) ** 2 / 4, rates=(Power(2, 1),), template=4)
    assert alone.found is not None and span.found is not None
    assert float(span.found.constant) <= float(alone.found.constant) * (1 + SOLVED)
    V = span.found.flow.written(span.found.V - span.found.target)
    assert V.subs({x: 1 for x in V.free_symbols}) >= 0


def test_lengths_of_entries_that_rotate_are_coordinates():
    loss = (a**2 + c**2 - b) ** 2 + b**4 + c**2
    assert Subject("own", (a, b, c), loss).radial == ()
    assert Subject("own", (a, b, c), loss - c**2).radial == (a**2 + c**2, b)
    assert Subject("own", (a, b), PRODUCT).radial == ()


def test_a_rest_above_the_least_loss_is_told_at_once():
    for loss in (PRODUCT, SPHERE):
        answer = asked((a, b), loss, rates=("exp", Power(2, 1)))
        assert answer.found is None and answer.reason.startswith(NONE) and not answer.tried
        assert "at (a, b) = (0, 0), where L = " in answer.reason and "dV/dt = 0" in answer.reason
    assert asked((a, b), PRODUCT, level="1/8", rates=("exp",)).found is not None
    # On `a b >= 1/4` the flow does not rest at zero; from below a rest is no obstacle.
    for options in ({"keep": (sp.Eq(a**2, b**2), a * b >= sp.Rational(1, 4))}, {"lower": True}):
        answer = asked((a, b), PRODUCT, rates=("exp",), degrees=(4,), **options)
        assert not answer.reason.startswith(NONE)


def test_superfluous_rows_fall_like_one_over_t():
    loss, whole = fitted(X), (X * X.T,)
    row = sp.Symbol("G[1,1]")
    answer = asked((X,), loss, coordinates=whole, template=(row,), rates=(Power(1, 1),))
    assert answer.found is not None and answer.found.constant == fraction("1/2")


# Spans, what falls, and constants by hand. Of superfluous rows `Y`, `S = Y Y^T` has `S' = -2 S^2`
# but for what is not negative, and `|S|^2 >= (tr S)^2/2`, so that `V = tr S` has `V' <= -V^2`.
THREE = sp.MatrixSymbol("X", 3, 2)
FREE = [
    ((X,), fitted(X), {"coordinates": (X * X.T,), "template": 1}, "G[1,1]", "1/2"),
    ((THREE,), None, {"coordinates": (THREE * THREE.T,), "template": 1}, "G[1,1] + G[2,2]", "1"),
    ((a, b), (a**2 - 1) ** 2 / 4 + b**4 / 4, {"template": 2}, "b**2", "1/2"),
]


@pytest.mark.parametrize("blocks, loss, options, V, constant", FREE)
def test_what_falls_at_a_rate_is_found_without_a_target(blocks, loss, options, V, constant):
    off = THREE * THREE.T - sp.diag(1, 0, 0)
    loss = sp.trace(off * off.T) / 4 if loss is None else loss
    answer = asked(blocks, loss, rates=(Power(1, 1),), free=True, level="1/50", **options)
    found = answer.found
    assert found is not None, answer.reason
    assert str(found.flow.written(found.V)) == V and found.constant == fraction(constant)
    better = sp.Rational(constant) * (1 - BETTER)
    goal = Goal(found.flow, found.target, (found.V,), found.rate, found.where)
    with pytest.raises(NoProof):
        prove(posed(goal, answer.degree, fraction(str(better))).program)
    # Nothing in the span falls faster.
    faster = options | {"rates": (Power(2, 1),), "degrees": (0, 4), "level": "1/50", "free": True}
    assert asked(blocks, loss, **faster).found is None


def test_a_least_loss_that_is_no_fraction_is_come_near_to():
    tilted = (a**2 - 1) ** 2 / 4 + a / 5
    answer = asked((a,), tilted, level="-1/10", rates=("exp",))
    found = answer.found
    assert found is not None, answer.reason
    x = np.linspace(-2, 2, 400_001)
    loss, slope = (sp.lambdify(a, f)(x) for f in (tilted, sp.diff(tilted, a)))
    above = loss - float(found.flow.written(found.flow.loss - found.V))
    lowest = loss.min()
    assert lowest - 1e-4 < float(found.least) < lowest
    assert -1e-4 < above.min() < 0
    inside = (loss <= -0.1) & (above > 0)
    sharp = (slope[inside] ** 2 / above[inside]).min()
    assert abs(found.best / sharp - 1) < 1e-4 and float(found.constant) < sharp
    assert float(found.constant) * (1 + float(BETTER)) > sharp
    # No power of time: the loss above such a fraction passes zero.
    assert asked((a,), tilted, level="-1/10", rates=(Power(2, 1),)).reason == NO_LEAST
    for more in ({"lower": True}, {"template": 4}):
        assert asked((a,), tilted, level="-1/10", rates=("exp",), **more).reason == NO_LEAST
    alone = asked((a,), tilted, level="-1/10", rates=("exp",), template=((a**2 - 1) ** 2 / 4,))
    assert alone.reason != NO_LEAST


def test_a_condition_that_the_flow_does_not_keep_is_a_hypothesis():
    flow = gradient_flow(PRODUCT, (a, b))
    assert condition(flow, flow.read(a**2 - b**2 - 2), True).reason == "cofactor"
    assert condition(flow, flow.read(a**2 + b**2 - 2), True).reason == "assumed"


@pytest.mark.parametrize("loss", [sp.exp(a), a / (1 + a**2), sp.sqrt(2) * a**2])
def test_what_is_no_polynomial_with_fractions_is_refused_in_a_line(loss):
    with pytest.raises(InputError, match=r"own: .*polynomials"):
        asked((a,), loss)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"coordinates": (a + b,)}, "no polynomial in these coordinates"),
        ({"keep": (a + b,)}, "expected Eq"),
        ({"keep": (sp.Eq(sp.exp(a), 1),)}, "no polynomial"),
        ({"template": 9}, "a degree from 1 to 8"),
        ({"template": (sp.sin(a),)}, "no polynomial"),
    ],
)
def test_other_input_is_refused_in_a_line(options, told):
    with pytest.raises(InputError, match=told):
        asked((a, b), PRODUCT, **options)


def test_without_a_solver_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install clarabel") as told:
        asked((a,), a**4 / 4)
    assert "\n" not in str(told.value)
