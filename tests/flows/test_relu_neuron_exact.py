import numpy as np
import pytest
from mpmath import mp

from flows import relu_neuron_exact as exact

TEACHER = [0.3, -1.2, 0.7]
NEURONS = np.random.default_rng(5).normal(size=(3, 3))
# 50 digits, less what sums of some ten terms of order one can lose.
SAME = mp.mpf(10) ** -46
# Central differences with STEP: error about STEP^2, times third derivatives of some hundreds.
STEP = mp.mpf(10) ** -15
DIFFERENCED = mp.mpf(10) ** -26
# What `adaptive` promises, with the last rounding to a double.
ADAPTED = 2e-14


def _kernel(a, b):
    """E relu(a.x) relu(b.x) in its textbook form, with the arc cosine."""
    size = mp.sqrt(mp.fdot(a, a) * mp.fdot(b, b))
    theta = mp.acos(mp.fdot(a, b) / size)
    return size * (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / (2 * mp.pi)


def _textbook_loss(neurons, teacher):
    w = [[mp.mpf(float(x)) for x in row] for row in [*neurons, teacher]]
    mu = [1] * len(neurons) + [-1]
    total = mp.zero
    for i in range(len(w)):
        for j in range(len(w)):
            # acos of a number that rounding made larger than one would be complex
            k = mp.fdot(w[i], w[i]) / 2 if i == j else _kernel(w[i], w[j])
            total += mu[i] * mu[j] * k / 2
    return total


def test_loss_equals_the_textbook_formula():
    with mp.workdps(60):
        expected = _textbook_loss(NEURONS, TEACHER)
        assert abs(exact.loss(NEURONS, TEACHER, 50) / expected - 1) < SAME
        moved = NEURONS + 1e-15  # the control: the comparison sees a change of the last bits
        assert abs(exact.loss(moved, TEACHER, 50) / expected - 1) > SAME


def _differenced(function, i, a):
    """Derivative of `function(neurons, teacher, digits)` by entry `a` of neuron `i`."""
    values = []
    for sign in (1, -1):
        moved = [[mp.mpf(float(x)) for x in row] for row in NEURONS]
        moved[i][a] += sign * STEP
        values.append(np.array(function(moved, TEACHER, 60)))
    return np.ravel(values[0] - values[1]) / (2 * STEP)


def test_gradient_is_the_derivative_of_the_loss():
    with mp.workdps(60):
        gradient = exact.gradient(NEURONS, TEACHER, 60)
        for i in range(3):
            for a in range(3):
                (expected,) = _differenced(exact.loss, i, a)
                assert abs(gradient[i][a] - expected) < DIFFERENCED
                assert abs(gradient[i][a - 1] - expected) > DIFFERENCED


def test_hessian_is_the_derivative_of_the_gradient_and_symmetric():
    with mp.workdps(60):
        hessian = np.array(exact.hessian(NEURONS, TEACHER, 60))
        for i in range(3):
            for a in range(3):
                expected = _differenced(exact.gradient, i, a)
                assert np.abs(hessian[:, 3 * i + a] - expected).max() < DIFFERENCED
                assert np.abs(hessian[:, 3 * i + a - 1] - expected).max() > DIFFERENCED
        assert np.abs(hessian - hessian.T).max() < SAME


@pytest.mark.parametrize("sign", [1, -1])
def test_hessian_is_continuous_at_aligned_and_at_opposite_vectors(sign):
    aligned = [[2.0 * sign, 0.0], [0.5, 0.0]]
    nearly = [[2.0 * sign, 1e-20], [0.5, 0.0]]
    at, near = (exact.adaptive_hessian(w, [1.0, 0.0]) for w in (aligned, nearly))
    # The Hessian is Lipschitz in the angle, here 1e-20.
    assert np.abs(at - near).max() < 1e-15
    away = exact.adaptive_hessian([[2.0 * sign, 0.1], [0.5, 0.0]], [1.0, 0.0])
    assert np.abs(at - away).max() > 1e-3


def test_loss_of_a_narrow_mirror_pair_keeps_its_digits():
    # e(a, b) is |a||b| theta^3 / (6 pi) to leading order; angles 4z once and 2z twice.
    for z in (1e-3, 1e-30, 1e-100):
        value = exact.adaptive_loss([[0.5, z], [0.5, -z]], [1.0, 0.0])
        assert value == pytest.approx(4 * z**3 / (3 * np.pi), rel=max(10 * z**2, ADAPTED), abs=0)
    assert value != pytest.approx(z**3 / np.pi, rel=0.1, abs=0)


def test_adaptive_values_do_not_depend_on_rotation_of_the_user():
    w, v = [[0.6, 0.8e-9], [0.4, -0.8e-9]], [1.0, 0.0]
    turned = [row[::-1] for row in w]
    assert exact.adaptive_loss(w, v) == pytest.approx(
        exact.adaptive_loss(turned, v[::-1]), rel=ADAPTED, abs=0
    )
    g, h = exact.adaptive_gradient(w, v), exact.adaptive_gradient(turned, v[::-1])
    assert np.abs(g - h[:, ::-1]).max() <= ADAPTED * np.abs(g).max()
    assert np.abs(g - h).max() > ADAPTED * np.abs(g).max()


def test_the_optimum_has_loss_and_gradient_zero_exactly():
    optimum = [[0.25, 0.5], [0.25, 0.5], [0.5, 1.0]]
    assert exact.adaptive_loss(optimum, [1.0, 2.0]) == 0.0
    assert not exact.adaptive_gradient(optimum, [1.0, 2.0]).any()
    optimum[0][0] = np.nextafter(0.25, 1)
    assert exact.adaptive_loss(optimum, [1.0, 2.0]) > 0.0


def test_a_neuron_at_zero_adds_nothing_and_has_gradient_zero():
    dead = np.vstack([NEURONS, np.zeros(3)])
    assert exact.loss(dead, TEACHER) == exact.loss(NEURONS, TEACHER)
    gradient = exact.adaptive_gradient(dead, TEACHER)
    assert not gradient[3].any()
    assert (gradient[:3] == exact.adaptive_gradient(NEURONS, TEACHER)).all()
    assert gradient[:3].any()
    with pytest.raises(ValueError, match="no Hessian where a neuron is zero"):
        exact.hessian(dead, TEACHER)


def test_flow_of_multiplicities_is_that_of_coincident_neurons():
    v = [1.0, 0.0, 0.0]
    field, jacobian = exact.flow([2, 1], v)
    distinct = NEURONS[:2].ravel()
    repeated = NEURONS[[0, 0, 1]]
    with mp.workdps(50):
        gradient = exact.gradient(repeated, v)
        expected = [-x for row in (gradient[0], gradient[2]) for x in row]
        assert max(abs(x - y) for x, y in zip(field(distinct), expected, strict=True)) < SAME
        wrong = [-x for row in exact.gradient(NEURONS[:2], v) for x in row]
        assert max(abs(x - y) for x, y in zip(field(distinct), wrong, strict=True)) > 0.1
        # Moving a neuron moves its copies with it: sum the columns of the copies.
        full = np.array(exact.hessian(repeated, v))
        summed = -np.hstack([full[:, :3] + full[:, 3:6], full[:, 6:]])[[0, 1, 2, 6, 7, 8]]
        # The Jacobian comes in doubles of order one.
        assert np.abs(jacobian(distinct) - summed).max() < 1e-15
        assert np.abs(jacobian(distinct) - summed.T).max() > 0.01


def test_reduced_coordinates_have_the_same_loss_in_units_of_the_teacher():
    spread = np.random.default_rng(6).normal(size=(2, 7))
    teacher = [2.0, *np.arange(6.0)]
    reduced = exact.coordinates(spread, teacher)
    assert [len(row) for row in reduced] == [3, 3]
    with mp.workdps(50):
        square = mp.fdot(teacher, teacher)
        value = square * exact.loss(reduced, [1, 0, 0])
        assert abs(value / exact.loss(spread, teacher) - 1) < SAME
        assert abs(value / exact.loss(spread[::-1] * 2, teacher) - 1) > SAME


def test_reduced_coordinates_of_dependent_neurons_are_few():
    assert len(exact.coordinates([[1.0, 2, 3], [2.0, 4, 6]], [3.0, 6, 9])[0]) == 1
    assert len(exact.coordinates([[1.0, 2, 3], [2.0, 4, 6 + 1e-12]], [3.0, 6, 9])[0]) == 2


def test_a_neuron_shorter_than_the_last_digit_stays_where_it_is():
    field, jacobian = exact.flow([1, 1], [1.0, 0.0], 20)
    tiny, short = [1e-26, 0.0, 0.3, 0.4], [1e-24, 0.0, 0.3, 0.4]
    assert field(tiny)[:2] == [0, 0]
    assert field(short)[:2] != [0, 0]
    assert not jacobian(tiny)[:2].any()
    assert jacobian(short)[:2].any()
