"""Errors that states carry along axes which turn, against flows that are integrated beside them."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import sympy as sp

import flows
from flows.systems.own.carried_errors import Errors
from flows.systems.own.growth import ANEW
from symbolic import Expectation

# Steps of 1e-10, whose errors the flow contracts.
DIGITS = 1e-9
# A bound that is sampled; what is stated of a run is a hundredfold.
SAMPLED = 3.0


def test_equal_curvatures_do_not_make_the_error_grow_and_the_loss_stays_known():
    # Phase retrieval: tan^2 of the angle to the teacher falls exactly like exp(-4 t), L like that.
    w, x = sp.MatrixSymbol("w", 8, 1), sp.MatrixSymbol("x", 8, 1)
    loss = Expectation(((w.T * x)[0, 0] ** 2 - x[0, 0] ** 2) ** 2, x) / 4
    system = flows.OwnSystem("phase", [w], loss)
    start = system.initial(scale=0.1, seed=3)
    run = flows.integrate(system, start, t_end=50.0, t_eval=[20.0, 50.0])
    tangent = np.sum(start[1:] ** 2) / start[0] ** 2
    assert np.exp(4 * run.t[1:]) * run["loss"][1:] / tangent == pytest.approx(1, abs=DIGITS)
    # A hundred times what the steps of twenty charts leave, and what turns.
    assert (run.errors("loss")[1:] < 3e-6).all()


@pytest.mark.parametrize(("power", "exact_decay"), [(1.0, True), (2.0, False)])
def test_errors_along_a_slow_axis_decay_as_its_flow_does(power, exact_decay):
    # Of curvature p/s the flow makes s^-p; of one that falls otherwise the smaller rate is taken.
    first, last, p = 10.0, 50.0, 0.5
    start, end = (np.diag([p / s**power, 1.0]) for s in (first, last))
    before = Errors(np.eye(2), np.diag(start), np.array([1e-9, 0.0]), np.zeros(2), first)
    _, _, (error, _) = before.carried(end, last)
    least = 1e-9 * np.exp(-(last - first) * end[0, 0])
    wanted = 1e-9 * (first / last) ** p if exact_decay else least
    assert error == pytest.approx(wanted, rel=1e-12)
    assert error <= least * (1 + 1e-12)


def test_an_axis_that_was_a_saddles_passes_others_and_says_nothing_of_them():
    # Curvature -1 along the first axis, where the gradient is, becomes 2; along the second it is 1.
    fresh, slope = np.array([5e-13, 5e-9]), np.array([1e-4, 1.0])
    known = Errors(np.eye(2), np.array([-1.0, 1.0]), np.zeros(2), fresh, 0.5, slope=slope)
    for last in (0.9, 2.0):  # below the second one, and above it
        gradient = np.array([1.0, 1e-5])
        _, axes, error = known.carried(np.diag([last, 1.0]), 10.5, gradient=gradient)
        along = float(error[np.argmax(np.abs(axes[1]))])
        # What each step leaves along the second axis has decayed to that of the last ones.
        assert along == pytest.approx(ANEW * fresh[1], rel=0.1)


def test_errors_at_the_same_time_turn_with_the_axes_and_say_nothing_else():
    # Two states at one time, without an axis that becomes fast: no rate times no time.
    before = Errors(np.eye(2), np.array([0.1, 0.2]), np.array([3e-9, 4e-9]), np.zeros(2), 10.0)
    curvature, _, error = before.carried(np.diag([0.1, 0.2]), 10.0)
    assert (curvature, error) == (pytest.approx([0.1, 0.2]), pytest.approx([3e-9, 4e-9]))


def turned(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def coupled(first, last, angle, length):
    """Flow of `x' = -R P R' x` in log-time: rates `P` that change, along axes that turn."""
    found, steps = np.eye(2), 400
    for k in range(steps):
        part = (k + 0.5) / steps
        axes, rates = turned(angle * part), first + (last - first) * part
        found = scipy.linalg.expm(-length / steps * axes * rates @ axes.T) @ found
    return found


def test_errors_along_slow_axes_that_turn_into_each_other_are_bounded():
    generator, since, length = np.random.default_rng(0), 10.0, np.log(10.0)
    worst, alone = 0.0, 0.0
    for _ in range(30):
        first = np.sort(generator.uniform(0.1, 2.5, 2))
        last = np.sort(first * np.exp(generator.uniform(-0.3, 0.3, 2)))
        angle, k = generator.uniform(0, 1.5), int(generator.integers(2))
        later, error = since * np.exp(length), 1e-9 * np.eye(2)[k]
        hessian = turned(angle) * last @ turned(angle).T / later
        before = Errors(np.eye(2), first / since, error, np.zeros(2), since)
        _, axes, found = before.carried(hessian, later)
        truth = np.abs(axes.T @ coupled(first, last, angle, length) @ error)
        worst = max(worst, (truth / found).max())
        # Control: each by its own rate, in the mean, and then as it has turned.
        rates = (first + np.diag(later * hessian)) / 2
        apart = np.abs(axes.T) @ (error * np.exp(-rates * length))
        alone = max(alone, (truth / apart).max())
    assert 0.5 < worst <= 1 < 2 < alone


def test_errors_of_fast_axes_that_turn_into_slow_ones_before_they_decay_are_counted():
    # Rates in log-time of a slow axis, and of one of constant curvature: like time.
    generator, since = np.random.default_rng(0), 10.0
    worst, decayed = 0.0, 0.0
    for _ in range(30):
        length, p = generator.uniform(0.5, 4.0), generator.uniform(0.1, 2.5)
        q, angle = np.exp(generator.uniform(-0.5, 3.0)), generator.uniform(0.1, 1.4)
        q = max(q, 1.1 * p)
        first, last, later = (
            np.array([p, q]),
            np.array([p, q * np.exp(length)]),
            since * np.exp(length),
        )
        found, steps = np.eye(2), 400
        for k in range(steps):
            part = (k + 0.5) / steps
            axes, rates = turned(angle * part), first * (last / first) ** part
            found = scipy.linalg.expm(-length / steps * axes * rates @ axes.T) @ found
        error = 1e-9 * np.array([generator.uniform(0.0, 1e-2), 1.0])
        hessian = turned(angle) * last @ turned(angle).T / later
        before = Errors(np.eye(2), first / since, error, np.zeros(2), since)
        _, axes, stated = before.carried(hessian, later)
        truth = np.abs(axes.T @ found) @ error
        worst = max(worst, (truth / stated).max())
        # Control: the fast axis decays by its own rate, and then has turned.
        apart = np.abs(axes.T) @ (error * np.exp(-np.array([p * length, q * np.expm1(length)])))
        decayed = max(decayed, (truth / apart)[0])
    assert 0.5 < worst <= SAMPLED < 10 < decayed


def wiggling(depth):
    """Time at which `x^4 (1 + a sin(8 log x))` has brought 1 to each `x`, by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def time(x):
        ends = np.linspace(0.0, -np.log(x), 60)
        middle, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
        z = middle[:, None] + half[:, None] * nodes
        slope = 4 * (1 + depth * np.sin(-8 * z)) + 8 * depth * np.cos(8 * z)
        return float(half @ (np.exp(2 * z) / slope @ weights))

    return time


def test_a_curvature_that_oscillates_between_the_ends_of_charts_is_within_the_stated_error():
    # Two ends tell nothing of a curvature that oscillates between them: here it is off by a factor
    # between two outputs. What steps leave, a hundredfold, covers that.
    a, depth = sp.Symbol("a"), sp.Rational(1, 10)
    loss = a**4 * (1 + depth * sp.sin(8 * sp.log(a)))
    system = flows.OwnSystem("wiggling", [a], loss)
    run = flows.integrate(system, [1.0], 1e12, np.geomspace(1.0, 1e12, 13))
    rates = sp.lambdify(a, [loss.diff(a) ** 2 / loss, loss.diff(a, 2)])
    x, t = run.state[1:, 0], run.t[1:]
    speed, curvature = rates(x)
    scaled = t * curvature
    assert scaled.max() > 2 * scaled.min() > 0
    apart, control = (
        abs(np.array([wiggling(d)(k) for k in x]) - t) * speed for d in (0.1, 0.1 * (1 + 1e-3))
    )
    stated = run.errors("loss")[1:]
    assert (apart < stated).all() and (control > stated).any()


Z, Y = sp.symbols("z y")
#: Wells whose curvature is small, or negative, where a run begins; what falls to zero there, with
#: the start of `z`, and what it is as a function of time.
WELLS = {
    "from between two": (
        (Z**2 - 1) ** 2 / 4,
        1 - Z**2,
        (0.05, 0.4),
        lambda z, t: 1 / (1 + 1 / ((1 / z**2 - 1) * np.exp(-2 * np.minimum(t, 300.0)))),
    ),
    "from its flank": (
        (1 - 1 / (1 + Z**2)) / 2,
        Z,
        (1.0, 2.5),
        # log z + z^2 + z^4/4 = c - t
        lambda z, t: np.exp(
            scipy.optimize.newton(
                lambda x: x + np.exp(2 * x) + np.exp(4 * x) / 4 + t - (np.log(z) + z**2 + z**4 / 4),
                np.log(z) - t,
                lambda x: 1 + 2 * np.exp(2 * x) + np.exp(4 * x),
                tol=1e-12,
                maxiter=200,
            )
        ),
    ),
}
# Digits of what is solved for.
SOLVED = 1e-10


@pytest.mark.parametrize("well", WELLS)
def test_steps_leave_as_much_along_an_axis_that_has_become_steep(well):
    """Beside a slow axis, so that one chart lasts from the flank of a well to its bottom.

    What is left of it in the end is the noise of steps: it has no digits then.
    """
    fast, short, between, exact = WELLS[well]
    system = flows.OwnSystem("well", [Z, Y], fast + 1 / (1 + Y**2), {"short": short})
    known = 0
    for seed in range(10):
        drawn = np.random.default_rng(seed)
        start = [drawn.uniform(*between), drawn.uniform(0.5, 2)]
        times = 10 ** np.sort(drawn.uniform(0.8, 3, 40))
        run = flows.integrate(system, start, times[-1], times, rtol=10 ** drawn.uniform(-10, -5))
        told, stated = run["short"], run.errors("short") * np.abs(run["short"])
        off = np.abs(told - exact(start[0], run.t))
        sure = np.isfinite(told)
        assert (off[sure] <= stated[sure] + SOLVED * np.abs(told[sure])).all()
        known += int(sure[1:].sum())
    assert known > 20
