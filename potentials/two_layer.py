r"""Potentials and claims of two layers.

Students `w_i` with outputs `a_i`, teachers `v_j` with outputs `b_j`, loss with the factor 1/2; the
flow is `dw/dt = -grad_w L`, and `da/dt = -grad_a L` where outputs are trained.
"""

from __future__ import annotations

import sympy as sp

from potentials.claim import (
    EXPONENT,
    Claim,
    Comparison,
    Conserved,
    Hypothesis,
    Inequality,
    LowerBound,
    Rate,
    UpperBound,
)
from potentials.notation import parameter, symbol
from potentials.two_layer_potentials import (
    AUXILIARIES,
    BALANCE,
    COMMITTEE,
    DERIVED,
    MARKS,
    NAMES,
    PAIRS,
    POTENTIALS,
    SPURIOUS,
    SPURIOUS_RATE,
    T_c,
    constant,
    layer_balance,
    lone,
    loss,
    m,
    n,
    t,
)

__all__ = ["AUXILIARIES", "CLAIMS", "MARKS", "NAMES", "POTENTIALS"]

READ_T_C = "read from T_c on, when clusters are as large as at the end"
READ_ANY_SIZE = (
    f"{READ_T_C}; the constant of a cluster of three or more depends on the shape that it takes,"
    " and flows.late_time_law(run) derives it"
)
LATE = (t - T_c, t - 1)
# Of other activations the law of the error function says nothing, so nothing is measured there.
LATE_ERF = (*LATE, -parameter("degree"))

TRAINED = Hypothesis(
    "outputs are trained",
    parameter("train_outputs"),
    ">=",
    sp.Integer(1),
    unmet="outputs are fixed",
)
HOMOGENEOUS = Hypothesis(
    "the activation is homogeneous of a degree p >= 1",
    parameter("degree"),
    ">=",
    sp.Integer(1),
    unmet="the activation is not homogeneous",
)

INDEPENDENT = Hypothesis(
    "teachers are linearly independent",
    parameter("teacher_gap"),
    ">=",
    sp.Float(1e-6),
    unmet="the smallest singular value of the teachers' directions is {value}, not >= {needed}",
)
PIECEWISE = Hypothesis(
    "the activation is ReLU or leaky ReLU",
    sp.Abs(parameter("degree") - 1),
    "<=",
    sp.S.Zero,
    unmet="the activation is neither ReLU nor leaky ReLU",
)
COVERED = Hypothesis(
    "every teacher has a student, and every student a teacher, at the end",
    symbol("cluster_least_end"),
    ">=",
    sp.Integer(1),
    unmet="at the end some teacher has no student, or some student no teacher",
)
SEVERAL = Hypothesis(
    "some teacher has two students or more at the end",
    symbol("cluster_most_end"),
    ">=",
    sp.Integer(2),
    unmet="every teacher has {value} student at most at the end",
)
AT_MOST_PAIRS = Hypothesis(
    "no teacher has more than two students at the end",
    symbol("cluster_most_end"),
    "<=",
    sp.Integer(2),
    unmet="some teacher has {value} students at the end",
)
LONE = Hypothesis(
    "some teacher has one student at the end",
    sp.Abs(symbol("cluster_least_end") - 1),
    "<=",
    sp.S.Zero,
    unmet="the fewest students of a teacher at the end are {value}",
    value=symbol("cluster_least_end"),
)
ONE_EACH = Hypothesis(
    "every teacher has one student at the end",
    sp.Max(sp.Abs(symbol("cluster_most_end") - 1), sp.Abs(symbol("cluster_least_end") - 1)),
    "<=",
    sp.S.Zero,
    unmet="at the end some teacher has not exactly one student",
)
EQUAL_NUMBERS = Hypothesis(
    "as many students as teachers",
    sp.Abs(n - m),
    "<=",
    sp.S.Zero,
    unmet="n - m = {value}, not 0",
    value=n - m,
)
ORTHONORMAL = Hypothesis(
    "teachers are orthonormal and all outputs are fixed at one",
    parameter("is_orthonormal"),
    ">=",
    sp.Integer(1),
    unmet="teachers are not orthonormal, or some output is not fixed at one",
)
SMOOTH = Hypothesis(
    "the activation is erf",
    parameter("degree"),
    "<=",
    sp.S.Zero,
    unmet="the activation is homogeneous of degree {value}",
)
SUMMED = Hypothesis(
    "the outputs of the students of each teacher sum to its own",
    symbol("output_gap_end"),
    "<=",
    sp.Float(1e-6),
    unmet="at the end outputs miss those of the teachers by {value}",
)
least, slope = symbol("least_eigenvalue"), symbol("gradient_norm")
# Near a minimum L - L* <= |grad L|^2/(2 lambda): a run rests where that is so small a part of L.
LEFT = sp.Rational(1, 10**10)
least_end = symbol("least_eigenvalue_end")
LEFT_TO_FALL = slope**2 / (2 * sp.Abs(least_end))
FIXED = Hypothesis(
    "outputs are fixed",
    parameter("train_outputs"),
    "<=",
    sp.S.Zero,
    unmet="outputs are trained: minima are curves, along which a w and the loss are the same",
)
RESTS = Hypothesis(
    "the run rests above zero: |grad L|^2/(2 |lambda|) is 10^-10 of the loss at the end, or less",
    LEFT_TO_FALL.subs(slope, symbol("gradient_norm_end")),
    "<=",
    LEFT * symbol("loss_end"),
    unmet="the run does not rest above zero: |grad L|^2/(2 |lambda|) at the end is {value}, not <="
    " {needed}",
)
# Beside a saddle a displacement grows by exp(|lambda| t): as large as e^-100 it would have left.
LEAVES = -least_end * (symbol("t_end") - symbol("T_r"))
STAYS = Hypothesis(
    "the run does not leave again: lambda >= 0, or it has rested for 100/|lambda| or longer",
    sp.sqrt(sp.Max(LEAVES - 100, least_end)),  # undefined of one that may leave
    ">=",
    sp.S.Zero,
    unmet="the run is beside a saddle and may leave it: |lambda| times the time for which it has"
    " rested is {value}, not >= 100",
    value=LEAVES,
)
CURVED_UP = Hypothesis(
    "the least eigenvalue lambda of the Hessian at the end is positive",
    least_end,
    ">",
    sp.S.Zero,
    unmet="the least eigenvalue of the Hessian at the end is {value}",
)

CLAIMS: tuple[Claim, ...] = (
    Conserved(
        id="layer_balance",
        statement="p a_i(t)^2 - |w_i(t)|^2 is conserved, for every student",
        source=BALANCE,
        hypotheses=(TRAINED, HOMOGENEOUS),
        conclusions=(
            Comparison(
                layer_balance, "==", symbol("layer_balance_0"), sp.Integer(1), over="neuron"
            ),
        ),
        names=NAMES,
    ),
    Inequality(
        id="cluster_law",
        statement="t^3 L -> K = sum over pairs of (pi^2/(3 kappa^2)) (A (1 - A))^2 |b v|^2"
        " ((p + q)/(p q))^3, read as ((t^3 L - K)^2 + K^2/(1 + t))^(1/2) <= C K (1 + t)^(-1/3);"
        " A, 1 - A are the shares of a teacher's two students, p and q the squares of their"
        " outputs, kappa = (1 - S)^2 for a slope S of negative arguments",
        source=PAIRS,
        hypotheses=(HOMOGENEOUS, PIECEWISE, INDEPENDENT, COVERED, SEVERAL, AT_MOST_PAIRS),
        conclusions=(
            Comparison(
                # In quadrature, so that a difference that passes zero has a slope in log t.
                sp.sqrt((t**EXPONENT * loss - constant) ** 2 + constant**2 / (1 + t)),
                "<=",
                constant * (1 + t) ** sp.Rational(-1, 3),
                None,
                LATE,
                at_infinity=True,
            ),
        ),
        exponent=sp.Integer(3),
        reading=READ_T_C,
        names=NAMES,
    ),
    UpperBound(
        id="cluster_upper",
        statement="L <= C t^-3 where some teacher has two students or more, in clusters of any"
        " size",
        source=PAIRS,
        hypotheses=(HOMOGENEOUS, PIECEWISE, INDEPENDENT, COVERED, SEVERAL),
        conclusions=(Comparison(loss, "<=", (1 + t) ** (-EXPONENT), None, LATE, at_infinity=True),),
        exponent=sp.Integer(3),
        reading=READ_ANY_SIZE,
        names=NAMES,
    ),
    LowerBound(
        id="cluster_lower",
        statement="L >= C t^-3 where some teacher has two students or more, in clusters of any"
        " size",
        source=PAIRS,
        hypotheses=(HOMOGENEOUS, PIECEWISE, INDEPENDENT, COVERED, SEVERAL),
        conclusions=(Comparison(loss, ">=", (1 + t) ** (-EXPONENT), None, LATE, at_infinity=True),),
        exponent=sp.Integer(3),
        reading=READ_ANY_SIZE,
        names=NAMES,
    ),
    Rate(
        id="exact_rate",
        statement="-L'/L >= 2 kappa (1/4 - 1/(2 pi)) (1 - o(1)), kappa = (1 - S)^2 for a slope S of"
        " negative arguments, read as >= kappa (2 (1/4 - 1/(2 pi)) - 10^-4) where L <= 10^-10: the"
        " least eigenvalue of the Hessian at the teachers is kappa (1/4 - 1/(2 pi)) for two of them"
        " or more, and larger for one",
        source=DERIVED,
        hypotheses=(HOMOGENEOUS, PIECEWISE, EQUAL_NUMBERS, ORTHONORMAL, COVERED, ONE_EACH),
        conclusions=(
            Comparison(
                -symbol("loss_dot"),
                ">=",
                (1 - parameter("negative_slope")) ** 2 * (EXPONENT - sp.Float(1e-4)) * loss,
                sp.S.One,
                (*LATE, sp.Float(1e-10) - loss),
            ),
        ),
        exponent=sp.Rational(1, 2) - 1 / sp.pi,
        reading=READ_T_C,
        names=NAMES,
    ),
    Inequality(
        id="slaved",
        statement="a student alone beside a slow pair follows it: |r_j| <= C t^-2",
        source=PAIRS,
        hypotheses=(HOMOGENEOUS, PIECEWISE, INDEPENDENT, COVERED, SEVERAL, LONE),
        conclusions=(
            Comparison(
                lone,
                "<=",
                (1 + t) ** (-EXPONENT),
                None,
                (*LATE, sp.Integer(10) ** 9 - t),
                at_infinity=True,
            ),
        ),
        exponent=sp.Integer(2),
        reading=f"{READ_T_C}, up to t = 10^9, where steps of the usual tolerance still tell how"
        " fast it falls",
        names=NAMES,
    ),
    UpperBound(
        id="erf_law",
        statement="L <= C t^-2 where the outputs of each teacher's students sum to its own",
        source=COMMITTEE,
        hypotheses=(SMOOTH, INDEPENDENT, COVERED, SEVERAL, SUMMED),
        conclusions=(
            Comparison(loss, "<=", (1 + t) ** (-EXPONENT), None, LATE_ERF, at_infinity=True),
        ),
        exponent=sp.Integer(2),
        reading=READ_T_C,
        names=NAMES,
    ),
    Inequality(
        id="spurious_minimum",
        statement="a run that rests above zero has reached a strict local minimum that is not"
        " global: lambda > 0, the least eigenvalue of the Hessian in R^(n x d), and L >= L* > 0",
        source=SPURIOUS,
        hypotheses=(FIXED, RESTS, STAYS),
        conclusions=(Comparison(least, ">=", sp.S.Zero, sp.S.One, (LEFT * loss - LEFT_TO_FALL,)),),
        reading="read where the run rests, of up to 150 numbers in doubles; VIOLATED says that it"
        " rests at a saddle; flows.stationary and its certify prove it",
        names=NAMES,
    ),
    Rate(
        id="spurious_rate",
        statement="-(L - L*)'/(L - L*) >= 2 lambda (1 - o(1)) beside a minimum that is not global,"
        " read as >= (2 - 10^-2) lambda where the run rests; lambda is the least eigenvalue of the"
        " Hessian at the end",
        source=SPURIOUS_RATE,
        hypotheses=(FIXED, RESTS, CURVED_UP),
        conclusions=(
            Comparison(
                -symbol("loss_dot"),
                ">=",
                (EXPONENT - sp.Rational(1, 100)) * least_end * symbol("excess"),
                sp.S.One,
                (LEFT * loss - LEFT_TO_FALL,),
                says=(least_end,),
            ),
        ),
        exponent=sp.Integer(2),
        names=NAMES,
    ),
)
