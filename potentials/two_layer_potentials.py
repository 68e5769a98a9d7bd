"""Potentials of two layers, the times that claims refer to, and what both are made of.

Conventions as in `potentials.two_layer`.
"""

from __future__ import annotations

from types import MappingProxyType

import sympy as sp

from potentials.claim import Mark
from potentials.notation import parameter, symbol
from potentials.potential import Potential, single
from potentials.source import Source

NAMES = MappingProxyType(
    {
        "norm": r"\lvert w_i \rvert",
        "output": "a_i",
        "bias": "c_i",
        "balance": r"p a_i^2 - \lvert w_i \rvert^2",
        "layer_balance": r"p a_i^2 - \lvert w_i \rvert^2",
        "loss": "L",
        "degree": "p",
        "negative_slope": "S",
        "share": "A_i",
        "residual": r"\lvert r_j \rvert",
        "eigenvalue": r"\lambda_k(\nabla^2 L)",
        "cluster_constant": "K",
        "lone_residual": r"\max_{\lvert j \rvert = 1} \lvert r_j \rvert",
        "least_eigenvalue": r"\lambda",
        "excess": "(L - L^*)",
        "gradient_norm": r"\lvert \nabla L \rvert",
        "T_c": "T_c",
        "T_r": "T_r",
    }
)

BALANCE = Source(
    "Du, Hu & Lee", 2018, "1806.00900", "Theorem 2.1; of degree p derived here", "identity"
)

DERIVED = Source("Safran & Shamir", 2018, "1712.08968", "setting; derived here", "rate")

PAIRS = Source("Xu & Du", 2023, "2302.10034", "rate of one teacher; derived here", "rate")

# That a run which rests is beside a minimum and not beside a saddle is no paper's statement.
SPURIOUS = Source("popflow", 2026, "", "two layers, where a run rests; derived here", "identity")

SPURIOUS_RATE = Source("popflow", 2026, "", "two layers, beside a minimum; derived here", "upper")

COMMITTEE = Source("Goldt et al.", 2019, "1906.08632", "setting; derived here", "upper")

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
        "By how much an output exceeds its neuron: training keeps it",
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
    Potential(
        "shares",
        "A_i",
        single("shares", "neuron", symbol("share"), None),
        symbol("shares"),
        "students at an acute angle to a_i/b_j v_j for some teacher j, the nearest one:"
        " A_i = a_i w_i.v_j/(b_j |v_j|^2)",
        HERE,
        NAMES,
        "The part of its teacher that a student has",
    ),
    Potential(
        "residual_norms",
        r"\lvert r_j \rvert",
        single("residual_norms", "neuron", symbol("residual"), None),
        symbol("residual_norms"),
        "teachers that have a student: r_j is the sum of a_i w_i over its students, less b_j v_j",
        HERE,
        NAMES,
        "The residual that the students of a teacher leave",
    ),
    Potential(
        "hessian_spectrum",
        r"\lambda_k",
        single("hessian_spectrum", "neuron", symbol("eigenvalue"), None),
        symbol("hessian_spectrum"),
        "in the span of teachers and students, up to 150 numbers; rates are not evaluated",
        HERE,
        NAMES,
        "The eigenvalues of the Hessian",
    ),
)

#: Of students that have them.
BIASES = Potential(
    "biases",
    "c_i",
    single("biases", "neuron", symbol("bias"), None),
    symbol("biases"),
    "everywhere",
    HERE,
    NAMES,
    "The bias of a student",
)

AUXILIARIES: tuple[Potential, ...] = ()

t, loss, T_c = (symbol(name) for name in ("t", "loss", "T_c"))
n, m = parameter("n"), parameter("m")
constant, lone = symbol("cluster_constant"), symbol("lone_residual")

# How far clusters and shares may be from what they are at the end.
NEAR = sp.Rational(1, 10)

# A loss that rests changes by a smaller part of it.
STILL = sp.Rational(1, 10**8)

MARKS: tuple[Mark, ...] = (
    Mark(
        "T_c",
        sp.Min(
            NEAR - sp.Abs(symbol("cluster_most") - symbol("cluster_most_end")),
            NEAR - sp.Abs(symbol("cluster_least") - symbol("cluster_least_end")),
            1 - loss,
        ),
        "from",
        "from T_c on the clusters are as large as at the end, and L <= 1",
    ),
    Mark(
        "T_r",
        (1 + STILL) * symbol("loss_end") - loss,
        "from",
        "from T_r on the loss is that of the end, to 10^-8 of it",
    ),
)
