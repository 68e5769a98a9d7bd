r"""Gaussian expectations as parts of an expression, in closed form where they are polynomial.

Exponentials of affine forms are taken out of the average, which moves by their slope (Cameron and
Martin 1944):

.. math:: E\, e^{r \cdot x + b}\, g(x) = e^{b + |r|^2/2}\, E\, g(x + r)

For products, Hermite polynomials keep what cancels apart: with `p = sum_a p_a He_a`,

.. math:: E\, p(x)\, q(x) = \sum_a a!\, p_a\, q_a, \qquad x \sim N(0, I_r),

so the expectation of a square is a sum of squares and keeps its relative accuracy near zero.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from math import factorial
from typing import Any

import sympy as sp

from symbolic.language.expressions import as_expression

__all__ = ["Expectation", "hermite", "mean", "tilted"]


# Sums of exponentials.
EXPONENTIAL = (sp.exp, sp.cosh, sp.sinh)


class Expectation(sp.Expr):
    """Expectation of an expression over `x ~ N(0, I)`, a part of other expressions.

    Parameters
    ----------
    integrand : Expr
        An expression in `x` and anything else.
    x : Symbol or MatrixSymbol
        The Gaussian number, or column of independent ones.

    Examples
    --------
    >>> w, x = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
    >>> loss = Expectation((w.T * x)[0, 0] ** 4, x) / 4
    >>> sorted(map(str, loss.free_symbols))
    ['w']
    """

    is_commutative = True

    def __new__(cls, integrand: Any, x: Any) -> Any:
        """Refuse what is not a symbol, or a matrix that is not a column."""
        column = isinstance(x, sp.MatrixSymbol) and x.shape[1] == 1
        if not (isinstance(x, sp.Symbol) or column or isinstance(x, sp.Tuple)):
            raise ValueError(f"x must be a Symbol or a MatrixSymbol of one column, got {x!r}")
        return sp.Expr.__new__(cls, as_expression(integrand), x)

    @property
    def integrand(self) -> Any:
        """What is averaged."""
        return self.args[0]

    @property
    def x(self) -> Any:
        """The Gaussian variable; after `blocks.explicit` a tuple of symbols."""
        return self.args[1]

    @property
    def free_symbols(self) -> set[Any]:
        """Symbols of the integrand except the variable itself."""
        return set(self.integrand.free_symbols - self.x.free_symbols)

    def _eval_derivative(self, symbol: Any) -> Any:
        return Expectation(sp.diff(self.integrand, symbol), self.x)

    def _latex(self, printer: Any) -> str:
        return rf"\mathbb{{E}} \left[ {printer._print(self.integrand)} \right]"

    def _sympystr(self, printer: Any) -> str:
        return f"E[{printer._print(self.integrand)}]"


def mean(integrand: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr | None:
    """Expectation of a polynomial in independent standard normal numbers, and exponentials.

    Parameters
    ----------
    integrand : Expr
        In `x` and anything else.
    x : sequence of Symbol
        The Gaussian numbers.

    Returns
    -------
    Expr or None
        The expectation in closed form; None if the integrand is no sum of polynomials in `x` times
        exponentials, or hyperbolic sines and cosines, of affine forms.

    Examples
    --------
    >>> x, y, a = sp.symbols("x y a")
    >>> mean((x**2 - a) ** 2, (x,))
    (1 - a)**2 + 2
    >>> mean(sp.exp(a * x), (x,)), mean(sp.tanh(x), (x,)) is None
    (exp(a**2/2), True)
    """
    if not integrand.is_polynomial(*x):
        functions = {f for f in integrand.atoms(sp.Function) if f.has(*x)}
        if not functions or not all(isinstance(f, EXPONENTIAL) for f in functions):
            return None
        integrand = tilted(sp.expand(integrand.rewrite(EXPONENTIAL[1:], sp.exp)), x)
        if not integrand.is_polynomial(*x):
            return None
    return sp.Add(*(_mean(term, x) for term in sp.Add.make_args(integrand)))


def tilted(integrand: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr:
    """Take exponentials of affine forms out of an average, which changes its integrand.

    Parameters
    ----------
    integrand : Expr
        In `x` and anything else.
    x : sequence of Symbol
        The Gaussian numbers.

    Returns
    -------
    Expr
        An integrand with the same expectation; no term has such an exponential as a factor.

    Examples
    --------
    >>> x, a = sp.symbols("x a")
    >>> tilted(sp.exp(a * x) * sp.tanh(x), (x,))
    exp(a**2/2)*tanh(a + x)
    """
    return sp.Add(*(_tilted(term, x) for term in sp.Add.make_args(integrand)))


def _tilted(term: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr:
    parts = [f.args[0] for f in sp.Mul.make_args(term) if isinstance(f, sp.exp) and f.has(*x)]
    power = sp.expand(sp.Add(*parts))
    slope = [sp.diff(power, each) for each in x]
    if not parts or any(r.has(*x) for r in slope):
        return term
    rest = sp.Mul(*(f for f in sp.Mul.make_args(term) if not (isinstance(f, sp.exp) and f.has(*x))))
    before = power.xreplace(dict.fromkeys(x, sp.S.Zero)) + sp.Add(*(r**2 for r in slope)) / 2
    moved = {each: each + r for each, r in zip(x, slope, strict=True)}
    return sp.exp(sp.expand(before)) * rest.xreplace(moved)


def _mean(term: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr:
    factors: list[sp.Expr] = []
    outside = []
    for factor in sp.Mul.make_args(term):
        base, power = factor.as_base_exp()
        if not factor.has(*x):
            outside.append(factor)
        elif power.is_Integer and power > 1:
            half = base ** (power // 2)
            factors += [half, half, *([base] if power % 2 else [])]
        else:
            factors.append(factor)
    if not factors:
        return term
    # The first factor against the rest: for a square these are equal.
    one = hermite(factors[0], tuple(x))
    rest = hermite(sp.Mul(*factors[1:]), tuple(x))
    found = sp.Add(
        *(sp.prod(map(factorial, a)) * one[a] * rest[a] for a in sorted(one.keys() & rest.keys()))
    )
    return sp.Mul(*outside, found)


@functools.lru_cache(maxsize=64)
def hermite(p: sp.Expr, x: tuple[sp.Symbol, ...]) -> dict[tuple[int, ...], sp.Expr]:
    """Coefficients of a polynomial in products of (probabilists') Hermite polynomials.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> hermite(x**3, (x,))
    {(3,): 1, (1,): 3}
    """
    found: dict[tuple[int, ...], list[sp.Expr]] = {}
    for powers, coefficient in sp.Poly(p, *x).terms():
        choices = [[(m - 2 * j, _share(m, j)) for j in range(m // 2 + 1)] for m in powers]
        for picked in itertools.product(*choices):
            share = sp.prod(s for _, s in picked)
            found.setdefault(tuple(k for k, _ in picked), []).append(share * coefficient)
    return {index: sp.Add(*parts) for index, parts in found.items()}


def _share(m: int, j: int) -> int:
    """Coefficient of `He_{m-2j}` in `x^m`."""
    return factorial(m) // (2**j * factorial(j) * factorial(m - 2 * j))
