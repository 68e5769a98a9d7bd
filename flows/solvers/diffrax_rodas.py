"""Rodas5P as a solver of diffrax.

Stiffly accurate and L-stable. The error estimate is the last stage, or what slopes of the dense
output are off where that is larger, so that the linear solve has filtered it. Every attempt costs
one Jacobian, one factorisation and eight fields, whatever the problem: no iteration can fail.
Formula, coefficients and source: :mod:`flows.solvers.rodas_tableau`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from flows.solvers.rodas_tableau import DEFECT, FIRST, GAMMA, NODES, STAGES, A, C, D, H, M


class FourthOrderRosenbrockInterpolation(diffrax.AbstractLocalInterpolation):
    r"""Dense output of a step, a polynomial of degree 4 in ``s = (t - t0)/(t1 - t0)``.

    .. math:: y(s) = (1 - s) y_0 + s y_1 + s (1 - s) (k_0 + s k_1 + s^2 k_2)
    """

    t0: Any  # type: ignore[misc]
    t1: Any  # type: ignore[misc]
    coeffs: Any

    def __init__(self, *, t0: Any, t1: Any, y0: Any, y1: Any, k: Any) -> None:
        """Take the ends ``y0``, ``y1`` and ``k``, whose leaves have a leading axis of three."""

        def polynomial(y0: Any, y1: Any, k: Any) -> Any:
            return jnp.stack([-k[2], k[2] - k[1], k[1] - k[0], k[0] + y1 - y0, y0])

        self.t0 = t0
        self.t1 = t1
        self.coeffs = jax.tree.map(polynomial, y0, y1, k)

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        """Value at ``t0``, or its change from ``t0`` to ``t1``."""
        del left
        if t1 is not None:
            return jax.tree.map(jnp.subtract, self.evaluate(t1), self.evaluate(t0))
        s = (t0 - self.t0) / (self.t1 - self.t0)
        return jax.tree.map(lambda c: jnp.polyval(c, s), self.coeffs)


class Rodas5P(diffrax.AbstractAdaptiveSolver):
    """Rodas5P, for stiff problems with real states and a single term.

    Notes
    -----
    Order 5, embedded order 4, dense output of order 4. Works under ``jit``, ``vmap`` and both
    modes of differentiation. A step whose matrix is singular has an error that is not a number,
    which a step size controller refuses.
    """

    term_structure: ClassVar[Any] = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = FourthOrderRosenbrockInterpolation

    def order(self, terms: Any) -> int:
        """Order of convergence."""
        return 5

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> None:
        """No state is carried from step to step."""
        return None

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """Field at a point."""
        return terms.vf(t0, y0, args)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: None, made_jump: Any
    ) -> tuple[Any, Any, dict[str, Any], None, Any]:
        """One step from ``t0`` to ``t1``: state, error estimate, dense output."""
        del solver_state, made_jump
        control = terms.contr(t0, t1)
        y, restore = ravel_pytree(y0)
        h = jnp.asarray(t1 - t0, y.dtype)
        time = jnp.asarray(t0, y.dtype)

        def increment(t: Any, y: Any) -> Any:
            return ravel_pytree(terms.vf_prod(t, restore(y), args, control))[0]

        slope, jacobian = jax.jacfwd(increment, argnums=(0, 1))(time, y)
        # Eight products with an inverse: many small factorisations side by side are slow to use.
        inverse = jnp.linalg.inv(jnp.eye(y.size, dtype=y.dtype) / GAMMA - jacobian)

        def stage(u: Any, row: Any) -> tuple[Any, None]:
            i, a, c, node, d = row
            right = increment(time + node * h, y + a @ u) + c @ u + d * h * slope
            return jax.lax.dynamic_update_index_in_dim(u, inverse @ right, i, 0), None

        rows = (jnp.arange(STAGES), *(jnp.asarray(x, y.dtype) for x in (A, C, NODES, D)))
        # A loop, so that the field is compiled once and not for every stage.
        u, _ = jax.lax.scan(stage, jnp.zeros((STAGES, y.size), y.dtype), rows)
        y1 = restore(y + jnp.asarray(M, y.dtype) @ u)
        # The first stage knows the first slope.
        defect = jnp.asarray(DEFECT, y.dtype) @ u + FIRST * D[0] * h * slope
        off = (inverse @ defect - FIRST * u[0]) / GAMMA
        error = jnp.maximum(jnp.abs(u[-1]), jnp.abs(off))
        k = jax.vmap(restore)(jnp.asarray(H, y.dtype) @ u)
        return y1, restore(error), {"y0": y0, "y1": y1, "k": k}, None, diffrax.RESULTS.successful
