r"""A run to infinity along the direction of a largest margin: separable data, bandits.

Where the loss far out is a sum of exponentials,

.. math:: L(w) = L_\infty + \sum_k c_k e^{-m_k \cdot w} (1 + o(1)), \qquad c_k > 0,

the flow goes to infinity like `w = \hat w \log t + \rho`. Here `\hat w` is the shortest vector with
`m_k \cdot \hat w \ge 1` for all `k`. With its multipliers, `\hat w = \sum_k a_k m_k`, where
`m_k \cdot \hat w = 1` or `a_k = 0`, the loss above `L_\infty` is `|\hat w|^2 / t` to leading order
(Soudry et al. 2018, theorem 3, for classification of separable data): the same as on the line
`w = R \hat w` with `L = L_\infty + |\hat w|^2 e^{-R}`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import sympy as sp
from scipy.optimize import nnls

from flows.core.minimiser import Escape
from symbolic.asymptotics.point import Point

__all__ = ["margin_escape"]

# A linear form of the entries, as coefficients.
Form = tuple[sp.Rational, ...]
# A sum of exponentials of forms; coefficients may grow with the entries, like powers of them.
Sum = dict[Form, sp.Expr]

# Terms are kept down to this power of the loss, of which products of the leading ones are a square.
KEPT = 1.9
# A sum has no more terms, and a series no more powers.
MOST_TERMS, POWERS = 200, 6
# Stands in coefficients of later powers of a series: where such a term decides, nothing is known.
UNKNOWN = sp.Dummy("unknown", real=True)
# Numbers of the least norm that are this part of the largest one are zero.
ZERO = 1e-9


class _NoSum(Exception):
    """An expression that is no sum of exponentials far out."""


def margin_escape(point: Point, state: Sequence[float], above: float) -> Escape | None:
    """Loss along the direction of the largest margin; None where the loss has no such form.

    The form of the loss and the direction are exact; that the run goes there is sampled.

    Parameters
    ----------
    point : Point
        The loss in closed form.
    state : sequence of float
        The last state.
    above : float
        The size of what is left of the loss there.
    """
    if not 0 < above < 1:
        return None
    try:
        far = _Far(point.y, np.array(state, dtype=float), KEPT * math.log(above))
        linear, terms = far.expand(point.plain.rewrite(sp.exp))
    except (_NoSum, RecursionError):
        return None
    nothing = (sp.S.Zero,) * len(point.y)
    if linear != nothing:
        return None
    leading = {tuple(-x for x in form): c for form, c in terms.items() if form != nothing}
    direction = _shortest([*leading])
    if direction is None:
        return None
    shortest, active, ties = direction
    # Of positive terms all margins are one or more: `L = w' what` whatever share each of them has.
    decide = [leading[form].is_positive for form in active]
    sides = [far.value(leading[form]) for form in ties if not leading[form].has(UNKNOWN)]
    if not all(decide) or (ties and not sides) or not all(side > 0 for side in sides):
        return None
    square = sp.Add(*(x**2 for x in shortest))
    radius = sp.Symbol("R", positive=True)
    text, many = ", ".join(map(str, shortest)), len(active)
    said = "one exponential decides" if many == 1 else f"{many} exponentials decide"
    remark = (
        f"the run goes to infinity like ({text}) log t, the direction of the largest margin, which"
        f" {said}"
    )
    remark += "; corrections may die out as slowly as 1/log t" if ties else ""
    loss = terms.get(nothing, sp.S.Zero) + square * sp.exp(-radius)
    return Escape(loss, radius, square, remarks=(remark,))


def _shortest(forms: list[Form]) -> tuple[Form, list[Form], list[Form]] | None:
    r"""Shortest `w` with `m \cdot w \ge 1` for all forms, exactly; who decides it, and who ties."""
    if not forms:
        return None
    rows = np.array(forms, dtype=float)
    # The dual problem: the shortest w is -r/r_0 of the residual of e_0 beside the cone of (1, m).
    stacked, goal = np.vstack([np.ones(len(rows)), rows.T]), np.eye(1 + rows.shape[1])[0]
    found, _ = nnls(stacked, goal)
    picked = [k for k, x in enumerate(found) if x > ZERO * max(found.max(), 1e-300)]
    if not picked:
        return None
    active = sp.Matrix([forms[k] for k in picked])
    gram = active * active.T
    if gram.det() == 0:
        return None
    shares = gram.LUsolve(sp.ones(len(picked), 1))
    shortest = tuple(active.T * shares)
    margins = [sp.Add(*(a * b for a, b in zip(form, shortest, strict=True))) for form in forms]
    if min(shares) <= 0 or min(margins) < 1:
        return None  # no such direction
    ties = [form for k, form in enumerate(forms) if k not in picked and margins[k] == 1]
    return shortest, [forms[k] for k in picked], ties


class _Far:
    """Expressions as a linear form plus a sum of exponentials, as they are far out.

    Parameters
    ----------
    y : tuple of Symbol
        The entries.
    at : ndarray, shape (N,)
        A state far out: which exponential is larger is decided there.
    least : float
        Logarithm of the size, there, of the smallest terms that are kept.
    """

    def __init__(self, y: Sequence[sp.Symbol], at: np.ndarray, least: float) -> None:
        self._y, self._at, self._least = tuple(y), at, least
        self._none: Form = (sp.S.Zero,) * len(self._y)

    def value(self, e: sp.Expr) -> float:
        """Value at the state."""
        return float(e.xreplace(dict(zip(self._y, map(sp.Float, self._at.tolist()), strict=True))))

    def expand(self, e: sp.Expr) -> tuple[Form, Sum]:
        """Linear form and sum of an expression."""
        if not e.free_symbols:
            return self._none, self._clean({self._none: e})
        if e in self._y:
            return tuple(sp.Integer(int(v == e)) for v in self._y), {}
        if e.is_Add:
            return self._added([self.expand(x) for x in e.args])
        if e.is_Mul:
            number, rest = e.as_coeff_Mul()
            factors = [self.expand(x) for x in sp.Mul.make_args(rest)]
            return self._scaled(number, self._multiplied(factors))
        if isinstance(e, sp.exp):
            return self._none, self._exponential(*self.expand(e.args[0]))
        if isinstance(e, sp.log):
            return self._logarithm(*self.expand(e.args[0]))
        if e.is_Pow and e.exp.is_Rational:
            return self._none, self._power(self._plain(self.expand(e.base)), e.exp)
        raise _NoSum

    def _size(self, form: Form, c: sp.Expr = sp.S.One) -> float:
        """Logarithm of the size of a term at the state; constants are of size one."""
        grows = c.has(*self._y) and not c.has(UNKNOWN)
        grown = math.log(abs(self.value(c)) or math.ulp(0.0)) if grows else 0.0
        return grown + float(np.array(form, dtype=float) @ self._at)

    def _clean(self, terms: Sum) -> Sum:
        kept = {
            form: c for form, c in terms.items() if c != 0 and self._size(form, c) > self._least
        }
        if len(kept) > MOST_TERMS:
            raise _NoSum
        return kept

    def _added(self, parts: list[tuple[Form, Sum]]) -> tuple[Form, Sum]:
        linear: Form = self._none
        total: Sum = {}
        for form, terms in parts:
            linear = tuple(a + b for a, b in zip(linear, form, strict=True))
            for key, c in terms.items():
                total[key] = total.get(key, sp.S.Zero) + c
        return linear, self._clean({key: sp.expand(c) for key, c in total.items()})

    def _scaled(self, number: sp.Expr, whole: tuple[Form, Sum]) -> tuple[Form, Sum]:
        form, terms = whole
        return tuple(number * x for x in form), {key: number * c for key, c in terms.items()}

    def _multiplied(self, factors: list[tuple[Form, Sum]]) -> tuple[Form, Sum]:
        if len(factors) == 1:
            return factors[0]
        total: Sum = {self._none: sp.S.One}
        for factor in factors:
            total = self._times(total, self._plain(factor))
        growing = sp.expand(total.pop(self._none, sp.S.Zero))
        try:
            linear = sp.Poly(growing, *self._y)
        except sp.PolynomialError:
            raise _NoSum from None
        if linear.total_degree() > 1:
            raise _NoSum
        form = tuple(linear.coeff_monomial(v) for v in self._y)
        return form, {self._none: linear.coeff_monomial(1), **total}

    def _plain(self, whole: tuple[Form, Sum]) -> Sum:
        """Sum of an expression whose linear part is the coefficient of a constant."""
        form, terms = whole
        linear = sp.Add(*(x * v for x, v in zip(form, self._y, strict=True)))
        return {**terms, self._none: terms.get(self._none, sp.S.Zero) + linear}

    def _times(self, one: Sum, other: Sum) -> Sum:
        found: Sum = {}
        for a, c in one.items():
            for b, d in other.items():
                key = tuple(x + z for x, z in zip(a, b, strict=True))
                found[key] = found.get(key, sp.S.Zero) + c * d
        return self._clean(found)

    def _split(self, terms: Sum) -> tuple[Form, sp.Expr, Sum]:
        """Largest term, its coefficient, and the others as parts of it."""
        if not terms:
            raise _NoSum
        largest = max(terms, key=lambda key: self._size(key, terms[key]))
        first = terms[largest]
        rest = {
            tuple(x - z for x, z in zip(key, largest, strict=True)): c / first
            for key, c in terms.items()
            if key != largest
        }
        if first.has(*self._y) or any(
            self._size(key, c) > -1 for key, c in rest.items()
        ):  # as large as the largest: not far out
            raise _NoSum
        return largest, first, self._clean(rest)

    def _series(self, small: Sum, coefficients: Sequence[sp.Expr]) -> Sum:
        """Powers of a small sum, times coefficients."""
        total: Sum = {self._none: coefficients[0]}
        power: Sum = {self._none: sp.S.One}
        for c in coefficients[1:]:
            power = self._times(power, small)
            if not power:
                break
            for key, value in power.items():
                total[key] = total.get(key, sp.S.Zero) + c * value
        else:
            for key in power:
                total[key] = total.get(key, sp.S.Zero) + UNKNOWN
        return self._clean(total)

    def _power(self, terms: Sum, exponent: sp.Rational) -> Sum:
        if exponent.is_Integer and 0 < exponent <= POWERS:
            total = terms
            for _ in range(int(exponent) - 1):
                total = self._times(total, terms)
            return total
        largest, first, rest = self._split(terms)
        if not first.is_positive:
            raise _NoSum
        series = self._series(rest, [sp.binomial(exponent, k) for k in range(POWERS)])
        raised = tuple(exponent * x for x in largest)
        return self._times({raised: first**exponent}, series)

    def _exponential(self, form: Form, terms: Sum) -> Sum:
        constant = terms.get(self._none, sp.S.Zero)
        small = {key: c for key, c in terms.items() if key != self._none}
        if any(self._size(key, c) > -1 for key, c in small.items()):
            raise _NoSum
        series = self._series(small, [1 / sp.factorial(k) for k in range(POWERS)])
        return self._times({form: sp.exp(constant)}, series)

    def _logarithm(self, form: Form, terms: Sum) -> tuple[Form, Sum]:
        if form != self._none:
            raise _NoSum
        largest, first, rest = self._split(terms)
        if not first.is_positive:
            raise _NoSum
        signs = [sp.Rational((-1) ** (k + 1), k) for k in range(1, POWERS)]
        series = self._series(rest, [sp.S.Zero, *signs])
        constant = series.get(self._none, sp.S.Zero) + sp.log(first)
        return largest, self._clean({**series, self._none: constant})
