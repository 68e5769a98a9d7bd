"""Runs of score matching."""

import numpy as np
from scipy.optimize import brentq

import flows


def at_rest():
    """Three components at the stationary point: two at opposite lengths, one at the target."""
    system = flows.ScoreMatching(3, 1)
    length = brentq(lambda s: system.gradient([[s], [-s], [0.0]])[0, 0], 2.0, 4.0, xtol=1e-14)
    return scores([[length], [-length], [0.0]], 0.1)


def scores(start, t_end, target=None):
    start = np.array(start, dtype=float)
    return flows.integrate(flows.ScoreMatching(*start.shape, target=target), start, t_end)


RUNS = (
    lambda: scores([[0.1], [-0.12]], 1e6),
    lambda: scores([[1e-5], [-0.5e-5]], 1e14, [0.3]),
    at_rest,
    lambda: scores([[5.9], [7.0]], 1e7),
    lambda: scores([[4.0], [4.0 + 1e-7]], 1e7),
    lambda: scores([[0.0], [5.0], [-6.0]], 1e7),
)
