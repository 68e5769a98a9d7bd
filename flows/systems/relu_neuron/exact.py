r"""Loss, gradient and Hessian of the ReLU neuron with as many digits as asked for.

Straight from the derived pair expressions, in the user's own coordinates, without reduction:
an oracle that shares nothing with the compiled field but the symbolic source. A neuron exactly at
zero contributes nothing and has gradient zero (the minimal choice where the loss has no
derivative). Doubles are taken as exact numbers.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp
from numpy.typing import NDArray

from flows.core.arrays import Array
from symbolic.language import lower
from symbolic.systems.relu_neuron.flow import pair_flow
from symbolic.systems.relu_neuron.pair import ALPHA, BETA, THETA, pair_energy, pair_hessian

Number = Any  # float or mpmath.mpf
Vector = Sequence[Number]


class _Pair(NamedTuple):
    """Inner geometry of two non-zero vectors."""

    norms: tuple[Number, Number]
    cosine: Number
    sine: Number
    theta: Number


@functools.cache
def _lowered() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Pair energy, flow and Hessian coefficients as mpmath functions."""
    sizes = (ALPHA, BETA, THETA)
    expressions = (
        (pair_energy(),),
        pair_flow(),
        pair_hessian(),
    )
    energy, flow, hessian = (lower.lower(e, sizes, "mpmath") for e in expressions)
    return energy, flow, hessian


def _exact(rows: Sequence[Vector]) -> list[list[Number]]:
    """Rows as mpf; a double keeps all its bits whatever the precision."""
    return [[x if isinstance(x, mp.mpf) else mp.mpf(float(x)) for x in row] for row in rows]


def _area(a: Vector, b: Vector) -> Number:
    """Signed area of two vectors of the plane."""
    return a[0] * b[1] - a[1] * b[0]


def _pairs(
    vectors: list[list[Number]], count: int, sides: Sequence[int] | None = None
) -> dict[tuple[int, int], _Pair]:
    """Geometry of the pairs ``i < j`` with ``i < count``; pairs with a zero vector are left out.

    Where ``sides`` gives the signs of the areas of all pairs in the plane, angles are signed by
    them: across 0 and pi the geometry then goes on smoothly. Otherwise they lie in [0, pi].
    """
    pairs = [(i, j) for i in range(count) for j in range(i + 1, len(vectors))]
    geometry = {}
    # |a|^2 |b|^2 - (a.b)^2 is sin^2: with twice the digits, the sine has all of them.
    with mp.workprec(2 * mp.prec + 20):
        squares = [mp.fdot(w, w) for w in vectors]
        norms = [mp.sqrt(s) for s in squares]
        for (i, j), side in zip(pairs, sides or [0] * len(pairs), strict=True):
            if squares[i] and squares[j]:
                dot = mp.fdot(vectors[i], vectors[j])
                area = (
                    side * _area(vectors[i], vectors[j])
                    if side
                    else mp.sqrt(max(squares[i] * squares[j] - dot * dot, 0))
                )
                geometry[i, j] = (norms[i], norms[j], dot, area)
    result = {}
    for key, (a, b, dot, area) in geometry.items():
        product = a * b
        theta = mp.atan2(area, dot)
        if area < 0 and dot < 0:
            theta += 2 * mp.pi  # beyond pi
        result[key] = _Pair((+a, +b), dot / product, area / product, theta)
    return result


def _residual(vectors: list[list[Number]], mu: Sequence[Number]) -> list[Number]:
    return [mp.fdot(mu, column) for column in zip(*vectors, strict=True)]


def _loss(vectors: list[list[Number]], mu: Sequence[Number]) -> Number:
    energy = _lowered()[0]
    r = _residual(vectors, mu)
    terms = [
        mu[i] * mu[j] * energy(*pair.norms, pair.theta)[0]
        for (i, j), pair in _pairs(vectors, len(vectors) - 1).items()
    ]
    return mp.fdot(r, r) / 4 + mp.fsum(terms)


def _gradient(
    vectors: list[list[Number]],
    mu: Sequence[Number],
    count: int,
    sides: Sequence[int] | None = None,
) -> list[list[Number]]:
    """Gradient of each of the first `count` neurons; `mu` counts the coincident ones."""
    pair_flow = _lowered()[1]
    # The gradient is a combination of the vectors themselves.
    weights = [[mp.zero] * len(vectors) for _ in range(count)]
    for i in range(count):
        weights[i][i] = mu[i] / 2
    for (i, j), pair in _pairs(vectors, count, sides).items():
        for a, b, norms in ((i, j, pair.norms), (j, i, pair.norms[::-1])):
            if a < count:
                own, other = pair_flow(*norms, pair.theta)
                weights[a][a] += mu[b] * own
                weights[a][b] = mu[b] * other
    columns = list(zip(*vectors, strict=True))
    # At zero every weight meets a zero vector or was never set.
    return [[mp.fdot(row, column) for column in columns] for row in weights]


def _hessian(
    vectors: list[list[Number]],
    mu: Sequence[Number],
    dtype: type = object,
    sides: Sequence[int] | None = None,
) -> NDArray[Any]:
    """Differentiate :func:`_gradient`; `dtype` object is mpf, float rounds what is small first."""
    count, q = len(vectors) - 1, len(vectors[0])
    pair_hessian = _lowered()[2]
    identity: NDArray[Any] = np.array(mp.eye(q).tolist(), dtype=dtype)
    halves: NDArray[Any] = np.array([m / 2 for m in mu], dtype=dtype)
    blocks: NDArray[Any] = np.full((count, count, q, q), mp.zero, dtype=dtype)
    for (i, j), pair in _pairs(vectors, count, sides).items():
        for a, b, norms in ((i, j, pair.norms), (j, i, pair.norms[::-1])):
            if a == count:
                continue
            along = [x / norms[0] for x in vectors[a]]
            # The unit normal towards b; where the plane is lost, what multiplies it is zero.
            size, shadow = pair.sine * norms[1] or mp.inf, pair.cosine * norms[1]
            normal = [(y - shadow * x) / size for x, y in zip(along, vectors[b], strict=True)]
            u: NDArray[Any] = np.array(along, dtype=dtype)
            n: NDArray[Any] = np.array(normal, dtype=dtype)
            spread, shift, twist, cosine, sine = np.array(
                [*(mu[b] * c for c in pair_hessian(*norms, pair.theta)), pair.cosine, pair.sine],
                dtype=dtype,
            )
            difference = np.outer(u, u) - np.outer(n, n)
            blocks[a, a] += (identity - difference) * spread
            if b < count:
                # s s^T - c c^T in the frame (u, n).
                both = np.outer(u, n) + np.outer(n, u)
                blocks[a, b] += identity * shift + (difference * cosine + both * sine) * twist
    for i in range(count):
        blocks[:, i] += identity * halves[i]
    return blocks.swapaxes(1, 2).reshape(count * q, count * q)


def _signed(neurons: Sequence[Vector], teacher: Vector) -> tuple[list[list[Number]], list[Number]]:
    """All vectors, the teacher last, and their multiplicities."""
    return _exact([*neurons, teacher]), [mp.one] * len(neurons) + [-mp.one]


def loss(neurons: Sequence[Vector], teacher: Vector, digits: int = 50) -> Number:
    r"""Evaluate the population loss ``1/4 |r|^2 + sum_{j<l} mu_j mu_l e(w_j, w_l)``.

    Parameters
    ----------
    neurons : sequence of vectors
        ``n`` rows of ``d`` numbers, doubles or mpf.
    teacher : vector
        ``d`` numbers, not all zero.
    digits : int
        Working precision.

    Returns
    -------
    mpf
        With the factor 1/2 of the paper.

    Notes
    -----
    Accuracy: absolute error about ``10^-digits |w|^2``. Source: Xu & Du, COLT 2023, arXiv
    2302.10034, section 2.
    """
    with mp.workdps(digits):
        return _loss(*_signed(neurons, teacher))


def gradient(neurons: Sequence[Vector], teacher: Vector, digits: int = 50) -> list[list[Number]]:
    r"""Gradient ``1/2 r + sum_j mu_j de(w_i, w_j)/dw_i`` of every neuron.

    Parameters
    ----------
    neurons, teacher, digits
        As in :func:`loss`.

    Returns
    -------
    list of n lists of d mpf
        Zeros for a neuron exactly at zero.

    Notes
    -----
    Source: equation 4 of arXiv 2302.10034.
    """
    with mp.workdps(digits):
        return _gradient(*_signed(neurons, teacher), len(neurons))


def hessian(neurons: Sequence[Vector], teacher: Vector, digits: int = 50) -> list[list[Number]]:
    r"""Hessian of the loss, ``n d`` rows in the order of the flattened neurons.

    Parameters
    ----------
    neurons, teacher, digits
        As in :func:`loss`.

    Returns
    -------
    list of n*d lists of n*d mpf
        Symmetric.

    Raises
    ------
    ValueError
        If a neuron is exactly at zero, where the loss has no second derivative.

    Notes
    -----
    Source: equation 51 of arXiv 2302.10034, in a form that is regular at aligned vectors.
    """
    if not all(any(row) for row in neurons):
        raise ValueError("the loss has no Hessian where a neuron is zero")
    with mp.workdps(digits):
        rows: list[list[Number]] = _hessian(*_signed(neurons, teacher)).tolist()
        return rows


Field = Callable[..., list[Number]]
Jacobian = Callable[..., Array]


def flow(
    multiplicity: Sequence[float], teacher: Vector, digits: int = 50
) -> tuple[Field, Jacobian]:
    r"""Field ``dw_i/dt = -(1/2 r + sum_j mu_j de(w_i, w_j)/dw_i)`` and its Jacobian.

    Parameters
    ----------
    multiplicity : sequence of float
        ``mu_i``: how many coincident neurons the ``i``-th distinct one stands for.
    teacher : vector
        Teacher, ``q`` numbers; in reduced coordinates ``(1, 0, ..., 0)``.
    digits : int
        Digits asked of the solver. A neuron far shorter than a unit of the last one (1e-5 of it)
        counts as at zero, and stays there: its direction would be rounding.

    Returns
    -------
    field, jacobian : callable
        Of the flat state ``(w_1, ..., w_k)``, ``k q`` numbers: a list of ``k q`` mpf, of the
        caller's precision ``mp.prec``, and an array of doubles, shape (k q, k q). A second
        argument, the signs of :func:`crossings`, selects the smooth branch with these signs.

    Notes
    -----
    Units: ``t`` is the time of the flow ``dw/dt = -grad L``.
    """
    (v,) = _exact([teacher])
    mu = [*(mp.mpf(m) for m in multiplicity), -mp.one]
    q = len(v)
    shortest = mp.mpf(10) ** (-digits - 5) * mp.norm(v)
    zero = [mp.zero] * q

    def vectors(x: Vector) -> list[list[Number]]:
        rows = _exact([x[k : k + q] for k in range(0, len(x), q)])
        return [*(row if mp.norm(row, mp.inf) > shortest else zero for row in rows), v]

    def field(x: Vector, sides: Sequence[int] | None = None) -> list[Number]:
        return [-g for row in _gradient(vectors(x), mu, len(x) // q, sides) for g in row]

    def jacobian(x: Vector, sides: Sequence[int] | None = None) -> Array:
        rows = vectors(x)
        matrix: Array = -_hessian(rows, mu, float, sides)
        for i, row in enumerate(rows):
            if not any(row):
                # Nobody moves it; without its columns a linear solver leaves it exactly there.
                matrix[i * q : (i + 1) * q] = 0.0
                matrix[:, i * q : (i + 1) * q] = 0.0
        return matrix

    return field, jacobian


def crossings(teacher: Vector) -> Callable[[Vector], list[Number]] | None:
    """Sines of the signed angles between all pairs in the plane; None in other dimensions.

    Where one changes its sign, a vector passes another or its opposite, and the second derivative
    of the field jumps. On a line there is no passing, and in space they miss each other.

    Parameters
    ----------
    teacher : vector
        Teacher, ``q`` numbers.

    Returns
    -------
    callable or None
        Of the flat state of :func:`flow`; zero for a pair with a vector at zero.
    """
    if len(teacher) != 2:
        return None
    (v,) = _exact([teacher])

    def sines(x: Vector) -> list[Number]:
        rows = [*_exact([x[k : k + 2] for k in range(0, len(x), 2)]), v]
        sizes = [mp.norm(row) or mp.inf for row in rows]
        return [
            _area(rows[i], rows[j]) / (sizes[i] * sizes[j])
            for i, j in itertools.combinations(range(len(rows)), 2)
        ]

    return sines
