r"""Potentials and claims of two layers.

Students `w_i` with outputs `a_i`, teachers `v_j` with outputs `b_j`, loss with the factor 1/2; the
flow is `dw/dt = -grad_w L`, and `da/dt = -grad_a L` where outputs are trained.
"""

from __future__ import annotations

from types import MappingProxyType

import sympy as sp

from potentials.claim import Claim, Comparison, Conserved, Hypothesis, Mark
from potentials.notation import symbol
from potentials.potential import Potential, single
from potentials.source import Source

__all__ = ["AUXILIARIES", "CLAIMS", "MARKS", "NAMES", "POTENTIALS"]

NAMES = MappingProxyType(
    {
        "norm": r"\lvert w_i \rvert",
        "output": "a_i",
        "balance": r"p a_i^2 - \lvert w_i \rvert^2",
        "layer_balance": r"p a_i^2 - \lvert w_i \rvert^2",
        "loss": "L",
        "degree": "p",
    }
)
BALANCE = Source(
    "Du, Hu & Lee", 2018, "1806.00900", "Theorem 2.1; of degree p derived here", "identity"
)
HERE = Source("popflow", 2026, "", "two layers", "definition")

layer_balance = symbol("layer_balance")

POTENTIALS: tuple[Potential, ...] = (
    Potential(
        "layer_balance",
        "B_i",
        single("balance", "neuron", symbol("layer_balance_of"), None),
        symbol("balance"),
        "trained outputs and an activation that is homogeneous of degree p",
        BALANCE,
        MappingProxyType({**NAMES, "layer_balance_of": NAMES["balance"]}),
        "What an output has more than its neuron, which training keeps",
    ),
    Potential(
        "norms",
        r"\lvert w_i \rvert",
        single("norms", "neuron", symbol("norm"), None),
        symbol("norms"),
        "everywhere; differentiable where w_i is not zero",
        HERE,
        NAMES,
        "The length of a student",
    ),
    Potential(
        "outputs",
        "a_i",
        single("outputs", "neuron", symbol("output"), None),
        symbol("outputs"),
        "everywhere",
        HERE,
        NAMES,
        "The output of a student",
    ),
)
AUXILIARIES: tuple[Potential, ...] = ()
MARKS: tuple[Mark, ...] = ()

TRAINED = Hypothesis(
    "outputs are trained", symbol("train_outputs"), ">=", sp.Integer(1), unmet="outputs are fixed"
)
HOMOGENEOUS = Hypothesis(
    "the activation is homogeneous of a degree p >= 1",
    symbol("degree"),
    ">=",
    sp.Integer(1),
    unmet="the activation is not homogeneous",
)

CLAIMS: tuple[Claim, ...] = (
    Conserved(
        id="layer_balance",
        statement="p a_i(t)^2 - |w_i(t)|^2 is conserved, for every student",
        source=BALANCE,
        hypotheses=(TRAINED, HOMOGENEOUS),
        conclusions=(
            Comparison(
                layer_balance,
                "==",
                symbol("layer_balance_0"),
                sp.Integer(1),
                over="neuron",
            ),
        ),
        names=NAMES,
    ),
)
