r"""Field and Hessian along a segment, from the field on the boundary of an ellipse.

The field ``f`` is made of lengths ``(w.w)^(1/2)`` and angles ``2 asin X^(1/2)``, ``X = |u_a -
u_b|^2/4``, of unit vectors ``u``. It is analytic where ``w.w`` has a positive real part and ``X``
is not on the rays ``(-oo, 0]`` and ``[1, oo)``. Both domains are simply connected, so by the
argument principle an argument that is in its domain on the boundary of an ellipse is in it
everywhere inside. Let this be so, ``|f| <= m`` and ``|F| = |e^tau f| <= M``, at ``p(s) + y`` for
``s`` on the boundary and ``|y| <= r``. With ``N + 1`` and ``K + 1`` points,

Where two vectors nearly agree or oppose, ``4 X (1 - X)`` is told from their minors, which are small
and polynomials of ``s``, too.

- ``F(p)`` is its interpolant up to ``4 M rho^-N/(rho - 1)``,
- ``|Df(p + y)| <= m/(r - tube)`` for ``|y| <= tube``, by Cauchy's estimate in ``y``, so the Hessian
  ``-Df(p + y)`` is its interpolant up to ``4 m/(r - tube) rho^-K/(rho - 1)``.
"""

import functools
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from flint import acb, arb, arb_mat, fmpq

from flows.certificates.verifier.curve import UNIT, at_points, norm
from flows.certificates.verifier.reading import MOST, number, require
from flows.certificates.verifier.tube import Ball


def most(segment: Any, equations: Any, rho: arb, arcs: int, reach: arb) -> tuple[arb, arb]:
    """Bound ``M`` and ``m`` on arcs of the upper half, of which the lower is the image."""
    require(type(arcs) is int and 1 < arcs <= MOST and reach > 0, "its ellipse is not stated")
    degrees, turn, found = range(segment.p.shape[1]), arb.pi() / (2 * arcs), [arb(0)] * 2
    # As w turns by t, (w^k + w^-k)/2 moves by at most k t (rho^k + rho^-k)/2.
    moves = np.array([k * turn * (rho**k + rho**-k) / 2 for k in degrees])
    square = (segment.p**2).reshape(-1, equations.width, len(degrees)).sum(axis=1)
    off = np.vectorize(arb.sqrt, "O")(square) @ moves + reach

    @functools.cache
    def moved(i: int, j: int) -> arb:
        areas = equations.minors(segment.p, i, j)
        steps = [k * turn * (rho**k + rho**-k) / 2 for k in range(areas.shape[1])]
        return np.array([norm(c) for c in areas.T]) @ np.array(steps)

    for j in range(arcs):
        w = rho * acb(0, (2 * j + 1) * turn).exp()
        basis = np.array([(w**k + w**-k) / 2 for k in degrees])
        place = basis[1] + acb(UNIT * moves[1], UNIT * moves[1])
        speed = (segment.centre + segment.half * place).exp().abs_upper()
        size = equations.near(segment.p @ basis, off, reach, moved)
        require(size.is_finite(), "the field is not bounded on an ellipse")
        found = [z.max(x.upper()) for z, x in zip(found, (size * speed, size), strict=True)]
    return found[0], found[1]


class Arcs(Ball):
    """A tube of one radius, the field bounded on arcs, the Hessian interpolated between points."""

    def __init__(self, stated: Any) -> None:
        super().__init__(stated, False)
        self.arcs, self.points = stated["arcs"], stated["points"]
        self.far = arb(number(stated["reach"]))
        require(0 <= self.reach < self.far, "the tube reaches where the field is not bounded")

    def largest(self, equations: Any, segment: Any, rho: arb) -> arb:
        """Bound the field on the ellipse, and prepare :meth:`hessian`."""
        sizes = most(segment, equations, rho, self.arcs, self.far)
        self.between(segment, equations, rho, sizes[1])
        return sizes[0]

    def between(self, segment: Any, equations: Any, rho: arb, bound: arb) -> None:
        """Chebyshev coefficients of the Hessian in the tube, and what they leave."""
        count, tube = self.points, self.reach
        require(type(count) is int and 1 < count <= MOST, "its points are not stated")
        last = count - 1
        states = at_points(segment.p, last) + tube * UNIT
        rows = [equations.hessian(x).ravel().tolist() for x in states]
        half = [arb(1) / 2 if j in (0, last) else arb(1) for j in range(count)]
        cosines = [
            [
                2 * half[j] * half[k] * arb.cos_pi_fmpq(fmpq(j * k % (2 * last), last)) / last
                for j in range(count)
            ]
            for k in range(count)
        ]
        self.coefficients = arb_mat(cosines) * arb_mat(rows)
        self.sizes = arb_mat([[abs(c) for c in row] for row in self.coefficients.tolist()])
        self.rest = 4 * bound / (self.far - tube) * rho**-last / (rho - 1)

    def forms(self, equations: Any, segment: Any, part: int, parts: int) -> tuple[Any, arb]:
        """All Hessians on a part, but for what interpolation leaves in any direction."""
        count, s = self.coefficients.nrows(), arb(2 * part + 1 - parts) / parts
        middle = arb_mat([[s.chebyshev_t(k) for k in range(count)]]) * self.coefficients
        # |T_k'| <= k^2, and |T_k| <= 1.
        turns = arb_mat([[min(k * k / arb(parts), arb(2)) for k in range(count)]])
        flat = np.array(middle.entries()) + np.array((turns * self.sizes).entries()) * UNIT
        size = round(len(flat) ** 0.5)
        return flat.reshape(size, size), self.rest


def near(w: Any, off: Any, mu: Any, reach: arb, moved: Callable[[int, int], arb]) -> arb:
    """Bound the field of complex vectors so far off rows; the last one is the teacher.

    They are within ``reach`` of a curve whose minors of two vectors have ``moved`` by so much.

    Of what is off: ``|a.b - a_0.b_0| <= |a_0||y| + |x||b_0| + |x||y|``, and a root of ``1 + z`` has
    a real part of ``(1 - |z|)^(1/2)`` at least.
    """
    n, e, pi2 = len(w) - 1, np.array([*off, arb(0)]), 2 * arb.pi()
    size, square = _norms(w), (w * w).sum(axis=1)
    d = (2 * size + e) * e
    require(all(x.real > y for x, y in zip(square, d, strict=True)), "a length may vanish")
    root = np.array([x.sqrt() for x in square])
    length = np.array([abs(x) for x in root])
    lost = np.array([y / (x + (x * x - y).sqrt()) for x, y in zip(length, d, strict=True)])
    require(all(x > y for x, y in zip(length, lost, strict=True)), "a length may vanish")
    unit = w / root[:, None]
    across = _norms(unit)
    turned = (e + across * lost) / (length - lost)
    rate = np.tile((w[-1] - w[:-1].sum(axis=0)) / 2, (n, 1))
    error = np.array([e.sum() / 2] * n)
    for i in range(n):
        for j in range(i + 1, n + 1):
            gap, wide = unit[i] - unit[j], turned[i] + turned[j]
            x = acb((gap * gap).sum() / 4)
            if x.real.mid() > 0.5:  # 1 - X by the sum, which is shorter
                gap = unit[i] + unit[j]
                x = 1 - acb((gap * gap).sum() / 4)
            wide = (2 * _norms(gap[None])[0] + wide) * wide / 4
            if abs(x).min(abs(1 - x)) < 2.0**-4:  # minors of what nearly agrees tell more
                first = moved(i, j) + (size[i] + e[i] + size[j] + e[j] + reach) * reach
                both = abs(square[i]) * d[j] + d[i] * abs(square[j]) + d[i] * d[j]
                thin = length[i] * length[j] * _norms(np.array([wedge(unit[i], unit[j])]))[0]
                wide = wide.min(
                    _of_area(
                        (2 * thin + first) * first, 4 * x * (1 - x), length[i] * length[j], both
                    )
                )
            inside = x.real > wide and (1 - x).real > wide
            require(inside or abs(x.imag) > wide, "the field may not be analytic")
            slope = (abs(x) - wide) * (abs(1 - x) - wide)
            require(slope > 0 and abs(x) > wide, "the field may not be analytic")
            slope = 1 / slope.sqrt()
            theta, sine = 2 * (x.sqrt() / (1 - x).sqrt()).atan(), 2 * x.sqrt() * (1 - x).sqrt()
            bent, bow = wide * slope, wide * slope * (abs(1 - 2 * x) + 2 * wide)
            for a, b in ((i, j), (j, i)):
                if a < n:
                    rate[a] -= mu[b] / pi2 * (sine * root[b] * unit[a] - theta * w[b])
                    most = across[a] + turned[a]
                    more = bow * (length[b] + lost[b]) * most + bent * (size[b] + e[b])
                    more += abs(sine) * (lost[b] * most + length[b] * turned[a]) + abs(theta) * e[b]
                    error[a] += more / pi2
    found = _norms(rate) + error
    return (found @ found).sqrt()


def wedge(a: Any, b: Any) -> Any:
    """Coordinates of the area of two vectors."""
    return [a[k] * b[m] - a[m] * b[k] for k, m in combinations(range(len(a)), 2)]


def _of_area(off: arb, sigma: acb, product: arb, lost: arb) -> arb:
    """How far ``X`` is off by ``4 X (1 - X) = sigma = |a^b|^2/(S_a S_b)``, both parts of which are.

    ``|dX/dsigma| = |1 - sigma|^(-1/2)/4``; below ``|sigma| = 1`` that is one of two branches.
    """
    square = product**2
    require(square > lost, "a length may vanish")
    away = (off + abs(sigma) * lost) / (square - lost)
    least = 1 - abs(sigma) - away
    return away / (4 * least.sqrt()) if least > 0 else arb.pos_inf()


def _norms(w: Any) -> Any:
    """Lengths of complex vectors."""
    return np.array([norm(np.array([x for c in row for x in (c.real, c.imag)])) for row in w])
