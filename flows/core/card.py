"""A card: the few lines in which a result introduces itself, as text and for a notebook."""

from __future__ import annotations

import html
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.core.errors import InputError
from flows.core.problem import INTERRUPTED, STEP_BUDGET

__all__ = ["Card", "described", "end_line"]

# A longer value is replaced by its shape, and a longer line is cut.
MOST_VALUE, MOST_LINE = 24, 160


# What a person may look at next.
NEXT = "run.plot(), run.to_xarray(), flows.check(run)"
# What a person may do about a run that ended early.
MENDED = {STEP_BUDGET: ", ask for more with max_steps", INTERRUPTED: ", integrate again"}


@dataclass(frozen=True)
class Card:
    """A heading and lines of a label and a text each.

    Parameters
    ----------
    heading : str
        What the result is.
    lines : tuple of (str, str)
        Labels and texts.
    """

    heading: str
    lines: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Text with aligned labels, one line each."""
        width = max(len(label) for label, _ in self.lines)
        rows = [f"  {label:<{width}}  {_cut(text)}" for label, text in self.lines]
        return "\n".join([_cut(self.heading), *rows])

    def html(self) -> str:
        """Table for a notebook."""
        cell = '<td style="text-align:left">'
        rows = "".join(
            f"<tr>{cell}{html.escape(label)}</td>{cell}{html.escape(_cut(text))}</td></tr>"
            for label, text in self.lines
        )
        return f"<div><b>{html.escape(_cut(self.heading))}</b><table>{rows}</table></div>"


def described(parameters: Mapping[str, Any]) -> str:
    """System and parameters in one line; an array is given by its shape.

    Parameters
    ----------
    parameters : mapping
        `system` and its parameters, as plain values.

    Examples
    --------
    >>> described({"system": "attention", "n": 3, "teacher": [[1.0, 0.0]] * 9})
    'attention, n = 3, teacher of shape (9, 2)'
    """
    words = [str(parameters["system"])]
    for name, value in parameters.items():
        if name not in ("system", "fingerprint", "features"):
            text = _value(value)
            words.append(f"{name} {text}" if text.startswith("of shape") else f"{name} = {text}")
    return ", ".join(words)


def card_of(run: Any) -> Card:
    """Card of a run: its system, how it ended, its times, what it ends with, what next."""
    stopped = "" if run.completed else f"it ended early{MENDED.get(run.status, '')}; "
    return Card(
        f"run of {described(run.parameters)}",
        (
            ("status", f"{run.status}: {run.message}"),
            ("t", f"0 to {run.t[-1]:.6g}, {len(run.t)} times"),
            (run.leading, end_line(run, run.leading)),
            (
                "next",
                f'{stopped}run["{run.leading}"], run.plot(), run.to_xarray(), flows.check(run)',
            ),
        ),
    )


def end_line(run: Any, name: str) -> str:
    """Last value of a loss, or of another observable, with its error; or why there is none."""
    try:
        values = np.reshape(run[name], (len(run.t), -1))[:, 0]
        loss, error = float(values[-1]), float(run.errors(name)[-1])
    except InputError as reason:  # of a file that lacks its system: a card never fails
        return f"not known: {reason}"
    if not np.isfinite(loss):
        known = np.flatnonzero(np.isfinite(values))
        last = (
            f"; last known: {values[known[-1]]:.6g} at t = {run.t[known[-1]]:.6g}"
            if len(known)
            else ""
        )
        return f"NaN at the end: it is not known there{last}"
    if loss == 0 and np.isinf(error):
        return "0 at the end: it is positive, and below all doubles"
    return f"{loss:.6g} at the end, relative error about {error:.1e} (estimated)"


def _value(value: Any) -> str:
    if isinstance(value, numbers.Real):
        return f"{value:.6g}" if not isinstance(value, numbers.Integral) else str(value)
    if isinstance(value, Mapping) and set(value) == {"real", "imag"}:
        return f"of shape {np.shape(value['real'])}, complex"
    if isinstance(value, list):
        short = f"[{', '.join(map(_value, value))}]" if np.ndim(value) == 1 else ""
        return short if 0 < len(short) <= MOST_VALUE else f"of shape {np.shape(value)}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {tuple(shape)}" if shape else key for key, shape in value.items())
    return str(value)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_LINE else f"{line[: MOST_LINE - 1]}…"
