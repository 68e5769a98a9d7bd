"""Accuracy and speed of matrix factorisation, against its acceptance lines."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

# Before NumPy is loaded: threads gain nothing at these sizes, and on a busy machine cost a lot.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from machine import describe

import flows
from flows.ensembles.matrix_factorization import check_probability, convergence
from flows.systems.matrix_factorization import chains


def seconds(call: Callable[[], object], repeat: int = 3) -> float:
    """Return the best of a few warm calls."""
    call()
    best = np.inf
    for _ in range(repeat):
        begun = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begun)
    return best


def reference() -> None:
    """Losses against 50 digits, down to 1e-18 and below, for small and large regularisation."""
    print("losses against 50 digits (d = 2), worst relative error where they are above 1e-30")
    times = [1e-4, 1e-3, 1e-2, 1.0, 3.0, 6.0]
    for field, a, depth in (("real", 5.0, 4), ("complex", 5.0, 4), ("real", 1e4, 4)):
        system = flows.MatrixFactorization(2, field, a, depth=depth)
        start = np.stack([np.eye(2)] * depth) + system.initial(0.1, 0)
        exact, run = (
            flows.integrate(system, start, times[-1], times, method=method)
            for method in ("reference", "auto")
        )
        for name in ("loss_fit", "loss_balance"):
            known = exact[name] > 1e-30
            found = run[name][known]
            worst = np.abs(found / exact[name][known] - 1).max()
            rounding = (run.features[f"{name}_error"][known] / found).max()
            print(
                f"  {field:8} a = {a:<7g} {name:13} {worst:.1e}, smallest"
                f" {exact[name][known].min():.1e}, reported rounding {rounding:.1e}"
            )


def conserved() -> None:
    """Drift of the defects for a = 0 over t = 1e4, from the layers."""
    print("drift of Delta for a = 0, t = 1e4, rtol = 1e-10, relative to Delta(0)")
    for field in ("real", "complex"):
        system = flows.MatrixFactorization(3, field, 0.0)
        worst = 0.0
        for seed in range(5):
            run = flows.integrate(system, system.initial(0.2, seed), 1e4)
            delta = chains.defects(run.state)
            worst = max(worst, np.abs(delta - delta[0]).max() / np.abs(delta[0]).max())
        print(f"  {field:8} {worst:.1e} (worst of 5 starts)")


def strengths() -> None:
    """Steps and accuracy over four decades of regularisation."""
    print("d = 3, eps = 0.2, t = 1e4: steps and seconds by a")
    for field in ("real", "complex"):
        for a in (0.0, 0.1, 1.0, 5.0, 100.0, 1e4):
            system = flows.MatrixFactorization(3, field, a)
            runs = [flows.integrate(system, system.initial(0.2, s), 1e4) for s in range(3)]
            steps = [run.stats["steps"] for run in runs]
            spent = [run.stats["seconds"] for run in runs]
            status = {run.status for run in runs}
            print(f"  {field:8} a = {a:<7g} steps {steps}, {np.mean(spent):.2f} s, {status}")


def saddle() -> None:
    """Escape from the saddle for small starts."""
    print("escape from the saddle (d = 2, a = 5, complex): time, steps")
    system = flows.MatrixFactorization(2, "complex")
    for eps in (0.1, 1e-2, 1e-3):
        run = flows.integrate(system, system.initial(eps, 1), 1e3 / eps**2)
        left = run.t[np.argmax(run["singular_values"][:, 0] > 0.5)]
        scaled = left * eps**2
        work = f"{run.stats['steps']} steps, {run.stats['seconds']:.2f} s, {run.status}"
        print(f"  eps = {eps:<6g} first value at t = {left:.3g} = {scaled:.3g}/eps^2, {work}")


def sizes(largest: int) -> None:
    """Cost of a field evaluation by size, and whole runs."""
    print("cost of one field evaluation (d^3: 8 times a doubling)")
    before = np.inf
    for d in (30, 60, 120, 240):
        if d > largest:
            break
        system = flows.MatrixFactorization(d)
        chart = system.piece(*system.reduce(system.initial(0.35 / np.sqrt(d), 0)), 0.0).chart
        each = seconds(lambda c=chart: c.rhs(0.1, c.y0), 9)  # type: ignore[misc]
        growth = f", {each / before:.1f} times" if np.isfinite(before) else ""
        print(f"  d = {d:<4} {chart.x0.size:7} unknowns, {1e3 * each:8.3f} ms{growth}")
        before = each
    print("a run to t = 100 (a = 5, rtol = 1e-8)")
    for d in (3, 10, 30):
        if d > largest:
            break
        system = flows.MatrixFactorization(d)
        run = flows.integrate(system, system.initial(0.35 / np.sqrt(d), 0), 100.0, rtol=1e-8)
        print(
            f"  d = {d:<4} {run.stats['seconds']:.1f} s, {run.stats['steps']} steps, {run.status}"
        )


def ensemble(members: int) -> None:
    """Check the probability to converge, for strong and weak balancing."""
    print(f"probability to converge, {members} starts (d = 2, eps = 0.25)")
    for field in ("real", "complex"):
        for a in (0.1, 1.0, 10.0, 100.0):
            verdict = check_probability(
                convergence(flows.MatrixFactorization(2, field, a), 0.25, range(members), 1e5)
            )
            print(f"  {field:8} a = {a:<5g} {verdict.verdict}: {verdict.message}")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=60, help="starts of an ensemble")
    parser.add_argument("--largest", type=int, default=300, help="largest size")
    parser.add_argument("--skip-reference", action="store_true", help="the slowest part")
    options = parser.parse_args()
    print(describe())
    sizes(options.largest)
    strengths()
    saddle()
    conserved()
    ensemble(options.members)
    if not options.skip_reference:
        reference()


if __name__ == "__main__":
    main()
