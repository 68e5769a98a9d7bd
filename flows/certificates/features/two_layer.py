"""Observables of students and teachers on a box, and their rates."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from flint import arb, arb_mat, fmpq

from flows.certificates.boxes import Ball, Box, Enclosure, Vector
from flows.certificates.features.spectrum import least_eigenvalue, singular_values
from flows.certificates.proof import norm
from flows.core.balls import Singular, dot
from potentials.potential import Over

_EACH = frozenset({"norm", "output", "bias", "layer_balance_of"})
_SIZES = frozenset({"cluster_most", "cluster_least", "cluster_constant", "output_gap"})
_OTHERS = _SIZES | {"share", "residual", "lone_residual", "least_eigenvalue"}


class StudentBox(Box):
    """Quantities of :mod:`flows.systems.two_layer.features`, in balls."""

    names: frozenset[str] = _EACH | _OTHERS

    @staticmethod
    def count(enclosure: Enclosure) -> dict[Over, int]:
        """Students."""
        return {"state": 1, "neuron": enclosure.certificate.system.parameters["n"], "pair": 0}

    @staticmethod
    def constants(enclosure: Enclosure) -> dict[str, Ball]:
        """What doubles say of the teachers to a rounding: their gap, and whether it is exact."""
        known = enclosure.certificate.system.parameters
        exact = [[fmpq(*x.as_integer_ratio()) for x in v] for v in known["teachers"]]
        gram = [[dot(u, v) for v in exact] for u in exact]
        one = all(x == (i == j) for i, row in enumerate(gram) for j, x in enumerate(row))
        gap = arb(0)
        if len(exact) <= known["d"]:
            rows = [[arb(x) / arb(dot(v, v)).sqrt() for x in v] for v in exact]
            gap = singular_values(arb_mat(rows))[-1]
        return {"teacher_gap": gap, "is_orthonormal": arb(known["is_orthonormal"] and one)}

    def __init__(self, enclosure: Enclosure, index: int, low: float, high: float) -> None:
        super().__init__(enclosure, index, low, high)
        system: Any = enclosure.certificate.system  # a TwoLayer
        self.about = system.parameters
        self.teachers = [[arb(x) for x in v] for v in self.about["teachers"]]
        self.squares = [dot(v, v) for v in self.teachers]
        self.weights = [arb(b) for b in self.about["teacher_weights"]]
        bent = self.about["degree"] == 1
        self.kink = (1 - arb(self.about["negative_slope"])) ** 2 if bent else None
        self.students = self._apart(self.x, [arb(a) for a in self.about["output_weights"]])

    def _apart(self, entries: Vector, fixed: Vector) -> tuple[list[Vector], Vector, Vector]:
        """Neurons, outputs and biases of all students."""
        rows = self.enclosure.certificate.system.shaped(np.array(entries, dtype=object)).tolist()
        d = self.about["d"]
        outputs = [row[-1] for row in rows] if self.about["train_outputs"] else fixed
        return [row[:d] for row in rows], outputs, [row[d] for row in rows if len(row) > d]

    @functools.cached_property
    def _moving(self) -> tuple[list[Vector], Vector, Vector]:
        size = self.enclosure.flow.size
        return self._apart(self.velocity[:size], [arb(0)] * self.about["n"])

    def fill(self, base: str, rates: bool) -> None:
        """Evaluate a quantity with those of its kind."""
        if rates and base not in _EACH:
            raise Singular(f"the rate of {base} is not enclosed")
        if base == "least_eigenvalue":
            self[base] = least_eigenvalue(self.enclosure.flow.hessian(self.x))
        elif base in _EACH:
            self._fill_students(rates)
        else:
            self._fill_clusters()

    def _fill_students(self, rates: bool) -> None:
        (w, a, c), p = self.students, arb(self.about["degree"])
        self["norm"], self["output"] = [norm(x) for x in w], a
        if self.about.get("biases"):
            self["bias"] = c
        balanced = self.about["train_outputs"] and p > 0
        if balanced:
            self["layer_balance_of"] = [p * y * y - dot(x, x) for x, y in zip(w, a, strict=True)]
        if rates:
            fixed = [arb(0)] * self.about["n"]
            v, b, e = self._apart(self.velocity[: self.enclosure.flow.size], fixed)
            along = [dot(x, y) for x, y in zip(w, v, strict=True)]
            self["norm_dot"] = [x / s for x, s in zip(along, self["norm"], strict=True)]
            self["output_dot"] = b
            if self.about.get("biases"):
                self["bias_dot"] = e
            if balanced:
                self["layer_balance_of_dot"] = [
                    2 * (p * y * z - x) for x, y, z in zip(along, a, b, strict=True)
                ]

    def _fill_clusters(self) -> None:
        w, a, _ = self.students
        which = [self._next_to(x, y) for x, y in zip(w, a, strict=True)]
        of = [[i for i, j in enumerate(which) if j == k] for k in range(len(self.weights))]
        sizes = [len(each) for each in of]
        self["cluster_most"] = arb(max(sizes))
        self["cluster_least"] = arb(0 if -1 in which else min(sizes))
        self["residual"] = [self._residual(j, each) for j, each in enumerate(of)]
        lone = [r for r, size in zip(self["residual"], sizes, strict=True) if size == 1]
        self["lone_residual"] = functools.reduce(arb.max, lone) if lone else arb.nan()
        sums = [sum((a[i] for i in each), arb(0)) for each in of]
        gaps = [abs(x - b) for x, b in zip(sums, self.weights, strict=True)]
        self["output_gap"] = functools.reduce(arb.max, gaps)
        share = self["share"] = [
            a[i] * dot(w[i], self.teachers[j]) / (self.weights[j] * self.squares[j])
            if j >= 0
            else arb.nan()
            for i, j in enumerate(which)
        ]
        few = self.kink is not None and -1 not in which and {*sizes} <= {1, 2}
        total = arb(0) if few else arb.nan()
        for j, (i, k) in ((j, each) for j, each in enumerate(of) if few and len(each) == 2):
            spread = 1 / (a[i] * a[i]) + 1 / (a[k] * a[k])
            size = self.weights[j] ** 2 * self.squares[j]
            total += (share[i] * share[k]) ** 2 * size * spread**3
        self["cluster_constant"] = total * arb.pi() ** 2 / (3 * (self.kink or arb(1)) ** 2)

    def _next_to(self, w: Vector, a: Ball) -> int:
        """Teacher of the least angle among those that a student has a share of; -1 if none."""
        shares = [a * dot(w, v) / b for v, b in zip(self.teachers, self.weights, strict=True)]
        cosines = [
            abs(dot(w, v)) / square.sqrt()
            for v, square in zip(self.teachers, self.squares, strict=True)
        ]
        able = [j for j, x in enumerate(shares) if not x <= 0]
        for j in able:
            if shares[j] > 0 and all(cosines[j] > cosines[k] for k in able if k != j):
                return j
        if able:
            raise Singular("it is not known which teacher a student is next to")
        return -1

    def _residual(self, j: int, students: list[int]) -> Ball:
        """Length of what the students of a teacher leave; not known where it has none."""
        if not students:
            return arb.nan()
        (w, a, _), v, b = self.students, self.teachers[j], self.weights[j]
        rest = [sum((a[i] * w[i][k] for i in students), arb(0)) - b * x for k, x in enumerate(v)]
        return norm(rest)


BOX = StudentBox
