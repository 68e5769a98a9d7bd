"""Processes that compute one ensemble after the other."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from flows.core.threads import cores
from flows.ensembles.along_axes import served
from flows.ensembles.cases import Case
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.member import LOST
from flows.ensembles.result import Ensemble
from flows.ensembles.workers import LONG, Pool
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

    def __enter__(self) -> Crew:
        """Begin; processes start with the first ensemble that needs them."""
        return self

    def __exit__(self, *problem: object) -> None:
        """End the processes."""
        self._end()

    def integrate(self, case: Case, left: int, folder: Path | None, **options: Any) -> Ensemble:
        """Ensemble of one combination, after which so many are left."""
        place = None if folder is None else folder / case.folder
        system, law = case.system, case.law
        method, rtol = self.request.method, self.request.rtol

        def run(executor: Executor | None) -> Ensemble:
            return integrate_ensemble(
                system, law, **options, workers=self.workers, executor=executor, out=place
            )

        threads = side_by_side(method, rtol, system) or served(system, self.request, law.size)
        if self.executor is not None or threads or self.workers == 1:
            return run(self.executor)
        if self.workers is None:
            begun = time.perf_counter()
            found = run(None)
            if (time.perf_counter() - begun) * left > LONG:
                self.workers = cores()
            return found
        if self.pool is None:
            self.pool = Pool(self.workers)
        found = run(self.pool)
        if (found.status == LOST).any():
            # All futures of a pool end with one process; processes of this ensemble find out whose.
            self._end()
            found = run(None)
        return found

    def _end(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None
