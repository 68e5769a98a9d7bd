"""Runs of gradient EM."""

import numpy as np

import flows
from oracles.witnesses import of


def means(start, t_end):
    start = np.array(start, dtype=float)
    return flows.integrate(flows.GMMEM(*start.shape), start, t_end)


FAR = 12 * 2**0.5
RUNS = (
    lambda: of(flows.GMMEM(3, 2), 1.0, 0, 1e8),
    lambda: means([[1.0, 0.5]], 30.0),
    lambda: means([[FAR, 0], [-FAR, 0], [0, 0]], 1e2),
)
