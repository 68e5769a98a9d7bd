"""How boxes decide, on a trajectory of which every quantity is a formula in the time."""

import math
from types import SimpleNamespace

import pytest
import sympy as sp
from flint import arb, ctx

from flows.certificates import decide as rules
from flows.certificates.cover import Stretch
from flows.certificates.decide import decide, hypothesis
from flows.certificates.decision import Proof, compared
from potentials.claim import Comparison, Hypothesis, Inequality, Mark
from potentials.notation import symbol
from potentials.source import Source
from symbolic.language.lower import NoBall, Undecided, lower

t, T1, loss, unknown = symbol("t"), symbol("T1"), symbol("loss"), symbol("unknown")
SOURCE = Source("nobody", 2000, "0000.00000", "a test", "inequality")
END = 2.0


class Line:
    """Two segments on which the time goes from 0 to 1 and from 1 to 2; ``loss = (t - 1)^2 + 1``."""

    later, open = None, ""  # no proof for ever

    def __init__(self, marks=(), t1=None, rate=True):
        self.start = Stretch(0, -1.0, -1.0)
        frozen = {"0": SimpleNamespace(at=lambda sides, over: self.values(self.start, sides, over))}
        self.enclosure = SimpleNamespace(
            count={"state": 1, "neuron": 2, "pair": 1},
            marks=marks,
            constants={"n": 3},
            frozen=frozen,
        )
        self.known = {} if t1 is None else {"T1": t1}
        self.rate = rate
        self.seen = []

    def stretches(self):
        for segment in range(2):
            for k in range(4):
                yield Stretch(segment, k / 2 - 1, k / 2 - 0.5)

    def ball(self, place):
        low, high = (place.segment + (x + 1) / 2 for x in (place.low, place.high))
        return arb(low).union(arb(high))

    def values(self, place, expressions, over):
        self.seen.append(place)
        at = self.ball(place)
        known = {"t": at, "loss": (at - 1) ** 2 + 1, "loss_0": arb(2), "n": arb(3), **self.known}
        known |= {"loss_T1": arb(1)} | ({"loss_dot": 2 * (at - 1)} if self.rate else {})
        rows = []
        for shift in range(2) if over == "neuron" else range(1):
            symbols = sorted(set().union(*(e.free_symbols for e in expressions)), key=str)
            numbers = [{**known, "h": at + shift}[s.name] for s in symbols]
            try:
                rows.append(lower(expressions, symbols, "ball")(*numbers))
            except Undecided:
                return None
        return rows

    def time(self, place):
        return f"{float(self.ball(place).mid()):.6g}"


@pytest.fixture(autouse=True)
def precision():
    before, ctx.prec = ctx.prec, 100
    yield
    ctx.prec = before


def one(lhs, relation, rhs, where=(t,), over="state", **options):
    return decide(Line(), Comparison(lhs, relation, rhs, sp.S.One, where, over), **options)


A_LITTLE = sp.Rational(1, 1000)
# Balls of a stretch are a little wider than it is, so that no box knows an equality at its end.
PROVED = [
    (t, "<=", 2 + A_LITTLE),
    (t, ">=", -A_LITTLE),
    (-t, ">=", -2 - A_LITTLE),
    ((t - 1) ** 2, ">=", -A_LITTLE),
    (t**2 - t, ">=", -sp.Rational(1, 4) - A_LITTLE),
    (t, "<=", 1 + A_LITTLE, (1 - t,)),
    (t, ">=", 1 - A_LITTLE, (t - 1,)),
    (t, "<=", A_LITTLE, (-t,)),  # at the start alone
]
# Behind a time that stays open, refutations are looked for on coarse boxes only.
REFUTED = [
    (t, "<=", 2 - A_LITTLE),
    (t, ">=", A_LITTLE),
    (t**2 - t, ">=", -sp.Rational(1, 10)),
    (t, "<=", sp.Rational(7, 10), (1 - t,)),
    (t, ">=", A_LITTLE, (-t,)),
    (t, ">=", sp.Rational(13, 10), (t - 1,)),
]


@pytest.mark.parametrize("statement", PROVED, ids=str)
def test_what_holds_on_every_box_is_proved(statement):
    found = one(*statement)
    assert (found.proof, found.message) == (Proof.PROVED, "holds on every box")
    assert found.boxes >= 9  # the start and all stretches


@pytest.mark.parametrize("statement", REFUTED, ids=str)
def test_what_fails_at_a_time_is_refuted_with_it(statement):
    found = one(*statement)
    assert found.proof is Proof.REFUTED
    at, (lhs, relation, rhs, *_) = float(found.message.removeprefix("fails at t = ")), statement
    gap = (lhs - rhs).subs(t, at)
    # The time is that of the middle of a box, to six digits.
    assert gap > -1e-5 if relation == "<=" else gap < 1e-5


def test_a_comparison_that_is_an_equality_somewhere_stays_open():
    exact = Comparison(t, "<=", sp.Integer(2), sp.S.One, (t - 2,))
    assert decide(Line(), exact).proof is Proof.UNDECIDED  # no box is surely at t = 2
    inside = one((t - sp.Rational(1, 3)) ** 2, ">=", sp.S.Zero, strict=True)
    assert inside.proof is Proof.UNDECIDED
    assert inside.message == "open at t = 0.333333, proved before"


def test_where_equality_is_possible_only_a_strict_comparison_is_refuted():
    below = arb((-1, 0), (1, 0))  # from -2 to 0, exactly
    assert compared(arb(0), "<=", below) is compared(below, ">=", arb(0)) is Proof.UNDECIDED
    assert compared(arb(0), "<=", below, strict=True) is Proof.REFUTED
    assert compared(below, "<=", arb(0)) is Proof.PROVED
    assert compared(below, "<=", arb(0), strict=True) is Proof.UNDECIDED


def test_a_claim_that_selects_nothing_and_an_identity_are_undecided():
    assert one(t, "<=", sp.S.One, (t - 3,)).message == "the claim selects no time"
    found = one(t, "==", t)
    assert (found.proof, found.boxes) == (Proof.UNDECIDED, 0)
    assert one(unknown, "<=", t).message == "unknown: not reached or not enclosed"
    refused = one(sp.zeta(t + 2), "<=", t)
    assert refused.proof is Proof.UNDECIDED and "no ball arithmetic for zeta" in refused.message


def test_every_index_counts_and_a_refutation_needs_its_conditions():
    h = symbol("h")  # t and t + 1
    assert one(h, "<=", 3 + A_LITTLE, over="neuron").proof is Proof.PROVED
    assert one(h, "<=", sp.Integer(2), over="neuron").proof is Proof.REFUTED
    assert one(h, "<=", sp.Integer(2), (sp.Integer(2) - h,), over="neuron").proof is not (
        Proof.REFUTED
    )


def test_a_condition_that_is_not_defined_leaves_a_statement_open():
    jump = sp.Piecewise((1, t < sp.Rational(1, 3)), (1, True))
    found = one(t, "<=", sp.Integer(3), (jump,))
    assert found.proof is Proof.PROVED  # the comparison holds there all the same
    found = one(t, "<=", sp.Rational(1, 4), (jump - 2,))
    assert found.proof is not Proof.REFUTED


def test_boxes_are_limited_and_what_is_open_is_looked_at_coarsely(monkeypatch):
    dip = (t - sp.Rational(1, 3)) ** 2
    whole = one(dip, ">=", sp.S.Zero, strict=True).boxes
    monkeypatch.setattr(rules, "BUDGET", 20)
    few = one(dip, ">=", sp.S.Zero, strict=True)
    assert few.proof is Proof.UNDECIDED and few.boxes < 40 < whole
    # Behind the open time, a refutation is found still.
    late = one(sp.Min(dip, sp.Rational(3, 2) - t), ">=", sp.S.Zero, strict=True)
    assert late.proof is Proof.REFUTED


CONSTANTS = [
    (t * (2 - t), "<=", sp.S.One, 1.0),
    (1 + t, "<=", sp.S.One, 3.0),
    (1 + t, ">=", sp.S.One, 1.0),
    (loss, ">=", sp.S.One, 1.0),
    (loss, "<=", 1 + t, 2.0),
    (-1 - t, "<=", sp.S.One, -1.0),
    (-1 - t, ">=", sp.S.One, -3.0),
    (t**3, "<=", t, 4.0),  # a quotient as one expression has no pole
]


@pytest.mark.parametrize(("lhs", "relation", "rhs", "exact"), CONSTANTS, ids=str)
def test_the_tightest_constant_is_enclosed_to_a_hundredth(lhs, relation, rhs, exact):
    found = decide(Line(), Comparison(lhs, relation, rhs))
    assert found.proof is Proof.ENCLOSED
    low, high = (float(x) for x in found.constant.strip("[]").split(", "))
    assert low <= exact <= high
    assert high - low <= 0.011 * abs(exact)
    best = "smallest" if relation == "<=" else "largest"
    assert found.message.startswith(f"{best} constant in {found.constant}, attained near t = ")


def test_a_constant_is_that_of_the_times_that_are_selected():
    inside = decide(Line(), Comparison(t, "<=", sp.S.One, where=(1 - t,)))
    low, high = (float(x) for x in inside.constant.strip("[]").split(", "))
    assert low <= 1 <= high < 1.02
    nothing = decide(Line(), Comparison(t, "<=", sp.S.One, where=(t - 3,)))
    assert (nothing.proof, nothing.message) == (Proof.UNDECIDED, "the claim selects no time")
    pole = decide(Line(), Comparison(sp.S.One, "<=", t))
    assert pole.proof is Proof.UNDECIDED
    assert pole.message == "unbounded at t = 0.125"


def test_where_both_sides_vanish_at_a_mark_their_slopes_decide():
    mark = Mark("T1", 1 - t, "until", "until t = 1")
    line = Line((mark,), arb(1, 2.0**-40))
    vanishing = Comparison((t - T1) * (t + 1), "<=", t - T1, where=(t - T1,))
    found = decide(line, vanishing)
    low, high = (float(x) for x in found.constant.strip("[]").split(", "))
    assert low <= 3 <= high < 3.2  # t + 1 from 2 to 3
    assert rules._slopes(vanishing, (mark,)) is not None
    # Not where one side stays, and not without the mark in the window.
    assert rules._slopes(Comparison(t, "<=", t - T1, where=(t - T1,)), (mark,)) is None
    assert rules._slopes(Comparison(t - T1, "<=", t - T1), (mark,)) is None


def test_slopes_take_the_place_of_a_quotient_that_is_not_defined():
    mark = Mark("T1", 1 - t, "until", "until t = 1")
    line = Line((mark,), arb(1, 2.0**-40))
    # sin(u)/(2 u) from 1/2 on, u = t - T1.
    wave = Comparison(sp.sin(t - T1), "<=", 2 * (t - T1), where=(t - T1,))
    low, high = (float(x) for x in decide(line, wave).constant.strip("[]").split(", "))
    assert low <= 0.5 <= high < 0.51
    # Where a slope is not known, nothing is.
    falls = Comparison(loss - symbol("loss_T1"), "<=", (t - T1) ** 2, where=(t - T1,))
    for rate in (True, False):
        found = decide(Line((mark,), arb(1, 2.0**-40), rate), falls)
        assert found.proof is Proof.UNDECIDED
        assert found.message.startswith("unbounded at t = ")


def test_boxes_that_were_looked_at_are_counted():
    flat = decide(Line(), Comparison(2 * loss, "<=", loss))
    assert (flat.proof, flat.boxes) == (Proof.ENCLOSED, 8)
    assert one(t, ">=", sp.S.Zero).message.startswith("open at t = ")
    assert "proved before" not in one(t, ">=", sp.S.Zero).message
    assert one(t, "<=", sp.Integer(2)).message == "open at t = 2, proved before"


def test_a_condition_that_a_quantity_is_positive_is_strict():
    conditions, strict = rules.conditions((sp.sign(loss) - 1, t))
    assert (conditions, strict) == ((loss, t), (True, False))
    # At t = 0 exactly the strict condition fails, the other one holds.
    for where, count in (((t,), True), ((sp.sign(t) - 1,), False)):
        (found,) = rules._inside(Line(), Stretch(0, -1.0, -1.0), Comparison(t, "<=", t, 1, where))
        assert found is count
    inside = Comparison(t, "<=", t, 1, (sp.sign(t) - 1,))
    assert rules._inside(Line(), Stretch(0, -0.5, 0.0), inside) == [True]
    wide = Stretch(0, -1.0, 0.0)
    for where, found in (
        ((t - 1,), [False]),
        ((t - sp.Rational(1, 4),), [None]),
        ((t + 1,), [True]),
        ((t + 1, t - 1), [False]),
        ((t + 1, t - sp.Rational(1, 4)), [None]),
    ):
        assert rules._inside(Line(), wide, Comparison(t, "<=", t, 1, where)) == found


def test_hypotheses_are_decided_at_the_start_or_in_the_window_of_the_claim():
    def decided(h, where=(t,)):
        claim = Inequality(
            id="own",
            statement="",
            source=SOURCE,
            hypotheses=(h,),
            conclusions=(Comparison(t, "<=", sp.Integer(3), sp.S.One, where),),
        )
        return hypothesis(Line(), h, claim)

    for n, relation, found in (
        (3, ">=", Proof.PROVED),
        (3, ">", Proof.REFUTED),
        (3, "<=", Proof.PROVED),
        (3, "<", Proof.REFUTED),
        (2, ">", Proof.PROVED),
        (4, ">=", Proof.REFUTED),
    ):
        assert decided(Hypothesis("", symbol("n"), relation, sp.Integer(n))) is found
    assert decided(Hypothesis("", symbol("loss_0"), ">=", sp.Integer(2))) is Proof.PROVED
    assert decided(Hypothesis("", symbol("loss_0"), "<", sp.Integer(2))) is Proof.REFUTED
    assert decided(Hypothesis("", symbol("missing_0"), "<", sp.Integer(2))) is Proof.UNDECIDED
    # What moves is compared in the window.
    assert decided(Hypothesis("", t, "<=", 2 + A_LITTLE)) is Proof.PROVED
    assert decided(Hypothesis("", t, "<=", sp.S.One)) is Proof.REFUTED
    assert decided(Hypothesis("", t, "<=", 1 + A_LITTLE), (1 - t,)) is Proof.PROVED
    assert decided(Hypothesis("", t, ">", A_LITTLE), (-t,)) is Proof.REFUTED


def test_every_index_of_a_hypothesis_at_the_start_counts():
    line = Line()
    for value, found in (
        (arb(3), Proof.PROVED),
        (arb(1), Proof.REFUTED),
        (arb(2, 0.5), Proof.UNDECIDED),
    ):
        box = SimpleNamespace(at=lambda *_, value=value: [(arb(5), arb(2)), (value, arb(2))])
        line.enclosure.frozen["0"] = box
        h = Hypothesis("", symbol("norm_0"), ">=", sp.Integer(2), "neuron")
        assert rules._once(line, h) is found


@pytest.mark.parametrize("error", [KeyError, NoBall, ZeroDivisionError, Undecided])
def test_a_start_that_is_not_enclosed_decides_nothing(error):
    def broken(*_):
        raise error("here")

    line = Line()
    line.enclosure.frozen["0"] = SimpleNamespace(at=broken)
    h = Hypothesis("", symbol("norm_0"), ">=", sp.Integer(2))
    assert rules._once(line, h) is Proof.UNDECIDED


def test_numbers_are_rounded_outwards():
    third = arb(1) / 3
    assert rules.down(third) < third < rules.up(third)
    assert rules.up(third) <= math.nextafter(rules.down(third), math.inf)
    assert rules.up(arb(0.25)) == rules.down(arb(0.25)) == 0.25
    assert rules.interval_end(1 / 3, rules.ROUND_FLOOR) == "0.333333"
    assert rules.interval_end(1 / 3, rules.ROUND_CEILING) == "0.333334"
