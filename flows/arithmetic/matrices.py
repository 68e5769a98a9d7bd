"""Products of matrices of compiled numbers, and of those in lists."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Part", "product_of"]


class Part(NamedTuple):
    """A square matrix in an array of numbers, row by row.

    Parameters
    ----------
    array : array
        Where it stands; of complex entries real and imaginary parts follow each other.
    first : int
        Its first number.
    turned : bool
        Whether its adjoint is meant.
    """

    array: Any
    first: Any
    turned: Any = False


def product_of(get: Any, put: Any, zero: Any, compiled: Callable[..., Any]) -> Callable[..., None]:
    """Make ``product(sign, left, right, kept, out, size)`` of numbers of one kind.

    It sets the matrix ``out`` to ``sign`` times a product, added to what it was where ``kept`` is 1
    and not where it is 0. ``size`` is the number of rows, and 2 where entries are complex, else 1.
    """

    @compiled
    def write(out, at, kept, number):
        if kept:
            number = number + get(out, at)
        put(out, at, number)

    @compiled
    def real(sign, left, right, kept, out, d):
        """Two rows and two columns at a time, whose sums stay in registers."""
        down, along = (1, d) if left.turned else (d, 1)
        under, beside = (1, d) if right.turned else (d, 1)
        for i in range(0, d, 2):
            for j in range(0, d, 2):
                # The last row or column takes the place of one that is not there.
                more_rows, more_columns = i + 1 < d, j + 1 < d
                p, q = left.first + i * down, right.first + j * beside
                p1, q1 = p + down if more_rows else p, q + beside if more_columns else q
                s, t, u, v = zero(), zero(), zero(), zero()
                for k in range(d):
                    x, x1 = get(left.array, p + k * along), get(left.array, p1 + k * along)
                    y, y1 = get(right.array, q + k * under), get(right.array, q1 + k * under)
                    s, t, u, v = s + x * y, t + x * y1, u + x1 * y, v + x1 * y1
                o = out.first + i * d + j
                write(out.array, o, kept, sign * s)
                if more_columns:
                    write(out.array, o + 1, kept, sign * t)
                if more_rows:
                    write(out.array, o + d, kept, sign * u)
                if more_rows and more_columns:
                    write(out.array, o + d + 1, kept, sign * v)

    @compiled
    def complex_(sign, left, right, kept, out, d):
        down, along, left_sign = (2, 2 * d, -1.0) if left.turned else (2 * d, 2, 1.0)
        under, beside, right_sign = (2, 2 * d, -1.0) if right.turned else (2 * d, 2, 1.0)
        for i in range(d):
            for j in range(d):
                p, q = left.first + i * down, right.first + j * beside
                s, t = zero(), zero()
                for _ in range(d):
                    x, x1 = get(left.array, p), left_sign * get(left.array, p + 1)
                    y, y1 = get(right.array, q), right_sign * get(right.array, q + 1)
                    s, t = s + x * y - x1 * y1, t + x * y1 + x1 * y
                    p, q = p + along, q + under
                o = out.first + 2 * (i * d + j)
                write(out.array, o, kept, sign * s)
                write(out.array, o + 1, kept, sign * t)

    @compiled
    def product(sign, left, right, kept, out, size):
        if size[1] == 1:
            real(sign, left, right, kept, out, size[0])
        else:
            complex_(sign, left, right, kept, out, size[0])

    made: Callable[..., None] = product
    return made
