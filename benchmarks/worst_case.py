"""Typical and worst constants of a ReLU neuron's claims against n: does the paper's power show.

A claim reads `lhs <= C n^P rest` (or `lhs >= c n^P rest`), and the constant of a start is the
extreme of `lhs / (n^P rest)` along its run: the power P is already divided out. So constants that
go like `n^s` show the power `P + s`. With `<=`, a negative s says that P is larger than these
starts need; with `>=`, a positive s says that P could be larger. Typical is the median over
random starts, worst the tightest start that a search found: a local search, with as many runs
for each entry of the start at every n. Run

    python benchmarks/worst_case.py [--quick] [--workers W]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import sympy as sp
from machine import describe
from rich.console import Console
from rich.table import Table

import flows
import potentials
from flows.ensembles.worst_case import WorstCase, worst_case
from potentials import Claim, parameter, symbol
from symbolic.systems.relu_neuron import bounds

# A run takes about a thousand steps; the few that need many more would cost most of the time.
MAX_STEPS = 4000
# Small starts become balanced, as the claims' hypotheses want.
D, SCALE, T_END = 3, 1e-3, 1e6
SIZE, RUNS_PER_ENTRY = 24, 12
N, QUICK_N = (2, 3, 5, 8, 12), (2, 3, 5)
QUICK_SIZE, QUICK_RUNS_PER_ENTRY = 8, 3


def claims() -> dict[str, Claim]:
    """Claims whose one constant the paper leaves unspecified, and one with another gamma."""
    found = {
        c.id: c
        for c in potentials.claims("relu_neuron")
        if len(c.comparisons) == 1 and c.asymptotic and c.id != "exact_param_rate"
    }
    (lower,) = found["loss_lower"].comparisons
    # What the derivation of Theorem 14 gives for gamma, where the claim reads L(T2)^(-1/3).
    cube = parameter("n") ** 5 * parameter("teacher_norm") / bounds.DISTANCE_VS_LOSS
    gamma = cube ** sp.Rational(1, 3) / symbol("pairwise_distance_T2")
    other = replace(lower, lhs=symbol("loss") ** sp.Rational(-1, 3) - gamma)
    found["loss_lower, gamma by Z(T2)"] = replace(found["loss_lower"], conclusions=(other,))
    return found


def power(claim: Claim) -> float:
    """Power of n in the right side, from its expression."""
    n, rhs = parameter("n"), claim.comparisons[0].rhs
    return float(sp.simplify(n * sp.diff(rhs, n) / rhs))


def search(name: str, n: int, quick: bool) -> WorstCase:
    """Worst case of one claim at one n."""
    claim = claims()[name]
    # The hypothesis on the size of the start of an upper bound, n^-4226, is beyond doubles.
    beyond = name == "loss_upper"
    return worst_case(
        flows.ReLUNeuron(n, D),
        claim,
        t_end=T_END,
        scale=SCALE,
        beyond=beyond,
        method="Rodas5P",
        max_steps=MAX_STEPS,
        size=QUICK_SIZE if quick else SIZE,
        evaluations=n * D * (QUICK_RUNS_PER_ENTRY if quick else RUNS_PER_ENTRY),
    )


def fitted(n: tuple[int, ...], constants: list[float]) -> tuple[float, float]:
    """Slope of log(constant) against log(n), with its standard error."""
    slopes, covariance = np.polyfit(np.log(n), np.log(constants), 1, cov="unscaled")
    residual = np.log(constants) - np.polyval(slopes, np.log(n))
    variance = np.sum(residual**2) / (len(n) - 2) * covariance[0, 0]
    return float(slopes[0]), float(np.sqrt(variance))


def report(found: dict[tuple[str, int], WorstCase], numbers: tuple[int, ...]) -> Table:
    """One row a claim and kind of constant."""
    made = Table(title=f"d = {D}, scale {SCALE:g}, to t = {T_END:g}")
    for heading in ("claim", "constant", *(f"n = {n}" for n in numbers), "paper P", "shown P + s"):
        made.add_column(heading, justify="left" if heading in ("claim", "constant") else "right")
    for name, claim in claims().items():
        kinds = {
            "typical": [found[name, n].typical for n in numbers],
            "worst": [found[name, n].constant for n in numbers],
        }
        relation = claim.comparisons[0].relation
        for kind, constants in kinds.items():
            paper, shown = power(claim), "-"
            if min(constants) > 0:
                slope, deviation = fitted(numbers, constants)
                shown = f"{paper + slope:.2f} ± {deviation:.2f}"
            made.add_row(
                f"{name} ({relation})",
                kind,
                *(f"{c:.3g}" for c in constants),
                f"{paper:.2f}",
                shown,
            )
    return made


def main() -> None:
    """Search, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer n, starts and runs")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    numbers = QUICK_N if options.quick else N
    # One thread of BLAS in each process, set before NumPy is loaded there.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    console = Console(width=150)
    console.print(describe())
    begun = time.perf_counter()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=spawn) as pool:
        # The long ones first.
        futures = {
            (name, n): pool.submit(search, name, n, options.quick)
            for n in reversed(numbers)
            for name in claims()
        }
        found = {key: future.result() for key, future in futures.items()}
    console.print(report(found, numbers))
    runs = sum(w.evaluations for w in found.values())
    failures = sum(w.failures for w in found.values())
    console.print(
        f"{runs} runs, {failures} of them without a constant that counts,"
        f" {time.perf_counter() - begun:.0f} s"
    )


if __name__ == "__main__":
    main()
