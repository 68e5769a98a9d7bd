"""Certificates of ReLU neurons, and trajectories by means that certificates do not use."""

import functools
import itertools

import numpy as np
from mpmath import mp

import flows
from flows.solvers.reference import solve_reference
from flows.systems.hidden_layer import arrays

# Starts of the containment test; the second one crosses kinks of the plane.
PROBLEMS = {"span": (2, 3, 0), "plane": (2, 2, 3)}
SETTINGS = (8, 14)  # digits asked for, coarse ones included
TIMES = np.geomspace(1e-3, 20.0, 260)
# The oracle has 36 digits and keeps 20 of them.
DIGITS, KEPT = 36, 1e-23


def textbook_field(teacher, plane):
    """Minus the gradient of equation 4, in raw coordinates, typed here and nowhere else."""

    def angle(a, b, side):
        dot = mp.fdot(a, b)
        if plane:
            area = side * (a[0] * b[1] - a[1] * b[0])
        else:
            area = mp.sqrt(mp.fdot(a, a) * mp.fdot(b, b) - dot * dot)
        theta = mp.atan2(area, dot)
        return area, theta + 2 * mp.pi if area < 0 and dot < 0 else theta

    def field(x, sides=None):
        d = len(teacher)
        with mp.extraprec(60):
            rows = [*(x[k : k + d] for k in range(0, len(x), d)), [mp.mpf(c) for c in teacher]]
            n = len(rows) - 1
            r = [mp.fsum(column[:-1]) - column[-1] for column in zip(*rows, strict=True)]
            rates = [[-c / 2 for c in r] for _ in range(n)]
            every = itertools.combinations(range(n + 1), 2)
            for k, (i, j) in enumerate(every):
                area, theta = angle(rows[i], rows[j], sides[k] if sides else 1)
                for a, b in ((i, j), (j, i)):
                    if a < n:
                        mu = -1 if b == n else 1
                        share = area / mp.fdot(rows[a], rows[a])
                        for c in range(d):
                            turned = share * rows[a][c] - theta * rows[b][c]
                            rates[a][c] -= mu * turned / (2 * mp.pi)
            return [+c for row in rates for c in row]

    def switches(x):
        d = len(teacher)
        rows = [*(x[k : k + d] for k in range(0, len(x), d)), [mp.mpf(c) for c in teacher]]
        return [a[0] * b[1] - a[1] * b[0] for a, b in itertools.combinations(rows, 2)]

    return field, switches if plane else None


@functools.cache
def problem(name):
    n, d, seed = PROBLEMS[name]
    teacher = np.random.default_rng(100 + seed).normal(size=d)
    system = flows.ReLUNeuron(n=n, d=d, teacher=teacher)
    return system, system.initial(0.1, seed)


@functools.cache
def reference(name):
    """States at TIMES by a solver and a field that share nothing with certificates."""
    system, start = problem(name)
    field, switches = textbook_field(system.teacher, system.d == 2)
    # The Jacobian steers Newton's method and decides no digit.

    def jacobian(x, sides=None):
        return -arrays.hessian(system.network, np.array([float(c) for c in x]))

    found = solve_reference(
        field, jacobian, start.ravel(), TIMES, DIGITS, tolerance=KEPT, switches=switches
    )
    assert found.status == "completed"
    return found.states


@functools.cache
def certificate(name, digits):
    system, start = problem(name)
    return flows.certify(system, start, float(TIMES[-1]), digits=digits)


def flat(state):
    """Numbers of a state of balls."""
    return [c for row in state for c in row]
