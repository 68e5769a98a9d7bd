r"""Potentials and claims of matrix factorisation (Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925).

Layers `W_1, ..., W_N`, `W = W_N ... W_1`, `Delta_j = W_j W_j^H - W_{j+1}^H W_{j+1}`, loss
`L = L_ori + L_reg` with `L_ori = |Sigma - W|_F^2/2`, `L_reg = (a/4) sum_j |Delta_j|_F^2`; the flow
is `dW_j/dt = -grad_j L`. `A = W_1`, `R = W_2^-1 W_3^H W_4^H`: for a balanced chain `W = U S^4 V^H`
their difference is the skew error `(U - V) S` and their sum the main term `(U + V) S`, apart from a
unitary factor and adjoints. Both are taken in bases in which `Sigma` is diagonal.

The paper's stages are bounded by times with unspecified constants. Here they are read off the run
(`MARKS`): alignment ends when the skew error is small beside the main term, saddle avoidance when
the residual is below half the least singular value of the target.
"""

from __future__ import annotations

import sympy as sp

from potentials.claim import (
    EXPONENT,
    Claim,
    Comparison,
    Hypothesis,
    Identity,
    Inequality,
    Invariant,
    LowerBound,
    UpperBound,
)
from potentials.matrix_factorization_notation import (
    CHAIN_BALANCED,
    CONNECTED,
    EVEN_DEPTH,
    FOUR,
    INVERTIBLE,
    INVERTIBLE_LAYERS,
    ISOTROPIC,
    LOCAL,
    NAMES,
    PROBABILITY,
    READ_TIMES,
    ROOM,
    SMALL_START,
    SPREAD,
    STRONG,
    STRONG_BALANCING,
    T2,
    THEOREM_11,
    VANISHED,
    a,
    depth,
    gradient_norm,
    is_complex,
    layer_max,
    layer_min,
    loss,
    loss_balance,
    loss_fit,
    luo,
    main_term,
    nuclear_norm,
    residual,
    sigma_max,
    sigma_min,
    skew_error,
    t,
    value_max,
)
from potentials.matrix_factorization_potentials import AUXILIARIES, MARKS, POTENTIALS
from potentials.notation import symbol, total_derivative
from symbolic.systems.matrix_factorization import local

__all__ = [
    "AUXILIARIES",
    "CLAIMS",
    "MARKS",
    "NAMES",
    "POTENTIALS",
    "PROBABILITY",
    "STRONG",
    "VANISHED",
]

CLAIMS: tuple[Claim, ...] = (
    Identity(
        id="orthogonal_parts",
        statement="<grad L_ori, grad L_reg> = 0, measured as |grad L|^2 = |grad L_ori|^2 + "
        "|grad L_reg|^2",
        source=luo("derived in symbolic/systems/matrix_factorization/calculus.py", "identity"),
        conclusions=(
            Comparison(
                gradient_norm**EXPONENT,
                "==",
                symbol("fit_speed") ** 2 + symbol("balance_speed") ** 2,
                sp.S.One,
            ),
        ),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
    Invariant(
        id="balance_conserved",
        statement="a = 0: every Delta_j is constant; measured on their norm as the layers "
        "give it, to 1e-7 of sum_j |W_j|_F^2, the numerical error",
        source=luo("Theorem 7", "identity"),
        hypotheses=(Hypothesis("a = 0", a, "<=", sp.S.Zero, unmet="a = {value}, not 0"),),
        conclusions=(
            Comparison(
                sp.Abs(symbol("layer_defect") - symbol("layer_defect_0")),
                "<=",
                symbol("layer_square"),
                sp.Rational(1, 10**7),
            ),
        ),
        names=NAMES,
    ),
    Inequality(
        id="balance_decays",
        statement="L_reg decays at least linearly while the singular values of the layers stay in "
        "[delta, M]: dL_reg/dt <= -4 a delta^2/(2 + (M/delta)^2) L_reg at every state",
        # |Delta_1| <= |X_1|/delta, |Delta_{N-1}| <= |X_N|/delta, and |Delta_j| <= (|X_j| +
        # M |Delta_{j-1}|)/delta, with X_j = Delta_j W_j - W_j Delta_{j-1} and
        # dL_reg/dt = -a^2 sum |X_j|^2: from both ends inwards no more than one step for N <= 5.
        source=luo("Theorems 7 and 31; constant derived here, for N <= 5", "upper"),
        hypotheses=(
            Hypothesis("a > 0", a, ">", sp.S.Zero, unmet="a = {value}, not > 0"),
            Hypothesis("N <= 5", depth, "<=", sp.Integer(5), unmet="N = {value}, not <= 5"),
            INVERTIBLE_LAYERS,
            Hypothesis(
                "Delta(0) != 0",
                symbol("balance_defect_0"),
                ">",
                sp.S.Zero,
                unmet="Delta(0) = 0: the layers are balanced",
            ),
        ),
        conclusions=(
            Comparison(
                -total_derivative(loss_balance),
                ">=",
                4 * a * layer_min**2 / (2 + SPREAD**2) * loss_balance,
                sp.S.One,
            ),
        ),
        names=NAMES,
    ),
    UpperBound(
        id="global_convergence",
        statement="L -> 0 with probability near 1 (complex) or near 1/2 (real), read for one run "
        "as L(t_end) <= 1e-6 L(0); the real event of probability near 1/2 is det W(0) > 0",
        source=luo("Theorem 1", "upper"),
        hypotheses=(
            ISOTROPIC,
            *FOUR,
            SMALL_START,
            STRONG_BALANCING,
            CONNECTED,
            Hypothesis(
                "the run is long enough to leave the saddle, read as "
                "t_end >= 100/(sigma_1 sigma_min(A + R)^2) at t = 0",
                symbol("t_end"),
                ">=",
                100 / (sigma_max * symbol("main_term_0") ** 2),
                unmet="t_end = {value}, not >= 100/(sigma_1 sigma_min(A + R)^2) = {needed}: "
                "the run may end at the saddle",
            ),
        ),
        conclusions=(
            # At t = 0: both sides are numbers of the whole run.
            Comparison(symbol("loss_end"), "<=", symbol("loss_0"), VANISHED, where=(-t,)),
        ),
        names=NAMES,
    ),
    LowerBound(
        id="real_failure",
        statement="real, balanced, det W(0) < 0: L does not tend to 0, because det W keeps its "
        "sign and Sigma is sigma_d away from singular matrices: L >= sigma_d^2/2; half of it is "
        "claimed, which leaves room for the numerical error of the limit",
        source=luo("Theorem 2", "lower"),
        hypotheses=(
            Hypothesis(
                "real layers", is_complex, "<=", sp.S.Zero, unmet="the layers are complex, not real"
            ),
            CHAIN_BALANCED,
            Hypothesis(
                "det W(0) < 0 (relative to Sigma)",
                symbol("orientation_0"),
                "<",
                sp.S.Zero,
                unmet="det W(0) = {value} (relative to Sigma), not < 0",
            ),
            INVERTIBLE,
        ),
        conclusions=(Comparison(loss, ">=", sigma_min**2, sp.Rational(1, 4), at_infinity=True),),
        names=NAMES,
    ),
    Inequality(
        id="skew_monotone",
        statement="the skew error |(A - R) Sigma^(1/2)|_F^2 never increases; measured down to "
        "1e-6 of its start, below which a run has no digits of it",
        source=luo("Theorems 4, 33 and 34; off balance it can grow", "inequality"),
        hypotheses=(EVEN_DEPTH, CHAIN_BALANCED),
        conclusions=(
            Comparison(
                -total_derivative(skew_error),
                ">=",
                sp.S.Zero,
                sp.S.One,
                (t, skew_error - symbol("skew_error_0") / 10**6),
            ),
        ),
        names=NAMES,
    ),
    Inequality(
        id="main_term_grows",
        statement="sigma_min(A + R) never decreases before local convergence, read as |W| <= "
        "(99/100) sigma_1; measured where it is above 1e-9 of the layers, that is of its rounding",
        source=luo("Theorem 5", "inequality"),
        hypotheses=(ISOTROPIC, *FOUR, CHAIN_BALANCED, CONNECTED),
        conclusions=(
            Comparison(
                total_derivative(main_term),
                ">=",
                sp.S.Zero,
                sp.S.One,
                (t, sp.Rational(99, 100) * sigma_max - value_max, main_term - layer_max / 10**9),
            ),
        ),
        names=NAMES,
    ),
    UpperBound(
        id="local_rate",
        statement="after alignment and saddle avoidance L <= L(T2) exp(-sigma_1^(3/2) (t - T2)); "
        "the theorem has L_ori(T2), which L(T2) exceeds by what is left of L_reg",
        source=luo("Theorem 11", "upper"),
        hypotheses=LOCAL,
        conclusions=(
            Comparison(
                loss,
                "<=",
                symbol("loss_T2") * sp.exp(-(sigma_max**EXPONENT) * (t - T2)),
                sp.S.One,
                (t - T2 - sp.Rational(1, 10**9),),
            ),
        ),
        exponent=sp.Rational(3, 2),
        reading=READ_TIMES,
        names=NAMES,
    ),
    Identity(
        id="parts_dissipate",
        statement="dL_ori/dt = -|grad L_ori|^2 along the flow of the whole loss, so |Sigma - W|_F "
        "never increases, and dL_reg/dt = -|grad L_reg|^2",
        source=luo("derived in symbolic/systems/matrix_factorization/calculus.py", "identity"),
        conclusions=(
            Comparison(
                -total_derivative(loss_fit), "==", symbol("fit_speed") ** EXPONENT, sp.S.One
            ),
        ),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
    Inequality(
        id="singular_value_flow",
        statement="balanced chains: d sigma_i(W)/dt = N sigma_i^(2 - 2/N) (u_i^H Sigma v_i - "
        "sigma_i), with the singular vectors u_i, v_i of W; measured on the sum over i, to 1e-7 of "
        "N |W|^(2 - 2/N) |Sigma - W|_F, the numerical error of singular values near zero",
        source=luo(
            "section 4, in the place of eq. 11, which was not at hand; derived in "
            "symbolic/systems/matrix_factorization/local.py",
            "identity",
        ),
        hypotheses=(CHAIN_BALANCED,),
        conclusions=(
            Comparison(
                sp.Abs(total_derivative(nuclear_norm) - depth * symbol("singular_speed")),
                "<=",
                depth * value_max ** (2 - 2 / depth) * residual,
                sp.Rational(1, 10**7),
            ),
        ),
        names=NAMES,
    ),
    Inequality(
        id="fit_decays",
        statement="-dL_ori/dt >= 2 N delta^(2 N - 2) L_ori at every state, delta the least "
        "singular value of all layers; a thousandth is left for the numerical error, because the "
        "limit attains it",
        source=luo(
            "Theorem 11; derived in symbolic/systems/matrix_factorization/local.py", "upper"
        ),
        hypotheses=(INVERTIBLE_LAYERS,),
        conclusions=(
            Comparison(
                -total_derivative(loss_fit),
                ">=",
                depth * layer_min ** (EXPONENT * (depth - 1)) * loss_fit,
                2 * (1 - ROOM),
            ),
        ),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
    Invariant(
        id="layers_local",
        statement="local convergence: all singular values of the layers stay between "
        "sigma_1^(1/4)/sqrt(2) and sqrt(2) sigma_1^(1/4)",
        source=luo(THEOREM_11, "invariant"),
        hypotheses=LOCAL,
        conclusions=(
            Comparison(layer_min, ">=", sigma_max**EXPONENT, 1 / local.WIDEST, where=(t - T2,)),
            Comparison(layer_max, "<=", sigma_max**EXPONENT, local.WIDEST, where=(t - T2,)),
        ),
        exponent=sp.Rational(1, 4),
        reading=READ_TIMES,
        names=NAMES,
    ),
    UpperBound(
        id="balance_rate",
        statement="local convergence: L_reg <= L_reg(T2) exp(-(a/3) sqrt(sigma_1) (t - T2)) while "
        "the singular values of the layers stay in the window of `layers_local`",
        source=luo(
            f"{THEOREM_11}; derived in symbolic/systems/matrix_factorization/local.py", "upper"
        ),
        hypotheses=(
            *LOCAL,
            Hypothesis(
                "L_reg(T2) != 0 in doubles",
                symbol("loss_balance_T2"),
                ">",
                sp.S.Zero,
                unmet="L_reg(T2) = {value} in doubles, not > 0",
            ),
        ),
        conclusions=(
            Comparison(
                loss_balance,
                "<=",
                symbol("loss_balance_T2")
                * sp.exp(-local.BALANCE_RATE * a * sigma_max**EXPONENT * (t - T2)),
                sp.S.One,
                (t - T2 - sp.Rational(1, 10**9),),
            ),
        ),
        exponent=sp.S.Half,
        reading=READ_TIMES,
        names=NAMES,
    ),
)
