r"""Gradient descent with a step size, the discrete algorithm of the papers.

.. math:: w_{k+1} = w_k - \eta \nabla L(w_k)

The raw coordinates of a chart (:mod:`flows.self_similar`) are linear in the parameters, so that
an Euler step of the raw field *is* a step of gradient descent, with the rounding of the sound
coordinates: the tail keeps its digits.
"""

from __future__ import annotations

import functools
import math
import time as clock
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flows.errors import InputError
from flows.integrate import POINTS_PER_DECADE, _bar
from flows.self_similar import Array, Chart
from flows.solver import COMPLETED, INTERRUPTED, NONFINITE
from flows.system import System
from flows.trajectory import Trajectory, provenance

# Compiled code cannot be interrupted, so it returns after this many steps.
LONGEST_STRIDE = 1000
# In units of the target; squares must not overflow, and from here nothing comes back.
DIVERGED = 1e100


def descend(
    system: System,
    start: ArrayLike,
    step_size: float = 0.05,
    steps: int = 50_000,
    progress: bool = False,
) -> Trajectory:
    r"""Follow gradient descent ``w <- w - step_size * grad L(w)`` from ``start``.

    Parameters
    ----------
    system : System
        The loss.
    start : array_like
        User's parameters before the first step.
    step_size : float
        The step size ``eta``, positive.
    steps : int
        Number of steps, at least 1.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    Trajectory
        At geometric step counts, 0 and the last one included, about 10 a decade. Its ``status`` is
        ``nonfinite`` if the iterates diverged, and then it ends before.

    Raises
    ------
    InputError
        For a start, step size or number of steps that cannot be used.

    Notes
    -----
    Units: ``t = step_size * steps``, the time of the gradient flow. Rates (``loss_dot``, local
    exponents) are those of the flow at the state.
    A neuron exactly at zero has the gradient zero, and stays there. Ctrl-C ends the run with the
    status ``interrupted`` and keeps what is done.

    Accuracy
    --------
    The iterates are those of exact arithmetic up to rounding: against 40 digits the loss is right
    to 1e-14 relative throughout 1000 steps of one to three neurons.

    Examples
    --------
    >>> import flows
    >>> run = descend(flows.ReLUNeuron(n=1, d=1), [[0.5]], step_size=0.5, steps=2)
    >>> run.state[:, 0, 0].tolist()
    [0.5, 0.625, 0.71875]
    """
    begun = clock.perf_counter()
    if not system.linear_charts:
        raise InputError(f"descend steps in coordinates that are linear in the parameters, which"
                         f" {system.name} does not have; integrate its flow")  # fmt: skip
    initial = system.check_start(start)
    counts = step_counts(steps)
    real = isinstance(step_size, (int, float, np.number)) and not isinstance(step_size, bool)
    if not (real and math.isfinite(step_size) and step_size > 0):
        raise InputError(f"step_size must be a positive finite number, got {step_size!r}")
    eta = float(step_size)

    frame, state = system.reduce(initial)
    collected = [state.at(None)]
    stats = {"steps": 0, "field_evaluations": 0, "jacobian_evaluations": 0, "pieces": 1}
    status, message = COMPLETED, "reached the end"
    try:
        with _bar(progress, eta * steps) as show:
            for reached in _walk(system, frame, state, eta, counts, stats):
                collected.append(reached.at(None))
                show(eta * stats["steps"])
    except KeyboardInterrupt:
        status, message = INTERRUPTED, "interrupted; what was computed is kept"
    done = len(collected)
    if status == COMPLETED and done < len(counts):
        status = NONFINITE
        message = f"diverged before step {counts[done]}; a smaller step_size may help"
    return Trajectory(
        system=system,
        t=eta * counts[:done].astype(np.float64),
        frame=frame,
        states=type(state).join(collected),
        start=initial,
        status=status,
        message=message,
        stats={**stats, "seconds": clock.perf_counter() - begun},
        events=(),
        rtol=float(np.finfo(float).eps),
        provenance=provenance("descend", {"step_size": eta, "steps": int(steps)}),
    )


def step_counts(steps: int) -> NDArray[np.int64]:
    """Numbers of steps after which a run of ``steps`` steps is recorded.

    Parameters
    ----------
    steps : int
        The last one, at least 1.

    Returns
    -------
    ndarray
        0 and about 10 a decade up to ``steps``.

    Raises
    ------
    InputError
        If ``steps`` is not an integer, or is below 1.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise InputError(f"steps must be an integer >= 1, got {steps!r}")
    grid = np.geomspace(1, steps, 1 + math.ceil(POINTS_PER_DECADE * math.log10(steps)))
    grid[-1] = steps
    return np.unique(np.concatenate([[0], np.round(grid)])).astype(np.int64)


def _walk(
    system: System,
    frame: Any,
    state: Any,
    eta: float,
    counts: NDArray[np.int64],
    stats: dict[str, int],
) -> Iterator[Any]:
    """States after ``counts[1:]`` steps; ends early where the iterates diverge.

    A stride across which the system would change its chart is walked again in halves, down to the
    step at which it does.
    """
    chart = system.chart(frame, state, 0.0)
    x, now, stride = chart.x0, state, 1
    for target in counts[1:]:
        while stats["steps"] < target:
            count = int(min(stride, target - stats["steps"]))
            ahead = x.copy()
            stats["field_evaluations"] += count
            # Decay zero: the solver's state is the raw state.
            if not _advance(chart.field)(ahead, eta, count, np.zeros_like(x), chart.weights,
                                         chart.shape):  # fmt: skip
                return
            there = system.decode(frame, state, chart, ahead)
            other = system.chart(frame, there, 0.0)
            same = _alike(chart, other, system.restore(frame, now), system.restore(frame, there))
            if not same and count > 1:
                stride = count // 2
                continue
            if same:
                x, stride = ahead, min(2 * count, LONGEST_STRIDE)
            else:
                state, chart, x = there, other, other.x0
                stats["pieces"] += 1
            now = there
            stats["steps"] += count
        yield now


def _alike(chart: Chart, other: Chart, before: Array, after: Array) -> bool:
    """Whether a raw state reads the same in both charts.

    A linear chart may also depend on signs of parameters: on which side of zero they are.
    """
    if not (
        np.array_equal(chart.shape, other.shape) and np.array_equal(chart.weights, other.weights)
    ):
        return False
    return not chart.clock.exponential or np.array_equal(np.sign(before), np.sign(after))


@functools.cache
def _advance(field: Callable[..., None]) -> Callable[..., bool]:
    """Steps of a wrapped field, compiled if the field is (:func:`flows.self_similar.wrap`).

    The result moves ``x`` in place and tells whether it remained bounded.
    """
    import numba

    bound = DIVERGED

    def advance(x, eta, count, decay, weights, shape):  # type: ignore[no-untyped-def]
        slope = np.empty_like(x)
        unused = np.zeros((1, 1))
        for _ in range(count):
            field(0.0, x, True, 1.0, decay, weights, shape, slope, unused, False)
            for i in range(x.shape[0]):
                x[i] += eta * slope[i]
                if not abs(x[i]) <= bound:
                    return False
        return True

    compiled = hasattr(field, "py_func")
    return numba.njit(error_model="numpy")(advance) if compiled else advance
