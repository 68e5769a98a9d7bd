"""How many cores there are; turns of threads; one thread of BLAS where more would cost time."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from contextvars import ContextVar
from threading import Lock
from typing import Any

__all__ = ["cores", "in_turn", "one_thread", "out_of_turn", "taking_turns"]

# OpenBLAS wakes its threads for matrices of about this size, and they spin until the next one.
WAKES = 24

#: The lock that a thread holds while it has its turn; and where it may let go of it.
_HELD: ContextVar[Lock | None] = ContextVar("held", default=None)
_FREE: ContextVar[Lock | None] = ContextVar("free", default=None)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def one_thread(unknowns: int = WAKES) -> Iterator[None]:
    """Let BLAS use one thread inside, where matrices with this many rows would wake several.

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
    # be loaded before its threads can be set.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


@contextlib.contextmanager
def in_turn(turn: Lock) -> Iterator[None]:
    """Run while no other thread has its turn, but for what is :func:`out_of_turn`.

    Threads that all want the interpreter's lock take it from each other thousands of times a
    second, and what the one has in its cache the other has to fetch. In turns they do so only
    where one has long work that needs no interpreter.
    """
    with turn, _set(_HELD, turn):
        yield


@contextlib.contextmanager
def taking_turns() -> Iterator[None]:
    """Allow what is :func:`out_of_turn` inside: no lock is held that another thread may want."""
    with _set(_FREE, _HELD.get()):
        yield


@contextlib.contextmanager
def out_of_turn() -> Iterator[None]:
    """Let another thread have its turn meanwhile, where this one is :func:`taking_turns`."""
    turn = _FREE.get()
    if turn is None:
        yield
        return
    turn.release()
    try:
        yield
    finally:
        turn.acquire()


@contextlib.contextmanager
def _set(variable: ContextVar[Lock | None], value: Lock | None) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
