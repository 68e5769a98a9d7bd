"""What the mixtures ask of the module that derives a loss."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import sympy as sp


class Calculus(Hashable, Protocol):
    """The module that derives a loss, as far as sums need it: what they average at a node."""

    __name__: str

    def gradient_integrand(self) -> sp.Expr:
        """Return the integrand of the gradient, a function of ``mixture_node.GRADIENT``."""

    def near_gradient_integrand(self) -> sp.Expr:
        """Return the same in the near form, a function of ``mixture_node.NEAR_GRADIENT``."""

    def hessian_integrands(self) -> tuple[sp.Expr, sp.Expr]:
        """Return those of the second derivatives, functions of ``mixture_node.HESSIAN``."""
