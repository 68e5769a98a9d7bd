"""Newton's polytope: who lies in it, against linear programs."""

import itertools

import numpy as np
import pytest
import scipy.optimize

from potentials.search.monomials import Polytope


@pytest.mark.parametrize("flat", [False, True])
def test_membership_is_that_of_a_linear_program(flat):
    points = np.random.default_rng(3).integers(0, 7, size=(8, 3))
    if flat:  # all of one degree: the hull has no inside in space
        points[:, 2] = 12 - points[:, :2].sum(1)
    hull = Polytope(map(tuple, points.tolist()))
    rows = np.vstack([points.T, np.ones(len(points))])
    every = [e for e in itertools.product(range(7), repeat=3) if not flat or sum(e) == 12]
    few = every[:: 1 if flat else 4]
    inside = [
        scipy.optimize.linprog(np.zeros(len(points)), A_eq=rows, b_eq=[*e, 1]).status == 0
        for e in few
    ]
    assert [e in hull for e in few] == inside and 0 < sum(inside) < len(few)
