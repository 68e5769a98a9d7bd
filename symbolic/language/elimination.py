"""A symmetric matrix as a sum of squares, by elimination, in any kind of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["eliminated"]


def eliminated(
    matrix: Sequence[Sequence[Any]], normal: Callable[[Any], Any] = lambda x: x
) -> Iterator[tuple[Any, list[Any] | None]]:
    """Pivots `d` and lines `l` of ``A = sum d l l'``, one after the other.

    Parameters
    ----------
    matrix : sequence of rows
        Symmetric `A`, in fractions, expressions or balls.
    normal : callable
        Normal form of a number, in which zeros are seen.

    Yields
    ------
    pivot, line
        A pivot that is zero is passed over with its row of zeros; where that row has another entry
        there is no such sum: it is yielded, with None as its line.

    Examples
    --------
    >>> from fractions import Fraction
    >>> [(int(d), l) for d, l in eliminated([[Fraction(1), 2], [2, 4]])]
    [(1, [Fraction(1, 1), Fraction(2, 1)])]
    >>> list(eliminated([[0, 1], [1, 0]]))
    [(0, None)]
    """
    rest = [list(row) for row in matrix]
    for k, row in enumerate(rest):
        pivot = row[k]
        if pivot == 0:
            if any(e != 0 for e in row[k:]):
                yield pivot, None
            continue
        line = [pivot * 0] * k + [normal(e / pivot) for e in row[k:]]
        yield pivot, line
        for i in range(k + 1, len(rest)):
            if line[i] == 0:
                continue
            for j in range(k, len(rest)):
                rest[i][j] = normal(rest[i][j] - pivot * line[i] * line[j])
