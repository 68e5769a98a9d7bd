"""NetCDF files that are built in memory, written whole, and carry a digest of their contents."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from flows.core.files import write_file

if TYPE_CHECKING:
    import xarray

__all__ = ["digest", "is_damaged", "read_netcdf", "write_dataset", "write_netcdf"]

# How the name of a dimension without values begins in HDF5.
DIMENSION = b"This is a netCDF dimension but not a netCDF variable"

# Bytes of one significance are stored together, which compresses well and fast.
PACKED = {"zlib": True, "complevel": 1, "shuffle": True}

# What follows HDF5's own bytes, which HDF5 never reads, with the digest of these.
SEAL = b"\npopflow-sha256:"
DIGITS = 64

Arrays = Mapping[str, NDArray[Any]]


def write_netcdf(
    path: str | os.PathLike[str],
    variables: Mapping[str, tuple[Any, NDArray[Any]]],
    about: Mapping[str, str],
    *,
    packed: bool = False,
) -> None:
    """Write arrays with named dimensions, all of them or nothing, also if the machine stops.

    Parameters
    ----------
    path : path
        Where the file is to be; one that is there is replaced.
    variables : mapping
        Dimensions and values by name, as :class:`xarray.Dataset` has them.
    about : mapping
        Attributes of the file.
    packed : bool
        Whether numbers are compressed, to the last bit.

    Raises
    ------
    InputError
        If the file cannot be written; nothing is left behind then.
    """
    import xarray

    numbers = [name for name, (_, x) in variables.items() if np.asarray(x).dtype.kind in "fi"]
    encoding = {name: dict(PACKED) for name in numbers if packed}
    write_dataset(path, xarray.Dataset(dict(variables), attrs=dict(about)), encoding)


def _here() -> contextlib.AbstractContextManager[Any]:
    """No cluster: beside a client of dask, xarray asks that for a lock of a file in memory."""
    if "dask" not in sys.modules:
        return contextlib.nullcontext()
    import dask

    return cast("contextlib.AbstractContextManager[Any]", dask.config.set(scheduler="synchronous"))


def write_dataset(
    path: str | os.PathLike[str],
    data: xarray.Dataset,
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write a labelled data set, all of it or nothing, also if the machine stops.

    Parameters
    ----------
    path : path
        Where the file is to be; one that is there is replaced.
    data : Dataset
        Its attributes are numbers or text.
    encoding : mapping, optional
        How variables are written, as xarray has it.

    Raises
    ------
    InputError
        If the file cannot be written; nothing is left behind then.
    """
    # HDF5 ends the whole process where a write to the disk fails, so it never writes to one.
    with _here():
        content = data.to_netcdf(engine="h5netcdf", encoding=encoding or {})
    seal = SEAL + hashlib.sha256(content).hexdigest().encode()

    def write(part: str) -> None:
        with open(part, "wb") as file:
            file.write(content)
            file.write(seal)

    write_file(path, write, durable=True)


def is_damaged(path: str | os.PathLike[str]) -> bool:
    """Whether the bytes of a file are not those that were written; False for one from before.

    HDF5 can run for ever on a damaged file, so it is asked first.
    """
    content = memoryview(Path(path).read_bytes())
    end = len(content) - len(SEAL) - DIGITS
    if end < 0 or content[end:-DIGITS] != SEAL:
        return False
    return hashlib.sha256(content[:end]).hexdigest().encode() != content[-DIGITS:]


def read_netcdf(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Values by name, and the attributes of a file.

    Raises
    ------
    Exception
        Of any kind for a file that is damaged.
    """
    import h5py  # type: ignore[import-untyped]

    if is_damaged(path):
        raise ValueError("damaged")
    with h5py.File(path) as file:
        found = {name: _values(file[name]) for name in file if not _is_dimension(file[name])}
        return found, {name: file.attrs[name] for name in file.attrs if name[:1] != "_"}


def _is_dimension(entry: Any) -> bool:
    """Whether HDF5 shows a dimension of NetCDF, which is no variable, as an array."""
    return bytes(entry.attrs.get("NAME", b"")).startswith(DIMENSION)


def _values(entry: Any) -> NDArray[Any]:
    import h5py

    text = h5py.check_string_dtype(entry.dtype)
    values = np.asarray((entry.asstr() if text else entry)[()])
    # NetCDF has no truth values: xarray writes small integers and says so.
    return values.astype(bool) if entry.attrs.get("dtype") == "bool" else values


def digest(values: Arrays, types: bool = True) -> str:
    """SHA-256 of names, shapes, types and values.

    Parameters
    ----------
    values : mapping
        Arrays by name.
    types : bool
        Whether the file distinguishes other numbers from doubles; older files do not.
    """
    seen = hashlib.sha256()
    for name in sorted(values):
        array = np.asarray(values[name])
        seen.update(name.encode())
        seen.update(repr(array.shape).encode())
        if array.dtype.kind in "fi":
            native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
            if types and native.dtype != np.float64:
                seen.update(native.dtype.name.encode())
            seen.update(native.tobytes())
        else:
            seen.update(json.dumps(array.tolist()).encode())
    return seen.hexdigest()
