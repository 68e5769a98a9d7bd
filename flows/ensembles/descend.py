"""Gradient descent from many starts: compiled steps of many members side by side."""

from __future__ import annotations

import functools
import time as clock
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.system import System
from flows.ensembles.integrate import Ensemble, Law, follow
from flows.ensembles.member import FAILURES
from flows.runs.descend import DIVERGED, Stride, Walk, answer, descent, take
from flows.runs.trajectory import Trajectory, provenance
from flows.systems.relu_neuron import field_lanes as lanes

# Between two looks at the charts; a group of ten neurons walks so far in half a second.
LONGEST_STRIDE = 10_000
# Members side by side: the loops are long enough to pay, and ten neurons fit into the cache.
LANES = 64
# Members of a chunk: enough that those in the same chart fill the lanes.
CHUNK = 4 * LANES


def descend_ensemble(
    system: System,
    starts: Law | ArrayLike,
    step_size: float = 0.05,
    steps: int = 50_000,
    *,
    observables: Sequence[str] = ("loss",),
    claims: Sequence[str] = (),
    workers: int = 1,
    executor: Executor | None = None,
    out: Any = None,
    chunk_size: int = CHUNK,
    progress: bool = False,
) -> Ensemble:
    r"""Follow gradient descent ``w <- w - step_size * grad L(w)`` from many starts.

    Parameters
    ----------
    system : System
        The loss.
    starts : Law or array_like, shape (members, ...)
        A law of random starts, or the starts.
    step_size, steps
        As for :func:`flows.descend.descend`.
    observables, claims, workers, executor, out, chunk_size, progress
        As for :func:`flows.ensembles.integrate.integrate_ensemble`.

    Returns
    -------
    Ensemble
        At the step counts of ``descend``; a member that diverges has the status ``nonfinite``.

    Raises
    ------
    InputError
        As :func:`flows.ensembles.integrate.integrate_ensemble`.

    Accuracy
    --------
    Members of ``relu_neuron`` walk side by side (``field_lanes``): rounding differs from that of
    ``descend``, and does not depend on who walks beside whom. A neuron that is carried past zero
    amplifies rounding, so that later losses can differ in all digits.

    Examples
    --------
    >>> import flows
    >>> e = descend_ensemble(flows.ReLUNeuron(n=1, d=2), Law(size=3), steps=100)
    >>> e["loss"].shape == (3, len(e.t)), float(e.t[-1])
    (True, 5.0)
    """
    eta, counts = descent(system, step_size, steps)
    return follow(
        system,
        starts,
        Descent(eta, int(steps)),
        eta * counts.astype(float),
        observables=observables,
        claims=claims,
        workers=workers,
        executor=executor,
        out=out,
        chunk_size=chunk_size,
        progress=progress,
    )


@dataclass(frozen=True)
class Descent:
    """Members follow gradient descent (:func:`flows.descend.descend`)."""

    step_size: float
    steps: int

    def chunk_size(self, size: int, workers: int) -> int:
        """Members of a chunk, where nobody says how many."""
        return CHUNK

    def runs_at_once(self, chunk: int) -> int:
        """How many runs of a chunk are in memory."""
        return chunk

    def follow(
        self, system: System, starts: Iterable[Callable[[], Array]]
    ) -> Iterator[Trajectory | Exception]:
        """One run, or what prevented it, for each start."""
        begun = clock.perf_counter()
        eta, counts = descent(system, self.step_size, self.steps)
        walks: list[Walk | Exception] = []
        for start in starts:
            try:
                walks.append(Walk.begin(system, start()))
            except FAILURES as problem:
                walks.append(problem)
        members = {
            k: (walk, walk.strides(counts, LONGEST_STRIDE))
            for k, walk in enumerate(walks)
            if isinstance(walk, Walk)
        }
        asked = {k: answer(strides, None) for k, (_, strides) in members.items()}
        while waiting := {k: stride for k, stride in asked.items() if stride is not None}:
            # All meet again at each record, so that long strides are taken side by side.
            records = {k: len(members[k][0].reached) for k in waiting}
            last = min(records.values())
            behind = {k: stride for k, stride in waiting.items() if records[k] == last}
            for k, ahead in _walk(system.name, behind, eta).items():
                asked[k] = answer(members[k][1], ahead)
        seconds = clock.perf_counter() - begun
        about = provenance("descend", asdict(self))
        for walk in walks:
            yield (
                walk.trajectory(eta, counts, False, seconds, about)
                if isinstance(walk, Walk)
                else walk
            )


def _walk(name: str, strides: dict[int, Stride], eta: float) -> dict[int, Array | None]:
    """Take every stride: in groups of one chart and like length, or one by one."""
    if name != "relu_neuron":
        return {k: take(stride, eta) for k, stride in strides.items()}
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    # Whoever walks beside a longer stride waits for it.
    for k in sorted(strides, key=lambda k: strides[k].steps):
        alike[tuple(strides[k].chart.shape)].append(k)
    reached: dict[int, Array | None] = {}
    for members in alike.values():
        for first in range(0, len(members), LANES):
            group = members[first : first + LANES]
            reached.update(zip(group, _side_by_side([strides[k] for k in group], eta), strict=True))
    return reached


def _side_by_side(group: list[Stride], eta: float) -> list[Array | None]:
    filled = group + [group[0]] * (LANES - len(group))
    x = np.stack([stride.x for stride in filled], axis=1)
    weights = np.stack([stride.chart.weights for stride in filled], axis=1)
    counts = np.array([stride.steps for stride in filled])
    shape = group[0].chart.shape
    work = np.empty((lanes.workspace(shape), LANES))
    bounded = _advance()(x, eta, counts, weights, shape, work)
    return [x[:, e].copy() if bounded[e] else None for e in range(len(group))]


@functools.cache
def _advance() -> Callable[..., Array]:
    """Steps of many members, each up to its own count; tells which remained bounded."""
    import numba

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

    return numba.njit(error_model="numpy")(advance)
