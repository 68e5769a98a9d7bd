"""Figures of any run: its loss, and each of its potentials."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.core.errors import InputError, unknown
from flows.pages.curves import (
    LOWEST_EXPONENT,
    claim_about,
    claim_panels,
    exponent_panel,
    exponential_until,
    loss_panel,
    rate_panel,
)
from flows.pages.drawing import (
    BLACK,
    DASHES,
    FLOW,
    draw_curves,
    draw_panel,
    draw_rate,
    log_axis,
    stacked_panels,
    styled,
    time_axis,
    time_label,
    write_note,
)
from flows.pages.formulas import brief
from flows.runs.quantities import Run
from potentials.claim import Claim

__all__ = ["loss_figure", "loss_on", "potential_figure"]


@styled
def loss_figure(run: Run) -> Figure:
    """Loss with the bounds of its claims; below it the local exponent, or the rate.

    Parameters
    ----------
    run : Run
        The trajectory.

    Returns
    -------
    Figure
        Two panels over the same time, `flows.pages.curves.loss_panel` and `exponent_panel`. Where
        the loss falls faster than every power, the time is linear, the loss a straight line, and
        below it stands `d log L/dt`.
    """
    figure, (above, below) = stacked_panels(2, (6.8, 5.2), height_ratios=(2, 1))
    t = np.asarray(run.t)
    exponent = exponent_panel(run)
    _draw_loss(run, above)
    (curve,) = exponent.series
    known = np.flatnonzero(np.isfinite(curve.values))
    until = exponential_until(run)
    if until is not None:
        draw_rate(below, t, rate_panel(run), until)
    else:
        draw_panel(below, t, exponent)
        for power in exponent.levels:
            below.axhline(power, color=BLACK, linestyle=DASHES[2], label=f"${power:g}$, as claimed")
        if curve.values[known].min(initial=0.0) < LOWEST_EXPONENT:
            below.set_ylim(LOWEST_EXPONENT, 0.4)
        below.set_ylabel(f"local exponent of {'$L$' if run.leading == 'loss' else run.leading}")
        time_axis(below, _flow(run))
    below.legend()
    return figure


def _flow(run: Run) -> str:
    """Equation whose time it is."""
    return FLOW if run.leading == "loss" else r"dy/dt = f(y, t)"


def _draw_loss(run: Run, axes: Axes) -> None:
    panel = loss_panel(run)
    draw_panel(axes, np.asarray(run.t), panel)
    if panel.logarithmic:
        log_axis(axes, "y")
    axes.set_ylabel("loss $L$" if run.leading == "loss" else run.leading.replace("_", " "))
    axes.legend()


def loss_on(run: Run, ax: Axes) -> Axes:
    """Loss with the bounds of its claims, on axes of one's own.

    Parameters
    ----------
    run : Run
        The trajectory.
    ax : Axes
        Where it is drawn: over logarithmic time, or over linear time where the loss falls faster
        than every power.

    Returns
    -------
    Axes
        The same axes.

    Raises
    ------
    InputError
        For what is no axes of matplotlib.
    """
    if not isinstance(ax, Axes):
        raise InputError(
            f"ax: expected axes of matplotlib, got {ax!r:.60}; make some by subplots()"
        )
    _draw_loss(run, ax)
    until = exponential_until(run)
    if until is None:
        time_axis(ax, _flow(run))
    else:
        ax.set_xlim(0.0, until)
        time_label(ax)
    return ax


@styled
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
    quantities = run.quantities
    t, value, rate = (quantities[x] for x in ("t", name, f"{name}_dot"))
    sign = _plain(potential.latex_symbol)
    figure, axes = stacked_panels(2 if claim is None else 4, (6.8, 3.6 if claim is None else 7.2))
    draw_curves(axes[0], t, value, f"${sign}$", "neuron" if value.ndim > 1 else "")
    axes[0].set_ylabel(f"${sign}$")
    draw_curves(axes[1], t, np.abs(rate), "", "neuron" if value.ndim > 1 else "")
    axes[1].set_ylabel(rf"$|\,\frac{{d}}{{dt}}\,{sign}\,|$")
    if claim is not None:
        _inequality(axes[2], axes[3], run, claim)
    time_axis(axes[-1])
    return figure


def _inequality(sides: Axes, slack: Axes, run: Run, claim: Claim) -> None:
    """Both sides of the comparisons of a claim, and how far they are apart."""
    t = np.asarray(run.t)
    both, gaps = claim_panels(run, claim)
    # A slack looks like the right side that it belongs to.
    for axes, panel, first, step in ((sides, both, 0, 1), (slack, gaps, 1, 2)):
        if panel.note:
            write_note(axes, panel.note)
        draw_panel(axes, t, panel, first=first, step=step)
    if both.logarithmic:
        log_axis(sides, "y")
    if both.series:
        sides.legend(ncols=1 + (len(both.series) > 4))
    sides.set_ylabel("both sides")
    sides.set_title(f"both sides of {brief(claim.source.locator)}", loc="left")
    slack.axhline(0, color=BLACK, linestyle=DASHES[2])
    slack.set_ylabel("relative slack")


def _plain(latex: str) -> str:
    """LaTeX that matplotlib can set."""
    return latex.replace(r"\lvert", "|").replace(r"\rvert", "|")
