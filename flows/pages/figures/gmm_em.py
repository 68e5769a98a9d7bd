"""Figures of gradient EM: loss and bound, means in the plane, Lyapunov function, bad region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import potentials
from flows.core.arrays import Array
from flows.pages.curves import exponential_until, rate_panel
from flows.pages.drawing import (
    BLACK,
    COLOURS,
    DASHES,
    PICTURE,
    draw_rate,
    line_style,
    log_axis,
    number_text,
    stacked_panels,
    styled,
    time_axis,
    time_label,
)
from flows.runs.check import check
from flows.runs.integrate import integrate
from flows.runs.rates import FLOOR, local_exponent
from flows.runs.trajectory import Trajectory
from flows.systems.gmm_em.system import GMMEM

__all__ = ["bad_region_figure", "loss_figure", "lyapunov_figure", "means_figure", "paper_figure"]

FLOW = r"d\mu/dt = -\nabla L"
# The paper's experiment: numbers of components, here in the plane.
COMPONENTS = (2, 5, 10)
MOMENTS = 4  # times at which the density is drawn
WAITING = 1e-6  # tolerance where a run stays long beside a saddle: it multiplies an error
LOWEST = -3.0  # an exponential decay leaves the panel of the local exponent here


def _exponents(axes: Axes, runs: Sequence[Trajectory]) -> None:
    for index, run in enumerate(runs):
        seen = (run.t > 0) & (run["loss"] > FLOOR)
        axes.plot(run.t[seen], local_exponent(run)[seen], **line_style(index))
    axes.axhline(-2, color=BLACK, linestyle=DASHES[2])
    axes.axhline(-0.5, color="0.5", linestyle=DASHES[2])
    low, _ = axes.get_ylim()
    axes.set_ylim(max(low, LOWEST), 0.2)
    axes.set_ylabel("local exponent of $L$")
    axes.set_title("dotted: $-2$, and $-1/2$ of the proven bound", loc="right")
    time_axis(axes, FLOW)


@styled
def loss_figure(run: Trajectory) -> Figure:
    """Loss beside the proven bound, and its local exponent.

    Parameters
    ----------
    run : Trajectory
        A run of `gmm_em`.

    Returns
    -------
    Figure
        The bound `1/sqrt(gamma t)` is drawn with its hidden constant read as 1 (recalled) and
        with the smallest one that this run allows. Where the loss falls faster than every power,
        the time is linear, and `d log L/dt` replaces the exponent.
    """
    figure, (above, below) = stacked_panels(2, (6.8, 5.4), height_ratios=(3, 2))
    t, loss = run.t, run["loss"]
    seen = (t > 0) & (loss > FLOOR)
    above.plot(t[seen], loss[seen], **line_style(0), label="loss $L$")
    (claim,) = (c for c in potentials.claims("gmm_em") if c.id == "loss_upper")
    (comparison,) = claim.comparisons
    lhs, rhs = run.quantities.at((comparison.lhs, comparison.rhs), "state")
    with np.errstate(all="ignore"):
        bound = loss * (rhs / lhs)
    (verdict,) = check(run, claim)
    drawn = seen & np.isfinite(bound)
    if drawn.any() and verdict.constant:
        loosest = float(np.max(bound[drawn] / loss[drawn]))
        words = f"proven bound, constant 1 (recalled): up to {number_text(loosest)} times the loss"
        above.plot(t[drawn], bound[drawn], **line_style(1), label=words)
        words = f"the same with the smallest constant, {number_text(verdict.constant)}"
        above.plot(t[drawn], verdict.constant * bound[drawn], **line_style(2), label=words)
    log_axis(above, "y")
    above.set_ylabel("KL divergence")
    above.legend()
    until = exponential_until(run)
    if until is None:
        _exponents(below, [run])
    else:
        draw_rate(below, t, rate_panel(run), until)
        time_label(below, FLOW)
    return figure


@styled
def means_figure(run: Trajectory) -> Figure:
    """Means moving in the plane, with the density of the mixture at several times.

    Parameters
    ----------
    run : Trajectory
        A run of `gmm_em`; of more than two dimensions the first two principal axes are drawn.

    Returns
    -------
    Figure
        One panel a time; dashed: contours of the target at the same levels.
    """
    figure = Figure(figsize=(6.8, 2.3), layout="constrained")
    mu = run.states.mu
    pad = max(0, 2 - mu.shape[2])
    means = np.pad(mu, [(0, 0), (0, 0), (0, pad)])[:, run.frame.member, :2]
    weights = np.array(run.system.parameters["weights"])
    extent = 2.5 + float(np.abs(means[0]).max())
    grid = np.linspace(-extent, extent, 121)
    x = np.stack(np.meshgrid(grid, grid), -1)
    levels = np.array([0.05, 0.2, 0.5, 0.9]) / (2 * np.pi)
    # From the start to where the means have become short.
    length = run["max_norm"]
    short = length <= 0.1 * length[0]
    last = int(np.argmax(short)) if short.any() else len(run.t) - 1
    panels = figure.subplots(1, MOMENTS, sharex=True, sharey=True)
    steps = np.linspace(length[0], length[last], MOMENTS)
    for axes, target in zip(panels, steps, strict=True):
        index = min(int(np.argmax(length <= target)), last) if target < length[0] else 0
        axes.contour(
            grid,
            grid,
            _density(x, means[index], weights),
            levels,
            colors=COLOURS[0],
            linewidths=0.9,
        )
        axes.contour(
            grid,
            grid,
            _density(x, np.zeros((1, 2)), np.ones(1)),
            levels,
            colors="0.5",
            linewidths=0.7,
            linestyles="--",
        )
        for path in means[: index + 1].swapaxes(0, 1):
            axes.plot(*path.T, color=COLOURS[1], linewidth=0.9)
            axes.plot(*path[-1], marker="o", color=COLOURS[1], linestyle="")
        axes.set_title(f"t = {number_text(run.t[index])}")
        axes.set_aspect("equal")
        axes.grid(False)
    return figure


def _density(x: Array, means: Array, weights: Array) -> Array:
    squares = np.sum((x[..., None, :] - means) ** 2, axis=-1)
    values: Array = np.exp(-squares / 2) @ weights / (2 * np.pi)
    return values


@styled
def lyapunov_figure(run: Trajectory) -> Figure:
    """Lyapunov function `U = sum |mu_i|^2` and its exact derivative `-2 E|v|^2`.

    Parameters
    ----------
    run : Trajectory
        A run of `gmm_em`.

    Returns
    -------
    Figure
        The two rates are computed independently, as sums over components and over nodes.
    """
    figure, (above, below) = stacked_panels(2, (6.8, 4.6))
    value, rate = run.potential("squared_norm_sum")
    fisher = run["fisher"]
    seen = (run.t > 0) & (fisher > FLOOR)
    t = run.t[seen]
    above.plot(t, value[seen], **line_style(0))
    above.set_ylabel(r"$U = \sum_i |\mu_i|^2$")
    below.plot(t, -rate[seen], **line_style(0), label=r"$-dU/dt = 2 \sum_i \nabla_i L \cdot \mu_i$")
    below.plot(t, 2 * fisher[seen], **line_style(1), label=r"$2\,E|v|^2$")
    below.set_ylabel(r"$-dU/dt$")
    below.legend()
    for axes in (above, below):
        log_axis(axes, "y")
    time_axis(below, FLOW)
    return figure


def _bad_start(d: int) -> Array:
    start = np.zeros((3, d))
    start[:2, 0] = 12 * np.sqrt(d), -12 * np.sqrt(d)
    return start


@styled
def bad_region_figure(dimensions: Sequence[int] = (1, 2, 3)) -> Figure:
    """Length of the longest mean after a start in the bad region, in several dimensions.

    Parameters
    ----------
    dimensions : sequence of int
        Dimensions.

    Returns
    -------
    Figure
        In units of `sqrt(d)`; marked are the claimed time `exp(d)/30` and the time at which the
        region is left.
    """
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    axes = figure.subplots()
    for index, d in enumerate(dimensions):
        run = integrate(GMMEM(3, d), _bad_start(d), 10.0 ** (8 * d + 4), rtol=WAITING)
        length = np.linalg.norm(run.state, axis=-1).max(axis=1) / np.sqrt(d)
        out = np.flatnonzero(length < 10)
        left = f"left at $t$ = {number_text(run.t[out[0]])}" if len(out) else "not left"
        style: dict[str, Any] = {**line_style(index), "marker": ""}
        axes.plot(
            run.t[1:],
            length[1:],
            **style,
            label=f"d = {d}: {left}; the theorem speaks up to {np.exp(d) / 30:.2g}",
        )
        axes.plot([np.exp(d) / 30], [12], marker="v", color=style["color"], linestyle="")
    axes.axhline(10, color=BLACK, linestyle=DASHES[2])
    axes.set_ylabel(r"$\max_i |\mu_i| / \sqrt{d}$")
    figure.legend(loc="outside upper left")
    time_axis(axes, FLOW)
    return figure


@styled
def paper_figure(t_end: float = 1e6) -> Figure:
    """Loss and local exponent for 2, 5 and 10 components in the plane, equal and unequal weights.

    Parameters
    ----------
    t_end : float
        End of the runs.
    """
    figure = Figure(figsize=(6.8, 5.0), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, equal in enumerate((True, False)):
        runs = []
        for n in COMPONENTS:
            rising = np.arange(1, n + 1) / (n * (n + 1) / 2)
            system = GMMEM(n, 2, None if equal else rising)
            runs.append(integrate(system, system.initial(1.0, 0), t_end, rtol=PICTURE))
        above, below = panels[:, column]
        for index, (n, run) in enumerate(zip(COMPONENTS, runs, strict=True)):
            above.plot(run.t[1:], run["loss"][1:], **line_style(index), label=f"n = {n}")
        log_axis(above, "y")
        words = "equal weights" if equal else r"weights $\pi_i \propto i$"
        above.set_title(words, loc="left")
        _exponents(below, runs)
        if not equal:
            below.set_ylabel("")
    panels[0, 0].set_ylabel("KL divergence")
    panels[0, 0].legend()
    return figure
