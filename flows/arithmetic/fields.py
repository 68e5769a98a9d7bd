"""Fields of a definition as solvers call them: one state with its Jacobian, and states in lanes.

A definition gives ``sizes(shape)``: how many numbers state, slopes and workspace hold, and
``define(m)``: its field ``field(x, weights, shape, out, work)`` over the numbers of ``m``.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flows.arithmetic.kept import lean
from flows.arithmetic.memory import SLOPES, beginning, behind
from flows.arithmetic.numbers import Define, Sizes, doubles, duals, lanes
from flows.arithmetic.vectors import WIDTH

__all__ = ["DUALS", "alone", "side_by_side", "workspace"]

#: Doubles that a dual takes.
DUALS = 1 + SLOPES


def alone(define: Define, sizes: Sizes) -> Callable[..., None]:
    """Compile the field of one state, with its Jacobian by duals.

    Parameters
    ----------
    define, sizes : callable
        Of the definition.

    Returns
    -------
    callable
        ``raw(x, weights, shape, out, jacobian, want_jacobian)`` for
        :func:`flows.core.chart.wrap`. Behind ``x`` it works in as many numbers as ``sizes`` says,
        `DUALS` times as many where the Jacobian is wanted.

    Accuracy
    --------
    Each entry of the Jacobian has the relative accuracy of the text, as if it had been derived.
    """
    count, field, slopes = lean(sizes), define(doubles()), define(duals(doubles))
    one, put_one = doubles().get, doubles().put

    def raw(x, weights, shape, out, jacobian, want_jacobian):
        size, rows, _ = count(shape)
        if not want_jacobian:
            found = behind(x, size)
            field(x, weights, shape, found, behind(found, rows))
            for i in range(size):
                put_one(out, i, one(found, i))
            return
        state = behind(x, size)
        found = behind(state, DUALS * size)
        work = behind(found, DUALS * rows)
        for first in range(0, size, WIDTH):
            for i in range(size):
                put_one(state, DUALS * i, one(x, i))
                for e in range(WIDTH):
                    put_one(state, DUALS * i + 1 + e, 1.0 if i == first + e else 0.0)
            slopes(state, weights, shape, found, work)
            for i in range(size):
                put_one(out, i, one(found, DUALS * i))
                for e in range(min(WIDTH, size - first)):
                    put_one(jacobian, i * size + first + e, one(found, DUALS * i + 1 + e))

    return raw


def side_by_side(define: Define, sizes: Sizes, width: int) -> Callable[..., None]:
    """Compile the field of several states, one a column of the arrays.

    Parameters
    ----------
    define, sizes : callable
        Of the definition.
    width : int
        Number of states: `WIDTH`, or 1.

    Returns
    -------
    callable
        ``field(x, weights, shape, out, work)``, all arrays but ``shape`` of shape (rows, width);
        :func:`workspace` is the number of rows of ``work``.
    """
    assert width in (1, WIDTH), f"there are 1 or {WIDTH} lanes, not {width}"
    number = lanes() if width == WIDTH else doubles()
    count, field = lean(sizes), define(number)
    get, put = number.get, number.put

    @lean
    def slopes(x, weights, shape, out, work):
        size, rows, _ = count(shape)
        found = beginning(work)
        # Bare pointers: what holds no array may stand in a tuple.
        room = behind(found, width * rows)
        field(beginning(x), beginning(weights), shape, found, room)
        for i in range(size):
            put(out, i, get(found, i))

    made: Callable[..., None] = slopes
    return made


def workspace(sizes: Sizes, shape: Any) -> int:
    """Rows that the field of :func:`side_by_side` works in."""
    _, rows, room = sizes(shape)
    return int(rows + room)
