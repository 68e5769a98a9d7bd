"""Certificates of own polynomial losses, and trajectories by means that these do not use."""

import functools

import numpy as np
import sympy as sp
from mpmath import mp

import flows
from flows.solvers.reference import solve_reference

U, V, Q = sp.symbols("u v q")
X = sp.MatrixSymbol("X", 2, 2)
TARGET = sp.Matrix([[1, 0], [0, -1]])

LOSSES = {
    "scalars": ((U, V), (U * V - 1) ** 2 / 2),
    "valley": ((U, Q), (U**2 - Q**3) ** 2 + Q**8),
    "matrix": ((X,), sp.trace((X * X.T - TARGET) ** 2) / 4),
    "sextic": ((U, V), U**6 + V**6),
}
STARTS = {
    "scalars": np.array([1.5, 0.25]),
    "valley": np.array([0.5, 0.75]),
    "matrix": np.array([0.5, 0.25, -0.125, 1.0]),
}
SETTINGS = (8, 11, 14)  # digits asked for, coarse ones included
TIMES = np.geomspace(1e-3, 20.0, 120)
# The oracle has 50 digits and keeps 32 of them.
DIGITS, KEPT = 50, 1e-32


def _scalars(x):
    u, v = x
    return [-(u * v - 1) * v, -(u * v - 1) * u]


def _valley(x):
    u, q = x
    away = u**2 - q**3
    return [-4 * u * away, 6 * q**2 * away - 8 * q**7]


def _matrix(x):
    w = mp.matrix([x[:2], x[2:]])
    moves = (mp.matrix([[1, 0], [0, -1]]) - w * w.T) * w
    return [moves[i, k] for i in range(2) for k in range(2)]


#: Minus the gradients, typed here and nowhere else.
FIELDS = {"scalars": _scalars, "valley": _valley, "matrix": _matrix}
PROBLEMS = tuple(FIELDS)


@functools.cache
def system(name):
    blocks, loss = LOSSES[name]
    return flows.OwnSystem(name, blocks, loss)


@functools.cache
def reference(name):
    """States at TIMES by a solver and a field that certificates do not use."""

    def jacobian(x):  # steers Newton's method and decides no digit
        return -system(name).hessian(np.array(x, dtype=float))

    start = STARTS[name]
    found = solve_reference(FIELDS[name], jacobian, start, TIMES, DIGITS, tolerance=KEPT)
    assert found.status == "completed"
    return found.states


@functools.cache
def certificate(name, digits):
    return flows.certify(system(name), STARTS[name], float(TIMES[-1]), digits=digits)


def flat(state):
    """Numbers of a state of balls."""
    return state
