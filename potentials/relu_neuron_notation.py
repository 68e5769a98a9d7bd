r"""Common parts of the claims about the single ReLU neuron: symbols, sources, readings, hypotheses.

Source: Xu & Du, COLT 2023, arXiv 2302.10034. Conventions as in `potentials.relu_neuron`.
"""

from __future__ import annotations

from types import MappingProxyType

import sympy as sp

from potentials.claim import Hypothesis
from potentials.notation import parameter, symbol
from potentials.source import Source

NAMES = MappingProxyType(
    {
        "h": "h_i",
        "zeta": r"\lvert z_i \rvert",
        "norm": r"\lvert w_i \rvert",
        "theta": r"\theta_i",
        "distance": r"\lvert z_i - z_j \rvert",
        "kappa": r"\kappa_{ij}",
        "theta_pair": r"\theta_{ij}",
        "loss": "L",
        "rho": r"\langle r, \bar v \rangle",
        "teacher_norm": r"\lvert v \rvert",
        "gradient_norm": r"\lvert \nabla L \rvert",
        "pairwise_distance": "Z",
        "kappa_max": r"\kappa_{\max}",
        "angle_max": r"\theta_{\max}",
        "residual_projection": "H",
        "angle_potential": "V",
        "balance": r"\frac{\max_i h_i}{\min_i h_i}",
        "sigma": r"\sigma",
        "z_min": r"\min_i \lvert z_i \rvert",
        "z_max": r"\max_i \lvert z_i \rvert",
        "curvature": r"\frac{\langle \nabla L, \nabla^2 L \, \nabla L \rangle}"
        r"{\lvert \nabla L \rvert^2}",
        "residual_norm": r"\lvert r \rvert",
        "T1": "T_1",
        "T2": "T_2",
    }
)

# Features and constants, by the names of `flows`.
t = symbol("t")
n, d, v = (parameter(name) for name in ("n", "d", "teacher_norm"))
h, zeta, norm, theta = (symbol(name) for name in ("h", "zeta", "norm", "theta"))
distance, kappa, theta_pair = (symbol(name) for name in ("distance", "kappa", "theta_pair"))
loss, rho, gradient_norm = (symbol(name) for name in ("loss", "rho", "gradient_norm"))
Z, H, V = (symbol(name) for name in ("pairwise_distance", "residual_projection", "angle_potential"))
kappa_max, angle_max, balance = (symbol(name) for name in ("kappa_max", "angle_max", "balance"))
sigma_0, kappa_0, T1, T2 = (symbol(name) for name in ("sigma_0", "kappa_max_0", "T1", "T2"))

#: How the times between the phases are read off a run.
READ_T1 = "T1 is read at H = (9/10)|v|, where the paper has a time with open constants"
READ_T2 = "T2 is read at |H| = |v|/10, where the paper has 36 n^-14 |v|"
READ_TIMES = f"{READ_T1}; {READ_T2}"


def xu_du(locator: str, kind: str) -> Source:
    """Return the source of a statement of the paper."""
    return Source("Xu & Du", 2023, "2302.10034", locator, kind)


def derived(locator: str, kind: str, module: str = "bounds") -> Source:
    """Return the source of a form of the paper's statement that this toolkit derives."""
    return xu_du(f"{locator}; derived in symbolic/systems/relu_neuron/{module}.py", kind)


def positive(x: sp.Expr) -> sp.Expr:
    """Turn `x > 0` into an expression that is not negative exactly then."""
    return sp.sign(x) - 1


#: What is read into an unspecified "sufficiently small" constant.
SMALL = sp.Rational(1, 100)

_LOG_SCALE = sp.log(sigma_0 * sp.sqrt(d) / v) / sp.log(10)
_SMALL_START = Hypothesis(
    "sigma = O(n^-4226 d^-1/2 |v|), in log10, the constant read as 1/100; "
    "sigma is the root mean square entry of the start",
    _LOG_SCALE,
    "<=",
    sp.log(SMALL) / sp.log(10) - 4226 * sp.log(n) / sp.log(10),
    unmet="log10(sigma sqrt(d)/|v|) = {value} at the start, not <= {needed}, which is how "
    "sigma = O(n^-4226 d^-1/2 |v|) is read",
)
_LARGE_DIMENSION = Hypothesis(
    "d >= C log(n/delta), read with C = 1 and delta = 1/100",
    d,
    ">=",
    sp.log(n / SMALL),
    unmet="d = {value}, not >= log(100 n) = {needed}",
)
_WIDE_START = (
    Hypothesis(
        "every theta_i(0) >= pi/3 (the event that a large d makes likely)",
        symbol("theta_0"),
        ">=",
        sp.pi / 3,
        "neuron",
        unmet="the smallest theta_i(0) is {value}, not >= pi/3",
    ),
    Hypothesis(
        "every theta_i(0) <= 2 pi/3 (the event that a large d makes likely)",
        symbol("theta_0"),
        "<=",
        2 * sp.pi / 3,
        "neuron",
        unmet="the largest theta_i(0) is {value}, not <= 2 pi/3",
    ),
)
SEVERAL = Hypothesis("n >= 2", n, ">=", sp.Integer(2))
TRANSVERSE = Hypothesis(
    "every z_i(0) != 0", symbol("zeta_0"), ">", sp.S.Zero, "neuron", unmet="some z_i(0) = 0"
)
SPREAD = Hypothesis(
    "kappa_max(0) > 0", kappa_0, ">", sp.S.Zero, unmet="kappa_max(0) = {value}, not > 0"
)
BALANCED = (
    Hypothesis(
        "|w_i| >= |v|/(4n) in the window",
        norm,
        ">=",
        v / (4 * n),
        "neuron",
        unmet="the smallest |w_i| in the window is {value}, not >= |v|/(4n) = {needed}",
    ),
    Hypothesis(
        "|w_i| <= 4|v|/n in the window",
        norm,
        "<=",
        4 * v / n,
        "neuron",
        unmet="the largest |w_i| in the window is {value}, not <= 4|v|/n = {needed}",
    ),
)
ACUTE = Hypothesis(
    "every theta_i <= pi/2 in the window",
    h,
    ">=",
    sp.S.Zero,
    "neuron",
    unmet="the smallest h_i in the window is {value}, not >= 0: theta_i > pi/2",
)
INITIALISATION = (_LARGE_DIMENSION, *_WIDE_START, _SMALL_START)

PHASE_1 = (positive(t), T1 - t)
PHASE_2 = (t - T1, T2 - t)
PHASE_3 = (t - T2,)
