r"""Mixtures of unit Gaussians: posterior weights, averages under them, and the score.

`p = sum_k pi_k N(mu_k, I)` with fixed weights, and `p_0 = N(0, I)` the target. Relative to `p_0` a
component has the weight `w_k(x) = pi_k exp(mu_k.x - |mu_k|^2/2)`; its posterior is
`psi_k = w_k / sum_j w_j`, and `v = sum_k psi_k mu_k`. The weights and the numbers of components and
of coordinates are general: `i` is one of `n = i + q` components, `a` one of `d = a + r`
coordinates, `q, r >= 0`. A step holds for all integers; its domain lists those at which it is
sampled.

Gradients, in `symbolic.systems.gmm_em.document` and `symbolic.systems.score_matching.calculus`, are
identities between integrands at a point `x`; expectations enter by Stein's lemma, for which `x_a f
- df/dx_a` is an integrand of expectation zero (`symbolic.lemmas.gaussian`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symbolic.evidence.derivation import Derivation, Document, Step
from symbolic.evidence.identity import Domain
from symbolic.lemmas.gaussian import COORDINATES, A, B, D, R, X, exponent

__all__ = [
    "ANY",
    "DELTA",
    "DELTA_0",
    "EM_PAPER",
    "IN_X",
    "MIXTURE",
    "MU",
    "OWN",
    "PI",
    "SCORE_PAPER",
    "UNDER_E",
    "C",
    "K",
    "Mixture",
    "N",
    "Q",
    "derive",
    "derive_by_mean",
    "derive_posterior",
    "projection_step",
    "step",
]

EM_PAPER = "Xu, Fazel & Du 2024, arXiv 2407.00490"
SCORE_PAPER = "Zhang, Xu, Zhou, Fazel & Du 2026, arXiv 2511.22069"

OWN, K, C = sp.symbols("i k c", integer=True, positive=True)
AFTER = sp.Symbol("q", integer=True, nonnegative=True)
N = OWN + AFTER
MU = sp.IndexedBase("mu", real=True)
PI = sp.IndexedBase("pi", positive=True)
# Densities relative to N(m, I), m the mean of the mixture, and to p_0, less 1; q leads from one
# to the other (symbolic.lemmas.mixture_node).
DELTA, DELTA_0, Q = sp.symbols("delta delta_0 q", real=True)
# Where it is sampled: two and three components in the plane, `c` the coordinate `a` or the other.
SAMPLED: Domain = (
    *((A, 1, 1), (R, 1, 1), (C, 1, 2), (OWN, 1, 2), (AFTER, 1, 1)),
    *((density, -sp.Rational(1, 2), 2) for density in (DELTA, DELTA_0, Q)),
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


def step(
    lhs: Any, rhs: Any, rule: str, *assumptions: str, shown: str = "", fresh: bool = True
) -> Step:
    """Return a step about a mixture, with the domain of those symbols that it contains."""
    free = lhs.free_symbols | rhs.free_symbols
    domain = tuple(entry for entry in SAMPLED if entry[0] in free)
    return Step(lhs, rhs, rule, assumptions=assumptions, domain=domain, fresh=fresh, shown=shown)


def projection_step() -> Step:
    """Return the step `sum_i psi_i v_a mu_ia = v_a^2`, which ties both losses of a mixture."""
    v_a = ANY.v(A)
    return step(
        sp.Sum(ANY.posterior(K) * v_a * MU[K, A], (K, 1, N)),
        v_a**2,
        "sum <grad_i L, mu_i> = E|v|^2, with grad_i L = E psi_i v of the KL divergence",
        "omega_k = w_k(x)",
        "integrands, one coordinate; both sides are summed over a",
        shown=r"\sum_i \psi_i v_a \mu_{ia} = v_a^2",
    )


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
            step(
                exponent(X[B] - MU[OWN, B]) - exponent(X[B]),
                _log_ratio(OWN),
                "log density of a component relative to p_0",
                shown=r"\log \frac{N(x; \mu_i, I)}{N(x; 0, I)} = \mu_i \cdot x"
                r" - \tfrac12 |\mu_i|^2, \quad w_i = \pi_i e^{\mu_i \cdot x - |\mu_i|^2/2}",
            ),
            step(
                phi * ANY.weight(OWN) / scaled,
                ANY.posterior(OWN),
                "the density p_0 cancels in the posterior",
                "phi = p_0(x), omega_k = w_k(x)",
                shown=r"\psi_i = \frac{\pi_i N(x; \mu_i, I)}{\sum_k \pi_k N(x; \mu_k, I)}"
                r" = \frac{w_i}{\sum_k w_k}",
            ),
            step(
                sp.Sum(ANY.posterior(K) * g[K], (K, 1, N)),
                ANY.mean(lambda k: g[k]),
                "an average under the posterior, with the common denominator in front",
                "omega_k = w_k(x)",
                shown=r"\sum_k \psi_k g_k = \frac{\sum_k w_k g_k}{\sum_k w_k}",
            ),
            step(
                sp.Sum(ANY.posterior(K), (K, 1, N)),
                sp.S.One,
                "the posterior weights sum to one",
                "omega_k = w_k(x)",
                shown=r"\sum_k \psi_k = 1",
            ),
            step(
                sp.Derivative(psi, X[A]),
                psi * (MU[OWN, A] - v_a),
                "derivative of a posterior weight",
                shown=r"\partial_a \psi_i = \psi_i\, (\mu_{ia} - v_a)",
            ),
            step(
                sp.Derivative(g_mean, X[A]),
                MIXTURE.mean(lambda k: MU[k, A] * g[k]) - v_a * g_mean,
                "derivative of an average: the covariance of mu_a and g",
                "g does not depend on x",
                shown=r"\partial_a \sum_k \psi_k g_k = \sum_k \psi_k \mu_{ka} g_k"
                r" - v_a \sum_k \psi_k g_k",
            ),
            step(
                ANY.mean(lambda k: MU[k, A] * g[k]) - shift * ANY.mean(lambda k: g[k]),
                ANY.mean(lambda k: (MU[k, A] - shift) * g[k]),
                "the same in one sum",
                "omega_k = w_k(x)",
                shown=r"\sum_k \psi_k \mu_{ka} g_k - v_a \sum_k \psi_k g_k"
                r" = \sum_k \psi_k (\mu_{ka} - v_a)\, g_k",
            ),
            step(
                sp.Derivative(sp.log(MIXTURE.total()), X[A]),
                v_a,
                "v is the gradient of log(p/p_0)",
                shown=r"\partial_a \log \frac{p}{p_0} = \partial_a \log \sum_k w_k = v_a",
            ),
        ),
    )


def derive_by_mean() -> Derivation:
    r"""Derive how posterior weights, `v` and `h_i.v` change with one mean, `h_i = mu_i - v`.

    Returns
    -------
    Derivation
        For any numbers of components and coordinates and any weights. Where the posterior of one
        mean's component is differentiated, `R` holds the other components together; `s = [i = j]`.
    """
    u, x, rest, w, w_i = sp.symbols("u x R w w_i", positive=True)
    own = w * sp.exp(u * x - u**2 / 2)
    share, other = own / (rest + own), w_i / (rest + own)
    t, same, psi, away = sp.symbols("t s psi_j a_ja", real=True)
    h_i, h_j, v = (sp.IndexedBase(name, real=True) for name in ("h_i", "h_j", "v"))
    here = sp.KroneckerDelta(A, B)
    v_moved = v[B] + t * psi * (here + h_j[B] * away)
    mu_moved = v[B] + h_i[B] + t * same * here
    return Derivation(
        "derivatives by a mean",
        f"{SCORE_PAPER}, section 2",
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
                sp.Derivative(MIXTURE.v(C), MU[OWN, A]),
                MIXTURE.posterior(OWN)
                * (sp.KroneckerDelta(A, C) + (X[A] - MU[OWN, A]) * (MU[OWN, C] - MIXTURE.v(C))),
                "derivative of v by one mean",
                shown=r"\partial_{\mu_{ia}} v_c = \psi_i \left[\delta_{ac}"
                r" + (x_a - \mu_{ia})\, h_{ic}\right]",
            ),
            Step(
                sp.Subs(sp.Derivative(sp.Sum((mu_moved - v_moved) * v_moved, (B, 1, D)), t), t, 0),
                same * v[A]
                + psi * (h_i[A] - v[A])
                + psi * away * sp.Sum(h_j[B] * (h_i[B] - v[B]), (B, 1, D)),
                "derivative of h_i.v by one mean, with that of v",
                assumptions=("mu_ja moves by t, a_ja = x_a - mu_ja",),
                domain=COORDINATES,
                shown=r"\partial_{\mu_{ja}} (h_i \cdot v) = \delta_{ij} v_a + \psi_j"
                r" \left[h_{ia} - v_a + a_{ja}\, h_j \cdot (h_i - v)\right]",
            ),
        ),
    )


def derive() -> Document:
    """Return the lemmas on mixtures that both losses use.

    Returns
    -------
    Document
        Posterior weights and the score; what changes with a mean.
    """
    return Document("mixture", (derive_posterior(), derive_by_mean()))
