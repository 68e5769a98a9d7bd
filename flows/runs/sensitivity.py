"""Derivative of the loss at a time by the start, differentiated through the solver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import diffrax
import equinox as eqx
import jax
import numpy as np
from numpy.typing import ArrayLike

from flows.core.arrays import Array
from flows.core.chart import Clock
from flows.core.errors import InputError
from flows.core.problem import COMPLETED, SOLVER_FAILED, STEP_BUDGET
from flows.core.system import System
from flows.runs.integrate import ATOL_PER_RTOL, integrate
from flows.solvers.chart_jax import Arguments, SelfSimilarField, arguments, require_x64
from flows.solvers.diffrax_ivp import FIRST_STEP, solver_of
from flows.systems.relu_neuron import field_jax as relu
from flows.systems.relu_neuron.system import ReLUNeuron

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


def sensitivity(system: System, start: ArrayLike, t: float, rtol: float = 1e-10) -> Sensitivity:
    r"""Gradient of the loss at time ``t`` with respect to the start.

    .. math:: \nabla_{w(0)} L(w(t)), \qquad \dot w = -\nabla L(w)

    Parameters
    ----------
    system : ReLUNeuron
        The flow.
    start : array_like, shape (n, d)
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
    The whole run is one piece in the residual chart, whose blocks are smooth functions of the
    start; derivatives go forward through every step, one direction for each of the unknowns in
    the span. By symmetry nothing changes to first order orthogonally to the span, and coincident
    neurons share their derivative.

    Accuracy
    --------
    Against central differences of runs at ``rtol = 1e-13``: 1e-8 relative at ``t = 10`` and at
    ``t = 1e9``.
    """
    require_x64("sensitivity")
    if not isinstance(system, ReLUNeuron):
        raise InputError(f"sensitivity knows ReLUNeuron only, got {type(system).__name__}")
    run = integrate(system, start, t, t_eval=[t], rtol=rtol)
    if run.events:
        first = run.events[0]
        raise InputError(
            f"the loss is not differentiable by this start: {first.detail}, "
            f"t = {first.time:g}; choose an earlier time"
        )
    if not run.completed:
        return _unknown(run.start.shape, run.status, run.message)
    frame, state = run.frame, run.states.at(0)
    neurons = np.column_stack([state.h, state.z])
    mu = np.append(frame.multiplicity, -1.0)
    clock = _clock(neurons, mu)
    weights = relu.Weights(mu, np.asarray(1.0))
    tau = clock.tau(t)
    loss, slope, result = jax.device_get(
        _differentiate(
            neurons,
            SelfSimilarField(relu.field, clock.exponential),
            tau,
            jax.tree.map(np.asarray, arguments(clock, weights)),
            clock.scale(0.0),
            clock.scale(tau),
            np.asarray(rtol),
            np.asarray(ATOL_PER_RTOL * rtol),
        )
    )
    if result != diffrax.RESULTS.successful:
        budget = bool(result == diffrax.RESULTS.max_steps_reached)
        return _unknown(
            run.start.shape,
            STEP_BUDGET if budget else SOLVER_FAILED,
            "the solver of the derivatives did not reach the end",
        )
    slope = slope / frame.multiplicity[:, None]
    user = slope[:, :1] * frame.teacher + frame.unit * (slope[:, 1:] @ frame.basis.T)
    return Sensitivity(float(loss) * frame.unit**2, user[frame.member], COMPLETED, run.message)


def _clock(neurons: Array, mu: Array) -> Clock:
    """Clock in which the residual chart of these neurons is of order one."""
    k, q = neurons.shape
    if k == 1:  # the residual decays like exp(-m t/2)
        return Clock(0.0, np.full(q, mu[0] / 2), exponential=True)
    reach = min(1.0, float(np.max(np.linalg.norm(neurons[:, 1:], axis=1)))) or 1.0
    decay = np.ones((k, q))
    decay[1:, 0] = 0.0
    return Clock(0.0, decay.ravel(), 1.0 / reach)


@eqx.filter_jit
def _differentiate(
    neurons: Any,
    field: SelfSimilarField,
    tau: Any,
    numbers: Arguments,
    first: Any,
    last: Any,
    rtol: Any,
    atol: Any,
) -> tuple[Any, Any, Any]:
    """Loss at ``tau``, its derivative by the neurons, and how the solver ended."""

    def final_loss(neurons: Any) -> tuple[Any, tuple[Any, Any]]:
        y0 = relu.residual_blocks(neurons, numbers.raw.mu).ravel() / first
        run = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            solver_of(METHOD, rtol, 1.0),
            0.0,
            tau,
            FIRST_STEP,
            y0,
            numbers,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
            max_steps=MAX_STEPS,
            adjoint=diffrax.ForwardMode(),
            throw=False,
        )
        loss = relu.energy(run.ys[-1] * last, numbers.raw)
        return loss, (loss, run.result)

    slope, (loss, result) = jax.jacfwd(final_loss, has_aux=True)(neurons)
    return loss, slope, result


def _unknown(shape: tuple[int, ...], status: str, message: str) -> Sensitivity:
    return Sensitivity(float("nan"), np.full(shape, np.nan), status, message)
