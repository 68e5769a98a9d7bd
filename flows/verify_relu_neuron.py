r"""Independent check of a certificate of the ReLU neuron; shares only python-flint with its maker.

Polynomials ``p`` approximate the flow ``dw_i/dtau = -e^tau grad_i L``, ``tau = log(1+t)``, in
orthonormal coordinates of the span of teacher and start. For each piece, in ball arithmetic:

1. the exact start, or the end of the last piece, differs from ``p`` by so much;
2. the defect ``|p' - field(p)|`` is at most ``1 + (2/pi) log(N+1)`` times its largest value at the
   points ``cos(pi j/N)``, plus ``4 M rho^-N/(rho-1)``, where ``|field(p)| <= M`` on the Bernstein
   ellipse (Trefethen, Approximation Theory and Approximation Practice, Theorems 15.2 and 8.2),
   plus, where a pair of vectors of the plane aligns, what a branch of the field differs from it;
3. ``H + nu e^-tau`` is positive definite for the Hessians ``H`` of all states within the tube;
4. so ``e' <= nu e + defect`` for the distance ``e`` of flow and ``p``, and ``e`` stays in the tube.
"""

from itertools import combinations
from typing import Any

import numpy as np
from flint import acb, arb, fmpq

from flows.verify import MOST, Refused, number, require

UNIT = arb(0, 1)  # the interval [-1, 1]


def check(w: Any, v: Any, end: float, bits: int, pieces: Any) -> tuple[float, float]:
    """Return the error at every time and at the end, or refuse."""
    rows = _coordinates(np.vstack([v, w]))
    state, error, largest, last = rows[1:].ravel(), arb(0), arb(0), 0
    for index, piece in enumerate(pieces):
        try:
            first, last = last, int(piece["end"], 16)
            p = np.array([[arb((int(c, 16), -bits)) for c in row] for row in piece["coefficients"]])
            fits = p.ndim == 2 and len(p) == len(state) and 2 < p.shape[1] <= MOST and last > first
            require(fits, "it has a wrong shape")
            one = _Piece(p, arb((first + last, -bits - 1)), arb((last - first, -bits - 1)), rows[0],
                        piece["signs"])  # fmt: skip
            rho, defect, tube, stated = (arb(number(piece[key]))
                                         for key in ("rho", "defect", "tube", "error"))  # fmt: skip
            parts = len(piece["growth"])
            require(rho > 1 and 0 < parts <= MOST, "an ellipse or growth is missing")
            error += _norm(_at(p, arb(-1)) - state)
            require(one.defect(rho) + one.branching(parts) <= defect, "the defect is larger")
            for part, nu in enumerate(arb(number(x)) for x in piece["growth"]):
                box, slow = one.box(part, parts) + tube * UNIT, (-one.time(part, parts)).exp()
                require(_positive(one.hessian(box) + nu * slow * np.eye(len(p), dtype=object)),
                        "errors may grow faster")  # fmt: skip
                factor, step = (nu * 2 * one.half / parts).exp(), defect * 2 * one.half / parts
                most = factor.max(arb(1))
                require(most * (error + step) <= tube, "the flow may leave the tube")
                error = (factor * error + most * step).upper()
            require(error <= stated, "the error at its end is larger")
        except Refused as reason:
            raise Refused(f"piece {index}: {reason}") from None
        state, error, largest = _at(p, arb(1)), stated, largest.max(tube)
    require(arb((last, -bits)) >= arb(end).log1p(), "the pieces do not reach the end")
    return float(largest), float(error)


class _Piece:
    """``p(centre + half s)``, ``-1 <= s <= 1``: Chebyshev coefficients, one row a component."""

    def __init__(self, p: Any, centre: arb, half: arb, v: Any, signs: Any) -> None:
        self.p, self.centre, self.half, self.v, self.n = p, centre, half, v, len(p) // len(v)
        self.slope = np.polynomial.chebyshev.chebder(p, axis=1)
        self.pairs = list(combinations(range(self.n + 1), 2))  # vector n is the teacher
        count = len(self.pairs) if len(v) == 2 else 0
        require(len(signs) == count and all(s in (-1, 1) for s in signs), "wrong signs of areas")
        self.signs = signs or [1] * len(self.pairs)

    def time(self, part: int, parts: int) -> arb:
        return self.centre + self.half * (2 * part + 1 - parts + UNIT) / parts

    def box(self, part: int, parts: int) -> Any:
        middle = _at(self.p, arb(2 * part + 1 - parts) / parts)
        return middle + np.abs(self.slope).sum(axis=1) / parts * UNIT

    def field(self, x: Any) -> Any:
        """Equation 4 of Xu & Du; areas with these signs stand for the sines."""
        w = _vectors(self.v, x)
        gram, mu = w @ w.T, [1] * self.n + [-1]
        rate = np.tile((self.v - w[:-1].sum(axis=0)) / 2, (self.n, 1))
        for (i, j), sign in zip(self.pairs, self.signs, strict=True):
            size = sign * _area(w[i], w[j])
            theta = _angle(size, gram[i, j])
            for a, b in ((i, j), (j, i)):
                if a < self.n:
                    turned = size / gram[a, a] * w[a] - theta * w[b]
                    rate[a] -= mu[b] * turned / (2 * arb.pi())
        return rate.ravel()

    def defect(self, rho: arb) -> arb:
        """Bound of the defect on the piece, by interpolation."""
        count, worst = self.p.shape[1], arb(0)
        for j in range(count):
            s = arb.cos_pi_fmpq(fmpq(j, count - 1))
            speed = (self.centre + self.half * s).exp()
            gap = _at(self.slope, s) / self.half - speed * self.field(_at(self.p, s))
            worst = worst.max(_norm(gap))
        tops = np.array([(rho**k + rho**-k) / 2 for k in range(count)])  # of T_k on the ellipse
        side = np.abs(self.p[:, 1:]) @ tops[1:] * UNIT
        box = np.array([acb(c + r, r) for c, r in zip(self.p[:, 0], side, strict=True)])
        across = self.half * (rho - 1 / rho) / 2 * UNIT
        fast = acb(self.centre + self.half * tops[1] * UNIT, across).exp()
        most = _norm(np.array([(fast * f).abs_upper() for f in self.field(box)]))
        lebesgue = 1 + 2 / arb.pi() * arb(count).log()
        return worst * lebesgue + 4 * most * rho ** (1 - count) / (rho - 1)

    def branching(self, parts: int) -> arb:
        """Bound what the branch of the stated signs is off: ``|b| psi^2``, psi from 0 or pi."""
        total, plane = arb(0), len(self.v) == 2
        still = 0 * self.v, _Piece(self.slope, self.centre, self.half, self.v, self.signs * plane)
        for part in range(parts * plane):
            w, y = (_vectors(v, x.box(part, parts)) for v, x in ((self.v, self), still))
            edges = (arb(2 * k - parts) / parts for k in (part, part + 1))
            ends = [_vectors(self.v, _at(self.p, s)) for s in edges]
            for (i, j), sign in zip(self.pairs, self.signs, strict=True):
                lowest, rate = sign * _area(w[i], w[j]), _area(y[i], w[j]) + _area(w[i], y[j])
                if rate > 0 or rate < 0:  # least at an end
                    lowest = arb.min(*(sign * _area(x[i], x[j]) for x in ends))
                psi = arb.pi() / 2 * (-lowest).max(arb(0)) / (_norm(w[i]) * _norm(w[j]))
                require(psi <= 1, "a pair is on the wrong side")
                total += self.time(part, parts).exp() * (_norm(w[i]) + _norm(w[j])) * psi * psi
        return total

    def hessian(self, x: Any) -> Any:
        """Equation 51 of Xu & Du, the mixed block in a form that is regular at aligned vectors."""
        w, eye = _vectors(self.v, x), np.eye(len(self.v), dtype=object)
        gram, unit = w @ w.T, np.array([u / _norm(u) for u in w])
        blocks = np.array([[eye / 2] * self.n] * self.n)
        for i, j in self.pairs:
            size = abs(_area(w[i], w[j]))
            theta = arb.atan2(size, gram[i, j])
            for a, b, mu in ((i, j, -1 if j == self.n else 1), (j, i, 1)):
                if a < self.n:
                    normal = _projector(unit[b] - theta.cos() * unit[a], theta.sin())
                    zeta = eye - np.outer(unit[a], unit[a]) + normal
                    blocks[a, a] += mu * size / (2 * arb.pi() * gram[a, a]) * zeta
                if max(a, b) < self.n:
                    sums = _projector(unit[a] + unit[b], 2 * (theta / 2).cos())
                    gaps = _projector(unit[a] - unit[b], 2 * (theta / 2).sin())
                    blocks[a, b] += (theta.sin() * (sums - gaps) - theta * eye) / (2 * arb.pi())
        return np.block([list(row) for row in blocks])


def _positive(m: Any) -> bool:
    """Whether a symmetric matrix is positive definite: all pivots of the elimination are."""
    row = m[:1, 1:]
    return not len(m) or bool(m[0, 0] > 0 and _positive(m[1:, 1:] - row.T @ row / m[0, 0]))


def _area(a: Any, b: Any) -> Any:
    """Area of two vectors, signed in the plane; a complex one only where it is analytic."""
    minors = [a[k] * b[m] - a[m] * b[k] for k, m in combinations(range(len(a)), 2)]
    if len(minors) == 1:
        return minors[0]
    square = sum((x * x for x in minors[1:]), minors[0] * minors[0])
    require(not isinstance(square, acb) or square.real > 0, "the field may not be analytic")
    return square.sqrt() if isinstance(square, acb) else square.nonnegative_part().sqrt()


def _angle(size: Any, dot: Any) -> Any:
    """Angle of this sine and cosine, up to a factor, analytic across 0 and pi."""
    flat = abs(dot.real.mid()) >= abs(size.real.mid())
    ratio = size / dot if flat else dot / size
    require(dot.real > 0 or dot.real < 0 if flat else size.real > 0, "an angle is not determined")
    require(not isinstance(ratio, acb) or ratio.abs_upper() < 1 or not ratio.real.contains(0),
            "the field may not be analytic")  # fmt: skip
    return ratio.atan() + (0 if dot.real > 0 else arb.pi()) if flat else arb.pi() / 2 - ratio.atan()


def _projector(vector: Any, length: arb) -> Any:
    """Projector on a vector of this length; its entries are in [-1, 1] where that may vanish."""
    entries = np.outer(vector / length, vector / length)
    return np.vectorize(lambda x: x if x.is_finite() and x.rad() < 1 else UNIT, "O")(entries)


def _coordinates(rows: Any) -> Any:
    """Coordinates in an orthonormal frame of their span: Cholesky's factor of the Gram matrix."""
    exact = np.array([[fmpq(*x.as_integer_ratio()) for x in row] for row in rows.tolist()])
    gram, columns = exact @ exact.T, []
    for k in range(len(gram)):
        if pivot := gram[k, k]:  # zero: this row depends on those before
            columns.append([arb(x) / arb(pivot).sqrt() for x in gram[k]])
            gram = gram - np.outer(gram[k], gram[k]) / pivot
    return np.array(columns if len(columns) > 1 else [*columns, [arb(0)] * len(rows)]).T


def _at(p: Any, s: arb) -> Any:
    return p @ np.array([s.chebyshev_t(k) for k in range(p.shape[1])])


def _vectors(v: Any, x: Any) -> Any:
    return np.vstack([x.reshape(-1, len(v)), v])


def _norm(vector: Any) -> arb:
    return (vector @ vector).nonnegative_part().sqrt()
