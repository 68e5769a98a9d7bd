"""A relation that one writes is a claim: its constant is measured, and a broken one is violated."""

import re
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.runs.relation import claim_of
from potentials import Comparison, symbol
from symbolic import D

# y' = -y^3, so that Phi = y^2 has D(Phi) = -2 Phi^2, and L = y^4/4 falls like t^-2/16.
Y = sp.Symbol("y")
QUARTIC = flows.OwnSystem("quartic", [Y], Y**4 / 4, potentials={"Phi": Y**2})
PHI, LOSS, T, Z = (symbol(name) for name in ("Phi", "loss", "t", "pairwise_distance"))
C, K = sp.symbols("C K")
# The error of the run is 1e-8, at its tolerance of 1e-10.
DIGITS = 1e-7
# What a constant, and an exponent, are broken by.
OFF, POWER = 1e-3, sp.Rational(1, 10)


@pytest.fixture(scope="module")
def run():
    return flows.integrate(QUARTIC, [1.0], 1e6)


@pytest.fixture(scope="module")
def neurons():
    system = flows.ReLUNeuron(n=3, d=5)
    return flows.integrate(system, system.initial(scale=0.1, seed=0), 1e9)


def test_a_rate_stays_as_it_is_written():
    assert str(D(PHI) <= -C * PHI**2) == "D(Phi) <= -C*Phi**2"
    assert D(sp.Integer(3)) == 0 and D(PHI).is_real
    assert sp.latex(D(PHI)) == r"\frac{d}{dt} \Phi"
    assert sp.latex(D(PHI + T)).count(r"\left(") == 1
    with pytest.raises(TypeError):
        D(PHI, T)


def test_the_free_constant_and_the_exponent_are_measured(run):
    (verdict,) = flows.check(run, D(PHI) <= -C * PHI**2)
    assert verdict.verdict == "HOLDS" and verdict.hypotheses == ()
    assert verdict.constant == pytest.approx(2, rel=DIGITS)
    assert verdict.measured == pytest.approx(2, rel=DIGITS) and verdict.bound == 2
    assert "compared at all times" in verdict.message


@pytest.mark.parametrize(
    ("true", "broken"),
    [
        (D(PHI) <= -C * PHI**2, D(PHI) <= -C * PHI ** (2 - POWER)),
        (D(PHI) >= -C * PHI**2, D(PHI) >= -C * PHI ** (2 + POWER)),
        (LOSS <= C * T**-2, LOSS <= C * T ** -(2 + POWER)),
        (LOSS >= C * T**-2, LOSS >= C * T ** -(2 - POWER)),
        (D(sp.log(LOSS)) <= -C / T, D(sp.log(LOSS)) <= -C * T ** (POWER - 1)),
    ],
    ids=str,
)
def test_an_exponent_that_is_off_by_a_tenth_is_violated(run, true, broken):
    assert [flows.check(run, one)[0].verdict for one in (true, broken)] == ["HOLDS", "VIOLATED"]


@pytest.mark.parametrize(("relation", "sense"), [("<=", 1), (">=", -1)])
def test_a_constant_that_is_off_by_a_thousandth_is_violated(run, relation, sense):
    left, right = D(PHI), -C * PHI**2
    claim = claim_of(run, left <= right if relation == "<=" else left >= right)
    (comparison,) = claim.conclusions
    (verdict,) = flows.check(run, claim)
    found = []
    for factor in (1 - sense * OFF, 1 + sense * OFF):
        stated = replace(comparison, constant=sp.Float(verdict.constant * factor))
        found += flows.check(run, replace(claim, conclusions=(stated,)))
    assert [one.verdict for one in found] == ["HOLDS", "VIOLATED"]


@pytest.mark.parametrize(
    "relation",
    [
        C * T**-2 >= LOSS,
        LOSS * T**2 <= C,
        LOSS - C / T**2 <= 0,
        C / T**2 - LOSS >= 0,
        LOSS < C / T**2,
        sp.Symbol("loss") <= C / sp.Symbol("t") ** 2,
        16 * LOSS <= 16 * C / T**2,
    ],
    ids=str,
)
def test_one_statement_in_several_forms_has_one_verdict_and_constant(run, relation):
    (verdict,) = flows.check(run, relation)
    assert verdict.verdict == "HOLDS"
    # L t^2 rises to its limit 1/16, like 1/16 (1 + 1/(2 t))^-2.
    limit = float(run.t[-1] ** 2 * run["loss"][-1])
    assert verdict.constant == pytest.approx(limit, rel=DIGITS)


@pytest.mark.parametrize(
    "relation",
    [D(sp.log(PHI)) <= -C * PHI, D(PHI**2) <= -2 * C * PHI**3, D(T * PHI) <= PHI - C * T * PHI**2],
    ids=str,
)
def test_a_rate_follows_the_chain_rule(run, relation):
    assert flows.check(run, relation)[0].constant == pytest.approx(2, rel=DIGITS)


def test_the_message_says_from_which_time_on_and_with_which_constant(neurons):
    (verdict,) = flows.check(neurons, D(Z) <= -C * Z**2)
    distance, rate = neurons.potential("pairwise_distance")
    assert verdict.verdict == "HOLDS"
    # At first neurons move apart: no constant serves, until the rate is negative for good.
    since = neurons.t[np.flatnonzero(rate >= 0)[-1] + 1]
    assert since > 0 and f"compared from t = {since:.4g} on" in verdict.message
    later = neurons.t >= since
    tightest = float((-rate / distance**2)[later].min())
    assert verdict.constant == pytest.approx(tightest, rel=DIGITS)
    one, begin = re.search(r"C = (\S+) serves from t = (\S+) on", verdict.message).groups()
    margin = -rate - float(one) * distance**2
    first = int(np.argmin(np.abs(neurons.t - float(begin))))
    assert (margin[first:] >= 0).all() and margin[first - 1] < 0
    assert float(one) > verdict.constant


def test_a_relation_is_checked_where_a_system_has_no_claims(run):
    assert len(flows.check(run, LOSS <= C * T**-2)) == 1
    with pytest.raises(InputError, match="no claims about quartic"):
        flows.check(run)


@pytest.mark.parametrize(
    ("relation", "line"),
    [
        (D(PHI) <= -C * K * PHI**2, "several free constants or unknown symbols, C and K"),
        (C * sp.Symbol("lost") >= LOSS, "unknown symbol 'lost'; did you mean loss?"),
        (sp.Symbol("Phii") >= LOSS, "unknown symbol 'Phii'; did you mean Phi?"),
        (LOSS <= C**2, "C must be a factor"),
        (LOSS <= C + C * T, None),
        (sp.Eq(LOSS, C), "an equation has no free constant"),
        (sp.Ne(LOSS, 1), "a relation with <= or >="),
        (sp.true, "a relation with <= or >="),
        (sp.And(LOSS <= C, LOSS >= K), "a relation with <= or >="),
        (D(D(PHI)) <= C, "the rate of a rate is not known"),
        (D(symbol("gradient_norm")) <= C, "the rate of gradient_norm is not known"),
    ],
    ids=str,
)
def test_a_relation_that_cannot_be_measured_is_one_line(run, relation, line):
    if line is None:
        assert flows.check(run, relation)[0].verdict == "HOLDS"
        return
    with pytest.raises(InputError, match=re.escape(line)) as caught:
        flows.check(run, relation)
    assert "\n" not in str(caught.value)


# L = (1/4) (1 + 2t)^-2 and Phi = (1 + 2t)^-1, which is 1/2 at t = 1/2.
VANISHING = [
    (sp.Le(LOSS, C * sp.Abs(T - sp.pi)), "t - pi vanishes at t = 3.142"),
    (sp.Le(LOSS, C * (T - sp.pi) ** 2 / (1 + T) ** 4), "t - pi vanishes at t = 3.142"),
    (sp.Le(LOSS, C * (T**2 - 6 * T + sp.Rational(899, 100))), "vanishes at t = "),
    (sp.Le(LOSS, C * sp.sin(T) ** 2), "sin(t) vanishes at t = 3.142"),
    (sp.Le(PHI**2, C * (PHI - sp.S.Half) ** 2), "2*Phi - 1 vanishes between t = 0.3981 and 0.5012"),
    (sp.Le(PHI**2, C * sp.Abs(PHI - T / 4)), " vanishes between t = 1 and 1.259"),
    (
        sp.Le(-D(PHI), C * sp.sqrt(sp.Abs(PHI - sp.Rational(1, 3)))),
        "3*Phi - 1 vanishes between t = 0.7943 and 1.259",
    ),
    # A lower bound fails where its left side vanishes, or its right side has a pole.
    (sp.Ge((PHI - sp.S.Half) ** 2, C * LOSS), "2*Phi - 1 vanishes between"),
    (sp.Ge(LOSS, C / (T - sp.pi) ** 2 / (1 + T)), "t - pi vanishes at t = 3.142"),
]


@pytest.mark.parametrize(("relation", "words"), VANISHING, ids=str)
def test_where_a_side_vanishes_between_output_times_no_constant_serves(run, relation, words):
    (verdict,) = flows.check(run, relation)
    assert verdict.verdict == "VIOLATED" and words in verdict.message


HALF = PHI - sp.S.Half


@pytest.mark.parametrize(
    "relation",
    [
        sp.Le(HALF**2, C * sp.Abs(HALF)),
        sp.Le(sp.expand(HALF**2), C * HALF**2),
        sp.Le(sp.Abs(HALF) * PHI, C * sp.Abs(HALF)),
    ],
    ids=str,
)
def test_where_both_sides_vanish_together_no_constant_is_refuted(run, relation):
    assert flows.check(run, relation)[0].verdict != "VIOLATED"


@pytest.mark.parametrize(
    ("left", "relation", "right", "found"),
    [
        (LOSS, "<=", sp.Abs(T - sp.pi), "VIOLATED"),
        (LOSS, "<=", sp.Abs(T - sp.pi) + 1, "HOLDS"),
        (PHI**2, "<=", 10**7 * (PHI - sp.S.Half) ** 2, "VIOLATED"),
        ((PHI - sp.S.Half) ** 2, ">=", LOSS / 10**7, "VIOLATED"),
        ((PHI + sp.S.Half) ** 2, ">=", LOSS, "HOLDS"),
        (-LOSS, "<=", sp.Abs(T - sp.pi), "HOLDS"),
    ],
    ids=str,
)
def test_a_side_that_vanishes_between_output_times_fails_with_a_stated_constant(
    run, left, relation, right, found
):
    stated = Comparison(left, relation, right, sp.S.One, where=(T - 1 / 10,))
    claim = replace(claim_of(run, LOSS <= C), conclusions=(stated,))
    (verdict,) = flows.check(run, claim)
    assert verdict.verdict == found, verdict.message


@pytest.mark.parametrize(
    ("relation", "found"),
    [
        # A little above zero a constant serves, however large.
        (sp.Le(LOSS, C * ((T - sp.pi) ** 2 + OFF)), "HOLDS"),
        (sp.Le(PHI**2, C * (PHI + sp.S.Half) ** 2), "HOLDS"),
        # What only touches zero is not told from what nearly does.
        (sp.Le(LOSS, C * (1 + sp.sin(T / 1000))), "INCONCLUSIVE"),
        (sp.Le(PHI**2, C * (1 + sp.cos(2 * sp.pi * PHI))), "INCONCLUSIVE"),
        # Before the right side is positive a relation is not compared.
        (sp.Le(LOSS, C * (T - sp.pi)), "HOLDS"),
        (sp.Le(LOSS, C * sp.Max(T - 5, 0)), "HOLDS"),
        # The left side is negative there, and every constant serves.
        (sp.Le(D(PHI), C * sp.Abs(T - sp.pi)), "HOLDS"),
        (sp.Le(LOSS, C + T**-2), "HOLDS"),
        (sp.Le(LOSS, C + T**2), "HOLDS"),
    ],
    ids=str,
)
def test_a_side_that_does_not_vanish_where_a_constant_is_needed_refutes_nothing(
    run, relation, found
):
    (verdict,) = flows.check(run, relation)
    assert verdict.verdict == found, verdict.message


@pytest.mark.parametrize("end", [1e6, 1e12])
@pytest.mark.parametrize("power", [POWER, sp.Rational(1, 1000), 1])
def test_a_ratio_that_grows_like_a_power_of_a_logarithm_does_not_hold(end, power):
    run = flows.integrate(QUARTIC, [1.0], end)
    factor = sp.log(2 + T) ** power
    for relation in (
        sp.Le(LOSS * (1 + T) ** 2 * factor, C),
        sp.Ge(LOSS * (1 + T) ** 2, C * factor),
        sp.Le(LOSS * (1 + T) ** 2 * sp.log(2 + sp.log(2 + T)) ** power, C),
    ):
        assert flows.check(run, relation)[0].verdict == "INCONCLUSIVE", relation
    # It holds the other way round, and where it grows to a limit like a power of time.
    for relation in (
        sp.Le(LOSS * (1 + T) ** 2, C * factor),
        sp.Le(LOSS * (1 + T) ** 2, C * (1 - OFF * (1 + T) ** sp.Rational(-1, 2))),
    ):
        assert flows.check(run, relation)[0].verdict == "HOLDS", relation


HUGE = sp.Integer(10) ** 5000  # more digits than Python writes


@pytest.mark.parametrize(
    ("relation", "line"),
    [
        (sp.Le(LOSS, C * sp.gamma(T + 1)), "got gamma"),
        (sp.Le(LOSS, C * sp.DiracDelta(T)), "got DiracDelta"),
        (sp.Le(LOSS, C * sp.zeta(T + 2)), "got zeta"),
        (sp.Le(D(sp.Heaviside(PHI - 1)), C), "got DiracDelta"),
        (sp.Function("f")(T) * LOSS <= C, "got f"),
        (sp.Le(sp.Derivative(LOSS, T), C), "got Derivative"),
        (sp.Le(LOSS, C * HUGE), "numbers up to 1e300"),
        (sp.Le(LOSS * T**HUGE, C), "numbers up to 1e300"),
        (sp.Le(LOSS, C / HUGE), "numbers up to 1e300"),
    ],
    ids=range(9),
)
def test_what_has_no_values_in_doubles_is_one_line(run, relation, line):
    with pytest.raises(InputError, match=re.escape(line)) as caught:
        flows.check(run, relation)
    assert "\n" not in str(caught.value)
    stated = Comparison(relation.lhs, "<=", relation.rhs.subs(C, 1), sp.S.One)
    if not relation.has(D):  # which stands in relations only
        with pytest.raises(InputError, match=re.escape(line)):
            flows.check(run, replace(claim_of(run, LOSS <= C), conclusions=(stated,)))


@pytest.mark.parametrize(
    "relation",
    [
        sp.Le(LOSS, C * sp.Heaviside(T - 1)),
        sp.Le(LOSS, C * sp.sign(T - 1)),
        sp.Le(LOSS, C * sp.floor(T)),
        sp.Le(LOSS * sp.ceiling(T + 1), C),
    ],
    ids=str,
)
def test_a_step_is_no_rate_and_is_compared_all_the_same(run, relation):
    (verdict,) = flows.check(run, relation)
    assert verdict.verdict == "HOLDS"


def test_an_observable_of_each_neuron_is_one_line_with_the_known_names(neurons):
    with pytest.raises(InputError, match="norms has a value for each neuron") as caught:
        flows.check(neurons, symbol("norms") <= C)
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert {"loss", "pairwise_distance", "t", "n"} <= set(known) and "norms" not in known


# L t^2 rises to 1/16, D(Phi) = -2 Phi^2, and Phi begins at 1: stated relations, and the same ones a
# thousandth sharper, or with an exponent that is off by a tenth.
STATED = [
    (D(PHI) <= -(2 - OFF) * PHI**2, D(PHI) <= -(2 + OFF) * PHI**2),
    (D(PHI) >= -(2 + OFF) * PHI**2, D(PHI) >= -(2 - OFF) * PHI**2),
    (16 * T**2 * LOSS <= 1, 16 * T**2 * LOSS <= 1 - OFF),
    (PHI <= 1, PHI <= 1 - OFF),
    (sp.Eq(D(PHI), -2 * PHI**2), sp.Eq(D(PHI), -(2 + OFF) * PHI**2)),
    (D(PHI) <= -(2 - OFF) * PHI**2, D(PHI) <= -2 * PHI ** (2 - POWER)),
]


@pytest.mark.parametrize(("true", "broken"), STATED, ids=str)
def test_a_relation_with_numbers_holds_and_a_sharper_one_is_violated(run, true, broken):
    found = flows.check(run, [true, broken])
    assert [one.verdict for one in found] == ["HOLDS", "VIOLATED"]
    assert all("to t = 1e+06" in one.message for one in found)


def test_sides_that_are_equal_at_the_start_are_compared_from_then_on(run):
    (verdict,) = flows.check(run, PHI <= 1)
    assert "equal at the start" in verdict.message


def test_a_trend_that_would_break_a_relation_later_leaves_it_undecided(run):
    slow = T**2 * LOSS * sp.log(2 + T) ** POWER
    (verdict,) = flows.check(run, slow <= 1)
    assert verdict.verdict == "INCONCLUSIVE" and "still grows" in verdict.message
    assert flows.check(run, slow <= C)[0].verdict == "INCONCLUSIVE"


def test_a_list_may_hold_relations_and_claims(run):
    claim = claim_of(run, LOSS <= C * T**-2)
    assert [one.verdict for one in flows.check(run, [claim, PHI <= 2])] == ["HOLDS", "HOLDS"]
    with pytest.raises(InputError, match="unknown claim"):
        flows.check(flows.integrate(flows.ReLUNeuron(n=2, d=2), [[1, 0], [0, 1]], 1.0), ["none"])


def test_two_sides_that_are_zero_say_how_to_compare_them():
    u, v = sp.symbols("u v")
    squares = {"left": u**2, "right": v**2, "balance": u**2 - v**2}
    system = flows.OwnSystem("product", [u, v], (u * v - 1) ** 2 / 2, squares)
    balanced = flows.integrate(system, [0.5, 0.5], 10.0)
    (verdict,) = flows.check(balanced, sp.Eq(symbol("balance"), 0))
    assert verdict.verdict == "INCONCLUSIVE" and "both sides are zero" in verdict.message
    same = sp.Eq(symbol("left"), symbol("right"))
    assert flows.check(balanced, same)[0].verdict == "HOLDS"
    beside = flows.integrate(system, [0.5, 0.5 * (1 + OFF)], 10.0)
    assert flows.check(beside, same)[0].verdict == "VIOLATED"
