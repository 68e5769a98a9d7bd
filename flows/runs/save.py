"""A run as its file holds it, written; :mod:`flows.runs.load` reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.files import checked_path
from flows.core.netcdf import digest, write_netcdf
from flows.runs.tables import Labelled, observable_axes, state_axes

__all__ = ["FORMAT", "digested", "save"]

FORMAT = "popflow-trajectory-1"


class Kept(Labelled, Protocol):
    """What a file holds of a trajectory beyond what tables do."""

    @property
    def frame(self) -> Any:
        """Frame of the sound coordinates."""

    @property
    def states(self) -> Any:
        """States in sound coordinates."""

    @property
    def start(self) -> NDArray[Any]:
        """User's start."""

    @property
    def stats(self) -> Mapping[str, Any]:
        """What it cost."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Versions, method and request."""

    @property
    def followed(self) -> Kept | None:
        """The same at more times."""

    def state_at(self, index: int) -> Array:
        """User's parameters at one time."""


def save(run: Kept, path: str | os.PathLike[str], force: bool) -> Path:
    """Write a run, as :meth:`flows.Trajectory.save` does.

    Raises
    ------
    InputError
        If the file exists (without ``force``) or cannot be written.
    """
    target = checked_path(path)
    if target.exists() and not force:
        raise InputError(f"{target} exists; choose another name or force the overwrite")
    variables, about = _content(run)
    values = {name: np.asarray(value) for name, (_, value) in variables.items()}
    write_netcdf(target, variables, {"popflow": about, "digest": digest(digested(values, about))})
    return target


def digested(arrays: dict[str, Any], about: str) -> dict[str, Any]:
    """Everything in a file that must not change."""
    return {**arrays, "popflow": np.array(about)}


def _content(run: Kept) -> tuple[dict[str, Any], str]:
    """Variables of the file, and what it says about them."""
    variables: dict[str, Any] = {"t": ("t", run.t)}
    last = run.state_at(-1)
    for name, values in (("start", run.start), ("final_state", last)):
        # NetCDF has no complex numbers.
        parts = (
            {"": values} if np.isrealobj(values) else {"_real": values.real, "_imag": values.imag}
        )
        for suffix, part in parts.items():
            variables[f"{name}{suffix}"] = (state_axes(run.system, part), part)
    for name in run.names:
        values = run[name]
        axes = observable_axes(run.system, last, name, values[0])
        variables[name] = (("t", *axes), values)
    kept: list[tuple[str, Any, tuple[str, ...]]] = [("frame", run.frame, ())]
    kept.append(("sound", run.states, ("t",)))
    if run.followed is not None:
        variables["followed_t"] = ("followed_t", run.followed.t)
        kept.append(("followed", run.followed.states, ("followed_t",)))
    for prefix, part, lead in kept:
        for f in fields(part):
            values = np.asarray(getattr(part, f.name))
            dims = _dims(f"{prefix}_{f.name}", values)
            variables[f"{prefix}_{f.name}"] = ((*lead, *dims[len(lead) :]), values)
    about = {
        "format": FORMAT,
        "parameters": run.parameters,
        "definition": run.system.definition,
        "status": run.status,
        "message": run.message,
        "stats": run.stats,
        "events": [list(e) for e in run.events],
        "rtol": run.rtol,
        "provenance": run.provenance,
    }
    return variables, json.dumps(about)


def _dims(name: str, values: Array) -> tuple[str, ...]:
    return tuple(f"{name}_{axis}" for axis in range(np.ndim(values)))
