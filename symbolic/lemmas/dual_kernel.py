r"""The dual kernel `k(a,b) = E s(a.x) s(b.x)`, `x ~ N(0, I_d)`, of an activation, by integration.

A positively homogeneous activation, `s(u) = rise u^p` for `u > 0` and `fall u^p` for `u < 0`, is
integrated in polar coordinates of the plane of `a` and `b`: a radial integral, and an angular one
over the four sectors on which the signs of `a.x` and `b.x` are constant. The error function is
not homogeneous; its kernel is integrated along `a.b` by Price's theorem. No result is quoted.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import sympy as sp
from sympy.integrals.manualintegrate import manualintegrate
from sympy.integrals.risch import risch_integrate
from sympy.simplify.fu import TR8

from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Domain
from symbolic.language.primitives import SinMinusArgCos
from symbolic.lemmas.activations import RELU, Activation, Erf, Homogeneous

__all__ = ["ALPHA", "BETA", "DOT_VALUES", "THETA", "chain_rule", "derive_kernel"]

ALPHA = sp.Symbol("alpha", positive=True)
BETA = sp.Symbol("beta", positive=True)
THETA = sp.Symbol("theta", nonnegative=True)
RADIUS = sp.Symbol("rho", positive=True)
PHI = sp.Symbol("phi", real=True)
X, Y, U, V = sp.symbols("x y u v", real=True)

ANGLES: Domain = ((THETA, sp.S.Zero, sp.pi),)
# A = a.a, B = b.b, C = a.b; C is sampled inside |C| < sqrt(A B) for every A and B that are.
DOTS = (*sp.symbols("A B", positive=True), sp.Symbol("C", real=True))
INSIDE: Domain = ((DOTS[2], -sp.Rational(1, 5), sp.Rational(1, 5)),)
#: `a.a`, `b.b`, `a.b`.
DOT_VALUES = (ALPHA**2, BETA**2, ALPHA * BETA * sp.cos(THETA))


@cache
def chain_rule() -> sp.Matrix:
    """Return the derivatives of ALPHA, BETA, THETA (columns) by A, B, C (rows).

    Returns
    -------
    Matrix
        The inverse of the derivatives of `A = a.a`, `B = b.b`, `C = a.b`, for `0 < THETA < pi`.
    """
    jacobian = sp.Matrix(DOT_VALUES).jacobian([ALPHA, BETA, THETA])  # lower triangular
    return jacobian.lower_triangular_solve(sp.eye(3)).T


@cache
def derive_kernel(activation: Activation = RELU) -> Derivation:
    r"""Derive `k(a,b)` as an expression in `|a|`, `|b|` and the angle between `a` and `b`.

    Parameters
    ----------
    activation : Homogeneous or Erf
        The function `s`.

    Returns
    -------
    Derivation
        Its `result` is `k` in `ALPHA = |a|`, `BETA = |b|`, `THETA`, written in safe primitives.
        Valid for any dimension `d >= 2`, and for `d = 1` with `THETA` in `{0, pi}`.

    Notes
    -----
    For `rise = 1`, `fall = 0` these are the arc-cosine kernels (Cho & Saul 2009, equation 1); for
    erf it is the kernel of Williams (1997).
    Accuracy: lowered, the error is a few roundings of `|a|^p |b|^p`; for erf a few roundings, times
    the shorter length where it exceeds one (the arc sine is steep at nearly aligned long vectors).

    Examples
    --------
    >>> from symbolic.lemmas.activations import QUADRATIC
    >>> derive_kernel(QUADRATIC).result
    2*alpha**2*beta**2*cos(theta)**2 + alpha**2*beta**2
    """
    return _by_price() if isinstance(activation, Erf) else _in_polar_coordinates(activation)


def _to_the_plane() -> Step:
    """Reduce to the plane."""
    density = sp.exp(-(X**2) / 2) / sp.sqrt(2 * sp.pi)
    return Step(
        sp.Integral(density, (X, -sp.oo, sp.oo)),
        sp.S.One,
        "every coordinate orthogonal to the plane of a and b integrates to one",
        assumptions=(
            "N(0, I) is a product in any orthonormal basis; one has a along its first vector",
        ),
    )


def _in_polar_coordinates(s: Homogeneous) -> Derivation:
    """Derive the kernel of a homogeneous activation."""
    p, half = s.degree, sp.pi / 2
    steps = [_to_the_plane()]

    def step(
        lhs: Any, rhs: Any, rule: str, *words: str, domain: Domain = ANGLES, **given: Any
    ) -> Any:
        steps.append(Step(lhs, rhs, rule, assumptions=words, domain=domain, **given))
        return rhs

    # Polar coordinates, x = (rho cos phi, rho sin phi).
    gauss = sp.exp(-(X**2 + Y**2) / 2) / (2 * sp.pi)
    polar = {X: RADIUS * sp.cos(PHI), Y: RADIUS * sp.sin(PHI)}
    jacobian = sp.Matrix(
        [[sp.cos(PHI), -RADIUS * sp.sin(PHI)], [sp.sin(PHI), RADIUS * sp.cos(PHI)]]
    )
    power = ((ALPHA * X) * (BETA * (X * sp.cos(THETA) + Y * sp.sin(THETA)))) ** p
    front = (ALPHA * BETA) ** p / (2 * sp.pi)
    radial = RADIUS ** (2 * p + 1) * sp.exp(-(RADIUS**2) / 2)
    angular = TR8((sp.cos(PHI) * sp.cos(PHI - THETA)) ** p)
    turn: Domain = (*ANGLES, (PHI, -sp.pi, sp.pi))
    step(
        (power * gauss).subs(polar, simultaneous=True)
        * (jacobian[0, 0] * jacobian[1, 1] - jacobian[0, 1] * jacobian[1, 0]),
        front * radial * angular,
        "polar coordinates: (a.x)^p (b.x)^p times the density times the Jacobian determinant",
        "a = |a| (1, 0), b = |b| (cos theta, sin theta)",
        f"p = {p}; products of cosines as sums",
        domain=turn,
    )

    # The sectors, each the cone of its two edges.
    sectors = (
        (THETA - half, half, s.rise * s.rise),
        (-half, THETA - half, s.rise * s.fall),
        (half, THETA + half, s.fall * s.rise),
        (THETA + half, 3 * half, s.fall * s.fall),
    )
    first, second, sine = sp.symbols("m_1 m_2 sigma", positive=True)
    products = [
        [
            (first * sp.cos(lo - at) + second * sp.cos(hi - at)).subs(sp.sin(THETA), sine)
            for at in (0, THETA)
        ]
        for lo, hi, _ in sectors
    ]
    step(
        sp.Matrix([sp.Subs(s(X) * s(Y), (X, Y), dots) for dots in products]),
        sp.Matrix(
            [
                slopes * sp.Mul(*dots) ** p
                for dots, (_, _, slopes) in zip(products, sectors, strict=True)
            ]
        ),
        "s(a.x) s(b.x) = s_a s_b (a.x)^p (b.x)^p on the four sectors where both signs are constant",
        "|a| = |b| = 1; s_a, s_b: rise or fall",
        "a sector is the cone of its edges, m_1 e_1 + m_2 e_2 with m_1, m_2 > 0",
        "sigma = sin(theta) > 0",
        shown=r"s(\cos\phi)\, s(\cos(\phi - \theta)) = s_a s_b \cos^p\phi \cos^p(\phi - \theta)",
    )

    # Antiderivatives, the radial one after the substitution u = rho^2/2.
    u = sp.Symbol("u", positive=True)
    in_u = 2**p * u**p * sp.exp(-u)
    outward, around = risch_integrate(in_u, u), manualintegrate(angular, PHI)
    step(sp.Derivative(outward, u), in_u, "antiderivative in u")
    step(sp.Derivative(around, PHI), angular, "antiderivative in phi", domain=turn)

    # Assembly, and the safe form.
    radial_integral = sp.Integral(radial, (RADIUS, 0, sp.oo))
    total = sp.Add(
        *(slopes * sp.Integral(angular, (PHI, lo, hi)) for lo, hi, slopes in sectors if slopes != 0)
    )
    closed = sp.Add(
        *(slopes * (around.subs(PHI, hi) - around.subs(PHI, lo)) for lo, hi, slopes in sectors)
    )
    closed = sp.expand_trig(sp.expand(closed))
    value = sp.limit(outward, u, sp.oo) - outward.subs(u, 0)
    angles_done = step(
        front * radial_integral * total,
        front * radial_integral * closed,
        "k(a,b): fundamental theorem of calculus in each sector",
        "s(rho u) = rho^p s(u) for rho > 0",
        uses=("antiderivative in phi",),
    )
    substituted = step(
        angles_done,
        front * sp.Integral(in_u, (u, 0, sp.oo)) * closed,
        "substitution u = rho^2/2",
        fresh=False,
    )
    raw = step(
        substituted,
        sp.expand(front * value * closed),
        "fundamental theorem of calculus in u",
        uses=("antiderivative in u",),
        fresh=False,
    )
    if p == 1 and raw.has(sp.sin):
        safe = raw.subs(sp.sin(THETA), SinMinusArgCos(THETA) + THETA * sp.cos(THETA))
        step(
            raw,
            sp.collect(sp.expand(safe), SinMinusArgCos(THETA), sp.factor),
            "sin(theta) = (sin(theta) - theta cos(theta)) + theta cos(theta)",
            fresh=False,
        )
    last = replace(steps[-1], rule=f"the closed form of k(a,b): {steps[-1].rule}")
    return Derivation(
        f"dual kernel of the {s.name} activation",
        f"Cho & Saul 2009, arc-cosine kernel of degree {p}",
        (*steps[:-1], last),
        results=(last.rule,),
        heading=f"The average of two {s.name} neurons' product has a closed form",
    )


def _density(covariance: sp.Matrix) -> sp.Expr:
    """Density at `(U, V)` of the centred Gaussian law in the plane."""
    point, det = sp.Matrix([U, V]), sp.factor(covariance.det())
    precision = (covariance.adjugate() / det).applyfunc(sp.cancel)
    square = sp.expand((point.T * precision * point)[0])
    return sp.exp(-square / 2) / (2 * sp.pi * sp.sqrt(det))


def _by_price() -> Derivation:
    """Derive the kernel of erf by integrating `dk/dC` from `C = 0`."""
    (a, b, c), (det, m) = DOTS, sp.symbols("Delta m", positive=True)
    named = "A = |a|^2, B = |b|^2, C = a.b, Delta = A B - C^2 > 0"
    by_det = {b: (det + c**2) / a}  # the determinant as a symbol is known to be positive

    # The law of u = a.x and v = b.x.
    law = sp.Matrix([[a, c], [c, b]])
    density, density_by_det = _density(law), _density(law.subs(by_det))
    gauss = sp.exp(-(X**2 + Y**2) / 2) / (2 * sp.pi)
    back = sp.Matrix([U / sp.sqrt(a), (sp.sqrt(a) * V - c * U / sp.sqrt(a)) / sp.sqrt(det)])

    # Price's theorem for any f, g.
    f, g = sp.Function("f", real=True)(U), sp.Function("g", real=True)(V)
    f_u, g_v = sp.Derivative(f, U), sp.Derivative(g, V)
    crossed = f * g * sp.Derivative(density, U, V)

    # dk/dC for f = g = erf, and its integral.
    widened = sp.eye(2) + 2 * law
    narrowed = law.subs(by_det) * widened.subs(by_det).inv()
    slope = sp.erf(U).diff(U).subs(U, 0)
    rate = slope**2 / sp.sqrt(widened.det())
    k = manualintegrate(slope**2 / sp.sqrt(m - 4 * c**2), c)
    k = k.subs(m, sp.factor(widened.det() + 4 * c**2))
    at_zero = sp.erf(U) * density.subs(c, 0)
    return Derivation(
        "dual kernel of the erf activation",
        "Price 1958; Williams 1997",
        (
            _to_the_plane(),
            Step(
                gauss.subs({X: back[0], Y: back[1]}) * back.jacobian([U, V]).det(),
                density_by_det,
                "density p of u = a.x = A^(1/2) x, v = b.x = (C x + Delta^(1/2) y)/A^(1/2)",
                assumptions=(named,),
            ),
            Step(
                f * g * sp.Derivative(density, c),
                crossed,
                "dp/dC = d^2p/du dv",
                assumptions=(named,),
                domain=INSIDE,
                shown=r"f g \frac{\partial p}{\partial C} ="
                r" f g \frac{\partial^2 p}{\partial u\, \partial v}",
            ),
            Step(
                crossed,
                f_u * g_v * density
                + sp.Derivative(f * g * sp.Derivative(density, V), U)
                - sp.Derivative(f_u * g * density, V),
                "by parts; over the plane, Price's theorem: d/dC E f(u) g(v) = E f'(u) g'(v)",
                assumptions=("f, f', g are bounded: the divergence integrates to zero",),
                domain=INSIDE,
                shown=r"f g \frac{\partial^2 p}{\partial u\, \partial v} = f' g' p +"
                r" \frac{\partial}{\partial u} \left(f g \frac{\partial p}{\partial v}\right) -"
                r" \frac{\partial}{\partial v} \left(f' g p\right)",
                fresh=False,
            ),
            Step(
                sp.Derivative(sp.erf(U), U) * sp.Derivative(sp.erf(V), V) * density_by_det,
                rate.subs(by_det) * _density(narrowed),
                "f = g = erf: f' g' p is a constant, dk/dC, times another Gaussian density",
                assumptions=(named, "Sigma = [[A, C], [C, B]] is the covariance of (u, v)"),
                shown=r"\mathrm{erf}'(u)\, \mathrm{erf}'(v)\, p_\Sigma = \frac{4}{\pi"
                r" \sqrt{\det(I + 2 \Sigma)}}\, p_{\Sigma (I + 2 \Sigma)^{-1}}",
            ),
            Step(
                sp.Derivative(k, c),
                rate,
                "antiderivative in C",
                assumptions=(named,),
                domain=INSIDE,
            ),
            Step(
                sp.Subs(at_zero, U, -U),
                -at_zero,
                "at C = 0 the density is even in u and erf(u) is odd, so E erf(u) erf(v) = 0",
            ),
            Step(sp.Subs(k, c, 0), sp.S.Zero, "the antiderivative is zero there too"),
            Step(
                sp.Subs(k, DOTS, DOT_VALUES),
                k.subs(dict(zip(DOTS, DOT_VALUES, strict=True))),
                "k(a,b): same derivative in C, same value at C = 0",
                assumptions=(named,),
                domain=ANGLES,
            ),
        ),
        heading="That of two neurons with the error function is an arc sine",
    )
