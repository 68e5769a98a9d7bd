"""Losses of two layers with sixty digits, stored: `python tests/oracles/two_layer_references.py`.

It takes minutes. The field is the gradient by hand in mpmath, in the user's coordinates.
"""

import json
from pathlib import Path

import numpy as np
from mpmath import mp

import flows
from flows.solvers.reference import solve_reference
from oracles import two_layer as oracle

STORED = Path(__file__).with_name("two_layer_references.json")
DIGITS, TOLERANCE = 60, 1e-22
TIMES = tuple(10.0**k for k in range(13))
OBLIQUE = [[1.0, 0.0, 0.0], [0.5, 0.8, 0.0]]


def _near(teachers, shares, size, seed):
    """Students that share the teachers, a little off."""
    rows = [s * np.array(v) for v, own in zip(teachers, shares, strict=True) for s in own]
    noise = np.random.default_rng(seed).normal(size=(len(rows), len(teachers[0])))
    return (np.array(rows) + size * noise).round(3)


def _tiny(system, size, seed):
    """Random students, the first of which is so much smaller."""
    start = system.initial(0.5, seed=seed)
    start[0] *= size
    return start


AXES = np.eye(2, 3).tolist()
RUNS = {
    "2 + 2": (flows.TwoLayer(4, 2, d=3), _near(AXES, [[0.4, 0.6], [0.5, 0.5]], 0.2, 0)),
    "3 + 1": (flows.TwoLayer(4, 2, d=3), _near(AXES, [[0.3, 0.3, 0.4], [1.0]], 0.15, 1)),
    "oblique": (flows.TwoLayer(4, OBLIQUE), _near(OBLIQUE, [[0.4, 0.6], [0.5, 0.5]], 0.15, 2)),
    "trained": (
        flows.TwoLayer(4, 2, d=3, train_outputs=True),
        np.column_stack([_near(AXES, [[0.5, 0.6], [0.7, 0.6]], 0.2, 3), [0.7, 0.9, 0.6, 0.8]]),
    ),
    "erf": (
        flows.TwoLayer(3, 2, activation="erf", output_weights=[0.5, 0.5, 1.0]),
        np.array([[0.9, 0.2], [1.2, -0.1], [0.1, 0.8]]),
    ),
    # Curvature across the first student is a million times the other ones.
    "tiny": (flows.TwoLayer(3, 2), _tiny(flows.TwoLayer(3, 2), 1e-6, 1)),
}


def flow(system):
    """Field of a flat state, by numbers of mpmath."""
    n, d = system.students, len(system.teachers[0])

    def field(x):
        w = [list(x[i * d : (i + 1) * d]) for i in range(n)]
        a = list(x[n * d :]) if system.train_outputs else [mp.mpf(c) for c in system.output_weights]
        u = w + [[mp.mpf(c) for c in v] for v in system.teachers]
        mu = a + [-mp.mpf(b) for b in system.teacher_weights]
        slopes = oracle.gradient(system.activation, u, mu, n)
        return [-c for row in slopes[0] for c in row] + (
            [-c for c in slopes[1]] if system.train_outputs else []
        )

    return field


def computed(name, times=TIMES):
    """Losses at these times."""
    system, start = RUNS[name]
    y = system.flat(start)

    def jacobian(x):
        state = np.array([float(c) for c in x])
        from flows.systems.hidden_layer import arrays

        return -arrays.hessian(system.network(), state)

    found = solve_reference(flow(system), jacobian, y.tolist(), times, DIGITS, tolerance=TOLERANCE)
    assert found.status == "completed", found.message
    with mp.workdps(2 * DIGITS):
        return [float(oracle.loss_of(system, state)) for state in found.states]


def stored(name):
    """The same from the file."""
    return json.loads(STORED.read_text())[name]


if __name__ == "__main__":
    import sys
    import time

    known = json.loads(STORED.read_text()) if STORED.exists() else {}
    for name in sys.argv[1:] or RUNS:
        began = time.time()
        known[name] = computed(name)
        print(name, time.time() - began, known[name][-1], flush=True)
        STORED.write_text(json.dumps(known, indent=0) + "\n")
