r"""A run to infinity along the direction of a largest margin: separable data, bandits, attention.

Where the loss far out is a sum of exponentials of homogeneous polynomials of one degree `d`,

.. math:: L(w) = L_\infty + \sum_k c_k e^{-q_k(w)} (1 + o(1)), \qquad c_k > 0,

the direction of the flow tends to that of `\hat w`, the shortest vector with `q_k(\hat w) \ge 1`
for all `k`, or a local one. With its multipliers, `\hat w = \sum_k a_k \nabla q_k(\hat w)`, where
`q_k(\hat w) = 1` or `a_k = 0`, the loss above `L_\infty` is to leading order that of the flow on
the line `w = R \hat w` with `L = L_\infty + |\hat w|^2 e^{-R^d}`: `|\hat w|^2/t` where `q_k` are
linear (Soudry et al. 2018, theorem 3, for classification of separable data). For homogeneous
networks see Lyu & Li 2020, arXiv 1906.05890.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import sympy as sp
from scipy.optimize import minimize, nnls

from flows.core.arrays import Array
from flows.core.far_out import UNKNOWN, FarOut, NoSum
from flows.core.minimiser import Escape
from symbolic.asymptotics.point import Point
from symbolic.language.lower import lower

__all__ = ["margin_escape"]

# Terms are kept down to this power of the loss; products of leading ones have its square.
KEPT = 1.9
# Numbers of the least norm that are this part of the largest one are zero.
ZERO = 1e-9
# A direction in doubles: steps of Newton's method, what they leave, and the least cosine of the
# angle to the run, which turns to it like 1/log t.
STEPS, LEFT, NEAR = 20, 1e-12, 0.9
# Its square is taken for a fraction, or the root of one, with a denominator up to this.
DENOMINATOR = 1000
# Largest degree of exponents: a network with this many layers has it.
MOST = 12


class Direction(NamedTuple):
    """The shortest vector: as text, its square, the deciding exponents, and those that tie."""

    text: str
    square: sp.Expr
    active: list[sp.Expr]
    ties: list[sp.Expr]


def margin_escape(
    point: Point, state: Sequence[float], above: float, most: int = MOST
) -> Escape | None:
    """Loss along the direction of the largest margin; None where the loss has no such form.

    The form of the loss is exact, and the direction where exponents are linear; else it is in
    doubles. That the run goes there is sampled.

    Parameters
    ----------
    point : Point
        The loss in closed form.
    state : sequence of float
        The last state.
    above : float
        The size of the remainder of the loss there.
    most : int
        Largest degree of exponents.
    """
    if not 0 < above < 1:
        return None
    try:
        far = FarOut(point.y, state, KEPT * math.log(above))
        terms = far.expand(point.plain.rewrite(sp.exp))
    except (NoSum, RecursionError):
        return None
    limit = terms.pop(sp.S.Zero, sp.S.Zero)
    if limit.has(*point.y, UNKNOWN) or not terms:
        return None
    leading = {-key: c for key, c in terms.items()}
    forms = {key: sp.Poly(key, *point.y) for key in leading}
    degree = min(form.total_degree() for form in forms.values())
    if degree > most or any(form.homogeneous_order() != degree for form in forms.values()):
        return None
    found = _shortest(forms) if degree == 1 else _nearest(forms, point.y, np.array(state), degree)
    if found is None:
        return None
    # Of positive terms all margins are one or more: `L = w' what` whatever share each of them has.
    sides = [far.value(leading[form]) for form in found.ties if not leading[form].has(UNKNOWN)]
    if not all(leading[form].is_positive for form in found.active):
        return None
    if (found.ties and not sides) or not all(side > 0 for side in sides):
        return None
    radius = sp.Symbol("R", positive=True)
    many = len(found.active)
    said = "one exponential decides" if many == 1 else f"{many} exponentials decide"
    growth = "log t" if degree == 1 else f"(log t)^(1/{degree})"
    remark = (
        f"the run goes to infinity like ({found.text}) {growth}, the direction of the largest"
        f" margin, which {said}"
    )
    remark += "; corrections may die out as slowly as 1/log t" if found.ties else ""
    remark += "; its length is read off from doubles" if degree > 1 else ""
    loss = limit + found.square * sp.exp(-(radius**degree))
    return Escape(loss, radius, found.square, remarks=(remark,))


def _shortest(forms: dict[sp.Expr, sp.Poly]) -> Direction | None:
    r"""Shortest `w` with `m \cdot w \ge 1` for all linear forms, exactly."""
    keys = [*forms]
    rows = [[form.coeff_monomial(v) for v in form.gens] for form in forms.values()]
    numbers = np.array(rows, dtype=float)
    # The dual problem: the shortest w is -r/r_0 of the residual of e_0 beside the cone of (1, m).
    stacked, goal = np.vstack([np.ones(len(rows)), numbers.T]), np.eye(1 + numbers.shape[1])[0]
    found, _ = nnls(stacked, goal)
    picked = [k for k, x in enumerate(found) if x > ZERO * max(found.max(), math.ulp(0.0))]
    if not picked:
        return None
    active = sp.Matrix([rows[k] for k in picked])
    gram = active * active.T
    if gram.det() == 0:
        return None
    shares = gram.LUsolve(sp.ones(len(picked), 1))
    shortest = active.T * shares
    margins = [(sp.Matrix([row]) * shortest)[0] for row in rows]
    if min(shares) <= 0 or min(margins) < 1:
        return None  # no such direction
    ties = [key for k, key in enumerate(keys) if k not in picked and margins[k] == 1]
    text, square = ", ".join(map(str, shortest)), (shortest.T * shortest)[0]
    return Direction(text, square, [keys[k] for k in picked], ties)


def _nearest(
    forms: dict[sp.Expr, sp.Poly], y: Sequence[sp.Symbol], state: Array, degree: int
) -> Direction | None:
    r"""Shortest `w` beside a state with `q(w) \ge 1` for all forms of a degree, in doubles."""
    keys, size = [*forms], len(y)
    values = lower(keys, y, "numpy")
    slopes = lower([sp.diff(key, v) for key in keys for v in y], y, "numpy")
    bends = lower([sp.diff(key, v, w) for key in keys for v in y for w in y], y, "numpy")

    def margins(w: Array) -> Array:
        return np.array(values(*w), dtype=float)

    def turns(w: Array) -> Array:
        return np.array(slopes(*w), dtype=float).reshape(len(keys), size)

    least = margins(state).min()
    if not least > 0:
        return None
    constraint = {"type": "ineq", "fun": lambda w: margins(w) - 1, "jac": turns}
    begun = state / least ** (1 / degree)
    found = minimize(
        lambda w: (w @ w / 2, w), begun, jac=True, method="SLSQP", constraints=[constraint]
    )
    w: Array = found.x
    shares, _ = nnls(turns(w).T, w)
    active = np.flatnonzero(shares > ZERO * max(shares.max(), math.ulp(0.0)))
    a = shares[active]
    for _ in range(STEPS):
        rows = turns(w)[active]
        left = np.concatenate([w - rows.T @ a, margins(w)[active] - 1])
        bent = np.array(bends(*w), dtype=float).reshape(len(keys), size, size)[active]
        corner = np.eye(size) - np.einsum("k,kij->ij", a, bent)
        if np.abs(left).max() <= LEFT:
            break
        none = np.zeros((len(active), len(active)))
        step = np.linalg.lstsq(np.block([[corner, -rows.T], [rows, none]]), left)[0]
        w, a = w - step[:size], a - step[size:]
    else:
        return None
    _, _, turned = np.linalg.svd(rows)
    along = turned[np.linalg.matrix_rank(rows) :]
    if (np.linalg.eigvalsh(along @ corner @ along.T) < -ZERO).any():
        return None  # a saddle: from next to it the flow goes elsewhere
    reached, square = margins(w), float(w @ w)
    aligned = w @ state >= NEAR * math.sqrt(square) * np.linalg.norm(state)
    if not aligned or (a <= 0).any() or (reached < 1 - ZERO).any():
        return None
    ties = [k for k, x in enumerate(reached) if k not in active and x <= 1 + ZERO]
    text = ", ".join(f"{x:.4g}" for x in w)
    return Direction(
        text, _read(square, degree), [keys[k] for k in active], [keys[k] for k in ties]
    )


def _read(square: float, degree: int) -> sp.Expr:
    """A number as the root of a simple fraction that is as near as doubles tell, or as it is."""
    for k in range(1, degree + 1):
        number = sp.root(sp.Rational(square**k).limit_denominator(DENOMINATOR), k)
        if abs(float(number) - square) <= ZERO * square:
            return number
    return sp.Rational(square)
