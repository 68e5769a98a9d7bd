"""How many cores there are; one thread of BLAS where more cost more than they save."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

__all__ = ["cores", "one_thread"]

# OpenBLAS wakes its threads for matrices of about this size, and they spin until the next one.
WAKES = 24


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def one_thread(unknowns: int = WAKES) -> Iterator[None]:
    """Let BLAS use one thread inside, where matrices of so many rows would wake several.

    Quasi-Newton searches of SciPy wake them however few the unknowns are.
    """
    if unknowns < WAKES:
        yield
        return
    with _controller().limit(limits=1):
        yield


@functools.cache
def _controller() -> Any:
    # Imported where it is needed: small runs do without. SciPy brings a BLAS of its own, which must
    # be there before it can be told.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
