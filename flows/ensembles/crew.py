"""Processes that compute one ensemble after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from flows.core.threads import cores
from flows.ensembles.along_axes import served
from flows.ensembles.cases import Case
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.member import LOST
from flows.ensembles.result import Ensemble
from flows.ensembles.workers import BUSY, LONG, Pool
from flows.runs.request import Request
from flows.solvers.choice import side_by_side

__all__ = ["Crew"]


class Crew:
    """Processes of our own that serve one ensemble after the other, where that pays.

    Parameters
    ----------
    workers, executor
        As for :func:`flows.sweep`.
    request : Request
        What is asked of each member.
    """

    def __init__(self, workers: int | None, executor: Executor | None, request: Request) -> None:
        self.workers, self.executor, self.request = workers, executor, request
        self.pool: Executor | None = None
        self.done = 0

    def __enter__(self) -> Crew:
        """Begin; processes start with the first ensemble that needs them."""
        return self

    def __exit__(self, *problem: object) -> None:
        """End the processes."""
        self._end()

    def integrate(self, case: Case, left: int, folder: Path | None, **options: Any) -> Ensemble:
        """Ensemble of one combination; ``left`` more follow."""
        place = None if folder is None else folder / case.folder
        system, law = case.system, case.law
        method, rtol = self.request.method, self.request.rtol

        def run(executor: Executor | None) -> Ensemble:
            return integrate_ensemble(
                system, law, **options, workers=self.workers, executor=executor, out=place
            )

        if self.executor is not None or self.workers == 1:
            return run(self.executor)
        threads = side_by_side(method, rtol, system) or served(system, self.request, law.size)
        if self.pool is None and (threads or self.workers is None):
            return self._timed(lambda: run(None), threads, left)
        if self.pool is None:
            self.pool = Pool(self.workers or cores())
        found = run(self.pool)
        if (found.status == LOST).any():
            # All futures of a pool end with one process; processes of this ensemble find out whose.
            self._end()
            found = run(None)
        return found

    def _timed(self, run: Callable[[], Ensemble], threads: bool, left: int) -> Ensemble:
        """Ensemble of this process; processes take the next ones where that pays.

        Threads are left where they do not keep their cores busy, as where steps are Python's; but
        not for what the first ensemble compiles.
        """
        clock, spent, count = time.perf_counter(), time.process_time(), self.workers or cores()
        found = run()
        took, used = time.perf_counter() - clock, time.process_time() - spent
        self.done += 1
        slow = not threads or (self.done > 1 and used < BUSY * took * count)
        if count > 1 and slow and took * left > LONG:
            self.workers, self.pool = count, Pool(count)
        return found

    def _end(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None
