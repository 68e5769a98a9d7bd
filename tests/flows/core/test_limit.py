"""Limits of quadratic losses whose curvatures are far apart, and what is no limit."""

import pytest
import sympy as sp
from flint import arb

from flows.core.limit import balls_of, find_limit

X = sp.symbols("x1:4")
A, B, C = X
#: Orthogonal: their squares have the curvatures 3, 2 and 6.
SUM, FIRST, SECOND = (A + B + C) ** 2 / 2, (A - B) ** 2 / 2, (A + B - 2 * C) ** 2 / 2
START = [1.0, 0.5, -1.25]


def found(loss, time):
    return find_limit(balls_of(sp.expand(loss), X), [arb(s) for s in START], time)


@pytest.mark.parametrize("stiff", [10**8, 10**17, 10**18, 10**25])
@pytest.mark.parametrize("time", [40.0, 1e6])
def test_a_convex_loss_has_its_minimum_for_a_limit_however_far_its_curvatures_are_apart(
    stiff, time
):
    # LAPACK's eigenvalues are off by 1e-16 of the largest one: of either sign, from 1e17 on.
    limit = found(stiff * SUM + FIRST + SECOND, time)
    assert max(abs(float(x)) for x in limit.where) < 1e-30 and limit.power == 2.0
    # Control: along one direction the loss falls a little.
    assert "negative curvature" in found(stiff * SUM + FIRST - SECOND / 100, time)
