r"""An expectation of a series whose coefficients are functions of the Gaussian numbers.

.. math:: E\,c(x) \approx \sum_j w_j\, c(x_j)

A coefficient is known by its values at nodes. A function is expanded around such a coefficient as
around a number: to SymPy it is a symbol, and an expression of symbols is evaluated at each node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from flint import arb
from sympy.polys.domains.characteristiczero import CharacteristicZero
from sympy.polys.domains.ring import Ring
from sympy.polys.domains.simpledomain import SimpleDomain

from symbolic.language.lower import lower

__all__ = ["BITS", "DIGITS", "LEAST", "Coefficients", "Nodes", "decimal"]

#: Bits of the numbers at nodes, and digits of what is known of an average.
BITS, DIGITS = 256, 60
# What rounding leaves of a zero.
LEAST = 2.0**-149


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes of an average over the first of the Gaussian numbers; the others have moments.

    Parameters
    ----------
    places : tuple of tuple of arb
        The numbers at each node.
    weights : tuple of arb
        The weights.
    """

    places: tuple[tuple[Any, ...], ...]
    weights: tuple[Any, ...]

    def parts(self, size: int) -> list[Nodes]:
        """The same nodes, `size` at a time."""
        parts = (slice(k, k + size) for k in range(0, len(self.weights), size))
        return [Nodes(self.places[part], self.weights[part]) for part in parts]


def decimal(x: Any) -> sp.Expr:
    """The middle of a ball."""
    return sp.S.Zero if x.is_zero() else sp.Float(x.mid().str(DIGITS, radius=False), DIGITS)


class Values(np.ndarray):
    """A function of the Gaussian numbers by its values at nodes; of one value where it is constant.

    It is an array of balls which rings of SymPy take for a coefficient.
    """

    __eq__, __hash__ = object.__eq__, object.__hash__  # type: ignore[assignment]

    def __bool__(self) -> bool:
        """Whether it is not zero at some node."""
        return not all(x.is_zero() for x in self)


class Coefficients(Ring, CharacteristicZero, SimpleDomain):
    """Domain of the functions that are known at nodes, for rings of SymPy.

    Parameters
    ----------
    nodes : Nodes
        The nodes.
    """

    rep = "E"
    is_Exact = False
    tp = Values

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._named: dict[sp.Symbol, Values] = {}
        self.zero, self.one, self.weights = self.dtype(0), self.dtype(1), self.dtype(*nodes.weights)

    def dtype(self, *values: Any) -> Values:
        """Values at all nodes, or a constant."""
        found = np.empty(len(values), dtype=object)
        found[:] = [arb(x) for x in values]
        return found.view(Values)

    def average(self, values: Values) -> Any:
        """Sum over the nodes."""
        return sum((values * self.weights).tolist(), arb(0))

    def is_rounding(self, values: Values) -> bool:
        """Whether the average of absolute values is what rounding leaves of a zero."""
        sizes = self.dtype(*(abs(x.mid()) for x in values))
        return bool(float(self.average(sizes)) < LEAST)

    def from_sympy(self, expression: sp.Expr) -> Values:
        """Values of an expression in names of :meth:`to_sympy`, node by node."""
        if (known := self._named.get(expression)) is not None:
            return known
        names = tuple(sorted(expression.free_symbols, key=str))
        evaluate = lower([expression], names, "ball")
        columns = np.broadcast_arrays(*(self._named[name] for name in names))
        return self.dtype(
            *(evaluate(*x)[0] for x in zip(*columns, strict=True)) if names else evaluate()
        )

    def to_sympy(self, values: Values) -> sp.Expr:
        """A number, or a symbol that stands for a function of the numbers, with its sign."""
        if len(values) == 1:
            return decimal(values[0])
        side = "positive" if all(x > 0 for x in values) else "real"
        name = sp.Dummy("c", **{"negative" if all(x < 0 for x in values) else side: True})
        self._named[name] = values
        return name
