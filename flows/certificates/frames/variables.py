"""A loss of one's own in its entries, in balls: its potentials, and its residuals."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import sympy as sp

from flows.certificates.frames.flow import Flow
from flows.systems.own.numeric import numeric
from flows.systems.own.polynomial import Residual, residuals_of, whole_terms
from symbolic.asymptotics.given import exact


class VariableFlow(Flow):
    """The flow of an own loss."""

    def __init__(self, system: Any, equations: Any) -> None:
        super().__init__(system, equations)
        self.unit = max(1.0, float(np.linalg.norm([float(x) for x in self.start])))
        self._y = system._loss.y
        self._plain = exact(system._loss.form.plain) if self.form == "polynomial" else None

    @functools.cached_property
    def potentials(self) -> dict[str, Any]:
        """Functions of the entries with their gradients, in balls."""
        known = self.system._view.known
        return {n: numeric(exact(e), self._y, (), "ball").both for n, e in known.items()}

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
