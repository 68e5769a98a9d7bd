"""Nodes of two families, which measure an average that has no bound."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flows.core.arrays import Array
from flows.expectations.families import panels
from flows.expectations.hermite import Rule

__all__ = ["MOST_MEASURED", "Proved", "left_between", "two_families"]

#: More axes take too many nodes.
MOST_MEASURED = 2
# Spacing of the first lattice, and how far it goes; panels go farther.
WIDEST, REACH, FARTHER = 1.0, 12.0, 14.0
# The difference of two rules of different families is counted so many times, beyond this part of
# the sum of sizes, which is half of the rounding that each of their sums is said to have.
SHORT, ROUNDED = 10.0, 5e-15
# Gauss-Legendre nodes on a panel, which is as long as so many spacings.
ON_PANEL, SPACINGS = 12, 8


class Proved(NamedTuple):
    """A rule with upper bounds of its errors.

    Parameters
    ----------
    rule : Rule
        Nodes and weights.
    bound : ndarray, shape (2,)
        Of the error of the average, and of that of the length of its gradient.
    """

    rule: Rule
    bound: Array


def left_between(one: Array, other: Array, size: Array) -> Array:
    """What a rule leaves of its sums, by those of a rule of another family.

    Parameters
    ----------
    one, other : ndarray
        Sums by the rule, and by the other one.
    size : ndarray
        Sums of sizes, to whose last bits their difference says nothing.
    """
    return np.asarray(SHORT * np.maximum(np.abs(one - other) - ROUNDED * size, 0.0))


def two_families(levels: tuple[int, ...]) -> tuple[Rule, Rule]:
    """A lattice, and Gauss-Legendre rules on panels, of twice as many nodes a level of an axis.

    Parameters
    ----------
    levels : tuple of int
        Of each axis, from 0 on; without any there is one node.

    Returns
    -------
    tuple of Rule
        Nodes have shape (M, k). Two rules of one family might share an error.
    """
    lattices, others = zip(*map(_axis, levels), strict=True) if levels else ((), ())
    return _product(lattices, "lattice", REACH), _product(others, "panels", FARTHER)


@functools.lru_cache(maxsize=32)
def _axis(level: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Nodes and weights of both families on one axis."""
    spacing = WIDEST / 2**level
    last = math.ceil(REACH / spacing)
    # No node is at zero, where quotients that are smooth are none of numbers.
    x = spacing * np.arange(0.5 - last, last)
    count = math.ceil(2 * FARTHER / (SPACINGS * spacing))
    z, weights = panels(-FARTHER, FARTHER, count, ON_PANEL)
    return (x, spacing * _density(x)), (z, weights * _density(z))


def _density(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _product(axes: Sequence[tuple[Array, Array]], label: str, reach: float) -> Rule:
    """Nodes of all axes in a ball."""
    places = np.meshgrid(*(x for x, _ in axes), indexing="ij")
    weights = functools.reduce(np.multiply.outer, (w for _, w in axes), np.ones(()))
    nodes = np.stack(places, axis=-1).reshape(-1, len(axes)) if axes else np.zeros((1, 0))
    kept = np.linalg.norm(nodes, axis=1) <= reach
    return Rule(
        nodes[kept], weights.ravel()[kept], f"{label} {' x '.join(str(len(x)) for x, _ in axes)}"
    )
