"""What a rate of a sum of squares follows from: an inequality of the Jacobian of the squared."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flows.certificates.verifier.exact import Exact, constant, fraction, read, total
from flows.certificates.verifier.reading import require

__all__ = ["jacobian"]

# A file that would take hours to check is refused.
SQUARES = 40


def jacobian(stated: Any, d: Fraction, V: Exact, loss: Exact, where: Any) -> tuple[Exact, Any]:
    r"""`4 |J^T v|^2 - d \sum v_i^2/w_i` of `V = \sum w_i r_i^2`, and its set, with variables `v`.

    Where it is not negative, so is `|\nabla V|^2 - d V`: put `v_i = w_i r_i`. Where `L \le \ell`,
    the matrix of `\ell - L + V`, `r` and `diag(1/w)` has no negative eigenvalue.
    """
    size, number = V.size, len(stated)
    w, r = zip(*((fraction(c), read(p, size).stated()) for c, p in stated), strict=True)
    require(number <= SQUARES and min(w) > 0, "weights of squares are not positive")
    whole = total((p * p * c for c, p in zip(w, r, strict=True)), size) == V
    least = (loss - V).terms
    require(whole and {*least} <= {(0,) * size}, "the potential is another sum of squares")
    wider, none = size + number, (0,) * number

    def lifted(p: Exact) -> Exact:
        return Exact({(*e[:-1], *none, e[-1]): c for e, c in p.terms.items()}, wider)

    places = range(size - 1, wider - 1)
    v = [Exact({tuple(int(k == j) for k in range(wider)): Fraction(1)}, wider) for j in places]
    along = (
        total((x * lifted(p.derivative(i)) for x, p in zip(v, r, strict=True)), wider)
        for i in range(size - 1)
    )
    goal = total((p * p * 4 for p in along), wider)
    goal = goal - total((x * x * (d / c) for x, c in zip(v, w, strict=True)), wider)
    matrices = [[[lifted(p) for p in row] for row in matrix] for matrix in where.matrices]
    for level in where.levels:
        first = constant(level - sum(least.values()), wider)
        rows = [[first, *map(lifted, r)]]
        for i, p in enumerate(r):
            own = (constant(1 / w[i] if i == j else 0, wider) for j in range(number))
            rows.append([lifted(p), *own])
        matrices.append(rows)
    above, zero = ([lifted(p) for p in several] for several in (where.above, where.zero))
    return goal, where._replace(above=above, zero=zero, matrices=matrices)
