"""Steps of many members side by side: Rodas5P of diffrax under ``vmap``, compiled once a shape.

A lane is one smooth piece of one member. The program takes a fixed number of attempts in a fixed
number of lanes: no piece waits for the slowest, whose next attempts are in a later call, and which
pieces share a call changes no digit.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from flows.solvers.chart_jax import SelfSimilarField
from flows.solvers.diffrax_rodas import Rodas5P

# Attempts of a call: a lane whose piece ends idles for half of them on average.
ATTEMPTS = 32


class Lane(NamedTuple):
    """Where a piece stands; in a batch, every array has a leading axis of lanes.

    ``tau``, ``end``, ``step``: solver time, where it ends, and the next step; ``y`` and ``atol``
    (N,); ``numbers``: arguments of the field.
    """

    tau: Any
    end: Any
    step: Any
    y: Any
    atol: Any
    numbers: Any


class Steps(NamedTuple):
    """What the attempts of a lane gave, shape (ATTEMPTS, ...); a batch has its lanes before that.

    ``tau`` and ``y`` at the end of each step, ``k`` its dense output; ``tried`` before the end of
    the piece, and ``accepted`` of these.
    """

    tau: Any
    y: Any
    k: Any
    tried: Any
    accepted: Any


@eqx.filter_jit
def advance(field: SelfSimilarField, lanes: Lane, rtol: Any) -> tuple[Any, Any, Any, Steps]:
    """Take :data:`ATTEMPTS` attempts in every lane: ``tau``, ``y``, ``step`` after them, and all.

    Parameters
    ----------
    field : SelfSimilarField
        Right-hand side.
    lanes : Lane
        With a leading axis of lanes.
    rtol : float
        Relative tolerance of a step.
    """
    return jax.vmap(functools.partial(_attempts, field, rtol))(lanes)


def _attempts(field: SelfSimilarField, rtol: Any, lane: Lane) -> tuple[Any, Any, Any, Steps]:
    term, solver = diffrax.ODETerm(field), Rodas5P()
    control = diffrax.PIDController(rtol=rtol, atol=lane.atol)
    # The controller's memory of steps before the last one has no weight.
    order, memory = float(solver.order(term)), (jnp.ones(()), jnp.ones(()), False)

    def attempt(carry: tuple[Any, Any, Any], nothing: None) -> tuple[tuple[Any, Any, Any], Steps]:
        tau, y, step = carry
        tried = tau < lane.end
        ahead = jnp.where(tau + step >= lane.end, lane.end, tau + step)
        y1, error, dense, *_ = solver.step(term, tau, ahead, y, lane.numbers, None, False)
        keep, begin, end, *_ = control.adapt_step_size(
            tau, ahead, y, y1, lane.numbers, error, order, memory
        )
        accepted = keep & tried
        carry = (
            jnp.where(accepted, ahead, tau),
            jnp.where(accepted, y1, y),
            jnp.where(tried, end - begin, step),
        )
        return carry, Steps(ahead, y1, dense["k"], tried, accepted)

    (tau, y, step), steps = jax.lax.scan(
        attempt, (lane.tau, lane.y, lane.step), None, length=ATTEMPTS
    )
    return tau, y, step, steps
