r"""Independent check that real layers never reach their target; no number of the pieces is used.

``W_j W_j^T = W_{j+1}^T W_{j+1}`` is conserved by the flow: it is checked in exact fractions. Then
``W_{j+1} = O W_j^T`` with an orthogonal ``O``, since both have one square. With the products
``A_j`` and ``B_j`` of the layers above and below the ``j``-th one, what balances vanishes, and
``W_j' = A_j^T (S - W) B_j^T``, where ``A_j^T`` begins with ``W_j O^T``, and ``B_N^T`` ends with
``O^T W_N``. So ``(det W_j)' = tr(adj(W_j) W_j')`` is a multiple of ``det W_j``: that is zero for
ever, or keeps its sign. As ``L`` decreases, nothing is unbounded in finite time.

If ``det W det S <= 0``, the segment from ``S`` to ``W`` meets a singular matrix, which is no nearer
to ``S`` than its least singular value: ``L >= |S - W|^2/2 >= floor`` where ``S^T S > 2 floor``.
"""

from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.verifier.positive import positive
from flows.certificates.verifier.reading import number, require


class Failing(NamedTuple):
    """What is proved: ``L(t) >= floor`` for all ``t >= 0``."""

    floor: float


def failing(data: Any, flow: Any) -> Failing:
    """Check it.

    Raises
    ------
    Refused
        With what does not hold.
    """
    require(flow.form == "layers" and flow.parts == 1, "there are no real layers")
    layers, target = (_fractions(x) for x in (flow.matrices(flow.start), flow.target))
    for low, high in pairwise(layers):
        require((low @ low.T == high.T @ high).all(), "its layers do not balance exactly")
    signs = [determinant(w) for w in (*layers, target)]
    require(np.prod(signs) <= 0, "the determinant of its product has the sign of the target's")
    floor = number(data["floor"])
    require(floor > 0, "its bound is not positive")
    square = flow.target.T @ flow.target
    require(positive(square, arb(-2 * floor)), "a singular matrix may be nearer to the target")
    return Failing(floor)


def determinant(matrix: Any) -> int:
    """Sign of the determinant, by elimination."""
    m, sign = matrix.copy(), 1
    while len(m):
        rows = np.flatnonzero(m[:, 0])
        if not len(rows):
            return 0
        k = rows[0]
        sign *= (1 if m[k, 0] > 0 else -1) * (-1) ** int(k)
        rest = np.delete(m, k, axis=0)
        m = rest[:, 1:] - np.outer(rest[:, 0] / m[k, 0], m[k, 1:])
    return sign


def _fractions(balls: Any) -> Any:
    """Exact numbers: each is a double."""
    return np.vectorize(lambda x: Fraction(float(x)), "O")(balls)
