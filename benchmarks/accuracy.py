"""How accurate the loss is at every output time up to t = 1e12, against a high-precision reference.

For random starts the loss of `flows.integrate` is compared with that of `flows.solvers.reference`
(40 digits, or 200 for one neuron, whose loss falls to 1e-300), which starts from the user's own
numbers and shares only the symbolic source. It takes neurons through their collapses by itself,
and at every output it searches the sphere for a direction in which one at zero would leave. With
50 digits, 24 stages and tolerance 1e-20 the losses of the three starts of n = 10, d = 2 change by
less than 1e-20. Run

    python benchmarks/accuracy.py [--quick] [--neurons 1 2] [--dimensions 5] [--method M]

References are kept in a file beside this one (`--references FILE` for another) and computed only
where it has none: seconds for two neurons, minutes for ten. Exits with 1 if an error is above its
bound.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp
from oracle_path import PATHS
from rich.console import Console
from rich.progress import track
from rich.table import Table

import flows
from flows.core.problem import SOLVER_FAILED
from flows.runs.request import output_times
from flows.solvers.reference import solve_reference
from flows.systems.relu_neuron import exact

sys.path.extend(PATHS)
from oracles.relu_neuron import coordinates, least_slope
from oracles.relu_neuron import loss as exact_loss

T_END = 1e12
# The errors that the README promises, by the tolerance asked for.
BOUNDS = {1e-10: 1e-8, 1e-13: 1e-11}
# A collapse is nearer than this when the reference ends.
NEAR = 1e-6
# A slope at zero so many units of the last digit below zero is rounding.
UNITS = 100
# Below this the loss approaches the smallest double.
SMALLEST = 1e-300
REFERENCES = Path(__file__).with_name("accuracy_references.json")


class Case(NamedTuple):
    """A random start."""

    n: int
    d: int
    scale: float
    seed: int

    @property
    def name(self) -> str:
        """Key in the file of references."""
        return f"n={self.n} d={self.d} scale={self.scale:g} seed={self.seed} t_end={T_END:g}"


def cases(
    quick: bool, seeds: int, neurons: list[int] | None = None, dimensions: list[int] | None = None
) -> list[Case]:
    """Return the table's rows, of these neurons and dimensions only where they are given."""
    n, d, scale = (
        ((1, 2, 3), (2, 5), (0.1,)) if quick else ((1, 2, 3, 5, 10), (2, 5, 20), (1e-3, 0.1, 1.0))
    )
    rows = [Case(*c) for c in itertools.product(n, d, scale, range(seeds))]
    return [
        row
        for row in rows
        if (not neurons or row.n in neurons) and (not dimensions or row.d in dimensions)
    ]


def neurons(x: list[Any], q: int) -> list[list[Any]]:
    """Neurons of the flat state."""
    return [x[i : i + q] for i in range(0, len(x), q)]


def leaves(x: list[Any], teacher: list[float], digits: int) -> bool:
    """Whether a neuron at zero can lower the loss at first order: then the flow takes it away."""
    rows = neurons(x, len(teacher))
    if all(any(w) for w in rows):
        return False
    return bool(least_slope(rows, teacher, digits) < -UNITS * mp.mpf(10) ** -digits)


def follow(
    start: list[Any], teacher: list[float], times: list[Any], digits: int
) -> tuple[list[list[Any]], str, int]:
    """Follow neurons through their collapses, each of which then stays at zero.

    The reference ends just before a collapse; the short rest is a straight line, up to the square
    of its length. All ends at the first output where a neuron at zero would have left.

    Returns states at the times reached, the last message, the number of collapses.
    """
    q, count = len(teacher), len(start) // len(teacher)
    states: list[list[Any]] = []
    field, jacobian = exact.flow([1] * count, q, digits)
    switches = exact.crossings(q)
    x, passed, collapses = start, mp.zero, 0
    while True:
        rest = [t - passed for t in times[len(states) :]]
        run = solve_reference(
            field, jacobian, x, rest, digits, tolerance=1e-17, stages=16, switches=switches
        )
        for state in (x, *run.states):
            if leaves(state, teacher, digits):
                return states, "a neuron at zero leaves", collapses
            if state is not x:
                states.append(state)
        if run.status != SOLVER_FAILED:
            return states, run.message, collapses
        with mp.workdps(digits):
            slope = field(run.state)
            left = {}
            for i in range(0, len(x), q):
                w, speed = run.state[i : i + q], slope[i : i + q]
                inward = -mp.fdot(w, speed)
                if inward > 0:
                    left[i] = mp.fdot(w, w) / inward
            step = min(left.values(), default=mp.inf)
            if step > NEAR:
                return states, run.message, collapses
            x = [y + step * f for y, f in zip(run.state, slope, strict=True)]
            for i in (i for i, s in left.items() if s <= step * (1 + NEAR)):
                x[i : i + q] = [mp.zero] * q
            passed += run.time + step
            collapses += 1


def reference(case: Case) -> dict[str, Any]:
    """Compute the loss at every output time with many digits."""
    begun = time.perf_counter()
    system = flows.ReLUNeuron(case.n, case.d)
    digits = 200 if case.n == 1 else 40
    start = coordinates(system.initial(case.scale, case.seed).tolist(), system.teacher, digits)
    q = len(start[0])
    teacher = [1.0] + [0.0] * (q - 1)
    with mp.workdps(digits):
        times = [mp.mpf(t) for t in output_times(T_END).tolist()]
        states, message, collapses = follow([x for w in start for x in w], teacher, times, digits)
    losses = [exact_loss(neurons(x, q), teacher, 2 * digits) for x in states]
    return {
        "loss": [mp.nstr(value, 20) for value in losses],
        "message": message,
        "collapses": collapses,
        "seconds": time.perf_counter() - begun,
    }


def all_references(wanted: list[Case], path: Path, processes: int) -> dict[str, dict[str, Any]]:
    """Read what `path` has and compute the rest into it."""
    known = json.loads(path.read_text()) if path.exists() else {}
    missing = [case for case in wanted if case.name not in known]
    missing.sort(key=lambda c: -c.n * min(c.n + 1, c.d))
    with ProcessPoolExecutor(processes) as pool:
        found = track(
            pool.map(reference, missing), "references", len(missing), console=Console(stderr=True)
        )
        for case, result in zip(missing, found, strict=True):
            known[case.name] = result
            path.write_text(json.dumps(known, indent=0))
    return known


def measure(case: Case, expected: dict[str, Any], rtol: float, method: str) -> dict[str, Any]:
    """Integrate once and return the largest relative error of the loss and the time it took."""
    system = flows.ReLUNeuron(case.n, case.d)
    start = system.initial(case.scale, case.seed)
    begun = time.perf_counter()
    run = flows.integrate(system, start, T_END, method=method, rtol=rtol)
    seconds = time.perf_counter() - begun
    loss = run["loss"][1:]
    truth = np.array([float(mp.mpf(x)) for x in expected["loss"]])
    size = min(len(loss), len(truth))
    seen = truth[:size] >= SMALLEST
    error = np.abs(loss[:size][seen] / truth[:size][seen] - 1).max(initial=0.0)
    count = len(output_times(T_END))
    return {
        "error": float(error),
        "seconds": seconds,
        "status": run.status,
        "until": size,
        "complete": size == count,
        "positive": bool((run["loss"] >= 0).all()),
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="six starts of one to three neurons")
    parser.add_argument("--method", default="auto", help="method of flows.integrate")
    parser.add_argument("--neurons", type=int, nargs="+", help="these numbers of neurons only")
    parser.add_argument("--dimensions", type=int, nargs="+", help="these dimensions only")
    parser.add_argument("--seeds", type=int, default=1, help="starts of each kind")
    parser.add_argument("--processes", type=int, default=2, help="for the references")
    parser.add_argument("--references", type=Path, default=REFERENCES)
    options = parser.parse_args()

    wanted = cases(options.quick, options.seeds, options.neurons, options.dimensions)
    known = all_references(wanted, options.references, options.processes)
    for rtol in BOUNDS:  # compile before the clock runs
        measure(wanted[0], known[wanted[0].name], rtol, options.method)
    table = Table(title=f"largest relative error of the loss for t <= {T_END:g}")
    for heading in ("n", "d", "scale", "collapses", "reference"):
        table.add_column(heading, justify="right")
    for rtol, bound in BOUNDS.items():
        table.add_column(f"rtol {rtol:g} (bound {bound:g})", justify="right")
        table.add_column("ms", justify="right")
    times = output_times(T_END)
    failures = 0
    for case in wanted:
        expected = known[case.name]
        row = [
            f"{case.n}",
            f"{case.d}",
            f"{case.scale:g}",
            f"{expected['collapses']}",
            f"{expected['seconds']:.0f} s",
        ]
        for rtol, bound in BOUNDS.items():
            result = measure(case, expected, rtol, options.method)
            good = result["error"] <= bound and result["complete"] and result["positive"]
            failures += not good
            note = "" if good else " !"
            if result["until"] < len(times):
                ends = times[max(result["until"] - 1, 0)]
                note += f" to t = {ends:.1e} (run {result['status']}, {expected['message']})"
            row += [f"{result['error']:.1e}{note}", f"{1e3 * result['seconds']:.0f}"]
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
