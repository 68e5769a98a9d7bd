r"""From a leading form to a law: radius and direction of ``z' = -G^-1 grad ell_p``.

With ``z = rho omega``, ``rho' = -p ell rho^(p-1)`` and ``omega' = -rho^(p-2) grad_S ell``: the
direction settles at a local minimum, and the radius follows a power law.
"""

from __future__ import annotations

import functools
from typing import Any

import sympy as sp

from symbolic.asymptotics.numbers import ball
from symbolic.evidence.step import Step, computed

__all__ = [
    "THEOREM",
    "constant",
    "constant_in_balls",
    "exponent",
    "gamma",
    "log_decay",
    "polar_steps",
    "resting_step",
]

#: What the reduction to the leading form rests on, with its hypotheses.
THEOREM = (
    "Adams & Simon 1988 and Choi & Hung 2024 (arXiv 2405.17510): where the Hessian has constant"
    " rank along the family, is positive across its kernel, and the direction is an attractor of"
    " the leading form on the sphere, the flow follows that of the leading form"
)


def exponent(p: sp.Expr) -> sp.Expr:
    """Exponent of the loss, ``p/(p-2)``."""
    return p / (p - 2)


def constant(p: sp.Expr, ell: sp.Expr) -> sp.Expr:
    """Return `C` in ``L - L* ~ C t^(-p/(p-2))``."""
    return (p * (p - 2)) ** (-p / (p - 2)) * ell ** (-2 / (p - 2))


def constant_in_balls(p: sp.Rational, ell: Any) -> Any:
    """Return `C` of a ball (`flint.arb`)."""
    degree = ball(p)
    q = 1 / (degree - 2)
    return (degree * (degree - 2)) ** (-degree * q) * ell ** (-2 * q)


def gamma(p: float, ell: float, curvature: float) -> float:
    """Exponent with which a deviation of the direction dies out, ``curvature = kappa - p ell``."""
    return curvature / (p * (p - 2) * ell)


def log_decay(order: sp.Rational) -> sp.Rational:
    """`q` in ``L t^(p/(p-2))/C = 1 + O((log t)^-q)``: that of the form, ``deviation^order``."""
    return order / (order - 2)


@functools.cache
def resting_step(p: sp.Rational, order: sp.Rational) -> Step:
    """Step for a direction beside which the form is ``ell + c a^order``, verified."""
    t, ell, c = sp.symbols("t ell c", positive=True)
    # Per unit of log t the clock of the sphere runs 1/(p (p-2) ell).
    speed = c * order * (order - 2) / (p * (p - 2) * ell)
    deviation = (speed * sp.log(t)) ** (-1 / (order - 2))
    return computed(
        t * sp.Derivative(deviation, t),
        -c * order * deviation ** (order - 1) / (p * (p - 2) * ell),
        "polar form: a deviation along which the form has no curvature dies out like a power of"
        " log t",
    ).verify()


@functools.cache
def polar_steps(p: sp.Rational) -> tuple[Step, ...]:
    """Steps from the flow of the leading form to its law, for one degree, verified."""
    t, ell, kappa = sp.symbols("t ell kappa", positive=True)
    radius = (p * (p - 2) * ell * t) ** (-1 / (p - 2))
    g = (kappa - p * ell) / (p * (p - 2) * ell)
    steps = (
        computed(
            sp.Derivative(radius, t),
            -p * ell * radius ** (p - 1),
            "polar form: radius of the slow variables along an attracting direction",
            assumptions=(THEOREM,),
        ),
        computed(
            ell * radius**p,
            constant(p, ell) * t ** (-exponent(p)),
            "polar form: loss at that radius",
        ),
        computed(
            sp.Derivative(t**-g, t),
            -(radius ** (p - 2)) * (kappa - p * ell) * t**-g,
            "polar form: a deviation of the direction dies out like t^-gamma",
        ),
    )
    return tuple(step.verify() for step in steps)
