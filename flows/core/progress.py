"""Progress of a run, of an ensemble or of a report on standard error."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

from flows.core.errors import InputError

__all__ = ["member_bar", "part_bar", "time_bar"]


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
        if not callable(progress):
            raise InputError(f"progress must be True, False or a function, got {progress!r}")
        yield progress
        return
    if not progress:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    text = TextColumn("{task.fields[reached]}")
    columns: list[Any] = [text, BarColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("flow", total=math.log1p(end), reached="compiling the flow")

        def reach(t: float) -> None:
            bar.update(task, completed=math.log1p(t), reached=f"t = {t:.2e}")

        yield reach


@contextlib.contextmanager
def member_bar(
    progress: bool | Callable[[int], None], there: int, size: int
) -> Iterator[Callable[[int], None]]:
    """Progress bar in members, with rate and time left, what the caller does, or nothing.

    Parameters
    ----------
    progress : bool or callable
        Whether a bar is shown; or what is called with the number of members that are new, first
        with that of those that are there.
    there : int
        Members that are there at the begin.
    size : int
        Members at which the bar is full.

    Yields
    ------
    callable
        To be called with the number of members that are new.
    """
    if not isinstance(progress, bool):
        if not callable(progress):
            raise InputError(f"progress must be True, False or a function, got {progress!r}")
        progress(there)
        yield progress
        return
    if not progress:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    class Rate(TextColumn):
        def render(self, task: Any) -> Any:
            from rich.text import Text

            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g} members/s")

    columns: list[Any] = [BarColumn(), MofNCompleteColumn(), Rate(""), Remaining()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("ensemble", total=size, completed=there)
        yield lambda count: bar.advance(task, count)


@contextlib.contextmanager
def part_bar(progress: bool, size: int) -> Iterator[Callable[[str], None]]:
    """Progress bar in parts of a report, which names the part made last, or nothing.

    Parameters
    ----------
    progress : bool
        Whether a bar is shown.
    size : int
        Parts at which the bar is full.

    Yields
    ------
    callable
        To be called with each part that is made, in words.
    """
    if not progress:
        yield lambda words: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    last = TextColumn("{task.fields[last]}")
    columns: list[Any] = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), last]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("report", total=size, last="deriving, integrating, checking, drawing")
        yield lambda words: bar.update(task, advance=1, last=f"made: {words}")
