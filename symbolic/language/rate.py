"""The derivative along a flow, as one writes it in a relation."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.printing.precedence import PRECEDENCE

from symbolic.language.expressions import as_expression
from symbolic.language.latex import raised

__all__ = ["D"]

MUL = PRECEDENCE["Mul"]


class D(sp.Function):
    r"""Derivative of a quantity along the flow, `D(Phi) = grad Phi . f`, left unevaluated.

    .. math:: D\,\Phi = \frac{d}{dt} \Phi(y(t)) = \nabla \Phi(y) \cdot \dot y

    Parameters
    ----------
    Phi : Expr
        In symbols of quantities, `potentials.symbol`.

    Returns
    -------
    D
        An expression, for relations such as ``D(Phi) <= -C*Phi**2``; `flows.check` evaluates it
        from the state, never by differencing.

    Raises
    ------
    TypeError
        For more or fewer than one argument.
    SympifyError
        For text.

    Examples
    --------
    >>> Phi, C = sp.symbols("Phi C", real=True)
    >>> D(Phi) <= -C*Phi**2
    D(Phi) <= -C*Phi**2
    """

    nargs = 1
    is_real = True

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """Refuse text, which SymPy's functions evaluate."""
        return super().__new__(cls, *map(as_expression, args), **options)

    @classmethod
    def eval(cls, x: Any) -> Any:
        """Return zero for a number; stay unevaluated elsewhere."""
        return sp.S.Zero if x.is_number else None

    def _latex(self, printer: Any, exp: Any = None) -> str:
        return raised(rf"\frac{{d}}{{dt}} {printer.parenthesize(self.args[0], MUL)}", exp)
