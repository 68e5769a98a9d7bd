r"""The dual kernel `k(a,b) = E s(a.x) s(b.x)`, `x ~ N(0, I_d)`, of an activation, by integration.

The activation is piecewise linear and positively homogeneous, `s(u) = rise*u` for `u > 0` and
`fall*u` for `u < 0`. In the plane of `a` and `b` the expectation splits into a radial integral and
an angular one over four sectors; nothing about the result is quoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate
from sympy.integrals.risch import risch_integrate
from sympy.simplify.fu import TR8

from symbolic.derivation import Derivation, Step
from symbolic.identity import Domain
from symbolic.primitives import SinMinusArgCos

__all__ = ["ALPHA", "BETA", "LINEAR", "RELU", "THETA", "Activation", "derive_kernel", "leaky_relu"]

ALPHA = sp.Symbol("alpha", positive=True)
BETA = sp.Symbol("beta", positive=True)
THETA = sp.Symbol("theta", nonnegative=True)
RADIUS = sp.Symbol("rho", positive=True)
PHI = sp.Symbol("phi", real=True)

ANGLES: Domain = ((THETA, sp.S.Zero, sp.pi),)


@dataclass(frozen=True)
class Activation:
    """A positively homogeneous piecewise-linear activation.

    Parameters
    ----------
    name : str
        For titles.
    rise, fall : Expr
        Slopes on the positive and on the negative half-line.
    """

    name: str
    rise: sp.Expr
    fall: sp.Expr

    def __call__(self, u: Any) -> sp.Expr:
        """Return `s(u)` as a SymPy expression."""
        return sp.Piecewise((self.rise * u, u > 0), (self.fall * u, True))


RELU = Activation("ReLU", sp.S.One, sp.S.Zero)
LINEAR = Activation("linear", sp.S.One, sp.S.One)


def leaky_relu(slope: Any) -> Activation:
    """Return the leaky ReLU with the given slope (number or symbol) on the negative half-line."""
    return Activation("leaky ReLU", sp.S.One, sp.sympify(slope, strict=True))


@cache
def derive_kernel(activation: Activation = RELU) -> Derivation:
    r"""Derive `k(a,b)` as an expression in `|a|`, `|b|` and the angle between `a` and `b`.

    Parameters
    ----------
    activation : Activation
        The function `s`.

    Returns
    -------
    Derivation
        Its `result` is `k` in `ALPHA = |a|`, `BETA = |b|`, `THETA`, written in safe primitives.
        Valid for any dimension `d >= 2`, and for `d = 1` with `THETA` in `{0, pi}`.

    Notes
    -----
    For ReLU this is the arc-cosine kernel of degree one (Cho & Saul 2009).
    """
    s, half = activation, sp.pi / 2
    x, y = sp.symbols("x y", real=True)
    steps: list[Step] = []

    def step(
        lhs: Any,
        rhs: Any,
        rule: str,
        *assumptions: str,
        domain: Domain = ANGLES,
        fresh: bool = False,
        shown: str = "",
    ) -> Any:
        steps.append(Step(lhs, rhs, rule, assumptions, domain, fresh, shown))
        return rhs

    # Reduction to the plane.
    density = sp.exp(-(x**2) / 2) / sp.sqrt(2 * sp.pi)
    step(
        sp.Integral(density, (x, -sp.oo, sp.oo)),
        sp.S.One,
        "every coordinate orthogonal to the plane of a and b integrates to one",
        "N(0, I) is a product in any orthonormal basis; one of them has a along its first vector",
        fresh=True,
    )

    # Polar coordinates, x = (rho cos phi, rho sin phi).
    gauss = sp.exp(-(x**2 + y**2) / 2) / (2 * sp.pi)
    polar = {x: RADIUS * sp.cos(PHI), y: RADIUS * sp.sin(PHI)}
    jacobian = sp.Matrix(
        [[sp.cos(PHI), -RADIUS * sp.sin(PHI)], [sp.sin(PHI), RADIUS * sp.cos(PHI)]]
    )
    linear = (ALPHA * x) * (BETA * (x * sp.cos(THETA) + y * sp.sin(THETA)))
    radial = RADIUS**3 * sp.exp(-(RADIUS**2) / 2)
    angular = sp.cos(PHI) * sp.cos(PHI - THETA)
    turn: Domain = (*ANGLES, (PHI, -sp.pi, sp.pi))
    step(
        (linear * gauss).subs(polar, simultaneous=True)
        * (jacobian[0, 0] * jacobian[1, 1] - jacobian[0, 1] * jacobian[1, 0]),
        ALPHA * BETA / (2 * sp.pi) * radial * angular,
        "polar coordinates: (a.x)(b.x) times the density times the Jacobian determinant",
        "a = |a| (1, 0), b = |b| (cos theta, sin theta)",
        domain=turn,
        fresh=True,
    )

    # Radial integral; s(rho u) = rho s(u), so the activation does not enter it.
    u = sp.Symbol("u", positive=True)
    substituted = step(
        radial.subs(RADIUS, sp.sqrt(2 * u)) * sp.Derivative(sp.sqrt(2 * u), u),
        2 * u * sp.exp(-u),
        "substitution u = rho^2/2 in the radial integral",
        "s(rho u) = rho s(u) for rho > 0",
        fresh=True,
    )
    primitive = risch_integrate(substituted, u)
    step(sp.Derivative(primitive, u), substituted, "antiderivative", fresh=True)
    radial_value = step(
        sp.Integral(radial, (RADIUS, 0, sp.oo)),
        sp.limit(primitive, u, sp.oo) - primitive.subs(u, 0),
        "fundamental theorem of calculus",
        fresh=True,
    )

    # Angular integral: each sector has constant signs of a.x and b.x.
    sectors = (
        (THETA - half, half, s.rise * s.rise),
        (-half, THETA - half, s.rise * s.fall),
        (half, THETA + half, s.fall * s.rise),
        (THETA + half, 3 * half, s.fall * s.fall),
    )
    at = [lo + u * (hi - lo) for lo, hi, _ in sectors]
    step(
        sp.Matrix([s(sp.cos(p)) * s(sp.cos(p - THETA)) for p in at]),
        sp.Matrix(
            [slopes * angular.subs(PHI, p) for p, (_, _, slopes) in zip(at, sectors, strict=True)]
        ),
        "the four sectors on which the signs of a.x and b.x are constant",
        "s_a, s_b: slopes of s in the sector; u in (0, 1) runs through it",
        domain=(*ANGLES, (u, sp.S.Zero, sp.S.One)),
        fresh=True,
        shown=r"s(\cos\phi)\, s(\cos(\phi - \theta)) = s_a s_b \cos\phi \cos(\phi - \theta)",
    )
    summed = step(angular, TR8(angular), "product to sum", domain=turn, fresh=True)
    primitive = manualintegrate(summed, PHI)
    step(sp.Derivative(primitive, PHI), summed, "antiderivative", domain=turn, fresh=True)
    total = sp.Add(
        *(slopes * sp.Integral(angular, (PHI, lo, hi)) for lo, hi, slopes in sectors if slopes != 0)
    )
    closed = sp.expand(
        sp.Add(
            *(
                slopes * (primitive.subs(PHI, hi) - primitive.subs(PHI, lo))
                for lo, hi, slopes in sectors
            )
        )
    )
    step(total, closed, "angular integral, sector by sector", fresh=True)

    # Assembly, and the safe form.
    raw = step(
        ALPHA * BETA / (2 * sp.pi) * radial_value * total,
        sp.expand(ALPHA * BETA / (2 * sp.pi) * radial_value * closed),
        "constant, radial and angular factor",
        fresh=True,
    )
    safe = raw.subs(sp.sin(THETA), SinMinusArgCos(THETA) + THETA * sp.cos(THETA))
    step(
        raw,
        sp.collect(sp.expand(safe), SinMinusArgCos(THETA)),
        "sin(theta) = (sin(theta) - theta cos(theta)) + theta cos(theta)",
    )
    return Derivation(
        f"dual kernel of the {s.name} activation",
        "Cho & Saul 2009, arc-cosine kernel of degree one",
        tuple(steps),
    )
