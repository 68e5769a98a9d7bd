r"""Truncated one-sided series: a loss along ``y* + eps u_1 + eps^2 u_2 + ...``, ``eps -> 0+``.

Each variable has a weight, the power of ``eps`` that it carries. A series is a list of parts, each
homogeneous in that weight, so ``eps`` itself need not be written. A part is a polynomial in the
variables and in *roots and signs* of earlier forms: because ``eps`` is positive,
``|u| = sign(u_m) u`` and ``u^q = u_m^q (1 + (u - u_m)/u_m)^q`` with the leading part ``u_m``. So a
loss with kinks of degree above two, such as ``|x|^3``, has a series too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import sympy as sp
from sympy.polys.constructor import construct_domain
from sympy.polys.polyerrors import CoercionFailed
from sympy.polys.rings import PolyElement, PolyRing

from symbolic.asymptotics.averaged import Coefficients, Nodes
from symbolic.asymptotics.refusal import NO_POLYNOMIAL, NoLaw
from symbolic.asymptotics.squares import sum_of_squares
from symbolic.language.expressions import as_expression

__all__ = ["ONCE", "Atom", "Lacks", "Series", "SeriesRing", "fits", "sign_of"]

#: Added to the weight of variables of which no products are kept.
ONCE = Fraction(1000)

# What rounding leaves of a zero where coefficients are decimals of sixty digits: 1e-45, in bits,
# which are there without a comparison of decimals.
ROUNDING = -149

#: Homogeneous parts by weight; a part that is zero is left out.
Series = dict[Fraction, PolyElement]


class Lacks(Exception):
    """The domain of the coefficients lacks a number."""

    def __init__(self, number: sp.Expr) -> None:
        super().__init__(str(number))
        self.number = number


@dataclass(frozen=True)
class Atom:
    """A generator that stands for ``form^power``, or for the sign of the form (power 0)."""

    form: PolyElement
    power: Fraction


class SeriesRing:
    """Arithmetic of series up to an order.

    Parameters
    ----------
    weights : mapping of Symbol to number
        The variables. Weight 0 is for Gaussian numbers, which are averaged out later.
    order : number
        Parts of a larger weight are dropped; for variables with `ONCE` added to their weight,
        without it, and products of two of them are.
    constants : sequence of Expr
        Numbers and parameters that coefficients are made of.
    spare : int
        How many roots and signs may come up.
    nodes : Nodes, optional
        Where coefficients that are functions of Gaussian numbers are known.
    """

    def __init__(
        self,
        weights: Mapping[sp.Symbol, Any],
        order: Any,
        constants: Sequence[sp.Expr] = (),
        spare: int = 0,
        nodes: Nodes | None = None,
    ) -> None:
        self.order = Fraction(order)
        self.variables = tuple(weights)
        decimals = [c for c in constants if c.is_Float]  # beside them, all numbers are decimal
        self.decimal = bool(decimals or nodes)
        exact = construct_domain(decimals or list(constants), field=True, extension=True)
        self.domain = exact[0] if constants else sp.QQ
        self._is_rounding: Callable[[Any], bool] = lambda c: bool(c.exp + c.bc <= ROUNDING)
        if nodes:
            self.domain = Coefficients(nodes)
            self._is_rounding = self.domain.is_rounding
        # A weight is of the monomial: those of atoms are filled in when they come up.
        self._weights = [Fraction(w) for w in weights.values()] + [Fraction(0)] * spare
        names = [*weights, *(sp.Dummy(f"atom{k}", real=True) for k in range(spare))]
        self.ring = PolyRing(names, self.domain)
        self.atoms: list[Atom] = []

    # Numbers and variables ----------------------------------------------------------------

    def number(self, value: sp.Expr) -> Series:
        """Constant series."""
        try:
            c = self.domain.from_sympy(as_expression(value))
        except (CoercionFailed, ValueError, NotImplementedError):  # SymPy cannot compare numbers
            raise Lacks(value) from None
        return {Fraction(0): self.ring.ground_new(c)} if c else {}

    def variable(self, symbol: sp.Symbol) -> Series:
        """Series of one variable."""
        k = self.variables.index(symbol)
        return {self._weights[k]: self.ring.gens[k]}

    def known(self, polynomial: PolyElement) -> Series:
        """Parts of a polynomial in the variables, by weight."""
        return self._nonzero(
            {w: p for w, p in self.parts(polynomial).items() if fits(w, self.order)}
        )

    def parts(self, polynomial: PolyElement) -> Series:
        """Parts of a polynomial by weight, of any weight."""
        found: dict[Fraction, dict[Any, Any]] = {}
        for monomial, c in polynomial.iterterms():
            found.setdefault(self.weight(monomial), {})[monomial] = c
        return {w: self.ring.from_dict(terms) for w, terms in found.items()}

    def gathered(self, terms: Iterable[tuple[Any, Any]]) -> PolyElement:
        """Sum of monomials, which may repeat, with coefficients."""
        found: dict[Any, Any] = {}
        for monomial, c in terms:
            found[monomial] = found[monomial] + c if monomial in found else c
        return self.ring.from_dict(found)

    def weight(self, monomial: Sequence[int]) -> Fraction:
        """Weight of a monomial."""
        return sum((k * w for k, w in zip(monomial, self._weights, strict=True) if k), Fraction(0))

    # Arithmetic ---------------------------------------------------------------------------

    def add(self, parts: Sequence[Series]) -> Series:
        """Sum."""
        total: Series = {}
        for series in parts:
            for w, p in series.items():
                total[w] = total[w] + p if w in total else p
        return self._nonzero(total)

    def times(self, a: Series, b: Series, order: Fraction | None = None) -> Series:
        """Product, truncated at the order of the ring or a lower one."""
        order = self.order if order is None else order
        total: Series = {}
        for w, p in a.items():
            for v, q in b.items():
                if fits(w + v, order):
                    total[w + v] = total[w + v] + p * q if w + v in total else p * q
        return self._nonzero(total)

    def scaled(self, a: Series, c: sp.Expr) -> Series:
        """Product with a number."""
        return self.times(self.number(c), a)

    def power(self, a: Series, k: int, order: Fraction | None = None) -> Series:
        """Power with a natural exponent."""
        found = self.number(sp.S.One)
        while k:
            if k & 1:
                found = self.times(found, a, order)
            k >>= 1
            if k:
                a = self.times(a, a, order)
        return found

    def compose(
        self, coefficient: Callable[[int], sp.Expr], small: Series, order: Fraction | None = None
    ) -> Series:
        """Sum of ``coefficient(k) small^k`` for a series without constant part."""
        order = self.order if order is None else order
        found, power = self.number(coefficient(0)), self.number(sp.S.One)
        lowest = min((w % ONCE for w in small), default=order + 1)
        for k in range(1, int(order / lowest) + 1):
            power = self.times(power, small, order)
            found = self.add([found, self.scaled(power, coefficient(k))])
        return found

    # With D, which multiplies each part by its weight, D exp(u) = exp(u) D u: a part follows from
    # the lower ones.

    def inverse(self, a: Series, order: Fraction) -> Series:
        """Inverse of a series."""
        constant, rest = self.split(a)
        if constant == 0:
            raise NoLaw(
                "no series is known where a part that vanishes at the minimiser is a divisor"
            )
        found = self.number(1 / constant)
        less = self.scaled(rest, -1 / constant)
        for w in _reached(less, order):
            self._put(found, w, [(p, found[w - v]) for v, p in less.items() if w - v in found])
        return found

    def exponential(self, value: sp.Expr, small: Series, order: Fraction) -> Series:
        """``value exp(small)`` for a series without constant part."""
        found = self.number(value)
        for w in _reached(small, order):
            parts = [
                (p.mul_ground(self._ratio(v, w)), found[w - v])
                for v, p in small.items()
                if w - v in found
            ]
            self._put(found, w, parts)
        return found

    def logarithm(self, value: sp.Expr, constant: sp.Expr, rest: Series, order: Fraction) -> Series:
        """``value + log(1 + rest/constant)`` for a series without constant part."""
        small, found = self.scaled(rest, 1 / constant), self.number(value)
        for w in _reached(small, order):
            parts = [
                (p, found[w - v].mul_ground(self._ratio(v - w, w)))
                for v, p in small.items()
                if v < w and w - v in found
            ]
            self._put(found, w, [(small.get(w, self.ring.zero), self.ring.one), *parts])
        return found

    def _put(self, found: Series, w: Fraction, parts: Sequence[tuple[Any, Any]]) -> None:
        """Add the part of one weight, a sum of products, if it is not zero."""
        part = sum((p * q for p, q in parts), self.ring.zero)
        found.update(self._nonzero({w: part}))

    def _ratio(self, v: Fraction, w: Fraction) -> Any:
        return self.domain.from_sympy(_rational(v) / _rational(w))

    def split(self, a: Series) -> tuple[sp.Expr, Series]:
        """Constant, as an expression, and the rest."""
        constant = a.get(Fraction(0), self.ring.zero)
        if not constant.is_ground:
            raise NoLaw(NO_POLYNOMIAL)
        value = self.domain.to_sympy(constant.coeff(1)) if constant else sp.S.Zero
        return value, {w: p for w, p in a.items() if w}

    # Roots and signs ----------------------------------------------------------------------

    def sign(self, a: Series) -> Series:
        """Sign of a series, of its leading part."""
        constant, rest = self.split(a)
        if constant != 0:
            return self.number(sign_of(constant))
        if not rest:
            raise NoLaw("a kink of the loss stays undecided to the order of the expansion")
        if (one := self._positive_monomial(rest[min(rest)])) is not None:
            return self.number(sign_of(one[0]))
        return self._atom(rest[min(rest)], Fraction(0), Fraction(0))

    def root(self, a: Series, exponent: Fraction, nonnegative: bool) -> Series:
        """Power with a fractional exponent."""
        constant, rest = self.split(a)
        q = _rational(exponent)
        if constant != 0:
            _positive(constant)
            ratio = self.scaled(rest, 1 / constant)
            return self.scaled(self.compose(lambda k: sp.binomial(q, k), ratio), constant**q)
        if not rest:
            if exponent > 0:
                return {}
            raise NoLaw("the loss is not finite at the minimiser")
        m = min(rest)
        if exponent < 0:
            raise NoLaw(
                "no series is known where a part that vanishes at the minimiser is a divisor"
            )
        if not nonnegative and (m.denominator != 1 or m.numerator % 2):
            raise NoLaw("the loss is not defined on both sides of the minimiser: an odd root")
        whole, part = divmod(exponent, 1)
        found = self._monomial_root(rest[m], part) or self._atom(rest[m], part, m * part)
        found = self.times(found, self.power({m: rest[m]}, int(whole)))
        higher = {w: p for w, p in rest.items() if w > m}
        if not found or not any(fits(min(found) + w - m, self.order) for w in higher):
            return found
        small: Series = {}
        for w, p in higher.items():
            if fits(w - m, self.order):
                quotient, remainder = self._divided(p, rest[m])
                inverse = self._atom(rest[m], Fraction(-1), -m) if remainder else {}
                small[w - m] = p * inverse[-m] if remainder else quotient
        return self.times(found, self.compose(lambda k: sp.binomial(q, k), small))

    def _positive_monomial(self, form: PolyElement) -> tuple[sp.Expr, tuple[int, ...]] | None:
        """Coefficient and powers of a form of one term, whose variables are all positive."""
        if len(form) != 1:
            return None
        ((monomial, c),) = form.terms()
        used = [k for k, e in enumerate(monomial) if e]
        if any(k >= len(self.variables) or not self.variables[k].is_positive for k in used):
            return None
        return self.domain.to_sympy(c), tuple(monomial)

    def _monomial_root(self, form: PolyElement, power: Fraction) -> Series | None:
        """Power of such a form, where its exponents stay whole."""
        one = self._positive_monomial(form)
        if one is None or any((e * power).denominator != 1 for e in one[1]):
            return None
        c, powers = one
        _positive(c)
        found = self.number(c ** _rational(power))
        term = self.ring({tuple(int(e * power) for e in powers): self.domain.one})
        return self.times(found, self.known(term))

    def _atom(self, form: PolyElement, power: Fraction, weight: Fraction) -> Series:
        atom = Atom(form, power)
        if atom not in self.atoms:
            if len(self.variables) + len(self.atoms) >= len(self._weights):
                raise NoLaw("the loss has more kinks than were counted")
            self._weights[len(self.variables) + len(self.atoms)] = weight
            self.atoms.append(atom)
        k = len(self.variables) + self.atoms.index(atom)
        return {self._weights[k]: self.ring.gens[k]}

    def reduced(self, a: Series) -> Series:
        """Normal form: powers of roots and signs as low as their relations allow."""
        return self._nonzero({w: self._reduced(p) for w, p in a.items()})

    def _reduced(self, p: PolyElement) -> PolyElement:
        first = len(self.variables)
        for k, atom in enumerate(self.atoms):
            relation = self._relation(atom)
            if relation is None:
                p = self._cancelled(p, first + k, atom)
                continue
            degree, value = relation
            powers = {0: self.ring.one}
            while any(m[first + k] >= degree for m in p.itermonoms()):
                groups: dict[int, dict[Any, Any]] = {}
                for monomial, c in p.iterterms():
                    times, left = divmod(monomial[first + k], degree)
                    rest = (*monomial[: first + k], left, *monomial[first + k + 1 :])
                    groups.setdefault(times, {})[rest] = c
                p = self.ring.zero
                for times, terms in groups.items():
                    if times not in powers:
                        powers[times] = value**times
                    p += self.ring.from_dict(terms) * powers[times]
        return p

    def _relation(self, atom: Atom) -> tuple[int, PolyElement] | None:
        if atom.power < 0:
            return None
        if atom.power == 0:
            return 2, self.ring.one
        return atom.power.denominator, atom.form**atom.power.numerator

    def _cancelled(self, p: PolyElement, k: int, atom: Atom) -> PolyElement:
        """Cancel ``form * (1/form)`` in the highest power of an inverse, as long as it divides."""
        while (top := max((m[k] for m in p.itermonoms()), default=0)) > 0:
            head, rest = self.ring.zero, self.ring.zero
            for monomial, c in p.terms():
                if monomial[k] == top:
                    head += self.ring({(*monomial[:k], 0, *monomial[k + 1 :]): c})
                else:
                    rest += self.ring({monomial: c})
            quotient, remainder = self._divided(head, atom.form)
            if remainder:
                return p
            p = rest + quotient * self.ring.gens[k] ** (top - 1)
        return p

    def _divided(self, p: PolyElement, form: PolyElement) -> tuple[PolyElement, PolyElement]:
        """Quotient and remainder; of decimals, whose long division has no end, by one term only."""
        if not self.decimal:
            return p.div(form)
        if len(form) != 1:
            return self.ring.zero, p
        ((below, divisor),) = form.terms()
        quotient, rest = self.ring.zero, self.ring.zero
        for monomial, c in p.terms():
            powers = tuple(a - b for a, b in zip(monomial, below, strict=True))
            if min(powers) < 0:
                rest += self.ring({monomial: c})
            else:
                quotient += self.ring({powers: c / divisor})
        return quotient, rest

    def _nonzero(self, series: Series) -> Series:
        """Series without parts that are zero; of decimals, without their rounding."""
        if self.decimal:
            series = {
                w: self.ring.from_dict({m: c for m, c in p.items() if not self._is_rounding(c)})
                for w, p in series.items()
            }
        return {w: p for w, p in series.items() if p}

    def smooth(self, p: PolyElement) -> bool:
        """Whether a part is a polynomial in the variables."""
        first = len(self.variables)
        return not any(any(m[first:]) for m in p.itermonoms())

    def average(self, a: Series, x: Sequence[sp.Symbol]) -> Series:
        """Expectation over independent standard normal numbers, monomial by monomial."""
        places = [self.variables.index(s) for s in x]
        found: Series = {}
        for w, p in a.items():
            terms = []
            for monomial, c in p.iterterms():
                powers = [monomial[k] for k in places]
                if any(e % 2 for e in powers):
                    continue
                rest = list(monomial)
                for k in places:
                    rest[k] = 0
                terms.append((tuple(rest), c * prod(_moment(e) for e in powers if e)))
            found[w] = self.gathered(terms)
        return self._nonzero(found)

    def expression(self, p: PolyElement) -> sp.Expr:
        """Part as an expression in the variables; quadratic forms under a root are sums of squares.

        An expanded sum of squares would cancel where it is small.
        """
        first = len(self.variables)
        groups: dict[tuple[int, ...], dict[Any, Any]] = {}
        for monomial, c in p.iterterms():
            plain = (*monomial[:first], *[0] * (len(monomial) - first))
            groups.setdefault(tuple(monomial[first:]), {})[plain] = c
        return sp.Add(
            *(
                self._group(key, self.ring.from_dict(groups[key]))
                for key in sorted(groups, reverse=True)
            )
        )

    def _group(self, powers: Sequence[int], polynomial: PolyElement) -> sp.Expr:
        """Polynomial times powers of atoms; whole powers of a radicand go back under its root."""
        factors = []
        for atom, e in zip(self.atoms, powers, strict=False):
            q = _rational(atom.power)
            if not e:
                continue
            form = sum_of_squares(self.expression(atom.form), self.variables)
            exponent = q * e
            while q > 0 and not (found := self._divided(polynomial, atom.form))[1]:
                polynomial, exponent = found[0], exponent + 1
            factors.append(form**exponent if q else sp.sign(form) ** e)
        names = self.variables
        terms = [
            sp.Mul(self.domain.to_sympy(c), *(s**e for s, e in zip(names, m, strict=False) if e))
            for m, c in sorted(polynomial.terms(), key=lambda term: term[0], reverse=True)
        ]
        return sp.Mul(sp.Add(*terms), *factors)


@functools.cache
def _moment(power: int) -> int:
    """Moment of a standard normal number, of an even power."""
    return int(sp.factorial2(power - 1))


def fits(w: Fraction, order: Fraction) -> bool:
    """Whether a part of this weight is kept."""
    return w <= order or (w >= ONCE and w - ONCE <= order)


def _reached(a: Series, order: Fraction) -> list[Fraction]:
    """Sums of one or more of a series' weights, up to an order."""
    found: set[Fraction] = set()
    new = {w for w in a if fits(w, order)}
    while new:
        found |= new
        new = {w + v for w in new for v in a if fits(w + v, order)} - found
    return sorted(found)


def _rational(w: Fraction) -> sp.Rational:
    return sp.Rational(w.numerator, w.denominator)


def sign_of(constant: sp.Expr) -> sp.Expr:
    """Sign of a number, or of an expression in positive symbols."""
    if constant.is_positive:
        return sp.S.One
    if constant.is_negative:
        return sp.S.NegativeOne
    raise NoLaw(f"the sign of {constant} is not known; give numbers or positive symbols")


def _positive(constant: sp.Expr) -> None:
    if sign_of(constant) != 1:
        raise NoLaw(f"the loss takes a root of {constant}, which is negative")
