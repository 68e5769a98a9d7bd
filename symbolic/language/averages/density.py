r"""Densities of data: an average over standard normal numbers, or a finite sum.

.. math:: E f(x) = c + E\, g(u), \qquad u \sim N(0, I)

Nothing but this is known of a density elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.matrices.expressions.matexpr import MatrixElement

from symbolic.language.errors import InputError

__all__ = ["Density", "Reduced", "is_long", "matrix", "number", "parameter", "shares", "summed"]

Array = NDArray[np.float64]
# Operations of a sum that is written out.
MOST_OPERATIONS = 10_000


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

    def trained(self, f: Any, x: Any) -> list[tuple[sp.Expr, Any]]:
        """Weights and integrands over standard normal numbers of a density with free symbols."""
        raise InputError(f"expected numbers in {self}, got {sorted(map(str, self.free_symbols))}")

    def terms(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> int:
        """Number of terms where an average of `f` is a plain sum; else 0."""
        return 0

    def stays(self, f: sp.Expr, x: Sequence[sp.Symbol]) -> bool:
        """Whether an average of `f` is taken over nodes of this density, in doubles."""
        return is_long(f, self.terms(f, x))

    def places(self, size: int) -> tuple[Array, Array]:
        """Places and weights of a plain sum in doubles, shapes (n, size) and (n,)."""
        raise NotImplementedError

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


def number(label: str, value: Any) -> sp.Expr:
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
    raise InputError(f"{label} must be of real and finite numbers, got {value!r}")


def parameter(label: str, value: Any) -> sp.Expr:
    """A real number, or an expression in what is trained that is one wherever a flow leads."""
    if not (isinstance(value, sp.Expr) and value.free_symbols):
        return number(label, value)
    plain = value.xreplace({e: sp.Dummy(real=True) for e in value.atoms(MatrixElement)})
    if not plain.xreplace({s: sp.Dummy(real=True) for s in plain.free_symbols}).is_real:
        raise InputError(
            f"{label} must be real and finite for all values of the parameters, got {value}: a"
            " flow may lead to others; train another parameter, such as its logarithm"
        )
    return value


def matrix(label: str, given: Any, entry: Callable[[str, Any], sp.Expr] = number) -> Any:
    """Numbers, rows of them, or a matrix."""
    if isinstance(given, sp.MatrixExpr):
        given = given.as_explicit()
    if isinstance(given, sp.MatrixBase):
        return sp.ImmutableMatrix(*given.shape, [entry(label, e) for e in given])
    try:
        rows = np.array(given, dtype=object)
        uneven = any(isinstance(e, Iterable) and not isinstance(e, str) for e in rows.ravel())
    except ValueError:  # as NumPy says it of some rows of different lengths
        uneven = True
    if uneven:
        raise InputError(f"{label} must be numbers in rows of one length, got {given!r}")
    if rows.ndim > 2 or rows.size == 0:
        raise InputError(f"{label} must have one or two axes, got shape {rows.shape}")
    rows = np.atleast_2d(rows)
    return sp.ImmutableMatrix(*rows.shape, [entry(label, e) for e in rows.ravel()])


def shares(label: str, count: int, weights: Any) -> sp.ImmutableMatrix:
    """Weights of sum one."""
    given = sp.ones(1, count) if weights is None else matrix("weights", weights)
    if len(given) != count:
        raise InputError(f"expected a weight for each of {count} {label}, got {len(given)}")
    total = sp.Add(*given)
    if any(w < 0 for w in given) or total == 0:
        raise InputError(f"weights must not be negative, nor all zero, got {list(given)}")
    return sp.ImmutableMatrix(1, count, [w / total for w in given])


def is_long(f: sp.Expr, count: int) -> bool:
    """Whether a sum of so many terms takes too long as an expression."""
    return count * (1 + int(f.count_ops())) > MOST_OPERATIONS


def summed(
    f: sp.Expr,
    x: Sequence[sp.Symbol],
    places: Iterable[Sequence[sp.Expr]],
    weights: Sequence[sp.Expr],
) -> Reduced:
    """Plain sum over places."""
    if is_long(f, len(weights)):
        raise InputError(
            f"expected a sum of at most {MOST_OPERATIONS} operations here, got {len(weights)} terms"
            f" of {f.count_ops()}; take fewer rows or signs, or a shorter function"
        )
    total = sp.Add(*weights)
    terms = (
        w / total * f.xreplace(dict(zip(x, place, strict=True)))
        for place, w in zip(places, weights, strict=True)
        if w
    )
    return Reduced(sp.Add(*terms), sp.S.Zero)
