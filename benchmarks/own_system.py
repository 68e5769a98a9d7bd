"""Own systems: cost by size, accuracy over time, and what rebuilding a built-in system loses.

The example is quadratic neurons, `L = E (sum_i (w_i.x)^2 - x_1^2)^2/2`, whose loss falls like
`3 r/(64 (3 + r) t^2)`, `r = min(n - 1, d - 1)`. Losses whose flows are known
are compared with `own_references.json`: closed forms, and collocation with 50 digits, by means that
are not popflow's (`tests/oracles/own_losses.py`). Run

    python benchmarks/own_system.py
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from machine import describe
from mpmath import mp
from oracle_path import PATHS
from rich.console import Console
from rich.table import Table

import flows
from symbolic import Expectation

sys.path.extend(PATHS)
from oracles import own_losses as oracle

REFERENCES = Path(__file__).with_name("own_references.json")
TIMES = oracle.TIMES
DIGITS = 60


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
    first = neurons(2, 2)
    flows.integrate(first, first.initial(0.1, seed=0), t_end=1e12)  # compiles
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


class Case(NamedTuple):
    """A loss, where its flow starts, and `L - L*` there by other means than popflow's."""

    system: flows.OwnSystem
    start: Sequence[float]
    times: Sequence[float]
    truth: Callable[[], list[Any]]


def cases() -> dict[str, Case]:
    """Losses whose flows are known: in closed form, or by collocation with 50 digits."""
    a, b, u, q = sp.symbols("a b u q")
    turn = sp.Matrix([[3, -4], [4, 3]]) / 5
    tall = [[0.3, -0.2], [0.5, 0.1], [-0.1, 0.4]]
    square = [[0.4, 0.1, 0.2], [-0.2, 0.5, 0.1], [0.1, -0.3, 0.6]]
    w, v = sp.MatrixSymbol("W", 3, 2), sp.MatrixSymbol("V", 3, 3)
    x, z = sp.MatrixSymbol("x", 3, 1), sp.Symbol("z")
    narrow = turn.T * (w.T * w) * turn - sp.diag(1, 0)
    wide = v.T * v - sp.diag(1, 0, -1)
    student = (x.T * v.T * v * x)[0, 0]
    gap = sp.erf(a * z) + sp.erf(b * z) - 2 * sp.erf(z)
    exact = [[mp.mpf(3) / 5, mp.mpf(-4) / 5], [mp.mpf(4) / 5, mp.mpf(3) / 5]]
    early = tuple(np.geomspace(1, 160, 13).tolist())

    def of(name: str, loss: Any, blocks: Sequence[Any]) -> flows.OwnSystem:
        return flows.OwnSystem(name, blocks, loss)

    def at(times: Sequence[float], closed: Callable[[Any], Any]) -> Callable[[], list[Any]]:
        return lambda: [closed(mp.mpf(t)) for t in times]

    def made(name: str) -> Callable[[], list[Any]]:
        return lambda: oracle.kept(name)

    return {
        "|O'W'WO - M|^2/4, 3 x 2": Case(
            of("rotated", sp.trace(narrow.T * narrow) / 4, [w]),
            np.ravel(tall),
            TIMES,
            at(TIMES, lambda t: oracle.factorization(tall, (1, 0), t, exact)),
        ),
        "the same, 3 x 3, M has -1": Case(
            of("negative", sp.trace(wide.T * wide) / 4, [v]),
            np.ravel(square),
            TIMES,
            at(TIMES, lambda t: oracle.factorization(square, (1, 0, -1), t) - mp.mpf(1) / 4),
        ),
        "quadratic neurons, 3 x 3": Case(
            of("neurons", Expectation((student - x[0, 0] ** 2) ** 2, x) / 2, [v]),
            np.ravel(oracle.NEURONS_START).tolist(),
            TIMES,
            made("neurons"),
        ),
        "two erf students": Case(
            of("committee", Expectation(gap**2, z) / 2, [a, b]),
            oracle.COMMITTEE_START,
            TIMES,
            made("committee"),
        ),
        "(u^2 - q^3)^2 + q^8": Case(
            of("valley", (u**2 - q**3) ** 2 + q**8, [u, q]),
            oracle.VALLEY_START,
            TIMES,
            made("valley"),
        ),
        "(a - 1)^4/4 + 3": Case(
            of("quartic", (a - 1) ** 4 / 4 + 3, [a]),
            [2.0],
            TIMES,
            at(TIMES, lambda t: (1 + 2 * t) ** -2 / 4),
        ),
        "(a - 1)^2": Case(
            of("square", (a - 1) ** 2, [a]), [2.0], early, at(early, lambda t: mp.exp(-4 * t))
        ),
    }


def references(known: dict[str, Case]) -> dict[str, list[Any]]:
    """Losses with 40 digits from the file beside this one, which is completed first."""
    stored = json.loads(REFERENCES.read_text()) if REFERENCES.exists() else {}
    with mp.workdps(DIGITS):
        lacking = {name: case.truth() for name, case in known.items() if name not in stored}
        stored.update({k: [mp.nstr(x, 40) for x in v] for k, v in lacking.items()})
        if lacking:
            REFERENCES.write_text(json.dumps(stored, indent=0) + "\n")
        return {name: [mp.mpf(x) for x in values] for name, values in stored.items()}


def accuracy(console: Console) -> None:
    """Relative error of `L - L*` over time, against stored references with 40 digits."""
    table = Table(
        "loss",
        "t",
        "L - L*",
        "worst relative error",
        "stated there",
        "processor time",
        title="stored references of 40 digits, at 13 times from t = 1 on, rtol 1e-10",
    )
    known = cases()
    truths = references(known)
    for name, (system, start, times, _) in known.items():
        begun = time.process_time()
        run = flows.integrate(system, start, times[-1], times)
        found, stated = run["excess"][1:], run.errors("excess")[1:]
        spent = time.process_time() - begun
        off = [abs(float(mp.mpf(x) / y - 1)) for x, y in zip(found, truths[name], strict=True)]
        worst = int(np.argmax(off))
        table.add_row(
            name,
            f"{times[-1]:.0e}",
            f"{found[-1]:.3e}",
            f"{off[worst]:.1e}",
            f"{stated[worst]:.1e}",
            f"{spent:.1f} s",
        )
    console.print(table)


def _mixture(n: int, d: int) -> flows.OwnSystem:
    """Gradient EM of equal weights at a standard Gaussian, by quadrature."""
    mu, x = sp.MatrixSymbol("mu", n, d), sp.MatrixSymbol("x", d, 1)
    tilt = [sum(mu[i, j] * x[j, 0] - mu[i, j] ** 2 / 2 for j in range(d)) for i in range(n)]
    return flows.OwnSystem("mixture", [mu], Expectation(-sp.log(sum(map(sp.exp, tilt)) / n), x))


def rebuilt(console: Console) -> None:
    """Mixtures and two layers, rebuilt and built in."""
    mixture, line = (_mixture(n, d) for n, d in ((3, 2), (2, 1)))
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
        (line, flows.GMMEM(n=2, d=1), 1.0, 1e12),
        (layers, flows.MatrixFactorization(d=3, depth=2), 0.3, 3.0),
    ):
        start = built.initial(scale, seed=0)
        runs, spent = [], []
        for system, y in ((own, start.ravel()), (built, start)):
            flows.integrate(system, y, t_end=t_end, rtol=1e-8)  # compiles
            begun = time.perf_counter()
            runs.append(flows.integrate(system, y, t_end=t_end, rtol=1e-8))
            spent.append(time.perf_counter() - begun)
        assert all(run.completed for run in runs), runs[0].message
        known = runs[0]["loss"] > 0
        difference = np.abs(runs[0]["loss"] / runs[1]["loss"] - 1)[known].max()
        size = " x ".join(map(str, start.shape))
        table.add_row(
            f"{built.name}, {size}",
            f"{t_end:g}",
            *(f"{s:.2f} s" for s in spent),
            f"{difference:.0e}",
        )
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
