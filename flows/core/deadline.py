"""A budget of time: code that takes long asks on its way whether it is spent.

It asks between two steps of a solver, or before an evaluation in balls, where nothing is half done;
an exception is the answer. So a budget is kept in every thread and process. A callback of compiled
code may lose the exception: the next one to ask gets it again.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

from flows.core.arrays import is_real
from flows.core.errors import InputError

__all__ = ["NEVER", "Deadline", "TimeSpent", "deadline", "look", "unlimited", "within"]


# What is left of a budget that is spent, in seconds.
LEAST = 1e-6


class TimeSpent(BaseException):
    """The budget is spent; not an `Exception`, so that no handler on the way swallows it."""


class Deadline(NamedTuple):
    """When a budget of time is spent.

    Parameters
    ----------
    seconds : float
        The budget.
    end : float
        When it ends, by the clock that the processes of a machine share.
    """

    seconds: float = math.inf
    end: float = math.inf

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Deadline of a budget that begins now.

        Parameters
        ----------
        seconds : float or None
            The budget; None for no budget.

        Returns
        -------
        Deadline
            :data:`NEVER` without a budget.

        Raises
        ------
        InputError
            Where it is not a positive number.
        """
        if seconds is None:
            return NEVER
        if not (is_real(seconds) and seconds > 0):
            raise InputError(
                f"max_seconds must be a positive number of seconds, or None, got {seconds!r}"
            )
        return cls(float(seconds), time.time() + float(seconds))

    @property
    def left(self) -> float | None:
        """Seconds that are left, above 0, to be given as a budget again; None without one."""
        return None if self.end == math.inf else max(LEAST, self.end - time.time())

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.end < math.inf and time.time() >= self.end

    def message(self, place: str) -> str:
        """Say when or where the budget was spent, and what to do."""
        return f"its budget of {self.seconds:.6g} s was spent {place}; give more with max_seconds"


#: No budget.
NEVER = Deadline()
_DEADLINE: ContextVar[Deadline] = ContextVar("deadline", default=NEVER)


def deadline() -> Deadline:
    """Return the deadline of this thread."""
    return _DEADLINE.get()


def look() -> None:
    """Go on only if the budget is not spent.

    Raises
    ------
    TimeSpent
        If it is.
    """
    limit = _DEADLINE.get()
    if limit is not NEVER and limit.spent:
        raise TimeSpent


@contextlib.contextmanager
def within(limit: Deadline) -> Iterator[None]:
    """Keep a deadline inside, or the one around it if that is earlier."""
    token = _DEADLINE.set(min(limit, _DEADLINE.get(), key=lambda one: one.end))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """Keep no deadline inside, where a result is put together."""
    token = _DEADLINE.set(NEVER)
    try:
        yield
    finally:
        _DEADLINE.reset(token)
