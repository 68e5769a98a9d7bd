"""Equations of a polynomial loss, from its coefficients and exponents alone.

A term ``[p, q, [[i, k], ...]]`` is ``p/q`` times the product of the ``x_i^k``. Each polynomial has
one form: fractions in lowest terms, entries in order, powers from one on, no monomial twice.
"""

import math
from fractions import Fraction
from typing import Any, NamedTuple

from flint import arb, fmpq

from flows.certificates.verifier.loss import Loss
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.steps import Step, Steps

MOST_TERMS, MOST_POWER = 20_000, 64


class Term(NamedTuple):
    """A coefficient and the powers of the entries that stand in a monomial."""

    factor: fmpq
    powers: tuple[tuple[int, int], ...]

    def slope(self, entry: int) -> "Term":
        """Derivative by an entry that stands in it."""
        power = dict(self.powers)[entry]
        left = ((i, k - (i == entry)) for i, k in self.powers)
        return Term(self.factor * power, tuple((i, k) for i, k in left if k))


class Polynomial(Loss):
    """A polynomial in the entries, whose terms are its steps."""

    stated, form = ("name", "blocks", "terms"), "polynomial"

    def read(self, parameters: Any) -> list[Step]:
        """Steps of the terms of the file."""
        self.terms = terms(parameters["terms"], len(self.names))
        made = Steps([])
        parts = []
        for factor, powers in self.terms:
            factors = (made.power(made.put("variable", i), k) for i, k in powers)
            number = made.number(Fraction(int(factor.p), int(factor.q)))
            parts.append(made.times(*factors, number))
        made.put("plus", made.plus(*parts), made.number(0))
        return made.lines

    def formula(self) -> str:
        """The loss, as it was read."""
        parts = []
        for factor, powers in self.terms:
            letters = [self.names[i] + (f"^{k}" if k > 1 else "") for i, k in powers]
            number = [str(abs(factor))] if abs(factor) != 1 or not letters else []
            parts.append(("- " if factor < 0 else "+ ") + " ".join(number + letters))
        return " ".join(parts).removeprefix("+ ") or "0"


def value(term: Term, table: list[Any]) -> Any:
    """Value of a term, from the powers of the entries."""
    found: Any = arb(term.factor)
    for i, k in term.powers:
        found = found * table[k - 1][i]
    return found


def terms(stated: Any, size: int) -> list[Term]:
    """Terms of a polynomial in so many entries."""
    require(isinstance(stated, list) and len(stated) <= MOST_TERMS, "there are too many terms")
    found, monomials = [], set()
    for numerator, denominator, powers in stated:
        whole = [numerator, denominator, *(k for pair in powers for k in pair)]
        require(all(type(k) is int for k in whole), "a term is not made of integers")
        require(
            numerator != 0 and denominator > 0 and math.gcd(numerator, denominator) == 1,
            "a coefficient is not a fraction in lowest terms",
        )
        monomial = tuple((i, k) for i, k in powers)
        places = [i for i, _ in monomial]
        require(
            places == sorted({*places})
            and all(0 <= i < size and 0 < k <= MOST_POWER for i, k in monomial),
            "the powers of a monomial are wrong",
        )
        require(monomial not in monomials, "a monomial occurs twice")
        monomials.add(monomial)
        found.append(Term(fmpq(numerator, denominator), monomial))
    return found


EQUATIONS = Polynomial
