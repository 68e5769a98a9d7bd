"""A run as tables: observables by name, an xarray data set over `t`, or a pandas table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.system import System
from flows.runs.quantities import Run

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]
    import xarray

__all__ = ["Observables", "labelled", "observable_axes", "state_axes", "tabled"]


class Labelled(Run, Protocol):
    """What tables need of a trajectory beyond what measuring does."""

    @property
    def system(self) -> System:
        """What was integrated."""

    @property
    def message(self) -> str:
        """How it ended, in one line."""

    @property
    def rtol(self) -> float:
        """Relative tolerance of a step."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the observables."""

    @property
    def state(self) -> Array:
        """User's parameters at every time."""

    def __getitem__(self, name: str) -> Array:
        """Observable at every time."""


class Observables(Mapping[str, Array]):
    """Observables of a run by name, computed on demand."""

    def __init__(self, run: Labelled) -> None:
        """Observe ``run``."""
        self._run = run

    def __getitem__(self, name: str) -> Array:
        """Values at the run's times, shape (T,), or (T, n) for one number a neuron."""
        return self._run[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is one of this name; a block of the state is one, too."""
        try:
            return isinstance(name, str) and self[name] is not None
        except InputError:
            return False

    def __iter__(self) -> Iterator[str]:
        """Names."""
        return iter(self._run.names)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._run.names)


def state_axes(system: System, state: Array) -> tuple[str, ...]:
    """Names of the axes of one state, numbered where the system has no names for so many."""
    if len(system.dimensions) == np.ndim(state):
        return system.dimensions
    return tuple(f"state_{axis}" for axis in range(np.ndim(state)))


def observable_axes(system: System, state: Array, name: str, value: Array) -> tuple[str, ...]:
    """Names of the axes of an observable at one time: its neurons are those of the state."""
    each = system.axes[0] == "n" and np.ndim(value) == 1 and len(value) == len(state)
    if each and len(system.dimensions) == np.ndim(state):
        return system.dimensions[:1]
    return tuple(f"{name}_{axis}" for axis in range(np.ndim(value)))


def labelled(run: Labelled) -> xarray.Dataset:
    """Data set of a run, as :meth:`flows.Trajectory.to_xarray` gives it."""
    import xarray

    about = {
        p.name: {"latex": p.latex_symbol, "source": str(p.source)}
        for p in run.statements.potentials
    }
    first = run.state[0]
    variables: dict[str, Any] = {
        name: (
            ("t", *observable_axes(run.system, first, name, run[name][0])),
            run[name],
            about.get(name, {}),
        )
        for name in run.names
    }
    errors = np.stack([run.errors(name) for name in run.names], axis=-1)
    variables["relative_error"] = (("t", "observable"), errors, {"kind": "estimated"})
    variables["state"] = (("t", *state_axes(run.system, first)), run.state)
    for name, values in run.system.unpack(run.state).items():
        axes = [f"{name}_{axis}" for axis in ("row", "col")[: values.ndim - 1]]
        if name not in (*variables, "t", "observable", *run.system.dimensions):
            variables[name] = (("t", *axes), values)
    attributes = {
        "system": run.system.name,
        "parameters": json.dumps(run.parameters),
        "status": run.status,
        "message": run.message,
        "rtol": run.rtol,
    }
    return xarray.Dataset(
        variables, coords={"t": run.t, "observable": list(run.names)}, attrs=attributes
    )


def tabled(run: Labelled) -> pandas.DataFrame:
    """Table of a run, as :meth:`flows.Trajectory.to_dataframe` gives it."""
    try:
        import pandas
    except ImportError:
        raise InputError(
            "to_dataframe needs pandas, which is not installed; install it, or use to_xarray"
        ) from None

    columns = {}
    for name in run.names:
        values = run[name]
        if values.ndim == 1:
            columns[name] = values
        else:  # one column for each neuron
            columns |= {f"{name}[{k}]": column for k, column in enumerate(values.T)}
    columns |= {f"relative_error[{name}]": run.errors(name) for name in run.names}
    return pandas.DataFrame(columns, index=pandas.Index(run.t, name="t"))
