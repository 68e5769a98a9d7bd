"""The laws of the systems, and of runs, which know nothing of them."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.runs.verdict import Outcome
from symbolic.evidence.identity import Evidence

END = 1e12
# At the end of a run the loss differs from its law by corrections: of the direction, t^-2gamma, and
# log t/t. They are below this for the starts that are taken.
NEAR = 1e-4


def scaled(run, law):
    """`t^p L / C` at the end of a run."""
    one = law.laws[law.chosen]
    return float(run.t[-1] ** float(one.exponent) * run["loss"][-1] / one.constant)


@pytest.fixture(scope="module")
def neurons():
    system = flows.ReLUNeuron(n=3, d=3, teacher=[2, 0, 0])
    run = flows.integrate(system, system.initial(scale=0.2, seed=0), t_end=END)
    return run, flows.late_time_law(run)


def test_a_run_of_neurons_chooses_one_of_several_laws_and_follows_it(neurons):
    run, law = neurons
    assert len(law.laws) >= 1 and law.chosen is not None
    assert abs(scaled(run, law) - 1) < NEAR
    others = [one.constant for k, one in enumerate(law.laws) if k != law.chosen]
    assert all(abs(law.laws[law.chosen].constant / c - 1) > 10 * NEAR for c in others)
    assert law.laws[law.chosen].evidence["this run"] is Evidence.SAMPLED
    assert law.laws[law.chosen].evidence["direction"] is not Evidence.SAMPLED


def test_the_claims_of_a_law_hold_and_an_exponent_or_a_constant_that_is_off_is_violated(neurons):
    run, law = neurons
    upper, lower = law.claims()

    def verdict(claim):
        return flows.check(run, claim)[0].verdict

    assert verdict(upper) is verdict(lower) is Outcome.HOLDS
    assert verdict(replace(lower, exponent=sp.Rational(298, 100))) is Outcome.VIOLATED
    assert verdict(replace(upper, exponent=sp.Rational(31, 10))) is Outcome.VIOLATED
    for claim, factor in ((upper, 0.999), (lower, 1.001)):
        (c,) = claim.conclusions
        off = replace(claim, conclusions=(replace(c, constant=factor * c.constant),))
        assert verdict(off) is Outcome.VIOLATED


def test_two_neurons_have_the_constant_of_their_shares_and_teacher():
    system = flows.ReLUNeuron(n=2, d=4, teacher=[0, 3, 0, 4])
    run = flows.integrate(system, system.initial(seed=1), t_end=END)
    law = flows.late_time_law(run)
    h = run.state[-1] @ np.array([0, 3, 0, 4]) / 25
    assert law.laws[0].constant == pytest.approx(
        8 * np.pi**2 / 3 * (h[0] * h[1] / sum(h) ** 2) ** 2 * 25, rel=1e-12
    )
    assert abs(scaled(run, law) - 1) < 1e-8


@pytest.mark.parametrize(
    ("system", "constant"),
    [
        (flows.GMMEM(n=3, d=2, weights=[0.2, 0.3, 0.5]), 16 / 9),
        (flows.GMMEM(n=3, d=1, weights=[0.2, 0.3, 0.5]), None),
        (flows.ScoreMatching(n=3, d=2, noise_time=0.5, target=[1, 2]), 9 * np.e**2 / 32),
    ],
    ids=["other weights", "other weights on a line", "score matching"],
)
def test_a_run_of_a_mixture_follows_the_law_of_its_weights(system, constant):
    origin = np.zeros(system.d) if system.origin is None else system.origin
    start = np.random.default_rng(3).normal(size=(system.n, system.d)) / 10 + origin
    run = flows.integrate(system, start, t_end=1e10)
    law = flows.late_time_law(run)
    if constant is not None:
        assert law.laws[0].constant == pytest.approx(constant, rel=1e-12)
    assert abs(scaled(run, law) - 1) < NEAR
    wrong = [v.verdict for c in law.claims() for v in flows.check(run, replace(c, exponent=1.9))]
    assert Outcome.VIOLATED in wrong


def test_a_factorisation_converges_with_the_rate_of_its_law():
    system = flows.MatrixFactorization(d=2, target=np.diag([1.0, 0.5]))
    start = np.stack([np.diag([1.0, 0.9])] * 4) + 0.05 * system.initial(scale=1, seed=1)
    run = flows.integrate(system, start, t_end=40)
    law = flows.late_time_law(run)
    (one,) = law.laws
    assert one.kind == "exponential" and one.evidence["rate"] is Evidence.SAMPLED
    assert -run.quantities["loss_dot"][-1] / run["loss"][-1] == pytest.approx(one.rate, rel=1e-6)
    assert {v.verdict for c in law.claims() for v in flows.check(run, c)} == {Outcome.HOLDS}
    broken = replace(law, derived=replace(law.derived, laws=(replace(one, rate=1.001 * one.rate),)))
    assert Outcome.VIOLATED in {v.verdict for c in broken.claims() for v in flows.check(run, c)}


def test_a_failing_factorisation_has_a_power_law_on_the_balanced_cone():
    system = flows.MatrixFactorization(d=1, regularization=0)
    law = flows.late_time_law(system, at=np.zeros((4, 1, 1)), confined=True)
    (one,) = law.laws
    assert law.derived.limit == sp.Rational(1, 2)
    assert (one.exponent, one.constant_exact) == (2, sp.Rational(1, 4))


def test_a_run_that_stays_at_a_saddle_of_its_form_goes_to_no_attractor():
    # Two of three neurons coincide: there the form has a saddle.
    system = flows.ReLUNeuron(n=3, d=2)
    run = flows.integrate(system, [[0.3, 0.1], [0.2, -0.1], [0.2, -0.1]], t_end=1e8)
    law = flows.late_time_law(run)
    assert law.laws and law.chosen is None and "saddle" in law.notes[-1]
    with pytest.raises(InputError, match="claims: expected one law"):
        law.claims()


def test_a_run_near_a_saddle_is_told_when_it_will_have_left():
    system = flows.ReLUNeuron(n=3, d=2)
    start = np.array([[0.3, 0.1], [0.2, -0.100001], [0.2, -0.099999]])
    early = flows.late_time_law(flows.integrate(system, start, t_end=1e5))
    assert early.chosen is not None and "beside a saddle" in early.notes[-1]
    assert early.arrives > 1e6
    later = flows.late_time_law(flows.integrate(system, start, t_end=100 * early.arrives))
    assert later.arrives == 0.0
    assert early.laws[early.chosen].constant == pytest.approx(
        later.laws[later.chosen].constant, rel=1e-3
    )


def test_a_run_before_its_late_regime_has_no_law():
    system = flows.ReLUNeuron(n=3, d=3)
    law = flows.late_time_law(flows.integrate(system, system.initial(seed=0), t_end=10))
    assert not law.laws and law.reason.startswith("no late regime of the run is seen")


def test_a_component_that_escapes_has_a_logarithmic_law():
    system = flows.ScoreMatching(n=2, d=1, noise_time=0.5)
    start = np.exp(0.5) * np.array([[5.9], [6.05]])
    ratios = []
    for end in (1e5, 1e8):
        run = flows.integrate(system, start, t_end=end)
        law = flows.late_time_law(run)
        (one,) = law.laws
        assert (one.kind, one.exponent, one.log_exponent) == ("logarithmic", 1, 1)
        assert sp.simplify(one.constant_exact - 2 * sp.E) == 0
        # The clock of the noised means is slower by exp(-2 s) = 1/e.
        ratios.append(end * np.log(end / np.e) * run["loss"][-1] / one.constant)
    # The corrections die out like log log t / log t only.
    assert 0.8 < ratios[0] < ratios[1] < 1
    with pytest.raises(InputError, match="log log t"):
        law.claims()


def test_means_that_are_not_near_have_no_law_yet():
    system = flows.GMMEM(n=3, d=1)
    run = flows.integrate(system, [[0.0], [30.0], [-30.0]], t_end=1e3)
    law = flows.late_time_law(run)
    assert law.laws == () and law.reason


REFUSED = {
    "sum": ([[0.5, 0], [0.4, 0]], "sum to 0.9 times the teacher"),
    "line": ([[0.5, 0.1], [0.5, -0.1]], "neuron 1 is not along the teacher"),
    "side": ([[1.5, 0], [-0.5, 0]], "neuron 2 points away"),
}


@pytest.mark.parametrize(("at", "reason"), REFUSED.values(), ids=REFUSED)
def test_neurons_that_are_no_minimiser_are_refused(at, reason):
    law = flows.late_time_law(flows.ReLUNeuron(n=2, d=2), at=at)
    assert law.laws == () and reason in law.reason
    assert set(law.to_json()) == {"system", "parameters", "at", "laws", "reason"}


def test_dead_neurons_are_left_out():
    at = [[0.5, 0, 0], [0, 0, 0], [0.5, 0, 0]]
    law = flows.late_time_law(flows.ReLUNeuron(n=3, d=3), at=at)
    assert law.laws[0].constant_exact == sp.pi**2 / 6
    assert law.notes == ("1 neurons at zero are left out",)


Y = sp.Symbol("y")
QUARTIC = flows.OwnSystem("quartic", [Y], Y**4 / 4)


def test_an_own_loss_has_the_law_of_its_expression():
    assert str(flows.late_time_law(QUARTIC, at=[0.0])) == "L - L* ~ 0.0625 t^-2, C = 1/16"
    with pytest.raises(InputError, match="expected a minimiser of quartic"):
        flows.late_time_law(QUARTIC)


@pytest.mark.parametrize(
    ("subject", "at", "words"),
    [
        (flows.ReLUNeuron(n=2, d=2), None, "depends on their shares"),
        (flows.ReLUNeuron(n=2, d=2), [[1, 0]], r"at must have shape \(2, 2\)"),
        (flows.ReLUNeuron(n=2, d=2), [[np.nan, 0], [1, 0]], "at must be finite"),
        (flows.GMMEM(n=2, d=2), [[1, 0]], r"at must have shape \(2, 2\)"),
        (flows.MatrixFactorization(d=1), np.full((4, 1, 1), np.inf), "at must be finite"),
        (QUARTIC, [np.nan], "at: a minimiser must be finite"),
        (QUARTIC, [0, 0], "must be 1 real numbers"),
        ("relu_neuron", None, "expected a system or a run"),
    ],
)
def test_what_is_no_minimiser_or_no_system_is_an_error(subject, at, words):
    with pytest.raises(InputError, match=words):
        flows.late_time_law(subject, at=at)


def test_a_constant_is_measured_with_the_corrections_of_its_law(neurons):
    run, law = neurons
    one = law.laws[law.chosen]
    known = flows.tail_constant(run, law=one)
    assert abs(known.value - one.constant) <= known.error < 1e-6 * one.constant
    assert known.exponent == 3
    # A correction that is none of the law's does not give the limit.
    wrong = flows.tail_constant(run, law=replace(one, exponent=sp.Rational(29, 10)))
    assert abs(wrong.value - one.constant) > 0.1 * one.constant


def test_a_family_that_is_no_orbit_is_named_by_its_tangents():
    # The minimisers (s^3, s, s): across them, at s = 0, L = u^2/2 + v^4/4 with v = (c - b)/sqrt(2),
    # whose square is half of (c - b)^2: L ~ t^-2/64.
    a, b, c = sp.symbols("a b c", real=True)
    system = flows.OwnSystem("curve", [a, b, c], (a - b**3) ** 2 / 2 + (c - b) ** 4 / 4)
    assert "name its tangents" in flows.late_time_law(system, at=[0, 0, 0]).reason
    law = flows.late_time_law(system, at=[0, 0, 0], tangents=[[0, 1, 1]])
    assert law.laws[0].constant_exact == sp.Rational(1, 64) and law.laws[0].exponent == 2
    wrong = flows.late_time_law(system, at=[0, 0, 0], tangents=[[1, 0, 0]])
    assert "not in the kernel" in wrong.reason
    for given, line in (([[0, 1]], "arrays of 3 real numbers"), (["x"], "arrays of 3 real")):
        with pytest.raises(InputError, match=line):
            flows.late_time_law(system, at=[0, 0, 0], tangents=given)
