r"""Averages over nodes that depend on the state, for other laws than the standard normal one.

.. math:: L(y) = A(y) + \sum_j \omega_j\, g(y, c_j)
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from flows.core.arrays import EPSILON, Array, lengths
from flows.expectations.changes import Tape, taped
from flows.expectations.hermite import Rule
from flows.expectations.rules import Proved
from flows.systems.own.numeric import Numeric, compiled, numeric, program_of, quietly, stacked
from symbolic.language.averages.density import Density
from symbolic.language.program import Program
from symbolic.language.stable import stable

__all__ = ["Measure", "Measured", "Places", "columns_of", "curved", "lengths_of", "summed"]

# Numbers of an array over directions and nodes: all of them stay near the processor.
BLOCK = 50_000


class Measure(abc.ABC):
    """Where nodes are; here they stay, and nothing is across them."""

    @abc.abstractmethod
    def found(self, average: Measured, y: Array, tolerance: float) -> Proved:
        """Nodes for a state, with bounds of the errors of the average and of its gradient."""

    def room(self, rule: Rule, begun: Array) -> Callable[[Array], float]:
        """How far states are from where the nodes of one serve no more; negative beyond."""
        return lambda y: math.inf

    def across(self, rule: Rule) -> Rule:
        """Rule that also averages what is quadratic across its nodes, as in a Hessian."""
        return rule


@dataclass(frozen=True)
class Measured:
    """An average as a sum over nodes.

    Parameters
    ----------
    integrand : Expr
        `g`, in the entries and in ``columns``.
    columns : tuple of Symbol
        Numbers of a node.
    y : tuple of Symbol
        The entries.
    measure : Measure
        Where the nodes are.
    derived : tuple of Program and Symbol, optional
        Programs of the gradient and of its rates, and the symbols of a direction, where they are
        not the derivatives of ``integrand``.
    """

    integrand: sp.Expr
    columns: tuple[sp.Symbol, ...]
    y: tuple[sp.Symbol, ...]
    measure: Measure
    derived: tuple[Program, Program, tuple[sp.Symbol, ...]] | None = None

    @functools.cached_property
    def code(self) -> Numeric:
        """Code of the integrand."""
        if self.derived is None:
            return numeric(stable(self.integrand), self.y, self.columns)
        return compiled(*self.derived, self.y, self.columns)

    @functools.cached_property
    def tape(self) -> Tape | None:
        """Its program; None where changes of a function are not known."""
        whole = stable(self.integrand)
        program = program_of(whole, self.y) if self.derived is None else self.derived[0]
        return taped(program, (*self.y, *self.columns))

    def is_known(self, y: Array, rule: Rule, total: Array, bound: Array, tolerance: float) -> bool:
        """Whether bounds are below a part of the average, or no rule is better than they say.

        A finer one tells no more than last bits of the state do.
        """
        if (bound <= tolerance * lengths_of(total)).all():
            return True
        moved = summed(self.code, y * (1 + EPSILON), rule)[0] - total
        return bool((bound <= np.maximum(tolerance * lengths_of(total), lengths_of(moved))).all())

    def rounded(self, y: Array, rule: Rule) -> Array | None:
        """Bound of the rounding of the integrand in the average with gradient, shape (1 + N,).

        None where the changes of a function are not known.
        """
        if self.tape is None:
            return None
        found = np.zeros(1 + len(y))
        for nodes, weights in _chunks(rule, 1 + len(y)):
            given = [*y, *columns_of(nodes)]
            doubts = self.tape.doubts(given, [EPSILON * abs(z) for z in given])
            found = found + np.abs(weights) @ stacked(doubts, weights.shape)
        return found


def lengths_of(values: Array) -> Array:
    """Size of an average, and length of its gradient, also where its square is no double."""
    return np.array([values[0], lengths(values[1:])])


def summed(code: Numeric, y: Array, rule: Rule) -> tuple[Array, Array]:
    """Average with its gradient, shape (1 + N,), and the sum of sizes."""
    total, size = np.zeros(1 + len(y)), np.zeros(1 + len(y))
    for nodes, weights in _chunks(rule, 1 + len(y)):
        values = stacked(quietly(code.both, *y, *columns_of(nodes)), weights.shape)
        total = total + weights @ values
        size = size + np.abs(weights) @ np.abs(values)
    return total, size


def curved(code: Numeric, y: Array, rule: Rule) -> Array:
    """Hessian of the average, shape (N, N)."""
    n = len(y)
    axes, found = np.eye(n), np.zeros((n, n))
    for nodes, weights in _chunks(rule, n * (1 + n)):
        each = quietly(code.rates, *y, *axes[:, :, None], *columns_of(nodes))
        found = found + np.stack(
            [np.broadcast_to(r, (n, len(weights))) @ weights for r in each[1:]], axis=-1
        )
    return found


def columns_of(nodes: Array) -> list[Any]:
    """Numbers of all nodes; one that is the same in all of them is computed with once."""
    same = (nodes == nodes[:1]).all(axis=0)
    return [nodes[0, k] if same[k] else nodes[:, k] for k in range(nodes.shape[1])]


def _chunks(rule: Rule, width: int) -> Any:
    """Parts of a rule whose arrays are not too large."""
    step = max(1, BLOCK // width)
    for first in range(0, len(rule), step):
        part = slice(first, first + step)
        yield rule.nodes[part], rule.weights[part]


@dataclass(frozen=True)
class Places(Measure):
    """A plain sum: rows of data, or signs; nothing but rounding is lost.

    Parameters
    ----------
    density : Density
        Of the sum.
    size : int
        Numbers of a row.
    """

    density: Density
    size: int

    @functools.cached_property
    def rule(self) -> Rule:
        """Places and weights."""
        nodes, weights = self.density.places(self.size)
        return Rule(nodes, weights, "plain sum")

    def found(self, average: Measured, y: Array, tolerance: float) -> Proved:
        """See :class:`Measure`."""
        return Proved(self.rule, np.zeros(2))
