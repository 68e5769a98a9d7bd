r"""How score matching moves: noise time, components that coincide, a cluster of them.

Symbols and conventions are those of `symbolic.lemmas.mixture_node`; the weights are equal, `1/n`.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.lemmas.gaussian import COORDINATES, A, B, D, U, X, density
from symbolic.lemmas.mixture import ANY, MU, SCORE_PAPER, C, step
from symbolic.lemmas.mixture_node import (
    A_IA,
    COMMON_A,
    DELTA,
    E_I,
    HV_I,
    RHO_I,
    V_A,
    WEIGHT_I,
    kl_gradient_integrands,
    relative_posterior,
)
from symbolic.systems.score_matching.calculus import gradient_integrand

__all__ = ["derive_cluster", "derive_coincident", "derive_noise_time"]


def derive_noise_time() -> Derivation:
    r"""Derive what the noise time `s` does: the flow in `exp(s) mu` is slower by `exp(-2 s)`.

    Returns
    -------
    Derivation
        `mu = exp(-s) nu`, `nu` the parameters before the noise.
    """
    s, time = sp.Symbol("s", nonnegative=True), sp.Symbol("t", real=True)
    mu, start = sp.symbols("mu nu_0", real=True)
    slope = sp.Function("L", real=True)(mu).diff(mu)
    p = density(U - sp.exp(-s) * mu)
    return Derivation(
        "noise time",
        f"{SCORE_PAPER}, section 2",
        (
            step(
                sp.Derivative(p, s),
                sp.Derivative(U * p, U) + sp.Derivative(p, U, 2),
                "N(exp(-s) mu, I) at time s solves the equation of the forward process",
                "dx = -x ds + sqrt(2) dB; one coordinate, the others are independent",
                shown=r"\partial_s p = \partial_x (x p) + \partial_x^2 p,"
                r" \quad p = N(x; e^{-s} \mu, 1)",
            ),
            step(
                slope / sp.Derivative(sp.exp(s) * mu, mu),
                sp.exp(-s) * slope,
                "chain rule: the gradient in nu is exp(-s) times the gradient in mu",
                "nu = exp(s) mu, one entry; L is any loss",
                shown=r"\frac{\partial L}{\partial \nu} = \frac{\partial L / \partial \mu}"
                r"{\partial \nu / \partial \mu} = e^{-s} \frac{\partial L}{\partial \mu}",
            ),
            step(
                sp.Derivative(sp.exp(-s) * (start - time * sp.exp(-s) * slope), time),
                -sp.exp(-2 * s) * slope,
                "velocity of mu = exp(-s) nu while nu follows minus its own gradient",
                shown=r"\dot \mu = e^{-s} \dot \nu = -e^{-2s} \frac{\partial L}{\partial \mu}",
            ),
        ),
        results=("velocity of mu",),
        heading="Noise shortens the means and slows the flow down",
    )


def derive_coincident() -> Derivation:
    r"""Derive the flow of components that all coincide, the reference of small starts.

    Returns
    -------
    Derivation
        `A' = -(2/n) exp(-2 s) (A - target)` before the noise, and its solution.
    """
    n, s, time = sp.symbols("n s t", positive=True)
    mean, target, start = sp.symbols("m_a A_1 A_0", real=True)
    rate = 2 * sp.exp(-2 * s) / n
    moved = target + (start - target) * sp.exp(-rate * time)
    return Derivation(
        "coincident components",
        f"{SCORE_PAPER}, Theorem 3.2",
        (
            step(
                ANY.mean(lambda _: mean),
                mean,
                "v is the common mean, so grad_i = 2 psi_i v = (2/n) m and h_i = 0",
                "psi_i = 1/n for equal weights",
                shown=r"v = \sum_k \psi_k m = m, \quad \nabla_i L = \frac{2}{n} m",
            ),
            step(
                sp.Derivative(moved, time),
                -rate * (moved - target),
                "its flow before the noise, solved",
                "one coordinate; the velocity has the factor exp(-2 s) of the noise time",
                shown=r"A' = -\tfrac{2}{n} e^{-2s} (A - A_1), \quad"
                r" A = A_1 + (A_0 - A_1) \exp\left(-\tfrac{2}{n} e^{-2s} t\right)",
            ),
        ),
        heading="Coincident components move as one and arrive exponentially fast",
    )


def derive_cluster() -> Derivation:
    r"""Derive the velocities of a cluster: of its mean, and of deviations to first order.

    Returns
    -------
    Derivation
        Deviations along the mean grow by `exp(|m(0)|^2)` in score matching, by its square root in
        gradient EM, while the cluster travels to the target; those across do not grow.
    """
    v_a, v_c, m_a, x_a, size, time = sp.symbols("v_a v_c m_a x_a e t", real=True)
    p, dot, square, delta, u, rest = sp.symbols("p r q d u k", real=True)
    moved = {
        RHO_I: 1
        + relative_posterior().subs(
            {E_I: sp.exp(size * p - size**2 * square / 2) - 1, DELTA: size**2 * delta}
        ),
        V_A: m_a + size**2 * u,
        HV_I: size * dot + size**2 * rest,
        A_IA: x_a - m_a - size * sp.Symbol("y_a", real=True),
    }
    orders = (
        "mu_i - m = e y, p = y.(x - m), r = y.m, q = |y|^2",
        "delta, u and the rest of h_i.v are of second order, d, u, k times e^2",
    )

    def first_order(pull: sp.Expr) -> sp.Expr:
        plain = pull.subs({WEIGHT_I: RHO_I, COMMON_A: 0}).xreplace(moved)
        return sp.Subs(sp.Derivative(plain, size), size, 0)

    m, y = sp.IndexedBase("m", real=True), sp.IndexedBase("y", real=True)
    along = sp.Sum(y[B] * m[B], (B, 1, D))
    tilt = sp.Sum(y[B] * (X[B] - m[B]), (B, 1, D))
    away = sp.Sum(y[B] * X[B], (B, 1, D))
    rate, kappa, start, reach = sp.symbols("r kappa y_0 M", positive=True)
    grown = start * sp.exp(kappa * reach**2 * (1 - sp.exp(-2 * rate * time)) / 2)
    scores = (
        "r = 2/n, kappa = 2 for score matching, r = 1/n, kappa = 1 for gradient EM",
        "y = dev.m/|m|, M = |m(0)|",
    )
    return Derivation(
        "flow of a cluster",
        f"{SCORE_PAPER}, linearised",
        (
            step(
                ANY.mean(lambda k: (MU[k, C] - v_c) * (x_a - MU[k, A]))
                + ANY.mean(lambda k: (MU[k, C] - v_c) * (MU[k, A] - v_a)),
                (x_a - v_a) * (ANY.v(C) - v_c),
                "the second part of the gradient, summed: zero on the right, where v_c is v",
                "times v_c and summed over c",
                shown=r"\sum_k \psi_k (h_k \cdot v)(x - \mu_k) = -S v, \quad"
                r" S = \sum_k \psi_k h_k h_k^T \;\Longrightarrow\; \dot m = -\tfrac{2}{n}"
                r" E[v - S v] = -\tfrac{2}{n} \left(m + E u - E S v\right)",
            ),
            step(
                first_order(gradient_integrand()),
                p * m_a + dot * (x_a - m_a),
                "the pull on a component, to first order in its deviation",
                *orders,
                shown=r"\rho_i \left[v + (h_i \cdot v) a_i\right]"
                r" = m + (y \cdot (x - m))\, m + (y \cdot m)(x - m) + O(y^2)",
            ),
            Step(
                tilt * m[A] + along * (X[A] - m[A]),
                -2 * along * m[A] + (away * m[A] + along * X[A]),
                "its expectation, as E x = 0",
                assumptions=("mu_i - m = y",),
                domain=COORDINATES,
                shown=r"E\left[(y \cdot (x - m))\, m + (y \cdot m)(x - m)\right]"
                r" = -2 (y \cdot m)\, m \;\Longrightarrow\; \dot y = \tfrac{4}{n} (y \cdot m)\, m",
            ),
            step(
                first_order(kl_gradient_integrands()[1]),
                p * m_a,
                "the same for gradient EM",
                *orders,
                shown=r"\rho_i v = m + (y \cdot (x - m))\, m + O(y^2)",
            ),
            Step(
                tilt * m[A],
                -along * m[A] + away * m[A],
                "its expectation, as E x = 0: half as much, by the rate of the mean",
                assumptions=("mu_i - m = y",),
                domain=COORDINATES,
                shown=r"E\left[(y \cdot (x - m))\, m\right] = -(y \cdot m)\, m"
                r" \;\Longrightarrow\; \dot y = \tfrac{1}{n} (y \cdot m)\, m",
            ),
            step(
                sp.Derivative(grown, time),
                kappa * rate * (reach * sp.exp(-rate * time)) ** 2 * grown,
                "growth along the mean, which moves as m' = -r m",
                *scores,
                shown=r"\dot y = \kappa r |m|^2 y, \; |m| = M e^{-rt} \;\Longrightarrow\;"
                r" y = y_0 \exp\left(\tfrac{\kappa}{2} M^2 (1 - e^{-2rt})\right)",
            ),
            step(
                sp.Limit(grown, time, sp.oo),
                start * sp.exp(kappa * reach**2 / 2),
                "until the cluster has reached the target",
                *scores,
                shown=r"\frac{y(\infty)}{y_0} = e^{\kappa M^2/2}",
            ),
        ),
        results=("its expectation, as E x = 0", "until the cluster"),
        heading="A cluster's offsets along its mean grow by exp(M^2) on the way",
    )
