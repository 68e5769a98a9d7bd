"""States where potentials fall slowest; better constants and lower levels that they ask for."""

import math

import numpy as np
import pytest
import sympy as sp

from potentials.search.find import find
from potentials.search.levels import advised
from potentials.search.polynomials import fraction, gradient_flow, rational
from potentials.search.question import Question
from potentials.search.rates import Power
from potentials.search.regions import Set, condition, level_set
from potentials.search.slowest import slowest
from potentials.search.subject import Subject

a, b, c = sp.symbols("a b c", real=True)
PRODUCT = (a * b - 1) ** 2 / 2
VALLEY = (1 - a) ** 2 + (b - a**2) ** 2
#: States are so far inside a set, and on its conditions.
INSIDE = 1e-6
#: What a grid of states is off the least ratio.
GRID = 3e-3


def state_of(loss, variables, rate, level=None, keep=(), lower=False):
    flow = gradient_flow(loss, variables)
    conditions = [] if level is None else [level_set(flow, fraction(level))]
    conditions += [condition(flow, flow.read(p), equal) for p, equal in keep]
    return slowest(flow, flow.loss, rate, Set(tuple(conditions)), lower)


@pytest.mark.parametrize(
    "loss, variables, rate, options, constant",
    [
        (PRODUCT, (a, b), "exp", {"level": "1/8"}, 2),
        (PRODUCT, (a, b), "exp", {"level": "1/50"}, 3.2),
        (PRODUCT, (a, b), "exp", {"keep": [(a**2 - b**2 - 2, True)]}, 4),
        ((a * b * c - 1) ** 2 / 2, (a, b, c), "exp", {"level": "1/8"}, 3 / 2 ** (1 / 3)),
        ((a**2 + 3 * b**2) ** 2 / 4, (a, b), Power(2, 1), {}, 1 / 64),
        ((a**2 + 3 * b**2) ** 2 / 4, (a, b), Power(2, 1), {"lower": True}, 576),
    ],
)
def test_the_slowest_state_has_the_best_constant_by_hand(loss, variables, rate, options, constant):
    state = state_of(loss, variables, rate, **options)
    assert state.constant(rate, options.get("lower", False)) == pytest.approx(constant, rel=INSIDE)
    at = dict(zip(variables, state.place, strict=True))
    assert float(loss.subs(at)) == pytest.approx(state.loss, rel=INSIDE)
    slope = sum(sp.diff(loss, x).subs(at) ** 2 for x in variables)
    power = 1 if rate == "exp" else 1 + 1 / float(rate.exponent)
    assert float(slope) / state.loss**power == pytest.approx(state.ratio, rel=INSIDE)
    assert state.loss <= float(sp.Rational(options.get("level", 10**9)))


def test_an_empty_set_has_no_slowest_state():
    assert state_of(PRODUCT + 1, (a, b), "exp", level="1/2") is None


def asked(loss, **options):
    if "level" in options:
        options["level"] = fraction(options["level"])
    subject = Subject("own", (a, b), loss)
    return subject, Question(rates=("exp",), **options)


def test_a_first_proof_gives_way_to_a_sharper_one_where_a_state_shows_that_there_may_be_one():
    # Of two squares the Jacobian knows not which multiples of them a state has.
    subject, question = asked(VALLEY, level="1/2")
    first = find(subject, asked(VALLEY, level="1/2", sharp=False)[1], lambda _: None).found
    sharp = find(subject, question, lambda _: None).found
    x, y = np.meshgrid(np.linspace(-1, 3, 2001), np.linspace(-1, 5, 2001))
    loss, *slope = (sp.lambdify((a, b), f)(x, y) for f in (VALLEY, VALLEY.diff(a), VALLEY.diff(b)))
    inside = (loss <= 1 / 2) & (loss > 1e-6)
    best = ((slope[0] ** 2 + slope[1] ** 2)[inside] / loss[inside]).min()
    assert sharp.possible == pytest.approx(first.possible)
    assert best / (1 + GRID) < sharp.possible < best
    assert float(rational(first.constant)) < 0.98 * best
    assert sharp.possible / (1 + GRID) < float(rational(sharp.constant)) < sharp.possible


def test_a_refusal_names_a_state_and_a_level_with_a_proof():
    subject, question = asked(PRODUCT)
    answer = advised(subject, question, lambda _: None)
    assert answer.found is None
    assert "at (a, b) = (0, 0), where L = 0.5, dV/dt = 0" in answer.reason
    assert "where L <= 1/4, V(t) <= V(0) exp(-" in answer.reason
    # Wells with a flat direction: no exponential rate at any level, as states near a well say.
    subject, question = asked((a**2 - 1) ** 2 / 4 + b**4 / 4, degrees=(0,))
    answer = advised(subject, question, lambda _: None)
    assert answer.found is None and "V(0)" not in answer.reason
    assert "none was found for L <= 1/" in answer.reason
    assert math.isfinite(answer.slowest.ratio) and "best constant" not in answer.reason


def test_a_rate_that_fails_far_out_is_told_by_a_state_there():
    # On `a = 0` the loss is `b^2/2`: it falls exponentially, and no faster than that.
    subject = Subject("own", (a, b), a**4 / 4 + a**2 * b**2 + b**2 / 2)
    question = Question(rates=(Power(2, 1),), degrees=(0, 4))
    answer = advised(subject, question, lambda _: None)
    assert answer.found is None and "V falls slowest: at (a, b)" in answer.reason
    assert max(map(abs, answer.slowest.place)) > 1e3 and answer.slowest.ratio < 1e-3
    assert "V(t) <= " in answer.reason.partition("where L <= ")[2]
