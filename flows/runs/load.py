"""A saved run, read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.files import checked_path
from flows.core.netcdf import digest, read_netcdf
from flows.core.piece import Event
from flows.core.system import System
from flows.runs.given import given_potentials
from flows.runs.save import FORMAT, digested
from flows.runs.trajectory import Trajectory
from flows.systems.registry import recall

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    system: System | None = None,
    *,
    potentials: Mapping[str, sp.Expr] | None = None,
) -> Trajectory:
    """Read a run that :meth:`Trajectory.save` wrote.

    Parameters
    ----------
    path : path
        The file.
    system : System, optional
        Of a run of an :class:`~flows.OwnSystem`: that system, whose claims a file cannot carry. It
        may have other potentials and claims than when it was run. Without it such a run shows its
        times, states and observables; its loss is built anew where it is made of sums, products and
        the usual functions (``run.system.derive()``, ``run.system.gradient(y)``).
    potentials : mapping of str to Expr, optional
        Potentials of your own, as for :func:`flows.integrate`: a file has their values, which
        xarray shows, and not their expressions.

    Returns
    -------
    Trajectory
        As it was saved.

    Raises
    ------
    InputError
        If the file is missing, truncated or not a popflow trajectory, or of another system.
    """
    if not checked_path(path).is_file():
        raise InputError(f"{path}: no such file")
    foreign = f"{path} is not a popflow trajectory, or is damaged; write one with run --out"
    try:
        arrays, attributes = read_netcdf(path)
    except Exception:  # HDF5 fails on a damaged file in many ways
        raise InputError(foreign) from None
    try:
        text = attributes["popflow"]
        # Files from before have no digest.
        if attributes.get("digest") not in (None, digest(digested(arrays, text))):
            raise InputError(f"{path} is damaged: its numbers are not those that were written")
        about = json.loads(text)
        if about["format"] != FORMAT:
            raise InputError(f"{path} has the format {about['format']!r}, expected {FORMAT!r}")
        parameters = dict(about["parameters"])
        system = recall(parameters.pop("system"), parameters, system, about.get("definition"))
        frame_type, state_type = system.containers
        rtol = float(about["rtol"])
        tolerant = system.at_tolerance(rtol, rtol, damped=True)
        run = Trajectory(
            system=system,
            t=arrays["t"],
            frame=_collect(frame_type, "frame", arrays),
            states=tolerant.recorded(_collect(state_type, "sound", arrays)),
            start=(
                arrays["start"]
                if "start" in arrays
                else arrays["start_real"] + 1j * arrays["start_imag"]
            ),
            status=str(about["status"]),
            message=str(about["message"]),
            stats=dict(about["stats"]),
            events=tuple(Event(float(t), str(k), str(d)) for t, k, d in about["events"]),
            rtol=rtol,
            provenance=dict(about["provenance"]),
        )
        if "followed_t" in arrays:
            more = tolerant.recorded(_collect(state_type, "followed", arrays))
            run = replace(run, followed=replace(run, t=arrays["followed_t"], states=more))
        consistent = len(run.t) == len(run[run.leading]) and np.isfinite(run.t).all()
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, IndexError):
        raise InputError(foreign) from None
    if not consistent:
        raise InputError(foreign)
    if potentials is None:
        return run
    first = run.states.at(slice(0, 1))
    return replace(run, given=given_potentials(system, run.frame, first, potentials))


def _collect(kind: type, prefix: str, arrays: dict[str, Array]) -> Any:
    names = {f.name: f"{prefix}_{f.name}" for f in fields(kind)}
    # A field with a default may be missing in files from before.
    known = {f.name for f in fields(kind) if f.default is MISSING or names[f.name] in arrays}
    return kind(**{name: arrays[names[name]] for name in names if name in known})
