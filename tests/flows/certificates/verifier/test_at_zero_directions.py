"""A neuron at zero: how fast it falls in all directions, and what it does to the others."""

import math

import numpy as np
import pytest
import scipy.optimize
from flint import arb

import flows
from flows.certificates.verifier import at_zero as checker
from flows.certificates.verifier.reading import Refused
from flows.core.balls import precision

# A search for a minimum in doubles finds it to so much; statements are off by a thousandth.
FOUND, OFF = 1e-6, 1e-3
# Gradients of doubles, and what a neuron of this length does to the second order.
ROUNDING, TINY = 1e-12, 1e-7


def balls(rows):
    return np.array([[arb(float(x)) for x in row] for row in rows])


def fall(u, others):
    """``D(u)`` by the angles, in doubles."""
    total = u @ (others[:-1].sum(axis=0) - others[-1]) / 2
    for w, mu in zip(others, [1] * (len(others) - 1) + [-1], strict=True):
        theta = np.arccos(np.clip(u @ w / np.linalg.norm(u) / np.linalg.norm(w), -1, 1))
        pull = np.sin(theta) - theta * np.cos(theta)
        total += mu * np.linalg.norm(u) * np.linalg.norm(w) * pull / (2 * math.pi)
    return total


def least(others, q):
    """The smallest ``D`` of a unit vector, by a search from many directions."""
    wide = np.pad(others, ((0, 0), (0, q - others.shape[1])))
    random = np.random.default_rng(0).normal(size=(200, q))
    near = np.eye(1, q) + 0.1 * random
    starts = sorted([*random, *near, *-near], key=lambda u: fall(u, wide) / np.linalg.norm(u))
    found = [
        scipy.optimize.minimize(
            lambda u: fall(u, wide) / np.linalg.norm(u), u, method="Nelder-Mead", tol=1e-12
        )
        for u in starts[:3]
    ]
    return min(x.fun for x in found)


FALLING = {
    "plane": [[0.625, 0.25], [0.5, -0.25], [1.0, 0.0]],
    "space": [[0.6, 0.2, 0.1], [0.3, -0.1, -0.2], [0.2, -0.2, 0.2], [1.0, 0.0, 0.0]],
}


# Beyond the plane a neuron may also fall in a direction that the others do not span.
@pytest.mark.parametrize(("name", "more"), [("plane", False), ("plane", True), ("space", False)])
def test_the_slowest_fall_is_decided_to_a_thousandth(name, more):
    others = np.array(FALLING[name])
    slowest = least(others, others.shape[1] + more)
    assert slowest > 0
    w, v = balls(others[:-1]), balls(others)[-1]
    with precision(80):
        checker.falls(w, v, arb(slowest * (1 - OFF)), more)
        with pytest.raises(Refused, match="may not fall to zero along"):
            checker.falls(w, v, arb(slowest * (1 + OFF)), more)


def test_a_neuron_that_may_leave_zero_again_is_refused():
    others = np.array([[0.5, 0.05], [0.4, -0.05], [1.0, 0.0]])  # less than the teacher
    assert least(others, 2) < 0
    with precision(80), pytest.raises(Refused, match="may not fall to zero along"):
        checker.falls(balls(others[:-1]), balls(others)[-1], arb(0), False)


def test_the_gradient_of_a_small_neuron_is_that_of_the_system_and_its_push_half_its_length():
    random = np.random.default_rng(1)
    system, most = flows.ReLUNeuron(n=3, d=3), 0.0
    two = flows.ReLUNeuron(n=2, d=3)
    for trial in range(40):
        w = random.normal(size=(3, 3))
        unit = w[2] / np.linalg.norm(w[2])
        if trial % 2:  # aligned with another one, where it pushes most
            unit = w[0] / np.linalg.norm(w[0])
        w[2] = TINY * unit
        slope = system.gradient(w)
        with precision(80):
            others = [*balls(w[:2]), balls(np.eye(1, 3))[0]]
            found = [float(x.mid()) for x in checker.gradient(balls([unit])[0], others)]
        np.testing.assert_allclose(slope[2] - w[2] / 2, found, atol=ROUNDING)
        push = np.linalg.norm(slope[:2] - two.gradient(w[:2]), axis=1) / TINY
        assert (push <= 0.5 + ROUNDING / TINY).all()
        most = max(most, push.max())
    assert most > 0.5 - OFF


def test_the_second_derivative_stays_below_its_bound():
    random, step = np.random.default_rng(2), 1e-4
    for trial in range(50):
        # As long together as the teacher, and short ones, beside which it stands alone.
        sizes = (0.5, 0.1) if trial % 2 else (0.0, 0.02)
        w = np.array([[sizes[0], 0.0, 0.0]] * 2) + sizes[1] * random.normal(size=(2, 3))
        v = np.eye(3)[0]
        with precision(80):
            bound = float(checker._bend(balls(w), balls([v])[0]).upper())
            u, along = random.normal(size=(2, 3))
            u, along = u / np.linalg.norm(u), along / np.linalg.norm(along)
            others = [*balls(w), balls([v])[0]]
            first, last = (
                checker.gradient(balls([u + sign * step * along])[0], others) for sign in (-1, 1)
            )
            bent = np.array([float(x.mid()) for x in last - first]) @ along / (2 * step)
        assert abs(bent) <= bound / np.linalg.norm(u) * (1 + 10 * step)


def test_the_speed_of_the_others_is_that_of_the_flow_of_these_alone():
    w = np.random.default_rng(3).normal(size=(2, 3))
    with precision(64):
        found = float(checker._speed(balls(w), balls(np.eye(1, 3))[0]))
    moved = np.linalg.norm(flows.ReLUNeuron(n=2, d=3).gradient(w))
    assert found == pytest.approx(moved, rel=ROUNDING)


def test_the_pull_on_the_others_is_bounded_by_what_parallel_neurons_feel():
    system, size, others = flows.ReLUNeuron(n=4, d=2), 1e-3, 3
    with_it = np.array([[0.2, 0.0], [0.3, 0.0], [0.6, 0.0], [size, 0.0]])
    without = with_it.copy()
    without[3] = 0.0
    pull = system.gradient(with_it)[:others] - system.gradient(without)[:others]
    with precision(64):
        bound = float(checker.pull_on(others, arb(size)))
    assert np.linalg.norm(pull) <= (1 + ROUNDING) * bound < (1 + OFF) * np.linalg.norm(pull)


# Three neurons in the plane, for which D is lowest in space: 0.1433, in the plane 0.1499.
PLANAR = [[0.1705, -0.4005], [1.0666, 0.3161], [-0.4214, 0.1641]]


def test_a_direction_that_nothing_spans_may_be_the_lowest_one():
    with precision(64):
        w = np.array([[arb(x) for x in row] for row in PLANAR])
        teacher = np.array([arb(1), arb(0)])
        checker.falls(w, teacher, arb(0.147), False)
        with pytest.raises(Refused, match="may not fall"):
            checker.falls(w, teacher, arb(0.147), True)
        checker.falls(w, teacher, arb(0.12), True)
