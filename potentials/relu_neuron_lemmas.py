r"""Claims of the single ReLU neuron that the proofs rest on, and the toy examples of appendix A.

The paper has lemmas on sizes, movement and Hessian in phase 3 (21 to 24) and on the pairwise
distance (31, 33), whose printed statements were not at hand. What stands here in their place is
derived in `symbolic`, with explicit constants, and its source says so.
"""

from __future__ import annotations

import sympy as sp

from potentials.claim import EXPONENT, Claim, Comparison, Hypothesis, Identity, Inequality, Rate
from potentials.notation import symbol, total_derivative
from potentials.relu_neuron_notation import (
    ACUTE,
    BALANCED,
    NAMES,
    PHASE_3,
    READ_T2,
    SEVERAL,
    TRANSVERSE,
    Z,
    angle_max,
    derived,
    gradient_norm,
    kappa_max,
    loss,
    n,
    positive,
    t,
    v,
)
from symbolic.systems.relu_neuron import phase_3, toy

__all__ = ["LEMMAS"]

residual_norm, curvature, z_max = (symbol(name) for name in ("residual_norm", "curvature", "z_max"))

#: Room for the numerical error of a bound that is attained in the limit.
ROOM = sp.Rational(1, 1000)
#: Below this part of the teacher, what should vanish counts as rounding of the start.
ROUNDING = sp.Rational(1, 10**12)

#: Where some neuron is not on the side of the teacher.
LEAST_H = "the smallest h_i(0) is {value}, not > 0"

_EQUAL = (
    Hypothesis(
        "all z_i(0) are equal",
        symbol("distance_0"),
        "<=",
        sp.S.Zero,
        "pair",
        unmet="the largest |z_i(0) - z_j(0)| is {value}, not 0",
    ),
    Hypothesis(
        "all w_i(0) have one direction",
        symbol("theta_pair_0"),
        "<=",
        sp.S.Zero,
        "pair",
        unmet="the largest angle between w_i(0) and w_j(0) is {value}, not 0",
    ),
    Hypothesis("w(0) != 0", symbol("norm_0"), ">", sp.S.Zero, "neuron", unmet="some w_i(0) = 0"),
)
# Along the teacher |r|^2 is <r, vbar>^2, and the rest is |z_1 + z_2|^2.
_OFF_MIRROR = symbol("residual_norm_0") ** 2 - symbol("rho_0") ** 2
_MIRRORED = (
    Hypothesis("n = 2", sp.Abs(n - 2), "<=", sp.S.Zero, unmet="n = {value}, not 2", value=n),
    Hypothesis(
        "h_1(0) = h_2(0)",
        symbol("balance_0"),
        "<=",
        1 + ROUNDING,
        unmet="max h_i(0)/min h_i(0) = {value}, not 1",
    ),
    Hypothesis(
        "z_1(0) = -z_2(0)",
        _OFF_MIRROR,
        "<=",
        ROUNDING * v**2,
        unmet="|sum_i z_i(0)|^2 = {value}, not 0",
    ),
    TRANSVERSE,
    Hypothesis("h_i(0) > 0", symbol("h_0"), ">", sp.S.Zero, "neuron", unmet=LEAST_H),
)
# Of other starts the toy example says nothing, so nothing is measured there.
_ON_MIRROR = (positive(t), 2 - n, ROUNDING * v**2 - _OFF_MIRROR)

LEMMAS: tuple[Claim, ...] = (
    Inequality(
        id="residual_vs_loss",
        statement="phase 3, |w_i| >= |v|/(4n): |r|^2 <= 36 n L",
        source=derived("phase 3, in place of Lemmas 21 and 22", "inequality", "phase_3"),
        hypotheses=BALANCED[:1],
        conclusions=(
            Comparison(residual_norm**EXPONENT, "<=", n * loss, phase_3.RESIDUAL_VS_LOSS, PHASE_3),
        ),
        exponent=sp.Integer(2),
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="gradient_upper",
        statement="|grad L|^2 <= n L at every state, so L falls no faster than exp(-n t); a "
        "thousandth more is allowed for the numerical error, because neurons along the teacher "
        "attain it",
        source=derived("phase 3, in place of Lemmas 21 and 22", "inequality", "phase_3"),
        conclusions=(
            Comparison(gradient_norm**EXPONENT, "<=", n * loss, phase_3.GRADIENT_VS_LOSS + ROOM),
        ),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
    Inequality(
        id="finite_movement",
        statement="phase 3, L <= |v|^2/n^14: |w(t) - w(T2)| <= C n^(2/3) |v|^(1/3) L(T2)^(1/3), "
        "measured at every time as |grad L| <= -C n^(2/3) |v|^(1/3) d(L^(1/3))/dt",
        source=derived("phase 3, in place of Lemma 23", "inequality", "phase_3"),
        hypotheses=BALANCED,
        conclusions=(
            Comparison(
                -EXPONENT * loss ** (EXPONENT - 1) * total_derivative(loss),
                ">=",
                gradient_norm / (n ** sp.Rational(2, 3) * v ** sp.Rational(1, 3)),
                where=(*PHASE_3, v**2 / n**14 - loss),
            ),
        ),
        exponent=sp.Rational(1, 3),
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="hessian_bounds",
        statement="phase 3: -(4/pi) n <= Hessian <= (1/2 + 16/pi) n, measured on the velocity",
        source=derived("phase 3, in place of Lemma 24", "inequality", "phase_3"),
        hypotheses=BALANCED,
        conclusions=(
            Comparison(curvature, "<=", n, phase_3.HESSIAN, PHASE_3),
            Comparison(curvature, ">=", n, -4 / sp.pi, PHASE_3),
        ),
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="distance_vs_reach",
        statement="Z >= sin(min(kappa_max, pi/2)) max |z_i| while no z_i is zero; a thousandth is "
        "left for the numerical error, because two neurons attain it where z_1 - z_2 is at a right "
        "angle to one of them",
        source=derived("between eqs 60 and 66, in place of Lemma 31", "inequality", "persistence"),
        hypotheses=(SEVERAL, TRANSVERSE),
        conclusions=(
            Comparison(
                Z,
                ">=",
                sp.sin(sp.Min(kappa_max, sp.pi / 2)) * z_max**EXPONENT,
                1 - ROOM,
                (t, positive(symbol("z_min"))),
            ),
        ),
        exponent=sp.S.One,
        names=NAMES,
    ),
    Inequality(
        id="angle_vs_reach",
        statement="phase 3: max theta_i <= 2 pi n max |z_i|/|v|",
        source=derived("between eqs 60 and 66, in place of Lemma 33", "inequality", "decay"),
        hypotheses=(
            BALANCED[0],
            ACUTE,
            Hypothesis(
                "some z_i(0) != 0", symbol("z_max_0"), ">", sp.S.Zero, unmet="every z_i(0) = 0"
            ),
        ),
        conclusions=(Comparison(angle_max, "<=", n * (z_max / v) ** EXPONENT, 2 * sp.pi, PHASE_3),),
        exponent=sp.S.One,
        reading=READ_T2,
        names=NAMES,
    ),
    Inequality(
        id="mirror_pair",
        statement="toy example: a mirror pair (n = 2, w_2 the mirror image of w_1 in v) falls "
        "exactly like t^-3: c |v|^2 t^-3 <= L <= C |v|^2 t^-3; t^3 L tends to (pi^2/6) |v|^2",
        source=derived("appendix A", "upper and lower", "flow"),
        hypotheses=_MIRRORED,
        conclusions=(
            Comparison(loss, "<=", v**2 * t**-EXPONENT, where=_ON_MIRROR),
            Comparison(loss, ">=", v**2 * t**-EXPONENT, where=_ON_MIRROR),
        ),
        exponent=sp.Integer(3),
        names=NAMES,
    ),
    Identity(
        id="parallel_rate",
        statement="toy example: neurons along the teacher have a linear rate, dL/dt = -n L",
        source=derived("appendix A", "identity", "toy"),
        hypotheses=(
            Hypothesis(
                "every z_i(0) = 0",
                symbol("zeta_0"),
                "<=",
                sp.S.Zero,
                "neuron",
                unmet="the largest |z_i(0)| is {value}, not 0",
            ),
            Hypothesis(
                "every h_i(0) > 0: on the other side of the teacher L keeps |v|^2/4",
                symbol("h_0"),
                ">",
                sp.S.Zero,
                "neuron",
                unmet=LEAST_H,
            ),
        ),
        conclusions=(Comparison(-total_derivative(loss), "==", n * loss**EXPONENT, sp.S.One),),
        exponent=sp.S.One,
        names=NAMES,
    ),
    Rate(
        id="equal_rate",
        statement="toy example: equal neurons, and one neuron, have a linear rate, -dL/dt >= "
        "n c(theta) L with c = (1 - theta/pi)^2 cos(theta/2)^2, which only grows; a thousandth is "
        "left for the numerical error, because c tends to 1, the exact rate",
        source=derived("appendix A", "rate", "toy"),
        hypotheses=_EQUAL,
        conclusions=(
            Comparison(
                -total_derivative(loss),
                ">=",
                n * toy.rate_of_one(angle_max) * loss**EXPONENT,
                1 - ROOM,
            ),
        ),
        exponent=sp.S.One,
        names=NAMES,
    ),
)
