r"""Toy examples of appendix A: neurons along the teacher, equal neurons, a mirror pair.

The first two have a linear rate. The mirror pair falls like `t^-3`; here it is bounded from both
sides at all times, its limit is in `symbolic.systems.relu_neuron.flow.derive_mirror_pair`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, appendix A; the rate of one neuron with its constant
is this toolkit's.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Domain
from symbolic.language.primitives import definition
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, BETA, THETA
from symbolic.systems.relu_neuron.bounds import FRACTIONS, NEURONS, WEDGE, N, P, V
from symbolic.systems.relu_neuron.pair import PAPER, kernel, pair_energy, pair_gradient

__all__ = ["derive_equal", "derive_mirror_bounds", "derive_parallel", "rate_of_one"]


def rate_of_one(angle: sp.Expr) -> sp.Expr:
    """Return the rate `c(theta)` of one neuron: `|grad L|^2 >= c L`, 1 at the teacher.

    Parameters
    ----------
    angle : Expr
        Angle to the teacher, in `[0, pi]`.
    """
    return _root(angle) ** 2


def _root(angle: sp.Expr) -> sp.Expr:
    return (1 - angle / sp.pi) * sp.cos(angle / 2)


def _at_zero(*expressions: sp.Expr) -> sp.Matrix:
    """Expressions at angle zero, not yet evaluated."""
    return sp.Matrix([sp.Subs(definition(x), THETA, 0) for x in expressions])


def derive_parallel() -> Derivation:
    r"""Derive the rate of neurons that are positive multiples of the teacher.

    Returns
    -------
    Derivation
        `dL/dt = -n L`, exactly; with what neurons on the other side of the teacher change.
    """
    rho = sp.Symbol("rho", real=True)
    t = sp.Symbol("t", nonnegative=True)
    size = sp.Symbol("S", nonnegative=True)  # sum of |h_i| over the neurons with h_i < 0
    unit, chord = pair_gradient()
    loss = rho**2 / 4
    return Derivation(
        "neurons along the teacher",
        f"{PAPER}, appendix A",
        (
            Step(
                _at_zero(pair_energy(), unit, chord),
                sp.zeros(3, 1),
                "at angle zero a pair has no energy and no pull: L = |r|^2/4, grad_i L = r/2",
                assumptions=("w_i = h_i vbar, h_i > 0; r = rho vbar",),
            ),
            Step(
                N * sp.Derivative(loss, rho) * (-rho / 2),
                -N * loss,
                "dL/dt = (dL/drho) rho' with rho' = -(n/2) rho: a linear rate",
                domain=NEURONS,
            ),
            Step(
                sp.Derivative(sp.exp(-N * t), t),
                -N * sp.exp(-N * t),
                "L(t) = L(0) exp(-n t)",
                domain=NEURONS,
            ),
            Step(
                (kernel() / (ALPHA * BETA)).subs(THETA, sp.pi),
                sp.S.Zero,
                "neurons on the other side do not know the teacher",
                assumptions=("they add S^2/4 to the loss, which decays to zero by itself",),
            ),
            Step(
                (V**2 + size**2) / 4,
                V**2 / 4,
                "so all on the other side keep L >= |v|^2/4: the sign of h_i is a hypothesis",
                relation=">=",
            ),
        ),
        results=("dL/dt = (dL/drho)", "L(t) = L(0)", "so all on the other side"),
        heading="Neurons along the teacher stay there and learn exponentially fast",
    )


def derive_equal() -> Derivation:
    r"""Derive the rate of equal neurons, which are one neuron `u = n w_i` in `n` times the time.

    Returns
    -------
    Derivation
        `-dL/dt >= n c(theta) L` with `c = (1 - theta/pi)^2 cos(theta/2)^2`; the angle only falls.
    """
    alone = (ALPHA**2 + BETA**2) / 4 - kernel()
    unit, chord = (definition(x) for x in pair_gradient())
    u_bar = sp.Matrix([1, 0])
    v_bar = sp.Matrix([sp.cos(THETA), sp.sin(THETA)])
    gradient = (ALPHA * u_bar - BETA * v_bar) / 2 - unit * u_bar - chord * (u_bar - v_bar)
    double = (sp.sin(THETA) + (sp.pi - THETA) * sp.cos(THETA)) / sp.pi  # 2 k/(|u||v|)
    along = (ALPHA - BETA * double) / 2
    across = BETA * (sp.pi - THETA) * sp.sin(THETA) / (2 * sp.pi)
    times = {ALPHA: N * ALPHA}
    c = sp.Symbol("c", nonnegative=True)
    cosine = sp.Symbol("C", real=True)
    between = cosine + (1 - cosine) * P
    return Derivation(
        "equal neurons",
        f"{PAPER}, appendix A, and Yehudai & Shamir 2020; the constant is derived here",
        (
            Step(
                N**2 * ALPHA**2 / 4 - N * kernel() + BETA**2 / 4,
                alone.subs(times),
                "n equal neurons w have the loss of one neuron u = n w",
                assumptions=("k(w, w) = |w|^2/2",),
                domain=(*ANGLES, *NEURONS),
            ),
            Step(
                _at_zero(unit, chord),
                sp.zeros(2, 1),
                "equal neurons do not pull on each other, so each has the gradient of that neuron:"
                " u' = -n grad L(u), dL/dt = -n |grad L(u)|^2",
            ),
            Step(
                gradient.dot(gradient),
                along**2 + across**2,
                "the gradient of one neuron, along u and across",
                assumptions=("frame: u along the first axis",),
                domain=ANGLES,
            ),
            Step(
                alone,
                along**2 + BETA**2 / 4 * (1 - double**2),
                "its loss, with the same square",
                domain=ANGLES,
            ),
            Step(
                double,
                sp.cos(THETA),
                "D = 2 k/(|u||v|) is at least the cosine",
                domain=ANGLES,
                relation=">=",
            ),
            Step(double, sp.S.One, "and at most one", domain=ANGLES, relation="<="),
            Step(
                1 - between**2,
                2 * (1 - cosine),
                "what is left of the loss at the best length: 1 - D^2 <= 2 (1 - cos theta)",
                assumptions=("C = cos(theta), D = C + (1 - C) p with p in (0, 1)",),
                domain=((cosine, -sp.S.One, sp.S.One), *FRACTIONS[:1]),
                relation="<=",
            ),
            Step(2 * (1 - sp.cos(THETA)), 4 * sp.sin(THETA / 2) ** 2, "half angle", domain=ANGLES),
            Step(
                (sp.pi - THETA) ** 2 * sp.sin(THETA) ** 2 / sp.pi**2,
                rate_of_one(THETA) * 4 * sp.sin(THETA / 2) ** 2,
                "what is left of the gradient there, with c = (1 - theta/pi)^2 cos(theta/2)^2",
                domain=ANGLES,
            ),
            Step(
                along**2,
                c * along**2,
                "so |grad L|^2 >= c L, as c <= 1",
                domain=((c, sp.S.Zero, sp.S.One),),
                relation=">=",
            ),
            Step(
                sp.Derivative(_root(THETA), THETA),
                sp.S.Zero,
                "the root of c grows as the angle falls, so -dL/dt >= n c(theta(0)) L for ever",
                assumptions=("'flow of z, h, theta and r': one neuron's angle only falls",),
                domain=ANGLES,
                relation="<=",
            ),
        ),
        results=("so |grad L|^2 >= c L", "the root of c grows"),
        heading="Equal neurons move as one neuron and learn exponentially fast",
    )


def derive_mirror_bounds() -> Derivation:
    r"""Bound the loss of a mirror pair from both sides at all times.

    Returns
    -------
    Derivation
        On `h = |v|/2`, in units of the teacher, from `theta_T <= 1/2` on: `L` is at least
        `theta_T^3/(6 pi (1 + theta_T tau/pi)^3)` and at most
        `2 theta_T^3/(9 pi (1 + 5 theta_T tau/(6 pi))^3)`, with `tau = t - T`.
    """
    begin, tau = sp.symbols("theta_T tau", positive=True)
    t = sp.Symbol("t", real=True)
    of_time = sp.Function("theta", positive=True)(t)
    slow: Domain = ((THETA, sp.S.Zero, sp.S.Half),)
    length = 1 / (2 * sp.cos(THETA))  # |w_i| where h = 1/2
    energy = definition(pair_energy())
    pair = energy.subs({ALPHA: length, BETA: length, THETA: 2 * THETA}, simultaneous=True)
    teacher = energy.subs({ALPHA: length, BETA: 1}, simultaneous=True)
    loss = WEDGE / (4 * sp.pi * sp.cos(THETA) ** 2)
    speed = THETA * sp.sin(2 * THETA) / (2 * sp.pi)
    cubed = THETA**3 / (6 * sp.pi)
    least = sp.Rational(5, 6)
    return Derivation(
        "a mirror pair from both sides",
        f"{PAPER}, appendix A; the constants are derived here",
        (
            Step(
                pair - 2 * teacher,
                loss,
                "the loss on h = 1/2, where r = 0",
                assumptions=("|v| = 1; w_2 the mirror image of w_1 in v, at the angle 2 theta",),
                domain=((THETA, sp.S.Zero, sp.pi / 2),),
            ),
            Step(loss, cubed, "L >= theta^3/(6 pi)", domain=slow, relation=">="),
            Step(
                WEDGE,
                sp.Rational(2, 3) * THETA**3,
                "theta - sin(theta) cos(theta) <= (2/3) theta^3",
                domain=slow,
                relation="<=",
            ),
            Step(
                sp.cos(THETA) ** 2,
                sp.Rational(3, 4),
                "cos(theta)^2 >= 3/4, so L <= 2 theta^3/(9 pi)",
                domain=slow,
                relation=">=",
            ),
            Step(
                sp.Derivative(1 / of_time, t),
                -sp.Derivative(of_time, t) / of_time**2,
                "rate of 1/theta; theta' = -theta sin(2 theta)/(2 pi), see 'mirror pair'",
            ),
            Step(speed / THETA**2, 1 / sp.pi, "it is at most 1/pi", domain=slow, relation="<="),
            Step(
                speed,
                least / sp.pi * THETA**2,
                "and at least 5/(6 pi)",
                assumptions=("theta <= 1/2; times theta^2",),
                domain=slow,
                relation=">=",
            ),
            Step(
                sp.Subs(cubed, THETA, 1 / (1 / begin + tau / sp.pi)),
                begin**3 / (6 * sp.pi * (1 + begin * tau / sp.pi) ** 3),
                "so L >= theta_T^3/(6 pi (1 + theta_T tau/pi)^3)",
                assumptions=("1/theta <= 1/theta_T + tau/pi",),
            ),
            Step(
                sp.Subs(cubed * sp.Rational(4, 3), THETA, 1 / (1 / begin + least * tau / sp.pi)),
                2 * begin**3 / (9 * sp.pi * (1 + least * begin * tau / sp.pi) ** 3),
                "and L <= 2 theta_T^3/(9 pi (1 + 5 theta_T tau/(6 pi))^3)",
                assumptions=("1/theta >= 1/theta_T + 5 tau/(6 pi)",),
            ),
        ),
        results=("so L >= theta_T^3", "and L <= 2 theta_T^3"),
        heading="The loss of a mirror pair is bounded on both sides for all times",
    )
