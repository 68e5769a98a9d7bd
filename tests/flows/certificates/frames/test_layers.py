import numpy as np
import pytest
from flint import arb
from mpmath import mp
from oracles.certificates import ball
from oracles.certified.layers import PROBLEMS, start, textbook_field

from flows.certificates.frames.layers import defects, product
from flows.certificates.frames.registry import flow_of
from flows.core.balls import precision

# Of a Hessian in doubles, and of two ways of 60 digits.
ROUNDED, SAME = 1e-12, 1e-50


@pytest.mark.parametrize("name", PROBLEMS)
def test_field_hessian_and_loss_are_those_of_the_system(name):
    system, w = PROBLEMS[name], start(name)
    with precision(250), mp.workdps(60):
        flow = flow_of(system, w)
        true = [ball(c) for c in textbook_field(system)([mp.mpf(c) for c in w.ravel().view(float)])]
        layers = flow.matrices(flow.start)
        downs = flow.fit_descent(layers, flow.target - product(layers))
        ups = flow.balance_ascent(layers, defects(layers))
        parts = flow.numbers([a - b for a, b in zip(downs, ups, strict=True)])
        for found in (flow.field(flow.start, ()), parts):
            assert all(abs(a - b) < SAME for a, b in zip(found, true, strict=True))
        assert abs(flow.loss(flow.start) - system.loss(w)) < ROUNDED
        whole = np.array(flow.hessian(flow.start).tolist())
        assert np.abs(whole.astype(float) - system.hessian(w)).max() < ROUNDED
        assert np.abs(flow.steering([flow.start])[0] - system.hessian(w)).max() < ROUNDED


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_box_of_hessians_contains_those_of_its_states(name):
    system, w, width = PROBLEMS[name], start(name), 1e-3
    generator = np.random.default_rng(0)
    with precision(200):
        flow = flow_of(system, w)
        box = np.array(flow.hessian([x + arb(0, width) for x in flow.start]).tolist())
        inside = np.vectorize(lambda c, x: c.contains(x) or abs(c - x) < ROUNDED)
        for _ in range(20):
            step = generator.uniform(-1, 1, w.ravel().view(float).size)
            true = system.hessian(w + width * step.view(w.dtype).reshape(w.shape))
            assert inside(box, true).all()
        assert not inside(box, system.hessian(w + 0.1)).all()
