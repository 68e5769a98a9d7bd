"""The figure of growth in the docs: with neurons, dimension, members and workers.

Seconds are those of the processor, but for workers, where they are those of a clock: draw it on an
idle machine. Run

    python benchmarks/growth_figure.py [--quick] [--out docs/growth.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import growth
import matplotlib.pyplot as plt
from machine import describe
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
    system, shared = flows.ReLUNeuron(3, 5), Curve("n = 3, d = 5, to t = 1e9", [], [])
    for workers in range(1, cores() + 1):
        found = growth.some(system, growth.LENGTH, SHARED_END, FEW if quick else SHARED, workers)
        shared.sizes.append(workers)
        shared.seconds.append(found["seconds"])
    members = FEW if quick else SHARED
    return [
        Panel(f"a run to t = {growth.T_END:g}", "neurons n", by_n),
        Panel(f"a run to t = {growth.T_END:g}", "dimension d", by_d),
        Panel(f"an ensemble to t = {growth.SHORT:g}", "members", [stored]),
        Panel(f"{members} members, by a clock", "workers", [shared]),
    ]


def draw(panels: list[Panel], out: Path) -> None:
    """Draw the panels, log-log, and name the machine."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained")
    for axis, panel in zip(axes.flat, panels, strict=True):
        for curve in panel.curves:
            axis.loglog(curve.sizes, curve.seconds, "o-", label=curve.label)
        axis.set(title=panel.what, xlabel=panel.axis, ylabel="seconds")
        axis.legend(fontsize="small")
    figure.suptitle(describe(), fontsize="small")
    figure.savefig(out, dpi=110)


def main() -> None:
    """Measure and draw; print what is drawn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, short limit")
    parser.add_argument("--out", type=Path, default=Path("docs/growth.png"), help="where")
    options = parser.parse_args()
    growth.compile_all()
    panels = measure(options.quick)
    for panel in panels:
        for curve in panel.curves:
            pairs = zip(curve.sizes, curve.seconds, strict=True)
            print(panel.axis, "|", curve.label, "|", *(f"{k}: {s:.3g}" for k, s in pairs))
    draw(panels, options.out)


if __name__ == "__main__":
    main()
