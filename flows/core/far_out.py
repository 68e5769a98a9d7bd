r"""Expressions far out, as sums of exponentials of polynomials.

.. math:: f(w) = \sum_k c_k(w) e^{-q_k(w)} (1 + o(1))

with polynomials `q_k`, and coefficients that grow no faster than powers of the entries. Which
exponential is larger is decided at one state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import sympy as sp

__all__ = ["UNKNOWN", "FarOut", "NoSum", "Sum"]

#: Coefficients by exponent, both expanded polynomials in the entries.
Sum = dict[sp.Expr, sp.Expr]

# A sum has no more terms, and a series no more powers.
MOST_TERMS, POWERS = 200, 6
#: Stands in coefficients of later powers of a series: where such a term decides, nothing is known.
UNKNOWN = sp.Dummy("unknown", real=True)
NONE = sp.S.Zero


class NoSum(Exception):
    """An expression that is no sum of exponentials far out."""


class FarOut:
    """Expressions at a state far out.

    Parameters
    ----------
    y : sequence of Symbol
        The entries.
    at : sequence of float
        The state.
    least : float
        Logarithm of the size, there, of the smallest terms that are kept.
    """

    def __init__(self, y: Sequence[sp.Symbol], at: Sequence[float], least: float) -> None:
        self._y, self._least = tuple(y), least
        self._at = dict(zip(self._y, map(sp.Float, at), strict=True))

    def value(self, e: sp.Expr) -> float:
        """Value at the state."""
        number = e.xreplace(self._at)
        if not number.is_real:
            raise NoSum
        return float(number)

    def expand(self, e: sp.Expr) -> Sum:
        """Sum of an expression.

        Raises
        ------
        NoSum
            For an expression that is none, as far as is seen.
        """
        if not e.free_symbols or e in self._y:
            return self._clean({NONE: e})
        if e.is_Add:
            return self._added([self.expand(x) for x in e.args])
        if e.is_Mul:
            total: Sum = {NONE: sp.S.One}
            for x in e.args:
                total = self._times(total, self.expand(x))
            return total
        if isinstance(e, sp.exp):
            return self._exponential(self.expand(e.args[0]))
        if isinstance(e, sp.log):
            return self._logarithm(self.expand(e.args[0]))
        if e.is_Pow and e.exp.is_Rational:
            return self._power(self.expand(e.base), e.exp)
        raise NoSum

    def _size(self, exponent: sp.Expr, c: sp.Expr) -> float:
        """Logarithm of the size of a term at the state; constants are of size one."""
        grows = c.has(*self._y) and not c.has(UNKNOWN)
        grown = math.log(abs(self.value(c)) or math.ulp(0.0)) if grows else 0.0
        return grown + self.value(exponent)

    def _clean(self, terms: Sum) -> Sum:
        known = {key: sp.expand(c) for key, c in terms.items()}
        kept = {key: c for key, c in known.items() if c != 0 and self._size(key, c) > self._least}
        if len(kept) > MOST_TERMS:
            raise NoSum
        return kept

    def _added(self, parts: Sequence[Sum]) -> Sum:
        total: Sum = {}
        for terms in parts:
            for key, c in terms.items():
                total[key] = total.get(key, NONE) + c
        return self._clean(total)

    def _times(self, one: Sum, other: Sum) -> Sum:
        products = ({sp.expand(a + b): c * d} for a, c in one.items() for b, d in other.items())
        return self._added([*products])

    def _small(self, terms: Sum) -> Sum:
        """Terms that are small beside one at the state; if not, it is not far out."""
        if any(self._size(key, c) > -1 for key, c in terms.items()):
            raise NoSum
        return self._clean(terms)

    def _split(self, terms: Sum) -> tuple[sp.Expr, sp.Expr, Sum]:
        """Largest term, its coefficient, and the others as parts of it."""
        if not terms:
            raise NoSum
        largest = max(terms, key=lambda key: self._size(key, terms[key]))
        first = terms[largest]
        if first.has(*self._y, UNKNOWN) or not first.is_positive:
            raise NoSum
        rest = {sp.expand(key - largest): c / first for key, c in terms.items() if key != largest}
        return largest, first, self._small(rest)

    def _series(self, small: Sum, coefficients: Sequence[sp.Expr]) -> Sum:
        """Powers of a small sum, times coefficients."""
        power: Sum = {NONE: sp.S.One}
        parts = [{NONE: coefficients[0]}]
        for c in coefficients[1:]:
            power = self._times(power, small)
            parts.append({key: c * value for key, value in power.items()})
        parts.append(dict.fromkeys(power, UNKNOWN))
        return self._added(parts)

    def _power(self, terms: Sum, exponent: sp.Rational) -> Sum:
        if exponent.is_Integer and 0 < exponent <= POWERS:
            total = terms
            for _ in range(int(exponent) - 1):
                total = self._times(total, terms)
            return total
        largest, first, rest = self._split(terms)
        series = self._series(rest, [sp.binomial(exponent, k) for k in range(POWERS)])
        return self._times({sp.expand(exponent * largest): first**exponent}, series)

    def _exponential(self, terms: Sum) -> Sum:
        polynomial = terms.get(NONE, NONE)
        constant = polynomial.xreplace(dict.fromkeys(self._y, NONE))
        small = self._small({key: c for key, c in terms.items() if key != NONE})
        series = self._series(small, [1 / sp.factorial(k) for k in range(POWERS)])
        return self._times({sp.expand(polynomial - constant): sp.exp(constant)}, series)

    def _logarithm(self, terms: Sum) -> Sum:
        largest, first, rest = self._split(terms)
        signs = [sp.Rational((-1) ** (k + 1), k) for k in range(1, POWERS)]
        return self._added([{NONE: largest + sp.log(first)}, self._series(rest, [NONE, *signs])])
