r"""The gradient flow of the single ReLU neuron in the quantities of the proofs, and two uses.

`w_i' = -grad_i L` is linear in the vectors with coefficients that depend on norms and angles, so
the same coefficients serve `z_i` (projection orthogonal to the teacher) and `h_i` (along it).

Source: Xu & Du, COLT 2023, arXiv 2302.10034.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.language.primitives import definition
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA
from symbolic.systems.relu_neuron.pair import PAPER, pair_energy, pair_gradient

__all__ = ["derive_flow", "derive_mirror_pair", "derive_separation", "pair_flow"]


def pair_flow() -> tuple[sp.Expr, sp.Expr]:
    r"""Return `(own, other)`: `dw_i/dt = -w_i/2 - sum_j mu_j (own w_i + other w_j)`, `j != i`.

    Returns
    -------
    own, other : Expr
        In `ALPHA = |w_i|`, `BETA = |w_j|`, `THETA`; the teacher has `mu = -1`.
    """
    unit, chord = pair_gradient()
    return (
        sp.expand(definition((unit + chord) / ALPHA)),
        sp.expand(sp.Rational(1, 2) - chord / BETA),
    )


def derive_flow() -> Derivation:
    """Derive the flow of `z_i`, `h_i`, `theta_i` and of the residual `r` from the gradient.

    Returns
    -------
    Derivation
        The symbols `w_i`, `w_j`, `z_i`, ... stand for vectors, in which every step is linear.
    """
    unit, chord = pair_gradient()
    own, other = pair_flow()
    turn = (sp.pi - THETA) / (2 * sp.pi)
    w_i, w_j, z_i, z_j, h_i, h_j = sp.symbols("w_i w_j z_i z_j h_i h_j", real=True)
    v = sp.Symbol("v", positive=True)  # |v|

    def pair(x_i: sp.Expr, x_j: sp.Expr) -> sp.Expr:
        """One pair's part of -grad_i: of -r/2 and of -(unit wbar_i + chord (wbar_i - wbar_j))."""
        return -x_j / 2 - (unit * x_i / ALPHA + chord * (x_i / ALPHA - x_j / BETA))

    def stated(x_i: sp.Expr, x_j: sp.Expr) -> sp.Expr:
        return -BETA * sp.sin(THETA) / (2 * sp.pi * ALPHA) * x_i - turn * x_j

    mirrored = {ALPHA: BETA, BETA: ALPHA}
    t = sp.Symbol("t", real=True)
    h, zeta = sp.Function("h", positive=True)(t), sp.Function("zeta", positive=True)(t)
    rate = sp.Symbol("c", real=True)
    h_one = rate * ALPHA * sp.cos(THETA) + turn * v
    zeta_one = rate * ALPHA * sp.sin(THETA)
    return Derivation(
        "flow of z, h, theta and r",
        f"{PAPER}, section 5",
        (
            Step(
                pair(w_i, w_j),
                -own * w_i - other * w_j,
                "what neuron j contributes to w_i'; the teacher contributes the opposite",
                domain=ANGLES,
            ),
            Step(
                pair(z_i, z_j),
                stated(z_i, z_j),
                "the part orthogonal to v of a neuron's pull",
                assumptions=("j != i; neuron i itself gives -z_i/2",),
                domain=ANGLES,
            ),
            Step(
                -pair(z_i, sp.S.Zero),
                BETA * sp.sin(THETA) / (2 * sp.pi * ALPHA) * z_i,
                "the part orthogonal to v of the teacher's pull",
                assumptions=("beta = |v|, P v = 0",),
                domain=ANGLES,
            ),
            Step(
                pair(h_i, h_j),
                stated(h_i, h_j),
                "the part along v of a neuron's pull",
                domain=ANGLES,
            ),
            Step(
                -pair(h_i, v).subs(BETA, v),
                -stated(h_i, v).subs(BETA, v),
                "the part along v of the teacher's pull",
                assumptions=("beta = |v|",),
                domain=ANGLES,
            ),
            Step(
                sp.Derivative(sp.atan2(zeta, h), t),
                (h * sp.Derivative(zeta, t) - zeta * sp.Derivative(h, t)) / (h**2 + zeta**2),
                "theta_i = angle of (h_i, |z_i|)",
                assumptions=("w_i != 0",),
            ),
            Step(
                (ALPHA * sp.cos(THETA) * zeta_one - ALPHA * sp.sin(THETA) * h_one) / ALPHA**2,
                -v * sp.sin(THETA) * turn / ALPHA,
                "one neuron alone: the angle only falls",
                assumptions=("n = 1; w' = c w + (pi - theta)/(2 pi) v",),
                domain=ANGLES,
            ),
            Step(
                pair(w_i, w_j) + pair(w_j, w_i).subs(mirrored, simultaneous=True),
                -turn * (w_i + w_j)
                - sp.sin(THETA) / (2 * sp.pi) * (BETA / ALPHA * w_i + ALPHA / BETA * w_j),
                "what a pair of neurons contributes to r' = sum_i w_i'",
                domain=ANGLES,
            ),
        ),
        results=(
            "the part orthogonal to v of a neuron",
            "the part orthogonal to v of the teacher",
            "the part along v of a neuron",
            "the part along v of the teacher",
            "theta_i = angle",
            "what a pair of neurons contributes",
        ),
        heading="The parts along and across the teacher, the angles and the residual have a flow"
        " of their own",
    )


def derive_separation() -> Derivation:
    r"""Derive Lemma 17.

    At a pair that attains `kappa_max < pi/2`,
    `d/dt cos kappa_ij <= -((pi - theta_ij)/pi) (1 - cos^2 kappa_ij)`.

    Returns
    -------
    Derivation
        The rate, sorted; each part's sign; the inequality that they add up to.
    """
    t = sp.Symbol("t", real=True)
    dot = sp.Function("p", real=True)(t)
    x, y = (sp.Function(name, positive=True)(t) for name in ("x", "y"))
    z_i, z_j, z_k = sp.symbols("z_i z_j z_k", positive=True)  # lengths
    cosine = sp.Symbol("C", positive=True)  # cos kappa_ij
    with_i, with_j = sp.symbols("C_ki C_kj", positive=True)
    own_i, own_j = sp.symbols("a_i a_j", real=True)
    c_ij, c_ik, c_jk = sp.symbols("c_ij c_ik c_jk", nonnegative=True)
    slack_1, slack_2, slack_3 = sp.symbols("s_1:4", nonnegative=True)
    p, q = sp.symbols("p q", nonnegative=True)
    cosines = tuple((x, sp.S.Zero, sp.S.One) for x in (cosine, p, q))

    def above(fraction: sp.Expr) -> sp.Expr:
        """A cosine between the smallest one and 1."""
        return cosine + (1 - cosine) * fraction

    # z_i' = -a_i z_i - c_ij z_j - c_ik z_k, and the same for j; k is any third neuron.
    dot_rate = (
        -(own_i + own_j) * z_i * z_j * cosine
        - c_ij * (z_i**2 + z_j**2)
        - c_ik * z_k * z_j * with_j
        - c_jk * z_k * z_i * with_i
    )
    log_i = -own_i - (c_ij * z_j * cosine + c_ik * z_k * with_i) / z_i
    log_j = -own_j - (c_ij * z_i * cosine + c_jk * z_k * with_j) / z_j
    rate = dot_rate / (z_i * z_j) - cosine * (log_i + log_j)
    third_i, third_j = with_j - with_i * cosine, with_i - with_j * cosine
    sorted_rate = (
        -c_ij * (z_j / z_i + z_i / z_j) * (1 - cosine**2)
        - c_ik * z_k / z_i * third_i
        - c_jk * z_k / z_j * third_j
    )
    return Derivation(
        "separation of the z directions",
        f"{PAPER}, Lemma 17",
        (
            Step(
                sp.Derivative(dot / (x * y), t),
                dot.diff(t) / (x * y) - dot / (x * y) * (x.diff(t) / x + y.diff(t) / y),
                "d/dt cos kappa, p = z_i.z_j, x = |z_i|, y = |z_j|",
            ),
            Step(
                rate,
                sorted_rate,
                "with z_i' = -a_i z_i - sum c_ik z_k, c_ik = (pi - theta_ik)/(2 pi) >= 0",
                assumptions=(
                    "z_i, z_j, z_k stand for lengths, C, C_ki, C_kj for cosines of kappa",
                ),
            ),
            Step(
                z_j / z_i + z_i / z_j,
                sp.Integer(2),
                "the pair's own term is at most -2 c_ij (1 - C^2)",
                relation=">=",
            ),
            Step(
                third_i, (with_j - cosine) + cosine * (1 - with_i), "a third neuron's term, sorted"
            ),
            Step(
                third_i.subs({with_j: above(p), with_i: above(q)}),
                sp.S.Zero,
                "it is not negative, since C is the smallest cosine and positive",
                assumptions=(
                    "kappa_ij = kappa_max < pi/2",
                    "C_ki = C + (1 - C) q, C_kj = C + (1 - C) p; the other term likewise",
                ),
                domain=cosines,
                relation=">=",
            ),
            Step(
                -c_ij * (2 + slack_1) * (1 - cosine**2) - slack_2 - slack_3,
                -2 * c_ij * (1 - cosine**2),
                "Lemma 17: d/dt cos kappa_ij <= -((pi - theta_ij)/pi) (1 - cos^2 kappa_ij)",
                assumptions=(
                    "s_1, s_2, s_3 >= 0: what the other steps leave over",
                    "c_ij = (pi - theta_ij)/(2 pi)",
                ),
                domain=cosines,
                relation="<=",
            ),
        ),
        results=("Lemma 17",),
        heading="The parts across the teacher turn away from each other",
    )


def derive_mirror_pair() -> Derivation:
    r"""Solve the mirror pair of appendix A: `n = 2`, `w_2` the mirror image of `w_1` in `v`.

    `h` converges exponentially to `|v|/2`; on `h = |v|/2` the angle obeys
    `theta' = -theta sin(2 theta)/(2 pi)`, hence `theta` falls like `pi/t` and `t^3 L` tends to
    `pi^2/6`: the exponent 3 is attained, with its constant.

    Returns
    -------
    Derivation
        In units of the teacher, `|v| = 1`; `theta` in `(0, pi/2)`; the pair's angle is `2 theta`.
    """
    own, other = pair_flow()
    length = sp.Symbol("alpha", positive=True)
    pair = {ALPHA: length, BETA: length, THETA: 2 * THETA}
    teacher = {ALPHA: length, BETA: sp.S.One, THETA: THETA}
    at_pair = [f.subs(pair, simultaneous=True) for f in (own, other)]
    at_teacher = [f.subs(teacher, simultaneous=True) for f in (own, other)]
    quarter = ((THETA, sp.S.Zero, sp.pi / 2),)
    half = sp.Rational(1, 2)
    h = length * sp.cos(THETA)

    # The partner has the same h and the opposite z.
    h_rate = -half * h - (at_pair[0] + at_pair[1]) * h + at_teacher[0] * h + at_teacher[1]
    z_log_rate = -half - (at_pair[0] - at_pair[1]) + at_teacher[0]
    balanced = 1 / (2 * sp.cos(THETA))  # |w_i| where h = 1/2
    on_slow = z_log_rate.subs(length, balanced)
    angle_rate = -THETA * sp.sin(2 * THETA) / (2 * sp.pi)
    energy = pair_energy()
    loss = (
        energy.subs(pair, simultaneous=True) - 2 * energy.subs(teacher, simultaneous=True)
    ).subs(length, balanced)
    wave = definition(loss)
    return Derivation(
        "mirror pair",
        f"{PAPER}, appendix A",
        (
            Step(
                h_rate,
                -(h - half) * (1 - (2 * THETA - sp.sin(2 * THETA)) / (2 * sp.pi)),
                "flow of h: the residual 2 h - 1 decays exponentially",
                assumptions=("|v| = 1; theta < pi/2, so the rate is at least 1/2",),
                domain=quarter,
            ),
            Step(
                on_slow, -THETA / sp.pi, "d log|z|/dt on the invariant set h = 1/2", domain=quarter
            ),
            Step(
                sp.cos(THETA) ** 2 * sp.tan(THETA) * (-THETA / sp.pi),
                angle_rate,
                "theta' from |z| = tan(theta)/2",
                domain=quarter,
            ),
            Step(
                sp.Limit(-angle_rate / THETA**2, THETA, 0, "+"),
                1 / sp.pi,
                "d(1/theta)/dt tends to 1/pi, so t theta tends to pi",
            ),
            Step(
                sp.Limit(wave / THETA**3, THETA, 0, "+"),
                1 / (6 * sp.pi),
                "L = theta^3/(6 pi) to leading order, r = 0",
            ),
            Step(
                sp.pi**3 * sp.Limit(wave / THETA**3, THETA, 0, "+"),
                sp.pi**2 / 6,
                "t^3 L = (t theta)^3 (L/theta^3) tends to pi^2/6",
            ),
        ),
        results=("d(1/theta)/dt tends", "t^3 L ="),
        heading="A mirror pair slows down like t^-1 in its angle, and t^3 L has a limit",
    )
