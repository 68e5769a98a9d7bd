"""Figures of a run: each function takes a run and returns a matplotlib figure.

Lines differ in colour (the Okabe-Ito palette, safe for colour-blind readers) and also in dashes and
markers, so that a print in black and white tells them apart. No global state of matplotlib is
touched and no window is opened.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.core.arrays import Array
from flows.core.errors import InputError, unknown
from flows.report.curves import SPREAD, Panel, claim_about, claim_panels, exponent_panel, loss_panel
from flows.runs.integrate import FIRST_TIME, integrate
from flows.runs.quantities import Quantities, Run, marked_times
from flows.runs.rates import FLOOR
from flows.systems.relu_neuron.system import ReLUNeuron
from potentials.claim import Claim

__all__ = ["loss_figure", "phase_portrait", "phases_figure", "potential_figure", "save"]

TIME = r"$t$   (time of $dw/dt = -\nabla L$)"
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
MARKERS = ("", "o", "s", "^", "x")
MARKS_PER_LINE = 12
MOST_LABELS = 6  # more entries than this make a legend a list
SHOWN_AFTER_PHASES = 1e3  # multiple of the begin of phase 3 where the figure of the phases ends
LOWEST_EXPONENT = -5.0  # an exponential decay leaves the panel of the local exponent here

P = ParamSpec("P")


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw within the style, which is gone afterwards."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


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
    with matplotlib.rc_context(STYLE):
        figure.savefig(target, dpi=200, metadata=undated[target.suffix])
    return target


@_styled
def loss_figure(run: Run) -> Figure:
    """Loss with the bounds of its claims; below it the local exponent.

    Parameters
    ----------
    run : Run
        The trajectory.

    Returns
    -------
    Figure
        Two panels over the same time, `flows.report.curves.loss_panel` and `exponent_panel`.
    """
    figure, (above, below) = _panels(2, (6.8, 5.2), height_ratios=(2, 1))
    t = np.asarray(run.t)
    loss, exponent = loss_panel(run), exponent_panel(run)
    _series(above, t, loss)
    _logarithmic(above, "y")
    above.set_ylabel("loss $L$")
    above.legend()

    _series(below, t, exponent)
    for power in exponent.levels:
        below.axhline(power, color=BLACK, linestyle=DASHES[2], label=f"${power:g}$, as claimed")
    (curve,) = exponent.series
    seen = curve.values[np.isfinite(curve.values)]
    if seen.min(initial=0.0) < LOWEST_EXPONENT:
        below.set_ylim(LOWEST_EXPONENT, 0.4)
    if len(seen) and seen[-1] < LOWEST_EXPONENT:
        below.set_title("the exponent falls without bound: faster than every power", loc="right")
    below.set_ylabel("local exponent of $L$")
    below.legend()
    _time_axis(below)
    return figure


@_styled
def potential_figure(run: Run, name: str) -> Figure:
    """Potential, its derivative along the flow, and the claim about it with its slack.

    Parameters
    ----------
    run : Run
        The trajectory.
    name : str
        A potential of the system.

    Returns
    -------
    Figure
        Value and absolute Lie derivative; where a claim compares this potential with something,
        also both sides at the measured (or the stated) constant, and the relative slack, which
        must not be negative. Negative values on a logarithmic axis are drawn as their size in grey.

    Raises
    ------
    InputError
        For an unknown potential.
    """
    known = {p.name: p for p in run.statements.potentials}
    if name not in known:
        raise unknown("potential", name, known)
    potential = known[name]
    claim = claim_about(run, name)
    quantities = Quantities(run)
    t, value, rate = (quantities[x] for x in ("t", name, f"{name}_dot"))
    sign = _plain(potential.latex_symbol)
    figure, axes = _panels(2 if claim is None else 4, (6.8, 3.6 if claim is None else 7.2))
    _curves(axes[0], t, value, f"${sign}$", "neuron" if value.ndim > 1 else "")
    axes[0].set_ylabel(f"${sign}$")
    _curves(axes[1], t, np.abs(rate), "", "neuron" if value.ndim > 1 else "")
    axes[1].set_ylabel(rf"$|\,\frac{{d}}{{dt}}\,{sign}\,|$")
    if claim is not None:
        _inequality(axes[2], axes[3], run, claim)
    _time_axis(axes[-1])
    return figure


@_styled
def phases_figure(run: Run) -> Figure:
    """Angles to the teacher, largest angle between the `z_i`, balance and `H`, phases marked.

    Parameters
    ----------
    run : Run
        A trajectory of `relu_neuron`.

    Returns
    -------
    Figure
        Four panels; the dotted lines are the marks `T1` (end of phase 1) and `T2` (begin of
        phase 3), read off the run.
    """
    figure = Figure(figsize=(6.8, 5.6), layout="constrained")
    axes: list[Axes] = list(figure.subplots(2, 2, sharex=True).flat)
    quantities = Quantities(run)
    marks = np.nan_to_num(list(marked_times(run).values()), nan=np.inf)
    marks = marks[marks < np.inf]
    t = quantities["t"]
    end = min(t[-1], SHOWN_AFTER_PHASES * marks.max(initial=FIRST_TIME))
    shown = (t > 0) & (t <= end)
    panels = (
        ("theta", r"\theta_i", "angle to the teacher (rad)"),
        ("kappa_max", r"\kappa_{\max}", "largest angle of two $z_i$ (rad)"),
        ("balance", r"\max_i h_i\,/\,\min_i h_i", "balance"),
        ("residual_projection", "H", "residual along the teacher"),
    )
    for panel, (name, sign, words) in zip(axes, panels, strict=True):
        value = quantities[name][shown]
        _curves(panel, t[shown], value, f"${sign}$", "neuron" if value.ndim > 1 else "")
        panel.set_ylabel(f"${sign}$")
        panel.set_title(words, loc="left", pad=16)
        for time in marks[marks > 0]:
            panel.axvline(time, color=BLACK, linestyle=DASHES[2], linewidth=1.0)
    for panel in axes[2:]:
        _time_axis(panel)
    for panel in axes[:2]:
        _phase_names(panel, marks)
    return figure


@_styled
def phase_portrait(t_end: float = 1e4) -> Figure:
    """Phase portrait for `n = 2`, `d = 2`, teacher `e_1`.

    Parameters
    ----------
    t_end : float
        Where the trajectories of the right panel end.

    Returns
    -------
    Figure
        Left: the mirror pairs `w = (h, z), (h, -z)` are an invariant plane of the flow; its
        streamlines, and the minimum at `(1/2, 0)`. Right: two neurons (solid and dashed) move in
        the plane of the parameters, from equal large marks to black dots; a mark a start.
    """
    system = ReLUNeuron(n=2, d=2)
    figure = Figure(figsize=(6.8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    h, z = np.meshgrid(np.linspace(-0.6, 1.2, 28), np.linspace(0.02, 1.0, 20))
    pairs = np.stack([np.stack([h, z], -1), np.stack([h, -z], -1)], -2)
    field = -np.array([[system.gradient(pair)[0] for pair in row] for row in pairs])
    left.streamplot(
        h,
        z,
        field[..., 0],
        field[..., 1],
        color=COLOURS[0],
        linewidth=0.9,
        density=0.9,
        arrowsize=0.9,
    )
    left.plot(
        [0.5],
        [0.0],
        marker="*",
        markersize=12,
        color=COLOURS[1],
        linestyle="",
        clip_on=False,
        label="minimum, $2w = v$",
    )
    left.set(
        xlabel="$h = h_1 = h_2$",
        ylabel="$z = z_1 = -z_2$",
        title="mirror pairs",
        xlim=(-0.6, 1.2),
        ylim=(0.0, 1.0),
    )
    left.legend(loc="upper right", frameon=True, handlelength=1.0)

    for seed, (colour, marker) in enumerate(zip(COLOURS, "osD^v", strict=False)):
        path = integrate(system, system.initial(0.5, seed), t_end).state
        for neuron, dashes in zip(path.swapaxes(0, 1), DASHES, strict=False):
            right.plot(*neuron.T, color=colour, linestyle=dashes)
            right.plot(*neuron[0], marker=marker, markersize=6, color=colour, linestyle="")
            right.plot(*neuron[-1], marker=".", color=BLACK, linestyle="")
    right.annotate("", (1.0, 0.0), (0.0, 0.0), arrowprops={"arrowstyle": "->", "color": BLACK})
    right.annotate("$v$", (1.0, 0.0), (3, 4), textcoords="offset points")
    right.set(
        xlabel=r"$h_i$ (along the teacher)", ylabel="$z_i$ (across)", title="five random starts"
    )
    return figure


def _panels(count: int, size: tuple[float, float], **ratios: Any) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(count, 1, sharex=True, gridspec_kw=ratios))


def _style(index: int) -> dict[str, Any]:
    """Colour, dashes and marker; no two of the first 140 are equal."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
        "markevery": (3 * index % MARKS_PER_LINE / 100, 1 / MARKS_PER_LINE),
    }


def _time_axis(axes: Axes) -> None:
    axes.set_xlabel(TIME)
    _logarithmic(axes, "x")


def _logarithmic(axes: Axes, which: str) -> None:
    """Logarithmic axis without a crowd of minor ticks."""
    getattr(axes, f"set_{which}scale")("log")
    axes.minorticks_off()


def _curves(axes: Axes, t: Array, values: Array, label: str, index: str) -> None:
    """Draw (T,) or (T, n) values over time, logarithmically where they spread over decades."""
    columns = values.reshape(len(t), -1)
    known = np.isfinite(columns) & (np.abs(columns) > FLOOR) & (t > 0)[:, None]
    if not known.any():
        _note(axes, "zero or undefined for this run")
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
        axes.plot(t[shown], column[shown], **_style(k), label=name)
    if logarithmic:
        _logarithmic(axes, "y")
    if len(axes.get_legend_handles_labels()[1]) > 1:
        axes.legend()


def _inequality(sides: Axes, slack: Axes, run: Run, claim: Claim) -> None:
    """Both sides of the comparisons of a claim, and how far they are apart."""
    t = np.asarray(run.t)
    both, gaps = claim_panels(run, claim)
    # A slack looks like the right side that it belongs to.
    for axes, panel, first, step in ((sides, both, 0, 1), (slack, gaps, 1, 2)):
        if panel.note:
            _note(axes, panel.note)
        _series(axes, t, panel, first, step)
    if both.logarithmic:
        _logarithmic(sides, "y")
    if both.series:
        sides.legend(ncols=1 + (len(both.series) > 4))
    sides.set_ylabel("both sides")
    sides.set_title(f"claim {claim.id} ({claim.source.locator})", loc="left")
    slack.axhline(0, color=BLACK, linestyle=DASHES[2])
    slack.set_ylabel("relative slack")


def _series(axes: Axes, t: Array, panel: Panel, first: int = 0, step: int = 1) -> None:
    """Draw the curves of a panel, beginning with this style and leaving out some."""
    for index, series in enumerate(panel.series):
        drawn = np.isfinite(series.values)
        style = _style(first + step * index)
        axes.plot(t[drawn], series.values[drawn], **style, label=series.label)


def _phase_names(axes: Axes, marks: Array) -> None:
    """Write the phases between their marks, along the top of a panel."""
    low, high = axes.get_xlim()
    for phase, (a, b) in enumerate(itertools.pairwise(np.clip([0, *marks, np.inf], low, high)), 1):
        if a < b:
            axes.text(
                np.sqrt(a * b),
                1.0,
                f"phase {phase}",
                ha="center",
                va="bottom",
                transform=axes.get_xaxis_transform(),
            )


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes)


def _number(x: float) -> str:
    """Three digits, with a power of ten where zeros would have to be counted."""
    digits, _, power = f"{x:.3g}".partition("e")
    return rf"${digits} \times 10^{{{int(power)}}}$" if power else digits


def _plain(latex: str) -> str:
    """LaTeX that matplotlib can set."""
    return latex.replace(r"\lvert", "|").replace(r"\rvert", "|")
