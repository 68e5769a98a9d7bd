r"""Axes of ellipsoids that move with a flow: how they are chosen. Nothing is proved here.

Starts of a ball are soon in an ellipsoid ``x = p + C y``, ``|y| <= r``, which the flow stretches
and turns. With the Jacobian ``A`` along ``p``, ``C C^T = P`` solves

    P' = A P + P A + Q/beta + 2 f tr(P)/n A_-,

the first two terms of which are what the linear flow does. ``Q`` is what the second derivatives add
to states of the ellipsoid, with the ``beta`` that keeps its trace least: without it thin axes
become too thin for what bends into them. ``A_-``, the part of ``-A`` beyond :data:`STIFF`, keeps
axes that contract fast from vanishing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flint import arb
from scipy.integrate import solve_ivp

from flows.certificates import chebyshev
from flows.certificates.chebyshev import Row
from flows.certificates.proof import Approximant
from flows.core.arrays import Array
from flows.core.balls import BallFlow, Singular, precision

#: Degree of the axes' polynomials.
DEGREE = 8
#: Contraction that counts as fast, in rates of log-time, and how thick its axes stay.
STIFF, FLOOR = 2.0, 0.1
#: Accuracy of the axes, which decides no digit; and bits for Jacobians.
RTOL, ATOL, BITS = 1e-7, 1e-10, 64


def followed(
    flow: BallFlow, equations: Any, p: Approximant, shape: Array, radius: float
) -> tuple[list[Row], Array]:
    """Coefficients of ``C`` along a segment, row by row, and ``P`` at its end.

    ``shape`` is ``P`` where it begins.

    Raises
    ------
    Singular
        Where no axes are found.
    """
    size, centre, half = len(shape), float(p.span.centre), float(p.span.half)
    nodes = -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)
    table = np.polynomial.chebyshev.chebvander(nodes, DEGREE)
    with precision(BITS):
        states = [chebyshev.evaluated(p.rows, arb(s), p.bits) for s in nodes]
        hessians = flow.steering(states)
        middle, none = np.array([x.mid() for x in states[DEGREE // 2]]), np.array([[arb(0)]] * size)
        unit = np.array([[arb(int(i == k)) for i in range(size)] for k in range(size)])
        bent = np.vectorize(lambda x: float(x.mid()), "d")(equations.bending(middle, unit, none))
    if not (np.isfinite(hessians).all() and np.isfinite(bent).all()):
        raise Singular("the Hessian is not bounded")
    speeds = np.exp(centre + half * nodes)[:, None, None]
    jacobians = np.linalg.solve(table, (-speeds * hessians).reshape(DEGREE + 1, -1))

    def rates(s: float, flat: Array) -> Array:
        now = flat.reshape(size, size)
        a = np.polynomial.chebyshev.chebval(s, jacobians).reshape(size, size)
        a = (a + a.T) / 2
        values, vectors = np.linalg.eigh(a)
        fast = (vectors * np.maximum(0, -values - STIFF)) @ vectors.T
        c = np.linalg.cholesky(now)
        second = np.einsum("ka,kij,jb->abi", c, bent, c) * math.exp(centre) * radius / 2
        added = np.einsum("abi,abj->ij", second, second)
        beta = math.sqrt(np.trace(added) / np.trace(now)) + 1e-300
        turned = a @ now
        largest = np.linalg.eigvalsh(now)[-1]
        made = turned + turned.T + added / beta + 2 * FLOOR * largest * fast
        return np.asarray(half * made.ravel())

    try:
        found = solve_ivp(
            rates, (-1, 1), shape.ravel(), "LSODA", nodes, rtol=RTOL, atol=ATOL
        ).y.T.reshape(-1, size, size)
        factors = np.array([np.linalg.cholesky((x + x.T) / 2) for x in found])
        coefficients = np.linalg.solve(table, factors.reshape(DEGREE + 1, -1)).T
    except (np.linalg.LinAlgError, ValueError):
        raise Singular("no axes of an ellipsoid of starts are found") from None
    scale = 2.0**BITS
    rows = [[round(x * scale) << (p.bits - BITS) for x in row] for row in coefficients.tolist()]
    return rows, found[-1]
