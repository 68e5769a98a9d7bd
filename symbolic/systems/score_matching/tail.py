r"""Score matching with components far out: how the loss falls while one of them stays.

`p` components have converged to 0 and `k` have reached `R e_1`, `R` large; `kappa = k/p`. The
posterior of the far ones is a logistic function `sigma` of `z = R (x - R/2) + log kappa`, and the
loss lives where `z` is of order one, near `x = R/2`.

A step of leading order says so; what it leaves out is smaller by `1/R^2`. The components near 0
follow at a distance of the order `R L`, which changes the loss by the factor `1 + O(R^2 L)` only.
Far components in different directions each add a loss of their own, with `k = 1`: the sum falls as
it does when they are together.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.lemmas.gaussian import U, density
from symbolic.lemmas.mixture import SCORE_PAPER, step

__all__ = ["derive_far_loss", "derive_far_rate", "far_loss"]

R, NEAR, FAR, ANGLE = sp.symbols("R p k theta", positive=True)
Z = sp.Symbol("z", real=True)
SIGMA = 1 / (1 + sp.exp(-Z))
# The leading order of E f(z), f a function of the posterior, is this times int exp(-z/2) f(z) dz.
SCALE = sp.sqrt(FAR / NEAR) * sp.exp(-(R**2) / 8) / sp.sqrt(2 * sp.pi) / R


def far_loss() -> sp.Expr:
    """Return the leading order of the loss, a function of `R`, `k` and `p`."""
    return sp.sqrt(sp.pi * FAR / (8 * NEAR)) * R * sp.exp(-(R**2) / 8)


def _by_angle(integrand: sp.Expr, rhs: sp.Expr, rule: str, shown: str) -> Step:
    """Return the step that turns `integrand dz` into `rhs dtheta`, `z = 2 log tan theta`."""
    z = 2 * sp.log(sp.tan(ANGLE))
    turned = integrand.subs(Z, z) * sp.Derivative(z, ANGLE)
    said = ("z = 2 log tan theta, sigma = sin(theta)^2",)
    return Step(turned, rhs, rule, assumptions=said, domain=((ANGLE, 0, sp.pi / 2),), shown=shown)


def derive_far_loss() -> Derivation:
    r"""Derive `L = sqrt(pi kappa/8) R exp(-R^2/8) (1 + O(1/R^2))`.

    Returns
    -------
    Derivation
        Exact but for one factor `exp(-u^2/(2 R^2))`, `u = z - log kappa`. For `kappa = 1` it makes
        the loss smaller by a relative `16/(pi R^2)` at most.
    """
    x, part = sp.symbols("x s", real=True)
    y = sp.Symbol("y", positive=True)
    log_far = sp.exp(R * x - R**2 / 2)
    other = SIGMA.subs(Z, -Z)
    quarter = (ANGLE, 0, sp.pi / 2)
    return Derivation(
        "loss with far components",
        f"{SCORE_PAPER}, setting of Theorem 3.5",
        (
            step(
                R * FAR * log_far / (NEAR + FAR * log_far),
                R * SIGMA.subs(Z, R * (x - R / 2) + sp.log(FAR / NEAR)),
                "v = R psi, psi the posterior of the far components together",
                shown=r"v = R\, \sigma(z), \quad z = R (x - R/2) + \log \kappa,"
                r" \quad L = R^2\, E\, \sigma(z)^2",
            ),
            step(
                density(R / 2 + U / R) / R,
                SCALE * sp.exp(-(U + sp.log(FAR / NEAR)) / 2) * sp.exp(-(U**2) / (2 * R**2)),
                "the density where z is of order one",
                "u = z - log kappa",
                shown=r"L = \sqrt{\frac{\kappa}{2 \pi}}\, R\, e^{-R^2/8} \int e^{-z/2}"
                r" \sigma(z)^2\, e^{-(z - \log \kappa)^2 / (2 R^2)}\, dz",
            ),
            step(
                1 - sp.exp(-y),
                y * sp.Integral(sp.exp(-y * part), (part, 0, 1)),
                "leading order: the last factor is 1, and not less than 1 - y, y = u^2/(2 R^2)",
            ),
            _by_angle(
                sp.exp(-Z / 2) * SIGMA**2,
                2 * sp.sin(ANGLE) ** 2,
                "the integral of leading order by another variable",
                r"e^{-z/2} \sigma(z)^2\, dz = 2 \sin^2 \theta\, d\theta",
            ),
            step(
                R**2 * SCALE * sp.Integral(2 * sp.sin(ANGLE) ** 2, quarter),
                far_loss(),
                "the loss, leading order, with a Beta function, B(3/2, 1/2) = pi/2",
                shown=r"\int_0^{\pi/2} 2 \sin^2 \theta\, d\theta = \frac{\pi}{2}"
                r" \;\Longrightarrow\; L \simeq \sqrt{\tfrac{\pi \kappa}{8}}\, R\, e^{-R^2/8}",
            ),
            step(
                sp.exp(-Z / 2) * SIGMA**2 + sp.exp(Z / 2) * other**2,
                sp.exp(-Z / 2) - sp.exp(-Z / 2) * other,
                "what was left out for kappa = 1: z and -z together are below exp(-z/2), z > 0",
                shown=r"e^{-z/2} \sigma(z)^2 + e^{z/2} \sigma(-z)^2 = e^{-z/2} \sigma(z)"
                r" \le e^{-z/2}",
            ),
            step(
                sp.Integral(Z**2 * sp.exp(-Z / 2), (Z, 0, sp.oo)) / (2 * R**2) / (sp.pi / 2),
                16 / (sp.pi * R**2),
                "so it is at most this part of the loss",
                shown=r"\int_0^\infty \frac{z^2}{2 R^2} e^{-z/2}\, dz \Big/ \frac{\pi}{2}"
                r" = \frac{16}{\pi R^2}",
            ),
        ),
        results=("the loss, leading order", "so it is at most"),
        heading="The loss of far components has a closed form to leading order",
    )


def derive_far_rate() -> Derivation:
    r"""Derive `L = 2 k/(t log t)` to leading order: between `1/t` and `1/t^(1 + eps)`.

    Returns
    -------
    Derivation
        The flow of the leading order of the loss, `R' = -(1/k) dL/dR`: each far component has the
        `k`-th part of the gradient.
    """
    loss = far_loss()
    slope = sp.Derivative(loss, R)
    time = 16 * FAR / (R**2 * loss)
    quarter = (ANGLE, 0, sp.pi / 2)
    near = -(R**3) * (1 - SIGMA) * SIGMA**2
    return Derivation(
        "rate with far components",
        f"{SCORE_PAPER}, Theorems 3.5 and 3.7",
        (
            step(
                slope,
                -R / 4 * (1 - 4 / R**2) * loss,
                "pull on the far components, leading order",
                shown=r"\frac{dL}{dR} = -\frac{R}{4} \left(1 - \frac{4}{R^2}\right) L",
            ),
            step(
                slope * (-slope / FAR),
                -(R**2) / (16 * FAR) * (1 - 4 / R**2) ** 2 * loss**2,
                "so the loss falls like its square, with a factor that grows slowly",
                "R' = -(1/k) dL/dR",
                shown=r"\frac{dL}{dt} = -\frac{R^2}{16 k} \left(1 - \frac{4}{R^2}\right)^2 L^2",
            ),
            step(
                sp.Derivative(time, R),
                (1 - 12 / R**2) * (4 * FAR / (R * loss)),
                "the time, leading order of the integral of dR/R'",
                "T = 16 k/(R^2 L), R' = R L/(4 k)",
                shown=r"\frac{dT}{dR} = \left(1 - \frac{12}{R^2}\right) \frac{4 k}{R L},"
                r" \quad T = \frac{16 k}{R^2 L}",
            ),
            step(
                sp.Limit(sp.expand_log(sp.log(time)) / R**2, R, sp.oo),
                sp.Rational(1, 8),
                "the distance grows like a root of the logarithm of time",
                shown=r"\lim_{R \to \infty} \frac{\log T}{R^2} = \frac18",
            ),
            step(
                sp.Limit(loss * time * sp.expand_log(sp.log(time)), R, sp.oo),
                2 * FAR,
                "the loss by time, leading order: a little faster than 1/t",
                shown=r"L\, T = \frac{16 k}{R^2} \;\Longrightarrow\; L \simeq \frac{2 k}{t \log t}",
            ),
            _by_angle(
                sp.exp(-Z / 2) * near,
                -2 * R**3 * sp.sin(ANGLE) ** 2 * sp.cos(ANGLE) ** 2,
                "pull on the components near 0, leading order: psi_1 (h_1.v) x at x = R/2, twice",
                r"2 \psi_1 (h_1 \cdot v)\, x \simeq -R^3 \sigma(-z)\, \sigma(z)^2",
            ),
            step(
                SCALE * sp.Integral(-2 * R**3 * sp.sin(ANGLE) ** 2 * sp.cos(ANGLE) ** 2, quarter),
                -R / 4 * loss,
                "it is no larger than that on the far ones, so they follow at the distance R L/8",
                "2 is the second derivative of the loss by their common place",
                shown=r"\nabla_{near} L \simeq -\frac{R}{4} L,"
                r" \quad \mu_{near} \simeq \frac{R L}{8}",
            ),
        ),
        results=("so the loss falls", "the distance grows", "the loss by time", "it is no larger"),
        heading="With far components t log t L has a limit",
    )
