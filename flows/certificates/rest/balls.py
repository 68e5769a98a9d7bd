r"""Balls that a flow never leaves, in which its loss falls at an exponential rate.

Let ``rho`` bound the distance of the flow at ``T`` from the centre ``c`` of a ball of radius ``r``.

*Convex.* If ``H - mu`` is positive definite for all Hessians on the ball, ``rho < r`` and ``|grad
L(c)| < mu r``, the flow stays, for ``<x - c, -grad L> < 0`` on the sphere. There is one minimum
``w*``, ``|w* - c| <= |grad L(c)|/mu``, and ``|grad L|^2 >= 2 mu (L - L*)``.

*Layers.* With ``J`` the derivative of the product ``W`` by the layers' numbers, and ``K`` that of
the defects ``D_j`` (Hermitian, each number once, in orthonormal coordinates)

    L = |S - W|^2/2 + a/4 |D|^2,     grad L = -J^T (S - W) + (a/2) K^T D,

and both parts are orthogonal. If ``J J^T - m`` and ``K K^T - k`` are positive definite on the ball,
``|grad L|^2 >= 2 mu L`` with ``mu = min(m, a k/2)``, and the rest of the path is no longer than
``sqrt(2 L(T)/mu)`` (Polyak, Lojasiewicz): the flow stays if ``rho + sqrt(2 L(T)/mu) < r``.

*Squares.* The same of ``L = L* + |R|^2/2``, ``R`` polynomials with rational coefficients times
roots of positive fractions: if ``J J^T - mu`` is positive definite on the ball for the derivative
``J`` of ``R``, ``|grad L|^2 = |J^T R|^2 >= 2 mu (L - L*)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flint import arb, arb_mat, ctx

from flows.certificates.bounds import is_positive
from flows.certificates.chebyshev import rounded
from flows.certificates.proof import norm
from flows.certificates.tail.tail import Open
from flows.core.balls import BallFlow
from flows.core.symmetric import ROUNDED, sharp

Ball = Any  # flint.arb

UNIT = arb(0, 1)
#: Radii are so much larger than needed, and what is proved of forms exceeds what is stated.
ROOM, CLEAR = 1.25, 1.01
NEWTON = 60


class Attracting(NamedTuple):
    """A ball that is proved to attract: kind, centre, radius, rates, ``mu``, limit of the loss.

    ``near`` bounds the distance of the limit from the centre.
    """

    kind: str
    centre: list[Ball]
    radius: float
    rates: tuple[float, ...]
    mu: Ball
    near: Ball
    loss: Ball


def convex(flow: BallFlow, end: Sequence[Ball], error: Ball, kept: float, bits: int) -> Attracting:
    """A ball about the minimum near ``end``, from which the flow is no further than ``error``.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    near = flow.optimum or critical(flow, end)
    c = [arb((rounded(x, bits), -bits)) for x in near]
    away = norm([x - y for x, y in zip(end, c, strict=True)]) + error
    values = np.linalg.eigvalsh(_doubles(flow.hessian(c)))
    if values[0] <= ROUNDED * len(c) * values[-1]:
        values, _ = sharp(flow.hessian(c))
    mu = kept * float(values[0])
    if not mu > 0:
        raise Open(
            "the Hessian is not positive definite at the critical point near the end: its least"
            f" eigenvalue is {float(values[0]):.3g}"
        )
    push = norm(flow.field(c, _signs(flow, c)))
    r = ROOM * float(away.upper()) + ROOM * float(push.upper()) / mu + 2.0 ** (40 - ctx.prec)
    if not is_positive(less(flow.hessian([x + UNIT * r for x in c]), CLEAR * mu)):
        raise Open(f"H >= mu = {mu:.4g} is not proved within {r:.3g} of the critical point")
    if not CLEAR * push < arb(mu) * r:
        raise Open(f"|grad L(c)| < mu r fails: {float(push):.4g} against {mu * r:.4g}")
    lowest = flow.loss(c) - (push * push / mu / 2).union(arb(0))
    return Attracting("convex", c, r, (mu,), arb(mu), push / mu, lowest)


def layers(flow: Any, end: Sequence[Ball], error: Ball, kept: float, bits: int) -> Attracting:
    """A ball about ``end`` in which the loss of a factorisation falls to zero.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    c, a = [arb((rounded(x, bits), -bits)) for x in end], float(flow.system.regularization)
    middle = flow.forms(c)
    sharp = [float(np.linalg.eigvalsh(_doubles(form))[0]) for form in middle]
    rates = [kept * x for x in sharp]
    for name, value in zip(("W of the layers", "the defects"), sharp, strict=False):
        if not value > 1e-12:
            raise Open(f"the derivative of {name} is not onto: its least eigenvalue is {value:.3g}")
    mu = arb(rates[0]) if a == 0 else arb(rates[0]).min(arb(a) * rates[1] / 2)
    begin = flow.loss([x + UNIT * error for x in c]).upper()
    path = error + (2 * begin / mu).sqrt()
    r = ROOM * float(path.upper())
    for form, rate in zip(flow.forms([x + UNIT * r for x in c]), rates, strict=True):
        if not is_positive(less(form, CLEAR * rate)):
            raise Open(
                f"a form >= {rate:.4g} is not proved on the ball of radius {r:.3g}, which the rest"
                " of the path may need"
            )
    # As the checker names them: sum |D_j W_j - W_j D_(j-1)|^2 is a quarter of |K^T D|^2.
    stated = (rates[0], *(x / 4 for x in rates[1:]))
    return Attracting("layers", c, r, stated, mu, arb(r), arb(0))


def squares(flow: Any, end: Sequence[Ball], error: Ball, kept: float, bits: int) -> Attracting:
    """A ball about ``end`` in which a sum of squares falls to zero.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    c = [arb((rounded(x, bits), -bits)) for x in end]

    def form(x: Sequence[Ball]) -> Any:
        rows = flow.jacobian(x)
        return rows * rows.transpose()

    sharp = float(np.linalg.eigvalsh(_doubles(form(c)))[0])
    mu = kept * sharp
    if not sharp > 1e-12:
        raise Open(f"derivatives of the squares are not independent: J J^T has {sharp:.3g}")
    lowest = flow.lowest
    begin = (flow.loss([x + UNIT * error for x in c]) - lowest).upper()
    r = ROOM * float((error + (2 * begin / mu).nonnegative_part().sqrt()).upper())
    if not is_positive(less(form([x + UNIT * r for x in c]), CLEAR * mu)):
        raise Open(
            f"J J^T >= {mu:.4g} is not proved on the ball of radius {r:.3g}, which the rest of the"
            " path may need"
        )
    return Attracting("squares", c, r, (mu,), arb(mu), arb(r), lowest)


def attracting(flow: Any, end: Sequence[Ball], error: Ball, kept: float, bits: int) -> Attracting:
    """A ball of the kind that fits.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    if flow.form == "layers":
        return layers(flow, end, error, kept, bits)
    try:
        return convex(flow, end, error, kept, bits)
    except Open:
        if flow.form == "variables" and flow.residuals:
            return squares(flow, end, error, kept, bits)
        raise


def critical(flow: BallFlow, guess: Sequence[Ball]) -> list[Ball]:
    """A critical point near a state, by Newton's method; exact numbers, of which nothing is proved.

    Raises
    ------
    Open
        Where Newton's method leaves.
    """
    c = [x.mid() for x in guess]
    size, last = float(norm(c)) + 1.0, math.inf
    for _ in range(NEWTON):
        field = flow.field(c, _signs(flow, c))
        hessian = flow.hessian(c)
        try:
            step = hessian.mid().solve(arb_mat([[f.mid()] for f in field])).mid()
        except ZeroDivisionError:
            raise Open("the Hessian is singular near the end") from None
        moves = [row[0].mid() for row in step.tolist()]
        length = float(norm(moves))
        if not length < size:
            raise Open("no critical point is near the end: Newton's method leaves")
        c = [(x + y).mid() for x, y in zip(c, moves, strict=True)]
        if length < 2.0 ** (16 - ctx.prec) * size or not length < last:
            break
        last = length if length < 1e-3 * size else math.inf
    return c


def _signs(flow: BallFlow, x: Sequence[Ball]) -> list[int]:
    """Branch of the field at a state."""
    return [-1 if area < 0 else 1 for area in flow.areas(x)]


def less(matrix: Any, bound: float) -> list[list[Ball]]:
    """A form less ``bound``, as rows."""
    rows = matrix.tolist()
    return [[x - bound if i == j else x for j, x in enumerate(row)] for i, row in enumerate(rows)]


def _doubles(matrix: Any) -> Any:
    return np.array([[float(x.mid()) for x in row] for row in matrix.tolist()])
