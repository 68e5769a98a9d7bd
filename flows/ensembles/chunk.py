"""Consecutive members of an ensemble, and conditions on numbers that are not known exactly.

A number is known up to its error. A number that is NaN is no larger than its error if the error is
finite; else it may be anything. A condition is asked for all values that numbers may have, and
decides about a member where all its answers agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.ensembles import store
from flows.ensembles.member import LOSS_ERROR, Rows

__all__ = ["UNMOVED", "Chunk", "asked", "known", "moves", "open_to", "sizes", "uncertain"]

# Smaller errors belong to losses that are zero: see `uncertain`.
LEAST = 1e-300
# Sizes that a number which may be anything is given, beside zero and infinity: answers that change
# twice between two of them are not seen.
SIZES = 10.0 ** np.arange(-30, 31)

Read = Callable[[str], Any]


@dataclass(frozen=True)
class Chunk:
    """Consecutive members: ``chunk[name]`` has their rows.

    Parameters
    ----------
    first, count : int
        Which members.
    source : dict or Path
        The rows, or the file that has them.
    """

    first: int
    count: int
    source: Rows | Path

    def read(self, name: str, columns: slice = slice(None)) -> NDArray[Any]:
        """Rows of a quantity at some of the times."""
        if isinstance(self.source, Path):
            return store.load(self.source, [name], columns)[name]
        values = self.source[name]
        return values[:, columns] if values.ndim > 1 else values

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Rows of a quantity."""
        return self.read(name)


class _Rows(dict[str, Any]):
    """Rows that are read when they are asked for, and kept."""

    def __init__(self, read: Read) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, name: str) -> Any:
        self[name] = self._read(name)
        return self[name]


class Move(NamedTuple):
    """Other values that numbers may have: each is moved by its error, up or down.

    Parameters
    ----------
    signs : mapping
        From each name to 1, 0 or -1 at each time, shape (times,).
    size : float
        The error of a number that may be anything.
    """

    signs: Mapping[str, Array]
    size: float

    def __call__(self, name: str, values: Array, error: Array | float) -> Array:
        """Numbers of shape (members,) or (members, times, ...), moved."""
        signs = self.signs[name] if values.ndim > 1 else self.signs[name][:1]
        lost = np.isnan(values)
        reach = np.where(lost & ~np.isfinite(error), self.size, error)
        signs = signs.reshape(-1, *[1] * max(0, values.ndim - 2))
        away = np.zeros(np.broadcast_shapes(signs.shape, np.shape(reach)))
        np.multiply(signs, reach, out=away, where=signs != 0)  # what may be anything is infinite
        moved: Array = np.where(lost, 0.0, values) + away
        return moved


#: No number is moved; one that may be anything is zero.
UNMOVED = Move(defaultdict(lambda: np.zeros(1)), 0.0)


def moves(names: Collection[str], times: int) -> Iterator[Move]:
    """Moves such that any two numbers of a member move both in equal and in opposite directions.

    The bits of a number's index give its directions. An unknown number is infinite.

    Parameters
    ----------
    names : collection of str
        Quantities that move.
    times : int
        Columns of each.
    """
    each = np.arange(max(1, len(names)) * times)
    for way in (1 + 0 * each, *(each >> k & 1 for k in range(int(each[-1]).bit_length()))):
        signs = (2.0 * way - 1.0).reshape(-1, times)
        for sign in (1.0, -1.0):
            yield Move(dict(zip(names, sign * signs, strict=False)), np.inf)


def sizes(names: Collection[str]) -> Iterator[Move]:
    """Moves that give all `SIZES`, with both signs, to numbers that may be anything."""
    for size in SIZES.tolist():
        for sign in (1.0, -1.0):
            yield Move(dict.fromkeys(names, np.array([sign])), size)


def known(name: str, read: Read, names: Collection[str]) -> tuple[Any, Any]:
    """Numbers of a quantity and their errors; a number that is not known is NaN.

    The local exponent of a loss is not known where the loss is below its error.

    Parameters
    ----------
    name : str
        The quantity.
    read : callable
        From a name to its numbers.
    names : collection of str
        All quantities that there are.
    """
    values = read(name)
    if name not in ("loss", "loss_exponent") or not {"loss", LOSS_ERROR} <= {*names}:
        return values, 0.0
    error = read(LOSS_ERROR)
    if name == "loss":
        return values, error
    return np.where(uncertain(read("loss"), error), np.nan, values), 0.0


def uncertain(loss: Array, error: Array) -> NDArray[np.bool_]:
    """Whether losses are below their errors, or NaN with a bound.

    Below the smallest double a loss is zero and its error is that double.
    """
    bounded = np.isnan(loss) & np.isfinite(error)
    found: NDArray[np.bool_] = bounded | (error > np.abs(loss)) & (error > LEAST)
    return found


def open_to(values: Any, error: Any) -> Any:
    """Whether numbers may be anything."""
    return np.isnan(values) & ~np.isfinite(np.where(np.isnan(values), error, 0.0))


def asked(
    condition: Callable[[Chunk], Any], chunk: Chunk, names: Collection[str], times: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Answers of a condition, and whether they are the same for all values of the numbers.

    Parameters
    ----------
    condition : callable
        From a :class:`Chunk` to a boolean for each of its members.
    chunk : Chunk
        The members.
    names : collection of str
        Their quantities.
    times : int
        Columns of each quantity.

    Returns
    -------
    found, agree : ndarray of bool, shape (members,)
        The answers for the numbers as they are, and whether all other answers agree.

    Raises
    ------
    InputError
        If it does not give one boolean a member.
    """
    if not callable(condition):
        raise InputError(
            f"a condition must be a function of members, got {condition!r:.60}; write"
            ' lambda c: c["loss"][:, -1] < 1e-6'
        )
    rows = _Rows(chunk.read)

    def number(name: str) -> bool:
        return name != LOSS_ERROR and rows[name].dtype == float

    def answers(move: Move) -> NDArray[np.bool_]:
        def moved(name: str) -> Any:
            return move(name, *known(name, rows.__getitem__, names)) if number(name) else rows[name]

        found = np.asarray(condition(replace(chunk, source=_Rows(moved))))
        if found.shape != (chunk.count,) or found.dtype != bool:
            raise InputError(
                f"a condition must give {chunk.count} booleans, one a member, got"
                f" {found.dtype} of shape {found.shape}"
            )
        return found

    found = answers(UNMOVED)
    read = [name for name in rows if number(name)]
    agree = np.full(chunk.count, True)
    for move in moves(read, times):
        agree &= answers(move) == found
    free = np.full(chunk.count, False)
    for name in read:
        free |= open_to(*known(name, rows.__getitem__, names)).reshape(chunk.count, -1).any(axis=1)
    if (agree & free).any():
        for move in sizes(read):
            agree &= answers(move) == found
    return found, agree
