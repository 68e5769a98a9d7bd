"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from flows.core.errors import InputError

__all__ = ["check_output", "checked_path", "is_remnant", "write_file"]

# A folder of this name holds a file that is being written.
PREFIX = ".popflow-"
# Characters of a path that a message shows.
SHOWN = 80


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Path that the system can be asked about, whether or not something is there.

    Raises
    ------
    InputError
        If it is no path, holds a NUL character or is too long.
    """
    try:
        name = os.fsdecode(path)
    except TypeError:
        raise InputError(f"expected a path, got {path!r}; name a file or a folder") from None
    shown = repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
    try:
        os.stat(name)
    except ValueError:
        raise InputError(f"{shown}: expected a path, got a NUL character; choose another") from None
    except OSError as problem:
        if problem.errno == errno.ENAMETOOLONG:
            raise InputError(f"{shown}: the name is too long; choose a shorter one") from None
    return Path(name)


def is_remnant(path: Path) -> bool:
    """Whether this is what a writer leaves that is killed: half a file under another name."""
    return path.name.startswith(PREFIX) or path.suffix == ".part"


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
    target = checked_path(path)
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


def begins_with(path: str | os.PathLike[str], words: str) -> bool:
    """Whether a text file says words at its beginning, as one about a format does."""
    try:
        with open(path, encoding="ascii") as file:
            return words in file.read(len(words) + 40)
    except (OSError, UnicodeDecodeError):
        return False


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

    Raises
    ------
    InputError
        If the file cannot be written, for example on a full disk; nothing is left behind then.
    """
    target = checked_path(path)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=PREFIX) as folder:
            part = os.path.join(folder, target.name)
            write(part)
            if durable:
                _sync(part)
            os.replace(part, target)
            if durable:
                _sync(target.parent)
    except OSError as problem:
        reason = problem.strerror or problem
        raise InputError(f"{target}: cannot be written ({reason}); choose another") from None


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
