r"""Neurons in balls: exact orthogonal coordinates in the span of teacher and start.

Gram and Schmidt, in exact rational numbers, give orthogonal vectors ``g_a`` (``g_0`` is the
teacher); only their lengths are rounded, outwards. The state are the coordinates ``x_{ia} =
<w_i, g_a> / |g_a|``, in which distances are those of the user's own parameters.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.frames.flow import Flow
from flows.certificates.verifier.at_zero import without
from flows.core.arrays import Array
from flows.core.balls import Ball, Rational, dot, orthogonal, rational
from flows.systems.hidden_layer import arrays
from flows.systems.hidden_layer.network import Network

#: A proof that ends with a neuron below this part of the teacher's length may end at a collapse.
SHORT = 1e-3


class NeuronFlow(Flow):
    """The flow of ``n`` neurons in the span of teacher and start.

    Parameters
    ----------
    system : System
        It holds the teacher.
    equations : Equations
        The verifier's.
    basis : list of vectors of fmpq, optional
        Orthogonal, exact; the first is the teacher: of neurons that are left of others.
    """

    def __init__(
        self, system: Any, equations: Any, basis: list[list[Rational]] | None = None
    ) -> None:
        super().__init__(system, equations)
        self.teacher: list[Ball] = [*equations.v]
        self.q, self.unit = len(self.teacher), float(equations.v[0].mid())
        # One neuron ends at the teacher.
        self.optimum = self.teacher if self.size == self.q else None
        # Beyond the plane: squares of lengths are in a half-plane, and chords off two rays.
        self.by_boundary = self.q > 2
        # Of one neuron it is not worth its time, of more than two nothing was tried.
        self.bends = self.size == 2 * self.q
        if basis is None:
            rows = [system.teacher, *equations.given.tolist()]
            basis = orthogonal([[rational(x) for x in row] for row in rows])
        self.basis = basis

    def left(self, state: Sequence[Ball]) -> NeuronFlow:
        """The flow of all neurons but one, from a state of theirs."""
        return NeuronFlow(self.system, without(self.equations, np.array(state)), self.basis)

    def clearance(self, x: Sequence[Ball]) -> float:
        """Least distance of two neurons at the length of the shorter one, or of one and zero."""
        rows = np.array([[float(c.mid()) for c in row] for row in self.rows(x)])
        sizes = np.linalg.norm(rows, axis=1)
        units = rows / sizes[:, None]
        chords = [
            min(np.linalg.norm(units[i] - s * units[j]) for s in (1, -1)) * min(sizes[i], sizes[j])
            for i, j in combinations(range(len(rows)), 2)
        ]
        return float(min(*chords, *sizes))

    def rows(self, x: Sequence[Ball]) -> list[Sequence[Ball]]:
        """Neurons, and the teacher as the last one."""
        return [*(x[k : k + self.q] for k in range(0, len(x), self.q)), self.teacher]

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

    def steering(self, states: Sequence[Sequence[Ball]]) -> Array:
        """Hessians in doubles."""
        return arrays.hessian(self._network, np.array([[float(c) for c in x] for x in states]))

    @functools.cached_property
    def _network(self) -> Network:
        n, v = self.size // self.q, tuple((float(c.mid()),) for c in self.teacher)
        return Network(n, (v,), (1.0,), (1.0,) * n, "relu")
