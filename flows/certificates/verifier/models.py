r"""A function near a point as an exact polynomial with remainders, and its slopes.

Variables are displacements `x_i` from the point. Further generators of the ring stand for `\pi`,
for `1/\pi` and `1/(p_i + x_i)`, which are reciprocals exactly, and for remainders:

.. math:: f(u) = \sum_{j<N} \frac{f^{(j)}(u_0)}{j!} (u - u_0)^j + \rho\, (u - u_0)^N

where `\rho` lies in the ball of the `N`-th coefficient over all values of `u` (Lagrange). It keeps
its power of `u - u_0`, so that polynomials can be divided by powers of variables exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from flint import arb, fmpq, fmpq_mpoly_ctx

from flows.certificates.verifier.reading import Refused, require
from flows.certificates.verifier.taylor import coefficients, raised

__all__ = ["ORDER", "Inexact", "Models"]

# A file that would take hours to check is refused: steps, order, terms of a polynomial.
STEPS, ORDER, TERMS = 400, 40, 20_000
# Reciprocals are written as polynomials of this degree.
RECIPROCAL = 6
# Terms whose degree exceeds the order by more than this are replaced by one remainder.
BEYOND = 12
# There are generators for so many of these remainders.
SHORTENED = 250
# Steps without a remainder.
PLAIN = ("number", "variable", "plus", "times", "pi")


class Inexact(Refused):
    """A function has no coefficients at the point that are fractions."""


class Models:
    """The ring of models over a box around a point.

    Parameters
    ----------
    point : sequence of Fraction
        The point.
    box : sequence of arb
        Displacements from it.
    program : list
        Whose functions bring two remainders each.
    order : int
        `N`.
    axes : sequence of sequence of fmpq, optional
        Displacements are these combinations of the generators; they are generators without them.
    """

    def __init__(
        self,
        point: Sequence[Fraction],
        box: Sequence[arb],
        program: Any,
        order: int,
        axes: Sequence[Sequence[Any]] | None = None,
    ) -> None:
        n = len(point)
        require(len(program) <= STEPS, "a program has too many steps")
        count = sum(step[0] not in PLAIN for step in program)
        names = [*(f"x{i}" for i in range(n)), *(f"r{i}" for i in range(n)), "pi", "unpi"]
        self.ring = fmpq_mpoly_ctx.get(
            [*names, *(f"e{k}" for k in range(2 * count + SHORTENED))], "lex"
        )
        every = self.ring.gens()
        self.x, self.reciprocals = every[:n], every[n : 2 * n]
        self.pi, self.unpi, *self.free = every[2 * n :]
        self.two = [x.lower() < 0 for x in box]
        self.point = [fmpq(p.numerator, p.denominator) for p in point]
        self.variables = [x + p for x, p in zip(self.x, self.point, strict=True)]
        if axes is not None:  # no reciprocals: they are series
            self.variables = [
                sum((x * c for x, c in zip(self.x, row, strict=True)), start=self.constant(p))
                for row, p in zip(axes, self.point, strict=True)
            ]
            self.point = [fmpq(0)] * n
        self.order, self.size = order, n
        # Of generators, in their order; reciprocals have a value once they are used.
        self.values: list[arb] = [*box, *([arb("nan")] * n), arb.pi(), 1 / arb.pi()]
        self.relations = {n: self.pi * self.unpi - 1}

    def constant(self, number: Any) -> Any:
        """A number."""
        return self.ring.constant(number)

    def times(self, a: Any, b: Any) -> Any:
        """Product, in which no variable stands beside its reciprocal."""
        found = a * b
        for relation in self.relations.values():
            found = divmod(found, relation)[1]
        require(len(found) <= TERMS, "a model has too many terms")
        return self._short(found)

    def _short(self, p: Any) -> Any:
        """With one remainder, times even powers of two-sided variables, for terms of high degree.

        They are at most `sum b_f x^f`, which is not negative, and so they are this times a number
        between -1 and 1.
        """
        n, kept = self.size, dict[tuple[int, ...], Any]()
        bounds: dict[tuple[int, ...], arb] = {}
        for e, c in p.terms():
            if sum(e[:n]) <= self.order + BEYOND:
                kept[e] = c
                continue
            low = self._lower(e[:n])
            size = abs(arb(c))
            for value, k, less in zip(self.values, e, (*low, *(0,) * len(e)), strict=False):
                if k > less:
                    size *= raised(value.abs_upper(), int(k - less))
            bounds[low] = bounds[low] + size if low in bounds else size
        if not bounds:
            return p
        rest = (0,) * (self.ring.nvars() - n)
        above = self.ring.from_dict({(*f, *rest): _upper(size) for f, size in bounds.items()})
        return self.ring.from_dict(kept) + above * self._remainder(arb(0).union(1).union(-1))

    def _lower(self, powers: Sequence[int]) -> tuple[int, ...]:
        """Exponents up to these, even ones of two-sided variables, of a degree about the order."""
        low = [int(k) - (int(k) % 2 if two else 0) for k, two in zip(powers, self.two, strict=True)]
        while sum(low) > self.order + BEYOND:
            low[low.index(max(low))] -= 2
        return tuple(low)

    def power(self, a: Any, k: int) -> Any:
        """Power."""
        found = self.constant(1)
        for _ in range(k):
            found = self.times(found, a)
        return found

    def expanded(self, p: Any) -> dict[tuple[int, ...], Any]:
        """Coefficients by exponents, with powers of reciprocals as polynomials and remainders.

        `(1 + x/p)^-k` is its Taylor polynomial plus `rho (x/p)^N`: the exponent `k` of a reciprocal
        stands for `rho` then, which :meth:`remainder` encloses.
        """
        found: dict[tuple[int, ...], Any] = dict(p.terms())
        for i in range(self.size):
            if i not in self.relations:
                continue
            place, at, wider = self.size + i, self.point[i], found
            found = {}
            for e, c in wider.items():
                k, binomial = int(e[place]), fmpq(1)
                for j in range(RECIPROCAL + 1 if k else 1):
                    last = j == RECIPROCAL
                    part = c / at ** (k + j) * (1 if last else binomial)
                    key = (*e[:i], e[i] + j, *e[i + 1 : place], k if last else 0, *e[place + 1 :])
                    found[key] = found.get(key, fmpq(0)) + part
                    binomial = binomial * (-k - j) / (j + 1)
        return {e: c for e, c in found.items() if c != 0}

    def at_point(self, p: Any) -> Any:
        """The value at the point, in `pi`: remainders stand beside variables."""
        n, found = self.size, self.constant(0)
        for e, c in p.terms():
            if not any(e[:n]):
                for at, k in zip(self.point, e[n : 2 * n], strict=True):
                    c = c / at ** int(k) if k else c
                found += self.ring.from_dict({(*(0,) * (2 * n), *e[2 * n :]): c})
        return found

    def remainder(self, i: int, k: int) -> arb:
        """The ball of what follows polynomials in a power of a reciprocal."""
        value: arb = arb(1)
        for j in range(RECIPROCAL):
            value = value * (-k - j) / (j + 1)
        ratio = self.values[i] / arb(self.point[i])
        return value * raised(1 / (1 + ratio.union(0)), k + RECIPROCAL)

    def ball(self, p: Any) -> arb:
        """Of a polynomial over the whole box."""
        total = arb(0)
        for powers, c in p.terms():
            term = arb(c)
            for value, k in zip(self.values, powers, strict=False):
                if k:
                    term *= raised(value, int(k))
            total += term
        return total

    def reciprocal(self, p: Any) -> Any:
        """Of a number or of `a (p_i + x_i)`, exactly; None of anything else."""
        terms = dict(p.terms())
        zero = (0,) * self.ring.nvars()
        require(terms, "a reciprocal of zero is none")
        if set(terms) == {zero}:
            return self.constant(1 / terms[zero])
        over_pi = self.times(p, self.unpi)
        if over_pi.is_constant():
            return self.unpi * (1 / over_pi.leading_coefficient())
        linear = [e for e in terms if e != zero]
        if len(linear) != 1 or sum(linear[0]) != 1 or linear[0].index(1) >= self.size:
            return None
        i, slope = linear[0].index(1), terms[linear[0]]
        if terms.get(zero, fmpq(0)) != slope * self.point[i] or self.point[i] == 0:
            return None
        if i not in self.relations:
            near = arb(self.point[i]) + self.values[i]
            require(not near.contains(0), "a reciprocal is not bounded")
            self.values[self.size + i] = 1 / near
            r = self.reciprocals[i]
            self.relations[i] = self.x[i] * r + self.point[i] * r - 1
        return self.reciprocals[i] * (1 / slope)

    def series(self, name: str, exponent: Fraction, p: Any) -> tuple[Any, Any]:
        """A function of a polynomial, and its derivative there."""
        zero = (0,) * self.ring.nvars()
        at = dict(p.terms()).get(zero, fmpq(0))
        v = p - self.constant(at)
        known = at > 0 if name == "power" else at == int(name == "log")
        if not known or any(not any(e[: self.size]) for e, _ in v.terms()):
            raise Inexact(f"{name} is not known exactly at the point")
        exact, over = coefficients(name, exponent, at, self.ball(v), self.order)
        slope_exact = [k * c for k, c in enumerate(exact)][1 : self.order + 1]
        slope_over = over[1] * (self.order + 1)
        powers = [self.constant(1)]
        for _ in range(self.order + 1):
            powers.append(self.times(powers[-1], v))
        value = sum(
            (powers[k] * c for k, c in enumerate(exact[: self.order])), start=self.constant(0)
        )
        slope = sum((powers[k] * c for k, c in enumerate(slope_exact)), start=self.constant(0))
        if v != 0:
            value += powers[self.order] * self._remainder(over[0])
            slope += powers[self.order] * self._remainder(slope_over)
        return value, slope

    def _remainder(self, ball: arb) -> Any:
        require(ball.is_finite() and self.free, "a remainder is not bounded")
        self.values.append(ball)
        return self.free.pop(0)


def _upper(x: arb) -> fmpq:
    """A fraction that is not below a ball."""
    require(x.is_finite(), "a remainder is not bounded")
    man, power = x.upper().man_exp()
    return fmpq(man) * fmpq(2) ** int(power)
