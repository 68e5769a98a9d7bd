"""The oracle of score matching: against differences, closed forms and the laws of a long run."""

import numpy as np
import pytest
from mpmath import mp

import flows
from flows.core.errors import InputError
from flows.expectations.lines import in_balls
from flows.systems.mixture import exact
from flows.systems.score_matching.stationary import stationary_point
from symbolic.language.lower import lower
from symbolic.systems.gmm_em import document as gmm_em
from symbolic.systems.score_matching import calculus as score_matching
from symbolic.systems.score_matching.tail import FAR, NEAR, R, far_loss
from tests.oracles import mixture_lines

MEANS, WEIGHTS = ["0.9", "-0.7", "0.2"], [2, 1, 1]
# 30 digits, less what central differences of step 10^-10 with them leave: 1e-20 of third
# derivatives of order one, and 1e-50/1e-10 of rounding.
DIGITS, STEP, DIFFERENCED = 40, mp.mpf("1e-10"), mp.mpf("1e-18")
# Digits of a sum of order one in 30 digits.
SAME = mp.mpf("1e-28")
# A point of 12 digits.
POINT = mp.mpf("1e-12")
# The deviations of a cluster are of this size; their squares are what the linear law leaves out.
SIZE = 1e-7
# Relative: the means are doubles, whose rounding is 1e-16/SIZE of their difference.
AMPLIFIED = 1e-8


def numbers(values):
    return [mp.mpf(x) for x in values]


def moved(means, i, by):
    return [m + by if k == i else m for k, m in enumerate(means)]


# --- expectations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(3))
def test_gradient_and_hessian_are_differences_of_loss_and_gradient(i):
    with mp.workdps(DIGITS):
        means = numbers(MEANS)
        _, slope, curve = mixture_lines.expectations(True, means, WEIGHTS, DIGITS, hessian=True)
        up, down = (
            mixture_lines.expectations(True, moved(means, i, sign * STEP), WEIGHTS, DIGITS)
            for sign in (1, -1)
        )
        assert abs(slope[i] - (up[0] - down[0]) / (2 * STEP)) < DIFFERENCED
        assert abs(slope[i] / 2 - (up[0] - down[0]) / (2 * STEP)) > 1e3 * DIFFERENCED
        for j in range(3):
            expected = (up[1][j] - down[1][j]) / (2 * STEP)
            assert abs(curve[i][j] - expected) < DIFFERENCED
            assert abs(curve[i][j] - curve[j][i]) < SAME
        assert abs(curve[i][i] - curve[i][i - 1]) > 1e3 * DIFFERENCED


def test_the_loss_is_the_projection_of_the_gradient_of_the_kl_divergence():
    with mp.workdps(30):
        means = numbers(MEANS)
        loss = mixture_lines.expectations(True, means, WEIGHTS, 30)[0]
        slope = mixture_lines.expectations(False, means, WEIGHTS, 30)[1]
        assert abs(loss - mp.fdot(slope, means)) < SAME
        assert abs(loss - mixture_lines.expectations(False, means, WEIGHTS, 30)[0]) > 1e-3


def test_coincident_components_have_the_loss_and_gradient_of_one():
    with mp.workdps(30):
        loss, slope, _ = mixture_lines.expectations(True, numbers(["0.5", "0.5"]), [2, 3], 30)
        assert abs(loss - mp.mpf("0.25")) < SAME
        assert abs(slope[0] - mp.mpf("0.4")) < SAME
        assert abs(slope[1] - mp.mpf("0.4")) > 0.1


def test_nodes_of_half_the_step_change_nothing():
    with mp.workdps(30):
        means = numbers(["3", "-2"])
        whole, halves = (
            [
                mp.mpf(w) / (1 + mp.exp(5 * mp.mpf(x))) ** 2
                for x, w in in_balls(exact.nodes(means, 30, parts), 120, False)
            ]
            for parts in (1, 2)
        )
        assert abs(mp.fsum(whole) - mp.fsum(halves)) < SAME
        assert abs(2 * mp.fsum(whole[::2]) - mp.fsum(halves)) > 1e3 * SAME


@pytest.mark.parametrize(
    ("loss", "score"), [(gmm_em, False), (score_matching, True)], ids=["gmm_em", "score_matching"]
)
def test_the_text_that_runs_follow_has_thirty_digits_of_the_definition(loss, score):
    with mp.workdps(30):
        for means in (numbers(MEANS), numbers(["8", "-3", "0.1"]), numbers(["2", "2.001", "2"])):
            slope = mixture_lines.expectations(score, means, WEIGHTS, 30)[1]
            found = [mp.mpf(pull) for pull in exact.pulls(loss, means, WEIGHTS, 30)]
            whole = [(1 + score) * w * pull / 4 for w, pull in zip(WEIGHTS, found, strict=True)]
            assert max(abs(a - b) for a, b in zip(slope, whole, strict=True)) < SAME
            # Digits of a double would be seen.
            assert max(abs(a - float(b)) for a, b in zip(slope, whole, strict=True)) > 1e3 * SAME


# --- a stationary point ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 4, 17, 50])
def test_the_gradient_vanishes_in_every_component_while_the_loss_is_positive(n):
    found = stationary_point(n, 12)
    s, weights = found.point, [1, 1, n - 2]
    assert found.error < POINT
    with mp.workdps(30):
        loss, slope, curve = mixture_lines.expectations(True, [s, -s, 0], weights, 15, hessian=True)
        assert max(abs(g) for g in slope) < POINT
        assert abs(loss - found.loss) < SAME and loss > 0.01
        # It is a maximum on the line of such points, and to either side there is a gradient.
        assert curve[0][0] - 2 * curve[0][1] + curve[1][1] < 0
        for sign in (1, -1):
            beside = s + sign * 1000 * POINT
            pull = mixture_lines.expectations(True, [beside, -beside, 0], weights, 15)[1][0]
            assert sign * pull < 0


def test_the_stationary_point_has_two_unstable_directions_on_the_line():
    for n in (3, 5):
        s = stationary_point(n, 12).point
        curve = mixture_lines.expectations(
            True, [s, -s] + [0] * (n - 2), [1] * n, 15, hessian=True
        )[2]
        values = np.linalg.eigvalsh(np.array(curve, dtype=float))
        assert np.sum(values < 0) == 2 and values[1] < -0.1 < 0.1 < values[2]


def test_two_components_have_no_stationary_point():
    with pytest.raises(InputError, match="n >= 3"):
        stationary_point(2)


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3])
def test_the_loss_of_far_components_is_that_of_leading_order(k):
    leading = lower((far_loss(),), (R, FAR, NEAR), "mpmath")
    for distance in (8, 16):
        loss, slope, _ = mixture_lines.expectations(True, [0, distance], [1, k], 30)
        ratio = loss / leading(distance, k, 1)[0]
        assert 1 - 16 / (mp.pi * distance**2) < ratio < 1
        pulls = [g / (-distance * loss / 4) for g in slope]
        # Leading order: the next is -4/R^2 for the far ones; for those near, -4/R^2 to -8.4/R^2.
        assert all(abs(p - 1) < mp.mpf(9) / distance**2 for p in pulls)
        assert abs(pulls[1] - (1 - mp.mpf(4) / distance**2)) < mp.mpf(1) / distance**2
        assert abs(ratio * mp.sqrt(k + 1) - 1) > 0.1


@pytest.mark.parametrize(
    ("system", "rate", "power"), [("ScoreMatching", 1, 1), ("GMMEM", 0.5, 0.5)]
)
def test_a_travelling_cluster_spreads_by_the_exponential_of_its_squared_distance(
    system, rate, power
):
    # With n = 2, m' = -rate m; the growth is exp(power (|m(0)|^2 - |m|^2)).
    start, time = np.array([[1 + SIZE], [1 - SIZE]]), 0.25
    run = flows.integrate(getattr(flows, system)(2, 1), start, time, method="reference")
    assert run.completed
    spread = (run.state[-1][0, 0] - run.state[-1][1, 0]) / (start[0, 0] - start[1, 0])
    travelled = 1 - np.exp(-2 * rate * time)
    assert spread == pytest.approx(np.exp(power * travelled), rel=AMPLIFIED)
    assert abs(spread / np.exp(travelled * (1.5 - power)) - 1) > 0.1


def test_the_exact_flow_keeps_offsets_that_are_below_the_rounding_of_the_means():
    system = flows.ScoreMatching(2, 1, target=[-4.0])
    frame, state = system.reduce(np.array([[1e-14], [-3e-14]]))
    smooth = system.exact_flow(frame, state, 40)
    with mp.workdps(40):
        assert float(smooth.x0[0] - smooth.x0[1]) == pytest.approx(
            state.offset[0, 0] - state.offset[1, 0], rel=1e-15
        )
        velocity = smooth.field(smooth.x0)
        mean = mp.fsum(smooth.x0) / 2
        # x' = (4/n) m^2 x, to first order, with n = 2.
        growth = (velocity[0] - velocity[1]) / (smooth.x0[0] - smooth.x0[1])
        assert abs(growth / (2 * mean**2) - 1) < 1e-12
    assert abs(float(smooth.x0[0]) - float(smooth.x0[1])) != abs(
        state.offset[0, 0] - state.offset[1, 0]
    )
