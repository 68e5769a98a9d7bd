"""Runs of two layers to t = 1e12 against sixty digits, and one teacher against `ReLUNeuron`.

The references are those of ``tests/oracles/two_layer_references.json``.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from oracle_path import PATHS

import flows

sys.path.extend(PATHS)

from oracles import two_layer_references as references

END = 1e12
MEMBERS, REPEATED = 64, 6
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
        if name == "3 + 1":
            whole = flows.integrate(system, start, t_end=END)
            law = flows.late_time_law(whole).laws[0]
            ratio = END**3 * whole["loss"][-1] / law.constant
            print(f"{'':12s} t^3 L at the end is {ratio - 1:+.1e} off the law {law.constant:.9g}")
    pair = flows.ReLUNeuron(2, 2), flows.TwoLayer(2, [[1.0, 0.0]])
    for what, go in (("a run", alone), (f"{MEMBERS} runs", together)):
        ours = [go(system) for _ in range(REPEATED) for system in pair]
        seconds = np.array([t for t, _ in ours]).reshape(-1, 2)[1:]  # the first one compiles
        one, two = np.median(seconds, axis=0)
        same = all(np.array_equal(loss, ours[0][1]) for _, loss in ours)
        print(
            f"one teacher, {what} to t = {END:g}: ReLUNeuron {one:.4f} s, TwoLayer {two:.4f} s,"
            f" ratio {np.median(seconds[:, 1] / seconds[:, 0]):.2f}, equal to all bits: {same}"
        )


def alone(system: flows.ReLUNeuron | flows.TwoLayer) -> tuple[float, np.ndarray]:
    """Seconds and losses of one run."""
    begin = time.process_time()
    run = flows.integrate(system, ONE, t_end=END)
    return time.process_time() - begin, run["loss"]


def together(system: flows.ReLUNeuron | flows.TwoLayer) -> tuple[float, np.ndarray]:
    """Seconds and losses of an ensemble."""
    starts = np.random.default_rng(0).normal(size=(MEMBERS, 2, 2))
    begin = time.process_time()
    found = flows.integrate_ensemble(system, starts, END)
    return time.process_time() - begin, found["loss"]


if __name__ == "__main__":
    main()
