"""Gradient descent from many starts: compiled steps of many members side by side."""

from __future__ import annotations

import functools
import time as clock
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.chart import Lanes
from flows.core.system import System
from flows.ensembles.member import FAILURES
from flows.ensembles.result import Ensemble
from flows.ensembles.run import EnsembleRequest, run_ensemble
from flows.ensembles.starts import Law
from flows.runs.descend import DIVERGED, Iterates, Stride, next_stride, take_steps
from flows.runs.request import DescentRequest
from flows.runs.trajectory import Trajectory

# Between two looks at the charts; a group of ten neurons gets so far in half a second.
LONGEST_STRIDE = 10_000
# Members side by side: the loops are long enough to pay, and ten neurons fit into the cache.
LANES = 16
# Members of a chunk: enough that those in the same chart fill the lanes.
CHUNK = 4 * LANES


def descend_ensemble(
    system: System,
    starts: Law | ArrayLike,
    step_size: float = 0.05,
    steps: int = 50_000,
    *,
    observables: Sequence[str] | None = None,
    claims: Sequence[str] = (),
    workers: int | None = None,
    executor: Executor | None = None,
    out: Any = None,
    chunk_size: int = CHUNK,
    progress: bool = False,
    potentials: Mapping[str, sp.Expr] | None = None,
) -> Ensemble:
    r"""Follow gradient descent ``w <- w - step_size * grad L(w)`` from many starts.

    Parameters
    ----------
    system : System
        The loss.
    starts : Law or array_like, shape (members, ...)
        A law of random starts, or the starts.
    step_size, steps
        As for :func:`flows.descend`.
    observables, claims, workers, executor, out, chunk_size, progress, potentials
        As for :func:`flows.integrate_ensemble`.

    Returns
    -------
    Ensemble
        At the step counts of ``descend``; a member that diverges has the status ``nonfinite``.

    Raises
    ------
    InputError
        As :func:`flows.integrate_ensemble`.

    Accuracy
    --------
    Members of a system that has ``lanes``, such as ``ReLUNeuron``, take their steps side by side:
    rounding differs from that of ``descend``, and does not depend on which members are beside each
    other. A neuron that is carried past zero amplifies rounding, so that later losses can differ in
    all digits.

    Examples
    --------
    >>> import flows
    >>> e = descend_ensemble(flows.ReLUNeuron(n=1, d=2), Law(size=3), steps=100)
    >>> e["loss"].shape == (3, len(e.t)), float(e.t[-1])
    (True, 5.0)
    """
    request = DescentRequest(step_size, steps)
    request.check(system)
    return run_ensemble(
        system,
        starts,
        Descent(request),
        request.times,
        EnsembleRequest(
            observables, claims, workers, executor, out, chunk_size, progress, potentials
        ),
    )


@dataclass(frozen=True)
class Descent:
    """Members follow gradient descent (:func:`flows.descend`)."""

    request: DescentRequest
    threads: ClassVar[bool] = False
    all_cores: ClassVar[bool] = False
    joins: ClassVar[bool] = False

    @property
    def provenance(self) -> dict[str, Any]:
        """What the manifest of an ensemble keeps."""
        return asdict(self.request)

    def chunk_size(self, size: int, workers: int) -> int:
        """Members of a chunk, where the caller does not say how many."""
        return CHUNK

    def runs_at_once(self, chunk: int) -> int:
        """How many runs of a chunk are in memory."""
        return chunk

    def follow(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """One run, or what prevented it, for each start."""
        begun = clock.perf_counter()
        descents: list[Iterates | Exception] = []
        for start in starts:
            try:
                descents.append(Iterates.begin(system, start(), self.request))
            except FAILURES as problem:
                descents.append(problem)
        members = {
            k: (iterates, iterates.strides(LONGEST_STRIDE))
            for k, iterates in enumerate(descents)
            if isinstance(iterates, Iterates)
        }
        asked = {k: next_stride(strides, None) for k, (_, strides) in members.items()}
        while waiting := {k: stride for k, stride in asked.items() if stride is not None}:
            # All meet again at each record, so that long strides are taken side by side.
            records = {k: len(members[k][0].reached) for k in waiting}
            last = min(records.values())
            behind = {k: stride for k, stride in waiting.items() if records[k] == last}
            for k, ahead in _take_all(behind, self.request.step_size).items():
                asked[k] = next_stride(members[k][1], ahead)
        seconds = clock.perf_counter() - begun
        for iterates in descents:
            yield iterates.trajectory(seconds) if isinstance(iterates, Iterates) else iterates


def _take_all(strides: dict[int, Stride], eta: float) -> dict[int, Array | None]:
    """Take every stride: in groups of one kind of chart and like length, or one by one."""
    reached: dict[int, Array | None] = {}
    groups: dict[tuple[Lanes, tuple[int, ...]], list[int]] = defaultdict(list)
    # Members beside a longer stride are idle until it ends.
    for k in sorted(strides, key=lambda k: strides[k].steps):
        chart = strides[k].chart
        if chart.lanes is None or chart.lanes.alone:
            reached[k] = take_steps(strides[k], eta)
        else:
            groups[chart.lanes, tuple(chart.shape)].append(k)
    for (lanes, _), members in groups.items():
        for first in range(0, len(members), LANES):
            group = members[first : first + LANES]
            ends = _side_by_side(lanes, [strides[k] for k in group], eta)
            reached.update(zip(group, ends, strict=True))
    return reached


def _side_by_side(lanes: Lanes, group: list[Stride], eta: float) -> list[Array | None]:
    filled = group + [group[0]] * (LANES - len(group))
    x = np.stack([stride.x for stride in filled], axis=1)
    weights = np.stack([stride.chart.weights for stride in filled], axis=1)
    counts = np.array([stride.steps for stride in filled])
    shape = group[0].chart.shape
    work = np.empty((lanes.workspace(shape), LANES))
    bounded = _advance(lanes)(x, eta, counts, weights, shape, work)
    return [x[:, e].copy() if bounded[e] else None for e in range(len(group))]


@functools.cache
def _advance(lanes: Lanes) -> Callable[..., Array]:
    """Steps of many members, each up to its own count; tells which remained bounded."""
    from flows.arithmetic.kept import kept

    make = functools.partial(_compile, lanes)
    signature = "b1[::1](f8[:, ::1], f8, i8[::1], f8[:, ::1], i8[::1], f8[:, ::1])"
    return cast(
        "Callable[..., Array]", kept((LANES, "descents along", lanes.make_field), signature, make)
    )


def _compile(lanes: Lanes) -> Callable[..., Array]:
    from flows.arithmetic.kept import outer  # Numba loads where it is first needed

    field, bound, width = lanes.make_field(LANES), DIVERGED, LANES

    def advance(x, eta, counts, weights, shape, work):  # type: ignore[no-untyped-def]
        slope = np.empty_like(x)
        bounded = np.ones(width, dtype=np.bool_)
        size = np.empty(width)
        for step in range(counts.max()):
            field(x, weights, shape, slope, work)
            for i in range(x.shape[0]):
                for e in range(width):
                    x[i, e] += eta * slope[i, e] if step < counts[e] else 0.0
            for e in range(width):
                size[e] = 0.0
            for i in range(x.shape[0]):
                for e in range(width):
                    size[e] += abs(x[i, e])
            for e in range(width):
                # A NaN is not bounded either.
                bounded[e] = bounded[e] and size[e] <= bound
        return bounded

    return cast("Callable[..., Array]", outer(advance))
