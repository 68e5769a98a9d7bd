import numpy as np
import pytest
from flint import arb
from mpmath import mp
from oracles.certificates import ball
from oracles.certified.layers import PROBLEMS, start, textbook_field

from flows.certificates.verifier import matrix_factorization as checker
from flows.core.balls import precision

# Of a Hessian in doubles, and of two ways of 60 digits.
ROUNDED, SAME = 1e-12, 1e-50


def stated(system):
    return {key: system.parameters[key] for key in system.stated}


@pytest.mark.parametrize("name", PROBLEMS)
def test_field_hessian_and_loss_are_those_of_the_system(name):
    system, w = PROBLEMS[name], start(name)
    with precision(250), mp.workdps(60):
        flow = system.ball_flow(w)
        problem = checker.Layers(stated(system), w)
        true = [ball(c) for c in textbook_field(system)([mp.mpf(c) for c in w.ravel().view(float)])]
        for found in (flow.field(flow.start), problem.field(problem.start, ())):
            assert all(abs(a - b) < SAME for a, b in zip(found, true, strict=True))
        assert abs(flow.loss(flow.start) - system.loss(w)) < ROUNDED
        whole = np.array(flow.hessian(flow.start).tolist())
        again = problem.hessian(problem.start)
        assert all(abs(a - b) < SAME for a, b in zip(whole.ravel(), again.ravel(), strict=True))
        assert np.abs(whole.astype(float) - system.hessian(w)).max() < ROUNDED
        assert np.abs(flow.steering([flow.start])[0] - system.hessian(w)).max() < ROUNDED


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_box_of_hessians_contains_those_of_its_states(name):
    system, w, width = PROBLEMS[name], start(name), 1e-3
    generator = np.random.default_rng(0)
    with precision(200):
        flow, problem = system.ball_flow(w), checker.Layers(stated(system), w)
        sides = [x + arb(0, width) for x in flow.start]
        boxes = np.array(flow.hessian(sides).tolist()), problem.hessian(np.array(sides))
        inside = np.vectorize(lambda c, x: c.contains(x) or abs(c - x) < ROUNDED)
        for _ in range(20):
            step = generator.uniform(-1, 1, w.ravel().view(float).size)
            true = system.hessian(w + width * step.view(w.dtype).reshape(w.shape))
            assert all(inside(box, true).all() for box in boxes)
        far = system.hessian(w + 0.1)
        assert not any(inside(box, far).all() for box in boxes)
