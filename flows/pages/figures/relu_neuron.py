"""Figures of the ReLU neuron: the phases of a run, and the phase portrait of two neurons."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.core.arrays import Array
from flows.pages.drawing import BLACK, COLOURS, DASHES, draw_curves, styled, time_axis
from flows.runs.integrate import integrate
from flows.runs.quantities import Run, marked_times
from flows.runs.request import FIRST_TIME
from flows.systems.relu_neuron.system import ReLUNeuron

__all__ = ["phase_portrait", "phases_figure"]

SHOWN_AFTER_PHASES = 1e3  # multiple of the beginning of phase 3 where the figure of the phases ends


@styled
def phases_figure(run: Run) -> Figure:
    """Angles to the teacher, largest angle between the `z_i`, balance and `H`, phases marked.

    Parameters
    ----------
    run : Run
        A trajectory of `relu_neuron`.

    Returns
    -------
    Figure
        Four panels; the dotted lines are the marks `T1` (end of phase 1) and `T2` (beginning of
        phase 3), read off the run.
    """
    figure = Figure(figsize=(6.8, 5.6), layout="constrained")
    axes: list[Axes] = list(figure.subplots(2, 2, sharex=True).flat)
    quantities = run.quantities
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
        draw_curves(panel, t[shown], value, f"${sign}$", "neuron" if value.ndim > 1 else "")
        panel.set_ylabel(f"${sign}$")
        panel.set_title(words, loc="left", pad=16)
        for time in marks[marks > 0]:
            panel.axvline(time, color=BLACK, linestyle=DASHES[2], linewidth=1.0)
    for panel in axes[2:]:
        time_axis(panel)
    for panel in axes[:2]:
        _phase_names(panel, marks)
    return figure


@styled
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
