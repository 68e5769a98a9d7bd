"""A fraction of members and its interval against a parameter."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.core.arrays import Array
from flows.core.errors import InputError, unknown
from flows.pages.drawing import line_style, log_axis, styled

if TYPE_CHECKING:
    import xarray

__all__ = ["SHARES", "draw_fractions", "fraction_figure"]

#: Ends of an axis of fractions.
SHARES = (-0.04, 1.04)
# Positive values that spread by more are drawn over decades.
DECADES = 20.0
# Curves are drawn side by side, so far apart in units of the distance of two values.
APART = 0.05


@styled
def fraction_figure(found: xarray.Dataset, along: str | None = None) -> Figure:
    """Fraction of members against a parameter, one curve for each value of the others.

    Parameters
    ----------
    found : Dataset
        What :func:`flows.sweep_fraction` returned.
    along : str, optional
        The parameter of the horizontal axis; by default the one that has most values. Its values
        stand side by side in equal distances, unless they are positive and spread over decades.

    Returns
    -------
    Figure
        Fractions with their intervals.

    Raises
    ------
    InputError
        For what is no such data set, one without a parameter, or a parameter that it has not.
    """
    import xarray

    if not (isinstance(found, xarray.Dataset) and {"fraction", "low", "high"} <= {*found}):
        raise InputError("found must be what flows.sweep_fraction returned; give it a sweep")
    sizes = {str(name): size for name, size in found["fraction"].sizes.items()}
    if not sizes:
        raise InputError("found has no parameter left to draw against; leave one of them in")
    name = max(sizes, key=lambda n: sizes[n]) if along is None else along
    if name not in sizes:
        raise unknown("parameter", name, sizes)
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    axes = figure.subplots()
    values = found[name].values
    places, decades = _places(values)
    others = [n for n in sizes if n != name]
    curves = list(itertools.product(*(found[n].values for n in others)))
    for index, chosen in enumerate(curves):
        part = found.sel(dict(zip(others, chosen, strict=True)))
        shift = APART * (index - (len(curves) - 1) / 2)
        shifted = places * 10**shift if decades else places + shift
        ends = np.stack([part["low"].values, part["high"].values], axis=1)
        label = ", ".join(f"{n} = {_text(x)}" for n, x in zip(others, chosen, strict=True))
        draw_fractions(axes, shifted, part["fraction"].values, ends, index, label)
    if decades:
        log_axis(axes, "x")
    else:
        axes.set_xticks(places, [_text(x) for x in values])
    level = float(found.attrs["level"])
    axes.set(xlabel=name, ylabel=f"fraction, with its {100 * level:g}% interval", ylim=SHARES)
    if others:
        axes.legend()
    return figure


def draw_fractions(
    axes: Axes, places: Array, middle: Array, ends: Array, index: int, label: str
) -> None:
    """Draw fractions with their intervals, in the style of this index.

    Parameters
    ----------
    axes : Axes
        Where.
    places, middle : ndarray, shape (K,)
        Where the fractions stand, and what they are.
    ends : ndarray, shape (K, 2)
        Ends of their intervals.
    index : int
        Of the style.
    label : str
        Of the curve.
    """
    style = {k: v for k, v in line_style(index).items() if k != "markevery"}
    bars = np.abs(ends - middle[:, None]).T
    axes.errorbar(places, middle, bars, capsize=3, label=label, **style)


def _places(values: Any) -> tuple[Array, bool]:
    """Where the values of a parameter stand, and whether that is over decades."""
    numbers = values.dtype.kind in "iuf"
    if numbers and values.min() > 0 and values.max() > DECADES * values.min():
        return values.astype(float), True
    return np.arange(len(values), dtype=float), False


def _text(value: Any) -> str:
    """A word as it is, a number in few digits."""
    if isinstance(value, str):
        return value
    return f"{float(value):g}"
