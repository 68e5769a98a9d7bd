import numpy as np
import pytest
from mpmath import mp
from oracles import relu_neuron as oracle
from oracles.relu_neuron import coordinates, least_slope, slope_at_zero

import flows
from flows.systems.relu_neuron import exact

TEACHER = [0.3, -1.2, 0.7]
NEURONS = np.random.default_rng(5).normal(size=(3, 3))
# 50 digits, less what sums of some ten terms of order one can lose.
SAME = mp.mpf(10) ** -46
# Central differences with STEP: error about STEP^2, times third derivatives of some hundreds.
STEP = mp.mpf(10) ** -15
DIFFERENCED = mp.mpf(10) ** -26
# What loss and gradient promise, with the last rounding to a double.
ADAPTED = 2e-14
# What the searches of `least_slope` find of a minimum.
SEARCHED = 1e-6


def loss_at(w, v):
    return flows.ReLUNeuron(len(w), len(v), v).loss(w)


def gradient_at(w, v):
    return flows.ReLUNeuron(len(w), len(v), v).gradient(w)


def hessian_at(w, v):
    return flows.ReLUNeuron(len(w), len(v), v).hessian(w)


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
        gradient = oracle.gradient(NEURONS, TEACHER, 60)
        for i in range(3):
            for a in range(3):
                (expected,) = _differenced(oracle.loss, i, a)
                assert abs(gradient[i][a] - expected) < DIFFERENCED
                assert abs(gradient[i][a - 1] - expected) > DIFFERENCED


@pytest.mark.parametrize("sign", [1, -1])
def test_hessian_is_continuous_at_aligned_and_at_opposite_vectors(sign):
    aligned = [[2.0 * sign, 0.0], [0.5, 0.0]]
    nearly = [[2.0 * sign, 1e-20], [0.5, 0.0]]
    at, near = (hessian_at(w, [1.0, 0.0]) for w in (aligned, nearly))
    # The Hessian is Lipschitz in the angle, here 1e-20.
    assert np.abs(at - near).max() < 1e-15
    away = hessian_at([[2.0 * sign, 0.1], [0.5, 0.0]], [1.0, 0.0])
    assert np.abs(at - away).max() > 1e-3


def test_loss_of_a_narrow_mirror_pair_keeps_its_digits():
    # e(a, b) is |a||b| theta^3 / (6 pi) to leading order; angles 4z once and 2z twice.
    for z in (1e-3, 1e-30, 1e-100):
        value = loss_at([[0.5, z], [0.5, -z]], [1.0, 0.0])
        assert value == pytest.approx(4 * z**3 / (3 * np.pi), rel=max(10 * z**2, ADAPTED), abs=0)
    assert value != pytest.approx(z**3 / np.pi, rel=0.1, abs=0)


def test_loss_and_gradient_do_not_depend_on_rotation_of_the_user():
    w, v = [[0.6, 0.8e-9], [0.4, -0.8e-9]], [1.0, 0.0]
    turned = [row[::-1] for row in w]
    assert loss_at(w, v) == pytest.approx(loss_at(turned, v[::-1]), rel=ADAPTED, abs=0)
    g, h = gradient_at(w, v), gradient_at(turned, v[::-1])
    assert np.abs(g - h[:, ::-1]).max() <= ADAPTED * np.abs(g).max()
    assert np.abs(g - h).max() > ADAPTED * np.abs(g).max()


def test_the_optimum_has_loss_and_gradient_zero_exactly():
    optimum = [[0.25, 0.5], [0.25, 0.5], [0.5, 1.0]]
    assert loss_at(optimum, [1.0, 2.0]) == 0.0
    assert not gradient_at(optimum, [1.0, 2.0]).any()
    optimum[0][0] = np.nextafter(0.25, 1)
    assert loss_at(optimum, [1.0, 2.0]) > 0.0


def test_a_neuron_at_zero_adds_nothing_and_has_gradient_zero():
    dead = np.vstack([NEURONS, np.zeros(3)])
    assert oracle.loss(dead, TEACHER) == oracle.loss(NEURONS, TEACHER)
    gradient = gradient_at(dead, TEACHER)
    assert not gradient[3].any()
    assert (gradient[:3] == gradient_at(NEURONS, TEACHER)).all()
    assert gradient[:3].any()


E1 = [1.0, 0.0, 0.0]


def far_off(x, y):
    return max(abs(a - b) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("apart", [1.0, 1e-20, 1e-40])
def test_the_flow_has_all_digits_also_of_neurons_that_hardly_differ(apart):
    field, _ = exact.flow([2, 1, 1], 3)
    with mp.workdps(50):
        rows = [[mp.mpf(x) for x in row] for row in NEURONS.tolist()]
        rows[1] = [x + apart * y for x, y in zip(rows[0], rows[1], strict=True)]
        found = field([x for row in rows for x in row])
        true = [-x for row in oracle.gradient(rows, E1, 100, [2, 1, 1]) for x in row]
        assert far_off(found, true) < SAME < far_off(found, [x * (1 + 1e-3) for x in true])


def test_the_flow_of_multiplicities_is_that_of_coincident_neurons_and_so_is_its_jacobian():
    field, jacobian = exact.flow([2, 1], 3)
    distinct, repeated = NEURONS[:2].ravel(), NEURONS[[0, 0, 1]]
    with mp.workdps(50):
        gradient = oracle.gradient(repeated, E1)
        assert far_off(field(distinct), [-x for row in gradient[::2] for x in row]) < SAME
        # Moving a neuron moves its copies with it: sum the columns of the copies.
        full = np.array(oracle.hessian(repeated, E1))
        summed = -np.hstack([full[:, :3] + full[:, 3:6], full[:, 6:]])[[0, 1, 2, 6, 7, 8]]
        # The Jacobian comes in doubles of order one.
        assert np.abs(jacobian(distinct) - summed).max() < 2e-15
        assert np.abs(jacobian(distinct) - summed.T).max() > 0.01


def test_reduced_coordinates_have_the_same_loss_in_units_of_the_teacher():
    spread = np.random.default_rng(6).normal(size=(2, 7))
    teacher = [2.0, *np.arange(6.0)]
    reduced = coordinates(spread, teacher)
    assert [len(row) for row in reduced] == [3, 3]
    with mp.workdps(50):
        square = mp.fdot(teacher, teacher)
        value = square * oracle.loss(reduced, [1, 0, 0])
        assert abs(value / oracle.loss(spread, teacher) - 1) < SAME
        assert abs(value / oracle.loss(spread[::-1] * 2, teacher) - 1) > SAME


def test_reduced_coordinates_of_dependent_neurons_are_few():
    assert len(coordinates([[1.0, 2, 3], [2.0, 4, 6]], [3.0, 6, 9])[0]) == 1
    assert len(coordinates([[1.0, 2, 3], [2.0, 4, 6 + 1e-12]], [3.0, 6, 9])[0]) == 2


def test_a_neuron_shorter_than_the_last_digit_stays_where_it_is():
    field, jacobian = exact.flow([1, 1], 2, 20)
    tiny, short = [1e-26, 0.0, 0.3, 0.4], [1e-24, 0.0, 0.3, 0.4]
    assert field(tiny)[:2] == [0, 0]
    assert field(short)[:2] != [0, 0]
    assert not jacobian(tiny)[:2].any()
    assert jacobian(short)[:2].any()


def _around(angle, step):
    """Flat states of the plane: one neuron of length two at `angle` and four turned by steps."""
    return [
        [2 * mp.cos(angle + k * step), 2 * mp.sin(angle + k * step), mp.mpf(-0.3), mp.mpf(0.4)]
        for k in range(-2, 3)
    ]


@pytest.mark.parametrize("half_turns", [0, 1])
def test_a_branch_goes_on_smoothly_where_a_neuron_passes_the_teacher_or_its_opposite(half_turns):
    field, _ = exact.flow([1, 1], 2)
    with mp.workdps(50):
        step = mp.mpf(10) ** -3
        states = _around(half_turns * mp.pi, step)
        sides = [1 if g > 0 else -1 for g in exact.crossings(2)(states[-1])]
        branch, folded = [field(x, sides) for x in states], [field(x) for x in states]
        # The branch is the field on its side, and not on the other one.
        apart = [
            max(abs(a - b) for a, b in zip(*pair, strict=True))
            for pair in zip(branch, folded, strict=True)
        ]
        assert max(apart[2:]) < SAME < 1e-8 < min(apart[:2])

        def third(values):
            weights = (-1, 2, 0, -2, 1)
            return max(abs(mp.fdot(weights, column)) for column in zip(*values, strict=True))

        # Smooth: the cube of the step; a kink in the second derivative: its square.
        assert third(branch) < 10 * step**3
        assert third(folded) > 0.1 * step**2


def test_crossings_are_sines_of_signed_angles_in_the_plane_only():
    sines = exact.crossings(2)([0.0, 3.0, 0.0, 0.0, 1.0, -1.0])
    root = mp.sqrt(0.5)
    # Pairs in the order 12, 13, 1v, 23, 2v, 3v; the second neuron is at zero.
    expected = [0, -root, -1, 0, 0, root]
    assert max(abs(a - b) for a, b in zip(sines, expected, strict=True)) < mp.mpf(10) ** -14
    assert exact.crossings(3) is None


def test_slope_at_zero_is_the_one_sided_derivative_of_the_loss():
    with mp.workdps(60):
        u = [mp.mpf(x) / 3 for x in (2, -1, 2)]
        value, gradient = slope_at_zero(u, NEURONS, TEACHER)
        base = oracle.loss(NEURONS, TEACHER, 60)
        grown = oracle.loss([*NEURONS, [STEP * x for x in u]], TEACHER, 60)
        # The loss is quadratic beside: one step, of order one.
        assert abs((grown - base) / STEP - value) < 10 * STEP
        assert abs((grown - base) / STEP + value) > 0.1
        for a in range(3):
            moved = [x + STEP * (k == a) for k, x in enumerate(u)]
            size = mp.norm(moved)
            other = size * slope_at_zero([x / size for x in moved], NEURONS, TEACHER)[0]
            assert abs((other - value) / STEP - gradient[a]) < 10 * STEP


@pytest.mark.parametrize("seed", range(3))
def test_no_direction_has_a_smaller_slope_than_the_least(seed):
    rng = np.random.default_rng(seed)
    neurons, v = rng.normal(size=(3, 3)).tolist(), [1.0, 0.0, 0.0]
    least = least_slope([*neurons, [0.0, 0.0, 0.0]], v)
    sample = rng.normal(size=(500, 3))
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    values = [float(slope_at_zero(u, neurons, v)[0]) for u in sample.tolist()]
    assert least <= min(values)
    # Five hundred directions leave gaps of a tenth, at a minimum their slope is second order.
    assert min(values) - least < 0.05
    assert least > np.median(values) - 1


@pytest.mark.parametrize("width", [1e-3, 1e-12])
def test_least_slope_sees_the_narrow_tail(width):
    # Neurons at angles +-theta of the teacher, and r = 0: near the teacher 6 pi D is
    # theta^3 + 3 theta phi^2 - |phi|^3 up to |phi| = theta, and then 3 theta^2 |phi|.
    v, dead = [1.0, 0.0], [0.0, 0.0]
    least = least_slope([[0.5, width / 2], [0.5, -width / 2], dead], v)
    assert float(least * 6 * np.pi / width**3) == pytest.approx(1, rel=10 * width**2 + SEARCHED)
    with mp.workdps(50):
        # The control: a residual of the order theta^2 lets a neuron leave.
        h = mp.mpf(0.5) - mp.mpf(width) ** 2
        short = least_slope([[h, width / 2], [h, -width / 2], dead], v)
    assert float(short / width**2) == pytest.approx(-1, rel=0.1)
