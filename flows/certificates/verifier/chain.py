r"""Check potentials on level sets, one inside the other, that are one theorem of the largest set.

Each stage is a file of its own, checked by :mod:`potential`, of the same loss. A stage before the
last one proves `\dot V \le -c V` of `V = L - a` where `L \le \ell_0`, as long as `L \ge \ell_1`:
then `L \le \ell_1` from

.. math:: T = \frac 1c \log \frac{\ell_0 - a}{\ell_1 - a}

on at the latest, and `\ell_1` is the level of the next stage. What was assumed is proved so.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any, NamedTuple

from flows.certificates.verifier.exact import fraction, read
from flows.certificates.verifier.laws import law_of, starts
from flows.certificates.verifier.potential import Fall, fall, names_of
from flows.certificates.verifier.reading import require

__all__ = ["FORMAT", "chain"]

FORMAT = "popflow potentials 1"
# A file that would take hours to check is refused.
STAGES = 8


class _Stage(NamedTuple):
    """A stage, checked: its level, `a` of `V = L - a` if any, what is assumed until it ends."""

    data: Any
    fall: Fall
    level: Fraction
    least: Fraction | None
    until: dict[Fraction, str]


def chain(data: Any) -> Fall:
    """Check a file's data; refused where anything is not as it says."""
    require(isinstance(data["stages"], list) and 2 <= len(data["stages"]) <= STAGES, "no stages")
    stages = [_stage(part) for part in data["stages"]]
    last, kept, assumed, times = stages[-1], list[str](), list[str](), list[str]()
    for stage, after in itertools.pairwise(stages):
        whole = [s.data.get("origin", s.data) for s in (stage, after)]
        require(whole[0]["variables"] == whole[1]["variables"], "stages have other variables")
        size = len(whole[0]["variables"]) + 1
        same = read(whole[0]["loss"], size) == read(whole[1]["loss"], size)
        require(same, "stages are of other losses")
        falls = stage.data["rate"] == "exp" and stage.least is not None
        require(falls, "a stage before the last one is no loss that falls exponentially")
        assert stage.least is not None
        inner, outer = after.level - stage.least, stage.level - stage.least
        require(0 < inner < outer, "levels do not fall")
        times.append(f"{1 / stage.fall.constant} log({outer / inner})")
        until = stage.until.get(after.level)
        assumed += [text for text in stage.fall.hypotheses if text != until]
    for stage in stages:
        level = f"L <= {stage.level}"
        plain = [text for text in stage.fall.kept if text != level]
        same = all(stage.data.get(key) == last.data.get(key) for key in ("variables", "origin"))
        require(same or not (plain or assumed), "conditions are of other functions")
        kept += plain if kept else stage.fall.kept
    assumed += last.fall.hypotheses
    time = " + ".join(times)
    law = law_of(last.data["rate"], last.fall.constant, False, "(t - T)")
    if last.data["rate"] == "exp":
        begin = "V(T)" if last.least is None else str(last.level - last.least)
        law = f"V(t) <= {begin} exp(-{last.fall.constant} (t - T))"
    said = starts(list(dict.fromkeys(kept)), list(dict.fromkeys(assumed)))
    statement = f"{last.fall.flow}: {law} for all t > T = {time}, {said}"
    return last.fall._replace(statement=statement, hypotheses=tuple(dict.fromkeys(assumed)))


def _stage(data: Any) -> _Stage:
    """A stage, checked by itself."""
    found = fall(data)
    require("lower" not in data, "a stage is a bound from below")
    require("bounded" in data["claims"], "the flow may not exist for ever")
    later = any(part["kept"] == "length" for part in data["region"])
    require(not later, "a stage is about starts whose path is short")
    names = names_of(data["variables"])
    size = len(names) + 1
    loss = read(data["loss"], size)
    levels = [fraction(part["level"]) for part in data["region"] if part["kept"] == "level"]
    require(len(levels) == 1, "a stage has no level, or several ones")
    least, until = (loss - read(data["V"], size)).terms, {}
    for part in data["region"]:
        rest = (loss - read(part["p"], size)).terms
        if part["kept"] == "assumed" and not part["equal"] and {*rest} <= {(0,) * size}:
            level = sum(rest.values(), start=Fraction(0))
            until[level] = f"{read(part['p'], size).text(names)} >= 0"
    of_loss = {*least} <= {(0,) * size}
    value = sum(least.values(), start=Fraction(0)) if of_loss else None
    return _Stage(data, found, levels[0], value, until)
