"""Work, time and error of the diffrax methods, as ratios to the CPU solver in the same run.

The first call compiles, and is shown apart. A run is to t = 1e12; its error is the largest
relative one of the loss over all output times, against Radau at rtol 1e-13. Evaluations of the
Kvaerno methods are lower bounds. Run

    python benchmarks/diffrax_methods.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from machine import describe
from rich.console import Console
from rich.table import Table
from solvers import T_END, TIGHT, largest_error

import flows
from flows.solvers.choice import JAX_METHODS

RTOLS = (1e-6, 1e-8, 1e-10)
# The best of so many runs counts: another process may take a core.
REPEAT = 5
# Times of the gradients: in the transient and in the tail.
GRADIENT_TIMES = (10.0, 1e9)


def timed(call: Callable[[], Any], repeat: int) -> tuple[Any, float]:
    """Result of ``call`` and the shortest time it took."""
    seconds = []
    for _ in range(repeat):
        begun = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - begun)
    return result, min(seconds)


def runs(n: int, d: int, rtols: tuple[float, ...]) -> Table:
    """Table of one start: every method at every tolerance."""
    system = flows.ReLUNeuron(n, d)
    start = system.initial(0.1, seed=0)
    truth = flows.integrate(system, start, T_END, method="Radau", rtol=TIGHT)
    table = Table(title=f"n = {n}, d = {d}, scale 0.1, seed 0, to t = {T_END:g}")
    for heading in (
        "method",
        "rtol",
        "fields",
        "Jacobians",
        "steps",
        "first, s",
        "ms",
        "ratio",
        "error",
        "status",
    ):
        table.add_column(heading, justify="left" if heading in ("method", "status") else "right")
    base: dict[float, float] = {}
    for method in ("auto", *JAX_METHODS):
        for rtol in rtols:

            def call(method: str = method, rtol: float = rtol) -> flows.Trajectory:
                return flows.integrate(system, start, T_END, method=method, rtol=rtol)

            _, first = timed(call, 1)
            run, seconds = timed(call, REPEAT)
            base.setdefault(rtol, seconds)
            table.add_row(
                method,
                f"{rtol:g}",
                f"{run.stats['field_evaluations']}",
                f"{run.stats['jacobian_evaluations']}",
                f"{run.stats['steps']}",
                f"{first:.2f}",
                f"{1e3 * seconds:.1f}",
                f"{seconds / base[rtol]:.2f}",
                f"{largest_error(run, truth):.1e}",
                run.status,
                end_section=rtol == rtols[-1],
            )
    return table


def gradients(n: int, d: int) -> Table:
    """Table of the gradient by the start: through the solver, and by differences of runs."""
    from flows.runs.sensitivity import sensitivity

    system = flows.ReLUNeuron(n, d)
    start = system.initial(0.1, seed=0)
    table = Table(title=f"gradient of the loss by the start, n = {n}, d = {d}, rtol 1e-10")
    for heading in ("t", "first, s", "ms", "ratio to one run", "runs of central differences"):
        table.add_column(heading, justify="right")
    for t in GRADIENT_TIMES:
        _, single = timed(lambda t=t: flows.integrate(system, start, t, t_eval=[t]), REPEAT)
        _, first = timed(lambda t=t: sensitivity(system, start, t), 1)
        _, seconds = timed(lambda t=t: sensitivity(system, start, t), REPEAT)
        table.add_row(
            f"{t:g}",
            f"{first:.2f}",
            f"{1e3 * seconds:.1f}",
            f"{seconds / single:.1f}",
            f"{2 * n * d}",
        )
    return table


def main() -> None:
    """Print the tables."""
    import jax

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one start, two tolerances")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)  # this process is ours
    console = Console(width=None if sys.stdout.isatty() else 118)
    console.print(
        f"{describe()}, jax {version('jax')} on {jax.default_backend()}, "
        f"diffrax {version('diffrax')}"
    )
    for n, d in ((3, 5),) if options.quick else ((2, 5), (3, 5), (10, 20)):
        console.print(runs(n, d, RTOLS[1:] if options.quick else RTOLS))
    console.print(gradients(3, 5))


if __name__ == "__main__":
    main()
