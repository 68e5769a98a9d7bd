r"""Tubes that are ellipsoids, of balls of starts: ``x = p + C y``, ``|y| <= r``.

With the Hessian ``H``, its mean ``Hbar`` on the way from ``p`` to the state, and ``D`` the defect,

    y' = -C^-1 (e^tau Hbar C + C') y - C^-1 D,
    Hbar = H(p) + sum_k y_k int_0^1 (1 - s) dH_k ds,

``dH_k`` the derivative of ``H`` at ``p + s C y`` along the ``k``-th column of ``C``. With any
matrix ``W`` and ``M = W C``, and for all ``|y| <= r``, let

    nu M M^T + sym( W (e^tau H(p) C + C') M^T ) + sum_k y_k e^tau sym( W int (1 - s) dH_k C M^T )

be positive definite. It is ``M (nu + sym(C^-1 (e^tau Hbar C + C'))) M^T``, so that ``M`` has an
inverse and ``|y|' <= nu |y| + |C^-1 D|``. In coordinates ``Z`` the sum is at most ``r |u|^2`` times
the root of the norm of ``sum_k K_k^2`` (Cauchy and Schwarz), ``K_k`` its ``k``-th matrix. Of each
matrix the middle counts so, and the radii likewise. The first part, ``H(p)``, is enclosed by its
value in the middle of a part and its slope. ``|C^-1| <= 2 |W|`` where ``M M^T > 1/4``.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
from flint import arb, arb_mat

from flows.certificates.verifier.curve import UNIT, at, derivative, near, norm
from flows.certificates.verifier.positive import at_most, perron, positive
from flows.certificates.verifier.reading import MOST, Refused, integer, number, require
from flows.certificates.verifier.tube import End

NESTED = 4  # ellipsoids on which derivatives of the Hessian are enclosed


class Forms(NamedTuple):
    """``M M^T``, the part of ``H(p)``, those of its derivatives; and a bound of ``|C^-1|``."""

    square: Any
    still: Any
    bent: list[Any]
    inverse: arb

    def served(self, nu: Any) -> bool:
        """Whether their sum is positive definite with ``nu`` times the first."""
        form = nu * self.square + self.still
        values, vectors = np.linalg.eigh(middles(symmetric(form)))
        if not (values > 0).all():
            return False
        z = np.array([[arb(y) for y in row] for row in (vectors / np.sqrt(values)).tolist()])
        lost = together([product(z.T, y, z) for y in self.bent])
        return positive(product(z.T, form, z), -lost)


class Ellipsoid:
    """The tube ``p + C y`` about a piece: ``|y| <= reach``, and ``|y| <= left`` at its end."""

    def __init__(self, c: Any, reach: arb, left: arb) -> None:
        self.size = math.isqrt(len(c))
        self.c, self.reach, self.left = c, reach, left
        whole = np.eye(self.size, dtype=object)
        self.widest, self.error = self.off(whole), self.off_at_end(whole)

    @classmethod
    def read(cls, stated: Any, size: int, bits: int) -> Self:
        """That of a file, about a state of so many numbers."""
        reach, left, widest, error = (
            arb(number(stated[key])) for key in ("reach", "left", "tube", "error")
        )
        rows = np.array([[arb((integer(c), -bits)) for c in row] for row in stated["axes"]])
        fits = rows.ndim == 2 and len(rows) == size * size and 2 < rows.shape[1] <= MOST
        require(fits, "its axes have a wrong shape")
        made = cls(rows, reach, left)
        at_most(made.widest, widest, "the ellipsoid is wider")
        at_most(made.error, error, "the ellipsoid is wider at its end")
        made.widest, made.error = widest, error
        return made

    def matrix(self, flat: Any) -> Any:
        """Square matrix of its entries, row by row."""
        return flat.reshape(self.size, self.size)

    def off(self, forms: Any) -> arb:
        """Bound ``|V (x - p)|`` on the whole piece."""
        parts = (forms @ self.matrix(column) for column in self.c.T)
        return self.reach * norm(sum(map(np.abs, parts)).ravel())

    def off_at_end(self, forms: Any) -> arb:
        """Bound ``|V (x - p)|`` at its end."""
        return self.left * norm((forms @ self.matrix(at(self.c, arb(1)))).ravel())

    def entered(self, before: End, jump: Any) -> arb:
        """Bound ``|y|`` where the piece begins, of states that are off by the jump beside."""
        begin = arb_mat(self.matrix(at(self.c, arb(-1))).tolist())
        unit = np.eye(self.size, dtype=object) * arb(1)
        axes, left = (unit, before.error) if before.axes is None else before[:2]
        try:
            turned = np.array(begin.solve(arb_mat(axes.tolist())).tolist())
            moved = np.array(begin.solve(arb_mat([[z] for z in jump])).tolist()).ravel()
        except ZeroDivisionError:
            raise Refused("its axes have no inverse where it begins") from None
        return spectral(turned) * left + norm(moved)

    def end(self) -> End:
        """Where the piece ends."""
        return End(self.matrix(at(self.c, arb(1))), self.left, self.error)

    def largest(self, equations: Any, segment: Any, rho: arb) -> arb:
        """Bound of the field on an ellipse around the piece."""
        found: arb = segment.most(equations, rho)
        return found

    def forms(self, equations: Any, segment: Any, part: int, parts: int) -> Forms:
        """What has to be positive definite on a part, as the module says."""
        s, half = arb(2 * part + 1 - parts) / parts, segment.half
        time, times = segment.centre + half * s, segment.time(part, parts)
        none, slope = np.array([[arb(0)]] * self.size), derivative(self.c) / half
        c, rate, bend = (
            self.matrix(near(z, part, parts)) for z in (self.c, slope, derivative(slope) / half)
        )
        x, here = near(segment.p, part, parts), self.matrix(at(self.c, s))
        along = equations.bending(x, near(segment.slope, part, parts)[None] / half, none)[0]
        value = time.exp() * product(equations.hessian(at(segment.p, s)), here)
        value = value + self.matrix(at(slope, s))
        hessian = equations.hessian(x)
        change = times.exp() * (product(hessian + along, c) + product(hessian, rate)) + bend
        value = value + change * (half / parts * UNIT)

        inverse = np.linalg.inv(middles(here))
        w = np.array([[arb(z) for z in row] for row in inverse.tolist()])
        m = product(w, c)
        square = product(m, m.T)
        require(positive(square, arb(-0.25)), "its axes turn too far")
        bent: Any = 0
        for k in range(NESTED):
            weight = arb(2 * (NESTED - k) - 1) / (2 * NESTED**2)
            bent = bent + weight * equations.bending(x, c.T, c * self.reach * (k + 1) / NESTED)
        turned = [symmetric(product(w, y, c, m.T)) * times.exp() * self.reach for y in bent]
        return Forms(square, symmetric(product(w, value, m.T)), turned, 2 * norm(w.ravel()))

    def grows(self, equations: Any, segment: Any, part: int, parts: int, nu: arb) -> arb:
        """Refuse unless ``|y|' <= nu |y| + |C^-1 D|``; bound ``|C^-1|``."""
        forms = self.forms(equations, segment, part, parts)
        require(forms.served(nu), "errors may grow faster")
        return forms.inverse


def off_at_end(piece: Any, forms: Any, bits: int) -> arb:
    """Bound ``|V (x - p)|`` at the end of a checked piece."""
    if "axes" in piece:
        return Ellipsoid.read(piece, len(piece["coefficients"]), bits).off_at_end(forms)
    return number(piece["error"]) * arb(int((forms * forms).sum())).sqrt()


def together(matrices: Any) -> arb:
    """Bound ``|u^T sum_k y_k K_k u|`` for unit vectors ``u`` and ``y``."""
    thin = [np.array([[z.mid() for z in row] for row in k]) for k in matrices]
    radii = [np.array([[float(z.rad()) for z in row] for row in k]) for k in matrices]
    require(np.isfinite(radii).all(), "the Hessian is not bounded")
    total = sum(product(k, k.T) for k in thin)
    guess = arb(math.sqrt(np.linalg.norm(middles(total), 2)) * (1 + 1e-6) + 1e-9)
    require(positive(-total, guess**2), "second derivatives are larger")
    return guess + arb(perron(np.sum([k.T @ k for k in radii], axis=0))).sqrt()


def spectral(matrix: Any) -> arb:
    """Bound of a spectral norm."""
    guess = arb(float(np.linalg.norm(middles(matrix), 2)) * (1 + 1e-6))
    require(positive(-product(matrix, matrix.T), guess**2), "its axes are lost")
    return guess


def product(*factors: Any) -> Any:
    """Product of matrices of balls."""
    made = arb_mat(factors[0].tolist())
    for factor in factors[1:]:
        made = made * arb_mat(factor.tolist())
    return np.array(made.tolist())


def symmetric(matrix: Any) -> Any:
    """The symmetric part."""
    return (matrix + matrix.T) / 2


def middles(matrix: Any) -> Any:
    """Middles in doubles."""
    return np.vectorize(lambda z: float(z.mid()), "d")(matrix)
