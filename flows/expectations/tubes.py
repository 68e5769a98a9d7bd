r"""Where an expression lies while its variables are anywhere in a tube around the real line.

A set of complex numbers is enclosed by a rectangle that is symmetric about the real axis,

.. math:: \{z : a \leq \mathrm{Re}\, z \leq b,\ |\mathrm{Im}\, z| \leq c\},

many of them at once as arrays. The result of an operation encloses its values on the whole
rectangle. It is unbounded where the operation is not analytic there, as at a pole, so that a finite
result proves that the expression is analytic on the tube. Rectangles hold up to rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from scipy.special import erf, expit

from flows.core.arrays import Array
from symbolic.language.stable import LogCosh, LogSumExp, Sigmoid, Softplus

__all__ = ["Tube", "enclosed", "has_bound", "number"]

# Hyperbolic functions of twice this are doubles.
LARGE = 300.0


class Tube(NamedTuple):
    """Rectangles `low <= Re z <= high`, `|Im z| <= width`, arrays that broadcast.

    Parameters
    ----------
    low, high, width : ndarray
        Ends of the real parts, and bounds of the imaginary ones; NaN, or infinite, where nothing is
        known.
    """

    low: Array
    high: Array
    width: Array

    @property
    def size(self) -> Array:
        """Largest absolute value; infinite where nothing is known."""
        found: Array = np.hypot(np.maximum(np.abs(self.low), np.abs(self.high)), self.width)
        return np.where(np.isnan(found), np.inf, found)

    @property
    def least(self) -> Array:
        """Least absolute real part."""
        return np.maximum(np.maximum(self.low, -self.high), 0.0)

    @property
    def most(self) -> Array:
        """Largest absolute real part."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def number(value: float) -> Tube:
    """Return one number as a rectangle."""
    place = np.array(value)
    return Tube(place, place, np.zeros(()))


def _where(known: Any, found: Tube) -> Tube:
    """Rectangles, unbounded where a condition fails."""
    return Tube(
        np.where(known, found.low, -np.inf),
        np.where(known, found.high, np.inf),
        np.where(known, found.width, np.inf),
    )


def _around(middle: Tube, far: Array) -> Tube:
    """Rectangles of a real range and a distance from it."""
    return Tube(middle.low - far, middle.high + far, np.asarray(far))


def _add(a: Tube, b: Tube) -> Tube:
    return Tube(a.low + b.low, a.high + b.high, a.width + b.width)


def _times(a: Tube, b: Tube) -> Tube:
    if not np.any(a.width) and a.low is a.high:  # a number
        return _scaled(b, a.low)
    if not np.any(b.width) and b.low is b.high:
        return _scaled(a, b.low)
    products = (a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high)
    cross = a.width * b.width
    return Tube(
        functools.reduce(np.minimum, products) - cross,
        functools.reduce(np.maximum, products) + cross,
        a.most * b.width + b.most * a.width,
    )


def _scaled(a: Tube, by: Array | float) -> Tube:
    one, other = by * a.low, by * a.high
    return Tube(np.minimum(one, other), np.maximum(one, other), np.abs(by) * a.width)


def _square(a: Tube) -> Tube:
    return Tube(a.least**2 - a.width**2, a.most**2, 2 * a.most * a.width)


def _inverse(a: Tube) -> Tube:
    least, most, width = a.least, a.most, a.width
    ends = [x / (x**2 + width**2) for x in (least, most)]
    low = np.minimum(*(np.where(np.isnan(x), 0.0, x) for x in ends))  # where it overflows
    across = np.where(width < least, width / (least**2 + width**2), 1 / (2 * least))
    above = a.low > 0
    found = Tube(np.where(above, low, -1 / least), np.where(above, 1 / least, -low), across)
    return _where(least > 0, found)


def _exp(a: Tube) -> Tube:
    high = np.exp(a.high)
    low = np.where(a.width < math.pi / 2, np.exp(a.low), high) * np.cos(np.minimum(a.width, np.pi))
    return Tube(low, high, high * np.sin(np.minimum(a.width, math.pi / 2)))


def _log(a: Tube) -> Tube:
    found = Tube(np.log(a.low), np.log(np.hypot(a.high, a.width)), np.arctan2(a.width, a.low))
    return _where(a.low > 0, found)


def _power(base: Tube, exponent: sp.Expr) -> Tube:
    if exponent.is_Integer:
        n = abs(int(exponent))
        found, square = None, base
        while n:
            if n & 1:
                found = square if found is None else _times(found, square)
            n >>= 1
            square = _square(square) if n else square
        assert found is not None
        return found if exponent > 0 else _inverse(found)
    return _exp(_scaled(_log(base), float(exponent)))


def _cos(a: Tube) -> Tube:
    most = np.cosh(a.width)
    return Tube(-most, most, np.sinh(a.width))


def _sinh(a: Tube) -> Tube:
    near = np.cos(np.minimum(a.width, math.pi / 2))
    low, high = np.sinh(a.low), np.sinh(a.high)
    narrow = a.width <= math.pi / 2
    most = np.sinh(a.most)
    return Tube(
        np.where(narrow, low * np.where(a.low > 0, near, 1.0), -most),
        np.where(narrow, high * np.where(a.high > 0, 1.0, near), most),
        np.cosh(a.most) * np.sin(np.minimum(a.width, math.pi / 2)),
    )


def _cosh(a: Tube) -> Tube:
    turn = np.cos(np.minimum(a.width, math.pi))
    most = np.cosh(a.most)
    low = np.where(turn > 0, np.cosh(a.least), most) * turn
    return Tube(low, most, np.sinh(a.most) * np.sin(np.minimum(a.width, math.pi / 2)))


def _tanh(a: Tube) -> Tube:
    r"""`|tanh z|^2 = (C - k)/(C + k)`, `C = cosh 2 Re z`, `k = cos 2 Im z`, least at the edge."""
    turn = np.cos(np.minimum(2 * a.width, math.pi))
    near, far = (np.cosh(2 * np.minimum(x, LARGE)) for x in (a.least, a.most))
    chosen = np.where(turn < 0, near, far)
    # Slightly more than one where both overflow, or where poles are far away.
    most = np.sqrt((chosen - turn) / np.maximum(chosen + turn, 0.0))
    across = np.sin(np.minimum(2 * a.width, math.pi / 2)) / np.maximum(near + turn, 0.0)
    found = Tube(
        np.where(a.low > 0, np.tanh(a.low), -most),
        np.where(a.high < 0, np.tanh(a.high), most),
        np.minimum(across, most),
    )
    return _where(near + turn > 0, found)


def _sigmoid(a: Tube) -> Tube:
    half = _tanh(_scaled(a, 0.5))
    return Tube(
        np.where(a.low > 0, expit(a.low), (1 + half.low) / 2),
        np.where(a.high < 0, expit(a.high), (1 + half.high) / 2),
        half.width / 2,
    )


def _softplus(a: Tube) -> Tube:
    r"""`|1 + e^z| >= sin Im z` beyond a right angle, and `|1 - e^{Re z}|` away from the line."""
    beside = np.log(np.sin(np.clip(a.width, math.pi / 2, math.pi)))
    wide = np.where(
        a.width <= math.pi / 2, np.log1p(np.exp(2 * np.minimum(a.low, 0.0))) / 2, beside
    )
    wide = np.where(a.width < math.pi, wide, -np.inf)
    left = np.where(a.high < 0, np.log1p(-np.exp(np.minimum(a.high, 0.0))), -np.inf)
    right = np.where(a.low > 0, a.low + np.log1p(-np.exp(-np.maximum(a.low, 0.0))), -np.inf)
    turn = np.where(a.width < math.pi, a.width, a.width + math.pi / 2)
    turn = np.where(a.high < 0, np.minimum(turn, np.arcsin(np.exp(np.minimum(a.high, 0.0)))), turn)
    low = np.maximum(np.maximum(wide, left), right)
    return _where(low > -np.inf, Tube(low, np.logaddexp(0.0, a.high), turn))


def _log_cosh(a: Tube) -> Tube:
    """The same on both sides of zero, `log(1 + e^{-2 |z|}) + |z| - log 2`."""
    size = Tube(a.least, a.most, a.width)
    found = _add(_softplus(_scaled(size, -2.0)), size)
    beyond = Tube(found.low - math.log(2), found.high - math.log(2), found.width)
    # A rectangle over zero is no half of itself: there the whole of it is taken.
    whole = _add(_softplus(_scaled(a, 2.0)), _scaled(a, -1.0))
    over = a.least == 0
    return Tube(
        np.where(over, whole.low - math.log(2), beyond.low),
        np.where(over, whole.high - math.log(2), beyond.high),
        np.where(over, whole.width, beyond.width),
    )


def _log_sum_exp(*terms: Tube) -> Tube:
    """`|sum e^z| >= cos(s/2) sum e^{Re z}`, `s` the largest angle between two of them."""
    widths = np.sort(np.stack(np.broadcast_arrays(*(t.width for t in terms))), axis=0)
    half = (widths[-1] + widths[-2]) / 2
    low = functools.reduce(np.logaddexp, (t.low for t in terms))
    high = functools.reduce(np.logaddexp, (t.high for t in terms))
    found = Tube(low + np.log(np.cos(np.minimum(half, math.pi / 2))), high, widths[-1])
    return _where(half < math.pi / 2, found)


def _by_slope(function: Callable[[Array], Array], slope: Callable[[Tube], Array]) -> Any:
    """A monotone function whose slope on a rectangle, times its width, is how far it is off."""

    def found(a: Tube) -> Tube:
        steep = slope(a)
        near = _around(Tube(function(a.low), function(a.high), a.width), steep * a.width)
        return _where(np.isfinite(steep), near)

    return found


def _erf_slope(a: Tube) -> Array:
    return 2 / math.sqrt(math.pi) * np.exp(a.width**2 - a.least**2)


def _root(a: Tube) -> Array:
    """Least `|1 + z^2|`; NaN where it may be zero."""
    least = 1 + a.least**2 - a.width**2
    return np.where(least > 0, least, np.nan)


_FUNCTIONS: dict[Any, Callable[..., Tube]] = {
    sp.exp: _exp,
    sp.log: _log,
    sp.cos: _cos,
    sp.sin: _cos,
    sp.sinh: _sinh,
    sp.cosh: _cosh,
    sp.tanh: _tanh,
    sp.erf: _by_slope(erf, _erf_slope),
    sp.atan: _by_slope(np.arctan, lambda a: 1 / _root(a)),
    sp.asinh: _by_slope(np.arcsinh, lambda a: 1 / np.sqrt(_root(a))),
    Sigmoid: _sigmoid,
    Softplus: _softplus,
    LogCosh: _log_cosh,
    LogSumExp: _log_sum_exp,
}


def has_bound(expression: sp.Expr) -> bool:
    """Whether all functions in an expression have rectangles here."""
    known = (sp.Add, sp.Mul, sp.Symbol)
    return all(
        e.is_number
        or isinstance(e, known)
        or (e.is_Pow and (e.exp.is_Rational or e.exp.is_Float))
        or e.func in _FUNCTIONS
        for e in sp.preorder_traversal(expression)
    )


def enclosed(expressions: Any, known: Mapping[sp.Expr, Tube]) -> list[Tube]:
    """Enclose expressions; a part that occurs several times is enclosed once.

    Parameters
    ----------
    expressions : sequence of Expr
        Whose functions :func:`has_bound` knows.
    known : mapping
        Rectangles of symbols.

    Returns
    -------
    list of Tube
        One of each expression; not finite where it has no bound.
    """
    found = dict(known)
    with np.errstate(all="ignore"):
        return [_visit(e, found) for e in expressions]


def _visit(e: sp.Expr, found: dict[sp.Expr, Tube]) -> Tube:
    """Enclose an expression, and put down all its parts.

    A function inside another one would keep their arrays alive: it refers to itself.
    """
    if e not in found:
        parts = (_visit(part, found) for part in e.args)
        if e.is_number:
            found[e] = number(float(e))
        elif e.is_Add:
            found[e] = functools.reduce(_add, parts)
        elif e.is_Mul:
            found[e] = functools.reduce(_times, parts)
        elif e.is_Pow:
            found[e] = _power(_visit(e.base, found), e.exp)
        else:
            found[e] = _FUNCTIONS[e.func](*parts)
    return found[e]
