r"""Score matching of a Gaussian mixture to one Gaussian: the loss `E|v|^2` and its gradient.

Symbols and conventions are those of `symbolic.lemmas.mixture`.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation
from symbolic.lemmas.gaussian import A, B, D, X, exponent
from symbolic.lemmas.mixture import (
    ANY,
    IN_X,
    MIXTURE,
    MU,
    OWN,
    SCORE_PAPER,
    C,
    Mixture,
    projection_step,
    step,
)
from symbolic.lemmas.mixture_frame import gradient_steps
from symbolic.lemmas.mixture_node import (
    A_IA,
    A_IC,
    A_JC,
    COMMON_A,
    DM_I,
    G_I,
    H_IC,
    H_JA,
    HH_IJ,
    HU_I,
    HV_I,
    HV_J,
    MU_IA,
    RHO_I,
    RHO_J,
    SAME,
    V_A,
    V_C,
    WEIGHT_I,
    kl_gradient_integrands,
)

__all__ = [
    "derive_score_gradient",
    "derive_score_hessian",
    "derive_score_loss",
    "gradient_integrand",
    "hessian_integrands",
    "near_gradient_integrand",
    "score_gradient",
]


def gradient_integrand() -> sp.Expr:
    """Return `(psi_i/W_i) (v_a + (h_i.v) a_ia)`, a function of `mixture_node.GRADIENT`.

    Returns
    -------
    Expr
        The gradient of `E|v|^2` by `mu_ia` is `2 W_i` times its expectation, in the cluster form
        after `m_a` has been added.
    """
    return kl_gradient_integrands()[1] + RHO_I * HV_I * A_IA


def near_gradient_integrand() -> sp.Expr:
    """Return the near form, a function of :data:`symbolic.lemmas.mixture_node.NEAR_GRADIENT`.

    Returns
    -------
    Expr
        The gradient by `mu_ia` is `2 W_i` times its expectation, after `m_a` has been added. The
        term `(dev_i.m) x_a`, larger than the sum and of expectation zero, is left out.
    """
    turn = G_I * (DM_I + HU_I) * A_IA + HU_I * A_IA - DM_I * MU_IA
    return kl_gradient_integrands()[0] + turn


def hessian_integrands() -> tuple[sp.Expr, sp.Expr]:
    """Return the parts of the second derivative of `E|v|^2` by `mu_ia` and `mu_jc`.

    Returns
    -------
    outer, own : Expr
        Functions of :data:`symbolic.lemmas.mixture_node.HESSIAN`. The second derivative is
        `2 W_i W_j ([a = c] P_ij + E outer)`, `P_ij = E[psi_i psi_j]/(W_i W_j)`, and for `i = j`
        also `2 W_i E own`.
    """
    inner_i, inner_j = V_A + HV_I * A_IA, V_C + HV_J * A_JC
    turn = A_IA * H_IC + H_JA * A_JC + HH_IJ * A_IA * A_JC
    outer = RHO_I * RHO_J * (turn - inner_i * A_JC - A_IA * inner_j)
    return outer, RHO_I * (inner_i * A_IC + A_IA * V_C - HV_I * SAME)


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
        For any weights; equal weights are the paper's. The loss is the sum of `<grad_i, mu_i>`
        over the gradients of the KL divergence.
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
            projection_step(),
        ),
        results=("L = E|grad", "sum <grad_i"),
        heading="The loss is the relative Fisher information, E|v|^2",
    )


def derive_score_gradient() -> Derivation:
    r"""Derive both forms of the gradient of `L = E|v|^2`, and that Stein's lemma makes them equal.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights. Coordinate by coordinate:
        `c` runs through those of the inner products, `c = a` included.
    """
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
                sp.Sum(one_c, (C, 1, D)),
                2 * weight * v[A]
                + 2 * weight * away * sp.Sum((MU[OWN, C] - v[C]) * v[C], (C, 1, D)),
                "the direct form: derivative of |v|^2 = sum_c v_c^2",
                "with the derivative of v by one mean; both under E",
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
                shown=r"E\left[x_a f_c - \partial_a f_c\right] = 0 \implies"
                r" \nabla_i L = 2\, E \left[\psi_i v + \psi_i \sum_k \psi_k \mu_k \mu_k^T \mu_i"
                r" - 2 \psi_i v v^T \mu_i - 2 \psi_i \sum_k \psi_k (v^T \mu_k) \mu_k"
                r" + 3 \psi_i |v|^2 v\right]",
                fresh=False,
            ),
        ),
        results=("Stein's lemma: its",),
        heading="The gradient has two forms, which agree on average",
    )


def derive_score_hessian() -> Derivation:
    r"""Derive the forms that a solver runs: of the gradient, and of all second derivatives.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights, `i = j` and `a = c` included:
        `[i = j]` and `[a = c]` are numbers. `symbolic.lemmas.mixture` has the derivatives that are
        put in.
    """
    t, same_ij = sp.symbols("t delta_ij", real=True)
    w_i, w_j = sp.symbols("W_i W_j", positive=True)
    psi_j = w_j * RHO_J
    pull = gradient_integrand()
    direct = pull.subs({WEIGHT_I: RHO_I, COMMON_A: 0})
    moved = {
        RHO_I: RHO_I + t * RHO_I * (same_ij - psi_j) * A_JC,
        V_A: V_A + t * psi_j * (SAME + H_JA * A_JC),
        HV_I: HV_I + t * (same_ij * V_C + psi_j * (H_IC - V_C + A_JC * (HH_IJ - HV_J))),
        A_IA: A_IA - t * same_ij * SAME,
    }
    outer, own = hessian_integrands()
    own_j = own.subs(A_IC, A_JC)  # the same where i = j
    return Derivation(
        "Hessian of the score-matching loss",
        f"{SCORE_PAPER}, derivative of the gradient of section 2",
        (
            *gradient_steps(pull, near_gradient_integrand(), DM_I * (A_IA + MU_IA)),
            step(
                sp.Subs(sp.Derivative(w_i * direct.xreplace(moved), t), t, 0),
                w_i * (w_j * (SAME * RHO_I * RHO_J + outer) + same_ij * own_j),
                "second derivative by mu_ia and mu_jc, by the product rule",
                "mu_jc moves by t; s = [i = j] stands for both, a_ic = a_jc where it counts",
                "integrands, without the factor 2; the derivative is taken under E",
                shown=r"\partial_{\mu_{jc}} \psi_i \left[v_a + (h_i \cdot v) a_{ia}\right]"
                r" = \psi_i \psi_j \left[\delta_{ac} + a_{ia} h_{ic} + h_{ja} a_{jc}"
                r" + (h_i \cdot h_j) a_{ia} a_{jc} - (v_a + (h_i \cdot v) a_{ia}) a_{jc}"
                r" - a_{ia} (v_c + (h_j \cdot v) a_{jc})\right]"
                r" + \delta_{ij} \psi_i \left[(v_a + (h_i \cdot v) a_{ia}) a_{ic} + a_{ia} v_c"
                r" - \delta_{ac}\, h_i \cdot v\right]",
            ),
        ),
        results=("second derivative by",),
        heading="The Hessian is an average over pairs of components",
    )
