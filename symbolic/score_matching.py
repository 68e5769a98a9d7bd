r"""Score matching of a Gaussian mixture to one Gaussian: the loss `E|v|^2` and its gradient.

Symbols and conventions are those of `symbolic.mixture`.
"""

from __future__ import annotations

import sympy as sp

from symbolic.derivation import Derivation, Document
from symbolic.gaussian import A, B, D, U, X, density, exponent
from symbolic.mixture import ANY, IN_X, MIXTURE, MU, OWN, UNDER_E, C, Mixture, step

__all__ = [
    "derive",
    "derive_noise_time",
    "derive_score_gradient",
    "derive_score_loss",
    "score_gradient",
]

SCORE_PAPER = "Zhang, Xu, Zhou, Fazel & Du 2026, arXiv 2511.22069"


def score_gradient(mixture: Mixture = MIXTURE) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Return the parts of half the gradient of `E|v|^2` by `mu_ia`, as integrands.

    Parameters
    ----------
    mixture : Mixture
        The form of the weights.

    Returns
    -------
    common, direct, stein : Expr
        Half the gradient is `E[common + sum_c direct]`, by differentiation, and
        `E[common + sum_c stein]`, after Stein's lemma; `c` runs through the coordinates.

    Notes
    -----
    Source: arXiv 2511.22069, Lemma 2.2.
    """
    psi, v_a, v_c = mixture.posterior(OWN), mixture.v(A), mixture.v(C)
    second = mixture.mean(lambda k: MU[k, A] * MU[k, C])
    own = MU[OWN, C]
    direct = psi * (own - v_c) * v_c * (X[A] - MU[OWN, A])
    stein = psi * (second * own - 2 * v_a * v_c * own - 2 * v_c * second + 3 * v_c**2 * v_a)
    return psi * v_a, direct, stein


def derive_score_loss() -> Derivation:
    r"""Derive the score-matching loss `E|v - mu*|^2` as a relative Fisher information.

    Returns
    -------
    Derivation
        For any weights; equal weights are the paper's. `derive_projection` makes it the sum of
        `<grad_i, mu_i>` over the gradients of the KL divergence.
    """
    target = sp.IndexedBase("t", real=True)
    p_0 = sp.exp(exponent(X[B]))
    student = sp.Derivative(sp.log(p_0 * MIXTURE.total()), X[A])
    teacher = sp.Derivative(sp.log(p_0), X[A])
    return Derivation(
        "score-matching loss",
        f"{SCORE_PAPER}, section 2",
        (
            step(
                student,
                MIXTURE.v(A) - X[A],
                "the student's score",
                shown=r"\partial_a \log p = v_a - x_a",
            ),
            step(
                (student - teacher) ** 2,
                MIXTURE.v(A) ** 2,
                "L = E|grad log(p/p_0)|^2 = E|v|^2, the relative Fisher information",
                "integrands, one coordinate; both sides are summed over a",
                shown=r"(\partial_a \log p - \partial_a \log p_0)^2 = v_a^2",
            ),
            step(
                ANY.mean(lambda k: MU[k, A] - target[A]),
                ANY.v(A) - target[A],
                "a target at t is moved to 0 by moving every mean",
                "the posterior weights depend on x - t and mu_k - t only",
                shown=r"\sum_k \psi_k (\mu_k - t) = v - t",
            ),
        ),
    )


def derive_score_gradient() -> Derivation:
    r"""Derive both forms of the gradient of `L = E|v|^2`, and that Stein's lemma makes them equal.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights. Coordinate by coordinate:
        `c` runs through those of the inner products, `c = a` included.
    """
    psi, v_c = MIXTURE.posterior(OWN), MIXTURE.v(C)
    away = X[A] - MU[OWN, A]
    v, weight = sp.IndexedBase("v", real=True), sp.Symbol("psi", real=True)
    one_c = 2 * v[C] * weight * (sp.KroneckerDelta(A, C) + away * (MU[OWN, C] - v[C]))

    psi_x, v_ax, v_cx = IN_X.posterior(OWN), IN_X.v(A), IN_X.v(C)
    second = IN_X.mean(lambda k: MU[k, A] * MU[k, C])
    f = psi_x * (MU[OWN, C] - v_cx) * v_cx
    f_prime = psi_x * (
        (MU[OWN, A] - v_ax) * (MU[OWN, C] - v_cx) * v_cx
        + (MU[OWN, C] - 2 * v_cx) * (second - v_ax * v_cx)
    )
    _, direct, stein = score_gradient(IN_X)
    f_shown = r"f_c = \psi_i (\mu_{ic} - v_c) v_c"
    return Derivation(
        "score-matching gradient",
        f"{SCORE_PAPER}, Lemma 2.2",
        (
            step(
                sp.Derivative(v_c, MU[OWN, A]),
                psi * (sp.KroneckerDelta(A, C) + away * (MU[OWN, C] - v_c)),
                "derivative of v by one mean",
                UNDER_E,
                shown=r"\partial_{\mu_{ia}} v_c = \psi_i \left[\delta_{ac}"
                r" + (x_a - \mu_{ia})(\mu_{ic} - v_c)\right]",
            ),
            step(
                sp.Sum(one_c, (C, 1, D)),
                2 * weight * v[A]
                + 2 * weight * away * sp.Sum((MU[OWN, C] - v[C]) * v[C], (C, 1, D)),
                "the direct form: derivative of |v|^2 = sum_c v_c^2",
                shown=r"\partial_{\mu_i} |v|^2 = 2 \left[\psi_i v"
                r" + \psi_i ((\mu_i - v) \cdot v) (x - \mu_i)\right]",
            ),
            step(
                sp.Derivative(f, X[A]),
                f_prime,
                "derivative in x of the function that Stein's lemma is used for",
                shown=f_shown + r", \quad \partial_a f_c = \psi_i \left[(\mu_{ia} - v_a)"
                r" (\mu_{ic} - v_c) v_c + (\mu_{ic} - 2 v_c) (s_{ac} - v_a v_c)\right],"
                r" \quad s_{ac} = \sum_k \psi_k \mu_{ka} \mu_{kc}",
            ),
            step(
                direct - stein,
                X[A] * f - f_prime,
                "the direct form less that of Lemma 2.2",
                "summed over c; finite sums over k and c change places",
                "psi_i v_a, which both forms have, is left out",
                shown=r"\psi_i (\mu_{ic} - v_c) v_c (x_a - \mu_{ia}) - \psi_i \left[s_{ac} \mu_{ic}"
                r" - 2 v_a v_c \mu_{ic} - 2 v_c s_{ac} + 3 v_c^2 v_a\right]"
                r" = x_a f_c - \partial_a f_c",
            ),
            step(
                X[A] * f - f_prime,
                X[A] * f - sp.Derivative(f, X[A]),
                "Stein's lemma: its expectation is zero, so both forms are the gradient",
                shown=r"E\left[x_a f_c - \partial_a f_c\right] = 0 \;\Longrightarrow\;"
                r" \nabla_i L = 2\, E\Big[\psi_i v + \psi_i \sum_k \psi_k \mu_k \mu_k^T \mu_i"
                r" - 2 \psi_i v v^T \mu_i - 2 \psi_i \sum_k \psi_k (v^T \mu_k) \mu_k"
                r" + 3 \psi_i |v|^2 v\Big]",
                fresh=False,
            ),
        ),
    )


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
    )


def derive() -> Document:
    """Return the derivations of score matching, in reading order.

    Returns
    -------
    Document
        Loss, gradient, noise time.
    """
    return Document(
        "score_matching", (derive_score_loss(), derive_score_gradient(), derive_noise_time())
    )
