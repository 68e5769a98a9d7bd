"""Progress of a run on standard error."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["time_bar"]


@contextlib.contextmanager
def time_bar(
    progress: bool | Callable[[float], None], end: float
) -> Iterator[Callable[[float], None] | None]:
    """Progress bar in decades of time, what the caller does with the time, or nothing.

    Parameters
    ----------
    progress : bool or callable
        Whether a bar is shown; or what is called with the time instead.
    end : float
        The time at which the bar is full.

    Yields
    ------
    callable or None
        To be called with the time reached.
    """
    if not isinstance(progress, bool):
        yield progress
        return
    if not progress:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("t = {task.fields[t]:.2e}")
    columns: list[Any] = [text, BarColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("flow", total=math.log1p(end), t=0.0)
        yield lambda t: bar.update(task, completed=math.log1p(t), t=t)
