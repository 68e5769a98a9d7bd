"""Critical points of hidden layers that are proved, and points that are not."""

import numpy as np
import pytest
from oracles.hidden_layer import LEAST_6, LOSS_6, flipped

from flows.certificates.stationary.proof import Setting
from flows.certificates.stationary.prove import Unproved, prove

# What is stated of an eigenvalue is 1e-8 below it, and the literature's is rounded to ten digits.
STATED = 1e-7


def orthonormal(k, n=None):
    """Setting of k orthonormal teachers and n students, all weights one."""
    rows = tuple(map(tuple, np.eye(k).tolist()))
    return Setting("two_layer", rows, (1.0,) * (n or k), (1.0,) * k)


@pytest.fixture(scope="module")
def six():
    return prove(orthonormal(6), flipped(6))


def test_six_teachers_have_a_spurious_minimum(six):
    assert six.kind == "minimum"
    assert (six.within.index, six.across.index) == (0, 0)
    assert six.within.least == pytest.approx(LEAST_6, rel=STATED)
    assert six.summary()["loss"]["value"].startswith(LOSS_6[:-1])
    assert 3e-5 < six.radius < 1e-4


def test_the_digits_of_its_loss_that_are_stated_are_certain(six):
    _, bits, radius = six.loss
    assert radius <= 2.0**-bits  # half a unit, and what the enclosure leaves
    assert radius < 1e-30


def test_no_symmetry_is_needed(six):
    """In a rotated frame nothing is symmetric, and loss and curvature are the same."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    setting = Setting("two_layer", tuple(map(tuple, turn.tolist())), (1.0,) * 6, (1.0,) * 6)
    students = flipped(6) @ turn
    found = prove(setting, students[rng.permutation(6)])
    assert found.kind == "minimum"
    # The teachers are orthonormal to rounding.
    assert float(found.loss_ball) == pytest.approx(float(six.loss_ball), rel=1e-14)
    assert found.within.least == pytest.approx(six.within.least, rel=1e-12)


def test_students_far_from_it_prove_nothing():
    with pytest.raises(Unproved, match="Newton's method ends"):
        prove(orthonormal(6), np.round(flipped(6), 0) + 0.2)


@pytest.mark.parametrize("k", [3, 4, 5])
def test_five_teachers_and_fewer_have_a_saddle_there(k):
    found = prove(orthonormal(k), flipped(k))
    assert found.kind == "saddle" and found.within.index > 0
    assert found.within.least < 0 < found.across.least


def test_weights_of_both_layers_scale_the_students():
    """With outputs 2 the students are half as long, and all of the second layer times c is c^2."""
    one = orthonormal(6)
    two = prove(one._replace(outputs=(2.0,) * 6), flipped(6) / 2)
    three = prove(Setting("two_layer", one.teachers, (-1.5,) * 6, (-1.5,) * 6), flipped(6))
    base = prove(one, flipped(6))
    assert float(two.loss_ball) == pytest.approx(float(base.loss_ball), rel=1e-14)
    assert float(three.loss_ball) == pytest.approx(2.25 * float(base.loss_ball), rel=1e-14)
    assert three.within.least == pytest.approx(2.25 * base.within.least, rel=1e-12)


def test_the_global_minimum_is_refused_for_its_parallel_neurons():
    with pytest.raises(Unproved, match="student 1 and teacher 1 may be parallel"):
        prove(orthonormal(6), np.eye(6))


def test_more_students_than_teachers_have_no_isolated_global_minimum():
    """Halves of a teacher, bent by a little, so that no two neurons are parallel."""
    bent = np.array([[0.5, 1e-3], [0.5, -1e-3], [1e-3, 1.0]])
    with pytest.raises(Unproved):
        prove(orthonormal(2, 3), bent)
