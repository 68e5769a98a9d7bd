"""Smooth losses over spheres of three and more dimensions, against two polar angles."""

import numpy as np
import pytest
import sympy as sp
from oracles.grids import legendre
from scipy.integrate import solve_ivp

import flows
from symbolic import Expectation, Sphere

RADIUS = 2.0
# Rounding of sums over nodes, of both sides.
ROUNDED = 1e-13
# Differences of gradients in doubles.
BENT = 1e-8
OFF = 1e-3


def system_of(d, radius=RADIUS):
    w, x = sp.MatrixSymbol("w", d, 1), sp.MatrixSymbol("x", d, 1)
    off = sp.tanh((w.T * x)[0, 0]) - sp.tanh(x[0, 0])
    return flows.OwnSystem("sphere", [w], Expectation(off**2, x, Sphere(radius)) / 2)


def by_angles(y, radius=RADIUS):
    """Along `e_1` and `w` by angles of densities `sin^(d-2)` and `sin^(d-3)`."""
    d, (t, weights) = len(y), legendre(150)
    angle = np.pi * (1 + t) / 2
    one, other = weights * np.sin(angle) ** (d - 2), weights * np.sin(angle) ** (d - 3)
    share = np.multiply.outer(one / one.sum(), other / other.sum())
    first = radius * np.cos(angle)[:, None]
    second = radius * np.multiply.outer(np.sin(angle), np.cos(angle))
    across = np.linalg.norm(y[1:])
    z = y[0] * first + across * second
    off = np.tanh(z) - np.tanh(first)
    pull = share * off / np.cosh(z) ** 2
    along = [(pull * first).sum(), *(y[1:] / across * (pull * second).sum())]
    return (share * off**2).sum() / 2, np.array(along)


@pytest.mark.parametrize("d", [3, 4, 5, 8])
def test_loss_and_gradient_are_those_of_two_angles_within_their_errors(d):
    system = system_of(d)
    for y in np.random.default_rng(d).normal(size=(3, d)):
        found, (loss, slope) = system.expectation(y), by_angles(y)
        gap = np.linalg.norm(found.gradient - slope)
        assert abs(found.loss - loss) <= found.loss_error + ROUNDED < OFF * loss / 2
        assert gap <= found.gradient_error + ROUNDED < OFF * np.linalg.norm(slope) / 2
        ends = [
            (system.gradient(y + 1e-5 * e) - system.gradient(y - 1e-5 * e)).ravel() / 2e-5
            for e in np.eye(d)
        ]
        matrix = system.hessian(y)
        assert np.abs(matrix - ends).max() < BENT
        # Across the plane of e_1 and w curvature comes from the part of x that leaves it.
        assert np.abs((1 + OFF) * matrix - ends).max() > BENT


def test_beside_a_minimum_no_nodes_are_taken_for_less_than_last_bits_of_the_state():
    off = 1e-8 * np.array([1.0, 0.5, -0.3, 0.2, 0.7])
    found = system_of(5).expectation(np.eye(5)[0] + off)
    assert len(found.rule) < 3_000
    # The loss is quadratic there, and what is not known of it is stated.
    twice = system_of(5).expectation(np.eye(5)[0] + 2 * off)
    assert found.loss_error > 0 and found.known and twice.known
    assert twice.loss == pytest.approx(4 * found.loss, rel=1e-6, abs=0)
    assert twice.loss != pytest.approx((4 + OFF) * found.loss, rel=1e-6, abs=0)


def test_a_run_on_a_sphere_follows_the_flow_and_a_steep_function_says_what_it_does_not_know():
    start, times = np.array([0.3, 0.8, -0.5, 0.2]), np.array([1.0, 10.0])
    run = flows.integrate(system_of(4), start, 10.0, times)
    truth = solve_ivp(
        lambda t, y: -by_angles(y)[1], (0, 10.0), start, "DOP853", times, rtol=1e-11, atol=1e-13
    )
    losses = np.array([by_angles(y)[0] for y in truth.y.T])
    assert run.completed and run.state[1:] == pytest.approx(truth.y.T, abs=1e-8)
    off = np.abs(run["loss"][1:] / losses - 1)
    assert (off <= run.errors("loss")[1:]).all() and (off < 1e-6).all()
    assert (np.abs((1 + OFF) * run["loss"][1:] / losses - 1) > run.errors("loss")[1:]).all()
    steep = system_of(3, 100).expectation([1.0, 2.0, 0.5])
    assert steep.error > OFF
    told = flows.integrate(system_of(3, 100), [1.0, 2.0, 0.5], 1.0)
    assert told.status == "field_failed" and "\n" not in told.message


def test_three_directions_are_told_in_one_line():
    w, x = sp.MatrixSymbol("w", 4, 1), sp.MatrixSymbol("x", 4, 1)
    loss = Expectation(sp.tanh((w.T * x)[0, 0] + x[0, 0] ** 2 * sp.tanh(x[1, 0])), x, Sphere())
    with pytest.raises(flows.InputError, match="at most two directions") as told:
        flows.OwnSystem("three", [w], loss)
    assert "\n" not in str(told.value)
