r"""The next term of a power law: a logarithm, from the resonance of degree ``2p - 2``.

Along the attracting direction, with the radius `r`, the loss is ``ell r^p + m r^(2p-2)`` and the
squared speed ``(1 + a r^2) r'^2``: slaved variables move too, which counts for ``p = 4`` only. Then
``u = r^-(p-2)`` obeys ``u' = p (p-2) ell (1 + kappa/u)``, ``kappa = (2p-2) m/(p ell) - a``, so that

.. math:: L \, t^{p/(p-2)} = C \, (1 + \beta \log t / t + O(1/t)), \qquad
          \beta = -\frac{\kappa}{(p-2)^2 \ell}
"""

from __future__ import annotations

from fractions import Fraction

import sympy as sp

from symbolic.asymptotics.direction import Attractor
from symbolic.asymptotics.kernel import Split, nullspace
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.reduction import Reduced, slaved_series, substituted
from symbolic.asymptotics.refusal import NoLaw

__all__ = ["log_term"]


def log_term(
    point: Point, parts: Split, quadratic: sp.MatrixBase, reduced: Reduced, attractor: Attractor
) -> sp.Expr | None:
    """Coefficient `beta` of ``log t / t``, or None where it is not derived.

    It is derived for directions in closed form and degrees 3 and 4; for degree 4 without a family
    of minimisers, whose motion would count, and where forms of degree 5 do not push the direction.

    Parameters
    ----------
    point, parts, quadratic, reduced
        As for the leading form.
    attractor : Attractor
        Where the run goes.
    """
    p = reduced.degree
    if attractor.exact is None or attractor.value is None or p not in (3, 4):
        return None
    if p == 4 and parts.tangent.cols:
        return None
    e = sp.Matrix(list(attractor.exact))
    if p == 4 and not all(x.is_Rational for x in e):
        return None  # complements in roots take long
    size = len(reduced.z)
    across = nullspace((reduced.metric * e).T, size) if p == 4 else sp.ImmutableMatrix(size, 0, [])
    r = sp.Symbol("r", positive=True)
    s = tuple(sp.Symbol(f"s{k + 1}", real=True) for k in range(parts.fast.cols))
    w = tuple(sp.Symbol(f"w{k + 1}", real=True) for k in range(across.cols))
    directions = [(r, 1, list(parts.slow * e))]
    directions += [(v, 2, list(parts.slow * across[:, k])) for k, v in enumerate(w)]
    directions += [(v, 2, list(parts.fast[:, k])) for k, v in enumerate(s)]
    order = 2 * p - 2
    try:
        ring, series = point.series(directions, int(order))
        inverse = (parts.fast.T * quadratic * parts.fast).inv() if s else sp.zeros(0, 0)
        slaved = slaved_series(ring, series, s, inverse)
        along = ring.reduced(substituted(ring, series, s, slaved))
    except NoLaw:
        return None
    place = ring.variables.index(r)
    found = {}
    for weight, part in along.items():
        for monomial, c in part.terms():
            others = [k for k, power in enumerate(monomial) if power and k != place]
            if not others:
                found[weight] = ring.domain.to_sympy(c)
            elif p == 4 and sum(monomial) - monomial[place] == 1 and monomial[place] == 4:
                return None  # a form of degree 5 pushes the direction
            elif any(k >= len(ring.variables) for k in others):
                return None  # a root or a sign is left
    if p == 4 and found.get(Fraction(5), 0) != 0:
        return None
    square = sp.expand((e.T * reduced.metric * e)[0, 0])
    ell, m = found.get(Fraction(int(p)), sp.S.Zero), found.get(Fraction(int(order)), sp.S.Zero)
    kappa = (2 * p - 2) * m / (p * ell)
    if p == 4 and s:
        moved = parts.fast * sp.Matrix(
            [ring.expression(x.get(Fraction(2), ring.ring.zero)).subs(r, 1) for x in slaved]
        )
        moved = moved.subs(dict.fromkeys(w, 0))
        kappa -= 4 * sp.expand((moved.T * moved)[0, 0]) / square
    return sp.radsimp(sp.simplify(-kappa * square / ((p - 2) ** 2 * ell)))
