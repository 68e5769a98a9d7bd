"""A limit on how long a computation may take."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["OutOfTime", "time_limit"]


class OutOfTime(BaseException):
    """The time is over; not an `Exception`, so that no handler on the way swallows it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` inside the block once it has run for `seconds`.

    Parameters
    ----------
    seconds : float
        Wall-clock time. Limits nest: an inner one ends no later than the outer one.

    Notes
    -----
    By an alarm signal, which interrupts pure Python such as SymPy at the next bytecode. Outside the
    main thread, and on systems without that signal, there is no limit.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    if 0 < left < seconds:
        signal.setitimer(signal.ITIMER_REAL, left)
    try:
        yield
    finally:
        used = (left if 0 < left < seconds else seconds) - signal.setitimer(signal.ITIMER_REAL, 0)[
            0
        ]
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - used, 1e-3))
