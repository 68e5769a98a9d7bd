r"""The flow of neurons near its end, exactly, in variables that stay of order one.

Teacher of length one along the first axis, ``w_i = (h_i, z_i)``, clock ``s = 1/(t0 + t)``, ``z_i =
s y_i``, ``sum z = s^2 rho``, ``sum h - 1 = s^2 sigma``; ``E`` an orthonormal basis of what sums to
zero, ``y = E c + a``, ``a = s rho/n``, ``h = E g + (1 + r0)/n``, ``r0 = s^2 sigma``, ``X = s^2``.
A dash is a derivative along ``tau = -log s``:

    c'       = F := c - E^T B / 2 pi
    g'       = s^2 G,   G := -E^T A / 2 pi
    s rho'   = -(n/2 - 2 s) rho   - sum_i B_i / 2 pi
    s sigma' = -(n/2 - 2 s) sigma - s sum_i A_i / 2 pi
    L / s^3  = Lambda := s (|rho|^2 + sigma^2)/4 + (sum over pairs) / 2 pi

with ``N_i = |w_i|``, ``q_i = y_i/N_i``, ``c_i = h_i/N_i``, angles ``s phi`` of pairs, and

    B_i = sum_j mu_j N_j [ phi (q_i - q_j) + X phi^3 S(X phi^2) q_i ]
    A_i = sum_j mu_j N_j [ phi^3 S(X phi^2) c_i + phi w_ij ],  w = (|q_j|^2 - |q_i|^2)/(c_i + c_j)
    pair: mu_i mu_j N_i N_j phi^3 e3(X phi^2).

At ``s = 0`` the field ``F`` is minus a gradient in ``c``, and ``Lambda = |c|^2/3`` at its zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from flint import arb

from flows.certificates.tail.jet import ASINC, ENERGY, SINC, Jet, constants, dot, variables
from flows.core.balls import Singular

Ball = Any  # flint.arb
Vector = list[Ball]
QUARTER = 0.25


class Seen(NamedTuple):
    """Shapes ``c = cbar + P x``: the matrix ``P``, and the part of each ``y`` that sums to zero."""

    matrix: list[Vector]
    y: list[Vector]


class Point(NamedTuple):
    """A state of the late flow, or a box of them: balls.

    Where shapes are seen in other coordinates, gradients are by these.
    """

    c: Vector
    a: Vector
    g: Vector
    r0: Ball
    x: Ball
    seen: Seen | None = None


class Rates(NamedTuple):
    """What the late flow does at a point, with gradients by ``(c, a, g, r0, X)``."""

    shape: list[Jet]  # F
    drift: list[Jet]  # G
    across: list[Jet]  # sum_i B_i / 2 pi
    along: Jet  # sum_i A_i / 2 pi
    energy: Jet  # Lambda without the residual


class _Pair(NamedTuple):
    """What two neurons share: ``phi (q_i - q_j)``, ``phi w``, ``phi^2``, ``phi^3``."""

    gap: list[Jet]
    turn: Jet
    square: Jet
    cube: Jet


def helmert(n: int) -> list[Vector]:
    """Orthonormal columns of what sums to zero, one a list."""
    columns = []
    for k in range(1, n):
        scale = arb(k * (k + 1)).sqrt()
        columns.append([arb(1) / scale] * k + [arb(-k) / scale] + [arb(0)] * (n - 1 - k))
    return columns


@dataclass(frozen=True)
class LateFlow:
    """The late flow of ``n`` neurons with ``p`` coordinates across the teacher."""

    n: int
    p: int

    @property
    def size(self) -> int:
        """Coordinates of a shape."""
        return (self.n - 1) * self.p

    def project(self, rows: Sequence[Sequence[Ball]]) -> Vector:
        """``E^T`` of vectors, one a neuron, flat."""
        return [
            sum((e * row[k] for e, row in zip(column, rows, strict=True)), arb(0))
            for column in helmert(self.n)
            for k in range(len(rows[0]))
        ]

    def rotations(self, c: Sequence[Ball]) -> list[Vector]:
        """How a shape moves under each rotation of the space across the teacher."""
        found = []
        for a in range(self.p):
            for b in range(a):
                turned = []
                for k in range(0, self.size, self.p):
                    move = [arb(0)] * self.p
                    move[a], move[b] = -c[k + b], arb(1) * c[k + a]
                    turned += move
                found.append(turned)
        return found

    def rates(self, at: Point, slopes: bool = True) -> Rates:
        """Evaluate at a point or box; gradients are left out unless asked for."""
        flat = [*at.c, *at.a, *at.g, at.r0, at.x]
        jets = variables(flat) if slopes else constants(flat)
        m, p, n = self.size, self.p, self.n
        c, a, g = jets[:m], jets[m : m + p], jets[m + p : m + p + n - 1]
        if at.seen is not None and slopes:
            c = [
                Jet(x.value, sum_of(jets[:m], row).slope)
                for x, row in zip(c, at.seen.matrix, strict=True)
            ]
        r0, x = jets[-2:]
        basis, (zero, one) = helmert(n), constants([arb(0), arb(1)], len(flat) if slopes else 0)
        share = (r0 + 1) * (arb(1) / n)
        y, h = [], []
        for i in range(n):
            y.append(
                [
                    sum(
                        (c[k * p + j] * basis[k][i] for k in range(n - 1) if basis[k][i] != 0), a[j]
                    )
                    for j in range(p)
                ]
            )
            if at.seen is not None:  # more sharply
                y[i] = [
                    Jet(known + a[j].value, y[i][j].slope) for j, known in enumerate(at.seen.y[i])
                ]
            h.append(sum((g[k] * basis[k][i] for k in range(n - 1)), share))
        size = [(h[i] * h[i] + x * dot(y[i], y[i])).sqrt() for i in range(n)] + [one]
        q = [[y[i][j] / size[i] for j in range(p)] for i in range(n)] + [[zero] * p]
        cos = [h[i] / size[i] for i in range(n)] + [one]
        across = [[zero] * p for _ in range(n)]
        along, energy = [zero] * n, zero
        for i in range(n):
            for j in range(i + 1, n + 1):
                mu = 1 if j < n else -1
                pair = _pair(q[i], q[j], cos[i], cos[j], x)
                angle = x * pair.square
                bent = pair.cube * angle.of(SINC)
                for here, other, sign in ((i, j, 1), (j, i, -1))[: 2 if j < n else 1]:
                    weight = size[other] * mu
                    for k in range(p):
                        pull = pair.gap[k] * sign + x * bent * q[here][k]
                        across[here][k] = across[here][k] + weight * pull
                    along[here] = along[here] + weight * (bent * cos[here] + pair.turn * sign)
                energy = energy + size[i] * size[j] * pair.cube * angle.of(ENERGY) * mu
        unit = 1 / (2 * arb.pi())
        shape, drift = [], []
        for k in range(n - 1):
            for j in range(p):
                pulled = sum((across[i][j] * basis[k][i] for i in range(n)), zero)
                shape.append(c[k * p + j] - pulled * unit)
            drift.append(sum((along[i] * basis[k][i] for i in range(n)), zero) * -unit)
        total = [sum((across[i][j] for i in range(n)), zero) * unit for j in range(p)]
        return Rates(shape, drift, total, sum(along, zero) * unit, energy * unit)


def sum_of(jets: Sequence[Any], weights: Sequence[Ball]) -> Any:
    """``sum_k a_k x_k`` of jets, or of balls."""
    total = jets[0] * weights[0]
    for x, a in zip(jets[1:], weights[1:], strict=True):
        total = total + x * a
    return total


def _pair(q: Sequence[Jet], r: Sequence[Jet], c: Jet, d: Jet, x: Jet) -> _Pair:
    """Of unit vectors ``(c, s q)`` and ``(d, s r)``; with ``m`` below, ``w = -<q - r, m>``."""
    if not (c + d).value > 0:
        raise Singular("a neuron may point away from the teacher")
    apart = [a - b for a, b in zip(q, r, strict=True)]
    m = [(a + b) / (c + d) for a, b in zip(q, r, strict=True)]
    if len(q) == 1:  # |d| d and |d|^3 are C^1 where neurons change places
        gap, spread = apart[0], x * m[0] * m[0] + 1
        stretch = spread.sqrt() * (x * gap * gap * spread * QUARTER).of(ASINC)
        pull, fold = gap.signed_square() * stretch, stretch * stretch
        return _Pair([pull], pull * m[0] * -1, gap * gap * fold, gap.cubed_size() * fold * stretch)
    w = dot(apart, m) * -1
    square = dot(apart, apart) + x * w * w
    chi = square.sqrt() if square.value > 0 else _length(apart, w, m, x, square.value)
    phi = chi * (x * square * QUARTER).of(ASINC)
    fold = phi * phi
    return _Pair([phi * gap for gap in apart], phi * w, fold, fold * phi)


def _length(d: Sequence[Jet], w: Jet, m: Sequence[Jet], x: Jet, square: Ball) -> Jet:
    """``chi = sqrt(|d|^2 + X w^2)`` where both may vanish: it is Lipschitz.

    Its slopes are ``(<d, d'> + X w w' + w^2 X'/2)/chi``, where ``|d| <= chi`` and ``|w| <= |m|
    |d|``; what is made of it here is C^1, and its slopes lie in the same balls.
    """
    chi, steep = square.nonnegative_part().sqrt(), dot(m, m).value.nonnegative_part()
    whole = arb(0, 1)
    slope = w.slope * (whole * x.value * steep.sqrt()) + x.slope * (whole * steep * chi.upper() / 2)
    for gap in d:
        slope = slope + gap.slope * whole
    return Jet(chi, slope)
