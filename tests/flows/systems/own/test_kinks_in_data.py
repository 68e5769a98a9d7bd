"""Losses of your own with kinks in the data: hinges, hard labels, biases, against many digits."""

import numpy as np
import pytest
import sympy as sp
from mpmath import mp
from scipy.integrate import solve_ivp

import flows
from symbolic import Expectation

A, B, T = sp.symbols("a b t")
W, V, X = (sp.MatrixSymbol(name, 2, 1) for name in ("w", "v", "x"))
WX, VX = (W.T * X)[0, 0], (V.T * X)[0, 0]
# Digits of the oracle, and the distance of its differences.
DIGITS, NEAR = 30, 1e-9
# Rounding of closed forms in doubles, relative to the size of the terms, and of their Hessian,
# whose terms cancel where forms are nearly parallel.
ROUNDED, BENT = 1e-13, 1e-8
OFF = 1e-3


def average(f, breaks=()):
    """Mean of a function of one standard normal number that is smooth between breaks."""
    ends = sorted({*range(-12, 13, 6), *(x for x in breaks if abs(x) < 12)})
    return mp.quad(lambda u: mp.npdf(u) * f(u), ends)


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
        second = (m * m + s * s) * mp.ncdf(m / s) + m * s * mp.npdf(m / s)
        label = max(u, mp.mpf(0))
        return second / 2 - label * ramp(m, s) + label**2 / 2

    turn, width = -y[2] / y[0], abs(y[1] / y[0])
    return average(inner, [0, *(turn + k * width for k in (-8, -3, -1, 0, 1, 3, 8))])


def quantised(y):
    return average(lambda u: (y[0] * mp.sign(u - y[1]) - u) ** 2, [y[1]])


LOSSES = {
    "hinge": (Expectation(sp.Max(0, 1 - WX), X), [W], hinge),
    "hard_hinge": (Expectation(sp.Max(0, 1 - sp.sign(VX) * WX), X), [W, V], hard_hinge),
    "biased": (
        Expectation((sp.Max(0, WX + B) - sp.Max(0, X[0, 0])) ** 2, X) / 2,
        [W, B],
        biased,
    ),
    "quantised": (Expectation((A * sp.sign(T - B) - T) ** 2, T), [A, B], quantised),
}


def system_of(name):
    loss, blocks, _ = LOSSES[name]
    return flows.OwnSystem(name, blocks, loss)


def states(size, seed):
    """Random states of norms from 1e-3 to 1e3."""
    generator = np.random.default_rng(seed)
    return [
        scale * y / np.linalg.norm(y)
        for scale, y in zip(
            (1e-3, 0.1, 1.0, 10.0, 1e3), generator.normal(size=(5, size)), strict=True
        )
    ]


@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_those_of_the_definition_at_any_size(name):
    system, truth = system_of(name), LOSSES[name][2]
    for y in states(system.initial(0.1).size, 3):
        with mp.workdps(DIGITS):
            exact = list(map(mp.mpf, y.tolist()))

            def moved(k, h, exact=exact):
                return truth([x + h * (j == k) for j, x in enumerate(exact)])

            expected = truth(exact)
            slopes = [
                (moved(k, NEAR * abs(x)) - moved(k, -NEAR * abs(x))) / (2 * NEAR * abs(x))
                for k, x in enumerate(exact)
            ]
        size = 1 + np.linalg.norm(y)
        found = system.loss(y), *system.gradient(y).ravel()
        sizes = [size**2, *(size**2 / abs(y))]
        for value, true, scale in zip(found, [expected, *slopes], sizes, strict=True):
            assert abs(value - true) < ROUNDED * scale
        assert abs((1 + OFF) * found[0] - expected) > ROUNDED * size**2


@pytest.mark.parametrize("name", LOSSES)
def test_the_hessian_is_that_of_the_gradient(name):
    system = system_of(name)
    for y in states(system.initial(0.1).size, 4)[1:4]:
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
