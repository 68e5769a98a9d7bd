from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from flint import arb
from oracles.certified.boxes import boxes

import flows
from flows.certificates.decision import Proof
from flows.certificates.features.registry import enclosure
from flows.certificates.features.spectrum import least_eigenvalue
from flows.certificates.verdicts import verdicts
from flows.core.balls import precision

# Two students beside the first teacher, and one alone beside the second.
STUDENTS = [[0.7, 0.1], [0.4, -0.05], [0.05, 0.9]]
OUTPUTS = [1.0, 1.2, 0.9]
END, DIGITS = 8.0, 10
NAMES = (
    "loss",
    "loss_dot",
    "norm",
    "norm_dot",
    "output",
    "output_dot",
    "layer_balance_of",
    "share",
    "residual",
    "lone_residual",
    "cluster_most",
    "cluster_least",
    "cluster_constant",
    "output_gap",
    "norms",
    "norms_dot",
)
# Of quantities along a run, relative to the largest, beside the width of the balls.
RUN = 1e-8
# By how much a constant is moved, many times more than its interval is wide.
FALSE = 0.1
# Of a Hessian in doubles.
DOUBLES = 1e-9


@pytest.fixture(scope="module")
def made():
    return flows.certify(flows.TwoLayer(3, np.eye(2)), STUDENTS, END, digits=DIGITS)


@pytest.fixture(scope="module")
def trained():
    system = flows.TwoLayer(3, np.eye(2), train_outputs=True)
    start = np.column_stack([STUDENTS, OUTPUTS])
    return flows.certify(system, start, 2.0, digits=DIGITS)


def verdict(made, claim):
    (found,) = verdicts(made, claim)
    return found


@pytest.mark.parametrize("kind", ["made", "trained"])
def test_quantities_on_a_box_contain_those_of_a_run(kind, request):
    for quantities, row, box in boxes(request.getfixturevalue(kind), [1e-3]):
        for name in NAMES:
            true = np.atleast_1d(quantities[name][row])
            if np.isnan(true).all():  # nothing is balanced where outputs are fixed
                continue
            found = box[name] if isinstance(box[name], list) else [box[name]]
            slack = RUN * np.abs(true).max()
            pairs = list(zip(found, true, strict=True))
            assert all(abs(b.mid() - x) <= b.rad() + slack for b, x in pairs), name
            assert not all(b.contains(1.1 * x + 1e-3) for b, x in pairs), name


def test_states_of_a_certificate_have_the_shape_of_the_start(trained):
    run = flows.integrate(trained.system, trained.start, t_end=1.0, t_eval=[1.0], rtol=1e-11)
    found = trained.state(1.0)
    assert np.shape(found) == (3, 3) == trained.start.shape
    assert np.allclose(np.array(found, float), run.state[-1], rtol=RUN)


@pytest.mark.parametrize(("claim", "way"), [("cluster_upper", 1), ("cluster_lower", -1)])
def test_a_constant_is_enclosed_and_one_beyond_it_is_refuted(made, claim, way):
    (stated,) = (c for c in made.system.statements.claims if c.id == claim)
    found = verdict(made, stated)
    assert found.verdict is Proof.ENCLOSED
    assert {proof for _, proof in found.hypotheses} == {Proof.PROVED}
    low, high = map(float, found.constant.strip("[]").split(","))
    ends = (high, low) if way > 0 else (low, high)
    for end, side, expected in ((0, way, Proof.PROVED), (1, -way, Proof.REFUTED)):
        constant = sp.Float(ends[end] * (1 + side * FALSE))
        (comparison,) = stated.conclusions
        known = replace(stated, conclusions=(replace(comparison, constant=constant),))
        assert verdict(made, known).verdict is expected


def test_a_hypothesis_that_fails_at_the_end_is_refuted(made):
    assert ("every teacher has one student at the end", Proof.REFUTED) in verdict(
        made, "exact_rate"
    ).hypotheses


def test_teachers_are_orthonormal_only_where_they_are_so_exactly():
    turned = [[np.cos(1.0), np.sin(1.0)], [-np.sin(1.0), np.cos(1.0)]]
    for teachers, exactly in ((np.eye(2), 1), (turned, 0)):
        system = flows.TwoLayer(3, teachers)
        assert system.parameters["is_orthonormal"] == 1  # to roundings
        short = flows.certify(system, STUDENTS, 0.01, digits=DIGITS)
        with precision(short.precision):
            known = enclosure(short).constants
            assert known["is_orthonormal"] == exactly
            assert abs(known["teacher_gap"] - system.parameters["teacher_gap"]) < DOUBLES


def test_the_least_eigenvalue_is_that_of_the_hessian_of_the_state(made):
    with precision(made.precision):
        box = enclosure(made).box(0, -1.0, -1.0)
        found = least_eigenvalue(made.flow().hessian(box.x))
        true = np.linalg.eigvalsh(made.system.hessian(made.start))
        assert abs(box["least_eigenvalue"] - arb(true[0])) < DOUBLES
        assert found.overlaps(box["least_eigenvalue"])
        # Control: the next one is another.
        assert not abs(box["least_eigenvalue"] - arb(true[1])) < DOUBLES


def test_one_relu_teacher_has_the_certificate_and_the_claims_of_one_neuron():
    system, neuron = flows.TwoLayer(2, [[1.0, 0.0]]), flows.ReLUNeuron(2, 2)
    start = neuron.initial(0.1, seed=2)
    made = flows.certify(system, start, 1.0, digits=DIGITS)
    assert flows.verify(made, system, start).accepted
    assert flows.verify(made, neuron, start).accepted
    # Control: with another output it is no neuron.
    other = flows.TwoLayer(2, [[1.0, 0.0]], output_weights=[1.0, 0.5])
    assert "another system" in flows.verify(made, other, start).refused
    assert verdict(made, "transverse_vs_loss").verdict is Proof.PROVED
