"""The check's own loss, gradient and Hessian against the definition and against differences."""

import json

import numpy as np
import pytest
from flint import arb
from oracles import two_layer as oracle
from oracles.hidden_layer import loss as of_arc_cosine

import flows
from flows.certificates.verifier.kernels import kernel
from flows.certificates.verifier.layer import Pairs, of_teachers
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.turns import along, require_turns
from flows.core.balls import precision

BITS, STEP, DIFFERENCES = 192, 2.0**-30, 1e-15
V = np.array([[1.0, 0.2, 0.0], [-0.4, 0.9, 0.3]])
W = np.random.default_rng(0).normal(size=(3, 4))
A, B = W[:, 3], np.array([1.0, -0.7])
NAMES = [("relu", 0.0), ("relu", 0.1), ("erf", 0.0), ("quadratic", 0.0)]


def balls(rows):
    return np.array([arb(x) for x in np.ravel(rows)]).reshape(np.shape(rows))


def pairs(name, slope, state, trained):
    rows = state if trained else state[:, :3]
    return Pairs(kernel(name, slope), rows, balls(V), balls(-B), None if trained else balls(A))


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize(("name", "slope"), NAMES)
def test_derivatives_are_those_of_the_loss_which_is_that_of_the_definition(name, slope, trained):
    activation = f"leaky:{slope}" if slope else name
    system = flows.TwoLayer(3, V, activation=activation, teacher_weights=B, train_outputs=True)
    with precision(BITS):
        here = pairs(name, slope, balls(W), trained)
        loss = here.loss() + of_teachers(here.kernel, balls(V), balls(-B), slope)
        assert abs(float(loss) - float(oracle.loss(system, W, digits=30))) < 1e-14
        gradient, hessian = here.gradient().ravel(), here.hessian()
        # The first coordinates, and the last one, which is an output where these are trained.
        for k in (0, 1, len(gradient) - 1):
            moved = []
            for step in (STEP, -STEP):
                state = balls(W if trained else W[:, :3])
                state.ravel()[k] += arb(step)
                wide = state if trained else np.column_stack([state, balls(A)])
                moved.append(pairs(name, slope, wide, trained))
            up, down = moved
            assert abs(float((up.loss() - down.loss()) / (2 * STEP) - gradient[k])) < DIFFERENCES
            slopes = (up.gradient().ravel() - down.gradient().ravel()) / (2 * STEP)
            off = np.abs(np.array([float(x) for x in slopes - hessian[k]]))
            assert off.max() < DIFFERENCES * (1e3 if name == "relu" else 1e2)


@pytest.mark.parametrize(("name", "slope"), NAMES)
def test_directions_outside_have_the_matrix_of_one_more_dimension(name, slope):
    wide, far = (np.column_stack([x[:, :3], np.zeros(len(x))]) for x in (W, V))
    with precision(BITS):
        across = pairs(name, slope, balls(W), False).across()
        more = Pairs(kernel(name, slope), balls(wide), balls(far), balls(-B), balls(A))
        whole = more.hessian().reshape(3, 4, 3, 4)
        for i, j in np.ndindex(3, 3):
            assert abs(float(across[i, j] - whole[i, 3, j, 3])) < DIFFERENCES
            assert max(abs(float(x)) for x in whole[i, 3, j, :3]) < DIFFERENCES


@pytest.mark.parametrize(("name", "slope"), NAMES)
def test_a_box_contains_what_is_at_its_points(name, slope):
    radius, rng = 1e-3, np.random.default_rng(1)
    with precision(BITS):
        box = pairs(name, slope, balls(W) + arb(0, radius), False)
        for _ in range(3):
            there = pairs(name, slope, balls(W + radius * rng.uniform(-1, 1, W.shape)), False)
            for a, b in ((box.gradient(), there.gradient()), (box.hessian(), there.hessian())):
                assert all(x.contains(y) for x, y in zip(a.ravel(), b.ravel(), strict=True))
            assert box.loss().contains(there.loss())


@pytest.mark.parametrize("factor", [1.0, -2.0])
def test_parallel_and_opposite_neurons_are_refused_by_name(factor):
    state = np.vstack([W[0, :3], factor * V[0], W[2, :3]])
    with precision(BITS), pytest.raises(Refused, match="student 2 and teacher 1 may be parallel"):
        pairs("relu", 0.25, balls(state), False)


@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_equal_and_opposite_teachers_have_a_loss(factor):
    teachers = np.array([V[0], factor * V[0]])
    with precision(BITS):
        k, v = kernel("relu", 0.25), balls(teachers)
        found = Pairs(k, balls(W[:, :3]), v, balls(-B), balls(A)).loss()
        found += of_teachers(k, v, balls(-B), 0.25)
    # The arc cosine of the oracle loses half of its digits at 0 and pi.
    by_definition = of_arc_cosine(W[:, :3], A, teachers, B, 0.25)
    assert float(found) == pytest.approx(by_definition, rel=1e-12)


def test_moves_leave_the_loss_of_the_square_as_it_is():
    every = [[i, k] for i in range(3) for k in range(3)]
    with precision(BITS):
        here = pairs("quadratic", 0.0, balls(W), False)
        slopes = here.gradient().ravel()
        moves = along(here.w, A, every, [[0, 1], [0, 2], [1, 2]])
        assert max(abs(float(x)) for x in slopes @ moves) < 1e-40
        # Negative control: of another activation they do not.
        other = pairs("erf", 0.0, balls(W), False).gradient().ravel()
        assert max(abs(float(x)) for x in other @ moves) > 1e-3


def test_moves_are_told_on_small_boxes_and_not_on_large_ones():
    held, moves = [[0, 0]], [[0, 1]]
    with precision(BITS):
        require_turns(balls(W[:, :3]), A, held, moves)
        with pytest.raises(Refused, match="do not tell the moves"):
            require_turns(balls(W[:, :3]) + arb(0, 3), A, held, moves)


def test_a_maximum_is_not_taken_for_a_saddle(tmp_path):
    """Of the square, zero is critical with negative eigenvalues only, and a file may say so."""
    one = [(1.0).hex()]
    data = {
        **{"format": "popflow stationary 1", "system": "two_layer", "activation": "quadratic"},
        **{"slope": (0.0).hex(), "teachers": [[(1.0).hex()]], "output_weights": one},
        **{"teacher_weights": one, "bits": 128, "precision": 160, "centre": [["0"]]},
        **{"radius": (2.0**-10).hex(), "kind": "saddle", "across": None},
        "hessian": {"index": 1, "least": (-5.9).hex()},
        "loss": {"value": "3", "bits": 1, "radius": (2.0**-20).hex()},
    }
    path = tmp_path / "zero.json"
    path.write_text(json.dumps(data))
    assert "no positive eigenvalue" in flows.verify(path).refused
