"""How fast the flow is integrated, against scripts that one would write by hand, in one run.

Times are the best of several, warm (compiled code is ready) unless the row says cold. A script
that has not finished after the cap is stopped, and its row says how far it came. Run

    python benchmarks/speed.py [--quick] [--cap SECONDS]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from machine import describe
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.integrate import LSODA

import flows
from flows.core.chart import Clock
from flows.runs.descend import descend
from flows.runs.integrate import integrate
from flows.solvers.choice import JAX_METHODS

T_END = 1e12
RTOL = 1e-10
# A hand-written script sets it low, so that small angles are seen at all.
PLAIN_ATOL = 1e-20
# A first run longer than this is not compilation, and is not repeated.
LONG = 10.0
# n, d and horizon. Dense linear algebra grows with the cube of the unknowns, n min(n + 1, d), so
# that 50 neurons are followed through the transient only.
SIZES = (
    (2, 2, T_END),
    (3, 5, T_END),
    (3, 100, T_END),
    (3, 10_000, T_END),
    (10, 20, T_END),
    (10, 10_000, T_END),
    (20, 20, T_END),
    (20, 10_000, T_END),
    (50, 10_000, 10.0),
)
Array = NDArray[np.float64]


class Timing(NamedTuple):
    """One row: how long, how far, with how many evaluations of the field."""

    seconds: float
    reached: float
    calls: int
    note: str


def arccos_field(n: int, d: int) -> Callable[[float, Array], Array]:
    """Write the gradient flow as equation 4 of Xu & Du reads, in NumPy, in the neurons."""
    v = np.eye(1, d)[0]

    def field(t: float, y: Array) -> Array:
        w = y.reshape(n, d)
        norms = np.linalg.norm(w, axis=1)
        units = w / norms[:, None]
        between = np.arccos(np.clip(units @ units.T, -1.0, 1.0))
        np.fill_diagonal(between, 0.0)
        theta = np.arccos(np.clip(units @ v, -1.0, 1.0))
        along = np.sin(between) @ norms - np.sin(theta)
        slope = 0.5 * (w.sum(axis=0) - v) + (
            along[:, None] * units - between @ w + theta[:, None] * v
        ) / (2 * np.pi)
        return -slope.ravel()

    return field


def capped(
    field: Callable[..., Array], start: Array, jacobian: Any, atol: float, cap: float, note: str
) -> Timing:
    """Step ``solve_ivp``'s LSODA in plain time until it ends, fails or the cap is spent."""
    begun = time.perf_counter()
    solver = LSODA(field, 0.0, start, T_END, rtol=RTOL, atol=atol, jac=jacobian)
    while solver.status == "running" and time.perf_counter() - begun < cap:
        solver.step()
    end = {"running": f"{note}; stopped at the cap", "failed": f"{note}; failed"}
    return Timing(
        time.perf_counter() - begun, float(solver.t), solver.nfev, end.get(solver.status, note)
    )


def by_hand(n: int, d: int, start: Array, cap: float) -> Timing:
    """Integrate the neurons themselves, with arccos and finite differences."""
    return capped(
        arccos_field(n, d), start.ravel(), None, PLAIN_ATOL, cap, "raw coordinates, arccos"
    )


def plain_time(system: flows.ReLUNeuron, start: Array, cap: float) -> Timing:
    """Integrate sound coordinates with the compiled field and Jacobian, but in plain time."""
    run = integrate(system, start, 100.0, t_eval=[100.0])
    chart = system.piece(run.frame, run.states.at(-1), 0.0).chart
    clock = Clock(0.0, np.zeros_like(chart.x0), exponential=True)
    plain = replace(chart, clock=clock)
    return capped(
        plain.rhs,
        plain.y0,
        plain.jacobian,
        PLAIN_ATOL,
        cap,
        "residual coordinates, plain t, from t = 100",
    )


def popflow(
    system: flows.ReLUNeuron, start: Array, method: str, repeat: int, t_end: float = T_END
) -> Timing:
    """Integrate with this toolkit; the first run, which compiles, does not count."""
    seconds = []
    for attempt in range(repeat + 1):
        begun = time.perf_counter()
        run = integrate(system, start, t_end, method=method, rtol=RTOL)
        seconds.append(time.perf_counter() - begun)
        if attempt == 0 and seconds[0] > LONG:
            break
    note = "" if run.completed else run.message
    return Timing(
        min(seconds[1:] or seconds), float(run.t[-1]), run.stats["field_evaluations"], note
    )


def descent(n: int, d: int, steps: int) -> Timing:
    """Gradient descent of the paper's figure, warm."""
    system = flows.ReLUNeuron(n, d)
    start = system.initial(0.1, seed=0)
    descend(system, start, steps=10)
    begun = time.perf_counter()
    run = descend(system, start, steps=steps)
    return Timing(time.perf_counter() - begun, float(run.t[-1]), steps, "")


def cold(repeat: int) -> Timing:
    """Run the command in a process of its own: imports, derivation, compilation and all."""
    command = [sys.executable, "-m", "flows", "run", "relu_neuron", "--t-end", f"{T_END:g}"]
    seconds = []
    for _ in range(repeat):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    return Timing(min(seconds), T_END, 0, "one process, nothing cached")


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    return f"{1e3 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short cap, small sizes")
    parser.add_argument("--cap", type=float, help="seconds for a hand-written script (30; 2)")
    options = parser.parse_args()
    cap = options.cap or (2.0 if options.quick else 30.0)
    repeat = 3 if options.quick else 11
    console = Console(width=None if sys.stdout.isatty() else 118)

    console.print(describe())
    n, d = 3, 5
    system = flows.ReLUNeuron(n, d)
    start = system.initial(0.1, seed=0)
    table = Table(title=f"n = {n}, d = {d}, scale 0.1, seed 0, to t = {T_END:g} at rtol {RTOL:g}")
    headings = ("what", "time", "ratio", "reached t", "field calls", "note")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("what", "note") else "right")
    base = popflow(system, start, "auto", repeat)

    def add(what: str, timing: Timing) -> None:
        table.add_row(
            what,
            duration(timing.seconds),
            f"{timing.seconds / base.seconds:.1f}",
            f"{timing.reached:.1e}",
            f"{timing.calls}" if timing.calls else "",
            timing.note,
        )

    add("popflow, auto", base)
    for method in flows.METHODS[1:]:
        if method not in ("reference", *JAX_METHODS):
            add(f"popflow, {method}", popflow(system, start, method, repeat))
    if not options.quick:
        add("popflow, reference", popflow(system, start, "reference", 0))
    add("script, NumPy + LSODA", by_hand(n, d, start, cap))
    add("script, compiled + LSODA", plain_time(system, start, cap))
    add("popflow run, cold", cold(1 if options.quick else 3))
    console.print(table)

    growth = Table(title=f"growth with n and d at rtol {RTOL:g}, starts of |w_i| about 0.22")
    for heading in ("n", "d", "unknowns", "time", "reached t", "field calls", "note"):
        growth.add_column(heading, justify="left" if heading == "note" else "right")
    for n, d, t_end in SIZES[:5] if options.quick else SIZES:
        system = flows.ReLUNeuron(n, d)
        start = system.initial(0.1 * np.sqrt(5 / d), seed=0)
        timing = popflow(system, start, "auto", min(repeat, 3), t_end)
        growth.add_row(
            f"{n}",
            f"{d}",
            f"{n * min(n + 1, d)}",
            duration(timing.seconds),
            f"{timing.reached:.1e}",
            f"{timing.calls}",
            timing.note,
        )
    console.print(growth)

    steps = 5_000 if options.quick else 50_000
    table = Table(title=f"gradient descent, {steps} steps")
    for heading in ("n", "d", "time", "a step"):
        table.add_column(heading, justify="right")
    for n, d in ((1, 10), (2, 10), (5, 10), (10, 10)):
        timing = descent(n, d, steps)
        table.add_row(
            f"{n}", f"{d}", duration(timing.seconds), f"{1e6 * timing.seconds / steps:.2f} us"
        )
    console.print(table)


if __name__ == "__main__":
    main()
