r"""Whether a run meets the hypotheses of theorems, and what they say of it.

A run is finite and rounded, so this proves nothing: it shows that a theorem speaks of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np

import symbolic
from flows.runs.theorems.readings import Path, Reading
from flows.runs.trajectory import Trajectory
from symbolic.theorem.evaluate import Unread, margin, solved
from symbolic.theorem.formulas import Forall, Formula, free
from symbolic.theorem.proving import Statement

__all__ = ["Application", "applications", "reading_of"]

#: Here lie the readings, each in a file of the name of its system.
PLACE = "flows.runs.theorems"
#: Times of a run at which theorems are read, the first and the last among them.
MOST_TIMES = 5
#: States of a run are right to about its tolerance, and differences cost half the digits.
ROUNDING = 1e-6
#: Below this part of the loss of no student, doubles no longer have the digits of its expectation.
LEAST_LOSS = 1e-14


@dataclass(frozen=True)
class Application:
    """What a theorem says of a run.

    Parameters
    ----------
    name, says : str
        The theorem, and its conclusion in words.
    begin : float
        The time `T` at which it begins.
    hypotheses : tuple of (str, float or None)
        Each with its least margin, relative to its largest terms: below zero it fails. None: it
        was not evaluated, as it speaks of expectations in more dimensions than are read.
    conclusion : float or None
        The same of the conclusion, at the times from `T` on.
    """

    name: str
    says: str
    begin: float
    hypotheses: tuple[tuple[str, float | None], ...]
    conclusion: float | None

    @property
    def applies(self) -> bool:
        """Whether no hypothesis fails."""
        return all(m is None or m >= -ROUNDING for _, m in self.hypotheses)

    @property
    def holds(self) -> bool:
        """Whether the conclusion holds at all times that were read."""
        return self.conclusion is not None and self.conclusion >= -ROUNDING

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        about = {"theorem": self.name, "says": self.says, "begin": self.begin}
        lines = [{"hypothesis": label, "margin": m} for label, m in self.hypotheses]
        about |= {"applies": self.applies, "hypotheses": lines}
        return {**about, "conclusion": self.conclusion}


def applications(run: Trajectory, theorem: str | None = None) -> list[Application]:
    """Return what the theorems about a system say of a run.

    Parameters
    ----------
    run : Trajectory
        Of a system with theorems.
    theorem : str, optional
        Only this one.

    Returns
    -------
    list of Application
        For each theorem the first time of the run from which its hypotheses hold, or the start.
    """
    name = run.parameters["system"]
    known = name in symbolic.THEOREMS and find_spec(f"{PLACE}.{name}") is not None
    if not known or np.iscomplexobj(run.state_at(0)):
        return []  # theorems about chains are about real ones
    loss = np.asarray(run["loss"])
    last = max(1, int((loss > LEAST_LOSS * max(1.0, float(loss[0]))).sum()) - 1)
    places = np.unique(np.linspace(0, last, MOST_TIMES).round().astype(int))
    path = Path(run.system, {float(run.t[k]): np.asarray(run.state_at(k)) for k in places})
    reading = reading_of(path)
    chosen = (s for s in symbolic.theorems(name) if theorem in (None, s.name))
    return [_first(s, reading) for s in chosen]


def reading_of(path: Path) -> Reading:
    """What the theorems about the system of a run speak of, as the file of its name reads it."""
    found: Reading = import_module(f"{PLACE}.{path.system.name}").reading(path)
    return found


def _first(s: Statement, reading: Reading) -> Application:
    best: Application | None = None
    for begin in reading.model.times:
        found = _read(s, reading, begin)
        if found.applies:
            return found
        best = best or found
    assert best is not None
    return best


def _read(s: Statement, reading: Reading, begin: float) -> Application:
    """Read what is quickly read first, and no more once something has failed."""
    try:
        places = list(_places(s, reading, begin))
    except (KeyError, ZeroDivisionError):
        return Application(s.name, s.says, begin, (("it is about other runs", -np.inf),), None)
    lines: list[tuple[str, float | None]] = []
    applies = True
    for f in sorted(s.theorem.hyps, key=lambda f: (isinstance(f, Forall), s.labels.get(f, ""))):
        where = places[:1] if "t" not in free(f) else places
        least = _least(f, reading, where)
        lines.append((s.labels.get(f, "the indices differ"), least))
        applies = least is None or least >= -ROUNDING
        if not applies:
            break
    concl = _least(s.theorem.concl, reading, places) if applies else None
    return Application(s.name, s.says, begin, tuple(lines), concl)


def _places(s: Statement, reading: Reading, begin: float) -> Iterator[Mapping[str, Any]]:
    """Environments: each time from the beginning on, each value of the free indices."""
    names = set().union(free(s.theorem.concl), *(free(f) for f in s.theorem.hyps))
    for t in (t for t in reading.model.times if t >= begin):
        known = {**reading.constants(s.name, begin, t), "t": t, "T": begin}
        every = [i for i in reading.every if i in names and i not in known]
        for values in product(range(reading.model.size), repeat=len(every)):
            env = {**known, **dict(zip(every, values, strict=True))}
            yield solved(s.theorem.hyps, reading.model, env)


def _least(f: Formula, reading: Reading, places: list[Mapping[str, Any]]) -> float | None:
    try:
        return min(float(margin(f, reading.model, env)) for env in places)
    except Unread:
        return None
    except (KeyError, ZeroDivisionError):  # a name that this run has not, a neuron at zero
        return -np.inf
