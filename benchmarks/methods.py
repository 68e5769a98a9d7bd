"""How far the loss of each method is from the truth, in units of the tolerance asked for.

Random neurons between nearly equal and independent, many of which pass a saddle, are followed to
t = 1e6 by every method and by Radau at 1e-12, which is the truth here. The worst ratio of a method,
over starts, tolerances and output times, is what `ERROR_FACTOR` and `ERROR_FACTORS` in
`flows/runs/trajectory.py` are set above. Run

    python benchmarks/methods.py [--starts 75] [--methods auto Radau BDF]

Exits with 1 if a run is farther from the truth than it states. Takes some minutes.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

import flows
from flows.core.arrays import Array

T_END, TRUTH = 1e6, 1e-12
TIMES = np.geomspace(1.0, T_END, 7)
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)
METHODS = ("auto", "Radau", "Rodas5P", "LSODA", "BDF", "CVODE")


def starts(count: int) -> list[tuple[flows.ReLUNeuron, Array]]:
    """Random numbers of neurons and dimensions, deviations from 1e-3 to 2 of the common part."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        n, d = int(rng.integers(2, 5)), int(rng.integers(2, 5))
        apart = 10.0 ** rng.uniform(-3, 0.3)
        found.append(
            (flows.ReLUNeuron(n, d), 0.1 * (rng.normal(size=d) + apart * rng.normal(size=(n, d))))
        )
    return found


def main() -> int:
    """Print the table; 1 where an error is above the one stated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=75)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    asked = parser.parse_args()
    worst: dict[tuple[str, float], tuple[float, int]] = {}
    false, left = 0, 0
    for k, (system, start) in enumerate(starts(asked.starts)):
        truth = flows.integrate(system, start, T_END, t_eval=TIMES, method="Radau", rtol=TRUTH)
        if not truth.completed:
            left += 1
            continue
        for method in asked.methods:
            for rtol in TOLERANCES:
                run = flows.integrate(system, start, T_END, t_eval=TIMES, method=method, rtol=rtol)
                error = np.abs(run["loss"] / truth["loss"][: len(run.t)] - 1)
                false += bool(np.any(error > run.error("loss")))
                found = float(np.max(error)) / rtol
                worst[method, rtol] = max(worst.get((method, rtol), (0.0, -1)), (found, k))
    table = Table("method", *(f"{rtol:g}" for rtol in TOLERANCES))
    for method in asked.methods:
        cells = [worst[method, rtol] for rtol in TOLERANCES]
        table.add_row(method, *(f"{ratio:.3g} (start {k})" for ratio, k in cells))
    console = Console()
    console.print(table)
    console.print(f"{false} runs above the error they state; {left} starts without a truth")
    return int(false > 0)


if __name__ == "__main__":
    sys.exit(main())
