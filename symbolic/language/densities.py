r"""Densities of data, each written as an average over standard normal numbers, or as a finite sum.

.. math:: E f(x) = c + E\, g(u), \qquad u \sim N(0, I)

Nothing but this is known of a density elsewhere: a Gaussian is `x = m + C u`, a number that is
uniform is the normal distribution function of a normal one, and a point of a sphere is `u/|u|`,
whose length is independent of it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

from symbolic.language.kinks import has_kinks, kinks_of
from symbolic.language.moments import LEGENDRE, SIGNS, polynomial_mean

__all__ = ["Cube", "Density", "Gaussian", "Mixture", "Rademacher", "Reduced", "Rows", "Sphere"]

# Signs that are summed over, and operations of a sum that is written out.
MOST_SIGNS, MOST_OPERATIONS = 16, 100_000
# Larger denominators are those of doubles: their factor has so many digits, and what is left of a
# variance is zero where it is this part of it.
DENOMINATOR, DIGITS, NOTHING = 10**6, 50, 1e-13


class Reduced(NamedTuple):
    """`closed + E integrand` over standard normal numbers.

    Parameters
    ----------
    closed, integrand : Expr
        Either may be zero.
    """

    closed: sp.Expr
    integrand: sp.Expr

    def __add__(self, other: Any) -> Reduced:
        """Sum of both parts."""
        return Reduced(self.closed + other.closed, self.integrand + other.integrand)

    def times(self, share: sp.Expr) -> Reduced:
        """Multiple of both parts."""
        return Reduced(share * self.closed, share * self.integrand)


class Density(sp.Basic):
    """A density of one number or of a column of them; numbers in it are exact."""

    @property
    def size(self) -> int | None:
        """How many numbers it is of; None of any."""
        return None

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """Average of `f` in `x` by standard normal numbers of the same names.

        Raises
        ------
        ValueError
            For an integrand that the density does not average.
        """
        raise NotImplementedError

    def _sympystr(self, printer: Any) -> str:
        parts = (str(a.tolist() if isinstance(a, sp.MatrixBase) else a) for a in self.args)
        return f"{type(self).__name__}({', '.join(parts)})"


class Gaussian(Density):
    r"""Gaussian density of a mean and a covariance.

    .. math:: x = m + C u, \qquad C C^T = \Sigma, \quad u \sim N(0, I)

    Parameters
    ----------
    mean : number, or sequence of d numbers
        `m`.
    covariance : number, or d x d numbers
        Symmetric and positive semidefinite; the identity if it is left out.

    Raises
    ------
    ValueError
        For other shapes, and a matrix that is no covariance.

    Notes
    -----
    Accuracy: exact for fractions with denominators to a million; otherwise `C` is rounded to
    doubles. To train a mean or a covariance, write `m + C*u` in the integrand.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> Gaussian(1, 4).reduced(x**2, (x,))
    Reduced(closed=0, integrand=(2*x + 1)**2)
    """

    def __new__(cls, mean: Any = 0, covariance: Any = None) -> Gaussian:
        """Check the shapes, and that there is such a density."""
        m = _matrix("the mean", mean)
        m = m.T if m.rows == 1 else m
        if m.cols != 1:
            raise ValueError(f"the mean must be a number or a column, got shape {m.shape}")
        given = sp.eye(m.rows) if covariance is None else _matrix("the covariance", covariance)
        if given.shape != (m.rows, m.rows):
            raise ValueError(
                f"the covariance must have shape {(m.rows, m.rows)} like the mean, got"
                f" {given.shape}"
            )
        found = sp.Basic.__new__(cls, m, sp.ImmutableMatrix(given))
        _factor(found.args[1])
        return found

    @property
    def size(self) -> int:
        """How many numbers it is of."""
        return int(self.args[0].rows)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        mean, covariance = self.args
        moved = mean + _factor(covariance) * sp.Matrix(x)
        return Reduced(sp.S.Zero, f.xreplace(dict(zip(x, moved, strict=True))))

    def _latex(self, printer: Any) -> str:
        mean, covariance = (m[0] if self.size == 1 else m for m in self.args)
        return rf"\mathcal{{N}}\left({printer._print(mean)}, {printer._print(covariance)}\right)"


class Rademacher(Density):
    """Independent signs, +1 or -1 with equal chances.

    A polynomial is averaged in closed form; anything else by the plain sum over all signs that it
    depends on, at most 16.

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
        if len(used) > MOST_SIGNS:
            raise ValueError(
                f"expected at most {MOST_SIGNS} signs in what is no polynomial of them, got"
                f" {len(used)}; take fewer, or a sample of them as Rows"
            )
        signs = itertools.product((sp.S.One, sp.S.NegativeOne), repeat=len(used))
        return _summed(f, used, signs, 2 ** len(used), [sp.S.One] * 2 ** len(used))

    def _latex(self, printer: Any) -> str:
        return r"\mathcal{U}\{-1, 1\}"


class Rows(Density):
    r"""Rows of data: the average over them.

    .. math:: E f(x) = \sum_i p_i f(x_i) \Big/ \sum_i p_i

    Parameters
    ----------
    rows : array_like, shape (n, d) or (n,)
        Data; numbers are taken as what they are, also those of doubles.
    weights : sequence of n numbers, optional
        Not negative, and not all zero; equal if left out.

    Raises
    ------
    ValueError
        For other shapes, or numbers that are not real and finite.

    Examples
    --------
    >>> x, w = sp.symbols("x w", real=True)
    >>> Rows([1, 2]).reduced((w * x - 1) ** 2, (x,)).closed
    (w - 1)**2/2 + (2*w - 1)**2/2
    """

    def __new__(cls, rows: Any, weights: Any = None) -> Rows:
        """Check the shapes."""
        data = _matrix("rows", rows)
        if not isinstance(rows, sp.MatrixBase) and np.ndim(np.array(rows, dtype=object)) == 1:
            data = data.T if data.rows == 1 else data
        return sp.Basic.__new__(cls, data, _shares("rows", data.rows, weights))

    @property
    def size(self) -> int:
        """How many numbers it is of."""
        return int(self.args[0].cols)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        data, weights = self.args
        rows = (data.row(k) for k in range(data.rows))
        return _summed(f, x, rows, data.rows, list(weights))

    def _latex(self, printer: Any) -> str:
        return rf"{self.args[0].rows} \text{{ rows}}"

    def _sympystr(self, printer: Any) -> str:
        return f"{self.args[0].rows} rows"


class Cube(Density):
    r"""Uniform density between two ends, of independent numbers.

    Parameters
    ----------
    low, high : number, or sequence of d numbers
        Ends of each number; the same ones for all of them if they are numbers.

    Raises
    ------
    ValueError
        Where `low` is not below `high`.

    Notes
    -----
    A polynomial is averaged in closed form, by Legendre polynomials. Anything else is averaged
    over `x = (low + high)/2 + (high - low)/2 erf(u/sqrt 2)` with standard normal numbers `u`.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> Cube(0, 1).reduced(x**2, (x,)).closed
    1/3
    """

    def __new__(cls, low: Any = -1, high: Any = 1) -> Cube:
        """Check the ends."""
        ends = [_matrix("an end", end) for end in (low, high)]
        ends = [end.T if end.rows == 1 else end for end in ends]
        if any(end.cols != 1 for end in ends) or ends[0].rows != ends[1].rows:
            given = [end.tolist() for end in ends]
            raise ValueError(f"low and high must be two numbers or two columns, got {given}")
        if not all(a < b for a, b in zip(*ends, strict=True)):
            raise ValueError(f"low must be below high, got {list(ends[0])} and {list(ends[1])}")
        return sp.Basic.__new__(cls, *ends)

    @property
    def size(self) -> int | None:
        """How many numbers it is of; None of any."""
        return int(self.args[0].rows) if self.args[0].rows > 1 else None

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        ends = list(zip(*self.args, strict=True)) * (len(x) if self.size is None else 1)
        polynomial = f.is_polynomial(*x)
        if not polynomial and has_kinks(f, x):
            raise ValueError(
                "expected, over a cube, a function without kinks in the data; take smooth ones, or"
                " Rows of a sample"
            )
        half = {
            s: (b - a) / 2 * (s if polynomial else sp.erf(s / sp.sqrt(2)))
            for s, (a, b) in zip(x, ends, strict=True)
        }
        moved = f.xreplace({s: (a + b) / 2 + half[s] for s, (a, b) in zip(x, ends, strict=True)})
        if polynomial:
            return Reduced(polynomial_mean(moved, x, LEGENDRE), sp.S.Zero)
        return Reduced(sp.S.Zero, moved)

    def _latex(self, printer: Any) -> str:
        low, high = (printer._print(end[0] if end.rows == 1 else end) for end in self.args)
        return rf"\mathcal{{U}}\left[{low}, {high}\right]"


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
    ValueError
        For any other number; and, where it averages, for a function that is no polynomial in `x`
        and in `Max`, `Abs`, `sign`, `Heaviside` of linear forms, unless `d` is 1 or 2.

    Examples
    --------
    >>> x = sp.symbols("x1:4", real=True)
    >>> Sphere().reduced(x[0] ** 2, x).integrand
    x1**2/3
    """

    def __new__(cls, radius: Any = 1) -> Sphere:
        """Check the radius."""
        size = _number("the radius", radius)
        if not size > 0:
            raise ValueError(f"the radius must be positive, got {radius!r}")
        return sp.Basic.__new__(cls, size)

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


class Mixture(Density):
    """Mixture of densities.

    Parameters
    ----------
    parts : sequence of densities
        Of equally many numbers.
    weights : sequence of numbers, optional
        Not negative, and not all zero; they are divided by their sum. Equal if left out.

    Raises
    ------
    ValueError
        For what is no density, and for other weights.

    Examples
    --------
    >>> x = sp.Symbol("x", real=True)
    >>> Mixture([Gaussian(1), Rademacher()], [1, 3]).reduced(x**2, (x,))
    Reduced(closed=3/4, integrand=(x + 1)**2/4)
    """

    def __new__(cls, parts: Any, weights: Any = None) -> Mixture:
        """Check the parts."""
        found = sp.Tuple(*parts)
        if not found or not all(isinstance(part, Density) for part in found):
            raise ValueError(f"a mixture must be of densities, got {parts!r}")
        if len(sizes := {part.size for part in found} - {None}) > 1:
            raise ValueError(
                f"parts of a mixture must be of equally many numbers, got {sorted(sizes)}"
            )
        return sp.Basic.__new__(cls, found, _shares("parts", len(found), weights))

    @property
    def size(self) -> int | None:
        """How many numbers it is of; None of any."""
        return next((part.size for part in self.args[0] if part.size is not None), None)

    def reduced(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> Reduced:
        """See :meth:`Density.reduced`."""
        parts, weights = self.args
        each = (p.reduced(f, x).times(w) for p, w in zip(parts, weights, strict=True) if w)
        return functools.reduce(Reduced.__add__, each)

    def _latex(self, printer: Any) -> str:
        parts = (
            f"{printer._print(w)} \\, {printer._print(p)}" for p, w in zip(*self.args, strict=True)
        )
        return " + ".join(parts)


def _number(label: str, value: Any) -> sp.Expr:
    """A real number as it is: a double is the fraction that it is."""
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        return sp.Rational(float(value))
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return sp.Integer(int(value))
    if isinstance(value, Fraction):
        return sp.Rational(value.numerator, value.denominator)
    if isinstance(value, sp.Float):
        return sp.Rational(float(value))
    if isinstance(value, sp.Expr) and value.is_number and value.is_real and value.is_finite:
        return value
    raise ValueError(f"{label} must be of real and finite numbers, got {value!r}")


def _matrix(label: str, given: Any) -> sp.ImmutableMatrix:
    """Numbers, rows of them, or a matrix."""
    if isinstance(given, sp.MatrixBase):
        return sp.ImmutableMatrix(*given.shape, [_number(label, e) for e in given])
    try:
        rows = np.array(given, dtype=object)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{label} must be numbers in rows of one length, got {given!r}") from None
    if rows.ndim > 2 or rows.size == 0:
        raise ValueError(f"{label} must have one or two axes, got shape {rows.shape}")
    rows = np.atleast_2d(rows)
    return sp.ImmutableMatrix(*rows.shape, [_number(label, e) for e in rows.ravel()])


def _shares(label: str, count: int, weights: Any) -> sp.ImmutableMatrix:
    """Weights of sum one."""
    given = sp.ones(1, count) if weights is None else _matrix("weights", weights)
    if len(given) != count:
        raise ValueError(f"expected a weight for each of {count} {label}, got {len(given)}")
    total = sp.Add(*given)
    if any(w < 0 for w in given) or total == 0:
        raise ValueError(f"weights must not be negative, nor all zero, got {list(given)}")
    return sp.ImmutableMatrix(1, count, [w / total for w in given])


@functools.lru_cache(maxsize=64)
def _factor(covariance: sp.ImmutableMatrix) -> sp.ImmutableMatrix:
    """Lower triangular matrix whose square is a covariance; columns may be zero."""
    if covariance != covariance.T:
        raise ValueError(f"the covariance must be symmetric, got {covariance.tolist()}")
    exact = all(e.is_Rational and e.q <= DENOMINATOR for e in covariance)
    left = covariance.as_mutable() if exact else covariance.evalf(DIGITS).as_mutable()
    size = covariance.rows
    found = sp.zeros(size, size)
    for k in range(size):
        pivot, whole = left[k, k], abs(covariance[k, k])
        gone = pivot == 0 if exact else abs(pivot) <= NOTHING * whole
        beside = [left[i, k] for i in range(k + 1, size)]
        small = 0 if exact else math.sqrt(NOTHING) * float(max(map(abs, covariance)))
        if (not gone and pivot < 0) or (gone and any(abs(e) > small for e in beside)):
            raise ValueError(
                f"the covariance must be positive semidefinite, got {covariance.tolist()}"
            )
        if gone:
            continue
        for i in range(k, size):
            found[i, k] = left[i, k] / sp.sqrt(pivot)
        for i, j in itertools.product(range(k + 1, size), repeat=2):
            left[i, j] -= left[i, k] * left[j, k] / pivot
    return sp.ImmutableMatrix(found if exact else found.applyfunc(lambda e: sp.Rational(float(e))))


def _summed(
    f: sp.Expr,
    x: Sequence[sp.Symbol],
    places: Iterable[Sequence[sp.Expr]],
    count: int,
    weights: Sequence[sp.Expr],
) -> Reduced:
    """Plain sum over places."""
    if (steps := count * (1 + int(f.count_ops()))) > MOST_OPERATIONS:
        raise ValueError(
            f"expected a sum of at most {MOST_OPERATIONS} operations, got {count} terms, together"
            f" {steps}; take fewer rows or signs, or a shorter function"
        )
    total = sp.Add(*weights)
    terms = (
        w / total * f.xreplace(dict(zip(x, place, strict=True)))
        for place, w in zip(places, weights, strict=True)
        if w
    )
    return Reduced(sp.Add(*terms), sp.S.Zero)


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
