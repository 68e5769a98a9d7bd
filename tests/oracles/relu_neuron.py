"""Neurons at zero and plain coordinates with many digits, by the textbook's arc-cosine kernel.

With ``theta`` the angle between ``u`` and ``w``, for ``x ~ N(0, I)``::

    E relu(u.x) relu(w.x) = (|u| |w| sin theta + (pi - theta) u.w) / (2 pi)

(Cho & Saul, NIPS 2009). It is written here once more, so that no symbolic source is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.optimize
from mpmath import mp

Number = Any  # float or mpmath.mpf
Vector = Sequence[Number]

# The search for the least slope at zero looks at this many random directions for each dimension,
# twice, and polishes the best few.
RANDOM = 4
POLISHED = 4


def _exact(row: Vector) -> list[Number]:
    """Row as mpf; a double keeps all its bits whatever the precision."""
    return [x if isinstance(x, mp.mpf) else mp.mpf(float(x)) for x in row]


def _unit(w: Vector) -> list[Number]:
    size = mp.norm(w)
    return [x / size for x in w]


def coordinates(neurons: Sequence[Vector], teacher: Vector, digits: int = 50) -> list[Vector]:
    r"""Coordinates of the neurons where the teacher is ``(1, 0, ..., 0)``.

    Parameters
    ----------
    neurons, teacher, digits
        Neurons and teacher, and the working precision.

    Returns
    -------
    list of n lists of q mpf
        ``<w_i, e_a> / |v|`` in the orthonormal basis ``e_a`` that Gram and Schmidt make of teacher
        and neurons, ``q <= min(n + 1, d)``. The flow is the same there, the loss is ``|v|^2``
        times smaller.
    """
    with mp.workdps(digits):
        rows = [_exact(row) for row in (teacher, *neurons)]
        unit = mp.norm(rows[0])
        basis: list[list[Number]] = []
        for row in rows:
            rest = row
            for _ in range(2):  # once more, for what rounding left
                for e in basis:
                    c = mp.fdot(rest, e)
                    rest = [x - c * y for x, y in zip(rest, e, strict=True)]
            # Shorter than this it is rounding: doubles differ from the span by more.
            if mp.norm(rest) > mp.norm(row) * mp.mpf(10) ** (5 - digits):
                size = mp.norm(rest)
                basis.append([x / size for x in rest])
        return [[mp.fdot(row, e) / unit for e in basis] for row in rows[1:]]


def slope_at_zero(
    direction: Vector, neurons: Sequence[Vector], teacher: Vector
) -> tuple[Number, list[Number]]:
    """One-sided derivative ``D(u)`` of the loss along ``s u``, of a neuron at zero.

    Parameters
    ----------
    direction : vector
        ``u``, of length one.
    neurons, teacher
        Neurons and teacher; neurons at zero do not matter.

    Returns
    -------
    mpf, list of mpf
        ``D`` and its derivative by ``u``, with the caller's ``mp.prec``.
    """
    u, vectors = _exact(direction), [_exact(w) for w in (*neurons, teacher)]
    gradient = _pulled(_unit(u), vectors, [1] * len(neurons) + [-1])
    # D is homogeneous of degree one.
    return mp.fdot(gradient, u), gradient


def _pulled(u: Vector, vectors: Sequence[Vector], mu: Sequence[Number]) -> list[Number]:
    """Derivative by a vector in the direction `u` of its kernels with the vectors, together."""
    gradient = [mp.zero] * len(u)
    for weight, w in zip(mu, vectors, strict=True):
        if not any(w):
            continue
        other = _unit(w)
        apart = mp.norm([a - b for a, b in zip(u, other, strict=True)])
        joined = mp.norm([a + b for a, b in zip(u, other, strict=True)])
        theta = 2 * mp.atan2(apart, joined)
        pull = mp.norm(w) * mp.sin(theta)
        gradient = [
            g + weight * (pull * a + (mp.pi - theta) * b) / (2 * mp.pi)
            for g, a, b in zip(gradient, u, w, strict=True)
        ]
    return gradient


def _signed(
    neurons: Sequence[Vector], teacher: Vector, mu: Sequence[float] | None
) -> tuple[list[list[Number]], list[Number]]:
    """Neurons and teacher, and how many of each there are."""
    counts = [mp.mpf(float(m)) for m in (mu or [1] * len(neurons))]
    return [_exact(w) for w in (*neurons, teacher)], [*counts, -mp.one]


def loss(
    neurons: Sequence[Vector], teacher: Vector, digits: int = 50, mu: Sequence[float] | None = None
) -> Number:
    """Loss ``1/2 E (sum_i mu_i relu(w_i.x) - relu(v.x))^2``, in twice as many digits.

    Parameters
    ----------
    neurons, teacher, digits
        As in :func:`coordinates`; neurons at zero do not matter.
    mu : sequence of float, optional
        How many coincident ones each neuron stands for.
    """
    with mp.workdps(2 * digits):
        vectors, signed = _signed(neurons, teacher, mu)
        # A kernel is homogeneous of degree one in each vector.
        each = [mp.fdot(w, _pulled(_unit(w), vectors, signed)) if any(w) else 0 for w in vectors]
        return mp.fdot(signed, each) / 2


def gradient(
    neurons: Sequence[Vector], teacher: Vector, digits: int = 50, mu: Sequence[float] | None = None
) -> list[list[Number]]:
    """Gradient of the loss by each neuron, or by one of its coincident ones; zero at zero."""
    with mp.workdps(2 * digits):
        vectors, signed = _signed(neurons, teacher, mu)
        none = [mp.zero] * len(teacher)
        return [_pulled(_unit(w), vectors, signed) if any(w) else none for w in vectors[:-1]]


def hessian(neurons: Sequence[Vector], teacher: Vector, digits: int = 50) -> list[list[Number]]:
    """Hessian of the loss by central differences of the gradient, right to half of the digits."""
    with mp.workdps(2 * digits):
        step, rows, q = (
            mp.mpf(10) ** -(digits // 2),
            _signed(neurons, teacher, None)[0][:-1],
            len(teacher),
        )
        found = []
        for k in range(len(rows) * q):
            ends = []
            for sign in (1, -1):
                moved = [list(row) for row in rows]
                moved[k // q][k % q] += sign * step
                ends.append([g for row in gradient(moved, teacher, digits) for g in row])
            found.append([(a - b) / (2 * step) for a, b in zip(*ends, strict=True)])
        return found


def least_slope(neurons: Sequence[Vector], teacher: Vector, digits: int = 50) -> Number:
    """Minimum of :func:`slope_at_zero` over the unit sphere, as far as a search finds it.

    The curve of maximal slope keeps a neuron at zero while the minimum is not negative, and lets
    it leave along the minimiser otherwise.

    Parameters
    ----------
    neurons, teacher, digits
        Neurons and teacher, and the working precision.

    Returns
    -------
    mpf
        The least value found, right to about six digits.

    Notes
    -----
    Quasi-Newton searches on the sphere, from the best directions among those of vectors, residual
    and random ones. Near the optimum ``D`` varies on the scale of the angles between the vectors:
    each search is scaled by the distance of its start from the line of the teacher.
    Source: Ambrosio, Gigli & Savare, Gradient Flows (2008), chapter 1.
    """
    with mp.workdps(digits):
        vectors = [_exact(row) for row in (*neurons, teacher)]
        rows = [w for w in vectors if any(w)]
        v = _unit(vectors[-1])
        residual = [mp.fsum(c[:-1]) - c[-1] for c in zip(*vectors, strict=True)]

        def aside(u: Vector) -> Number:
            along = mp.fdot(u, v)
            return mp.norm([x - along * y for x, y in zip(u, v, strict=True)])

        reach = max(aside(_unit(w)) for w in rows) or mp.one
        random = np.random.default_rng(0).normal(size=(RANDOM * len(v), len(v))).tolist()
        near = [[x + reach * y for x, y in zip(v, row, strict=True)] for row in random]
        starts = [_unit(x) for x in (*rows, residual, *random, *near) if any(x)]
        starts += [[-x for x in u] for u in starts]
        slopes = [slope_at_zero(u, rows[:-1], teacher)[0] for u in starts]
        return min(
            _polished(
                lambda u: slope_at_zero(u, rows[:-1], teacher),
                starts[k],
                slopes[k],
                max(aside(starts[k]), reach),
            )
            for k in np.argsort(slopes)[:POLISHED]
        )


def _polished(
    slope: Callable[[Vector], tuple[Number, list[Number]]],
    centre: Vector,
    value: Number,
    size: Number,
) -> Number:
    """Local minimum of `slope` on the sphere, from the unit vector `centre` in steps of `size`."""
    unit = abs(value) or mp.one

    def scaled(y: Any) -> tuple[float, Any]:
        x = [c + size * mp.mpf(a) for c, a in zip(centre, y.tolist(), strict=True)]
        u = _unit(x)
        value, gradient = slope(u)
        rate = size / mp.norm(x) / unit
        across = [float(rate * (g - value * a)) for g, a in zip(gradient, u, strict=True)]
        return float(value / unit), np.array(across)

    start = np.zeros(len(centre))
    found = scipy.optimize.minimize(scaled, start, jac=True, method="L-BFGS-B")
    return min(value, unit * mp.mpf(float(found.fun)))
