"""Run an ensemble of any procedure chunk by chunk, on processes or an executor, or read one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from flows.core.arrays import Array
from flows.core.deadline import Deadline
from flows.core.errors import InputError
from flows.core.files import checked_path
from flows.core.problem import INTERRUPTED, TIME_BUDGET
from flows.core.progress import member_bar
from flows.core.system import System
from flows.core.threads import cores
from flows.ensembles import memory, store
from flows.ensembles.chunk import Chunk
from flows.ensembles.member import LOST, ChunkTask, missing_rows, shapes
from flows.ensembles.result import Ensemble
from flows.ensembles.starts import Law, check_starts, fingerprint, part
from flows.ensembles.workers import AHEAD, Workers, finished
from flows.runs.given import given_at
from flows.runs.provenance import provenance
from flows.runs.request import check_count

__all__ = ["EnsembleRequest", "load_ensemble", "run_ensemble"]


@dataclass(frozen=True)
class EnsembleRequest:
    """What is kept of the members, and where they are computed.

    The parameters are those of :func:`flows.integrate_ensemble` after ``lanes``.
    """

    observables: Sequence[str] | None = None
    claims: Sequence[str] = ()
    workers: int | None = None
    executor: Executor | None = None
    out: str | os.PathLike[str] | None = None
    chunk_size: int | None = None
    progress: bool | Callable[[int], None] = False
    potentials: Mapping[str, sp.Expr] | None = None
    max_seconds: float | None = None


def run_ensemble(
    system: System, starts: Law | ArrayLike, procedure: Any, t: Array, request: EnsembleRequest
) -> Ensemble:
    """Ensemble of a procedure (``Flow`` or ``Descent``) with output times ``t``."""
    deadline, chunk_size = Deadline.after(request.max_seconds), request.chunk_size
    if request.workers is not None:
        check_count("workers", request.workers)
    hands = replace(_hands(procedure, request), deadline=deadline)
    observables = (system.leading,) if request.observables is None else request.observables
    for label, names in (("observables", observables), ("claims", request.claims)):
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise InputError(f"{label} must be a list of names, got {names!r}")
    size, given = check_starts(system, starts)
    known = {c.id for c in system.statements.claims}
    if unknown := [c for c in request.claims if c not in known]:
        raise InputError(f"unknown claim {unknown[0]!r}; known: {', '.join(sorted(known))}")
    if chunk_size is None:
        chunk_size = procedure.chunk_size(size, hands.most)
    check_count("chunk_size", chunk_size)
    own = given_at(system, system.initial(), request.potentials)
    kept = dict.fromkeys((*observables, *(p.name for p in own)))
    task = ChunkTask(
        system,
        procedure,
        len(t),
        shapes(system, kept, own),
        tuple(dict.fromkeys(request.claims)),
        own,
        deadline,
    )
    folder = None if request.out is None else checked_path(request.out)
    hands = _fitting(task, size, min(chunk_size, size), hands, folder)

    manifest = {**_manifest(task, given, t), "chunk_size": int(chunk_size)}
    if folder is not None:
        manifest = store.prepare(folder, manifest)
    step = manifest["chunk_size"]
    spans = [(first, min(step, size - first)) for first in range(0, size, step)]
    chunks = [
        Chunk(first, count, missing_rows(task, count, INTERRUPTED, "not computed"))
        for first, count in spans
    ]
    paths = [None if folder is None else store.chunk_path(folder, k) for k in range(len(spans))]
    pending = []
    for k, (path, (first, count)) in enumerate(zip(paths, spans, strict=True)):
        if path is not None and store.intact(path, count):
            chunks[k] = Chunk(first, count, path)
        else:
            pending.append(k)
    calls = [(part(given, *spans[k]), *spans[k]) for k in pending]
    there = size - sum(count for _, _, count in calls)
    with (
        contextlib.suppress(KeyboardInterrupt),
        member_bar(request.progress, there, size) as advance,
    ):
        for position, rows in finished(task, calls, hands, request.executor):
            k = pending[position]
            first, count = spans[k]
            path = paths[k]
            if isinstance(rows, BaseException):
                problem = f"the worker was lost: {type(rows).__name__}: {rows}"
                chunks[k] = Chunk(first, count, missing_rows(task, count, LOST, problem))
            elif path is None or (rows["status"] == TIME_BUDGET).any():
                # A folder holds only chunks that need not be computed again.
                chunks[k] = Chunk(first, count, rows)
            else:
                store.save(path, rows)
                chunks[k] = Chunk(first, count, path)
            advance(count)
    law = given if isinstance(given, Law) else None
    return Ensemble(system, t, law, tuple(chunks), task.shapes, task.claims, manifest)


def _manifest(task: ChunkTask, starts: Law | NDArray[Any], t: Array) -> dict[str, Any]:
    """Plain values that say what an ensemble is."""
    kind = type(task.procedure).__name__
    software = provenance(kind, task.procedure.provenance)
    own = {p.name: str(p.expression) for p in task.given}
    return {
        **({"potentials": own} if own else {}),
        "system": task.system.name,
        "parameters": task.system.parameters,
        "procedure": {"kind": kind, **task.procedure.provenance},
        "t": t.tolist(),
        "starts": asdict(starts) if isinstance(starts, Law) else fingerprint(starts),
        "shapes": {name: list(shape) for name, shape in task.shapes.items()},
        "claims": list(task.claims),
        "software": {key: software[key] for key in ("python", "machine", "versions")},
    }


def load_ensemble(folder: str | os.PathLike[str], system: System | None = None) -> Ensemble:
    """Read what an ensemble has written so far.

    Parameters
    ----------
    folder : path
        The ensemble's ``out``.
    system : System, optional
        Its :class:`~flows.OwnSystem`, if it is one, for methods that need its claims.

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

    path = checked_path(folder)
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
    task = ChunkTask(system, None, len(t), found, claims)
    chunks = []
    for k, first in enumerate(range(0, size, step)):
        count, file = min(step, size - first), store.chunk_path(path, k)
        whole = store.intact(file, count)
        lacking = None if whole else missing_rows(task, count, INTERRUPTED, "not computed")
        chunks.append(Chunk(first, count, file if lacking is None else lacking))
    return Ensemble(system, t, law, tuple(chunks), found, claims, manifest)


def _hands(procedure: Any, request: EnsembleRequest) -> Workers:
    """Who computes chunks; processes begin at once only where somebody asks for them."""
    count, given = request.workers, request.executor is not None
    if count is None:
        count = 1 if given or procedure.all_cores else cores()
    processes = count if count > 1 else 0
    if given:
        return Workers(0 if processes else 1, processes)
    if procedure.threads:
        return Workers(count, processes)
    return Workers(1 if request.workers in (None, 1) else 0, processes)


def _fitting(
    task: ChunkTask, size: int, chunk: int, hands: Workers, folder: Path | None
) -> Workers:
    """Who computes; refuse what does not fit into memory, and do without processes if these do not.

    They are needed where none of this process's threads begin.
    """
    row = 8 * task.times * sum(int(np.prod(shape)) for shape in task.shapes.values())
    _, state = task.system.reduce(task.system.initial())
    unknowns = sum(np.size(getattr(state, f.name)) for f in fields(state))
    times = 1 + len(task.procedure.request.followed(task.system.max_output_ratio))
    # Members that are followed together are in memory together.
    at_once = chunk if task.procedure.joins else task.procedure.runs_at_once(chunk)
    run = at_once * memory.run_bytes(unknowns, times)
    kept = size if folder is None else AHEAD * hands.most * chunk

    def needed(workers: Workers) -> int:
        return memory.demand(kept * row, chunk * row, run, workers.threads, workers.processes)

    if hands.threads and not memory.fits(needed(hands)):
        hands = replace(hands, processes=0)
    memory.require(needed(hands), size * row, folder)
    return hands
