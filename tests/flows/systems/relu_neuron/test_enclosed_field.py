import numpy as np
import pytest
from flint import arb
from oracles import relu_neuron as oracle
from oracles.certificates import ball

from flows.core.balls import precision
from flows.systems.relu_neuron.enclosed_field import SpanFlow

# Of a Hessian in doubles, and of the 60 digits of the exact field.
ROUNDED, SAME = 1e-12, 1e-40


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 2), (3, 5)])
def test_field_and_loss_in_the_span_are_those_of_the_user(n, d):
    generator = np.random.default_rng(n)
    w, v = generator.normal(size=(n, d)), generator.normal(size=d)
    with precision(200):
        flow = SpanFlow.of(w.tolist(), v.tolist())
        signs = [1 if a > 0 else -1 for a in flow.areas(flow.start)]
        found = [c for row in flow.restore(flow.field(flow.start, signs)) for c in row]
        true = [c for row in oracle.gradient(w.tolist(), v.tolist(), 60) for c in row]
        assert all(abs(a + ball(b)) < SAME for a, b in zip(found, true, strict=True))
        assert abs(flow.loss(flow.start) - ball(oracle.loss(w.tolist(), v.tolist(), 60))) < SAME
        assert all(
            abs(a - c) < SAME
            for a, c in zip(
                [c for row in flow.restore(flow.start) for c in row],
                map(arb, w.ravel()),
                strict=True,
            )
        )
        if signs:  # the other branch is another field
            other = flow.restore(flow.field(flow.start, [-s for s in signs]))
            moved = [c for row in other for c in row]
            assert max(abs(c - a) for c, a in zip(moved, found, strict=True)) > 0.1


@pytest.mark.parametrize("aligned", [False, True])
def test_a_box_of_hessians_contains_those_of_its_states(aligned):
    generator = np.random.default_rng(4)
    # In the plane the frame of a teacher along e_1 and a first neuron above it is the user's own.
    v, w = np.array([1.0, 0.0]), np.array([[0.4, 0.3], [0.7, 0.2]])
    if aligned:
        w[1] = 2 * w[0]
    width = 1e-3
    with precision(200):
        flow = SpanFlow.of(w.tolist(), v.tolist())
        box = flow.hessian([x + arb(0, width) for x in flow.start]).tolist()
        for _ in range(20):
            moved = w + width * generator.uniform(-1, 1, size=w.shape)
            true = np.array(oracle.hessian(moved.tolist(), v.tolist(), 30), dtype=float)
            assert all(
                c.contains(x) or abs(c - x) < ROUNDED
                for row, line in zip(box, true, strict=True)
                for c, x in zip(row, line, strict=True)
            )
        far = np.array(oracle.hessian((w + 0.1).tolist(), v.tolist(), 30), dtype=float)
        assert not all(
            c.contains(x)
            for row, line in zip(box, far, strict=True)
            for c, x in zip(row, line, strict=True)
        )
