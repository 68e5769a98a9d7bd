"""A gradient flow in the equations of the verifier, which bounds what is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb_mat

from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.verify import EQUATIONS
from flows.core.arrays import Array
from flows.core.balls import Ball, Singular
from flows.core.errors import InputError
from flows.core.system import System

__all__ = ["Flow", "equations_of"]


def equations_of(system: System, start: Array) -> Any:
    """The verifier's equations of a system's flow.

    Raises
    ------
    InputError
        For a flow that the verifier does not know.
    """
    stated: Any = system.certified
    kind, parameters = stated
    try:
        return EQUATIONS[kind](parameters, np.asarray(start))
    except Refused as reason:
        raise InputError(f"certify: {system.name}: {reason}; give another loss") from None


class Flow:
    """A flow in coordinates in which distances are those of the user's parameters.

    States are lists of balls. All methods follow the working precision
    (:func:`flows.core.balls.precision`), and raise `Singular` where the verifier refuses a box.

    Parameters
    ----------
    system : System
        Whose loss a certificate can state.
    equations : Equations
        The verifier's, with the exact start.
    """

    #: Typical length of a state, to which errors are compared.
    unit: float = 1.0
    #: Whether the field is analytic inside a closed curve where it is on boxes along the curve.
    by_boundary: bool = False
    #: Whether tubes of balls of starts are ellipsoids, for which there are :meth:`slopes`.
    bends: bool = False
    #: The minimum near which a flow ends that comes to rest, where it is known.
    optimum: list[Ball] | None = None

    def __init__(self, system: Any, equations: Any) -> None:
        self.system, self.equations = system, equations
        self.form: str = equations.form
        self.start: list[Ball] = [*equations.start]

    @property
    def size(self) -> int:
        """Length of a state."""
        return len(self.start)

    def field(self, x: Sequence[Ball], signs: Sequence[int]) -> list[Ball]:
        """Minus the gradient, also of complex balls, where it must be analytic.

        ``signs``, one for each of :meth:`areas`, select the branch.
        """
        return [*self._asked(self.equations.field, x, signs)]

    def hessian(self, x: Sequence[Ball]) -> Any:
        """Hessian of the loss, an `arb_mat`; on a box it holds all Hessians."""
        return arb_mat(self._asked(self.equations.hessian, x).tolist())

    def loss(self, x: Sequence[Ball]) -> Ball:
        """Population loss."""
        return self._asked(self.equations.loss, x)

    def areas(self, x: Sequence[Any]) -> list[Any]:
        """Numbers that vanish at kinks of the field."""
        return [*self._asked(self.equations.areas, x)]

    def slopes(self, x: Sequence[Ball], moves: Any, spread: Any) -> Any:
        """Derivatives of the Hessian along directions, the rows of ``moves``, near a box.

        States are off the box by ``spread y``, ``|y| <= 1``. An array of matrices.
        """
        return self._asked(self.equations.bending, x, moves, spread)

    def _asked(self, of: Callable[..., Any], x: Sequence[Ball], *more: Any) -> Any:
        try:
            return of(np.array(x), *more)
        except Refused as reason:
            raise Singular(str(reason)) from None

    def restore(self, x: Sequence[Ball]) -> list[Any]:
        """User's parameters, nested lists of their shape."""
        return list(x)

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles, (K, N, N), for Newton's method: they decide no digit."""
        tables = [self.hessian(x).tolist() for x in states]
        return np.array([[[float(c) for c in row] for row in table] for table in tables])

    def clearance(self, x: Sequence[Ball]) -> float:
        """About how far a state is from where the field is not analytic, if by its boundary."""
        return np.inf

    def refused(self, radius: float) -> str:
        """Why a ball of starts of this radius is not followed; empty if it is."""
        return ""

    def singular(self, x: Sequence[Ball]) -> str:
        """What the field may not survive soon after a state; empty if nothing is near."""
        return ""
