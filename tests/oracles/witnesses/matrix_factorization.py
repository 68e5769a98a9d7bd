"""Runs of layers."""

import numpy as np

import flows
from oracles.witnesses import of


def balanced(sign):
    """Layers of the first balanced start whose determinant has this sign, to the end."""
    system = flows.MatrixFactorization(2, "real", 5.0)
    starts = (system.initial(0.25, seed, True) for seed in range(50))
    start = next(x for x in starts if np.sign(np.linalg.det(x)).prod() == sign)
    return flows.integrate(system, start, 1e6)


RUNS = (
    lambda: of(flows.MatrixFactorization(3, "real", 20.0, 2 * np.eye(3)), 0.2, 9, 1e4),
    lambda: balanced(1),
    lambda: balanced(-1),
    lambda: of(flows.MatrixFactorization(2, "real", 0.0), 0.25, 0, 1e3),
)
