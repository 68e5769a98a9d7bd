"""Observables of neurons on a box: lengths, angles, distances, and their rates.

Where some neurons reach zero: on all pieces, and while one vanishes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from flint import arb

from flows.certificates import chebyshev
from flows.certificates.boxes import Ball, Box, Enclosure, Vector
from flows.certificates.certificate import Certificate, Origin
from flows.certificates.chebyshev import Row
from flows.certificates.continued import AtZero
from flows.certificates.living import Living
from flows.certificates.proof import norm as norm_of
from flows.core.balls import dot
from potentials.potential import Over

UNIT = arb(0, 1)
_NEURONS = {"h", "zeta", "norm", "theta"}
_PAIRS = {"distance", "kappa", "theta_pair"}


class NeuronBox(Box):
    """Quantities of `n` neurons in the frame of the system's `enclosed_field.SpanFlow`."""

    names: frozenset[str] = frozenset({"rho", "residual_norm", *_NEURONS, *_PAIRS})

    @classmethod
    def enclose(cls, certificate: Certificate) -> Enclosure:
        """Also of neurons that reach zero."""
        if isinstance(certificate.infinity, AtZero):
            return Joined(certificate)
        return super().enclose(certificate)

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
            self["residual_norm"] = norm_of(self.residual)
            if rates:
                along = dot(self.residual, self.velocity[-self.q :])
                self["residual_norm_dot"] = along / self["residual_norm"]
        elif base in _NEURONS:
            self._fill_neurons(rates)
        else:
            self._fill_pairs(rates)

    def _fill_neurons(self, rates: bool) -> None:
        h, z = [w[0] for w in self.w], [w[1:] for w in self.w]
        zeta = self["zeta"] = [norm_of(x) for x in z]
        norm = self["norm"] = [norm_of(w) for w in self.w]
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
        self["distance"] = [norm_of(gap) for gap in gaps]
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


def _area(a: Vector, b: Vector) -> Ball:
    minors = [a[k] * b[m] - a[m] * b[k] for k in range(len(a)) for m in range(k)]
    return dot(minors, minors).nonnegative_part().sqrt() if minors else arb(0)


def _angle(a: Vector, b: Vector) -> Ball:
    return _any(arb.atan2(_area(a, b), dot(a, b)).nonnegative_part())


def _any(angle: Ball) -> Ball:
    """An angle, any where it is not determined."""
    return angle if angle.is_finite() else arb(0).union(arb.pi())


class Window:
    """Until a neuron surely is at zero: where the others are, and how short it is.

    Parameters
    ----------
    found : AtZero
        What is proved of it.
    before, after : Enclosure
        Pieces with the neuron, and without it.
    """

    def __init__(self, found: AtZero, before: Enclosure, after: Enclosure) -> None:
        self.found, self.before, self.after = found, before, after
        certificate, q = before.certificate, before.flow.q
        last = certificate.pieces[-1]
        state = [arb((sum(row), -certificate.bits)) + UNIT * last.error for row in last.rows]
        self.rows = rows_of(state, q)
        self.size = norm_of(self.rows[found.neuron]).upper()
        self.begin = arb((last.end, -certificate.bits)).expm1()
        span = after.certificate.span(0)
        until = (1 + self.begin + self.size / arb(found.slope)).log()
        #: Where it ends on the first piece after it, at a double or later.
        self.until = min(1.0, float(((until - span.centre) / span.half).upper()) + 2.0**-50)
        self.end = (span.centre + span.half * arb(self.until)).expm1()


class WindowBox(NeuronBox):
    """Quantities while a neuron vanishes: it is anywhere in a ball about zero."""

    def __init__(self, joined: Joined, window: Window, living: Living) -> None:
        dict.__init__(self, joined.constants)
        self.enclosure, self.window, self.living = joined, window, living
        found, q = window.found, joined.flow.q
        self.q, self.pairs = q, joined.pairs
        self["t"] = window.begin.union(window.end)
        near = [[x + UNIT * found.reach for x in w] for w in window.rows]
        near[found.neuron] = [UNIT * window.size] * q
        self.others = [w for k, w in enumerate(near) if k != found.neuron]
        self.w = living.neurons(near, [arb(0)] * q)
        self._combine()

    def _combine(self) -> None:
        """Differences of neurons, and their sum."""
        self.x = [x for w in self.w for x in w]
        teacher = self.enclosure.flow.teacher
        self.apart = [_less(self.w[i], self.w[j]) for i, j in self.pairs]
        self.residual = _less([sum(x, arb(0)) for x in zip(*self.w, strict=True)], teacher)

    @functools.cached_property
    def velocity(self) -> Vector:
        """That of the others without it, what it adds, and any of its own that is possible."""
        window, q = self.window, self.q
        inner: Any = window.after.box(0, -1.0, window.until)
        flat = [x for w in self.others for x in w]
        entries = [c for row in window.after.flow.hessian(flat).tolist() for c in row]
        stiff = dot(entries, entries).nonnegative_part().sqrt()
        more = UNIT * (2 * window.found.reach * stiff + window.size / 2)
        moving = rows_of([v + more for v in inner.velocity[: len(flat)]], q)
        moving.insert(window.found.neuron, [UNIT * self._most] * q)
        every = self.living.neurons(moving, [arb(0)] * q)
        found = [x for w in every for x in w]
        found += [x for i, j in self.pairs for x in _less(every[i], every[j])]
        return found + [sum(x, arb(0)) for x in zip(*every, strict=True)]

    @property
    def _most(self) -> Ball:
        """Bound of the speed of a short neuron: half of the residual and of all lengths."""
        teacher = self.enclosure.flow.teacher
        sizes = sum(map(norm_of, self.others), norm_of(teacher))
        missing = _less([sum(x, arb(0)) for x in zip(*self.others, strict=True)], teacher)
        return ((norm_of(missing) + sizes) / 2).upper()

    def _fill_loss(self, name: str) -> None:
        window = self.window
        if name == "loss":  # it falls
            early = window.before.loss(len(window.before.certificate.pieces) - 1, 1.0)
            self["loss"] = early.union(window.after.loss(0, 1.0)).nonnegative_part()
            return
        k, q = self.living.left[window.found.neuron], self.q
        moving = self.velocity[: len(self.x)]
        del moving[k * q : (k + 1) * q]
        own = (arb(window.found.slope) ** 2).union(self._most**2)
        square = dot(moving, moving).nonnegative_part() + own
        self["loss_dot"], self["gradient_norm"] = -square, square.sqrt()


class RestBox(NeuronBox):
    """Quantities after neurons have reached zero, from those of the others."""

    def __init__(self, joined: Joined, inner: Box, living: Living) -> None:
        dict.__init__(self, joined.constants)
        self.enclosure, self.inner, self.living = joined, inner, living
        self["t"] = inner["t"]

    def fill(self, base: str, rates: bool) -> None:
        """Evaluate a quantity, and its rate."""
        for name in (base, f"{base}_dot")[: 1 + rates]:
            values = self.inner[name]
            if base in ("rho", "residual_norm"):
                self[name] = values
            elif base in ("distance", "kappa", "theta_pair"):
                of = f"zeta{name.removeprefix('distance')}" if base == "distance" else None
                self[name] = self.living.pairs(values, self[of] if of else None)
            else:
                self[name] = self.living.neurons(values)

    def _fill_loss(self, name: str) -> None:
        self[name] = self.inner[name]


class Joined(Enclosure):
    """Pieces with all neurons, and without those that have reached zero, one after the other.

    Between them is one box, while a neuron vanishes.
    """

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(certificate, NeuronBox)
        self.pairs = [
            (i, j) for i in range(self.count["neuron"]) for j in range(i + 1, self.count["neuron"])
        ]
        living, before = Living.all(self.count["neuron"]), Enclosure(certificate, NeuronBox)
        self.places: list[tuple[Any, int, Living]] = [
            (None, k, living) for k in range(len(certificate.pieces))
        ]
        self.begins = [-1.0] * len(self.places)
        while isinstance(proof := before.certificate.infinity, AtZero):
            after = Enclosure(left(before.certificate, proof), NeuronBox)
            window = Window(proof, before, after)
            self.places.append((window, 0, living))
            living, before = living.without(proof.neuron), after
            self.places += [(after, k, living) for k in range(len(proof.pieces))]
            self.begins += [1.0, window.until, *[-1.0] * (len(proof.pieces) - 1)]
        self.last, self.living = before.certificate, living

    @property
    def segments(self) -> int:
        """Pieces, and a box between some."""
        return len(self.places)

    def begin(self, index: int) -> float:
        """Where a segment begins; one of length zero is a single box."""
        return self.begins[index]

    def box(self, index: int, low: float, high: float) -> Box:
        """Box of a stretch of a segment."""
        of, local, living = self.places[index]
        if of is None:
            return super().box(local, low, high)
        if isinstance(of, Window):
            return WindowBox(self, of, living)
        return RestBox(self, of.box(local, low, high), living)


def left(certificate: Certificate, found: AtZero) -> Certificate:
    """The pieces of the neurons that are left, and what continues them."""
    flow: Any = certificate.flow()  # a SpanFlow
    system: Any = certificate.form()[0]  # a ReLUNeuron
    last = certificate.pieces[-1]
    rows = rows_of(chebyshev.evaluated(last.rows, arb(1), certificate.bits), flow.q)
    del rows[found.neuron]
    return replace(
        certificate,
        system=replace(system, n=len(rows)),
        start=np.delete(certificate.start, found.neuron, axis=0),
        pieces=found.pieces,
        infinity=found.then,
        origin=Origin(replace(flow, start=[x for row in rows for x in row]), last.end),
    )


def _less(a: Sequence[Ball], b: Sequence[Ball]) -> Vector:
    return [x - y for x, y in zip(a, b, strict=True)]


BOX = NeuronBox
