"""Work and precision of every solver: calls, time and error of the loss, by tolerance.

The error is the largest relative one of the loss over all output times up to t = 1e12, against
Radau at rtol 1e-13; how far CVODE at 1e-13 is from that says what the comparison can resolve. Run

    python benchmarks/solvers.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import product

import numpy as np
from machine import describe
from rich.console import Console
from rich.progress import track
from rich.table import Table

import flows
from flows.solvers.choice import JAX_METHODS

T_END = 1e12
RTOLS = (1e-6, 1e-8, 1e-10, 1e-12, 1e-13)
TIGHT = 1e-13
METHODS = tuple(m for m in flows.METHODS if m not in ("auto", "reference", *JAX_METHODS))
SMALLEST = 1e-290
# The best of so many runs counts, or of those that fit into so many seconds.
REPEAT, LONG = 5, 1.0


def largest_error(run: flows.Trajectory, truth: flows.Trajectory) -> float:
    """Largest relative error of the loss over the times that both have reached."""
    size = min(len(run.t), len(truth.t))
    exact = truth["loss"][:size]
    seen = exact > SMALLEST
    return float(np.abs(run["loss"][:size][seen] / exact[seen] - 1).max())


def compare(n: int, d: int, rtols: tuple[float, ...]) -> Table:
    """Table of one start."""
    system = flows.ReLUNeuron(n, d)
    start = system.initial(0.1, seed=0)
    truth = flows.integrate(system, start, T_END, method="Radau", rtol=TIGHT)
    other = flows.integrate(system, start, T_END, method="CVODE", rtol=TIGHT)
    table = Table(
        title=f"n = {n}, d = {d}, scale 0.1, seed 0, to t = {T_END:g}; "
        f"resolution {largest_error(other, truth):.0e}"
    )
    headings = ("method", "rtol", "field calls", "Jacobians", "steps", "ms", "error", "status")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("method", "status") else "right")
    rows = list(product(METHODS, rtols))
    for method, rtol in track(rows, f"n = {n}", console=Console(stderr=True), transient=True):
        seconds: list[float] = []
        while not seconds or (len(seconds) < REPEAT and sum(seconds) < LONG):
            begun = time.perf_counter()
            run = flows.integrate(system, start, T_END, method=method, rtol=rtol)
            seconds.append(time.perf_counter() - begun)
        table.add_row(
            method,
            f"{rtol:g}",
            f"{run.stats['field_evaluations']}",
            f"{run.stats['jacobian_evaluations']}",
            f"{run.stats['steps']}",
            f"{1e3 * min(seconds):.1f}",
            f"{largest_error(run, truth):.1e}",
            run.status,
            end_section=rtol == rtols[-1],
        )
    return table


def main() -> None:
    """Print a table for every start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one start, three tolerances")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 118)
    console.print(describe())
    for n, d in ((3, 5),) if options.quick else ((1, 5), (2, 5), (3, 5), (10, 20)):
        rtols = RTOLS[1:4] if options.quick else RTOLS
        console.print(compare(n, d, rtols))


if __name__ == "__main__":
    main()
