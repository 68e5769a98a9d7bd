r"""Hessian of neurons in the plane, on boxes: in angles and lengths, which a box mixes least.

A box of a neuron lies between two lengths, and within an angle of the direction of its middle. In
these the entries are products of few factors that each depend on one angle or length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flint import arb, arb_mat

from flows.core.balls import Ball, Singular

UNIT = arb(0, 1)  # the interval [-1, 1]


class Polar(NamedTuple):
    """Length, angle of the middle, and how far an angle is from it at most."""

    length: Ball
    angle: Ball
    off: Ball


def polar(w: Sequence[Ball]) -> Polar:
    """Enclose a box in polar coordinates.

    Raises
    ------
    Singular
        If the box may hold zero.
    """
    a, b = (c.mid() for c in w)
    r, s = (arb(c.rad()) for c in w)
    size = (a * a + b * b).sqrt()
    if not size > 0:
        raise Singular("a neuron may be at zero")
    out = (abs(a) * r + abs(b) * s) / size
    aside = (abs(b) * r + abs(a) * s) / size
    least = (size - out).lower()
    if not least > 0:
        raise Singular("a neuron may be at zero")
    most = ((size + out) ** 2 + aside**2).sqrt().upper()
    return Polar(least.union(most), arb.atan2(b, a), (aside / least).atan().upper())


def hessian(rows: Sequence[Sequence[Ball]], coefficients: Callable[..., Any]) -> Any:
    """Hessian of neurons, the last row is the teacher; an `arb_mat`, of a box all Hessians.

    ``coefficients`` of lengths and an angle are ``spread``, ``shift`` and ``twist``: the block of a
    neuron is ``spread 2 n n^T`` with its normal ``n``, a mixed one ``shift + twist M`` with the
    reflection ``M`` at the bisector.
    """
    n, half = len(rows) - 1, arb(0.5)
    neurons = [polar(w) for w in rows]
    blocks = [[half, arb(0), arb(0), half] for _ in range(n * n)]
    for i in range(n):
        for j in range(i + 1, n + 1):
            a, b = neurons[i], neurons[j]
            theta = _between(a, b)
            for k, (own, other) in ((i, (a, b)), (j, (b, a))):
                if k == n:
                    continue
                spread, shift, twist = coefficients(own.length, other.length, theta)
                double = 2 * (own.angle + UNIT * own.off)
                c, s = double.cos(), double.sin()
                mu = -1 if j == n else 1
                _add(blocks[k * n + k], mu * spread, [1 - c, -s, -s, 1 + c])
                if j < n:
                    both = a.angle + b.angle + UNIT * (a.off + b.off)
                    c, s = both.cos(), both.sin()
                    mixed = blocks[i * n + j if k == i else j * n + i]
                    _add(mixed, twist, [c, s, s, -c])
                    _add(mixed, shift, [1, 0, 0, 1])
    entries = [
        [blocks[i * n + j][2 * p + q] for j in range(n) for q in range(2)]
        for i in range(n)
        for p in range(2)
    ]
    return arb_mat(entries)


def _between(a: Polar, b: Polar) -> Ball:
    """Angle of two vectors, from 0 to pi."""
    turn = a.angle - b.angle
    cosine = turn.cos()  # by the acute angle: a ball about pi would reach across the cut
    middle = arb.atan2(abs(turn.sin()), abs(cosine))
    middle = middle if cosine.mid() >= 0 else arb.pi() - middle
    off = (a.off + b.off).upper()
    low, high = (middle - off).max(arb(0)), (middle + off).min(arb.pi())
    return low.union(high)


def _add(block: list[Ball], factor: Ball, matrix: Sequence[Any]) -> None:
    for k, entry in enumerate(matrix):
        block[k] += factor * entry
