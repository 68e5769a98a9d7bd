r"""Balls that a flow never leaves, in which its loss falls at an exponential rate.

They are proposed here, in plain numbers, and proved by :mod:`flows.certificates.verifier.rest`,
where the three kinds of them are explained: where ``L`` is convex, where layers have a rate of
Polyak and Lojasiewicz, and where the loss is a sum of squares. Rates are parts of the least
eigenvalues in the middle, and the radius grows until the flow is proved to stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from flows.certificates.chebyshev import rounded
from flows.certificates.proof import norm
from flows.certificates.stated import Open, enlarged
from flows.certificates.verifier.rest import Attracted, attracted, forms
from flows.core.balls import BallFlow
from flows.core.symmetric import ROUNDED, sharp

Ball = Any  # flint.arb

#: Steps of Newton's method; what counts as zero of an eigenvalue of squares.
NEWTON, SINGULAR = 60, 1e-12
#: What is said where an eigenvalue is not positive.
NOT_POSITIVE = {
    "convex": ("the Hessian is not positive definite at the critical point near the end",),
    "layers": ("the derivative of W of the layers is not onto", "that of the defects is not onto"),
    "squares": ("derivatives of the squares are not independent",),
}


def attracting(
    flow: Any, equations: Any, segments: Any, kept: float, bits: int
) -> tuple[dict[str, Any], Attracted]:
    """A ball of the kind that fits, as its file states it, and what is proved of it.

    Parameters
    ----------
    flow : BallFlow
        From which it is proposed.
    equations : Equations
        Of the verifier, which proves it.
    segments : list
        The pieces, as :func:`flows.certificates.verifier.rest.segments_of` reads them.
    kept : float
        Part of the sharp rates that is claimed.
    bits : int
        Its centre is a multiple of ``2^-bits``.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    if flow.form == "layers":
        return of_kind("layers", flow, equations, segments, kept, bits)
    try:
        return of_kind("convex", flow, equations, segments, kept, bits)
    except Open:
        if flow.form == "variables" and flow.residuals:
            return of_kind("squares", flow, equations, segments, kept, bits)
        raise


def of_kind(
    kind: str, flow: Any, equations: Any, segments: Any, kept: float, bits: int
) -> tuple[dict[str, Any], Attracted]:
    """A ball of one kind; see :func:`attracting`."""
    end: list[Ball] = [sum(row, arb(0)) for row in segments[-1][0].p]
    near = (flow.optimum or critical(flow, end)) if kind == "convex" else end
    centre = [rounded(x, bits) for x in near]
    c = np.array([arb((x, -bits)) for x in centre])
    squares = flow.squares if kind == "squares" else []
    least = [_least(form) for form in forms(kind, equations, c, squares)]
    for why, value in zip(NOT_POSITIVE[kind], least, strict=False):
        if not value > (0.0 if kind == "convex" else SINGULAR):
            raise Open(f"{why}: its least eigenvalue is {value:.3g}")
    away = norm([x - y for x, y in zip(end, c, strict=True)]) + segments[-1][2]
    stated = {
        "kind": kind,
        "centre": [f"{x:x}" for x in centre],
        "radius": (float(away.upper()) + 2.0 ** (40 - ctx.prec)).hex(),
        "rates": [(kept * x).hex() for x in least],
        **({"squares": squares} if squares else {}),
    }
    return enlarged(stated, lambda data: attracted(data, equations, segments, bits))


def _least(form: Any) -> float:
    """Least eigenvalue of the middle of a form."""
    values = np.linalg.eigvalsh(np.vectorize(lambda x: float(x.mid()), "d")(form))
    if values[0] <= ROUNDED * len(form) * values[-1]:
        values, _ = sharp(arb_mat(form.tolist()))
    return float(values[0])


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
