r"""Local convergence: singular values of a balanced chain, and the rates of both parts of the loss.

With the singular values of all layers in `[delta, M]`,

- `-dL_ori/dt >= 2 N delta^(2 N - 2) L_ori`, for every depth `N`,
- `-dL_reg/dt >= 4 a delta^2/(2 + (M/delta)^2) L_reg`, for four layers.

For `N = 4`, `delta = sigma_1^(1/4)/sqrt(2)` and `M = sqrt(2) sigma_1^(1/4)` these are the rates
`sigma_1^(3/2)`, the one of Theorem 11, and `(a/3) sqrt(sigma_1)`.

Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925, Theorem 11, whose other conclusions were not at
hand; everything here is derived here.
"""

from __future__ import annotations

import sympy as sp

from symbolic.evidence.derivation import Derivation, Step
from symbolic.evidence.identity import Domain
from symbolic.systems.matrix_factorization.chain import PAPER

__all__ = ["BALANCE_RATE", "WIDEST", "derive_local_rates", "derive_singular_values"]

#: Local window: singular values of layers in `[sigma_1^(1/4)/WIDEST, WIDEST sigma_1^(1/4)]`.
WIDEST = sp.sqrt(2)
#: `L_reg` falls like `exp(-BALANCE_RATE a sqrt(sigma_1) t)` in the local window.
BALANCE_RATE = 4 / WIDEST**2 / (2 + WIDEST**4)

DEPTH = sp.Symbol("N", integer=True, positive=True)
DEPTHS: Domain = ((DEPTH, 2, 6),)


def derive_singular_values() -> Derivation:
    r"""Derive the flow of the singular values of a balanced chain, for every depth.

    Returns
    -------
    Derivation
        `d sigma_i/dt = N sigma_i^(2 - 2/N) (u_i^H Sigma v_i - sigma_i)`.
    """
    j = sp.Symbol("j", integer=True, positive=True)
    drive = sp.Symbol("g", real=True)  # u_i^H Sigma v_i
    t = sp.Symbol("t", real=True)
    layer = sp.Function("s", positive=True)(t)
    size = sp.Symbol("s", positive=True)
    speed = size ** (2 * DEPTH - 2)
    return Derivation(
        "singular values of a balanced chain",
        f"{PAPER}, section 4; derived here, for every depth",
        (
            Step(
                sp.Sum(size ** (2 * (DEPTH - j)) * size ** (2 * (j - 1)), (j, 1, DEPTH)),
                DEPTH * speed,
                "u^H W' v: layer j moves it by s^(2(N - j)) s^(2(j - 1)) (u^H Sigma v - s^N)",
                assumptions=(
                    "balanced: W_N ... W_{j+1} (its adjoint) = (W W^H)^((N - j)/N), and likewise"
                    " in front of layer j; W v = sigma u, sigma = s^N",
                ),
                domain=DEPTHS,
            ),
            Step(
                DEPTH * speed * (drive - size**DEPTH),
                DEPTH * (size**DEPTH) ** (2 - 2 / DEPTH) * (drive - size**DEPTH),
                "d sigma/dt = N sigma^(2 - 2/N) (u^H Sigma v - sigma)",
                domain=DEPTHS,
            ),
            Step(
                sp.Derivative(layer**DEPTH, t),
                DEPTH * layer ** (DEPTH - 1) * sp.Derivative(layer, t),
                "so one layer has ds/dt = s^(N - 1) (u^H Sigma v - s^N)",
                assumptions=("sigma = s^N",),
                domain=DEPTHS,
            ),
        ),
        results=("d sigma/dt", "so one layer"),
        heading="Each singular value of a balanced chain has an equation of its own",
    )


def derive_local_rates() -> Derivation:
    r"""Derive the rates of `L_ori` and `L_reg` near a minimiser, with every constant.

    Returns
    -------
    Derivation
        Both rates, and what Theorem 11's `sigma_1^(3/2)` needs of the layers.
    """
    j = sp.Symbol("j", integer=True, positive=True)
    delta, sigma, strength = sp.symbols("delta sigma_1 a", positive=True)
    x_1, x_2, x_3, x_4, m = sp.symbols("x_1:5 m", nonnegative=True)
    fit, reg = sp.symbols("L_ori L_reg", nonnegative=True)
    window = {delta: sigma ** sp.Rational(1, 4) / WIDEST}
    slack = sp.Symbol("s", nonnegative=True)
    squares = x_1**2 + x_2**2 + x_3**2 + x_4**2
    rate = sigma ** sp.Rational(3, 2)
    return Derivation(
        "local convergence",
        f"{PAPER}, Theorem 11; the constants are derived here",
        (
            Step(
                sp.Sum(delta ** (2 * (DEPTH - j)) * delta ** (2 * (j - 1)), (j, 1, DEPTH)),
                DEPTH * delta ** (2 * DEPTH - 2),
                "|grad_j L_ori| >= delta^(N - j) |Sigma - W| delta^(j - 1), squared and summed",
                assumptions=("|A E B|_F >= sigma_min(A) |E|_F sigma_min(B)",),
                domain=DEPTHS,
            ),
            Step(
                sp.Subs(2 * 4 * delta**6, delta, window[delta]),
                rate,
                "-dL_ori/dt >= 2 N delta^(2 N - 2) L_ori, which is sigma_1^(3/2) L_ori in the local"
                " window",
                assumptions=(
                    "N = 4, delta = sigma_1^(1/4)/sqrt(2)",
                    "L_ori = |Sigma - W|_F^2/2, dL_ori/dt = -|grad L_ori|^2",
                ),
            ),
            Step(
                (x_2 + m * x_1) ** 2,
                (1 + m**2) * (x_1**2 + x_2**2),
                "|Delta_2| <= (|X_2| + M |Delta_1|)/delta <= (|X_2| + (M/delta) |X_1|)/delta",
                assumptions=(
                    "X_j = Delta_j W_j - W_j Delta_{j-1}, x_j = |X_j|, m = M/delta; squared",
                    "|Delta_1| <= |X_1|/delta and |Delta_3| <= |X_4|/delta at the ends",
                ),
                relation="<=",
            ),
            Step(
                x_1**2 + (1 + m**2) * (x_1**2 + x_2**2) + x_4**2,
                (2 + m**2) * squares,
                "sum |Delta_j|^2 <= (2 + (M/delta)^2)/delta^2 sum |X_j|^2",
                assumptions=("times delta^2",),
                relation="<=",
            ),
            Step(
                strength**2 * squares * (1 + slack),
                4
                * strength
                * delta**2
                / (2 + m**2)
                * (strength / 4 * (2 + m**2) / delta**2 * squares),
                "-dL_reg/dt = a^2 sum |X_j|^2 >= 4 a delta^2/(2 + (M/delta)^2) L_reg",
                domain=((slack, sp.S.Zero, sp.oo),),
                relation=">=",
            ),
            Step(
                sp.Subs(4 * strength * delta**2 / (2 + WIDEST**4), delta, window[delta]),
                BALANCE_RATE * strength * sp.sqrt(sigma),
                "which is (a/3) sqrt(sigma_1) in the local window",
                assumptions=("M/delta = 2",),
            ),
            Step(
                rate * fit
                + (rate / (BALANCE_RATE * sp.sqrt(sigma)) + slack)
                * BALANCE_RATE
                * sp.sqrt(sigma)
                * reg,
                rate * (fit + reg),
                "so L = L_ori + L_reg falls like exp(-sigma_1^(3/2) t) if a >= 3 sigma_1",
                assumptions=("a = 3 sigma_1 + s, s >= 0",),
                domain=((slack, sp.S.Zero, sp.oo),),
                relation=">=",
            ),
        ),
        results=("-dL_ori/dt", "which is (a/3)", "so L ="),
        heading="Near the target the loss falls exponentially",
    )
