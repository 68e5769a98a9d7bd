"""Runs of two layers."""

import numpy as np

import flows
from oracles.hidden_layer import flipped


def students(start, t_end, teachers=2, **options):
    system = flows.TwoLayer(len(start), teachers, **options)
    return flows.integrate(system, start, t_end)


RUNS = (
    lambda: students([[0.5, 0.2], [0.6, -0.1], [0.4, 0.9]], 1e9, [[1.0, 0.0], [0.5, 0.8]]),
    lambda: students([[0.9, 0.2], [0.1, 1.2]], 400.0),
    lambda: students([[0.5, 0.2, 0.8], [0.1, 0.9, 1.0]], 30.0, train_outputs=True),
    lambda: students(
        [[0.9, 0.2], [1.2, -0.1], [0.1, 0.8]], 1e9, activation="erf", output_weights=[0.5, 0.5, 1.0]
    ),
    # Off the symmetry of the point, which the slowest direction breaks.
    lambda: students(flipped(6) + 0.01 * np.random.default_rng(0).normal(size=(6, 6)), 3e3, 6),
)
