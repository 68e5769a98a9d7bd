r"""A student that is tiny: of size `\epsilon`, it turns and grows in the time `\epsilon`.

.. math:: w' = -\nabla P(w), \qquad P(w) = |w| p(\hat w), \qquad \text{others at rest}
"""

import numpy as np
import pytest
from mpmath import mp
from oracles import two_layer as oracle
from oracles import two_layer_references as references
from scipy.integrate import solve_ivp

import flows
from flows.systems.hidden_layer import arrays
from flows.systems.own.trail import Trail

SYSTEM = flows.TwoLayer(3, 2)
# What is promised; the flow beside others at rest is off by the part of time that has passed.
PROMISED = 1e-9


def start(size):
    """The first student is so much smaller than the others."""
    found = SYSTEM.initial(0.5, seed=1)
    found[0] *= size
    return found


def alone(times):
    """The first student in units of its size, others at rest, by another solver and gradient."""
    w = SYSTEM.initial(0.5, seed=1)
    others = [*w[1:].tolist(), *SYSTEM.teachers]
    mu = [*SYSTEM.output_weights, *(-b for b in SYSTEM.teacher_weights)]

    def field(_, y):
        with mp.workdps(40):
            rows = [[mp.mpf(x) * mp.mpf("1e-25") for x in y.tolist()]]
            rows += [[mp.mpf(x) for x in v] for v in others]
            slope = oracle.gradient(SYSTEM.activation, rows, mu, 3)[0][0]
        return -np.array([float(x) for x in slope])

    found = solve_ivp(field, (0, max(times)), w[0], "DOP853", t_eval=times, rtol=1e-11, atol=1e-14)
    return found.y.T


def test_a_tiny_student_has_the_losses_of_sixty_digits_and_stated_errors_cover():
    system, at = references.RUNS["tiny"]
    assert np.array_equal(at, start(1e-6))
    run = flows.integrate(system, at, t_end=1e12, t_eval=references.TIMES)
    assert run.completed
    off = np.abs(run["loss"][1:] / references.stored("tiny") - 1)
    assert (off <= run.errors("loss")[1:]).all() and off.max() < PROMISED


@pytest.mark.parametrize("size", [1e-3, 1e-30])
def test_a_tiny_student_loses_no_run(size):
    run = flows.integrate(SYSTEM, start(size), t_end=1e3)
    assert run.completed
    # What is left of the size at last is small.
    tiny = references.stored("tiny")[3]
    assert abs(run["loss"][-1] / tiny - 1) < max(size, PROMISED * 100)


def test_it_turns_and_grows_as_beside_others_at_rest():
    times, size = [0.1, 1.0, 10.0, 100.0], 1e-14
    run = flows.integrate(SYSTEM, start(size), t_end=1.0, t_eval=[*(size * t for t in times), 1.0])
    assert run.completed
    found, truth = run.state[1:-1, 0] / size, alone(times)
    length = np.linalg.norm(truth, axis=1)
    assert (np.linalg.norm(found - truth, axis=1) < PROMISED * length).all()
    # It has turned, and has grown a hundredfold.
    assert length[-1] > 50 * length[0]
    assert truth[0] @ truth[-1] < 0.999 * length[0] * length[-1]


def test_a_student_whose_square_is_no_double_has_a_length_and_a_curvature():
    # Curvature along a student, and across it, is of degree -1.
    network, (least, small) = SYSTEM.network(), (start(size) for size in (1e-200, 1e-20))
    blocks = [arrays.hessian(network, x.ravel())[:2, :2] for x in (least, small)]
    assert np.allclose(blocks[0] * 1e-180, blocks[1], rtol=1e-12)
    frame, state = SYSTEM.reduce(least)
    norms = SYSTEM.features(frame, state.at(None))["norm"]
    assert norms[0] / np.linalg.norm(start(1.0), axis=1) == pytest.approx([1e-200, 1, 1])


def test_with_the_curvature_of_both_ends_alone_the_run_would_end(monkeypatch):
    def nowhere(trail, since):
        return np.zeros(0), np.zeros((0, len(trail.axes)))

    monkeypatch.setattr(Trail, "between", nowhere)
    run = flows.integrate(SYSTEM, start(1e-6), t_end=1e3)
    assert run.status == "field_failed"
