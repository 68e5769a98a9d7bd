"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from flows.core.errors import InputError

__all__ = ["check_output", "write_file"]


def check_output(path: str | os.PathLike[str] | None, force: bool) -> None:
    """Refuse an output file that could not be written, before the work is done.

    Parameters
    ----------
    path : path, optional
        Where the file is to be; None is never refused.
    force : bool
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written, the name is a folder's, or the file exists
        and ``force`` is not given.
    """
    if path is None:
        return
    target = Path(path)
    folder = target.parent
    if not folder.is_dir():
        raise InputError(f"{path}: expected an existing folder, got {folder}; create it first")
    if target.is_dir() or not target.name:
        raise InputError(f"{path or '--out'}: expected a file name, got a folder; name a file")
    if target.exists() and not force:
        raise InputError(f"{path}: expected a new file, got one that exists; give --force")
    try:
        # Permission bits do not tell: root ignores them, and a mount can be read-only.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f"{path}: expected a writable folder, got {folder} ({error.strerror}); choose another"
        ) from error


def write_file(
    path: str | os.PathLike[str], write: Callable[[str], object], durable: bool = False
) -> None:
    """Let ``write`` make a file beside ``path`` and move it there: all of it or nothing.

    Parameters
    ----------
    path : path
        Where the file is to be; one that is there is replaced. Its permissions are those that the
        umask leaves.
    write : callable
        Writes the file of the name that it is given, with the suffix of ``path``.
    durable : bool
        Whether the file must be on the disk, and not in a cache, before it gets its name.
    """
    target = Path(path)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".popflow-") as folder:
        part = os.path.join(folder, target.name)
        write(part)
        if durable:
            _sync(part)
        os.replace(part, target)
        if durable:
            _sync(target.parent)


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
