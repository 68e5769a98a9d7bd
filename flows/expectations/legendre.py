r"""Gauss-Legendre rules on a box, with a proved bound of what they leave of an average.

.. math:: |E f - Q f| \leq \sum_e \frac{32}{15}\,
   \frac{M_e(\rho)}{(\rho^2 - 1)\, \rho^{2 n_e - 2}}

if `f` is analytic, and at most `M_e` in size, where the number `e` lies in the ellipse around the
ends of the box whose half axes have the sum `rho`, and the others in the box (Trefethen 2008, SIAM
Review 50(1), theorem 4.5). It is enclosed on rectangles that cover these sets
(:mod:`flows.expectations.tubes`), and bounds hold up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.expectations.families import panels
from flows.expectations.hermite import Rule
from flows.expectations.tubes import Tube, enclosed, number

__all__ = ["Ellipses", "ellipses", "tensor"]

# Sums of the half axes of ellipses, relative to half of the length.
RHO = np.geomspace(1.04, 40.0, 14)
# Pieces of an axis: of three, and of more.
PIECES, FEWER = 6, 4
FACTOR = 32 / 15
TINY = 1e-300


@dataclass(frozen=True)
class Ellipses:
    """Bounds of a function and of its gradient around a box.

    Parameters
    ----------
    sizes : ndarray, shape (k, R, 2)
        `M` of both, for each number and ellipse; infinite where nothing is proved.
    """

    sizes: Array

    def counts(self, asked: Array) -> list[int]:
        """Fewest nodes of each axis for errors of shape (2,); 0 where none are enough."""
        with np.errstate(all="ignore"):
            part = np.maximum(asked, TINY) / len(self.sizes)
            above = np.log(FACTOR * self.sizes / (RHO[:, None] ** 2 - 1) / part)
            needed = (1 + above / (2 * np.log(RHO[:, None]))).min(axis=1).max(axis=1)
        return [max(1, math.ceil(n)) if math.isfinite(n) else 0 for n in needed.tolist()]

    def bound(self, counts: Sequence[int]) -> Array:
        """Errors of a rule of so many nodes, at most, shape (2,)."""
        powers = RHO[:, None] ** (2 - 2 * np.array(counts)[:, None, None])
        with np.errstate(invalid="ignore"):
            found = FACTOR * self.sizes / (RHO[:, None] ** 2 - 1) * powers
        return np.asarray(np.nan_to_num(found, nan=np.inf).min(axis=1).sum(axis=0))


def ellipses(
    slopes: Sequence[sp.Expr],
    x: Sequence[sp.Symbol],
    ends: Sequence[tuple[float, float]],
    at: dict[sp.Symbol, float],
) -> Ellipses:
    """Bounds around a box.

    Parameters
    ----------
    slopes : sequence of Expr
        The function, then its derivatives.
    x : sequence of Symbol
        The numbers that are averaged over.
    ends : sequence of (float, float)
        Ends of each of them.
    at : mapping
        All other numbers.
    """
    k = len(x)
    edges = np.linspace(-1, 1, (PIECES if k <= 3 else FEWER) + 1)
    major, minor = (RHO + 1 / RHO) / 2, (RHO - 1 / RHO) / 2
    far = np.minimum(np.abs(edges[:-1]), np.abs(edges[1:])) * (edges[:-1] * edges[1:] >= 0)
    around = Tube(
        np.multiply.outer(major, edges[:-1]),
        np.multiply.outer(major, edges[1:]),
        np.multiply.outer(minor, np.sqrt(1 - far**2)),
    )
    inside = Tube(edges[None, :-1], edges[None, 1:], np.zeros((1, len(far))))
    found = []
    for e in range(k):
        known = {symbol: number(value) for symbol, value in at.items()}
        for j, (symbol, (low, high)) in enumerate(zip(x, ends, strict=True)):
            shape = [-1] + [1] * k
            shape[1 + j] = len(far)
            tube = around if j == e else inside
            middle, half = (low + high) / 2, (high - low) / 2
            known[symbol] = Tube(
                (middle + half * tube.low).reshape(shape),
                (middle + half * tube.high).reshape(shape),
                (half * tube.width).reshape(shape),
            )
        with np.errstate(all="ignore"):  # a number that overflows is no bound
            value, *rates = (tube.size for tube in enclosed(tuple(slopes), known))
            both = value, np.sqrt(sum((s**2 for s in rates), start=np.zeros(1)))
        whole = np.stack(np.broadcast_arrays(*both, np.zeros((len(RHO), *[1] * k)))[:2])
        found.append(whole.reshape(2, len(RHO), -1).max(axis=2).T)
    sizes = np.array(found)
    return Ellipses(np.where(np.isnan(sizes), np.inf, sizes))


def tensor(ends: Sequence[tuple[float, float]], counts: Sequence[int]) -> Rule:
    """Product of Gauss-Legendre rules, with weights of sum one."""
    axes = [panels(low, high, 1, n) for (low, high), n in zip(ends, counts, strict=True)]
    nodes = np.stack(np.meshgrid(*(x for x, _ in axes), indexing="ij"), axis=-1)
    weights = np.ones(())
    for (low, high), (_, w) in zip(ends, axes, strict=True):
        weights = np.multiply.outer(weights, w / (high - low))
    return Rule(nodes.reshape(-1, len(ends)), weights.ravel(), " x ".join(map(str, counts)))
