"""Processes that compute one ensemble after the other."""

from __future__ import annotations

import contextlib
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from flows.ensembles.cases import Case
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.member import LOST
from flows.ensembles.result import Ensemble
from flows.ensembles.workers import check_processes, leave_if_unguarded, processes
from flows.solvers.choice import side_by_side

__all__ = ["Crew"]


class Crew:
    """Processes of our own that serve one ensemble after the other, where any are asked for.

    Parameters
    ----------
    workers, executor, method, rtol
        As for :func:`flows.sweep`.
    """

    def __init__(
        self, workers: int | None, executor: Executor | None, method: str, rtol: float
    ) -> None:
        self.workers, self.executor, self.method, self.rtol = workers, executor, method, rtol
        self.pool: Executor | None = None

    def __enter__(self) -> Crew:
        """Begin; processes start with the first ensemble that needs them."""
        return self

    def __exit__(self, *problem: object) -> None:
        """End the processes."""
        self._end()

    def integrate(self, case: Case, folder: Path | None, **request: Any) -> Ensemble:
        """Ensemble of one combination."""
        place = None if folder is None else folder / case.folder

        def run(executor: Executor | None) -> Ensemble:
            return integrate_ensemble(
                case.system,
                case.law,
                **request,
                workers=self.workers,
                executor=executor,
                out=place,
            )

        threads = side_by_side(self.method, self.rtol, case.system)
        if self.executor is not None or threads or self.workers in (None, 1):
            return run(self.executor)
        if self.pool is None:
            leave_if_unguarded()
            check_processes()
            self.pool = processes(int(self.workers or 1))
        found = run(self.pool)
        if (found.status == LOST).any():
            # All futures of a pool end with one process; processes of this ensemble find out whose.
            self._end()
            found = run(None)
        return found

    def _end(self) -> None:
        if self.pool is not None:
            with contextlib.suppress(Exception):  # a broken pool, or one of another kind, is left
                self.pool.shutdown(cancel_futures=True)
            self.pool = None
