"""Polynomials over the rationals, as a certificate's file states them: whole numbers, fractions."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flows.certificates.verifier.reading import require

__all__ = ["DEGREE", "Exact", "constant", "fraction", "read", "read_matrix", "total", "whole"]

# A file that would take hours to check is refused: degree of a variable, terms, digits.
DEGREE, TERMS, DIGITS = 60, 20_000, 2000
NUMBER = re.compile(r"-?[0-9]+(/[1-9][0-9]*)?")


@dataclass(frozen=True)
class Exact:
    """A polynomial.

    Parameters
    ----------
    terms : dict
        Coefficients that are not zero, by exponents.
    size : int
        Number of variables.
    """

    terms: dict[tuple[int, ...], Fraction]
    size: int

    def __add__(self, other: Exact) -> Exact:
        """Sum."""
        return total((self, other), self.size)

    def __neg__(self) -> Exact:
        """What is as large below zero."""
        return self * -1

    def __sub__(self, other: Exact) -> Exact:
        """Difference."""
        return self + -other

    def __mul__(self, other: Exact | Fraction | int) -> Exact:
        """Product with a polynomial, or with a number."""
        if not isinstance(other, Exact):
            return _made({e: c * other for e, c in self.terms.items()}, self.size)
        found: dict[tuple[int, ...], Fraction] = {}
        for e, c in self.terms.items():
            for f, d in other.terms.items():
                key = tuple(map(operator.add, e, f))
                found[key] = found[key] + c * d if key in found else c * d
        require(len(found) <= TERMS, "a product has too many terms")
        return _made(found, self.size)

    def __pow__(self, k: int) -> Exact:
        """Power."""
        return functools.reduce(lambda a, b: a * b, [self] * k, constant(1, self.size))

    def derivative(self, i: int) -> Exact:
        """Derivative by a variable."""
        lower = {e: (*e[:i], e[i] - 1, *e[i + 1 :]) for e in self.terms if e[i]}
        return _made({lower[e]: self.terms[e] * e[i] for e in lower}, self.size)

    def along(self, field: Sequence[Exact]) -> Exact:
        """Rate along a field of the first variables."""
        return total((self.derivative(i) * rate for i, rate in enumerate(field)), self.size)

    def of(self, image: Sequence[Exact], size: int) -> Exact:
        """Value at functions of so many variables, in place of all variables but the last one."""
        terms = []
        for e, c in self.terms.items():
            factors = (q**k for q, k in zip(image, e[:-1], strict=True) if k)
            terms.append(functools.reduce(lambda a, b: a * b, factors, constant(c, size)))
        return total(terms, size)

    def stated(self) -> Exact:
        """The polynomial; refused if it has the last variable, which is that of rates."""
        require(all(e[-1] == 0 for e in self.terms), "a statement has the variable of rates")
        return self

    def text(self, names: Sequence[str]) -> str:
        """For a person."""
        parts: list[str] = []
        for e, c in sorted(self.terms.items(), reverse=True):
            powers = zip([*names, "s"][: self.size], e, strict=True)
            factors = [name if k == 1 else f"{name}**{k}" for name, k in powers if k]
            size = [] if abs(c) == 1 and factors else [str(abs(c))]
            sign = ("-" if c < 0 else "") if not parts else (" - " if c < 0 else " + ")
            parts.append(sign + "*".join([*size, *factors]))
        return "".join(parts) or "0"


def _made(terms: dict[tuple[int, ...], Fraction], size: int) -> Exact:
    return Exact({e: c for e, c in terms.items() if c}, size)


def constant(number: Any, size: int) -> Exact:
    """A number as a polynomial."""
    return _made({(0,) * size: Fraction(number)}, size)


def total(parts: Any, size: int) -> Exact:
    """Sum of polynomials."""
    found: dict[tuple[int, ...], Fraction] = {}
    for part in parts:
        for e, c in part.terms.items():
            found[e] = found[e] + c if e in found else c
    return _made(found, size)


def fraction(text: Any) -> Fraction:
    """Number of its text, `p` or `p/q`."""
    fits = isinstance(text, str) and len(text) <= DIGITS and NUMBER.fullmatch(text)
    require(fits, "a number is not exact")
    return Fraction(text)


def whole(value: Any, most: int) -> int:
    """A whole number from 0 on."""
    require(type(value) is int and 0 <= value <= most, "a whole number is out of range")
    return int(value)


def read(rows: Any, size: int) -> Exact:
    """Polynomial of its coefficients and exponents."""
    require(isinstance(rows, list) and len(rows) <= TERMS, "a polynomial has too many terms")
    found: dict[tuple[int, ...], Fraction] = {}
    for value, powers in rows:
        require(isinstance(powers, list) and len(powers) == size, "exponents and variables differ")
        key = tuple(whole(k, DEGREE) for k in powers)
        require(key not in found, "a term occurs twice")
        found[key] = fraction(value)
    return _made(found, size)


def read_matrix(rows: Any, size: int) -> list[list[Exact]]:
    """Matrix of polynomials."""
    return [[read(p, size) for p in row] for row in rows]
