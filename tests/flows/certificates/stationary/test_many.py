"""Ends of many flows: families, counts and intervals."""

import numpy as np
import pytest
import sympy as sp
from scipy.stats import binomtest

import flows

x, y = sp.symbols("x y")
# Wells at x = -1 and 1 of different depths, and the saddle between them.
TILTED = flows.OwnSystem("own", [x, y], (x**2 - 1) ** 2 / 4 + y**2 / 2 + x / 10)
STARTS = [[-0.5, 0.1], [0.9, 0.3], [-1.2, 0.0], [-0.3, -0.4], [1.5, 0.2]]


def test_ends_are_counted_by_the_point_they_come_to():
    families = flows.stationary_ensemble(TILTED, STARTS, t_end=20.0)
    assert [f.members for f in families] == [(0, 2, 3), (1, 4)]
    assert [f.share for f in families] == [0.6, 0.4]
    assert families[0].point.state[0] < 0 < families[1].point.state[0]
    assert {f.point.kind for f in families} == {"minimum"}


def test_intervals_are_those_of_clopper_and_pearson():
    families = flows.stationary_ensemble(TILTED, STARTS, t_end=20.0)
    for family in families:
        oracle = binomtest(len(family.members), 5).proportion_ci(0.9, "exact")
        assert family.interval(0.9) == pytest.approx(oracle)


def test_permutations_of_one_point_are_one_family():
    system = flows.TwoLayer(students=2, teachers=2)
    starts = [np.eye(2) + 0.1, np.eye(2)[::-1] - 0.1]
    families = flows.stationary_ensemble(system, starts, t_end=30.0)
    assert [f.members for f in families] == [(0, 1)]


def test_wells_of_one_depth_are_told_apart_by_their_spectra():
    """The loss is 0 in both, the curvature 2 and 2.02."""
    wells = flows.OwnSystem("own", [x, y], (x**2 - 1) ** 2 * (1 + x / 200) / 4 + y**2 / 2)
    families = flows.stationary_ensemble(wells, [[0.5, 0.1], [-0.5, 0.1]], t_end=20.0)
    assert [len(f.members) for f in families] == [1, 1]


def test_ends_without_a_point_nearby_are_counted_too():
    falling = flows.OwnSystem("own", [x, y], sp.exp(-x) + y**2)
    (family,) = flows.stationary_ensemble(falling, [[0.1, 0.0], [0.2, 0.1]], t_end=1.0)
    assert family.point.kind == "not found" and family.members == (0, 1)


@pytest.mark.parametrize("starts", [[], [0.5, 0.1]])
def test_starts_have_members_along_the_first_axis(starts):
    with pytest.raises(flows.InputError, match="one start along the first axis"):
        flows.stationary_ensemble(TILTED, starts)
