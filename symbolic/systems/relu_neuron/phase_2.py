r"""Phase 2 of the upper bound: how the residual along the teacher falls, and how long that takes.

`H = |v| - sum_i h_i` obeys `H' = -(n/2) H - sum_i e_i` with `|e_i| <= (5/(2 pi)) theta |v|`,
`theta = max theta_i`: an exponential, up to the angles. That is where `T2 = O(log n/n)` comes from.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Theorem 5; the constants are this toolkit's.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA
from symbolic.systems.relu_neuron.bounds import FRACTIONS, NEURONS, N, P, Q, V
from symbolic.systems.relu_neuron.flow import pair_flow
from symbolic.systems.relu_neuron.pair import PAPER

__all__ = ["PHASE_2_TIME", "derive_phase_2"]

#: `T2 - T1 <= PHASE_2_TIME log(n)/n` from H = (9/10)|v| to the paper's 36 n^-14 |v|.
PHASE_2_TIME = sp.Integer(28)


def derive_phase_2() -> Derivation:
    r"""Derive the fall of the residual along the teacher, and `T2 = O(log n/n)`.

    Returns
    -------
    Derivation
        For `theta_i <= pi/2` and `sum |w_i| <= 2|v|`, the window of phase 2.
    """
    own, other = pair_flow()
    h_i, h_j = sp.symbols("h_i h_j", real=True)
    t = sp.Symbol("t", positive=True)
    eps = sp.Symbol("epsilon", positive=True)
    start = sp.Symbol("H_1", positive=True)
    total = 2 * V  # of the lengths of the neurons
    bound = (2 * THETA * total + THETA * V) / (2 * sp.pi)
    solution = (start - 2 * eps * V) * sp.exp(-N * t / 2) + 2 * eps * V
    window = "phase 2: theta_i <= pi/2, sum |w_i| <= 2|v|"
    return Derivation(
        "fall of the residual along the teacher",
        f"{PAPER}, Theorem 5; the constants are derived here",
        (
            Step(
                -own * h_i - other * h_j,
                -h_j / 2 + (THETA * h_j - BETA * sp.sin(THETA) / ALPHA * h_i) / (2 * sp.pi),
                "neuron j's pull on h_i: the halves add up to H/2 with the teacher's |v|/2",
                assumptions=("so h_i' = H/2 + e_i and H' = -sum h_i' = -(n/2) H - sum e_i",),
                domain=ANGLES,
            ),
            Step(
                BETA * (THETA * P - sp.sin(THETA) * Q),
                BETA * THETA,
                "each neuron's term of 2 pi e_i is at most |w_j| theta_ij",
                assumptions=("h_j = |w_j| p, h_i = |w_i| q, theta_ij = theta; acute angles",),
                domain=(*ANGLES, *FRACTIONS),
                relation="<=",
            ),
            Step(
                BETA * (THETA * P - sp.sin(THETA) * Q),
                -BETA * THETA,
                "and at least -|w_j| theta_ij",
                assumptions=("as above",),
                domain=(*ANGLES, *FRACTIONS),
                relation=">=",
            ),
            Step(
                V * (THETA - sp.sin(THETA) * sp.cos(THETA)),
                V * THETA,
                "the teacher's term of 2 pi e_i is at most |v| theta_i",
                assumptions=("h_i = |w_i| cos(theta_i), theta = theta_i <= pi/2",),
                domain=((THETA, sp.S.Zero, sp.pi / 2),),
                relation="<=",
            ),
            Step(
                bound,
                THETA * V,
                "|e_i| <= theta |v|, so |H' + (n/2) H| <= n theta |v|",
                assumptions=(window, "theta_ij <= 2 theta"),
                relation="<=",
            ),
            Step(
                sp.Derivative(solution, t),
                -N * solution / 2 + N * eps * V,
                "the largest solution of H' <= -(n/2) H + n epsilon |v|",
                assumptions=("epsilon >= theta", "comparison of differential equations"),
                domain=NEURONS,
            ),
            Step(
                solution,
                start * sp.exp(-N * t / 2) + 2 * eps * V,
                "H(T1 + t) <= H(T1) exp(-n t/2) + 2 epsilon |v|",
                domain=((t, sp.S.Zero, sp.oo), *NEURONS),
                relation="<=",
            ),
            Step(
                sp.Subs(sp.exp(-N * t / 2), t, PHASE_2_TIME * sp.log(N) / N),
                N**-14,
                "exp(-n t/2) falls to n^-14 in 28 log(n)/n",
                domain=NEURONS,
            ),
            Step(
                2 * sp.log(10) / (N + 1),
                2 * sp.log(10) / sp.log(2) * sp.log(N + 1) / (N + 1),
                "and to 1/10 in 2 log(10)/n, at most 6.65 log(n)/n for n >= 2",
                assumptions=("n + 1 stands for n >= 2",),
                domain=((N, 1, 5),),
                relation="<=",
            ),
        ),
        results=("|e_i| <= theta |v|", "H(T1 + t)", "exp(-n t/2) falls", "and to 1/10"),
        heading="The residual along the teacher falls first",
    )
