"""Score matching against oracles that share no code with it: expectations, runs, what is told."""

import json

import numpy as np
import pytest
from mpmath import mp
from oracles import references

import flows
from flows.cli.main import main
from flows.core.errors import InputError
from flows.systems.mixture import expectation as mixture_expectation
from flows.systems.mixture.forms import components
from flows.systems.mixture.means import CERTAIN, CLUSTER, FAR, NEAR
from flows.systems.score_matching.regimes import RADIUS
from flows.systems.score_matching.stationary import stationary_point
from symbolic.systems.score_matching import calculus
from tests.oracles import mixture_lines

# What the values promise where they are compared with 40 digits.
ACCURACY = 1e-10
# Central differences of step 1e-4: truncation 1e-8 times third derivatives, of order one, and
# errors of 1e-12 divided by the step.
STEP, DIFFERENCE = 1e-4, 1e-6
STANDARD_ERRORS = 5.0
# Of sums of order one along other axes.
LAST_BITS = 1e-13
# Along a run at rtol = 1e-10, for the loss; 2e-9 was measured.
ALONG_A_RUN = 1e-7

LINES = {
    "short": (1e-3 * np.array([1.0, -0.4, 0.7]), NEAR),
    "cluster": (3.0 + 1e-7 * np.array([1.0, -0.4, 0.7]), CLUSTER),
    "tiny cluster": (-4.0 + 1e-12 * np.array([1.0, -0.4, 0.7]), CLUSTER),
    "cluster at the target": (0.01 + 1e-7 * np.array([1.0, -0.4, 0.7]), NEAR),
    "spread": (np.array([1.0, -0.4, 2.7]), FAR),
    "far": (np.array([1e-3, 12.0, -14.0]), FAR),
    "very far": (np.array([1e-12, 20.0, 19.0]), FAR),
}


def tilted(line, d, seed=3):
    """Means on a line through the origin of R^d, with the line's direction."""
    axis = np.random.default_rng(seed).normal(size=d)
    axis /= np.linalg.norm(axis)
    return np.outer(line, axis), axis


@pytest.mark.parametrize("name", LINES)
def test_loss_gradient_and_hessian_agree_with_forty_digits(name):
    line, form = LINES[name]
    system = flows.ScoreMatching(3, 1)
    frame, state = system.reduce(line[:, None])
    assert components(frame, state).form == form
    loss, gradient, hessian = mixture_lines.expectations(
        True, line.tolist(), [1 / 3] * 3, 40, hessian=True
    )
    found = system.expectations(line[:, None])
    assert found.loss == pytest.approx(float(loss), rel=ACCURACY)
    exact = np.array(gradient, dtype=float)
    np.testing.assert_allclose(found.gradient[:, 0], exact, atol=ACCURACY * np.abs(exact).max())
    np.testing.assert_allclose(
        system.hessian(line[:, None]), np.array(hessian, dtype=float), atol=ACCURACY
    )


def test_offsets_of_1e_minus_12_keep_their_digits_in_the_velocity():
    line = LINES["tiny cluster"][0]
    exact = mixture_lines.expectations(True, line.tolist(), [1 / 3] * 3, 40)[1]
    frame, state = flows.ScoreMatching(3, 1).reduce(line[:, None])
    means = components(frame, state)
    velocity = -frame.rate[:, None] * mixture_expectation.expect(calculus, means, 1e-12).pull
    found = velocity[:, 0] - velocity[:, 0].mean()
    with mp.workdps(40):
        slopes = -np.array([float(s - mp.fsum(exact) / 3) for s in exact])
    np.testing.assert_allclose(found, slopes, rtol=1e-10, atol=1e-10 * np.abs(slopes).max())


def test_loss_and_gradient_are_the_definitions_in_expectation():
    n, d, count = 3, 3, 200_000
    system = flows.ScoreMatching(n, d)
    means = np.random.default_rng(2).normal(size=(n, d)) * 0.7
    x = np.random.default_rng(8).normal(size=(count, d))
    psi = np.exp(x @ means.T - np.sum(means**2, axis=1) / 2)
    psi /= psi.sum(axis=1, keepdims=True)
    v = psi @ means
    found = system.expectations(means)
    square = np.sum(v**2, axis=1)
    assert abs(square.mean() - found.loss) < STANDARD_ERRORS * square.std() / np.sqrt(count)
    assert abs(square.mean() - 2 * found.loss) > STANDARD_ERRORS * square.std() / np.sqrt(count)
    for i in range(n):
        turn = np.sum((means[i] - v) * v, axis=1)
        terms = 2 * psi[:, i, None] * (v + turn[:, None] * (x - means[i]))
        bars = STANDARD_ERRORS * terms.std(axis=0) / np.sqrt(count)
        assert (np.abs(terms.mean(axis=0) - found.gradient[i]) < bars).all()


def test_the_loss_is_the_projection_of_the_gradient_of_gradient_em():
    means = np.random.default_rng(0).normal(size=(4, 2)) * 2
    em = flows.GMMEM(4, 2).gradient(means)
    assert flows.ScoreMatching(4, 2).loss(means) == pytest.approx(np.sum(em * means), rel=1e-11)


def test_permutations_rotations_and_more_dimensions_change_nothing():
    means = np.random.default_rng(1).normal(size=(3, 3)) * 2
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(50, 3)))[0].T
    small, large = flows.ScoreMatching(3, 3), flows.ScoreMatching(3, 50)
    a, b = small.expectations(means), large.expectations(means[[2, 0, 1]] @ q)
    assert b.loss == pytest.approx(a.loss, rel=1e-11)
    np.testing.assert_allclose(b.gradient, a.gradient[[2, 0, 1]] @ q, atol=1e-11)


def test_a_component_split_in_two_is_a_larger_mixture_only_in_its_weights():
    # Two coincident components of four are one of weight 1/2.
    means = np.array([[1.0, 0.2], [1.0, 0.2], [-0.5, 0.3], [-0.5, 0.3]])
    merged = np.array([[1.0, 0.2], [-0.5, 0.3]])
    four, two = flows.ScoreMatching(4, 2), flows.ScoreMatching(2, 2)
    assert four.loss(means) == pytest.approx(two.loss(merged), rel=1e-12)
    np.testing.assert_allclose(2 * four.gradient(means)[::2], two.gradient(merged), rtol=1e-11)


def test_the_jacobian_of_every_chart_is_the_derivative_of_its_field():
    rng = np.random.default_rng(4)
    for centre, scale, form in ((0.0, 0.1, NEAR), (2.0, 0.1, CLUSTER), (0.0, 1.5, FAR)):
        system = flows.ScoreMatching(3, 2)
        means = centre + scale * rng.normal(size=(3, 2)) / 2
        frame, state = system.reduce(means)
        piece = system.piece(frame, state, 0.0)
        chart = piece.chart
        assert piece.kind == form
        y, steps = chart.y0, STEP * np.eye(chart.y0.size)
        numerical = [(chart.rhs(0.7, y + e) - chart.rhs(0.7, y - e)) / (2 * STEP) for e in steps]
        np.testing.assert_allclose(chart.jacobian(0.7, y), np.transpose(numerical), atol=1e-5)
        velocity = chart.rhs(0.0, y) - chart.clock.decay / chart.clock.offset * y
        moved = piece.decode(chart.x0 + velocity * chart.clock.scale(0.0))
        np.testing.assert_allclose(
            system.restore(frame, moved) - means, -system.gradient(means), atol=1e-11
        )


# --- runs -----------------------------------------------------------------------------------------


def test_one_component_follows_its_exponential_exactly():
    run = flows.integrate(flows.ScoreMatching(1, 3, noise_time=0.5), [[0.3, -0.4, 1.2]], 300.0)
    rate = 4 * np.exp(-1.0)  # d|mu|^2/dt = -4 exp(-2s) |mu|^2
    np.testing.assert_allclose(run["loss"], 1.69 * np.exp(-1 - rate * run.t), rtol=1e-12)


@pytest.mark.parametrize("name", ["near", "far", "cluster"])
def test_a_run_agrees_with_fifty_digits(name):
    system, start, times = references.RUNS[name]
    exact, run = references.stored(name), flows.integrate(system, start, times[-1], t_eval=times)
    assert run.completed
    for observed in ("loss", "gradient_norm", "max_norm"):
        np.testing.assert_allclose(run[observed], exact[observed], rtol=ALONG_A_RUN)


@pytest.mark.parametrize("offset", [1e-7, 1e-12])
def test_a_cluster_amplifies_its_offsets_like_the_linearised_flow(offset):
    n, distance = 3, 3.0
    system = flows.ScoreMatching(n, 2, target=[distance, 0.0])
    start = offset * np.array([[1.0, 0.3], [-0.5, 1.0], [-0.5, -1.3]])
    times = np.array([0.1, 0.3, 1.0])
    run = flows.integrate(system, start, 1.0, t_eval=times)
    deviation = run.states.offset @ run.frame.basis.T
    grown = np.exp(distance**2 * (1 - np.exp(-4 * times / n)))
    for index, factor in enumerate(grown):
        found = deviation[index + 1] / offset
        # Along the mean: amplified; across: as at the start. Higher orders are small by offset.
        np.testing.assert_allclose(found[:, 0], factor * start[:, 0] / offset, rtol=3e-4)
        np.testing.assert_allclose(found[:, 1], start[:, 1] / offset, rtol=1e-5)
    assert grown[-1] > 100


def test_both_regimes_of_the_papers_experiment_are_found_and_told():
    offsets = 1e-7 * np.random.default_rng(0).normal(size=(5, 3))
    near, far = (
        flows.integrate(flows.ScoreMatching(5, 3), offsets + shift, 1e6, rtol=1e-8)
        for shift in (np.array([3.5, 0, 0]), np.array([6.0, 0, 0]))
    )
    assert near.completed and far.completed
    assert near["loss"][-1] < 1e-11 and near["max_norm"][-1] < 0.01
    assert not [e for e in near.events if e.kind in ("locked", "diverging")]
    assert far["min_norm"][-1] < 1e-5 and far["max_norm"][-1] > 10
    assert {e.kind for e in far.events} >= {"locked", "diverging"}
    (locked,) = (e for e in far.events if e.kind == "locked")
    assert locked.detail.startswith(f"component {np.argmin(far.features['norm'][-1]) + 1} ")
    rate = far.t * far["loss"] * far["max_norm"] ** 2 / (16 * 4)
    assert rate[-1] == pytest.approx(1.0, abs=0.2)


def test_a_loss_below_1e_minus_20_keeps_its_digits_between_tolerances():
    system = flows.ScoreMatching(3, 2)
    start = system.initial(1.0, 0)
    loose = flows.integrate(system, start, 1e11, rtol=1e-8)
    tight = flows.integrate(system, start, 1e11, rtol=1e-11)
    assert tight.completed and tight["loss"][-1] < 1e-20
    np.testing.assert_allclose(loose["loss"], tight["loss"], rtol=1e-6)


def test_a_plateau_near_the_stationary_point_is_left_and_told():
    # At the point itself a run stays: its field is rounding, and solvers damp what it would grow.
    point = float(stationary_point(3).point) + 1e-9
    run = flows.integrate(flows.ScoreMatching(3, 1), [[point], [-point], [0.0]], 1e5)
    assert run.completed
    assert [e.kind for e in run.events if e.kind == "escape"]
    assert run["loss"][5] == pytest.approx(run["loss"][0], rel=1e-6)
    assert run["loss"][-1] < 0.1 * run["loss"][0]


def test_noise_makes_time_slower_and_coordinates_shorter():
    start = np.array([[0.8, 0.1], [-0.3, 0.5], [0.2, -0.9]])
    s, target = 0.7, np.array([0.4, -0.2])
    plain = flows.integrate(flows.ScoreMatching(3, 2), start, 10.0, t_eval=[1.0, 10.0])
    noisy = flows.integrate(
        flows.ScoreMatching(3, 2, noise_time=s, target=target),
        np.exp(s) * start + target,
        10.0 * np.exp(2 * s),
        t_eval=np.exp(2 * s) * plain.t[1:],
    )
    np.testing.assert_allclose(noisy["loss"], plain["loss"], rtol=1e-8)
    np.testing.assert_allclose((noisy.state - target) * np.exp(-s), plain.state, atol=1e-9)


def test_a_field_that_underflows_is_told():
    run = flows.integrate(flows.ScoreMatching(2, 1), [[0.0], [90.0]], 1e3)
    assert run.status == "field_failed" and "underflows" in run.message
    assert len(run.t) == 1


def test_starts_that_nobody_planned_for_end_truthfully():
    at_rest = flows.integrate(flows.ScoreMatching(3, 2), np.zeros((3, 2)), 10.0)
    assert at_rest.completed and at_rest["loss"].max() == 0
    far = flows.integrate(flows.ScoreMatching(3, 2), [[1e5, 0], [0, 1e5], [0, 0]], 10.0)
    assert far.status == "field_failed" and "underflows" in far.message
    offset = flows.integrate(flows.ScoreMatching(3, 1), [[5.0], [5.0 + 1e-300], [5.0]], 1e3)
    assert offset.completed and offset["loss"][-1] < 1e-280
    for target in (1e300, -1e300):
        with pytest.raises(InputError, match="distance"):
            flows.integrate(flows.ScoreMatching(2, 1, target=[target]), [[0.0], [1.0]], 1.0)


@pytest.mark.parametrize("far", [66.0, 90.0, 1000.0])
@pytest.mark.parametrize("system", [flows.ScoreMatching, flows.GMMEM])
def test_a_mean_whose_share_is_below_all_doubles_adds_nothing(system, far):
    def found(place):
        found = system(3, 2).expectations([[0.2, 0.1], [5.0, 1.0], [place, place]])
        assert found.gradient[2].any() == (place < 66.0)
        return np.array([found.kl, found.fisher, *found.gradient[:2].ravel()])

    # Farther out nothing changes but last bits: it takes no more nodes.
    np.testing.assert_allclose(found(far), found(2 * far), rtol=LAST_BITS)
    assert np.abs(found(far) - found(5.0)).max() > 1e-6


@pytest.mark.parametrize("far", [20.0, 36.7])
def test_a_mean_at_home_falls_until_the_tails_of_the_far_one_hold_it(far):
    run = flows.integrate(flows.ScoreMatching(2, 1), [[-2.85], [-far]], 1e4)
    with mp.workdps(40):
        share = lambda x: 1 / (1 + mp.exp(far * (far / 2 + x)))  # noqa: E731
        tails = mp.quad(
            lambda x: mp.npdf(x) * (far * share(x)) ** 2, [-far / 2 + k for k in (-9, -2, 0, 2, 9)]
        )
    assert run.completed
    assert run["loss"][-1] == pytest.approx(float(tails), rel=1e-6)
    assert (np.diff(run["loss"]) <= 1e-8 * run["loss"][:-1]).all()


def test_a_mean_at_home_falls_to_the_end_of_doubles_where_the_others_have_vanished():
    start = [[2.0, 0.0], [856.0, 0.0]]
    run = flows.integrate(flows.ScoreMatching(2, 2), start, 1e4)
    known = run["loss"] > 1e-280
    assert run.completed and np.min(run["loss"][known]) < 1e-100
    assert (np.diff(run["loss"][known]) < 0).all()
    assert not {e.kind for e in run.events} & {"plateau", "escape"}


def test_means_that_need_too_many_nodes_are_told_with_what_to_do():
    run = flows.integrate(flows.ScoreMatching(3, 2), [[1e3, 0], [-1e3, 0], [0, 1e3]], 10.0)
    assert run.status == "field_failed" and "start nearer to the target" in run.message


def test_a_spread_cluster_that_arrives_from_far_away_leaves_one_behind():
    # The others are so far away that nothing of double precision moves them.
    run = flows.integrate(flows.ScoreMatching(3, 1, target=[60.0]), [[0.0], [1.0], [2.0]], 1e3)
    # The tail of the next one is about exp(-59^2/8).
    assert run.completed and 1e-190 < run["loss"][-1] < 1e-186
    assert {e.kind for e in run.events} == {"locked", "diverging", "plateau"}
    assert run["max_norm"][-1] == pytest.approx(60.0, abs=1.0)


# --- bad input, command line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, "positive integer"),
        ({"noise_time": -1}, "between 0 and 50"),
        ({"noise_time": np.nan}, "between 0 and 50"),
        ({"noise_time": "x"}, "must be a number"),
        ({"target": [1.0]}, "shape"),
        ({"target": [1.0, np.inf]}, "NaN or infinity"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(arguments, words):
    with pytest.raises(InputError, match=words) as caught:
        flows.ScoreMatching(**arguments)
    assert "\n" not in str(caught.value)


def test_the_command_line_runs_noise_and_target_and_prints_one_object(capsys, tmp_path):
    target = tmp_path / "target.json"
    target.write_text("[1.0, 0.0]")
    assert (
        main(
            [
                "run",
                "score_matching",
                "--noise-time",
                "0.5",
                "--target",
                str(target),
                "--t-end",
                "10",
                "--json",
            ]
        )
        == 0
    )
    data = json.loads(capsys.readouterr().out)
    assert data["parameters"]["noise_time"] == 0.5 and data["parameters"]["target"] == [1.0, 0.0]
    assert set(data["observables"]) == {
        "loss",
        "gradient_norm",
        "max_norm",
        "min_norm",
        "squared_norm_sum",
    }
    assert np.shape(data["final_state"]) == (3, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--noise-time", "-1"], "between 0 and 50"),
        (["--noise-time", "x"], "not a valid float"),
        (["--weights", "0.5,0.5"], "not an option"),
        (["--target", "no.json"], "no.json"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_two(capsys, words, said):
    assert main(["run", "score_matching", "--t-end", "1", *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and shown.out == ""


# Event times at tolerances from 1e-6 to 1e-10 were up to 2e-6 apart; those of step ends, 0.2.
LOCATED = 1e-5


@pytest.mark.parametrize(
    ("system", "start"),
    [
        (flows.ScoreMatching(2, 2), np.array([[0.3, 0.1], [4.0, -1.0]])),
        (flows.ScoreMatching(3, 2), flows.ScoreMatching(3, 2).initial(3.0, 5)),
    ],
)
def test_times_of_events_depend_on_neither_method_nor_tolerance(system, start):
    tight = flows.integrate(system, start, 100.0, [100.0], rtol=1e-10)
    assert {event.kind for event in tight.events} == {"locked", "diverging"}
    for method, rtol in (("auto", 1e-6), ("auto", 1e-8), ("Rodas5P", 1e-6), ("BDF", 1e-8)):
        run = flows.integrate(system, start, 100.0, [100.0], method=method, rtol=rtol)
        assert [e.kind for e in run.events] == [e.kind for e in tight.events]
        for one, other in zip(run.events, tight.events, strict=True):
            assert one.time == pytest.approx(other.time, rel=LOCATED)
    # They are where a mean is as near as Theorem 2.1 says, or where almost all is its own share.
    (locked,) = (e.time for e in tight.events if e.kind == "locked")
    around = [locked * (1 - LOCATED), locked * (1 + LOCATED)]
    states = flows.integrate(system, start, 100.0, [*around, 100.0], rtol=1e-10).state[1:3]
    squares = np.sum(states**2, axis=2)
    share = np.exp(-squares / 2).max(axis=1) / np.exp(-squares / 2).sum(axis=1)
    near = (np.sqrt(squares.min(axis=1)) <= RADIUS / system.n) & (share >= CERTAIN)
    assert near.tolist() == [False, True]
