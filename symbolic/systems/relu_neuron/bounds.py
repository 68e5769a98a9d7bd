r"""The inequalities behind the `t^-3` lower bound, with every constant made explicit.

The paper states `dZ/dt >= -C n^4/(kappa_max(0)^2 |v|) Z^2` (equations 60 to 66) and
`L >= c Z^3/(n^5 |v|)` (equation 68) up to absolute constants; here they are derived with
`C = 34 pi^2` and `c = 1/(24 pi)`, which makes Theorem 14's constant `34 pi^2 (24 pi)^(1/3)`.

In phase 3, `|v|/(4n) <= |w_i| <= 4|v|/n` and `theta_i <= pi/2`. A quantity that is bounded by
another is written as a fraction `p` or `q` in `(0, 1)` of it, so that every step is a relation of
independent real symbols that the machine decides. `zeta = max |z_i|`, `theta = max theta_i`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034; the constants are this toolkit's.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Domain, Relation
from symbolic.lemmas.dual_kernel import ALPHA, ANGLES, PHI, RADIUS, THETA
from symbolic.systems.relu_neuron.pair import PAPER

__all__ = [
    "ANGLE_VS_LOSS",
    "DISTANCE_DECAY",
    "DISTANCE_VS_LOSS",
    "LOSS_LOWER",
    "PERSISTENCE",
    "TRANSVERSE_VS_LOSS",
    "derive_distance_vs_loss",
    "derive_transverse_bound",
]

#: Phase 3: `|w_i|` in units of `|v|/n` lies between the first and the second.
LIGHTEST, HEAVIEST = sp.Rational(1, 4), sp.Integer(4)

#: `|w_i|^2 theta_i^3 <= ANGLE_VS_LOSS L` for every angle (Lemma 20 prints `30 pi`).
ANGLE_VS_LOSS = 4 * sp.pi**3
#: `|z_i|^3 <= TRANSVERSE_VS_LOSS |w_i| L`; attained in the limit of small angles by one neuron.
TRANSVERSE_VS_LOSS = 6 * sp.pi
#: `L >= DISTANCE_VS_LOSS Z^3/(n^5 |v|)` in phase 3, equation 68.
DISTANCE_VS_LOSS = 1 / (TRANSVERSE_VS_LOSS * HEAVIEST)
#: `|z_i'| <= PULL n^2 zeta^2/|v|` in phase 3, up to a vector that is the same for all neurons.
PULL = (2 + 2 * HEAVIEST / LIGHTEST) / (2 * LIGHTEST * 2)
#: `kappa_max(t) >= min(kappa_max(T), pi/2) >= PERSISTENCE kappa_max(T)` (Lemma 30 prints 1/3).
PERSISTENCE = sp.Rational(1, 2)
#: `dZ/dt >= -DISTANCE_DECAY n^4/(kappa_max(0)^2 |v|) Z^2` in phase 3, equation 66.
DISTANCE_DECAY = PULL * sp.pi**2
#: `L^(-1/3) <= LOSS_LOWER n^(17/3)/(kappa_max(0)^2 |v|^(2/3)) (t - T) + gamma`, Theorem 14.
LOSS_LOWER = DISTANCE_DECAY * DISTANCE_VS_LOSS ** -sp.Rational(1, 3)

N = sp.Symbol("n", integer=True, positive=True)
NEURONS: Domain = ((N, 2, 5),)
V = sp.Symbol("v", positive=True)  # |v|
ZETA = sp.Symbol("zeta", positive=True)
KAPPA = sp.Symbol("kappa", nonnegative=True)
P, Q = sp.symbols("p q", nonnegative=True)
FRACTIONS: Domain = ((P, sp.S.Zero, sp.S.One), (Q, sp.S.Zero, sp.S.One))
QUARTER: Domain = ((THETA, sp.S.Zero, sp.pi / 2),)
UP_TO_286: Domain = ((THETA, sp.S.Zero, sp.Rational(286, 100)),)
# What one neuron of length ALPHA at angle THETA costs at least.
WEDGE = THETA - sp.sin(THETA) * sp.cos(THETA)
FLOOR = ALPHA**2 * WEDGE / (4 * sp.pi)
PHASE_3 = "phase 3: |v|/(4n) <= |w_i| <= 4|v|/n, theta_i <= pi/2"


def lemma(
    lhs: Any, relation: Relation, rhs: Any, rule: str, *assumptions: str, **options: Any
) -> Step:
    """Return a step that starts a chain."""
    return Step(lhs, rhs, rule, assumptions=assumptions, relation=relation, **options)


def derive_transverse_bound() -> Derivation:
    r"""Derive what one neuron's angle costs: Lemma 20, and its sharp form in `|z_i|`.

    Where the teacher is off, every neuron only adds; so `L` is at least half of neuron `i`'s own
    square over `v.x < 0`, which is a two-dimensional Gaussian integral.

    Returns
    -------
    Derivation
        `|w|^2 theta^3 <= 4 pi^3 L` for all angles, `30 pi L` up to 2.86, and
        `|z|^3 <= 6 pi |w| L`.
    """
    own, rest = sp.symbols("a b", nonnegative=True)
    radial = RADIUS**3 * sp.exp(-(RADIUS**2) / 2)
    sector = (PHI, -sp.pi / 2, THETA - sp.pi / 2)
    wedge, floor = WEDGE, FLOOR
    integral = ALPHA**2 / (2 * sp.pi) * 2 * sp.Integral(sp.cos(PHI) ** 2, sector)
    return Derivation(
        "what an angle costs",
        f"{PAPER}, Lemma 20",
        (
            lemma(
                (own + rest) ** 2,
                ">=",
                own**2,
                "where v.x < 0 the integrand is at least neuron i's own square",
                "a = relu(w_i.x) >= 0, b = sum of the other neurons >= 0, relu(v.x) = 0",
            ),
            lemma(sp.Integral(radial, (RADIUS, 0, sp.oo)), "==", sp.Integer(2), "radial integral"),
            lemma(
                integral / 2,
                "==",
                floor,
                "(1/2) E[relu(w.x)^2, v.x < 0] over the sector -pi/2 < phi < theta - pi/2",
                "w along phi = 0, v along phi = theta",
                domain=ANGLES,
            ),
            lemma(
                wedge,
                ">=",
                sp.Rational(2, 3) * sp.sin(THETA) ** 3,
                "theta - sin(theta) cos(theta) against sin^3",
                domain=ANGLES,
            ),
            lemma(
                floor,
                ">=",
                (ALPHA * sp.sin(THETA)) ** 3 / (TRANSVERSE_VS_LOSS * ALPHA),
                "L >= |z|^3/(6 pi |w|)",
                "|z| = |w| sin(theta)",
                domain=ANGLES,
                uses=("(1/2) E[relu(w.x)^2, v.x < 0] over the sector -pi/2 < phi < theta - pi/2",),
            ),
            lemma(
                wedge / THETA**3,
                ">=",
                1 / sp.pi**2,
                "(theta - sin(theta) cos(theta))/theta^3 falls to its value at pi",
                domain=ANGLES,
            ),
            *_multiplied(1 / sp.pi**2, ANGLES, "L >= |w|^2 theta^3/(4 pi^3), for every angle"),
            *_multiplied(
                sp.Rational(2, 15),
                UP_TO_286,
                "L >= |w|^2 theta^3/(30 pi), the printed constant, for theta <= 2.86",
            ),
        ),
        results=("L >= |z|^3", "L >= |w|^2 theta^3/(4 pi^3)", "L >= |w|^2 theta^3/(30 pi)"),
        heading="An angle to the teacher costs a loss of the order of its cube",
    )


def _multiplied(least: sp.Expr, domain: Domain, rule: str) -> tuple[Step, Step]:
    """Turn a lower bound of the quotient by theta^3 into one of the loss."""
    product = ALPHA**2 * THETA**3 / (4 * sp.pi) * (WEDGE / THETA**3 - least)
    difference = FLOOR - ALPHA**2 * THETA**3 * least / (4 * sp.pi)
    return (
        Step(difference, product, f"difference of the sides of {rule}", domain=domain),
        Step(product, sp.S.Zero, rule, domain=domain, relation=">=", fresh=False),
    )


def derive_distance_vs_loss() -> Derivation:
    r"""Derive `L >= Z^3/(24 pi n^5 |v|)` in phase 3, equation 68.

    Returns
    -------
    Derivation
        From `|z_i|^3 <= 6 pi |w_i| L`, see `derive_transverse_bound`.
    """
    loss = sp.Symbol("L", positive=True)
    x, y = sp.symbols("x y", positive=True)
    i, j = sp.symbols("i j", integer=True, positive=True)
    gamma = sp.Symbol("gamma", nonnegative=True)
    heavy = HEAVIEST * V / N
    cube = TRANSVERSE_VS_LOSS * heavy * loss
    bound = N**3 * (N - 1) ** 3 * cube
    return Derivation(
        "distance against loss",
        f"{PAPER}, equation 68; the constant is derived here",
        (
            lemma(
                (x + y) ** 2,
                ">=",
                x**2 + y**2 - 2 * x * y * sp.cos(gamma),
                "|z_i - z_j| <= |z_i| + |z_j| <= 2 zeta",
                domain=((gamma, sp.S.Zero, sp.pi),),
            ),
            lemma(
                sp.Sum(sp.Sum(2 * ZETA, (j, i + 1, N)), (i, 1, N)),
                "==",
                N * (N - 1) * ZETA,
                "Z <= n (n - 1) zeta, pair by pair",
                domain=NEURONS,
            ),
            lemma(
                TRANSVERSE_VS_LOSS * (heavy * P) * loss,
                "<=",
                cube,
                "zeta^3 <= 6 pi |w_i| L <= 24 pi |v| L/n",
                PHASE_3,
                domain=(*FRACTIONS[:1], *NEURONS),
            ),
            lemma(
                bound,
                "<=",
                N**5 * V * loss / DISTANCE_VS_LOSS,
                "Z^3 <= n^3 (n - 1)^3 zeta^3 <= 24 pi n^5 |v| L",
                domain=NEURONS,
            ),
            lemma(
                DISTANCE_VS_LOSS / (N**5 * V) * (N**5 * V * loss / DISTANCE_VS_LOSS * P),
                "<=",
                loss,
                "L >= Z^3/(24 pi n^5 |v|)",
                "Z^3 = p 24 pi n^5 |v| L",
                domain=(*FRACTIONS[:1], *NEURONS),
            ),
        ),
        results=("L >= Z^3",),
        heading="The loss is at least a multiple of Z^3",
    )
