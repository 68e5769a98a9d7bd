"""Arrays: the type, the checks of a user's array, and its form in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flows.core.errors import InputError

__all__ = [
    "EPSILON",
    "Array",
    "check_integer",
    "check_masks",
    "check_shape",
    "checked",
    "distinct",
    "is_real",
    "lengths",
    "moving_length",
    "numbers",
    "plain",
    "rows_of",
    "unplain",
]

Array = NDArray[np.float64]

#: Distance from 1 to the next double.
EPSILON = float(np.finfo(float).eps)

# Numbers of the largest start, 80 MB: ten times what a file may hold.
LARGEST_START = 10_000_000


def numbers(parameters: Mapping[str, Any]) -> dict[str, float]:
    """Parameters of a system that are real numbers: claims know them by their names."""
    return {key: float(x) for key, x in parameters.items() if isinstance(x, Real)}


def checked(
    values: ArrayLike, shape: tuple[int, ...], label: str, complex_numbers: bool = False
) -> NDArray[Any]:
    """Array of finite numbers of this shape, or one clear line.

    Parameters
    ----------
    values : array_like
        What the user gave.
    shape : tuple of int
        What it must be.
    label : str
        What the line calls it.
    complex_numbers : bool
        Whether complex numbers are expected; the result is complex then.

    Returns
    -------
    ndarray
        A copy, of doubles or complex doubles.

    Raises
    ------
    InputError
        For another shape, another kind, a masked entry, NaN or infinity.
    """
    check_masks(values, label)
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"{label} must be an array of shape {shape}; its rows differ") from None
    if array.dtype.kind not in ("iufc" if complex_numbers else "iuf"):
        kind = "numbers" if complex_numbers else "real numbers"
        raise InputError(f"{label} must hold {kind}, got {array.dtype}")
    if array.shape != shape:
        raise InputError(f"{label} must have shape {shape}, got {array.shape}")
    array = array.astype(complex if complex_numbers else float)
    if not np.isfinite(array).all():
        raise InputError(f"{label} must be finite; it holds NaN or infinity")
    return array


def check_masks(values: object, label: str) -> None:
    """Refuse masked entries, at any depth of lists: NumPy would show what they hide.

    Raises
    ------
    InputError
        If an entry is masked.
    """
    if isinstance(values, (list, tuple)):
        for value in values:
            if isinstance(value, (list, tuple, np.ma.MaskedArray)):
                check_masks(value, label)
    elif np.ma.is_masked(values):
        raise InputError(f"{label} must have no masked entries; fill them or leave them out")


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse a start that is itself too large for the memory.

    Raises
    ------
    InputError
        For more than ten million numbers.
    """
    count = math.prod(map(int, shape))
    if count > LARGEST_START:
        raise InputError(
            f"a start of shape {tuple(map(int, shape))} has {count:.3g} numbers, too many for the"
            f" memory of a run, at most {LARGEST_START:.0e}; choose a smaller one"
        )


def is_real(value: object) -> bool:
    """Whether this is a finite real number that a double can hold; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def check_integer(value: object, label: str, least: int = 1) -> None:
    """Refuse what is not an integer of at least this size.

    Raises
    ------
    InputError
        With the expected and the given value.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        expected = "a positive integer" if least == 1 else f"an integer >= {least}"
        raise InputError(f"{label} must be {expected}, got {value!r}")


def distinct(rows: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Rows that are equal to all bits as one: the first of each, how many, which one each is.

    Examples
    --------
    >>> [x.tolist() for x in distinct(np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0]]))]
    [[0, 1], [2, 1], [0, 1, 0]]
    """
    index: dict[bytes, int] = {}
    # Adding zero makes the two signs of zero one.
    member = np.array([index.setdefault((row + 0.0).tobytes(), len(index)) for row in rows])
    return np.unique(member, return_index=True)[1], np.bincount(member), member


def lengths(vectors: Array) -> Array:
    """Lengths along the last axis, also of vectors whose squares are no doubles."""
    _, most = np.frexp(np.abs(vectors).max(axis=-1, keepdims=True, initial=0.0))
    found: Array = np.ldexp(np.linalg.norm(np.ldexp(vectors, -most), axis=-1), most[..., 0])
    return found


def moving_length(vectors: Array, rates: Array) -> tuple[Array, Array]:
    """Lengths along the last axis and their rates; at zero the speed with which one leaves it."""
    length = lengths(vectors)
    unit = vectors / np.where(length > 0, length, 1.0)[..., None]
    return length, np.where(length > 0, np.sum(unit * rates, axis=-1), lengths(rates))


def rows_of(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Values of ``count`` runs one behind the other, with equally many times, one run a row."""
    return values.reshape(count, len(values) // count, *values.shape[1:])


def plain(values: Array) -> Any:
    """Nested lists; of complex numbers one for the real and one for the imaginary parts."""
    if np.isrealobj(values):
        return values.tolist()
    return {"real": values.real.tolist(), "imag": values.imag.tolist()}


def unplain(values: Any) -> Array:
    """Array from the lists that :func:`plain` made."""
    if not isinstance(values, dict):
        return np.array(values)
    made = np.array(values["real"], dtype=complex)
    made.imag = values["imag"]
    return made
