"""Figures for a paper: files of the width of a column or of a page, with text to match."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

from flows.pages.drawing import save

__all__ = ["COLUMN", "FORMATS", "PAGE", "fit", "write_all"]

#: Widths in inches, of one column and of both.
COLUMN, PAGE = 3.25, 6.75
#: Size of the text in a figure of a column's width, in points.
SMALL = 6.5
#: A figure that becomes narrower becomes shorter by this part of it: labels keep their height.
SHORTER = 0.62
#: Letters of such text in a line.
LETTERS = 38
#: Formats of the files.
FORMATS = ("pdf", "svg", "png")
MATH = re.compile(r"\$[^$]*\$")
GLUE = "\N{NO-BREAK SPACE}"


def fit(figure: Figure) -> Figure:
    """Bring a figure to the width of a column, or of a page where panels stand side by side.

    Parameters
    ----------
    figure : Figure
        Changed in place.

    Returns
    -------
    Figure
        The same.
    """
    old, height = figure.get_size_inches()
    columns = {spec.colspan.start for axes in figure.axes if (spec := axes.get_subplotspec())}
    if len(columns) > 1:
        figure.set_size_inches(PAGE, height * PAGE / old)
        return figure
    figure.set_size_inches(COLUMN, height * (1 - SHORTER * (1 - COLUMN / old)))
    for axes in figure.axes:
        axes.tick_params(labelsize=SMALL)
    for legend in filter(None, (axes.get_legend() for axes in figure.axes)):
        legend.set_ncols(1)
        legend.set_frame_on(True)  # it may lie on a curve
        legend.get_frame().set(alpha=0.75, linewidth=0)
    for text in figure.findobj(Text):
        text.set_fontsize(SMALL)
        text.set_text(_wrapped(text.get_text()))
    return figure


def _wrapped(text: str) -> str:
    """Lines that fit into a column; no formula is cut."""
    whole = MATH.sub(lambda found: found[0].replace(" ", GLUE), text)
    return textwrap.fill(whole, LETTERS, break_long_words=False).replace(GLUE, " ")


def write_all(
    figure: Figure, stem: str | os.PathLike[str], formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write a figure in some formats; it is fitted to a paper first.

    Parameters
    ----------
    figure : Figure
        Changed in place.
    stem : path
        Without a suffix.
    formats : sequence of str
        Some of :data:`FORMATS`.
    """
    fit(figure)
    return [save(figure, f"{os.fspath(stem)}.{suffix}") for suffix in formats]
