r"""The flow of two layers in the quantities of its claims: what training conserves has no rate.

Derived in `symbolic.systems.two_layer.calculus`.
"""

from __future__ import annotations

import sympy as sp

from potentials.notation import symbol
from potentials.substitution import Definition, Flow, I, indexed
from potentials.two_layer import NAMES

__all__ = ["FLOW"]

_along, _slope = indexed("along"), indexed("slope")

FLOW = Flow(
    rates={
        "norm": -_along[I] / symbol("norm"),
        "output": -_slope[I],
        "layer_balance_of": sp.S.Zero,
    },
    definitions=(
        Definition("g_i", r"\frac{\partial L}{\partial w_i}", "The gradient by a student."),
        Definition(
            "h_i",
            r"\frac{\partial L}{\partial a_i}",
            "The gradient by its output; zero where outputs are fixed.",
        ),
    ),
    names=NAMES,
    families={"along": r"\langle w_%s, g_%s \rangle", "slope": "h_%s"},
)
