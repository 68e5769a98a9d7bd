r"""Loss, gradient and Hessian of two layers in balls, for exact states.

All come from the dot products of the neurons. What aligned neurons make undefined, a direction
across both, is bounded: its coefficient vanishes there, so that more bits give more digits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flint import arb, arb_mat, ctx

from flows.core.balls import dot
from flows.systems.hidden_layer.network import Kernel, Network, kernel_of
from flows.systems.own.exact import from_doubles

__all__ = ["PairBalls", "constant_loss"]

Vector = Sequence[Any]
Matrix = list[list[Any]]


@dataclass(frozen=True)
class PairBalls:
    """The loss of a network in balls, with the interface of :class:`flows.core.limit.Balls`.

    Parameters
    ----------
    network : Network
        Students and teachers.
    """

    #: More bits always give more digits.
    known: ClassVar[float] = 0.0
    #: No evaluation in two doubles is quicker: charts have programs for these.
    quick: ClassVar[None] = None
    network: Network

    def both(self, y: Vector) -> list[Any]:
        """Loss and gradient; with a kink, zero is the gradient of a student that is zero."""
        net, n = self.network, self.network.students
        kernel = kernel_of(net.activation, "ball")
        u, mu = self._neurons(y)
        count = len(u)
        rows = arb_mat(count, net.d, [x for v in u for x in v])
        dots = (rows * rows.transpose()).tolist()
        loss = constant_loss(net, ctx.prec)
        # Row i: what the gradient by w_i, divided by a_i, is in terms of the neurons.
        weights = [[arb(0)] * count for _ in range(n)]
        means = [arb(0)] * n
        absent = [kernel.bent and row[i].is_zero() for i, row in enumerate(dots)]
        for i in range(n):
            own, slope, _ = kernel.own(dots[i][i])
            loss += mu[i] * mu[i] * own / 2
            means[i] += mu[i] * own
            weights[i][i] += mu[i] * slope
        for i in range(n):
            for q in range(i + 1, count):
                if absent[i] or absent[q]:
                    continue
                k, by_i, by_q, across = _pair(kernel, dots[i][i], dots[q][q], dots[i][q])
                loss += mu[i] * mu[q] * k
                means[i] += mu[q] * k
                weights[i][i] += mu[q] * by_i
                weights[i][q] += mu[q] * across
                if q < n:
                    means[q] += mu[i] * k
                    weights[q][q] += mu[i] * by_q
                    weights[q][i] += mu[i] * across
        slopes = (arb_mat(n, count, [x for row in weights for x in row]) * rows).tolist()
        found = [mu[i] * x for i in range(n) for x in slopes[i]]
        found += means if net.trained else []
        return [loss, *_stretched(net, found)]

    def hessian(self, y: Vector) -> Matrix:
        """Hessian, row by row."""
        net, n, d = self.network, self.network.students, self.network.d
        kernel = kernel_of(net.activation, "ball")
        u, mu = self._neurons(y)
        dots = [[dot(a, b) for b in u] for a in u[:n]]
        squares = [dots[i][i] for i in range(n)] + [dot(v, v) for v in u[n:]]
        found = [[arb(0)] * net.size for _ in range(net.size)]

        def add(i: int, j: int, factor: Any, block: Matrix) -> None:
            for x, row in enumerate(block):
                for z, value in enumerate(row):
                    found[i * d + x][j * d + z] += factor * value

        def add_output(i: int, j: int, column: Vector) -> None:
            for x, value in enumerate(column):
                found[i * d + x][n * d + j] += value
                found[n * d + j][i * d + x] += value

        for i in range(n):
            own, slope, bend = kernel.own(squares[i])
            w = u[i]
            block = [[2 * bend * x * z for z in w] for x in w]
            for x in range(d):
                block[x][x] += slope
            add(i, i, mu[i] * mu[i], block)
            if net.trained:
                add_output(i, i, [2 * mu[i] * slope * x for x in w])
                found[n * d + i][n * d + i] += own
        for i in range(n):
            for q in range(i + 1, len(u)):
                pair = _pair(kernel, squares[i], squares[q], dots[i][q])
                mine, theirs, cross = _blocks(kernel, u[i], u[q], squares[i], squares[q], pair)
                add(i, i, mu[i] * mu[q], mine)
                k, by_i, by_q, across = pair
                pull = [by_i * x + across * z for x, z in zip(u[i], u[q], strict=True)]
                if net.trained:
                    add_output(i, i, [mu[q] * x for x in pull])
                if q >= n:
                    continue
                add(q, q, mu[i] * mu[q], theirs)
                add(i, q, mu[i] * mu[q], cross)
                add(q, i, mu[i] * mu[q], [list(row) for row in zip(*cross, strict=True)])
                if net.trained:
                    push = [by_q * z + across * x for x, z in zip(u[i], u[q], strict=True)]
                    add_output(q, q, [mu[i] * x for x in push])
                    add_output(i, q, [mu[i] * x for x in pull])
                    add_output(q, i, [mu[q] * x for x in push])
                    found[n * d + i][n * d + q] += k
                    found[n * d + q][n * d + i] += k
        if not net.counts:
            return found
        rows = [_stretched(net, row) for row in found]
        columns = [_stretched(net, column) for column in zip(*rows, strict=True)]
        return [list(row) for row in zip(*columns, strict=True)]

    def rates(self, y: Vector, dy: Vector) -> list[Any]:
        """Derivatives of loss and gradient in a direction."""
        slope = self.both(y)[1:]
        return [dot(slope, dy), *(dot(row, dy) for row in self.hessian(y))]

    def _neurons(self, y: Vector) -> tuple[list[Vector], list[Any]]:
        net, n, d = self.network, self.network.students, self.network.d
        teachers, weights = _teachers(net)
        y = _stretched(net, y)
        w = [list(y[i * d : (i + 1) * d]) for i in range(n)]
        a = list(y[n * d :]) or [arb(x) * c for x, c in zip(net.outputs, net.many, strict=True)]
        return w + teachers, a + weights


def _stretched(network: Network, values: Vector) -> Vector:
    """Entries of a state, or of a gradient, times its `stretch`."""
    if not network.counts:
        return values
    roots = [arb(c).sqrt() for c in network.counts]
    factors = [1 / root for root in roots for _ in range(network.d)]
    factors += roots if network.trained else []
    return [x * factor for x, factor in zip(values, factors, strict=True)]


@functools.lru_cache(maxsize=16)
def _teachers(network: Network) -> tuple[list[Vector], list[Any]]:
    """Teachers and their multiplicities, exact."""
    rows: list[Vector] = [from_doubles(v) for v in network.digits]
    return rows, [-arb(b) for b in network.weights]


@functools.lru_cache(maxsize=64)
def constant_loss(network: Network, bits: int) -> Any:
    """Part of the loss that no student changes, at the working precision `bits`."""
    kernel = kernel_of(network.activation, "ball")
    v, mu = _teachers(network)
    squares = [dot(x, x) for x in v]
    total = arb(0)
    for i, (x, m) in enumerate(zip(v, mu, strict=True)):
        total += m * m * kernel.own(squares[i])[0] / 2
        for q in range(i):
            total += m * mu[q] * _pair(kernel, squares[i], squares[q], dot(x, v[q]))[0]
    return total


def _angle(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Area and angle of two vectors of which the squares and the product are given."""
    area = (a * b - c * c).nonnegative_part().sqrt()
    # Above the half turn's middle the angle is one of the opposite vector, near zero.
    return area, arb.pi() - arb.atan2(area, -c) if c < 0 else arb.atan2(area, c)


def _pair(kernel: Kernel, a: Any, b: Any, c: Any) -> Sequence[Any]:
    """Return `k, 2 k_A, 2 k_B, k_C`."""
    if not kernel.bent:
        return kernel.pair(a, b, c)
    e, by_a, by_b, by_c = kernel.pair(a, b, c, *_angle(a, b, c))
    s, t = kernel.linear, kernel.kink
    return s * c + t * e, t * by_a, t * by_b, s + t * by_c


def _blocks(
    kernel: Kernel, u: Vector, v: Vector, a: Any, b: Any, pair: Sequence[Any]
) -> tuple[Matrix, Matrix, Matrix]:
    """Return the second derivatives of `k(u, v)` by `uu`, `vv`, `uv`."""
    _, by_a, by_b, by_c = pair
    if not kernel.bent:
        aa, bb, ab, ac, bc, cc = kernel.curves(a, b, dot(u, v))
        mine = _plane(u, v, by_a, 4 * aa, 2 * ac, 2 * ac, cc)
        theirs = _plane(v, u, by_b, 4 * bb, 2 * bc, 2 * bc, cc)
        return mine, theirs, _crossed(u, v, by_c, 4 * ab, 2 * ac, 2 * bc, cc)
    alpha, beta, (_, theta) = a.sqrt(), b.sqrt(), _angle(a, b, dot(u, v))
    spread, other, twist = (kernel.kink * x for x in kernel.curves(alpha, beta, theta))
    x, z = [c / alpha for c in u], [c / beta for c in v]
    cosine, sine = theta.cos(), theta.sin()
    total = [p + q for p, q in zip(x, z, strict=True)]
    minus = [p - q for p, q in zip(x, z, strict=True)]
    mine = _spread(spread, x, [q - cosine * p for p, q in zip(x, z, strict=True)], sine)
    theirs = _spread(other, z, [p - cosine * q for p, q in zip(x, z, strict=True)], sine)
    near, far = dot(minus, minus), dot(total, total)
    size = len(u)
    if near.contains(0) or far.contains(0):
        cross = [[_within(twist)] * size for _ in range(size)]
    else:
        cross = [
            [twist * (total[i] * total[k] / far - minus[i] * minus[k] / near) for k in range(size)]
            for i in range(size)
        ]
    cross = [
        [value + by_c if i == k else value for k, value in enumerate(row)]
        for i, row in enumerate(cross)
    ]
    return mine, theirs, cross


def _spread(spread: Any, x: Vector, across: Vector, sine: Any) -> Matrix:
    """Return `spread (I - x x^T + n n^T)`, where `n` is the unit vector of `across`."""
    found = []
    for i, p in enumerate(x):
        row = []
        for k, q in enumerate(x):
            bent = (
                _within(spread)
                if sine.contains(0)
                else spread * across[i] * across[k] / (sine * sine)
            )
            row.append(bent - spread * p * q + (spread if i == k else 0))
        found.append(row)
    return found


def _within(size: Any) -> Any:
    """Ball of all numbers that are no larger."""
    return arb(0, size.abs_upper())


def _plane(u: Vector, v: Vector, one: Any, uu: Any, uv: Any, vu: Any, vv: Any) -> Matrix:
    """Return `one I + uu u u^T + uv u v^T + vu v u^T + vv v v^T`."""
    pairs = list(zip(u, v, strict=True))
    return [
        [
            uu * p * r + uv * p * s + vu * q * r + vv * q * s + (one if i == k else 0)
            for k, (r, s) in enumerate(pairs)
        ]
        for i, (p, q) in enumerate(pairs)
    ]


def _crossed(u: Vector, v: Vector, one: Any, ab: Any, ac: Any, bc: Any, cc: Any) -> Matrix:
    """Return `one I + ab u v^T + ac u u^T + bc v v^T + cc v u^T`."""
    return _plane(u, v, one, ac, ab, cc, bc)
