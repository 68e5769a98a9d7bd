r"""Expectations as parts of an expression, in closed form where a Gaussian one is polynomial.

Exponentials of affine forms are taken out of the average, which moves by their slope (Cameron and
Martin 1944):

.. math:: E\, e^{r \cdot x + b}\, g(x) = e^{b + |r|^2/2}\, E\, g(x + r)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from symbolic.language.averages.density import Density
from symbolic.language.averages.moments import HERMITE, polynomial_mean
from symbolic.language.errors import InputError
from symbolic.language.expressions import as_expression

__all__ = ["Expectation", "mean", "tilted"]


# Sums of exponentials.
EXPONENTIAL = (sp.exp, sp.cosh, sp.sinh)


class Expectation(sp.Expr):
    r"""Expectation of an expression over `x`, a part of other expressions.

    .. math:: E f(x), \qquad x \sim N(0, I) \text{ or of a density}

    Parameters
    ----------
    integrand : Expr
        An expression in `x` and anything else.
    x : Symbol, MatrixSymbol or sequence of Symbol
        A number, a column of them, or some numbers with a joint density.
    density : Density, optional
        `Gaussian`, `Rademacher`, `Rows`, `Cube`, `Sphere` or a `Mixture` of these; the entries are
        independent and standard normal if it is left out.

    Raises
    ------
    InputError
        For an `x` that is neither, and a density of another number of entries.

    Examples
    --------
    >>> w, x = sp.MatrixSymbol("w", 2, 1), sp.MatrixSymbol("x", 2, 1)
    >>> loss = Expectation((w.T * x)[0, 0] ** 4, x) / 4
    >>> sorted(map(str, loss.free_symbols))
    ['w']
    """

    is_commutative = True

    def __new__(cls, integrand: Any, x: Any, density: Any = None) -> Any:
        """Refuse what is not a symbol, or a matrix that is not a column; and densities unlike x.

        A density with parameters that are trained is written into the integrand.
        """
        if isinstance(x, (tuple, list, sp.MatrixBase)) and x:
            x = sp.Tuple(*x)
        if isinstance(x, sp.Tuple) and not (
            all(isinstance(each, sp.Symbol) for each in x) and len(set(x)) == len(x) > 0
        ):
            raise InputError(f"expected different symbols of numbers as x, got {x}")
        column = isinstance(x, sp.MatrixSymbol) and x.shape[1] == 1
        if not (isinstance(x, sp.Symbol) or column or isinstance(x, sp.Tuple)):
            raise InputError(
                f"x must be a Symbol, some of them, or a MatrixSymbol of one column, got {x!r}"
            )
        if density is None:
            return sp.Expr.__new__(cls, as_expression(integrand), x)
        if not isinstance(density, Density):
            raise InputError(f"density must be one of symbolic, as Gaussian(0, 1), got {density!r}")
        size = 1 if isinstance(x, sp.Symbol) else len(x) if isinstance(x, sp.Tuple) else x.shape[0]
        if density.size not in (None, size):
            raise InputError(f"x has {size} entries, its density {density.size}: {density}")
        if density.free_symbols:
            moved = density.trained(as_expression(integrand), x)
            return sp.Add(*(share * cls(f, x) for share, f in moved))
        return sp.Expr.__new__(cls, as_expression(integrand), x, density)

    @property
    def integrand(self) -> Any:
        """What is averaged."""
        return self.args[0]

    @property
    def x(self) -> Any:
        """The variable; after `blocks.explicit` a tuple of symbols."""
        return self.args[1]

    @property
    def density(self) -> Density | None:
        """Density of the variable; None if it is standard normal."""
        return self.args[2] if len(self.args) > 2 else None

    @property
    def free_symbols(self) -> set[Any]:
        """Symbols of the integrand except the variable itself."""
        return set(self.integrand.free_symbols - self.x.free_symbols)

    def _eval_derivative(self, symbol: Any) -> Any:
        return self.func(sp.diff(self.integrand, symbol), *self.args[1:])

    def _latex(self, printer: Any) -> str:
        law = ""
        if self.density is not None:
            law = rf"_{{{printer._print(self.x)} \sim {printer._print(self.density)}}}"
        return rf"\mathbb{{E}}{law} \left[ {printer._print(self.integrand)} \right]"

    def _sympystr(self, printer: Any) -> str:
        law = "" if self.density is None else f", {self.x} ~ {printer._print(self.density)}"
        return f"E[{printer._print(self.integrand)}{law}]"


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
    return polynomial_mean(integrand, x, HERMITE)


def tilted(integrand: sp.Expr, x: Sequence[sp.Symbol]) -> sp.Expr:
    """Integrand of the same mean without exponentials of affine forms as factors of its terms.

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
