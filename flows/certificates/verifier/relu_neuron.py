"""Equations of the ReLU neuron, typed anew for the check of certificates."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from flint import acb, arb, arb_poly, fmpq

from flows.certificates.verifier.angles import area
from flows.certificates.verifier.before import of_neurons
from flows.certificates.verifier.bending import slopes
from flows.certificates.verifier.boundary import near, wedge
from flows.certificates.verifier.curve import at, norm
from flows.certificates.verifier.late_states import late_states
from flows.certificates.verifier.plane import planar
from flows.certificates.verifier.reading import numbers, require
from flows.certificates.verifier.segment import Equations, Segment
from flows.certificates.verifier.space import spatial


class Neurons(Equations):
    """Neurons in orthonormal coordinates of the span of teacher and start; vector n is the teacher.

    Pairs that align on the way are followed in the plane only, on the stated branch of the field.
    """

    stated, form = ("n", "d", "teacher"), "neurons"

    def __init__(self, parameters: Any, w: Any) -> None:
        v, shape = numbers(parameters["teacher"]), (parameters["n"], parameters["d"])
        require(w.shape == shape == (len(w), len(v)) and v.any(), "teacher and start do not fit")
        rows = _coordinates(np.vstack([v, w]))
        self.v, (self.n, self.d), self.start = rows[0], w.shape, rows[1:].ravel()
        self.pairs = list(combinations(range(self.n + 1), 2))
        self.width = len(self.v)

    def field(self, x: Any, signs: Any) -> Any:
        """Equation 4 of Xu & Du; areas with these signs stand for the sines."""
        w = _vectors(self.v, x)
        gram, mu = w @ w.T, [1] * self.n + [-1]
        rate = np.tile((self.v - w[:-1].sum(axis=0)) / 2, (self.n, 1))
        for (i, j), sign in zip(self.pairs, signs or [1] * len(self.pairs), strict=True):
            size = sign * area(w[i], w[j])
            theta = _angle(size, gram[i, j])
            for a, b in ((i, j), (j, i)):
                if a < self.n:
                    turned = size / gram[a, a] * w[a] - theta * w[b]
                    rate[a] -= mu[b] * turned / (2 * arb.pi())
        return rate.ravel()

    def near(self, x: Any, off: Any, reach: arb, moved: Callable[[int, int], arb]) -> arb:
        """Bound equation 4 at complex neurons within so much of these; angles are not signed."""
        require(self.width > 2, "in the plane the field is not bounded by boundaries")
        return near(_vectors(self.v, x), off, [1] * self.n + [-1], reach, moved)

    def minors(self, p: Any, i: int, j: int) -> Any:
        """Of two vectors, of which the last is the teacher."""
        q, last = self.width, p.shape[1] - 1
        still = np.array([[c, *[arb(0)] * last] for c in self.v])
        # Of w^last times p(w/2 + 1/w/2) coefficients on both sides of the middle are halves.
        a, b = (
            [arb_poly([*c[:0:-1] / 2, c[0], *c[1:] / 2]) for c in x]
            for x in (p[q * k : q * (k + 1)] if k < self.n else still for k in (i, j))
        )
        middle = 2 * last
        return np.array(
            [[c[middle], *(2 * c[middle + k + 1] for k in range(middle))] for c in wedge(a, b)]
        )

    def branching(self, segment: Segment, parts: int) -> arb:
        """Bound ``|b| psi^2`` for each gradient, ``psi`` the angle's distance from 0 or pi."""
        total, plane = arb(0), len(self.v) == 2
        right = len(segment.signs) == plane * len(self.pairs) and {*segment.signs} <= {-1, 1}
        require(right, "wrong signs of areas")
        for part in range(parts * plane):
            w = _vectors(self.v, segment.box(part, parts))
            for (i, j), sign in zip(self.pairs, segment.signs, strict=True):
                lowest = sign * area(w[i], w[j])
                if not lowest >= 0:
                    lowest = self._lowest(segment, i, j, sign, part, parts)
                psi = arb.pi() / 2 * (-lowest).max(arb(0)) / (norm(w[i]) * norm(w[j]))
                require(psi <= 1, "a pair is on the wrong side")
                total += segment.time(part, parts).exp() * (norm(w[i]) + norm(w[j])) * psi * psi
        return total

    def _lowest(self, segment: Segment, i: int, j: int, sign: int, part: int, parts: int) -> arb:
        """A ball above which ``sign * area`` lies on a part: the area is a polynomial, too."""
        along = Segment(sign * self.minors(segment.p, i, j), arb(-1), arb(1))
        rate = Segment(along.slope, arb(-1), arb(1)).box(part, parts)[0]
        if rate > 0 or rate < 0:  # least at an end
            return arb.min(*(at(along.p, arb(2 * k - parts) / parts)[0] for k in (part, part + 1)))
        return along.box(part, parts)[0]

    def hessian(self, x: Any) -> Any:
        """Equation 51 of Xu & Du, the mixed block in a form that is regular at aligned vectors."""
        w = _vectors(self.v, x)
        return planar(w, self.n) if len(self.v) == 2 else spatial(w, self.n)

    def loss(self, x: Any) -> arb:
        """Equation 3 of Xu & Du."""
        return of_neurons(x.reshape(-1, len(self.v)), self.v[0])

    def bending(self, x: Any, moves: Any, spread: Any) -> Any:
        """Its derivatives."""
        shape = self.n, len(self.v), -1
        moved = moves.reshape(len(moves), *shape[:2])
        return slopes(_vectors(self.v, x), self.n, moved, spread.reshape(shape))


def _angle(size: Any, dot: Any) -> Any:
    """Angle of this sine and cosine, up to a factor, analytic across 0 and pi."""
    flat = abs(dot.real.mid()) >= abs(size.real.mid())
    ratio = size / dot if flat else dot / size
    require(dot.real > 0 or dot.real < 0 if flat else size.real > 0, "an angle is not determined")
    require(
        not isinstance(ratio, acb) or ratio.abs_upper() < 1 or not ratio.real.contains(0),
        "the field may not be analytic",
    )
    return ratio.atan() + (0 if dot.real > 0 else arb.pi()) if flat else arb.pi() / 2 - ratio.atan()


def _coordinates(rows: Any) -> Any:
    """Coordinates in an orthonormal frame of their span: Cholesky's factor of the Gram matrix."""
    exact = np.array([[fmpq(*x.as_integer_ratio()) for x in row] for row in rows.tolist()])
    gram, columns = exact @ exact.T, []
    for k in range(len(gram)):
        if pivot := gram[k, k]:  # zero: this row depends on those before
            columns.append([arb(x) / arb(pivot).sqrt() for x in gram[k]])
            gram = gram - np.outer(gram[k], gram[k]) / pivot
    return np.array(columns if len(columns) > 1 else [*columns, [arb(0)] * len(rows)]).T


def _vectors(v: Any, x: Any) -> Any:
    return np.vstack([x.reshape(-1, len(v)), v])


EQUATIONS, STATES = Neurons, late_states
