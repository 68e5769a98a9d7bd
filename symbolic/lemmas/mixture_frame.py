r"""Why the forms of `symbolic.lemmas.mixture_node` have the right values and expectations.

Symbols and conventions are those of `symbolic.lemmas.mixture_node`.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.lemmas.gaussian import A, B, D, U, X, density, exponent
from symbolic.lemmas.mixture import ANY, DELTA, DELTA_0, EM_PAPER, MU, OWN, K, Mixture, N, Q, step
from symbolic.lemmas.mixture_node import (
    COMMON_A,
    DM_I,
    E_I,
    G_I,
    G_J,
    HU_I,
    HV_I,
    LOG_0,
    M_A,
    RHO_I,
    RHO_J,
    U_A,
    V_A,
    WEIGHT_I,
    common_integrands,
    kl_integrands,
    pair_integrands,
    relative_posterior,
    tilted,
)

__all__ = ["derive", "derive_cluster_frame", "derive_forms", "derive_kl", "gradient_steps"]


def derive_cluster_frame() -> Derivation:
    r"""Derive posteriors from densities relative to `N(m, I)`, which keep small offsets' digits.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates, any weights, and any `m` but where said.
    """
    m, dev, logs, rest = (sp.IndexedBase(s, real=True) for s in ("m", "dev", "l", "rest"))
    centre, tilt = sp.symbols("m_a lambda_0", real=True)
    rho = Mixture(lambda k: sp.IndexedBase("rho", positive=True)[k])
    weight = ANY.posterior  # any weights that sum to one
    offset = MU[OWN, B] - m[B]
    log_k = sp.Sum(offset * (X[B] - m[B]) - offset**2 / 2, (B, 1, D))
    relative = sp.Sum(weight(K) * (sp.exp(logs[K]) - 1), (K, 1, N))  # delta
    size, ratio = sp.symbols("m kappa", positive=True)
    part = sp.Symbol("y", real=True)
    q, y = sp.exp(tilt) - 1, U - part
    return Derivation(
        "densities in the frame of a cluster",
        f"{EM_PAPER}, section 2",
        (
            step(
                exponent(X[B] - MU[OWN, B]) - exponent(X[B] - m[B]),
                log_k,
                "log density of a component relative to N(m, I)",
                shown=r"l_i = \mathrm{dev}_i \cdot (x - m) - \tfrac12 |\mathrm{dev}_i|^2,"
                r" \quad \mathrm{dev}_i = \mu_i - m",
            ),
            step(
                sp.Sum(MU[OWN, B] * X[B] - MU[OWN, B] ** 2 / 2, (B, 1, D)),
                sp.Sum(m[B] * X[B] - m[B] ** 2 / 2, (B, 1, D)) + log_k,
                "log density relative to N(0, I): that of N(m, I) relative to N(0, I) is added",
                shown=r"\mu_i \cdot x - \tfrac12 |\mu_i|^2 = \lambda_0 + l_i,"
                r" \quad \lambda_0 = m \cdot x - \tfrac12 |m|^2",
            ),
            step(
                (1 + E_I) / (1 + DELTA) - 1,
                relative_posterior(),
                "g_i = psi_i/W_i - 1, with psi_i = W_i (1 + e_i)/(1 + delta)",
                shown=r"\frac{\psi_i}{W_i} - 1 = \frac{e_i - \delta}{1 + \delta} = g_i",
            ),
            step(
                sp.Sum(weight(K) * (rest[K] + dev[K, A] * y - dev[K, A] ** 2 / 2), (K, 1, N)),
                y * ANY.mean(lambda k: dev[k, A])
                + sp.Sum(weight(K) * (rest[K] - dev[K, A] ** 2 / 2), (K, 1, N)),
                "delta with its linear part collected",
                "e_k = rest_k + l_k; one coordinate of x - m, x - y",
                shown=r"\sum_k W_k e_k = \Big(\sum_k W_k \mathrm{dev}_k\Big) \cdot (x - m)"
                r" + \sum_k W_k \left[(e_k - l_k) - \tfrac12 |\mathrm{dev}_k|^2\right]",
            ),
            step(
                ANY.mean(lambda k: MU[k, A] - centre),
                ANY.v(A) - centre,
                "the linear part cancels where m = sum W_k mu_k",
                shown=r"\sum_k W_k\, \mathrm{dev}_k = \sum_k W_k \mu_k - m = 0",
            ),
            step(
                sp.Sum((weight(K) - rho.posterior(K)) * (MU[K, A] - centre), (K, 1, N)),
                ANY.v(A) - rho.v(A),
                "v = m + u: both sets of weights sum to one, so any centre will do",
                "psi_k = omega_k / sum omega, W_k = rho_k / sum rho, m any number",
                shown=r"v_a - m_a = \sum_k (\psi_k - W_k)(\mu_{ka} - m_a)"
                r" = \sum_k W_k g_k\, \mathrm{dev}_{ka} = u_a",
            ),
            step(
                sp.Sum(weight(K) * sp.exp(tilt + logs[K]), (K, 1, N)) - 1,
                tilted().subs({Q: q, DELTA: relative}),
                "delta_0, of the mixture relative to N(0, I)",
                "q = exp(lambda_0) - 1, e_k = exp(l_k) - 1",
                shown=r"\frac{p}{p_0} - 1 = \sum_k W_k e^{\lambda_0 + l_k} - 1"
                r" = q + \delta + q \delta = \delta_0",
            ),
            step(
                -sp.log((1 + Q) * ratio).subs(Q, q),
                kl_integrands()[1].rewrite(sp.log).subs({LOG_0: tilt, DELTA: ratio - 1}),
                "the KL divergence of a cluster",
                "q = exp(lambda_0) - 1, kappa = 1 + delta",
                shown=r"-\log \frac{p}{p_0} = -\log\left[(1 + q)(1 + \delta)\right]"
                r" = -\lambda_0 - \log(1 + \delta)",
            ),
            step(
                sp.Integral(density(U) * sp.exp(size * U - size**2 / 2), (U, -sp.oo, sp.oo)),
                sp.S.One,
                "E exp(mu_k.x - |mu_k|^2/2) = 1 for every component, so E(1 + delta_0) = 1",
                "m = |mu_k|; u = x.mu_k/|mu_k|, and the coordinates across integrate to one",
            ),
        ),
    )


def derive_forms() -> Derivation:
    r"""Derive that the forms of an integrand have the same expectation.

    Returns
    -------
    Derivation
        `E g_i = -E delta_0 g_i`, `E u = -E delta_0 u`, and what follows for `psi_i psi_j`.
    """
    near, cluster, far = pair_integrands()
    common_near, common = common_integrands()
    dev, g = (sp.IndexedBase(name, real=True) for name in ("dev", "g"))
    drawn = ANY.posterior(K) * dev[K, A]
    mean_zero = (1 + DELTA_0) * (1 + G_I) - 1 - DELTA_0
    zero = r"g_i + \delta_0 g_i"
    return Derivation(
        "forms without cancellation",
        f"{EM_PAPER}, section 2",
        (
            step(
                ((1 + DELTA_0) * (1 + G_I)).subs({DELTA_0: tilted(), G_I: relative_posterior()}),
                (1 + Q) * (1 + E_I),
                "the density of a component relative to N(0, I), of expectation one",
                shown=r"(1 + \delta_0)(1 + g_i) = (1 + q)(1 + e_i) = e^{\lambda_0 + l_i}",
            ),
            step(
                G_I + DELTA_0 * G_I,
                mean_zero,
                "E(g_i + delta_0 g_i) = 0, as E(1 + delta_0)(1 + g_i) = 1 and E delta_0 = 0",
                shown=zero + r" = \left[(1 + \delta_0)(1 + g_i) - 1\right] - \delta_0",
            ),
            step(
                sp.Sum(drawn * (g[K] + DELTA_0 * g[K]), (K, 1, N)),
                (common - common_near).subs(U_A, sp.Sum(drawn * g[K], (K, 1, N))),
                "E u = -E delta_0 u, since u = sum W_k g_k dev_k",
                shown=r"u_a - (-\delta_0 u_a) = \sum_k W_k\, \mathrm{dev}_{ka}"
                r" (g_k + \delta_0 g_k)",
            ),
            step(
                far.subs({RHO_I: 1 + G_I, RHO_J: 1 + G_J}),
                1 + cluster,
                "psi_i psi_j of a cluster",
                "psi_i = W_i (1 + g_i)",
                shown=r"(1 + g_i)(1 + g_j) = 1 + \left[g_i + g_j + g_i g_j\right]",
            ),
            step(
                cluster - near,
                (G_I + DELTA_0 * G_I) + (G_J + DELTA_0 * G_J),
                "the cluster's form less the near one: of expectation zero",
                shown=r"g_i + g_j + g_i g_j - \left[g_i g_j - \delta_0 (g_i + g_j)\right]"
                r" = (g_i + \delta_0 g_i) + (g_j + \delta_0 g_j)",
            ),
        ),
    )


def gradient_steps(pull: sp.Expr, near: sp.Expr, rest: sp.Expr) -> tuple[Step, Step]:
    """Return the steps from the plain form of a loss's gradient to its cluster and near forms.

    Parameters
    ----------
    pull, near : Expr
        A loss's integrands, of :data:`symbolic.lemmas.mixture_node.GRADIENT` and `NEAR_GRADIENT`.
    rest : Expr
        What the near form leaves out besides terms of `g_i` and `u`.
    """
    parts = {RHO_I: 1 + G_I, V_A: M_A + U_A, HV_I: DM_I + HU_I}
    cluster = pull.subs({WEIGHT_I: G_I, COMMON_A: common_integrands()[1]}).subs(parts)
    plain = pull.subs({WEIGHT_I: RHO_I, COMMON_A: 0}).subs(parts)
    said = "rho_i = psi_i/W_i = 1 + g_i, v = m + u"
    return (
        step(
            plain,
            M_A + cluster,
            "gradient of a cluster: its mean, and the rest",
            said,
            shown=r"\rho_i v_a + \dots = m_a + \left[g_i v_a + u_a + \dots\right]",
        ),
        step(
            plain - M_A - near,
            (U_A + DELTA_0 * U_A) + M_A * (G_I + DELTA_0 * G_I) + rest,
            "the plain form less the near one: of expectation zero, as E x = 0 too",
            said,
            "h_i.v is the sum of dm_i = (mu_i - m).m and of the rest, h u_i; x_a = a_ia + mu_ia",
        ),
    )


def derive_kl() -> Derivation:
    r"""Derive `KL(p_0 || p) = E[delta - log1p(delta)]`, a positive integrand without cancellation.

    Returns
    -------
    Derivation
        `delta = sum_k pi_k expm1(mu_k.x - |mu_k|^2/2)`; for any weights.
    """
    log_ratio = sp.IndexedBase("l", real=True)
    half = DELTA_0 / (2 + DELTA_0)
    size, part = sp.Symbol("m", positive=True), sp.Symbol("u", positive=True)
    pi_1 = ANY.posterior  # any weights that sum to one
    ratio = sp.Sum(pi_1(K) * sp.exp(log_ratio[K]), (K, 1, N))  # p/p_0
    expm1 = sp.Sum(pi_1(K) * (sp.exp(log_ratio[K]) - 1), (K, 1, N))
    return Derivation(
        "KL divergence without cancellation",
        f"{EM_PAPER}, loss of section 2",
        (
            step(
                sp.Integral(density(U) * (sp.exp(size * U - size**2 / 2) - 1), (U, -sp.oo, sp.oo)),
                sp.S.Zero,
                "E(exp(l_k) - 1) = 0 for every component, so E delta = 0",
                "m = |mu_k|; u = x.mu_k/|mu_k|, and the coordinates across integrate to one",
            ),
            step(
                -sp.log(ratio),
                sp.Add(expm1 - sp.log(1 + expm1), -expm1, evaluate=False),
                "KL = E log(p_0/p) = E[delta - log(1 + delta)], since E delta = 0",
                "l_k = mu_k.x - |mu_k|^2/2",
                "the weights pi_k = omega_k / sum omega sum to one",
                shown=r"-\log \frac{p}{p_0} = -\log \sum_k \pi_k e^{l_k}"
                r" = \left[\delta - \log(1 + \delta)\right] - \delta,"
                r" \quad \delta = \sum_k \pi_k (e^{l_k} - 1)",
            ),
            step(
                DELTA_0 - sp.log(1 + DELTA_0),
                DELTA_0**2 * sp.Integral(part / (1 + DELTA_0 * part), (part, 0, 1)),
                "the new integrand is never negative",
                "delta > -1, so 1 + delta u > 0",
            ),
            step(
                sp.Derivative(DELTA_0 * half - 2 * (sp.atanh(half) - half), DELTA_0),
                sp.Derivative(DELTA_0 - sp.log(1 + DELTA_0), DELTA_0),
                "without the cancellation of log(1 + delta), by a series in s: equal derivatives,"
                " and both sides vanish at delta = 0",
                "s = delta/(2 + delta); |s| < 1/3 for |delta| < 1/2",
                shown=r"\delta - \log(1 + \delta) = \delta s"
                r" - 2 \left(\frac{s^3}{3} + \frac{s^5}{5} + \dots\right),"
                r" \quad s = \frac{\delta}{2 + \delta}",
            ),
        ),
        results=("KL = E", "the new integrand"),
        heading="The KL divergence is the average of something that is never negative",
    )


def derive() -> Document:
    """Return the derivations of what is evaluated at a node.

    Returns
    -------
    Document
        The frame of a cluster; forms of the same expectation.
    """
    return Document("mixture_frame", (derive_cluster_frame(), derive_forms()))
