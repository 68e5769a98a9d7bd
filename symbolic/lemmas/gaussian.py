r"""Expectations under `x ~ N(0, I_d)`: Stein's lemma, and what reduces them to few coordinates.

The dimension is general. Coordinates are `x_b` with `b = 1..d`, and `a` is one of them, which SymPy
learns from `d = a + r`, `r >= 0`. A step holds for all integers; its domain lists those at which it
is sampled.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.evidence.identity import Domain

__all__ = [
    "A",
    "B",
    "D",
    "R",
    "X",
    "density",
    "derive",
    "derive_reduction",
    "derive_stein",
    "exponent",
]

A, B = sp.symbols("a b", integer=True, positive=True)
R = sp.Symbol("r", integer=True, nonnegative=True)
D = A + R
X = sp.IndexedBase("x", real=True)
U = sp.Symbol("u", real=True)  # a coordinate by itself
COORDINATES: Domain = ((A, 1, 2), (R, 0, 1))
IN_CLASS = "f, df bounded by C exp(c|x|), as posteriors times polynomials or exponentials are"


def exponent(offset: sp.Expr) -> sp.Expr:
    """Return `-|offset|^2/2`, given the entry `B` of the vector."""
    return -sp.Sum(offset**2 / 2, (B, 1, D))


def density(u: Any) -> sp.Expr:
    """Return the density of `N(0, 1)` at `u`."""
    return sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)


def derive_stein() -> Derivation:
    r"""Derive Stein's lemma `E x_a f(x) = E df/dx_a`.

    Returns
    -------
    Derivation
        In any dimension, for `f` with `|f|, |df/dx_a| <= C exp(c|x|)`: posteriors of a Gaussian
        mixture, products of them with polynomials, and exponentials of linear functions.

    Notes
    -----
    Source: Stein 1981, Annals of Statistics 9(6), Lemma 1.
    """
    f = sp.Function("f", real=True)
    rate, end = sp.symbols("c R", real=True)
    phi = sp.exp(exponent(X[B])) / (2 * sp.pi) ** (D / 2)
    inside = density(U) * (f(U).diff(U) - U * f(U))
    boundary = density(end) * f(end) - density(sp.S.Zero) * f(0)
    grown = [sp.Limit(density(U) * sp.exp(s * rate * U), U, s * sp.oo) for s in (1, -1)]
    left = sp.Integral(U * sp.exp(rate * U) * density(U), (U, -sp.oo, sp.oo))
    value = rate * sp.exp(rate**2 / 2)
    right = sp.Integral(rate * sp.exp(rate * U) * density(U), (U, -sp.oo, sp.oo))
    return Derivation(
        "Stein's lemma",
        "Stein 1981, Lemma 1",
        (
            Step(
                sp.Derivative(phi, X[A]),
                -X[A] * phi,
                "derivative of the density by one coordinate",
                domain=COORDINATES,
                shown=r"\partial_a \varphi = -x_a \varphi,"
                r" \quad \varphi(x) = (2\pi)^{-d/2} e^{-|x|^2/2}",
            ),
            Step(
                sp.Derivative(phi * f(X[A]), X[A]),
                phi * (f(X[A]).diff(X[A]) - X[A] * f(X[A])),
                "product rule",
                assumptions=("the other coordinates are held fixed",),
                domain=COORDINATES,
                shown=r"\partial_a (\varphi f) = \varphi\, (\partial_a f - x_a f)",
            ),
            Step(
                sp.Derivative(sp.Integral(inside, (U, 0, end)), end),
                sp.Derivative(boundary, end),
                "an integral from 0 is a boundary term: both vanish at R = 0, and their derivatives"
                " by R agree",
                assumptions=("R of either sign",),
                shown=r"\int_0^R \varphi\, (f' - x f)\, dx = \varphi(R) f(R) - \varphi(0) f(0)",
            ),
            Step(
                sp.Matrix(grown),
                sp.zeros(2, 1),
                "boundary terms vanish as R grows, which leaves E x_a f = E df/dx_a",
                assumptions=(IN_CLASS, "Fubini for the other coordinates"),
                shown=r"\lim_{x \to \pm\infty} \varphi(x)\, e^{c |x|} = 0"
                r" \;\Longrightarrow\; E\, x_a f = E\, \partial_a f",
            ),
            Step(left, value, "both sides for f = exp(c x): the left one"),
            Step(value, right, "and the right one; powers of c give every polynomial", fresh=False),
        ),
    )


def derive_reduction() -> Derivation:
    r"""Derive that only the span of the means counts, and what a shift of `N(0, I_d)` does.

    Returns
    -------
    Derivation
        In any dimension.
    """
    f = sp.Function("f", real=True)
    v, angle = sp.symbols("v phi", real=True)
    cosine, sine = sp.cos(angle), sp.sin(angle)
    turned = sp.Matrix([U * cosine - v * sine, U * sine + v * cosine])
    mean, target = sp.IndexedBase("mu", real=True), sp.IndexedBase("t", real=True)
    gap = mean[B] - target[B]
    return Derivation(
        "reduction to the span, and translation",
        "rotation invariance of N(0, I)",
        (
            Step(
                sp.Matrix([turned.dot(turned), turned.jacobian([U, v]).det()]),
                sp.Matrix([U**2 + v**2, 1]),
                "a plane rotation keeps the density and the volume",
                assumptions=(
                    "every rotation is a product of these, so any orthonormal basis will do",
                ),
                shown=r"|Q x|^2 = |x|^2, \quad \det Q = 1",
            ),
            Step(
                sp.Integral(f(U) * density(U) * density(v), (v, -sp.oo, sp.oo)),
                f(U) * density(U),
                "a coordinate on which f does not depend integrates to one",
                assumptions=("f(x) depends on the coordinates in the span of the means only",),
            ),
            Step(
                exponent(X[B] + target[B] - mean[B]) - exponent(X[B]),
                sp.Sum(gap * X[B] - gap**2 / 2, (B, 1, D)),
                "log density of N(mu, I) relative to N(t, I), at t + x: a function of mu - t,"
                " so the target may stand at t = 0",
                domain=COORDINATES,
                shown=r"-\tfrac12 |t + x - \mu|^2 + \tfrac12 |x|^2"
                r" = (\mu - t) \cdot x - \tfrac12 |\mu - t|^2",
            ),
        ),
    )


def derive() -> Document:
    """Return the lemmas on Gaussian expectations, in reading order.

    Returns
    -------
    Document
        Stein's lemma; reduction and translation.
    """
    return Document("gaussian", (derive_stein(), derive_reduction()))
