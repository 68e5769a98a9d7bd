r"""Potentials and claims of gradient EM (Xu, Fazel & Du, NeurIPS 2024, arXiv 2407.00490).

Components `N(mu_i, I)` with weights `pi_i`, target `N(0, I)`, loss `KL(target || mixture)`; the
flow is `dmu/dt = -grad L`, the continuous form of gradient EM. `v = sum_i psi_i mu_i` with the
posterior weights `psi_i`.

Constants and exponents that are quoted from memory are marked *recalled* in the statements.
"""

from __future__ import annotations

from types import MappingProxyType

import sympy as sp

from potentials.claim import (
    EXPONENT,
    Claim,
    Comparison,
    Hypothesis,
    Identity,
    Inequality,
    Invariant,
    Mark,
    Rate,
    UpperBound,
)
from potentials.notation import parameter, symbol, total_derivative
from potentials.potential import Potential, single
from potentials.source import Source

__all__ = ["AUXILIARIES", "CLAIMS", "MARKS", "NAMES", "POTENTIALS"]

NAMES = MappingProxyType(
    {
        "norm": r"\lvert \mu_i \rvert",
        "loss": "L",
        "gradient_norm": r"\lvert \nabla L \rvert",
        "em_distance": r"\lvert E \psi (x - \mu) + \nabla L \rvert",
        "fisher": r"E \lvert v \rvert^2",
        "squared_norm_sum": "U",
        "max_norm": r"\mu_{\max}",
        "norm_sum": r"\sum_i \lvert \mu_i \rvert",
        "spread": r"\max_i \lvert \mu_i - m \rvert",
        "mean_norm": r"\lvert m \rvert",
        "weight_min": r"\pi_{\min}",
    }
)

t = symbol("t")
n, d, weight_min = (parameter(name) for name in ("n", "d", "weight_min"))
norm, loss, fisher = (symbol(name) for name in ("norm", "loss", "fisher"))
gradient_norm, em_distance = symbol("gradient_norm"), symbol("em_distance")
U, max_norm = symbol("squared_norm_sum"), symbol("max_norm")
U_0, max_norm_0, norm_sum_0 = (symbol(f"{x}_0") for x in (U.name, max_norm.name, "norm_sum"))
spread_0, mean_norm_0 = symbol("spread_0"), symbol("mean_norm_0")


def _xu_fazel_du(locator: str, kind: str) -> Source:
    return Source("Xu, Fazel & Du", 2024, "2407.00490", locator, kind)


POTENTIALS: tuple[Potential, ...] = (
    Potential(
        "squared_norm_sum",
        "U",
        single("squares", "neuron", norm**2, "sum"),
        symbol("squares"),
        "everywhere",
        _xu_fazel_du("proof of the main theorem", "definition"),
        NAMES,
        "The squared distances of the means from the target, summed",
    ),
    Potential(
        "fisher",
        r"E \lvert v \rvert^2",
        single("fisher", "state", fisher, None),
        fisher,
        "everywhere",
        _xu_fazel_du("proof of the main theorem", "definition"),
        NAMES,
        "The mean square of the weighted mean v, which drives the flow",
    ),
    Potential(
        "max_norm",
        r"\mu_{\max}",
        single("max_norm", "neuron", norm, "max"),
        max_norm,
        "everywhere; differentiable where one component attains it",
        _xu_fazel_du("main theorem", "definition"),
        NAMES,
        "The distance of the farthest mean from the target",
    ),
)

AUXILIARIES: tuple[Potential, ...] = (
    Potential(
        "norm_sum",
        r"\sum_i \lvert \mu_i \rvert",
        single("norm_sum", "neuron", norm, "sum"),
        symbol("norm_sum"),
        "everywhere; differentiable where no mean is zero",
        _xu_fazel_du("theorem on bad regions", "definition"),
        NAMES,
    ),
)

MARKS: tuple[Mark, ...] = ()

#: What is read into "near the optimum".
NEAR = sp.Rational(1, 2)
#: The definition of the EM update loses digits to cancellation below this size.
RESOLVED = sp.Rational(1, 10**5)
#: A start is that of the theorem up to rounding.
ROUNDING = sp.Rational(1, 10**9)

_SEVERAL = Hypothesis("n >= 2", n, ">=", sp.Integer(2))
_APART = Hypothesis(
    "the means do not all coincide", spread_0, ">", sp.S.Zero, unmet="all means coincide"
)
_NEAR = (NEAR - max_norm,)
_RADIUS = 12 * sp.sqrt(d)
_BAD_START = (
    Hypothesis("n >= 3", n, ">=", sp.Integer(3)),
    Hypothesis(
        "equal weights",
        weight_min,
        ">=",
        (1 - ROUNDING) / n,
        unmet="the smallest weight is {value}, not 1/n = {needed}",
    ),
    # Lengths of at most R = 12 sqrt(d), of sum 2 R and squares of sum 2 R^2, are R, R, 0, ..., 0.
    Hypothesis(
        "no mean longer than 12 sqrt(d)",
        max_norm_0,
        "<=",
        (1 + ROUNDING) * _RADIUS,
        unmet="max |mu_i(0)| = {value}, not <= 12 sqrt(d) = {needed}",
    ),
    Hypothesis(
        "sum |mu_i(0)| = 24 sqrt(d)",
        sp.Abs(norm_sum_0 - 2 * _RADIUS),
        "<=",
        ROUNDING * _RADIUS,
        unmet="sum |mu_i(0)| = {value}, not 24 sqrt(d)",
        value=norm_sum_0,
    ),
    Hypothesis(
        "sum |mu_i(0)|^2 = 288 d",
        sp.Abs(U_0 - 2 * _RADIUS**2),
        "<=",
        ROUNDING * _RADIUS**2,
        unmet="sum |mu_i(0)|^2 = {value}, not 288 d",
        value=U_0,
    ),
    Hypothesis(
        "the means sum to zero: two are opposite, the others at the target",
        mean_norm_0,
        "<=",
        ROUNDING * _RADIUS,
        unmet="the mean of the mu_i(0) has length {value}, not 0: no two are opposite with the "
        "others at the target",
    ),
)

# Root of gamma of the main theorem without its constant; exp(-8 U(0)) stands on the left side,
# where it underflows instead of overflowing.
_ROOT_OF_GAMMA = weight_min**2 / (n * d * (1 + max_norm_0 * sp.sqrt(d * n)) ** 2)

CLAIMS: tuple[Claim, ...] = (
    Identity(
        id="em_is_gradient",
        statement="the EM update E psi_i (x - mu_i) is -grad_i L: their distance, over all "
        "coordinates, is zero beside |grad L|, while |grad L| >= 1e-5, where the definition still "
        "has its digits",
        source=_xu_fazel_du("Section 2", "identity"),
        conclusions=(
            Comparison(
                gradient_norm + em_distance,
                "==",
                gradient_norm,
                sp.S.One,
                (gradient_norm - RESOLVED,),
            ),
        ),
        names=NAMES,
    ),
    Identity(
        id="projection",
        statement="sum <grad_i L, mu_i> = E|v|^2, that is dU/dt = -2 E|v|^2",
        source=_xu_fazel_du("proof of the main theorem", "identity"),
        conclusions=(Comparison(total_derivative(U), "==", fisher, sp.Integer(-2)),),
        names=NAMES,
    ),
    Inequality(
        id="norms_shrink",
        statement="U = sum |mu_i|^2 never increases",
        source=_xu_fazel_du("proof of the main theorem", "inequality"),
        conclusions=(Comparison(total_derivative(U), "<=", sp.S.Zero, sp.S.One),),
        names=NAMES,
    ),
    UpperBound(
        id="loss_upper",
        statement="L(t) <= 1/sqrt(gamma t), gamma = C exp(-16 U(0)) pi_min^4 "
        "/ (n^2 d^2 (1 + mu_max(0) sqrt(d n))^4); exponents in gamma recalled, C unspecified",
        source=_xu_fazel_du("main theorem", "upper"),
        conclusions=(Comparison(loss * sp.exp(-8 * U_0), "<=", t**-EXPONENT / _ROOT_OF_GAMMA),),
        exponent=sp.Rational(1, 2),
        names=NAMES,
    ),
    Inequality(
        id="fisher_lower",
        statement="near the optimum (read as mu_max <= 1/2): E|v|^2 >= c mu_max^4 (recalled)",
        source=_xu_fazel_du("proof of the main theorem", "inequality"),
        conclusions=(Comparison(fisher, ">=", max_norm**EXPONENT, where=_NEAR),),
        exponent=sp.Integer(4),
        names=NAMES,
    ),
    Inequality(
        id="gradient_lower",
        statement="near the optimum (read as mu_max <= 1/2): |grad L| >= c mu_max^3 (recalled)",
        source=_xu_fazel_du("proof of the main theorem", "inequality"),
        conclusions=(Comparison(gradient_norm, ">=", max_norm**EXPONENT, where=_NEAR),),
        exponent=sp.Integer(3),
        names=NAMES,
    ),
    Inequality(
        id="loss_quadratic",
        statement="L <= mu_max^2/2, by convexity of the KL divergence at every state",
        source=_xu_fazel_du("proof of the main theorem", "inequality"),
        conclusions=(Comparison(loss, "<=", max_norm**EXPONENT, sp.S.Half),),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
    Rate(
        id="sublinear",
        statement="n >= 2: no exponential rate, read as -dL/dt <= C L/t: the loss falls no faster "
        "than some power of t",
        source=_xu_fazel_du("abstract", "rate"),
        hypotheses=(_SEVERAL, _APART),
        conclusions=(Comparison(-t * total_derivative(loss), "<=", loss, where=(t,)),),
        names=NAMES,
    ),
    Identity(
        id="exact_param_rate",
        statement="n = 1: dL/dt = -2 L, that is L(t) = L(0) exp(-2 t)",
        source=_xu_fazel_du("Section 2", "identity"),
        hypotheses=(Hypothesis("n = 1", n, "<=", sp.S.One, unmet="n = {value}, not 1"),),
        conclusions=(Comparison(total_derivative(loss), "==", loss, sp.Integer(-2)),),
        names=NAMES,
    ),
    Invariant(
        id="bad_region",
        statement="equal weights, mu_1(0) = -mu_2(0) of length 12 sqrt(d), the others zero: some "
        "|mu_i| >= 10 sqrt(d) for all t <= exp(d)/30 (constants recalled)",
        source=_xu_fazel_du("theorem on bad regions", "invariant"),
        hypotheses=_BAD_START,
        conclusions=(
            Comparison(max_norm, ">=", sp.sqrt(d), sp.Integer(10), (sp.exp(d) / 30 - t,)),
        ),
        names=NAMES,
    ),
)
