r"""A stationary point of score matching that is no minimum: means `s, -s, 0, ..., 0` on a line.

`L(s) = E v^2` on the line of such points vanishes at 0 and at infinity, so it has a maximum `s*`;
there, by symmetry, the whole gradient vanishes while the loss is positive.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation
from symbolic.lemmas.gaussian import U, density
from symbolic.lemmas.mixture import SCORE_PAPER, step

__all__ = ["POINT", "derive_stationary", "stationary_loss", "stationary_slope"]

S = sp.Symbol("s", positive=True)
X = sp.Symbol("x", real=True)
#: The number of components, `n >= 3`, as `n = 3 + o`.
ZEROS = sp.Symbol("o", nonnegative=True)
#: Arguments of the integrands: `s`, the node `x`, `o = n - 3`.
POINT = (S, X, ZEROS)
# The n - 2 components at 0, in units of exp(-s^2/2).
BULK = (1 + ZEROS) * sp.exp(S**2 / 2) / 2


def _v() -> sp.Expr:
    return S * sp.sinh(S * X) / (sp.cosh(S * X) + BULK)


def stationary_loss() -> sp.Expr:
    """Return `v^2`, whose expectation is the loss, a function of `POINT`."""
    return _v() ** 2


def stationary_slope() -> sp.Expr:
    """Return the integrand of `dL/ds`, a function of `POINT`: its expectation is 0 at `s*`."""
    curved = X * (1 + BULK * sp.cosh(S * X)) - S * BULK * sp.sinh(S * X)
    return 2 * _v() * (_v() / S + S * curved / (sp.cosh(S * X) + BULK) ** 2)


def derive_stationary() -> Derivation:
    r"""Derive that the gradient vanishes at `s*`, in all components and coordinates.

    Returns
    -------
    Derivation
        For any `n >= 3` and any dimension; `F_i = psi_i (v + (h_i.v) a_i)` is half the integrand of
        the gradient by `mu_i`, along the line.
    """
    plus, minus = (sp.exp(sign * S * X - S**2 / 2) for sign in (1, -1))
    total = plus + minus + 1 + ZEROS

    def half(place: sp.Expr, weight: sp.Expr) -> sp.Expr:
        return weight / total * (_v() + (place - _v()) * _v() * (X - place))

    zero, one, two = half(sp.S.Zero, sp.S.One), half(S, plus), half(-S, minus)
    turned = {X: -X}
    w, bulk = sp.symbols("w b", positive=True)
    f, across = sp.symbols("f y", real=True)
    bound = S**2 * sp.exp(-(S**2) / 4) * 2 * sp.exp(S**2 / 8)
    bounded = sp.exp(S * U / 2) + sp.exp(-S * U / 2)
    return Derivation(
        "stationary point",
        f"{SCORE_PAPER}, Theorem 3.1",
        (
            step(
                (S * plus - S * minus) / total,
                _v(),
                "v on the line",
                "o = n - 3, b = (n - 2) exp(s^2/2)/2",
                shown=r"v = \frac{s\, \sinh s x}{\cosh s x + b}",
            ),
            step(
                zero.subs(turned),
                -zero,
                "the gradient by a component at 0 is odd in x, of expectation zero",
                shown=r"F_0(-x) = -F_0(x)",
            ),
            step(
                one.subs(turned),
                -two,
                "the gradients by the other two are opposite",
                shown=r"F_1(-x) = -F_2(x)",
            ),
            step(
                sp.Integral(f * (U - across) * density(U), (U, -sp.oo, sp.oo)),
                -f * across,
                "a coordinate across the line enters in a_i only: of expectation zero for y = 0",
                "f = psi_i (h_i.v) depends on the coordinate along the line; y = mu_i across it",
            ),
            step(
                sp.Derivative(stationary_loss(), S),
                2 * (one - two),
                "so the gradient vanishes where dL/ds does: dL/ds = 2 E(F_1 - F_2) = 4 E F_1",
                shown=r"\partial_s v^2 = 2 (F_1 - F_2)",
            ),
            step(
                sp.Derivative(stationary_loss(), S),
                stationary_slope(),
                "the condition, as it is integrated",
                shown=r"\partial_s v^2 = 2 v \left[\frac{v}{s} + s\,"
                r" \frac{x (1 + b \cosh s x) - s b \sinh s x}{(\cosh s x + b)^2}\right]",
            ),
            step(
                w / (2 * bulk) - (w - 1 / w) / (w + 1 / w + 2 * bulk),
                (w**3 + w + 2 * bulk) / (2 * bulk * (w**2 + 1 + 2 * bulk * w)),
                "a positive number: |v|/s is below w/(2 b), and below 1, so below the fourth root",
                "w = exp(s |x|)",
                shown=r"\frac{|v|}{s} \le \left(\frac{e^{s |x|}}{2 b}\right)^{1/4}"
                r" = \left(\frac{e^{s |x| - s^2/2}}{n - 2}\right)^{1/4}",
            ),
            step(
                sp.Integral(density(U) * bounded, (U, -sp.oo, sp.oo)),
                2 * sp.exp(S**2 / 8),
                "its square is the square root, and exp(s |x|/2) < exp(s x/2) + exp(-s x/2)",
            ),
            step(
                sp.Limit(sp.expand_log(sp.log(bound)) / S**2, S, sp.oo),
                -sp.Rational(1, 8),
                "the loss is positive, and vanishes at 0 and at infinity: it has a maximum between",
                shown=r"0 < L(s) \le \frac{2 s^2 e^{-s^2/8}}{\sqrt{n - 2}},"
                r" \quad \frac{1}{s^2} \log(2 s^2 e^{-s^2/8}) \to -\frac18",
            ),
        ),
        results=("so the gradient vanishes", "the loss is positive"),
        heading="Two opposite components have a distance at which the gradient vanishes",
    )
