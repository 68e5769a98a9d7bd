"""Own systems: cost by size, accuracy over time, and what rebuilding a built-in system loses.

The example is quadratic neurons, `L = E (sum_i (w_i.x)^2 - x_1^2)^2/2`, whose loss falls like
`3 r/(64 (3 + r) t^2)`, `r = min(n - 1, d - 1)`. Run

    python benchmarks/own_system.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import sympy as sp
from machine import describe
from rich.console import Console
from rich.table import Table

import flows
from symbolic import Expectation


def neurons(n: int, d: int) -> flows.OwnSystem:
    """Quadratic neurons in one block."""
    w, x = sp.MatrixSymbol("W", n, d), sp.MatrixSymbol("x", d, 1)
    student = (x.T * w.T * w * x)[0, 0]
    loss = Expectation((student - x[0, 0] ** 2) ** 2, x) / 2
    return flows.OwnSystem(f"neurons_{n}_{d}", [w], loss)


def seconds(call: Callable[[], object], repeat: int) -> float:
    """Return the best of a few calls."""
    best = np.inf
    for _ in range(repeat):
        begun = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begun)
    return best


def sizes(console: Console) -> None:
    """Deriving, evaluating and integrating, by the number of entries."""
    table = Table(
        "n",
        "d",
        "entries",
        "derive",
        "gradient",
        "Hessian",
        "run to 1e6",
        "steps",
        "t^2 L, limit",
        title="quadratic neurons, rtol 1e-10",
    )
    for n, d in ((2, 2), (3, 5), (5, 10)):
        begun = time.perf_counter()
        system = neurons(n, d)
        derived = time.perf_counter() - begun
        start = system.initial(0.1, seed=0)
        gradient = seconds(lambda s=system, y=start: s.gradient(y), 20)
        hessian = seconds(lambda s=system, y=start: s.hessian(y), 3)
        begun = time.perf_counter()
        run = flows.integrate(system, start, t_end=1e6)
        spent = time.perf_counter() - begun
        r = min(n, d) - 1
        table.add_row(
            str(n),
            str(d),
            str(n * d),
            f"{derived:.2f} s",
            f"{1e6 * gradient:.0f} us",
            f"{1e3 * hessian:.2f} ms",
            f"{spent:.2f} s",
            str(run.stats["steps"]),
            f"{run.t[-1] ** 2 * run['loss'][-1]:.5f}, {3 * r / (64 * (3 + r)):.5f}",
        )
    console.print(table)


def accuracy(console: Console) -> None:
    """Relative error of the loss over time, against Radau at rtol 1e-13."""
    system = neurons(3, 4)
    start, times = system.initial(0.1, seed=0), np.geomspace(1, 1e8, 9)
    exact = flows.integrate(system, start, 1e8, times, method="Radau", rtol=1e-13)
    run = flows.integrate(system, start, 1e8, times)
    table = Table(
        "t",
        "loss",
        "relative error",
        "of it rounding, measured",
        title="n = 3, d = 4, rtol 1e-10 (nan: doubles do not know it)",
    )
    rounding = run.features["rounding"]
    for k in range(1, len(run.t)):
        known = np.isfinite(run["loss"][k]) and np.isfinite(exact["loss"][k])
        error = f"{abs(run['loss'][k] / exact['loss'][k] - 1):.0e}" if known else ""
        table.add_row(f"{run.t[k]:.0e}", f"{run['loss'][k]:.4e}", error, f"{rounding[k]:.0e}")
    console.print(table)


def rebuilt(console: Console) -> None:
    """A mixture and two layers, rebuilt and built in."""
    mu, x = sp.MatrixSymbol("mu", 3, 2), sp.MatrixSymbol("x", 2, 1)
    tilt = [sum(mu[i, j] * x[j, 0] - mu[i, j] ** 2 / 2 for j in range(2)) for i in range(3)]
    mixture = flows.OwnSystem("mixture", [mu], Expectation(-sp.log(sum(map(sp.exp, tilt)) / 3), x))
    v, w = sp.MatrixSymbol("V", 3, 3), sp.MatrixSymbol("W", 3, 3)
    gap, defect = sp.eye(3) - w * v, v * v.T - w.T * w
    loss = sp.trace(gap.T * gap) / 2 + sp.Rational(5, 4) * sp.trace(defect.T * defect)
    layers = flows.OwnSystem("layers", [v, w], loss)
    table = Table(
        "system",
        "t",
        "own",
        "built in",
        "largest relative difference of the losses",
        title="rebuilt and built in, rtol 1e-8",
    )
    for own, built, scale, t_end in (
        (mixture, flows.GMMEM(n=3, d=2), 1.0, 1e4),
        (layers, flows.MatrixFactorization(d=3, depth=2), 0.3, 3.0),
    ):
        start = built.initial(scale, seed=0)
        runs, spent = [], []
        for system, y in ((own, start.ravel()), (built, start)):
            flows.integrate(system, y, t_end=0.1, rtol=1e-8)  # compiled
            begun = time.perf_counter()
            runs.append(flows.integrate(system, y, t_end=t_end, rtol=1e-8))
            spent.append(time.perf_counter() - begun)
        assert all(run.completed for run in runs), runs[0].message
        known = runs[0]["loss"] > 0
        difference = np.abs(runs[0]["loss"] / runs[1]["loss"] - 1)[known].max()
        table.add_row(built.name, f"{t_end:g}", *(f"{s:.2f} s" for s in spent), f"{difference:.0e}")
    console.print(table)


def main() -> None:
    """Print the tables."""
    console = Console(width=120)
    console.print(describe())
    sizes(console)
    accuracy(console)
    rebuilt(console)


if __name__ == "__main__":
    main()
