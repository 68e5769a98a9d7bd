r"""Theorem 14 without a window: `upper` proves the one that `lower` assumes.

Source: Xu & Du, COLT 2023, arXiv 2302.10034, Theorem 14; the proof is this toolkit's.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from symbolic.systems.relu_neuron.theorems import lower, setting
from symbolic.systems.relu_neuron.theorems.near import acute, long, short
from symbolic.systems.relu_neuron.theorems.samples import NEAR, floor
from symbolic.systems.relu_neuron.theorems.setting import TEACHER
from symbolic.systems.relu_neuron.theorems.upper import LINK, staying
from symbolic.theorem import kernel
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, given, weak
from symbolic.theorem.terms import PI

__all__ = ["loss_lower"]


@cache
def loss_lower() -> Theorem:
    """`24 pi n^5 |v| G^3 L - m^3 Z_T^3 >= 0`, the window of Theorem 14 proved from the start."""
    heavy = add((Fraction(1, 4), [short("i")]), (Fraction(7, 4), [TEACHER]))
    proofs = {
        setting.LIGHT: weak(long("i")),
        setting.HEAVY: heavy,
        setting.ACUTE: acute("i"),
        setting.FLOOR: add(floor("i"), (4 * PI, [given(LINK)])),
    }
    th = lower.loss_lower()
    for window, proof in proofs.items():
        near = NEAR in proof.hyps
        th = kernel.cut(th, staying(proof) if near else proof, window)
    return th
