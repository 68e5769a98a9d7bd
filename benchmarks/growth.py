"""How time and memory grow with neurons, dimension and the number of members.

Every row is a process of its own, forked when all is compiled, so that the peak memory is its own;
times are those of the processor, BLAS on one thread. A run that has not ended after the limit is
stopped, and its row says how far it came. Ensembles take all cores, and have the clock beside the
processor; long ones begin processes, whose times and memory count. Starts have neurons of length
0.22 whatever d. A slope is the log-log one between a row and the one before. Run

    python benchmarks/growth.py [--quick] [--limit SECONDS] [--part n|d|members|systems]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ensemble import one_thread, table
from machine import describe
from rich.console import Console
from rich.progress import track
from rich.table import Table

import flows
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.result import Ensemble
from flows.ensembles.starts import Law

T_END, RTOL = 1e9, 1e-8
NEURONS = (2, 4, 8, 16, 32, 64)
DIMENSIONS = (2, 10, 100, 1000, 10_000, 100_000)
MEMBERS = (1, 10, 100, 1000, 10_000, 100_000)
METHODS = ("auto", "Rodas5P")
LENGTH = 0.22
# Members are followed to here at this tolerance.
SHORT, ROUGH = 1e3, 1e-6
# A single run is timed so often, the best counts; one that takes so many seconds, once.
REPEATS, LONG = 3, 1.0
# On a busy machine the clock runs so much faster than the processor's.
BUSY = 10


def peak() -> float:
    """Peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def spent() -> float:
    """Seconds of the processor: of this process, and of those that it has begun and that ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def peak_of_all(processes: int) -> float:
    """Peak memory in MB of this process and at most so many others that it has begun."""
    return peak() + processes * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3


def compile_all() -> None:
    """Compile what the runs need: at most 64 unknowns Rodas5P solves side by side."""
    one_thread()
    for n, d in ((3, 5), (8, 9)):
        system = flows.ReLUNeuron(n, d)
        for method in METHODS:
            flows.integrate(
                system, system.initial(0.1, 1), T_END, [T_END], method=method, rtol=RTOL
            )
    for method in METHODS:
        members(2, method)


def single(n: int, d: int, method: str, limit: float) -> dict[str, Any]:
    """One run in this process."""
    before = peak()
    system = flows.ReLUNeuron(n, d)
    start = system.initial(LENGTH / math.sqrt(d), seed=0)
    signal.signal(signal.SIGPROF, signal.default_int_handler)  # a run ends as after Ctrl-C
    signal.setitimer(signal.ITIMER_PROF, limit)
    run, seconds = flows.integrate(system, start, T_END, method=method, rtol=RTOL), math.inf
    for _ in range(REPEATS):  # the first run pays for what a fork shares
        begun = time.process_time()
        run = flows.integrate(system, start, T_END, method=method, rtol=RTOL)
        seconds = min(seconds, time.process_time() - begun)
        if seconds > LONG or run.status == "interrupted":
            break
    signal.setitimer(signal.ITIMER_PROF, 0)
    return {
        "seconds": seconds,
        "t": float(run.t[-1]),
        "steps": run.stats["steps"],
        "status": run.status,
        "peak": peak(),
        "more": peak() - before,
    }


def members(size: int, method: str) -> dict[str, Any]:
    """One ensemble on disk, in this process."""
    system, before, workers = flows.ReLUNeuron(2, 2), peak(), os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "ensemble"

        def run() -> tuple[float, float, Ensemble]:
            begun, used = time.perf_counter(), spent()
            found = integrate_ensemble(system, Law(size), SHORT, method=method, rtol=ROUGH, out=out)
            found.quantiles()
            return time.perf_counter() - begun, spent() - used, found

        clock, seconds, found = run()
        _, again, _ = run()
        disk = sum(os.path.getsize(path) for path in out.iterdir()) / 1e6
        completed = found.completed
    return {
        "clock": clock,
        "seconds": seconds,
        "again": again,
        "disk": disk,
        "completed": completed,
        "peak": peak_of_all(workers),
        "more": peak_of_all(workers) - before,
    }


def apart(what: Callable[..., dict[str, Any]], limit: float, *arguments: Any) -> dict[str, Any]:
    """Result of a function in a process of its own, or only a status if it did not end."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    process = fork.Process(target=lambda: there.send(what(*arguments)))
    process.start()
    there.close()
    try:
        return dict(here.recv()) if here.poll(limit) else {"status": "no answer"}
    except EOFError:
        process.join()
        return {"status": f"exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def slope(now: float, before: float | None, size: float, last: float) -> str:
    """Log-log slope between two rows."""
    known = before is not None and before > 0 and now > 0
    return f"{math.log(now / before) / math.log(size / last):.1f}" if known else ""


def runs(title: str, sizes: list[tuple[int, int]], limit: float) -> Table:
    """Table of single runs; the slope is by what changes, n or d."""
    made = table(
        f"{title}, to t = {T_END:g} at rtol {RTOL:g}; limit {limit:g} s",
        "method",
        "n",
        "d",
        "unknowns",
        "seconds",
        "slope",
        "steps",
        "ms a step",
        "slope",
        "peak MB",
        "of it the run's",
        "t reached",
        "note",
    )
    jobs = [(method, n, d) for method in METHODS for n, d in sizes]
    last: dict[str, tuple[float, float | None, float | None]] = {}
    for method, n, d in track(jobs, title, console=Console(stderr=True), transient=True):
        found = apart(single, BUSY * limit, n, d, method, limit)
        size = n if sizes[0][0] != sizes[-1][0] else d
        before = last.get(method, (1.0, None, None))
        ended = found["status"] == "completed"
        note = "" if ended else found["status"]
        seconds = found.get("seconds")
        each = seconds / max(1, found["steps"]) if seconds else None
        row = [method, f"{n}", f"{d}", f"{n * min(n + 1, d)}"]
        if seconds is None or each is None:
            made.add_row(*row, *[""] * 8, note)
        else:
            by_time = slope(seconds, before[1], size, before[0]) if ended else ""
            made.add_row(
                *row,
                f"{seconds:.3f}",
                by_time,
                f"{found['steps']}",
                f"{1e3 * each:.3f}",
                slope(each, before[2], size, before[0]),
                f"{found['peak']:.0f}",
                f"{found['more']:.0f}",
                f"{found['t']:.1e}",
                note,
            )
        last[method] = (size, seconds if ended else None, each)
        if (method, n, d) == (method, *sizes[-1]):
            made.add_section()
    return made


def ensembles(sizes: tuple[int, ...], limit: float) -> Table:
    """Table of ensembles by their number of members."""
    made = table(
        f"ensembles on disk, n = 2, d = 2, to t = {SHORT:g} at rtol {ROUGH:g}, as called",
        "members",
        "seconds",
        "slope",
        "by the clock",
        "ms a member",
        "resume, s",
        "peak MB",
        "of it the run's",
        "MB on disk",
        "completed",
    )
    last: tuple[float, float | None] = (1.0, None)
    for size in track(sizes, "members", console=Console(stderr=True), transient=True):
        found = apart(members, limit, size, "auto")
        if "seconds" not in found:
            made.add_row(f"{size}", *[""] * 8, found["status"])
            continue
        seconds = found["seconds"]
        made.add_row(
            f"{size}",
            f"{seconds:.2f}",
            slope(seconds, last[1], size, last[0]),
            f"{found['clock']:.2f}",
            f"{1e3 * seconds / size:.2f}",
            f"{found['again']:.2f}",
            f"{found['peak']:.0f}",
            f"{found['more']:.0f}",
            f"{found['disk']:.2f}",
            f"{found['completed']}",
        )
        last = size, seconds
    return made


def some(system: Any, length: float, t_end: float, size: int, workers: int) -> dict[str, Any]:
    """An ensemble as it is called, in this process; entries of starts shrink with the dimension."""
    scale = length / math.sqrt(system.d)
    starts = np.array([system.initial(scale, seed) for seed in range(size)])
    begun, used = time.perf_counter(), spent()
    found = integrate_ensemble(system, starts, t_end, rtol=RTOL, workers=workers)
    return {
        "seconds": time.perf_counter() - begun,
        "spent": spent() - used,
        "completed": found.completed,
    }


def systems(quick: bool, limit: float) -> Table:
    """Table of ensembles of the other systems: members, neurons or components, dimension, workers.

    What is compiled for one row is there for the next ones.
    """
    made = table(
        f"other systems as called, rtol {RTOL:g}; workers are threads where steps are compiled",
        "what",
        "t",
        "members",
        "workers",
        "ms a member",
        "of a core",
        "completed",
    )
    layers, em, score = flows.MatrixFactorization, flows.GMMEM, flows.ScoreMatching
    far, few = (100, 8) if quick else (10_000, 32)
    rows = [
        *((layers(3), 0.6, 20.0, size, 1) for size in (1, 16, 4 * few)),
        (layers(3), 0.6, 20.0, 4 * few, 2),
        *((layers(d), 0.6, 5.0, few, 1) for d in (2, 3, 6, 10)),
        *((layers(3, depth=depth), 0.6, 20.0, few, 1) for depth in (2, 3, 6)),
        *((kind(n, 2), 0.7, 1e2, 2, 1) for kind in (em, score) for n in (2, 3, 4)),
        *((kind(2, d), 0.7, 1e2, 2, 1) for kind in (em, score) for d in (10, far)),
    ]
    for system, length, t_end, size, workers in track(
        rows, "systems", console=Console(stderr=True), transient=True
    ):
        # Compile: two members, since one may not come through all forms of a mixture, and what the
        # other needs is then compiled within the limit.
        some(system, length, t_end, min(size, 2), 1)
        found = apart(some, BUSY * limit, system, length, t_end, size, workers)
        sizes = {k: x for k, x in system.parameters.items() if k in ("n", "d", "depth")}
        label = ", ".join([system.name, *(f"{k} = {x}" for k, x in sizes.items())])
        if "seconds" not in found:
            made.add_row(label, f"{t_end:g}", f"{size}", f"{workers}", "", "", found["status"])
            continue
        made.add_row(
            label,
            f"{t_end:g}",
            f"{size}",
            f"{workers}",
            f"{1e3 * found['seconds'] / size:.1f}",
            f"{1e3 * found['spent'] / size:.1f}",
            f"{found['completed']}",
        )
    return made


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, short limit")
    parser.add_argument("--limit", type=float, help="seconds for a run (30; 3)")
    parser.add_argument("--part", choices=("n", "d", "members", "systems"), help="only this table")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(describe())
    if options.part != "systems":
        compile_all()
    quick, part = options.quick, options.part
    limit = options.limit or (3.0 if quick else 30.0)
    if part in (None, "n"):
        few = NEURONS[:4] if quick else NEURONS
        console.print(runs("neurons, d = 5", [(n, 5) for n in few], limit))
        console.print(runs("neurons, d = n", [(n, n) for n in few], limit))
    if part in (None, "d"):
        console.print(runs("dimension, n = 3", [(3, d) for d in DIMENSIONS], limit))
    if part in (None, "members"):
        sizes = MEMBERS[:4] if quick else MEMBERS
        console.print(ensembles(sizes, 2 * BUSY * limit))
    if part in (None, "systems"):
        console.print(systems(quick, limit))


if __name__ == "__main__":
    main()
