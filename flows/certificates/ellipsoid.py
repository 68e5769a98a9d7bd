r"""Tubes of balls of starts that are ellipsoids: a growth of their radius that may serve.

On a segment let ``x = p + C y`` with a matrix ``C(tau)``, a polynomial, and ``|y| <= r``. The
verifier (:mod:`flows.certificates.verifier.ellipsoid`) says which form has to be positive definite
for a growth ``nu``; the least one is sought in doubles, and asked of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.bounds import asked
from flows.certificates.chebyshev import Row
from flows.certificates.verifier.curve import norm
from flows.certificates.verifier.ellipsoid import Ellipsoid as Tube
from flows.certificates.verifier.ellipsoid import Growth, middles
from flows.core.arrays import Array
from flows.core.balls import Ball, Singular, precision

#: Growth that is tried: beyond that of the middle by so much, more by this factor until it serves.
LEAST, LARGER, TRIES, HALVINGS = 1e-3, 2.0, 26, 4
#: What is left of the unit matrix where growth serves; and by how much more it is stated.
LEFT, MARGIN = 0.01, 0.05


class Ellipsoid(NamedTuple):
    """A tube ``p + C y``.

    Parameters
    ----------
    rows : tuple of lists of int
        Chebyshev coefficients of ``C``, row by row, multiples of ``2^-bits``.
    reach : float
        Bound of ``|y|`` on the whole segment.
    left : float
        Bound of ``|y|`` at its end.
    """

    rows: tuple[Row, ...]
    reach: float
    left: float

    def tube(self, bits: int) -> Tube:
        """As the verifier reads it."""
        c = np.array([[arb((x, -bits)) for x in row] for row in self.rows])
        return Tube(c, arb(self.reach), arb(self.left))

    def widths(self, bits: int) -> list[Ball]:
        """Bound each component of ``x - p`` on the segment."""
        tube = self.tube(bits)
        sizes: Any = sum(np.abs(tube.matrix(column)) for column in tube.c.T)
        return [(self.reach * norm(row)).upper() for row in sizes]

    def off_at_end(self, forms: Any, bits: int) -> Ball:
        """Bound ``|V (x - p)|`` at its end, ``V`` an integer matrix."""
        return self.tube(bits).off_at_end(np.array(forms)).upper()

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {
            "axes": [[f"{c:x}" for c in row] for row in self.rows],
            "reach": self.reach.hex(),
            "left": self.left.hex(),
        }

    @classmethod
    def from_json(cls, data: Any) -> Ellipsoid:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        rows = tuple([int(c, 16) for c in row] for row in data["axes"])
        return cls(rows, float.fromhex(data["reach"]), float.fromhex(data["left"]))


def growth(
    tube: Tube, equations: Any, segment: Any, parts: int, bits: int
) -> tuple[tuple[float, ...], float]:
    """Bounds ``nu`` on each part, and one of ``|C^-1|`` on all, computed with so many bits."""
    bounds, thin = [], 0.0
    for part in range(parts):
        with precision(bits), asked():
            found = tube.growth(equations, segment, part, parts)
            nu = _least(found)
            found.serves(arb(nu))
        bounds.append(nu)
        thin = max(thin, float(found.thin.upper()))
    return tuple(bounds), thin


def _least(found: Growth) -> float:
    """A small growth that serves in doubles, and a little more."""
    matrices = found.square, -found.still, *found.bent
    thick = [middles(x) for x in matrices], [_radii(x) for x in matrices]
    if not np.isfinite(thick).all():
        raise Singular("the Hessian is not bounded")
    sharp = float(np.linalg.eigvalsh(thick[0][1])[-1])
    more = LEAST * max(1.0, abs(sharp))
    for _ in range(TRIES):
        if _room(*thick, sharp + more) > LEFT:
            break
        more *= LARGER
    else:
        raise Singular("no bound of the growth of an ellipsoid is found")
    low = more / LARGER
    for _ in range(HALVINGS):
        between = (low + more) / 2
        if _room(*thick, sharp + between) > LEFT:
            more = between
        else:
            low = between
    return sharp + (1 + MARGIN) * more


def _room(centres: Sequence[Array], radii: Sequence[Array], nu: float) -> float:
    """What is left of one in scaled coordinates, in doubles."""
    middle = nu * centres[0] - centres[1]
    values, vectors = np.linalg.eigh((middle + middle.T) / 2)
    if not (values > 0).all():
        return -math.inf
    z = vectors / np.sqrt(values)
    size = np.abs(z)
    off = size.T @ (abs(nu) * radii[0] + radii[1]) @ size
    turned = [z.T @ x @ z for x in centres[2:]], [size.T @ x @ size for x in radii[2:]]
    squares = [sum(x @ x for x in found) for found in turned]
    lost = sum(math.sqrt(float(np.linalg.norm(x, 2))) for x in squares)
    return 1 - float(np.linalg.norm(off, 2)) - lost


def _radii(matrix: Any) -> Array:
    return np.vectorize(lambda x: float(x.rad()), "d")(matrix)
