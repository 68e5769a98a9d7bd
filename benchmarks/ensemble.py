"""Ensembles: throughput against a script, error beside time, descents, the JAX engine.

Every ratio is of two numbers of the same run. The script is what one writes by hand: the residual
as a variable, plain t, `solve_ivp(LSODA)`, in as many processes. Run

    python benchmarks/ensemble.py [--quick] [--workers W]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import numpy as np
from machine import describe
from mpmath import mp
from numpy.typing import NDArray
from oracle_path import PATHS
from rich.console import Console
from rich.table import Table
from scipy.integrate import solve_ivp

import flows
from flows.ensembles.descend import CHUNK, descend_ensemble
from flows.ensembles.integrate import integrate_ensemble
from flows.ensembles.result import Ensemble
from flows.ensembles.starts import Law

sys.path.extend(PATHS)
from oracles.relu_neuron import loss as exact_loss

N, D, SCALE, T_END, RTOL = 3, 5, 0.1, 1e9, 1e-8
# Of losses of scripts: their absolute error is far below any of them.
DIGITS = 60
# A tolerance at which the other methods are as right as they need to be.
TRUTH = 1e-12
FIGURE_1 = (1, 2, 5, 10)
# Members of the JAX engine where it has a GPU.
ON_GPU = 100_000
Array = NDArray[np.float64]


def script_field(t: float, y: Array, n: int, d: int) -> Array:
    """Gradient flow of Xu & Du in NumPy: the residual, and the neurons but the last."""
    v = np.eye(1, d)[0]
    residual, rest = y[:d], y[d:].reshape(n - 1, d)
    w = np.vstack([rest, residual + v - rest.sum(axis=0)])
    norms = np.linalg.norm(w, axis=1)
    units = w / norms[:, None]
    pairs = units[:, None] - units[None]
    between = 2 * np.arcsin(np.clip(np.linalg.norm(pairs, axis=2) / 2, 0, 1))
    theta = 2 * np.arcsin(np.clip(np.linalg.norm(units - v, axis=1) / 2, 0, 1))
    along = (np.sin(between) - between) @ norms - (np.sin(theta) - theta)
    turn = np.einsum("ij,j,ija->ia", between, norms, pairs) - theta[:, None] * (units - v)
    slope = -0.5 * residual - (along[:, None] * units + turn) / (2 * np.pi)
    return np.concatenate([slope.sum(axis=0), slope[:-1].ravel()])


def script(start: Array, rtol: float = RTOL) -> tuple[float, float]:
    """Loss at the end by hand, and the time that was reached."""
    v = np.eye(1, D)[0]
    y0 = np.concatenate([start.sum(axis=0) - v, start[:-1].ravel()])
    with np.errstate(all="ignore"):
        run = solve_ivp(
            script_field, (0.0, T_END), y0, method="LSODA", rtol=rtol, atol=1e-20, args=(N, D)
        )
    return residual_loss(run.y[:, -1]), float(run.t[-1])


def residual_loss(y: Array) -> float:
    """Loss of residual coordinates; their last neuron has more digits than a double holds."""
    v, rest = np.eye(1, D)[0], y[D:].reshape(N - 1, D)
    with mp.workdps(DIGITS):
        last = [mp.fsum([y[a], v[a], *-rest[:, a]]) for a in range(D)]
        return float(exact_loss([*rest.tolist(), last], v.tolist(), DIGITS))


def by_hand(law: Law, pool: Executor, workers: int) -> tuple[float, Array, Array]:
    """Seconds for all members, with losses and times reached."""
    starts = [law.start(flows.ReLUNeuron(N, D), k) for k in range(law.size)]
    list(pool.map(script, starts[:workers]))
    begun = time.perf_counter()
    found = np.array(list(pool.map(script, starts)))
    return time.perf_counter() - begun, found[:, 0], found[:, 1]


def one_thread() -> None:
    """Let scripts and ensembles run both with one thread of BLAS a process."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def timed(run: Callable[[], Ensemble]) -> tuple[float, Ensemble]:
    """Seconds of wall time, and the result."""
    begun = time.perf_counter()
    found = run()
    return time.perf_counter() - begun, found


def error(losses: Array, truth: Array) -> str:
    """Median and largest relative error of the losses at the end."""
    found = np.abs(losses / truth - 1)
    return f"{np.nanmedian(found):.1e} / {np.nanmax(found):.1e}"


def table(title: str, *headings: str) -> Table:
    """Table with all but the first column to the right."""
    made = Table(title=title)
    for heading in headings:
        made.add_column(heading, justify="left" if heading in ("what", "note") else "right")
    return made


def throughput(size: int, scripted: int, pool: Executor, workers: int) -> Table:
    """Work and precision of an ensemble, against the script on its first members."""
    system, law = flows.ReLUNeuron(N, D), Law(size, SCALE)
    made = table(
        f"n = {N}, d = {D}, scale {SCALE}, to t = {T_END:g}, {workers} cores, warm",
        "what",
        "rtol",
        "members",
        "ms a member",
        "ratio",
        "error of L(T), median / largest",
        "note",
    )
    shared: dict[str, Any] = {"workers": workers, "executor": pool}
    # Of as many members as the script has: each takes a second.
    some = Law(scripted, SCALE)
    truth = integrate_ensemble(system, some, T_END, [T_END], rtol=TRUTH, **shared)["loss"][:, -1]
    seconds, losses, reached = by_hand(some, pool, workers)
    base = seconds / scripted
    made.add_row(
        "script",
        f"{RTOL:g}",
        f"{scripted}",
        f"{1e3 * base:.1f}",
        "1",
        error(losses, truth),
        f"{int(np.sum(reached < T_END))} stopped early",
    )
    ways: dict[str, dict[str, Any]] = {
        "as called": {},
        "LSODA, processes": {"method": "LSODA", **shared},
        "Rodas5P, processes": {"method": "Rodas5P", **shared},
    }
    for label, options in ways.items():
        few = Law(4 * workers, SCALE)
        cold, _ = timed(
            lambda o=options, s=few: integrate_ensemble(system, s, 1.0, chunk_size=1, **o)
        )
        for rtol in (1e-6, RTOL):
            whole, found = timed(
                lambda o=options, r=rtol: integrate_ensemble(system, law, T_END, rtol=r, **o)
            )
            each = whole / size
            made.add_row(
                f"popflow, {label}",
                f"{rtol:g}",
                f"{size}",
                f"{1e3 * each:.2f}",
                f"{base / each:.0f}",
                error(found["loss"][:scripted, -1], truth),
                f"{found.completed} completed; cold + {cold:.1f} s",
            )
    return made


def descents(size: int, steps: int, pool: Executor, workers: int) -> Table:
    """Figure 1 from many seeds: members side by side, against one after the other."""
    made = table(
        f"gradient descent, d = 10, {steps} steps, {size} seeds, {workers} processes",
        "n",
        "one alone, ms",
        "all, seconds",
        "ms a member and core",
        "ratio",
        "completed",
        "L(T) quantiles 5%, 50%, 95%",
    )
    for n in FIGURE_1:
        system, law = flows.ReLUNeuron(n, 10), Law(size, SCALE)

        def run(steps: int = steps, system: Any = system, law: Law = law) -> Ensemble:
            return descend_ensemble(
                system,
                law,
                steps=steps,
                workers=workers,
                executor=pool,
                chunk_size=min(CHUNK, -(-size // workers)),
            )

        starts = [law.start(system, k) for k in range(min(size, 10))]
        flows.descend(system, starts[0], steps=1)
        run(1)
        begun = time.perf_counter()
        for start in starts:
            flows.descend(system, start, steps=steps)
        alone = (time.perf_counter() - begun) / len(starts)
        whole, found = timed(run)
        core = workers * whole / size
        low, middle, high = found.quantiles()[:, -1]
        made.add_row(
            f"{n}",
            f"{1e3 * alone:.1f}",
            f"{whole:.1f}",
            f"{1e3 * core:.2f}",
            f"{alone / core:.1f}",
            f"{found.completed}",
            f"{low:.2e}, {middle:.2e}, {high:.2e}",
        )
    return made


def members() -> int:
    """How many members JAX gets."""
    import jax

    return 1024 if jax.default_backend() == "cpu" else ON_GPU


def engines(size: int, cpu_size: int) -> Table:
    """One JAX program for all members, against compiled steps: one process, seconds of its CPU."""
    import jax

    jax.config.update("jax_enable_x64", True)  # this process is ours
    device = jax.default_backend()
    system = flows.ReLUNeuron(N, D)
    made = table(
        f"n = {N}, d = {D}, scale {SCALE}, to t = {T_END:g}, one process, JAX on {device}",
        "what",
        "rtol",
        "members",
        "first call, s",
        "CPU ms a member",
        "wall ms a member",
        "error of L(T), median / largest",
        "note",
    )
    few = Law(cpu_size, SCALE)
    truth = integrate_ensemble(system, few, T_END, [T_END], method="LSODA", rtol=TRUTH)
    last = truth["loss"][:, -1]

    def row(what: str, rtol: float, count: int, **options: Any) -> None:
        def run(members: int, t_end: float) -> Ensemble:
            return integrate_ensemble(system, Law(members, SCALE), t_end, rtol=rtol, **options)

        first, _ = timed(lambda: run(1, 1.0))
        begun = time.process_time()
        wall, found = timed(lambda: run(count, T_END))
        spent = time.process_time() - begun
        made.add_row(
            what,
            f"{rtol:g}",
            f"{count}",
            f"{first:.1f}",
            f"{1e3 * spent / count:.2f}",
            f"{1e3 * wall / count:.2f}",
            error(found["loss"][: len(last), -1], last[:count]),
            f"{found.completed} completed",
        )

    for method in ("auto", "Rodas5P"):
        row(f"cpu, {method}", RTOL, cpu_size, method=method)
    for rtol in (1e-6, RTOL):
        row("diffrax-kvaerno5", rtol, size, method="diffrax-kvaerno5")
    return made


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small ensembles")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--part", choices=("throughput", "descents", "jax"))
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(describe())
    quick, workers = options.quick, options.workers
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=one_thread) as pool:
        parts: dict[str, Callable[[], Table]] = {
            "throughput": lambda: throughput(*((64, 8) if quick else (1024, 64)), pool, workers),
            "descents": lambda: descents(*((64, 5000) if quick else (1000, 50_000)), pool, workers),
            "jax": lambda: engines(*((128, 32) if quick else (members(), 64))),
        }
        for name, part in parts.items():
            if options.part in (None, name):
                console.print(part())


if __name__ == "__main__":
    main()
