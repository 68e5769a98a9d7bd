"""Figure 1 of Xu & Du (2023): the loss of gradient descent for 1, 2, 5 and 10 neurons.

The paper's experiment: start with sigma = 0.1, step size 0.05, teacher of length 1, 50 000 steps.
The paper does not state d; here d = 10. Below the loss its local exponent, which approaches -3
for more than one neuron and is a straight line downwards, -c t, for one. The table says how long
each run took. Writes figure1.png and figure1.pdf. Run

    python benchmarks/figure1.py [--quick] [--out FOLDER] [--d D] [--seed S]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from machine import describe
from rich.console import Console
from rich.table import Table

import flows
from flows.runs.descend import descend

SIGMA, STEP_SIZE, STEPS = 0.1, 0.05, 50_000
NEURONS = (1, 2, 5, 10)
# Told apart by colour (Okabe & Ito), dash and marker, so that print and any eye will do.
STYLES = (
    ("#000000", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#0072B2", "-.", "^"),
    ("#009E73", ":", "D"),
)
# Where doubles end, the loss of one neuron has nothing more to show; the others stay above.
FLOOR = 1e-20


def draw(runs: dict[int, flows.Trajectory], d: int) -> plt.Figure:
    """Loss above, local exponent below."""
    figure, (above, below) = plt.subplots(
        2, 1, sharex=True, figsize=(6.0, 6.5), height_ratios=(3, 2), layout="constrained"
    )
    for (n, run), (color, dash, marker) in zip(runs.items(), STYLES, strict=True):
        kept = (run.t > 0) & (run["loss"] > FLOOR)
        style = {"color": color, "linestyle": dash, "marker": marker, "markevery": 6, "ms": 4}
        above.loglog(run.t[kept], run["loss"][kept], label=f"n = {n}", **style)
        below.semilogx(run.t[kept], flows.local_exponent(run)[kept], **style)
    last = max(run.t[-1] for run in runs.values())
    guide = [last / 100, last]
    level = 20 * runs[2]["loss"][-1]
    above.loglog(guide, [level * 1e6, level], color="gray", linewidth=1)
    above.annotate(r"$t^{-3}$", (last / 10, level * 1.5e3), color="gray")
    below.axhline(-3, color="gray", linewidth=1)
    below.set_ylim(-6, 0.5)
    above.set_ylabel(r"loss $L$")
    below.set_ylabel(r"local exponent $t\,\dot L / L$")
    below.set_xlabel(rf"$t = \eta \times$ steps, $\eta = {STEP_SIZE}$")
    above.set_title(rf"Gradient descent, $d = {d}$, $\sigma = {SIGMA}$")
    above.legend()
    return figure


def main() -> None:
    """Run, draw and print the exponents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder of the pictures")
    parser.add_argument("--d", type=int, default=10, help="dimension")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    steps = STEPS // 10 if options.quick else STEPS
    runs = {}
    table = Table(title=f"gradient descent, d = {options.d}, {steps} steps of {STEP_SIZE:g}")
    headings = ("n", "status", "loss at the end", "last exponent", "seconds")
    for heading in headings:
        table.add_column(heading, justify="right")
    for n in NEURONS:
        system = flows.ReLUNeuron(n, options.d)
        start = system.initial(SIGMA, options.seed)
        descend(system, start, STEP_SIZE, steps=1)  # compile before the clock runs
        run = runs[n] = descend(system, start, STEP_SIZE, steps)
        exponent = flows.local_exponent(run)[run["loss"] > FLOOR][-1]
        table.add_row(
            f"{n}",
            run.status,
            f"{run['loss'][-1]:.3e}",
            f"{exponent:.3f}",
            f"{run.stats['seconds']:.3f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 118)
    console.print(describe())
    console.print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    figure = draw(runs, options.d)
    for suffix in ("png", "pdf"):
        path = options.out / f"figure1.{suffix}"
        figure.savefig(path, dpi=200)
        console.print(f"wrote {path}")
    plt.close(figure)


if __name__ == "__main__":
    main()
