r"""The `t^-3` lower bound of the loss along the flow: how fast at most the distance `Z` decays.

Constants and conventions as in :mod:`symbolic.systems.relu_neuron.bounds`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034; the constants are this toolkit's.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Domain
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA
from symbolic.systems.relu_neuron.bounds import (
    DISTANCE_DECAY,
    DISTANCE_VS_LOSS,
    FRACTIONS,
    HEAVIEST,
    KAPPA,
    LIGHTEST,
    LOSS_LOWER,
    NEURONS,
    PHASE_3,
    PULL,
    QUARTER,
    ZETA,
    N,
    P,
    Q,
    V,
    lemma,
)
from symbolic.systems.relu_neuron.flow import pair_flow
from symbolic.systems.relu_neuron.pair import PAPER

__all__ = ["derive_descent", "derive_distance_decay", "derive_lower_rate"]


def derive_distance_decay() -> Derivation:
    r"""Derive `dZ/dt >= -34 pi^2 n^4/(kappa_max(0)^2 |v|) Z^2` for `Z = sum |z_i - z_j|`.

    Returns
    -------
    Derivation
        Equations 60 to 66 with their constants. Uses Lemma 30 and `Z >= max |z_i| kappa_max(0)/pi`
        (`symbolic.systems.relu_neuron.persistence`). The theorem `distance_decay` of
        `symbolic.systems.relu_neuron.theorems` has the same constant, from rules alone.
    """
    own, other = pair_flow()
    z_i, z_j = sp.symbols("z_i z_j", real=True)
    t_i, t_j, gamma = sp.symbols("theta_i theta_j gamma", nonnegative=True)
    t = sp.Symbol("t", real=True)
    first, second = (sp.Function(name, real=True)(t) for name in ("x", "y"))
    length = sp.sqrt(first**2 + second**2)
    x, y = sp.symbols("x y", positive=True)  # lengths of vectors
    slack, kappa_0, big_z = sp.symbols("s kappa_0 Z", positive=True)
    i, j = sp.symbols("i j", integer=True, positive=True)
    corners: Domain = ((t_i, sp.S.Zero, sp.pi), (t_j, sp.S.Zero, sp.pi), (KAPPA, sp.S.Zero, sp.pi))
    angle: Domain = ((gamma, sp.S.Zero, sp.pi),)
    directions = (
        sp.Matrix([sp.cos(t_i), sp.sin(t_i), 0]),
        sp.Matrix([sp.cos(t_j), sp.sin(t_j) * sp.cos(KAPPA), sp.sin(t_j) * sp.sin(KAPPA)]),
    )
    light, heavy = LIGHTEST * V / N, HEAVIEST * V / N
    neighbours = (N - 1) * (2 + 2 * HEAVIEST / LIGHTEST)
    error = THETA * ZETA * neighbours / (2 * sp.pi)
    rough = THETA * ZETA * N * (2 + 2 * HEAVIEST / LIGHTEST) / (2 * sp.pi)
    pull = PULL * N**2 * ZETA**2 / V
    pairs = sp.Sum(sp.Sum(1, (j, i + 1, N)), (i, 1, N))
    far = sp.pi * big_z / kappa_0  # the largest zeta that Z allows
    return Derivation(
        "decay of the pairwise distance",
        f"{PAPER}, equations 60 to 66; the constant is derived here",
        (
            lemma(
                sp.Derivative(length, t),
                "==",
                (first * first.diff(t) + second * second.diff(t)) / length,
                "Lie derivative of a distance: d|x|/dt = <x, x'>/|x|, so Z' = sum of these",
                "z_i != z_j; two coordinates stand for any number",
            ),
            lemma(
                -own * z_i - other * z_j,
                "==",
                -z_j / 2
                + THETA / (2 * sp.pi) * z_j
                - BETA * sp.sin(THETA) / (2 * sp.pi * ALPHA) * z_i,
                "neuron j's pull on z_i is -z_j/2 plus a term that is small with the angle",
                "with neuron i's own -z_i/2 the halves add up to the same vector for every i: "
                "they cancel in z_i' - z_j'",
                domain=ANGLES,
            ),
            lemma(
                directions[0].dot(directions[1]) - sp.cos(t_i + t_j),
                "==",
                sp.sin(t_i) * sp.sin(t_j) * (1 + sp.cos(KAPPA)),
                "cos theta_ij against cos(theta_i + theta_j)",
                "v along the first vector",
                domain=corners,
            ),
            Step(
                sp.sin(t_i) * sp.sin(t_j) * (1 + sp.cos(KAPPA)),
                sp.S.Zero,
                "hence theta_ij <= theta_i + theta_j <= 2 theta",
                domain=corners,
                relation=">=",
                fresh=False,
            ),
            lemma(
                (x + y) ** 2,
                ">=",
                x**2 + y**2 + 2 * x * y * sp.cos(gamma),
                "triangle inequality |x + y| <= |x| + |y|",
                "gamma: angle of the vectors x and y",
                domain=angle,
            ),
            lemma(
                (2 * THETA * P) * (ZETA * Q),
                "<=",
                2 * THETA * ZETA,
                "each term theta_ij |z_j|",
                "theta_ij = 2 theta p, |z_j| = zeta q",
                domain=FRACTIONS,
            ),
            lemma(sp.sin(THETA), "<=", THETA, "sin(theta) <= theta", domain=ANGLES),
            lemma(
                heavy * P / (light * (1 + slack)) * (2 * THETA * Q) * ZETA,
                "<=",
                HEAVIEST / LIGHTEST * 2 * THETA * ZETA,
                "each term |w_j| sin(theta_ij) |z_i|/|w_i|",
                PHASE_3,
                domain=(*FRACTIONS, *NEURONS),
            ),
            lemma(
                V / (light * (1 + slack)) * (THETA * Q) * ZETA,
                "<=",
                N / LIGHTEST * THETA * ZETA,
                "the term |v| sin(theta_i) |z_i|/|w_i|",
                PHASE_3,
                domain=(*FRACTIONS[1:], *NEURONS),
            ),
            lemma(
                N / LIGHTEST * THETA * ZETA,
                "<=",
                (N - 1) * HEAVIEST / LIGHTEST * 2 * THETA * ZETA,
                "the teacher's term is the smaller one",
                "n >= 2; neurons and teacher act on |z_i| in opposite directions, and the"
                " difference of two numbers >= 0 is at most the larger",
                domain=((N, 2, 5),),
            ),
            lemma(
                (
                    sp.Sum(2 * THETA * ZETA, (j, 1, N - 1))
                    + sp.Sum(HEAVIEST / LIGHTEST * 2 * THETA * ZETA, (j, 1, N - 1))
                )
                / (2 * sp.pi),
                "==",
                error,
                "the small terms of z_i', n - 1 neurons",
                "|e_i| <= (1/2pi) [sum theta_ij |z_j| + max(sum |w_j| sin theta_ij,"
                " |v| sin theta_i) |z_i|/|w_i|]",
                domain=NEURONS,
                uses=("each term theta_ij |z_j|", "each term |w_j| sin(theta_ij) |z_i|/|w_i|"),
            ),
            Step(error, rough, "n - 1 <= n", domain=NEURONS, relation="<=", fresh=False),
            lemma(
                sp.sin(THETA),
                ">=",
                2 * THETA / sp.pi,
                "Jordan: sin(theta) >= 2 theta/pi",
                domain=QUARTER,
            ),
            lemma(
                light * (1 + slack) * sp.sin(THETA),
                ">=",
                THETA * V / (2 * sp.pi * N),
                "zeta >= |z_i| = |w_i| sin(theta_i) at the largest"
                " angle, so theta <= 2 pi n zeta/|v|",
                PHASE_3,
                domain=(*QUARTER, *NEURONS),
                uses=("Jordan: sin(theta) >= 2 theta/pi",),
            ),
            lemma(
                rough.subs(THETA, 2 * sp.pi * N * ZETA / V * P),
                "<=",
                pull,
                "|e_i| <= 34 n^2 zeta^2/|v|",
                "theta = p 2 pi n zeta/|v|",
                domain=(*FRACTIONS[:1], *NEURONS),
            ),
            lemma(x * sp.cos(gamma), ">=", -x, "<u, e> >= -|e| for a unit vector u", domain=angle),
            lemma(pairs, "==", N * (N - 1) / 2, "number of pairs", domain=NEURONS),
            lemma(
                -2 * pull * pairs,
                ">=",
                -PULL * N**4 * ZETA**2 / V,
                "Z' >= -sum (|e_i| + |e_j|)",
                domain=NEURONS,
                uses=("number of pairs",),
            ),
            lemma(
                ZETA * (kappa_0 + slack) / sp.pi,
                ">=",
                ZETA * kappa_0 / sp.pi,
                "Z >= zeta kappa_max(0)/pi",
                "'the longest z and the pairwise distance': Z = zeta (kappa_max(0) + s)/pi, s >= 0",
            ),
            lemma(
                (-PULL * N**4 * ZETA**2 / V).subs(ZETA, far * P),
                ">=",
                -DISTANCE_DECAY * N**4 / (kappa_0**2 * V) * big_z**2,
                "dZ/dt >= -34 pi^2 n^4/(kappa_max(0)^2 |v|) Z^2",
                "zeta = p pi Z/kappa_max(0)",
                domain=(*FRACTIONS[:1], *NEURONS),
            ),
        ),
        results=("dZ/dt >=",),
        heading="The sum Z of all distances falls no faster than Z' = -C Z^2",
    )


def derive_lower_rate() -> Derivation:
    r"""Derive the `t^-3` lower bound from the two inequalities: Theorem 14 with its constant.

    Returns
    -------
    Derivation
        `L^(-1/3) <= LOSS_LOWER n^(17/3)/(kappa_max(0)^2 |v|^(2/3)) (t - T) + gamma`, with
        `gamma = (24 pi n^5 |v|)^(1/3)/Z(T)`.
    """
    t = sp.Symbol("t", real=True)
    z_of_t = sp.Function("Z", positive=True)(t)
    rate, big_z, start, kappa_0 = sp.symbols("C Z Z_T kappa_0", positive=True)
    slack = sp.Symbol("s", nonnegative=True)
    passed = sp.Symbol("tau", positive=True)  # t - T
    third = sp.Rational(1, 3)
    size = (N**5 * V / DISTANCE_VS_LOSS) ** third
    decay = DISTANCE_DECAY * N**4 / (kappa_0**2 * V)
    return Derivation(
        "lower bound of the loss",
        f"{PAPER}, Theorem 14; the constant is derived here",
        (
            lemma(
                sp.Derivative(1 / z_of_t, t),
                "==",
                -sp.Derivative(z_of_t, t) / z_of_t**2,
                "d(1/Z)/dt",
            ),
            lemma(
                -(-rate * big_z**2 + slack) / big_z**2,
                "<=",
                rate,
                "dZ/dt >= -C Z^2 makes 1/Z grow at most like C t",
                "dZ/dt = -C Z^2 + s, s >= 0",
            ),
            lemma(
                sp.Derivative(1 / (1 / start + rate * t), t),
                "==",
                -rate * (1 / (1 / start + rate * t)) ** 2,
                "equality is attained by Z = 1/(1/Z(T) + C t)",
                domain=((t, sp.S.Zero, sp.oo),),
            ),
            lemma(
                (1 + slack) ** -third * size / big_z,
                "<=",
                size / big_z,
                "L >= Z^3/(24 pi n^5 |v|), to the power -1/3",
                "L = (1 + s) Z^3/(24 pi n^5 |v|), s >= 0",
                domain=((slack, sp.S.Zero, sp.oo), *NEURONS),
            ),
            lemma(
                size * (1 / start + decay * passed),
                "==",
                LOSS_LOWER * N ** sp.Rational(17, 3) / (kappa_0**2 * V ** (2 * third)) * passed
                + size / start,
                "L^(-1/3) <= 34 pi^2 (24 pi)^(1/3) n^(17/3)/(kappa_max(0)^2 |v|^(2/3)) (t - T)"
                " + gamma",
                domain=NEURONS,
            ),
        ),
        results=("L^(-1/3) <=",),
        heading="The loss is at least a multiple of t^-3",
    )


def derive_descent() -> Derivation:
    r"""Derive the identity part of the descent lemma.

    `L(w - eta g) = L(w) - eta |g|^2 + eta^2 int_0^1 (1 - s) g^T H(w - s eta g) g ds`, `g = grad L`.

    Returns
    -------
    Derivation
        Lemma 8's identity; its inequality bounds the integral by the Hessian on the segment.
    """
    s, eta = sp.Symbol("s", real=True), sp.Symbol("eta", positive=True)
    f = sp.Function("f", real=True)(s)
    x, y, a, b, g_1, g_2 = sp.symbols("x y a b g_1 g_2", real=True)
    # Both sides are linear in L, and exponentials span the functions of two coordinates.
    loss = sp.exp(a * x + b * y)
    along = {x: x - s * eta * g_1, y: y - s * eta * g_2}
    gradient = sp.Matrix([loss.diff(x), loss.diff(y)]).subs(along, simultaneous=True)
    hessian = sp.hessian(loss, (x, y)).subs(along, simultaneous=True)
    g = sp.Matrix([g_1, g_2])
    segment = loss.subs(along, simultaneous=True)
    return Derivation(
        "descent lemma",
        f"{PAPER}, Lemma 8, the identity",
        (
            lemma(
                sp.Derivative(f + (1 - s) * sp.Derivative(f, s), s),
                "==",
                (1 - s) * sp.Derivative(f, (s, 2)),
                "Taylor with integral remainder: f(1) = f(0) + f'(0) + int (1 - s) f''(s) ds",
                "f(s) = L(w - s eta g); the bracket is f(1) at s = 1, f(0) + f'(0) at s = 0",
            ),
            lemma(
                sp.Derivative(segment, s),
                "==",
                -eta * g.dot(gradient),
                "f'(s) = -eta <g, grad L>, at s = 0: -eta |g|^2",
                "chain rule on exponentials, in which both sides are linear",
                shown=r"f'(s) = -\eta \langle g, \nabla L(w - s \eta g) \rangle",
            ),
            lemma(
                sp.Derivative(segment, (s, 2)),
                "==",
                eta**2 * (g.T * hessian * g)[0, 0],
                "f''(s) = eta^2 g^T H g",
                "chain rule on exponentials, in which both sides are linear",
                shown=r"f''(s) = \eta^2\, g^T H(w - s \eta g)\, g",
            ),
        ),
        heading="A step of gradient descent lowers the loss by its length times |grad L|^2, up to"
        " an integral of the Hessian",
    )
