r"""The flow of two layers in the quantities of its claims: what training conserves has no rate.

Derived in `symbolic.systems.two_layer.calculus`.
"""

from __future__ import annotations

import sympy as sp

from potentials.notation import symbol
from potentials.substitution import Definition, Flow, I, indexed
from potentials.two_layer_potentials import NAMES

__all__ = ["FLOW"]

_along, _slope = indexed("along"), indexed("slope")
_gain, _missing, _bend = indexed("gain"), indexed("missing"), indexed("bend")

FLOW = Flow(
    rates={
        "norm": -_along[I] / symbol("norm"),
        "output": -_slope[I],
        "layer_balance_of": sp.S.Zero,
        "share": -_gain[I],
        "residual": -_missing[I],
        "eigenvalue": -_bend[I],
    },
    definitions=(
        Definition("g_i", r"\frac{\partial L}{\partial w_i}", "The gradient by a student."),
        Definition(
            "h_i",
            r"\frac{\partial L}{\partial a_i}",
            "The gradient by its output; zero where outputs are fixed.",
        ),
        Definition(
            "r_j",
            r"\sum_k a_k w_k - b_j v_j",
            "The residual of a teacher, by the students k next to it.",
        ),
        Definition(r"\lambda_k e_k", r"\nabla^2 L\, e_k", "A unit eigenvector and its eigenvalue."),
    ),
    names=NAMES,
    families={
        "along": r"\langle w_%s, g_%s \rangle",
        "slope": "h_%s",
        "gain": r"\frac{\langle a_%s g_%s + h_%s w_%s, v_j \rangle}{b_j \lvert v_j \rvert^2}",
        "missing": r"\langle r_%s, \sum_k (a_k g_k + h_k w_k) \rangle / \lvert r_%s \rvert",
        "bend": r"\nabla^3 L[\nabla L, e_%s, e_%s]",
    },
)
