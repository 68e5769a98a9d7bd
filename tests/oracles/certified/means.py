"""Certificates of means on a line, and trajectories by means that certificates do not use."""

import functools

import numpy as np
from flint import arb
from mpmath import mp

import flows
from flows.core.balls import precision
from flows.solvers.reference import solve_reference
from oracles.certificates import ball

# Means and weights of the containment test.
PROBLEMS = {
    "two": ([0.75, -0.5], None),
    "three": ([-0.75, 0.25, 1.0], [0.25, 0.375, 0.375]),
    "merging": ([0.5, 0.5, -0.25], None),
}
SETTINGS = (8, 14)  # digits asked for, coarse ones included
TIMES = np.geomspace(1e-3, 300.0, 170)
# The oracle has 38 digits and keeps 24 of them.
DIGITS, KEPT = 38, 1e-24


def number(x):
    """Middle of a ball as a number of mpmath."""
    man, exponent = x.mid().man_exp()
    return mp.mpf((int(man), int(exponent)))


@functools.cache
def legendre(panels, count, reach):
    """Composite Gauss-Legendre rule for ``N(0, 1)``: no trapezoids."""
    roots = [arb.legendre_p_root(count, k, weight=True) for k in range(count)]
    half = arb(reach) / panels
    rule = []
    for panel in range(panels):
        for x, w in roots:
            at = (2 * panel + 1 - panels + x) * half
            rule.append((at, w * half * (-at * at / 2).exp() / (2 * arb.pi()).sqrt()))
    return rule


def textbook_field(weights):
    """Minus the gradient by its definition ``E psi_i (mu_i - x)``, typed here and nowhere else."""

    def field(x):
        with precision(160):
            mu, total = [ball(c) for c in x], [arb(0)] * len(x)
            for at, weight in legendre(9, 30, 12):
                p = [
                    w * (-((at - m) * (at - m)) / 2).exp() for w, m in zip(weights, mu, strict=True)
                ]
                share = weight / sum(p, arb(0))
                total = [t + share * q * (at - m) for t, q, m in zip(total, p, mu, strict=True)]
            return [number(t) for t in total]

    return field


def textbook_jacobian(weights):
    """Jacobian in doubles: it steers Newton's method and decides no digit."""
    at = np.linspace(-9, 9, 600)
    share = np.exp(-(at**2) / 2)
    share /= share.sum()

    def jacobian(x):
        y = at[:, None] - np.array(x, dtype=float)
        psi = np.array(weights) * np.exp(-(y**2) / 2)
        psi /= psi.sum(axis=1, keepdims=True)
        first = psi * y
        return np.diag(share @ (psi * (y**2 - 1))) - first.T @ (share[:, None] * first)

    return jacobian


@functools.cache
def problem(name):
    means, weights = PROBLEMS[name]
    return flows.GMMEM(n=len(means), d=1, weights=weights), np.array(means)[:, None]


@functools.cache
def reference(name):
    """States at TIMES by a solver, a field and a quadrature that certificates do not use."""
    system, start = problem(name)
    weights = list(system.weights)
    found = solve_reference(
        textbook_field(weights),
        textbook_jacobian(weights),
        start.ravel(),
        TIMES,
        DIGITS,
        tolerance=KEPT,
    )
    assert found.status == "completed"
    return found.states


@functools.cache
def certificate(name, digits):
    system, start = problem(name)
    return flows.certify(system, start, float(TIMES[-1]), digits=digits)


def flat(state):
    """Numbers of a state of balls."""
    return [c for (c,) in state]
