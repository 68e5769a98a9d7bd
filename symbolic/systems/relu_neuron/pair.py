r"""One ReLU neuron learnt by `n`: loss, gradient, Hessian and flow, derived from the pair kernel.

Everything is symbolic at the level of one pair of vectors `a`, `b`, in `ALPHA = |a|`, `BETA = |b|`
and the angle `THETA`; sums over neurons belong to whoever has arrays. The teacher `v` enters as one
more neuron with multiplicity `-1`, and `r = sum_i w_i - v`.

Source: Xu & Du, COLT 2023, arXiv 2302.10034.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sympy as sp

from symbolic.language.primitives import NormMinusArgDot, SinMinusArg, definition
from symbolic.lemmas.activations import RELU
from symbolic.lemmas.dual_kernel import ALPHA, BETA, DOT_VALUES, THETA, chain_rule, derive_kernel

__all__ = [
    "ALPHA",
    "BETA",
    "THETA",
    "first_derivatives",
    "kernel",
    "pair_energy",
    "pair_energy_of",
    "pair_gradient",
    "pair_hessian",
    "second_derivatives",
]

PAPER = "Xu & Du 2023, arXiv 2302.10034"


def kernel() -> sp.Expr:
    """Return `k(a,b) = E relu(a.x) relu(b.x)` in `ALPHA`, `BETA`, `THETA`, as integrated."""
    return derive_kernel(RELU).result


@cache
def pair_energy() -> sp.Expr:
    """Return `e(a,b) = k(a,b) - a.b/2`, the part of the kernel that is not bilinear."""
    return sp.expand(kernel() - DOT_VALUES[2] / 2)


AREA, DOT = sp.Symbol("area"), sp.Symbol("dot")


@cache
def _share() -> sp.Expr:
    """The number `c` with ``e(a,b) = c (area - THETA dot)``, ``area = |a||b| sin THETA``."""
    lengths = {sp.sin(THETA): AREA / (ALPHA * BETA), sp.cos(THETA): DOT / (ALPHA * BETA)}
    energy = sp.expand(sp.expand(definition(pair_energy())).subs(lengths))
    share = energy.coeff(AREA)
    if sp.expand(energy - share * (AREA - THETA * DOT)) != 0:
        raise AssertionError("the pair energy is no multiple of area - THETA dot")
    return share


def pair_energy_of(a: Sequence[sp.Expr], b: Sequence[sp.Expr]) -> sp.Expr:
    """Return `e(a,b)` in the entries of both."""
    dot = sp.Add(*(p * q for p, q in zip(a, b, strict=True)))
    planes = [sp.expand(a[i] * b[j] - a[j] * b[i]) for i in range(len(a)) for j in range(i)]
    return _share() * NormMinusArgDot(dot, *planes)


def _by_dot(f: sp.Expr, row: int) -> sp.Expr:
    """Differentiate `f(ALPHA, BETA, THETA)` by the dot product A (0), B (1) or C (2)."""
    chain = chain_rule()
    parts = (chain[row, k] * f.diff(s) for k, s in enumerate((ALPHA, BETA, THETA)))
    return _normal(sp.Add(*parts))


def _normal(expr: sp.Expr) -> sp.Expr:
    """Expand with `cos^2 = 1 - sin^2`, so that quotients by `sin` cancel."""
    expr = sp.expand(definition(expr))
    return sp.expand(expr.subs(sp.cos(THETA) ** 2, 1 - sp.sin(THETA) ** 2))


@cache
def first_derivatives() -> tuple[sp.Expr, sp.Expr]:
    """Return the derivatives of `e` by `A = a.a` and `C = a.b`."""
    return _by_dot(pair_energy(), 0), _by_dot(pair_energy(), 2)


@cache
def second_derivatives() -> tuple[sp.Expr, ...]:
    """Return the second derivatives of `e` by AA, AB, AC, BC, CC."""
    e_a, e_c = first_derivatives()
    return (*(_by_dot(e_a, k) for k in range(3)), *(_by_dot(e_c, k) for k in (1, 2)))


@cache
def pair_gradient() -> tuple[sp.Expr, sp.Expr]:
    r"""Return `(unit, chord)` with `d e(a,b)/da = unit*abar + chord*(abar - bbar)`.

    Returns
    -------
    unit, chord : Expr
        In `ALPHA`, `BETA`, `THETA` and safe primitives; `abar = a/|a|`.

    Notes
    -----
    Source: equation 4, one summand, rearranged so that each term is small at aligned vectors.
    """
    e_a, e_c = first_derivatives()
    # 2 e_A a + e_C b, with b = |b| (abar - (abar - bbar)).
    unit = sp.expand(2 * e_a * ALPHA + e_c * BETA)
    chord = sp.expand(-e_c * BETA)
    return _safe_sine(unit), chord


def _safe_sine(expr: sp.Expr) -> sp.Expr:
    """Write `sin` through `sin t - t`, which absorbs the cancelling linear term."""
    return sp.expand(expr.subs(sp.sin(THETA), SinMinusArg(THETA) + THETA))


@cache
def pair_hessian() -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    r"""Return `(spread, shift, twist)`, the coefficients of the two Hessian blocks of `e(a,b)`.

    `d2e/dada = spread*(I - abar abar^T + n n^T)` with `n = unit(bbar - cos(theta) abar)`;
    `d2e/dadb = shift*I + twist*(s s^T - c c^T)` with `s = unit(abar + bbar)` and
    `c = unit(abar - bbar)`, regular at aligned and at opposite vectors.

    Returns
    -------
    spread, shift, twist : Expr
        In `ALPHA`, `BETA`, `THETA`.

    Notes
    -----
    Source: equation 51, whose off-diagonal block is 0/0 at aligned vectors and this one is not.
    """
    e_a, e_c = first_derivatives()
    _, e_ab, e_ac, e_bc, e_cc = second_derivatives()
    # d2e/dada = 2 e_A I + ..., where the dots lie in the plane of a and b.
    spread = _normal(2 * e_a)
    # The part of d2e/dadb in the plane, 4 e_AB a b^T + 2 e_AC a a^T + 2 e_BC b b^T + e_CC b a^T,
    # taken twice with s: abar.s = bbar.s = cos(theta/2), whose square is (1 + cos)/2.
    along = 4 * e_ab * ALPHA * BETA + 2 * e_ac * ALPHA**2 + 2 * e_bc * BETA**2
    twist = _normal((along + e_cc * ALPHA * BETA) * (1 + sp.cos(THETA)) / 2)
    return spread, e_c, twist
