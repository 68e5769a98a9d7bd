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
from mpmath import mp
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
    """Return the best processor time of a few calls."""
    best = np.inf
    for _ in range(repeat):
        begun = time.process_time()
        call()
        best = min(best, time.process_time() - begun)
    return best


def sizes(console: Console) -> None:
    """Deriving, evaluating and integrating, by the number of entries."""
    table = Table(
        "n",
        "d",
        "entries",
        "derive",
        "gradient",
        "run to 1e12",
        "steps",
        "charts",
        "t^2 L, limit",
        title="quadratic neurons, rtol 1e-10, seconds of the processor",
    )
    for n, d in ((2, 2), (3, 5), (5, 10), (10, 10)):
        begun = time.process_time()
        system = neurons(n, d)
        derived = time.process_time() - begun
        start = system.initial(0.1, seed=0)
        gradient = seconds(lambda s=system, y=start: s.gradient(y), 20)
        begun = time.process_time()
        run = flows.integrate(system, start, t_end=1e12)
        spent = time.process_time() - begun
        r = min(n, d) - 1
        table.add_row(
            str(n),
            str(d),
            str(n * d),
            f"{derived:.2f}",
            f"{1e6 * gradient:.0f} us",
            f"{spent:.2f}",
            str(run.stats["steps"]),
            str(run.stats["pieces"]),
            f"{run.t[-1] ** 2 * run['loss'][-1]:.8f}, {3 * r / (64 * (3 + r)):.8f}",
        )
    console.print(table)


def accuracy(console: Console) -> None:
    """Relative error of the loss over time, where it is known in closed form."""
    a = sp.Symbol("a")
    w = sp.MatrixSymbol("W", 3, 2)
    gap = w.T * w - sp.diag(1, 0)
    first = np.array([[0.3, -0.2], [0.5, 0.1], [-0.1, 0.4]])
    inverse = np.linalg.inv(first.T @ first)

    def factorization(t: float) -> float:
        """`|W'W - M|^2/4`: the inverse of `W'W` obeys a linear equation."""
        with mp.workdps(60):
            near, fast = mp.exp(-mp.mpf(t)), -mp.expm1(-2 * mp.mpf(t))
            one = near**2 * inverse[0, 0] + fast
            both, two = near * inverse[0, 1], inverse[1, 1] + 2 * mp.mpf(t)
            size = one * two - both**2
            parts = (two / size - 1, both / size, one / size)
            return float(parts[0] ** 2 + 2 * parts[1] ** 2 + parts[2] ** 2) / 4

    cases = {
        "|W'W - M|^2/4, 3 x 2": (
            flows.OwnSystem("factorization", [w], sp.trace(gap.T * gap) / 4),
            first.ravel(),
            factorization,
            1e12,
        ),
        "(a - 1)^4/4 + 3": (
            flows.OwnSystem("quartic", [a], (a - 1) ** 4 / 4 + 3),
            [2.0],
            lambda t: float((1 + 2 * mp.mpf(t)) ** -2 / 4),
            1e12,
        ),
        "(a - 1)^2": (
            flows.OwnSystem("square", [a], (a - 1) ** 2),
            [2.0],
            lambda t: float(mp.exp(-4 * mp.mpf(t))),
            160.0,
        ),
    }
    table = Table(
        "loss",
        "t",
        "L - L*",
        "worst relative error",
        "processor time",
        title="closed forms, at 25 times from t = 1 on, rtol 1e-10",
    )
    for name, (system, start, exact, t_end) in cases.items():
        times = np.geomspace(1, t_end, 25)
        begun = time.process_time()
        run = flows.integrate(system, start, t_end, times)
        excess = run["excess"][1:]
        spent = time.process_time() - begun
        truth = np.array([exact(t) for t in times])
        worst = np.abs(excess / truth - 1).max()
        table.add_row(name, f"{t_end:.0e}", f"{excess[-1]:.3e}", f"{worst:.1e}", f"{spent:.1f} s")
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
