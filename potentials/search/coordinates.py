"""Flows of functions of the variables that are flows of their own, as `W W^T` under rotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sympy as sp

from potentials.search.algebra import combination
from potentials.search.polynomials import Factored, Flow, Polynomial, exponents, ring_of

__all__ = ["Coordinate", "in_terms", "reduced"]

# Loss and rates are sought as polynomials of this degree at most.
MOST = 4


class Coordinate(NamedTuple):
    """A symmetric matrix of functions, or one function as a matrix of one.

    Parameters
    ----------
    symbols : sp.Matrix
        Names of its entries.
    entries : sp.Matrix
        What they are.
    factor : sp.Matrix, optional
        `X`, where the entries are those of `X X^T`.
    """

    symbols: sp.Matrix
    entries: sp.Matrix
    factor: sp.Matrix | None


def reduced(flow: Flow, coordinates: Sequence[Coordinate]) -> Flow:
    """The flow of coordinates.

    Raises
    ------
    ValueError
        Where the loss, or a rate, is no polynomial in them of low degree.
    """
    symbols: list[sp.Expr] = []
    images: list[Polynomial] = []
    for one in coordinates:
        for i in range(one.symbols.rows):
            for j in range(i, one.symbols.cols):
                if one.symbols[i, j] not in symbols:
                    symbols.append(one.symbols[i, j])
                    images.append(flow.read(one.entries[i, j]))
    ring = ring_of(len(symbols))
    loss = in_terms(flow, flow.loss, images, "the loss")
    field = tuple(
        in_terms(flow, flow.along(image), images, f"the rate of {symbol}")
        for symbol, image in zip(symbols, images, strict=True)
    )
    whole = Flow(tuple(symbols), ring, field, loss, flow, tuple(images))
    factored = tuple(
        Factored(_matrix(whole, one.symbols), _matrix(flow, one.factor))
        for one in coordinates
        if one.factor is not None
    )
    return Flow(whole.symbols, ring, field, loss, flow, whole.images, factored)


def _matrix(flow: Flow, entries: sp.Matrix) -> tuple[tuple[Polynomial, ...], ...]:
    rows, columns = entries.shape
    return tuple(tuple(flow.read(entries[i, j]) for j in range(columns)) for i in range(rows))


def in_terms(flow: Flow, p: Polynomial, images: Sequence[Polynomial], what: str) -> Polynomial:
    """A polynomial in the coordinates that is `p`, of the least degree.

    Raises
    ------
    ValueError
        Where there is none of low degree.
    """
    for degree in range(MOST + 1):
        powers = exponents(len(images), degree)
        basis = []
        for e in powers:
            term = flow.constant(1)
            for image, k in zip(images, e, strict=True):
                term = term * image**k
            basis.append(term)
        found = combination(p, basis)
        if found is not None:
            terms = {(*e, 0): c for e, c in zip(powers, found, strict=True) if c != 0}
            return ring_of(len(images)).from_dict(terms)
    raise ValueError(f"{what} is no polynomial in these coordinates up to degree {MOST}")
