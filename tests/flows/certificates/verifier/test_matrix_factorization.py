"""Equations of layers against matrices of mpmath; no certificate is made."""

import numpy as np
import pytest
from flint import arb
from mpmath import mp
from oracles.certificates import ball
from oracles.certified.layers import textbook_field

import flows
from flows.certificates.verifier.matrix_factorization import Layers
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Segment
from flows.core.balls import precision

# Of fields with 60 digits, and of their central differences with a step of 1e-20.
DIGITS, SAME, STEP, NEARLY = 60, 1e-40, mp.mpf("1e-20"), 1e-30
# Radii have 30 bits.
ROUNDED = 1e-8

REAL = flows.MatrixFactorization(
    d=2, depth=3, regularization=1.5, target=[[1.0, 0.5], [-0.25, 2.0]]
)
PAIR = flows.MatrixFactorization(d=3, depth=2, regularization=0.0)
COMPLEX = flows.MatrixFactorization(
    d=2,
    depth=2,
    field="complex",
    regularization=3.0,
    target=[[0.5 + 1.5j, 1.0], [-0.25j, 1.0 - 0.5j]],
)
SYSTEMS = {"real": REAL, "without balance": PAIR, "complex": COMPLEX}
KEYS = ("d", "field", "regularization", "target", "depth")


def stated(system):
    """Parameters as a certificate's file gives them: doubles in lists."""

    def plain(x):
        made = np.array(x)
        if made.dtype == complex:
            return {"real": made.real.tolist(), "imag": made.imag.tolist()}
        return made.tolist()

    found = {key: system.parameters[key] for key in KEYS if key != "target"}
    return found | {"target": plain(system.target), "regularization": float(system.regularization)}


def made(system, seed=4):
    layers = system.initial(0.8, seed)
    return Layers(stated(system), layers), layers


def entries(layers):
    """Real numbers of layers, row by row, real and imaginary part in turn."""
    return layers.ravel().view(float).tolist()


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_field_is_minus_the_gradient_of_the_definition(name):
    problem, layers = made(SYSTEMS[name])
    with precision(200), mp.workdps(DIGITS):
        oracle = textbook_field(SYSTEMS[name])([mp.mpf(x) for x in entries(layers)])
        found = problem.field(problem.start, ())
        assert len(found) == len(oracle)
        assert all(abs(c - ball(x)) < SAME for c, x in zip(found, oracle, strict=True))


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_hessian_is_minus_the_derivative_of_the_field(name):
    problem, layers = made(SYSTEMS[name])
    with precision(200), mp.workdps(DIGITS):
        field, x = textbook_field(SYSTEMS[name]), [mp.mpf(c) for c in entries(layers)]
        found = problem.hessian(problem.start)
        assert found.shape == (len(x), len(x))
        for k in range(len(x)):
            after, before = (
                field([c + s * STEP if i == k else c for i, c in enumerate(x)]) for s in (1, -1)
            )
            for row, a, b in zip(found, after, before, strict=True):
                assert abs(row[k] + ball((a - b) / (2 * STEP))) < NEARLY


def test_the_hessians_of_a_box_contain_those_of_its_corners():
    problem, layers = made(COMPLEX)
    generator = np.random.default_rng(0)
    box = problem.hessian(np.array([arb(x, 1e-3) for x in entries(layers)]))
    for _ in range(3):
        moved = np.array(entries(layers)) + generator.choice([-1e-3, 1e-3], size=box.shape[0])
        point = problem.hessian(np.array([arb(x) for x in moved]))
        assert np.vectorize(lambda c, x: c.contains(x.mid()))(box, point).all()


@pytest.mark.parametrize("name", SYSTEMS)
def test_complex_layers_are_computed_with_as_real_matrices_of_twice_the_size(name):
    problem, layers = made(SYSTEMS[name])
    found = np.vectorize(float)(problem.matrices(problem.start))
    real, imaginary = layers.real, layers.imag
    exact = layers if name != "complex" else np.block([[real, -imaginary], [imaginary, real]])
    assert (found == exact).all()
    target = np.array(SYSTEMS[name].target)
    again = np.vectorize(float)(problem.target)
    assert (again[: problem.d, : problem.d] == target.real).all()
    if name == "complex":
        assert (again[problem.d :, : problem.d] == target.imag).all()


def test_the_start_is_that_stated_to_the_last_bit():
    for system in SYSTEMS.values():
        problem, layers = made(system)
        assert [float(x) for x in problem.start] == entries(layers)
        assert all(x.rad() == 0 for x in problem.start)
        # Also where the array is not contiguous.
        turned = np.asfortranarray(layers)
        assert [float(x) for x in Layers(stated(system), turned).start] == entries(layers)


ONE = {"d": 1, "field": "real", "regularization": 1.0, "target": [[1.0]], "depth": 2}
PLAIN, TWISTED = np.ones((2, 1, 1)), np.ones((2, 1, 1), dtype=complex)


@pytest.mark.parametrize(
    ("changed", "layers"),
    [
        ({"depth": 3}, PLAIN),
        ({"depth": 1}, PLAIN[:1]),
        ({"d": 2}, PLAIN),
        ({}, np.ones((2, 1, 2))),
        ({}, np.ones((2, 2, 1))),
        ({}, np.ones((2, 1))),
        ({"target": [1.0]}, PLAIN),
        ({"target": [[1.0, 0.0]]}, PLAIN),
        ({"regularization": -(2.0**-1074)}, PLAIN),
        ({"regularization": [1.0]}, PLAIN),
        ({"field": "quaternion"}, PLAIN),
        ({}, TWISTED),
        ({"target": {"real": [[1.0]], "imag": [[0.0]]}}, PLAIN),
        ({"field": "complex"}, TWISTED),
        ({"field": "complex", "target": {"real": [[1.0]], "imag": [[0.0]]}}, PLAIN),
    ],
)
def test_layers_and_target_that_do_not_fit_are_refused(changed, layers):
    with pytest.raises(Refused, match="do not fit"):
        Layers({**ONE, **changed}, layers)


def test_layers_and_target_that_fit_are_accepted():
    for changed, layers in (
        ({}, PLAIN),
        ({"regularization": 0.0}, PLAIN),
        ({"depth": 3}, np.ones((3, 1, 1))),
        ({"field": "complex", "target": {"real": [[1.0]], "imag": [[0.0]]}}, TWISTED),
    ):
        assert len(Layers({**ONE, **changed}, layers).start) == layers.view(float).size


def test_a_branch_costs_nothing_where_the_field_has_no_kinks():
    segment = Segment(np.array([[arb(1)] * 3] * 2), arb(0), arb(1))
    assert Layers(ONE, PLAIN).branching(segment, 1) == 0
