"""Figures of matrix factorisation: the stages of a run, and what changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flows.core.proportion import interval
from flows.ensembles.matrix_factorization import convergence
from flows.pages.curves import exponential_until, rate_panel
from flows.pages.drawing import (
    BLACK,
    DASHES,
    draw_curves,
    draw_rate,
    line_style,
    log_axis,
    stacked_panels,
    styled,
    time_axis,
    time_label,
)
from flows.pages.fractions import SHARES, draw_fractions
from flows.runs.integrate import integrate
from flows.runs.quantities import Run, marked_times
from flows.runs.rates import FLOOR
from flows.systems.matrix_factorization.system import MatrixFactorization

__all__ = ["depths_figure", "fields_figure", "layers_figure", "stages_figure", "strengths_figure"]

STAGES = ("alignment", "saddle", "local")
STRENGTHS = (0.1, 0.5, 2.0, 10.0, 50.0)
MEMBERS = 24
COUNTED = 1e-3  # tolerance of runs of which only their end is counted
PAST_SADDLES = 1e-6  # of those that are drawn: each saddle on the way multiplies an error
SCALE, SEED = 0.25, 0
TIMES = 401  # of a run that is only drawn, over linear time
AFTER = 1.3  # part of the time of the last arrival that is shown
BOTTOM = 1e-30  # of a panel: an exponential decay leaves it there
LOWEST = 1e10 * FLOOR  # of a loss over linear time: what is zero stays out of sight
LEAST = 1e-3  # part of a panel's top down to which it reaches at least
ROUNDED = 1e-9  # of the layers: a difference of two halves below it has no digits
POWERS = {"main_term": 1, "skew_error": 2}  # of that difference


LOSSES = (("loss_fit", "$L_{ori}$"), ("loss_balance", "$L_{reg}$"))
HALVES = (
    ("skew_error", r"skew error $|(A - R)\,\Sigma^{1/2}|_F^2$"),
    ("main_term", r"main term $\sigma_{\min}(A + R)$"),
)
LAYERS = (
    ("balance_defect", r"$|\Delta|_F$"),
    ("layer_max", r"$\max_j \sigma_{\max}(W_j)$"),
    ("layer_min", r"$\min_j \sigma_{\min}(W_j)$"),
)


@styled
def stages_figure(run: Run) -> Figure:
    """Losses and singular values of a run, with its stages.

    Parameters
    ----------
    run : Run
        A trajectory of `matrix_factorization`.

    Returns
    -------
    Figure
        Two panels over the same time; dotted lines are the marks `T1` (end of alignment) and `T2`
        (beginning of local convergence), read off the run. Where the loss falls exponentially, the
        time is linear, and a third panel shows `d log L/dt`.
    """
    until = exponential_until(run)
    figure, axes = stacked_panels(*((2, (6.8, 4.6)) if until is None else (3, (6.8, 6.4))))
    # Over linear time the loss is a straight line to its end.
    _draw(axes[0], run, "losses", LOSSES, until, BOTTOM if until is None else LOWEST)
    shown = _shown(run, until)
    draw_curves(axes[1], run.t[shown], run.quantities["singular_values"][shown], "", "$i =$")
    axes[1].set_ylabel(r"$\sigma_i(W)$")
    if until is not None:
        draw_rate(axes[2], run.t, rate_panel(run), until)
    _mark_stages(run, axes, until)
    return figure


@styled
def layers_figure(run: Run) -> Figure:
    """Both halves of the chain, its defects and its layers, over the time of :func:`stages_figure`.

    Parameters
    ----------
    run : Run
        A trajectory of `matrix_factorization`.

    Returns
    -------
    Figure
        The skew error and the main term have a gap where they are rounding.
    """
    until = exponential_until(run)
    figure, axes = stacked_panels(2, (6.8, 4.6))
    _draw(axes[0], run, "two halves", HALVES, until)
    _draw(axes[1], run, "layers", LAYERS, until)
    if until is not None:
        time_label(axes[1])
    _mark_stages(run, axes, until)
    return figure


def _shown(run: Run, until: float | None) -> NDArray[np.bool_]:
    return (run.t > 0) & (run.t <= (run.t[-1] if until is None else until))


def _draw(
    panel: Axes,
    run: Run,
    words: str,
    curves: Sequence[tuple[str, str]],
    until: float | None,
    bottom: float = BOTTOM,
) -> None:
    """Draw quantities of a run into a panel, on a logarithmic axis."""
    shown, quantities = _shown(run, until), run.quantities
    for index, (name, label) in enumerate(curves):
        value = np.maximum(quantities[name], FLOOR)[shown]
        if name in POWERS:
            digits = value > (ROUNDED * quantities["layer_max"][shown]) ** POWERS[name]
            value = np.where(digits, value, np.nan)
        if (value > FLOOR).any():
            panel.plot(run.t[shown], value, **line_style(index), label=label)
    _decades(panel, bottom=bottom)
    panel.legend()
    panel.set_ylabel(words)


def _mark_stages(run: Run, axes: Sequence[Axes], until: float | None) -> None:
    """Mark and name the stages; time is logarithmic where the loss does not fall exponentially."""
    marks = [m for m in marked_times(run).values() if np.isfinite(m) and m > 0]
    for panel in axes:
        for mark in marks:
            panel.axvline(mark, color=BLACK, linestyle=DASHES[2], linewidth=1.0)
    if until is None:
        time_axis(axes[-1])
    _name_stages(axes[0], marks)


@styled
def fields_figure(t_end: float = 300.0) -> Figure:
    """Real starts of both signs of the determinant beside a complex one, at a = 20.

    Parameters
    ----------
    t_end : float
        End of the runs.

    Returns
    -------
    Figure
        Loss, its rate `d log L/dt` and the least singular value over time.
    """
    signs = {1: "real, det W(0) > 0", -1: "real, det W(0) < 0"}
    real = MatrixFactorization(2, "real", 20.0)
    cases: dict[str, tuple[MatrixFactorization, NDArray[Any]]] = {}
    for seed in range(100):
        start = real.initial(SCALE, seed)
        sign = int(np.sign(np.linalg.det(start).prod()))
        cases.setdefault(signs[sign], (real, start))
    field = MatrixFactorization(2, "complex", 20.0)
    cases["complex"] = (field, field.initial(SCALE, SEED))
    figure, panels = stacked_panels(3, (6.8, 6.2))
    _loss_rate_least(panels, cases, t_end)
    for axes in (panels[0], panels[-1]):
        _decades(axes)
    _label_losses(panels)
    panels[0].legend(loc="center")
    return figure


@styled
def depths_figure(depths: Sequence[int] = (2, 3, 4), t_end: float = 600.0) -> Figure:
    """Depths side by side, equal and unequal singular values of the target.

    Parameters
    ----------
    depths : sequence of int
        Numbers of layers.
    t_end : float
        End of the runs.

    Returns
    -------
    Figure
        One column a depth: the loss, its rate `d log L/dt` and the least singular value over time;
        each target from two real starts, one of each sign of the determinant.
    """
    figure = Figure(figsize=(6.8, 6.6), layout="constrained")
    columns = figure.subplots(3, len(depths), sharex="col", sharey="row", squeeze=False).T
    for depth, panels in zip(depths, columns, strict=True):
        cases: dict[str, tuple[MatrixFactorization, NDArray[Any]]] = {}
        for target, name in ((np.eye(2), "I"), (np.diag([2.0, 0.5]), "diag(2, 1/2)")):
            system = MatrixFactorization(2, "real", 20.0, target, depth)
            starts = [system.initial(SCALE, seed) for seed in range(30)]
            first = {np.sign(np.linalg.det(x).prod()): x for x in reversed(starts)}
            for sign, word in ((1.0, ">"), (-1.0, "<")):
                cases[f"$\\Sigma$ = {name}, det W(0) {word} 0"] = (system, first[sign])
        _loss_rate_least(panels, cases, t_end)
        panels[0].set_title(f"N = {depth}", fontsize=9)
    for row in (columns[:, 0], columns[:, -1]):
        _decades(*row)
    _label_losses(columns[0])
    for panels in columns[1:]:
        time_label(panels[-1])
    figure.legend(*columns[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def strengths_figure(strengths: Sequence[float] = STRENGTHS, members: int = MEMBERS) -> Figure:
    """Fraction of real starts that converges against the regularisation, by sign of `det W(0)`.

    Parameters
    ----------
    strengths : sequence of float
        Values of `a`, for `sigma_1 = 1`.
    members : int
        Random starts at each, of 1 x 1 layers.

    Returns
    -------
    Figure
        Fractions with 99% intervals; the theorem's one half is about `a >> 1`.
    """
    figure = Figure(figsize=(6.8, 3.2), layout="constrained")
    axes = figure.subplots()
    found = [
        convergence(MatrixFactorization(1, "real", a), SCALE, range(members), 1e4, rtol=COUNTED)
        for a in strengths
    ]
    groups = (
        ("det W(0) > 0", [x.converged[x.positive] for x in found]),
        ("det W(0) < 0", [x.converged[~x.positive] for x in found]),
        ("all", [x.converged for x in found]),
    )
    for index, (label, hits) in enumerate(groups):
        middle = np.array([h.mean() for h in hits])
        ends = np.array([interval(int(h.sum()), len(h)) for h in hits])
        shifted = np.array(strengths) * 1.06 ** (index - 1)
        draw_fractions(axes, shifted, middle, ends, index, label)
    axes.axhline(0.5, color=BLACK, linestyle=DASHES[2])
    log_axis(axes, "x")
    axes.set(
        xlabel="regularisation $a$, for $\\sigma_1 = 1$",
        ylabel="fraction that converges",
        ylim=SHARES,
    )
    axes.legend()
    return figure


def _loss_rate_least(
    panels: Sequence[Axes], cases: dict[str, tuple[MatrixFactorization, NDArray[Any]]], t_end: float
) -> None:
    """Loss, its rate and the least singular value over linear time, one line a case."""
    times, last = np.linspace(0.0, t_end, TIMES), 0.0
    for index, (name, (system, start)) in enumerate(cases.items()):
        run = integrate(system, start, t_end, t_eval=times[1:], rtol=PAST_SADDLES)
        loss, (rate,) = run["loss"], rate_panel(run).series
        at_bottom = np.flatnonzero(loss < BOTTOM)
        last = max(last, run.t[at_bottom[0]] if len(at_bottom) else 0.0)
        # Where the loss has left its panel, its rate has few digits and says no more.
        rates = np.where(loss > BOTTOM, rate.values, np.nan)
        for axes, value in zip(
            panels,
            (np.maximum(loss, FLOOR), rates, np.maximum(run["singular_values"][:, -1], FLOOR)),
            strict=True,
        ):
            axes.plot(run.t[1:], value[1:], **line_style(index), label=name)
    panels[-1].set_xlim(0.0, min(t_end, AFTER * last) if last else t_end)


def _label_losses(panels: Sequence[Axes]) -> None:
    words = ("loss $L$", r"$d \log L/dt$", r"$\sigma_{\min}(W)$")
    for axes, name in zip(panels, words, strict=True):
        axes.set_ylabel(name)
    time_label(panels[-1])


def _decades(*shared: Axes, bottom: float = BOTTOM) -> None:
    """Logarithmic axis around what is drawn, that neither a decay to zero nor a constant spoils."""
    for axes in shared:
        log_axis(axes, "y")
    low = min(axes.dataLim.y0 for axes in shared)
    high = max(axes.dataLim.y1 for axes in shared)
    shared[0].set_ylim(max(bottom, min(low / 3, LEAST * high)), 3 * high)


def _name_stages(axes: Axes, marks: Sequence[float]) -> None:
    """Write the stages between their marks, along the top of a panel."""
    low, high = axes.get_xlim()
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = np.clip([0.0, *marks, np.inf], low, high)
    for name, begin, end in zip(STAGES, ends, ends[1:], strict=False):
        if end > begin:
            left, right = to_axes.transform([(begin, 1.0), (end, 1.0)])[:, 0]
            # The first name begins with its stage: centred, it could run into the axis.
            place, side = (left, "left") if begin == low else ((left + right) / 2, "center")
            axes.text(place, 1.02, name, ha=side, fontsize=8, transform=axes.transAxes)
