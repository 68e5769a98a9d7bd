"""Runs of one ReLU neuron's students."""

import numpy as np

import flows
from oracles.witnesses import of


def neurons(start, t_end):
    start = np.array(start)
    return flows.integrate(flows.ReLUNeuron(*start.shape), start, t_end)


RUNS = (
    lambda: of(flows.ReLUNeuron(3, 5), 0.1, 0, 1e9),
    # Phase 1 begins at t = 2 sigma sqrt(d).
    lambda: of(flows.ReLUNeuron(2, 20), 1e-20, 5, 1e4, np.geomspace(1e-23, 1e4, 120)),
    lambda: neurons([[0.3, 0.2], [0.3, -0.2]], 1e8),
    lambda: neurons([[0.1, 0.2]], 1e3),
    lambda: neurons([[0.2, 0.0], [0.1, 0.0]], 1e3),
    lambda: neurons([[0.02, 0.1, 0.0], [0.03, 0.1, 0.02]], 1e6),
)
