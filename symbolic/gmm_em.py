r"""Gradient EM for a Gaussian mixture: gradient descent on the KL divergence from one Gaussian.

The loss is `KL(p_0 || p)`, `p_0 = N(0, I)`, `p = sum_k pi_k N(mu_k, I)` with fixed weights; symbols
and conventions are those of `symbolic.mixture`.

What a solver runs are the integrands at a node `x`, functions of a few numbers there: `e_k`, the
relative density `exp(l_k) - 1` of a component; `delta = sum_k pi_k e_k`; `g_k = psi_k/pi_k - 1`;
`m = sum_k pi_k mu_k` and `u = sum_k pi_k g_k (mu_k - m)`, so that `v = m + u`. Two forms of each
have the same expectation. The *near* form has no terms that cancel when the means are small, and
the *far* form no terms that are large when they are large.
"""

from __future__ import annotations

import sympy as sp
from sympy.codegen.cfunctions import expm1

from symbolic.derivation import Derivation, Document
from symbolic.gaussian import A, B, D, U, X, density
from symbolic.mixture import ANY, DELTA, EM_PAPER, MIXTURE, MU, OWN, UNDER_E, K, Mixture, N, step

__all__ = [
    "FAR",
    "GRADIENT",
    "HESSIAN",
    "NEAR",
    "NODE",
    "derive",
    "derive_em_gradient",
    "derive_gradient_forms",
    "derive_hessian",
    "derive_kl",
    "derive_projection",
    "em_gradient",
    "gradient_integrands",
    "hessian_integrands",
    "kl_integrands",
    "relative_density",
    "relative_posterior",
]

# What an integrand is a function of. A row of the Hessian belongs to component `i`, coordinate `a`,
# a column to component `j`, coordinate `c`.
L, E_I, G_I, G_J, U_A, M_A = sp.symbols("l e_i g_i g_j u_a m_a", real=True)
RHO_I, RHO_J = sp.symbols("rho_i rho_j", positive=True)  # psi_i/pi_i, which may be tiny
V_A, V_C, MU_IC, MU_JA, S_AC, SAME = sp.symbols("v_a v_c mu_ic mu_ja s_ac delta_ac", real=True)
PEAK, TOTAL = sp.symbols("l_max W", real=True)
#: Arguments of the integrands of :func:`kl_integrands`: near and far.
NEAR, FAR = (DELTA,), (PEAK, TOTAL)
#: Arguments of :func:`relative_posterior`, :func:`gradient_integrands`, :func:`hessian_integrands`.
NODE = (E_I, DELTA)
GRADIENT = (G_I, RHO_I, DELTA, U_A, M_A, V_A)
HESSIAN = (G_I, G_J, RHO_I, RHO_J, DELTA, V_A, V_C, MU_IC, MU_JA, S_AC)

# Where log1p loses digits of delta - log1p(delta), its series in s = delta/(2 + delta) is used:
# |delta| < 1/2 is |s| < 1/3, and the first term dropped is below 1e-17 of the result.
SWITCH = sp.Rational(1, 2)
TERMS = 17
# The same for exp(l) - 1 - l, |l| < 1/2.
DENSITY_TERMS = 14


def relative_density() -> sp.Expr:
    """Return `exp(l_k) - 1 - l_k`, of second order, a function of `L`; `e_k` is this plus `l_k`."""
    series = sum((L**j / sp.factorial(j) for j in range(2, DENSITY_TERMS + 2)), sp.S.Zero)
    return sp.Piecewise((sp.horner(series), sp.Abs(L) < SWITCH), (expm1(L) - L, True))


def relative_posterior() -> sp.Expr:
    """Return `g_i = psi_i/pi_i - 1`, a function of `NODE`."""
    return (E_I - DELTA) / (1 + DELTA)


def kl_integrands() -> tuple[sp.Expr, sp.Expr]:
    """Return the near integrand of the KL divergence (of `NEAR`), and the far one (of `FAR`).

    Returns
    -------
    near, far : Expr
        `delta - log(1 + delta)`, and `-log sum_k pi_k exp(l_k)` with
        `W = sum_k pi_k exp(l_k - l_max)`.
    """
    s = DELTA / (2 + DELTA)
    series = sp.Add(*(s ** (2 * j + 1) / (2 * j + 1) for j in range(1, TERMS + 1)))
    small = DELTA * s - 2 * sp.horner(sp.expand(series.subs(s, L))).subs(L, s)
    near = sp.Piecewise((small, sp.Abs(DELTA) < SWITCH), (DELTA - sp.log(1 + DELTA), True))
    return near, -(PEAK + sp.log(TOTAL))


def gradient_integrands() -> tuple[sp.Expr, sp.Expr]:
    """Return `(psi_i/pi_i) v_a` as functions of `GRADIENT`: near, without its part `m_a`, and far.

    Returns
    -------
    near, far : Expr
        The gradient by `mu_ia` is `pi_i (m_a + E near) = pi_i E far`.
    """
    return (G_I - DELTA) * U_A - G_I * DELTA * M_A, RHO_I * V_A


def hessian_integrands() -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """Return the parts of the second derivative by `mu_ia` and `mu_jc`, functions of `HESSIAN`.

    Returns
    -------
    near, far, outer, own : Expr
        The second derivative is `pi_i pi_j ([a = c] P + E outer)`, `P = 1 + E near = E far`, and
        for `i = j` also `pi_i E own`.
    """
    outer = RHO_I * RHO_J * ((MU_IC - 2 * V_C) * (MU_JA - 2 * V_A) - 2 * S_AC)
    return (
        G_I * G_J - DELTA * (G_I + G_J),
        RHO_I * RHO_J,
        outer,
        RHO_I * (S_AC - V_A * V_C),
    )


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
    )


def derive_gradient_forms() -> Derivation:
    r"""Derive the form of the gradient in which nothing cancels when the means are small.

    Returns
    -------
    Derivation
        `grad_i = pi_i (m + E[(g_i - delta) u - delta g_i m])`: with means of size `a` and `m = 0`
        the terms have the size `a^3` of the sum, where those of `E psi_i v` have the size `a`.
    """
    rho = Mixture(lambda k: sp.IndexedBase("rho", positive=True)[k])
    centre = sp.Symbol("m", real=True)
    near, far = gradient_integrands()
    first, plain, _, _ = hessian_integrands()
    parts = {RHO_I: 1 + G_I, RHO_J: 1 + G_J, V_A: M_A + U_A}
    ratio = relative_posterior()
    return Derivation(
        "gradient without cancellation",
        f"{EM_PAPER}, gradient of section 2",
        (
            step(
                (1 + E_I) / (1 + DELTA) - 1,
                ratio,
                "g_i = psi_i/pi_i - 1, with psi_i = pi_i (1 + e_i)/(1 + delta)",
                shown=r"\frac{\psi_i}{\pi_i} - 1 = \frac{e_i - \delta}{1 + \delta} = g_i",
            ),
            step(
                sp.Sum((ANY.posterior(K) - rho.posterior(K)) * (MU[K, A] - centre), (K, 1, N)),
                ANY.v(A) - rho.v(A),
                "v = m + u: both sets of weights sum to one, so any centre will do",
                "psi_k = omega_k / sum omega, pi_k = rho_k / sum rho, m any number",
                shown=r"v_a - m_a = \sum_k (\psi_k - \pi_k)(\mu_{ka} - m_a)"
                r" = \sum_k \pi_k g_k (\mu_{ka} - m_a) = u_a",
            ),
            step(
                ratio + DELTA * ratio,
                E_I - DELTA,
                "E(g_i + delta g_i) = 0, since E e_i = E delta = 0; and so E(u + delta u) = 0",
                shown=r"g_i + \delta g_i = e_i - \delta",
            ),
            step(
                far.subs(parts) - near - M_A,
                M_A * (G_I + DELTA * G_I) + (U_A + DELTA * U_A),
                "gradient, the far form less the near one: of expectation zero",
                "psi_i = pi_i (1 + g_i), v = m + u",
                shown=r"(1 + g_i) v_a - \left[m_a + (g_i - \delta) u_a - \delta g_i m_a\right]"
                r" = m_a (g_i + \delta g_i) + (u_a + \delta u_a)",
            ),
            step(
                plain.subs(parts) - first - 1,
                (G_I + DELTA * G_I) + (G_J + DELTA * G_J),
                "the same for psi_i psi_j, which the Hessian has",
                shown=r"(1 + g_i)(1 + g_j) - 1 - \left[g_i g_j - \delta (g_i + g_j)\right]"
                r" = (g_i + \delta g_i) + (g_j + \delta g_j)",
            ),
        ),
    )


def derive_hessian() -> Derivation:
    r"""Derive the second derivatives of the KL divergence, as expectations of posteriors only.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights. The derivative is taken by
        `mu_jc`; what does not depend on it are numbers (`rest`: the other components together).
    """
    u, x, rest, w, w_i = sp.symbols("u x R w w_i", positive=True)
    psi_i, psi_j, y = sp.symbols("psi_i psi_j y", real=True)
    b_i, b_j, m_i, m_j = sp.symbols("b_i b_j mu_ic mu_jc", real=True)
    own = w * sp.exp(u * x - u**2 / 2)
    share = own / (rest + own)
    other = w_i / (rest + own)
    v_a = sp.Function("v_a", real=True)(x)
    log_total = sp.Function("lambda", real=True)(x)
    p_i, p_j = (sp.exp(b + m * x - log_total) for b, m in ((b_i, m_i), (b_j, m_j)))
    v_c, s_ac = log_total.diff(x), v_a.diff(x)
    g_own = psi_i * V_A + psi_i**2 * (MU_JA - 2 * V_A)
    diagonal = p_i * v_a + p_i**2 * (MU_JA - 2 * v_a)
    crossed = p_i * p_j * (MU_JA - 2 * v_a)
    outer = (m_i - 2 * v_c) * (MU_JA - 2 * v_a) - 2 * s_ac
    along = "along the coordinate c: psi_i = exp(b + mu_ic x - lambda), lambda' = v_c, v_a' = s_ac"
    return Derivation(
        "Hessian of the KL divergence",
        f"{EM_PAPER}, derivative of the gradient of section 2",
        (
            step(
                sp.Derivative(share, u),
                share * (1 - share) * (x - u),
                "a posterior weight differentiated by its own mean",
                "u = mu_jc, x = x_c; w holds the other coordinates, R the other components",
                shown=r"\partial_{\mu_{jc}} \psi_j = \psi_j (1 - \psi_j)(x_c - \mu_{jc})",
            ),
            step(
                sp.Derivative(other, u),
                -other * share * (x - u),
                "a posterior weight differentiated by another mean",
                "u = mu_jc, x = x_c; w_i does not depend on it",
                shown=r"\partial_{\mu_{jc}} \psi_i = -\psi_i \psi_j (x_c - \mu_{jc})",
            ),
            step(
                -psi_i * psi_j * y * V_A + psi_i * psi_j * (SAME + y * (MU_JA - V_A)),
                psi_i * psi_j * SAME + y * psi_i * psi_j * (MU_JA - 2 * V_A),
                "product rule for psi_i v_a, i other than j, with the derivative of v by one mean",
                "y = x_c - mu_jc",
                shown=r"\partial_{\mu_{jc}} (\psi_i v_a) = \psi_i \psi_j \delta_{ac}"
                r" + (x_c - \mu_{jc})\, \psi_i \psi_j (\mu_{ja} - 2 v_a)",
            ),
            step(
                psi_i * (1 - psi_i) * y * V_A + psi_i**2 * (SAME + y * (MU_JA - V_A)),
                psi_i**2 * SAME + y * g_own,
                "product rule for i = j",
                "y = x_c - mu_jc",
                shown=r"\partial_{\mu_{ic}} (\psi_i v_a) = \psi_i^2 \delta_{ac} + (x_c - \mu_{ic})"
                r"\left[\psi_i v_a + \psi_i^2 (\mu_{ia} - 2 v_a)\right]",
            ),
            step(
                sp.Derivative(crossed, x) - m_j * crossed,
                p_i * p_j * outer,
                "Stein's lemma turns (x_c - mu_jc) f into f' - mu_jc f; for i other than j",
                along,
                shown=r"(\partial_c - \mu_{jc})\, \psi_i \psi_j (\mu_{ja} - 2 v_a) = \psi_i \psi_j"
                r"\left[(\mu_{ic} - 2 v_c)(\mu_{ja} - 2 v_a) - 2 s_{ac}\right],"
                r" \quad s_{ac} = \partial_c v_a",
            ),
            step(
                sp.Derivative(diagonal, x) - m_i * diagonal,
                p_i**2 * outer + p_i * (s_ac - v_a * v_c),
                "Stein's lemma for i = j",
                along,
                shown=r"(\partial_c - \mu_{ic})"
                r" \left[\psi_i v_a + \psi_i^2 (\mu_{ia} - 2 v_a)\right]"
                r" = \psi_i^2 \left[(\mu_{ic} - 2 v_c)(\mu_{ia} - 2 v_a) - 2 s_{ac}\right]"
                r" + \psi_i (s_{ac} - v_a v_c)",
            ),
        ),
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
    v_a = ANY.v(A)
    return Derivation(
        "projection on the means",
        f"{EM_PAPER}, proof of the main theorem",
        (
            step(
                sp.Sum(ANY.posterior(K) * v_a * MU[K, A], (K, 1, N)),
                v_a**2,
                "sum <grad_i, mu_i> = E|v|^2, with grad_i = E psi_i v",
                "omega_k = w_k(x)",
                "integrands, one coordinate; both sides are summed over a",
                shown=r"\sum_i \psi_i v_a \mu_{ia} = v_a^2",
            ),
            step(
                sp.Subs(sp.Derivative(moved, time), time, 0),
                2 * sp.Sum(sp.Sum(MU[K, B] * velocity[K, B], (B, 1, D)), (K, 1, N)),
                "rate of U = sum |mu_i|^2 along a flow; for f = -grad it is -2 E|v|^2",
                "f_k: velocity of mu_k",
                shown=r"\frac{d}{dt} \sum_i |\mu_i|^2 = 2 \sum_i \mu_i \cdot f_i"
                r" = -2\, E |v|^2",
            ),
        ),
    )


def derive_kl() -> Derivation:
    r"""Derive `KL(p_0 || p) = E[delta - log1p(delta)]`, a positive integrand without cancellation.

    Returns
    -------
    Derivation
        `delta = sum_k pi_k expm1(mu_k.x - |mu_k|^2/2)`; for any weights.
    """
    log_ratio, rest = (sp.IndexedBase(name, real=True) for name in ("l", "rest"))
    half = DELTA / (2 + DELTA)
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
                sp.Sum(pi_1(K) * (rest[K] + MU[K, A] * U - MU[K, A] ** 2 / 2), (K, 1, N)),
                U * ANY.v(A) + sp.Sum(pi_1(K) * (rest[K] - MU[K, A] ** 2 / 2), (K, 1, N)),
                "delta with its linear part collected, which cancels where the means sum to zero",
                "e_k = rest_k + l_k; one coordinate, x = u",
                shown=r"\sum_k \pi_k e_k = m \cdot x"
                r" + \sum_k \pi_k \left[(e_k - l_k) - \tfrac12 |\mu_k|^2\right]",
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
                DELTA - sp.log(1 + DELTA),
                DELTA**2 * sp.Integral(part / (1 + DELTA * part), (part, 0, 1)),
                "the new integrand is never negative",
                "delta > -1, so 1 + delta u > 0",
            ),
            step(
                sp.Derivative(DELTA * half - 2 * (sp.atanh(half) - half), DELTA),
                sp.Derivative(DELTA - sp.log(1 + DELTA), DELTA),
                "without the cancellation of log(1 + delta), by a series in s: equal derivatives,"
                " and both sides vanish at delta = 0",
                "s = delta/(2 + delta); |s| < 1/3 for |delta| < 1/2",
                shown=r"\delta - \log(1 + \delta) = \delta s"
                r" - 2 \left(\frac{s^3}{3} + \frac{s^5}{5} + \dots\right),"
                r" \quad s = \frac{\delta}{2 + \delta}",
            ),
        ),
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
