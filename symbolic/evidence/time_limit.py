"""A limit on the processor time that a computation may take."""

from __future__ import annotations

import _weakrefset
import gc
import math
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["OutOfTime", "time_limit"]

# Seconds until an alarm is asked for again, at least.
SOON = 1e-3
# Seconds until a stop comes again that was lost: Python prints what a callback raises, and goes on.
AGAIN = 0.25
# Where the callbacks of weak references live, `weakref.finalize` among them.
CALLBACKS = {weakref.__file__, _weakrefset.__file__}
# What else Python calls where an object ends; Numba's, of its types and of what they refer to.
ENDINGS = {"__del__", "_on_type_disposal", "on_disposal"}


class OutOfTime(BaseException):
    """The time is over; not an `Exception`, so that no handler on the way swallows it."""


class _Alarm:
    """Handler of the signal: raises once the thread's own clock has reached the deadline."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.collecting = False

    def watch_collections(self, phase: str, _: object) -> None:
        """Note whether a collection goes on: Python may call anything in it, under any name."""
        self.collecting = phase == "start"

    def __call__(self, _: int, frame: FrameType | None) -> None:
        clearing = self.collecting or _in_finalizer(frame)
        if time.thread_time() >= self.deadline and not clearing:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            raise OutOfTime
        if self.deadline < math.inf:
            self.arm()  # others have had the processor, or this is no place to raise

    def arm(self) -> None:
        """Ask for the signal at the earliest time at which the thread may have used its time up."""
        signal.setitimer(signal.ITIMER_REAL, max(self.deadline - time.thread_time(), SOON))


def _in_finalizer(frame: FrameType | None) -> bool:
    """Whether Python is clearing up objects: it would print what is raised there, and go on."""
    collecting = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        code = frame.f_code
        if code.co_name in ENDINGS or code.co_filename in CALLBACKS or code in collecting:
            return True
        frame = frame.f_back
    return False


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` inside the block once it has computed for `seconds`.

    Parameters
    ----------
    seconds : float
        Processor time of the thread, so that a busy machine changes nothing. Limits nest: an inner
        one ends no later than the outer one.

    Notes
    -----
    The timer of real time sends a signal, which interrupts pure Python such as SymPy at the next
    bytecode; there the clock of the thread decides whether the time is used up. Timers of processor
    time are updated at ticks of the system's clock, which on a loaded machine may miss the process
    for seconds. Outside the main thread, and on systems without that signal, there is no limit. An
    alarm that other code has set waits until the block ends.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Any = signal.getsignal(signal.SIGALRM)
    outer = before.deadline if isinstance(before, _Alarm) else math.inf
    alarm = _Alarm(min(time.thread_time() + seconds, outer))
    watch = alarm.watch_collections
    gc.callbacks.append(watch)
    signal.signal(signal.SIGALRM, alarm)
    timer, begun = signal.getitimer(signal.ITIMER_REAL), time.monotonic()
    alarm.arm()
    try:
        yield
    finally:
        alarm.deadline = math.inf  # a signal that comes late finds nothing to do
        gc.callbacks.remove(watch)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if isinstance(before, _Alarm):
            before.arm()
        elif timer[0]:
            left = timer[0] - (time.monotonic() - begun)
            signal.setitimer(signal.ITIMER_REAL, max(left, SOON), timer[1])  # of someone else
