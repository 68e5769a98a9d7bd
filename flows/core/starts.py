"""Starts: drawn from a seed, or handed over in a file, as are teachers and targets."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import check_integer, is_real
from flows.core.errors import InputError
from flows.core.files import checked_path
from flows.core.options import Options, chosen

MAX_BYTES = 64 * 2**20  # eight million doubles; asked before anything is read


def seeded(scale: float, seed: int) -> np.random.Generator:
    """Generator of the random numbers of a start whose size is ``scale``.

    Parameters
    ----------
    scale : float
        Size of the entries, non-negative.
    seed : int
        Seed; the same seed gives the same numbers.

    Returns
    -------
    Generator
        NumPy's default generator.

    Raises
    ------
    InputError
        For a scale that is no number, negative or not finite, or a seed that is no integer >= 0.
    """
    if not (is_real(scale) and scale >= 0):
        raise InputError(f"scale must be a finite number >= 0, got {scale!r}")
    check_integer(seed, "seed", 0)
    return np.random.default_rng(seed)


def read_array(
    path: str | os.PathLike[str], axes: Sequence[str], is_complex: bool = False
) -> NDArray[Any]:
    """Array from a ``.npy`` file or from JSON nested lists.

    Nothing in the file is executed: pickles are refused, and a header is believed only as far as
    the file's own length.

    Parameters
    ----------
    path : path
        A name ending in ``.npy`` is read as NumPy's format, any other as JSON.
    axes : sequence of str
        Names of the axes, for example ``("n", "d")``; their number is the dimension asked for. A
        column serves as a vector.
    is_complex : bool
        Read complex numbers too; in JSON ``{"real": lists, "imag": lists}``.

    Returns
    -------
    ndarray of float64, or of complex128
        Finite, with one positive length for each axis.

    Raises
    ------
    InputError
        If the file is missing, larger than 64 MiB, of another format, type or dimension, or holds
        a number that is not finite.
    """
    checked_path(path)
    name = os.fsdecode(path)
    kind = "numbers" if is_complex else "real numbers"
    wanted = f"expected {kind} of shape ({', '.join(axes)}{',' * (len(axes) == 1)})"
    try:
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name}: {wanted}, got something that is not a file; name a file")
        if status.st_size > MAX_BYTES:
            raise InputError(
                f"{name}: expected at most {MAX_BYTES} bytes, got {status.st_size};"
                " give a smaller array"
            )
        array = _read_npy(name) if name.endswith(".npy") else _read_json(name, is_complex)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); name a file") from error
    if array.dtype.kind not in ("iufc" if is_complex else "iuf"):
        raise InputError(
            f"{name}: {wanted}, got entries that are not all {kind}; write plain numbers"
        )
    if len(axes) == 1 and array.shape[1:] == (1,):  # a column where a vector is meant
        array = array.ravel()
    if array.ndim != len(axes) or 0 in array.shape:
        raise InputError(f"{name}: {wanted}, got shape {array.shape}; reshape it")
    with np.errstate(over="ignore"):  # a long double beyond the range becomes infinite, see below
        result = np.array(array, dtype=complex if is_complex else float, order="C")
    if not np.isfinite(result).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(result))[0])
        raise InputError(f"{name}: expected finite numbers, got {result[where]} at {list(where)}")
    return result


def given_array(
    options: Options, name: str, axes: Sequence[str], is_complex: bool = False
) -> NDArray[Any] | None:
    """Array in the file that an option names; None if the option is not given."""
    return None if options[name] is None else read_array(options[name], axes, is_complex)


def vector_sizes(
    options: Options,
    start: NDArray[Any] | None,
    vector: Sized | None,
    *,
    along: str,
    flag: str,
    why: str,
) -> tuple[int, int]:
    """Sizes n and d of a start of vectors, where one more vector is as long as one of them.

    Parameters
    ----------
    options : mapping
        ``n`` and ``d``; they count if there is no start.
    start : ndarray, shape (..., n, d), optional
        The start, if it is given.
    vector : sized, optional
        The other vector; it counts where nothing else says its size.
    along : {"n", "d"}
        The size that it has.
    flag, why : str
        Its option, and words for why it has this size.

    Raises
    ------
    InputError
        For a vector of another size.
    """
    names = ("n", "d")
    given = [chosen(options, name) for name in names] if start is None else start.shape[-2:]
    sizes = dict(zip(names, given, strict=True))
    if vector is not None:
        if start is None and options[along] is None:
            sizes[along] = len(vector)
        if len(vector) != sizes[along]:
            raise InputError(f"{flag}: expected {sizes[along]} numbers, {why}, got {len(vector)}")
    return sizes["n"], sizes["d"]


def _read_npy(name: str) -> NDArray[np.generic]:
    """Map the array; the header cannot make us reserve more than the file holds."""
    try:
        return np.lib.format.open_memmap(name, mode="r")
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{name}: expected a .npy array of plain numbers, got a file that is pickled, truncated"
            " or of another format; write it with numpy.save(name, array, allow_pickle=False)"
        ) from error


def _read_json(name: str, is_complex: bool) -> NDArray[Any]:
    """Nested lists; ragged, deep or over-long ones are refused."""
    try:
        with open(name, encoding="utf-8") as file:
            content = json.load(file)
        if is_complex and isinstance(content, dict) and content.keys() == {"real", "imag"}:
            real, imaginary = (np.asarray(content[key]) for key in ("real", "imag"))
            plain = all(part.dtype.kind in "iuf" for part in (real, imaginary))
            if plain and real.shape == imaginary.shape:
                return real + 1j * imaginary
        return np.asarray(content)
    except (ValueError, RecursionError, OverflowError) as error:
        raise InputError(
            f"{name}: expected JSON nested lists of equal lengths, like [[0.1, 0.2], [0.3, 0.4]],"
            " got something else; correct it, or give a .npy file"
        ) from error
