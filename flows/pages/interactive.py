"""Everything that an interactive view shows of a run, as plain JSON values."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.pages.curves import (
    Panel,
    claim_about,
    claim_panels,
    exponent_panel,
    exponential_until,
    loss_panel,
    potential_panels,
    rate_panel,
)
from flows.pages.formulas import line, prose, sentence
from flows.pages.plane import plane
from flows.runs.check import check
from flows.runs.quantities import marked_times
from flows.runs.trajectory import Trajectory
from flows.runs.verdict import Verdict

__all__ = ["view"]

# Digits of the largest value of a curve on a linear axis.
DRAWN = 12
MOST = 300
# Digits of a value on a page, one more than a legend shows.
DIGITS = 7
# Letters of a claim in a list to choose from.
WIDEST = 72


def view(run: Trajectory, verdicts: list[Verdict] | None = None) -> dict[str, Any]:
    """Panels of a run for ``templates/explore.js``.

    Parameters
    ----------
    run : Trajectory
        The run.
    verdicts : list of Verdict, optional
        What ``check`` says of it, if that is known already.

    Returns
    -------
    dict
        ``t``, the output times after 0; ``loss``, ``exponent``; ``linear_until``, the end of a
        linear time axis where the loss falls exponentially, and then ``exponent`` is the rate
        d log L/dt; ``potentials``, each with its words, its value, its derivative and the claim
        about it; ``claims``, each with a short ``label``, its statement as HTML, its verdict, both
        sides and the slack; ``plane``, where the parameters are; ``marks``, times that are worth a
        line. Numbers that are undefined are null.
    """
    rows = np.flatnonzero(run.t > 0)
    until = exponential_until(run)
    verdict_of = {v.claim: v for v in (check(run) if verdicts is None else verdicts)}
    return {
        "t": run.t[rows].tolist(),
        "loss": _panel(loss_panel(run), rows),
        "exponent": _panel(exponent_panel(run) if until is None else rate_panel(run), rows),
        "linear_until": until,
        "potentials": [
            {
                "name": p.name,
                "words": p.words or p.name,
                "panels": [_panel(x, rows) for x in potential_panels(run, p.name)],
                "claim": about.id if (about := claim_about(run, p.name)) else None,
            }
            for p in run.statements.potentials
        ],
        "claims": [
            {
                "id": claim.id,
                "label": textwrap.shorten(
                    line(sentence(claim.statement.partition("; ")[0])).replace("grad ", "∇"),
                    WIDEST,
                    placeholder=" ...",
                ),
                "verdict": str(verdict_of[claim.id].verdict),
                "statement": str(prose(sentence(claim.text))),
                "panels": [_panel(x, rows) for x in claim_panels(run, claim)],
            }
            for claim in run.statements.claims
        ],
        "plane": _plane(run, rows),
        "marks": _marks(run),
    }


def _panel(panel: Panel, rows: NDArray[np.intp]) -> dict[str, Any]:
    return {
        "title": panel.title,
        "label": panel.label,
        "logarithmic": panel.logarithmic,
        "levels": list(panel.levels),
        "note": panel.note,
        "series": [
            {"label": s.label, "values": _plain(_drawn(s.values[rows], panel))}
            for s in panel.series
        ],
    }


def _drawn(values: Array, panel: Panel) -> Array:
    """Values as they are drawn: on a linear axis without rounding, which a constant would show."""
    size = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    decimals = DRAWN - int(np.floor(np.log10(size))) if size > 0.0 else MOST
    # Powers of ten beyond doubles would make every value undefined.
    return values if panel.logarithmic or decimals >= MOST else np.round(values, decimals)


def _plane(run: Trajectory, rows: NDArray[np.intp]) -> dict[str, Any]:
    drawn = plane(run)
    paths = drawn.paths[rows]
    return {
        "title": drawn.title,
        "labels": list(drawn.labels),
        "bodies": [
            {"label": body, "x": _plain(paths[:, k, 0]), "y": _plain(paths[:, k, 1])}
            for k, body in enumerate(drawn.bodies)
        ],
        "goals": [{"label": name, "x": x, "y": y} for name, x, y in drawn.goals],
    }


def _marks(run: Trajectory) -> list[dict[str, Any]]:
    """Times that claims refer to, and what happened on the way."""
    found = [*marked_times(run).items(), *((e.kind, e.time) for e in run.events)]
    return [{"label": name, "t": float(t)} for name, t in found if 0 < t < np.inf]


def _plain(values: Array) -> list[float | None]:
    return [float(f"{x:.{DIGITS}g}") if np.isfinite(x) else None for x in values.tolist()]
