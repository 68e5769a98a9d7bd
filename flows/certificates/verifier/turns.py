"""Held coordinates of students that turn into each other, for the independent check."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb, arb_mat

from flows.certificates.verifier.reading import Refused, largest, require


def free_of(shape: tuple[int, int], held: Any) -> list[int]:
    """Coordinates that are not held, in the order of the rows."""
    pairs = [tuple(x) for x in held]
    known = all(
        len(x) == 2 and all(type(i) is int and 0 <= i < m for i, m in zip(x, shape, strict=True))
        for x in pairs
    )
    require(known and len({*pairs}) == len(pairs), "the held coordinates are not known")
    return [i * shape[1] + k for i, k in np.ndindex(shape) if (i, k) not in {*pairs}]


def require_turns(w: Any, a: Any, held: Any, moves: Any) -> None:
    """Refuse unless the held coordinates of the moves are a regular matrix."""
    require(len(moves) == len(held), "there are not as many moves as held coordinates")
    if not moves:
        return
    known = all(
        len(m) == 2 and all(type(i) is int and 0 <= i < len(w) for i in m) and m[0] < m[1]
        for m in moves
    )
    require(known, "the moves are not known")

    turns = along(w, a, held, moves)
    try:
        middle = np.array([[float(x.mid()) for x in row] for row in turns])
        inverse = arb_mat(np.linalg.inv(middle).tolist())
    except np.linalg.LinAlgError:
        raise Refused("the held coordinates do not tell the moves") from None
    require(contraction(inverse, turns) < 1, "the held coordinates do not tell the moves")


def along(w: Any, a: Any, held: Any, moves: Any) -> Any:
    """Coordinates of moves, ``dw_i = a_j w_j, dw_j = -a_i w_i``: a row a coordinate."""

    def one(row: int, column: int, i: int, j: int) -> arb:
        if row == i:
            return arb(a[j]) * w[j, column]
        return -arb(a[i]) * w[i, column] if row == j else arb(0)

    return np.array([[one(*at, *move) for move in moves] for at in held])


def contraction(inverse: Any, hessian: Any) -> arb:
    """Row sums of ``|I - Y H|``."""
    rows = np.array((inverse * arb_mat(hessian.tolist())).tolist()) - np.eye(len(hessian))
    return largest(sum((abs(x) for x in row), arb(0)) for row in rows)
