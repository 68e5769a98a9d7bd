"""The figure of growth in the docs: with neurons, dimension, members and workers.

Seconds are those of the processor; for workers they are those of a clock, too, which tells the
truth on an idle machine alone: the figure says how busy it was. Run

    python benchmarks/growth_figure.py [--quick] [--out docs/growth.png]
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import growth
import matplotlib.pyplot as plt
from machine import describe
from matplotlib.ticker import NullFormatter, NullLocator
from rich.console import Console
from rich.progress import track

import flows
from flows.core.threads import cores

LIMIT, QUICK = 30.0, 3.0
# Members of an ensemble that is shared among workers, and where it ends.
SHARED, FEW, SHARED_END = 512, 128, 1e9


class Curve(NamedTuple):
    """Seconds by size; sizes whose run did not end are left out."""

    label: str
    sizes: list[int]
    seconds: list[float]


class Panel(NamedTuple):
    """What grows, in words, and its curves."""

    what: str
    axis: str
    curves: list[Curve]


def single(label: str, sizes: list[tuple[int, int, int]], method: str, limit: float) -> Curve:
    """Runs of `(size, n, d)` by a method."""
    made = Curve(label, [], [])
    for size, n, d in track(sizes, label, console=Console(stderr=True), transient=True):
        found = growth.apart(growth.single, growth.BUSY * limit, n, d, method, limit)
        if found["status"] == "completed":
            made.sizes.append(size)
            made.seconds.append(found["seconds"])
    return made


def measure(quick: bool) -> list[Panel]:
    """All panels."""
    limit = QUICK if quick else LIMIT
    neurons = growth.NEURONS[:4] if quick else growth.NEURONS
    many = growth.MEMBERS[:4] if quick else growth.MEMBERS[:5]
    by_n = [
        single(f"{method}, {name}", [(n, n, d or n) for n in neurons], method, limit)
        for method in growth.METHODS
        for name, d in (("d = 5", 5), ("d = n", 0))
    ]
    by_d = [
        single(f"{method}, n = 3", [(d, 3, d) for d in growth.DIMENSIONS], method, limit)
        for method in growth.METHODS
    ]
    stored = Curve("on disk, n = 2, d = 2", [], [])
    for size in many:
        found = growth.apart(growth.members, 2 * growth.BUSY * limit, size, "auto")
        if "seconds" in found:
            stored.sizes.append(size)
            stored.seconds.append(found["seconds"])
    members, system = FEW if quick else SHARED, flows.ReLUNeuron(3, 5)
    shared = {"seconds": Curve("clock", [], []), "spent": Curve("processor", [], [])}
    for workers in range(1, cores() + 1):
        found = growth.some(system, growth.LENGTH, SHARED_END, members, workers)
        for key, curve in shared.items():
            curve.sizes.append(workers)
            curve.seconds.append(found[key])
    return [
        Panel(f"one run to t = {growth.T_END:g}, rtol {growth.RTOL:g}", "neurons n", by_n),
        Panel(f"one run to t = {growth.T_END:g}, rtol {growth.RTOL:g}", "dimension d", by_d),
        Panel(f"an ensemble to t = {growth.SHORT:g}, rtol {growth.ROUGH:g}", "members", [stored]),
        Panel(
            f"{members} members, n = 3, d = 5, to t = {SHARED_END:g}, rtol {growth.RTOL:g}",
            "workers (threads)",
            list(shared.values()),
        ),
    ]


def draw(panels: list[Panel], load: float, out: Path) -> None:
    """Draw the panels, log-log, and name the machine and how many programs ran on it."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for axis, panel in zip(axes.flat, panels, strict=True):
        for curve in panel.curves:
            axis.loglog(curve.sizes, curve.seconds, "o-", label=curve.label)
        sizes = sorted({size for curve in panel.curves for size in curve.sizes})
        seconds = [x for curve in panel.curves for x in curve.seconds]
        axis.set(xlabel=panel.axis, ylabel="seconds")
        axis.set_xticks(sizes, [f"{size:g}" if size < 1e4 else f"{size:.0e}" for size in sizes])
        axis.xaxis.set_minor_locator(NullLocator())
        # Whole decades, so that every panel has numbers at its ticks.
        axis.set_ylim(
            10.0 ** math.floor(math.log10(min(seconds))),
            10.0 ** math.ceil(math.log10(max(seconds))),
        )
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_title(panel.what, fontsize="medium")
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    figure.suptitle(f"{describe()}; {load:.0f} other programs ran", fontsize="small")
    figure.savefig(out, dpi=110)


def main() -> None:
    """Measure and draw; print what is drawn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, short limit")
    parser.add_argument("--out", type=Path, default=Path("docs/growth.png"), help="where")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    growth.compile_all()
    panels = measure(options.quick)
    for panel in panels:
        for curve in panel.curves:
            pairs = zip(curve.sizes, curve.seconds, strict=True)
            print(panel.axis, "|", curve.label, "|", *(f"{k}: {s:.3g}" for k, s in pairs))
    draw(panels, load, options.out)


if __name__ == "__main__":
    main()
