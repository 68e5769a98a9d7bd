"""Figures of two layers: shares and residuals along a run, and runs of several activations."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.pages.drawing import draw_curves, line_style, log_axis, styled, time_axis
from flows.runs.integrate import integrate
from flows.runs.quantities import Run
from flows.systems.two_layer.system import TwoLayer

__all__ = ["activations_figure", "clusters_figure"]

START = np.array([[0.9, 0.2], [0.8, -0.1], [0.1, 0.8]])
# Activations with the outputs with which their loss falls like a power.
SHOWN = (("relu", (1.0, 1.0, 1.0)), ("leaky:0.3", (1.0, 1.0, 1.0)), ("erf", (0.5, 0.5, 1.0)))


@styled
def clusters_figure(run: Run) -> Figure:
    """Shares of the students, and residuals of the teachers, against time.

    Parameters
    ----------
    run : Run
        A trajectory of `two_layer`.

    Returns
    -------
    Figure
        Two panels.
    """
    figure = Figure(figsize=(6.8, 4.6), layout="constrained")
    axes: list[Axes] = list(figure.subplots(2, 1, sharex=True))
    quantities = run.quantities
    t = quantities["t"]
    shown = t > 0
    panels = (
        ("share", "A_i", "share of the teacher", "neuron"),
        ("residual", "|r_j|", "residual of a teacher", "teacher"),
    )
    for panel, (name, sign, words, each) in zip(axes, panels, strict=True):
        draw_curves(panel, t[shown], quantities[name][shown], f"${sign}$", each)
        panel.set_ylabel(f"${sign}$")
        panel.set_title(words, loc="left", pad=16)
    time_axis(axes[1])
    return figure


@styled
def activations_figure() -> Figure:
    """Loss of three students and two teachers, for several activations.

    Returns
    -------
    Figure
        One panel.
    """
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    axis = figure.subplots()
    for k, (name, outputs) in enumerate(SHOWN):
        run = integrate(TwoLayer(3, 2, activation=name, output_weights=outputs), START, t_end=1e8)
        axis.plot(run.t[1:], run["loss"][1:], **line_style(k), label=name)
    axis.set_ylabel("$L$")
    log_axis(axis, "y")
    time_axis(axis)
    axis.legend()
    return figure
