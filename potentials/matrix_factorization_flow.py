r"""The flow of the layers, `W_j' = G_j - a D_j`, in the quantities of the proofs.

Both gradients, their orthogonality and that `L_reg` leaves `W` in place are derived in
`symbolic.systems.matrix_factorization.calculus`.

Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925.
"""

from __future__ import annotations

import sympy as sp

from potentials.matrix_factorization_notation import NAMES, a, depth, residual, skew
from potentials.notation import symbol
from potentials.substitution import Definition, Flow, K, indexed

__all__ = ["FLOW"]

_fit, _push, _singular = (indexed(name) for name in ("fit", "push", "singular"))


def _layers(summand: sp.Expr, last: sp.Expr = depth) -> sp.Expr:
    return sp.Sum(summand, (K, 1, last))


FLOW = Flow(
    rates={
        "residual": -_layers(_fit[K] ** 2) / residual,
        "squares": -4 * a * _layers(_push[K] ** 2),
        "skew": symbol("skew_product") / skew,
        "main": symbol("main_product"),
        "singular_value": _layers(_singular[K]),
        "layer_value": symbol("layer_product"),
        "determinant": symbol("determinant_product"),
    },
    definitions=(
        Definition(r"\frac{d W_j}{d t}", "V_j"),
        Definition(
            "V_j",
            "G_j - a D_j",
            "The first term is minus the gradient of L_ori, the second minus that of L_reg.",
        ),
        Definition("G_j", r"P_j^H (\Sigma - W) Q_j^H"),
        Definition("D_j", r"\Delta_j W_j - W_j \Delta_{j-1}", "Delta_0 = Delta_N = 0."),
        Definition("P_j", r"W_N \cdots W_{j+1}"),
        Definition("Q_j", r"W_{j-1} \cdots W_1", "An empty product is the identity."),
        Definition(
            r"\frac{d W}{d t}",
            r"\sum_{k=1}^{N} P_k G_k Q_k",
            "L_reg leaves the product in place. u_i and v_i are its singular vectors; u and v are"
            " those of the least or largest singular value.",
        ),
        Definition(
            "R",
            r"W_2^{-1} W_3^H W_4^H",
            "This and the next line are for N = 4, in bases in which Sigma is diagonal; A = W_1.",
        ),
        Definition(
            r"\frac{d R}{d t}", r"B = W_2^{-1} \left( V_3^H W_4^H + W_3^H V_4^H - V_2 R \right)"
        ),
    ),
    names={
        **NAMES,
        "skew_product": r"\operatorname{Re} \operatorname{tr} \left( (A - R)^H (V_1 - B)"
        r" \Sigma \right)",
        "main_product": r"\operatorname{Re} u^H (V_1 + B) v",
        "layer_product": r"\operatorname{Re} u^H V_j v",
        "determinant_product": r"\operatorname{Re} \left[ \det W \, \operatorname{tr} \left("
        r" W^{-1} \sum_{k=1}^{N} P_k G_k Q_k \right) \right]",
    },
    families={
        "fit": r"\lvert G_%s \rvert_F",
        "push": r"\lvert D_%s \rvert_F",
        "singular": r"\operatorname{Re} u_i^H P_%s G_%s Q_%s v_i",
    },
)
