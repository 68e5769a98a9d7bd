"""Potentials of score matching, the times that claims refer to, and what both are made of.

Conventions as in `potentials.score_matching`.
"""

from __future__ import annotations

from types import MappingProxyType

import sympy as sp

from potentials.claim import Mark
from potentials.notation import parameter, symbol
from potentials.potential import Potential, single
from potentials.source import Source

NAMES = MappingProxyType(
    {
        "norm": r"\lvert \mu_i \rvert",
        "loss": "L",
        "gradient_norm": r"\lvert \nabla_\nu L \rvert",
        "squared_norm_sum": "U",
        "max_norm": r"\mu_{\max}",
        "min_norm": r"\mu_{\min}",
        "norm_sum": r"\sum_i \lvert \mu_i \rvert",
        "near_count": "N",
        "spread": r"\max_i \lvert \mu_i - m \rvert",
        "mean_norm": r"\lvert m \rvert",
        "mean_along": r"m_\parallel",
        "mean_across": r"m_\perp",
        "noise_time": "s",
        "target_norm": r"\lvert \nu^* \rvert",
    }
)

t, t_end, T1 = (symbol(name) for name in ("t", "t_end", "T1"))
n, d = parameter("n"), parameter("d")
norm, loss, spread, mean_norm = (symbol(name) for name in ("norm", "loss", "spread", "mean_norm"))
max_norm, U = symbol("max_norm"), symbol("squared_norm_sum")
max_norm_0, U_0, mean_norm_0 = (symbol(f"{x.name}_0") for x in (max_norm, U, mean_norm))
spread_0, norm_end = symbol("spread_0"), symbol("norm_end")
max_norm_end, U_end, spread_end = (symbol(f"{x.name}_end") for x in (max_norm, U, spread))


def zhang(locator: str, kind: str) -> Source:
    """Place in the paper."""
    return Source("Zhang, Xu, Zhou, Fazel & Du", 2026, "2511.22069", locator, kind)


_SMOOTH = "everywhere; differentiable where one component attains it, away from the target"

POTENTIALS: tuple[Potential, ...] = (
    Potential(
        "max_norm",
        r"\mu_{\max}",
        single("max_norm", "neuron", norm, "max"),
        max_norm,
        _SMOOTH,
        zhang("Theorem 2.1", "definition"),
        NAMES,
        "The distance of the farthest component from the target",
    ),
    Potential(
        "min_norm",
        r"\mu_{\min}",
        single("min_norm", "neuron", norm, "min"),
        symbol("min_norm"),
        _SMOOTH,
        zhang("Theorem 3.5", "definition"),
        NAMES,
        "The distance of the nearest component from the target",
    ),
    Potential(
        "squared_norm_sum",
        "U",
        single("squares", "neuron", norm**2, "sum"),
        symbol("squares"),
        "everywhere",
        zhang("Theorem 3.1", "definition"),
        NAMES,
        "The squared distances of the components from the target, summed",
    ),
)

AUXILIARIES: tuple[Potential, ...] = (
    Potential(
        "norm_sum",
        r"\sum_i \lvert \mu_i \rvert",
        single("norm_sum", "neuron", norm, "sum"),
        symbol("norm_sum"),
        "everywhere; differentiable where no component is at the target",
        zhang("Theorem 3.1", "definition"),
        NAMES,
    ),
    Potential(
        "near_count",
        "N",
        single("near_count", "neuron", sp.exp(-(norm**2)), "sum"),
        symbol("near_count"),
        "everywhere; the number of converged components once the others are far",
        zhang("Theorem 3.5; this form of the count is derived here", "definition"),
        NAMES,
    ),
)

MARKS: tuple[Mark, ...] = (
    # Beyond the stationary point of Theorem 3.1 for every n below a thousand.
    Mark("T1", max_norm - 4, "from", "beginning of the far regime: max |mu_i| >= 4 from then on"),
)
