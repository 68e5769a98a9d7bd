"""Run chunks in this process, in threads or processes of our own, or on a given executor."""

from __future__ import annotations

import signal
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, as_completed, wait
from concurrent.futures import ThreadPoolExecutor as Threads
from dataclasses import dataclass
from threading import Lock
from typing import Any

from flows.core.deadline import NEVER, Deadline
from flows.core.threads import in_turn, one_thread

__all__ = ["AHEAD", "Pool", "Workers", "finished"]

# Chunks handed out for each worker: one that it works on, one that it begins next.
AHEAD = 2
# Processes take seconds to begin: they do so for what would take this one so many seconds more,
# unless its threads keep so much of their cores busy by themselves.
LONG, BUSY = 10.0, 0.8
# loky's word for workers that Ctrl-C has ended. The signal reaches the whole process group: this
# process may see that its workers have ended before it gets the signal itself.
INTERRUPTED = "SIGINT"
# loky takes growth by 300 MB for a leak and ends the process; what one derives and compiles stays.
AROUND = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}


@dataclass(frozen=True)
class Workers:
    """Who does calls: threads of this process, and processes where these would take long.

    Parameters
    ----------
    threads : int
        Threads that begin, for tasks that release the interpreter's lock; 1 is the caller's own,
        and with 0 processes begin.
    processes : int
        Processes; they take what is left where this process would take longer than `LONG`.
    deadline : Deadline
        Calls after it do nothing, so that no processes begin for them.
    """

    threads: int = 1
    processes: int = 0
    deadline: Deadline = NEVER

    @property
    def most(self) -> int:
        """Largest number of calls at a time."""
        return max(self.threads, self.processes)


def finished(
    task: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    hands: Workers,
    executor: Executor | None = None,
) -> Iterator[tuple[int, Any]]:
    """Results of ``task(*arguments[k])`` as they come.

    Parameters
    ----------
    task : callable
        What a worker does; it must be picklable where processes do it.
    arguments : sequence of tuple
        One call each.
    hands : Workers
        Who does them. With an executor, which does all, how many calls it has at a time.
    executor : Executor, optional
        The caller's own, for example ``dask.distributed.Client.get_executor()``. It stays open.

    Yields
    ------
    (int, object)
        Which call, and its result; an exception where the worker that had it was lost.

    Raises
    ------
    Exception
        What ``task`` raises in this process or in one of our own.
    """
    left = dict(enumerate(arguments))
    if executor is None and hands.threads:
        for k, result in _by_threads(task, arguments, hands):
            del left[k]
            yield k, result
    if left:
        yield from _by_processes(task, left, hands.most, executor)


def _by_threads(
    task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], hands: Workers
) -> Iterator[tuple[int, Any]]:
    """Results of this process, which leaves the rest to others where it would take long."""
    pace = _Pace(hands, len(arguments))
    if hands.threads == 1:
        for k, given in enumerate(arguments):
            yield k, task(*given)
            if pace.leaves():
                return
        return
    pool, turn = Threads(hands.threads), Lock()

    def one(*given: Any) -> Any:
        with in_turn(turn):
            return task(*given)

    try:
        # One thread of BLAS from first to last: each call limits it, and takes that back.
        with one_thread():
            running = {pool.submit(one, *a): k for k, a in enumerate(arguments)}
            for future in as_completed(running):
                k = running.pop(future)  # with what came out, which nothing else keeps
                if future.cancelled():
                    continue
                yield k, future.result()
                if pace.leaves():  # those that have begun are ended here
                    for other in running:
                        other.cancel()
    finally:  # after an exception or Ctrl-C no call begins any more
        pool.shutdown(cancel_futures=True)


class _Pace:
    """How fast threads of this process are, from the first call on that has ended: it compiles."""

    def __init__(self, hands: Workers, count: int) -> None:
        self.hands, self.left, self.done = hands, count, -1
        self.begun = self.spent = 0.0

    def leaves(self) -> bool:
        """Whether, after one more call, processes should do the rest."""
        clock, spent = time.perf_counter(), time.process_time()
        self.left, self.done = self.left - 1, self.done + 1
        if self.done == 0:
            self.begun, self.spent = clock, spent
        took, used = clock - self.begun, spent - self.spent
        if self.hands.processes < 2 or self.hands.deadline.spent or self.done < self.hands.threads:
            return False
        long = took / self.done * self.left > LONG
        return long and used < BUSY * took * self.hands.processes


def _by_processes(
    task: Callable[..., Any],
    arguments: Mapping[int, tuple[Any, ...]],
    workers: int,
    executor: Executor | None,
) -> Iterator[tuple[int, Any]]:
    """Results of processes of our own or of an executor."""
    mark = uuid.uuid4().hex
    waiting, suspects = deque(arguments), deque[int]()
    running: dict[Future[Any], int] = {}
    pool = Pool(workers) if executor is None else executor
    try:
        while waiting or running or suspects:
            alone, broken = not waiting and not running, False
            queue, most = (suspects, 1) if alone else (waiting, AHEAD * workers)
            while queue and len(running) < most and not broken:
                try:
                    future = pool.submit(_once, mark, task, *arguments[queue[0]])
                except BrokenExecutor:
                    if executor is not None:
                        raise
                    broken = True
                else:
                    running[future] = queue.popleft()
            lost: list[int] = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                k, problem = running.pop(future), future.exception()
                if isinstance(problem, BrokenExecutor) and INTERRUPTED in str(problem):
                    raise KeyboardInterrupt
                if problem is None:
                    yield k, future.result()
                elif executor is not None or (alone and isinstance(problem, BrokenExecutor)):
                    yield k, problem
                elif not isinstance(problem, BrokenExecutor):
                    raise problem
                lost += [k] * isinstance(problem, BrokenExecutor)
            if executor is None and (lost or broken):
                # With one process all futures of the pool end; the culprit shows alone.
                suspects += [] if alone else [*lost, *running.values()]
                running.clear()
                pool.shutdown()
                pool = Pool(workers)
    finally:
        for future in running:
            future.cancel()
        if executor is None:
            pool.shutdown()


def _once(mark: str, task: Callable[..., Any], *arguments: Any) -> Any:
    """Do a task; dask would answer an equal call with the earlier result.

    It would also remember that its worker was lost.
    """
    return task(*arguments)


class Pool(Executor):
    """Processes that import no script and end at Ctrl-C, in the middle of their work.

    Parameters
    ----------
    workers : int
        How many.
    """

    def __init__(self, workers: int) -> None:
        from loky import ProcessPoolExecutor  # type: ignore[import-untyped]

        # Ctrl-C reaches the whole group: a worker ends at once instead of reporting half a chunk.
        end = signal.SIGINT, signal.SIG_DFL
        self._inner = ProcessPoolExecutor(
            workers, initializer=signal.signal, initargs=end, env=AROUND
        )

    def submit(self, task: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Begin a call."""
        future: Future[Any] = self._inner.submit(task, *given, **named)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """End the processes."""
        self._inner.shutdown(wait, kill_workers=cancel_futures)
