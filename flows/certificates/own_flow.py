"""The flow of a loss of one's own in the equations of the verifier, which bounds what is made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import sympy as sp
from flint import arb_mat

from flows.certificates.averages import Proposed
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.verify import EQUATIONS
from flows.core.arrays import Array
from flows.core.balls import Ball, BallFlow, Singular
from flows.core.errors import InputError
from flows.core.system import System
from flows.systems.own.numeric import numeric
from flows.systems.own.polynomial import Residual, residuals_of, whole_terms
from symbolic.asymptotics.given import exact

__all__ = ["OwnFlow", "equations_of", "flow_of"]


def flow_of(system: Any, start: Array) -> BallFlow:
    """Flow of a system in balls, from which certificates are made."""
    own = getattr(system, "blocks", None) is not None
    made: BallFlow = OwnFlow(system, start) if own else system.ball_flow(start)
    return made


def equations_of(system: System, start: Array) -> Any:
    """The verifier's equations of a system's flow.

    Raises
    ------
    InputError
        For a loss that the verifier does not read.
    """
    stated: Any = system.certified
    kind, parameters = stated
    kinds: dict[str, Any] = {**EQUATIONS, "average": Proposed}
    try:
        return kinds[kind](parameters, start)
    except Refused as reason:
        raise InputError(f"certify: {system.name}: {reason}; give another loss") from None


class OwnFlow(BallFlow):
    """The flow of an own loss, in its entries.

    Parameters
    ----------
    system : OwnSystem
        Whose loss a certificate can state.
    start : ndarray, shape (N,)
        Its doubles are the exact start.
    """

    form = "variables"

    def __init__(self, system: Any, start: Array) -> None:
        self.equations = equations_of(system, start)
        self.start = [*self.equations.start]
        self.unit = max(1.0, float(np.linalg.norm(start)))
        self._y = system._loss.y
        self._plain = (
            exact(system._loss.form.plain) if self.equations.form == "polynomial" else None
        )
        self._known = system._view.known

    def field(self, x: Sequence[Ball], signs: Sequence[int]) -> list[Ball]:
        """Minus the gradient."""
        return [*self._asked(self.equations.field, x, signs)]

    def hessian(self, x: Sequence[Ball]) -> Any:
        """Hessian of the loss."""
        return arb_mat(self._asked(self.equations.hessian, x).tolist())

    def loss(self, x: Sequence[Ball]) -> Ball:
        """The loss."""
        return self._asked(self.equations.loss, x)

    def areas(self, x: Sequence[Any]) -> list[Any]:
        """What stands within the kinks of the loss."""
        return list(self._asked(self.equations.areas, x))

    def _asked(self, of: Callable[..., Any], x: Sequence[Ball], *more: Any) -> Any:
        try:
            return of(np.array(x), *more)
        except Refused as reason:
            raise Singular(str(reason)) from None

    @functools.cached_property
    def potentials(self) -> dict[str, Any]:
        """Functions of the entries with their gradients, in balls."""
        return {n: numeric(exact(e), self._y, (), "ball").both for n, e in self._known.items()}

    @functools.cached_property
    def residuals(self) -> list[Residual]:
        """Residuals of a polynomial that is written as a sum of squares; else none."""
        return [] if self._plain is None else residuals_of(self._y, self._plain)

    @property
    def squares(self) -> list[Any]:
        """Weights and terms of the residuals, ``[numerator, denominator, terms]``."""
        polynomials = (sp.Poly(r.expression, *self._y).terms() for r in self.residuals)
        return [
            [int(r.weight.p), int(r.weight.q), whole_terms(terms)]
            for r, terms in zip(self.residuals, polynomials, strict=True)
        ]

    def restore(self, x: Sequence[Ball]) -> list[Any]:
        """Entries."""
        return list(x)
