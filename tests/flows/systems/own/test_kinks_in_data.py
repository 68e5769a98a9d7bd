"""Losses of your own with kinks in the data: hinges, hard labels, biases, against many digits."""

import itertools

import numpy as np
import pytest
import sympy as sp
from flint import arb
from mpmath import mp
from scipy.integrate import solve_ivp

import flows
from flows.systems.own.exact import balls, is_sharp, value_of
from symbolic import Expectation

A, B, T = sp.symbols("a b t")
W, V, X = (sp.MatrixSymbol(name, 2, 1) for name in ("w", "v", "x"))
WX, VX = (W.T * X)[0, 0], (V.T * X)[0, 0]
# Digits of the oracle, and the distance of its differences.
DIGITS, NEAR = 25, 1e-6
# Rounding of closed forms in doubles, relative to the size of the terms, and of their Hessian,
# whose terms cancel where forms are nearly parallel.
ROUNDED, BENT = 1e-13, 1e-8
OFF = 1e-3
# Digits of moments of a Gaussian far from its middle, and those that are asked of a ball.
MANY, SHARP = 60, 1e-15


def average(f, breaks=()):
    """Mean of a function of one standard normal number that is smooth between breaks."""
    ends = sorted({*range(-12, 13, 3), *(x for x in breaks if abs(x) < 12)})
    return mp.quad(lambda u: mp.npdf(u) * f(u), ends, method="gauss-legendre", maxdegree=4)


def ramp(m, s):
    """`E max(0, z)`, `z ~ N(m, s^2)`."""
    return m * mp.ncdf(m / s) + s * mp.npdf(m / s)


def by_axis(v, w):
    """`w` along `v` and across it."""
    length = mp.hypot(*v)
    return (v[0] * w[0] + v[1] * w[1]) / length, abs(v[0] * w[1] - v[1] * w[0]) / length


def hinge(y):
    return ramp(mp.mpf(1), mp.hypot(*y))


def hard_hinge(y):
    along, across = by_axis(y[2:], y[:2])
    return average(lambda u: ramp(1 - mp.sign(u) * along * u, across), [0])


def biased(y):
    """`E (max(0, w.x + b) - max(0, x_1))^2/2`, given `x_1`."""

    def inner(u):
        m, s = y[0] * u + y[2], abs(y[1])
        below = mp.ncdf(m / s)
        mean = m * below + s * mp.npdf(m / s)
        label = max(u, mp.mpf(0))
        return (m * mean + s * s * below + label**2) / 2 - label * mean

    turn, width = -y[2] / y[0], abs(y[1] / y[0])
    return average(inner, [0, *(turn + k * width for k in (-8, -3, 0, 3, 8))])


def quantised(y):
    return average(lambda u: (y[0] * mp.sign(u - y[1]) - u) ** 2, [y[1]])


LOSSES = {
    "hinge": (Expectation(sp.Max(0, 1 - WX), X), [W], hinge),
    "hard_hinge": (Expectation(sp.Max(0, 1 - sp.sign(VX) * WX), X), [W, V], hard_hinge),
    "biased": (Expectation((sp.Max(0, WX + B) - sp.Max(0, X[0, 0])) ** 2, X) / 2, [W, B], biased),
    "quantised": (Expectation((A * sp.sign(T - B) - T) ** 2, T), [A, B], quantised),
}


def system_of(name):
    loss, blocks, _ = LOSSES[name]
    return flows.OwnSystem(name, blocks, loss)


def states(size, seed, scales=(1e-3, 1.0, 1e3)):
    """Random states of these norms."""
    found = np.random.default_rng(seed).normal(size=(len(scales), size))
    return [scale * y / np.linalg.norm(y) for scale, y in zip(scales, found, strict=True)]


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_those_of_the_definition_at_any_size(name):
    system, truth = system_of(name), LOSSES[name][2]
    for y in states(system.initial(0.1).size, 3):
        with mp.workdps(DIGITS):
            exact = list(map(mp.mpf, y.tolist()))

            def moved(k, h, exact=exact):
                return truth([x + h * (j == k) for j, x in enumerate(exact)])

            expected = truth(exact)
            steps = [NEAR * abs(x) for x in exact]
            slopes = [(moved(k, h) - moved(k, -h)) / (2 * h) for k, h in enumerate(steps)]
        size = 1 + np.linalg.norm(y)
        found = system.loss(y), *system.gradient(y).ravel()
        sizes = [size**2, *(size**2 / abs(y))]
        for value, true, scale in zip(found, [expected, *slopes], sizes, strict=True):
            assert abs(value - true) < ROUNDED * scale
        assert abs((1 + OFF) * found[0] - expected) > ROUNDED * size**2


@pytest.mark.parametrize("name", LOSSES)
def test_the_hessian_is_that_of_the_gradient(name):
    system = system_of(name)
    for y in states(system.initial(0.1).size, 4, (0.1, 1.0, 10.0)):
        matrix = system.hessian(y)
        step = 1e-5 * np.linalg.norm(y)
        ends = [
            (system.gradient(y + step * e).ravel() - system.gradient(y - step * e).ravel())
            / (2 * step)
            for e in np.eye(len(y))
        ]
        size = np.abs(matrix).max()
        assert np.abs(np.array(ends) - matrix).max() < BENT * size + 1e-10 / step
        assert np.abs(np.array(ends) - (1 + OFF) * matrix).max() > BENT * size


def test_a_label_moves_the_loss_by_its_line_alone():
    # E softplus-like ramps of a trained label: a rule on fixed nodes would give no gradient by v.
    y = np.array([0.7, -0.4, 1.1, 0.6])
    slope = system_of("hard_hinge").gradient(y)[2:]
    assert np.abs(slope).min() > 0.01
    # The line does not know the length of v.
    assert abs(slope @ y[2:]) < ROUNDED


def test_runs_of_a_bias_and_of_a_hinge_follow_the_flow():
    w_teacher = sp.Rational(3, 10) * W[0, 0]
    hinged = flows.OwnSystem("hinged", [W], Expectation(sp.Max(0, 1 - WX), X) - w_teacher)

    def field(t, y):
        length = np.hypot(*y)
        density = float(mp.npdf(1 / length)) if length else 0.0
        slope = y / length * density if length else 0 * y
        return -slope + np.array([0.3, 0.0])

    # From zero, where the form has no slope.
    times = [0.5, 2.0, 8.0]
    run = flows.integrate(hinged, [0.0, 0.0], 8.0, times)
    truth = solve_ivp(field, (0, 8.0), [0.0, 0.0], "DOP853", times, rtol=1e-12, atol=1e-14)
    assert run.completed and run.state[1:] == pytest.approx(truth.y.T, abs=1e-9)
    loss = [float(ramp(mp.mpf(1), mp.hypot(*y)) - 0.3 * y[0]) for y in truth.y.T]
    stated = run.errors("loss")[1:]
    assert (np.abs(run["loss"][1:] - loss) <= stated * np.abs(loss) + ROUNDED).all()
    assert (np.abs(run["loss"][1:] - (1 + OFF) * np.array(loss)) > stated * np.abs(loss)).all()


def test_a_student_finds_the_bias_of_its_teacher_at_the_rate_of_the_hessian_there():
    # At the teacher, where both kinks are one, the Hessian is E H(x_1) g g', g = (x_1, x_2, 1).
    slowest = 0.5 - 1 / np.sqrt(2 * np.pi)
    run = flows.integrate(system_of("biased"), [0.5, 0.3, 0.2], 200.0, [150.0, 200.0])
    assert run.completed and run.state[-1] == pytest.approx([1, 0, 0], abs=1e-7)
    fell = np.log(run["loss"][1] / run["loss"][2]) / 50
    assert fell == pytest.approx(2 * slowest, rel=1e-5)
    assert fell != pytest.approx((1 + OFF) * 2 * slowest, rel=1e-5)


def between(low, high):
    """Moments up to the second of a standard normal number between two places."""
    ends = [mp.npdf(x) for x in (low, high)]
    size = mp.ncdf(-low) - mp.ncdf(-high) if low > 0 else mp.ncdf(high) - mp.ncdf(low)
    edges = [x * d if d else mp.mpf(0) for x, d in zip((low, high), ends, strict=True)]
    return [size, ends[0] - ends[1], size + edges[0] - edges[1]]


def on_a_line(a, b):
    """`E (max(0, a u + b) - max(0, u))^2/2` and its gradient, between the kinks."""
    kinks = sorted([mp.mpf(0), -b / a])
    total = mp.matrix(3, 1)
    for low, high in itertools.pairwise([-mp.inf, *kinks, mp.inf]):
        middle = max(min((low + high) / 2, kinks[1] + 1), kinks[0] - 1)
        on, label = a * middle + b > 0, middle > 0
        p, q = a * on - label, b * on
        m0, m1, m2 = between(low, high)
        total += mp.matrix([(p * p * m2 + 2 * p * q * m1 + q * q * m0) / 2, 0, 0])
        total += on * mp.matrix([0, p * m2 + q * m1, p * m1 + q * m0])
    return list(total)


NEAR_TEACHER = [(1 + 1e-8, 1e-8), (1.0, -1e-8), (1 - 1e-8, 1e-8)]
FAR = [(a, b) for a in (0.5, -0.5, 2.0, -3.0, 1e-3) for b in (-30.0, -3.0, -0.1, 0.7, 30.0)]


@pytest.mark.parametrize("place", NEAR_TEACHER + FAR, ids=str)
def test_a_student_on_a_line_keeps_relative_digits_whatever_its_bias_and_beside_its_teacher(place):
    system = flows.OwnSystem(
        "line", [A, B], Expectation((sp.Max(0, A * T + B) - sp.Max(0, T)) ** 2, T) / 2
    )
    with mp.workdps(MANY):
        expected = on_a_line(*map(mp.mpf, place))
    loss = balls(system._loss)
    known = value_of(lambda: loss.both([arb(x) for x in place]), is_sharp)
    rounded = system.loss(place), *system.gradient(place)
    size = 1 + sum(x * x for x in place)
    for ball, value, true in zip(known, rounded, expected, strict=True):
        ball = mp.mpf(ball.mid().str(20, radius=False))
        assert abs(ball - true) <= SHARP * abs(true)
        assert true == 0 or abs((1 + OFF) * ball - true) > SHARP * abs(true)
        assert abs(value - true) < ROUNDED * size


def test_a_gradient_of_few_data_is_known_and_so_is_the_flow():
    # Two data in a billion are beyond the kink at 6.
    system = flows.OwnSystem(
        "line", [A, B], Expectation((sp.Max(0, A * T + B) - sp.Max(0, T)) ** 2, T) / 2
    )
    start, times = [0.5, -3.0], [1e3, 1e5]
    run = flows.integrate(system, start, 1e5, times)
    truth = solve_ivp(
        lambda t, y: [-float(x) for x in on_a_line(*map(mp.mpf, y.tolist()))[1:]],
        *((0, 1e5), start, "DOP853", times),
        rtol=1e-11,
        atol=1e-14,
    )
    moved, expected = run.state[1:] - start, truth.y.T - start
    assert run.completed and np.abs(moved / expected - 1).max() < 1e-7
    assert np.abs((1 + OFF) * moved / expected - 1).min() > 1e-7


X3, W3 = (sp.MatrixSymbol(name, 3, 1) for name in ("x", "w"))
TEACHERS = {
    "line": ([A, B], A * T + B, T + 1, T, [1.0, 1.0]),
    "plane": ([W, B], WX + B, X[0, 0] + X[1, 0] / 3 - sp.Rational(1, 2), X, [1, 1 / 3, -0.5]),
    "space": ([W3, B], (W3.T * X3)[0, 0] + B, X3[1, 0] / 2, X3, [0.0, 0.5, 0.0, 0.0]),
}


@pytest.mark.parametrize("off", [0.0, 1e-10, 1e-8])
@pytest.mark.parametrize("name", TEACHERS)
def test_at_a_teacher_with_a_bias_the_hessian_is_that_of_its_own_data(name, off):
    # E H(z) g g' with g = (x, 1): the jump of H meets a zero.
    blocks, student, teacher, x, place = TEACHERS[name]
    loss = Expectation((sp.Max(0, student) - sp.Max(0, teacher)) ** 2, x) / 2
    system = flows.OwnSystem(name, blocks, loss)
    *w, b = place
    length = np.hypot.reduce(w)
    unit, h = np.array(w) / length, b / length
    step, density = float(mp.ncdf(h)), float(mp.npdf(h))
    expected = np.full((len(place), len(place)), step)
    expected[:-1, :-1] = step * np.eye(len(w)) - h * density * np.outer(unit, unit)
    expected[:-1, -1] = expected[-1, :-1] = density * unit
    y = np.array(place) + off * np.cos(np.arange(len(place)))
    found = system.hessian(y)
    # It is continuous, with a slope.
    near = 1e-12 + 10 * off
    assert np.abs(found - expected).max() < near and np.abs(system.gradient(y)).max() < near
    assert np.abs((1 + OFF) * found - expected).max() > near
