r"""Compiled: the change of the angle of a point beyond its linear part, without cancellation.

From `(x, y)` to `(x + \Delta x, y + \Delta y)` the angle grows by `\delta`, where with
`N = x^2 + y^2`

.. math:: \tan \frac\delta2 = h = \frac{c}{M + \sqrt{M^2 + c^2}}, \qquad
          c = x \Delta y - y \Delta x, \quad M = N + m, \quad m = x \Delta x + y \Delta y

Beside half a turn, where the denominator of `h` cancels, digits are lost.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import functools
import math
from typing import Any

from flows.arithmetic.kept import inner

unfolding: Any = functools.partial(inner, unfolds=True)

# Tangents of a quarter and of three quarters of a right angle.
FIRST, LAST = math.sqrt(2.0) - 1.0, math.sqrt(2.0) + 1.0

__all__ = ["angle_rest", "angle_rest_rate"]


@unfolding
def series(z):
    r"""`\sum_k (-z)^k/(2 k + 3)` for `z < 3 - 2 \sqrt 2`: even and odd terms, written out.

    So compilers see what they may do at once; terms beyond are rounding.
    """
    y = z * z
    even = 1.0 / 39.0
    even = even * y + 1.0 / 35.0
    even = even * y + 1.0 / 31.0
    even = even * y + 1.0 / 27.0
    even = even * y + 1.0 / 23.0
    even = even * y + 1.0 / 19.0
    even = even * y + 1.0 / 15.0
    even = even * y + 1.0 / 11.0
    even = even * y + 1.0 / 7.0
    even = even * y + 1.0 / 3.0
    odd = 1.0 / 41.0
    odd = odd * y + 1.0 / 37.0
    odd = odd * y + 1.0 / 33.0
    odd = odd * y + 1.0 / 29.0
    odd = odd * y + 1.0 / 25.0
    odd = odd * y + 1.0 / 21.0
    odd = odd * y + 1.0 / 17.0
    odd = odd * y + 1.0 / 13.0
    odd = odd * y + 1.0 / 9.0
    odd = odd * y + 1.0 / 5.0
    return even - z * odd


@unfolding
def bend(h):
    r"""`h - \arctan h`, by the series where `|h| \le \tan(\pi/8)`, else turned by an eighth or two.

    .. math:: \arctan h = \frac\pi4 + \arctan \frac{h - 1}{h + 1} = \frac\pi2 - \arctan \frac1h
    """
    size = abs(h)
    small, large = size <= FIRST, size > LAST
    above = 1.0 if small else (size if large else size + 1.0)
    over = size if small else (-1.0 if large else size - 1.0)
    turned = 0.0 if small else (math.pi / 2 if large else math.pi / 4)
    t = over / above
    z = t * t
    found = ((size - turned) - t) + t * z * series(z)
    return found if h >= 0.0 else -found


@unfolding
def angle_rest(x, y, p, v, q, w):
    r"""`\delta` less its linear part, where `\Delta x = p + v`, `\Delta y = q + w`, `p, q` linear.

    .. math:: \delta - \frac{c_l}{N} = \frac{2 c_r N - c_l (2 m + c h)}{N (M + \sqrt{M^2 + c^2})}
              - 2 (h - \arctan h), \qquad c = c_l + c_r
    """
    square, linear = x * x + y * y, x * q - y * p
    rest = x * w - y * v
    across, along = linear + rest, x * (p + v) + y * (q + w)
    total = square + along
    total += math.sqrt(total * total + across * across)
    h = across / total
    second = 2.0 * rest * square - linear * (2.0 * along + across * h)
    return second / (square * total) - 2.0 * bend(h)


@unfolding
def angle_rest_rate(x, y, p, q, left, up, turned, rise):
    r"""Rate of what :func:`angle_rest` gives, and of what is linear.

    Parameters
    ----------
    x, y : float
        The point before.
    p, q : float
        `\Delta x`, `\Delta y`.
    left, up : float
        Rates of the linear parts of `\Delta x`, `\Delta y`.
    turned, rise : float
        Rates of the others.
    """
    square, linear = x * x + y * y, x * up - y * left
    wider = 2.0 * (x * p + y * q) + p * p + q * q
    rest = x * rise - y * turned + p * (up + rise) - q * (left + turned)
    return linear / square, (rest - linear * wider / square) / (square + wider)
