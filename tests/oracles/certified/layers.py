"""Certificates of matrix factorisations, and trajectories by means that certificates do not use."""

import functools
from itertools import pairwise

import numpy as np
from flint import arb
from mpmath import mp

import flows
from flows.solvers.reference import solve_reference

# Two layers, four complex ones, and a target that is neither diagonal nor Hermitian.
PROBLEMS = {
    "real": flows.MatrixFactorization(
        d=2, depth=2, regularization=1.0, target=[[1.0, 0.5], [-0.25, 2.0]]
    ),
    "complex": flows.MatrixFactorization(
        d=1, field="complex", regularization=3.0, target=[[0.5 + 1.5j]]
    ),
}
SCALE, SEED = 0.7, 3
SETTINGS = (8, 14)  # digits asked for, coarse ones included
TIMES = np.geomspace(1e-3, 5.0, 260)
# The oracle has 40 digits and keeps 22 of them.
DIGITS, KEPT = 40, 1e-22


def textbook_field(system):
    """Minus the gradient of section 2 of the paper, by mpmath's own matrices."""
    d, a, is_complex = system.d, mp.mpf(system.regularization), system.field == "complex"
    target = mp.matrix(np.array(system.target).tolist())

    def field(x):
        entries = [mp.mpc(*x[k : k + 2]) for k in range(0, len(x), 2)] if is_complex else x
        w = [
            mp.matrix([entries[k + d * i : k + d * (i + 1)] for i in range(d)])
            for k in range(0, len(entries), d * d)
        ]
        whole = functools.reduce(lambda below, layer: layer * below, w, mp.eye(d))
        delta = [mp.zeros(d), *(v * v.H - u.H * u for v, u in pairwise(w)), mp.zeros(d)]
        rates = []
        for j, layer in enumerate(w):
            above = functools.reduce(lambda m, v: v * m, w[j + 1 :], mp.eye(d))
            below = functools.reduce(lambda m, v: v * m, w[:j], mp.eye(d))
            rates.append(
                above.H * (target - whole) * below.H - a * (delta[j + 1] * layer - layer * delta[j])
            )
        flat = [m[i, k] for m in rates for i in range(d) for k in range(d)]
        return [part for c in flat for part in (c.real, c.imag)] if is_complex else flat

    return field


def flat(state):
    """Real numbers of a state of balls."""
    entries = [c for layer in state for row in layer for c in row]
    if isinstance(entries[0], arb):
        return entries
    return [part for c in entries for part in (c.real, c.imag)]


@functools.cache
def start(name):
    return PROBLEMS[name].initial(SCALE, SEED)


@functools.cache
def reference(name):
    system = PROBLEMS[name]

    def jacobian(x):  # it steers Newton's method and decides no digit
        return -system.hessian(
            np.array([float(c) for c in x]).view(start(name).dtype).reshape(start(name).shape)
        )

    found = solve_reference(
        textbook_field(system),
        jacobian,
        start(name).ravel().view(float),
        TIMES,
        DIGITS,
        tolerance=KEPT,
    )
    assert found.status == "completed"
    return found.states


@functools.cache
def certificate(name, digits):
    return flows.certify(PROBLEMS[name], start(name), float(TIMES[-1]), digits=digits)


@functools.cache
def balanced():
    system = flows.MatrixFactorization(d=2, regularization=20.0)
    layers = system.initial(0.5, 1, balanced=True)
    assert np.prod(np.linalg.det(layers)) > 0
    return flows.certify(system, layers, 2.0, digits=10)


@functools.cache
def conserved():
    system = flows.MatrixFactorization(d=2, regularization=0.0)
    return flows.certify(system, system.initial(0.5, 0), 2.0, digits=10)


@functools.cache
def decaying():
    system = flows.MatrixFactorization(d=2, field="complex", depth=2, regularization=2.0)
    return flows.certify(system, system.initial(0.7, 1), 3.0, digits=12)


@functools.cache
def scalars(*layers, end):
    """Four layers of one number each."""
    system = flows.MatrixFactorization(d=1, regularization=20.0)
    return flows.certify(system, np.array(layers)[:, None, None], end, digits=12)
