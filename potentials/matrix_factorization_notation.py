"""Common parts of the claims about matrix factorisation: symbols, source, readings, hypotheses.

Conventions as in `potentials.matrix_factorization`.
"""

from __future__ import annotations

from types import MappingProxyType

import sympy as sp

from potentials.claim import Hypothesis
from potentials.notation import parameter, symbol
from potentials.source import Source

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
t, depth, a = symbol("t"), parameter("depth"), parameter("regularization")

sigma_max, sigma_min, is_complex = (
    parameter(name) for name in ("sigma_max", "sigma_min", "is_complex")
)

loss, gradient_norm = symbol("loss"), symbol("gradient_norm")
residual, skew, even = (symbol(name) for name in ("residual", "skew", "even"))

loss_balance, skew_error, main_term = (
    symbol(name) for name in ("loss_balance", "skew_error", "main_term")
)

value_max, layer_max, layer_min = (symbol(name) for name in ("value_max", "layer_max", "layer_min"))
imbalance, T1, T2 = (symbol(name) for name in ("imbalance", "T1", "T2"))
loss_fit, nuclear_norm = symbol("loss_fit"), symbol("nuclear_norm")


def luo(locator: str, kind: str) -> Source:
    """Place in the paper."""
    return Source("Luo, Xu, Gao, Fazel & Du", 2025, "2511.09925", locator, kind)


READ_TIMES = (
    "T1 is read at |(A - R) Sigma^(1/2)|_F = |(A + R) Sigma^(1/2)|_F/10 and T2 is read at "
    "|Sigma - W|_F = sigma_d/2, where the paper has times with open constants"
)

#: Of the claim about probabilities, which takes an ensemble (`flows`) instead of one run.
PROBABILITY = luo("Theorem 1", "rate")

#: What is read into `a >> sigma_1`: at least so many times.
STRONG = sp.Integer(10)

#: A chain counts as balanced below this imbalance: the numerical error of a run.
BALANCED = sp.Rational(1, 10**9)

#: What "L tends to zero" is read as, relative to the start.
VANISHED = sp.Rational(1, 10**6)

ISOTROPIC = Hypothesis(
    "Sigma = sigma_1 I (singular values equal to 1e-12; bases may be turned)",
    sigma_min,
    ">=",
    sigma_max * (1 - sp.Rational(1, 10**12)),
    unmet="the singular values of Sigma differ: the smallest is {value}, the largest {needed}",
)

FOUR = (
    Hypothesis("N = 4", depth, "<=", sp.Integer(4), unmet="N = {value}, not 4"),
    Hypothesis("N = 4", depth, ">=", sp.Integer(4), unmet="N = {value}, not 4"),
)

STRONG_BALANCING = Hypothesis(
    "a >> sigma_1, read as a >= 10 sigma_1",
    a,
    ">=",
    STRONG * sigma_max,
    unmet="a = {value}, not >= 10 sigma_1 = {needed}",
)

SMALL_START = Hypothesis(
    "eps small, read as |W_j(0)| <= sigma_1^(1/4) for every layer",
    symbol("layer_max_0"),
    "<=",
    sigma_max ** sp.Rational(1, 4),
    unmet="the largest |W_j(0)| is {value}, not <= sigma_1^(1/4) = {needed}",
)

CHAIN_BALANCED = Hypothesis(
    "balanced: |Delta|_F <= 1e-9 sum_j |W_j|_F^2",
    imbalance,
    "<=",
    BALANCED,
    unmet="|Delta|_F/sum_j |W_j|_F^2 = {value}, not <= 1e-9: the layers are not balanced",
)

EVEN_DEPTH = Hypothesis(
    "N even",
    depth / 2 - sp.floor(depth / 2),
    "<=",
    sp.S.Zero,
    unmet="N = {value}, not even",
    value=depth,
)

CONNECTED = Hypothesis(
    "complex layers, or det W(0) > 0 (relative to Sigma)",
    sp.Max(is_complex, sp.sign(symbol("orientation_0"))),
    ">",
    sp.S.Zero,
    unmet="the layers are real, and det W(0) = {value} (relative to Sigma), not > 0",
    value=symbol("orientation_0"),
)

INVERTIBLE_LAYERS = Hypothesis(
    "every layer invertible",
    layer_min,
    ">",
    sp.S.Zero,
    unmet="the smallest singular value of the layers is {value}, not > 0",
)

INVERTIBLE = Hypothesis("Sigma invertible", sigma_min, ">", sp.S.Zero, unmet="Sigma is singular")

SPREAD = layer_max / layer_min

THEOREM_11 = "Theorem 11, in the place of its other conclusions, which were not at hand"

#: Room for the numerical error of a bound that is attained in the limit.
ROOM = sp.Rational(1, 1000)

LOCAL = (
    ISOTROPIC,
    *FOUR,
    STRONG_BALANCING,
    Hypothesis(
        "aligned before: T1 <= T2", T1, "<=", T2, unmet="T1 = {value}, not <= T2 = {needed}"
    ),
)
