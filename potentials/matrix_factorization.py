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
    LowerBound,
    Mark,
    UpperBound,
)
from potentials.notation import symbol, total_derivative
from potentials.potential import Over, Potential, Reduce, Term, single
from potentials.source import Source
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

NAMES = MappingProxyType(
    {
        "residual": r"\lvert \Sigma - W \rvert_F",
        "defect": r"\lvert \Delta_i \rvert_F",
        "singular_value": r"\sigma_i(W)",
        "singular_speed": r"\sum_i \sigma_i^{2 - 2/N} u_i^H (\Sigma - W) v_i",
        "nuclear_norm": r"\sum_i \sigma_i(W)",
        "layer_value": r"\sigma_i(W_1, \dots, W_N)",
        "skew": r"\lvert (A - R) \Sigma^{1/2} \rvert_F",
        "even": r"\lvert (A + R) \Sigma^{1/2} \rvert_F",
        "main": r"\sigma_i(A + R)",
        "determinant": r"\operatorname{Re} \det W",
        "orientation": r"\operatorname{Re} \det U^H W V",
        "layer_defect": r"\lvert \Delta \rvert_F",
        "layer_square": r"\sum_j \lvert W_j \rvert_F^2",
        "imbalance": r"\lvert \Delta \rvert_F / \sum_j \lvert W_j \rvert_F^2",
        "loss": "L",
        "loss_fit": "L_{ori}",
        "loss_balance": "L_{reg}",
        "gradient_norm": r"\lvert \nabla L \rvert",
        "fit_speed": r"\lvert \nabla L_{ori} \rvert",
        "balance_speed": r"\lvert \nabla L_{reg} \rvert",
        "balance_defect": r"\lvert \Delta \rvert_F",
        "skew_error": "S",
        "main_term": r"\sigma_{\min}(A + R)",
        "value_max": r"\sigma_{\max}(W)",
        "value_min": r"\sigma_{\min}(W)",
        "layer_max": r"\max_j \sigma_{\max}(W_j)",
        "layer_min": r"\min_j \sigma_{\min}(W_j)",
        "regularization": "a",
        "depth": "N",
        "sigma_max": r"\sigma_1(\Sigma)",
        "sigma_min": r"\sigma_d(\Sigma)",
        "is_complex": r"[F = \mathbb{C}]",
        "t_end": r"t_{\mathrm{end}}",
        "T1": "T_1",
        "T2": "T_2",
    }
)

# Features and constants, by the names of `flows`.
t, depth, a = (symbol(name) for name in ("t", "depth", "regularization"))
sigma_max, sigma_min, is_complex = (
    symbol(name) for name in ("sigma_max", "sigma_min", "is_complex")
)
loss, gradient_norm = symbol("loss"), symbol("gradient_norm")
residual, skew, even = (symbol(name) for name in ("residual", "skew", "even"))
loss_balance, skew_error, main_term = (
    symbol(name) for name in ("loss_balance", "skew_error", "main_term")
)
value_max, layer_max, layer_min = (symbol(name) for name in ("value_max", "layer_max", "layer_min"))
imbalance, T1, T2 = (symbol(name) for name in ("imbalance", "T1", "T2"))
loss_fit, nuclear_norm = symbol("loss_fit"), symbol("nuclear_norm")


def _paper(locator: str, kind: str) -> Source:
    return Source("Luo, Xu, Gao, Fazel & Du", 2025, "2511.09925", locator, kind)


# --- potentials ---------------------------------------------------------------------------------


def _single(
    name: str,
    latex_symbol: str,
    over: Over,
    feature: str,
    reduce: Reduce | None,
    domain: str,
    source: Source,
    words: str = "",
) -> Potential:
    terms = single(name, over, symbol(feature), reduce)
    return Potential(name, latex_symbol, terms, symbol(name), domain, source, NAMES, words)


_SQUARES = (Term("squares", "neuron", symbol("defect") ** 2, "sum"),)
_DEFINED = "W_2 ... W_{N/2} invertible (odd N: W_2 ... W_{N-1})"
_SIMPLE = "everywhere; differentiable where this singular value is simple and not zero"

POTENTIALS: tuple[Potential, ...] = (
    Potential(
        "loss_fit",
        r"L_{ori}",
        (Term("square", "state", residual**2),),
        symbol("square") / 2,
        "everywhere",
        _paper("section 2", "definition"),
        NAMES,
        "The part of the loss that fits the target",
    ),
    Potential(
        "loss_balance",
        r"L_{reg}",
        _SQUARES,
        a / 4 * symbol("squares"),
        "everywhere",
        _paper("section 2", "definition"),
        NAMES,
        "The part of the loss that keeps the layers balanced",
    ),
    Potential(
        "balance_defect",
        r"\lvert \Delta \rvert_F",
        _SQUARES,
        sp.sqrt(symbol("squares")),
        "everywhere; differentiable where it is not zero",
        _paper("section 2", "definition"),
        NAMES,
        "How far the layers are from balance",
    ),
    Potential(
        "skew_error",
        "S",
        (Term("square", "state", skew**2),),
        symbol("square"),
        _DEFINED,
        _paper("Theorems 4, 33 and 34", "definition"),
        NAMES,
        "The skew error: how much the matrices A and R of the flow differ",
    ),
    _single(
        "main_term",
        r"\sigma_{\min}(A + R)",
        "neuron",
        "main",
        "min",
        _DEFINED,
        _paper("Theorem 5", "definition"),
        "The main term: the least singular value of the sum of A and R",
    ),
    _single(
        "singular_values",
        r"\sigma_i(W)",
        "neuron",
        "singular_value",
        None,
        _SIMPLE,
        _paper("section 2", "definition"),
        "A singular value of the product of the layers",
    ),
    _single(
        "layer_max",
        r"\max_j \sigma_{\max}(W_j)",
        "neuron",
        "layer_value",
        "max",
        _SIMPLE,
        _paper("Theorem 7", "definition"),
        "The largest singular value of any layer",
    ),
    _single(
        "layer_min",
        r"\min_j \sigma_{\min}(W_j)",
        "neuron",
        "layer_value",
        "min",
        _SIMPLE,
        _paper("Theorem 7", "definition"),
        "The least singular value of any layer",
    ),
    _single(
        "determinant",
        r"\operatorname{Re} \det W",
        "state",
        "determinant",
        None,
        "everywhere; the sign matters for real layers only",
        _paper("Theorem 2", "definition"),
        "The determinant of the product, whose sign decides for real layers",
    ),
)

AUXILIARIES: tuple[Potential, ...] = (
    _single(
        "nuclear_norm",
        r"\sum_i \sigma_i(W)",
        "neuron",
        "singular_value",
        "sum",
        _SIMPLE,
        _paper("section 4", "definition"),
    ),
    _single(
        "value_max",
        r"\sigma_{\max}(W)",
        "neuron",
        "singular_value",
        "max",
        _SIMPLE,
        _paper("Theorem 5", "definition"),
    ),
    _single(
        "value_min",
        r"\sigma_{\min}(W)",
        "neuron",
        "singular_value",
        "min",
        _SIMPLE,
        _paper("Theorem 11", "definition"),
    ),
)

MARKS: tuple[Mark, ...] = (
    Mark(
        "T1",
        even / 10 - skew,
        "from",
        "end of alignment: |(A - R) Sigma^(1/2)|_F <= |(A + R) Sigma^(1/2)|_F/10 from then on",
    ),
    Mark(
        "T2",
        sigma_min / 2 - residual,
        "from",
        "end of saddle avoidance, beginning of local convergence: |Sigma - W|_F <= sigma_d/2 from"
        " then on",
    ),
)

READ_TIMES = (
    "T1 is read at |(A - R) Sigma^(1/2)|_F = |(A + R) Sigma^(1/2)|_F/10 and T2 is read at "
    "|Sigma - W|_F = sigma_d/2, where the paper has times with open constants"
)

#: Of the claim about probabilities, which takes an ensemble (`flows`) instead of one run.
PROBABILITY = _paper("Theorem 1", "rate")

# --- hypotheses ---------------------------------------------------------------------------------

#: What is read into `a >> sigma_1`: at least so many times.
STRONG = sp.Integer(10)
#: A chain counts as balanced below this imbalance: the numerical error of a run.
BALANCED = sp.Rational(1, 10**9)
#: What "L tends to zero" is read as, relative to the start.
VANISHED = sp.Rational(1, 10**6)

_ISOTROPIC = Hypothesis(
    "Sigma = sigma_1 I (singular values equal to 1e-12; bases may be turned)",
    sigma_min,
    ">=",
    sigma_max * (1 - sp.Rational(1, 10**12)),
    unmet="the singular values of Sigma differ: the smallest is {value}, the largest {needed}",
)
_FOUR = (
    Hypothesis("N = 4", depth, "<=", sp.Integer(4), unmet="N = {value}, not 4"),
    Hypothesis("N = 4", depth, ">=", sp.Integer(4), unmet="N = {value}, not 4"),
)
_STRONG = Hypothesis(
    "a >> sigma_1, read as a >= 10 sigma_1",
    a,
    ">=",
    STRONG * sigma_max,
    unmet="a = {value}, not >= 10 sigma_1 = {needed}",
)
_SMALL_START = Hypothesis(
    "eps small, read as |W_j(0)| <= sigma_1^(1/4) for every layer",
    symbol("layer_max_0"),
    "<=",
    sigma_max ** sp.Rational(1, 4),
    unmet="the largest |W_j(0)| is {value}, not <= sigma_1^(1/4) = {needed}",
)
_CHAIN_BALANCED = Hypothesis(
    "balanced: |Delta|_F <= 1e-9 sum_j |W_j|_F^2",
    imbalance,
    "<=",
    BALANCED,
    unmet="|Delta|_F/sum_j |W_j|_F^2 = {value}, not <= 1e-9: the layers are not balanced",
)
_EVEN_DEPTH = Hypothesis(
    "N even",
    depth / 2 - sp.floor(depth / 2),
    "<=",
    sp.S.Zero,
    unmet="N = {value}, not even",
    value=depth,
)
_CONNECTED = Hypothesis(
    "complex layers, or det W(0) > 0 (relative to Sigma)",
    sp.Max(is_complex, sp.sign(symbol("orientation_0"))),
    ">",
    sp.S.Zero,
    unmet="the layers are real, and det W(0) = {value} (relative to Sigma), not > 0",
    value=symbol("orientation_0"),
)
_INVERTIBLE_LAYERS = Hypothesis(
    "every layer invertible",
    layer_min,
    ">",
    sp.S.Zero,
    unmet="the smallest singular value of the layers is {value}, not > 0",
)
_INVERTIBLE = Hypothesis("Sigma invertible", sigma_min, ">", sp.S.Zero, unmet="Sigma is singular")

# --- claims -------------------------------------------------------------------------------------

_SPREAD = layer_max / layer_min
_THEOREM_11 = "Theorem 11, in the place of its other conclusions, which were not at hand"
#: Room for the numerical error of a bound that is attained in the limit.
_ROOM = sp.Rational(1, 1000)
_LOCAL = (
    _ISOTROPIC,
    *_FOUR,
    _STRONG,
    Hypothesis(
        "aligned before: T1 <= T2", T1, "<=", T2, unmet="T1 = {value}, not <= T2 = {needed}"
    ),
)

CLAIMS: tuple[Claim, ...] = (
    Identity(
        id="orthogonal_parts",
        statement="<grad L_ori, grad L_reg> = 0, measured as |grad L|^2 = |grad L_ori|^2 + "
        "|grad L_reg|^2",
        source=_paper("derived in symbolic/systems/matrix_factorization/calculus.py", "identity"),
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
        source=_paper("Theorem 7", "identity"),
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
        source=_paper("Theorems 7 and 31; constant derived here, for N <= 5", "upper"),
        hypotheses=(
            Hypothesis("a > 0", a, ">", sp.S.Zero, unmet="a = {value}, not > 0"),
            Hypothesis("N <= 5", depth, "<=", sp.Integer(5), unmet="N = {value}, not <= 5"),
            _INVERTIBLE_LAYERS,
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
                4 * a * layer_min**2 / (2 + _SPREAD**2) * loss_balance,
                sp.S.One,
            ),
        ),
        names=NAMES,
    ),
    UpperBound(
        id="global_convergence",
        statement="L -> 0 with probability near 1 (complex) or near 1/2 (real), read for one run "
        "as L(t_end) <= 1e-6 L(0); the real event of probability near 1/2 is det W(0) > 0",
        source=_paper("Theorem 1", "upper"),
        hypotheses=(
            _ISOTROPIC,
            *_FOUR,
            _SMALL_START,
            _STRONG,
            _CONNECTED,
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
        source=_paper("Theorem 2", "lower"),
        hypotheses=(
            Hypothesis(
                "real layers", is_complex, "<=", sp.S.Zero, unmet="the layers are complex, not real"
            ),
            _CHAIN_BALANCED,
            Hypothesis(
                "det W(0) < 0 (relative to Sigma)",
                symbol("orientation_0"),
                "<",
                sp.S.Zero,
                unmet="det W(0) = {value} (relative to Sigma), not < 0",
            ),
            _INVERTIBLE,
        ),
        conclusions=(Comparison(loss, ">=", sigma_min**2, sp.Rational(1, 4), at_infinity=True),),
        names=NAMES,
    ),
    Inequality(
        id="skew_monotone",
        statement="the skew error |(A - R) Sigma^(1/2)|_F^2 never increases; measured down to "
        "1e-6 of its start, below which a run has no digits of it",
        source=_paper("Theorems 4, 33 and 34; off balance it can grow", "inequality"),
        hypotheses=(_EVEN_DEPTH, _CHAIN_BALANCED),
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
        source=_paper("Theorem 5", "inequality"),
        hypotheses=(_ISOTROPIC, *_FOUR, _CHAIN_BALANCED, _CONNECTED),
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
        source=_paper("Theorem 11", "upper"),
        hypotheses=_LOCAL,
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
        source=_paper("derived in symbolic/systems/matrix_factorization/calculus.py", "identity"),
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
        source=_paper(
            "section 4, in the place of eq. 11, which was not at hand; derived in "
            "symbolic/systems/matrix_factorization/local.py",
            "identity",
        ),
        hypotheses=(_CHAIN_BALANCED,),
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
        source=_paper(
            "Theorem 11; derived in symbolic/systems/matrix_factorization/local.py", "upper"
        ),
        hypotheses=(_INVERTIBLE_LAYERS,),
        conclusions=(
            Comparison(
                -total_derivative(loss_fit),
                ">=",
                depth * layer_min ** (EXPONENT * (depth - 1)) * loss_fit,
                2 * (1 - _ROOM),
            ),
        ),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
    Invariant(
        id="layers_local",
        statement="local convergence: all singular values of the layers stay between "
        "sigma_1^(1/4)/sqrt(2) and sqrt(2) sigma_1^(1/4)",
        source=_paper(_THEOREM_11, "invariant"),
        hypotheses=_LOCAL,
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
        source=_paper(
            f"{_THEOREM_11}; derived in symbolic/systems/matrix_factorization/local.py", "upper"
        ),
        hypotheses=(
            *_LOCAL,
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
