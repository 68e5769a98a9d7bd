"""Run chunks in this process, in threads or processes of our own, or on a given executor."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    as_completed,
    wait,
)
from concurrent.futures import ProcessPoolExecutor as Pool
from concurrent.futures import ThreadPoolExecutor as Threads
from threading import Lock
from typing import Any

from flows.core.errors import InputError
from flows.core.threads import in_turn, one_thread

# Exit code of a process that was started to work and runs the script that started it instead.
UNGUARDED = 97
# Chunks handed out for each worker: one that it works on, one that it begins next.
AHEAD = 2


def finished(
    task: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    workers: int = 1,
    executor: Executor | None = None,
    threads: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Results of ``task(*arguments[k])`` as they come.

    Parameters
    ----------
    task : callable
        What a worker does; it must be picklable unless ``workers`` is 1.
    arguments : sequence of tuple
        One call each.
    workers : int
        Number of processes, started by spawn, or of threads; 1 is this process. With an executor,
        how many workers it has.
    executor : Executor, optional
        The caller's own, for example ``dask.distributed.Client.get_executor()``. It stays open.

    threads : bool
        Whether workers are threads of this process, for tasks that release the interpreter's lock.

    Yields
    ------
    (int, object)
        Which call, and its result; an exception where the worker that had it was lost.

    Raises
    ------
    InputError
        If no process of our own can begin, as for a script without a main guard.
    Exception
        What ``task`` raises in this process or in one of our own.
    """
    if executor is None and workers == 1:
        yield from ((k, task(*a)) for k, a in enumerate(arguments))
        return
    if executor is None and threads:
        yield from _in_threads(task, arguments, workers)
        return
    begun, mark = executor is not None, uuid.uuid4().hex
    waiting, suspects = deque(range(len(arguments))), deque[int]()
    running: dict[Future[Any], int] = {}
    pool = processes(workers) if executor is None else executor
    try:
        while waiting or running or suspects:
            alone = not waiting and not running
            queue, most = (suspects, 1) if alone else (waiting, AHEAD * workers)
            while queue and len(running) < most:
                k = queue.popleft()
                running[pool.submit(_once, mark, task, *arguments[k])] = k
            lost: list[int] = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                k, problem = running.pop(future), future.exception()
                if problem is None:
                    begun = True
                    yield k, future.result()
                elif executor is not None or (alone and isinstance(problem, BrokenExecutor)):
                    yield k, problem
                elif not isinstance(problem, BrokenExecutor):
                    raise problem
                lost += [k] * isinstance(problem, BrokenExecutor)
            if lost and not begun:
                check_processes()
                begun = True
            if lost and executor is None:
                # With one process all futures of the pool end; who is to blame shows alone.
                suspects += [] if alone else [*lost, *running.values()]
                running.clear()
                pool.shutdown(wait=False, cancel_futures=True)
                pool = processes(workers)
    finally:
        for future in running:
            future.cancel()
        if executor is None:
            pool.shutdown(cancel_futures=True)


def _once(mark: str, task: Callable[..., Any], *arguments: Any) -> Any:
    """Do a task; dask answers a call that is equal to an earlier one with what became of that one.

    It would also remember that its worker was lost.
    """
    return task(*arguments)


def _in_threads(
    task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[tuple[int, Any]]:
    """Results of threads as they come; after an exception or Ctrl-C no call begins any more."""
    pool, turn = Threads(workers), Lock()

    def one(*given: Any) -> Any:
        with in_turn(turn):
            return task(*given)

    try:
        # One thread of BLAS from first to last: each call limits it, and takes that back.
        with one_thread():
            running = {pool.submit(one, *a): k for k, a in enumerate(arguments)}
            for future in as_completed(running):
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def leave_if_unguarded() -> None:
    """End this process silently if it should work and runs its script again instead.

    Python starts a process by importing the script, without its ``if __name__ == "__main__":``.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(UNGUARDED)


def check_processes() -> None:
    """Refuse to go on if a process that has nothing to do does not even begin.

    Raises
    ------
    InputError
        With what a script lacks.
    """
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    if process.exitcode == UNGUARDED:
        raise InputError(
            "workers are processes that import this script, which starts workers again; put the"
            ' call below `if __name__ == "__main__":`'
        )
    if process.exitcode:
        raise InputError(
            "processes cannot import this script, so none can work; write it into a file, with the"
            ' call below `if __name__ == "__main__":`, or take workers=1'
        )


def processes(workers: int) -> Pool:
    """Processes of our own, started by spawn, which end at Ctrl-C."""
    # Ctrl-C reaches the whole group: a worker ends at once instead of reporting half a chunk.
    return Pool(
        workers,
        multiprocessing.get_context("spawn"),
        signal.signal,
        (signal.SIGINT, signal.SIG_DFL),
    )
