r"""Tubes of balls of starts that are ellipsoids: what bounds the growth of their radius.

On a segment let ``x = p + C y`` with a matrix ``C(tau)``, a polynomial. With ``F`` the field, ``A``
its Jacobian, ``Abar`` the mean of ``A`` on the way from ``p`` to ``x``, and ``D = p' - F(p)``,

    y' = C^-1 (Abar C - C') y - C^-1 D,       Abar - A(p) = sum_k y_k int_0^1 (1 - s) dA[C e_k] ds,

with the derivative ``dA`` at ``p + s C y``. So ``|y|' <= nu |y| + |C^-1| |D|`` on ``|y| <= r`` if

    nu M M^T - sym(W (A C - C') M^T) - sum_k y_k K_k,
    K_k = sym(W int (1 - s) dA[C e_k] C M^T),

is positive definite for all of them, where ``M = W C`` and ``W`` is any matrix: it is ``M (nu -
sym(C^-1 (Abar C - C'))) M^T``. ``W`` inverts ``C`` in the middle of a part, about. In coordinates
``Z`` in which the first two terms are about one,

    |u^T sum_k y_k K_k u|  <=  |y| |u|^2 sqrt( |sum_k K_k^2| ),

the Cauchy-Schwarz inequality. ``A C - C'`` is small, as ``C`` follows the linear flow; its Taylor
polynomial of order one, with the remainder on a part, bounds it. ``int (1 - s) dA`` is a sum over
nested ellipsoids. ``|C^-1| <= 2 |W|`` where ``M M^T >= 1/4``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat, ctx

from flows.certificates import chebyshev
from flows.certificates.bounds import is_positive
from flows.certificates.chebyshev import Row
from flows.certificates.proof import Approximant
from flows.certificates.verifier.positive import perron
from flows.core.arrays import Array
from flows.core.balls import Ball, BallFlow, Singular, precision

UNIT = arb(0, 1)  # the interval [-1, 1]

#: Nested ellipsoids on which second derivatives are enclosed.
NESTED = 4
#: Growth that is tried: beyond that of the middle by so much, more by this factor until it serves.
LEAST, LARGER, TRIES, HALVINGS = 1e-3, 2.0, 26, 4
#: What is left of the unit matrix where growth serves; and by how much more it is stated.
LEFT, MARGIN = 0.01, 0.05
#: Norms of thin matrices are right to this factor; none is smaller.
THIN, TINY = 1.0 + 2.0**-20, 1e-9


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

    def off_at_end(self, forms: Any, bits: int) -> Ball:
        """Bound ``|V (x - p)|`` at its end."""
        return self.left * _size(np.array(forms) @ end(self.rows, bits))

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


def end(rows: Sequence[Row], bits: int, sign: int = 1) -> Any:
    """``C`` at an end of a segment, an array of balls."""
    return _square([arb((sum(c * sign**k for k, c in enumerate(row)), -bits)) for row in rows])


def spectral(matrix: Any) -> Ball:
    """Bound of the norm of a thin matrix."""
    guess = arb(float(np.linalg.norm(_middle(matrix), 2)) * THIN)
    if not is_positive((guess**2 * np.eye(len(matrix), dtype=object) - matrix @ matrix.T).tolist()):
        raise Singular("the axes of an ellipsoid are lost")
    return guess


def solved(matrix: Any, right: Any) -> Any:
    """``matrix^-1 right``."""
    try:
        found = arb_mat(matrix.tolist()).solve(arb_mat(right.tolist()))
    except ZeroDivisionError:
        raise Singular("the axes of an ellipsoid are lost") from None
    return np.array(found.tolist())


def growth(
    flow: BallFlow, p: Approximant, rows: Sequence[Row], parts: int, reach: Ball, bits: int
) -> tuple[tuple[float, ...], float]:
    """Bounds ``nu`` on each part, and one of ``|C^-1|`` on all, computed with so many bits."""
    slopes = [chebyshev.differentiated(row) for row in rows]
    bends = [chebyshev.differentiated(row) for row in slopes]
    with precision(bits):
        curves = [_Curve.of(x, parts, p.bits) for x in (rows, slopes, bends, p.rows, p.slopes())]
        found = [_growth(flow, p, curves, (k, parts), reach) for k in range(parts)]
    return tuple(nu for nu, _ in found), max(thin for _, thin in found)


class _Curve(NamedTuple):
    """Polynomials on equal parts: values in the middle, all values to second order."""

    middles: list[list[Ball]]
    near: list[list[Ball]]

    @classmethod
    def of(cls, rows: Sequence[Row], parts: int, bits: int) -> _Curve:
        """Of Chebyshev coefficients."""
        slopes = [chebyshev.differentiated(row) for row in rows]
        bends = [arb((sum(map(abs, chebyshev.differentiated(row))), -bits)) for row in slopes]
        table = chebyshev.at_middles(len(rows[0]) - 1, parts, ctx.prec)
        values, rates = ((table * chebyshev.column(x, bits)).tolist() for x in (rows, slopes))
        wide = [
            [
                x + UNIT * (abs(v) / parts + b / (2 * parts * parts))
                for x, v, b in zip(row, rate, bends, strict=True)
            ]
            for row, rate in zip(values, rates, strict=True)
        ]
        return cls(values, wide)


def _growth(
    flow: BallFlow,
    p: Approximant,
    curves: Sequence[_Curve],
    part: tuple[int, int],
    reach: Ball,
) -> tuple[float, float]:
    """Bounds of ``nu`` and ``|C^-1|`` on a part."""
    size, half, (index, parts) = flow.size, p.span.half, part
    s, width = arb(2 * index + 1 - parts) / parts, arb(1) / parts
    c, d, e = (_square(x.near[index]) / half**k for k, x in enumerate(curves[:3]))
    c_here, d_here = (_square(x.middles[index]) / half**k for k, x in enumerate(curves[:2]))
    x, v, here = curves[3].near[index], curves[4].near[index], curves[3].middles[index]
    time, times = p.span.centre + half * s, p.span.part(index, parts)
    none = np.array([[arb(0)]] * size)
    along = flow.slopes(x, np.array([v]) / half, none)[0]
    hessian = np.array(flow.hessian(x).tolist())
    gap = -_product(flow.hessian(here).tolist(), c_here) * time.exp() - d_here
    change = -times.exp() * (_product(hessian + along, c) + _product(hessian, d)) - e
    gap = gap + change * (half * width * UNIT)

    w = np.linalg.inv(_middle(c_here))
    inverse = np.array([[arb(z) for z in row] for row in w.tolist()])
    m = _product(inverse, c)
    square, still = m @ m.T, _symmetric(_product(inverse, gap, m.T))
    if not is_positive((square - np.eye(size, dtype=object) / 4).tolist()):
        raise Singular("the axes of an ellipsoid turn too far on a part")
    bent = sum(
        flow.slopes(x, c.T, c * (reach * (k + 1) / NESTED)) * _weight(k) for k in range(NESTED)
    )
    factor = -times.exp() * reach
    bent = [_symmetric(_product(inverse, z, c, m.T)) * factor for z in bent]
    nu = _least(square, still, bent)
    return nu, 2 * float(np.linalg.norm(w)) * THIN


def _weight(k: int) -> Ball:
    """Integral of ``1 - s`` on one of :data:`NESTED` equal parts of [0, 1]."""
    return arb(2 * (NESTED - k) - 1) / (2 * NESTED * NESTED)


def _least(square: Any, still: Any, bent: Sequence[Any]) -> float:
    """A small ``nu`` for which ``nu M M^T - still - sum y_k K_k`` is positive, ``|y| <= 1``."""
    matrices = square, still, *bent
    middles, radii = [_middle(x) for x in matrices], [_radius(x) for x in matrices]
    if not np.isfinite([*middles, *radii]).all():
        raise Singular("the Hessian is not bounded")
    sharp = float(np.linalg.eigvalsh(middles[1])[-1])
    more = LEAST * max(1.0, abs(sharp))
    for _ in range(TRIES):
        if _room(middles, radii, sharp + more) > LEFT:
            break
        more *= LARGER
    else:
        raise Singular("no bound of the growth of an ellipsoid is found")
    low = more / LARGER
    for _ in range(HALVINGS):
        between = (low + more) / 2
        if _room(middles, radii, sharp + between) > LEFT:
            more = between
        else:
            low = between
    nu = sharp + (1 + MARGIN) * more
    if not _serves(square, still, bent, nu):
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


def _serves(square: Any, still: Any, bent: Sequence[Any], nu: float) -> bool:
    """Whether it is proved to be positive."""
    form = nu * square - still
    scale = _scaled(_middle(form))
    if scale is None:
        return False
    z = np.array([[arb(x) for x in row] for row in scale.tolist()])
    eye = np.eye(len(form), dtype=object)
    turned = [_product(z.T, x, z) for x in bent]
    # Of the middles and of the radii each by itself: together they are at most the sum.
    middles = [np.array([[c.mid() for c in row] for row in x]) for x in turned]
    total = sum(_product(x, x.T) for x in middles)
    lost = arb(math.sqrt(float(np.linalg.norm(_middle(total), 2))) * THIN + TINY)
    if not is_positive((lost**2 * eye - total).tolist()):
        return False
    lost += arb(perron(np.sum([x.T @ x for x in map(_radius, turned)], axis=0))).sqrt()
    return is_positive((_product(z.T, form, z) - lost * eye).tolist())


def _square(flat: Sequence[Ball]) -> Any:
    size = math.isqrt(len(flat))
    return np.array([[*flat[k : k + size]] for k in range(0, len(flat), size)])


def _product(*factors: Any) -> Any:
    made = arb_mat(np.asarray(factors[0], dtype=object).tolist())
    for factor in factors[1:]:
        made = made * arb_mat(factor.tolist())
    return np.array(made.tolist())


def _symmetric(matrix: Any) -> Any:
    return (matrix + matrix.T) / 2


def _middle(matrix: Any) -> Array:
    return np.array([[float(x.mid()) for x in row] for row in matrix])


def _radius(matrix: Any) -> Array:
    return np.array([[float(x.rad()) for x in row] for row in matrix])


def _size(matrix: Any) -> Ball:
    """Frobenius norm."""
    flat = matrix.ravel()
    return (flat @ flat).nonnegative_part().sqrt().upper()
