"""Newton's method and what its spectrum decides, on systems whose critical points are known."""

import re

import numpy as np
import pytest
import sympy as sp
from oracles.hidden_layer import LEAST_6, flipped

import flows
from flows.certificates.stationary.prove import Unproved

x, y = sp.symbols("x y")
# Newton's method ends at rounding.
ROUNDING = 1e-10


def own(expression):
    return flows.OwnSystem("own", [x, y], expression)


WELLS = own((x**2 - 1) ** 2 / 4 + y**2 / 2)


@pytest.mark.parametrize(
    ("near", "kind", "place", "eigenvalues"),
    [
        ([0.1, 0.2], "saddle", [0, 0], [-1, 1]),
        ([0.8, 0.2], "minimum", [1, 0], [1, 2]),
        ([-1.1, -0.2], "minimum", [-1, 0], [1, 2]),
    ],
)
def test_the_nearest_critical_point_is_found_with_its_spectrum(near, kind, place, eigenvalues):
    found = flows.stationary(WELLS, near)
    assert (found.kind, found.index) == (kind, int(kind == "saddle"))
    assert found.state == pytest.approx(place, abs=ROUNDING)
    assert found.eigenvalues == pytest.approx(eigenvalues, rel=ROUNDING)
    assert found.gradient_norm < ROUNDING
    assert found.distance == pytest.approx(np.linalg.norm(np.subtract(near, place)))


def test_a_maximum_is_one():
    found = flows.stationary(own(-(x**2) - y**2), [0.3, 0.1])
    assert (found.kind, found.index) == ("maximum", 2)


@pytest.mark.parametrize("loss", [x**4 / 4, x**2 * y**2, x**2 - y**4, x**4 + y**2])
def test_an_eigenvalue_that_vanishes_is_told_from_no_sign(loss):
    found = flows.stationary(own(loss + 0 * y), [0.3, 0.1])
    assert (found.kind, found.index) == ("degenerate", 0)


CIRCLE = (x**2 + y**2 - 1) ** 2 / 4
CROSSING = x**2 * y**2
FLAT_CIRCLE = (x**2 + y**2 - 1) ** 4


@pytest.mark.parametrize(
    ("loss", "near", "dimension"),
    [
        (CIRCLE, [0.8, 0.6], 1),
        (FLAT_CIRCLE, [0.8, 0.6], None),
        ((x * y - 1) ** 2 / 2, [0.9, 1.1], 1),
        ((x - y) ** 2, [0.2, 0.1], 1),
        (x**2 + y**2, [0.2, 0.1], 0),
        (x**4 + y**2, [1e-3, 0.1], 0),
        ((x - y) ** 2 + x**4 / 100, [1e-3, 1e-3], 0),
        (CROSSING, [0.0, 0.0], None),
    ],
)
def test_the_family_of_a_critical_point_has_its_dimension(loss, near, dimension):
    """Circles, hyperbolas, lines, points; None where lines cross, or no curvature is left.

    A line that is bent by a hundredth of a fourth power has one point left.
    """
    assert flows.stationary(own(loss), near).family == dimension


@pytest.mark.parametrize(
    ("system", "near", "sentence"),
    [
        (flows.ReLUNeuron(2, 2), [[0.4, 0], [0.6, 0]], "a global minimum, loss 0, in a family of"
         " dimension 1, flat to second order in 1 further direction"),
        (flows.MatrixFactorization(2, "real", 5.0), np.array([np.eye(2)] * 4),
         "a global minimum, loss 0, in a family of dimension 3"),
        (WELLS, [0.8, 0.2], "a strict local minimum, loss 0, alone nearby"),
        (WELLS, [0.1, 0.2], "a saddle of index 1, loss 0.25, alone nearby"),
        (own(x**4 + y**2), [1e-3, 0.1], "a critical point without a falling direction of"
         " curvature, loss 0, alone nearby, flat to second order in 1 direction"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_a_critical_point_is(system, near, sentence):
    """A loss of one's own may be negative elsewhere: it is never said to be a global minimum."""
    said = flows.stationary(system, near).sentence()
    assert re.sub(r"loss \d\.\d*e-\d+", "loss 0", said) == sentence


def test_a_small_eigenvalue_that_is_clear_is_seen():
    """The control of the above: a part of 1e-6 of the largest one is no rounding."""
    found = flows.stationary(own(x**2 - 1e-6 * y**2), [0.3, 0.1])
    assert (found.kind, found.index) == ("saddle", 1)


@pytest.mark.parametrize(
    ("loss", "reason"), [(x + y**2, "is least there, and is not zero"), (sp.exp(-x) + y**2, "left")]
)
def test_where_there_is_none_the_reason_is_said(loss, reason):
    found = flows.stationary(own(loss), [0.3, 0.1])
    assert found.kind == "not found" and reason in found.reason
    with pytest.raises(flows.InputError, match="no critical point was found"):
        found.certify()


def test_layers_that_fail_rest_at_a_critical_point_of_many_directions():
    system = flows.MatrixFactorization(d=2, field="complex")
    found = flows.stationary(system, system.initial(scale=1.0))
    assert found.kind == "degenerate"
    assert found.state.shape == (4, 2, 2) and found.state.dtype == complex
    assert np.linalg.norm(system.gradient(found.state)) < ROUNDING


def test_neurons_along_the_teacher_are_a_family():
    found = flows.stationary(flows.ReLUNeuron(n=2, d=2), [[0.5, 0.1], [0.6, 0.2]])
    assert found.kind == "degenerate" and found.loss < ROUNDING
    assert found.state.sum(axis=0) == pytest.approx([1, 0], abs=ROUNDING)


def test_one_neuron_has_an_isolated_minimum():
    found = flows.stationary(flows.ReLUNeuron(n=1, d=3), [[0.9, 0.1, 0.2]])
    assert found.kind == "minimum"
    assert found.eigenvalues == pytest.approx([0.5] * 3)


def test_a_proof_of_another_system_is_refused_in_a_line():
    found = flows.stationary(WELLS, [0.1, 0.2])
    with pytest.raises(flows.InputError, match="no proof of critical points of own"):
        found.certify()


@pytest.mark.parametrize("reach", [0.0, -1.0, "far", float("nan")])
def test_a_reach_is_a_length(reach):
    with pytest.raises(flows.InputError, match="reach: expected a length"):
        flows.stationary(WELLS, [0.1, 0.2], reach=reach)


def test_a_short_reach_is_kept():
    found = flows.stationary(WELLS, [0.4, 0.3], reach=0.01)
    assert found.kind == "not found" and "left" in found.reason


def test_what_is_no_system_is_refused():
    with pytest.raises(flows.InputError, match="system must be a System"):
        flows.stationary("relu_neuron", [[1.0]])


def two_layer(**given):
    return flows.TwoLayer(students=6, teachers=6, **given)


def test_two_layers_have_a_spurious_minimum_that_is_proved():
    point = flows.stationary(two_layer(), flipped(6))
    assert (point.kind, point.index) == ("minimum", 0)
    assert point.eigenvalues[0] == pytest.approx(LEAST_6, rel=1e-8)
    proof = point.certify()
    assert proof.kind == "minimum"
    assert float(proof.loss_ball) == pytest.approx(point.loss, rel=1e-14)


def test_dimensions_without_teachers_leave_the_proof_as_it_is():
    """The same loss and spectrum; the eigenvalues of S come on top."""
    wide = np.column_stack([flipped(6), np.zeros((6, 2))])
    point = flows.stationary(two_layer(d=8), wide + 1e-4)
    assert point.kind == "minimum" and len(point.eigenvalues) == 48
    proof = point.certify()
    assert len(proof.setting.teachers[0]) == 6
    assert proof.across.least == pytest.approx(0.1998032, rel=1e-6)
    assert np.abs(point.eigenvalues - proof.across.least).min() < 1e-6


def test_the_global_minimum_is_found_and_not_proved():
    point = flows.stationary(two_layer(), np.eye(6) + 0.01 * flipped(6))
    assert point.kind == "minimum" and point.loss < ROUNDING
    # 1/4 - 1/(2 pi), for every number of teachers.
    assert point.eigenvalues[0] == pytest.approx(0.25 - 0.5 / np.pi, rel=1e-8)
    with pytest.raises(Unproved, match="may be parallel"):
        point.certify()


@pytest.mark.parametrize("activation", ["relu", "leaky:0.1", "leaky:-1"])
def test_points_of_signed_oblique_networks_are_proved_and_checked(activation, tmp_path):
    """No symmetry, weights of both signs: doubles, proof and check are three codes that agree."""
    rng = np.random.default_rng(4)
    system = flows.TwoLayer(
        students=2,
        teachers=rng.normal(size=(4, 3)),
        teacher_weights=[1.0, -0.7, 1.3, 0.5],
        output_weights=[1.0, 0.5],
        activation=activation,
    )
    kinds = []
    for k in range(4):
        point = flows.stationary(system, rng.normal(size=(2, 3)), reach=10.0)
        if point.found and np.abs(point.eigenvalues).min() > point.resolution:
            proof = point.certify()
            assert (proof.kind, proof.within.index) == (point.kind, point.index)
            assert proof.within.least == pytest.approx(point.eigenvalues[0], rel=1e-7)
            assert float(proof.loss_ball) == pytest.approx(point.loss, rel=1e-13)
            proof.save(tmp_path / f"{k}.json")
            assert flows.verify(tmp_path / f"{k}.json").accepted
            kinds.append(proof.kind)
    assert kinds


def test_a_student_that_vanishes_is_at_a_kink_and_at_no_critical_point():
    """The gradient jumps there, and curvature is as large as one likes."""
    rng = np.random.default_rng(3)
    system = flows.TwoLayer(
        students=2,
        teachers=rng.normal(size=(4, 3)),
        teacher_weights=[1.0, -0.7, 1.3, 0.5],
        output_weights=[1.0, 0.5],
    )
    starts = rng.normal(size=(5, 2, 3))
    found = flows.stationary(system, starts[4], reach=10.0)
    assert np.linalg.norm(found.state, axis=1).min() < 1e-12
    assert found.kind == "not found" and "is not zero" in found.reason


@pytest.mark.parametrize("near", [0.05, 0.1, 0.2])
def test_a_plateau_whose_gradient_has_no_square_in_doubles_is_no_critical_point(near):
    x = sp.Symbol("x", real=True)
    plateau = flows.OwnSystem("plateau", [x], sp.exp(-1 / x**2))
    found = flows.stationary(plateau, [near])
    assert found.kind == "not found" and found.gradient_norm > 0
    # Of a parabola as small the minimum is one, and is found.
    small = flows.stationary(flows.OwnSystem("small", [x], 1e-170 * (x - 1) ** 2), [near])
    assert small.kind == "minimum" and abs(small.state[0] - 1) < 1e-12
