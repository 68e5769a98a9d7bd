r"""Uniform densities of data: signs, cubes and spheres.

A number that is uniform is the normal distribution function of a normal one, and a point of a
sphere is `u/|u|`, whose length is independent of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp

from symbolic.language.averages.density import Array, Density, Reduced, matrix, number, summed
from symbolic.language.averages.kinks import has_kinks, kinks_of
from symbolic.language.averages.moments import LEGENDRE, SIGNS, polynomial_mean
from symbolic.language.errors import InputError

__all__ = ["Cube", "Rademacher", "Sphere"]

# Signs that are summed over.
MOST_SIGNS = 16
# Numbers of a cube that a function with kinks may be of, as lines between kinks lie in a plane; and
# up to so many of a smooth one are normal numbers on another scale.
MOST_KINKED, MOST_MAPPED = 2, 2


class Rademacher(Density):
    """Independent signs, +1 or -1 with equal chances.

    A polynomial is averaged in closed form; anything else by the plain sum over all signs that it
    depends on, at most 16. A long sum is one over arrays of doubles.

    Examples
    --------
    >>> x, w = sp.symbols("x w", real=True)
    >>> Rademacher().reduced(sp.exp(w * x), (x,)).closed
    exp(w)/2 + exp(-w)/2
    """

    def __new__(cls) -> Rademacher:
        """Without parameters."""
        return sp.Basic.__new__(cls)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        if f.is_polynomial(*x):
            return Reduced(polynomial_mean(f, x, SIGNS), sp.S.Zero)
        used = [s for s in x if f.has(s)]
        signs = itertools.product((sp.S.One, sp.S.NegativeOne), repeat=len(used))
        return summed(f, used, signs, [sp.S.One] * self.terms(f, x))

    def terms(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> int:
        """See :meth:`Density.terms`."""
        if f.is_polynomial(*x):
            return 0
        if (used := sum(f.has(s) for s in x)) > MOST_SIGNS:
            raise ValueError(
                f"expected at most {MOST_SIGNS} signs in an integrand that is no polynomial of"
                f" them, got {used}; take fewer, or a sample of them as Rows"
            )
        return 2**used

    def places(self, size: int) -> tuple[Array, Array]:
        """See :meth:`Density.places`."""
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=size)))
        return signs, np.full(len(signs), 1 / len(signs))

    def _latex(self, printer: Any) -> str:
        return r"\mathcal{U}\{-1, 1\}"


class Cube(Density):
    r"""Uniform density between two ends, of independent numbers.

    Parameters
    ----------
    low, high : number, or sequence of d numbers
        Ends of each number; the same ones for all of them if they are numbers.

    Raises
    ------
    InputError
        Where `low` is not below `high`.

    Notes
    -----
    A polynomial is averaged in closed form, by Legendre polynomials. A smooth function of one or
    two numbers is averaged over `x = (low + high)/2 + (high - low)/2 erf(u/sqrt 2)` with standard
    normal numbers `u`, one of more numbers by Gauss-Legendre rules, and a function of one or two
    numbers with kinks between these and the ends.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> Cube(0, 1).reduced(x**2, (x,)).closed
    1/3
    """

    def __new__(cls, low: Any = -1, high: Any = 1) -> Cube:
        """Check the ends."""
        ends = [matrix("an end", end) for end in (low, high)]
        ends = [end.T if end.rows == 1 else end for end in ends]
        if any(end.cols != 1 for end in ends) or ends[0].rows != ends[1].rows:
            given = [end.tolist() for end in ends]
            raise InputError(f"low and high must be two numbers or two columns, got {given}")
        if not all(a < b for a, b in zip(*ends, strict=True)):
            raise InputError(f"low must be below high, got {list(ends[0])} and {list(ends[1])}")
        return sp.Basic.__new__(cls, *ends)

    @property
    def size(self) -> int | None:
        """How many numbers it is of; None of any."""
        return int(self.args[0].rows) if self.args[0].rows > 1 else None

    def ends(self, count: int) -> list[tuple[sp.Expr, sp.Expr]]:
        """Both ends of each of ``count`` numbers."""
        return list(zip(*self.args, strict=True)) * (count if self.size is None else 1)

    def stays(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> bool:
        """See :meth:`Density.stays`."""
        many = sum(f.has(s) for s in x) > MOST_MAPPED
        return many and not f.is_polynomial(*x) and not has_kinks(f, x)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        ends = self.ends(len(x))
        polynomial, kinked = f.is_polynomial(*x), has_kinks(f, x)
        half = {
            s: (b - a) / 2 * (s if polynomial or kinked else sp.erf(s / sp.sqrt(2)))
            for s, (a, b) in zip(x, ends, strict=True)
        }
        moved = f.xreplace({s: (a + b) / 2 + half[s] for s, (a, b) in zip(x, ends, strict=True)})
        if polynomial:
            return Reduced(polynomial_mean(moved, x, LEGENDRE), sp.S.Zero)
        if kinked:
            used = [s for s in x if f.has(s)]
            if len(used) > MOST_KINKED:
                raise ValueError(
                    "expected, over a cube, a function without kinks in the data, or of one or two"
                    f" numbers, got kinks in {len(used)}; take smooth ones, or Rows of a sample"
                )
            moved *= sp.Mul(*map(_of_normal, used))
        return Reduced(sp.S.Zero, moved)

    def _latex(self, printer: Any) -> str:
        low, high = (printer._print(end[0] if end.rows == 1 else end) for end in self.args)
        return rf"\mathcal{{U}}\left[{low}, {high}\right]"


def _of_normal(u: sp.Symbol) -> sp.Expr:
    """Density of a uniform number between -1 and 1, by that of a standard normal one."""
    inside = sp.Heaviside(1 - u) * sp.Heaviside(1 + u)
    return inside * sp.sqrt(2 * sp.pi) / 2 * sp.exp(u**2 / 2)


class Sphere(Density):
    r"""Uniform density on the sphere of a radius.

    .. math:: E f(x) = r^p\, \frac{\Gamma(d/2)}{2^{p/2}\, \Gamma((d + p)/2)}\, E f(u),
       \qquad f(t u) = t^p f(u), \quad u \sim N(0, I_d)

    Parameters
    ----------
    radius : number
        Positive.

    Raises
    ------
    InputError
        For any other number; and, where it averages, for a function with kinks that is no
        polynomial in `x` and in `Max`, `Abs`, `sign`, `Heaviside` of linear forms.

    Notes
    -----
    A smooth function of another kind is averaged on a circle over an angle. From `d = 3` on it may
    depend on two directions of `x`, and it is averaged in doubles over their plane, where

    .. math:: x = r (\rho \cos\theta, \rho \sin\theta), \qquad
       \rho^2 \sim \mathrm{Beta}(1, (d - 2)/2), \quad \theta \sim U(0, 2 \pi)

    Examples
    --------
    >>> x = sp.symbols("x1:4", real=True)
    >>> Sphere().reduced(x[0] ** 2, x).integrand
    x1**2/3
    """

    def __new__(cls, radius: Any = 1) -> Sphere:
        """Check the radius."""
        size = number("the radius", radius)
        if not size > 0:
            raise InputError(f"the radius must be positive, got {radius!r}")
        return sp.Basic.__new__(cls, size)

    def stays(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> bool:
        """See :meth:`Density.stays`."""
        return len(x) > 2 and not has_kinks(f, x) and _homogeneous(f, tuple(x)) is None

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        (radius,) = self.args
        if len(x) == 1:
            return Rademacher().reduced(f.xreplace({x[0]: radius * x[0]}), x)
        found = _homogeneous(f, tuple(x))
        if found is not None:
            size = len(x)
            integrand = sp.Add(
                *(part * radius**p / _length_moment(p, size) for p, part in found.items())
            )
            return Reduced(sp.S.Zero, integrand)
        if len(x) == 2 and not has_kinks(f, x):
            angle = sp.pi * sp.erf(x[0] / sp.sqrt(2))
            ends = {x[0]: radius * sp.cos(angle), x[1]: radius * sp.sin(angle)}
            return Reduced(sp.S.Zero, f.xreplace(ends))
        raise ValueError(
            "expected, on a sphere, a polynomial in x and in Max, Abs, sign, Heaviside of linear"
            " forms without constants; take such a one, or Rows of a sample"
        )

    def _latex(self, printer: Any) -> str:
        return rf"\mathcal{{U}}\left({printer._print(self.args[0])} \, \mathbb{{S}}\right)"


def _homogeneous(f: sp.Expr, x: tuple[sp.Symbol, ...]) -> dict[int, sp.Expr] | None:
    """Parts of each degree, of a polynomial in `x`, and in ramps and steps of linear forms."""
    found = kinks_of(f, x)
    zero = dict.fromkeys(x, sp.S.Zero)
    if found is None or any(sp.expand(form.xreplace(zero)) != 0 for form in found.forms):
        return None
    symbols = (*found.steps, *found.ramps, *x)
    if not found.expression.is_polynomial(*symbols):
        return None
    back = {h: sp.Heaviside(z) for h, z in zip(found.steps, found.forms, strict=True)}
    back |= {r: sp.Max(0, z) for r, z in zip(found.ramps, found.forms, strict=True)}
    parts: dict[int, list[sp.Expr]] = {}
    for powers, coefficient in sp.Poly(found.expression, *symbols).terms():
        monomial = sp.Mul(*(s**k for s, k in zip(symbols, powers, strict=True)))
        degree = sum(powers[len(found.steps) :])
        parts.setdefault(degree, []).append(coefficient * monomial.xreplace(back))
    # A function of one degree is averaged as it is written.
    return {p: f if len(parts) == 1 else sp.Add(*terms) for p, terms in parts.items()}


def _length_moment(p: int, size: int) -> sp.Expr:
    """`E |u|^p` of a standard normal vector."""
    half = sp.Rational(size, 2)
    return 2 ** sp.Rational(p, 2) * sp.gamma(half + sp.Rational(p, 2)) / sp.gamma(half)
