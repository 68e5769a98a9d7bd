r"""Averages of an integrand that is a function of affine forms: sums over nodes of few numbers.

.. math:: E F(y, z), \qquad \nabla_y E F = \sum_i \langle \nabla_y (A_i, b_i),
   E F_i\, (x, 1) \rangle + E F_y, \qquad z_i = A_i(y) \cdot x + b_i(y)

At each node there are the forms and what `F` has besides, however many entries `A` has. Across the
plane of the nodes what is quadratic has a variance of one (Price).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import sympy as sp

from flows.core.arrays import EPSILON, Array
from flows.expectations.changes import Tape
from flows.expectations.forms import Forms, forms_of
from flows.expectations.hermite import Rule
from flows.systems.own.numeric import Numeric, numeric, quietly, stacked, tape_of
from symbolic.language.stable import stable

__all__ = ["Formed", "Rules", "formed"]

# Numbers of an array over directions and nodes.
BLOCK = 20_000
# A direction that nodes do not span has no variance by them, and one that they span has 1.
SPANNED = 0.5


@dataclass(frozen=True)
class Formed:
    """An integrand as a function of forms, compiled.

    Parameters
    ----------
    forms : Forms
        The integrand.
    """

    forms: Forms

    @property
    def beside(self) -> tuple[int, ...]:
        """Entries that `F` depends on besides its forms."""
        return self.forms.beside

    @functools.cached_property
    def variables(self) -> tuple[sp.Symbol, ...]:
        """Forms, then entries besides."""
        return (*self.forms.symbols, *(self.forms.y[k] for k in self.beside))

    @functools.cached_property
    def code(self) -> Numeric:
        """`F` in its variables."""
        return numeric(self.forms.function, self.variables)

    @property
    def tape(self) -> Tape | None:
        """Program of `F` and its derivatives; None where changes of a function are not known."""
        return tape_of(self.forms.function, self.variables)

    def _placed(self, y: Array, rows: Array, rule: Rule, width: int) -> Iterator[Any]:
        """Weights, nodes with a one behind them, and variables there, block by block."""
        step, own = max(1, BLOCK // width), [float(y[k]) for k in self.beside]
        for first in range(0, len(rule), step):
            part = slice(first, first + step)
            x = rule.nodes[part]
            longer = np.concatenate([x, np.ones((len(x), 1))], axis=1)
            yield rule.weights[part], longer, [*(rows @ longer.T), *own]

    def summed(self, y: Array, rule: Rule) -> tuple[Array, Array]:
        """Average with gradient of one state, shape (1 + N,), and bounds of the sums of sizes."""
        at, count = self.forms.at(y), len(self.variables)
        many = len(self.forms.symbols)
        value, size = np.zeros((2, 1 + count))
        slopes, sizes = np.zeros((2, *at.shape[1:]))
        for weights, x, given in self._placed(y, at[0], rule, 1 + count):
            terms = stacked(quietly(self.code.both, *given), weights.shape).T * weights
            value += terms.sum(axis=1)
            slopes += terms[1 : 1 + many] @ x
            terms = np.abs(terms)
            size += terms.sum(axis=1)
            sizes += terms[1 : 1 + many] @ np.abs(x)
        return self._gathered(at, value, slopes), self._gathered(np.abs(at), size, sizes)

    def _gathered(self, at: Array, totals: Array, moments: Array) -> Array:
        """Sum and gradient, shape (1 + N,), of sums and of first moments by the forms."""
        moves = at[1:].reshape(len(at) - 1, at[0].size)
        found = np.append(totals[0], moves @ moments.ravel())
        found[1 + np.array(self.beside, dtype=int)] += totals[1 + len(at[0]) :]
        return found

    def rounded(self, y: Array, rule: Rule) -> Array | None:
        """Bound of the rounding of the integrand in the average with gradient, shape (1 + N,).

        With that of entries; None where the changes of a function are not known.
        """
        tape, at, count = self.tape, self.forms.at(y), len(self.variables)
        if tape is None:
            return None
        sizes, many = np.abs(at), len(at[0])
        rows = EPSILON * (sizes.shape[2] * sizes[0] + np.tensordot(np.abs(y), sizes[1:], 1))
        value, slopes = np.zeros(1 + count), np.zeros(at.shape[1:])
        for weights, x, given in self._placed(y, at[0], rule, 1 + count):
            long = np.abs(x)
            off = [*(rows @ long.T), *(EPSILON * abs(z) for z in given[many:])]
            doubts = stacked(tape.doubts(given, off), weights.shape).T * np.abs(weights)
            value += doubts.sum(axis=1)
            slopes += doubts[1 : 1 + many] @ long
        return self._gathered(sizes, value, slopes)

    def hessian(self, y: Array, rule: Rule) -> Array:
        """Hessian of the average, shape (N, N)."""
        at, count = self.forms.at(y), len(self.variables)
        many, d = len(self.forms.symbols), at.shape[2] - 1
        axes = np.eye(count)[:, :, None]
        first = np.zeros((many, d + 1))
        # Second derivatives by two forms, by a form and an entry, by two entries.
        both = np.zeros((count, count, d + 1, d + 1))
        for weights, x, given in self._placed(y, at[0], rule, count * (1 + count)):
            rates = quietly(self.code.rates, *given, *axes)
            shape = (count, len(weights))
            second = np.stack([np.broadcast_to(r, shape) for r in rates[1:]])
            if not self.forms.affine:
                values = stacked(quietly(self.code.both, *given), weights.shape)
                first += (values[:, 1 : 1 + many] * weights[:, None]).T @ x
            for a in range(count):
                for b in range(a, count):
                    both[a, b] += (x * (second[a, b] * weights)[:, None]).T @ x
        for a in range(count):
            both[a:, a] = both[a, a:]
        spread = (rule.nodes * rule.weights[:, None]).T @ rule.nodes
        variance, turned = np.linalg.eigh(spread)
        fixed = turned[:, variance < SPANNED]
        both[:, :, :d, :d] += both[:, :, d, d, None, None] * (fixed @ fixed.T)
        moves = np.zeros((len(y), count, d + 1))
        moves[:, :many] = at[1:]
        for place, k in enumerate(self.beside, many):  # it enters alone, like an offset
            moves[k, place, d] = 1.0
        there = np.tensordot(both, moves, ((1, 3), (1, 2)))
        found: Array = np.tensordot(moves, there, 2)
        found = (found + found.T) / 2
        return found if self.forms.affine else found + self.forms.bends(y, first)


class Rules(Protocol):
    """Rules of integrands whose sum is averaged."""

    def rules(self, y: Array) -> tuple[tuple[Formed, Rule], ...]:
        """Integrands and their rules at a state."""


@functools.lru_cache(maxsize=64)
def formed(integrand: sp.Expr, x: tuple[sp.Symbol, ...], y: tuple[sp.Symbol, ...]) -> Formed:
    """Integrand as a function of forms, in which no exponential overflows beside another."""
    return Formed(forms_of(stable(integrand), x, y))
