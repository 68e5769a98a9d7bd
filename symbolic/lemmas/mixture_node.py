r"""Values at a node `x ~ N(0, I)` for any loss of a mixture, in forms that keep their digits.

Component `k` has the normalised weight `W_k` at `mu_k`; `m = sum_k W_k mu_k`, `dev_k = mu_k - m`,
`rho_k = psi_k/W_k`, `g_k = rho_k - 1`, `v = sum_k psi_k mu_k`, `u = v - m = sum_k W_k g_k dev_k`,
`h_k = mu_k - v`, `a_k = x - mu_k`. Three forms have the same expectations:

* *near*, all means short: terms that would cancel are left out, by `E delta_0 = 0`;
* *cluster*, the means close to each other, at any distance: densities are relative to `N(m, I)`,
  `l_k = dev_k.(x - m) - |dev_k|^2/2`, `e_k = exp(l_k) - 1`, `delta = sum_k W_k e_k`. The linear
  parts of `e_k` cancel in `delta = sum_k W_k [(e_k - l_k) - |dev_k|^2/2]`, so that offsets of any
  size keep their digits;
* *far*, the means apart: `rho_k = exp(l_k - l_max)/W`, `W = sum_k W_k exp(l_k - l_max)`, with
  `l_k = mu_k.x - |mu_k|^2/2`; no term is larger than the result.

In the first two, `1 + delta_0 = (1 + q)(1 + delta)` is the density of the mixture relative to
`N(0, I)`, `q = exp(m.x - |m|^2/2) - 1`.
"""

from __future__ import annotations

import sympy as sp
from sympy.codegen.cfunctions import expm1, log1p

from symbolic.lemmas.mixture import DELTA, DELTA_0, Q

__all__ = [
    "A_IA",
    "A_IC",
    "A_JC",
    "COMMON",
    "COMMON_A",
    "DELTA",
    "DELTA_0",
    "DM_I",
    "E_I",
    "GRADIENT",
    "G_I",
    "G_J",
    "HESSIAN",
    "HH_IJ",
    "HU_I",
    "HV_I",
    "HV_J",
    "H_IC",
    "H_JA",
    "LOG_0",
    "MU_IA",
    "M_A",
    "NEAR_GRADIENT",
    "NODE",
    "PAIR",
    "PEAK",
    "RHO_I",
    "RHO_J",
    "SAME",
    "S_AC",
    "TILT",
    "TOTAL",
    "U_A",
    "V_A",
    "V_C",
    "WEIGHT_I",
    "L",
    "Q",
    "common_integrands",
    "kl_gradient_integrands",
    "kl_integrands",
    "pair_integrands",
    "relative_density",
    "relative_posterior",
    "tilted",
]

# A row of the Hessian belongs to component `i`, coordinate `a`, a column to `j`, `c`.
L, E_I, G_I, G_J, U_A, V_A, V_C = sp.symbols("l e_i g_i g_j u_a v_a v_c", real=True)
RHO_I, RHO_J = sp.symbols("rho_i rho_j", positive=True)  # may be tiny
LOG_0 = sp.Symbol("lambda_0", real=True)  # m.x - |m|^2/2
#: `g_i` in the near and the cluster form, `rho_i` in the far one, and the part without an index.
WEIGHT_I, COMMON_A = sp.symbols("omega_i common_a", real=True)
#: `h_i.v`, `h_j.v`, `h_i.h_j`.
HV_I, HV_J, HH_IJ = sp.symbols("hv_i hv_j hh_ij", real=True)
#: `dev_i.m`, and `h_i.v` less that, in the near form.
DM_I, HU_I = sp.symbols("dm_i hu_i", real=True)
#: Entries of `m` and `mu_i`.
M_A, MU_IA = sp.symbols("m_a mu_ia", real=True)
#: Entries of `a_i`, `a_j`, `h_i`, `h_j`.
A_IA, A_IC, A_JC, H_IC, H_JA = sp.symbols("a_ia a_ic a_jc h_ic h_ja", real=True)
#: `sum_k psi_k h_ka h_kc`, and 1 where `a = c`, else 0.
S_AC, SAME = sp.symbols("s_ac delta_ac", real=True)
PEAK, TOTAL = sp.symbols("l_max W", real=True)

#: Arguments of :func:`relative_posterior`, :func:`tilted`, :func:`common_integrands`,
#: :func:`pair_integrands`.
NODE, TILT, COMMON = (E_I, DELTA), (Q, DELTA), (DELTA_0, U_A)
PAIR = (G_I, G_J, RHO_I, RHO_J, DELTA_0)
#: Arguments of the integrands that a loss defines: of its gradient, of that in the near form, and
#: of its Hessian.
GRADIENT = (WEIGHT_I, RHO_I, V_A, COMMON_A, HV_I, A_IA)
NEAR_GRADIENT = (G_I, U_A, M_A, DELTA_0, DM_I, HU_I, A_IA, MU_IA)
HESSIAN = (RHO_I, RHO_J, V_A, V_C, HV_I, HV_J, HH_IJ, A_IA, A_IC, A_JC, H_IC, H_JA, S_AC, SAME)

# Where log1p loses digits of delta - log1p(delta), its series in s = delta/(2 + delta) is used:
# |delta| < 1/2 is |s| < 1/3, and the first term dropped is below 1e-17 of the result.
SWITCH = sp.Rational(1, 2)
TERMS = 17
# The same for exp(l) - 1 - l, |l| < 1/2.
DENSITY_TERMS = 14


def relative_density() -> sp.Expr:
    """Return `exp(l_k) - 1 - l_k`, of second order, a function of `L`; `e_k` is this plus `l_k`."""
    series = sum((L**j / sp.factorial(j) for j in range(2, DENSITY_TERMS + 2)), sp.S.Zero)
    return sp.Piecewise((sp.horner(series), sp.Abs(L) < SWITCH), (expm1(L) - L, True))


def relative_posterior() -> sp.Expr:
    """Return `g_i = psi_i/W_i - 1`, a function of `NODE`."""
    return (E_I - DELTA) / (1 + DELTA)


def tilted() -> sp.Expr:
    """Return `delta_0 = (1 + q)(1 + delta) - 1`, a function of `TILT`."""
    return Q + DELTA + Q * DELTA


def common_integrands() -> tuple[sp.Expr, sp.Expr]:
    """Return the near and the cluster form of `u_a`, functions of `COMMON`."""
    return -DELTA_0 * U_A, U_A


def pair_integrands() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Return `psi_i psi_j/(W_i W_j)`, functions of `PAIR`.

    Returns
    -------
    near, cluster, far : Expr
        The first two less 1.
    """
    return (G_I * G_J - DELTA_0 * (G_I + G_J), G_I + G_J + G_I * G_J, RHO_I * RHO_J)


def kl_gradient_integrands() -> tuple[sp.Expr, sp.Expr]:
    """Return the integrands of the gradient of the KL divergence by `mu_ia`, `(psi_i/W_i) v_a`.

    Returns
    -------
    near : Expr
        Of `NEAR_GRADIENT`; `m_a` is added to its expectation.
    cluster : Expr
        Of `GRADIENT`; in the cluster form `m_a` is added to its expectation, the far one has none.
    """
    return G_I * (U_A - DELTA_0 * M_A) - DELTA_0 * U_A, WEIGHT_I * V_A + COMMON_A


def kl_integrands() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Return the integrands of the KL divergence.

    Returns
    -------
    near : Expr
        `delta_0 - log(1 + delta_0)`, of `DELTA_0`.
    cluster : Expr
        `-log(p/p_0) = -(m.x - |m|^2/2) - log(1 + delta)`, of `LOG_0` and `DELTA`.
    far : Expr
        `-log sum_k W_k exp(l_k)`, of `PEAK` and `TOTAL`.
    """
    s = DELTA_0 / (2 + DELTA_0)
    series = sp.Add(*(s ** (2 * j + 1) / (2 * j + 1) for j in range(1, TERMS + 1)))
    small = DELTA_0 * s - 2 * sp.horner(sp.expand(series.subs(s, L))).subs(L, s)
    near = sp.Piecewise((small, sp.Abs(DELTA_0) < SWITCH), (DELTA_0 - sp.log(1 + DELTA_0), True))
    return near, -LOG_0 - log1p(DELTA), -(PEAK + sp.log(TOTAL))
