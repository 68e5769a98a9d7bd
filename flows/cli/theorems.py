"""Theorems about a run, in lines: those that apply to it, and a certificate's proofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.cli.layout import labelled, width, wrapped

if TYPE_CHECKING:
    from flows.certificates.theorems.said import ForAllTimes
    from flows.runs.theorems.application import Application
    from flows.runs.trajectory import Trajectory

__all__ = ["theorem_lines", "theorems_of"]


def theorems_of(
    run: Trajectory, certificate: str | None
) -> tuple[list[Application], list[ForAllTimes]]:
    """Return what theorems say of a run, and of all times: from its certificate or its start."""
    from flows.certificates.theorems.decided import Start, for_all_times
    from flows.runs.theorems.application import applications

    applied = applications(run)
    if certificate is None:
        return applied, [a for a in for_all_times(Start(run.system, run.start)) if a.proved]
    from flows.certificates.certificate import load_certificate

    return applied, for_all_times(load_certificate(certificate))


def theorem_lines(
    applied: Sequence[Application], always: Sequence[ForAllTimes], in_full: bool = True
) -> list[str]:
    """Return lines about each theorem, those that are proved for all times last.

    Parameters
    ----------
    applied, always : sequence
        What theorems say of a run, and of all times.
    in_full : bool
        Whether statements and hypotheses are printed too.
    """
    columns, lines = width(), []
    for m in applied:
        state = (
            "does not speak of this run" if not m.applies else f"speaks of it from t = {m.begin:g}"
        )
        lines += [*([""] if in_full else []), *wrapped(f"theorem {m.name}: {state}", columns)]
        if not in_full:
            continue
        lines += labelled("says", m.says, columns)
        if m.applies:
            held = f"the conclusion {'holds' if m.holds else 'FAILS'} at the times that were read"
            about = "the conclusion is about an expectation and was not read"
            lines += labelled("here", about if m.conclusion is None else held, columns)
            if unread := sum(x is None for _, x in m.hypotheses):
                lines += labelled("unread", f"statements about expectations: {unread}", columns)
        else:
            lines += labelled("because", f"not so: {m.hypotheses[-1][0]}", columns)
    for a in always:
        state = "DERIVED for all t" if a.proved else "nothing, its hypotheses are not PROVED"
        source = "certificate" if a.begin > 0 else "start"
        heading = wrapped(f"theorem {a.theorem}, from the {source}: {state}", columns)
        if not in_full:
            lines += heading
            continue
        lines += ["", *heading]
        lines += labelled("says", f"{a.says}, T = {a.begin:g}", columns)
        for label, holds in a.hypotheses:
            lines += labelled("PROVED" if holds else "OPEN", label, columns)
    return lines
