"""Arrays: the type, what a user's array must be, and its form in JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flows.core.errors import InputError

__all__ = ["Array", "check_integer", "checked", "plain", "unplain"]

Array = NDArray[np.float64]


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
        For another shape, another kind, NaN or infinity.
    """
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


def check_integer(value: object, label: str, least: int = 1) -> None:
    """Refuse what is not an integer of at least this size.

    Raises
    ------
    InputError
        With what was expected and what came.
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:  # type: ignore[operator]
        expected = "a positive integer" if least == 1 else f"an integer >= {least}"
        raise InputError(f"{label} must be {expected}, got {value!r}")


def plain(values: Array) -> Any:
    """Nested lists; of complex numbers one for the real and one for the imaginary parts."""
    if np.isrealobj(values):
        return values.tolist()
    return {"real": values.real.tolist(), "imag": values.imag.tolist()}


def unplain(values: Any) -> Array:
    """Array of what :func:`plain` made."""
    if not isinstance(values, dict):
        return np.array(values)
    made = np.array(values["real"], dtype=complex)
    made.imag = values["imag"]
    return made
