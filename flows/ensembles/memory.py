"""What memory and disk an ensemble will need, known before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path

from flows.core.errors import InputError
from flows.runs.integrate import MAX_UNKNOWNS

# Imports, derived expressions and compiled code of one process.
PROCESS = 300_000_000
# Number of matrices of the size of the Jacobian that the solvers keep.
JACOBIANS = 4
# States in sound coordinates, features and what is made on the way from the one to the other.
COPIES = 12
# Left to others.
SHARE = 0.9


def run_bytes(unknowns: int, times: int) -> int:
    """Memory of one member's run at its largest: states and dense matrices."""
    dense = unknowns if unknowns <= MAX_UNKNOWNS else 0
    return 8 * (COPIES * unknowns * times + JACOBIANS * dense**2)


def demand(kept: int, chunk: int, run: int, threads: int, processes: int) -> int:
    """Bytes at the worst moment.

    Parameters
    ----------
    kept : int
        Bytes of the rows that are in memory at once.
    chunk, run : int
        Bytes of one chunk's rows, and of one run; each worker has a run and copies of a chunk.
    threads, processes : int
        Workers in this process, and processes.
    """
    return kept + processes * PROCESS + max(threads, processes) * (run + 4 * chunk)


def available() -> int:
    """Bytes of memory that this process may still take."""
    import psutil  # type: ignore[import-untyped]

    found = [psutil.virtual_memory().available]
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / f"memory.{x}").read_text().strip() for x in ("max", "current"))
        if limit != "max":
            kept = dict(x.split() for x in (group / "memory.stat").read_text().splitlines())
            # Pages of files are given back when memory is asked for.
            found.append(int(limit) - int(used) + int(kept["inactive_file"]))
    except (OSError, ValueError, KeyError):
        pass  # no such limit
    return max(0, min(found))


def fits(needed: int) -> bool:
    """Whether this number of bytes of memory is free."""
    return needed <= SHARE * available()


def require(needed: int, result: int, folder: Path | None) -> None:
    """Refuse what does not fit.

    Parameters
    ----------
    needed : int
        Bytes of memory.
    result : int
        Bytes of all rows.
    folder : Path or None
        Where they are written.

    Raises
    ------
    InputError
        With the numbers.
    """
    if not fits(needed):
        free = SHARE * available()
        raise InputError(
            f"this ensemble needs {_giga(needed)} GB of memory and {_giga(free)} GB"
            " are available; take fewer members, times or workers, or write it to a"
            " folder"
        )
    if folder is None:
        return
    above = next((p for p in (folder, *folder.parents) if p.is_dir()), Path("."))
    room = shutil.disk_usage(above).free
    if result > room:
        raise InputError(
            f"this ensemble needs {_giga(result)} GB on disk and {_giga(room)} GB are"
            f" free at {above}; take fewer members or times"
        )


def _giga(size: float) -> str:
    return f"{size / 1e9:.2f}"
