r"""Escape to infinity along one coordinate: ``m R' = -dL/dR`` with a loss that has a limit there.

Above that limit, with ``phi = -log L``, ``d/dt (1/L) = phi'(R)^2 L / (m L) = phi'(R)^2/m``; where
``phi'`` varies slowly along the flow, ``phi''/phi'^2 -> 0``, this integrates to

.. math:: \frac{t \, L \, \phi'(R)^2}{m} \to 1

All limits are SymPy's, by Gruntz's algorithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import sympy as sp

from symbolic.asymptotics.law import LateTimeLaw, Law, weakest
from symbolic.asymptotics.refusal import NoLaw
from symbolic.evidence.derivation import Derivation
from symbolic.evidence.step import Step, computed
from symbolic.language.expressions import as_expression

__all__ = ["escape_law"]

SOURCE = "regular variation: de Haan 1970; derived here"


def escape_law(loss: sp.Expr, radius: sp.Symbol, mass: sp.Expr = sp.S.One) -> LateTimeLaw:
    r"""Derive how a loss tends to zero while one coordinate escapes.

    .. math:: L \sim \frac{m}{t (c k)^2 (\log t / c)^{2 (k-1)/k}} \quad \text{where} \quad
              -\log L \sim c R^k

    Parameters
    ----------
    loss : Expr
        In `radius` alone, and falling to a limit.
    radius : Symbol
        The coordinate `R`, positive.
    mass : Expr
        `m` in ``m R' = -dL/dR``: how many entries move together.

    Returns
    -------
    LateTimeLaw
        One law: logarithmic, ``C / (t (log t)^q)`` with ``q = 2 (k-1)/k``, or a power of time
        where the loss falls like a power of `R`.
    """
    try:
        return _law(loss, radius, as_expression(mass))
    except NoLaw as reason:
        return LateTimeLaw((), str(reason))


def _limit(e: sp.Expr, radius: sp.Symbol) -> sp.Expr:
    try:
        return sp.limit(e, radius, sp.oo)
    except (NotImplementedError, ValueError):  # SymPy's word for a limit that it cannot take
        raise NoLaw(f"SymPy does not find the limit of {e}") from None


def _law(loss: sp.Expr, radius: sp.Symbol, mass: sp.Expr) -> LateTimeLaw:
    if loss.free_symbols != {radius}:
        raise NoLaw("expected a loss in the radius alone")
    limit = _limit(loss, radius)
    if not limit.is_finite:
        raise NoLaw("the loss has no limit at infinity")
    loss = loss - limit
    slope = sp.diff(loss, radius)
    phi_slope = sp.simplify(-slope / loss)
    degree = _limit(sp.simplify(radius * sp.diff(phi_slope, radius) / phi_slope), radius) + 1
    if not degree.is_finite or degree.is_negative:
        raise NoLaw("the logarithm of the loss does not grow like a power of the radius")
    if degree == 0:
        return _power(loss, radius, mass, phi_slope, limit)
    # phi ~ c R^k follows from phi' ~ c k R^(k-1).
    c = _limit(phi_slope / (degree * radius ** (degree - 1)), radius)
    if not (c.is_finite and c.is_positive):
        raise NoLaw("the logarithm of the loss does not grow like a pure power of the radius")
    q = 2 * (degree - 1) / degree
    constant = mass / ((c * degree) ** 2) * c**q
    t = sp.Symbol("t", positive=True)
    regular = sp.diff(phi_slope, radius) / phi_slope**2
    steps = (
        computed(
            sp.Limit(sp.simplify(regular), radius, sp.oo),
            sp.S.Zero,
            "escape: the speed of log L varies slowly along the flow",
            assumptions=(SOURCE,),
        ),
        computed(
            sp.Limit(phi_slope / radius ** (degree - 1), radius, sp.oo),
            c * degree,
            "escape: growth of -log L",
        ),
        computed(
            mass / (t * (c * degree * (sp.log(t) / c) ** ((degree - 1) / degree)) ** 2),
            constant / (t * sp.log(t) ** q),
            "escape: t L phi'(R)^2 = m where log t = c R^k",
        ),
    )
    found = _escaping(steps, limit, sp.S.One, constant, q or None)
    return replace(found, notes=("corrections die out like log log t / log t",) if q else ())


def _escaping(
    steps: Sequence[Step],
    limit: sp.Expr,
    exponent: sp.Expr,
    constant: sp.Expr,
    log_exponent: sp.Expr | None = None,
) -> LateTimeLaw:
    """Law that follows from some steps."""
    checked = tuple(step.verify() for step in steps)
    law = Law(
        "logarithmic" if log_exponent else "power",
        exponent=exponent,
        log_exponent=log_exponent,
        constant=float(constant),
        constant_exact=constant,
        constant_radius=0.0,
        evidence=MappingProxyType({"escape": weakest(*(s.evidence for s in checked))}),
    )
    derivation = Derivation("escape to infinity", SOURCE, checked)
    return LateTimeLaw((law,), limit=limit, derivation=derivation)


def _power(
    loss: sp.Expr, radius: sp.Symbol, mass: sp.Expr, phi_slope: sp.Expr, limit: sp.Expr
) -> LateTimeLaw:
    """Law of a loss ``A R^-a``: ``R^(a+2) = a (a+2) A t/m``."""
    a = _limit(radius * phi_slope, radius)
    if not (a.is_finite and a.is_positive):
        raise NoLaw("the loss falls slower than every power of the radius")
    size = _limit(loss * radius**a, radius)
    if not (size.is_finite and size.is_positive):
        raise NoLaw("the loss does not fall like a pure power of the radius")
    t = sp.Symbol("t", positive=True)
    exponent = a / (a + 2)
    path = (a * (a + 2) * size * t / mass) ** (1 / (a + 2))
    constant = sp.simplify(size * (a * (a + 2) * size / mass) ** (-exponent))
    steps = (
        computed(
            sp.Limit(sp.simplify(loss * radius**a), radius, sp.oo),
            size,
            "escape: the loss falls like a power",
        ),
        computed(
            mass * sp.Derivative(path, t),
            a * size * path ** (-a - 1),
            "escape: the flow of that power",
        ),
    )
    return _escaping(steps, limit, exponent, constant)
