"""Equations of a polynomial loss, from its coefficients and exponents alone.

A term ``[p, q, [[i, k], ...]]`` is ``p/q`` times the product of the ``x_i^k``. Each polynomial has
one form: fractions in lowest terms, entries in order, powers from one on, no monomial twice.
"""

import math
import re
from typing import Any, NamedTuple

import numpy as np
from flint import arb, fmpq

from flows.certificates.verifier.reading import MOST, require
from flows.certificates.verifier.segment import Equations

WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
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


class Polynomial(Equations):
    """The entries of the blocks, row by row, and the gradient flow of a polynomial in them."""

    stated, form = ("name", "blocks", "terms"), "variables"

    def __init__(self, parameters: Any, start: Any) -> None:
        self.name, self.names = word(parameters["name"]), entries(parameters["blocks"])
        require(
            start.dtype == float and start.shape == (len(self.names),),
            "blocks and start do not fit",
        )
        self.start = np.array([arb(x) for x in start.tolist()])
        self.terms = terms(parameters["terms"], len(self.names))
        self.about = {"name": self.name, "loss": self.formula()}
        self.slopes = [(i, term.slope(i)) for term in self.terms for i, _ in term.powers]
        self.bends = [(i, j, t.slope(j)) for i, t in self.slopes for j, _ in t.powers if j >= i]
        self.highest = max((k for term in self.terms for _, k in term.powers), default=0)

    def field(self, x: Any, signs: Any) -> Any:
        """Minus the gradient."""
        known, total = self.table(x), np.array([type(x[0])(0)] * len(x))
        for i, term in self.slopes:
            total[i] -= value(term, known)
        return total

    def hessian(self, x: Any) -> Any:
        """Second derivatives, each of a pair of entries in turn."""
        known, total = self.table(x), np.array([[arb(0)] * len(x)] * len(x))
        for i, j, term in self.bends:
            total[i, j] += value(term, known)
        return np.triu(total) + np.triu(total, 1).T

    def loss(self, x: Any) -> arb:
        """The sum of the terms."""
        known = self.table(x)
        return sum((value(term, known) for term in self.terms), arb(0))

    def table(self, x: Any) -> list[Any]:
        """Powers of the entries, the first one first."""
        rows = [x]
        for _ in range(1, self.highest):
            rows.append(rows[-1] * x)
        return rows

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


def word(name: Any) -> str:
    """A name that is a plain word."""
    require(isinstance(name, str) and WORD.fullmatch(name), "a name is not a plain word")
    return str(name)


def entries(blocks: Any) -> list[str]:
    """Names of the entries of blocks ``[name, shape]``, row by row."""
    found, known = [], set()
    for name, shape in blocks:
        require(word(name) not in known, "two blocks have one name")
        known.add(name)
        sizes = isinstance(shape, list) and all(type(k) is int and 0 < k <= MOST for k in shape)
        require(sizes and len(shape) <= 2 and math.prod(shape) <= MOST, "a shape is wrong")
        places = np.ndindex(*shape)
        found += [name + (f"[{','.join(map(str, place))}]" if place else "") for place in places]
    require(len(found) <= MOST, "there are too many entries")
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
