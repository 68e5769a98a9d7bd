"""Features of many runs and their errors, evaluated side by side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from flows.core.arrays import Array
from flows.core.features import Features
from flows.core.threads import taking_turns
from flows.runs.trajectory import Trajectory

__all__ = ["measure_together"]


def measure_together(runs: Sequence[Trajectory]) -> None:
    """Evaluate the features of runs side by side where their states may be measured as one run's.

    Each run has the bits that it would have alone; it is only faster.
    """
    alike: dict[Any, list[Trajectory]] = {}
    for run in (run.followed or run for run in runs):
        key = run.system.alike(run.frame, run.states)
        if key is not None:
            alike.setdefault((key, run.rtol), []).append(run)
    for group in alike.values():
        first, ends = group[0], np.cumsum([len(run.t) for run in group])[:-1]
        states = type(first.states).join([run.states for run in group])
        with taking_turns():
            found = first.system.observed(first.rtol).features(first.frame, states)
        parts = {name: np.split(values, ends) for name, values in found.items()}
        for k, run in enumerate(group):
            known = {name: split[k] for name, split in parts.items()}
            run.__dict__["features"] = run._features(known)  # where its cached property keeps them
        if first.system.stacks:
            _judge_together(group)


def _judge_together(runs: Sequence[Trajectory]) -> None:
    """Tolerances of runs and errors of their features, those with as many times at once."""
    alike: dict[int, list[Trajectory]] = {}
    for run in runs:
        alike.setdefault(len(run.t), []).append(run)
    for group in alike.values():
        first = group[0]

        def of_all(name: str, group: Sequence[Trajectory] = group) -> Array:
            return np.stack([run.features[name] for run in group])

        features = Features({}, {x: functools.partial(of_all, x) for x in first.features})
        states = type(first.states).join([run.states.at(None) for run in group])
        t = np.stack([run.t for run in group])
        tolerance = first.tolerance_of(states, features, t)
        found = first.system.errors(states, features, t, tolerance)
        for k, run in enumerate(group):
            run.__dict__["tolerance"] = tolerance[k]
            run.__dict__["feature_errors"] = run._errors({n: x[k] for n, x in found.items()})
