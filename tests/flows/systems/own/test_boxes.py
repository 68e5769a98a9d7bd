"""Smooth losses over cubes of three and more numbers, against products of closed forms."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import flows
from flows.expectations.legendre import ellipses, tensor
from symbolic import Cube, Expectation

# Rounding of the closed forms.
ROUNDED = 1e-14
# Two runs at rtol 1e-10 and 1e-11.
FLOWS = 1e-8
OFF = 1e-3
ENDS = {"around zero": (-1, 1), "beside zero": (0, 2)}


def system_of(d, ends, s=sp.cos):
    w, x = sp.MatrixSymbol("w", d, 1), sp.MatrixSymbol("x", d, 1)
    loss = Expectation((s((w.T * x)[0, 0]) - s(x[0, 0])) ** 2, x, Cube(*ends)) / 2
    return flows.OwnSystem("in_a_cube", [w], loss)


def mean(v, ends):
    """`E cos(v.x)` and its gradient: the real part of a product of one-dimensional integrals."""
    middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
    z = v * half
    ratio = np.sinc(z / np.pi)
    near, far = np.abs(z) < 0.1, np.where(z, z, 1.0)
    series = z * (-1 / 3 + z**2 * (1 / 30 + z**2 * (-1 / 840 + z**2 / 45360)))
    bent = np.where(near, series, (np.cos(z) - ratio) / far)
    turn = np.exp(1j * v * middle)
    each, slope = turn * ratio, turn * (1j * middle * ratio + half * bent)
    rest = np.array([np.prod(np.delete(each, k)) for k in range(len(v))])
    return np.prod(each).real, (slope * rest).real


def by_hand(w, ends):
    """`E (cos(w.x) - cos(x_1))^2/2` by sums of cosines."""
    e = np.eye(len(w))[0]
    (own, up), (one, first), (other, last) = (mean(v, ends) for v in (2 * w, w - e, w + e))
    loss = (2 + own + mean(2 * e, ends)[0]) / 4 - (one + other) / 2
    return loss, (up - first - last) / 2


@pytest.mark.parametrize("ends", ENDS.values(), ids=list(ENDS))
@pytest.mark.parametrize("d", [3, 4, 5])
def test_loss_and_gradient_are_those_of_closed_forms_within_their_errors(d, ends):
    system = system_of(d, ends)
    for size in (1e-3, 0.5, 2.0):
        w = size * np.random.default_rng(d).normal(size=d)
        found, (loss, slope) = system.expectation(w), by_hand(w, ends)
        gap = np.linalg.norm(found.gradient - slope)
        assert abs(found.loss - loss) <= found.loss_error + ROUNDED < OFF * loss / 2
        assert gap <= found.gradient_error + ROUNDED < OFF * np.linalg.norm(slope) / 2


@pytest.mark.parametrize("seed", range(6))
def test_no_rule_of_few_nodes_is_farther_off_than_its_bound(seed):
    rng = np.random.default_rng(seed)
    x, ends = sp.symbols("x0:3", real=True), [(-1.0, 1.0), (0.0, 2.0), (-0.5, 0.5)]
    w, counts = rng.normal(size=3) * 10 ** rng.uniform(-1, 0.7), rng.integers(2, 9, size=3)
    a = sp.symbols("a0:3", real=True)
    slopes = [f := sp.cos(sum(p * q for p, q in zip(a, x, strict=True))), *(f.diff(p) for p in a)]
    known = ellipses(slopes, x, ends, dict(zip(a, w.tolist(), strict=True)))
    rule = tensor(ends, counts.tolist())
    z = rule.nodes @ w
    turns = [
        np.exp(1j * v * (p + q) / 2) * np.sinc(v * (q - p) / 2 / np.pi)
        for v, (p, q) in zip(w, ends, strict=True)
    ]
    off = abs(rule.weights @ np.cos(z) - np.prod(turns).real)
    bound = known.bound(counts.tolist())[0]
    assert off <= bound + ROUNDED
    # It says something: of twice as many nodes little is left.
    assert known.bound((2 * counts + 12).tolist())[0] < 1e-3 * (1 + bound)
    assert sum(known.counts(np.array([1e-12, 1e-12]))) < 150


def test_a_run_over_a_cube_of_three_numbers_follows_the_flow():
    start, times, ends = np.array([0.4, 0.5, -0.3]), np.array([1.0, 10.0]), (-1, 1)
    run = flows.integrate(system_of(3, ends), start, times[-1], times)
    truth = solve_ivp(
        *(lambda t, y: -by_hand(y, ends)[1], (0, times[-1]), start, "DOP853", times),
        rtol=1e-11,
        atol=1e-13,
    )
    losses = np.array([by_hand(y, ends)[0] for y in truth.y.T])
    stated = run.errors("loss")[1:]
    assert run.completed and run.state[1:] == pytest.approx(truth.y.T, abs=FLOWS)
    assert (np.abs(run["loss"][1:] / losses - 1) <= stated).all() and (stated < 1e-6).all()
    assert (np.abs((1 + OFF) * run["loss"][1:] / losses - 1) > stated).all()


def test_a_function_that_is_too_steep_says_what_is_not_known_of_it():
    found = system_of(4, (-1, 1)).expectation(np.array([40.0, -30.0, 60.0, 20.0]))
    loss, _ = by_hand(np.array([40.0, -30.0, 60.0, 20.0]), (-1, 1))
    assert abs(found.loss - loss) <= found.loss_error and not found.known


def test_a_number_on_which_nothing_depends_takes_one_node():
    w, x = sp.MatrixSymbol("w", 4, 1), sp.MatrixSymbol("x", 4, 1)
    inner = sum(w[k, 0] * x[k, 0] for k in range(3))
    loss = Expectation(sp.cos(inner), x, Cube([-1] * 4, [1, 1, 1, 5]))
    system, at = flows.OwnSystem("three_of_four", [w], loss), np.array([0.5, -0.7, 0.3, 2.0])
    assert abs(system.loss(at) - mean(at[:3], (-1, 1))[0]) < ROUNDED
    assert len(system.expectation(at).rule) < 1_000
