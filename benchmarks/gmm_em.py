"""Gradient EM: accuracy of the expectations, of runs, speed, nodes over time, and the bad region.

Run

    python benchmarks/gmm_em.py [--quick]

Exits with 1 if an error or a time is above its bound. References: means on a line with 40 digits,
means in two and three dimensions with a rule of twice as many nodes along each axis, and for runs a
solution with 50 digits.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from typing import Any

import numpy as np
from machine import describe
from oracle_path import PATHS
from rich.console import Console
from rich.table import Table

import flows
from flows.systems.mixture import derivatives, forms
from flows.systems.mixture.means import NEAR
from flows.systems.mixture.nodes import packed
from flows.systems.mixture.sums import components_of, of_list

sys.path.extend(PATHS)
from oracles import mixture_lines

EXPECTATION, ALONG_A_RUN, SECONDS = 1e-9, 1e-6, 5.0
SCALES = (1e-8, 1e-6, 1e-4, 1e-2, 0.1, 0.5, 1.0, 3.0, 6.0)
# Nodes of less weight are left out.
NOTHING = 1e-22
WEIGHTS = [0.2, 0.3, 0.5]


def relative(found: Any, exact: Any) -> float:
    """Largest difference relative to the largest entry."""
    return float(np.max(np.abs(np.asarray(found) - exact)) / np.max(np.abs(exact)))


def fine_axis(distance: float, reach: float, near: bool) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of an axis along which means are this far apart."""
    if near:
        x, w = np.polynomial.hermite_e.hermegauss(32)
        return x, w / w.sum()
    step = 0.5 * 2.0 ** (-np.ceil(2 * np.log2(max(1.0, 1.2 * distance))) / 2 - 0.5)
    last = np.ceil(np.sqrt(80 + reach**2 / 4) / step)
    x = step * np.arange(-last, last + 1)
    return x, step * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def two_rules(system: flows.GMMEM, means: np.ndarray, found: Any) -> list[float]:
    """Errors of loss, E|v|^2 and gradient against a rule with many more nodes."""
    frame, state = system.reduce(means)
    components = forms.components(frame, state)
    reach = 2.0 * np.ceil(np.linalg.norm(means, axis=1).max() / 2) + 2.0
    distances = np.ptp(state.mu, axis=0)
    # A step of pi^2 / (24 distance) leaves exp(-48); in the near form Gauss-Hermite is better.
    axes = [fine_axis(d, reach, components.form == NEAR) for d in distances]
    weights = functools.reduce(np.multiply.outer, (w for _, w in axes))
    kept = weights > NOTHING * np.exp(-(reach**2) / 8)
    nodes = np.stack(np.meshgrid(*(x for x, _ in axes), indexing="ij"), axis=-1)
    numbers, parts = packed(nodes[kept], weights[kept]), components_of(components.at(None))
    finer = of_list(components.form, system.calculus, parts, numbers)[0, 0]
    pull = finer[2:].reshape(components.mu.shape)
    gradient = derivatives.gradient(frame, components, pull) @ frame.basis.T
    kl, fisher = finer[:2] + components.constant
    return [
        abs(found.loss / kl - 1),
        abs(found.fisher / fisher - 1),
        relative(found.gradient, gradient[frame.member]),
    ]


def expectations(console: Console) -> bool:
    """Table of errors for means of many sizes."""
    table = Table(title="relative error of loss, E|v|^2, gradient (3 components); measured; nodes")
    for heading in ("r", "|mu|", "loss", "E|v|^2", "gradient", "measured", "nodes", "ms"):
        table.add_column(heading, justify="right")
    good = True
    for r in (1, 2, 3):
        system = flows.GMMEM(3, r, WEIGHTS)
        for scale in SCALES:
            means = np.random.default_rng(r).normal(size=(3, r))
            means *= scale / np.linalg.norm(means, axis=1, keepdims=True)
            if r == 1:
                means *= np.array([[1.0], [0.6], [0.8]])
            begun = time.perf_counter()
            found = system.expectations(means)
            spent = time.perf_counter() - begun
            errors = two_rules(system, means, found)
            if r == 1 and scale >= 1e-4:
                loss, gradient, _ = mixture_lines.expectations(
                    False, means[:, 0].tolist(), system.weights, 40
                )
                exact = np.array(gradient, dtype=float)[:, None]
                errors[0] = max(errors[0], abs(found.loss / float(loss) - 1))
                errors[2] = max(errors[2], relative(found.gradient, exact))
            bad = max(errors) > EXPECTATION
            good &= not bad
            table.add_row(
                f"{r}",
                f"{scale:g}",
                *(f"{e:.1e}" for e in errors),
                f"{found.error:.1e}",
                f"{found.nodes}",
                f"{1e3 * spent:.1f}{' !' if bad else ''}",
            )
    console.print(table)
    gradient = flows.GMMEM(3, 1).gradient([[12.0], [-12.0], [0.0]])[0, 0]
    exact = float(mixture_lines.expectations(False, [12, -12, 0], [1 / 3] * 3, 40)[1][0])
    console.print(f"|mu| = 12: field {gradient:.10e}, relative error {gradient / exact - 1:.1e}")
    return good and abs(gradient / exact - 1) < 1e-6


def along_a_run(console: Console) -> bool:
    """Loss along a run to t = 1e8 against 50 digits."""
    system, start = flows.GMMEM(2, 1, [0.4, 0.6]), [[0.6], [-0.3]]
    times = [10.0**k for k in range(-1, 9)]
    exact = flows.integrate(system, start, 1e8, t_eval=times, method="reference")
    run = flows.integrate(system, start, 1e8, t_eval=times)
    errors = np.abs(run["loss"] / exact["loss"] - 1)
    console.print(
        f"n = 2, d = 1 to t = 1e8: loss {run['loss'][-1]:.3e}, relative error at most "
        f"{errors.max():.1e} (reference: {exact.stats['seconds']:.0f} s)"
    )
    alone = flows.integrate(flows.GMMEM(1, 3), [[0.3, -0.4, 1.2]], 300.0)
    closed = np.abs(alone["loss"] / (0.845 * np.exp(-2 * alone.t)) - 1).max()
    console.print(f"n = 1: L(t) / (L(0) exp(-2t)) - 1 at most {closed:.1e} to t = 300")
    return bool(errors.max() < ALONG_A_RUN and closed < 1e-11)


def speed(console: Console) -> bool:
    """Three components in 100 dimensions to t = 1e6, and the nodes over time."""
    system = flows.GMMEM(3, 100)
    start = system.initial(0.1, 0)
    flows.integrate(system, start, 1.0, rtol=1e-8)  # compile before the clock runs
    begun = time.perf_counter()
    run = flows.integrate(system, start, 1e6, rtol=1e-8)
    solved = time.perf_counter() - begun
    run["loss"]
    both = time.perf_counter() - begun
    console.print(
        f"n = 3, d = 100 to t = 1e6, rtol 1e-8: {solved:.2f} s, with the observables "
        f"{both:.2f} s; {run.stats['field_evaluations']} fields, "
        f"{run.stats['pieces']} pieces"
    )
    nodes = run.features["nodes"]
    shown = [f"{run.t[i]:.0e}: {nodes[i]:.0f}" for i in range(0, len(run.t), 10)]
    console.print("nodes of the observables at t = " + ", ".join(shown))
    return run.completed and both < SECONDS


def bad_region(console: Console, dimensions: tuple[int, ...]) -> bool:
    """Time to leave the bad region."""
    table = Table(title="bad region: time at which max |mu_i| < 10 sqrt(d)")
    for heading in ("d", "exp(d)/30", "left after", "status", "s"):
        table.add_column(heading, justify="right")
    good = True
    for d in dimensions:
        start = np.zeros((3, d))
        start[:2, 0] = 12 * np.sqrt(d), -12 * np.sqrt(d)
        run = flows.integrate(flows.GMMEM(3, d), start, 10.0 ** (8 * d + 4))
        out = np.flatnonzero(run["max_norm"] < 10 * np.sqrt(d))
        good &= len(out) > 0 and run.completed
        between = f"{run.t[out[0] - 1]:.3e} .. {run.t[out[0]]:.3e}" if len(out) else "not left"
        table.add_row(
            f"{d}", f"{np.exp(d) / 30:.3g}", between, run.status, f"{run.stats['seconds']:.1f}"
        )
    console.print(table)
    return good


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="no reference run, d = 1, 2 only")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 118)
    console.print(describe())
    flows.GMMEM(2, 1).loss([[1.0], [2.0]])  # compile before the clock runs
    good = [expectations(console), speed(console)]
    good.append(bad_region(console, (1, 2) if options.quick else (1, 2, 3)))
    if not options.quick:
        good.append(along_a_run(console))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
