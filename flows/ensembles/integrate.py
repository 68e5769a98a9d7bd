"""Many starts: random or given, on some processes or any executor, in memory or on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.problem import INTERRUPTED
from flows.core.system import System
from flows.ensembles import memory, store
from flows.ensembles.member import LOST, Flow, Job, Law, missing_rows, shapes
from flows.ensembles.result import Chunk, Ensemble
from flows.ensembles.workers import AHEAD, finished
from flows.runs.integrate import MAX_STEPS, check_options, output_times
from flows.runs.trajectory import provenance

__all__ = ["Ensemble", "Law", "integrate_ensemble", "load_ensemble"]

#: Engines of :func:`integrate_ensemble`.
ENGINES = ("cpu", "jax")


def integrate_ensemble(
    system: System,
    starts: Law | ArrayLike,
    t_end: float,
    t_eval: Sequence[float] | Array | None = None,
    method: str = "auto",
    rtol: float = 1e-10,
    atol: float | None = None,
    max_steps: int = MAX_STEPS,
    *,
    engine: str = "cpu",
    lanes: int | None = None,
    observables: Sequence[str] = ("loss",),
    claims: Sequence[str] = (),
    workers: int = 1,
    executor: Executor | None = None,
    out: str | os.PathLike[str] | None = None,
    chunk_size: int | None = None,
    progress: bool = False,
) -> Ensemble:
    r"""Follow ``dy/dt = -grad L(y)`` from many starts.

    Parameters
    ----------
    system : System
        The flow.
    starts : Law or array_like, shape (members, ...)
        A law of random starts, or the starts.
    t_end, t_eval, method, rtol, atol, max_steps
        As for :func:`flows.integrate.integrate`; they concern each member.
    engine : {"cpu", "jax"}
        ``cpu`` integrates one member after the other. ``jax`` is one compiled program for many
        members, on the device that JAX has (CPU or GPU), by ``diffrax-rodas5p`` in 64 bits
        (``JAX_ENABLE_X64=1``), for ``ReLUNeuron`` and ``MatrixFactorization``.
    lanes : int, optional
        Members side by side in the engine ``jax``; 64 on a CPU and 4096 on a GPU by default.
    observables : sequence of str
        What is kept of each member; with local exponents where the rate is known.
    claims : sequence of str
        Ids of claims that are checked on each member.
    workers : int
        Processes, started by spawn (a script needs ``if __name__ == "__main__":``); 1 is this
        process. With an executor: how many workers it has. The engine ``jax`` computes on all
        cores, or on the GPU, from one; on a GPU more of them share what
        ``XLA_PYTHON_CLIENT_PREALLOCATE=false`` leaves.
    executor : Executor, optional
        Where chunks are computed, any :class:`concurrent.futures.Executor`.
    out : path, optional
        Folder for the result, chunk by chunk; without it the result is in memory. If the folder
        has chunks of the same ensemble, only the others are computed.
    chunk_size : int, optional
        Members a chunk. A folder that was begun keeps its own.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Ensemble
        A member that fails has its status and message in its row. After Ctrl-C the members that
        were not computed have the status ``interrupted``; those whose worker process died twice
        have ``worker_lost``.

    Raises
    ------
    InputError
        For arguments that cannot be used by any member, a folder of another ensemble, and a
        request that does not fit into memory or on the disk: before anything runs.

    Notes
    -----
    Nothing in a row depends on the other members: a member's random numbers come from (seed,
    index), and BLAS uses one thread. So on one machine the result is the same bit for bit for any
    number of workers, size and order of chunks, and number of interruptions. The engine ``jax``
    fills lanes that are empty, so that this holds for it too, at one number of lanes; another
    number rounds differently.

    Examples
    --------
    >>> import flows
    >>> e = integrate_ensemble(flows.ReLUNeuron(n=1, d=2), Law(size=3), t_end=10.0, rtol=1e-6)
    >>> e["loss"].shape == (3, len(e.t)), e.status.tolist()
    (True, ['completed', 'completed', 'completed'])
    """
    times = output_times(t_end, t_eval)
    _whole("max_steps", max_steps)
    check_options(method, rtol, atol, max_steps)
    explicit = None if t_eval is None else tuple(times.tolist())
    flow: Any = Flow(float(t_end), explicit, method, float(rtol), atol, int(max_steps))
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    if lanes is not None:
        _whole("lanes", lanes)
        if engine != "jax":
            raise InputError("lanes are those of the engine jax; leave them out")
    if engine == "jax":
        from flows.ensembles.batch_jax import batch

        flow = batch(flow, system, lanes)
    return follow(
        system,
        starts,
        flow,
        np.concatenate([[0.0], times]),
        observables=observables,
        claims=claims,
        workers=workers,
        executor=executor,
        out=out,
        chunk_size=chunk_size,
        progress=progress,
    )


def follow(
    system: System,
    starts: Law | ArrayLike,
    procedure: Any,
    t: Array,
    *,
    observables: Sequence[str],
    claims: Sequence[str],
    workers: int,
    executor: Executor | None,
    out: str | os.PathLike[str] | None,
    chunk_size: int | None,
    progress: bool,
) -> Ensemble:
    """Ensemble of any procedure, with output times ``t``; see :func:`integrate_ensemble`."""
    _whole("workers", workers)
    size, given = _checked_starts(system, starts)
    known = {c.id for c in system.statements.claims}
    if unknown := [c for c in claims if c not in known]:
        raise InputError(f"unknown claim {unknown[0]!r}; known: {', '.join(sorted(known))}")
    if chunk_size is None:
        chunk_size = procedure.chunk_size(size, workers)
    _whole("chunk_size", chunk_size)
    job = Job(
        system,
        procedure,
        len(t),
        shapes(system, dict.fromkeys(observables)),
        tuple(dict.fromkeys(claims)),
    )
    folder = None if out is None else Path(out)
    _fits(job, size, min(chunk_size, size), workers, folder)

    kind = type(procedure).__name__
    about = provenance(kind, asdict(procedure))
    manifest = {
        "system": system.name,
        "parameters": system.parameters,
        "procedure": {"kind": kind, **asdict(procedure)},
        "t": t.tolist(),
        "starts": asdict(given) if isinstance(given, Law) else _fingerprint(given),
        "shapes": {name: list(shape) for name, shape in job.shapes.items()},
        "claims": list(job.claims),
        "software": {key: about[key] for key in ("python", "machine", "versions")},
        "chunk_size": int(chunk_size),
    }
    if folder is not None:
        manifest = store.prepare(folder, manifest)
    step = manifest["chunk_size"]
    spans = [(first, min(step, size - first)) for first in range(0, size, step)]
    chunks = [
        Chunk(first, count, missing_rows(job, count, INTERRUPTED, "not computed"))
        for first, count in spans
    ]
    paths = [None if folder is None else store.chunk_path(folder, k) for k in range(len(spans))]
    pending = []
    for k, (path, (first, count)) in enumerate(zip(paths, spans, strict=True)):
        if path is not None and store.intact(path, count):
            chunks[k] = Chunk(first, count, path)
        else:
            pending.append(k)
    calls = [(_part(given, *spans[k]), *spans[k]) for k in pending]
    there = size - sum(count for _, _, count in calls)
    with contextlib.suppress(KeyboardInterrupt), _bar(progress, there, size) as advance:
        for position, rows in finished(job, calls, workers, executor):
            k = pending[position]
            first, count = spans[k]
            path = paths[k]
            if isinstance(rows, BaseException):
                problem = f"the worker was lost: {type(rows).__name__}: {rows}"
                chunks[k] = Chunk(first, count, missing_rows(job, count, LOST, problem))
            elif path is None:
                chunks[k] = Chunk(first, count, rows)
            else:
                store.save(path, rows)
                chunks[k] = Chunk(first, count, path)
            advance(count)
    law = given if isinstance(given, Law) else None
    return Ensemble(system, t, law, tuple(chunks), job.shapes, job.claims, manifest)


def load_ensemble(folder: str | os.PathLike[str], system: System | None = None) -> Ensemble:
    """Read what an ensemble has written so far.

    Parameters
    ----------
    folder : path
        The ensemble's ``out``.
    system : System, optional
        Its :class:`~flows.OwnSystem`, if it is one, for what takes the claims.

    Returns
    -------
    Ensemble
        Members whose chunk is missing or damaged have the status ``interrupted``.

    Raises
    ------
    InputError
        If the folder is not an ensemble's.
    """
    from flows.systems.registry import recall

    path = Path(folder)
    manifest = store.read_manifest(path)
    try:
        system = recall(manifest["system"], manifest["parameters"], system)
        starts = manifest["starts"]
        law = Law(**starts) if "seed" in starts else None
        size, step = int(starts["size"]), int(manifest["chunk_size"])
        found = {name: tuple(shape) for name, shape in manifest["shapes"].items()}
        t, claims = np.array(manifest["t"], dtype=float), tuple(manifest["claims"])
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(f"{folder} has a damaged {store.MANIFEST}: {problem}") from None
    job = Job(system, None, len(t), found, claims)
    chunks = []
    for k, first in enumerate(range(0, size, step)):
        count, file = min(step, size - first), store.chunk_path(path, k)
        whole = store.intact(file, count)
        lacking = None if whole else missing_rows(job, count, INTERRUPTED, "not computed")
        chunks.append(Chunk(first, count, file if lacking is None else lacking))
    return Ensemble(system, t, law, tuple(chunks), found, claims, manifest)


def _checked_starts(system: System, starts: Law | ArrayLike) -> tuple[int, Law | NDArray[Any]]:
    """Number of members, and the law or an array that is right in all but single members."""
    if isinstance(starts, Law):
        starts.start(system, 0)
        return starts.size, starts
    try:
        array = np.array(starts)
    except ValueError:
        raise InputError("starts must be an array, one start a member; its rows differ") from None
    shape = system.initial().shape
    if array.dtype.kind not in "iufc" or array.shape[1:] != shape or not len(array):
        raise InputError(
            f"starts must be a Law or numbers of shape (members, "
            f"{', '.join(map(str, shape))}), got {array.dtype} of shape"
            f" {array.shape}"
        )
    return len(array), array


def _fingerprint(array: NDArray[Any]) -> dict[str, Any]:
    seen = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {
        "size": len(array),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": seen,
    }


def _part(starts: Law | NDArray[Any], first: int, count: int) -> Law | NDArray[Any]:
    return starts if isinstance(starts, Law) else starts[first : first + count]


def _fits(job: Job, size: int, chunk: int, workers: int, folder: Path | None) -> None:
    row = 8 * job.times * sum(int(np.prod(shape)) for shape in job.shapes.values())
    _, state = job.system.reduce(job.system.initial())
    unknowns = sum(np.size(getattr(state, f.name)) for f in fields(state))
    run = job.procedure.runs_at_once(chunk) * memory.run_bytes(unknowns, job.times)
    kept = size if folder is None else AHEAD * workers * chunk
    memory.require(memory.demand(kept * row, chunk * row, run, workers), size * row, folder)


def _whole(name: str, value: Any) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 1:
        raise InputError(f"{name} must be an integer >= 1, got {value!r}")


@contextlib.contextmanager
def _bar(progress: bool, there: int, size: int) -> Iterator[Callable[[int], None]]:
    """Progress bar in members, with rate and time left, or nothing."""
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
