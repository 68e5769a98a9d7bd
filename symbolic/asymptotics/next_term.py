r"""The next term of a power law: a logarithm, from the resonance of degree ``2p - 2``.

Along the attracting direction, with the radius `r`, the loss is ``ell r^p + m r^(2p-2)`` and the
squared speed ``(1 + a r^2) r'^2``. Then ``u = r^-(p-2)`` obeys ``u' = p (p-2) ell (1 + kappa/u)``,
``kappa = (2p-2) m/(p ell) - a``, so that

.. math:: L \, t^{p/(p-2)} = C \, (1 + \beta \log t / t + O(1/t)), \qquad
          \beta = -\frac{\kappa}{(p-2)^2 \ell}

For ``p = 4`` what moves like ``r^2`` counts too. Slaved variables do, and tangents `q` of the
family: with the term ``b q r^4`` of the loss, ``q = b r^2/(8 ell)`` from the limit on, which adds
``b^2/(8 ell)`` to `m` and ``b^2/(16 ell^2)`` to `a` (for vectors of length one).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp

from symbolic.asymptotics.direction import Attractor
from symbolic.asymptotics.kernel import Split
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.reduction import Reduced, followed, inverse_on
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.series import ONCE

__all__ = ["log_term"]

# Slow variables: the series of degree 2p - 2 grows with a high power of their number.
MOST = 25
# A number below this is the rounding of a direction that has no fractions.
ZERO = 1e-40


def log_term(
    point: Point, parts: Split, quadratic: sp.MatrixBase, reduced: Reduced, attractor: Attractor
) -> sp.Expr | None:
    """Coefficient `beta` of ``log t / t``, or None where it is not derived.

    It is exact for a direction of fractions, otherwise a number of many digits. Degrees 3 and 4
    are covered, up to `MOST` slow variables; for degree 4, forms of degree 5 must not push the
    direction.

    Parameters
    ----------
    point, parts, quadratic, reduced
        As for the leading form.
    attractor : Attractor
        Where the run goes.
    """
    p = reduced.degree
    if len(reduced.z) > MOST:
        return None
    if attractor.precise is None or p not in (3, 4) or reduced.form.free_symbols - set(reduced.z):
        return None
    e = sp.Matrix(list(attractor.precise))
    metric = reduced.metric
    across, tangent = _across(metric * e), parts.tangent
    r = sp.Symbol("r", positive=True)
    w = tuple(sp.Symbol(f"w{k + 1}", real=True) for k in range(across.cols))
    q = tuple(sp.Symbol(f"q{k + 1}", real=True) for k in range(tangent.cols))
    directions: list[tuple[sp.Symbol, Any, list[sp.Expr]]] = [(r, 1, list(parts.slow * e))]
    if p == 4:
        # The form of degree 4 is known: of what moves across, only the push is looked at.
        aside = [list(parts.slow * across[:, k]) for k in range(across.cols)]
        directions += [(v, ONCE + 2, vector) for v, vector in zip(w, aside, strict=True)]
        directions += [(v, 2, list(tangent[:, k])) for k, v in enumerate(q)]
    order = 2 * p - 2
    try:
        inverse = inverse_on(parts.fast, quadratic)
        ring, slaved, along = followed(point, directions, parts.fast, inverse, int(order))
    except NoLaw:
        return None
    found: dict[tuple[sp.Symbol, ...], sp.Expr] = {}
    for part in along.values():
        for monomial, c in part.terms():
            if any(monomial[len(ring.variables) :]):
                return None  # a root or a sign is left
            value = ring.domain.to_sympy(c)
            if not _vanishes(value):
                powers = zip(ring.variables, monomial, strict=False)
                found[tuple(v for v, power in powers for _ in range(power))] = value
    ell, m = (found.pop((r,) * int(k), sp.S.Zero) for k in (p, order))
    square = (e.T * metric * e)[0, 0]
    kappa = (2 * p - 2) * m / (p * ell)
    if p == 4:
        b = sp.Matrix([found.pop((r, r, r, r, v), sp.S.Zero) for v in q])
        if found:
            return None  # a form of degree 5 pushes, or the leading form's degree varies
        if q:
            kappa += (b.T * (tangent.T * tangent).inv() * b)[0, 0] * square / (8 * ell**2)
        if slaved:
            second = [x.get(Fraction(2), ring.ring.zero) for x in slaved.values()]
            moved = parts.fast * sp.Matrix([ring.expression(x).subs(r, 1) for x in second])
            moved = moved.subs(dict.fromkeys((*w, *q), 0))
            kappa -= 4 * (moved.T * moved)[0, 0] / square
    beta = -kappa * square / ((p - 2) ** 2 * ell)
    return sp.S.Zero if _vanishes(beta) else sp.radsimp(sp.simplify(beta))


def _vanishes(value: sp.Expr) -> bool:
    return bool(value == 0 or (value.is_Float and abs(value) < ZERO))


def _across(normal: sp.MatrixBase) -> sp.ImmutableMatrix:
    """Basis of the vectors at right angles to one."""
    n = normal.rows
    k = max(range(n), key=lambda i: abs(normal[i]))
    columns = [
        [sp.Integer(i == j) - sp.Integer(i == k) * normal[j] / normal[k] for i in range(n)]
        for j in range(n)
        if j != k
    ]
    return sp.ImmutableMatrix(n, n - 1, lambda i, j: columns[j][i])
