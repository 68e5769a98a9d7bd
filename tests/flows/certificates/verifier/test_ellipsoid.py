"""Tubes that are ellipsoids, on Hessians simple enough that each bound is known by hand."""

import math

import numpy as np
import pytest
from flint import arb

from flows.certificates.verifier.ellipsoid import Ellipsoid, off_at_end
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Segment

BITS = 64
# Radii of balls have 30 bits, and bounds of norms have room for rounding in doubles.
LESS, MORE, ROUNDED = 0.9999, 1.0001, 1e-5


class Toy:
    """Hessian and its derivatives as functions; on nested boxes these may know how wide one is."""

    def __init__(self, hessian, bending=lambda moves, spread: 0):
        self._hessian, self._bending = hessian, bending

    def hessian(self, x):
        return np.array(self._hessian(x), dtype=object) + arb(0)

    def bending(self, x, moves, spread):
        size = moves.shape[1]
        made = [np.diag([arb(0) + self._bending(m[0], spread[0, 0])] * size) for m in moves]
        return np.array(made)


def ellipsoid(rows, reach=0.125, left=0.125, **stated):
    """Axes by their Chebyshev coefficients, entry by entry, in a tube that is wide enough."""
    size = math.isqrt(len(rows))
    axes = [[f"{int(c * 2**BITS):x}" for c in row] for row in rows]
    numbers = {"reach": reach, "left": left, "tube": 10.0, "error": 10.0} | stated
    return Ellipsoid.read({key: x.hex() for key, x in numbers.items()} | {"axes": axes}, size, BITS)


def still(size, last=1.0):
    """A state at zero, in log-time up to an end."""
    return Segment(np.array([[arb(0)] * 3] * size), arb(0), arb(last))


def grows(tube, equations, nu, last=1.0, part=0, parts=1):
    return tube.grows(equations, still(tube.size, last), part, parts, arb(nu))


def only_above(least, tube, equations, last=1.0):
    """A growth is accepted above a number and refused below it."""
    with pytest.raises(Refused, match="grow faster"):
        grows(tube, equations, least - (1 - LESS) * abs(least), last)
    assert grows(tube, equations, least + (MORE - 1) * abs(least), last) > 0


def test_errors_grow_by_the_hessian_at_the_worse_end_and_the_inverse_of_the_axes_is_bounded():
    axes = [(0.5, 0, 0), (0, 0, 0), (0, 0, 0), (0.25, 0, 0)]
    falling = Toy(lambda x: np.diag([-0.375, 2.0]))
    # So short a piece that a mean value is off by less than what is told apart.
    only_above(0.375 * math.exp(2**-7), ellipsoid(axes), falling, last=2**-7)
    found = grows(ellipsoid(axes), falling, 2.0)
    assert found.lower() >= 4.0  # |C^-1|
    assert float(found) == pytest.approx(2 * math.hypot(2.0, 4.0), ROUNDED)


def test_axes_that_move_count_by_their_velocity():
    # C = 1 + s/4 on a log-time of 1: C^-1 C' is at least 2/5, to first order in what C moves.
    tube = ellipsoid([(1.0, 0.25, 0.0)])
    assert grows(tube, Toy(lambda x: [[0.0]]), -0.2) > 0
    with pytest.raises(Refused, match="grow faster"):
        grows(tube, Toy(lambda x: [[0.0]]), -0.4)


# The square of a ball 1 +- m is above 1/4 up to m = 0.3229.
@pytest.mark.parametrize(("moved", "fits"), [(0.3125, True), (0.328125, False)])
def test_axes_that_may_shrink_to_half_on_a_part_are_refused(moved, fits):
    tube, equations = ellipsoid([(1.0, -moved, 0.0)]), Toy(lambda x: [[0.0]])
    if fits:
        assert float(grows(tube, equations, 100.0)) >= 1 / (1 - moved)
    else:
        with pytest.raises(Refused, match="turn too far"):
            grows(tube, equations, 100.0)


def test_second_derivatives_count_by_half_of_the_radius():
    # H = 4 x about zero: the mean on the way to C y is 2 C y.
    tube = ellipsoid([(0.5, 0.0, 0.0)], reach=0.25)
    only_above(2 * 0.5 * 0.25 * math.e, tube, Toy(lambda x: [[4 * x[0]]], lambda m, _: 4 * m))


def test_second_derivatives_are_those_of_four_ellipsoids_within_each_other():
    # Of the k-th one, weights are the integrals of 1 - s between (k - 1)/4 and k/4.
    reach, axis = 0.25, 0.5
    weighed = sum(w * k / 4 for k, w in enumerate((7 / 32, 5 / 32, 3 / 32, 1 / 32), 1))
    equations = Toy(lambda x: [[0.0]], lambda move, spread: move * spread)
    least = reach * (axis * reach) * axis * weighed * math.e
    only_above(least, ellipsoid([(axis, 0.0, 0.0)], reach=reach), equations)


def test_a_form_is_off_by_its_length_at_the_end_of_a_ball_and_by_the_axes_of_an_ellipsoid():
    form = np.array([[3, -4]])
    ball = {"error": (0.5).hex()}
    assert float(off_at_end(ball, form, BITS)) == pytest.approx(2.5, ROUNDED)
    tube = ellipsoid([(1.0, 0.5, 0), (0, 0, 0), (0, 0, 0), (1.0, 0, 0)], left=0.5)
    assert float(tube.off_at_end(form)) == pytest.approx(0.5 * math.hypot(4.5, 4.0), ROUNDED)
