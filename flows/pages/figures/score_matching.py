"""Figures of a run of score matching: loss and bounds, growth of a cluster, far regime."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import potentials
from flows.ensembles.score_matching import linear_spread, parted
from flows.pages.curves import solved
from flows.pages.drawing import (
    DASHES,
    line_style,
    log_axis,
    mark_events,
    number_text,
    stacked_panels,
    styled,
    time_axis,
)
from flows.pages.formulas import brief
from flows.runs.check import check
from flows.runs.comparison import selected
from flows.runs.rates import FLOOR, local_exponent, log_corrected
from flows.runs.trajectory import Trajectory
from potentials.score_matching import LINEAR

__all__ = ["amplification_figure", "far_figure", "loss_figure"]

FLOW = r"d\nu/dt = -\nabla_\nu L"
LOWEST = -3.0  # an exponential decay leaves the panel of the local exponent here
# The bounds of each regime, by whether the components have parted.
BOUNDS = {False: ("large_noise",), True: ("one_survives", "one_survives_lower"), None: ()}


def _exponent(axes: Axes, run: Trajectory, lines: Sequence[float] = (-2, -1, -0.5)) -> None:
    seen = (run.t > 0) & (run["loss"] > FLOOR)
    axes.plot(run.t[seen], local_exponent(run)[seen], **line_style(0))
    for level in lines:
        axes.axhline(level, color="0.5", linestyle=DASHES[2])
    low, _ = axes.get_ylim()
    axes.set_ylim(max(low, LOWEST), 0.2)
    axes.set_ylabel("local exponent of $L$")


@styled
def loss_figure(run: Trajectory) -> Figure:
    """Loss beside the bounds that speak of it, and the local exponent.

    Parameters
    ----------
    run : Trajectory
        A run of `score_matching`.

    Returns
    -------
    Figure
        The bounds are those of the regime in which the run ends, with the tightest constants that
        it allows.
    """
    figure, (above, below) = stacked_panels(2, (6.8, 5.4), height_ratios=(3, 2))
    t, loss = run.t, run["loss"]
    seen = (t > 0) & (loss > FLOOR)
    above.plot(t[seen], loss[seen], **line_style(0), label="loss $L$")
    quantities = run.quantities
    known = {claim.id: claim for claim in potentials.claims("score_matching")}
    for index, name in enumerate(BOUNDS[parted(run)], 1):
        claim = known[name]
        # The bound alone, without what the claim says of the components.
        bound = replace(claim, conclusions=claim.conclusions[:1])
        (verdict,) = check(run, bound)
        if verdict.constant is None:
            continue
        (comparison,) = bound.comparisons
        (values,) = quantities.at((solved(comparison, verdict.constant),), "state")
        drawn = seen & selected(quantities, comparison)
        side = "lower" if isinstance(claim, potentials.LowerBound) else "upper"
        words = f"{side} bound ${{\\propto}}\\, t^{{-{float(claim.exponent or 0):g}}}$"
        measured = f"measured constant {number_text(verdict.constant)}"
        above.plot(
            t[drawn],
            values[drawn],
            **line_style(index),
            label=f"{words} ({brief(claim.source.locator)}), {measured}",
        )
    log_axis(above, "y")
    above.set_ylabel("loss $L$")
    above.legend()
    _exponent(below, run)
    below.set_title("dotted: $-1/2$, $-1$, $-2$", loc="right")
    mark_events(run, above, below)
    time_axis(below, FLOW)
    return figure


@styled
def amplification_figure(run: Trajectory) -> Figure:
    """Growth of a cluster's offsets against the linearised flow.

    Parameters
    ----------
    run : Trajectory
        A run of `score_matching` from a cluster.

    Returns
    -------
    Figure
        Spread over its start, the linearised flow, and their relative difference beside
        `spread (1 + |m|)`, below 1e-3 of which the flow is linear.
    """
    figure, (above, below) = stacked_panels(2, (6.8, 4.6), height_ratios=(2, 1))
    spread, mean = run.features["spread"], run.features["mean_norm"]
    law = linear_spread(run)
    shown = run.t > 0
    t = run.t[shown]
    above.plot(t, spread[shown] / spread[0], **line_style(0), label="spread / spread at the start")
    above.plot(t, law[shown] / spread[0], **line_style(1), label="linearised flow")
    words = r"linearised: offsets along $m$ times $e^{M^2 (1 - \exp(-4 e^{-2s} t/n))}$"
    most = rf",   $e^{{M^2}}$ = {number_text(np.exp(mean[0] ** 2))}"
    above.set_title(words + most, loc="left", pad=16)
    small = spread * (1 + mean)
    difference = np.abs(spread / law - 1)
    below.plot(t, difference[shown], **line_style(2), label="relative difference")
    below.plot(t, small[shown], **line_style(3), label=r"spread $\cdot\,(1 + |m|)$")
    below.axhline(float(LINEAR), color="0.5", linestyle=DASHES[2])
    for axes in (above, below):
        log_axis(axes, "y")
        axes.legend(loc="lower right")
    mark_events(run, above, below)
    time_axis(below, FLOW)
    return figure


@styled
def far_figure(run: Trajectory) -> Figure:
    """Far regime: the limit `t L R^2/(16 (n - 1))`, and a power with a power of the logarithm.

    Parameters
    ----------
    run : Trajectory
        A run of `score_matching` in which one component stays and the others recede.

    Returns
    -------
    Figure
        Above with `1 + 32/R^2`; below the local exponent, `-1 - 1/log t` of `2 (n - 1)/(t log t)`,
        and that of the fit `t^-a (log t)^-b`.
    """
    figure, (above, below) = stacked_panels(2, (6.8, 4.8), height_ratios=(1, 1))
    n, unit = run.system.parameters["n"], run.system.unit  # type: ignore[attr-defined]
    time, reach = run.t / unit**2, run["max_norm"]
    late = time > math.e**2
    t = run.t[late]
    limit = (time * run["loss"] * reach**2 / (16 * (n - 1)))[late]
    above.plot(t, limit, **line_style(0), label=r"$t\,L\,R^2 / (16 (n-1))$")
    above.plot(t, (1 + 32 / reach**2)[late], **line_style(1), label=r"$1 + 32/R^2$")
    two_logs = (time * np.log(np.maximum(time, 2)) * run["loss"] / (2 * (n - 1)))[late]
    above.plot(t, two_logs, **line_style(2), label=r"$t\,\log t\,L / (2 (n-1))$")
    above.axhline(1, color="0.5", linestyle=DASHES[2])
    above.set_ylim(0, 2)
    above.legend()
    fit = log_corrected(run)
    below.plot(
        t, local_exponent(run)[late], **line_style(0), label=r"$t\,\dot L/L$, from the state"
    )
    below.plot(t, -1 - 1 / np.log(time[late]), **line_style(1), label=r"$-1 - 1/\log t$")
    if np.isfinite(fit.exponent):
        words = (
            f"fit $t^{{-a}} (\\log t)^{{-b}}$: $a$ = {fit.exponent:.3f} ± {fit.errors[0]:.2g},"
            f" $b$ = {fit.log_exponent:.2f} ± {fit.errors[1]:.2g}"
        )
        fitted = t >= fit.window.t_start
        below.plot(
            t[fitted],
            -fit.exponent - fit.log_exponent / np.log(t[fitted]),
            **line_style(2),
            label=words,
        )
    below.axhline(-1, color="0.5", linestyle=DASHES[2])
    below.set_ylabel("local exponent of $L$")
    below.set_ylim(-1.5, -0.9)
    below.legend()
    time_axis(below, FLOW)
    return figure
