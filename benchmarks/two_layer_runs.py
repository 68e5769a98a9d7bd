"""Runs of two layers to t = 1e12 against sixty digits, and one teacher against `ReLUNeuron`.

The references are those of ``tests/oracles/two_layer_references.json``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import flows

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from oracles import two_layer_references as references

END = 1e12
ONE = np.array([[0.5, 0.3], [0.3, -0.2]])


def main() -> None:
    """Print a table."""
    print("run          seconds  evaluations  largest error of the loss  stated")
    for name, (system, start) in references.RUNS.items():
        begin = time.process_time()
        run = flows.integrate(system, start, t_end=END, t_eval=references.TIMES)
        seconds = time.process_time() - begin
        error = np.abs(run["loss"][1:] / references.stored(name) - 1).max()
        stated = run.errors("loss").max()
        count = run.stats["field_evaluations"]
        print(f"{name:12s} {seconds:7.1f} {count:12d} {error:26.1e} {stated:8.1e}")
    seen = []
    for system in (flows.ReLUNeuron(2, 2), flows.TwoLayer(2, [[1.0, 0.0]])):
        flows.integrate(system, ONE, t_end=1.0)  # compiles
        begin = time.process_time()
        run = flows.integrate(system, ONE, t_end=END)
        seen.append(run["loss"])
        print(f"{system.name:12s} {time.process_time() - begin:7.2f}  to t = {END:g}")
    apart = np.abs(seen[1][1:] / seen[0][1:] - 1)
    print(f"one teacher: losses differ by {apart.max():.1e} at most")


if __name__ == "__main__":
    main()
