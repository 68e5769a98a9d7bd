r"""The ReLU neuron in ball arithmetic: exact frame, field, Hessian, kinks.

The flow stays in the span of teacher and start. Gram and Schmidt, in exact rational numbers, give
orthogonal vectors ``g_a`` (``g_0`` is the teacher); only their lengths are rounded, outwards. The
state are the coordinates ``x_{ia} = <w_i, g_a> / |g_a|``, in which distances are those of the
user's own parameters.

In the plane angles are signed by the areas of the pairs, and the field goes on analytically where
a pair aligns.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from flint import acb, arb, arb_mat

from flows.core.arrays import Array
from flows.core.balls import (
    Ball,
    BallFlow,
    Rational,
    Singular,
    dot,
    orthogonal,
    projector,
    rational,
)
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.network import Network
from symbolic.language import lower, primitives
from symbolic.systems.relu_neuron import flow as relu_neuron_flow
from symbolic.systems.relu_neuron import pair as relu_neuron


@functools.cache
def _lowered() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Flow, Hessian coefficients and energy of a pair, as functions of balls."""
    sizes = (relu_neuron.ALPHA, relu_neuron.BETA, relu_neuron.THETA)
    energy = (primitives.definition(relu_neuron.pair_energy()),)
    expressions = (relu_neuron_flow.pair_flow(), relu_neuron.pair_hessian(), energy)
    flow, hessian, loss = (lower.lower(e, sizes, "ball") for e in expressions)
    return flow, hessian, loss


def _sqrt(square: Ball) -> Ball:
    """Square root, of a complex ball only where it is analytic."""
    if isinstance(square, acb) and not square.real > 0:
        raise Singular("a length may vanish")
    return square.sqrt()


def _minors(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    """Coordinates of the area of two vectors."""
    return [a[k] * b[m] - a[m] * b[k] for k, m in combinations(range(len(a)), 2)]


def _area(a: Sequence[Ball], b: Sequence[Ball]) -> Ball:
    """Area of two vectors, signed in the plane."""
    minors = _minors(a, b)
    return minors[0] if len(minors) == 1 else _sqrt(dot(minors, minors))


#: A proof that ends with a neuron below this part of the teacher's length may end at a collapse.
SHORT = 1e-3


def _angle(area: Ball, cosine: Ball, product: Ball) -> Ball:
    """Angle whose sine is ``area/product`` and cosine ``cosine/product``, analytic across 0, pi."""
    acute = cosine.real.mid() >= 0
    half = area / (product + cosine if acute else product - cosine)
    if not half.is_finite():
        raise Singular("an angle is not determined")
    if isinstance(half, acb) and not (half.abs_upper() < 1 or not half.real.contains(0)):
        raise Singular("an angle may leave its branch")
    return 2 * half.atan() if acute else arb.pi() - 2 * half.atan()


@dataclass(frozen=True)
class SpanFlow(BallFlow):
    """The flow of ``n`` neurons in the span of teacher and start.

    Parameters
    ----------
    basis : list of vectors of fmpq
        Orthogonal, exact; the first is the teacher.
    teacher : list of q balls
        ``(|v|, 0, ..., 0)``.
    start : list of n q balls
        Coordinates of the start.
    """

    basis: list[list[Rational]]
    teacher: list[Ball]
    start: list[Ball]
    form = "neurons"

    @classmethod
    def of(cls, start: Sequence[Sequence[float]], teacher: Sequence[float]) -> SpanFlow:
        """Flow from the user's start; doubles are taken as exact numbers."""
        vectors = [[rational(x) for x in row] for row in (teacher, *start)]
        basis = orthogonal(vectors)
        lengths = [arb(dot(g, g)).sqrt() for g in basis]

        def coordinates(w: Sequence[Rational]) -> list[Ball]:
            x = [arb(dot(w, g)) / size for g, size in zip(basis, lengths, strict=True)]
            return x if len(x) > 1 else [*x, arb(0)]  # a plane at least

        rows = [coordinates(w) for w in vectors]
        return cls(basis, rows[0], [x for row in rows[1:] for x in row])

    @property
    def optimum(self) -> list[Ball] | None:  # type: ignore[override]
        """One neuron ends at the teacher."""
        return self.teacher if self.size == self.q else None

    @property
    def q(self) -> int:
        """Dimension of the span, at least 2."""
        return len(self.teacher)

    @property
    def unit(self) -> float:  # type: ignore[override]
        """Length of the teacher."""
        return float(self.teacher[0].mid())

    @property
    def by_boundary(self) -> bool:  # type: ignore[override]
        """Beyond the plane: squares of lengths are in a half-plane, and chords off two rays."""
        return self.q > 2

    def clearance(self, x: Sequence[Ball]) -> float:
        """Least distance of two neurons at the length of the shorter one, or of one and zero."""
        rows = np.array([[float(c.mid()) for c in row] for row in self.rows(x)])
        sizes = np.linalg.norm(rows, axis=1)
        units = rows / sizes[:, None]
        chords = [
            min(np.linalg.norm(units[i] - s * units[j]) for s in (1, -1)) * min(sizes[i], sizes[j])
            for i, j in self.pairs()
        ]
        return float(min(*chords, *sizes))

    def rows(self, x: Sequence[Ball]) -> list[Sequence[Ball]]:
        """Neurons, and the teacher as the last one."""
        return [*(x[k : k + self.q] for k in range(0, len(x), self.q)), self.teacher]

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs ``i < j`` in which at least one moves; ``n`` is the teacher."""
        n = self.size // self.q
        return [(i, j) for i in range(n) for j in range(i + 1, n + 1)]

    def refused(self, radius: float) -> str:
        """A start of the ball may have a neuron at zero, or lie outside the span."""
        rows = self.rows(self.start)[:-1]
        shortest = min(float(dot(w, w).sqrt().lower()) for w in rows)
        if not radius < shortest:
            return f"with {radius:g} a start has a neuron at zero; expected less than {shortest:g}"
        if self.q < min(len(self.basis[0]), len(rows) + 1):
            return (
                "starts nearby span more directions than this start and the teacher; give a start"
                " of independent neurons, or no radius"
            )
        return ""

    def singular(self, x: Sequence[Ball]) -> str:
        """A neuron that may be about to reach zero, where the field is not continuous."""
        norms = [float(dot(w, w).mid()) ** 0.5 for w in self.rows(x)[:-1]]
        if min(norms) > SHORT * self.unit:
            return ""
        name = f"neuron {norms.index(min(norms)) + 1}, of length {min(norms):.2g},"
        return f"{name} is near zero, where the field is not continuous: "

    def restore(self, x: Sequence[Ball]) -> list[list[Ball]]:
        """Neurons in the user's coordinates."""
        lengths = [arb(dot(g, g)).sqrt() for g in self.basis]
        columns = list(zip(*self.basis, strict=True))
        scaled = [
            [a / size for a, size in zip(row, lengths, strict=False)] for row in self.rows(x)[:-1]
        ]
        return [[dot(row, [arb(g) for g in column]) for column in columns] for row in scaled]

    def areas(self, x: Sequence[Any]) -> list[Any]:
        """Signed areas of all pairs, whose zeros are kinks; none beyond the plane."""
        rows = self.rows(x)
        return [_area(rows[i], rows[j]) for i, j in self.pairs()] if self.q == 2 else []

    def field(self, x: Sequence[Ball], signs: Sequence[int]) -> list[Ball]:
        """Minus the gradient; ``signs``, one a pair in the plane, select the analytic branch."""
        rows = self.rows(x)
        norms = [_sqrt(dot(w, w)) for w in rows]
        # Of boxes: shorter or longer neurons have the same angle, and nearly the same quotients.
        angles = [
            _angle(
                _area(rows[i], rows[j]) * (signs[k] if signs else 1),
                dot(rows[i], rows[j]),
                norms[i] * norms[j],
            )
            for k, (i, j) in enumerate(self.pairs())
        ]
        return self._velocity(rows, norms, angles)

    def _velocity(
        self, rows: list[Sequence[Ball]], norms: list[Ball], angles: list[Ball]
    ) -> list[Ball]:
        """Velocities of neurons, of all angles between two."""
        flow, n = _lowered()[0], len(rows) - 1
        mu = [1] * n + [-1]
        # The velocity of each neuron is a combination of all vectors.
        weights = [[arb(0)] * (n + 1) for _ in range(n)]
        for i in range(n):
            weights[i][i] = arb(-0.5)
        for (i, j), theta in zip(self.pairs(), angles, strict=True):
            for a, b in ((i, j), (j, i)):
                if a < n:
                    own, other = flow(norms[a], norms[b], theta)
                    weights[a][a] -= mu[b] * own
                    weights[a][b] = -mu[b] * other
        columns = list(zip(*rows, strict=True))
        return [dot(row, column) for row in weights for column in columns]

    def hessian(self, x: Sequence[Ball]) -> Any:
        """Hessian of the loss, an `arb_mat`; on a box it holds all Hessians, kinks included."""
        coefficients, q, n = _lowered()[1], self.q, self.size // self.q
        rows = self.rows(x)
        directions = [_direction(w) for w in rows]
        norms, units = [size for size, _ in directions], [unit for _, unit in directions]
        zero = arb(0)
        blocks = [[[[zero] * q for _ in range(q)] for _ in range(n)] for _ in range(n)]
        for i in range(n):
            for j in range(n):
                for a in range(q):
                    blocks[i][j][a][a] = arb(0.5)
        for i, j in self.pairs():
            gap = [a - b for a, b in zip(units[i], units[j], strict=True)]
            sum_ = [a + b for a, b in zip(units[i], units[j], strict=True)]
            size = dot(gap, gap).nonnegative_part().sqrt()
            theta = 2 * arb.atan2(size, dot(sum_, sum_).nonnegative_part().sqrt())
            # Projectors on the bisectors of the pair, s s^T and c c^T; their sum is on its plane.
            sums = projector(sum_, 2 * (theta / 2).cos())
            gaps = projector(gap, size)
            for a, b, mu in ((i, j, -1 if j == n else 1), (j, i, 1)):
                if a == n:
                    continue
                spread, shift, twist = coefficients(norms[a], norms[b], theta)
                own, other = blocks[a][a], blocks[a][b] if b < n else None
                for k in range(q):
                    if other is not None:
                        other[k][k] += shift
                    for m in range(q):
                        s, c = sums[k][m], gaps[k][m]
                        # First what nearly vanishes along the neuron, then what is not sharp.
                        turned = (k == m) + s + c - 2 * units[a][k] * units[a][m]
                        own[k][m] += mu * spread * turned
                        if other is not None:
                            other[k][m] += twist * (s - c)
        return arb_mat(
            [
                [blocks[i][j][a][b] for j in range(n) for b in range(q)]
                for i in range(n)
                for a in range(q)
            ]
        )

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles."""
        return arrays.hessian(self._network, np.array([[float(c) for c in x] for x in states]))

    @functools.cached_property
    def _network(self) -> Network:
        n, v = self.size // self.q, tuple((float(c.mid()),) for c in self.teacher)
        return Network(n, (v,), (1.0,), (1.0,) * n, "relu")

    @property
    def bends(self) -> bool:  # type: ignore[override]
        """For two neurons: of one it is not worth its time, of more nothing was tried."""
        return self.size == 2 * self.q

    def loss(self, x: Sequence[Ball]) -> Ball:
        """Population loss on a box."""
        rows, n, energy = self.rows(x), self.size // self.q, _lowered()[2]
        residual = [sum(column[:-1], -column[-1]) for column in zip(*rows, strict=True)]
        norms = [dot(w, w).sqrt() for w in rows]
        total = dot(residual, residual) / 4
        for i, j in self.pairs():
            area, cosine = abs(_area(rows[i], rows[j])), dot(rows[i], rows[j])
            # By the acute angle: a ball about pi would reach across the cut.
            near = cosine.mid() >= 0
            acute = arb.atan2(area, cosine if near else -cosine)
            theta = acute if near else arb.pi() - acute
            # The energy grows with the angle: its ends lose no digits to a wide ball.
            low, high = theta.lower().max(arb(0)), theta.upper()
            bent = energy(1, 1, low)[0].union(energy(1, 1, high)[0])
            total += (-1 if j == n else 1) * norms[i] * norms[j] * bent
        return total


def _direction(w: Sequence[Ball]) -> tuple[Ball, list[Ball]]:
    """Length and unit vector of a box, by the ratios to its largest component.

    A small one in its direction then moves the large one by its square only.
    """
    largest = max(range(len(w)), key=lambda k: float(abs(w[k].mid())))
    if not abs(w[largest]) > 0:
        raise Singular("a neuron may be at zero")
    ratios = [arb(1) if k == largest else x / w[largest] for k, x in enumerate(w)]
    size = dot(ratios, ratios).nonnegative_part().sqrt()
    sign = 1 if w[largest] > 0 else -1
    return abs(w[largest]) * size, [sign * x / size for x in ratios]
