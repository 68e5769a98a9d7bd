"""The late regime: which closed forms have begun it, and which only look still."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.piece import Event
from flows.runs import open_constant
from flows.runs.check import check
from flows.runs.quantities import Quantities
from flows.runs.regime import _spectrum, late_regime
from flows.runs.stated_constant import CLOSELY
from potentials import EXPONENT, Comparison, Inequality, Source, Statements, symbol

SOURCE = Source("nobody", 2000, "0000.00000", "a test", "inequality")


@dataclass(frozen=True)
class Fall:
    """A loss in closed form with its exact rate, as if a gradient flow had it."""

    t: np.ndarray
    loss: np.ndarray
    loss_dot: np.ndarray
    curvatures: np.ndarray | None = None
    events: tuple = ()
    status: str = "completed"
    leading: str = "loss"
    names: tuple = ("loss", "gradient_norm")

    @property
    def features(self):
        gradient = np.sqrt(-self.loss_dot)
        return {"loss": self.loss, "loss_dot": self.loss_dot, "gradient_norm": gradient}

    @property
    def parameters(self):
        return {"system": "closed form"}

    @property
    def statements(self):
        return Statements((), (), ())

    @cached_property
    def quantities(self):
        return Quantities(self)

    @property
    def tolerance(self):
        return np.full(len(self.t), 1e-8)

    @property
    def feature_errors(self):
        return {}

    def errors(self, name):
        return self.tolerance


def fall(expression, end, **changes):
    """Run with this loss, an expression in the time."""
    t = sp.Symbol("t", positive=True)
    loss = expression(t)
    at = np.concatenate([[0.0], np.geomspace(1e-3, end, 10 * round(np.log10(end / 1e-3)) + 1)])
    with np.errstate(under="ignore"):
        value, rate = (
            np.array(sp.lambdify(t, x, "numpy")(at) + 0 * at) for x in (loss, sp.diff(loss, t))
        )
    return Fall(at, value, rate, **changes)


def power(t):
    return (1 + t) ** -3


def two_regimes(t):
    return sp.exp(-t) + sp.Rational(1, 10**12) * (1 + t / 10**6) ** -2


FAST, SLOW = np.array([0.5, 0.5]), np.array([1e-9, 0.5])
SEEN = {
    "a power": (power, 1e6, {}, "power"),
    "a power to a positive limit": (lambda t: sp.S.Half + (1 + t) ** -2 / 4, 1e8, {}, "limit"),
    "an exponential, all directions fast": (
        lambda t: sp.exp(-t),
        40.0,
        {"curvatures": FAST},
        "exponential",
    ),
    "an exponential to the end of doubles": (lambda t: sp.exp(-t), 1e4, {}, "exponential"),
    "one over t log t": (lambda t: 1 / ((t + 3) * sp.log(t + 3)), 1e6, {}, "power"),
    "a power that still changes, in its time": (
        lambda t: (1 + t / 1000) ** -2,
        1e4,
        {"curvatures": np.array([1e-4, 0.3])},
        "power",
    ),
}
NOT_SEEN = {
    "nothing has happened": (lambda t: (1 + t / 10**9) ** -3, 1e4, {}, "hardly changes"),
    "a plateau": (lambda t: 1 + sp.exp(-t), 1e3, {}, "hardly changes"),
    "an exponential onto a slower tail": (two_regimes, 20.0, {"curvatures": SLOW}, "slower tail"),
    "an exponential of unknown curvature": (lambda t: sp.exp(-t), 40.0, {}, "slower tail"),
    "the tail begins": (two_regimes, 1e4, {}, "hardly changes"),
    "a power that still changes": (lambda t: (1 + t / 1000) ** -2, 1e4, {}, "still changes"),
    "a saddle": (power, 1e6, {"curvatures": np.array([-1e-4, 1.0])}, "saddle"),
    "an event a moment ago": (power, 1e6, {"events": (Event(5e5, "escape", ""),)}, "just changed"),
    "too short": (power, 5.0, {}, "still changes"),
    "an early end": (power, 1e6, {"status": "step_budget"}, "ended early"),
}


@pytest.mark.parametrize("case", SEEN)
def test_a_late_regime_is_seen(case):
    form, end, more, kind = SEEN[case]
    found = late_regime(fall(form, end, **more))
    assert found.begun and found.kind == kind and found.since <= end / 10


@pytest.mark.parametrize("case", NOT_SEEN)
def test_what_only_looks_still_is_no_late_regime(case):
    form, end, more, reason = NOT_SEEN[case]
    found = late_regime(fall(form, end, **more))
    assert not found.begun and reason in found.reason


def test_what_is_not_known_at_the_end_is_left_out():
    run = fall(lambda t: sp.exp(-t), 40.0, curvatures=FAST)
    unknown = replace(run, loss=np.where(run.t > 30, np.nan, run.loss))
    assert late_regime(unknown).kind == "exponential"
    nothing = replace(run, loss=np.nan * run.loss)
    assert "not known" in late_regime(nothing).reason


def test_the_time_before_which_a_law_does_not_begin_is_estimated():
    found = late_regime(fall(lambda t: (1 + t / 10**9) ** -3, 1e4))
    assert 1e8 < found.not_before < 1e9  # the loss changes by its own size in a third of 1e9
    run = fall(lambda t: (1 + t / 10**9) ** -3, 1e4)
    assert found.not_before == pytest.approx(1e4 * run.loss[-1] / (1e4 * -run.loss_dot[-1]))


# Claims about the flow of y^4/4, L = 1/(16 t^2): which are true with some constant C > 0.
t, loss, loss_dot = symbol("t"), symbol("loss"), symbol("loss_dot")
WRITTEN = {
    "dL/dt <= -C L": (Comparison(loss_dot, "<=", -loss, where=(t - 1,)), False),
    "-dL/dt >= C L": (Comparison(-loss_dot, ">=", loss, where=(t - 1,)), False),
    "t dL/dt <= -C t L": (Comparison(t * loss_dot, "<=", -t * loss, where=(t - 1,)), False),
    "dL/dt <= -C L^2": (Comparison(loss_dot, "<=", -(loss**2), where=(t - 1,)), True),
    "-dL/dt >= C L^2": (Comparison(-loss_dot, ">=", loss**2, where=(t - 1,)), True),
    "dL/dt >= -C L": (Comparison(loss_dot, ">=", -loss, where=(t - 1,)), True),
    "-dL/dt <= C L": (Comparison(-loss_dot, "<=", loss, where=(t - 1,)), True),
    "dL/dt >= C L": (Comparison(loss_dot, ">=", loss, where=(t - 1,)), False),
    "-dL/dt <= -C L": (Comparison(-loss_dot, "<=", -loss, where=(t - 1,)), False),
    "-L <= C t^-9": (Comparison(-loss, "<=", t**-9, where=(t - 1,)), True),
    # The frozen factor is exp(-1406), below all doubles.
    "L exp(-9e4 L(0)) <= C t^-2.1": (
        Comparison(
            loss * sp.exp(-90000 * symbol("loss_0")),
            "<=",
            t ** sp.Rational(-21, 10),
            where=(t - 1,),
        ),
        False,
    ),
    # The right side is zero until t = 100, and negative then: it does not change its sign.
    "t dL/dt <= -C max(t - 100, 0) L/t": (
        Comparison(t * loss_dot, "<=", -sp.Max(t - 100, 0) * loss / t, where=(t - 1,)),
        True,
    ),
}


def test_a_frozen_factor_that_is_negative_turns_an_inequality_round():
    run = fall(lambda t: (4 + 2 * t) ** -2 / 4, 1e8)
    falling = symbol("loss_dot_0")  # negative, and it does not move
    for factor, true in ((falling, True), (falling**2, False), (symbol("loss_0"), False)):
        claim = Inequality(
            id="own",
            statement="",
            source=SOURCE,
            conclusions=(Comparison(factor * -loss_dot, ">=", factor * loss, where=(t - 1,)),),
        )
        (found,) = check(run, claim)
        assert found.verdict == ("HOLDS" if true else "VIOLATED"), found.message


@pytest.mark.parametrize("text", WRITTEN)
def test_the_same_claim_has_the_same_verdict_however_it_is_written(text):
    comparison, true = WRITTEN[text]
    run = fall(lambda t: (4 + 2 * t) ** -2 / 4, 1e8)
    claim = Inequality(id="own", statement=text, source=SOURCE, conclusions=(comparison,))
    (found,) = check(run, claim)
    assert found.verdict == ("HOLDS" if true else "VIOLATED"), found.message


def decided(run, relation, rhs):
    claim = Inequality(
        id="own",
        statement="",
        source=SOURCE,
        conclusions=(Comparison(loss, relation, rhs, where=(t - 1,)),),
    )
    (found,) = check(run, claim)
    return found


def test_the_slope_is_that_of_the_late_regime_and_two_decades_of_it_refute():
    for time, verdict in ((1e7, "VIOLATED"), (2e7, "INCONCLUSIVE"), (1e8, "INCONCLUSIVE")):
        run = fall(power, 1e9, events=(Event(time, "escape", ""),))
        found = decided(run, "<=", t ** sp.Rational(-31, 10))
        assert found.verdict == verdict
        begin = float(found.message.split("[")[1].split(",")[0])
        assert time <= begin <= 1.3 * time  # the first output time since then
    assert "[1e+06, 1e+09]" in decided(fall(power, 1e9), "<=", t**-3).message


@pytest.mark.parametrize(
    ("power_of_t", "power_of_log", "verdict"),
    [
        (0.2, 1, "VIOLATED"),  # the slope falls to a fifth, slowly
        (0.03, 0, "VIOLATED"),
        (0.015, 0, "INCONCLUSIVE"),
        (0.001, 0, "INCONCLUSIVE"),
        (0, 1, "INCONCLUSIVE"),  # 1/log t: no constant serves, but no run shows it
        (0, 0, "HOLDS"),
        (-0.001, 0, "HOLDS"),
        (-0.2, 1, "HOLDS"),
    ],
)
def test_a_ratio_that_grows_is_refuted_by_a_still_or_a_large_slope(
    power_of_t, power_of_log, verdict
):
    growth = t ** sp.Float(power_of_t) * sp.log(t) ** power_of_log
    assert decided(fall(power, 1e9), "<=", t**-3 / growth).verdict == verdict
    assert decided(fall(power, 1e9), ">=", t**-3 * growth).verdict == verdict


def test_a_right_side_that_changes_its_sign_decides_nothing():
    mixed = Comparison(loss_dot, "<=", (t - 100) * loss, where=(t - 1,))
    claim = Inequality(id="own", statement="", source=SOURCE, conclusions=(mixed,))
    (found,) = check(fall(power, 1e8), claim)
    assert found.verdict == "INCONCLUSIVE" and "changes its sign" in found.message


@pytest.mark.parametrize(("relation", "constant"), [("<=", 1.1), (">=", 1 / 1.1)])
def test_the_smallest_change_of_the_exponent_that_would_fail_is_found(relation, constant):
    run = fall(power, 1e6)
    bound = Comparison(
        loss, relation, (1 + t) ** -EXPONENT, constant=sp.Float(constant), where=(t - 1,)
    )
    claim = Inequality(id="own", statement="", source=SOURCE, conclusions=(bound,), exponent=3)
    (found,) = check(run, claim)
    # (1 + t)^change passes 1.1 at the last time.
    expected = np.log(1.1) / np.log1p(run.t[-1])
    assert found.verdict == "HOLDS"
    assert expected <= found.exponent_resolution <= CLOSELY * expected


def test_the_error_of_a_measured_exponent_is_that_of_the_slope_over_the_slope_of_the_base():
    run = fall(lambda t: (t + sp.Rational(1, 10**9)) ** -6, 1e6)
    for p in (2, 6):  # the right side is (t^(-6/p))^p
        bound = Comparison(loss, "<=", (t ** sp.Rational(-6, p)) ** EXPONENT, where=(t - 1,))
        claim = Inequality(id="own", statement="", source=SOURCE, conclusions=(bound,), exponent=p)
        (found,) = check(run, claim)
        # A slope is seen from the tenfold of its error on, which here is rounding alone.
        assert found.error == pytest.approx(
            p / 6 * open_constant.STILL * found.resolution, rel=1e-3
        )


def test_no_message_speaks_of_ever():
    claim = Inequality(
        id="own", statement="", source=SOURCE, conclusions=(WRITTEN["dL/dt <= -C L"][0],)
    )
    for run in (fall(power, 1e8), fall(power, 5.0), replace(fall(power, 1e8), status="nonfinite")):
        assert "for ever" not in check(run, claim)[0].message


# --- the rules one by one, on numbers at their thresholds -----------------------------------------


def at(times, loss, **changes):
    """Run with these output times and this loss."""
    t = sp.Symbol("t", positive=True)
    times = np.array(times, dtype=float)
    value, rate = (
        np.array(sp.lambdify(t, x, "numpy")(times) + 0 * times)
        for x in (loss(t), sp.diff(loss(t), t))
    )
    return Fall(times, value, rate, **changes)


@pytest.mark.parametrize(
    ("times", "enough"),
    [
        ([0, 1e5, 1e6], True),  # the last decade has its begin
        ([0, 1, 0.99e5, 1e6], False),
        ([0, 1, 1e3, 1e6], False),
        ([0], False),
        ([0, 1], False),
    ],
)
def test_two_output_times_of_the_last_decade_are_needed(times, enough):
    assert ("too few output times" in late_regime(at(times, power)).reason) is not enough


def test_a_regime_is_seen_from_a_tenth_of_the_last_time_that_is_known():
    run = fall(lambda t: sp.exp(-t), 40.0, curvatures=FAST)
    assert late_regime(run).since == run.t[-1] / 10
    shorter = replace(run, loss=np.where(run.t > 30, np.nan, run.loss))
    assert late_regime(shorter).since == run.t[run.t <= 30][-1] / 10
    changing = fall(*SEEN["a power that still changes, in its time"][:2], curvatures=np.ones(2))
    assert late_regime(changing).since == 1e3 and not late_regime(changing).settled


def test_a_tenth_of_the_time_must_have_passed_without_an_event():
    for time, begun in ((1e5, True), (1.01e5, False)):
        found = late_regime(fall(power, 1e6, events=(Event(time, "escape", ""),)))
        assert found.begun is begun and found.since == pytest.approx(
            time if begun else np.nan, nan_ok=True
        )
        assert begun or found.not_before == 10 * time
        # Also where the exponent still changes.
        form, end, more, _ = SEEN["a power that still changes, in its time"]
        late = late_regime(fall(form, end, **more, events=(Event(time / 100, "escape", ""),)))
        assert late.begun is begun


def test_an_exponent_that_has_come_to_rest_near_zero_is_no_power():
    for exponent, kind in ((0.12, "power"), (0.08, "")):
        found = late_regime(fall(lambda t, p=exponent: (1 + t) ** -sp.Float(p), 1e8))
        assert found.kind == kind


def test_the_last_exponent_says_whether_the_loss_still_moves():
    form, end, more, _ = SEEN["a power that still changes, in its time"]
    run = fall(form, end, **more)
    for place, kind in ((-1, ""), (-2, "power")):
        rate = run.loss_dot.copy()
        rate[place] /= 1e3
        assert late_regime(replace(run, loss_dot=rate)).kind == kind


STILL = {  # output times from the hundredth part of the end on, and whether they are enough
    (1e-2, 5e-2, 2e-1, 1): True,
    (1.5e-2, 5e-2, 2e-1, 1): True,
    (1.6e-2, 5e-2, 2e-1, 1): False,
    (1e-2, 2e-1, 1): False,
    (0.9e-2, 5e-2, 2e-1, 1): False,
    (7e-2, 1e-1, 2e-1, 5e-1, 1): False,
}


def limited(parts, slope=1.0, end=1.0, **changes):
    """Loss that stands still, and its gradient falls like this power of time."""
    t = np.array([0, *(end * x for x in (1e-4, 3e-4, 1e-3, 3e-3)), *(end * x for x in parts)])
    rate = -((1e-3 * (1e-9 * end + t) ** -slope) ** 2) / end
    return Fall(t, np.ones_like(t), rate * 1e-3, **changes)


@pytest.mark.parametrize("parts", STILL)
def test_two_decades_of_the_gradient_show_that_the_loss_has_a_limit(parts):
    found = late_regime(limited(parts))
    assert found.kind == ("limit" if STILL[parts] else "")
    if STILL[parts]:
        assert found.since == parts[0]
        later = late_regime(limited(parts, events=(Event(0.1, "escape", ""),)))
        assert later.since == 0.1


def test_the_gradient_must_fall_faster_than_the_root_of_time():
    for slope, kind in ((0.56, "limit"), (0.54, "")):  # faster by the drift of an exponent
        assert late_regime(limited((1e-2, 5e-2, 2e-1, 1), slope)).kind == kind
    # Over both decades: not only over the last one.
    run = limited((1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1))
    early = np.where(run.t < 0.1, run.loss_dot[run.t == 0.1], run.loss_dot)
    assert late_regime(replace(run, loss_dot=early)).kind == ""


def test_an_exponential_needs_two_times_in_the_second_half():
    # With one, all that is known is that every direction has had its time.
    for parts, kind, settled in (((0.5, 1), "exponential", True), ((0.49, 1), "power", False)):
        times = [0, *(40 * x for x in (0.1, 0.2, 0.3, *parts))]
        found = late_regime(at(times, lambda t: sp.exp(-t), curvatures=FAST))
        assert (found.kind, found.settled) == (kind, settled)


@pytest.mark.parametrize(
    ("eigenvalues", "found"),
    [
        ([10.0, 20.0], (False, False, True)),
        ([9.99, 20.0], (False, True, True)),
        ([0.3, 1.0], (False, True, False)),
        ([0.31, 1.0], (False, True, True)),
        ([-5.0, 1.0], (False, True, False)),
        ([-5.01, 1.0], (True, True, False)),
        # Rounding of the Hessian, relative to its largest eigenvalue.
        ([-5.01, 1e12], (False, True, False)),
        ([-5.01, 1e10], (True, True, False)),
    ],
)
def test_eigenvalues_times_the_time_say_what_has_passed(eigenvalues, found):
    run = fall(power, 1e3, curvatures=np.array(eigenvalues))
    assert _spectrum(run, 1.0) == found
    assert _spectrum(replace(run, curvatures=np.array(eigenvalues) / 4), 4.0) == found


def test_without_eigenvalues_nothing_has_passed_and_one_direction_may_be_slow():
    assert _spectrum(fall(power, 1e3), 1.0) == (False, True, False)


@pytest.mark.parametrize(
    ("across", "beside", "outcome"),
    [
        (1.0, 1e-8, "INCONCLUSIVE"),  # t^2 L is 1/64, and 1/8 from t = 1e32 on
        (1.8, 1e-8, "INCONCLUSIVE"),
        (2.1, 1e-8, "HOLDS"),  # here the state turns back to where t^2 L is 1/64
        (1.0, 0.1, "HOLDS"),  # and here it has turned
    ],
)
def test_a_bound_is_not_decided_while_a_direction_waits_beside_a_saddle(across, beside, outcome):
    x, y, c = sp.symbols("x y C", real=True)
    system = flows.OwnSystem("waits", [x, y], x**4 + across * x**2 * y**2 + y**4 / 8)
    run = flows.integrate(system, [1.0, beside], 1e9)
    (found,) = flows.check(run, symbol("loss") <= c * symbol("t") ** -2)
    assert found.verdict == outcome
    waits = outcome == "INCONCLUSIVE"
    assert late_regime(run).turns == waits == ("can still turn" in found.message)
