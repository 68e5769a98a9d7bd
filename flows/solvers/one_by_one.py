"""Compiled steps of many problems one after the other, in one call: no Python between them.

Where lanes gain nothing, each problem has its own constants and shape, and takes its steps alone.
One call for all of them gives the interpreter's lock back once, and takes it once.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from flows.core.arrays import Array
from flows.core.chart import Chart
from flows.solvers.side_by_side import Advance, Lane, Parameters, Steps, signature

__all__ = ["OneByOne"]


class OneByOne:
    """Places of problems that take their steps alone; the last axis of every array is theirs.

    Parameters
    ----------
    advance : Numba function
        Steps of one lane.
    chart : Chart
        One of the charts, which have as many unknowns and the same clock.
    places, batch, dense, rows : int
        How many problems have room, attempts of a call, coefficients of dense output, and rows that
        the raw field needs to work in.
    """

    def __init__(
        self, advance: Advance, chart: Chart, places: int, batch: int, dense: int, rows: int
    ) -> None:
        size = chart.x0.size
        self._call, self._address = _each(), _address(advance)
        self._lane = Lane(
            live=np.zeros((places, 1), np.bool_),
            tau=np.ones((places, 1)),
            y=np.ones((places, size, 1)),
            end=np.ones((places, 1)),
            step=np.ones((places, 1)),
            rtol=np.ones((places, 1)),
            atol=np.ones((places, size, 1)),
            attempts=np.zeros((places, 1), np.int64),
            stiff=np.zeros((places, 1), np.int64),
            past=np.zeros((places, 2, 1)),
        )
        self._steps = Steps(
            tau=np.empty((places, batch, 1)),
            y=np.empty((places, batch, size, 1)),
            k=np.empty((places, batch, dense, size, 1)),
            done=np.zeros((places, 1), np.int64),
        )
        self._exponential = chart.clock.exponential
        self._offset, self._decay = np.ones((places, 1)), np.ones((places, size, 1))
        self._weights: list[Array] = [np.zeros(0)] * places
        self._shapes: list[Any] = [np.zeros(0, np.int64)] * places
        self._packed: tuple[Any, ...] | None = None
        self._work = np.empty((rows, 1))
        self.lane = Lane(*(_last(x) for x in self._lane))
        self.steps = Steps(*(_last(x) for x in self._steps))

    def put(self, e: int, chart: Chart) -> None:
        """Give a place the constants of a chart."""
        self._offset[e], self._decay[e, :, 0] = chart.clock.offset, chart.clock.decay
        self._weights[e], self._shapes[e] = chart.weights, chart.shape
        self._packed = None

    def clear(self, e: int) -> None:
        """Take them away."""
        self._weights[e], self._shapes[e] = np.zeros(0), np.zeros(0, np.int64)
        self._packed = None

    def advance(self) -> None:
        """Attempt steps of all that are live."""
        if self._packed is None:
            self._packed = (*_in_a_row(self._weights), *_in_a_row(self._shapes))
        self._steps.done[:] = 0
        self._call(
            self._address,
            self._lane,
            self._exponential,
            self._offset,
            self._decay,
            *self._packed,
            self._steps,
            self._work,
        )


def _last(array: Any) -> Any:
    """View with the first axis in place of the last one, that of one lane alone."""
    return np.moveaxis(array[..., 0], 0, -1)


def _in_a_row(arrays: list[Any]) -> tuple[Any, Any]:
    """Arrays one after the other, and where each begins."""
    return np.concatenate(arrays), np.cumsum([0, *map(len, arrays)])


@functools.cache
def _address(advance: Advance) -> int:
    from flows.arithmetic.pointers import address_of  # Numba loads where it is first needed

    return address_of(advance)


@functools.cache
def _each() -> Callable[..., None]:
    """Compile a call of steps of each problem, without the interpreter's lock."""
    import numba

    from flows.arithmetic.kept import kept
    from flows.arithmetic.pointers import caller

    call = caller(signature())

    def each(address, lane, exponential, offset, decay, weights, begin, shapes, first, steps, work):
        for p in range(len(lane.live)):
            if not lane.live[p, 0]:
                continue
            own = weights[begin[p] : begin[p + 1]]
            call(
                address,
                (
                    Lane(
                        lane.live[p],
                        lane.tau[p],
                        lane.y[p],
                        lane.end[p],
                        lane.step[p],
                        lane.rtol[p],
                        lane.atol[p],
                        lane.attempts[p],
                        lane.stiff[p],
                        lane.past[p],
                    ),
                    Parameters(
                        exponential,
                        offset[p],
                        decay[p],
                        own.reshape((own.size, 1)),
                        shapes[first[p] : first[p + 1]],
                    ),
                    Steps(steps.tau[p], steps.y[p], steps.k[p], steps.done[p]),
                    work,
                ),
            )

    real, whole, truth = numba.float64, numba.int64, numba.boolean
    named = numba.types.NamedTuple
    two, three, flags, counts = real[:, ::1], real[:, :, ::1], truth[:, ::1], whole[:, ::1]
    kinds = (
        whole,
        named((flags, two, three, two, two, two, three, counts, counts, three), Lane),
        truth,
        two,
        three,
        real[::1],
        whole[::1],
        whole[::1],
        whole[::1],
        named((three, real[:, :, :, ::1], real[:, :, :, :, ::1], counts), Steps),
        two,
    )
    types = numba.void(*kinds)
    options: Any = {"error_model": "numpy", "no_rewrites": True, "nogil": True}
    make = functools.partial(numba.njit(types, **options), each)
    return cast("Callable[..., None]", kept(("steps of each", _each), types, make))
