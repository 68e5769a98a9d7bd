"""Work and precision: popflow against a script and against other tools, used as one uses them.

The flow of the ReLU neuron from several starts, warm. Times are those of the processor, which a
busy machine does not lengthen; limits are those of the clock. The error is that of the loss at the
end, against Radau at rtol 1e-13; every tool's own state counts with all its digits. What is written
by hand for each tool is in `benchmarks/by_hand.py`; each runs in a process of its own that is
stopped when its time is up. Run

    python benchmarks/others.py [--quick] [--limit SECONDS] [--tool NAME ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Timer
from typing import NamedTuple

import numpy as np
from ensemble import SCALE, T_END, Array, D, N, error, one_thread, residual_loss, script, table
from machine import describe
from rich.console import Console
from rich.progress import track
from rich.table import Table

import flows
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.starts import Law

RTOLS = (1e-8, 1e-10)
TIGHT = 1e-13
SYSTEM = flows.ReLUNeuron(N, D)
# Rodas5P is for many runs: so many side by side.
TOGETHER = 128
# By-hand tools: what a row says. All in plain t.
TOOLS = {
    "casadi": "CasADi, CVODES, residual",
    "jitcode": "JiTCODE, LSODA, residual",
    "heyoka": "heyoka, Taylor series, residual",
    "diffrax": "diffrax, Kvaerno5, residual",
    "diffrax-arccos": "diffrax, Kvaerno5, neurons and arccos",
}
# Imports and compilation are not a tool's time, but must end too.
STARTUP = 120.0


class Work(NamedTuple):
    """What a tool did: seconds a start, and of every start loss and time that was reached."""

    seconds: float
    losses: Array
    reached: Array
    note: str


def alone(method: str, rtol: float, starts: list[Array]) -> Work:
    """One run after the other with popflow."""
    begun = time.process_time()
    flows.integrate(SYSTEM, starts[0], T_END, [T_END], method, rtol)
    first, begun = time.process_time() - begun, time.process_time()
    runs = [flows.integrate(SYSTEM, start, T_END, [T_END], method, rtol) for start in starts]
    seconds = (time.process_time() - begun) / len(starts)
    return Work(
        seconds,
        np.array([run["loss"][-1] for run in runs]),
        np.array([run.t[-1] for run in runs]),
        f"first {first:.1f} s",
    )


def together(rtol: float, starts: list[Array]) -> Work:
    """Many runs side by side with popflow; the first ones are those of the others."""
    law = Law(TOGETHER, SCALE)
    begun = time.process_time()
    integrate_ensemble(SYSTEM, law, 1.0, [1.0], "Rodas5P", rtol)
    first, begun = time.process_time() - begun, time.process_time()
    found = integrate_ensemble(SYSTEM, law, T_END, [T_END], "Rodas5P", rtol)
    seconds = (time.process_time() - begun) / TOGETHER
    losses = found["loss"][: len(starts), -1]
    note = f"{TOGETHER} side by side, {found.completed} completed; first {first:.1f} s"
    return Work(seconds, losses, np.where(np.isfinite(losses), T_END, 0.0), note)


def clocked(start: Array, rtol: float) -> tuple[float, float, float]:
    """Seconds of the script, its loss and how far it came."""
    begun = time.process_time()
    found = script(start, rtol)
    return time.process_time() - begun, *found


def scripted(rtol: float, starts: list[Array], limit: float) -> Work:
    """The NumPy script of `benchmarks/ensemble.py`, in a process of its own."""
    rows: list[tuple[float, float, float]] = []
    with multiprocessing.get_context("spawn").Pool(1, one_thread) as pool:
        pool.apply(script, (starts[0], 1e-3))
        begun = time.perf_counter()
        for start in starts:
            left = limit - (time.perf_counter() - begun)
            try:
                rows.append(pool.apply_async(clocked, (start, rtol)).get(max(left, 0.0)))
            except multiprocessing.TimeoutError:
                break
    return work(starts, rows)


def by_hand(tool: str, rtol: float, starts: list[Array], limit: float) -> Work:
    """A tool in a process of its own, as far as it comes in time."""
    job = {"starts": [start.tolist() for start in starts], "rtol": rtol, "t_end": T_END}
    command = [sys.executable, str(Path(__file__).resolve().with_name("by_hand.py")), tool]
    cold, last = None, {}
    # JiTCODE builds in the current folder, and would read the project's settings there.
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        timer = Timer(STARTUP, process.kill)
        timer.start()
        for line in process.stdout:
            found = json.loads(line) if line.startswith("{") else {}  # compilers talk
            if "cold" in found:
                timer.cancel()
                cold, timer = found["cold"], Timer(limit, process.kill)
                timer.start()
            elif found:
                last[found["start"]] = found
        timer.cancel()
    if cold is None:
        return work(starts, [], "", f"not ready after {STARTUP:g} s, or failed")
    rows = []
    for found in last.values():
        y = np.array(found["state"], float)
        loss = np.nan
        if found["t"] >= T_END and np.isfinite(y).all():
            raw = tool == "diffrax-arccos"
            loss = SYSTEM.loss(y.reshape(N, D)) if raw else residual_loss(y)
        rows.append((found["seconds"], loss, found["t"]))
    told = next((found["note"] for found in last.values() if found["note"]), "")
    return work(starts, rows, told, f"first {cold:.1f} s")


def work(starts: list[Array], rows: list[tuple[float, float, float]], *notes: str) -> Work:
    """Work of the starts that were begun: seconds, loss and time reached of each."""
    done = [row for row in rows if row[2] >= T_END]
    losses, reached = np.full(len(starts), np.nan), np.zeros(len(starts))
    for k, (_, loss, t) in enumerate(rows):
        losses[k], reached[k] = loss, t
    seconds = float(np.mean([row[0] for row in done])) if done else np.inf
    spent = [] if done else [f"{rows[-1][0]:.0f} s at most"] if rows else []
    finished = [] if len(done) == len(starts) else [f"{len(done)} of {len(starts)} ended"]
    return Work(seconds, losses, reached, "; ".join(filter(None, [*notes, *finished, *spent])))


def compare(size: int, rtols: tuple[float, ...], limit: float, tools: list[str]) -> Table:
    """Table of all at all tolerances."""
    law = Law(size, SCALE)
    starts = [law.start(SYSTEM, k) for k in range(size)]
    radau = [flows.integrate(SYSTEM, s, T_END, [T_END], "Radau", TIGHT) for s in starts]
    truth = np.array([run["loss"][-1] for run in radau])
    exact = flows.integrate(SYSTEM, starts[0], T_END, [T_END], "reference")["loss"][-1]
    made = table(
        f"n = {N}, d = {D}, scale {SCALE}, {size} starts, to t = {T_END:g}; truth against "
        f"50 digits: {abs(truth[0] / exact - 1):.0e}; limit {limit:g} s",
        "what",
        "rtol",
        "ms a run",
        "ratio",
        "error of L(T), median / largest",
        "t reached",
        "note",
    )
    jobs = [(f"popflow, {m}", lambda r, m=m: alone(m, r, starts)) for m in ("auto", "Rodas5P")]
    jobs.append(("popflow, Rodas5P, many", lambda r: together(r, starts)))
    jobs.append(("NumPy script, LSODA, residual", lambda r: scripted(r, starts, limit)))
    for tool in tools:
        jobs.append((TOOLS[tool], lambda r, t=tool: by_hand(t, r, starts, limit)))
    base: dict[float, float] = {}
    missing = [tool for tool in tools if importlib.util.find_spec(tool.partition("-")[0]) is None]
    for what, job in track(jobs, "tools", console=Console(stderr=True), transient=True):
        if what in [TOOLS[tool] for tool in missing]:
            made.add_row(what, "", "", "", "", "", "not installed", end_section=True)
            continue
        for rtol in rtols:
            found: Work = job(rtol)
            base.setdefault(rtol, found.seconds)
            ended = np.isfinite(found.seconds)
            begun = found.reached[found.reached > 0]
            made.add_row(
                what,
                f"{rtol:g}",
                f"{1e3 * found.seconds:.1f}" if ended else "",
                f"{found.seconds / base[rtol]:.2f}" if ended else "",
                error(found.losses, truth) if np.isfinite(found.losses).any() else "",
                f"{begun.min():.1e}" if len(begun) else "",
                found.note,
                end_section=rtol == rtols[-1],
            )
    return made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two starts, one tolerance")
    parser.add_argument("--limit", type=float, help="seconds for a tool (40; 10)")
    parser.add_argument("--tool", action="append", choices=TOOLS, help="only these of the others")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(describe())
    one_thread()
    quick = options.quick
    limit = options.limit or (10.0 if quick else 40.0)
    tools = options.tool or list(TOOLS)
    console.print(compare(2 if quick else 8, RTOLS[:1] if quick else RTOLS, limit, tools))


if __name__ == "__main__":
    main()
