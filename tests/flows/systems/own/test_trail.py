"""Errors where the loss curves downward: looks at the curvature on the way, too."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from flows.systems.own.carried_errors import Errors
from flows.systems.own.trail import Trail

# Between so many steps the curvature is linear in log-time: a few per cent of the exponent.
STEPS = 300
CLOSE = 0.05


def told(curvature: Any, since: float, later: float) -> tuple[float, float]:
    """Growth of an error by a trail of steps, and by both ends alone."""
    trail = Trail(since, np.eye(1), lambda u, s: np.array([[curvature(s)]]))
    for tau in np.linspace(0, np.log(later / since), STEPS)[1:]:
        trail.note(float(tau), np.zeros(1))
    grown = []
    for between in (trail.between, None):
        one = np.ones(1)
        known = Errors(
            np.eye(1), np.array([curvature(since)]), 1e-9 * one, 0 * one, since, between=between
        )
        _, _, (error,) = known.carried(np.array([[curvature(later)]]), later)
        grown.append(float(np.log(error / 1e-9)))
    return grown[0], grown[1]


@pytest.mark.parametrize("part", [0.1, 0.5, 1.0, 3.0])
def test_errors_beside_a_kink_grow_like_a_power_of_the_distance(part: float) -> None:
    # Across a vector that grows like its length l = l_0 + c t the curvature is -p/l.
    found, ends = told(lambda s: -part / s, 1e-6, 1e-4)
    truth = part * np.log(100.0)
    assert truth <= found < (1 + CLOSE) * truth
    assert ends > 4 * truth


def test_errors_grow_until_a_saddle_is_left_at_last() -> None:
    # The ends alone say too little.
    def curvature(s: float) -> float:
        return -1.0 if s < 28 else -0.1

    found, ends = told(curvature, 10.0, 30.0)
    truth = 18.0 + 0.2
    assert abs(found / truth - 1) < CLOSE
    assert ends < 0.7 * truth


def test_a_solver_that_begins_again_leaves_no_steps_of_the_one_before() -> None:
    trail = Trail(1.0, np.eye(2), lambda u, s: np.diag(u))
    for tau, x in ((0.5, 9.0), (1.0, 9.0), (0.4, 2.0), (0.8, 3.0)):
        trail.note(tau, np.array([x, -x]))
    times, curved = trail.between(np.exp(0.8))
    assert times == pytest.approx([np.exp(0.4)])
    assert curved.tolist() == [[2.0, -2.0]]


def test_errors_of_random_flows_on_which_all_axes_turn_are_bounded_beside_a_kink() -> None:
    over, ends = [], []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        since, later = 1.0, 10.0 ** generator.uniform(0.5, 2)
        parts = np.array([-generator.uniform(0.5, 2.0), generator.uniform(-0.3, 0.3)])
        turn = generator.uniform(0, 0.3) * np.array([[0.0, -1.0], [1.0, 0.0]])

        def at(s: float, parts: Any = parts, turn: Any = turn, later: float = later) -> Any:
            axes = scipy.linalg.expm(np.log(s) / np.log(later) * turn)
            return axes * (parts / s) @ axes.T

        trail = Trail(since, np.eye(2), lambda u, s, at=at: at(s))
        taus, exact = np.linspace(0, np.log(later), STEPS), np.eye(2)
        for low, high in itertools.pairwise(taus):
            middle = (np.exp(low) + np.exp(high)) / 2
            exact = scipy.linalg.expm(-(np.exp(high) - np.exp(low)) * at(middle)) @ exact
            trail.note(float(high), np.zeros(2))
        error = 1e-9 * np.eye(2)[0]
        stated = []
        for between in (trail.between, None):
            known = Errors(np.eye(2), parts / since, error, np.zeros(2), since, between=between)
            _, axes, found = known.carried(at(later), later)
            stated.append(found / np.abs(axes.T @ exact @ error))
        over.append(stated[0][0])
        ends.append(stated[1][0])
    assert min(over) > 0.9 and max(over) < 3
    # Control: by the ends alone too much by far.
    assert max(ends) > 1e6
