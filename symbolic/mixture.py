r"""Mixtures of unit Gaussians against one: posterior weights, KL divergence, Fisher information.

`p = sum_k pi_k N(mu_k, I)` with fixed weights, and `p_0 = N(0, I)` the target. Relative to `p_0` a
component has the weight `w_k(x) = pi_k exp(mu_k.x - |mu_k|^2/2)`; its posterior is
`psi_k = w_k / sum_j w_j`, and `v = sum_k psi_k mu_k`. The weights and the numbers of components and
of coordinates are general: `i` is one of `n = i + q` components, `a` one of `d = a + r`
coordinates, `q, r >= 0`. A step holds for all integers; its domain lists those at which it is
sampled.

Gradients are identities between integrands at a point `x`; expectations enter by Stein's lemma,
for which `x_a f - df/dx_a` is an integrand of expectation zero (`symbolic.gaussian`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symbolic.derivation import Derivation, Document, Step
from symbolic.gaussian import A, B, D, R, U, X, density, exponent
from symbolic.identity import Domain

__all__ = [
    "MIXTURE",
    "MU",
    "OWN",
    "PI",
    "C",
    "Mixture",
    "N",
    "derive",
    "derive_em_gradient",
    "derive_kl",
    "derive_noise_time",
    "derive_posterior",
    "derive_projection",
    "derive_score_gradient",
    "derive_score_loss",
    "em_gradient",
    "score_gradient",
]

EM_PAPER = "Xu, Fazel & Du 2024, arXiv 2407.00490"
SCORE_PAPER = "Zhang, Xu, Zhou, Fazel & Du 2026, arXiv 2511.22069"

OWN, K, C = sp.symbols("i k c", integer=True, positive=True)
AFTER = sp.Symbol("q", integer=True, nonnegative=True)
N = OWN + AFTER
MU = sp.IndexedBase("mu", real=True)
PI = sp.IndexedBase("pi", positive=True)
DELTA = sp.Symbol("delta", real=True)
# Where it is sampled: two and three components in the plane, `c` the coordinate `a` or the other.
SAMPLED: Domain = (
    *((A, 1, 1), (R, 1, 1), (C, 1, 2), (OWN, 1, 2), (AFTER, 1, 1)),
    (DELTA, -sp.Rational(1, 2), 2),
)
UNDER_E = "integrands; the derivative is taken under E"


@dataclass(frozen=True)
class Mixture:
    """Posterior weights, and averages under them, for weights of a given form.

    Parameters
    ----------
    weight : callable
        From the index of a component to its weight.
    """

    weight: Callable[[Any], sp.Expr]

    def total(self, values: Callable[[Any], Any] = lambda _: 1) -> sp.Expr:
        """Return `sum_k w_k values(k)` over all components."""
        return sp.Sum(self.weight(K) * values(K), (K, 1, N))

    def posterior(self, k: Any) -> sp.Expr:
        """Return `psi_k = w_k / sum_j w_j`."""
        return self.weight(k) / self.total()

    def mean(self, values: Callable[[Any], Any]) -> sp.Expr:
        """Return `sum_k psi_k values(k)`, with the common denominator in front."""
        return self.total(values) / self.total()

    def v(self, c: Any) -> sp.Expr:
        """Return coordinate `c` of `v = sum_k psi_k mu_k`."""
        return self.mean(lambda k: MU[k, c])


def _log_ratio(k: Any) -> sp.Expr:
    """Return `log N(x; mu_k, I) / N(x; 0, I) = mu_k.x - |mu_k|^2/2`."""
    return sp.Sum(MU[k, B] * X[B] - MU[k, B] ** 2 / 2, (B, 1, D))


MIXTURE = Mixture(lambda k: PI[k] * sp.exp(_log_ratio(k)))
# Weights of any form, where nothing matters but that they are summed.
ANY = Mixture(lambda k: sp.IndexedBase("omega", positive=True)[k])
# beta_k = log pi_k - |mu_k|^2/2, where only the dependence on x matters.
IN_X = Mixture(
    lambda k: sp.exp(sp.Sum(MU[k, B] * X[B], (B, 1, D)) + sp.IndexedBase("beta", real=True)[k])
)


def _step(
    lhs: Any, rhs: Any, rule: str, *assumptions: str, shown: str = "", fresh: bool = True
) -> Step:
    """Return a step with the domain of those symbols that it contains."""
    free = lhs.free_symbols | rhs.free_symbols
    domain = tuple(entry for entry in SAMPLED if entry[0] in free)
    return Step(lhs, rhs, rule, assumptions, domain, fresh, shown)


def em_gradient() -> sp.Expr:
    """Return `psi_i v_a`, whose expectation is the gradient of `KL(p_0 || p)` by `mu_ia`."""
    return MIXTURE.posterior(OWN) * MIXTURE.v(A)


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


def derive_posterior() -> Derivation:
    r"""Derive the posterior weights and their derivatives in `x`, and `v = grad log(p/p_0)`.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights.
    """
    phi, shift = sp.Symbol("phi", positive=True), sp.Symbol("v_a", real=True)
    g = sp.IndexedBase("g", real=True)
    psi, v_a = MIXTURE.posterior(OWN), MIXTURE.v(A)
    scaled = sp.Sum(phi * ANY.weight(K), (K, 1, N))
    g_mean = MIXTURE.mean(lambda k: g[k])
    return Derivation(
        "posterior weights",
        f"{EM_PAPER}, section 2",
        (
            _step(
                exponent(X[B] - MU[OWN, B]) - exponent(X[B]),
                _log_ratio(OWN),
                "log density of a component relative to p_0",
                shown=r"\log \frac{N(x; \mu_i, I)}{N(x; 0, I)} = \mu_i \cdot x"
                r" - \tfrac12 |\mu_i|^2, \quad w_i = \pi_i e^{\mu_i \cdot x - |\mu_i|^2/2}",
            ),
            _step(
                phi * ANY.weight(OWN) / scaled,
                ANY.posterior(OWN),
                "the density p_0 cancels in the posterior",
                "phi = p_0(x), omega_k = w_k(x)",
                shown=r"\psi_i = \frac{\pi_i N(x; \mu_i, I)}{\sum_k \pi_k N(x; \mu_k, I)}"
                r" = \frac{w_i}{\sum_k w_k}",
            ),
            _step(
                sp.Sum(ANY.posterior(K) * g[K], (K, 1, N)),
                ANY.mean(lambda k: g[k]),
                "an average under the posterior, with the common denominator in front",
                "omega_k = w_k(x)",
                shown=r"\sum_k \psi_k g_k = \frac{\sum_k w_k g_k}{\sum_k w_k}",
            ),
            _step(
                sp.Sum(ANY.posterior(K), (K, 1, N)),
                sp.S.One,
                "the posterior weights sum to one",
                "omega_k = w_k(x)",
                shown=r"\sum_k \psi_k = 1",
            ),
            _step(
                sp.Derivative(psi, X[A]),
                psi * (MU[OWN, A] - v_a),
                "derivative of a posterior weight",
                shown=r"\partial_a \psi_i = \psi_i\, (\mu_{ia} - v_a)",
            ),
            _step(
                sp.Derivative(g_mean, X[A]),
                MIXTURE.mean(lambda k: MU[k, A] * g[k]) - v_a * g_mean,
                "derivative of an average: the covariance of mu_a and g",
                "g does not depend on x",
                shown=r"\partial_a \sum_k \psi_k g_k = \sum_k \psi_k \mu_{ka} g_k"
                r" - v_a \sum_k \psi_k g_k",
            ),
            _step(
                ANY.mean(lambda k: MU[k, A] * g[k]) - shift * ANY.mean(lambda k: g[k]),
                ANY.mean(lambda k: (MU[k, A] - shift) * g[k]),
                "the same in one sum",
                "omega_k = w_k(x)",
                shown=r"\sum_k \psi_k \mu_{ka} g_k - v_a \sum_k \psi_k g_k"
                r" = \sum_k \psi_k (\mu_{ka} - v_a)\, g_k",
            ),
            _step(
                sp.Derivative(sp.log(MIXTURE.total()), X[A]),
                v_a,
                "v is the gradient of log(p/p_0)",
                shown=r"\partial_a \log \frac{p}{p_0} = \partial_a \log \sum_k w_k = v_a",
            ),
        ),
    )


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
            _step(
                sp.Derivative(frozen, MU[OWN, A]),
                ANY.weight(OWN) * (MU[OWN, A] - X[A]),
                "the M step's objective, with its posterior weights held fixed",
                "omega_k = psi_k(x) at the current means",
                UNDER_E,
                shown=r"\partial_{\mu_{ia}} \sum_k \omega_k \tfrac12 |x - \mu_k|^2"
                r" = \omega_i (\mu_{ia} - x_a)",
            ),
            _step(
                sp.Derivative(-sp.log(MIXTURE.total()), MU[OWN, A]),
                pull,
                "the gradient of -log(p/p_0) is the same",
                UNDER_E,
                shown=r"-\partial_{\mu_{ia}} \log \sum_k w_k = \psi_i (\mu_{ia} - x_a)",
            ),
            _step(
                pull,
                em_gradient() + sp.Derivative(psi, X[A]) - X[A] * psi,
                "Stein's lemma for f = psi_i: grad_i = E psi_i (mu_i - x) = E psi_i v",
                shown=r"\psi_i (\mu_{ia} - x_a) = \psi_i v_a + (\partial_a - x_a) \psi_i",
                fresh=False,
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
            _step(
                sp.Sum(ANY.posterior(K) * v_a * MU[K, A], (K, 1, N)),
                v_a**2,
                "sum <grad_i, mu_i> = E|v|^2, with grad_i = E psi_i v",
                "omega_k = w_k(x)",
                "integrands, one coordinate; both sides are summed over a",
                shown=r"\sum_i \psi_i v_a \mu_{ia} = v_a^2",
            ),
            _step(
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
    log_ratio = sp.IndexedBase("l", real=True)
    size, part = sp.Symbol("m", positive=True), sp.Symbol("u", positive=True)
    pi_1 = ANY.posterior  # any weights that sum to one
    ratio = sp.Sum(pi_1(K) * sp.exp(log_ratio[K]), (K, 1, N))  # p/p_0
    expm1 = sp.Sum(pi_1(K) * (sp.exp(log_ratio[K]) - 1), (K, 1, N))
    return Derivation(
        "KL divergence without cancellation",
        f"{EM_PAPER}, loss of section 2",
        (
            _step(
                sp.Integral(density(U) * (sp.exp(size * U - size**2 / 2) - 1), (U, -sp.oo, sp.oo)),
                sp.S.Zero,
                "E(exp(l_k) - 1) = 0 for every component, so E delta = 0",
                "m = |mu_k|; u = x.mu_k/|mu_k|, and the coordinates across integrate to one",
            ),
            _step(
                -sp.log(ratio),
                sp.Add(expm1 - sp.log(1 + expm1), -expm1, evaluate=False),
                "KL = E log(p_0/p) = E[delta - log(1 + delta)], since E delta = 0",
                "l_k = mu_k.x - |mu_k|^2/2",
                "the weights pi_k = omega_k / sum omega sum to one",
                shown=r"-\log \frac{p}{p_0} = -\log \sum_k \pi_k e^{l_k}"
                r" = \left[\delta - \log(1 + \delta)\right] - \delta,"
                r" \quad \delta = \sum_k \pi_k (e^{l_k} - 1)",
            ),
            _step(
                DELTA - sp.log(1 + DELTA),
                DELTA**2 * sp.Integral(part / (1 + DELTA * part), (part, 0, 1)),
                "the new integrand is never negative",
                "delta > -1, so 1 + delta u > 0",
            ),
        ),
    )


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
            _step(
                student,
                MIXTURE.v(A) - X[A],
                "the student's score",
                shown=r"\partial_a \log p = v_a - x_a",
            ),
            _step(
                (student - teacher) ** 2,
                MIXTURE.v(A) ** 2,
                "L = E|grad log(p/p_0)|^2 = E|v|^2, the relative Fisher information",
                "integrands, one coordinate; both sides are summed over a",
                shown=r"(\partial_a \log p - \partial_a \log p_0)^2 = v_a^2",
            ),
            _step(
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
            _step(
                sp.Derivative(v_c, MU[OWN, A]),
                psi * (sp.KroneckerDelta(A, C) + away * (MU[OWN, C] - v_c)),
                "derivative of v by one mean",
                UNDER_E,
                shown=r"\partial_{\mu_{ia}} v_c = \psi_i \left[\delta_{ac}"
                r" + (x_a - \mu_{ia})(\mu_{ic} - v_c)\right]",
            ),
            _step(
                sp.Sum(one_c, (C, 1, D)),
                2 * weight * v[A]
                + 2 * weight * away * sp.Sum((MU[OWN, C] - v[C]) * v[C], (C, 1, D)),
                "the direct form: derivative of |v|^2 = sum_c v_c^2",
                shown=r"\partial_{\mu_i} |v|^2 = 2 \left[\psi_i v"
                r" + \psi_i ((\mu_i - v) \cdot v) (x - \mu_i)\right]",
            ),
            _step(
                sp.Derivative(f, X[A]),
                f_prime,
                "derivative in x of the function that Stein's lemma is used for",
                shown=f_shown + r", \quad \partial_a f_c = \psi_i \left[(\mu_{ia} - v_a)"
                r" (\mu_{ic} - v_c) v_c + (\mu_{ic} - 2 v_c) (s_{ac} - v_a v_c)\right],"
                r" \quad s_{ac} = \sum_k \psi_k \mu_{ka} \mu_{kc}",
            ),
            _step(
                direct - stein,
                X[A] * f - f_prime,
                "the direct form less that of Lemma 2.2",
                "summed over c; finite sums over k and c change places",
                "psi_i v_a, which both forms have, is left out",
                shown=r"\psi_i (\mu_{ic} - v_c) v_c (x_a - \mu_{ia}) - \psi_i \left[s_{ac} \mu_{ic}"
                r" - 2 v_a v_c \mu_{ic} - 2 v_c s_{ac} + 3 v_c^2 v_a\right]"
                r" = x_a f_c - \partial_a f_c",
            ),
            _step(
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
            _step(
                sp.Derivative(p, s),
                sp.Derivative(U * p, U) + sp.Derivative(p, U, 2),
                "N(exp(-s) mu, I) at time s solves the equation of the forward process",
                "dx = -x ds + sqrt(2) dB; one coordinate, the others are independent",
                shown=r"\partial_s p = \partial_x (x p) + \partial_x^2 p,"
                r" \quad p = N(x; e^{-s} \mu, 1)",
            ),
            _step(
                slope / sp.Derivative(sp.exp(s) * mu, mu),
                sp.exp(-s) * slope,
                "chain rule: the gradient in nu is exp(-s) times the gradient in mu",
                "nu = exp(s) mu, one entry; L is any loss",
                shown=r"\frac{\partial L}{\partial \nu} = \frac{\partial L / \partial \mu}"
                r"{\partial \nu / \partial \mu} = e^{-s} \frac{\partial L}{\partial \mu}",
            ),
            _step(
                sp.Derivative(sp.exp(-s) * (start - time * sp.exp(-s) * slope), time),
                -sp.exp(-2 * s) * slope,
                "velocity of mu = exp(-s) nu while nu follows minus its own gradient",
                shown=r"\dot \mu = e^{-s} \dot \nu = -e^{-2s} \frac{\partial L}{\partial \mu}",
            ),
        ),
    )


def derive() -> Document:
    """Return the lemmas on mixtures and score matching, in reading order.

    Returns
    -------
    Document
        Posterior, gradient EM, projection, KL divergence; score-matching loss and gradient; noise.
    """
    return Document(
        "mixture",
        (
            derive_posterior(),
            derive_em_gradient(),
            derive_projection(),
            derive_kl(),
            derive_score_loss(),
            derive_score_gradient(),
            derive_noise_time(),
        ),
    )
