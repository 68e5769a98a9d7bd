r"""Potentials and claims of the single ReLU neuron (Xu & Du, COLT 2023, arXiv 2302.10034).

Students `w_1, ..., w_n`, teacher `v`, `r = sum_i w_i - v`, loss with the factor 1/2; the flow is
`dw/dt = -grad L`. `h_i = <w_i, vbar>` and `z_i = w_i - h_i vbar` are the parts along and across the
teacher, `theta_i` the angle to the teacher, `kappa_ij` the angle of `z_i` and `z_j`.

The paper's phases are bounded by times with unspecified constants and by thresholds such as
`36 n^-14 |v|`, which no start that can be run reaches early. Here the times are read off the run
(`MARKS`), from the residual along the teacher `H = |v| - sum_i h_i`, which falls from about `|v|`
to zero: phase 1 lasts while `H >= (9/10)|v|`, phase 3 begins when `|H| <= |v|/10` for good. Each
claim that uses a time says so in its `reading`.
"""

from __future__ import annotations

import sympy as sp

from potentials.claim import (
    EXPONENT,
    Claim,
    Comparison,
    Hypothesis,
    Inequality,
    Invariant,
    LowerBound,
    Rate,
    UpperBound,
)
from potentials.notation import symbol, total_derivative
from potentials.relu_neuron_lemmas import LEMMAS
from potentials.relu_neuron_notation import (
    ACUTE,
    BALANCED,
    INITIALISATION,
    NAMES,
    PHASE_1,
    PHASE_2,
    PHASE_3,
    READ_T1,
    READ_T2,
    READ_TIMES,
    SEVERAL,
    SPREAD,
    T2,
    TRANSVERSE,
    H,
    V,
    Z,
    angle_max,
    balance,
    d,
    derived,
    gradient_norm,
    h,
    kappa,
    kappa_0,
    kappa_max,
    loss,
    n,
    norm,
    positive,
    sigma_0,
    t,
    theta,
    theta_pair,
    v,
    xu_du,
    zeta,
)
from potentials.relu_neuron_potentials import AUXILIARIES, MARKS, POTENTIALS
from potentials.source import Source
from symbolic.systems.relu_neuron import bounds

__all__ = ["AUXILIARIES", "CLAIMS", "MARKS", "NAMES", "POTENTIALS"]

_EPS1_SQUARED = (sigma_0 * sp.sqrt(d) / v) ** sp.Rational(1, 24)
_THIRD = sp.Rational(1, 3)

CLAIMS: tuple[Claim, ...] = (
    UpperBound(
        id="loss_upper",
        statement="L(T2 + T) <= C n^4 |v|^2 / T^3 for all T > 0",
        source=xu_du("Corollary 12", "upper"),
        hypotheses=INITIALISATION,
        conclusions=(Comparison(loss, "<=", n**4 * v**2 / (t - T2) ** EXPONENT, where=PHASE_3),),
        exponent=sp.Integer(3),
        reading=READ_T2,
        names=NAMES,
    ),
    LowerBound(
        id="loss_lower",
        statement="L(t)^(-1/3) <= C n^(17/3)/(kappa_max(0)^2 |v|^(2/3)) (t - T2) + gamma, that is "
        "L >= c t^-3; gamma is read as L(T2)^(-1/3)",
        source=xu_du("Theorem 14", "lower"),
        # It is about phase 3, which the theorem reaches from the same small start as Corollary 12.
        hypotheses=(SEVERAL, TRANSVERSE, SPREAD, *INITIALISATION),
        conclusions=(
            Comparison(
                loss ** (-1 / EXPONENT) - symbol("loss_T2") ** (-1 / EXPONENT),
                "<=",
                n ** sp.Rational(17, 3) / (kappa_0**2 * v ** (2 * _THIRD)) * (t - T2),
                where=PHASE_3,
            ),
        ),
        exponent=sp.Integer(3),
        reading=READ_T2,
        names=NAMES,
    ),
    Rate(
        id="exact_param_rate",
        statement="n = 1: L decays like exp(-c t); c = |grad L|^2 / L stays away from zero",
        source=Source("Yehudai & Shamir", 2020, "2001.05205", "convergence theorem", "rate"),
        hypotheses=(
            Hypothesis("n = 1", n, "<=", sp.S.One, unmet="n = {value}, not 1"),
            Hypothesis(
                "w(0) != 0", symbol("norm_0"), ">", sp.S.Zero, "neuron", unmet="some w_i(0) = 0"
            ),
            Hypothesis(
                "w(0) not anti-parallel to v",
                symbol("theta_0"),
                "<",
                sp.pi,
                "neuron",
                unmet="some w_i(0) is anti-parallel to v: theta_i(0) = {value}",
            ),
        ),
        conclusions=(Comparison(-total_derivative(loss), ">=", loss**EXPONENT, where=PHASE_3),),
        exponent=sp.S.One,
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="distance_decay",
        statement="phase 3: dZ/dt >= -C n^4/(kappa_max(0)^2 |v|) Z^2",
        source=xu_du("eq. 66", "inequality"),
        hypotheses=(SEVERAL, TRANSVERSE, SPREAD, *BALANCED),
        conclusions=(
            Comparison(
                -total_derivative(Z), "<=", n**4 / (kappa_0**2 * v) * Z**EXPONENT, where=PHASE_3
            ),
        ),
        exponent=sp.Integer(2),
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="distance_vs_loss",
        statement="phase 3: L >= c Z^3/(n^5 |v|)",
        source=xu_du("eq. 68", "inequality"),
        hypotheses=(SEVERAL, *BALANCED),
        conclusions=(Comparison(loss, ">=", Z**EXPONENT / (n**5 * v), where=PHASE_3),),
        exponent=sp.Integer(3),
        reading=READ_T2,
        names=NAMES,
    ),
    Invariant(
        id="kappa_persists",
        statement="for all t > 0: some z_i = 0 or kappa_max(t) >= min(kappa_max(0), pi/2), which "
        "is at least kappa_max(0)/2; the paper prints kappa_max(0)/3, and its proof mixes /2 and "
        "/3",
        source=xu_du(
            "Lemma 30; the form without a factor derived in "
            "symbolic/systems/relu_neuron/persistence.py",
            "invariant",
        ),
        hypotheses=(SEVERAL, SPREAD),
        conclusions=(
            Comparison(
                kappa_max,
                ">=",
                sp.Min(kappa_0, sp.pi / 2),
                sp.S.One,
                where=(positive(t), positive(symbol("z_min"))),
            ),
        ),
        names=NAMES,
    ),
    Inequality(
        id="separation",
        statement="at a pair attaining kappa_max < pi/2: "
        "d/dt cos kappa_ij <= -((pi - theta_ij)/pi)(1 - cos^2 kappa_ij)",
        source=xu_du("Lemma 17", "inequality"),
        hypotheses=(
            SEVERAL,
            Hypothesis(
                "0 < kappa_max(0) < pi/2",
                sp.Abs(kappa_0 - sp.pi / 4),
                "<",
                sp.pi / 4,
                unmet="kappa_max(0) = {value}, not in (0, pi/2)",
                value=kappa_0,
            ),
        ),
        conclusions=(
            Comparison(
                sp.sin(kappa) * total_derivative(kappa),
                ">=",
                (sp.pi - theta_pair) / sp.pi * sp.sin(kappa) ** 2,
                sp.S.One,
                where=(kappa - kappa_max, sp.pi / 2 - kappa_max),
                over="pair",
            ),
        ),
        names=NAMES,
    ),
    Invariant(
        id="balance",
        statement="phase 2: h_i <= 2 h_j and s_1/2 <= h_i <= 2|v|/n with s_1 = sigma sqrt(d)/2; "
        "phase 3: |v|/(4n) <= |w_i| <= 4|v|/n",
        source=xu_du("Theorems 5 and 6", "invariant"),
        hypotheses=INITIALISATION,
        conclusions=(
            Comparison(balance, "<=", sp.S.One, sp.Integer(2), PHASE_2),
            Comparison(h, ">=", sigma_0 * sp.sqrt(d), sp.Rational(1, 4), PHASE_2, "neuron"),
            Comparison(h, "<=", v / n, sp.Integer(2), PHASE_2, "neuron"),
            Comparison(norm, ">=", v / n, sp.Rational(1, 4), PHASE_3, "neuron"),
            Comparison(norm, "<=", v / n, sp.Integer(4), PHASE_3, "neuron"),
        ),
        reading=READ_TIMES,
        names=NAMES,
    ),
    Inequality(
        id="phase1_angles",
        statement="phase 1: sin^2(theta_i/2) - eps1^2 <= "
        "(1 + t|v|/s_2)^(-1/24) (sin^2(theta_i(0)/2) - eps1^2), s_2 = 2 sigma sqrt(d), with the "
        "smallest eps1 that the theorem allows, eps1^48 = sigma sqrt(d)/|v| (constant read as 1)",
        source=xu_du("Theorem 4", "inequality"),
        hypotheses=INITIALISATION,
        conclusions=(
            Comparison(
                sp.sin(theta / 2) ** 2 - _EPS1_SQUARED,
                "<=",
                (1 + t * v / (2 * sigma_0 * sp.sqrt(d))) ** (-EXPONENT)
                * (sp.sin(symbol("theta_0") / 2) ** 2 - _EPS1_SQUARED),
                sp.S.One,
                PHASE_1,
                "neuron",
                # Below eps1 there is nothing to decay, and a bound near one holds for any flow.
                says=(sp.sin(symbol("theta_0") / 2) ** 2 - _EPS1_SQUARED,),
            ),
        ),
        exponent=sp.Rational(1, 24),
        reading=READ_T1,
        names=NAMES,
    ),
    Inequality(
        id="phase2_residual",
        statement="phase 2: H decays like exp(-n t/2) up to O(eps2 |v|), read as "
        "|dH/dt + (n/2) H| <= n eps2 |v| with eps2 = theta_max(t); and dV/dt <= 10 n V",
        source=xu_du("Theorem 5", "inequality"),
        hypotheses=INITIALISATION,
        conclusions=(
            Comparison(
                sp.Abs(total_derivative(H) + n * EXPONENT * H),
                "<=",
                n * angle_max * v,
                sp.S.One,
                PHASE_2,
                # With a slack above n/2 |H| the bound holds for an H that does not decay.
                says=(EXPONENT * sp.Abs(H) - angle_max * v,),
            ),
            Comparison(total_derivative(V), "<=", n * V, sp.Integer(10), PHASE_2),
        ),
        exponent=sp.Rational(1, 2),
        reading=READ_TIMES,
        names=NAMES,
    ),
    Inequality(
        id="phase_times",
        statement="T2 = O(log n/n), read as T2 <= 9 log(n)/n: exp(-n t/2) falls from 1 to 1/10 in "
        "2 log(10)/n, which is at most 6.65 log(n)/n for n >= 2; a third more is allowed, because "
        "T2 is an output time. To the paper's threshold it takes 28 log(n)/n",
        source=xu_du(
            "Theorem 5 and Corollary 12; the constant derived in "
            "symbolic/systems/relu_neuron/phase_2.py",
            "upper",
        ),
        hypotheses=(SEVERAL, *INITIALISATION),
        conclusions=(
            # At t = 0: both sides are numbers of the whole run.
            Comparison(T2 * n, "<=", sp.log(n), sp.Integer(9), where=(-t,)),
        ),
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="gradient_lower",
        statement="phase 3, L <= |v|^2/n^14: |grad L| >= c L^(2/3)/(n^(2/3) |v|^(1/3))",
        source=xu_du("Theorem 7", "inequality"),
        hypotheses=BALANCED,
        conclusions=(
            Comparison(
                gradient_norm,
                ">=",
                loss**EXPONENT / (n ** (2 * _THIRD) * v**_THIRD),
                where=(*PHASE_3, v**2 / n**14 - loss),
            ),
        ),
        exponent=2 * _THIRD,
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="angle_vs_loss",
        statement="|w_i|^2 theta_i^3 <= 30 pi L (both sides scale like |v|^2, so the lemma's "
        "|v| = 1 is no restriction)",
        source=xu_du("Lemma 20", "inequality"),
        # L >= (1/2) E[relu(w.x)^2, v.x < 0] = |w|^2 (theta - sin theta cos theta)/(4 pi), which
        # is at least |w|^2 theta^3/(30 pi) for theta <= 2.86. Written in h, it holds for w_i = 0.
        hypotheses=(
            Hypothesis(
                "every theta_i <= 2.86, that is h_i >= cos(2.86) |w_i|; not in the lemma, which "
                "fails beyond, e.g. for n = 1, |w| > 2|v| anti-parallel",
                h,
                ">=",
                sp.cos(sp.Rational(286, 100)) * norm,
                "neuron",
                unmet="some h_i = {value}, not >= cos(2.86) |w_i| = {needed}",
            ),
        ),
        conclusions=(Comparison(norm**2 * theta**EXPONENT, "<=", loss, 30 * sp.pi, over="neuron"),),
        exponent=sp.Integer(3),
        names=NAMES,
    ),
    Inequality(
        id="transverse_vs_loss",
        statement="|z_i|^3 <= 6 pi |w_i| L at every state: the sharp form of Lemma 20",
        source=derived("Lemma 20", "inequality"),
        conclusions=(
            Comparison(zeta**EXPONENT, "<=", norm * loss, bounds.TRANSVERSE_VS_LOSS, over="neuron"),
        ),
        exponent=sp.Integer(3),
        names=NAMES,
    ),
    Inequality(
        id="distance_decay_constant",
        statement="phase 3: dZ/dt >= -34 pi^2 n^4/(kappa_max(0)^2 |v|) Z^2",
        source=derived("eq. 66", "inequality", "decay"),
        hypotheses=(SEVERAL, TRANSVERSE, SPREAD, *BALANCED, ACUTE),
        conclusions=(
            Comparison(
                -total_derivative(Z),
                "<=",
                n**4 / (kappa_0**2 * v) * Z**EXPONENT,
                bounds.DISTANCE_DECAY,
                PHASE_3,
            ),
        ),
        exponent=sp.Integer(2),
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="distance_vs_loss_constant",
        statement="phase 3: L >= Z^3/(24 pi n^5 |v|)",
        source=derived("eq. 68", "inequality"),
        hypotheses=(SEVERAL, *BALANCED),
        conclusions=(
            Comparison(loss, ">=", Z**EXPONENT / (n**5 * v), bounds.DISTANCE_VS_LOSS, PHASE_3),
        ),
        exponent=sp.Integer(3),
        reading=READ_T2,
        names=NAMES,
    ),
    LowerBound(
        id="loss_lower_constant",
        statement="phase 3: L(t)^(-1/3) <= 34 pi^2 (24 pi)^(1/3) n^(17/3)/(kappa_max(0)^2 "
        "|v|^(2/3)) (t - T2) + (24 pi n^5 |v|)^(1/3)/Z(T2)",
        source=derived("Theorem 14", "lower", "decay"),
        hypotheses=(SEVERAL, TRANSVERSE, SPREAD, *BALANCED, ACUTE),
        conclusions=(
            Comparison(
                loss ** (-1 / EXPONENT),
                "<=",
                bounds.LOSS_LOWER
                * n ** sp.Rational(17, 3)
                / (kappa_0**2 * v ** (2 * _THIRD))
                * (t - T2)
                + (n**5 * v / bounds.DISTANCE_VS_LOSS) ** _THIRD / symbol("pairwise_distance_T2"),
                sp.S.One,
                PHASE_3,
            ),
        ),
        exponent=sp.Integer(3),
        reading=READ_T2,
        names=NAMES,
    ),
    *LEMMAS,
)
