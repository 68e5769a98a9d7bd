r"""Bound the field of complex neurons ``w_i``, each within ``e_i`` of ``m_i`` in the norm of `C^q`.

In products ``a.b`` without conjugation ``|(a+x).(b+y) - a.b| <= |a||y| + |x||b| + |x||y|``. So

- ``S = w.w`` is within ``d = (2|m| + e) e`` of ``m.m``, whose real part must be larger. The root
  ``N`` of ``S`` is within ``d/(|N_m| (1 + sqrt(1 - d/|N_m|^2)))``, as ``sqrt(1+z)`` has a real part
  of ``sqrt(1-|z|)`` at least, and ``u = w/N`` within ``(e + |u_m| |N - N_m|)/|N|``.
- ``X = |u_a - u_b|^2/4``, or ``1 - X = |u_a + u_b|^2/4`` if that is smaller, is on a disc; so is
  ``X``, which must not meet the rays ``(-oo, 0]`` and ``[1, oo)``. Off these ``theta = 2 asin(sqrt
  X)`` and ``sin theta`` are analytic, with slopes ``1/sqrt(X(1-X))`` and ``(1-2X)/sqrt(X(1-X))``.
- Where vectors nearly agree or oppose, ``sigma = 4 X(1-X) = |a^b|^2/(S_a S_b)`` is sharper: minors
  are small then, and move as little. ``|X(sigma) - X|`` is ``|d sigma|/(4 sqrt(1-|sigma|-|d
  sigma|))`` at most: where ``|sigma| < 1``, ``1-2X`` does not vanish and keeps the sign of its real
  part.
- The velocity ``-r/2 - sum_b mu_b (sin(theta) N_b u_a - theta b)/2pi`` follows term by term.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import NamedTuple

from flint import acb, arb

from flows.core.balls import Ball, Singular, dot

#: Vectors nearly agree or oppose where ``X`` or ``1 - X`` is smaller.
THIN = 2.0**-4


class Disc(NamedTuple):
    """A vector with its length and direction, and bounds of how far these are off."""

    size: Ball
    off: Ball
    root: Ball
    root_off: Ball
    unit: list[Ball]
    unit_size: Ball
    unit_off: Ball


def size(
    rows: Sequence[Sequence[Ball]],
    off: Sequence[Ball],
    middle: Sequence[Ball],
    reach: float,
    turned: Callable[[int, int], Ball],
) -> Ball:
    """Bound the field; ``rows`` ends with the teacher, ``middle`` is the field at ``rows``.

    Neurons are within ``reach`` of others whose minors are within ``turned`` of those of ``rows``.
    """
    n, q = len(rows) - 1, len(rows[0])
    discs = [_disc(w, e) for w, e in zip(rows, [*off, arb(0)], strict=True)]
    errors = [sum(off, arb(0)) / 2] * n
    for i, j in combinations(range(n + 1), 2):
        angle, turn, sine, bend = _angle(discs[i], discs[j], reach, partial(turned, i, j))
        for a, b in ((i, j), (j, i)):
            if a < n:
                own, other = discs[a], discs[b]
                most = own.unit_size + own.unit_off
                bent = bend * (abs(other.root) + other.root_off) * most
                moved = sine * (other.root_off * most + abs(other.root) * own.unit_off)
                pulled = turn * (other.size + other.off) + angle * other.off
                errors[a] += (bent + moved + pulled) / (2 * arb.pi())
    total = arb(0)
    for k, error in enumerate(errors):
        total += (_norm(middle[k * q : (k + 1) * q]) + error) ** 2
    return total.sqrt().upper()


def _disc(w: Sequence[Ball], e: Ball) -> Disc:
    """Length and direction of what is near a vector."""
    length, square = _norm(w), dot(w, w)
    d = (2 * length + e) * e
    if not square.real > d:
        raise Singular("a length may vanish")
    root = square.sqrt()
    lost = d / (abs(root) * (1 + (1 - d / abs(square)).nonnegative_part().sqrt()))
    if not abs(root) > lost:
        raise Singular("a length may vanish")
    unit = [c / root for c in w]
    across = _norm(unit)
    return Disc(length, e, root, lost, unit, across, (e + across * lost) / (abs(root) - lost))


def _thin(a: Disc, b: Disc, sigma: Ball, moved: Ball) -> Ball:
    """How far ``X`` is off where ``sigma`` is small and minors have moved by so much."""
    squares, d = (a.root**2, b.root**2), ((2 * x.size + x.off) * x.off for x in (a, b))
    product, (d_a, d_b) = abs(squares[0] * squares[1]), d
    lost = abs(squares[0]) * d_b + d_a * abs(squares[1]) + d_a * d_b
    pairs = combinations(range(len(a.unit)), 2)
    minors = [a.unit[k] * b.unit[m] - a.unit[m] * b.unit[k] for k, m in pairs]
    squared = (2 * abs(a.root * b.root) * _norm(minors) + moved) * moved
    off = (squared + abs(sigma) * lost) / (product - lost)
    least = 1 - abs(sigma) - off
    return off / (4 * least.sqrt()) if product > lost and least > 0 else arb.pos_inf()


def _angle(
    a: Disc, b: Disc, reach: float, turned: Callable[[], Ball]
) -> tuple[Ball, Ball, Ball, Ball]:
    """Bounds of the angle and of its sine in the middle, each before how far they are off."""
    off = a.unit_off + b.unit_off
    gap = [x - y for x, y in zip(a.unit, b.unit, strict=True)]
    x = acb(dot(gap, gap) / 4)
    y = 1 - x
    if x.real.mid() > 0.5:  # the sum is the smaller one, and Y = 1 - X off by as much as X
        gap = [x - y for x, y in zip(a.unit, [-c for c in b.unit], strict=True)]
        y = acb(dot(gap, gap) / 4)
        x = 1 - y
    off = (2 * _norm(gap) + off) * off / 4
    if abs(x).min(abs(y)) < THIN:
        moved = turned() + (a.size + a.off + b.size + b.off + reach) * reach
        off = off.min(_thin(a, b, 4 * x * y, moved))
    if not ((x.real > off and y.real > off) or x.imag > off or -x.imag > off):
        raise Singular("an angle may leave its branch")
    least = (abs(x) - off) * (abs(y) - off)
    if not (least > 0 and abs(x) > off):
        raise Singular("an angle may leave its branch")
    least = least.sqrt()
    theta, sine = 2 * (x.sqrt() / y.sqrt()).atan(), 2 * x.sqrt() * y.sqrt()
    return abs(theta), off / least, abs(sine), off * (abs(y - x) + 2 * off) / least


def _norm(vector: Sequence[Ball]) -> Ball:
    """Length of a complex vector."""
    squares = (c.real * c.real + c.imag * c.imag for c in vector)
    return sum(squares, arb(0)).nonnegative_part().sqrt()
