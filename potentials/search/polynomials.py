"""Polynomials over the rationals, and flows whose right sides are polynomials.

Polynomials are those of python-flint, in variables `x0, x1, ...` and one more, `s`, which relations
of rates need. SymPy's expressions go in and come out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import Ordering, fmpq, fmpq_mpoly_ctx

__all__ = ["Factored", "Flow", "Polynomial", "exponents", "field_flow", "fraction"]
__all__ += ["gradient_flow", "rational"]

#: A polynomial of python-flint.
Polynomial = Any
#: Exponents of a monomial.
Exponents = tuple[int, ...]

# Characters of an expression in a message.
LONGEST = 80


def fraction(number: Any) -> fmpq:
    """An exact number of python-flint: of a Fraction, a double or text `p/q`."""
    exact = Fraction(number)
    return fmpq(exact.numerator, exact.denominator)


def rational(number: fmpq) -> sp.Rational:
    """An exact number of SymPy."""
    return sp.Rational(int(number.p), int(number.q))


def exponents(variables: int, degree: int) -> list[Exponents]:
    """Exponents of all monomials up to a degree, by increasing degree."""
    found: list[Exponents] = []
    for total in range(degree + 1):
        for bars in itertools.combinations(range(total + variables - 1), variables - 1):
            ends = (-1, *bars, total + variables - 1)
            found.append(tuple(b - a - 1 for a, b in itertools.pairwise(ends)))
    return found


@dataclass(frozen=True)
class Factored:
    """A symmetric matrix of coordinates that is `X X^T`, so that it has no negative eigenvalue.

    Parameters
    ----------
    matrix : tuple of tuple of Polynomial
        Its entries, in the coordinates.
    factor : tuple of tuple of Polynomial
        `X`, in the variables of the flow that the coordinates are functions of.
    """

    matrix: tuple[tuple[Polynomial, ...], ...]
    factor: tuple[tuple[Polynomial, ...], ...]


@dataclass(frozen=True)
class Flow:
    r"""A flow `\dot x = f(x)` with polynomial `f`.

    Parameters
    ----------
    symbols : tuple of Expr
        The variables as a person writes them.
    ring : fmpq_mpoly_ctx
        Of the polynomials; its last variable is `s`.
    field : tuple of Polynomial
        `f`.
    loss : Polynomial
        `L`.
    origin : Flow, optional
        The gradient flow of which the variables are functions; without one, `f = -\nabla L`.
    images : tuple of Polynomial
        The variables as functions of those of the origin.
    factored : tuple of Factored
        Matrices of variables that are positive semidefinite as they are defined.
    """

    symbols: tuple[sp.Expr, ...]
    ring: Any
    field: tuple[Polynomial, ...]
    loss: Polynomial
    origin: Flow | None = None
    images: tuple[Polynomial, ...] = ()
    factored: tuple[Factored, ...] = ()

    @property
    def size(self) -> int:
        """Number of variables, without `s`."""
        return len(self.symbols)

    @property
    def s(self) -> Polynomial:
        """The variable of rates."""
        return self.ring.gens()[-1]

    def along(self, p: Polynomial) -> Polynomial:
        r"""`\dot p = \nabla p \cdot f`."""
        parts = (p.derivative(i) * rate for i, rate in enumerate(self.field))
        return sum(parts, start=self.constant(0))

    def constant(self, number: Any) -> Polynomial:
        """A polynomial without variables."""
        return self.ring.constant(number)

    def monomials(self, degree: int, least: int = 0) -> list[Polynomial]:
        """Monomials without `s`, from a degree to another."""
        powers = (e for e in exponents(self.size, degree) if sum(e) >= least)
        return [self.ring.from_dict({(*e, 0): 1}) for e in powers]

    def read(self, expression: sp.Expr) -> Polynomial:
        """Polynomial of an expression in the symbols.

        Raises
        ------
        ValueError
            For what is no polynomial, or has coefficients that are no fractions.
        """
        return self.ring.from_dict(
            {(*e, 0): c for e, c in coefficients(expression, self.symbols).items()}
        )

    def written(self, p: Polynomial, extra: sp.Symbol | None = None) -> sp.Expr:
        """Expression of a polynomial; ``extra`` stands for `s`."""
        variables = (*self.symbols, extra or sp.Symbol("s", nonnegative=True))
        return sp.Add(
            *(
                rational(c) * sp.Mul(*(x**k for x, k in zip(variables, e, strict=True)))
                for e, c in p.to_dict().items()
            )
        )


def coefficients(expression: sp.Expr, symbols: Sequence[sp.Expr]) -> dict[Exponents, fmpq]:
    """Coefficients of a polynomial by its exponents; a double counts as the fraction that it is.

    Raises
    ------
    ValueError
        For what is no polynomial in the symbols with rational coefficients.
    """
    try:
        poly = sp.Poly(expression, *symbols)
    except sp.PolynomialError:
        text = str(expression)
        shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."
        raise ValueError(f"{shown} is no polynomial in {_listed(symbols)}") from None
    found = {}
    for powers, value in poly.terms():
        if not (value.is_Rational or value.is_Float):
            raise ValueError(f"the coefficient {value} is no fraction")
        exact = sp.Rational(value)
        found[powers] = fmpq(int(exact.p), int(exact.q))
    return found


def gradient_flow(loss: sp.Expr, symbols: Sequence[sp.Expr]) -> Flow:
    r"""The gradient flow `\dot x = -\nabla L` of a polynomial loss.

    Raises
    ------
    ValueError
        For what is no polynomial with rational coefficients.
    """
    ring = ring_of(len(symbols))
    terms = {(*e, 0): c for e, c in coefficients(loss, symbols).items()}
    value = ring.from_dict(terms)
    field = tuple(-value.derivative(i) for i in range(len(symbols)))
    return Flow(tuple(symbols), ring, field, value)


def field_flow(field: Sequence[sp.Expr], symbols: Sequence[sp.Expr]) -> Flow:
    r"""The flow `\dot x = f(x)` of polynomials `f`, without a loss.

    Raises
    ------
    ValueError
        For what is no polynomial with rational coefficients.
    """
    ring = ring_of(len(symbols))
    sides = (coefficients(sp.expand(side), symbols) for side in field)
    parts = tuple(ring.from_dict({(*e, 0): c for e, c in side.items()}) for side in sides)
    return Flow(tuple(symbols), ring, parts, ring.constant(0))


def ring_of(variables: int) -> Any:
    """Polynomials in so many variables and `s`."""
    names: Iterable[str] = (*(f"x{i}" for i in range(variables)), "s")
    return fmpq_mpoly_ctx.get(tuple(names), Ordering.degrevlex)


def _listed(symbols: Sequence[sp.Expr]) -> str:
    return ", ".join(map(str, symbols))
