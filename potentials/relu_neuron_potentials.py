"""Potentials of the single ReLU neuron, and the times that claims refer to.

Conventions as in `potentials.relu_neuron`.
"""

from __future__ import annotations

import sympy as sp

from potentials.claim import Mark
from potentials.notation import symbol
from potentials.potential import Over, Potential, Reduce, single
from potentials.relu_neuron_notation import (
    NAMES,
    H,
    d,
    distance,
    h,
    kappa,
    n,
    norm,
    rho,
    theta,
    v,
    xu_du,
    zeta,
)
from potentials.source import Source


def _single(
    name: str,
    latex_symbol: str,
    over: Over,
    expression: sp.Expr,
    reduce: Reduce | None,
    domain: str,
    source: Source,
    words: str = "",
) -> Potential:
    terms = single(name, over, expression, reduce)
    return Potential(name, latex_symbol, terms, symbol(name), domain, source, NAMES, words)


_BALANCE = single("h_max", "neuron", h, "max") + single("h_min", "neuron", h, "min")

POTENTIALS: tuple[Potential, ...] = (
    _single(
        "pairwise_distance",
        "Z",
        "pair",
        distance,
        "sum",
        "everywhere; differentiable where z_i != z_j for every pair",
        xu_du("Section 5", "definition"),
        "How far apart the neurons are across the teacher, summed over pairs",
    ),
    _single(
        "kappa_max",
        r"\kappa_{\max}",
        "pair",
        kappa,
        "max",
        "at least two z_i not zero; pairs with a zero z_i are left out",
        xu_du("Section 5", "definition"),
        "The largest angle between two neurons across the teacher",
    ),
    _single(
        "angle_max",
        r"\theta_{\max}",
        "neuron",
        theta,
        "max",
        "no w_i zero; differentiable where one neuron attains it",
        xu_du("Section 3", "definition"),
        "The largest angle of a neuron to the teacher",
    ),
    Potential(
        "residual_projection",
        "H",
        single("rho", "state", rho, None),
        -symbol("rho"),
        "everywhere",
        xu_du("Theorem 5", "definition"),
        NAMES,
        "What is missing along the teacher",
    ),
    _single(
        "angle_potential",
        "V",
        "neuron",
        sp.sin(theta / 2) ** 2,
        "sum",
        "no w_i zero",
        xu_du("Theorem 5", "definition"),
        "The sines of the half angles to the teacher, squared and summed",
    ),
    Potential(
        "balance",
        r"\max_i h_i / \min_i h_i",
        _BALANCE,
        symbol("h_max") / symbol("h_min"),
        "min h_i not zero; a bound only where it is > 0",
        xu_du("Theorem 5", "definition"),
        NAMES,
        "How unequal the parts along the teacher are",
    ),
    _single(
        "norms",
        r"\lvert w_i \rvert",
        "neuron",
        norm,
        None,
        "everywhere; differentiable where w_i is not zero",
        xu_du("Section 3", "definition"),
        "The length of a neuron",
    ),
    _single(
        "h",
        "h_i",
        "neuron",
        h,
        None,
        "everywhere",
        xu_du("Section 3", "definition"),
        "The part of a neuron along the teacher",
    ),
    _single(
        "z_norms",
        r"\lvert z_i \rvert",
        "neuron",
        zeta,
        None,
        "everywhere; differentiable where z_i is not zero",
        xu_du("Section 5", "definition"),
        "The length of a neuron's part across the teacher",
    ),
)

AUXILIARIES: tuple[Potential, ...] = (
    Potential(
        "sigma",
        r"\sigma",
        single("squares", "neuron", norm**2, "sum"),
        sp.sqrt(symbol("squares") / (n * d)),
        "everywhere; at the start, the root mean square entry of w",
        xu_du("Section 3", "definition"),
        NAMES,
    ),
    _single(
        "z_max",
        r"\max_i \lvert z_i \rvert",
        "neuron",
        zeta,
        "max",
        "everywhere",
        xu_du("section 5", "definition"),
    ),
    _single(
        "z_min",
        r"\min_i \lvert z_i \rvert",
        "neuron",
        zeta,
        "min",
        "everywhere",
        xu_du("Theorem 14", "definition"),
    ),
)

MARKS: tuple[Mark, ...] = (
    Mark(
        "T1",
        H - sp.Rational(9, 10) * v,
        "until",
        "end of phase 1: H >= (9/10)|v| until then; the paper has a time with open constants",
    ),
    Mark(
        "T2",
        v / 10 - sp.Abs(H),
        "from",
        "beginning of phase 3: |H| <= |v|/10 from then on; the paper has 36 n^-14 |v|",
    ),
)
