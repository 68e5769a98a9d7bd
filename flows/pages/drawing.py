"""What figures share: style, axes, lines, and how they are written to files.

Lines differ in colour (the Okabe-Ito palette, safe for colour-blind readers) and also in dashes and
markers, so that a print in black and white tells them apart. No global state of matplotlib is
touched and no window is opened.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.files import write_file
from flows.pages.curves import SPREAD, Panel
from flows.runs.rates import FLOOR
from flows.runs.trajectory import Trajectory

__all__ = [
    "BLACK",
    "COLOURS",
    "DASHES",
    "PICTURE",
    "STYLE",
    "draw_curves",
    "draw_panel",
    "draw_rate",
    "line_style",
    "log_axis",
    "mark_events",
    "number_text",
    "power_text",
    "save",
    "stacked_panels",
    "styled",
    "time_axis",
    "time_label",
    "write_note",
]

STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 3.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "svg.hashsalt": "popflow",  # the same figure gives the same file
}
BLACK = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
#: Tolerance of runs that are only drawn: their errors are far below the width of a line.
PICTURE = 1e-4
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MARKERS = ("", "o", "s", "^", "x")
MARKS_PER_LINE = 12
HEADROOM = 0.3  # of an axis, for a legend in one row
ENTRY = 1.25  # inches of an entry of it
MOST_LABELS = 6  # more entries than this make a legend a list

FLOW = r"dw/dt = -\nabla L"

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw within the style, which is undone afterwards."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as ``.svg``, ``.pdf`` (vectors) or ``.png``; equal figures give equal files.

    Raises
    ------
    InputError
        For another suffix.
    """
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    target = Path(path)
    if target.suffix not in undated:
        raise InputError(f"{target}: expected a name ending in {', '.join(undated)}; choose one")
    metadata = undated[target.suffix]
    with matplotlib.rc_context(STYLE):
        write_file(target, lambda part: figure.savefig(part, dpi=200, metadata=metadata))
    return target


def stacked_panels(
    count: int, size: tuple[float, float], **ratios: Any
) -> tuple[Figure, list[Axes]]:
    """Figure with panels above each other, over one time."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(count, 1, sharex=True, gridspec_kw=ratios))


def line_style(index: int) -> dict[str, Any]:
    """Colour, dashes and marker; no two of the first 140 are equal."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markevery": (3 * index % MARKS_PER_LINE / 100, 1 / MARKS_PER_LINE),
    }


def time_axis(axes: Axes, flow: str = FLOW) -> None:
    """Logarithmic axis of time, whose unit the equation of the flow fixes."""
    time_label(axes, flow)
    log_axis(axes, "x")


def time_label(axes: Axes, flow: str = FLOW) -> None:
    """Name the axis of time, whose unit the equation of the flow fixes."""
    axes.set_xlabel(f"$t$   (time of ${flow}$)")


def log_axis(axes: Axes, which: str) -> None:
    """Logarithmic axis without a crowd of minor ticks."""
    getattr(axes, f"set_{which}scale")("log")
    axes.minorticks_off()
    # As plain text: setting formulas takes most of the time of a figure.
    getattr(axes, f"{which}axis").set_major_formatter(lambda value, place: power_text(value))


def power_text(x: float) -> str:
    """Positive number in three digits, with its power of ten in raised digits if it has one."""
    digits, _, power = f"{x:.2e}".partition("e")
    if -1 <= int(power) <= 1 and not (digits == "1.00" and x < 1):
        return f"{x:.3g}"
    raised = "10" + str(int(power)).translate(RAISED)
    return raised if digits == "1.00" else f"{float(digits):g} \N{MULTIPLICATION SIGN} {raised}"


def draw_curves(axes: Axes, t: Array, values: Array, label: str, index: str) -> None:
    """Draw (T,) or (T, n) values over time, logarithmically where they spread over decades."""
    columns = values.reshape(len(t), -1)
    known = np.isfinite(columns) & (np.abs(columns) > FLOOR) & (t > 0)[:, None]
    if not known.any():
        write_note(axes, "zero or undefined for this run")
        return
    sizes = np.abs(columns[known])
    logarithmic = bool(sizes.max() > SPREAD * sizes.min())
    for k, column in enumerate(columns.T):
        name = label if not index else f"{index} {k + 1}" if k < MOST_LABELS else "_"
        shown = known[:, k] if logarithmic else np.isfinite(column) & (t > 0)
        if logarithmic and (column[shown] < 0).any():
            size = np.where(shown & (column < 0), -column, np.nan)
            below = "negative: its size" if k == 0 or (columns[:, :k] >= 0).all() else "_"
            axes.plot(t, size, color="0.6", linewidth=3.5, marker=".", label=below)
            column, shown = np.where(column > 0, column, np.nan), t > 0
        axes.plot(t[shown], column[shown], **line_style(k), label=name)
    if logarithmic:
        log_axis(axes, "y")
    if (count := len(axes.get_legend_handles_labels()[1])) > 1:
        width = axes.bbox.width / axes.figure.dpi
        if count * ENTRY > width:
            axes.legend()
        else:
            axes.margins(y=HEADROOM)  # above the curves, wherever these go
            axes.legend(loc="upper right", ncols=count)


def draw_panel(axes: Axes, t: Array, panel: Panel, *, first: int = 0, step: int = 1) -> None:
    """Draw the curves of a panel, beginning with this style and leaving out some."""
    for index, series in enumerate(panel.series):
        drawn = np.isfinite(series.values)
        style = line_style(first + step * index)
        axes.plot(t[drawn], series.values[drawn], **style, label=series.label)


def draw_rate(axes: Axes, t: Array, rate: Panel, until: float) -> None:
    """Draw the rate of a loss that falls exponentially, over linear time up to an end."""
    draw_panel(axes, t, rate)
    axes.set_xlim(0.0, until)
    axes.set_ylim(top=max(0.0, *(np.nanmax(series.values) for series in rate.series)))
    axes.set_ylabel(r"$d \log L/dt$")
    time_label(axes)


def write_note(axes: Axes, text: str) -> None:
    """Say in the middle of a panel why nothing is drawn."""
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes)


def number_text(x: float) -> str:
    """Three digits, with a power of ten where zeros would have to be counted."""
    digits, _, power = f"{x:.3g}".partition("e")
    return rf"${digits} \times 10^{{{int(power)}}}$" if power else digits


def mark_events(run: Trajectory, *panels: Axes) -> None:
    """Mark the events of a run in all panels, in words above the first."""
    kinds_at: dict[float, list[str]] = {}
    for event in run.events:
        kinds_at.setdefault(event.time, []).append(event.kind)
    for time, kinds in kinds_at.items():
        for axes in panels:
            axes.axvline(time, color="0.5", linestyle=DASHES[3], linewidth=1.0)
        panels[0].text(
            time,
            1.01,
            ", ".join(kinds),
            ha="center",
            va="bottom",
            fontsize=8,
            transform=panels[0].get_xaxis_transform(),
        )
