r"""Loss, gradient and Hessian of the ReLU neuron with as many digits as asked for.

Straight from the derived pair expressions, in the user's own coordinates, without reduction:
an oracle that shares nothing with the compiled field but the symbolic source. A neuron exactly at
zero contributes nothing and has gradient zero (the minimal choice where the loss has no
derivative). Doubles are taken as exact numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp
from numpy.typing import NDArray

from flows.self_similar import Array
from symbolic import lower, relu_neuron

Number = Any  # float or mpmath.mpf
Vector = Sequence[Number]

FIRST_DIGITS = 30
LAST_DIGITS = 400


class _Pair(NamedTuple):
    """Inner geometry of two non-zero vectors."""

    norms: tuple[Number, Number]
    cosine: Number
    sine: Number
    theta: Number


@functools.cache
def _lowered() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Pair energy, gradient and Hessian coefficients as mpmath functions."""
    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    expressions = ((relu_neuron.pair_energy(),), relu_neuron.pair_gradient(),
                   relu_neuron.pair_hessian())  # fmt: skip
    energy, gradient, hessian = (lower.lower(e, sizes, "mpmath") for e in expressions)
    return energy, gradient, hessian


def _exact(rows: Sequence[Vector]) -> list[list[Number]]:
    """Rows as mpf; a double keeps all its bits whatever the precision."""
    return [[x if isinstance(x, mp.mpf) else mp.mpf(float(x)) for x in row] for row in rows]


def _pairs(vectors: list[list[Number]], count: int) -> dict[tuple[int, int], _Pair]:
    """Geometry of the pairs ``i < j`` with ``i < count``; pairs with a zero vector are left out."""
    size = len(vectors)
    geometry = {}
    # |a|^2 |b|^2 - (a.b)^2 is sin^2: with twice the digits, the sine has all of them.
    with mp.workprec(2 * mp.prec + 20):
        squares = [mp.fdot(w, w) for w in vectors]
        norms = [mp.sqrt(s) for s in squares]
        for i in range(count):
            for j in range(i + 1, size):
                if squares[i] and squares[j]:
                    dot = mp.fdot(vectors[i], vectors[j])
                    area = mp.sqrt(max(squares[i] * squares[j] - dot * dot, 0))
                    geometry[i, j] = (norms[i], norms[j], dot, area)
    result = {}
    for key, (a, b, dot, area) in geometry.items():
        product = a * b
        result[key] = _Pair((+a, +b), dot / product, area / product, mp.atan2(area, dot))
    return result


def _residual(vectors: list[list[Number]], mu: Sequence[Number]) -> list[Number]:
    return [mp.fdot(mu, column) for column in zip(*vectors, strict=True)]


def _loss(vectors: list[list[Number]], mu: Sequence[Number]) -> Number:
    energy = _lowered()[0]
    r = _residual(vectors, mu)
    terms = [mu[i] * mu[j] * energy(*pair.norms, pair.theta)[0]
             for (i, j), pair in _pairs(vectors, len(vectors) - 1).items()]  # fmt: skip
    return mp.fdot(r, r) / 4 + mp.fsum(terms)


def _gradient(vectors: list[list[Number]], mu: Sequence[Number]) -> list[list[Number]]:
    """Gradient of one neuron of each kind; `mu` counts the coincident ones."""
    count = len(vectors) - 1
    pair_gradient = _lowered()[1]
    # What the pairs add is a combination of the vectors themselves.
    weights = [[mp.zero] * (count + 1) for _ in range(count)]
    for (i, j), pair in _pairs(vectors, count).items():
        for a, b, norms in ((i, j, pair.norms), (j, i, pair.norms[::-1])):
            if a < count:
                unit, chord = pair_gradient(*norms, pair.theta)
                weights[a][a] += mu[b] * (unit + chord) / norms[0]
                weights[a][b] -= mu[b] * chord / norms[1]
    half = [x / 2 for x in _residual(vectors, mu)]
    columns = list(zip(*vectors, strict=True))
    return [
        [x + mp.fdot(weights[i], column) for x, column in zip(half, columns, strict=True)]
        if any(vectors[i]) else [mp.zero] * len(half)
        for i in range(count)
    ]  # fmt: skip


def _hessian(
    vectors: list[list[Number]], mu: Sequence[Number], dtype: type = object
) -> NDArray[Any]:
    """Differentiate :func:`_gradient`; `dtype` object is mpf, float rounds what is small first."""
    count, q = len(vectors) - 1, len(vectors[0])
    pair_hessian = _lowered()[2]
    identity: NDArray[Any] = np.array(mp.eye(q).tolist(), dtype=dtype)
    halves: NDArray[Any] = np.array([m / 2 for m in mu], dtype=dtype)
    blocks: NDArray[Any] = np.full((count, count, q, q), mp.zero, dtype=dtype)
    for (i, j), pair in _pairs(vectors, count).items():
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
    Accuracy: absolute error about ``10^-digits |w|^2``; see :func:`adaptive_loss` for a relative
    one. Source: Xu & Du, COLT 2023, arXiv 2302.10034, section 2.
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
        return _gradient(*_signed(neurons, teacher))


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


def adaptive(function: Callable[[int], Sequence[Number]], accuracy: float = 1e-14) -> Array:
    """Evaluate with more and more digits until the result is right to ``accuracy``.

    Parameters
    ----------
    function : callable
        ``function(digits)`` returns a vector of mpf.
    accuracy : float
        Two evaluations in a row must agree to this fraction of the vector's largest entry.

    Returns
    -------
    ndarray
        The vector in doubles. What is still rounding at the last precision (400 digits) is zero:
        doubles cannot produce a value that small without it being exactly zero.
    """
    digits, value = FIRST_DIGITS, function(FIRST_DIGITS)
    while digits < LAST_DIGITS:
        digits = min(2 * digits, LAST_DIGITS)
        before, value = value, function(digits)
        size = max((abs(x) for x in value), default=mp.zero)
        change = max((abs(x - y) for x, y in zip(before, value, strict=True)), default=mp.zero)
        if size and change <= accuracy * size:
            return np.array([float(x) for x in value])
    return np.zeros(len(value))


def adaptive_loss(neurons: Sequence[Vector], teacher: Vector, accuracy: float = 1e-14) -> float:
    """Loss right to ``accuracy`` relative, however close to the optimum the neurons are."""
    return float(adaptive(lambda digits: [loss(neurons, teacher, digits)], accuracy)[0])


def adaptive_gradient(
    neurons: Sequence[Vector], teacher: Vector, accuracy: float = 1e-14
) -> Array:
    """Gradient, shape (n, d), right to ``accuracy`` times its largest entry."""

    def flat(digits: int) -> list[Number]:
        return [x for row in gradient(neurons, teacher, digits) for x in row]

    return adaptive(flat, accuracy).reshape(len(neurons), len(teacher))


def adaptive_hessian(neurons: Sequence[Vector], teacher: Vector, accuracy: float = 1e-14) -> Array:
    """Hessian, shape (n d, n d), right to ``accuracy`` times its largest entry."""

    def flat(digits: int) -> list[Number]:
        return [x for row in hessian(neurons, teacher, digits) for x in row]

    size = len(neurons) * len(teacher)
    return adaptive(flat, accuracy).reshape(size, size)


def coordinates(neurons: Sequence[Vector], teacher: Vector, digits: int = 50) -> list[Vector]:
    r"""Coordinates of the neurons where the teacher is ``(1, 0, ..., 0)``.

    Parameters
    ----------
    neurons, teacher, digits
        As in :func:`loss`.

    Returns
    -------
    list of n lists of q mpf
        ``<w_i, e_a> / |v|`` in the orthonormal basis ``e_a`` that Gram and Schmidt make of teacher
        and neurons, ``q <= min(n + 1, d)``. The flow is the same there, the loss is ``|v|^2``
        times smaller.
    """
    with mp.workdps(digits):
        rows = _exact([teacher, *neurons])
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


Field = Callable[[Vector], list[Number]]
Jacobian = Callable[[Vector], Array]


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
        caller's precision ``mp.prec``, and an array of doubles, shape (k q, k q).

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

    def field(x: Vector) -> list[Number]:
        return [-g for row in _gradient(vectors(x), mu) for g in row]

    def jacobian(x: Vector) -> Array:
        rows = vectors(x)
        matrix: Array = -_hessian(rows, mu, float)
        for i, row in enumerate(rows):
            if not any(row):
                # Nobody moves it; without its columns a linear solver leaves it exactly there.
                matrix[i * q : (i + 1) * q] = 0.0
                matrix[:, i * q : (i + 1) * q] = 0.0
        return matrix

    return field, jacobian
