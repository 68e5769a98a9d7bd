"""The field of a chart in JAX: the clocks of :mod:`flows.core.chart` around a raw field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from flows.core.chart import FROZEN, Clock
from flows.core.errors import InputError

__all__ = ["Arguments", "SelfSimilarField", "arguments", "require_x64"]


class Arguments(NamedTuple):
    """Numbers of a chart that its field needs: the clock's, and the raw field's own."""

    offset: Any
    decay: Any
    raw: Any


class SelfSimilarField(eqx.Module):
    """Right-hand side ``dy/dtau`` of the solver's state, as :func:`flows.core.chart.wrap`.

    Parameters
    ----------
    raw : callable
        Raw field ``raw(x, arguments)``.
    exponential : bool
        Which of the two clocks.
    """

    raw: Callable[[Any, Any], Any] = eqx.field(static=True)
    exponential: bool = eqx.field(static=True)

    def __call__(self, tau: Any, y: Any, args: Arguments) -> Any:
        """Value at the solver time ``tau``; ``args`` are :func:`arguments` of the clock."""
        # No quotients: their derivatives would hold squares of numbers as small as 1e-304.
        if self.exponential:
            exponent = args.decay * tau
            limited = jnp.minimum(exponent, FROZEN)
            slope = args.decay * y + self.raw(jnp.exp(-limited) * y, args.raw) * jnp.exp(limited)
            return jnp.where(exponent >= FROZEN, 0.0, slope)
        since = jnp.expm1(tau)
        base = args.offset + since
        # One logarithm for all components.
        exponent = args.decay * jnp.log(base)
        slope = self.raw(jnp.exp(-exponent) * y, args.raw) * jnp.exp(exponent)
        return (1.0 + since) * (args.decay / base * y + slope)


def arguments(clock: Clock, raw: Any) -> Arguments:
    """Arguments of the field around a raw field that has the arguments ``raw``."""
    return Arguments(clock.offset, clock.decay, raw)


def require_x64(what: str) -> None:
    """Refuse to go on where JAX computes with 32 bits; switching is the process's own affair.

    Raises
    ------
    InputError
        With one line that says how to switch.
    """
    if not jax.config.read("jax_enable_x64"):
        raise InputError(
            f"{what} needs 64-bit numbers in JAX: set JAX_ENABLE_X64=1 in the "
            "environment, or jax.config.update('jax_enable_x64', True)"
        )
