r"""Gradient EM for a Gaussian mixture: gradient descent on the KL divergence from one Gaussian.

The loss is `KL(p_0 || p)`, `p_0 = N(0, I)`, `p = sum_k pi_k N(mu_k, I)` with fixed weights; symbols
and conventions are those of `symbolic.lemmas.mixture`.

A solver runs the integrands at a node `x`, functions of the numbers that
`symbolic.lemmas.mixture_node` names.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document
from symbolic.lemmas.gaussian import A, B, D, U, X
from symbolic.lemmas.mixture import (
    ANY,
    EM_PAPER,
    MIXTURE,
    MU,
    OWN,
    UNDER_E,
    K,
    N,
    projection_step,
    step,
)
from symbolic.lemmas.mixture_frame import derive_kl, gradient_steps
from symbolic.lemmas.mixture_node import (
    H_IC,
    H_JA,
    RHO_I,
    RHO_J,
    S_AC,
    SAME,
    V_A,
    V_C,
    kl_gradient_integrands,
)

__all__ = [
    "derive",
    "derive_em_gradient",
    "derive_gradient_forms",
    "derive_hessian",
    "derive_projection",
    "em_gradient",
    "gradient_integrand",
    "hessian_integrands",
    "near_gradient_integrand",
]


def gradient_integrand() -> sp.Expr:
    """Return `(psi_i/W_i) v_a`, a function of :data:`symbolic.lemmas.mixture_node.GRADIENT`.

    Returns
    -------
    Expr
        The gradient by `mu_ia` is `pi_i` times its expectation, in the cluster form after `m_a` has
        been added.
    """
    return kl_gradient_integrands()[1]


def near_gradient_integrand() -> sp.Expr:
    """Return the near form, a function of :data:`symbolic.lemmas.mixture_node.NEAR_GRADIENT`.

    Returns
    -------
    Expr
        The gradient by `mu_ia` is `pi_i` times its expectation, after `m_a` has been added.
    """
    return kl_gradient_integrands()[0]


def hessian_integrands() -> tuple[sp.Expr, sp.Expr]:
    """Return the parts of the second derivative by `mu_ia` and `mu_jc`.

    Returns
    -------
    outer, own : Expr
        Functions of :data:`symbolic.lemmas.mixture_node.HESSIAN`. The second derivative is
        `pi_i pi_j ([a = c] P_ij + E outer)`, `P_ij = E[psi_i psi_j]/(pi_i pi_j)`, and for `i = j`
        also `pi_i E own`.
    """
    outer = RHO_I * RHO_J * ((H_IC - V_C) * (H_JA - V_A) - 2 * S_AC)
    return outer, RHO_I * (S_AC - V_A * V_C)


def em_gradient() -> sp.Expr:
    """Return `psi_i v_a`, whose expectation is the gradient of `KL(p_0 || p)` by `mu_ia`."""
    return MIXTURE.posterior(OWN) * MIXTURE.v(A)


def derive_em_gradient() -> Derivation:
    r"""Derive that gradient EM is gradient descent on `KL(p_0 || p)`, with `grad_i = E psi_i v`.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights.
    """
    psi = MIXTURE.posterior(OWN)
    pull = psi * (MU[OWN, A] - X[A])
    frozen = sp.Sum(ANY.weight(K) * sp.Sum((X[B] - MU[K, B]) ** 2 / 2, (B, 1, D)), (K, 1, N))
    return Derivation(
        "gradient EM",
        f"{EM_PAPER}, section 2",
        (
            step(
                sp.Derivative(frozen, MU[OWN, A]),
                ANY.weight(OWN) * (MU[OWN, A] - X[A]),
                "the M step's objective, with its posterior weights held fixed",
                "omega_k = psi_k(x) at the current means",
                UNDER_E,
                shown=r"\partial_{\mu_{ia}} \sum_k \omega_k \tfrac12 |x - \mu_k|^2"
                r" = \omega_i (\mu_{ia} - x_a)",
            ),
            step(
                sp.Derivative(-sp.log(MIXTURE.total()), MU[OWN, A]),
                pull,
                "the gradient of -log(p/p_0) is the same",
                UNDER_E,
                shown=r"-\partial_{\mu_{ia}} \log \sum_k w_k = \psi_i (\mu_{ia} - x_a)",
            ),
            step(
                pull,
                em_gradient() + sp.Derivative(psi, X[A]) - X[A] * psi,
                "Stein's lemma for f = psi_i: grad_i = E psi_i (mu_i - x) = E psi_i v",
                shown=r"\psi_i (\mu_{ia} - x_a) = \psi_i v_a + (\partial_a - x_a) \psi_i",
                fresh=False,
            ),
        ),
        heading="Gradient EM is the gradient flow of the KL divergence",
    )


def derive_gradient_forms() -> Derivation:
    r"""Derive the forms of the gradient in which nothing cancels when the means are close.

    Returns
    -------
    Derivation
        `grad_i = pi_i (m + E[g_i v + u])` for a cluster anywhere; and near, with deviations of
        size `a`, `grad_i = pi_i (m + E[g_i (u - delta_0 m) - delta_0 u])`, whose terms have the
        size of the sum, the larger of `a^3` and `a |m|^2`. Those of `E psi_i v` have the size `a`.
    """
    return Derivation(
        "gradient without cancellation",
        f"{EM_PAPER}, gradient of section 2",
        gradient_steps(gradient_integrand(), near_gradient_integrand(), sp.S.Zero),
        heading="The gradient has a form in which nothing cancels",
    )


def derive_hessian() -> Derivation:
    r"""Derive the second derivatives of the KL divergence, as expectations of posteriors only.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights; `symbolic.lemmas.mixture` has
        the derivatives of `psi_i` and `v_a` by `mu_jc` that are put in.
    """
    x, (psi_i, psi_j, y) = U, sp.symbols("psi_i psi_j y", real=True)
    b_i, b_j, m_i, m_j, m_ja = sp.symbols("b_i b_j mu_ic mu_jc mu_ja", real=True)
    v_a = sp.Function("v_a", real=True)(x)
    log_total = sp.Function("lambda", real=True)(x)
    p_i, p_j = (sp.exp(b + m * x - log_total) for b, m in ((b_i, m_i), (b_j, m_j)))
    v_c, s_ac = log_total.diff(x), v_a.diff(x)
    turn = m_ja - 2 * V_A
    diagonal = p_i * v_a + p_i**2 * (m_ja - 2 * v_a)
    crossed = p_i * p_j * (m_ja - 2 * v_a)
    h_ic, h_ja = m_i - v_c, m_ja - v_a
    along = {RHO_I: p_i, RHO_J: p_j, V_A: v_a, V_C: v_c, H_IC: h_ic, H_JA: h_ja, S_AC: s_ac}
    outer, own = (part.subs(along, simultaneous=True) for part in hessian_integrands())
    said = (
        "along the coordinate c: psi_i = exp(b + mu_ic x - lambda), lambda' = v_c, v_a' = s_ac",
        "h_ic = mu_ic - v_c, h_ja = mu_ja - v_a; rho_i = psi_i/pi_i",
    )
    return Derivation(
        "Hessian of the KL divergence",
        f"{EM_PAPER}, derivative of the gradient of section 2",
        (
            step(
                -psi_i * psi_j * y * V_A + psi_i * psi_j * (SAME + y * (m_ja - V_A)),
                psi_i * psi_j * SAME + y * psi_i * psi_j * turn,
                "product rule for psi_i v_a, i other than j, with the derivatives by one mean",
                "y = x_c - mu_jc",
                shown=r"\partial_{\mu_{jc}} (\psi_i v_a) = \psi_i \psi_j \delta_{ac}"
                r" + (x_c - \mu_{jc})\, \psi_i \psi_j (\mu_{ja} - 2 v_a)",
            ),
            step(
                psi_i * (1 - psi_i) * y * V_A + psi_i**2 * (SAME + y * (m_ja - V_A)),
                psi_i**2 * SAME + y * (psi_i * V_A + psi_i**2 * turn),
                "product rule for i = j",
                "y = x_c - mu_jc",
                shown=r"\partial_{\mu_{ic}} (\psi_i v_a) = \psi_i^2 \delta_{ac} + (x_c - \mu_{ic})"
                r"\left[\psi_i v_a + \psi_i^2 (\mu_{ia} - 2 v_a)\right]",
            ),
            step(
                sp.Derivative(crossed, x) - m_j * crossed,
                outer,
                "Stein's lemma turns (x_c - mu_jc) f into f' - mu_jc f; for i other than j",
                *said,
                shown=r"(\partial_c - \mu_{jc})\, \psi_i \psi_j (\mu_{ja} - 2 v_a) = \psi_i \psi_j"
                r"\left[(h_{ic} - v_c)(h_{ja} - v_a) - 2 s_{ac}\right],"
                r" \quad s_{ac} = \partial_c v_a",
            ),
            step(
                sp.Derivative(diagonal, x) - m_i * diagonal,
                outer.subs({b_j: b_i, m_j: m_i}) + own,
                "Stein's lemma for i = j",
                *said,
                shown=r"(\partial_c - \mu_{ic})"
                r" \left[\psi_i v_a + \psi_i^2 (\mu_{ia} - 2 v_a)\right]"
                r" = \psi_i^2 \left[(h_{ic} - v_c)(h_{ia} - v_a) - 2 s_{ac}\right]"
                r" + \psi_i (s_{ac} - v_a v_c)",
            ),
        ),
        results=("Stein's lemma turns", "Stein's lemma for i = j"),
        heading="The Hessian of the KL divergence is an average over pairs of components",
    )


def derive_projection() -> Derivation:
    r"""Derive `sum_i <grad_i, mu_i> = E|v|^2` and `d/dt sum_i |mu_i|^2 = -2 E|v|^2`.

    Returns
    -------
    Derivation
        For any weights; one coordinate, over which both sides are then summed.
    """
    time = sp.Symbol("t", real=True)
    velocity = sp.IndexedBase("f", real=True)
    moved = sp.Sum(sp.Sum((MU[K, B] + time * velocity[K, B]) ** 2, (B, 1, D)), (K, 1, N))
    return Derivation(
        "projection on the means",
        f"{EM_PAPER}, proof of the main theorem",
        (
            projection_step(),
            step(
                sp.Subs(sp.Derivative(moved, time), time, 0),
                2 * sp.Sum(sp.Sum(MU[K, B] * velocity[K, B], (B, 1, D)), (K, 1, N)),
                "rate of U = sum |mu_i|^2 along a flow; for f = -grad it is -2 E|v|^2",
                "f_k: velocity of mu_k",
                shown=r"\frac{d}{dt} \sum_i |\mu_i|^2 = 2 \sum_i \mu_i \cdot f_i"
                r" = -2\, E |v|^2",
            ),
        ),
        results=("sum <grad_i L", "rate of U"),
        heading="The squared norms of the means fall at the rate 2 E|v|^2",
    )


def derive() -> Document:
    """Return the derivations of gradient EM, in reading order.

    Returns
    -------
    Document
        Gradient EM, its form without cancellation, projection, KL divergence, Hessian.
    """
    return Document(
        "gmm_em",
        (
            derive_em_gradient(),
            derive_projection(),
            derive_kl(),
            derive_gradient_forms(),
            derive_hessian(),
        ),
    )
