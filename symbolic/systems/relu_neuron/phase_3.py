r"""What phase 3 of the upper bound rests on: sizes of residual and gradient, movement, Hessian.

The paper has lemmas of this kind between Lemma 20 and the end of its proof for phase 3 (21 to 24).
Their printed statements were not at hand; what stands here is derived here, with every constant:

- `|r|^2 <= 36 n L` where no neuron is lighter than `|v|/(4n)`,
- `|grad L|^2 <= n L` at every state,
- `|w(t) - w(T)| <= (3/c) n^(2/3) |v|^(1/3) L(T)^(1/3)`, with the constant `c` of Theorem 7,
- `-(4n/pi) <= Hessian <= (1/2 + 16/pi) n` where `|v|/(4n) <= |w_i| <= 4|v|/n`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Domain
from symbolic.lemmas.dual_kernel import ANGLES, PHI, RADIUS, THETA
from symbolic.systems.relu_neuron.bounds import (
    FRACTIONS,
    HEAVIEST,
    LIGHTEST,
    NEURONS,
    PHASE_3,
    WEDGE,
    N,
    P,
    Q,
    V,
)
from symbolic.systems.relu_neuron.calculus import A_BAR, ACROSS, IN_FRAME, MIDDLE, NORMAL
from symbolic.systems.relu_neuron.pair import PAPER, pair_hessian

__all__ = [
    "GRADIENT_VS_LOSS",
    "HESSIAN",
    "RESIDUAL_VS_LOSS",
    "derive_hessian_bound",
    "derive_movement",
    "derive_sizes",
    "derive_upper_rate",
]

#: `|r|^2 <= RESIDUAL_VS_LOSS n L` where `|w_i| >= |v|/(4n)`.
RESIDUAL_VS_LOSS = 4 + 8 / LIGHTEST
#: `|grad L|^2 <= GRADIENT_VS_LOSS n L` at every state; attained by one neuron beside the teacher.
GRADIENT_VS_LOSS = sp.Integer(1)
#: The Hessian is at most `HESSIAN n` in phase 3.
HESSIAN = sp.S.Half + HEAVIEST / LIGHTEST / sp.pi

LOSS = sp.Symbol("L", positive=True)
SLACK = sp.Symbol("s", nonnegative=True)


def derive_sizes() -> Derivation:
    r"""Derive what the loss says of the residual and of the gradient.

    Returns
    -------
    Derivation
        `|r|^2 <= 36 n L` and `|grad_i L|^2 <= L`.
    """
    a, b = sp.symbols("a b", nonnegative=True)
    s = sp.Symbol("s", positive=True)
    gamma = sp.Symbol("gamma", nonnegative=True)
    bracket = sp.sin(THETA) - THETA * sp.cos(THETA)
    light = LIGHTEST * V / N
    # Sums over the neurons: of (length^2) (wedge), and what they are bounded by.
    squares = 4 * sp.pi * LOSS
    teacher = squares * N / LIGHTEST
    radial = RADIUS**3 * sp.exp(-(RADIUS**2) / 2)
    half_plane = (PHI, -sp.pi / 2, sp.pi / 2)
    return Derivation(
        "sizes of residual and gradient",
        f"{PAPER}, phase 3 (in place of Lemmas 21 and 22); derived here",
        (
            Step(
                bracket,
                sp.S.Zero,
                "sin(theta) - theta cos(theta) >= 0: the pairs of neurons only add to the loss",
                domain=ANGLES,
                relation=">=",
            ),
            Step(
                bracket,
                WEDGE,
                "the teacher's bracket is at most the wedge theta - sin(theta) cos(theta)",
                domain=ANGLES,
                relation="<=",
            ),
            Step(
                (a + b) ** 2,
                a**2 + b**2,
                "where v.x < 0 the squares of all neurons add up: sum |w_i|^2 wedge_i <= 4 pi L",
                assumptions=(
                    "a, b = relu(w_i.x) >= 0, relu(v.x) = 0",
                    "(1/2) E[relu(w_i.x)^2, v.x < 0] = |w_i|^2 wedge_i/(4 pi), see"
                    " 'what an angle costs'",
                ),
                relation=">=",
            ),
            Step(
                light * (1 + SLACK) * V * WEDGE,
                (light * (1 + SLACK)) ** 2 * WEDGE * N / LIGHTEST,
                "|w_i||v| wedge_i <= 4n |w_i|^2 wedge_i",
                assumptions=("|w_i| = (1 + s)|v|/(4n)",),
                domain=(*ANGLES, *NEURONS),
                relation="<=",
            ),
            Step(
                4 * LOSS + 2 / sp.pi * teacher * P,
                RESIDUAL_VS_LOSS * N * LOSS,
                "|r|^2 <= 4 L + (2/pi) sum |w_i||v| bracket_i <= 36 n L",
                assumptions=("the form of the loss that splits off |r|^2/4",),
                domain=(*FRACTIONS[:1], *NEURONS),
                relation="<=",
            ),
            Step(sp.Integral(radial, (RADIUS, 0, sp.oo)), sp.Integer(2), "radial integral"),
            Step(
                sp.Integral(sp.cos(PHI - gamma) ** 2, half_plane) * 2 / (2 * sp.pi),
                sp.S.Half,
                "E[(u.x)^2, w_i.x > 0] = 1/2 for a unit vector u",
                assumptions=("w_i along phi = 0, u along phi = gamma",),
                domain=((gamma, sp.S.Zero, sp.pi),),
            ),
            Step(
                a * b,
                (a**2 / s + s * b**2) / 2,
                "<u, grad_i L> = E[(f - f*) (u.x), w_i.x > 0] <= (E(f - f*)^2/s + s/2)/2",
                assumptions=("a = |f - f*|, b = |u.x| on w_i.x > 0; any s > 0",),
                relation="<=",
            ),
            Step(
                sp.Subs((2 * LOSS / s + s / 2) / 2, s, 2 * sp.sqrt(LOSS)),
                sp.sqrt(LOSS),
                "with E(f - f*)^2 = 2 L and s = 2 sqrt(L): |grad_i L| <= sqrt(L), so"
                " |grad L|^2 <= n L",
            ),
        ),
        results=("|r|^2 <=", "with E(f - f*)^2"),
        heading="The loss bounds the residual and the gradient",
    )


def derive_movement() -> Derivation:
    r"""Derive that the neurons move a finite way, from Theorem 7.

    Returns
    -------
    Derivation
        `|w(t) - w(T)| <= (3/c) n^(2/3) |v|^(1/3) L(T)^(1/3)`, and the window that this keeps.
    """
    t = sp.Symbol("t", real=True)
    loss = sp.Function("L", positive=True)(t)
    c, at_begin = sp.symbols("c L_T", positive=True)
    third = sp.Rational(1, 3)
    scale = N ** (2 * third) * V**third
    least = c * LOSS ** (2 * third) / scale
    small = (c / 36) ** 3 * V**2 / N**5
    return Derivation(
        "finite movement",
        f"{PAPER}, phase 3 (in place of Lemma 23); derived here from Theorem 7",
        (
            Step(
                sp.Derivative(loss**third, t),
                sp.Derivative(loss, t) / (3 * loss ** (2 * third)),
                "rate of L^(1/3); along the flow L' = -G^2 with the speed G = |grad L|",
            ),
            Step(
                least * (1 + SLACK) * (least * (1 + SLACK)) / (3 * LOSS ** (2 * third)),
                c / (3 * scale) * least * (1 + SLACK),
                "Theorem 7: L^(1/3) falls at least (c/3) n^(-2/3) |v|^(-1/3) times as fast as w"
                " moves",
                assumptions=("G = (1 + s) c L^(2/3)/(n^(2/3) |v|^(1/3)), s >= 0",),
                domain=((SLACK, sp.S.Zero, sp.oo), *NEURONS),
                relation=">=",
            ),
            Step(
                3 * scale / c * (at_begin**third - LOSS**third),
                3 * scale / c * at_begin**third,
                "integrated: |w(t) - w(T)| <= (3/c) n^(2/3) |v|^(1/3) (L(T)^(1/3) - L(t)^(1/3))",
                assumptions=("a distance is at most the length of the path",),
                domain=NEURONS,
                relation="<=",
            ),
            Step(
                sp.Subs(3 * scale / c * at_begin**third, at_begin, small),
                V / (12 * N),
                "which is at most |v|/(12 n) where L(T) <= (c/36)^3 |v|^2/n^5",
                domain=NEURONS,
            ),
            Step(
                (1 + SLACK) * V / (3 * N) - P * V / (12 * N),
                LIGHTEST * V / N,
                "so |w_i(T)| >= |v|/(3n) keeps |w_i(t)| >= |v|/(4n)",
                assumptions=("|w_i(T)| = (1 + s)|v|/(3n), moved by p |v|/(12 n)",),
                domain=(*FRACTIONS[:1], *NEURONS),
                relation=">=",
            ),
            Step(
                3 * Q * V / N + P * V / (12 * N),
                HEAVIEST * V / N,
                "and |w_i(T)| <= 3|v|/n keeps |w_i(t)| <= 4|v|/n",
                assumptions=("|w_i(T)| = 3 q |v|/n, moved by p |v|/(12 n)",),
                domain=(*FRACTIONS, *NEURONS),
                relation="<=",
            ),
        ),
        results=("integrated", "so |w_i(T)|", "and |w_i(T)|"),
        heading="The neurons move by a finite length from phase 3 on",
    )


def derive_upper_rate() -> Derivation:
    r"""Derive the `t^-3` upper bound from Theorem 7: Corollary 12 with its powers of n and |v|.

    Returns
    -------
    Derivation
        `L <= (27/c^6) n^4 |v|^2/t^3`, with the constant `c` of Theorem 7.
    """
    t = sp.Symbol("t", real=True)
    loss = sp.Function("L", positive=True)(t)
    c, begin, passed = sp.symbols("c L_T tau", positive=True)
    third = sp.Rational(1, 3)
    least = c * LOSS ** (2 * third) / (N ** (2 * third) * V**third)
    rate = c**2 / (3 * N ** (4 * third) * V ** (2 * third))
    return Derivation(
        "upper bound of the loss",
        f"{PAPER}, Corollary 12; derived here from Theorem 7",
        (
            Step(
                sp.Derivative(loss**-third, t),
                -sp.Derivative(loss, t) / (3 * loss ** (4 * third)),
                "rate of L^(-1/3); along the flow L' = -G^2 with G = |grad L|",
            ),
            Step(
                (least * (1 + SLACK)) ** 2 / (3 * LOSS ** (4 * third)),
                rate,
                "Theorem 7: L^(-1/3) grows at least like (c^2/3) n^(-4/3) |v|^(-2/3) t",
                assumptions=("G = (1 + s) c L^(2/3)/(n^(2/3) |v|^(1/3)), s >= 0",),
                domain=((SLACK, sp.S.Zero, sp.oo), *NEURONS),
                relation=">=",
            ),
            Step(
                (begin + rate * passed) ** -3,
                27 / c**6 * N**4 * V**2 / passed**3,
                "L <= (27/c^6) n^4 |v|^2/t^3",
                assumptions=("L = (L(T)^(-1/3) + ...)^(-3); L_T stands for L(T)^(-1/3)",),
                domain=NEURONS,
                relation="<=",
            ),
        ),
        results=("L <= (27",),
        heading="The loss is at most a multiple of t^-3",
    )


def derive_hessian_bound() -> Derivation:
    r"""Bound the Hessian in phase 3, from both sides.

    Returns
    -------
    Derivation
        `-(4n/pi) <= Hessian <= (1/2 + 16/pi) n`, block by block.
    """
    spread, shift, twist = pair_hessian()
    x, y = sp.symbols("x y", nonnegative=True)
    u, w = sp.symbols("u w", real=True)
    wave = sp.Symbol("S", nonnegative=True)  # a sine
    sines: Domain = ((wave, sp.S.Zero, sp.S.One),)
    light, one = LIGHTEST * V / N, sp.eye(3)
    along = sp.Matrix(sp.symbols("x_1:4", real=True))
    own = spread * (one - A_BAR * A_BAR.T + NORMAL * NORMAL.T)
    return Derivation(
        "bounds of the Hessian",
        f"{PAPER}, phase 3 (in place of Lemma 24); derived here from equation 51",
        (
            Step(
                (along.T * own * along)[0, 0],
                2 * spread * along.dot(along),
                "zeta(a, b) is at most sin(theta)|b|/(pi |a|)",
                assumptions=("zeta = spread (I - abar abar^T + n n^T) on any vector", IN_FRAME),
                domain=ANGLES,
                relation="<=",
            ),
            Step(
                (along.T * own * along)[0, 0],
                sp.S.Zero,
                "and it is not negative",
                assumptions=("spread = sin(theta)|b|/(2 pi |a|)", IN_FRAME),
                domain=ANGLES,
                relation=">=",
            ),
            Step(
                (one / 2 + shift * one + twist * (MIDDLE * MIDDLE.T - ACROSS * ACROSS.T)) * MIDDLE,
                (sp.S.Half + shift + twist) * MIDDLE,
                "the largest eigenvalue of an off-diagonal block, along s = unit(abar + bbar)",
                assumptions=(IN_FRAME,),
                domain=ANGLES,
            ),
            Step(
                sp.S.Half + shift + twist,
                sp.S.Half,
                "it is (pi - theta + sin(theta))/(2 pi) <= 1/2",
                domain=ANGLES,
                relation="<=",
            ),
            Step(
                sp.S.Half + shift - twist,
                sp.S.Zero,
                "and the least one, (pi - theta - sin(theta))/(2 pi), is not negative",
                assumptions=("along c = unit(abar - bbar)",),
                domain=ANGLES,
                relation=">=",
            ),
            Step(
                2 * x * y * P,
                x**2 + y**2,
                "blocks add up: 2 |x_i||x_j||H_ij| <= |H_ij| (|x_i|^2 + |x_j|^2)",
                domain=FRACTIONS[:1],
                relation="<=",
            ),
            Step(
                wave * (HEAVIEST * V / N * Q) / (sp.pi * light * (1 + SLACK)),
                HEAVIEST / LIGHTEST / sp.pi,
                "each zeta(w_i, w_j) is at most sin(theta_ij)|w_j|/(pi |w_i|) <= 16/pi",
                assumptions=(PHASE_3,),
                domain=(*sines, *FRACTIONS[1:], *NEURONS),
                relation="<=",
            ),
            Step(
                N / 2 + (N - 1) * HEAVIEST / LIGHTEST / sp.pi,
                HESSIAN * N,
                "Hessian <= n/2 + (n - 1) 16/pi <= (1/2 + 16/pi) n",
                assumptions=("the teacher's zeta only takes away",),
                domain=NEURONS,
                relation="<=",
            ),
            Step(
                (u + w) ** 2,
                sp.S.Zero,
                "the blocks E[1(w_i.x > 0) 1(w_j.x > 0) x x^T] are a Gram matrix, so not negative",
                assumptions=("u, w: what two neurons add to the square under the expectation",),
                relation=">=",
            ),
            Step(
                -wave * V / (sp.pi * light * (1 + SLACK)),
                -N / (LIGHTEST * sp.pi),
                "and the teacher's zeta takes away 4n/pi at most: Hessian >= -(4n/pi)",
                assumptions=(PHASE_3,),
                domain=(*sines, *NEURONS),
                relation=">=",
            ),
        ),
        results=("Hessian <=", "and the teacher's zeta"),
        heading="The blocks of the Hessian are bounded",
    )
