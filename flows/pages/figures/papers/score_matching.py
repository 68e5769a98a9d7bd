"""Figures of score matching for its paper: the regimes, their threshold, the landscape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from flows.core.arrays import Array
from flows.ensembles.score_matching import cluster_start, threshold
from flows.pages.drawing import (
    BLACK,
    COLOURS,
    DASHES,
    PICTURE,
    draw_curves,
    line_style,
    log_axis,
    mark_events,
    stacked_panels,
    styled,
    time_axis,
)
from flows.pages.figures.score_matching import FLOW
from flows.runs.integrate import integrate
from flows.runs.rates import local_exponent
from flows.runs.trajectory import Trajectory
from flows.systems.gmm_em.system import GMMEM
from flows.systems.mixture.system import MixtureSystem
from flows.systems.score_matching.system import ScoreMatching

__all__ = ["comparison_figure", "landscape_figure", "paper_figure", "threshold_figure"]

# The paper's experiment.
COMPONENTS, DIMENSIONS, OFFSET = 5, 3, 1e-7
# Digits of a stationary point that a figure shows.
DIGITS = 8


@styled
def paper_figure(run: Trajectory, latest: float = 1e4) -> Figure:
    """Show a run of the paper's experiment: a cluster at distance M, in 3 dimensions.

    Parameters
    ----------
    run : Trajectory
        A run of score matching that begins near 0.
    latest : float
        Time up to which it is shown.

    Returns
    -------
    Figure
        First coordinates less the target's, lengths, and loss with its slope at the end; events are
        marked.
    """
    figure, panels = stacked_panels(3, (6.8, 6.0))
    coordinate, length, loss = panels
    home = float(np.asarray(run.parameters["target"])[0])
    shown = (run.t > 0) & (run.t <= latest)
    t, value = run.t[shown], run["loss"][shown]
    for index, path in enumerate(run.state[shown, :, 0].T - home):
        coordinate.plot(t, path, **line_style(index))
    draw_curves(length, t, run.features["norm"][shown], "", "component")
    loss.plot(t, value, **line_style(0))
    slope = local_exponent(run)[shown][-1]
    late = t >= 0.03 * t[-1]
    guide = 3 * value[-1] * (t[late] / t[-1]) ** slope
    label = f"slope at the end: {slope:.2f}"
    loss.plot(t[late], guide, color=BLACK, linestyle=DASHES[2], label=label)
    loss.legend()
    words = (r"$\mu_{i,1}$", r"$|\mu_i|$", "loss $L$")
    for axes, name in zip(panels, words, strict=True):
        axes.set_ylabel(name)
    for axes in (length, loss):
        log_axis(axes, "y")
    mark_events(run, *panels)
    time_axis(loss, FLOW)
    return figure


@styled
def threshold_figure(
    noises: Sequence[float] = (1e-3, 1e-6, 1e-9, 1e-12), n: int = 5, d: int = 1
) -> Figure:
    """Distance between the regimes for offsets of many sizes, of score matching and gradient EM.

    Parameters
    ----------
    noises : sequence of float
        Sizes of the offsets.
    n, d : int
        Components and dimensions.

    Returns
    -------
    Figure
        Left: brackets from bisection, and the laws of the linearised flows. Right: squares of the
        brackets less those of the laws.
    """
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = np.array(noises)
    kinds: tuple[tuple[type[MixtureSystem], str, float], ...] = (
        (ScoreMatching, "score matching", 1.0),
        (GMMEM, "gradient EM", 2.0),
    )
    for index, (system, words, power) in enumerate(kinds):
        law = power * np.log(1 / sizes)
        found: list[tuple[float, float]] = []
        for noise, growth in zip(noises, np.diff(law, prepend=law[0]), strict=True):
            # The law says by how much the square grows from one size to the next.
            guess = math.sqrt(np.mean(found[-1]) ** 2 + growth) if found else None
            found.append(threshold(n, d, noise, system=system, rtol=PICTURE, guess=guess))
        brackets = np.array(found)
        factor = "" if power == 1 else f"{power:g}\\,"
        style = {**line_style(index), "linestyle": "", "marker": "os"[index], "markevery": 1}
        for axes, values in ((left, brackets), (right, brackets**2 - law[:, None])):
            middle, half = values.mean(axis=1), np.ptp(values, axis=1) / 2
            axes.errorbar(sizes, middle, half, capsize=3, label=words, **style)
        left.plot(
            sizes,
            np.sqrt(law),
            color=COLOURS[index],
            linestyle=DASHES[1 + index],
            label=f"$\\sqrt{{{factor}\\log(1/\\sigma)}}$",
        )
    left.set_ylabel("threshold in $M$")
    left.set_ylim(bottom=0)
    left.legend()
    right.set_ylabel(r"$M^2 - \log(1/\sigma)$,   $M^2 - 2\log(1/\sigma)$")
    right.set_ylim(bottom=0)
    right.legend()
    for axes in (left, right):
        axes.set_xlabel(r"size $\sigma$ of the offsets")
        log_axis(axes, "x")
    return figure


@styled
def landscape_figure(numbers: Sequence[int] = (3, 5, 10, 50)) -> Figure:
    """Loss along the line through the stationary point of Theorem 3.1, for several n.

    Parameters
    ----------
    numbers : sequence of int
        Numbers of components, at least 3 each.

    Returns
    -------
    Figure
        `s*` is the root of the derived condition, by another rule than the curve.
    """
    figure = Figure(figsize=(6.8, 3.6), layout="constrained")
    axes = figure.subplots()
    lengths = np.linspace(0.05, 8.0, 160)
    for index, n in enumerate(numbers):
        system = ScoreMatching(n, 1)
        loss = [system.loss(opposite(n, s)) for s in lengths]
        found = ScoreMatching(n, 1).stationary_point(DIGITS)
        style = {**line_style(index), "marker": ""}
        axes.plot(lengths, loss, **style, label=f"n = {n}: $s^*$ = {float(found.point):.5f}")
        axes.plot([float(found.point)], [float(found.loss)], marker="o", color=style["color"])
    log_axis(axes, "y")
    axes.set_xlabel(r"$s$   ($\mu_1 = s e_1$, $\mu_2 = -s e_1$, the others at the target)")
    axes.set_ylabel("loss $L$")
    axes.legend()
    return figure


def opposite(n: int, length: float) -> Array:
    """Components `s, -s, 0, ..., 0` on a line, shape (n, 1)."""
    means = np.zeros((n, 1))
    means[:2, 0] = length, -length
    return means


@styled
def comparison_figure(
    distance: float = 5.0, n: int = 5, t_end: float = 1e6, noise: float = OFFSET
) -> Figure:
    """Losses and lengths under score matching and under gradient EM, from the same cluster.

    Parameters
    ----------
    distance : float
        Distance of the cluster, on a line.
    n : int
        Components.
    t_end : float
        End of the runs.
    noise : float
        Size of the offsets.

    Returns
    -------
    Figure
        A column a flow. Each flow decreases its own loss; the other one may grow.
    """
    figure = Figure(figsize=(6.8, 5.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    systems = ((ScoreMatching(n, 1), "score matching"), (GMMEM(n, 1), "gradient EM"))
    for (above, below), (system, words) in zip(panels.T, systems, strict=True):
        run = integrate(system, cluster_start(n, 1, distance, noise), t_end, rtol=PICTURE)
        names = ("loss", "kl") if system.name == "score_matching" else ("fisher", "loss")
        signs = ("$E|v|^2$", "KL divergence")
        for index, (name, sign) in enumerate(zip(names, signs, strict=True)):
            above.plot(run.t[1:], run.features[name][1:], **line_style(index), label=sign)
        above.set_title(f"{words} decreases {signs[names.index('loss')]}", loc="left", pad=16)
        draw_curves(below, run.t, run.features["norm"], "", "component")
        for axes in (above, below):
            log_axis(axes, "y")
        mark_events(run, above, below)
        time_axis(below, FLOW)
    panels[0, 0].legend()
    panels[0, 0].set_ylabel("losses")
    panels[1, 0].set_ylabel(r"$|\mu_i|$")
    panels[1, 1].get_legend().remove()
    return figure
