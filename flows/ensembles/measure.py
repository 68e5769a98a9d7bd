"""Features of many runs and their errors, evaluated side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flows.core.arrays import Array, rows_of
from flows.core.features import joined
from flows.core.state import State
from flows.core.threads import taking_turns
from flows.runs.trajectory import Trajectory

__all__ = ["measure_together"]

# Number of states whose features are evaluated at once, so that they stay in the cache.
AT_ONCE = 2**13


def measure_together(runs: Sequence[Trajectory]) -> None:
    """Evaluate the features of runs side by side where their states may be measured as one run's.

    Each run has the bits that it would have alone; it is only faster.
    """
    batches: dict[Any, list[Trajectory]] = {}
    for run in (run.followed or run for run in runs):
        key = run.system.batch_key(run.frame, run.states)
        if key is not None:
            batches.setdefault((key, run.rtol, len(run.t)), []).append(run)
    for group in batches.values():
        first = group[0]
        system = first.system.observed(first.rtol)
        states = type(first.states).join([run.states for run in group])
        parts = [states.at(slice(i, i + AT_ONCE)) for i in range(0, len(states), AT_ONCE)]
        with taking_turns():
            found = joined([system.features(first.frame, part) for part in parts])
        rows = {name: rows_of(x, len(group)) for name, x in found.items()}
        for k, run in enumerate(group):
            known = {name: x[k] for name, x in rows.items()}
            run.__dict__["features"] = run._features(known)  # where its cached property keeps them
        if first.system.stacks:
            _judge_together(group, states.in_rows(len(group)), rows)


def _judge_together(runs: Sequence[Trajectory], states: State, features: dict[str, Array]) -> None:
    """Tolerances of runs and errors of their features; runs are the leading axis."""
    first, t = runs[0], np.stack([run.t for run in runs])
    tolerance = first.tolerance_of(states, features, t)
    found = first.system.errors(states, features, t, tolerance)
    for k, run in enumerate(runs):
        run.__dict__["tolerance"] = tolerance[k]
        run.__dict__["feature_errors"] = run._errors({n: x[k] for n, x in found.items()})
