"""Derivative of the loss at a time by the start, differentiated through the solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.problem import COMPLETED, SOLVER_FAILED, STEP_BUDGET
from flows.core.system import System, checked_system
from flows.runs.integrate import ATOL_PER_RTOL, integrate
from flows.solvers.diffrax_ivp import FIRST_STEP, solver_of
from flows.solvers.traced import Arguments, SelfSimilarField, arguments, require_x64

# Newton's method gives a solution whose derivative needs no second derivative of the field: it
# compiles in half of the time that Rodas5P takes.
METHOD = "diffrax-kvaerno5"
MAX_STEPS = 100_000


@dataclass(frozen=True)
class Sensitivity:
    """Loss at a time and its gradient by the start.

    Parameters
    ----------
    loss : float
        ``L(w(t))``.
    gradient : ndarray, of the start's shape
        ``dL(w(t))/dw(0)``.
    status, message : str
        ``completed``, or why the numbers are not to be used.
    """

    loss: float
    gradient: Array
    status: str
    message: str


def sensitivity(system: System, start: ArrayLike, t: float, *, rtol: float = 1e-10) -> Sensitivity:
    r"""Gradient of the loss at time ``t`` with respect to the start.

    .. math:: \nabla_{w(0)} L(w(t)), \qquad \dot w = -\nabla L(w)

    Parameters
    ----------
    system : System
        The flow; ``ReLUNeuron`` has what this needs (``System.differentiable``).
    start : array_like
        User's parameters at ``t = 0``.
    t : float
        Time, positive.
    rtol : float
        Relative tolerance of a step.

    Returns
    -------
    Sensitivity
        Not a number where its status is not ``completed``.

    Raises
    ------
    InputError
        For another system, a start from which neurons reach or leave zero before ``t`` (the loss
        is not differentiable there), bad numbers, or where JAX computes with 32 bits.

    Notes
    -----
    The whole run is one piece in a chart in which it is a smooth function of the start;
    derivatives go forward through every step, one direction for each of the unknowns. Of neurons
    these are those in the span: by symmetry nothing changes to first order orthogonally to it, and
    coincident neurons share their derivative.

    Accuracy
    --------
    Against central differences of runs at ``rtol = 1e-13``: 1e-8 relative at ``t = 10`` and at
    ``t = 1e9``.
    """
    require_x64("sensitivity")
    frame, state = system.reduce(checked_system(system).check_start(start))
    flow = system.differentiable(frame, state)
    if flow is None:
        raise InputError(
            f"sensitivity knows no run of {system.name} that JAX differentiates;"
            " choose another system"
        )
    run = integrate(system, start, t, t_eval=[t], rtol=rtol)
    if run.events:
        first = run.events[0]
        raise InputError(
            f"the loss is not differentiable by this start: {first.detail}, "
            f"t = {first.time:g}; choose an earlier time"
        )
    if not run.completed:
        return _unknown(run.start.shape, run.status, run.message)
    tau = flow.clock.tau(t)
    loss, slope, result = jax.device_get(
        _differentiate(
            flow.variables,
            SelfSimilarField(flow.field, flow.clock.exponential),
            flow.start,
            flow.loss,
            jax.tree.map(np.asarray, arguments(flow.clock, flow.arguments)),
            _Span(tau, flow.clock.scale(0.0), flow.clock.scale(tau)),
            _Tolerance(np.asarray(rtol), np.asarray(ATOL_PER_RTOL * rtol)),
        )
    )
    if result != diffrax.RESULTS.successful:
        budget = bool(result == diffrax.RESULTS.max_steps_reached)
        return _unknown(
            run.start.shape,
            STEP_BUDGET if budget else SOLVER_FAILED,
            "the solver of the derivatives did not reach the end",
        )
    value, gradient = flow.user(float(loss), slope)
    return Sensitivity(value, gradient, COMPLETED, run.message)


class _Span(NamedTuple):
    """Where the piece ends, and the scales of the solver's state at its begin and end."""

    end: Any
    first: Any
    last: Any


class _Tolerance(NamedTuple):
    rtol: Any
    atol: Any


@eqx.filter_jit
def _differentiate(
    variables: Any,
    field: SelfSimilarField,
    start: Callable[[Any, Any], Any],
    loss: Callable[[Any, Any], Any],
    numbers: Arguments,
    span: _Span,
    tolerance: _Tolerance,
) -> tuple[Any, Any, Any]:
    """Loss at the end, its derivative by the variables, and how the solver ended."""

    def final_loss(variables: Any) -> tuple[Any, tuple[Any, Any]]:
        run = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            solver_of(METHOD, tolerance.rtol, 1.0),
            0.0,
            span.end,
            FIRST_STEP,
            start(variables, numbers.raw) / span.first,
            numbers,
            stepsize_controller=diffrax.PIDController(rtol=tolerance.rtol, atol=tolerance.atol),
            max_steps=MAX_STEPS,
            adjoint=diffrax.ForwardMode(),
            throw=False,
        )
        reached = loss(run.ys[-1] * span.last, numbers.raw)
        return reached, (reached, run.result)

    slope, (reached, result) = jax.jacfwd(final_loss, has_aux=True)(variables)
    return reached, slope, result


def _unknown(shape: tuple[int, ...], status: str, message: str) -> Sensitivity:
    return Sensitivity(float("nan"), np.full(shape, np.nan), status, message)
