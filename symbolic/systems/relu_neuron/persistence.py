r"""Lemma 30: the directions of the `z_i` stay different, and what follows for the distance.

What the argument gives is `kappa_max(t) >= min(kappa_max(T), pi/2)` for all `t >= T`. The printed
lemma has `kappa_max(0)/3`, and its proof goes back and forth between `/2` and `/3` (second-hand:
the proof was not read here). Neither factor is what the argument ends with: `/2` is what the right
angle costs, because `min(kappa, pi/2) >= kappa/2` up to `pi`, and `/3` is never needed. The right
angle itself is: beyond it Lemma 17's sign is lost, and `kappa_max` can fall.

Source: Xu & Du, COLT 2023, arXiv 2302.10034.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Domain
from symbolic.systems.relu_neuron.bounds import KAPPA, PERSISTENCE
from symbolic.systems.relu_neuron.pair import PAPER

__all__ = ["derive_persistence", "derive_reach"]

ACUTE: Domain = ((KAPPA, sp.S.Zero, sp.pi / 2),)
OBTUSE: Domain = ((KAPPA, sp.pi / 2, sp.pi),)


def derive_persistence() -> Derivation:
    r"""Derive `kappa_max(t) >= min(kappa_max(T), pi/2) >= kappa_max(T)/2`, Lemma 30.

    Returns
    -------
    Derivation
        The signs that the argument needs. The argument: let all `z_i` be non-zero and
        `kappa_max < min(kappa_max(T), pi/2)` at some time, and go back to the last time `s` at
        which this was not so. Since then `kappa_max` has not fallen, so all angles at `s` are at
        most what they are now. If no `z_i(s)` is zero, that contradicts the choice of `s` by
        continuity; if some is, it leaves zero at a right angle or more to another, which
        contradicts that all angles are acute since then.
    """
    cosine, c_ij, c_ki, c_kj = sp.symbols("C c_ij c_ki c_kj", nonnegative=True)
    z_i, z_j = sp.symbols("z_i z_j", positive=True)
    acute = ((cosine, sp.S.Zero, sp.S.One),)
    return Derivation(
        "persistence of the largest angle",
        f"{PAPER}, Lemma 30; the form without a factor is derived here",
        (
            Step(
                -2 * c_ij * (1 - cosine**2),
                sp.S.Zero,
                "kappa_max does not fall below a right angle",
                assumptions=(
                    "Lemma 17: at each pair that attains kappa_max < pi/2 this bounds"
                    " d/dt cos kappa_ij; c_ij = (pi - theta_ij)/(2 pi)",
                    "a maximum of finitely many functions grows at least like the slowest of"
                    " those that attain it",
                ),
                domain=acute,
                relation="<=",
            ),
            Step(
                -c_ki * z_i**2 - c_kj * z_j * z_i * cosine,
                sp.S.Zero,
                "a z_k that vanishes leaves zero at an obtuse angle to each z_i",
                assumptions=(
                    "d/dt <z_k, z_i> where z_k = 0: z_k' = -sum_j c_kj z_j; all <z_i, z_j> >= 0",
                    "c_ki > 0, because w_k is along the teacher there and w_i is not, so the"
                    " derivative is below zero",
                ),
                domain=acute,
                relation="<=",
            ),
            Step(
                sp.pi / 2,
                PERSISTENCE * KAPPA,
                "min(kappa, pi/2) >= kappa/2: beyond a right angle",
                assumptions=("kappa = kappa_max(T) <= pi",),
                domain=OBTUSE,
                relation=">=",
            ),
            Step(
                KAPPA,
                PERSISTENCE * KAPPA,
                "min(kappa, pi/2) >= kappa/2: below a right angle",
                domain=ACUTE,
                relation=">=",
            ),
            Step(
                PERSISTENCE * KAPPA,
                KAPPA / 3,
                "Lemma 30 as printed, kappa_max(t) >= kappa_max(0)/3, is weaker",
                relation=">=",
                fresh=False,
            ),
        ),
        results=("kappa_max does not fall", "Lemma 30 as printed"),
        heading="The largest angle between the parts across does not close",
    )


def derive_reach() -> Derivation:
    r"""Derive `Z >= sin(min(kappa_max, pi/2)) max |z_i|`, at every state.

    Returns
    -------
    Derivation
        The step from `kappa_max` to the pairwise distance. With Lemma 30 it gives
        `Z >= max |z_i| kappa_max(T)/pi`, twice what one distance alone gives, and so a quarter of
        the constant of equation 66.
    """
    x, y = sp.symbols("x y", positive=True)
    gamma = sp.Symbol("gamma", nonnegative=True)
    a, b = sp.symbols("a b", nonnegative=True)
    angle: Domain = ((gamma, sp.S.Zero, sp.pi),)
    sines = sp.sin(a) + sp.sin(b) - sp.sin(a + b)
    # The three factors of the difference, each with its own angle.
    angles: Domain = tuple((s, sp.S.Zero, sp.pi / 2) for s in (a, b, gamma))
    return Derivation(
        "the longest z and the pairwise distance",
        f"{PAPER}, between equations 60 and 66 (in place of Lemma 31); derived here",
        (
            Step(
                x**2 + y**2 - 2 * x * y * sp.cos(gamma),
                (x * sp.sin(gamma)) ** 2 + (y - x * sp.cos(gamma)) ** 2,
                "a distance is at least |x| sin(gamma)",
                assumptions=("x is the longest z_i, y another, gamma their angle",),
                domain=angle,
            ),
            Step(
                x**2 + y**2 + 2 * x * y * sp.sin(gamma),
                x**2,
                "and at least |x| beyond a right angle",
                assumptions=("gamma counted from the right angle",),
                domain=((gamma, sp.S.Zero, sp.pi / 2),),
                relation=">=",
            ),
            Step(
                sines,
                4 * sp.sin(a / 2) * sp.sin(b / 2) * sp.sin((a + b) / 2),
                "a, b: angles from the longest z to the pair at kappa_max",
                assumptions=("a + b >= kappa_max; both distances are in Z",),
                domain=angles[:2],
            ),
            Step(
                4 * sp.sin(a / 2) * sp.sin(b / 2) * sp.sin(gamma),
                sp.S.Zero,
                "sin(a) + sin(b) >= sin(a + b)",
                assumptions=("gamma = (a + b)/2 < pi/2",),
                domain=angles,
                relation=">=",
            ),
            Step(
                sp.sin(KAPPA),
                KAPPA / sp.pi,
                "Z >= zeta sin(kappa) >= zeta kappa/pi, kappa = kappa_max(T) below a right angle",
                assumptions=("zeta = max |z_i|", "Jordan: sin(kappa) >= 2 kappa/pi"),
                domain=ACUTE,
                relation=">=",
            ),
            Step(
                sp.sin(a) + sp.cos(a),
                sp.S.One,
                "sin(a) + sin(b) >= 1 where a + b reaches a right angle",
                assumptions=("b >= pi/2 - a",),
                domain=angles[:1],
                relation=">=",
            ),
            Step(
                sp.S.One,
                KAPPA / sp.pi,
                "Z >= zeta >= zeta kappa/pi, kappa = kappa_max(T) beyond it",
                assumptions=("kappa_max(t) >= pi/2 (Lemma 30)",),
                domain=OBTUSE,
                relation=">=",
            ),
        ),
        results=("Z >= zeta sin", "Z >= zeta >="),
        heading="The sum of all distances bounds the longest part across",
    )
