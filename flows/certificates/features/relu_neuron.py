"""Observables of neurons on a box: lengths, angles, distances, and their rates."""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb

from flows.certificates.boxes import Ball, Box, Enclosure, Vector
from flows.certificates.chebyshev import Row
from flows.core.balls import dot
from potentials.potential import Over

_NEURONS = {"h", "zeta", "norm", "theta"}
_PAIRS = {"distance", "kappa", "theta_pair"}


class NeuronBox(Box):
    """Quantities of `n` neurons in the frame of the system's `field_balls.SpanFlow`."""

    names: frozenset[str] = frozenset({"rho", "residual_norm", *_NEURONS, *_PAIRS})

    @staticmethod
    def count(enclosure: Enclosure) -> dict[Over, int]:
        """Neurons, and their pairs."""
        n = enclosure.flow.size // enclosure.flow.q
        return {"state": 1, "neuron": n, "pair": n * (n - 1) // 2}

    @staticmethod
    def constants(enclosure: Enclosure) -> dict[str, Ball]:
        """Length of the teacher, which is a double only by rounding."""
        return {"teacher_norm": enclosure.flow.teacher[0]}

    @staticmethod
    def combined(enclosure: Enclosure, rows: Sequence[Row]) -> list[Row]:
        """Differences of neurons, and their sum."""
        q = enclosure.flow.q
        neurons = [rows[k : k + q] for k in range(0, len(rows), q)]
        apart = [
            [x - y for x, y in zip(a, b, strict=True)]
            for i, j in _pairs(len(neurons))
            for a, b in zip(neurons[i], neurons[j], strict=True)
        ]
        total = [
            [sum(column) for column in zip(*component, strict=True)]
            for component in zip(*neurons, strict=True)
        ]
        return [*apart, *total]

    def __init__(self, enclosure: Enclosure, index: int, low: float, high: float) -> None:
        super().__init__(enclosure, index, low, high)
        self.q, self.pairs = enclosure.flow.q, _pairs(enclosure.count["neuron"])
        total = self.known[len(self.speeds) - self.q :]
        self.apart = rows_of(self.known[len(self.x) : len(self.speeds) - self.q], self.q)
        self.residual = [a - b for a, b in zip(total, enclosure.flow.teacher, strict=True)]
        self.w = rows_of(self.x, self.q)

    def fill(self, base: str, rates: bool) -> None:
        """Evaluate a quantity with all others of its kind."""
        if base == "rho":
            self["rho"] = self.residual[0]
            if rates:
                self["rho_dot"] = self.velocity[-self.q]
        elif base == "residual_norm":
            self["residual_norm"] = length_of(self.residual)
            if rates:
                along = dot(self.residual, self.velocity[-self.q :])
                self["residual_norm_dot"] = along / self["residual_norm"]
        elif base in _NEURONS:
            self._fill_neurons(rates)
        else:
            self._fill_pairs(rates)

    def _fill_neurons(self, rates: bool) -> None:
        h, z = [w[0] for w in self.w], [w[1:] for w in self.w]
        zeta = self["zeta"] = [length_of(x) for x in z]
        norm = self["norm"] = [length_of(w) for w in self.w]
        self["h"] = h
        self["theta"] = [_any(arb.atan2(b, a)) for a, b in zip(h, zeta, strict=True)]
        if rates:
            moved = rows_of(self.velocity[: len(self.x)], self.q)
            self["h_dot"] = [v[0] for v in moved]
            self["zeta_dot"] = [dot(x, v[1:]) / s for x, v, s in zip(z, moved, zeta, strict=True)]
            self["norm_dot"] = [dot(w, v) / s for w, v, s in zip(self.w, moved, norm, strict=True)]
            self["theta_dot"] = [
                (a * c - b * v[0]) / (s * s)
                for a, b, c, v, s in zip(h, zeta, self["zeta_dot"], moved, norm, strict=True)
            ]

    def _fill_pairs(self, rates: bool) -> None:
        z, zeta, pairs = [w[1:] for w in self.w], self["zeta"], self.pairs
        gaps = [gap[1:] for gap in self.apart]
        self["distance"] = [length_of(gap) for gap in gaps]
        self["kappa"] = [_angle(z[i], z[j]) for i, j in pairs]
        self["theta_pair"] = [_angle(self.w[i], self.w[j]) for i, j in pairs]
        if rates:
            q, moved = self.q, rows_of(self.velocity, self.q)
            speeds = [v[1:] for v in moved[len(z) : len(z) + len(pairs)]]
            self["distance_dot"] = [
                dot(a, b) / s for a, b, s in zip(gaps, speeds, self["distance"], strict=True)
            ]
            turning = []
            for i, j in pairs:
                product = zeta[i] * zeta[j]
                cosine = dot(z[i], z[j]) / product
                growth = self["zeta_dot"][i] / zeta[i] + self["zeta_dot"][j] / zeta[j]
                change = (dot(moved[i][1:], z[j]) + dot(z[i], moved[j][1:])) / product
                sine = _area(z[i], z[j]) / product
                turning.append((cosine * growth - change) / sine if q > 2 else arb(0))
            self["kappa_dot"] = turning


def _pairs(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


def rows_of(values: Vector, q: int) -> list[Vector]:
    """Numbers of each neuron."""
    return [values[k : k + q] for k in range(0, len(values), q)]


def length_of(vector: Vector) -> Ball:
    """Euclidean length."""
    return abs(vector[0]) if len(vector) == 1 else dot(vector, vector).nonnegative_part().sqrt()


def _area(a: Vector, b: Vector) -> Ball:
    minors = [a[k] * b[m] - a[m] * b[k] for k in range(len(a)) for m in range(k)]
    return dot(minors, minors).nonnegative_part().sqrt() if minors else arb(0)


def _angle(a: Vector, b: Vector) -> Ball:
    return _any(arb.atan2(_area(a, b), dot(a, b)).nonnegative_part())


def _any(angle: Ball) -> Ball:
    """An angle, any where it is not determined."""
    return angle if angle.is_finite() else arb(0).union(arb.pi())
