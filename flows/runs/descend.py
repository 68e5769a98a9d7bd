r"""Gradient descent with a step size, the discrete algorithm of the papers.

.. math:: w_{k+1} = w_k - \eta \nabla L(w_k)

The raw coordinates of a chart (:mod:`flows.core.chart`) are linear in the parameters, so that
an Euler step of the raw field *is* a step of gradient descent, with the rounding of the sound
coordinates: the tail keeps its digits.
"""

from __future__ import annotations

import functools
import time as clock
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple, cast

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.chart import Chart
from flows.core.problem import COMPLETED, INTERRUPTED, NONFINITE
from flows.core.progress import time_bar
from flows.core.system import System
from flows.runs.given import given_at
from flows.runs.provenance import provenance
from flows.runs.request import DescentRequest
from flows.runs.trajectory import Trajectory

# Compiled code cannot be interrupted, so it returns after this many steps.
LONGEST_STRIDE = 1000
# In units of the target; squares must not overflow, and from here nothing comes back.
DIVERGED = 1e100


def descend(
    system: System,
    start: ArrayLike,
    step_size: float = 0.05,
    steps: int = 50_000,
    *,
    progress: bool = False,
    potentials: Mapping[str, sp.Expr] | None = None,
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
    potentials : mapping of str to Expr, optional
        Potentials of your own, as for :func:`flows.integrate`.

    Returns
    -------
    Trajectory
        At geometric step counts, 0 and the last one included, about 10 a decade. Its ``status`` is
        ``nonfinite`` if the iterates diverged, and then it ends before.

    Raises
    ------
    InputError
        For a start, step size, number of steps or potential that cannot be used.

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
    request = DescentRequest(step_size, steps)
    request.check(system)
    given = given_at(system, start, potentials)
    iterates = Iterates.begin(system, start, request)
    interrupted = False
    try:
        with time_bar(progress, request.step_size * request.steps) as show:
            strides = iterates.strides(LONGEST_STRIDE)
            stride = next_stride(strides, None)
            while stride is not None:
                stride = next_stride(strides, take_steps(stride, request.step_size))
                if show is not None:
                    show(request.step_size * iterates.stats["steps"])
    except KeyboardInterrupt:
        interrupted = True
    run = iterates.trajectory(clock.perf_counter() - begun, interrupted)
    return replace(run, given=given)


class Stride(NamedTuple):
    """Steps to be taken from the raw state ``x`` of a chart."""

    chart: Chart
    x: Array
    steps: int


Strides = Generator[Stride, Array | None, None]


def next_stride(strides: Strides, ahead: Array | None) -> Stride | None:
    """Hand over the raw state after a stride; the next stride, or None at the end."""
    try:
        return strides.send(ahead)
    except StopIteration:
        return None


def take_steps(stride: Stride, eta: float) -> Array | None:
    """Raw state after a stride, or None where the iterates diverge."""
    ahead, chart = stride.x.copy(), stride.chart
    # Decay zero: the solver's state is the raw state.
    bounded = _advance(chart.field)(
        ahead, eta, stride.steps, np.zeros_like(ahead), chart.weights, chart.shape
    )
    return ahead if bounded else None


@dataclass
class Iterates:
    """Iterates of one descent under way: it asks for strides, and the caller takes the steps.

    Parameters
    ----------
    system : System
        The loss.
    initial : ndarray
        User's start.
    frame, state : object
        Frame and sound state of the start.
    request : DescentRequest
        How far the iterates go.
    """

    system: System
    initial: Array
    frame: Any
    state: Any
    request: DescentRequest
    reached: list[Any] = field(default_factory=list)
    stats: dict[str, int] = field(
        default_factory=lambda: {
            "steps": 0,
            "field_evaluations": 0,
            "jacobian_evaluations": 0,
            "pieces": 1,
        }
    )

    @classmethod
    def begin(cls, system: System, start: ArrayLike, request: DescentRequest) -> Iterates:
        """Descent that has not taken a step."""
        initial = system.check_start(start)
        plain = system.in_doubles()
        return cls(plain, initial, *plain.reduce(initial), request)

    def strides(self, longest: int) -> Strides:
        """Ask for strides of at most ``longest`` steps and record the states that are asked for.

        Each is answered by the raw state after it, or by None where the iterates diverged. A
        stride across which the system would change its chart is taken again in halves, down to
        the step at which it does.
        """
        system, frame, stats = self.system, self.frame, self.stats
        state = now = self.state
        self.reached.append(state)
        piece = system.piece(frame, state, 0.0)
        x, stride = piece.chart.x0, 1
        wall: int | None = None  # where the chart is known to have changed
        for target in self.request.counts[1:]:
            while stats["steps"] < target:
                count = int(min(stride, target - stats["steps"]))
                if wall is not None:
                    count = min(count, max(1, (wall - stats["steps"]) // 2))
                ahead = yield Stride(piece.chart, x, count)
                stats["field_evaluations"] += count
                if ahead is None:
                    return
                there = piece.decode(ahead)
                other = system.piece(frame, there, 0.0)
                same = _same_coordinates(piece.chart, other.chart) and (
                    not piece.chart.clock.exponential or self._same_sides(now, there)
                )
                if not same and count > 1:
                    wall = stats["steps"] + count
                    continue
                if same:
                    # A stride that was cut short says nothing about longer ones.
                    x, stride = ahead, min(2 * stride, longest) if count == stride else stride
                else:
                    piece, x = other, other.chart.x0
                    stats["pieces"] += 1
                now = there
                stats["steps"] += count
                wall = None if wall is None or stats["steps"] >= wall else wall
            self.reached.append(now)

    def _same_sides(self, before: Any, after: Any) -> bool:
        """Whether no parameter has crossed zero: a linear chart may depend on their signs."""
        one, other = (self.system.restore(self.frame, state) for state in (before, after))
        return np.array_equal(np.sign(one), np.sign(other))

    def trajectory(self, seconds: float, interrupted: bool = False) -> Trajectory:
        """Run as far as the iterates got, in so many seconds."""
        done, counts = len(self.reached), self.request.counts
        parts = {
            f.name: [getattr(state, f.name) for state in self.reached] for f in fields(self.state)
        }
        status, message = COMPLETED, "reached the end"
        if interrupted:
            status, message = INTERRUPTED, "interrupted; what was computed is kept"
        elif done < len(counts):
            status = NONFINITE
            message = f"diverged before step {counts[done]}; a smaller step_size may help"
        return Trajectory(
            system=self.system,
            t=self.request.times[:done],
            frame=self.frame,
            states=type(self.state)(**{name: np.stack(part) for name, part in parts.items()}),
            start=self.initial,
            status=status,
            message=message,
            stats={**self.stats, "seconds": seconds},
            events=(),
            rtol=float(np.finfo(float).eps),
            provenance=provenance("descend", asdict(self.request)),
        )


def _same_coordinates(chart: Chart, other: Chart) -> bool:
    """Whether a raw state reads the same in both charts."""
    return np.array_equal(chart.shape, other.shape) and np.array_equal(chart.weights, other.weights)


@functools.cache
def _advance(field: Callable[..., None]) -> Callable[..., bool]:
    """Steps of a wrapped field, compiled if the field is (:func:`flows.core.chart.wrap`).

    The result moves ``x`` in place and says whether it remained bounded.
    """
    from flows.arithmetic.kept import kept, outer  # Numba loads where it is first needed

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

    if not hasattr(field, "py_func"):
        return advance
    make = functools.partial(outer, advance)
    signature = "b1(f8[::1], f8, i8, f8[::1], f8[::1], i8[::1])"
    return cast("Callable[..., bool]", kept(("descent along", field), signature, make))
