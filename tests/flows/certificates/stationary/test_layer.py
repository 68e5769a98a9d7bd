"""Loss, gradient and Hessian of a hidden layer in balls, against other formulas and differences."""

import numpy as np
import pytest
from flint import arb
from oracles.hidden_layer import loss

from flows.certificates.stationary.layer import Layer, Parallel, Setting
from flows.core.balls import precision

BITS = 192
# Central differences with this step, an exact double, err by its square.
STEP, DIFFERENCES = 2.0**-30, 1e-15
# Doubles of the oracle: angles by the arc cosine.
DOUBLES = 1e-14


def drawn(n=3, m=2, r=3, seed=0):
    """Students, outputs, teachers, weights; all of both signs."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape) for shape in ((n, r), n, (m, r), m))


def layer(students, outputs, teachers, weights, slope=0.25):
    setting = Setting(
        "two_layer",
        tuple(map(tuple, teachers.tolist())),
        tuple(outputs.tolist()),
        tuple(weights.tolist()),
        slope,
    )
    rows = [[arb(x) if isinstance(x, float) else x for x in row] for row in students]
    return Layer(setting, rows)


def moved(students, k, step):
    """Students as balls, coordinate k moved exactly."""
    flat = [arb(x) for x in students.ravel()]
    flat[k] += arb(step)
    return np.array(flat).reshape(students.shape).tolist()


@pytest.mark.parametrize("slope", [0.0, 0.25, -1.0])
def test_the_loss_is_that_of_the_arc_cosine_kernel(slope):
    case = drawn()
    with precision(BITS):
        found = float(layer(case[0].tolist(), *case[1:], slope).loss)
    assert found == pytest.approx(loss(*case, slope), rel=DOUBLES)


def test_gradient_and_hessian_are_the_derivatives_of_the_loss():
    case = drawn()
    students, rest = case[0], case[1:]
    with precision(BITS):
        here = layer(students.tolist(), *rest)
        gradient, hessian = here.gradient, here.hessian.tolist()
        for k in range(students.size):
            up, down = (layer(moved(students, k, s), *rest) for s in (STEP, -STEP))
            slope = (up.loss - down.loss) / arb(2 * STEP)
            assert abs(float(slope - gradient[k])) < DIFFERENCES
            for a, b, stated in zip(up.gradient, down.gradient, hessian[k], strict=True):
                assert abs(float((a - b) / arb(2 * STEP) - stated)) < DIFFERENCES


def test_directions_outside_have_the_matrix_of_one_more_dimension():
    students, outputs, teachers, weights = drawn()
    wide, far = (np.column_stack([x, np.zeros(len(x))]) for x in (students, teachers))
    with precision(BITS):
        across = layer(students.tolist(), outputs, teachers, weights).across.tolist()
        whole = layer(wide.tolist(), outputs, far, weights).hessian.tolist()
        for i in range(3):
            for j in range(3):
                assert abs(float(across[i][j] - whole[4 * i + 3][4 * j + 3])) < DIFFERENCES
                inside = [abs(float(whole[4 * i + 3][4 * j + k])) for k in range(3)]
                assert max(inside) < DIFFERENCES


def test_a_box_contains_what_is_at_its_points():
    students, *rest = drawn()
    radius = 1e-3
    with precision(BITS):
        box = [[arb(x, radius) for x in row] for row in students.tolist()]
        hessian = layer(box, *rest).hessian.tolist()
        rng = np.random.default_rng(1)
        for _ in range(5):
            point = students + radius * rng.uniform(-1, 1, students.shape)
            there = layer(point.tolist(), *rest).hessian.tolist()
            assert all(
                a.contains(b)
                for row, inner in zip(hessian, there, strict=True)
                for a, b in zip(row, inner, strict=True)
            )


@pytest.mark.parametrize("factor", [1.0, -2.0])
def test_parallel_and_opposite_neurons_are_refused(factor):
    students, outputs, teachers, weights = drawn()
    students[1] = factor * teachers[0]
    with precision(BITS), pytest.raises(Parallel, match="student 2 and teacher 1 may be parallel"):
        _ = layer(students.tolist(), outputs, teachers, weights).hessian


def test_equal_and_opposite_teachers_have_a_loss():
    students, outputs, teachers, weights = drawn()
    for factor in (1.0, -1.0):
        teachers[1] = factor * teachers[0]
        with precision(BITS):
            found = float(layer(students.tolist(), outputs, teachers, weights).loss)
        # The arc cosine of the oracle loses half of its digits at 0 and pi.
        assert found == pytest.approx(loss(students, outputs, teachers, weights, 0.25), rel=1e-12)
