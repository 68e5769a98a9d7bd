"""States of a flow in a subspace that it keeps, and of the whole system."""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import sympy as sp
from flint import arb

from flows.core.arrays import Array
from flows.core.balls import dot, precision
from flows.systems.own.exact import from_doubles, to_doubles, width
from flows.systems.own.loss import Loss
from flows.systems.own.sound_state import SoundState
from symbolic.language.averages.expectation import Expectation

__all__ = ["BITS", "Embedded", "begun", "moved", "restricted", "span_of"]

#: Bits of a basis, of a start in it, and of random places that tell what a flow keeps.
BITS = 400
# A vector is in the span of others where no more than this part of it is left.
FLAT = 2.0**-300
# Bits of a coordinate beyond those of an entry.
SPARE = 64


class Embedded(Hashable, Protocol):
    """A subspace with coordinates of its own."""

    @property
    def basis(self) -> Array:
        """Orthonormal columns, shape (N, K)."""

    def lifted(self, known: Sequence[Any]) -> list[Any]:
        """Exact entries from exact coordinates."""

    def lowered(self, known: Sequence[Any]) -> list[Any]:
        """Exact coordinates from exact entries."""

    def products(self, losses: tuple[Loss, Loss], whole: Array, part: Array) -> Array:
        """Sizes of products of axes of both Hessians at a state, shape (N, K)."""

    def holds(self, x: Array) -> bool:
        """Whether states, shape (T, N), are in the subspace, as far as doubles tell."""

    def said(self, names: Sequence[str]) -> str:
        """Which subspace it is, by the names of entries."""

    def written(self, known: Sequence[sp.Symbol]) -> list[sp.Expr]:
        """Entries in which the loss is that of the coordinates."""


@functools.lru_cache(maxsize=64)
def restricted(
    loss: Loss, potentials: tuple[tuple[str, Any], ...], inside: Embedded
) -> tuple[list[sp.Symbol], Any, dict[str, Any]]:
    """Coordinates, loss and potentials in a subspace.

    Parameters
    ----------
    loss : Loss
        In closed form, or an average over standard normal numbers.
    potentials : tuple of pairs
        Names and expressions in the entries.
    inside : Embedded
        The subspace.
    """
    z = [sp.Symbol(f"kept{c}", real=True) for c in range(inside.basis.shape[1])]
    places = dict(zip(loss.y, inside.written(z), strict=True))
    plain, integrand = (e.xreplace(places) for e in loss.form[:2])
    x = [each for each in loss.form.x if each in integrand.free_symbols]
    average = Expectation(integrand, sp.Tuple(*x)) if x else integrand
    return z, plain + average, {name: p.xreplace(places) for name, p in potentials}


def moved(states: SoundState, inside: Embedded, losses: tuple[Loss, Loss], up: bool) -> SoundState:
    """States of the whole system from those in the subspace, or the reverse.

    Errors of exact states are those along axes, times the products of both; errors of entries are
    those of coordinates, times the basis.

    Parameters
    ----------
    states : SoundState
        Shape (T, ...).
    inside : Embedded
        The subspace.
    losses : tuple of Loss
        The whole one, and that in the subspace.
    up : bool
        Whether the result is of the whole system.
    """
    place, shown = inside.lifted if up else inside.lowered, []
    for digits in states.digits:
        known = from_doubles(digits)
        with precision(_bits_of(digits)):
            shown.append(to_doubles(place(known)))
    size = inside.basis.shape[0 if up else 1]
    x = np.array([digits[:, 0] for digits in shown]).reshape(-1, size)
    low = width(size, [digits[:, 1:] for digits in shown])
    basis = inside.basis if up else inside.basis.T
    error = np.abs(basis) @ states.error[..., None]
    if states.exact:
        whole, part = (states.x, x)[:: 1 if not up else -1]
        for k, places in enumerate(zip(whole, part, strict=True)):
            products = inside.products(losses, *places)
            error[k, :, 0] = (products if up else products.T) @ states.error[k]
    # An error that arose earlier has been damped less.
    times = np.where(basis != 0, states.time[:, None, :], np.inf).min(axis=-1, initial=np.inf)
    time = np.where(np.isfinite(times), times, 0.0)
    return replace(states, x=x, low=low, error=error[..., 0], time=time)


def span_of(vectors: Array, bits: int = BITS) -> Array:
    """Orthonormal basis of the span of vectors, shape (m, d), as sums of doubles (r, d, K)."""
    rows: list[list[Any]] = []
    with precision(bits):
        for vector in vectors.tolist():
            v = [arb(x) for x in vector]
            length = dot(v, v).sqrt().mid()
            for _ in range(2):  # a second time, so that they are orthogonal to all bits
                for row in rows:
                    part = dot(row, v).mid()
                    v = [(x - part * e).mid() for x, e in zip(v, row, strict=True)]
            rest = dot(v, v).sqrt().mid()
            if rest > FLAT * length:
                rows.append([(x / rest).mid() for x in v])
        parts = [to_doubles(row) for row in rows]
    return width(vectors.shape[1], parts)


def begun(states: SoundState, start: Array) -> SoundState:
    """The states, of which the first one is the start."""
    states.x[0], states.low[0] = start, 0.0
    return states


def _bits_of(digits: Array) -> int:
    """Bits from the first to the last of sums of doubles, which may lie far apart, and more."""
    sizes = np.abs(digits[digits != 0])
    apart = float(np.log2(sizes.max()) - np.log2(sizes.min())) if sizes.size else 0.0
    return math.ceil(apart) + 53 + SPARE
