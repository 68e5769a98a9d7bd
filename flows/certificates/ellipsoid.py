r"""Tubes of balls of starts that are ellipsoids: which growth of their radius is proposed.

Of ``x = p + C y`` :mod:`flows.certificates.verifier.ellipsoid` says what proves ``|y|' <= nu |y|``,
and its functions bound all that is needed here. A small ``nu`` is found in doubles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from flows.certificates.bounds import asked
from flows.certificates.chebyshev import Row
from flows.certificates.verifier.ellipsoid import Ellipsoid as Tube
from flows.certificates.verifier.ellipsoid import Forms, middles
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

    def off(self, forms: Any, bits: int) -> Ball:
        """Bound ``|V (x - p)|`` on the segment, ``V`` an integer matrix."""
        return self.reach * _size(sum(abs(np.array(forms) @ x) for x in self._parts(bits)))

    def widths(self, bits: int) -> list[Ball]:
        """Bound each component of ``x - p`` on the segment."""
        return [self.reach * _size(row) for row in sum(abs(x) for x in self._parts(bits))]

    def _parts(self, bits: int) -> Iterator[Any]:
        """Coefficients of ``C``, arrays of balls."""
        return (
            _square([arb((row[k], -bits)) for row in self.rows]) for k in range(len(self.rows[0]))
        )

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
) -> tuple[tuple[float, ...], Ball]:
    """Bounds ``nu`` on each part, and one of ``|C^-1|`` on all, computed with so many bits."""
    bounds, largest = [], arb(0)
    with precision(bits), asked():
        for part in range(parts):
            forms = tube.forms(equations, segment, part, parts)
            bounds.append(_least(forms))
            largest = largest.max(forms.inverse)
    return tuple(bounds), largest


def _least(forms: Forms) -> float:
    """A small ``nu`` that the verifier accepts."""
    matrices = forms.square, -forms.still, *forms.bent
    centres, radii = [middles(x) for x in matrices], [_radius(x) for x in matrices]
    if not np.isfinite([*centres, *radii]).all():
        raise Singular("the Hessian is not bounded")
    sharp = float(np.linalg.eigvalsh(centres[1])[-1])
    more = LEAST * max(1.0, abs(sharp))
    for _ in range(TRIES):
        if _room(centres, radii, sharp + more) > LEFT:
            break
        more *= LARGER
    else:
        raise Singular("no bound of the growth of an ellipsoid is found")
    low = more / LARGER
    for _ in range(HALVINGS):
        between = (low + more) / 2
        if _room(centres, radii, sharp + between) > LEFT:
            more = between
        else:
            low = between
    nu = sharp + (1 + MARGIN) * more
    if not forms.served(nu):
        raise Singular("no bound of the growth of an ellipsoid is proved")
    return nu


def _room(middles: Sequence[Array], radii: Sequence[Array], nu: float) -> float:
    """What is left of one in scaled coordinates, in doubles."""
    z = _scaled(nu * middles[0] - middles[1])
    if z is None:
        return -math.inf
    size = np.abs(z)
    off = size.T @ (abs(nu) * radii[0] + radii[1]) @ size
    turned = [z.T @ x @ z for x in middles[2:]], [size.T @ x @ size for x in radii[2:]]
    squares = [sum(x @ x for x in found) for found in turned]
    lost = sum(math.sqrt(float(np.linalg.norm(x, 2))) for x in squares)
    return 1 - float(np.linalg.norm(off, 2)) - lost


def _scaled(middle: Array) -> Array | None:
    """Coordinates in which a matrix is one; None if it is indefinite."""
    values, vectors = np.linalg.eigh((middle + middle.T) / 2)
    return vectors / np.sqrt(values) if (values > 0).all() else None


def _square(flat: Sequence[Ball]) -> Any:
    size = math.isqrt(len(flat))
    return np.array([[*flat[k : k + size]] for k in range(0, len(flat), size)])


def _radius(matrix: Any) -> Array:
    return np.array([[float(x.rad()) for x in row] for row in matrix])


def _size(matrix: Any) -> Ball:
    """Frobenius norm."""
    flat = matrix.ravel()
    return (flat @ flat).nonnegative_part().sqrt().upper()
