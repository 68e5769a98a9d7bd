"""Runs of two layers to late times: sixty digits, laws, claims and what breaks them by little."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from oracles import two_layer_references as references
from oracles.hidden_layer import flipped

import flows
import potentials
from flows.core.errors import InputError
from flows.systems.own.graded import graded
from flows.systems.two_layer.features import ALONE, FEATURES, WITH_ERRORS

# What is promised at t = 1e12; the references have sixty digits.
PROMISED = 1e-9
# Constants of laws against runs at t = 1e12, whose corrections are a few parts in t / log t.
LAW = 1e-8
# Eigenvalues of matrices of order one, from another order of the same sums.
ROUNDED = 1e-13
CLAIMS = {claim.id: claim for claim in potentials.claims("two_layer")}
TENTH, THOUSANDTH = sp.Rational(1, 10), sp.Rational(1001, 1000)


@pytest.fixture(scope="module")
def runs():
    """Runs of the references, each made once."""
    made = {}

    def run(name):
        if name not in made:
            system, start = references.RUNS[name]
            made[name] = flows.integrate(system, start, t_end=1e12)
        return made[name]

    return run


def verdict(run, claim):
    (found,) = flows.check(run, claim)
    return found.verdict


@pytest.mark.parametrize("name", ["trained", "erf"])
def test_the_loss_is_right_to_nine_digits_over_twelve_decades(runs, name):
    run, truth = runs(name), references.stored(name)
    assert run.status == "completed"
    seen = np.array([run["loss"][np.argmin(np.abs(run.t - t))] for t in references.TIMES])
    times = np.array([run.t[np.argmin(np.abs(run.t - t))] for t in references.TIMES])
    assert np.allclose(times, references.TIMES, rtol=1e-12)
    assert np.abs(seen / truth - 1).max() < PROMISED
    assert (np.abs(seen / truth - 1) <= run.errors("loss").max()).all()


def test_pairs_follow_the_sum_of_single_teacher_laws(runs):
    run = runs("trained")
    (at,) = run.features["cluster_constant"][-1:]
    assert abs(run.t[-1] ** 3 * run["loss"][-1] / at - 1) < LAW
    claim = CLAIMS["cluster_law"]
    assert verdict(run, claim) == "HOLDS"
    assert verdict(run, replace(claim, exponent=claim.exponent + TENTH)) == "VIOLATED"
    constant = potentials.symbol("cluster_constant")
    (only,) = claim.conclusions
    off = replace(only, lhs=only.lhs.subs(constant, THOUSANDTH * constant))
    assert verdict(run, replace(claim, conclusions=(off,))) == "VIOLATED"


def test_a_cluster_of_three_falls_like_the_cube_of_time_and_no_faster(runs):
    system, start = references.RUNS["3 + 1"]
    run = flows.integrate(system, start, t_end=1e9)
    assert verdict(run, CLAIMS["cluster_law"]) == "HYPOTHESIS_NOT_MET"
    for name, sign in (("cluster_upper", 1), ("cluster_lower", -1)):
        claim = CLAIMS[name]
        assert verdict(run, claim) == verdict(runs("trained"), claim) == "HOLDS"
        off = replace(claim, exponent=claim.exponent + sign * TENTH)
        assert verdict(run, off) == "VIOLATED"
    # The error function falls like the square, which is above the cube.
    beyond = [verdict(runs("erf"), CLAIMS[f"cluster_{side}"]) for side in ("upper", "lower")]
    assert beyond == ["HYPOTHESIS_NOT_MET", "HOLDS_BEYOND"]


def test_the_balance_of_trained_outputs_holds_and_a_thousandth_more_does_not(runs):
    run, claim = runs("trained"), CLAIMS["layer_balance"]
    assert verdict(run, claim) == "HOLDS"
    (only,) = claim.conclusions
    off = replace(only, constant=THOUSANDTH)
    assert verdict(run, replace(claim, conclusions=(off,))) == "VIOLATED"


def test_erf_with_outputs_that_sum_falls_like_the_square_of_time(runs):
    run, claim = runs("erf"), CLAIMS["erf_law"]
    assert verdict(run, claim) == "HOLDS"
    assert verdict(run, replace(claim, exponent=claim.exponent + TENTH)) == "VIOLATED"


def test_a_student_beside_a_slow_pair_is_slaved():
    system = flows.TwoLayer(3, [[1.0, 0.0], [0.5, 0.8]])
    run = flows.integrate(system, [[0.5, 0.2], [0.6, -0.1], [0.4, 0.9]], t_end=1e7)
    claim = CLAIMS["slaved"]
    assert verdict(run, claim) == "HOLDS"
    assert verdict(run, replace(claim, exponent=claim.exponent + TENTH)) == "VIOLATED"


@pytest.mark.parametrize("activation", ["relu", "leaky:0.1", "leaky:0.5", "leaky:-0.5"])
def test_as_many_students_as_teachers_converge_at_the_exact_rate(activation):
    """The rate is a multiple of that of ReLU, by the square of the kink."""
    system = flows.TwoLayer(2, 2, activation=activation)
    kink = (1 - system.parameters["negative_slope"]) ** 2
    run = flows.integrate(system, [[0.9, 0.2], [0.1, 1.2]], t_end=400.0 / kink)
    claim = CLAIMS["exact_rate"]
    assert verdict(run, claim) == "HOLDS"
    assert verdict(run, replace(claim, exponent=claim.exponent * THOUSANDTH)) == "VIOLATED"


def test_a_run_that_rests_in_a_minimum_above_zero_falls_to_it_at_the_rate_of_its_curvature():
    start = flipped(6) + 0.01 * np.random.default_rng(0).normal(size=(6, 6))
    run = flows.integrate(flows.TwoLayer(6, 6), start, t_end=3e3)
    assert verdict(run, CLAIMS["spurious_minimum"]) == "HOLDS"
    claim = CLAIMS["spurious_rate"]
    assert verdict(run, claim) == "HOLDS"
    assert verdict(run, replace(claim, exponent=claim.exponent + TENTH)) == "VIOLATED"


def test_a_run_that_rests_at_a_saddle_above_zero_has_reached_no_minimum():
    # Students at zero have no gradient, and a Hessian with the eigenvalue -8.
    run = flows.integrate(flows.TwoLayer(2, 2, activation="quadratic"), np.zeros((2, 2)), t_end=1e3)
    assert verdict(run, CLAIMS["spurious_minimum"]) == "VIOLATED"
    assert verdict(run, CLAIMS["spurious_rate"]) == "HYPOTHESIS_NOT_MET"


def test_students_next_to_zero_are_not_at_rest():
    # They leave at t = 77, with the rate 6, and the loss falls to zero.
    system = flows.TwoLayer(1, 1, activation="quadratic")
    run = flows.integrate(system, [[1e-200]], t_end=1e4)
    assert run.status == "field_failed"
    assert run.message.startswith("beside a saddle, and nothing says that it stays")


def test_a_run_beside_a_saddle_that_it_may_leave_says_nothing_of_minima():
    # Of five teachers the same point has the least eigenvalue -0.0077, of six 0.0047.
    run = flows.integrate(flows.TwoLayer(5, 5), flipped(5), t_end=600.0)
    found = flows.check(run, CLAIMS["spurious_minimum"])[0]
    assert found.verdict == "INCONCLUSIVE" and -0.00771 < found.measured < -0.0077
    (unmet,) = [h.unmet for h in found.hypotheses if not h.holds]
    assert unmet.startswith("the run is beside a saddle and may leave it")
    # Negative control: a run that is so much longer than 1/|lambda| has rested there.
    claim = CLAIMS["spurious_minimum"]
    *others, stays = claim.hypotheses
    shorter = replace(stays, lhs=stays.lhs.subs(100, 1))
    assert shorter.lhs != stays.lhs
    short = replace(claim, hypotheses=(*others, shorter))
    assert verdict(run, short) == "VIOLATED"
    assert verdict(run, CLAIMS["spurious_rate"]) == "HYPOTHESIS_NOT_MET"


def test_runs_to_zero_rest_in_no_minimum_above_it(runs):
    for name in ("trained", "erf"):
        assert verdict(runs(name), CLAIMS["spurious_minimum"]) == "HYPOTHESIS_NOT_MET"
    system = flows.TwoLayer(2, 2)
    found = flows.integrate_ensemble(
        system, [[[0.9, 0.2], [0.1, 1.2]]], 400.0, claims=["spurious_minimum"]
    )
    assert found["spurious_minimum_verdict"].tolist() == ["HYPOTHESIS_NOT_MET"]


def test_claims_say_nothing_where_their_hypotheses_are_not_met(runs):
    run = runs("erf")
    for name in ("layer_balance", "cluster_law", "exact_rate", "slaved"):
        assert verdict(run, CLAIMS[name]) in ("HYPOTHESIS_NOT_MET", "HOLDS_BEYOND")


def test_laws_are_derived_at_minimisers_and_from_runs(runs):
    two = flows.TwoLayer(4, 2)
    law = flows.late_time_law(two, at=[[0.4, 0.0], [0.6, 0.0], [0.0, 0.5], [0.0, 0.5]])
    assert law.laws[0].exponent == 3
    assert sp.simplify(law.laws[0].constant_exact - sp.Rational(1201, 3750) * sp.pi**2) == 0
    halves = flows.TwoLayer(3, 2, activation="erf", output_weights=[0.5, 0.5, 1.0])
    law = flows.late_time_law(halves, at=[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert law.laws[0].exponent == 2
    run = runs("erf")
    assert abs(run.t[-1] ** 2 * run["loss"][-1] / law.laws[0].constant - 1) < LAW
    alone = flows.late_time_law(flows.TwoLayer(2, 2)).laws[0]
    assert alone.kind == "exponential"
    assert abs(alone.rate - (0.5 - 1 / np.pi)) < 1e-12


def test_what_is_no_minimiser_has_no_law():
    system = flows.TwoLayer(3, 2)
    with pytest.raises(InputError, match="make the teachers up"):
        flows.late_time_law(system)
    for at, said in (
        ([[0.4, 0.0], [0.5, 0.0], [0.0, 1.0]], "not 1"),
        ([[0.4, 0.1], [0.6, 0.0], [0.0, 1.0]], "not along"),
    ):
        law = flows.late_time_law(system, at=at)
        assert not law.laws and said in law.reason


def test_observables_have_one_number_a_student_a_teacher_or_an_eigenvalue(runs):
    run = runs("trained")
    n, m = 4, 2
    assert run["shares"].shape == run["norms"].shape == (len(run.t), n)
    assert run["residual_norms"].shape == (len(run.t), m)
    assert run["hessian_spectrum"].shape == (len(run.t), n * 4)
    assert np.abs(run["shares"][-1].reshape(2, 2).sum(axis=1) - 1).max() < 1e-9
    # Residuals fall like t^-2, far below the last bits of the neurons.
    assert 0 < run["residual_norms"][-1].max() < 1e-22


@pytest.mark.parametrize(
    "teachers",
    [
        [[1.0, 0.0], [1.0, 1e-6]],
        [[1.0, 0.0], [2.0, 0.0]],
        [[1.0, 0.0], [-1.0, 0.0]],
        [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
    ],
    ids=["nearly parallel", "parallel", "opposite", "dependent"],
)
def test_dependent_teachers_have_runs_and_claims_about_clusters_do_not_hold_of_them(teachers):
    start = [[0.5, 0.1], [0.4, -0.1], [-0.2, 0.3], [0.3, 0.9]]
    run = flows.integrate(flows.TwoLayer(4, teachers), start, t_end=1e3)
    # The third student has no teacher on its side where they are on one line: it reaches zero.
    assert run.status == "completed" or "student 3 is zero" in run.message
    assert (run["loss"] > 0).all()
    assert (np.diff(run["loss"]) < 0).all()
    (found,) = flows.check(run, CLAIMS["cluster_law"])
    assert found.verdict != "VIOLATED"


def test_small_eigenvalues_of_balls_are_found_in_units_of_their_own():
    from flint import arb

    from flows.core.balls import precision

    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))
    sizes = [1.0, 0.3, 1e-9, 3e-21]
    with precision(300):
        # Of exact columns that are orthogonal to sixteen digits, the same up to these.
        rows = [
            [
                sum(arb(h) * arb(turn[i, k]) * arb(turn[j, k]) for k, h in enumerate(sizes))
                for j in range(4)
            ]
            for i in range(4)
        ]
        found, axes = graded(rows)
    assert np.abs(found / sizes[::-1] - 1).max() < 1e-12
    assert np.abs(axes.T @ axes - np.eye(4)).max() < 1e-12
    # Negative control: doubles do not see the smallest one.
    plain = np.linalg.eigvalsh(turn @ np.diag(sizes) @ turn.T)
    assert abs(plain[0] / sizes[-1] - 1) > 1e3


def test_a_loss_far_below_all_known_failures_that_still_falls_has_the_limit_zero():
    # The excess is then the loss, with the errors of the states; else the limit is looked for.
    system = flows.TwoLayer(2, 2)
    run = flows.integrate(system, system.initial(0.5, 0), t_end=50.0, t_eval=[50.0])
    way = system._way
    assert 0 < run["loss"][-1] < way.low == 5e-4
    assert run.excess.limit == 0.0 and np.array_equal(run["excess"], run["loss"])
    assert (run.excess.error >= run.states.seen[:, 3] * run["loss"]).all()
    seen = run.states.seen
    assert way.vanishes(seen, run.t)
    # Controls: a loss that is a little larger, and one that falls a little less than 1/t.
    assert not replace(way, low=run["loss"][-1]).vanishes(seen, run.t)
    exponent = -flows.local_exponent(run)[-1]
    assert not way.vanishes(seen, run.t / (1.001 * exponent))
    assert way.vanishes(seen, run.t / (0.999 * exponent))
    for other in (
        flows.TwoLayer(1, 2),
        flows.TwoLayer(2, 2, activation="erf"),
        flows.TwoLayer(2, [[1.0, 1e-3], [0.0, 1.0]]),
        flows.TwoLayer(2, 2, train_outputs=True),
    ):
        assert other._way.low == 0.0
    # The least one that is known, of six teachers, is not below it.
    assert flows.TwoLayer(6, 6)._way.low < 0.0250806 / 100


def test_eigenvalues_along_a_run_are_those_of_the_hessian_in_all_dimensions():
    system = flows.TwoLayer(2, 2, d=6)
    run = flows.integrate(system, system.initial(0.5, 0), t_end=1.0, t_eval=[1.0])
    for k, state in enumerate(run.state):
        whole = np.linalg.eigvalsh(system.hessian(state))
        # Those of the two dimensions beyond the span are one and the same two.
        found = run.features["eigenvalue"][k]
        assert len(found) == 8
        off = np.abs(whole[:, None] - found).min(axis=0)
        bound = run.feature_errors["eigenvalue"][k] + ROUNDED
        assert (off <= bound).all() and (np.diff(found) >= 0).all()
        least = run.features["least_eigenvalue"][k]
        assert abs(least - whole[0]) <= run.feature_errors["least_eigenvalue"][k] + ROUNDED
        # Control: another state is told from it.
        assert abs(run.features["least_eigenvalue"][1 - k] - whole[0]) > 1e3 * bound[0]


def test_what_is_seen_of_students_is_evaluated_where_it_is_asked_for():
    # The names are those of the arrays, and of their errors.
    system = flows.TwoLayer(2, 2)
    run = flows.integrate(system, system.initial(0.5, 0), t_end=1.0, t_eval=[1.0])
    assert "norm" not in dict.keys(run.features) and "norm" in run.features
    assert run.features["norm"].shape == (2, 2) and "norm" in dict.keys(run.features)
    assert set(run.features.costly) >= set(FEATURES)
    assert set(WITH_ERRORS) | set(ALONE) <= set(run.feature_errors.costly)
    for name in FEATURES:
        assert len(run.features[name]) == 2


@pytest.mark.parametrize(("scale", "member", "name"), [(1.0, 11, "loss"), (0.3, 172, "z_norms")])
def test_one_teacher_states_errors_that_grow(scale, member, name):
    # A far neuron crosses the axis; a part of a neuron passes by zero.
    neurons = flows.ReLUNeuron(2, 2)
    start = flows.Law(400, scale, seed=30).start(neurons, member)
    layers = flows.TwoLayer(students=2, d=2, teachers=[[1.0, 0.0]])
    one, other = (flows.integrate(s, start, 100.0, rtol=1e-8) for s in (neurons, layers))
    assert (one.absolute_errors(name) == other.absolute_errors(name)).all()
    assert other.error(name) > 3 * other.errors("gradient_norm")[1]
