"""Ensembles over parameters: one labelled data set, kept in a folder in which a sweep goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.core.arrays import Array
from flows.core.deadline import Deadline
from flows.core.errors import InputError
from flows.core.files import checked_path
from flows.core.netcdf import is_damaged, write_dataset
from flows.core.problem import INTERRUPTED, TIME_BUDGET
from flows.core.progress import member_bar
from flows.ensembles import memory, store
from flows.ensembles.cases import Case, cases, checked_values, observed
from flows.ensembles.crew import Crew
from flows.ensembles.result import Ensemble
from flows.runs.provenance import provenance
from flows.runs.request import MAX_STEPS, Request, check_count

if TYPE_CHECKING:
    import xarray

    from flows.core.system import System

__all__ = ["FILE", "load_sweep", "sweep"]

FORMAT = "popflow-sweep-1"
#: The file of a sweep in its folder.
FILE = "sweep.nc"
# The numbers, the bytes of the file, and what HDF5 makes on the way.
COPIES = 3


def sweep(
    make: Callable[..., System],
    vary: Mapping[str, Iterable[Any]],
    *,
    size: int,
    t_end: float,
    t_eval: Sequence[float] | Array | None = None,
    scale: float = 0.1,
    seed: int = 0,
    start_options: Mapping[str, Any] | None = None,
    method: str = "auto",
    rtol: float = 1e-10,
    atol: float | None = None,
    max_steps: int = MAX_STEPS,
    max_seconds: float | None = None,
    observables: Sequence[str] = ("loss",),
    workers: int | None = None,
    executor: Executor | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[int], None] = False,
) -> xarray.Dataset:
    r"""Follow ``dy/dt = -grad L(y)`` from many starts, for every combination of parameters.

    Parameters
    ----------
    make : callable
        From parameters by name to a system: the class of a system, such as
        :class:`flows.MatrixFactorization`, or a function.
    vary : mapping of str to list
        Values of each parameter, numbers or words. The name ``scale`` sets the scale of the start.
    size : int
        Random starts of each combination.
    t_end, t_eval, method, rtol, atol, max_steps
        As for :func:`flows.integrate`; they concern each member.
    max_seconds : float, optional
        Budget of time of the whole sweep. Members that have not ended then have the status
        ``time_budget``; in a folder the same call goes on with them.
    scale, seed, start_options
        Law of the starts, as for :class:`flows.Law`. A member's seed depends on its number only,
        so that combinations whose starts have one shape begin at the same ones.
    observables : sequence of str
        What is kept of each member, one number a time; with local exponents where all
        combinations know the rate.
    workers, executor
        As for :func:`flows.integrate_ensemble`. Processes serve the whole sweep; by default they
        begin where one combination says that the others will take ten seconds.
    out : path, optional
        Folder for the result: ``sweep.nc``, and a folder of each combination, an ensemble that
        :func:`flows.load_ensemble` reads. The same call continues a result that is there.
    progress : bool or callable
        Show a progress bar on standard error; or a function that is called with the number of
        new members.

    Returns
    -------
    xarray.Dataset
        One dimension a parameter, then ``member`` and ``t``, all with their values. The observables
        are NaN after the end of a run that stopped early; ``status`` and ``message`` say how each
        member ended, and ``seed`` gives its start. The attributes hold the systems, the law, the
        request and the versions. After Ctrl-C the members that were not computed have the status
        ``interrupted``.

    Raises
    ------
    InputError
        For parameters that ``make`` does not take or a system refuses, with their combination; for
        observables that are not one number a time; for a folder of something else, and for
        results that do not fit into memory: before anything runs.

    Notes
    -----
    On one machine the result is the same bit for bit for any number of workers and interruptions,
    as that of :func:`flows.integrate_ensemble` is.

    Examples
    --------
    >>> import flows
    >>> found = flows.sweep(
    ...     flows.ReLUNeuron, {"n": [1, 2], "d": [2]}, size=3, t_end=10.0, t_eval=[10.0], rtol=1e-6
    ... )
    >>> dict(found["loss"].sizes)
    {'n': 2, 'd': 1, 'member': 3, 't': 2}
    >>> bool((found["loss"].sel(n=1).isel(t=-1) < found["loss"].sel(n=1).isel(t=0)).all())
    True
    """
    deadline = Deadline.after(max_seconds)
    request = Request(t_end, t_eval, method, rtol, atol, max_steps)
    check_count("size", size)
    if isinstance(observables, str) or not isinstance(observables, Iterable):
        raise InputError(f"observables must be a list of names, got {observables!r}")
    values = checked_values(vary)
    every = cases(make, values, size, scale, seed, start_options or {})
    names = observed(every, observables)
    times = np.concatenate([[0.0], request.times])
    folder = None if out is None else checked_path(out)
    needed = 8 * COPIES * len(every) * size * len(times) * max(1, len(names))
    memory.require(needed, needed // COPIES, folder)
    about = _about(every, values, request, names)
    if folder is not None:
        store.prepare(folder, about, FORMAT, "sweep")
    if workers is not None:
        check_count("workers", workers)
    data = _Table(values, names, times, every[0].law.size)
    seeds = [every[0].law.seed_of(k) for k in range(size)]
    with (
        member_bar(progress, 0, size * len(every)) as advance,
        Crew(workers, executor, request) as crew,
    ):
        for number, case in enumerate(every):
            if deadline.spent:
                data.leave(number, TIME_BUDGET, deadline.message("before it ended"))
                break
            found = crew.integrate(
                case,
                len(every) - number - 1,
                folder,
                t_end=t_end,
                t_eval=t_eval,
                method=method,
                rtol=rtol,
                atol=atol,
                max_steps=max_steps,
                max_seconds=deadline.left,
                observables=tuple(dict.fromkeys(observables)),
                progress=advance,
            )
            data.fill(number, found)
            if (found.status == INTERRUPTED).any():
                break
    result = data.labelled(values, times, seeds, about)
    if folder is not None:
        write_dataset(folder / FILE, result)
    return result


def load_sweep(out: str | os.PathLike[str]) -> xarray.Dataset:
    """Read the data set that a sweep has written.

    Parameters
    ----------
    out : path
        The sweep's folder, or its file ``sweep.nc``, which ``xarray.open_dataset`` reads too.

    Returns
    -------
    xarray.Dataset
        As :func:`flows.sweep` returned it.

    Raises
    ------
    InputError
        If there is none, or its bytes are not those that were written.
    """
    import xarray

    path = checked_path(out)
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{file}: expected the file of a sweep, got none; name its folder, or let the sweep end"
        )
    try:
        if is_damaged(file):
            raise ValueError("its bytes are not those that were written")
        with xarray.open_dataset(file, engine="h5netcdf") as data:
            if data.attrs.get("popflow") != FORMAT:
                raise ValueError("it is another file")
            return data.load()
    except Exception as problem:  # a damaged file can fail anywhere in HDF5
        line = " ".join(str(problem).split())
        raise InputError(
            f"{file}: expected the file of a sweep, but it cannot be read ({line}); call the sweep"
            " again"
        ) from None


def _about(
    every: list[Case], values: Mapping[str, Any], request: Request, names: list[str]
) -> dict[str, Any]:
    """Plain values that say what a sweep is."""
    software = provenance("sweep", {})
    law = {key: x for key, x in asdict(every[0].law).items() if key not in values}
    return {
        "system": ", ".join(dict.fromkeys(case.system.name for case in every)),
        "vary": dict(values),
        "law": law,
        "request": asdict(request),
        "quantities": names,
        "cases": [case.system.parameters for case in every],
        "software": {key: software[key] for key in ("python", "machine", "versions")},
    }


class _Table:
    """Rows of all combinations, in the order of these."""

    def __init__(
        self, values: Mapping[str, Sequence[Any]], names: list[str], times: Array, size: int
    ) -> None:
        self.grid = tuple(map(len, values.values()))
        count = int(np.prod(self.grid))
        self.numbers = {name: np.full((count, size, len(times)), np.nan) for name in names}
        self.words = {
            "status": np.full((count, size), INTERRUPTED, dtype=object),
            "message": np.full((count, size), "not computed", dtype=object),
        }

    def fill(self, number: int, found: Ensemble) -> None:
        """Enter the rows of one combination."""
        for name, rows in (self.numbers | self.words).items():
            rows[number] = found[name]

    def leave(self, number: int, status: str, message: str) -> None:
        """Say why the combinations from this one on were not begun."""
        self.words["status"][number:], self.words["message"][number:] = status, message

    def labelled(
        self,
        values: Mapping[str, Sequence[Any]],
        times: Array,
        seeds: list[int],
        about: Mapping[str, Any],
    ) -> xarray.Dataset:
        """Data set with one dimension a parameter."""
        import xarray

        axes = (*values, "member", "t")
        variables: dict[str, Any] = {}
        for name, rows in (self.words | self.numbers).items():
            shaped = rows.reshape(*self.grid, *rows.shape[1:])
            variables[name] = (axes[: shaped.ndim], shaped)
        coordinates: dict[str, Any] = {name: (name, _coordinate(x)) for name, x in values.items()}
        coordinates["member"] = ("member", np.arange(len(seeds)))
        coordinates["t"] = ("t", times, {"long_name": "time of dy/dt = -grad L"})
        coordinates["seed"] = (
            "member",
            np.array(seeds, dtype=np.uint64),
            {"long_name": "seed of the start: system.initial(scale, seed)"},
        )
        request = about["request"]
        attributes = {
            "popflow": FORMAT,
            "system": about["system"],
            "law": json.dumps(about["law"]),
            "t_end": request["t_end"],
            "method": request["method"],
            "rtol": request["rtol"],
            "systems": json.dumps(about["cases"]),
            **{name: json.dumps(x) for name, x in about["software"].items()},
        }
        return xarray.Dataset(variables, coordinates, attributes)


def _coordinate(values: Sequence[Any]) -> Any:
    """Values of one parameter as an array; words as objects, which a file gives back as such."""
    return np.array(values, dtype=object if isinstance(values[0], str) else None)
