"""Gradient EM against oracles that share no code with it, and its claims with their controls."""

import json
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from oracles import references
from oracles.claims import sharpened

import flows
import potentials
from flows.cli.main import main
from flows.core.errors import InputError
from flows.systems.mixture.means import FAR, NEAR
from potentials.notation import symbol
from tests.oracles import mixture_lines

CLAIMS = {c.id: c for c in potentials.claims("gmm_em")}
# What the values promise; the oracle has 40 digits.
ACCURACY = 1e-11
# Central differences of step 1e-4: truncation 1e-8 times third derivatives, of order one, and
# errors of 1e-12 divided by the step.
STEP, DIFFERENCE = 1e-4, 2e-7
STANDARD_ERRORS = 5.0
# Along a run at rtol = 1e-10; 5e-11 was measured.
ALONG_A_RUN = 1e-9


def on_a_line(means, weights):
    loss, gradient, hessian = mixture_lines.expectations(False, means, weights, 40, hessian=True)
    return float(loss), np.array(gradient, dtype=float), np.array(hessian, dtype=float)


def tilted(means, d, seed=3):
    """Means on a line through the origin of R^d."""
    axis = np.random.default_rng(seed).normal(size=d)
    return np.outer(means, axis / np.linalg.norm(axis)), axis / np.linalg.norm(axis)


# --- loss, gradient, Hessian ----------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 0.3, 0.6, 2.0, 6.0])
@pytest.mark.parametrize("d", [1, 3])
def test_loss_gradient_and_hessian_agree_with_forty_digits(scale, d):
    line = scale * np.array([1.0, -0.4, 0.7])
    system = flows.GMMEM(3, d, [0.2, 0.3, 0.5])
    loss, gradient, hessian = on_a_line(line.tolist(), system.weights)
    means, axis = tilted(line, d)
    found = system.expectations(means)
    assert found.loss == pytest.approx(loss, rel=ACCURACY)
    assert found.error <= ACCURACY
    error = np.abs(found.gradient - np.outer(gradient, axis)).max()
    assert error <= ACCURACY * np.abs(gradient).max()
    along = np.einsum("a,iajc,c->ij", axis, system.hessian(means).reshape(3, d, 3, d), axis)
    np.testing.assert_allclose(along, hessian, atol=ACCURACY)


def test_means_of_1e_minus_8_keep_every_digit_of_the_loss():
    # KL = tr(C^2)/4 + |m|^2/2 to leading order; here m = 0, and corrections are of order 1e-16.
    a = 1e-8
    system = flows.GMMEM(4, 2)
    means = a * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    c = means.T @ means / 4
    assert system.loss(means) == pytest.approx(np.trace(c @ c) / 4, rel=1e-12)
    np.testing.assert_allclose(system.gradient(means), means @ c / 4, atol=1e-12 * a**3)


def test_the_field_of_components_at_twelve_is_found_and_is_not_zero():
    system = flows.GMMEM(3, 2)
    gradient = system.gradient([[12.0, 0.0], [-12.0, 0.0], [0.0, 0.0]])
    exact = on_a_line([12.0, -12.0, 0.0], system.weights)[1]
    assert 1e-9 < exact[0] < 1e-8
    np.testing.assert_allclose(gradient[:, 0], exact, rtol=1e-9, atol=1e-20)


@pytest.mark.parametrize("n", [3, 7])
def test_loss_and_gradient_are_the_definitions_in_expectation(n):
    d, count = n, 200_000
    system = flows.GMMEM(n, d)
    means = np.random.default_rng(2).normal(size=(n, d)) * 0.5
    x = np.random.default_rng(8).normal(size=(count, d))
    weights = np.exp(x @ means.T - np.sum(means**2, axis=1) / 2) / n
    psi = weights / weights.sum(axis=1, keepdims=True)
    found = system.expectations(means)
    minus_log = -np.log(weights.sum(axis=1))
    bar = STANDARD_ERRORS * minus_log.std() / np.sqrt(count)
    assert abs(minus_log.mean() - found.loss) < bar + found.error * found.loss
    assert abs(minus_log.mean() + found.loss) > bar
    for i in range(n):
        pull = psi[:, i, None] * (means[i] - x)
        bars = STANDARD_ERRORS * pull.std(axis=0) / np.sqrt(count) + found.error
        assert (np.abs(pull.mean(axis=0) - found.gradient[i]) < bars).all()


def test_the_dimension_costs_nothing_and_rotations_change_nothing():
    means = np.random.default_rng(1).normal(size=(3, 3))
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(10_000, 3)))[0].T
    small, large = flows.GMMEM(3, 3), flows.GMMEM(3, 10_000)
    a, b = small.expectations(means), large.expectations(means @ q)
    assert b.loss == pytest.approx(a.loss, rel=1e-12)
    assert a.nodes / 3 < b.nodes < 3 * a.nodes
    np.testing.assert_allclose(b.gradient, a.gradient @ q, atol=1e-12)


@pytest.mark.parametrize("scale", [0.1, 1.0])
@pytest.mark.parametrize("coincide", [False, True])
def test_the_jacobian_of_both_charts_is_the_derivative_of_their_field(scale, coincide):
    system = flows.GMMEM(4, 3, [0.25, 0.3, 0.2, 0.25])
    means = np.random.default_rng(4).normal(size=(4, 3)) * scale / 2
    means[3] = means[0] if coincide else means[3]
    frame, state = system.reduce(means)
    piece = system.piece(frame, state, 0.0)
    chart = piece.chart
    assert piece.kind == (NEAR if scale < 1 else FAR)
    assert len(frame.weight) == (3 if coincide else 4)
    y, h = chart.y0, STEP
    steps = h * np.eye(len(y))
    numerical = np.array([(chart.rhs(0.7, y + e) - chart.rhs(0.7, y - e)) / (2 * h) for e in steps])
    np.testing.assert_allclose(chart.jacobian(0.7, y), numerical.T, atol=DIFFERENCE)
    velocity = chart.rhs(0.0, y) - chart.clock.decay / chart.clock.offset * y
    moved = piece.decode(chart.x0 + velocity * chart.clock.scale(0.0))
    np.testing.assert_allclose(
        system.restore(frame, moved) - means, -system.gradient(means), atol=1e-11
    )


# --- runs -----------------------------------------------------------------------------------------


def test_one_component_follows_its_exponential_exactly():
    run = flows.integrate(flows.GMMEM(1, 3), [[0.3, -0.4, 1.2]], 300.0)
    np.testing.assert_allclose(run["loss"], 0.845 * np.exp(-2 * run.t), rtol=1e-12)
    assert run["loss"][-1] < 1e-255


def test_coincident_components_of_equal_weight_are_one():
    run = flows.integrate(flows.GMMEM(3, 2), np.ones((3, 2)), 60.0)
    np.testing.assert_allclose(run["loss"], np.exp(-2 * run.t / 3), rtol=1e-12)
    unequal = flows.integrate(flows.GMMEM(3, 2, [0.2, 0.3, 0.5]), np.ones((3, 2)), 60.0)
    assert unequal["loss"][-1] > 1e3 * run["loss"][-1]


@pytest.mark.parametrize("method", ["auto", "BDF", "Radau"])
def test_a_run_agrees_with_fifty_digits(method):
    system, start, times = references.RUNS["em"]
    exact = references.stored("em")
    run = flows.integrate(system, start, times[-1], t_eval=times, method=method)
    for name in ("loss", "gradient_norm", "fisher", "max_norm"):
        np.testing.assert_allclose(run[name], exact[name], rtol=ALONG_A_RUN)


def test_stored_digits_are_those_that_fifty_digits_give():
    first = references.RUNS["em"][2][:1]
    for key, (_, value) in references.computed("em", first).items():
        # The steps of the reference are right to 25 digits, what is observed to half a unit.
        assert references.stored("em")[key][1] == pytest.approx(value, rel=1e-15), key


@pytest.mark.parametrize("start", [(3, 2, None), (3, 2, [0.2, 0.3, 0.5]), (5, 3, None)])
def test_long_runs_agree_between_tolerances_and_end_on_the_asymptote(start):
    n, d, weights = start
    system = flows.GMMEM(n, d, weights)
    means = system.initial(0.5, 1)
    loose = flows.integrate(system, means, 1e8, rtol=1e-8)
    tight = flows.integrate(system, means, 1e8, rtol=1e-11)
    assert tight.completed
    np.testing.assert_allclose(loose["loss"], tight["loss"], rtol=1e-6)
    assert tight.features["quadrature_error"].max() <= 1e-11
    if weights is None:  # C' = -(2/n) C^2 in each of r dimensions, L = tr(C^2)/4
        r = min(d, n - 1)
        assert tight["loss"][-1] * 1e16 == pytest.approx(r * n**2 / 16, rel=1e-3)
    assert tight.features["nodes"][-1] < tight.features["nodes"][0]


def test_rates_are_derivatives_along_the_run():
    system = flows.GMMEM(3, 2, [0.2, 0.3, 0.5])
    times = np.array([1.0, 1.0001, 1.0002])
    run = flows.integrate(system, system.initial(1.0, 2), 2.0, t_eval=times, rtol=1e-12)
    for name in ("loss", "fisher", "norm"):
        value, rate = run.features[name], run.features[f"{name}_dot"]
        numerical = (value[3] - value[1]) / 2e-4
        np.testing.assert_allclose(numerical, rate[2], rtol=1e-6)


# --- honest ends ----------------------------------------------------------------------------------


def test_a_field_that_underflows_is_told():
    run = flows.integrate(flows.GMMEM(3, 1), [[80.0], [-80.0], [0.0]], 1e3)
    assert run.status == "field_failed" and "underflows" in run.message
    assert len(run.t) == 1
    near = flows.integrate(flows.GMMEM(3, 1), [[12.0], [-12.0], [0.0]], 1e3)
    assert near.completed


def test_a_quadrature_that_is_not_good_enough_is_told_and_a_loose_tolerance_is_met():
    system = flows.GMMEM(6, 6)
    start = system.initial(0.5, 0)
    run = flows.integrate(system, start, 10.0)
    assert run.status == "field_failed" and "quadrature error" in run.message
    loose = flows.integrate(system, 0.2 * start, 10.0, rtol=1e-4)
    assert loose.completed


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([0.5, 0.6], "sum to 1 \\+0.1"),
        ([0.5, 0.3], "sum to 1 -0.2"),
        ([1.5, -0.5], "positive"),
        ([1.0, 0.0], "positive"),
        ([0.5, np.nan], "NaN"),
        ([1.0], "shape"),
        (["a", "b"], "real"),
    ],
)
def test_bad_weights_are_refused_in_one_line(weights, words):
    with pytest.raises(InputError, match=words) as caught:
        flows.GMMEM(2, 1, weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ([[1.0], [np.nan]], "NaN"),
        ([[1.0]], "shape"),
        ([[1.0], [1e7]], "distance"),
        ([[1.0], [1.0, 2.0]], "rows differ"),
        ([["a"], ["b"]], "real"),
    ],
)
def test_bad_starts_are_refused_in_one_line(start, words):
    with pytest.raises(InputError, match=words):
        flows.integrate(flows.GMMEM(2, 1), start, 1.0)


def test_bad_sizes_are_refused():
    for n, d in ((0, 1), (1, 0), (True, 1), (1.5, 1)):
        with pytest.raises(InputError, match="positive integer"):
            flows.GMMEM(n, d)
    with pytest.raises(InputError, match="line"):
        flows.integrate(flows.GMMEM(3, 2), np.eye(3, 2), 1.0, method="reference")


# --- claims ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run():
    system = flows.GMMEM(3, 2)
    return flows.integrate(system, system.initial(0.5, 0), 1e8)


def verdict(run, claim):
    (found,) = flows.check(run, claim)
    return found.verdict


@pytest.mark.parametrize("claim", sorted(set(CLAIMS) - {"bad_region", "exact_param_rate"}))
def test_claims_hold_along_a_run(run, claim):
    assert verdict(run, claim) == "HOLDS"


def test_the_measured_exponents_are_those_of_the_asymptote(run):
    for claim, exponent in (("loss_upper", 2), ("fisher_lower", 4), ("gradient_lower", 3)):
        (found,) = flows.check(run, claim)
        assert found.measured == pytest.approx(exponent, abs=max(found.error, 1e-3))


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        # Off by a tenth from what this run attains: L ~ t^-2.
        ("loss_upper", {"exponent": sp.Rational(21, 10)}),
        ("fisher_lower", {"exponent": sp.Rational(39, 10)}),
        ("gradient_lower", {"exponent": sp.Rational(29, 10)}),
        ("norms_shrink", {"sign": -1}),
        ("exact_param_rate", {"hypotheses": ()}),
        ("bad_region", {"hypotheses": ()}),
    ],
)
def test_broken_claims_are_violated(run, claim, change):
    assert verdict(run, replace(CLAIMS[claim], **change)) == "VIOLATED"


@pytest.mark.parametrize("claim", ["loss_quadratic", "bad_region"])
def test_a_constant_that_is_a_thousandth_too_sharp_is_violated(run, claim):
    assert list(sharpened(run, CLAIMS[claim])) == [(0, "HOLDS", "VIOLATED")]


@pytest.mark.parametrize("claim", ["em_is_gradient", "projection"])
def test_an_identity_with_another_constant_is_violated(run, claim):
    (c,) = CLAIMS[claim].conclusions
    broken = replace(c, constant=c.constant * sp.Rational(1001, 1000))
    assert verdict(run, replace(CLAIMS[claim], conclusions=(broken,))) == "VIOLATED"


def test_a_sum_weighted_by_anything_else_does_not_project(run):
    # d/dt |mu_1|^2 alone is not -2 E|v|^2.
    (c,) = CLAIMS["projection"].conclusions
    broken = replace(c, lhs=2 * symbol("max_norm") * symbol("max_norm_dot"))
    assert verdict(run, replace(CLAIMS["projection"], conclusions=(broken,))) == "VIOLATED"


def test_one_component_is_exponential_and_breaks_what_is_claimed_for_several():
    alone = flows.integrate(flows.GMMEM(1, 2), [[0.5, 0.2]], 1e3)
    assert verdict(alone, "exact_param_rate") == "HOLDS"
    assert verdict(alone, "sublinear") == "HYPOTHESIS_NOT_MET"
    assert verdict(alone, replace(CLAIMS["sublinear"], hypotheses=())) == "VIOLATED"


@pytest.mark.parametrize("d", [1, 2])
def test_the_bad_region_holds_far_longer_than_claimed_and_is_left(d):
    far = 12 * np.sqrt(d)
    start = np.zeros((4, d))
    start[:2, 0] = far, -far
    bad = flows.integrate(flows.GMMEM(4, d), start, {1: 1e12, 2: 1e18}[d])
    assert bad.completed
    assert verdict(bad, "bad_region") == "HOLDS"
    left = bad.t[bad["max_norm"] < 10 * np.sqrt(d)][0]
    assert left > 1e6 * np.exp(d) / 30
    (c,) = CLAIMS["bad_region"].conclusions
    broken = replace(CLAIMS["bad_region"], conclusions=(replace(c, constant=sp.Integer(13)),))
    assert verdict(bad, broken) == "VIOLATED"
    shifted = flows.integrate(flows.GMMEM(4, d), start + 0.1, 10.0)
    assert verdict(shifted, "bad_region") == "HOLDS_BEYOND"


# --- command line ---------------------------------------------------------------------------------


def test_the_command_line_runs_weights_and_prints_one_object(capsys):
    assert (
        main(["run", "gmm_em", "--weights", "0.2,0.3,0.5", "--d", "2", "--t-end", "10", "--json"])
        == 0
    )
    data = json.loads(capsys.readouterr().out)
    assert data["parameters"]["weights"] == [0.2, 0.3, 0.5]
    assert set(data["observables"]) == {
        "loss",
        "gradient_norm",
        "squared_norm_sum",
        "fisher",
        "max_norm",
    }
    assert np.shape(data["final_state"]) == (3, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--weights", "0.5,0.6"], "divide them by 1.1"),
        (["--weights", "x"], "like 0.2,0.3,0.5"),
        (["--weights", "0.5,0.5", "--n", "3"], "expected 3 numbers"),
        (["--weights", "1.5,-0.5"], "must be positive"),
        (["--teacher", "v.npy"], "not an option"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_two(capsys, words, said):
    assert main(["run", "gmm_em", "--t-end", "1", *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and shown.out == ""


def test_the_oracle_itself_knows_a_loss_in_closed_form():
    with mp.workdps(30):
        loss, gradient, _ = mixture_lines.expectations(False, [0.5, 0.5], [0.4, 0.6], 30)
        assert abs(loss - mp.mpf("0.125")) < mp.mpf("1e-30")
        assert abs(gradient[0] - mp.mpf("0.2")) < mp.mpf("1e-15")  # the weights are doubles


def test_gradient_em_with_a_step_size_agrees_with_thirty_digits():
    system = flows.GMMEM(2, 1, [0.4, 0.6])
    run = flows.descend(system, [[0.6], [-0.3]], step_size=0.5, steps=20)
    with mp.workdps(30):
        means = [mp.mpf(0.6), mp.mpf(-0.3)]
        for _ in range(20):
            slope = mixture_lines.expectations(False, means, system.weights, 30)[1]
            means = [m - s / 2 for m, s in zip(means, slope, strict=True)]
    assert run.completed
    np.testing.assert_allclose(run.state[-1][:, 0], np.array(means, dtype=float), rtol=1e-12)


def test_weights_of_a_file_stay_as_they_are():
    generator = np.random.default_rng(0)
    for _ in range(200):
        weights = generator.dirichlet(np.ones(int(generator.integers(2, 8)))) + 1e-3
        system = flows.GMMEM(n=len(weights), d=1, weights=weights / weights.sum())
        assert flows.GMMEM.from_parameters(system.parameters) == system
